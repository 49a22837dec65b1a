"""Promises 18 to 30: processes, threads, memory, interrupts."""

import gc
import os
import signal
import subprocess
import sys
import tempfile
import threading
import warnings
import weakref
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import joblib
import numpy as np
import pandas as pd
import psutil
import pytest
import torch
from faults import in_fork
from sklearn.model_selection import GridSearchCV
from skorch.callbacks import Callback

import sk_deep
from sk_deep import BatchedGridSearchCV, MLPClassifier, MLPRegressor
from sk_deep.callbacks import Checkpoint

RNG = np.random.RandomState(0)
X = RNG.standard_normal((200, 5))
Y = (X[:, 0] + X[:, 1] ** 2 > 1).astype(int)
SHORT = {"hidden_layer_sizes": (8,), "max_iter": 4, "random_state": 0}
SEEDS = range(4)
pytestmark = [
    pytest.mark.processes,
    pytest.mark.skipif(not hasattr(os, "fork"), reason="POSIX is meant"),
]


def fit_and_predict(seed):
    """Fit a network with all that draws random numbers; predict."""
    model = MLPClassifier(**{**SHORT, "random_state": seed}, dropout=0.2)
    return model.fit(X, Y).predict_proba(X)


def run(code, *args, **options):
    """Run code in a process of its own; return what it prints."""
    path = os.pathsep.join([str(Path(sk_deep.__file__).parent.parent), *sys.path])
    environment = {**os.environ, "PYTHONPATH": path, "PYTHONWARNINGS": "ignore"}
    command = [sys.executable, "-c", code, *map(str, args)]
    return subprocess.run(
        command, check=True, text=True, capture_output=True, env=environment, **options
    ).stdout


FORK = """
import os, signal, sys, numpy as np, torch
from sk_deep import MLPClassifier
X = np.random.RandomState(0).standard_normal((4000, 100)).astype("f4")
def work():
    model = MLPClassifier((400,), batch_size=2000, max_iter=2, random_state=0)
    return model.fit(X, X[:, 0] > 0).predict_proba(X)
torch.set_num_threads(2)
expected = work()  # steps so large that torch's threads run
pid = os.fork()
if pid == 0:
    found = work()
    os._exit(0 if np.allclose(found, expected, atol=1e-5) else 3)
signal.signal(signal.SIGALRM, lambda *args: os.kill(pid, signal.SIGKILL))
signal.alarm(10)
print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
"""


def test_promise_18_a_forked_child_does_not_hang():
    assert run(FORK).strip() == "0"


def test_promise_18_a_forked_child_fits_as_its_parent():
    expected = fit_and_predict(0)
    np.testing.assert_array_equal(in_fork(lambda: fit_and_predict(0)), expected)


THREADS = """
import joblib, numpy as np, torch
from sk_deep import MLPClassifier
from sklearn.model_selection import cross_validate
X = np.random.RandomState(0).standard_normal((50, 3))
def threads():
    before = torch.get_num_threads()
    model = MLPClassifier(max_iter=2).fit(X, X[:, 0] > 0)
    model.predict(X)
    assert torch.get_num_threads() == before
    return before
torch.set_num_threads(3)
assert threads() == 3
found = joblib.Parallel(n_jobs=2)(joblib.delayed(threads)() for _ in range(4))
print(max(found) * 2 <= max(2, joblib.cpu_count()))
"""


def test_promise_19_no_more_threads_than_cores():
    assert run(THREADS).strip() == "True"


class Children(Callback):
    """Counts this process's children in each epoch."""

    most = 0

    def on_epoch_end(self, net, **kwargs):
        n = len(psutil.Process().children(recursive=True))
        type(self).most = max(self.most, n)


def test_promise_20_no_process_is_started():
    before = len(psutil.Process().children(recursive=True))
    model = MLPClassifier(**SHORT, callbacks=[Children()]).fit(X, Y)
    model.predict(X)
    assert max(Children.most, len(psutil.Process().children(recursive=True))) == before


def test_promise_21_cuda_is_left_alone():
    code = (
        "import torch, sk_deep\n"
        "model = sk_deep.MLPClassifier(max_iter=2, device='cpu')\n"
        "model.fit([[0.0], [1.0]] * 9, [0, 1] * 9)\n"
        "print(torch.cuda.is_initialized())"
    )
    assert run(code).strip() == "False"


