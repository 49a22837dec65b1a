"""Promises 1 to 17: persistence, copies, files."""

import ast
import copy
import io
import os
import pickle
import pickletools
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import cloudpickle
import joblib
import numpy as np
import pytest
import skops.io
import torch
from sklearn.base import clone
from sklearn.exceptions import InconsistentVersionWarning
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import nn

import sk_deep
from sk_deep import MLPClassifier, load, save, trusted_types
from sk_deep._files import plain_tree
from sk_deep.exceptions import CorruptModelError, DeviceFallbackWarning

RNG = np.random.RandomState(0)
X = RNG.standard_normal((60, 4))
Y = (X[:, 0] > 0).astype(int)
SHORT = {"hidden_layer_sizes": (8,), "max_iter": 3, "random_state": 0}


def fitted(y=Y, **params):
    """Fit a small network."""
    return MLPClassifier(**{**SHORT, **params}).fit(X, y)


def run(code, *args, **environment):
    """Run code in a process of its own."""
    command = [sys.executable, "-W", "error", "-c", code, *map(str, args)]
    subprocess.run(command, check=True, timeout=60, env={**os.environ, **environment})


LOAD_WITHOUT_CUDA = """
import pickle, sys, warnings, numpy, joblib, torch
assert not torch.cuda.is_available()
import sk_deep
warnings.simplefilter("ignore", sk_deep.exceptions.DeviceFallbackWarning)
X, expected = numpy.load(sys.argv[1])["X"], numpy.load(sys.argv[1])["expected"]
for model in joblib.load(sys.argv[2]), sk_deep.load(sys.argv[3]):
    numpy.testing.assert_array_equal(model.predict_proba(X), expected)
    assert not torch.cuda.is_initialized()
    try:
        model.fit(X, X[:, 0] > 0)
    except RuntimeError as error:
        assert "device='cuda' was requested, none available" in str(error)
    else:
        raise AssertionError("fitted without a device")
"""


@pytest.mark.processes
def test_promise_01_a_state_of_a_gpu_is_read_without_one(tmp_path):
    model = fitted()
    expected = model.predict_proba(X)
    model.set_params(device="cuda")  # where none is there, as if it had been
    paths = [tmp_path / name for name in ("data.npz", "joblib", "safe")]
    np.savez(paths[0], X=X, expected=expected)
    joblib.dump(model, paths[1])
    save(model, paths[2])
    run(LOAD_WITHOUT_CUDA, *paths, CUDA_VISIBLE_DEVICES="")


def test_promise_01_the_fallback_is_told():
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    state = pickle.dumps(fitted().set_params(device="cuda"))
    with pytest.warns(DeviceFallbackWarning, match="predicting on the CPU"):
        pickle.loads(state)


def test_promise_02_a_copy_trains_alone():
    search = GridSearchCV(MLPClassifier(**SHORT), {"alpha": [1e-4, 1e-3]}, cv=2)
    model = search.fit(X, Y).best_estimator_
    before = model.predict_proba(X)
    twin = copy.deepcopy(model).partial_fit(X, Y)
    assert not np.array_equal(twin.predict_proba(X), before)
    np.testing.assert_array_equal(model.predict_proba(X), before)


@pytest.mark.parametrize("params", [{}, {"warm_start": True, "n_members": 2}])
def test_promise_03_a_pickle_names_nothing_of_torch(params):
    model = fitted(**params).partial_fit(X, Y)
    found = [
        argument
        for opcode, argument, _ in pickletools.genops(pickle.dumps(model))
        if isinstance(argument, str) and argument.startswith("torch")
    ]
    names = [name for name in found if not name.startswith("torch.optim.")]
    assert names == []


@pytest.mark.processes
def test_promise_04_local_functions():
    def loss(raw, y):
        return (raw[..., 0] - y).square()

    class Wave(nn.Module):
        def forward(self, x):
            return x.sin()

    params = {"activation": Wave, "callbacks": None}
    search = GridSearchCV(
        MLPClassifier(**SHORT, **params), {"alpha": [1e-4, 1e-3]}, cv=2, n_jobs=2
    )
    search.fit(X, Y)
    assert np.isfinite(search.best_score_)
    pickle.loads(cloudpickle.dumps(search.best_estimator_)).predict(X)
    for name, value in {"activation": Wave, "loss": loss}.items():
        with pytest.raises(TypeError, match=f"got parameters.{name}="):
            save(MLPClassifier(**{name: value}), "nowhere")


