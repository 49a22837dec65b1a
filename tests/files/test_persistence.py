"""Files of estimators: what comes back, what is refused, and what a stranger can do."""

import copy
import io
import json
import re
import shutil
import sys
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import sklearn
import skops.io
import torch
from option_rows import ROWS
from sklearn.base import clone
from sklearn.datasets import load_iris
from sklearn.exceptions import InconsistentVersionWarning, NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from test_plain_tree import seal

import sk_deep
from sk_deep import MLPClassifier, MLPRegressor, load, persistence, save
from sk_deep._files import plain_tree, sealed_zip
from sk_deep.callbacks import LayerMonitor
from sk_deep.exceptions import CorruptModelError

DATA = Path(__file__).parents[1] / "golden"
X, Y = load_iris(return_X_y=True)
SHORT = {"max_iter": 3, "random_state": 0}
LABELS = {
    "int64": Y,
    "bool": Y == 1,
    "str": np.array(["a", "bb", "ccc"])[Y],
    "object": np.array(["a", "bb", "ccc"], dtype=object)[Y],
    "float": Y.astype(float),
    "int8": Y.astype(np.int8),
    "indicator": (Y[:, None] == np.arange(3)).astype(int),
}


def fitted(kind=MLPClassifier, y=Y, **params):
    """Fit a small network."""
    return kind(**{**SHORT, **params}).fit(X, y)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "model.sk_deep"


def _round_trip(estimator, path):
    sha256 = save(estimator, path)
    return load(path, expected_sha256=sha256)


def _assert_alike(found, expected):
    assert type(found) is type(expected)
    state, found_state = expected.__getstate__(), found.__getstate__()
    assert state.keys() == found_state.keys()
    assert plain_tree.dump(state, {}) == plain_tree.dump(found_state, {})


# ---- what comes back -------------------------------------------------------------


@pytest.mark.parametrize("y", LABELS.values(), ids=LABELS)
def test_labels(y, path):
    model = fitted(y=y)
    found = _round_trip(model, path)
    _assert_alike(found, model)
    np.testing.assert_array_equal(found.predict_proba(X), model.predict_proba(X))
    np.testing.assert_array_equal(found.predict(X), model.predict(X))
    assert found.predict(X).dtype == model.predict(X).dtype


def _is_plain(params):
    return not any(callable(value) for value in params.values())


@pytest.mark.parametrize("params", [row for row in ROWS if _is_plain(row)])
def test_each_option(params, path, digits):
    own = {"hidden_layer_sizes": (16,), **params, "max_iter": 2, "random_state": 0}
    model = MLPClassifier(**own).fit(*digits)
    found = _round_trip(model, path)
    _assert_alike(found, model)
    outputs = model.net_.predict(digits[0])
    np.testing.assert_array_equal(found.net_.predict(digits[0]), outputs)


@pytest.mark.parametrize("params", [row for row in ROWS if not _is_plain(row)])
def test_code_is_refused_by_the_parameters_name(params, path):
    name = next(name for name, value in params.items() if callable(value))
    with pytest.raises(TypeError, match=f"got parameters.{name}="):
        save(MLPClassifier(**params), path)
    assert not path.exists()


@pytest.mark.parametrize("loss", ["squared_error", "quantile", "poisson"])
def test_regressors(loss, path):
    model = fitted(MLPRegressor, y=Y + 1.0, loss=loss)
    found = _round_trip(model, path)
    _assert_alike(found, model)
    np.testing.assert_array_equal(found.predict(X), model.predict(X))


def test_attributes_of_the_user(path):
    notes = {"note_": "x", "team": ["a", 1.5, None], "rows": {"n": np.arange(3)}}
    for model in (fitted(), MLPClassifier()):
        for name, value in notes.items():
            setattr(model, name, value)
        loaded = _round_trip(model, path)
        assert (loaded.note_, loaded.team) == ("x", ["a", 1.5, None])
        np.testing.assert_array_equal(loaded.rows["n"], np.arange(3))


@pytest.mark.parametrize("name", ["_note", "predict", "coefs", "a note"])
def test_an_attribute_that_cannot_be_saved_is_named(name, path):
    model = fitted()
    value = print if name == "coefs" else 1
    vars(model)[name] = value
    with pytest.raises(TypeError, match=f"got '{name}'|got attributes.{name}="):
        save(model, path)
    assert not path.exists()


@pytest.mark.parametrize("name", ["predict", "alpha", "_note", "__class__", "net_"])
def test_an_unknown_attribute_is_named(name, path):
    save(fitted(), path)
    _rewrite(path, _set("tree", "attributes", name, 1))
    with pytest.raises(CorruptModelError, match=f"an unknown attribute, '{name}'"):
        load(path)


