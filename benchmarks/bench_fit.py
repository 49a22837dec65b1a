"""Time and memory of `fit`: sk_deep beside scikit-learn, skorch and a torch loop.

    python benchmarks/bench_fit.py
    python benchmarks/bench_fit.py --quick --only steps
    python benchmarks/bench_fit.py --threads 1

What is timed is ``fit`` of the real estimators, divided by the number of training
steps: shuffling, batches, forward, backward, Adam, penalty, history and the set-up of
the fit are all in it.
"""

import functools
import itertools
import statistics
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from _common import (
    MB,
    Number,
    color,
    in_fresh_process,
    main,
    peak_growth,
    take_turns,
)
from _contenders import (
    CONTENDERS,
    Contender,
    Shape,
    fit_sk_deep,
    fit_torch,
    fits,
)
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.model_selection import GridSearchCV
from sklearn.neural_network import MLPClassifier as SklearnMLPClassifier

from sk_deep import MLPClassifier

LARGE = Shape((784, 500, 500, 10), batch_size=100, steps_per_epoch=20, epochs=2)
SMALL = (
    Shape((64, 100, 10), batch_size=200, steps_per_epoch=10, epochs=40),
    Shape((30, 32, 2), batch_size=32, steps_per_epoch=20, epochs=40),
    Shape((30, 100, 2), batch_size=200, steps_per_epoch=100, epochs=5),
)
SHAPES = (
    *SMALL,
    LARGE,
    Shape((30, 256, 256, 256, 2), batch_size=256, steps_per_epoch=20, epochs=3),
)


# --------------------------------------------------------------------------------------
# A training step
# --------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Ratio:
    """How many times as fast as another we are to be; some shapes have own targets."""

    name: str
    other: str
    ours: str
    target: float
    of_shape: Mapping[Shape, float] = field(default_factory=dict)

    def number(self, shape, timings):
        """Return the speed-up with its target."""
        target = self.of_shape.get(shape, self.target)
        return Number(timings.speed_up(self.other, self.ours), low=target)


RATIOS = (
    Ratio("auto vs sklearn f64", "sklearn f64", "sk_deep auto", 1.5, {LARGE: 3.0}),
    Ratio("float32 vs sklearn f64", "sklearn f64", "sk_deep f64 to f32", 2.0),
    Ratio("float64 vs sklearn f64", "sklearn f64", "sk_deep f64", 1.2),
    Ratio("f32 vs sklearn f32", "sklearn f32", "sk_deep f32", 1.5),
    Ratio(
        "f32 vs skorch f32",
        "skorch f32",
        "sk_deep f32",
        1.3,
        dict.fromkeys(SMALL, 5.0),
    ),
    Ratio(
        "f32 vs torch loop", "torch f32", "sk_deep f32", 1.0, dict.fromkeys(SMALL, 1.5)
    ),
)


def steps(report, quick):
    """Time a training step of all contenders."""
    n_turns = 2 if quick else 9
    found = {
        shape: take_turns(fits(shape, CONTENDERS), n_turns=n_turns) for shape in SHAPES
    }
    microseconds = {
        shape: {name: 1e6 * timings.median(name) / shape.n_steps for name in CONTENDERS}
        for shape, timings in found.items()
    }
    report.table(
        "A training step, in microseconds",
        "Time of `fit` divided by the number of steps. In `auto` and `f64 to f32` "
        '`dtype` is "auto" and "float32", and X is float64.',
        ["network @ batch", *CONTENDERS],
        [[s.name, *map(Number, row.values())] for s, row in microseconds.items()],
    )
    report.table(
        "A training step, speed-ups",
        "The other's time divided by ours. In brackets the target; bold: missed.",
        ["network @ batch", *(ratio.name for ratio in RATIOS)],
        [
            [shape.name, *(ratio.number(shape, timings) for ratio in RATIOS)]
            for shape, timings in found.items()
        ],
    )
    report.numbers["steps"] = {s.name: t.seconds for s, t in found.items()}
    report.plot(
        "Time of a training step",
        functools.partial(draw_steps, microseconds),
        n_panels=len(found),
    )


def draw_steps(microseconds, axes):
    """Draw a panel of bars for each network."""
    for ax, (shape, row) in zip(axes, microseconds.items(), strict=True):
        names = list(reversed(row))  # the first at the top
        bars = ax.barh(names, [row[name] for name in names], color=[*map(color, names)])
        ax.bar_label(bars, fmt="%.0f", padding=3)
        ax.set(title=shape.name, xlabel="microseconds per step")
        ax.margins(x=0.2)
        ax.grid(axis="y", visible=False)
        ax.tick_params(axis="y", length=0)


# --------------------------------------------------------------------------------------
# Dropout
# --------------------------------------------------------------------------------------
DROPPERS = {"sk_deep f32": functools.partial(fit_sk_deep, dtype="float32")}
DROPPERS["torch f32"] = fit_torch
MAX_EXTRA = {"sk_deep f32": 25}  # percent


def dropout(report, quick, shape=LARGE):
    """Time a training step without and with dropout."""
    contenders = {}
    for name, fit in DROPPERS.items():
        contenders[name] = Contender(fit)
        contenders[f"{name} dropout"] = Contender(functools.partial(fit, dropout=0.5))
    timings = take_turns(fits(shape, contenders), n_turns=3 if quick else 15)
    rows = []
    for name in DROPPERS:
        both = (name, f"{name} dropout")
        times = [Number(1e6 * timings.median(n) / shape.n_steps) for n in both]
        extra = 100 * (1 / timings.speed_up(*both) - 1)
        rows.append([name, *times, Number(extra, high=MAX_EXTRA.get(name, np.inf))])
    report.table(
        f"Dropout of 0.5 on the hidden layers of {shape.name}",
        "Microseconds per step. In brackets the target; bold: missed.",
        ["", "without", "with dropout", "extra time, %"],
        rows,
    )
    report.numbers["dropout"] = timings.seconds


