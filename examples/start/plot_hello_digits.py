"""
Hello, digits
=============

A first walk through ``sk_deep``: scikit-learn's ``MLPClassifier``, one import further,
with the recipe of deep learning among its hyperparameters. We

1. check that the familiar settings give the familiar numbers;
2. search over activation, dropout and solver with scikit-learn's own
   ``GridSearchCV``, inside a ``Pipeline``;
3. compare the winner with that of the same search over scikit-learn's own network;
4. save it with ``joblib`` and load it back;
5. look at how both of them learned.

As a script it takes under a minute on two cores::

    python examples/start/plot_hello_digits.py
    python examples/start/plot_hello_digits.py --data mnist  # downloads larger images
"""

# %%
# The task
# --------
# ``load_digits`` comes with scikit-learn: 1797 images of 8 x 8 pixels. A quarter of
# them is put aside and looked at once, at the end.

import argparse
import sys
import tempfile
import time
import warnings
from pathlib import Path

import joblib
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.ticker import PercentFormatter
from sklearn.base import clone
from sklearn.datasets import fetch_openml, load_digits
from sklearn.model_selection import GridSearchCV, ParameterGrid, train_test_split
from sklearn.neural_network import MLPClassifier as SklearnMLPClassifier
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

from sk_deep import MLPClassifier

parser = argparse.ArgumentParser(description="A first walk through sk_deep.")
parser.add_argument(
    "--data",
    choices=["digits", "mnist"],
    default="digits",
    help="digits comes with scikit-learn; mnist is fetched from openml.org and"
    " takes a few minutes (default: digits)",
)
parser.add_argument(
    "--output",
    type=Path,
    default=Path("build/demo"),
    help="folder of the picture and the saved model (default: build/demo)",
)
args = parser.parse_args()
args.output.mkdir(parents=True, exist_ok=True)


def load_mnist():
    """Return MNIST from openml.org, or end with a clear message."""
    print(
        "Fetching MNIST from openml.org (once; scikit-learn keeps it) ...", flush=True
    )
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "A network error occurred")  # retries
            return fetch_openml(
                "mnist_784", version=1, as_frame=False, return_X_y=True, n_retries=1
            )
    except OSError as error:  # no network, no such host, timeout
        sys.exit(
            f"openml.org could not be reached: {error}\n"
            "--data mnist needs a network the first time; the default, --data digits,"
            " needs none."
        )


if args.data == "mnist":
    X, y = load_mnist()
    # 5000 of the 70 000 images keep the search within a few minutes.
    X_train, X_test, y_train, y_test = train_test_split(
        X.astype(np.float32),
        y,
        train_size=5000,
        test_size=10_000,
        stratify=y,
        random_state=0,
    )
else:
    X, y = load_digits(return_X_y=True)
    X_train, X_test, y_train, y_test = train_test_split(
        X, y, test_size=0.25, stratify=y, random_state=0
    )
print(
    f"\n{args.data}: {len(X_train)} training and {len(X_test)} test images"
    f" of {X.shape[1]} pixels, {len(np.unique(y))} classes"
)

# %%
# The same numbers
# ----------------
# Only the import differs. With scikit-learn's own parameters, the same ``random_state``
# and float64, every epoch of both networks agrees to rounding.

X_scaled = StandardScaler().fit_transform(X_train[:1000]).astype(np.float64)
familiar = {"hidden_layer_sizes": (32,), "tol": 1e-2, "random_state": 0}
theirs = SklearnMLPClassifier(**familiar).fit(X_scaled, y_train[:1000])
ours = MLPClassifier(**familiar, dtype="float64").fit(X_scaled, y_train[:1000])

difference = np.abs(np.subtract(ours.loss_curve_, theirs.loss_curve_)).max()
print(
    f"\nDrop-in: after {ours.n_iter_} epochs with the same seed, the two loss curves"
    f" differ by at most {difference:.0e}"
)
assert difference < 1e-6

