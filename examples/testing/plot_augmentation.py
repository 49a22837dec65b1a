"""
Augmentation
============

Good results on the testing data? More training rows would help, and often there are
none. Then make some: move, tilt or mix what you have, anew in each step. The network
learns that such changes do not matter. Whether that helps depends on whether they do
occur in the test.

As a script it takes some seconds::

    python examples/testing/plot_augmentation.py
"""

# %%
# Few digits, and four tests
# --------------------------
# 200 training images. The test images come as they are, moved by up to a pixel, tilted
# by up to 30 degrees, and with noise.

import warnings

import matplotlib.pyplot as plt
import numpy as np
import torch
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split

from sk_deep import MLPClassifier
from sk_deep.augmentation import get_augmentation, rotate_images, shift_images

warnings.simplefilter("ignore", ConvergenceWarning)
X, y = load_digits(return_X_y=True)
X = (X / 16).astype("float32")
X_train, X_test, y_train, y_test = train_test_split(
    X, y, train_size=200, stratify=y, random_state=0
)
generator = torch.Generator().manual_seed(0)


def draw(shape, most):
    """Draw uniform numbers in [-most, most]."""
    return most * (2 * torch.rand(shape, generator=generator) - 1)


images, n = torch.tensor(X_test), len(X_test)
tests = {
    "as they are": X_test,
    "moved": shift_images(images, draw((n, 2), 1.0), (8, 8)).numpy(),
    "tilted": rotate_images(images, draw(n, 30.0), (8, 8)).numpy(),
    "noisy": (images + 0.4 * torch.randn(n, 64, generator=generator)).numpy(),
}

# %%
# The augmentations
# -----------------
# ``augmentation`` is a name, with ``augmentation_params``, or a function of a batch.
# "noise" is after C. Bishop (Neural Computation 1995), "shift" and "rotate" after P.
# Simard, D. Steinkraus and J. Platt (ICDAR 2003). "mixup" mixes two images and their
# labels (H. Zhang, M. Cisse, Y. Dauphin and D. Lopez-Paz, ICLR 2018). The function here
# tilts, and then moves.


def tilt_and_move(X, y, generator):
    """Rotate by up to 25 degrees, then move by up to a pixel."""
    degrees = 50 * torch.rand(len(X), generator=generator) - 25
    offsets = 2 * torch.rand(len(X), 2, generator=generator) - 1
    return shift_images(rotate_images(X, degrees, (8, 8)), offsets, (8, 8)), y


kinds = {
    "none": (None, None),
    "noise": ("noise", {"scale": 0.3}),
    "mixup": ("mixup", {"alpha": 1.0}),
    "shift": ("shift", {"max_shift": 1.0, "image_shape": (8, 8)}),
    "rotate": ("rotate", {"max_degrees": 25.0, "image_shape": (8, 8)}),
    "tilt_and_move": (tilt_and_move, None),
}
fig, axes = plt.subplots(6, 6, figsize=(6.4, 6.4))
batch = torch.tensor(X_train[:6])
one_hot = torch.eye(10)[y_train[:6]]
for row, (name, (kind, params)) in zip(axes, kinds.items(), strict=True):
    shown = batch
    if kind is not None:
        augment = get_augmentation(kind, 64, params)
        shown = augment(batch, one_hot, None, generator)[0]
    row[0].set_ylabel(name, rotation=0, ha="right", va="center")
    for ax, image in zip(row, shown, strict=True):
        ax.imshow(image.reshape(8, 8), cmap="gray_r", vmin=0, vmax=1)
        ax.set(xticks=[], yticks=[])
        ax.spines[:].set_visible(False)

# %%
# Who learns what
# ---------------
# An augmentation helps where the test has the change that it makes: "shift" on moved
# digits, "rotate" on tilted ones, "noise" on noisy ones, and the function on both moved
# and tilted ones. On images as they are, none gains or loses much: they are placed as
# those of training are. Against other changes an augmentation may even hurt: "shift"
# does on noisy digits.

scores, sureness = {}, {}
for name, (kind, params) in kinds.items():
    network = MLPClassifier(
        200,
        batch_size=50,
        learning_rate_init=0.005,
        learning_rate="cosine",
        max_iter=150,
        n_iter_no_change=150,
        augmentation=kind,
        augmentation_params=params,
        random_state=0,
    ).fit(X_train, y_train)
    scores[name] = {test: network.score(x, y_test) for test, x in tests.items()}
    sureness[name] = network.predict_proba(X_test).max(axis=1).mean()
    print(name, {test: round(score, 2) for test, score in scores[name].items()})

table = np.array([list(row.values()) for row in scores.values()])
fig, ax = plt.subplots(figsize=(6.4, 4.4))
picture = ax.imshow(table, cmap="cividis", aspect="auto")
ax.set(xticks=range(4), xticklabels=list(tests), xlabel="test images")
ax.set(yticks=range(6), yticklabels=list(kinds), ylabel="augmentation in training")
for (i, j), score in np.ndenumerate(table):
    dark = score < (table.min() + table.max()) / 2
    ax.text(j, i, f"{score:.2f}", ha="center", va="center", color="wk"[not dark])
fig.colorbar(picture, label="test accuracy")

plain = scores["none"]
assert scores["shift"]["moved"] > plain["moved"] + 0.15
assert scores["rotate"]["tilted"] > plain["tilted"] + 0.07
assert scores["noise"]["noisy"] > plain["noisy"] + 0.03
assert scores["tilt_and_move"]["moved"] > plain["moved"] + 0.15
assert scores["tilt_and_move"]["tilted"] > plain["tilted"] + 0.04
for name in kinds:
    assert abs(scores[name]["as they are"] - plain["as they are"]) < 0.05
assert scores["shift"]["noisy"] < plain["noisy"] - 0.03

# %%
# "mixup" does something else: its network is less sure of itself, on average.

print({name: round(float(value), 2) for name, value in sureness.items()})

assert sureness["mixup"] < sureness["none"] - 0.05
plt.show()