def test_promise_21_a_bad_fork_is_told(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr("sk_deep._estimator.plan.is_in_bad_fork", lambda: True)
    with pytest.raises(RuntimeError, match="loky"):
        MLPClassifier(**SHORT, device="cuda").fit(X, Y)


class Calls(Callback):
    """Calls a function after each epoch."""

    def __init__(self, function):
        self.function = function

    def on_epoch_end(self, net, **kwargs):
        self.function()


def full_device():
    raise torch.OutOfMemoryError("CUDA out of memory.")


def full_for_torch():
    torch.empty(2**50)


def full_for_numpy():
    np.empty(2**50)


@pytest.mark.parametrize("search", [GridSearchCV, BatchedGridSearchCV])
@pytest.mark.parametrize(
    ("fill", "kind"),
    [
        (full_device, torch.OutOfMemoryError),
        (full_for_torch, MemoryError),
        (full_for_numpy, MemoryError),
    ],
)
def test_promise_22_out_of_memory_is_raised(search, fill, kind):
    model = MLPClassifier(**SHORT, callbacks=[Calls(fill)])
    with pytest.raises(kind, match=r"(?s)batch_size.*n_jobs"):
        model.fit(X, Y)
    options = {"error_score": "raise"} if search is GridSearchCV else {}
    with pytest.raises(kind, match=r"(?s)batch_size.*n_jobs"):
        search(model, {"alpha": [1, 2]}, cv=2, **options).fit(X, Y)


def test_promise_23_no_file_is_written(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    written = []

    def listen(event, args):
        if event == "open" and is_on and set(str(args[1])) & set("wax+"):
            written.append(args)

    is_on = True
    sys.addaudithook(listen)
    MLPClassifier(**SHORT, early_stopping=True).fit(X, Y).predict(X)
    is_on = False
    assert written == []
    folder = tmp_path / "checkpoints"
    seen = set()

    class Look(Callback):
        def on_epoch_end(self, net, **kwargs):
            seen.update(os.listdir(folder))

    for alpha in (0, 1, 2):
        callbacks = [Checkpoint(folder), Look()]
        MLPClassifier(**SHORT, alpha=alpha, callbacks=callbacks).fit(X, Y)
    assert len({name for name in seen if name.endswith(".checkpoint")}) == 3


def _memory_map(array):
    path = Path(tempfile.mkdtemp()) / "array"
    path.write_bytes(array.tobytes())
    return np.memmap(path, dtype=array.dtype, shape=array.shape, mode="r")


def _read_only(array):
    array = array.copy()
    array.flags.writeable = False
    return array


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("make", [_read_only, _memory_map, pd.DataFrame])
def test_promise_24_read_only_data(make, dtype):
    own = make(X.astype(dtype))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", ".*Maximum iterations")
        found = MLPClassifier(**SHORT).fit(own, _read_only(Y)).predict_proba(own)
    np.testing.assert_array_equal(np.asarray(own), X.astype(dtype))
    expected = MLPClassifier(**SHORT).fit(X.astype(dtype), Y)
    expected = expected.predict_proba(X.astype(dtype))
    np.testing.assert_allclose(
        found, expected, rtol=1e-5 if dtype == "float32" else 1e-12
    )


MEMORY = """
import numpy as np, warnings
from pathlib import Path
from sk_deep import MLPClassifier
def peak():
    status = Path("/proc/self/status").read_text()
    return 1024 * int(status.partition("VmHWM:")[2].split()[0])
X = np.ones((500_000, 50), dtype="f4")
X[::2] = 0
y = X[:, 0].astype(int)
model = MLPClassifier((4,), max_iter=1, batch_size=1000)
model.fit(X[:2000], y[:2000]).predict(X[:2000])
Path("/proc/self/clear_refs").write_text("5")
before = peak()
model.fit(X, y)
print((peak() - before) / X.nbytes)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="of Linux")
def test_promise_25_data_is_not_copied():
    assert float(run(MEMORY)) < 1


def test_promise_26_predictions_beside_predictions():
    model = MLPClassifier(**SHORT, dropout=0.5, normalization="batch").fit(X, Y)
    expected = model.predict_proba(X)
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: model.predict_proba(X), range(100)))
    assert all(np.array_equal(one, expected) for one in found)


def test_promise_26_predictions_beside_training():
    """Each is that of the weights of some whole epoch."""
    params = {**SHORT, "dropout": 0.5, "normalization": "batch"}
    model = MLPClassifier(**params).partial_fit(X, Y, classes=[0, 1])
    twin = MLPClassifier(**params).partial_fit(X, Y, classes=[0, 1])
    legal = [twin.predict_proba(X)]
    for _ in range(20):
        legal.append(twin.partial_fit(X, Y).predict_proba(X))
    found, done = [], threading.Event()

    def predict():
        while not done.is_set():
            found.append(model.predict_proba(X))

    with ThreadPoolExecutor(2) as pool:
        jobs = [pool.submit(predict) for _ in range(2)]
        for _ in range(20):
            model.partial_fit(X, Y)
        done.set()
        for job in jobs:
            job.result()
    assert len(found) > 5
    assert all(any(np.array_equal(one, other) for other in legal) for one in found)


@pytest.mark.parametrize("backend", ["threading", "loky"])
def test_promise_27_fits_side_by_side_are_fits_one_by_one(backend):
    expected = [fit_and_predict(seed) for seed in SEEDS]
    found = joblib.Parallel(n_jobs=4, backend=backend)(
        joblib.delayed(fit_and_predict)(seed) for seed in SEEDS
    )
    np.testing.assert_array_equal(found, expected)


def test_promise_28_memory_does_not_grow():
    model = MLPClassifier(**{**SHORT, "max_iter": 1})
    process = psutil.Process()
    for i in range(150):
        model.set_params(random_state=i).fit(X, Y).predict(X)
        if i == 50:
            gc.collect()
            before = process.memory_info().rss
    gc.collect()
    assert process.memory_info().rss - before <= 10e6


def test_promise_28_the_former_network_is_let_go():
    model = MLPClassifier(**SHORT).fit(X, Y)
    former = weakref.ref(model.net_.module_)
    model.fit(X, Y)
    gc.collect()
    assert former() is None


class Interrupt(Callback):
    """Sends the process what Ctrl-C sends, at some epoch of some fit."""

    n_epochs = 0

    def __init__(self, at):
        self.at = at

    def on_batch_end(self, net, training=False, **kwargs):
        Interrupt.n_epochs += 1
        if Interrupt.n_epochs == self.at:
            signal.raise_signal(signal.SIGINT)


@pytest.mark.parametrize("search", [None, GridSearchCV, BatchedGridSearchCV])
def test_promise_29_an_interrupt_reaches_the_caller(search):
    Interrupt.n_epochs = 0
    model = MLPClassifier(**SHORT, batch_size=100, callbacks=[Interrupt(5)])
    estimator = model if search is None else search(model, {"alpha": [1, 2]}, cv=2)
    with pytest.raises(KeyboardInterrupt):
        estimator.fit(X, Y)
    assert Interrupt.n_epochs == 5
    if search is None:  # two epochs of two batches had ended
        short = MLPClassifier(**{**SHORT, "max_iter": 2}, batch_size=100).fit(X, Y)
        np.testing.assert_array_equal(model.predict_proba(X), short.predict_proba(X))


def test_promise_29_an_interrupt_before_an_epoch_leaves_what_was():
    Interrupt.n_epochs = 0
    model = MLPClassifier(**SHORT, batch_size=100)
    with pytest.raises(KeyboardInterrupt):
        model.set_params(callbacks=[Interrupt(1)]).fit(X, Y)
    assert not hasattr(model, "net_")
    before = model.set_params(callbacks=None).fit(X, Y).predict_proba(X)
    Interrupt.n_epochs = 0
    with pytest.raises(KeyboardInterrupt):
        model.set_params(callbacks=[Interrupt(1)], random_state=1).fit(X, Y)
    np.testing.assert_array_equal(model.predict_proba(X), before)


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_promise_29_an_interrupt_before_training(solver, monkeypatch):
    def interrupt(*args):
        raise KeyboardInterrupt

    model = MLPClassifier(**SHORT, solver=solver)
    monkeypatch.setattr("sk_deep._engine.net.Net.start", interrupt)
    with pytest.raises(KeyboardInterrupt):
        model.fit(X, Y)
    assert not hasattr(model, "net_")


KILLED = """
import os, signal, sys, numpy as np
from faults import in_fork
from skorch.callbacks import Callback
from sk_deep import MLPRegressor, save
from sk_deep.callbacks import Checkpoint
class Kill(Callback):
    def __init__(self, epoch):
        self.epoch = epoch
    def on_epoch_end(self, net, **kwargs):
        if len(net.history) == self.epoch:
            os.kill(os.getpid(), signal.SIGKILL)
X = np.load(sys.argv[1])
callbacks = [Checkpoint(sys.argv[2]), Kill(int(sys.argv[4]))]
params = dict(hidden_layer_sizes=8, max_iter=9, random_state=0, dropout=0.2)
model = MLPRegressor(**params, early_stopping=True, callbacks=callbacks)
model.fit(X, X[:, 0])
save(model.set_params(callbacks=None), sys.argv[3])
"""


def test_promise_30_a_killed_fit_resumes(tmp_path):
    paths = [tmp_path / name for name in ("X.npy", "checkpoints", "model")]
    np.save(paths[0], X)
    for epoch in (3, 6):
        with pytest.raises(subprocess.CalledProcessError) as caught:
            run(KILLED, *paths, epoch)
        assert caught.value.returncode == -signal.SIGKILL
    run(KILLED, *paths, 99)
    expected = MLPRegressor(
        hidden_layer_sizes=8,
        max_iter=9,
        random_state=0,
        dropout=0.2,
        early_stopping=True,
    ).fit(X, X[:, 0])
    found = sk_deep.load(paths[2])
    np.testing.assert_array_equal(found.predict(X), expected.predict(X))