def test_names_of_features(path):
    frame = pd.DataFrame(X, columns=["a", "b", "ä", "d"])
    found = _round_trip(MLPClassifier(**SHORT).fit(frame, Y), path)
    assert found.predict(frame).shape == Y.shape
    with pytest.raises(ValueError, match="feature names"):
        found.predict(frame[["b", "a", "ä", "d"]])


@pytest.mark.parametrize("solver", ["sgd", "adam", "adamw", "adagrad"])
def test_training_goes_on(solver, path):
    model = MLPClassifier(**SHORT, solver=solver, dropout=0.2)
    model.partial_fit(X, Y, classes=[0, 1, 2]).partial_fit(X, Y)
    found = _round_trip(model, path).partial_fit(X, Y)
    _assert_alike(found, model.partial_fit(X, Y))


def test_a_random_state_goes_on(path):
    model = MLPClassifier(max_iter=2, random_state=np.random.RandomState(3)).fit(X, Y)
    found = _round_trip(model, path)
    _assert_alike(found.fit(X, Y), model.fit(X, Y))


def test_unfitted(path):
    found = _round_trip(MLPClassifier(alpha=0.5, class_weight={0: 2}), path)
    assert (
        found.get_params() == MLPClassifier(alpha=0.5, class_weight={0: 2}).get_params()
    )
    with pytest.raises(NotFittedError):
        found.predict(X)


def test_metadata_requests(path):
    with sklearn.config_context(enable_metadata_routing=True):
        model = MLPClassifier().set_fit_request(sample_weight=True)
        model.set_score_request(sample_weight="weight")
        found = _round_trip(model, path)
        assert repr(found.get_metadata_routing()) == repr(model.get_metadata_routing())


def test_a_loaded_network_is_its_own(path):
    model = fitted()
    first, second = _round_trip(model, path), load(path)
    first.partial_fit(X, Y)
    _assert_alike(second, model)
    _assert_alike(clone(second).fit(X, Y), model)


def test_a_pipeline(path):
    model = make_pipeline(StandardScaler(), MLPClassifier(**SHORT)).fit(X, Y)
    found = _round_trip(model, path)
    np.testing.assert_array_equal(found.predict_proba(X), model.predict_proba(X))
    found = skops.io.load(path, trusted=sk_deep.trusted_types())
    np.testing.assert_array_equal(found.predict_proba(X), model.predict_proba(X))


@pytest.mark.parametrize(
    "estimator",
    [
        GridSearchCV(MLPClassifier(**SHORT), {"alpha": [1e-4]}, cv=2).fit(X, Y),
        make_pipeline(FunctionTransformer(np.save), MLPClassifier()),
        make_pipeline(StandardScaler(), MLPClassifier(callbacks=[LayerMonitor()])),
    ],
)
def test_what_skops_does_not_trust_is_refused(estimator, path):
    with pytest.raises(TypeError, match="plain ones or those of trusted_types"):
        save(estimator, path)
    assert not path.exists()


@pytest.mark.parametrize("other", [MLPClassifier, "model", None, {"alpha": 1}])
def test_what_is_no_estimator_is_refused(other, path):
    with pytest.raises(TypeError, match="estimator must be an estimator"):
        save(other, path)


def test_an_illegal_parameter_is_refused(path):
    with pytest.raises(ValueError, match="'alpha' parameter of MLPClassifier"):
        save(MLPClassifier(alpha=-1), path)


# ---- what a file is checked for --------------------------------------------------


def test_the_hash_that_was_expected(path):
    sha256 = save(fitted(), path)
    load(path, expected_sha256=sha256.upper())
    save(fitted(random_state=1), path)
    with pytest.raises(CorruptModelError, match=f"must be {sha256}, got "):
        load(path, expected_sha256=sha256)
    with pytest.raises(ValueError, match="64 hexadecimal digits, got 'abc'"):
        load(path, expected_sha256="abc")


def test_the_size_that_is_read(path):
    save(fitted(), path)
    size = path.stat().st_size
    load(path, max_bytes=size)
    with pytest.raises(ValueError, match=f"at most max_bytes={size - 1} bytes"):
        load(path, max_bytes=size - 1)
    with pytest.raises(ValueError, match="max_bytes must be None or at least 1"):
        load(path, max_bytes=0)


def test_what_is_no_file(tmp_path):
    with pytest.raises(FileNotFoundError):
        load(tmp_path / "nothing")
    with pytest.raises(IsADirectoryError):
        load(tmp_path)
    with pytest.raises(ValueError, match="path must be that of a file"):
        load("/dev/zero")


