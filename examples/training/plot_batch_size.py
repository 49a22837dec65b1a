"""
Mini-batches: small steps, many steps
=====================================

A step of training takes the gradient over a mini-batch, ``batch_size`` rows. An epoch
is one pass over all rows. Small batches make many steps in an epoch, but their epochs
take longer. Large batches make quick epochs, but few steps. Which is better depends on
what you count: epochs or seconds (L. Bottou, F. Curtis and J. Nocedal, SIAM Review
2018, tell the theory).

As a script it takes seconds::

    python examples/training/plot_batch_size.py
"""

# %%
# The table
# ---------
# The same network learns 1797 digits with batches of 4 rows to all rows. Each call of
# ``partial_fit`` is an epoch. All get a second of training, and at least five epochs.

import time
import warnings

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning

from sk_deep import MLPClassifier

warnings.simplefilter("ignore", ConvergenceWarning)  # few epochs are enough here
X, y = load_digits(return_X_y=True)
X = X.astype("float32") / 16
sizes = [4, 16, 64, 256, len(X)]
n_steps = {size: -(-len(X) // size) for size in sizes}  # of an epoch


def train(batch_size):
    """Return the accuracy after each epoch, and the seconds of a typical epoch."""
    network = MLPClassifier((64,), batch_size=batch_size, random_state=0)
    scores, seconds = [], []
    while len(scores) < 5 or sum(seconds) < 1:
        start = time.perf_counter()
        network.partial_fit(X, y, classes=range(10))
        seconds.append(time.perf_counter() - start)
        scores.append(network.score(X, y))
    return np.array(scores), np.median(seconds)


scores, seconds = {}, {}
print("rows of a batch  steps per epoch  ms per epoch  accuracy after 5 epochs")
for size in sizes:
    scores[size], seconds[size] = train(size)
    print(
        f"{size:15} {n_steps[size]:16} {1000 * seconds[size]:13.1f}"
        f" {scores[size][4]:24.2f}"
    )

assert seconds[4] > 3 * seconds[256]
assert scores[4][4] > 0.95 > scores[64][4] > scores[256][4] + 0.05
assert scores[len(X)][4] < 0.4

# %%
# What a step costs, and what it gives
# ------------------------------------
# A step of 256 rows takes longer than one of 4 rows, but not 64 times as long: much of
# a small step is overhead. What do more rows give? A gradient with less noise: a
# batch's gradient differs from that over all rows, by chance. But the noise falls with
# the square root only: 16 times the rows, a quarter of the noise. Here are the
# gradients of a linear model at weights 0, by their formula.

residuals = 1 / 10 - np.eye(10)[y]  # of ten equal probabilities
gradients = (X[:, :, None] * residuals[:, None, :]).reshape(len(X), -1)
mean = gradients.mean(axis=0)
random = np.random.RandomState(0)
noise = {}
for size in sizes[:-1]:
    batches = [random.choice(len(X), size, replace=False) for _ in range(100)]
    off = [np.linalg.norm(gradients[batch].mean(axis=0) - mean) for batch in batches]
    noise[size] = np.mean(off) / np.linalg.norm(mean)
step = {size: 1000 * seconds[size] / n_steps[size] for size in sizes}
print({size: f"{value:.2f}" for size, value in noise.items()})

fig, (ax_step, ax_noise) = plt.subplots(1, 2, figsize=(10, 3.6))
ax_step.plot(list(step), list(step.values()), "o-")
ax_step.set(ylabel="milliseconds of a step")
ax_noise.plot(list(noise), list(noise.values()), "s--")
ax_noise.set(ylabel="noise of the gradient / its size")
for ax, ticks in ((ax_step, [0.3, 1, 3, 10]), (ax_noise, [0.5, 1, 2, 4])):
    ax.set(xlabel="rows of a batch", xscale="log", yscale="log")
    ax.set_xticks(sizes, sizes)
    ax.set_yticks(ticks, ticks)
    ax.minorticks_off()

assert step[4] < step[256] < 16 * step[4]
assert 3.5 < noise[4] / noise[64] < 4.6

# %%
# Epochs or seconds
# -----------------
# By epochs the smallest batch is ahead: it makes 450 steps where the batch of all rows
# makes one. By the clock the ends lose, and the middle is first at 97 %. The default is
# 200 rows, or all if there are fewer. When the loss falls slowly, try 32.

fig, (ax_epochs, ax_seconds) = plt.subplots(1, 2, figsize=(10, 4), sharey=True)
for size, marker in zip(sizes, "osD^v", strict=True):
    style = {"marker": marker, "markevery": 0.2, "label": f"{size} rows"}
    epochs = np.arange(1, len(scores[size]) + 1)
    ax_epochs.plot(epochs[:5], 1 - scores[size][:5], **style)
    ax_seconds.plot(seconds[size] * epochs, 1 - scores[size], **style)
ax_epochs.set(xlabel="epoch", ylabel="training error", xticks=range(1, 6))
ax_seconds.set(xlabel="seconds", xlim=(0, 1), yscale="log")
ax_epochs.legend(loc="lower left")

first = {}  # seconds until 97 % are right
for size in sizes:
    is_there = scores[size] > 0.97
    first[size] = seconds[size] * (is_there.argmax() + 1) if is_there.any() else np.inf
    print(f"{size} rows: 97 % after {first[size]:.2f} s")

assert min(first[16], first[64]) < min(first[4], first[256])
assert min(first[16], first[64]) < first[len(X)] / 1.5
plt.show()
