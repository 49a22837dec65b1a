"""The comparisons of Hung-yi Lee's lecture "Recipe of deep learning", run again.

    python benchmarks/lecture.py                        # scikit-learn's digits
    python benchmarks/lecture.py --data mnist.npz       # the lecture's digits
    python benchmarks/lecture.py --data mnist.npz --quick

The lecture teaches a network of 784-500-500-10 units to read handwritten digits, and
changes one thing at a time: the loss, the batch size, depth and activation, the solver,
dropout and maxout, early stopping. Each of these comparisons is a row of `COMPARISONS`.
The script fits its candidates, prints their accuracies, and says whether the lecture's
claims hold.

The settings are those of the lecture: sigmoid units, softmax outputs, cross entropy,
SGD at rate 0.1, batches of 100, 20 epochs, Keras's initial weights, no penalty, inputs
in [0, 1]; dropout of 0.7, and standard normal noise on the test digits, not clipped.
The squared error is half the sum over the outputs, of which Keras's mean is a fifth: at
the same rate it learns faster here than in the lecture. A candidate states only its
difference. A claim is about the mean over some seeds; the table shows the smallest and
the largest difference as well.

The file of `--data` is a .npz archive of two arrays: X of shape (n, 784), integers in
[0, 255] or floats in [0, 1], and the labels y of shape (n,). A fifth of the rows is for
the test. Without it the digits are scikit-learn's, of 8 x 8 pixels, and the network and
its batches are smaller.
"""

import argparse
import sys
import time
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split
from skorch.callbacks import Callback

from sk_deep import MLPClassifier

BASE = {
    "n_hidden_layers": 2,
    "activation": "logistic",
    "solver": "sgd",
    "learning_rate_init": 0.1,
    "momentum": 0.0,
    "nesterovs_momentum": False,
    "alpha": 0.0,
    "weight_init": "glorot_uniform",
    "batch_size": 100,
    "max_iter": 20,
    "n_iter_no_change": np.inf,  # all epochs
    "dtype": "float32",
    "device": "cpu",
}
RELU = {"activation": "relu", "solver": "adam", "learning_rate_init": "auto"}
# A thousand digits are few enough for the lecture's network, whatever their size.
WIDE_RELU = {**RELU, "hidden_layer_sizes": 500, "batch_size": 100, "max_iter": 20}
WIDE_MAXOUT = {**WIDE_RELU, "activation": "maxout"}
ALL_ROWS = sys.maxsize  # batch size of full-batch training


# --------------------------------------------------------------------------------------
# The data
# --------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Task:
    """Digits to learn, and what else their size decides.

    Inputs are in [0, 1] and float32, labels 0 to 9. `settings` go before `BASE`. Where
    a comparison has noise on the test digits, `noise` is its standard deviation, and
    each digit is tested with `n_noises` draws of it.
    """

    name: str
    X: np.ndarray
    y: np.ndarray
    settings: Mapping[str, Any]
    noise: float
    n_noises: int

    def split(self, comparison, seed):
        """Return X_train, X_test, y_train, y_test; the test rows are always the same.

        A comparison's small training set and its noise differ from seed to seed.
        """
        X_train, X_test, y_train, y_test = train_test_split(
            self.X, self.y, test_size=0.2, stratify=self.y, random_state=0
        )
        if comparison.n_train is not None:
            X_train, _, y_train, _ = train_test_split(
                X_train,
                y_train,
                train_size=comparison.n_train,
                stratify=y_train,
                random_state=seed,
            )
        if comparison.is_noisy:
            X_test, y_test = (np.repeat(a, self.n_noises, 0) for a in (X_test, y_test))
            noise = np.random.RandomState(seed).standard_normal(X_test.shape)
            X_test = (X_test + self.noise * noise).astype(np.float32)
        return X_train, X_test, y_train, y_test


def load_file(path, n_units=500):
    """Read the digits of a .npz file, see the top of this file."""
    with np.load(path) as arrays:
        X, y = arrays["X"], arrays["y"]
    scale = 255 if X.dtype.kind in "iu" else 1
    return Task(
        name=path.stem,
        X=X.reshape(len(X), -1).astype(np.float32) / scale,
        y=np.unique(y, return_inverse=True)[1],
        settings={"hidden_layer_sizes": n_units},
        noise=1.0,
        n_noises=1,
    )


