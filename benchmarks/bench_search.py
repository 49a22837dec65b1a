"""Time and memory of a search that trains all candidates and folds together.

    python benchmarks/bench_search.py
    python benchmarks/bench_search.py --quick --only grid
    python benchmarks/bench_search.py --only growth memory

What is timed is ``fit`` of a search without its refit: the splits, the scaling in each
fold, all epochs and the scores are in it. ``--threads`` are those of this process;
the two worker processes of a search each have joblib's share of the cores.
"""

import functools
import math
from dataclasses import dataclass, replace

import numpy as np
import torch
from _common import (
    MB,
    Number,
    Timings,
    color,
    draw_growth,
    in_fresh_process,
    main,
    peak_growth,
    stopwatch,
    take_turns,
)
from _contenders import ALPHA, TorchModel
from joblib.externals.loky import get_reusable_executor
from sklearn.datasets import load_digits
from sklearn.model_selection import GridSearchCV, StratifiedKFold
from sklearn.neural_network import MLPClassifier as SklearnMLPClassifier
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler
from skorch import NeuralNetClassifier
from torch import nn

from sk_deep import BatchedGridSearchCV, MLPClassifier

N_FOLDS = 5


def digits():
    """Return X in float32, and y."""
    X, y = load_digits(return_X_y=True)
    return X.astype(np.float32), y


# --------------------------------------------------------------------------------------
# The searches
# --------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Task:
    """A grid of candidates, and how each of them is trained."""

    alphas: tuple[float, ...]
    rates: tuple[float, ...]
    hidden: tuple[tuple[int, ...], ...]
    batch_size: int
    epochs: int
    n_folds: int = N_FOLDS

    @property
    def n_candidates(self):
        return len(self.alphas) * len(self.rates) * len(self.hidden)

    @property
    def name(self):
        layers = " or ".join("-".join(map(str, (64, *h, 10))) for h in self.hidden)
        return (
            f"{self.n_candidates} candidates x {self.n_folds} folds of "
            f"{layers} @ {self.batch_size}, {self.epochs} epochs"
        )


def piped(network, grid):
    """Return a pipeline that scales for a network, and the network's grid in it."""
    pipeline = Pipeline([("scale", StandardScaler()), ("net", network)])
    return pipeline, {f"net__{name}": values for name, values in grid.items()}


def as_sklearn(network_class, task, **further):
    """Return the pipeline and the grid of either MLPClassifier."""
    network = network_class(
        batch_size=task.batch_size,
        max_iter=task.epochs,
        n_iter_no_change=np.inf,  # every side runs all its epochs
        random_state=0,
        **further,
    )
    grid = {
        "hidden_layer_sizes": task.hidden,
        "alpha": task.alphas,
        "learning_rate_init": task.rates,
    }
    return piped(network, grid)


def as_skorch(task):
    """Return the pipeline and the grid of plain skorch, which has its own names."""
    network = NeuralNetClassifier(
        TorchModel,
        criterion=nn.CrossEntropyLoss,
        optimizer=torch.optim.Adam,
        max_epochs=task.epochs,
        batch_size=task.batch_size,
        iterator_train__shuffle=True,
        train_split=None,
        callbacks__print_log=None,
        verbose=0,
        device="cpu",
    )
    grid = {
        "module__sizes": [(64, *hidden, 10) for hidden in task.hidden],
        "optimizer__weight_decay": [alpha / task.batch_size for alpha in task.alphas],
        "lr": task.rates,
    }
    return piped(network, grid)


BATCHED, BATCHED_ONE = "sk_deep batched, n_jobs=2", "sk_deep batched, n_jobs=None"
OURS = (BATCHED, BATCHED_ONE)
SK_DEEP, SKLEARN, SKORCH = "sk_deep, n_jobs=2", "sklearn, n_jobs=2", "skorch, n_jobs=2"
NAMES = (*OURS, SK_DEEP, SKLEARN, SKORCH)


def make_search(name, task, device="cpu"):
    """Return the search of a contender; the device is that of our networks."""
    options = {
        "cv": task.n_folds,
        "refit": False,
        "error_score": "raise",
        "n_jobs": None if name == BATCHED_ONE else 2,
    }
    if name == SKORCH:
        return GridSearchCV(*as_skorch(task), **options)
    if name == SKLEARN:
        return GridSearchCV(*as_sklearn(SklearnMLPClassifier, task), **options)
    kind = BatchedGridSearchCV if name in OURS else GridSearchCV
    return kind(*as_sklearn(MLPClassifier, task, device=device), **options)


@functools.cache
def stop_workers():
    """Stop earlier worker processes, once: new ones know the path of this folder."""
    get_reusable_executor().shutdown(wait=True)