# %%
# The search
# ----------
# Dropout, maxout and the solvers are ordinary hyperparameters, so scikit-learn's tools
# apply as they are. Early stopping ends a fit when the score on a held-out tenth of its
# rows has not risen for 10 epochs; ``max_iter`` is a bound that no fit meets.

settings = {
    "hidden_layer_sizes": (64,),
    "batch_size": 64,
    "learning_rate_init": 0.005,
    "early_stopping": True,
    "n_iter_no_change": 10,
    "max_iter": 1000,
    "random_state": 0,
}
pipeline = Pipeline([("scale", StandardScaler()), ("mlp", MLPClassifier(**settings))])
grid = {
    "mlp__activation": ["relu", "maxout"],
    "mlp__dropout": [0.0, 0.25],
    "mlp__solver": ["sgd", "adam"],
}

# %%
# A search takes callbacks. This one prints a progress line; its hooks run in the worker
# processes, which count the finished fits together, one byte each, in a small file.


class ProgressLine:
    """Report how many of the fits of a search are done."""

    def __init__(self, n_fits):
        self.n_fits = n_fits

    def setup(self, estimator, context):
        self.folder = tempfile.TemporaryDirectory()
        self.tally = Path(self.folder.name) / "tally"
        self.start = time.time()

    def on_fit_task_begin(self, estimator, context):
        pass

    def on_fit_task_end(self, estimator, context):
        if context.task_name != "candidate-split-evaluation":
            return
        with self.tally.open("ab", buffering=0) as file:
            file.write(b".")
            done = file.tell()
        self.show(done)

    def show(self, done):
        bar = "#" * (24 * done // self.n_fits)
        line = f"  [{bar:<24}] {done:3d} of {self.n_fits} fits, "
        line += f"{time.time() - self.start:.0f} s"
        if sys.stdout.isatty():
            print(f"\r{line}", end="", flush=True)
        elif done % (self.n_fits // 4) == 0:  # a log file: a few lines, not hundreds
            print(line, flush=True)

    def teardown(self, estimator, context):
        self.folder.cleanup()
        if sys.stdout.isatty():
            print()

    def __getstate__(self):  # what travels to the workers
        return {name: v for name, v in vars(self).items() if name != "folder"}


def run_search(name, pipeline, grid, n_folds=3):
    """Search with cross-validation on two processes."""
    n_candidates = len(ParameterGrid(grid))
    line = f"\n{name}: {n_candidates} candidates x {n_folds} folds on two processes"
    print(line, flush=True)
    search = GridSearchCV(pipeline, grid, cv=n_folds, n_jobs=2)
    search.set_callbacks(ProgressLine(n_folds * n_candidates))
    return search.fit(X_train, y_train)


search = run_search("sk_deep", pipeline, grid)

# %%
# scikit-learn's own network goes through the same search, as far as it knows the
# options: it has neither maxout nor dropout.

sklearn_pipeline = clone(pipeline).set_params(mlp=SklearnMLPClassifier(**settings))
sklearn_search = run_search(
    "scikit-learn",
    sklearn_pipeline,
    {
        "mlp__activation": ["relu"],
        "mlp__solver": ["sgd", "adam"],
    },
)

# %%
# The candidates
# --------------
# The results are the familiar ``cv_results_``.


def print_candidates(results, n_best=5):
    """Print the best candidates and the last one."""
    columns = ["activation", "dropout", "solver"]
    print(f"\n{'rank':>4}  {'CV accuracy':<16}", end="")
    print("".join(f"{name:>12}" for name in columns), f"{'fit time':>10}")
    order = np.argsort(results["rank_test_score"], kind="stable")
    for place in [*range(n_best), len(order) - 1]:
        if place > n_best:
            print(f"{'...':>4}")
        i = order[place]
        mean, std = results["mean_test_score"][i], results["std_test_score"][i]
        values = [results["params"][i][f"mlp__{name}"] for name in columns]
        print(f"{place + 1:>4}  {mean:.4f} +- {std:.4f}", end="")
        print("".join(f"{value:>12}" for value in values), end="")
        print(f"{results['mean_fit_time'][i]:>9.2f} s")


print_candidates(search.cv_results_)

# %%
# The test
# --------
# Both winners meet the images that were put aside. The cross-validated accuracy of a
# winner flatters it, the more so the more candidates there were; the test does not. On
# a few hundred images a difference of a few errors is chance: see the standard error.

print(f"\n{'':<13} {'CV accuracy':>12} {'test accuracy':>20} {'test errors':>18}")
for name, fitted in [("sk_deep", search), ("scikit-learn", sklearn_search)]:
    accuracy = fitted.score(X_test, y_test)
    standard_error = np.sqrt(accuracy * (1 - accuracy) / len(X_test))
    errors = f"{np.sum(fitted.predict(X_test) != y_test)} of {len(X_test)}"
    print(f"{name:<13} {fitted.best_score_:>12.4f}", end=" ")
    print(f"{accuracy:>10.4f} +- {standard_error:.4f} {errors:>18}")
    assert accuracy > 0.9

# %%
# Save and load
# -------------
# The fitted pipeline is an ordinary scikit-learn object, made of numpy arrays and plain
# containers.

path = args.output / f"{args.data}.joblib"
joblib.dump(search.best_estimator_, path)
loaded = joblib.load(path)
identical = np.array_equal(loaded.predict_proba(X_test), search.predict_proba(X_test))
assert identical
print(f"\nSaved {path} ({path.stat().st_size / 1024:.0f} KiB);", end=" ")
print("loaded again, it gives identical predictions")

# %%
# How they learned
# ----------------
# ``loss_curve_`` and ``validation_scores_`` have scikit-learn's names. The dots are the
# epochs whose weights early stopping kept. Mind that a network with dropout is trained
# with units missing: its training loss lies above that of the whole network. Digits are
# an easy task, on which a plain network is good already: the search finds several
# recipes that serve as well, and none that is far ahead.

networks = {
    "scikit-learn": (sklearn_search.best_estimator_["mlp"], "#d9741a"),
    "sk_deep": (search.best_estimator_["mlp"], "#1a62b5"),
}


def describe(name, network):
    """Return the legend's text: the network and what its search chose."""
    chosen = [network.activation, network.solver]
    if getattr(network, "dropout", 0.0):
        chosen.insert(1, f"dropout {network.dropout:g}")
    return f"{name}: {', '.join(chosen)}"


style = {
    "font.size": 11,
    "figure.constrained_layout.w_pad": 0.12,
    "figure.constrained_layout.h_pad": 0.08,
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
    "ytick.minor.size": 0,
    "lines.linewidth": 2.2,
    "lines.solid_capstyle": "round",
}
with plt.rc_context(style):
    fig, (ax_loss, ax_score) = plt.subplots(
        ncols=2, figsize=(10.5, 4.8), layout="constrained"
    )
    dot = {"marker": "o", "linestyle": "", "mec": "white", "mew": 1.5, "ms": 10}
    ax_loss.plot([], [], color="0.5", label="kept by early stopping", **dot)
    for name, (network, color) in networks.items():
        scores = network.validation_scores_
        best = np.argmax(scores)
        epochs = np.arange(1, len(scores) + 1)
        for ax, curve in [(ax_loss, network.loss_curve_), (ax_score, scores)]:
            ax.plot(epochs, curve, color=color, label=describe(name, network))
            ax.plot(epochs[best], curve[best], color=color, zorder=3, **dot)
    ax_loss.set(title="Training loss", xlabel="epoch", yscale="log")
    ax_loss.yaxis.set_major_formatter("{x:g}")
    ax_score.set(title="Validation accuracy", xlabel="epoch")
    ax_score.set_ylim(bottom=max(0.9, ax_score.get_ylim()[0]))
    ax_score.yaxis.set_major_formatter(PercentFormatter(xmax=1, decimals=0))
    fig.legend(
        *ax_loss.get_legend_handles_labels(),
        loc="outside lower center",
        ncols=3,
        frameon=False,
        labelcolor="linecolor",
        reverse=True,
    )

picture = args.output / f"{args.data}_learning_curves.png"
fig.savefig(picture, dpi=160)
print(f"Learning curves: {picture}")
