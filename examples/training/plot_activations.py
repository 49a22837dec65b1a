"""
Rectifiers, and units that learn their shape
============================================

A relu unit passes what is positive. It does not saturate, but a unit that is off on all
rows gets no gradient any more: it is dead. Its relatives leave a slope on the left. A
maxout unit goes further: it is the largest of several linear functions, and so learns
its shape (I. Goodfellow and others, ICML 2013).

As a script it takes seconds::

    python examples/training/plot_activations.py
"""

# %%
# The family
# ----------
# The names are values of ``activation``; the functions are those of the tables.

import warnings

import matplotlib.pyplot as plt
import numpy as np
import torch
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning

from sk_deep import MLPClassifier, MLPRegressor
from sk_deep.activations import ACTIVATIONS
from sk_deep.plots import ActivationDisplay

warnings.simplefilter("ignore", ConvergenceWarning)  # few epochs are enough here
z = torch.linspace(-4, 4, 200)
fig, ax = plt.subplots()
for name, style in zip(
    ["relu", "leaky_relu", "elu", "selu", "silu"],
    ["-", "--", "-.", ":", "-"],
    strict=True,
):
    values = ACTIVATIONS[name].build((200,), 1)(z)
    ax.plot(z, values, style, label=name)
ax.set(xlabel="input of a unit", ylabel="its value", ylim=(-2, 4))
ax.legend()

# %%
# Dead units
# ----------
# With a rate that is far too high, steps throw units of relu out of reach of all rows.
# With leaky_relu none is dead: the slope on the left leads back.

X, y = load_digits(return_X_y=True)
X = X / 16
dead = {}
for activation in ("relu", "leaky_relu"):
    network = MLPClassifier(
        (64, 64),
        activation=activation,
        learning_rate_init=0.05,
        batch_size=64,
        max_iter=10,
        random_state=0,
    ).fit(X, y)
    units = ActivationDisplay.from_estimator(network, X)
    dead[activation] = float(np.mean(units.dead))
    print(f"{activation}: {dead[activation]:.0%} of the units are dead")
    plt.close(units.figure_)

assert dead["relu"] > 0.1
assert dead["leaky_relu"] == 0

# %%
# Relu is a case of maxout
# ------------------------
# Of two pieces, one that is always 0 makes a relu; ``-z`` makes an absolute value.

maxout = ACTIVATIONS["maxout"].build((1,), 2)
with_zero = maxout(torch.stack([z, torch.zeros_like(z)], dim=-1)).ravel()
with_minus = maxout(torch.stack([z, -z], dim=-1)).ravel()

assert torch.equal(with_zero, torch.relu(z))
assert torch.equal(with_minus, z.abs())

# %%
# Shapes that are learned
# -----------------------
# A bowl is made of few convex pieces. Three units of maxout with five pieces each learn
# it better than three units of relu, which have one bend each.

x = np.random.RandomState(0).uniform(-2, 2, size=(800, 2))
bowl = (x**2).sum(axis=1)
scores = {}
for activation, n_pieces in (("relu", 2), ("maxout", 5)):
    scores[activation] = []
    for seed in range(3):
        network = MLPRegressor(
            hidden_layer_sizes=3,
            activation=activation,
            maxout_pieces=n_pieces,
            solver="lbfgs",
            max_iter=500,
            random_state=seed,
        ).fit(x, bowl)
        scores[activation].append(network.score(x, bowl))
    print(f"{activation}: R2 {np.round(scores[activation], 3)}")
ActivationDisplay.from_estimator(network)

assert min(scores["maxout"]) > max(scores["relu"])
plt.show()