def test_promise_05_a_module_is_not_trained_in_place():
    module = nn.PReLU()
    before = copy.deepcopy(module.state_dict())
    with pytest.raises(ValueError, match="activation"):  # instances are refused
        MLPClassifier(**SHORT, activation=module).fit(X, Y)
    assert all(
        torch.equal(before[key], value) for key, value in module.state_dict().items()
    )
    model = fitted(activation=nn.PReLU)
    assert not hasattr(clone(model), "net_")
    again = clone(model).fit(X, Y)
    np.testing.assert_array_equal(again.predict_proba(X), model.predict_proba(X))


@pytest.mark.parametrize(
    "labels",
    [
        np.array([3, 7]),
        np.array([False, True]),
        np.array(["no", "yes"]),
        np.array(["no", "yes"], dtype=object),
        np.array([1.0, 2.0]),
    ],
    ids=lambda labels: str(labels.dtype),
)
def test_promise_06_labels_come_back(labels, tmp_path):
    model = fitted(labels[Y])
    save(model, tmp_path / "model")
    for found in (pickle.loads(pickle.dumps(model)), load(tmp_path / "model")):
        predicted, expected = found.predict(X), model.predict(X)
        assert predicted.dtype == expected.dtype
        assert set(predicted) <= set(labels)
        np.testing.assert_array_equal(predicted, expected)


def test_promise_07_versions(tmp_path, monkeypatch):
    model = fitted()
    monkeypatch.setattr("sk_deep._estimator.base.__version__", "0.0.1")
    state = pickle.dumps(model)
    save(model, tmp_path / "model")
    monkeypatch.undo()
    text = rf"version 0.0.1 of sk_deep, and this is version {sk_deep.__version__}"
    with pytest.warns(InconsistentVersionWarning, match=text):
        pickle.loads(state)
    with pytest.warns(InconsistentVersionWarning, match=text):
        load(tmp_path / "model")
    monkeypatch.setattr("sk_deep.persistence._FORMAT", 2)
    save(model, tmp_path / "model")
    monkeypatch.undo()
    with pytest.raises(ValueError, match="upgrade sk_deep"):
        load(tmp_path / "model")


SAVE_FOR_EVER = """
import sys
sys.path.insert(0, sys.argv[3])
import sk_deep
first, second = sk_deep.load(sys.argv[1]), sk_deep.load(sys.argv[1])
first.set_params(alpha=0.5)
print("ready", flush=True)
while True:
    sk_deep.save(first, sys.argv[2])
    sk_deep.save(second, sys.argv[2])
"""


@pytest.mark.processes
def test_promise_08_a_killed_save_leaves_a_file(tmp_path):
    model = fitted(hidden_layer_sizes=(200, 200))
    source, target = tmp_path / "source", tmp_path / "target"
    save(model, source)
    save(model, target)
    package = Path(sk_deep.__file__).parent.parent
    for seconds in (0.003, 0.007):
        command = [sys.executable, "-c", SAVE_FOR_EVER, source, target, package]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as child:
            child.stdout.readline()
            time.sleep(seconds)
            child.kill()
        found = load(target)
        np.testing.assert_array_equal(found.predict_proba(X), model.predict_proba(X))
    (tmp_path / f".target.{'0' * 16}.tmp").write_bytes(b"of a dead process")
    save(model, target)
    assert sorted(os.listdir(tmp_path)) == ["source", "target"]