def load_small_digits(n_units=100):
    """Return scikit-learn's digits.

    Smaller batches and more epochs make up for fewer rows; with such batches a deep
    relu network jumps at rate 0.1. The pixels are means over blocks of larger images,
    which would average the lecture's noise on 28 x 28 pixels down by 8 / 28.
    """
    X, y = load_digits(return_X_y=True)
    return Task(
        name="digits",
        X=(X / 16).astype(np.float32),
        y=y,
        settings={
            "hidden_layer_sizes": n_units,
            "batch_size": 20,
            "learning_rate_init": 0.05,
            "max_iter": 40,
        },
        noise=8 / 28,
        n_noises=5,
    )


# --------------------------------------------------------------------------------------
# The comparisons
# --------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Claim:
    """That `more` exceeds `less` by over a margin, in an attribute of their runs."""

    more: str
    less: str
    margin: float = 0.0
    of: str = "train"

    def __str__(self):
        margin = f" {'+-'[self.margin < 0]} {abs(self.margin):g}" if self.margin else ""
        return f"{self.more} > {self.less}{margin} in {MEASURES[self.of]}"

    def differences(self, runs):
        """Return the difference for each seed, from the runs of all candidates."""
        pairs = zip(runs[self.more], runs[self.less], strict=True)
        return np.array([getattr(a, self.of) - getattr(b, self.of) for a, b in pairs])

    def holds(self, runs):
        """Say whether the mean difference exceeds the margin."""
        return bool(self.differences(runs).mean() > self.margin)


@dataclass(frozen=True)
class Comparison:
    """A question of the lecture, and the candidates that answer it.

    `candidates` maps names to what they change in `BASE`; `shown` is the accuracy that
    the figure shows, "train" or "test".
    """

    name: str
    question: str
    candidates: Mapping[str, Mapping[str, Any]]
    claims: tuple[Claim, ...]
    shown: str = "train"
    n_train: int | None = None
    is_noisy: bool = False
    n_seeds: int = 3


MEASURES = {
    "train": "training accuracy",
    "test": "test accuracy",
    "n_epochs": "epochs",
}

ADAPTIVE = ("adagrad", "rmsprop", "adadelta", "vsgd", "adasecant", "adam", "nadam")
SOLVERS = {
    "momentum 0.9": {"momentum": 0.9},
    **{name: {"solver": name, "learning_rate_init": "auto"} for name in ADAPTIVE},
}

COMPARISONS = (
    Comparison(
        "loss",
        "Cross entropy or squared error?",
        {"cross entropy": {}, "squared error": {"loss": "squared_error"}},
        (Claim("cross entropy", "squared error", 0.2),),
    ),
    Comparison(
        "batch",
        "Mini-batches or all rows at once, for as many epochs?",
        {"mini-batches": {}, "full batch": {"batch_size": ALL_ROWS}},
        (Claim("mini-batches", "full batch", 0.5),),
    ),
    Comparison(
        "depth",
        "Is deeper better?",
        {
            "sigmoid, 2 layers": {},
            "sigmoid, 9 layers": {"n_hidden_layers": 9},
            "relu, 2 layers": {"activation": "relu"},
            "relu, 9 layers": {"activation": "relu", "n_hidden_layers": 9},
        },
        (
            Claim("sigmoid, 2 layers", "sigmoid, 9 layers", 0.5),
            Claim("relu, 9 layers", "sigmoid, 9 layers", 0.5),
        ),
        n_seeds=2,
    ),
    Comparison(
        "solver",
        "Momentum and adaptive rates, after five epochs?",
        {
            name: {**params, "max_iter": 5}
            for name, params in {"plain SGD": {}, **SOLVERS}.items()
        },
        tuple(Claim(name, "plain SGD", 0.05) for name in SOLVERS),
    ),
    Comparison(
        "dropout",
        "Trained on a thousand digits, tested on noisy ones?",
        {
            "relu": WIDE_RELU,
            "relu + dropout": {**WIDE_RELU, "dropout": 0.7},
            "maxout": WIDE_MAXOUT,
            "maxout + dropout": {**WIDE_MAXOUT, "dropout": 0.7},
        },
        (
            Claim("relu + dropout", "relu", of="test"),
            Claim("maxout + dropout", "relu", of="test"),
        ),
        shown="test",
        n_train=1000,
        is_noisy=True,
        n_seeds=5,
    ),
    Comparison(
        "early_stopping",
        "Does early stopping stop, and what does it cost?",
        {
            "all epochs": {**RELU, "max_iter": 60},
            "early stopping": {
                **RELU,
                "max_iter": 60,
                "early_stopping": True,
                "n_iter_no_change": 10,
            },
        },
        (
            Claim("all epochs", "early stopping", of="n_epochs"),
            Claim("early stopping", "all epochs", -0.02, of="test"),
        ),
        shown="test",
    ),
)


