"""Time of one training step: sk_deep beside scikit-learn and plain skorch.

    python benchmarks/bench_step.py                  # about a minute
    python benchmarks/bench_step.py --validation     # with early stopping's split on
    python benchmarks/bench_step.py --threads 2 --json build/bench/step.json

What is timed is ``fit`` of the real estimators, divided by the number of training
steps: shuffling, batches, forward, backward, Adam, penalty, history and the set-up of
the fit are all in it. The three libraries train networks of equal shape on equal data
for an equal number of epochs, on an equal number of threads, and take turns
(A B C A B C ...), so that a busy moment of the machine touches all of them. A ratio is
taken within each turn, and the table shows the median over the turns.
"""

import argparse
import json
import math
import platform
import statistics
import time
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import sklearn
import skorch
import torch
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier as SklearnMLPClassifier
from skorch import NeuralNetClassifier
from skorch.dataset import ValidSplit
from threadpoolctl import threadpool_limits
from torch import nn

import sk_deep
from sk_deep import MLPClassifier

ALPHA = 1e-4  # scikit-learn's default penalty; all sides carry it
LEARNING_RATE = 1e-3
VALIDATION_FRACTION = 0.1


@dataclass(frozen=True)
class Shape:
    """A network, its batch size, and how long to train it."""

    layers: tuple[int, ...]
    batch_size: int
    steps_per_epoch: int
    epochs: int

    @property
    def name(self):
        return f"{'-'.join(map(str, self.layers))} @ {self.batch_size}"

    @property
    def hidden(self):
        return self.layers[1:-1]

    def make_data(self, validation):
        """Return X in float64 and y; a few more rows where some will be held out."""
        rng = np.random.RandomState(0)
        rows = self.batch_size * self.steps_per_epoch
        if validation:
            rows = math.floor(rows / (1 - VALIDATION_FRACTION))
        X = rng.standard_normal((rows, self.layers[0]))
        teacher = rng.standard_normal((self.layers[0], self.layers[-1]))
        y = (X @ teacher + rng.standard_normal((rows, self.layers[-1]))).argmax(axis=1)
        return X, y


SHAPES = (
    Shape((64, 100, 10), batch_size=200, steps_per_epoch=10, epochs=40),
    Shape((30, 32, 2), batch_size=32, steps_per_epoch=20, epochs=40),
    Shape((784, 500, 500, 10), batch_size=100, steps_per_epoch=20, epochs=4),
    Shape((30, 256, 256, 256, 2), batch_size=256, steps_per_epoch=20, epochs=5),
)


# --------------------------------------------------------------------------------------
# The sides: each fits one network and returns its last training loss.
# --------------------------------------------------------------------------------------
def sklearn_parameters(shape, validation):
    """Return what both MLPClassifiers are given."""
    return {
        "hidden_layer_sizes": shape.hidden,
        "alpha": ALPHA,
        "batch_size": shape.batch_size,
        "learning_rate_init": LEARNING_RATE,
        "max_iter": shape.epochs,
        "early_stopping": validation,
        "validation_fraction": VALIDATION_FRACTION,
        "n_iter_no_change": np.inf,  # every side runs all its epochs
        "random_state": 0,
    }


def fit_sklearn(shape, X, y, validation):
    """Fit scikit-learn's MLPClassifier, which computes in the dtype of X."""
    estimator = SklearnMLPClassifier(**sklearn_parameters(shape, validation))
    return estimator.fit(X, y).loss_


def fit_sk_deep(shape, X, y, validation):
    """Fit sk_deep's MLPClassifier, told to compute in the dtype of X."""
    estimator = MLPClassifier(
        **sklearn_parameters(shape, validation), device="cpu", dtype=X.dtype.name
    )
    return estimator.fit(X, y).loss_


def fit_skorch(shape, X, y, validation):
    """Fit skorch as its documentation shows it, with its own DataLoader."""
    layers = []
    for n_in, n_out in zip(shape.layers[:-1], shape.layers[1:], strict=True):
        layers += [nn.Linear(n_in, n_out), nn.ReLU()]
    net = NeuralNetClassifier(
        nn.Sequential(*layers[:-1]),
        criterion=nn.CrossEntropyLoss,
        optimizer=torch.optim.Adam,
        optimizer__weight_decay=ALPHA / shape.batch_size,
        lr=LEARNING_RATE,
        max_epochs=shape.epochs,
        batch_size=shape.batch_size,
        iterator_train__shuffle=True,
        train_split=ValidSplit(round(1 / VALIDATION_FRACTION), stratified=True)
        if validation
        else None,
        callbacks__print_log=None,
        verbose=0,
        device="cpu",
    )
    return net.fit(X, y).history[-1, "train_loss"]


