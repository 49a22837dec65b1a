"""
Learning-rate schedules
=======================

A large rate is quick at first, but then steps jump about the minimum. A small one is
slow all the way. A schedule has both: it starts large and ends small. All of them work
with every first-order solver; ``schedule_params`` sets what they have to set.

As a script it takes seconds::

    python examples/training/plot_schedules.py
"""

# %%
# The rates
# ---------
# A fitted network knows the rate of each epoch: ``learning_rate_curve_``.

import warnings

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning

from sk_deep import MLPClassifier

warnings.simplefilter("ignore", ConvergenceWarning)  # few epochs are enough here
X, y = load_digits(return_X_y=True)
X = X / 16


def train(learning_rate, rate, seed=0, n_epochs=30, **params):
    """Train with sgd, and a large rate of 0.3 unless told otherwise."""
    network = MLPClassifier(
        (64,),
        solver="sgd",
        learning_rate=learning_rate,
        learning_rate_init=rate,
        batch_size=32,
        max_iter=n_epochs,
        n_iter_no_change=n_epochs,
        random_state=seed,
        **params,
    )
    return network.fit(X, y)


schedules = {
    "constant": {},
    "exponential": {"gamma": 0.85},
    "step": {"gamma": 0.2, "every": 10},
    "cosine": {},
    "one_cycle": {},
}
networks = {
    name: train(name, rate=0.3, schedule_params=params or None)
    for name, params in schedules.items()
}
fig, (ax_rate, ax_loss) = plt.subplots(1, 2, figsize=(10, 4))
for (name, network), style in zip(networks.items(), "os^Dv", strict=True):
    epochs = range(1, network.n_iter_ + 1)
    ax_rate.plot(epochs, network.learning_rate_curve_, marker=style, markevery=5)
    ax_loss.plot(epochs, network.loss_curve_, marker=style, markevery=5, label=name)
    print(f"{name}: training loss {network.loss_:.5f}")
ax_rate.set(xlabel="epoch", ylabel="learning rate")
ax_loss.set(xlabel="epoch", ylabel="training loss", yscale="log")
ax_loss.legend()

assert np.ptp(networks["constant"].learning_rate_curve_) == 0
assert networks["cosine"].learning_rate_curve_[-1] < 0.01

# %%
# Large, small, or both
# ---------------------
# Three random starts each. With the large constant rate the end is chance: a good one,
# or one far above. The cosine that starts at it is low each time. The small constant
# rate is not there yet.

losses = {
    "constant 0.3": [train("constant", 0.3, seed).loss_ for seed in range(3)],
    "constant 0.003": [train("constant", 0.003, seed).loss_ for seed in range(3)],
    "cosine from 0.3": [train("cosine", 0.3, seed).loss_ for seed in range(3)],
}
for name, values in losses.items():
    print(f"{name}: {np.round(values, 4)}")

assert np.mean(losses["cosine from 0.3"]) < np.mean(losses["constant 0.3"]) / 3
assert np.ptp(losses["cosine from 0.3"]) < np.ptp(losses["constant 0.3"]) / 10
assert max(losses["cosine from 0.3"]) < min(losses["constant 0.003"])

# %%
# Warm-up
# -------
# With ``warmup``, the rate of any schedule grows from zero in the first part of the
# training (P. Goyal and others, "Accurate, large minibatch SGD", arXiv 2017).

warm = train("cosine", rate=0.3, schedule_params={"warmup": 0.2})
fig, ax = plt.subplots(figsize=(6.4, 3))
for name, network in {"cosine": networks["cosine"], "with warmup=0.2": warm}.items():
    ax.plot(range(1, network.n_iter_ + 1), network.learning_rate_curve_, label=name)
ax.set(xlabel="epoch", ylabel="learning rate")
ax.legend()

assert np.argmax(warm.learning_rate_curve_) >= 5
plt.show()
