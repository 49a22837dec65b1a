"""
Learning-rate schedules
=======================

A large rate is quick at first, but then its steps jump about above the minimum. A small
one jumps less, but it is slow all the way. A schedule has both: it starts large and
ends small. (H. Robbins and S. Monro, Annals of Mathematical Statistics 1951, prove that
rates like 1 / t lead to the solution in spite of noise.) ``learning_rate`` names it,
and ``schedule_params`` sets its numbers.

As a script it takes seconds::

    python examples/training/plot_schedules.py
"""

# %%
# The task
# --------
# A fifth of the labels of the digits is drawn at random. A small network cannot learn
# these by heart, so that steps are noisy to the end. Plain sgd, without momentum, shows
# best what the rate does. To see the loss of the weights after each epoch, we hand the
# training rows over as validation rows, too.

import warnings

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning

from sk_deep import MLPClassifier
from sk_deep.plots import ActivationDisplay, LossCurveDisplay

warnings.simplefilter("ignore", ConvergenceWarning)  # few epochs are enough here
X, y = load_digits(return_X_y=True)
X = X / 16
random = np.random.RandomState(0)
noisy = np.where(random.uniform(size=len(y)) < 0.2, random.randint(10, size=len(y)), y)


def train(learning_rate, rate, **params):
    """Return the rate and the loss of 30 epochs."""
    network = MLPClassifier(
        (16,),
        solver="sgd",
        momentum=0.0,
        learning_rate=learning_rate,
        learning_rate_init=rate,
        schedule_params=params or None,
        batch_size=32,
        max_iter=30,
        early_stopping=True,
        n_iter_no_change=30,  # nothing stops
        scoring="loss",
        random_state=0,
    ).fit(X, noisy, X_val=X, y_val=noisy)
    return network.learning_rate_curve_, network.validation_loss_curve_


def draw(ax, curves):
    for (name, curve), marker in zip(curves.items(), "os^Dv", strict=False):
        epochs = range(1, len(curve) + 1)
        ax.plot(epochs, curve, marker=marker, markevery=4, label=name)
    ax.set(xlabel="epoch")


# %%
# The rates
# ---------
# All start at 0.5, but for one_cycle (L. Smith and N. Topin, SPIE 2019), which climbs
# to it first. The constant rate hovers: its loss jumps up and down. Where it ends is
# chance, but each schedule ends below the mean of the constant rate's last ten epochs.
# The fall of step shows why: at once the loss is lower than it ever was.

schedules = {
    "constant": {},
    "exponential": {"gamma": 0.93},
    "step": {"gamma": 0.1, "every": 20},
    "cosine": {},
    "one_cycle": {},
}
rates, losses = {}, {}
for name, params in schedules.items():
    rates[name], losses[name] = train(name, 0.5, **params)
    print(f"{name}: final loss {losses[name][-1]:.3f}")

fig, (ax_rate, ax_loss) = plt.subplots(1, 2, figsize=(10, 4))
draw(ax_rate, rates)
draw(ax_loss, losses)
ax_rate.set(ylabel="learning rate")
ax_loss.set(ylabel="training loss", ylim=(0.75, 2))
ax_loss.legend()

hovers_at = np.mean(losses["constant"][-10:])
assert max(losses[name][-1] for name in schedules if name != "constant") < hovers_at
assert np.ptp(losses["constant"][-10:]) > 3 * np.ptp(losses["cosine"][-10:])
assert losses["step"][20] < min(losses["step"][:20]) - 0.02
assert rates["constant"] == [0.5] * len(rates["constant"])
assert rates["cosine"][-1] < 0.01

# %%
# Large, small, or both
# ---------------------
# Would a smaller constant rate do? Neither of two gets as low in time. The cosine
# (I. Loshchilov and F. Hutter, ICLR 2017) needs a rate to start at, and ``max_iter``.

compared = {
    "constant 0.5": losses["constant"],
    "constant 0.1": train("constant", 0.1)[1],
    "constant 0.02": train("constant", 0.02)[1],
    "cosine from 0.5": losses["cosine"],
}
fig, ax = plt.subplots()
draw(ax, compared)
ax.set(ylabel="training loss", ylim=(0.75, 2.4))
ax.legend()
print({name: round(curve[-1], 3) for name, curve in compared.items()})

assert compared["cosine from 0.5"][-1] < compared["constant 0.1"][-1] - 0.03
assert compared["constant 0.1"][-1] < compared["constant 0.02"][-1] - 0.03

# %%
# Warm-up
# -------
# At the start, a large rate can do harm that lasts: units of relu are thrown out of
# reach of all rows, and stay dead. With ``warmup``, the rate of any schedule grows from
# zero in the first part of the training (P. Goyal and others, arXiv 2017). Here adam
# has a rate 50 times its usual one, in three hidden layers. With a warm-up over 30 % of
# the training, far fewer units die.

warm, dead = {}, {}
for warmup in (0.0, 0.3):
    network = MLPClassifier(
        (64, 64, 64),
        learning_rate="cosine",
        learning_rate_init=0.05,
        schedule_params={"warmup": warmup},
        batch_size=64,
        max_iter=15,
        random_state=0,
    ).fit(X, y)
    warm[f"warmup={warmup}"] = network
    units = ActivationDisplay.from_estimator(network, X)
    plt.close(units.figure_)  # the numbers are enough
    dead[warmup] = np.mean(units.dead)
    print(f"warmup={warmup}: {dead[warmup]:.0%} of the units are dead")
LossCurveDisplay.from_estimators(warm)

assert dead[0.3] < dead[0.0] - 0.1
assert np.argmax(warm["warmup=0.3"].learning_rate_curve_) >= 3
plt.show()
