"""
Solvers and momentum
====================

Gradient descent with one rate for all weights is slow in a ravine: a rate that suits
the steep direction hardly moves along the flat one. Momentum carries on where gradients
agree and averages out where they alternate. Adaptive solvers give each weight a rate of
its own.

As a script it takes seconds::

    python examples/training/plot_solvers.py
"""

# %%
# Down a ravine
# -------------
# Two weights, one direction 30 times as steep as the other, and 40 steps each.
# The classes of ``sk_deep.solvers`` and of ``torch.optim`` are what ``solver`` names.

import warnings

import matplotlib.pyplot as plt
import numpy as np
import torch
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning

from sk_deep import MLPClassifier
from sk_deep.plots import LossCurveDisplay
from sk_deep.solvers import SGD, Adam

warnings.simplefilter("ignore", ConvergenceWarning)  # few epochs are enough here


def height(w):
    return w[0] ** 2 / 2 + 15 * w[1] ** 2


def walk(optimizer, **params):
    """Return the weights of 40 steps from one start."""
    w = torch.tensor([-3.0, 0.75], requires_grad=True)
    steps = optimizer([w], **params)
    path = [w.detach().clone()]
    for _ in range(40):
        steps.zero_grad()
        height(w).backward()
        steps.step()
        path.append(w.detach().clone())
    return torch.stack(path).numpy()


paths = {
    "sgd": walk(SGD, lr=0.02, momentum=0.0, nesterov=False),
    "sgd, momentum 0.9": walk(SGD, lr=0.02, momentum=0.9, nesterov=True),
    "adagrad": walk(torch.optim.Adagrad, lr=0.5),
    "rmsprop": walk(torch.optim.RMSprop, lr=0.1),
    "adam": walk(Adam, lr=0.3),
}
a, b = np.meshgrid(np.linspace(-3.4, 1.2, 100), np.linspace(-1, 1, 100))
fig, axes = plt.subplots(1, 5, figsize=(13, 3), sharey=True)
for (name, path), ax in zip(paths.items(), axes, strict=True):
    ax.contour(a, b, np.sqrt(height([a, b])), 10, colors="0.8")
    ax.plot(*path.T, "o-", markersize=3, linewidth=1)
    ax.plot(0, 0, "k*", markersize=9)
    ax.set(title=name, xticks=[], yticks=[])
    print(f"{name}: height {height(path[-1]):.4f} after 40 steps")

ends = {name: height(path[-1]) for name, path in paths.items()}
assert ends["sgd"] > 0.5
assert max(end for name, end in ends.items() if name != "sgd") < ends["sgd"] / 5

# %%
# Momentum on digits
# ------------------
# The same small rate, with and without momentum.

X, y = load_digits(return_X_y=True)
X = X / 16


def train(solver, **params):
    network = MLPClassifier(
        (64,), solver=solver, batch_size=64, max_iter=20, random_state=0, **params
    )
    return network.fit(X, y)


slow = {"learning_rate_init": 0.01, "nesterovs_momentum": True}
momenta = {
    f"momentum {momentum}": train("sgd", momentum=momentum, **slow)
    for momentum in (0.0, 0.5, 0.9)
}
LossCurveDisplay.from_estimators(momenta)
losses = [network.loss_ for network in momenta.values()]
print(dict(zip(momenta, np.round(losses, 3), strict=True)))

assert losses == sorted(losses, reverse=True)
assert losses[-1] < losses[0] / 3

# %%
# Solvers at their own rates
# --------------------------
# ``learning_rate_init="auto"`` is each solver's customary rate, so that a search over
# solvers is fair. Twenty epochs; the loss is that of training.

solvers = ["sgd", "adagrad", "adadelta", "rmsprop", "adam", "nadam"]
networks = {name: train(name, learning_rate_init="auto") for name in solvers}
LossCurveDisplay.from_estimators(networks)
found = {name: round(float(network.loss_), 4) for name, network in networks.items()}
print(found)

assert found["adam"] < found["adagrad"]
assert max(found.values()) < 1.0
plt.show()
