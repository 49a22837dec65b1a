"""
Dropout and its variants
========================

Training is good and testing is not: then try dropout. In each training step it sets
random units to zero, so that no unit can rely on certain others (N. Srivastava, G.
Hinton, A. Krizhevsky, I. Sutskever and R. Salakhutdinov, JMLR 2014). We look at three
troubles with digits: missing pixels, noise, and wrong labels. Dropping inputs helps
against the first, dropping units against the last, and neither against the second.

As a script it takes some seconds::

    python examples/testing/plot_dropout.py
"""

# %%
# Few clean digits, and worse ones for the test
# ---------------------------------------------
# 300 clean images for training. From the test images we take more and more pixels away,
# or add more and more normal noise.

import warnings

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning

from sk_deep import MLPClassifier

warnings.simplefilter("ignore", ConvergenceWarning)
X, y = load_digits(return_X_y=True)
X = (X / 16).astype("float32")
random = np.random.RandomState(0)
rows = random.permutation(len(y))
train, test = rows[:300], rows[700:]
parts, scales = [0.0, 0.2, 0.4, 0.6], [0.0, 0.2, 0.4, 0.6]
shape = (len(test), 64)
missing = [X[test] * (random.uniform(size=shape) >= part) for part in parts]
noisy = [X[test] + np.float32(scale) * random.normal(size=shape) for scale in scales]


def train_network(rows, labels, random_state=0, **params):
    """Train a wide network to the end."""
    network = MLPClassifier(
        256,
        batch_size=32,
        learning_rate_init=0.002,
        max_iter=50,
        n_iter_no_change=50,
        random_state=random_state,
        **params,
    )
    return network.fit(X[rows], labels)


# %%
# Missing pixels, and noise
# -------------------------
# ``dropout`` drops hidden units, ``input_dropout`` drops pixels. All networks know the
# training rows. Where pixels are missing, those that have dropped pixels are far
# better: they have learned not to rely on single ones. On clean images they lose
# little. Dropping hidden units alone changes little here. Noise is another trouble: who
# drops pixels has seen many zeros, but no pixel that is too large, and does worse.

networks = {
    "none": {},
    "dropout": {"dropout": 0.5},
    "input_dropout": {"input_dropout": 0.3},
    "both": {"dropout": 0.5, "input_dropout": 0.3},
}
on_missing, on_noisy = {}, {}
styles = ["o-", "s--", "^-.", "D:"]
fig, axes = plt.subplots(1, 2, figsize=(10, 4), sharey=True)
for (name, params), style in zip(networks.items(), styles, strict=True):
    found = [train_network(train, y[train], seed, **params) for seed in range(2)]
    assert min(network.score(X[train], y[train]) for network in found) > 0.95
    for scores, images in [(on_missing, missing), (on_noisy, noisy)]:
        scores[name] = [np.mean([n.score(x, y[test]) for n in found]) for x in images]
    print(f"{name}: {np.round(on_missing[name], 2)}, {np.round(on_noisy[name], 2)}")
    axes[0].plot(parts, on_missing[name], style, label=name)
    axes[1].plot(scales, on_noisy[name], style, label=name)
axes[0].set(xlabel="part of the pixels that is missing", ylabel="test accuracy")
axes[1].set(xlabel="standard deviation of the noise")
axes[0].legend()

for name in ("input_dropout", "both"):
    assert on_missing[name][0] > on_missing["none"][0] - 0.04
    assert on_missing[name][2] > on_missing["none"][2] + 0.03
    assert on_missing[name][3] > on_missing["none"][3] + 0.05
    assert on_noisy[name][2] < on_noisy["none"][2] + 0.02
assert on_noisy["input_dropout"][2] < on_noisy["none"][2] - 0.01
for scores in (on_missing, on_noisy):
    assert abs(scores["dropout"][2] - scores["none"][2]) < 0.05

# %%
# Wrong labels, and the variants
# ------------------------------
# Now 400 training rows, a fifth of their labels drawn at random. The labels of the test
# are right. Without dropout the network of relu units learns many wrong labels by
# heart. With each of the variants training is worse and the test is better:
#
# - "gaussian" multiplies units by normal noise (Srivastava et al., as above);
# - "standout" drops weak units more often (J. Ba and B. Frey, NIPS 2013);
# - "dropconnect" drops weights in place of units (L. Wan, M. Zeiler, S. Zhang, Y. LeCun
#   and R. Fergus, ICML 2013);
# - "alpha" is for selu units, whose means and variances it keeps (G. Klambauer, T.
#   Unterthiner, A. Mayr and S. Hochreiter, NeurIPS 2017). Compare it with selu alone.
#
# They are close to each other here. Let a search tell which one suits your task.

more = rows[:400]
drawn = random.randint(10, size=400)
labels = np.where(random.uniform(size=400) < 0.2, drawn, y[more])
relu, selu = {}, {"activation": "selu", "weight_init": "lecun_normal"}
variants = {"relu, none": relu, "selu, none": selu}
for kind in ("standard", "gaussian", "standout", "dropconnect", "alpha"):
    units = selu if kind == "alpha" else relu
    variants[kind] = {"dropout": 0.5, "dropout_type": kind} | units

learned, tested = {}, {}
for name, params in variants.items():
    network = train_network(more, labels, **params)
    learned[name] = network.score(X[more], labels)
    tested[name] = network.score(X[test], y[test])
    print(f"{name}: training {learned[name]:.2f}, test {tested[name]:.2f}")

fig, ax = plt.subplots(figsize=(6.4, 3.4))
ax.plot(list(learned.values()), list(learned), "o", label="training, wrong labels too")
ax.plot(list(tested.values()), list(tested), "s", label="test, right labels")
ax.set(xlabel="accuracy")
ax.invert_yaxis()
ax.legend(loc="upper left", bbox_to_anchor=(0, 1.2), ncols=2)

right = np.mean(labels == y[more])
print(f"the labels of {right:.2f} of the training rows are right")

assert learned["relu, none"] > right + 0.04
for kind in ("standard", "gaussian", "standout", "dropconnect", "alpha"):
    plain = "selu, none" if kind == "alpha" else "relu, none"
    assert learned[kind] < learned[plain]
    assert tested[kind] > tested[plain] + 0.01
    assert abs(tested[kind] - tested["standard"]) < 0.05
plt.show()