# --------------------------------------------------------------------------------------
# Memory
# --------------------------------------------------------------------------------------
FED = ("sklearn f64", "sklearn f32", "torch f32", "sk_deep f64", "sk_deep f32")
CONVERTED = ("sk_deep f64 to f32",)  # X becomes another dtype
QUICK = ("sklearn f32", "sk_deep f32", *CONVERTED)


def fit_in_fresh_process(name, shape):
    """Return the seconds and MB of a process's first fit, and the MB of a large one."""
    contender = CONTENDERS[name]
    rng = np.random.default_rng(0)
    # No temporary arrays here: the fit would reuse their memory unseen.
    n_rows = shape.batch_size * shape.steps_per_epoch
    X = rng.standard_normal((n_rows, shape.layers[0]), dtype=contender.dtype)
    y = rng.integers(shape.layers[-1], size=n_rows)
    few = slice(0, 2 * shape.batch_size)
    start = time.perf_counter()
    first = peak_growth(lambda: contender.fit(shape, X[few], y[few]))
    seconds = time.perf_counter() - start
    large = peak_growth(lambda: contender.fit(shape, X, y))
    return {"first_s": seconds, "first_mb": first / MB, "mb": large / MB}


def memory_bound(name, shape):
    """Return what sk_deep may need: X once if converted, parameters and a rest; MB."""
    size = 8 if name == "sk_deep f64" else 4
    n_values = shape.batch_size * shape.steps_per_epoch * shape.layers[0]
    copy = size * n_values if name in CONVERTED else 0
    return 50 + (copy + 3 * size * shape.n_parameters) / MB


def memory(report, quick):
    """Measure the growth of the peak memory in a fit, each in a fresh process."""
    names = QUICK if quick else (*FED, *CONVERTED)
    shapes = {
        n_rows: Shape((100, 100, 10), 200, steps_per_epoch=n_rows // 200, epochs=1)
        for n_rows in ([100_000] if quick else [100_000, 300_000])
    }
    found = {
        name: {
            n: in_fresh_process(fit_in_fresh_process, name, shapes[n]) for n in shapes
        }
        for name in names
    }
    rows = []
    for name, of in found.items():
        ours = name.startswith("sk_deep")
        bounds = [memory_bound(name, s) if ours else np.inf for s in shapes.values()]
        numbers = [
            Number(fit["mb"], high=bound)
            for fit, bound in zip(of.values(), bounds, strict=True)
        ]
        firsts = [
            Number(statistics.median(fit[key] for fit in of.values()))
            for key in ("first_s", "first_mb")
        ]
        rows.append([name, *numbers, *firsts])
    report.table(
        "Memory of a fit",
        "Growth of the peak resident memory in `fit`, in MB, over what was there "
        "before, X included; rows of 100 features, a process for each fit. In brackets "
        "the bound: X once in the network's dtype, zero where it has it, + 50 MB + 3 x "
        "parameters; bold: missed. A small fit goes before, since the first one of a "
        "process also loads code; the last columns are of that one.",
        ["", *(f"{n:,} rows" for n in shapes), "first fit, s", "first fit, MB"],
        rows,
    )
    report.numbers["memory"] = found


# --------------------------------------------------------------------------------------
# A search in two processes
# --------------------------------------------------------------------------------------
GRID = {
    "hidden_layer_sizes": [50, 100],
    "alpha": [1e-4, 1e-2],
    "learning_rate_init": [1e-3, 1e-2],
}
SEARCHED = {
    "sklearn f64": SklearnMLPClassifier(),
    "sk_deep auto": MLPClassifier(device="cpu"),
}


def search(report, quick, epochs=(30, 100)):
    """Time a grid search of 24 small fits with one and with two jobs."""
    X, y = load_digits(return_X_y=True)
    calls = {}
    names = ["sk_deep auto"] if quick else list(SEARCHED)
    for name, n in itertools.product(names, epochs[:1] if quick else epochs):
        estimator = clone(SEARCHED[name])
        estimator.set_params(max_iter=n, n_iter_no_change=np.inf, random_state=0)
        for n_jobs in (1, 2):
            grid = GridSearchCV(estimator, GRID, cv=3, refit=False, n_jobs=n_jobs)
            call = functools.partial(grid.fit, X / 16, y)
            calls[f"{name}, {n} epochs", n_jobs] = call
    timings = take_turns(calls, n_turns=1 if quick else 5)
    rows = []
    for name in dict.fromkeys(name for name, _ in calls):
        both = ((name, 1), (name, 2))
        target = 1.6 if name.startswith("sk_deep") else -np.inf
        speed_up = Number(timings.speed_up(*both), low=target)
        rows.append([name, *(Number(timings.median(n)) for n in both), speed_up])
    report.table(
        "GridSearchCV of 24 small fits",
        "Seconds, digits, 8 candidates x 3 folds; the two processes (loky) run "
        "already. What joblib spends on a fit is the same for short and long ones. In "
        "brackets the target; bold: missed.",
        ["", "n_jobs=1", "n_jobs=2", "speed-up"],
        rows,
    )
    report.numbers["search"] = {
        f"{name}, n_jobs={n_jobs}": seconds
        for (name, n_jobs), seconds in timings.seconds.items()
    }


SECTIONS = {"steps": steps, "dropout": dropout, "memory": memory, "search": search}

if __name__ == "__main__":
    main("fit", __doc__.splitlines()[0], SECTIONS)
