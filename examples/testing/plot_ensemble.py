"""
Ensembles, and how sure they are
================================

Networks that start from other weights err in other places. Their mean errs less (L.
Hansen and P. Salamon, IEEE Transactions on Pattern Analysis and Machine Intelligence
1990). And where they disagree, none of them knows (B. Lakshminarayanan, A. Pritzel and
C. Blundell, NIPS 2017). ``n_members`` trains an ensemble as one estimator.

As a script it takes seconds::

    python examples/testing/plot_ensemble.py
"""

# %%
# A curve with a gap
# ------------------
# 20 networks learn a sine wave from 120 noisy points. There are none between -1 and
# 0.5, and none beyond -3 and 2.5. ``predict`` is the mean of the members,
# ``predict_samples`` gives each. The band is twice their standard deviation.

import warnings

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import log_loss

from sk_deep import MLPClassifier, MLPRegressor

warnings.simplefilter("ignore", ConvergenceWarning)
random = np.random.RandomState(0)
x = np.r_[random.uniform(-3, -1, 60), random.uniform(0.5, 2.5, 60)]
target = np.sin(2 * x) + 0.1 * random.normal(size=120)
curve = MLPRegressor(
    hidden_layer_sizes=(50, 50),
    batch_size=32,
    learning_rate_init=0.005,
    max_iter=300,
    n_iter_no_change=300,
    n_members=20,
    random_state=0,
).fit(x[:, None], target)

grid = np.linspace(-5, 5, 201)
members = curve.predict_samples(grid[:, None], 20)
mean, spread = curve.predict(grid[:, None]), members.std(axis=0)
fig, ax = plt.subplots()
ax.plot(x, target, ".", color="0.5", label="training rows")
ax.plot(grid, np.sin(2 * grid), "k:", label="the truth")
ax.plot(grid, mean, label="mean of 20 members")
ax.fill_between(grid, mean - 2 * spread, mean + 2 * spread, alpha=0.3, label="band")
ax.set(xlabel="x", ylabel="y", ylim=(-4, 3))
ax.legend(ncols=2)

assert np.allclose(mean, members.mean(axis=0))

# %%
# The band is narrow where there are data, and wide away from them. It is no promise:
# beyond the data the truth leaves it, as all members err alike there.

beyond = (grid < -4) | (grid > 3.5)
places = {
    "at the data": ((grid > -3) & (grid < -1)) | ((grid > 0.5) & (grid < 2.5)),
    "in the gap": (grid > -0.7) & (grid < 0.2),
    "beyond": beyond,
}
spreads = {name: spread[place].mean() for name, place in places.items()}
print({name: round(float(value), 3) for name, value in spreads.items()})
outside = np.abs(np.sin(2 * grid) - mean)[beyond] > 2 * spread[beyond]
print(f"beyond the data, {outside.mean():.0%} of the truth is outside the band")

assert spreads["in the gap"] > 1.5 * spreads["at the data"]
assert spreads["beyond"] > 3 * spreads["at the data"]
assert outside.mean() > 0.2

# %%
# Better than its members
# -----------------------
# 400 digits, a fifth of their labels drawn at random; the labels of the test are right.
# Each member learns wrong labels, and each in its own way. The mean of their
# probabilities is better than a member is on average, in accuracy and in log loss.

X, y = load_digits(return_X_y=True)
X = (X / 16).astype("float32")
rows = random.permutation(len(y))
train, test = rows[:400], rows[400:]
drawn = random.randint(10, size=400)
labels = np.where(random.uniform(size=400) < 0.2, drawn, y[train])
ensemble = MLPClassifier(
    batch_size=32,
    learning_rate_init=0.003,
    max_iter=60,
    n_iter_no_change=60,
    n_members=20,
    random_state=0,
).fit(X[train], labels)

samples = ensemble.predict_proba_samples(X[test], 20)  # members, rows, classes
member_scores = (samples.argmax(axis=2) == y[test]).mean(axis=1)
member_losses = [log_loss(y[test], sample) for sample in samples]
score = ensemble.score(X[test], y[test])
loss = log_loss(y[test], ensemble.predict_proba(X[test]))
average, average_loss = member_scores.mean(), np.mean(member_losses)
print(f"a member: accuracy {average:.3f}, loss {average_loss:.3f}")
print(f"ensemble: accuracy {score:.3f}, loss {loss:.3f}")

sizes = np.arange(1, 21)
sums = samples.cumsum(axis=0).argmax(axis=2)  # of the first members
fig, ax = plt.subplots()
ax.plot(sizes, (sums == y[test]).mean(axis=1), "o-", label="the first members together")
ax.plot(sizes, member_scores, "s", label="each member")
ax.axhline(average, color="0.5", linestyle=":", label="mean of the members")
ax.set(xlabel="members", ylabel="test accuracy", xticks=[1, 5, 10, 15, 20])
ax.legend()

assert score > average + 0.005
assert loss < average_loss - 0.01

# %%
# Disagreement tells of errors
# ----------------------------
# For each test image, the part of the members that vote against the ensemble. Where
# nobody does, the ensemble is nearly always right; where some do, it often is not.

predicted = ensemble.predict(X[test])
against = (samples.argmax(axis=2) != predicted).mean(axis=0)
right = predicted == y[test]
fig, ax = plt.subplots()
bins = np.linspace(0, 0.8, 9)
groups = {"right": against[right], "wrong": against[~right]}
parts = [np.full(len(group), 1 / len(group)) for group in groups.values()]
ax.hist(list(groups.values()), bins, weights=parts, label=list(groups))
ax.set(xlabel="part of the members that disagree", ylabel="part of the images")
ax.legend(title="where the ensemble is")
unanimous, split = right[against == 0].mean(), right[against > 0].mean()
print(f"accuracy where all agree: {unanimous:.2f}, where not: {split:.2f}")

assert against[~right].mean() > 3 * against[right].mean()
assert unanimous > 0.93 > 0.75 > split
plt.show()
