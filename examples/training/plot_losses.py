"""
The choice of the loss
======================

The loss says how good a network is, and its gradient is all that training has. For
classes the squared error comes to mind. But behind softmax it is flat where the network
is sure and wrong: there is no gradient just where it is needed. Cross entropy,
``loss="log_loss"``, is steep there. X. Glorot and Y. Bengio (AISTATS 2010) draw both
over two weights of a network, and see fewer plateaus with cross entropy. Regressors
have a choice as well: a few wild targets drag the squared error along, but not the
absolute error.

As a script it takes seconds::

    python examples/training/plot_losses.py
"""

# %%
# Two slopes
# ----------
# Take two classes, and call p the probability of the right one. It is a function of z,
# the raw output of the right class less that of the wrong one: 1 / (1 + exp(-z)). Far
# to the left the network is sure, and wrong. Cross entropy, -log p, has a slope there
# of nearly -1. The squared error, (1 - p)^2, has next to none.

import warnings

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning

from sk_deep import MLPClassifier, MLPRegressor

warnings.simplefilter("ignore", ConvergenceWarning)  # few epochs are enough here
z = np.linspace(-8, 8, 401)
p = 1 / (1 + np.exp(-z))
losses = {"log_loss": -np.log(p), "squared_error": (1 - p) ** 2}
slopes = {"log_loss": p - 1, "squared_error": -2 * p * (1 - p) ** 2}
styles = {"log_loss": "-", "squared_error": "--", "absolute_error": "-.", "huber": ":"}

fig, (ax_loss, ax_slope) = plt.subplots(1, 2, figsize=(10, 3.8))
for name in losses:
    ax_loss.plot(z, losses[name], styles[name], label=name)
    ax_slope.plot(z, slopes[name], styles[name])
ax_loss.set(xlabel="z: wrong < 0 < right", ylabel="loss", ylim=(0, 5))
ax_slope.set(xlabel="z: wrong < 0 < right", ylabel="slope of the loss")
ax_loss.legend()

for name in losses:
    assert np.allclose(np.gradient(losses[name], z), slopes[name], atol=0.02)
assert slopes["log_loss"][0] < -0.99
assert slopes["squared_error"][0] > -0.001

# %%
# From a bad start
# ----------------
# A network may be sure and wrong for many reasons: large weights, inputs that are not
# scaled. Here it has learned wrong labels first, each digit as its successor. From then
# on it gets the right ones, with plain gradient descent. With cross entropy it soon
# learns anew. With the squared error it stalls. From the usual start, which is unsure,
# the squared error learns, too, but more slowly.

X, y = load_digits(return_X_y=True)
X = X / 16
wrong = (y + 1) % 10


def train(loss, first):
    """Return the training accuracy after each of 20 epochs."""
    network = MLPClassifier(
        (32,),
        loss=loss,
        solver="sgd",
        learning_rate_init=0.1,
        batch_size=64,
        max_iter=15,
        random_state=0,
    )
    if first is not None:
        network.fit(X, first)
        assert network.score(X, first) > 0.9
    network.set_params(momentum=0.0)
    return [network.partial_fit(X, y, classes=range(10)).score(X, y) for _ in range(20)]


ends = {}
fig, axes = plt.subplots(1, 2, figsize=(10, 3.8), sharey=True)
for (start, first), ax in zip({"usual": None, "bad": wrong}.items(), axes, strict=True):
    for (loss, style), marker in zip(list(styles.items())[:2], "os", strict=True):
        scores = train(loss, first)
        ends[start, loss] = scores[-1]
        ax.plot(range(1, 21), scores, style, marker=marker, markevery=3, label=loss)
        print(f"{start} start, {loss}: accuracy {scores[-1]:.2f} after 20 epochs")
    ax.set(title=f"from the {start} start", xlabel="epoch", xticks=range(0, 21, 5))
axes[0].set(ylabel="training accuracy", ylim=(0, 1.05))
axes[0].legend()

assert ends["bad", "log_loss"] > 0.9
assert ends["bad", "squared_error"] < 0.6
assert ends["usual", "log_loss"] - 0.03 > ends["usual", "squared_error"] > 0.6

# %%
# Outliers in regression
# ----------------------
# A tenth of the targets is far too large. The squared error is after the mean, which
# they pull up. The absolute error is after the median, which hardly moves. Huber's loss
# (P. Huber, Annals of Mathematical Statistics 1964), squared for small errors and
# absolute for large ones, is between.

random = np.random.RandomState(0)
x = np.sort(random.uniform(-3, 3, 400))
truth = np.sin(x)
targets = truth + random.normal(0, 0.1, 400) + 8 * (random.uniform(size=400) < 0.1)

fig, ax = plt.subplots()
ax.plot(x, targets, ".", color="0.7", label="targets; the outliers are above")
ax.plot(x, truth, color="black", linewidth=1, label="truth")
errors = {}
for loss in ("squared_error", "absolute_error", "huber"):
    network = MLPRegressor(
        loss, (50,), learning_rate_init=0.01, max_iter=150, random_state=0
    )
    found = network.fit(x[:, None], targets).predict(x[:, None])
    errors[loss] = np.abs(found - truth).mean()
    ax.plot(x, found, styles[loss], linewidth=2, label=loss)
    print(f"{loss}: {errors[loss]:.2f} off the truth in the mean")
ax.set(xlabel="x", ylabel="y", ylim=(-2, 4.5))
ax.legend(loc="upper left")

assert errors["squared_error"] > 0.4
assert errors["absolute_error"] < errors["huber"] < 0.3
plt.show()
