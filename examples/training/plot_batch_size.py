"""
Mini-batches: small steps, many steps
=====================================

A step of training takes the gradient over a mini-batch of rows. Smaller batches mean
more steps in an epoch, each with a noisier gradient. An epoch takes longer, since many
small matrix products take longer than few large ones. Which is better, in epochs and in
seconds?

As a script it takes seconds::

    python examples/training/plot_batch_size.py
"""

# %%
# Equal epochs
# ------------
# The same network on 1797 digits, five epochs each, with batches of 8 to all rows.

import time
import warnings

import matplotlib.pyplot as plt
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning

from sk_deep import MLPClassifier

warnings.simplefilter("ignore", ConvergenceWarning)  # few epochs are enough here
X, y = load_digits(return_X_y=True)
X = X.astype("float32") / 16
n_epochs = 5
sizes = [8, 32, 128, 512, len(X)]


def train(batch_size):
    """Return the accuracy after each epoch, and when that was, in seconds."""
    network = MLPClassifier(
        (64,), batch_size=batch_size, max_iter=1, warm_start=True, random_state=0
    )
    scores, seconds, spent = [], [], 0.0
    while len(scores) < n_epochs or spent < 0.8:
        start = time.perf_counter()
        network.fit(X, y)
        spent += time.perf_counter() - start
        scores.append(network.score(X, y))
        seconds.append(spent)
    return scores, seconds


results = {size: train(size) for size in sizes}
print("batch  steps  ms per epoch  accuracy after 5 epochs")
for size, (scores, seconds) in results.items():
    milliseconds = 1000 * seconds[-1] / len(seconds)
    print(
        f"{size:5} {n_epochs * -(-len(X) // size):6} {milliseconds:13.1f}"
        f" {scores[n_epochs - 1]:12.3f}"
    )

after_epochs = [results[size][0][n_epochs - 1] for size in sizes]
assert after_epochs == sorted(after_epochs, reverse=True)
assert after_epochs[0] > 0.9 > 0.5 > after_epochs[-1]

# %%
# Per epoch, small batches are far ahead: the batch of all rows has made five steps when
# batches of eight have made more than a thousand. But an epoch of small batches costs
# more.

cost = {size: seconds[-1] / len(seconds) for size, (_, seconds) in results.items()}
assert cost[8] > 2 * cost[512]

# %%
# Equal seconds
# -------------
# By the clock the middle is best. The default, 200 rows or all there are, is a size at
# which a processor is busy; try 32 when an epoch has few steps.

fig, (ax_epochs, ax_seconds) = plt.subplots(1, 2, figsize=(10, 4), sharey=True)
for (size, (scores, seconds)), marker in zip(results.items(), "osD^v", strict=True):
    style = {"marker": marker, "markevery": 0.2, "label": f"{size} rows"}
    ax_epochs.plot(range(1, n_epochs + 1), scores[:n_epochs], **style)
    ax_seconds.plot(seconds, scores, **style)
ax_epochs.set(xlabel="epoch", ylabel="training accuracy", xticks=range(1, n_epochs + 1))
ax_seconds.set(xlabel="seconds", xlim=(0, 0.8))
ax_seconds.legend()

at_the_end = {size: scores[-1] for size, (scores, _) in results.items()}
assert at_the_end[32] > at_the_end[len(X)]
plt.show()
