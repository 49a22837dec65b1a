"""What it costs that callbacks of scikit-learn watch a fit or a search.

    python benchmarks/bench_callbacks.py
    python benchmarks/bench_callbacks.py --quick --only fit

The same work is timed with and without callbacks, in turns. Bars are drawn as on a
terminal, ten times a second, by a thread of rich; where they are not drawn, as into a
file, what is left is the work of telling. Worker processes of a search start before.
"""

import contextlib
import functools
import io
import os
import warnings

import numpy as np
from _common import Number, main, take_turns
from joblib.externals.loky import get_reusable_executor
from sklearn.callback import ProgressBar
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV
from sklearn.neural_network import MLPClassifier as SklearnMLPClassifier
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

from sk_deep import BatchedGridSearchCV, MLPClassifier

LARGEST = 3.0  # percent
EPOCHS = 200
DATA = {"return_X_y": True}
OURS = functools.partial(MLPClassifier, device="cpu")


class Terminal(io.StringIO):
    """A terminal that nobody looks at."""

    def isatty(self):
        return True


class Counts:
    """The least that a callback can do."""

    def setup(self, estimator, context):
        self.n_tasks = 0

    def teardown(self, estimator, context):
        pass

    def on_fit_task_begin(self, estimator, context):
        pass

    def on_fit_task_end(self, estimator, context):
        self.n_tasks += 1


def bars():
    """Return a progress bar for all levels."""
    return ProgressBar(max_propagation_depth=None)


BARS = {
    "ProgressBar()": (ProgressBar,),
    "of all levels": (bars,),
    "of all levels, not drawn": (bars, io.StringIO),
}


def fit_watched(make_model, make_callback=None, screen=Terminal):
    """Fit a new model, perhaps while a new callback watches."""
    model = make_model()
    if make_callback is not None:
        model.set_callbacks(make_callback())
    with contextlib.redirect_stdout(screen()), warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        warnings.filterwarnings("ignore", ".* does not support callbacks")
        model.fit(*load_digits(**DATA))


def network(epochs, kind=OURS):
    """Return a network that trains for all its epochs, of about two milliseconds."""
    return kind((100,), max_iter=epochs, n_iter_no_change=np.inf, random_state=0)


def search(kind, n_jobs, net):
    """Return a search over a pipeline that ends in a network."""
    pipeline = Pipeline([("scale", StandardScaler()), ("net", net)])
    return kind(pipeline, {"net__alpha": [1e-4, 1e-3]}, cv=3, n_jobs=n_jobs)


def race(make_model, callbacks, n_turns, high=LARGEST):
    """Return a row of the table: seconds without, and percent more with callbacks."""
    calls = {
        name: functools.partial(fit_watched, make_model, *watch)
        for name, watch in {"none": (), **callbacks}.items()
    }
    timings = take_turns(calls, n_turns)
    # speed_up is their time by ours: here that with a callback by that without
    more = [100 * (timings.speed_up(name, "none") - 1) for name in callbacks]
    return [Number(timings.median("none")), *(Number(n, high=high) for n in more)]


def fit(report, quick, epochs=EPOCHS):
    callbacks = {"counts": (Counts,), **BARS}
    row = race(functools.partial(network, epochs), callbacks, 9 if quick else 25)
    report.table(
        "A fit",
        f"Digits, 64-100-10, {epochs} epochs. One callback does nothing but count the "
        "epochs, the others are a ProgressBar.",
        ["", "seconds without", "percent more: counts", *BARS],
        [["MLPClassifier", *row]],
    )
    report.numbers["fit"] = [number.value for number in row]


def searches(report, quick, epochs=EPOCHS):
    cases = [(GridSearchCV, None), (GridSearchCV, 2), (BatchedGridSearchCV, None)]
    n_turns = 5 if quick else 15
    rows = []
    for kind, n_jobs in cases:
        make_model = functools.partial(search, kind, n_jobs, network(epochs))
        row = race(make_model, BARS, n_turns)
        rows.append([f"{kind.__name__}, n_jobs={n_jobs}", *row])
    theirs = network(epochs, SklearnMLPClassifier)
    make_model = functools.partial(search, GridSearchCV, None, theirs)
    row = race(make_model, BARS, n_turns, high=np.inf)
    rows.append(["GridSearchCV of scikit-learn's network", *row])
    get_reusable_executor().shutdown(wait=True)
    report.table(
        "A search",
        f"2 candidates x 3 folds of a scaled 64-100-10, {epochs} epochs, and the "
        "refit. A ProgressBar has bars for search and pipelines; one of all levels for "
        "the networks, too. The last row has no target.",
        ["", "seconds without", *(f"percent more: {name}" for name in BARS)],
        rows,
    )
    report.numbers["searches"] = {name: [n.value for n in row] for name, *row in rows}


if __name__ == "__main__":
    os.environ["TERM"] = "xterm-256color"
    main("callbacks", __doc__.splitlines()[0], {"fit": fit, "searches": searches})
