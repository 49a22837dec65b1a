"""
The choice of the loss
======================

The loss says how good a function is, and its gradient is all that training has. Behind
softmax, the squared error is flat where the network is badly wrong: the gradient
vanishes just where it is needed. Cross entropy is steep there. Regressors have a choice
as well: a few wild targets drag the squared error along, but not the absolute one.

As a script it takes seconds::

    python examples/training/plot_losses.py
"""

# %%
# Two slopes
# ----------
# Two classes, and p the probability of the right one. By the difference z of the raw
# outputs, the slope of cross entropy ``-log p`` is ``p - 1``; that of the squared error
# ``(1 - p)^2`` is ``-2 p (1 - p)^2``, near zero at both ends.

import warnings

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning

from sk_deep import MLPClassifier, MLPRegressor

warnings.simplefilter("ignore", ConvergenceWarning)  # few epochs are enough here
z = np.linspace(-8, 8, 401)
p = 1 / (1 + np.exp(-z))
slopes = {"cross entropy": 1 - p, "squared error": 2 * p * (1 - p) ** 2}

fig, (ax_loss, ax_slope) = plt.subplots(1, 2, figsize=(10, 3.8))
for name, style, loss in [
    ("cross entropy", "-", -np.log(p)),
    ("squared error", "--", (1 - p) ** 2),
]:
    ax_loss.plot(z, loss, style, label=name)
    ax_slope.plot(z, slopes[name], style, label=name)
ax_loss.set(xlabel="z", ylabel="loss", ylim=(0, 5))
ax_slope.set(xlabel="z", ylabel="size of the slope")
ax_loss.legend()

wrong = z == z.min()  # as wrong as it is drawn
assert slopes["cross entropy"][wrong] > 0.99
assert slopes["squared error"][wrong] < 0.001

# %%
# On digits
# ---------
# Plain gradient descent from the same weights, with both losses. The inputs are large,
# so that the first outputs are far off: the squared error hardly moves.

X, y = load_digits(return_X_y=True)
curves = {}
for loss in ("log_loss", "squared_error"):
    network = MLPClassifier(
        (32,),
        loss=loss,
        solver="sgd",
        learning_rate_init=0.02,
        momentum=0.0,
        batch_size=64,
        max_iter=1,
        warm_start=True,
        random_state=0,
    )
    curves[loss] = [network.fit(X / 16, y).score(X / 16, y) for _ in range(20)]
    print(f"{loss}: training accuracy after 20 epochs {curves[loss][-1]:.2f}")

fig, ax = plt.subplots()
for (loss, scores), marker in zip(curves.items(), "os", strict=True):
    ax.plot(range(1, 21), scores, marker=marker, label=loss)
ax.set(xlabel="epoch", ylabel="training accuracy")
ax.legend()

assert curves["log_loss"][-1] > curves["squared_error"][-1] + 0.2

# %%
# Outliers in regression
# ----------------------
# A tenth of the targets is far too large. The mean, which the squared error is after,
# is pulled up. The median of the absolute error is not, nor, or hardly, what Huber's
# loss finds (P. Huber, Annals of Mathematical Statistics 1964).

random = np.random.RandomState(0)
x = np.sort(random.uniform(-3, 3, 400))
truth = np.sin(x)
targets = truth + random.normal(0, 0.1, 400) + 8 * (random.uniform(size=400) < 0.1)
fig, ax = plt.subplots()
ax.plot(x, targets, ".", color="0.7", label="targets")
ax.plot(x, truth, color="black", linewidth=1, label="truth")
errors = {}
for loss, style in [("squared_error", "-"), ("absolute_error", "--"), ("huber", "-.")]:
    network = MLPRegressor(
        loss, (50,), learning_rate_init=0.01, max_iter=150, random_state=0
    )
    found = network.fit(x[:, None], targets).predict(x[:, None])
    errors[loss] = np.abs(found - truth).mean()
    ax.plot(x, found, style, label=f"{loss}: error {errors[loss]:.2f}")
ax.set(xlabel="x", ylabel="y", ylim=(-2, 5))
ax.legend(loc="upper left")
print({loss: round(float(error), 3) for loss, error in errors.items()})

assert errors["squared_error"] > 0.5
assert max(errors["absolute_error"], errors["huber"]) < 0.3
plt.show()
