"""
Intervals by quantile regression
================================

The mean tells nothing of how far a target may be off. Quantiles do: one in twenty
targets is below the quantile 0.05, and one in twenty above 0.95, so that nine in ten
lie between. The pinball loss learns them (R. Koenker and G. Bassett, Econometrica
1978), several at once.

As a script it takes seconds::

    python examples/tasks/plot_quantiles.py
"""

# %%
# Noise that grows, and is skewed
# -------------------------------
# A wave whose noise grows from left to right, with more room above than below.

import warnings

import matplotlib.pyplot as plt
import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import mean_absolute_error, mean_squared_error

from sk_deep import MLPRegressor

warnings.simplefilter("ignore", ConvergenceWarning)  # few epochs are enough here
random = np.random.RandomState(0)
x = random.uniform(0, 10, size=6000)
noise = random.gamma(2, size=6000) - 2  # of mean 0
y = 10 + 3 * np.sin(x) + (0.2 + 0.2 * x) * noise
X = x[:, None] / 5 - 1  # scaled to [-1, 1]
X_train, X_test, x_test = X[:2000], X[2000:], x[2000:]
y_train, y_test = y[:2000], y[2000:]

# %%
# One network, five quantiles
# ---------------------------
# ``predict`` gives a column for each quantile. Each should have its part of the test
# targets below it.

common = {
    "hidden_layer_sizes": (50, 50),
    "batch_size": 100,
    "learning_rate_init": 0.005,
    "learning_rate": "cosine",
    "max_iter": 80,
    "n_iter_no_change": 80,
    "target_scaling": "standard",
    "random_state": 0,
}
levels = [0.05, 0.25, 0.5, 0.75, 0.95]
quantiles = MLPRegressor(loss="quantile", loss_params={"quantile": levels}, **common)
bounds = quantiles.fit(X_train, y_train).predict(X_test)
below = (y_test[:, None] < bounds).mean(axis=0)
print({level: round(float(part), 3) for level, part in zip(levels, below, strict=True)})

order = np.argsort(x_test)
ordered, columns = x_test[order], bounds[order].T
fig, ax = plt.subplots()
ax.plot(x_test[:800], y_test[:800], ".", color="0.5", ms=3, label="test rows")
for low, high, alpha in [(0, 4, 0.2), (1, 3, 0.5)]:
    label = f"{levels[low]} to {levels[high]}"
    bottom, top = columns[low], columns[high]
    ax.fill_between(ordered, bottom, top, color="C0", alpha=alpha, lw=0, label=label)
ax.plot(ordered, columns[2], "k--", label="median")
ax.set(xlabel="x", ylabel="y")
ax.legend(loc="upper left")

assert bounds.shape == (4000, 5)
assert np.abs(below - levels).max() < 0.05

# %%
# Beside the mean with a band
# ---------------------------
# The usual way: learn the mean by the squared error, and add 1.645 standard deviations
# of the residuals on either side, which would hold nine in ten rows if the noise were
# normal and the same everywhere. On all test rows that seems to work. But on the left
# the band is far too wide, on the right too narrow. The quantiles hold about nine in
# ten everywhere.

squared = MLPRegressor(**common).fit(X_train, y_train)
mean = squared.predict(X_test)
half = 1.645 * np.std(y_train - squared.predict(X_train))
inside = {
    "quantiles 0.05 to 0.95": (bounds[:, 0] < y_test) & (y_test < bounds[:, 4]),
    "mean with a band": np.abs(y_test - mean) < half,
}
places = np.digitize(x_test, [2, 4, 6, 8])
fig, axes = plt.subplots(1, 2, figsize=(10, 4))
axes[0].plot(x_test[:800], y_test[:800], ".", color="0.5", ms=3, label="test rows")
axes[0].plot(ordered, mean[order], "k--", label="mean")
axes[0].fill_between(
    ordered, mean[order] - half, mean[order] + half, alpha=0.2, label="band"
)
axes[0].set(xlabel="x", ylabel="y")
axes[0].legend(loc="upper left")
coverage = {}
for (name, held), marker in zip(inside.items(), "os", strict=True):
    coverage[name] = [held[places == place].mean() for place in range(5)]
    axes[1].plot(range(1, 10, 2), coverage[name], marker=marker, label=name)
    print(f"{name}: {held.mean():.2f}, from left to right", np.round(coverage[name], 2))
axes[1].axhline(0.9, color="0.5", linestyle=":", label="what they should hold")
axes[1].set(xlabel="x", ylabel="part of the test rows inside", ylim=(0.6, 1.02))
axes[1].legend(loc="lower left")

usual, learned = coverage["mean with a band"], coverage["quantiles 0.05 to 0.95"]
assert abs(inside["mean with a band"].mean() - 0.9) < 0.06
assert usual[0] > 0.97
assert usual[4] < 0.85
assert np.abs(np.array(learned) - 0.9).max() < 0.08

# %%
# Mean or median?
# ---------------
# The noise is skewed, so that the mean is above the median. Each is the best at its own
# error: the mean at the squared one, the median at the absolute one.

errors = {
    name: (mean_squared_error(y_test, found), mean_absolute_error(y_test, found))
    for name, found in {"mean": mean, "median": bounds[:, 2]}.items()
}
for name, (square, absolute) in errors.items():
    print(f"{name}: squared error {square:.3f}, absolute error {absolute:.3f}")

assert np.mean(mean - bounds[:, 2]) > 0.1
assert errors["mean"][0] < errors["median"][0]
assert errors["median"][1] < errors["mean"][1]
plt.show()
