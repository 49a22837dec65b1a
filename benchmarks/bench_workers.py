"""What a second process brings: to a search by dask, to one fit by accelerate.

python benchmarks/bench_workers.py
python benchmarks/bench_workers.py --quick --only search

Each process has one thread, so that two need two free cores.
"""

import contextlib
import functools
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import joblib
import numpy as np
from _common import Number, ignore_convergence, main, stopwatch, take_turns
from sklearn.datasets import load_digits

from sk_deep import BatchedRandomizedSearchCV, MLPClassifier

# --------------------------------------------------------------------------------------
# A search
# --------------------------------------------------------------------------------------
SPACE = {
    "alpha": np.logspace(-5, 0, 20),
    "learning_rate_init": np.logspace(-3.5, -2, 20),
    "batch_size": [64, 128],
}


def make_search(quick):
    """Return a search of networks of one structure, in stacks of two batch sizes."""
    network = MLPClassifier(
        hidden_layer_sizes=(128, 128),
        max_iter=3 if quick else 20,
        n_iter_no_change=1000,
        random_state=0,
    )
    return BatchedRandomizedSearchCV(
        network, SPACE, n_iter=8 if quick else 48, cv=4, refit=False, random_state=0
    )


# Workers keep the memory that a step frees, and do not sample their own stack.
SETTINGS = {
    "distributed.nanny.pre-spawn-environ": {
        "OMP_NUM_THREADS": 1,
        "MALLOC_MMAP_THRESHOLD_": 2**25,
        "MALLOC_TRIM_THRESHOLD_": 2**28,
    },
    "distributed.worker.profile.enabled": False,
}


def _prepare():
    import torch

    torch.set_num_threads(1)
    ignore_convergence()


@contextlib.contextmanager
def workers(n_workers, data):
    """Start dask workers, and yield the function that fits a search on them."""
    import dask
    from dask.distributed import Client, LocalCluster

    options = {"n_workers": n_workers, "threads_per_worker": 1, "processes": True}
    with (
        dask.config.set(SETTINGS),
        LocalCluster(**options, dashboard_address=":0") as cluster,
        Client(cluster, set_as_default=False) as client,
    ):
        client.run(_prepare)

        def fit(search):
            with joblib.parallel_config("dask", client=client, scatter=list(data)):
                return search.fit(*data)

        fit(make_search(quick=True))  # the workers import what they need
        yield fit


def search(report, quick):
    """Time a search on one worker and on two."""
    X, y = load_digits(return_X_y=True)
    data = (X / 16).astype(np.float32), y
    scores = {}

    def run(n_workers, fit):
        found = fit(make_search(quick)).cv_results_["mean_test_score"]
        scores[n_workers] = found

    with workers(1, data) as one, workers(2, data) as two:
        calls = {n: functools.partial(run, n, fit) for n, fit in ((1, one), (2, two))}
        timings = take_turns(calls, n_turns=1 if quick else 3)
    speed_up = timings.speed_up(1, 2)
    difference = np.abs(scores[1] - scores[2]).max()
    report.table(
        "A batched search on dask workers",
        f"{make_search(quick).n_iter} candidates on 4 folds of the digits, "
        "64-128-128-10; one thread per worker. In brackets the target.",
        ["workers", "seconds", "speed-up", "largest difference of a score"],
        [
            ["1", Number(timings.median(1)), Number(1.0), Number(0.0)],
            [
                "2",
                Number(timings.median(2)),
                Number(speed_up, low=-np.inf if quick else 1.6),
                Number(difference, high=1e-9),
            ],
        ],
    )
    report.numbers["search"] = timings.seconds


# --------------------------------------------------------------------------------------
# One fit
# --------------------------------------------------------------------------------------
SHAPES = {  # hidden units, rows of a batch
    "100 @ 200": ((100,), 200),
    "512-512 @ 512": ((512, 512), 512),
    "1024-1024 @ 2048": ((1024, 1024), 2048),
}
N_ROWS, N_FEATURES = 2**13, 256


def fit_in_team():
    """Fit each shape in this process of a team; the first one prints the seconds."""
    import torch
    from accelerate import Accelerator

    torch.set_num_threads(1)
    ignore_convergence()
    accelerator = Accelerator(cpu=True)
    rng = np.random.default_rng(0)
    X = rng.standard_normal((N_ROWS, N_FEATURES), np.float32)
    y = X[:, 0] > 0
    found = {}
    for name, (units, batch_size) in SHAPES.items():
        model = MLPClassifier(
            units,
            batch_size=batch_size,
            max_iter=4,
            random_state=0,
            accelerator=accelerator,
        )
        start = time.perf_counter()
        model.fit(X, y)
        elapsed = (time.perf_counter() - start) / (4 * N_ROWS / batch_size)
        gradient = model.net_.module_.flat_grad
        seconds = stopwatch(lambda g=gradient: accelerator.reduce(g, "sum"), 20)
        found[name] = elapsed, seconds, gradient.numel(), model.loss_
    if accelerator.is_main_process:
        Path(sys.argv[2]).write_text(json.dumps(found))


def launch(n_processes):
    """Return what a team of processes found: seconds of a step, of a sum, the loss."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "found.json"
        torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
        command = [*torchrun, "--nproc-per-node", str(n_processes), __file__]
        subprocess.run(
            [*command, "team", str(path)],
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            check=True,
            capture_output=True,
        )
        return json.loads(path.read_text())


def fit(report, quick):
    """Time a step of one process and of two, and the sum of their gradients."""
    found = {n: launch(n) for n in (1, 2)}
    rows = []
    for name in SHAPES:
        one, _, n_weights, loss = found[1][name]
        two, reduction, _, loss_of_two = found[2][name]
        rows.append(
            [
                f"{N_FEATURES}-{name}",
                Number(n_weights),
                Number(1e3 * one),
                Number(1e3 * two),
                Number(one / two),
                Number(1e3 * reduction),
                Number(abs(loss - loss_of_two), high=1e-3),
            ]
        )
    report.table(
        "One fit on two processes",
        f"Milliseconds of a step, and of the sum of two processes' gradients in it; "
        f"{N_ROWS:,} rows of float32, one thread per process, gloo on one machine.",
        [
            "network",
            "parameters",
            "1 process",
            "2 processes",
            "speed-up",
            "sum",
            "difference of the loss",
        ],
        rows,
    )
    report.numbers["fit"] = found


SECTIONS = {"search": search, "fit": fit}

if __name__ == "__main__":
    if sys.argv[1:2] == ["team"]:
        fit_in_team()
    else:
        main("workers", __doc__.splitlines()[0], SECTIONS)