# --------------------------------------------------------------------------------------
# Fitting
# --------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Run:
    """A candidate's fit: its accuracies, and after every epoch the one to show."""

    train: float
    test: float
    seconds: float  # scoring every epoch included
    curve: list[float] = field(repr=False)

    @property
    def n_epochs(self):
        return len(self.curve)


class Accuracy(Callback):
    """Record the accuracy on some data after every epoch."""

    def __init__(self, X, y):
        self.X = X
        self.y = y

    def on_epoch_end(self, net, **kwargs):
        correct = net.predict_proba(self.X).argmax(axis=1) == self.y
        net.history.record("accuracy", correct.mean())


def fit(task, comparison, params, seed):
    """Fit a candidate and return its run."""
    X_train, X_test, y_train, y_test = task.split(comparison, seed)
    data = {"train": (X_train, y_train), "test": (X_test, y_test)}
    params = {**BASE, **task.settings, **params, "random_state": seed}
    params["batch_size"] = min(params["batch_size"], len(X_train))
    estimator = MLPClassifier(**params, callbacks=[Accuracy(*data[comparison.shown])])
    start = time.perf_counter()
    estimator.fit(X_train, y_train)
    seconds = time.perf_counter() - start
    scores = {name: estimator.score(*rows) for name, rows in data.items()}
    return Run(**scores, seconds=seconds, curve=estimator.net_.history[:, "accuracy"])


def run(task, comparison):
    """Return a dict of each candidate's runs, one per seed."""
    with warnings.catch_warnings():
        # The number of epochs is fixed on purpose.
        warnings.simplefilter("ignore", ConvergenceWarning)
        return {
            name: [
                fit(task, comparison, params, seed)
                for seed in range(comparison.n_seeds)
            ]
            for name, params in comparison.candidates.items()
        }


# --------------------------------------------------------------------------------------
# The table
# --------------------------------------------------------------------------------------
def with_spread(values):
    """Return the mean as text, and the standard deviation of several values."""
    spread = f" +- {np.std(values):.3f}" if len(values) > 1 else ""
    return f"{np.mean(values):.3f}{spread}"


def table(comparison, runs):
    """Return the lines of a comparison: its candidates and its claims."""
    n_seeds = len(next(iter(runs.values())))
    test = "noisy test" if comparison.is_noisy else "test"
    lines = [
        f"{comparison.question}  (mean +- standard deviation, seeds: {n_seeds})",
        f"  {'':<20}{'training':>18}{test:>18}{'epochs':>8}{'seconds':>9}",
    ]
    for name, candidate in runs.items():
        train, test = (
            with_spread([getattr(run, data) for run in candidate])
            for data in ("train", "test")
        )
        epochs = np.mean([run.n_epochs for run in candidate])
        seconds = np.mean([run.seconds for run in candidate])
        lines.append(f"  {name:<20}{train:>18}{test:>18}{epochs:>8.0f}{seconds:>9.1f}")
    return "\n".join([*lines, *(verdict(claim, runs) for claim in comparison.claims)])


def verdict(claim, runs):
    """Return the line that says whether a claim holds, and by how much."""
    differences = claim.differences(runs)
    digits = 0 if claim.of == "n_epochs" else 3
    numbers = (differences.mean(), differences.min(), differences.max())
    mean, least, most = (f"{number:.{digits}f}" for number in numbers)
    spread = f" ({least} to {most})" if len(differences) > 1 else ""
    word = "holds" if claim.holds(runs) else "DOES NOT HOLD"
    return f"  {word}: {claim}, by {mean}{spread}"


