"""
Rectifiers, and units that learn their shape
============================================

A relu unit passes what is positive (X. Glorot, A. Bordes and Y. Bengio, AISTATS 2011).
Where it is on it has slope 1, so the gradient does not shrink. But a unit that is off
on all rows gets no gradient any more: it is dead. Its relatives keep a slope on the
left. Others learn their shape: prelu the slope on the left (K. He, X. Zhang, S. Ren and
J. Sun, ICCV 2015), maxout all of it (I. Goodfellow and others, ICML 2013).

As a script it takes seconds::

    python examples/training/plot_activations.py
"""

# %%
# The family
# ----------
# The names are values of ``activation``. The functions are those of the table
# ``sk_deep.activations.ACTIVATIONS``; their slopes are what the gradient is multiplied
# by. Of these only relu has slope 0 all along the left.

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
z = torch.linspace(-4, 4, 400)
left = {}
fig, (ax_value, ax_slope) = plt.subplots(1, 2, figsize=(10, 3.8))
for i, name in enumerate(["relu", "leaky_relu", "prelu", "elu", "silu"]):
    values = ACTIVATIONS[name].build((400,), 1)(z).detach()
    slopes = np.gradient(values.numpy(), z.numpy())
    style = {"linestyle": ["-", "--", "-.", ":"][i % 4], "linewidth": 1 + 0.4 * i}
    ax_value.plot(z, values, **style, label=name)
    ax_slope.plot(z, slopes, **style)
    left[name] = np.abs(slopes[z < -0.1]).max()
ax_value.set(xlabel="input of a unit", ylabel="value")
ax_slope.set(xlabel="input of a unit", ylabel="slope")
ax_value.legend()

assert left.pop("relu") == 0
assert min(left.values()) > 0.005

# %%
# Dead units
# ----------
# With a rate that is far too high, steps throw units of relu out of reach of all rows.
# With a slope on the left, something leads back: none is dead.

X, y = load_digits(return_X_y=True)
X = X / 16


def train(activation, rate):
    common = {"batch_size": 64, "max_iter": 12, "random_state": 0}
    network = MLPClassifier((64, 64), activation, learning_rate_init=rate, **common)
    return network.fit(X, y)


dead = {}
for activation in ("relu", "leaky_relu", "elu"):
    units = ActivationDisplay.from_estimator(train(activation, rate=0.05), X)
    plt.close(units.figure_)  # the numbers are enough
    dead[activation] = np.mean(units.dead)
    print(f"{activation}: {dead[activation]:.0%} of the units are dead")

assert dead.pop("relu") > 0.2
assert max(dead.values()) == 0

# %%
# Slopes that are learned
# -----------------------
# Each unit of prelu starts with the slope 0.25 on the left, and learns its own.

units = ActivationDisplay.from_estimator(train("prelu", rate=0.003))
step = units.inputs[1] - units.inputs[0]
learned = np.concatenate([(shape[1] - shape[0]) / step for shape in units.shapes])
print(f"slopes of prelu: {learned.min():.2f} to {learned.max():.2f}")

assert learned.min() < 0.15
assert learned.max() > 0.4

# %%
# Shapes that are learned
# -----------------------
# A unit of maxout is the largest of ``maxout_pieces`` linear functions. One piece that
# is always 0 makes a relu of two pieces; ``z`` and ``-z`` make an absolute value.

maxout = ACTIVATIONS["maxout"].build((1,), 2)
assert torch.equal(maxout(torch.stack([z, 0 * z], dim=1))[:, 0], torch.relu(z))
assert torch.equal(maxout(torch.stack([z, -z], dim=1))[:, 0], z.abs())

# %%
# A bowl shows what that is good for: it is convex, as units of maxout are. Three of
# them with five pieces each learn it. Three units of relu, with one bend each, do not.
# That is by units. Maxout has more weights, and twelve units of relu, with as many
# weights, learn the bowl, too. Shown is the best of three random starts.

points = np.random.RandomState(0).uniform(-2, 2, size=(800, 2))
bowl = (points**2).sum(axis=1)
a, b = np.meshgrid(np.linspace(-2, 2, 60), np.linspace(-2, 2, 60))
grid = np.column_stack([a.ravel(), b.ravel()])
fits = {}
for activation, n_units, params in (
    ("relu", 3, {}),
    ("maxout", 3, {"maxout_pieces": 5}),
    ("relu", 12, {}),
):
    starts = [
        MLPRegressor(
            hidden_layer_sizes=n_units,
            activation=activation,
            solver="lbfgs",
            max_iter=500,
            random_state=seed,
            **params,
        ).fit(points, bowl)
        for seed in range(3)
    ]
    best = max(starts, key=lambda network: network.score(points, bowl))
    n_weights = sum(w.size for w in best.coefs_ + best.intercepts_)
    fits[f"{n_units} {activation}, {n_weights} weights"] = best

fig, axes = plt.subplots(1, 4, figsize=(12, 3.2))
for ax, (name, network) in zip(axes, fits.items(), strict=False):
    ax.contour(a, b, network.predict(grid).reshape(a.shape), np.arange(0, 8, 0.5))
    ax.set(title=name, xlabel="x1", ylabel="x2", aspect="equal")
ActivationDisplay.from_estimator(fits["3 maxout, 49 weights"], ax=axes[3])

scores = {name: round(net.score(points, bowl), 3) for name, net in fits.items()}
print(f"R2 of the bowl: {scores}")
assert scores["3 relu, 13 weights"] < 0.96
assert scores["3 maxout, 49 weights"] > 0.98
assert scores["12 relu, 49 weights"] > 0.98
plt.show()