SIDES = {
    "sklearn f64": (fit_sklearn, np.float64),
    "sklearn f32": (fit_sklearn, np.float32),
    "skorch f32": (fit_skorch, np.float32),
    "sk_deep f64": (fit_sk_deep, np.float64),
    "sk_deep f32": (fit_sk_deep, np.float32),
}
RATIOS = {
    "sk_deep/sklearn f64": ("sk_deep f64", "sklearn f64"),
    "sk_deep/sklearn f32": ("sk_deep f32", "sklearn f32"),
    "skorch/sk_deep f32": ("skorch f32", "sk_deep f32"),
}


# --------------------------------------------------------------------------------------
# Measuring
# --------------------------------------------------------------------------------------
def measure(shape, validation, repeats):
    """Return one dict for the shape: microseconds per step, ratios, last losses."""
    X, y = shape.make_data(validation)
    data = {np.float64: X, np.float32: X.astype(np.float32)}
    steps = shape.epochs * shape.steps_per_epoch
    microseconds = {side: [] for side in SIDES}
    losses = {}
    for turn in range(repeats + 1):
        for side, (fit, dtype) in SIDES.items():
            start = time.perf_counter()
            losses[side] = float(fit(shape, data[dtype], y, validation))
            if turn:  # turn 0 warms up
                elapsed = time.perf_counter() - start
                microseconds[side].append(1e6 * elapsed / steps)
    return {
        "shape": shape.name,
        "steps": steps,
        "microseconds": {k: statistics.median(v) for k, v in microseconds.items()},
        "ratios": {
            name: statistics.median(
                a / b for a, b in zip(microseconds[x], microseconds[y], strict=True)
            )
            for name, (x, y) in RATIOS.items()
        },
        "all_microseconds": microseconds,
        "last_loss": losses,
    }


NAME_WIDTH = max(len(shape.name) for shape in SHAPES)
# Each column is headed by two words, such as "sklearn" over "f64".
COLUMNS = [name.split() for name in [*SIDES, *RATIOS]]


def table_line(first, cells):
    """Return a line of the table, each cell as wide as its column's first word."""
    widths = [len(words[0]) for words in COLUMNS]
    cells = [f"{cell:>{width}}" for cell, width in zip(cells, widths, strict=True)]
    return "  ".join([f"{first:<{NAME_WIDTH}}", *cells])


def header():
    """Return the three lines above the table's numbers."""
    top, bottom = zip(*COLUMNS, strict=True)
    lines = [table_line("network @ batch", top), table_line("", bottom)]
    return "\n".join([*lines, "-" * len(lines[0])])


def row(result):
    """Return the table's line for one network."""
    times = [f"{value:.0f}" for value in result["microseconds"].values()]
    ratios = [f"{value:.2f}" for value in result["ratios"].values()]
    return table_line(result["shape"], times + ratios)


def environment(args):
    """Return what a reader needs to judge the numbers."""
    return {
        "threads": args.threads,
        "repeats": args.repeats,
        "validation": args.validation,
        "machine": platform.machine(),
        "cpu": torch.backends.cpu.get_cpu_capability(),
        "python": platform.python_version(),
        "sk_deep": sk_deep.__version__,
        "scikit-learn": sklearn.__version__,
        "skorch": skorch.__version__,
        "torch": torch.__version__,
        "numpy": np.__version__,
    }


def parse_args():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=1, help="threads of every side")
    parser.add_argument("--repeats", type=int, default=5, help="turns per network")
    parser.add_argument(
        "--validation",
        action="store_true",
        help="hold out a tenth and score it after every epoch (early_stopping=True)",
    )
    parser.add_argument(
        "--only", metavar="TEXT", default="", help="networks whose name holds TEXT"
    )
    parser.add_argument("--json", metavar="FILE", type=Path, help="write all numbers")
    return parser.parse_args()


def main():
    args = parse_args()
    info = environment(args)
    print("Microseconds per training step, all of fit() counted; and ratios; medians.")
    print(", ".join(f"{key} {value}" for key, value in info.items()), end="\n\n")
    print(header(), flush=True)
    results = []
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)  # plain skorch draws from torch's global generator
    with threadpool_limits(args.threads), warnings.catch_warnings():
        # The number of epochs is fixed on purpose.
        warnings.simplefilter("ignore", ConvergenceWarning)
        for shape in SHAPES:
            if args.only in shape.name:
                results.append(measure(shape, args.validation, args.repeats))
                print(row(results[-1]), flush=True)
    print("\nBelow 1 in sk_deep/sklearn, above 1 in skorch/sk_deep: sk_deep is faster.")
    if args.json:
        args.json.parent.mkdir(parents=True, exist_ok=True)
        args.json.write_text(json.dumps({"environment": info, "results": results}))
        print(f"Numbers written to {args.json}")


if __name__ == "__main__":
    main()