def warm_up(names, task):
    """Let the two worker processes start and import all they need.

    A worker whose memory grew by an import may be replaced: each search is done twice.
    """
    stop_workers()
    tiny = replace(
        task, alphas=task.alphas[:2], rates=task.rates[:1], epochs=1, n_folds=2
    )
    for name in 2 * tuple(names):
        make_search(name, tiny).fit(*digits())


def run(name, search, X, y):
    """Fit a search; the name is for `timed`."""
    search.fit(X, y)


def timed(call):
    """Return the seconds of a search, and say them: it may take long."""
    seconds = stopwatch(call)
    print(f"  {call.args[0]}: {seconds:.2f} s", flush=True)
    return seconds


# --------------------------------------------------------------------------------------
# A grid beside others
# --------------------------------------------------------------------------------------
GRID = Task(
    alphas=(1e-5, ALPHA, 1e-3, 1e-2),
    rates=(1e-3, 3e-3, 1e-2),
    hidden=((32,), (64,)),
    batch_size=32,
    epochs=30,
)
LARGE = replace(GRID, hidden=((100,),), batch_size=200)
QUICK_EPOCHS = 10


def fraction_of(task, quick):
    """Return the part of a grid that skorch runs: all networks, one alpha."""
    rates = task.rates[:1] if quick else task.rates
    return replace(task, alphas=task.alphas[:1], rates=rates)


def race(task, names, n_turns, quick):
    """Return the timings of a task, in which skorch's are scaled up, and the scores."""
    tasks = {
        name: fraction_of(task, quick) if name == SKORCH else task for name in names
    }
    searches = {name: make_search(name, tasks[name]) for name in names}
    print(f"{task.name}: one turn to warm up, then {n_turns}", flush=True)
    warm_up(names, task)
    calls = {
        name: functools.partial(run, name, search, *digits())
        for name, search in searches.items()
    }
    timings = take_turns(calls, n_turns, timed)
    seconds = {
        name: [s * task.n_candidates / tasks[name].n_candidates for s in of]
        for name, of in timings.seconds.items()
    }
    scores = {name: s.cv_results_["mean_test_score"] for name, s in searches.items()}
    return Timings(seconds), scores


def contend(report, quick, key, task, targets):
    """Time the searches of a task; the others' names come with their targets."""
    if quick:
        task = replace(task, epochs=min(task.epochs, QUICK_EPOCHS))
    names = (*OURS, *targets)
    timings, scores = race(task, names, 1 if quick else 5, quick)
    labels, notes = {name: name for name in names}, []
    if SKORCH in names:
        part, whole = fraction_of(task, quick).n_candidates, task.n_candidates
        labels[SKORCH] = f"{SKORCH} (scaled)"
        notes.append(
            f" skorch ran {part} of the {whole} candidates, and its time is scaled up."
        )
    if SK_DEEP in names:
        apart = max(np.abs(scores[name] - scores[SK_DEEP]).max() for name in OURS)
        notes.append(
            f" A candidate's mean scores, batched and in `GridSearchCV`, differ by at "
            f"most {apart:.2g}."
        )
    rows = []
    for name in names:
        target = targets.get(name, -math.inf)
        times = [""] * len(OURS)
        if name in targets:
            times = [
                Number(timings.speed_up(name, BATCHED), low=target),
                Number(timings.speed_up(name, BATCHED_ONE)),
            ]
        best = f"{scores[name].max():.3f}"
        rows.append([labels[name], Number(timings.median(name)), *times, best])
    report.table(
        f"A search of {task.name}",
        "Seconds; and the other's time divided by ours. Digits in float32, scaled "
        "in a pipeline. The others are in `GridSearchCV`, whose worker "
        "processes (loky) run already and have imported all they need: their start-up "
        f"counts for nobody.{''.join(notes)} In brackets the target; bold: missed.",
        ["", "seconds", *(f"vs {name}" for name in OURS), "best mean score"],
        rows,
    )
    report.numbers[key] = {
        "seconds": timings.seconds,
        "mean_test_score": {name: list(of) for name, of in scores.items()},
    }
    report.plot(
        f"Time of a search\n{task.name}",
        functools.partial(draw_race, {labels[n]: timings.median(n) for n in names}),
        suffix=f"_{key}",
    )


def draw_race(seconds, axes):
    """Draw a bar for each contender."""
    (ax,) = axes
    names = list(reversed(seconds))  # the first at the top
    bars = ax.barh(
        [name.replace(", ", "\n") for name in names],
        [seconds[name] for name in names],
        color=[color(name.replace(",", " ")) for name in names],
    )
    ax.bar_label(bars, fmt="%.3g", padding=3)
    ax.set(xlabel="seconds")
    ax.margins(x=0.2)
    ax.grid(axis="y", visible=False)
    ax.tick_params(axis="y", length=0)


