"""
Early stopping
==============

Good results on the testing data? A network that trains on and on learns its training
rows by heart, with all that is wrong in them. On other rows it gets better first, and
then worse. Early stopping watches rows that are not trained on, and keeps the epoch
that is best on them (L. Prechelt, "Early stopping - but when?", in Neural Networks:
Tricks of the Trade, 1998).

As a script it takes seconds::

    python examples/testing/plot_early_stopping.py
"""

# %%
# Digits with wrong labels
# ------------------------
# 400 images for training, 300 for validation, and the rest for the test. A fifth of the
# labels is drawn at random, as if someone had typed them in carelessly. The labels of
# the test are right, so that we see what has been learned.

import warnings

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning

from sk_deep import MLPClassifier
from sk_deep.plots import LossCurveDisplay

warnings.simplefilter("ignore", ConvergenceWarning)  # some shall go on
X, y = load_digits(return_X_y=True)
X = (X / 16).astype("float32")
random = np.random.RandomState(0)
typed = np.where(random.uniform(size=len(y)) < 0.2, random.randint(10, size=len(y)), y)
rows = random.permutation(len(y))
train, val, test = rows[:400], rows[400:700], rows[700:]


def make_network(**params):
    """Make a network that is wide enough to learn 400 rows by heart."""
    common = {"batch_size": 32, "learning_rate_init": 0.002, "max_iter": 80}
    return MLPClassifier(200, **common, **params)


# %%
# The turn
# --------
# ``early_stopping=True`` sets a tenth of the rows apart for validation. Here we have
# validation rows of our own, and hand them to ``fit``. ``scoring="loss"`` watches their
# loss, not their accuracy. With a patience of 80 epochs, ``n_iter_no_change``, nothing
# stops, so that we see what would come: the training loss falls on, and the validation
# loss turns and grows.

watched = {"early_stopping": True, "scoring": "loss", "random_state": 0}
patient = make_network(**watched, n_iter_no_change=80)
patient.fit(X[train], typed[train], X_val=X[val], y_val=typed[val])
LossCurveDisplay.from_estimator(patient, panels="loss", log_scale=False)
training_loss, validation_loss = patient.loss_curve_, patient.validation_loss_curve_
turn = int(np.argmin(validation_loss))
for name, curve in [("training", training_loss), ("validation", validation_loss)]:
    print(f"{name} loss: epoch {turn + 1} {curve[turn]:.2f}, last one {curve[-1]:.2f}")

assert 3 < turn < 40
assert training_loss[-1] < training_loss[turn] / 2
assert validation_loss[-1] > 1.2 * validation_loss[turn]

# %%
# Stop there
# ----------
# With the default patience of 10 epochs the training ends soon after the turn. The
# network has the weights of its best epoch, not those of its last one. We train three
# times, from other initial weights, beside networks that are trained to the end.

scores = {"to the end": [], "early stopping": []}
for seed in range(3):
    last = make_network(n_iter_no_change=80, random_state=seed)
    last.fit(X[train], typed[train])
    stopped = make_network(**watched | {"random_state": seed})
    stopped.fit(X[train], typed[train], X_val=X[val], y_val=typed[val])
    for name, network in zip(scores, [last, stopped], strict=True):
        scores[name].append(network.score(X[test], y[test]))
    print(f"seed {seed}: {stopped.n_iter_} epochs in place of {last.n_iter_}")
    assert stopped.n_iter_ < 60

fig, ax = plt.subplots(figsize=(6.4, 2.4))
for place, (name, found) in enumerate(scores.items()):
    ax.plot(found, [place] * len(found), "os"[place], alpha=0.6)
    print(f"{name}: test accuracy {np.mean(found):.3f}")
ax.set(yticks=[0, 1], yticklabels=list(scores), ylim=(-0.5, 1.5))
ax.set(xlabel="test accuracy, three networks each")

assert min(scores["early stopping"]) > max(scores["to the end"])
assert np.mean(scores["early stopping"]) > np.mean(scores["to the end"]) + 0.03

# %%
# Where it brings nothing
# -----------------------
# With the right labels these digits are an easy task. The validation loss hardly turns,
# and the epoch that is kept is no better than the last one. It is no worse either:
# early stopping costs little, but for the rows that are not trained on.

clean = {}
last = make_network(n_iter_no_change=80, random_state=0).fit(X[train], y[train])
stopped = make_network(**watched, n_iter_no_change=80)
stopped.fit(X[train], y[train], X_val=X[val], y_val=y[val])
for name, network in zip(scores, [last, stopped], strict=True):
    clean[name] = network.score(X[test], y[test])
    print(f"{name}: test accuracy {clean[name]:.3f}")

assert stopped.validation_loss_curve_[-1] < 1.2 * min(stopped.validation_loss_curve_)
assert min(clean.values()) > 0.9
assert abs(clean["early stopping"] - clean["to the end"]) < 0.015
plt.show()