# --------------------------------------------------------------------------------------
# The figures
# --------------------------------------------------------------------------------------
COLORS = (
    "#1a62b5",
    "#d9741a",
    "#2f9461",
    "#c2406b",
    "#7a5ac2",
    "#8a6a2f",
    "#2a9fb8",
    "#9aa51f",
    "#6b7280",
)
STYLE = {
    "font.size": 11,
    "axes.titlesize": 12,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.titlepad": 12,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "0.7",
    "axes.labelcolor": "0.35",
    "axes.grid": True,
    "axes.grid.axis": "y",
    "axes.axisbelow": True,
    "grid.color": "0.91",
    "xtick.color": "0.7",
    "ytick.color": "0.7",
    "xtick.labelcolor": "0.35",
    "ytick.labelcolor": "0.35",
    "ytick.major.size": 0,
    "lines.solid_capstyle": "round",
}


def draw(comparison, runs, path):
    """Save the accuracy after every epoch: thin of each seed, thick of their mean.

    The mean goes as far as all seeds do.
    """
    import matplotlib as mpl
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator, PercentFormatter

    curves = {
        name: [run.curve for run in candidate] for name, candidate in runs.items()
    }
    # The legend has the order of the lines' ends.
    order = sorted(curves, key=lambda name: -np.mean([c[-1] for c in curves[name]]))
    colors = dict(zip(curves, COLORS, strict=False))
    with mpl.rc_context(STYLE):
        fig = Figure(figsize=(8.2, 4.6), layout="constrained")
        ax = fig.add_subplot()
        for name in order:
            color = colors[name]
            for curve in curves[name]:
                ax.plot(range(1, len(curve) + 1), curve, color=color, lw=0.8, alpha=0.4)
                ax.plot(len(curve), curve[-1], "o", color=color, ms=3.5)
            mean = np.mean(list(zip(*curves[name], strict=False)), axis=1)
            ax.plot(range(1, len(mean) + 1), mean, color=color, lw=2.2, label=name)
        noisy = "noisy " if comparison.is_noisy else ""
        ax.set_title(comparison.question)
        ax.set_xlabel("epoch")
        ax.set_ylabel(f"{noisy}{MEASURES[comparison.shown]}")
        ax.xaxis.set_major_locator(MaxNLocator(steps=[1, 2, 5, 10], integer=True))
        ax.yaxis.set_major_formatter(PercentFormatter(xmax=1, decimals=0))
        fig.legend(loc="outside right upper", frameon=False, labelcolor="linecolor")
        fig.savefig(path, dpi=160)


def parse_args():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--data",
        metavar="FILE.npz",
        type=Path,
        help="arrays X of shape (n, 784), in [0, 255] or [0, 1], and y of shape (n,)"
        " (default: scikit-learn's digits)",
    )
    parser.add_argument(
        "--output",
        metavar="FOLDER",
        type=Path,
        default=Path("build/lecture"),
        help="folder of the figures (default: build/lecture)",
    )
    parser.add_argument("--threads", type=int, default=1, help="threads of a fit")
    parser.add_argument(
        "--quick", action="store_true", help="one seed, and networks of 100 units"
    )
    parser.add_argument(
        "--only", metavar="TEXT", default="", help="comparisons whose name holds TEXT"
    )
    return parser.parse_args()


def load(args):
    """Return the task that the command line names."""
    size = {"n_units": 100} if args.quick else {}
    return load_file(args.data, **size) if args.data else load_small_digits(**size)


def main():
    args = parse_args()
    args.output.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(args.threads)
    start = time.perf_counter()
    task = load(args)
    settings = ", ".join(f"{key}={value}" for key, value in task.settings.items())
    print(f"{task.name}: {len(task.X)} digits of {task.X.shape[1]} pixels; {settings}")
    verdicts = []
    for comparison in COMPARISONS:
        if args.only not in comparison.name:
            continue
        if args.quick:
            comparison = replace(comparison, n_seeds=1)
        runs = run(task, comparison)
        print(f"\n{table(comparison, runs)}", flush=True)
        draw(comparison, runs, args.output / f"{task.name}_{comparison.name}.png")
        verdicts += [claim.holds(runs) for claim in comparison.claims]
    print(f"\n{sum(verdicts)} of {len(verdicts)} claims hold;", end=" ")
    print(f"figures in {args.output}; {time.perf_counter() - start:.0f} s")


if __name__ == "__main__":
    main()