def grid(report, quick, task=GRID):
    """Time a grid of small networks in small batches."""
    targets = {SKLEARN: 6, SK_DEEP: 4, SKORCH: 20}
    contend(report, quick, "grid", task, targets)


def large(report, quick, task=LARGE):
    """Time a grid whose steps have more arithmetic."""
    contend(report, quick, "large", task, {SKLEARN: 2, SK_DEEP: -math.inf})


# --------------------------------------------------------------------------------------
# More members
# --------------------------------------------------------------------------------------
MEMBERS = (1, 5, 10, 20, 50, 100, 200)
STACK = Task((ALPHA,), (1e-3,), ((32,),), batch_size=32, epochs=10)


def search_of(n_members, task, **options):
    """Return a search of so many networks of a task: candidates by alpha, and folds.

    A single network is that of the first fold.
    """
    folds = list(StratifiedKFold(N_FOLDS).split(*digits()))[:n_members]
    alphas = np.logspace(-5, -2, n_members // len(folds))
    members = replace(task, alphas=tuple(map(float, alphas)))
    network, values = as_sklearn(MLPClassifier, members, device="cpu")
    return BatchedGridSearchCV(
        network, values, cv=folds, refit=False, error_score="raise", **options
    )


def growth(report, quick, sizes=MEMBERS, task=STACK):
    """Time a network's epoch as the networks beside it become more."""
    if quick:
        sizes, task = sizes[::2], replace(task, epochs=min(task.epochs, 5))
    calls = {
        n: functools.partial(run, f"{n} members", search_of(n, task), *digits())
        for n in sizes
    }
    timings = take_turns(calls, 1 if quick else 5, timed)
    microseconds = [1e6 * timings.median(n) / (n * task.epochs) for n in sizes]
    speed_ups = [n / sizes[0] * timings.speed_up(sizes[0], n) for n in sizes]
    report.table(
        "An epoch of a network, over the networks of a search",
        f"Microseconds: time of a search divided by networks and epochs; networks "
        f"64-{task.hidden[0][0]}-10 @ {task.batch_size}, {task.epochs} epochs, "
        f"`n_jobs=None`. Candidates by alpha x {N_FOLDS} folds; a single network is "
        f"that of one fold. The speed-up is over the search of {sizes[0]}.",
        ["networks", "seconds of the search", "microseconds", "speed-up"],
        [
            [f"{n:,}", Number(timings.median(n)), Number(time), Number(speed_up)]
            for n, time, speed_up in zip(sizes, microseconds, speed_ups, strict=True)
        ],
    )
    report.numbers["growth"] = timings.seconds
    report.plot(
        "An epoch of a network",
        functools.partial(draw_members, sizes, microseconds),
        suffix="_growth",
    )


def draw_members(sizes, microseconds, axes):
    """Draw the time of a network's epoch over the networks of a search."""
    (ax,) = axes
    draw_growth(ax, sizes, {"sk_deep batched": microseconds})
    ax.set(xlabel="networks of a search", ylabel="microseconds per network and epoch")


# --------------------------------------------------------------------------------------
# Memory
# --------------------------------------------------------------------------------------
BATCH_MEMBERS = (10, 50, 200, "auto")


def search_in_fresh_process(batch_members, n_members, task):
    """Return the MB by which the peak grows in a search, and its seconds."""
    search = search_of(n_members, task, batch_members=batch_members)
    X, y = digits()
    # A first search goes before, since it also loads code.
    search_of(N_FOLDS, replace(task, epochs=1)).fit(X, y)
    seconds = []
    grown = peak_growth(lambda: seconds.append(stopwatch(lambda: search.fit(X, y))))
    return {"mb": grown / MB, "seconds": seconds[0]}


def memory(report, quick, n_members=MEMBERS[-1], task=STACK):
    """Measure the growth of the peak memory, over how many networks are a stack."""
    settings = BATCH_MEMBERS[::3] if quick else BATCH_MEMBERS
    if quick:
        task = replace(task, epochs=min(task.epochs, 2))
    found = {
        str(setting): in_fresh_process(
            search_in_fresh_process, setting, n_members, task
        )
        for setting in settings
    }
    report.table(
        f"Memory of a search of {n_members} networks",
        "Growth of the peak resident memory in `fit` of a search, in MB, over what was "
        f"there before; networks 64-{task.hidden[0][0]}-10 @ {task.batch_size}, "
        f"{task.epochs} epochs, `n_jobs=None`, a process for each row.",
        ["`batch_members`", "MB", "seconds"],
        [[name, Number(of["mb"]), Number(of["seconds"])] for name, of in found.items()],
    )
    report.numbers["memory"] = found


SECTIONS = {"grid": grid, "large": large, "growth": growth, "memory": memory}

if __name__ == "__main__":
    main("search", __doc__.splitlines()[0], SECTIONS)
