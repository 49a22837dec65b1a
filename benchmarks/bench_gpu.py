"""Time of `fit` and of a batched search on a GPU, beside the CPU, torch and skorch.

    python benchmarks/bench_gpu.py
    python benchmarks/bench_gpu.py --quick --only search

What is timed is ``fit`` of the real estimators on float32 arrays of the host: the way
to the device and back is in it. The first turn, in which a process sets up its GPU,
does not count.
"""

import functools
from dataclasses import replace
from unittest import mock

import torch
from _common import Number, main, stopwatch, take_turns
from _contenders import Contender, Shape, fit_sk_deep, fit_skorch, fit_torch, fits
from bench_search import BATCHED_ONE, GRID, LARGE, digits, make_search

from sk_deep._engine import gradients

SHAPES = (
    Shape((30, 32, 2), batch_size=32, steps_per_epoch=100, epochs=10),
    Shape((64, 100, 10), batch_size=200, steps_per_epoch=100, epochs=10),
    Shape((784, 500, 500, 10), batch_size=128, steps_per_epoch=100, epochs=10),
    Shape((784, 500, 500, 10), batch_size=1024, steps_per_epoch=40, epochs=20),
    Shape((784, 2000, 2000, 10), batch_size=1024, steps_per_epoch=40, epochs=20),
)


def timed(call):
    """Return the seconds of a call, until the GPU has done all of it."""

    def to_the_end():
        call()
        if torch.cuda.is_available():
            torch.cuda.synchronize()

    return stopwatch(to_the_end)


def fit_without_graphs(shape, X, y, device):
    """Fit sk_deep's MLPClassifier, kernel by kernel."""
    with mock.patch.object(gradients, "Graphed", lambda way: way):
        return fit_sk_deep(shape, X, y, device)


def fit(report, quick, shapes=SHAPES, device="cuda"):
    """Time fits of networks from small to large."""
    on_gpu = {
        "sk_deep": fit_sk_deep,
        "without graphs": fit_without_graphs,
        "torch loop": fit_torch,
        "skorch": fit_skorch,
    }
    racers = {
        name: Contender(functools.partial(way, device=device))
        for name, way in on_gpu.items()
    }
    others = [name for name in racers if name != "sk_deep"]
    rows, seconds = [], {}
    for shape in shapes:
        n_turns = 1 if quick else 3
        timings = take_turns(fits(shape, racers), n_turns, timed)
        short = replace(shape, epochs=max(1, shape.epochs // 10))
        on_cpu = take_turns(fits(short, {"CPU": Contender(fit_sk_deep)}), n_turns)
        step = 1e6 * timings.median("sk_deep") / shape.n_steps
        cpu_step = 1e6 * on_cpu.median("CPU") / short.n_steps
        ratios = [timings.speed_up(name, "sk_deep") for name in others]
        rows.append([shape.name, *map(Number, (step, *ratios, cpu_step / step))])
        seconds[shape.name] = {**timings.seconds, **on_cpu.seconds}
    report.table(
        "A fit on the GPU",
        "Microseconds a step of sk_deep on the GPU, set-up and transfer included; and "
        "the other's time divided by ours. The CPU's fits have a tenth of the epochs.",
        ["network @ batch", "us a step", *others, "our CPU"],
        rows,
    )
    report.numbers["fit"] = seconds


def search(report, quick, tasks=(GRID, LARGE), device="cuda"):
    """Time a grid as one tensor program."""
    rows, numbers = [], {}
    for task in tasks:
        calls = {
            name: functools.partial(make_search(BATCHED_ONE, task, of).fit, *digits())
            for name, of in {"GPU": device, "CPU": "cpu"}.items()
        }
        timings = take_turns(calls, 1 if quick else 3, timed)
        best = [
            max(call.func.__self__.cv_results_["mean_test_score"])
            for call in calls.values()
        ]
        rows.append(
            [
                task.name,
                Number(timings.median("GPU")),
                Number(timings.median("CPU")),
                Number(timings.speed_up("CPU", "GPU")),
                *(f"{score:.3f}" for score in best),
            ]
        )
        numbers[task.name] = timings.seconds
    report.table(
        "A batched search on the GPU",
        "Seconds with `n_jobs=None`; and the CPU's time divided by the GPU's.",
        ["", "GPU", "CPU", "ratio", "best score, GPU", "best score, CPU"],
        rows,
    )
    report.numbers["search"] = numbers


SECTIONS = {"fit": fit, "search": search}

if __name__ == "__main__":
    main("gpu", __doc__.splitlines()[0], SECTIONS)