def _rewrite(path, change):
    """Change the content of a file behind its tree, with the right hash."""
    content = path.read_bytes()
    tree, about = plain_tree.load(content), plain_tree.read_metadata(content)
    change(tree, about)
    path.write_bytes(plain_tree.dump(tree, about))


def _set(*keys):
    *path, last, value = keys

    def change(tree, about):
        node = {"tree": tree, "about": about}
        for key in path:
            node = node[key]
        node[last] = value

    return change


NET = ("tree", "attributes", "_net_state")
DESCRIPTION = (*NET, "description")
CHANGES = {
    "unknown class": _set("tree", "class", "SGDClassifier"),
    "class as a path": _set("tree", "class", "os.system"),
    "unknown parameter": _set("tree", "parameters", "command", "rm"),
    "illegal parameter": _set("tree", "parameters", "alpha", -1.0),
    "module as parameter": _set("tree", "parameters", "activation", "torch.nn.ReLU"),
    "attribute with a method's name": _set("tree", "attributes", "predict", 1),
    "attribute with a parameter's name": _set("tree", "attributes", "alpha", 1),
    "attribute with a property's name": _set("tree", "attributes", "net_", 1),
    "private attribute": _set("tree", "attributes", "_note", 1),
    "attribute of Python": _set("tree", "attributes", "__class__", "str"),
    "attribute that is no name": _set("tree", "attributes", "a note", 1),
    "attribute without a name": _set("tree", "attributes", "", 1),
    "number as a name": _set("tree", "attributes", 1, 1),
    "attribute of another type": _set("tree", "attributes", "n_iter_", "three"),
    "no type of target": lambda tree, about: tree["attributes"].pop("_target_type"),
    "no classes": lambda tree, about: tree["attributes"].pop("classes_"),
    "other outputs": _set("tree", "attributes", "n_outputs_", 2),
    "no parameters": _set("tree", "parameters", None),
    "further part": _set("tree", "code", "print()"),
    "request of an unknown method": _set("tree", "requests", {"__class__": {}}),
    "10^12 units": _set(*DESCRIPTION, "hidden_units", [10**12]),
    "10^12 outputs": _set(*DESCRIPTION, "n_outputs", 10**12),
    "10^12 members": _set(*DESCRIPTION, "n_members", 10**12),
    "10^12 pieces": _set(*DESCRIPTION, "maxout_pieces", 10**12),
    "10^5 layers": _set(*DESCRIPTION, "hidden_units", [1] * 10**5),
    "units of numpy, which wrap": _set(*DESCRIPTION, "hidden_units", [np.int8(3)]),
    "negative units": _set(*DESCRIPTION, "hidden_units", [-1]),
    "no units": _set(*DESCRIPTION, "hidden_units", [0]),
    "half a unit": _set(*DESCRIPTION, "hidden_units", [1.5]),
    "unknown activation": _set(*DESCRIPTION, "activation", ["eval"]),
    "too few activations": _set(*DESCRIPTION, "activation", []),
    "unknown normalization": _set(*DESCRIPTION, "normalization", "evil"),
    "unknown dropout": _set(*DESCRIPTION, "dropout_type", "evil"),
    "unknown loss": _set(*DESCRIPTION, "loss", "evil"),
    "unknown kind": _set(*DESCRIPTION, "kind", "evil"),
    "unknown argument": _set(*DESCRIPTION, "device", "cuda"),
    "other dtype": _set(*DESCRIPTION, "dtype", "float16"),
    "other features": _set("tree", "attributes", "n_features_in_", 3),
    "other classes": _set("tree", "attributes", "classes_", np.arange(2)),
    "weights not finite": _set(*NET, "flat", np.full(7, np.nan)),
    "too few weights": _set(*NET, "flat", np.zeros(7)),
    "too many weights": _set(*NET, "flat", np.zeros(10_000)),
    "weights as a list": _set(*NET, "flat", [0.0]),
    "no state": _set("tree", "attributes", "_net_state", {}),
    "format 0": _set("about", "format", 0),
    "format as text": _set("about", "format", "1"),
    "no format": lambda tree, about: about.clear(),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_changed_file_of_the_right_hash_is_refused(change, path):
    save(fitted(activation="maxout"), path)
    _rewrite(path, change)
    with pytest.raises(CorruptModelError):
        load(path)


@pytest.mark.parametrize("solver", ["adam", "adamw"])
def test_a_moment_of_another_shape_is_not_trained_on(solver, path):
    save(fitted(warm_start=True, solver=solver), path)
    optimizer = ("tree", "attributes", "_net_state", "training", "optimizer")
    _rewrite(path, _set(*optimizer, "state", 0, "m", np.zeros(1, "f4")))
    with pytest.raises(ValueError, match=r"m of Adam must be of shape .* \(1,\)"):
        load(path).partial_fit(X, Y)


def test_a_newer_format(path):
    save(fitted(), path)
    _rewrite(path, _set("about", "format", 2))
    with pytest.raises(ValueError, match="upgrade sk_deep") as caught:
        load(path)
    assert not isinstance(caught.value, CorruptModelError)


def test_another_version(path):
    model = fitted()
    save(model, path)
    _rewrite(path, _set("tree", "attributes", "_sk_deep_version", "0.0.7"))
    text = "MLPClassifier was written by version 0.0.7 of sk_deep, and this is version"
    with pytest.warns(InconsistentVersionWarning, match=text):
        found = load(path)
    np.testing.assert_array_equal(found.predict_proba(X), model.predict_proba(X))


def test_a_tree_of_another_shape(path):
    path.write_bytes(seal([1, 2]))
    with pytest.raises(CorruptModelError):
        load(path)


def test_a_pipeline_whose_bytes_have_changed(path, rng):
    save(make_pipeline(StandardScaler(), MLPClassifier(**SHORT)).fit(X, Y), path)
    content = path.read_bytes()
    for i in rng.choice(8 * len(content), size=200, replace=False):
        changed = bytearray(content)
        changed[i // 8] ^= 1 << i % 8
        path.write_bytes(changed)
        with pytest.raises(CorruptModelError):
            load(path)
    for n in rng.choice(len(content), size=50, replace=False):
        path.write_bytes(content[:n])
        with pytest.raises(CorruptModelError):
            load(path)


def test_a_file_of_skops_that_save_has_not_written(path):
    skops.io.dump(LogisticRegression(), path)
    with pytest.raises(CorruptModelError, match="reads other files"):
        load(path)


def test_a_part_makes_one_array_only(path):
    save(make_pipeline(StandardScaler(), fitted()).fit(X, Y), path)
    buffer = io.BytesIO()
    with zipfile.ZipFile(path) as archive, zipfile.ZipFile(buffer, "w") as changed:
        schema = archive.read("schema.json").decode()
        first, second, *_ = re.findall(r'"file": "(.+?)"', schema)
        changed.writestr("schema.json", schema.replace(second, first))
    path.write_bytes(sealed_zip.seal(buffer.getvalue(), persistence._about()))
    with pytest.raises(CorruptModelError, match="must hold one array"):
        load(path)


def test_parts_do_not_overlap(path):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("schema.json", "{}")
        archive.writestr("a", bytes(10_000))
        twin = copy.copy(archive.getinfo("a"))
        twin.filename = "b"
        archive.filelist.append(twin)
    path.write_bytes(sealed_zip.seal(buffer.getvalue(), persistence._about()))
    with pytest.raises(CorruptModelError, match="must not overlap"):
        load(path)


def test_without_skops(path, monkeypatch):
    monkeypatch.setitem(sys.modules, "skops", None)
    with pytest.raises(ModuleNotFoundError, match=r"pip install .sk_deep\[skops\]"):
        save(make_pipeline(MLPClassifier()), path)


# ---- files of former versions ----------------------------------------------------


@pytest.mark.parametrize("name", sorted(p.name for p in DATA.glob("*.sk_deep")))
def test_a_golden_file_is_read(name, tmp_path):
    """Written by `tests/golden/make.py`, with the predictions of that time."""
    expected = json.loads((DATA / "expected.json").read_text())[name]
    shutil.copy(DATA / name, tmp_path)
    model = load(tmp_path / name)
    outputs = getattr(model, "predict_proba", model.predict)(X[::30])
    np.testing.assert_allclose(outputs, expected["outputs"], atol=1e-6)
    assert model.predict(X[::30]).tolist() == pytest.approx(expected["predictions"])


@pytest.mark.parametrize("device", ["cuda", "cuda:99", "mps", "xla", "meta"])
def test_device_is_not_there(device, path):
    if device in str(torch.accelerator.current_accelerator()):
        pytest.skip("it is there")
    model = fitted()
    save(model.set_params(device=device), path)
    with pytest.warns(sk_deep.exceptions.DeviceFallbackWarning, match="on the CPU"):
        found = load(path)
    np.testing.assert_array_equal(found.predict(X), model.predict(X))
    with pytest.raises(RuntimeError, match="was requested, none available"):
        found.fit(X, Y)