@pytest.mark.skipif(not hasattr(signal, "SIGXFSZ"), reason="no limits on files")
def test_promise_09_a_full_disk_leaves_the_former_file(tmp_path):
    path = tmp_path / "model"
    save(fitted(), path)
    before = path.read_bytes()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
    try:
        with pytest.raises(OSError, match="File too large"):
            save(fitted(random_state=1), path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["model"]


def test_promise_10_a_truncated_file(tmp_path):
    path = tmp_path / "model"
    save(fitted(hidden_layer_sizes=(2,)), path)
    content = path.read_bytes()
    for n in range(0, len(content), 7):
        path.write_bytes(content[:n])
        with pytest.raises(CorruptModelError):
            load(path)


def test_promise_11_a_flipped_bit(tmp_path):
    path = tmp_path / "model"
    save(fitted(hidden_layer_sizes=(2,)), path)
    content = path.read_bytes()
    for i in np.random.RandomState(0).randint(8 * len(content), size=500):
        changed = bytearray(content)
        changed[i // 8] ^= 1 << i % 8
        path.write_bytes(changed)
        with pytest.raises(CorruptModelError):
            load(path)


LISTEN = """
import sys, sk_deep
model = sk_deep.load(sys.argv[1])  # what is imported late is imported now
bad = ("pickle.find_class", "os.system", "subprocess.Popen", "os.exec", "exec",
       "compile", "import")
heard = []
sys.addaudithook(lambda event, args: heard.append(event) if event in bad else None)
model = sk_deep.load(sys.argv[1])
assert heard == [], heard
try:
    sk_deep.load(sys.argv[2])
except sk_deep.exceptions.CorruptModelError:
    pass
else:
    raise AssertionError("a pickle was read")
assert heard == [], heard
"""


class Evil:
    """Runs a command where its pickle is loaded."""

    def __reduce__(self):
        return os.system, ("false",)


@pytest.mark.processes
def test_promise_12_loading_runs_no_code(tmp_path):
    save(fitted(), tmp_path / "model")
    (tmp_path / "pickle").write_bytes(pickle.dumps(Evil()))
    run(LISTEN, tmp_path / "model", tmp_path / "pickle")


def test_promise_13_torchs_files_are_not_used():
    package = Path(sk_deep.__file__).parent
    used = {
        f"{path.name}: {ast.unparse(node)}"
        for path in package.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute)
        and ast.unparse(node) in ("torch.load", "torch.save", "torch.jit.load")
    }
    assert used == set()


@pytest.mark.parametrize(
    "weights",
    [
        np.asfortranarray(np.arange(12.0).reshape(3, 4)),
        np.arange(24.0)[::2],
        np.arange(12.0)[::-1],
        np.arange(12.0).astype(">f8"),
    ],
    ids=["fortran", "strided", "reversed", "big-endian"],
)
def test_promise_14_arrays_of_any_layout(weights):
    found = plain_tree.load(plain_tree.dump(weights, {}))
    np.testing.assert_array_equal(found, weights)
    assert found.dtype == np.float64


def test_promise_15_skops():
    model = fitted(warm_start=True, dropout=0.1)
    for estimator in (model, make_pipeline(StandardScaler(), model).fit(X, Y)):
        content = skops.io.dumps(estimator)
        untrusted = skops.io.get_untrusted_types(data=content)
        assert untrusted == ["sk_deep._classifier.MLPClassifier"]
        found = skops.io.loads(content, trusted=trusted_types())
        expected = estimator.predict_proba(X)
        np.testing.assert_array_equal(found.predict_proba(X), expected)


@pytest.mark.parametrize(
    ("labels", "class_weight"),
    [
        ([0, 1], {0: 1.0, 1: 2.0}),
        ([False, True], {True: 1.5, False: 0.5}),
        (["a", "b"], {"a": 1.0, "b": 3.0}),
        ([0, 1], {0: 1.0, 1: 2.0, None: 3.0, "1": 4.0}),
    ],
)
def test_promise_16_keys_of_class_weight(labels, class_weight, tmp_path):
    model = MLPClassifier(**SHORT, class_weight=class_weight)
    if None not in class_weight:
        model.fit(X, np.array(labels)[Y])
    save(model, tmp_path / "model")
    found = [pickle.loads(pickle.dumps(model)), load(tmp_path / "model")]
    found.append(skops.io.loads(skops.io.dumps(model), trusted=trusted_types()))
    for one in found:
        pairs = one.get_params()["class_weight"].items()
        assert [(type(k), k, v) for k, v in pairs] == [
            (type(k), k, v) for k, v in class_weight.items()
        ]


@pytest.mark.parametrize("max_iter", [2, 200])
def test_promise_17_a_pickle_is_small(max_iter):
    model = fitted(hidden_layer_sizes=(200, 50), max_iter=max_iter, tol=0)
    n_bytes = sum(a.nbytes for a in model.coefs_ + model.intercepts_)
    buffer = io.BytesIO()
    joblib.dump(model, buffer)
    for size in (len(pickle.dumps(model)), len(buffer.getvalue())):
        assert size <= 2 * n_bytes + 32 * 1024 + 16 * model.n_iter_
