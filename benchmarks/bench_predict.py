"""What a user waits for besides training: predictions, import, start of a fit.

python benchmarks/bench_predict.py
python benchmarks/bench_predict.py --quick --only predictions
"""

import functools
import operator
import statistics
import subprocess
import sys

import numpy as np
from _common import Number, draw_growth, main, stopwatch, take_turns
from _contenders import CONTENDERS, Shape, fits

NAMES = (
    "sklearn f64",
    "sklearn f32",
    "skorch f32",
    "torch f32",
    "sk_deep f64",
    "sk_deep f32",
)
PREDICTORS = {name: CONTENDERS[name] for name in NAMES}
RATIOS = {
    "f64 vs sklearn f64": ("sklearn f64", "sk_deep f64"),
    "f32 vs sklearn f32": ("sklearn f32", "sk_deep f32"),
}

# --------------------------------------------------------------------------------------
# Predictions
# --------------------------------------------------------------------------------------
SHAPES = (
    Shape((64, 100, 10), batch_size=200, steps_per_epoch=5, epochs=1),
    Shape((30, 256, 256, 256, 2), batch_size=256, steps_per_epoch=5, epochs=1),
)
N_CALLS = {1: 200, 100: 100, 10_000: 5, 100_000: 1}  # rows -> calls of a turn
TARGETS = {1: 1 / 1.5, 100_000: 1.0}  # rows -> speed-up


def measure(shape, n_turns):
    """Return the timings of predict_proba for each number of rows."""
    models = {name: fit() for name, fit in fits(shape, PREDICTORS).items()}
    X = np.random.RandomState(0).standard_normal((max(N_CALLS), shape.layers[0]))
    data = {np.float64: X, np.float32: X.astype(np.float32)}
    found = {}
    for n_rows, n_calls in N_CALLS.items():
        calls = {
            name: functools.partial(
                model.predict_proba, data[PREDICTORS[name].dtype][:n_rows]
            )
            for name, model in models.items()
        }
        timer = functools.partial(stopwatch, n_calls=n_calls)
        found[n_rows] = take_turns(calls, n_turns, timer)
    return found


def predictions(report, quick):
    """Time predict_proba, from one row to many."""
    found = {
        shape: measure(shape, n_turns=2 if quick else 9)
        for shape in SHAPES[: 1 if quick else None]
    }
    columns = [*PREDICTORS, *RATIOS]
    report.table(
        "predict_proba of one row, in microseconds",
        "Median latency; and speed-ups, the other's time divided by ours. `torch` is "
        "the module alone, a floor. In brackets the target; bold: missed.",
        ["network", *columns],
        [table_row(shape, 1, of[1], 1e6) for shape, of in found.items()],
    )
    report.table(
        "predict_proba, in milliseconds per 1000 rows",
        "As above.",
        ["network, rows", *columns],
        [
            table_row(shape, n_rows, timings, 1e6 / n_rows)
            for shape, of in found.items()
            for n_rows, timings in of.items()
            if n_rows > 1
        ],
    )
    report.numbers["predictions"] = {
        shape.name: {n_rows: timings.seconds for n_rows, timings in of.items()}
        for shape, of in found.items()
    }
    report.plot(
        "Rows per second of predict_proba",
        functools.partial(draw_predictions, found),
        n_panels=len(found),
    )


def network(shape):
    return "-".join(map(str, shape.layers))


def table_row(shape, n_rows, timings, factor):
    """Return a row: times, and speed-ups with their target."""
    target = TARGETS.get(n_rows, -np.inf)
    label = network(shape) + (f", {n_rows:,}" if n_rows > 1 else "")
    return [
        label,
        *(Number(factor * timings.median(name)) for name in PREDICTORS),
        *(Number(timings.speed_up(*pair), low=target) for pair in RATIOS.values()),
    ]


def draw_predictions(found, axes):
    """Draw rows per second over rows, a panel for each network."""
    for ax, (shape, of) in zip(axes, found.items(), strict=True):
        series = {
            name: [n_rows / timings.median(name) for n_rows, timings in of.items()]
            for name in PREDICTORS
        }
        draw_growth(ax, list(of), series)
        ax.set(title=network(shape), xlabel="rows of a call", ylabel="rows per second")


# --------------------------------------------------------------------------------------
# Import
# --------------------------------------------------------------------------------------
BASE = "torch, sklearn"
IMPORTS = (BASE, "torch, sklearn.neural_network, skorch", "sk_deep")


def import_seconds(modules):
    """Return the time of an import in a fresh interpreter."""
    code = (
        f"import time; start = time.perf_counter(); import {modules}; "
        "print(time.perf_counter() - start)"
    )
    command = [sys.executable, "-c", code]
    return float(subprocess.run(command, check=True, capture_output=True).stdout)


def imports(report, quick):
    """Time the import beside that of what it is built on."""
    calls = {modules: functools.partial(import_seconds, modules) for modules in IMPORTS}
    timings = take_turns(calls, n_turns=1 if quick else 7, timer=operator.call)
    ratios = {name: 1 / timings.speed_up(BASE, name) for name in IMPORTS}
    report.table(
        "Import",
        f"Milliseconds in a fresh interpreter, and times that of `import {BASE}`. "
        "In brackets the target; bold: missed.",
        ["import", "ms", "times"],
        [
            [
                f"`{name}`",
                Number(1e3 * timings.median(name)),
                Number(ratios[name], high=1.3 if name == "sk_deep" else np.inf),
            ]
            for name in IMPORTS
        ],
    )
    report.numbers["imports"] = timings.seconds


# --------------------------------------------------------------------------------------
# Start of a fit
# --------------------------------------------------------------------------------------
TINY = (30, 32, 2)
N_FURTHER = 20  # epochs of one step


def start(report, quick):
    """Time what a fit does besides its steps: a fit of one step, less that step."""
    calls = {
        (name, epochs): fit
        for epochs in (1, 1 + N_FURTHER)
        for name, fit in fits(Shape(TINY, 30, 1, epochs), PREDICTORS).items()
    }
    timer = functools.partial(stopwatch, n_calls=5)
    timings = take_turns(calls, n_turns=3 if quick else 15, timer=timer)
    rows = []
    for name in PREDICTORS:
        one, more = timings.seconds[name, 1], timings.seconds[name, 1 + N_FURTHER]
        step = [(b - a) / N_FURTHER for a, b in zip(one, more, strict=True)]
        start = statistics.median(a - b for a, b in zip(one, step, strict=True))
        target = 5 if name.startswith("sk_deep") else np.inf
        rows.append([name, Number(1e3 * start, high=target)])
    report.table(
        "Start of a fit",
        f"Milliseconds of a fit of {'-'.join(map(str, TINY))} to 30 rows, less its "
        "step. In brackets the target; bold: missed.",
        ["", "ms"],
        rows,
    )
    report.numbers["start"] = {
        f"{name}, {epochs} epochs": seconds
        for (name, epochs), seconds in timings.seconds.items()
    }


SECTIONS = {"predictions": predictions, "imports": imports, "start": start}

if __name__ == "__main__":
    main("predict", __doc__.splitlines()[0], SECTIONS)
