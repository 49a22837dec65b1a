"""
Solvers and momentum
====================

Gradient descent with one rate for all weights is slow in a ravine. A rate that suits
the steep direction hardly moves along the flat one. Momentum adds up steps that agree,
and cancels those that alternate (I. Sutskever, J. Martens, G. Dahl and G. Hinton, ICML
2013). Adaptive solvers give each weight a rate of its own: adagrad (J. Duchi, E. Hazan
and Y. Singer, JMLR 2011), rmsprop (T. Tieleman and G. Hinton, Coursera 2012), adam
(D. Kingma and J. Ba, ICLR 2015), and more.

As a script it takes seconds::

    python examples/training/plot_solvers.py
"""

# %%
# Down a ravine
# -------------
# Two weights, one direction 100 times as curved as the other, 60 steps from one start.
# The optimizers are those that the names of ``solver`` stand for. Plain sgd has nearly
# its largest rate: with one that is a little larger it leaves the ravine. It jumps from
# wall to wall, and creeps along. With momentum and a third of that rate it arrives. So
# do the adaptive solvers.

import warnings

import matplotlib.pyplot as plt
import numpy as np
import torch
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning

from sk_deep import MLPClassifier
from sk_deep.plots import LossCurveDisplay
from sk_deep.solvers import SOLVERS

warnings.simplefilter("ignore", ConvergenceWarning)  # few epochs are enough here


def height(w):
    return w[0] ** 2 / 2 + 50 * w[1] ** 2


def walk(solver, **params):
    """Return the weights of 60 steps."""
    w = torch.tensor([-3.0, 0.5], requires_grad=True)
    optimizer = SOLVERS[solver].optimizer([w], **params)
    path = [w.detach().clone()]
    for _ in range(60):
        optimizer.zero_grad()
        height(w).backward()
        optimizer.step()
        path.append(w.detach().clone())
    return torch.stack(path).numpy()


paths = {
    "sgd": walk("sgd", lr=0.018, momentum=0.0, nesterov=False),
    "sgd, momentum 0.9": walk("sgd", lr=0.006, momentum=0.9, nesterov=True),
    "adagrad": walk("adagrad", lr=0.5),
    "rmsprop": walk("rmsprop", lr=0.05),
    "adam": walk("adam", lr=0.1),
}
fig, axes = plt.subplots(2, 3, figsize=(10, 5.4))
a, b = np.meshgrid(np.linspace(-3.4, 1.4, 100), np.linspace(-0.7, 0.7, 100))
for (name, path), ax, marker in zip(paths.items(), axes.flat, "osD^v", strict=False):
    ax.contour(a, b, np.sqrt(height([a, b])), 8, colors="0.8")
    ax.plot(*path.T, marker=marker, markersize=3, linewidth=1)
    ax.plot(0, 0, "k*", markersize=9)
    ax.set(title=name, xlabel="flat direction", ylabel="steep direction")
    axes[1, 2].plot(height(path.T), marker=marker, markevery=10, label=name)
axes[1, 2].set(xlabel="step", ylabel="height", yscale="log", ylim=(1e-8, 100))
axes[1, 2].legend(fontsize="small", loc="lower left")

ends = {name: height(path[-5:].T).max() for name, path in paths.items()}
for name, end in ends.items():
    print(f"{name}: height {end:.1e} at most in the last five steps")
too_far = walk("sgd", lr=0.021, momentum=0.0, nesterov=False)
assert height(too_far[-1]) > height(too_far[0])
assert max(end for name, end in ends.items() if name != "sgd") < ends["sgd"] / 10

# %%
# Momentum on digits
# ------------------
# The same small rate, with and without momentum. With 0.9, the default of
# ``solver="sgd"``, each step keeps nine tenths of the step before. Training is faster
# by far.

X, y = load_digits(return_X_y=True)
X = X / 16


def train(solver, **params):
    network = MLPClassifier(
        (64,), solver=solver, batch_size=64, max_iter=20, random_state=0, **params
    )
    return network.fit(X, y)


momenta = {
    f"momentum={momentum}": train("sgd", momentum=momentum, learning_rate_init=0.01)
    for momentum in (0.0, 0.5, 0.9)
}
LossCurveDisplay.from_estimators(momenta)
losses = {name: float(network.loss_) for name, network in momenta.items()}
print({name: round(loss, 2) for name, loss in losses.items()})

assert losses["momentum=0.9"] < losses["momentum=0.5"] / 2
assert losses["momentum=0.5"] < losses["momentum=0.0"] / 1.5

# %%
# Each solver has its own scale
# -----------------------------
# A rate that suits one solver may be far too small for another.
# ``learning_rate_init="auto"`` is each solver's customary rate: there all of them learn
# the digits in 20 epochs. With adam's 0.001 for all, sgd and adagrad fall behind, and
# adadelta (M. Zeiler, arXiv 2012) hardly starts. So compare solvers at "auto" first,
# and then tune the rate of the best.

solvers = ["sgd", "adagrad", "rmsprop", "adadelta", "adam"]
fig, axes = plt.subplots(1, 2, figsize=(10, 4), sharey=True)
accuracies = {}
for rate, ax in zip(("auto", 0.001), axes, strict=True):
    networks = {name: train(name, learning_rate_init=rate) for name in solvers}
    LossCurveDisplay.from_estimators(networks, ax=ax, panels="loss", log_scale=True)
    ax.set_title(f"learning_rate_init={rate!r}")
    accuracies[rate] = {
        name: round(network.score(X, y), 2) for name, network in networks.items()
    }
    print(f"training accuracy at {rate!r}: {accuracies[rate]}")
axes[0].get_legend().remove()  # the other one serves both

assert min(accuracies["auto"].values()) > 0.9
at_one_rate = accuracies[0.001]
assert max(at_one_rate["sgd"], at_one_rate["adagrad"]) < at_one_rate["adam"] - 0.04
assert at_one_rate["adadelta"] < 0.3
plt.show()
