"""
The vanishing gradient
======================

Good results on the training data? If a deep network is bad there, do not blame
overfitting: it has not even learned what it was shown. Stacks of logistic layers are
the classic case (Y. Bengio, P. Simard and P. Frasconi, IEEE Transactions on Neural
Networks 1994). Each layer multiplies the gradient on its way down by the slope of its
activation, for the logistic function 1/4 at most, so that the first layers get next to
nothing. A rectifier has slope 1 wherever it is on.

As a script it takes seconds::

    python examples/training/plot_vanishing_gradients.py
"""

# %%
# The task
# --------
# The training rows are all that counts here: 1797 images of digits, 8 x 8 pixels.

import warnings

import matplotlib.pyplot as plt
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning

from sk_deep import MLPClassifier
from sk_deep.callbacks import LayerMonitor
from sk_deep.plots import GradientFlowDisplay

warnings.simplefilter("ignore", ConvergenceWarning)  # few epochs are enough here
X, y = load_digits(return_X_y=True)
X = X / 16


def train(activation, n_layers, **params):
    """Train a network of layers of 32 units, and watch its gradients."""
    network = MLPClassifier(
        hidden_layer_sizes=32,
        n_hidden_layers=n_layers,
        activation=activation,
        batch_size=64,
        learning_rate_init=0.003,
        max_iter=15,
        random_state=0,
        callbacks=[LayerMonitor()],
        **params,
    )
    return network.fit(X, y)


# %%
# Deeper is not better
# --------------------
# With logistic units each further layer makes the training worse, and with eight of
# them the network guesses. With rectifiers, eight layers learn well.

depths = [1, 2, 4, 8]
accuracies = {
    activation: [train(activation, depth).score(X, y) for depth in depths]
    for activation in ("logistic", "relu")
}
fig, ax = plt.subplots()
for (activation, scores), marker in zip(accuracies.items(), "os", strict=True):
    ax.plot(depths, scores, marker=marker, label=activation)
    print(f"{activation}: {dict(zip(depths, scores, strict=True))}")
ax.axhline(0.1, color="0.5", linestyle=":", label="a guess")
ax.set(xlabel="hidden layers", ylabel="training accuracy", xticks=depths)
ax.legend()

assert accuracies["logistic"] == sorted(accuracies["logistic"], reverse=True)
assert accuracies["logistic"][0] > 0.9
assert accuracies["logistic"][-1] < 0.2
assert min(accuracies["relu"]) > 0.9

# %%
# Where the gradient goes
# -----------------------
# A ``LayerMonitor`` records the norm of each layer's gradient in each epoch. In eight
# logistic layers, the first gets less than a thousandth of what the last one gets.

fig, axes = plt.subplots(1, 2, figsize=(10, 4), sharey=True)
parts = {}
for activation, ax in zip(["logistic", "relu"], axes, strict=True):
    network = train(activation, n_layers=8)
    flow = GradientFlowDisplay.from_estimator(network, ax=ax, name=activation)
    first, *_, last = flow.gradient_norms[0]
    parts[activation] = first / last
    print(f"{activation}: the first layer's gradient is {first / last:.0e} of the last")

assert parts["logistic"] < 1e-3
assert parts["relu"] > 0.1

# %%
# What helps
# ----------
# Keep the signal and the gradient of one size: normalise the units of each layer, or
# let layers add to what they get (``residual=True``), so that the gradient has a way
# around them. Both rescue logistic layers. ``diagnose`` names the trouble, and
# suggests such changes, see :ref:`sphx_glr_gallery_tools_plot_diagnosis.py`.

remedies = {
    "none": {},
    'normalization="batch"': {"normalization": "batch"},
    "residual=True": {"residual": True},
}
rescued = {
    name: train("logistic", n_layers=8, **params).score(X, y)
    for name, params in remedies.items()
}
fig, ax = plt.subplots(figsize=(6.4, 2.6))
bars = ax.barh(list(rescued), list(rescued.values()))
ax.bar_label(bars, fmt="%.2f", padding=3)
ax.set(xlim=(0, 1.1), xlabel="training accuracy of eight logistic layers")
ax.invert_yaxis()

assert rescued["none"] < 0.2
assert min(rescued['normalization="batch"'], rescued["residual=True"]) > 0.8
plt.show()
