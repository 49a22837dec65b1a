"""
Rare classes
============

Where one row in thirty is of the class that you look for, a network that always says no
has an accuracy of 97%, and finds nothing. ``class_weight``, ``sample_weight`` and the
focal loss are for such tasks. Weights find more of the rare rows. What they cost is
precision: many false alarms.

As a script it takes seconds::

    python examples/tasks/plot_imbalance.py
"""

# %%
# One row in thirty
# -----------------
# Accuracy says nothing here. The recall is the part of the rare rows that is found, the
# precision the part of the alarms that is right, and the balanced accuracy the mean of
# the recalls of both classes. The average precision looks at all thresholds.

import warnings

import matplotlib.pyplot as plt
import numpy as np
from sklearn import metrics
from sklearn.datasets import make_classification
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split
from sklearn.utils.class_weight import compute_sample_weight

from sk_deep import MLPClassifier

warnings.simplefilter("ignore", ConvergenceWarning)  # few epochs are enough here
X, y = make_classification(
    20_000, n_informative=6, n_redundant=4, weights=[0.97], random_state=0
)
X_train, X_test, y_train, y_test = train_test_split(X, y, stratify=y, random_state=0)


def train_network(sample_weight=None, **params):
    """Train a small network."""
    network = MLPClassifier(
        32, learning_rate_init=0.003, max_iter=15, random_state=0, **params
    )
    return network.fit(X_train, y_train, sample_weight=sample_weight)


def evaluate(probability, threshold=0.5):
    """Compute the test scores, where rows above the threshold count as rare."""
    found = probability > threshold
    return {
        "accuracy": metrics.accuracy_score(y_test, found),
        "recall": metrics.recall_score(y_test, found),
        "precision": metrics.precision_score(y_test, found),
        "balanced accuracy": metrics.balanced_accuracy_score(y_test, found),
        "average precision": metrics.average_precision_score(y_test, probability),
    }


# %%
# Weights and the focal loss
# --------------------------
# ``class_weight="balanced"`` gives both classes the same sum of weights; a dict sets
# others. The focal loss gives less weight to rows that are classified well (T.-Y. Lin,
# P. Goyal, R. Girshick, K. He and P. Dollar, ICCV 2017).

networks = {
    "no weights": train_network(),
    "rare x 5": train_network(class_weight={0: 1, 1: 5}),
    "balanced": train_network(class_weight="balanced"),
    "focal loss": train_network(loss="focal", loss_params={"gamma": 2.0}),
}
probabilities = {
    name: network.predict_proba(X_test)[:, 1] for name, network in networks.items()
}
scores = {name: evaluate(found) for name, found in probabilities.items()}
for name, row in scores.items():
    print(f"{name}: { {score: round(value, 2) for score, value in row.items()} }")

fig, ax = plt.subplots(figsize=(8, 4))
shown = list(scores["balanced"])
for i, (name, row) in enumerate(scores.items()):
    places = np.arange(len(shown)) + 0.2 * (i - 1.5)
    hatch = ["", "..", "//", "xx"][i]
    ax.bar(places, list(row.values()), 0.2, label=name, hatch=hatch, edgecolor="white")
ax.set(xticks=range(len(shown)), xticklabels=shown, ylabel="on the test rows")
fig.legend(loc="outside upper center", ncols=4)

# %%
# The network without weights is right nearly always, and misses a third of the rare
# rows or more. Balanced weights find most of them, and the balanced accuracy rises; but
# most of the alarms are false. The smaller weight lies between. The focal loss changes
# little here.

plain, balanced, focal = (scores[n] for n in ("no weights", "balanced", "focal loss"))
assert plain["accuracy"] > 0.96
assert plain["recall"] < 2 / 3
assert balanced["recall"] > plain["recall"] + 0.1
assert balanced["balanced accuracy"] > plain["balanced accuracy"] + 0.03
assert balanced["precision"] < 0.5 < plain["precision"]
assert plain["recall"] < scores["rare x 5"]["recall"] < balanced["recall"]
assert plain["precision"] > scores["rare x 5"]["precision"] > balanced["precision"]
assert abs(focal["average precision"] - plain["average precision"]) < 0.05
assert abs(focal["recall"] - plain["recall"]) < 0.1

# %%
# Weights, or another threshold?
# ------------------------------
# The average precision of balanced weights is no better: their network orders the rows
# no better, it only raises the alarm sooner. The first network can do that, too, with a
# lower threshold than 1/2. The part of the rare rows in training, 0.03, does what
# balanced weights do. And its probabilities still have the mean that they should have;
# those of balanced weights and of the focal loss are far too large. The points are the
# networks at the threshold 1/2.

rate = y_train.mean()
moved = evaluate(probabilities["no weights"], threshold=rate)
print(f"no weights, threshold {rate:.3f}: recall {moved['recall']:.2f}", end=", ")
print(f"precision {moved['precision']:.2f}")
means = {name: found.mean() for name, found in probabilities.items()}
print({name: round(float(mean), 3) for name, mean in means.items()})

fig, ax = plt.subplots()
styles = ["-", "-.", "--", ":"]
for (name, found), style in zip(probabilities.items(), styles, strict=True):
    precision, recall, _ = metrics.precision_recall_curve(y_test, found)
    (line,) = ax.plot(recall, precision, style, drawstyle="steps-post", label=name)
    point = scores[name]["recall"], scores[name]["precision"]
    ax.plot(*point, "o", color=line.get_color())
ax.plot(moved["recall"], moved["precision"], "k*", ms=12, label=f"threshold {rate:.3f}")
ax.set(xlabel="recall", ylabel="precision")
ax.legend()

assert balanced["average precision"] < plain["average precision"] + 0.02
assert moved["recall"] > plain["recall"] + 0.1
assert moved["balanced accuracy"] > balanced["balanced accuracy"] - 0.05
assert abs(means["no weights"] - y_test.mean()) < 0.01
assert min(means["balanced"], means["focal loss"]) > 2 * y_test.mean()

# %%
# A weight for each row
# ---------------------
# ``sample_weight`` is for costs that differ from row to row, such as amounts of money.
# With the balanced weights of scikit-learn it does what ``class_weight`` does.

weights = compute_sample_weight("balanced", y_train)
by_row = train_network(sample_weight=weights).predict_proba(X_test)[:, 1]

assert np.allclose(by_row, probabilities["balanced"], atol=1e-3)
plt.show()
