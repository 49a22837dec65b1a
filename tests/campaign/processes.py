"""Faults of processes: forks, workers, threads, interrupts, failures, memory."""

import contextlib
import gc
import json
import os
import random
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import joblib
import numpy as np
import psutil
import torch
from sklearn.base import clone
from sklearn.datasets import load_iris

from campaign._common import Campaign, Outcome, quiet
from sk_deep import BatchedGridSearchCV, MLPClassifier, MLPRegressor, load, save

X, Y = load_iris(return_X_y=True)
SHORT = {"hidden_layer_sizes": (8,), "max_iter": 5, "random_state": 0}
LONGEST = 15  # seconds of four fits in workers
MAX_SLOPE = 20e3  # bytes of memory that a fit may leave


def _start(code, *args, **options):
    """Start a process that runs code, or a file of code."""
    path = os.pathsep.join(sys.path)
    environment = {**os.environ, "PYTHONPATH": path, "PYTHONWARNINGS": "ignore"}
    way = [] if isinstance(code, Path) else ["-c"]
    command = [sys.executable, *way, *map(str, (code, *args))]
    return subprocess.Popen(
        command, env=environment, text=True, stdout=subprocess.PIPE, **options
    )


def _tell(code, *args, seconds, **options):
    """Return what a process prints; nothing if it hangs."""
    with _start(code, *args, **options) as child:
        try:
            return child.communicate(timeout=seconds)[0]
        except subprocess.TimeoutExpired:
            child.kill()
            return ""


# ---- workers -------------------------------------------------------------------------

# a worker finds its function by name
WORK = """
import warnings
from sk_deep import MLPClassifier
from sklearn.datasets import load_iris
X, Y = load_iris(return_X_y=True)
def work(seed):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        params = dict(hidden_layer_sizes=(8,), max_iter=5, dropout=0.2,
                      early_stopping=True, random_state=seed)
        return MLPClassifier(**params).fit(X, Y).predict_proba(X)
"""
BACKENDS = """
import multiprocessing, sys, time, joblib, numpy as np
sys.path.insert(0, sys.argv[1])
from work import work
def with_threads():
    return joblib.Parallel(4, "threading")(joblib.delayed(work)(i) for i in range(4))
def with_loky():
    return joblib.Parallel(2, "loky")(joblib.delayed(work)(i) for i in range(4))
def with_fork():
    return multiprocessing.get_context("fork").Pool(2).map(work, range(4))
def with_joblib_fork():
    return joblib.Parallel(2, "multiprocessing")(
        joblib.delayed(work)(i) for i in range(4))
def with_spawn():
    return multiprocessing.get_context("spawn").Pool(2).map(work, range(4))
def with_dask():
    from dask.distributed import Client, LocalCluster
    with LocalCluster(2, threads_per_worker=2, dashboard_address=None) as cluster:
        with Client(cluster):
            with joblib.parallel_config("dask"):
                return joblib.Parallel()(joblib.delayed(work)(i) for i in range(4))
if __name__ == "__main__":
    expected = [work(i) for i in range(4)]
    start = time.perf_counter()
    found = globals()["with_" + sys.argv[2]]()
    seconds = time.perf_counter() - start
    print([bool(np.array_equal(*pair)) for pair in zip(found, expected)], seconds)
"""
NAMES = ("threads", "loky", "fork", "joblib_fork", "spawn", "dask")


