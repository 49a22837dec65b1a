"""
Why deep? Universality, and deep against fat
============================================

A network with one hidden layer can come as close as you like to any continuous
function, if the layer is wide enough (G. Cybenko, Mathematics of Control, Signals and
Systems 1989; K. Hornik, Neural Networks 1991). Why then several layers? Since a deep
network may need far fewer weights: each layer uses again what the one below has found.

As a script it takes seconds::

    python examples/start/plot_universality.py
"""

# %%
# Wide enough for any function
# ----------------------------
# A function with waves and a jump of its slope. One hidden layer of relu units makes a
# broken line of it, with a bend for each unit. More units, more bends.

import warnings

import matplotlib.pyplot as plt
import numpy as np
from sklearn.exceptions import ConvergenceWarning

from sk_deep import MLPClassifier, MLPRegressor

warnings.simplefilter("ignore", ConvergenceWarning)  # few iterations are enough here
x = np.linspace(-1, 1, 400)
waves = np.sin(8 * x) * np.exp(-np.abs(x)) + np.abs(x - 0.3)

fig, axes = plt.subplots(1, 3, figsize=(10, 3.2), sharey=True)
errors = {}
for n_units, ax in zip([2, 8, 256], axes, strict=True):
    network = MLPRegressor(
        hidden_layer_sizes=n_units,
        solver="lbfgs",
        alpha=0.0,
        max_iter=2000,
        random_state=0,
    )
    found = network.fit(x[:, None], waves).predict(x[:, None])
    errors[n_units] = np.sqrt(np.mean((found - waves) ** 2))
    ax.plot(x, waves, label="the function")
    ax.plot(x, found, "--", label="the network")
    ax.set(title=f"{n_units} units, error {errors[n_units]:.3f}", xlabel="x")
axes[0].legend()
print({n: round(float(error), 4) for n, error in errors.items()})

assert errors[2] > errors[8] > errors[256]
assert errors[256] < 0.02

# %%
# A function that is easy for deep networks
# -----------------------------------------
# The triangle wave folds the line again and again: each fold is a layer of two units,
# and k folds make 2^(k-1) teeth. One hidden layer would need a unit for each bend (M.
# Telgarsky, "Benefits of depth in neural networks", COLT 2016). We write the weights of
# the deep network by hand: ``t(x) = 2 relu(x) - 4 relu(x - 1/2)`` folds [0, 1] once.


def relu(z):
    return np.maximum(0, z)


def fold(x):
    return 2 * relu(x) - 4 * relu(x - 0.5)


unit = np.linspace(0, 1, 1025)
teeth = unit
for _ in range(5):
    teeth = fold(teeth)
n_bends = np.sum(np.abs(np.diff(teeth, 2)) > 1e-6)
print(f"5 layers of 2 units: {n_bends} bends, which are as many units of one layer")

fig, ax = plt.subplots(figsize=(7, 2.6))
ax.plot(unit, teeth)
ax.set(xlabel="x", title="five layers of two units")

assert n_bends == 2**5 - 1

# %%
# Deep against fat, at equal numbers of weights
# ---------------------------------------------
# A network has to find such weights, too. We let networks learn a checkerboard of 6 x 6
# fields. All have about 1,000 weights, in one layer or in several. Three random starts
# each; the score is the accuracy on points that were not trained on. The fat network is
# far behind. The deepest one can be the best, but it depends more on its start.

random = np.random.RandomState(0)
points = random.uniform(-1, 1, size=(7000, 2))
colour = np.floor(3 * points).astype(int).sum(axis=1) % 2
X_train, X_test = points[:5000], points[5000:]
y_train, y_test = colour[:5000], colour[5000:]

networks = {}
for shape in [(250,), (30, 30), (21, 21, 21)]:
    networks[len(shape)] = [
        MLPClassifier(
            shape,
            batch_size=64,
            learning_rate_init=0.01,
            learning_rate="cosine",
            max_iter=50,
            n_iter_no_change=50,
            random_state=seed,
        ).fit(X_train, y_train)
        for seed in range(3)
    ]
scores = {
    depth: [network.score(X_test, y_test) for network in found]
    for depth, found in networks.items()
}
grid = np.stack(np.meshgrid(*[np.linspace(-1, 1, 200)] * 2), axis=-1).reshape(-1, 2)
fig, axes = plt.subplots(1, 3, figsize=(10, 3.7), sharey=True)
for (depth, found), ax in zip(networks.items(), axes, strict=True):
    best = found[np.argmax(scores[depth])]
    n_weights = sum(weights.size for weights in best.coefs_ + best.intercepts_)
    shown = best.predict_proba(grid)[:, 1].reshape(200, 200)
    ax.imshow(shown, cmap="PuOr", vmin=0, vmax=1, extent=(-1, 1, -1, 1), origin="lower")
    ax.set(
        title=f"{depth} x {found[0].hidden_layer_sizes[0]} units, {n_weights} weights"
    )
    ax.set_xlabel(f"accuracy {min(scores[depth]):.2f} to {max(scores[depth]):.2f}")
    print(f"{depth} layers: {np.round(scores[depth], 3)}")

assert min(scores[2]) > max(scores[1]) + 0.05
assert max(scores[3]) > max(scores[1]) + 0.1
plt.show()