def workers(n, folder):
    """Fit in threads and in processes of all kinds, after torch was used."""
    outcome = Outcome()
    (folder / "work.py").write_text(WORK)
    (folder / "main.py").write_text(BACKENDS)
    for name in NAMES[:: max(1, len(NAMES) // n)]:
        told = _tell(folder / "main.py", folder, name, seconds=60)
        same, _, seconds = told.rpartition(" ")
        for i in range(4):
            is_right = same == str([True] * 4) and float(seconds) < LONGEST
            outcome.check(is_right, f"{name}, fit {i}: {told!r:.100}")
    return outcome


@quiet
def predictions_in_threads(n, folder):
    """Predict in 8 threads at once, alone and beside training."""
    outcome = Outcome()
    params = {**SHORT, "dropout": 0.5, "normalization": "batch"}
    model = MLPClassifier(**params).fit(X, Y)
    expected = model.predict_proba(X)
    with ThreadPoolExecutor(8) as pool:
        for i, found in enumerate(pool.map(lambda _: model.predict_proba(X), range(n))):
            outcome.check(np.array_equal(found, expected), f"prediction {i}")
    model, twin = MLPClassifier(**params), MLPClassifier(**params)
    for one in (model, twin):
        one.partial_fit(X, Y, classes=np.unique(Y))
    legal = [twin.predict_proba(X)]
    legal += [twin.partial_fit(X, Y).predict_proba(X) for _ in range(20)]
    found, done = [], threading.Event()

    def predict():
        while not done.is_set():
            found.append(model.predict_proba(X))

    with ThreadPoolExecutor(4) as pool:
        for _ in range(4):
            pool.submit(predict)
        for _ in range(20):
            model.partial_fit(X, Y)
        done.set()
    for i, one in enumerate(found[:n]):
        is_legal = any(np.array_equal(one, other) for other in legal)
        outcome.check(is_legal, f"prediction {i} beside training")
    return outcome


# ---- interrupts and kills ------------------------------------------------------------

INTERRUPTED = """
import json, random, signal, sys, warnings
warnings.simplefilter("ignore")
import numpy as np
from sklearn.datasets import load_iris
from sklearn.model_selection import GridSearchCV
from sk_deep import BatchedGridSearchCV, MLPClassifier, RecipeSearchCV
X, Y = load_iris(return_X_y=True)
own = dict(hidden_layer_sizes=(8,), max_iter=30, tol=0, random_state=0)
fitted = MLPClassifier(**own).fit(X, Y)
large = np.tile(X, (2000, 1))
grid = {"alpha": [1e-4, 1e-3, 1e-2]}
def fit(): MLPClassifier(**own).fit(X, Y)
def refit(): fitted.set_params(max_iter=100).fit(X, Y)
def predict(): fitted.predict_proba(large)
def search(): GridSearchCV(MLPClassifier(**own), grid, cv=3).fit(X, Y)
def batched(): BatchedGridSearchCV(MLPClassifier(**own), grid, cv=3).fit(X, Y)
def recipe():
    RecipeSearchCV(MLPClassifier(**own), budget=60, cv=3, random_state=0).fit(X, Y)
signal.signal(signal.SIGALRM, lambda *args: signal.raise_signal(signal.SIGINT))
rng, told = random.Random(0), []
for call, longest in ((fit, 0.05), (refit, 0.2), (predict, 0.05), (search, 0.3),
                      (batched, 0.1), (recipe, 1.0)):
    for _ in range(int(sys.argv[1])):
        signal.setitimer(signal.ITIMER_REAL, rng.uniform(0.0005, longest))
        caught = False
        before = fitted.predict_proba(X)
        try:
            while True:
                call()
        except KeyboardInterrupt:
            caught = True
        found = fitted.predict_proba(X)
        is_usable = found.shape == (150, 3) and np.isfinite(found).all()
        is_left = call is refit or np.array_equal(found, before)
        told.append([call.__name__, bool(caught and is_usable and is_left)])
print(json.dumps(told))
"""


def interrupts(n, folder):
    """Interrupt fits, predictions and searches at random moments."""
    outcome = Outcome()
    told = _tell(INTERRUPTED, n, seconds=60 + 5 * n)
    for name, is_right in json.loads(told or '[["it hangs or fails", false]]'):
        outcome.check(is_right, f"interrupted {name}")
    return outcome


FIT = """
import os, sys, warnings
warnings.simplefilter("ignore")
import torch
torch.set_num_threads(1)
from sklearn.datasets import load_iris
from sk_deep import MLPClassifier, save
from sk_deep.callbacks import Checkpoint
X, Y = load_iris(return_X_y=True)
checkpoints, path = sys.argv[1:]
def fit():
    params = dict(max_iter=60, tol=0, dropout=0.2, normalization="batch",
                  early_stopping=True, random_state=0, n_iter_no_change=60)
    model = MLPClassifier((8,), callbacks=[Checkpoint(checkpoints)], **params)
    save(model.fit(X, Y).set_params(callbacks=None), path)
for line in sys.stdin:
    pid = os.fork()
    if pid == 0:
        fit()
        os._exit(0)
    print(pid, flush=True)
    os.waitpid(pid, 0)
    print("gone", flush=True)
"""


def kill_while_fitting(n, folder):
    """Kill a fit at random moments, again and again; it ends in the same weights."""
    outcome, rng = Outcome(), random.Random(0)
    path = folder / "model"

    def attempt(seconds):
        print("go", file=parent.stdin, flush=True)
        pid = int(parent.stdout.readline())
        if seconds is not None:
            time.sleep(seconds)
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, 9)
        parent.stdout.readline()

    with _start(FIT, folder / "checkpoints", path, stdin=subprocess.PIPE) as parent:
        attempt(None)
        expected = load(path).predict_proba(X)
        n_kills = 0
        while n_kills < n:
            path.unlink()
            while not path.exists() and n_kills < n:
                attempt(rng.uniform(0.01, 0.15))
                n_kills += 1
            if not path.exists():
                attempt(None)
            is_same = np.array_equal(load(path).predict_proba(X), expected)
            outcome.check(is_same, f"after kill {n_kills}")
        parent.stdin.close()
    outcome.n_tried = n_kills
    left = list((folder / "checkpoints").iterdir())
    if any(one.suffix == ".checkpoint" for one in left):
        outcome.wrong.append(f"left behind: {left}")
    return outcome


# ---- failures within a fit -----------------------------------------------------------

PLACES = {
    "optimizer": "sk_deep._engine.net.Net.train_step",
    "gradient": "sk_deep._engine.objective.Objective.gradient",
    "validation": "sk_deep._engine.net.Net.validation_step",
    "score": "sk_deep._engine.stopping.ValidationScore.on_epoch_end",
    "stopping": "sk_deep._engine.stopping.Stopping.on_epoch_end",
    "history": "sk_deep._engine.net.Net.record",
    "rates": "sk_deep._engine.net.Net._set_rates",
    "kept weights": "sk_deep._engine.kept_weights.KeptWeights.keep",
    "end of the epoch": "sk_deep._engine.net.Net.end_epoch",
    "batches": "sk_deep._data.batches.Batches.__iter__",
}
ERRORS = (RuntimeError, MemoryError, OSError, torch.OutOfMemoryError)


@quiet
def failures(n, folder):
    """Raise errors somewhere in a fit: the former model is left, the next fit works."""
    outcome = Outcome()
    params = {**SHORT, "early_stopping": True}
    expected = MLPClassifier(**{**params, "random_state": 1}).fit(X, Y).predict_proba(X)
    for name, place in list(PLACES.items())[:n]:
        for i, error in enumerate(ERRORS):
            model = MLPClassifier(**params).fit(X, Y)
            before = model.predict_proba(X)
            with _failing(place, error, at=1 + i):
                try:
                    model.set_params(random_state=1).fit(X, Y)
                    caught = None
                except error as found:
                    caught = found
            is_kept = np.array_equal(model.predict_proba(X), before)
            is_next = np.array_equal(model.fit(X, Y).predict_proba(X), expected)
            is_right = caught is not None and is_kept and is_next
            outcome.check(is_right, f"{error.__name__} in {name}: {caught}, {is_kept}")
    return outcome


@contextlib.contextmanager
def _failing(place, error, at):
    """Let a function fail at some call."""
    path, name = place.rsplit(".", 1)
    module, kind = path.rsplit(".", 1)
    owner = getattr(sys.modules[module], kind)
    original, n_calls = vars(owner)[name], 0

    def fail(*args, **kwargs):
        nonlocal n_calls
        n_calls += 1
        if n_calls == at:
            raise error("planted")
        return original(*args, **kwargs)

    setattr(owner, name, fail)
    try:
        yield
    finally:
        setattr(owner, name, original)


# ---- what calls must leave alone -----------------------------------------------------


@quiet
def memory(n, folder):
    """Fit, predict and pickle many times: memory does not grow."""
    model, process = (
        MLPClassifier(**{**SHORT, "max_iter": 2}).fit(X, Y),
        psutil.Process(),
    )
    buffer = folder / "pickle"
    calls = {
        "fit": (lambda: clone(model).fit(X, Y), n),
        "predict": (lambda: model.predict(X), 10 * n),
        "pickle": (lambda: joblib.dump(model, buffer) and joblib.load(buffer), n // 2),
        "save": (lambda: save(model, buffer) and load(buffer), n // 2),
    }
    outcome = Outcome()
    for name, (call, n_calls) in calls.items():
        for _ in range(50):
            call()
        gc.collect()
        sizes = []
        for _ in range(n_calls):
            call()
            sizes.append(process.memory_info().rss)
        slope = np.polyfit(np.arange(len(sizes)), sizes, 1)[0]
        outcome.notes[f"bytes a {name}"] = float(slope)
        outcome.check(slope <= MAX_SLOPE, f"{slope:.0f} bytes a {name}")
    return outcome


@quiet
def random_states(n, folder):
    """Call all there is: the process's random states are left as they were."""
    own = {**SHORT, "dropout": 0.2, "augmentation": "noise", "random_state": None}
    model = MLPClassifier(**own).fit(X, Y)
    grid = {"alpha": [1e-4, 1e-3]}
    calls = {
        "fit": lambda: MLPClassifier(**own).fit(X, Y),
        "refit": lambda: model.fit(X, Y),
        "partial_fit": lambda: model.partial_fit(X, Y),
        "predict": lambda: model.predict(X),
        "predict_proba": lambda: model.predict_proba(X),
        "predict_log_proba": lambda: model.predict_log_proba(X),
        "predict_proba_samples": lambda: model.predict_proba_samples(X, 3),
        "score": lambda: model.score(X, Y),
        "transform_hidden": lambda: model.transform_hidden(X),
        "clone": lambda: clone(model),
        "save": lambda: save(model, folder / "model"),
        "load": lambda: load(folder / "model"),
        "repr": lambda: repr(model),
        "html": lambda: model._repr_html_(),
        "ensemble": lambda: MLPClassifier(**own, n_members=2).fit(X, Y),
        "early stopping": lambda: MLPClassifier(**own, early_stopping=True).fit(X, Y),
        "lbfgs": lambda: MLPClassifier(solver="lbfgs", max_iter=3).fit(X, Y),
        "regressor": lambda: MLPRegressor(max_iter=2).fit(X, Y),
        "prediction of samples": lambda: (
            MLPRegressor(max_iter=2, dropout=0.1).fit(X, Y).predict_samples(X, 2)
        ),
        "search": lambda: BatchedGridSearchCV(model, grid, cv=2).fit(X, Y),
    }
    outcome = Outcome()
    for name, call in list(calls.items())[:n]:
        before = _global_states()
        call()
        outcome.check(_global_states() == before, name)
    return outcome


def _global_states():
    numpy_state = np.random.get_state()
    return (
        random.getstate(),
        (numpy_state[0], numpy_state[1].tobytes(), *numpy_state[2:]),
        torch.get_rng_state().numpy().tobytes(),
    )


CAMPAIGNS = {
    "workers": Campaign("faults", workers, 2, 6),
    "predictions in threads": Campaign("faults", predictions_in_threads, 50, 800),
    "SIGINT": Campaign("faults", interrupts, 1, 20),
    "kill -9 while fitting": Campaign("faults", kill_while_fitting, 1, 30),
    "failures in a fit": Campaign("faults", failures, 10, 10),
    "memory": Campaign("faults", memory, 40, 500),
    "random states": Campaign("faults", random_states, 20, 20),
}
