"""Export: onnxruntime gives what `predict` and `predict_proba` give."""

import inspect
import subprocess
import sys

import numpy as np
import onnx
import onnxruntime
import pandas as pd
import pytest
import skl2onnx
import torch
from sklearn.compose import ColumnTransformer, make_column_selector
from sklearn.exceptions import NotFittedError
from sklearn.impute import SimpleImputer
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    OneHotEncoder,
    OrdinalEncoder,
    StandardScaler,
)

from sk_deep import (
    BatchedGridSearchCV,
    MLPClassifier,
    MLPRegressor,
    RecipeSearchCV,
    TabularMLPClassifier,
    TabularMLPRegressor,
    export,
    to_onnx,
)
from sk_deep.activations import ACTIVATIONS
from sk_deep.dropouts import DROPOUTS
from sk_deep.encodings import NUMERICAL_EMBEDDINGS
from sk_deep.losses import INVERSE_LINKS, LOSSES, losses_on
from sk_deep.network import Architecture
from sk_deep.normalizations import NORMALIZATIONS

NUMPY = {"tensor(float)": "f4", "tensor(double)": "f8", "tensor(string)": object}
DTYPES = ["float32", "float64"]
TOLERANCE = {"rtol": 1e-5, "atol": 1e-5}
rng = np.random.default_rng(0)
X = 3 * rng.standard_normal((1000, 5)).astype(np.float32)  # units saturate, too
SIGNS = (X[:, :3] @ rng.standard_normal((3, 3)) > 0).astype(int)
Y = {"binary": SIGNS[:, 0], "multiclass": SIGNS.sum(axis=1), "multilabel": SIGNS}


def classifier(**params):
    few = {"max_iter": 3, "learning_rate_init": 0.03, "batch_size": 20}
    return MLPClassifier(**{"hidden_layer_sizes": 6, **few, **params}, random_state=0)


def regressor(**params):
    return MLPRegressor(hidden_layer_sizes=6, max_iter=3, **params, random_state=0)


def written(model, tmp_path, **options):
    """Export and check; open the file."""
    path = str(tmp_path / "model.onnx")
    to_onnx(model, path, **options)
    onnx.checker.check_model(path, full_check=True)
    return onnxruntime.InferenceSession(path)


def fed(session, X):
    """Give the inputs from a frame or an array."""
    if isinstance(X, pd.DataFrame):
        columns = {name: X[[name]].to_numpy() for name in X}
    else:
        columns = {f"x{i}": X[:, [i]] for i in range(X.shape[1])}
    columns["X"] = np.asarray(X)
    return {
        value.name: columns[value.name].astype(NUMPY[value.type])
        for value in session.get_inputs()
    }


def expected(model, X):
    """What a file of ONNX gives, by the names of its outputs."""
    y = model.predict(X)
    if not hasattr(model, "classes_"):
        return {"variable": y.reshape(len(y), -1)}
    has_scores = not hasattr(model, "predict_proba")
    numbers = model.decision_function(X) if has_scores else model.predict_proba(X)
    return {"label": y, "probabilities": numbers.reshape(len(y), -1)}


def assert_equal(model, session, X, *, tolerance=TOLERANCE):
    for rows in (X[:1], X):
        outputs = dict(
            zip(
                [value.name for value in session.get_outputs()],
                session.run(None, fed(session, rows)),
                strict=True,
            )
        )
        desired = expected(model, rows)
        assert outputs.keys() == desired.keys()
        for name, values in desired.items():
            if name == "label":
                np.testing.assert_array_equal(outputs[name], values)
            else:
                assert outputs[name].shape == values.shape
                np.testing.assert_allclose(outputs[name], values, **tolerance)


# ---- networks --------------------------------------------------------------------

NETWORKS = [
    *({"activation": name} for name in ACTIVATIONS),
    {"activation": "maxout", "maxout_pieces": 3},
    {"activation": ["maxout", "prelu"], "hidden_layer_sizes": (6, 4)},
    *({"normalization": name} for name in NORMALIZATIONS),
    *({"normalization": name, "activation": "maxout"} for name in NORMALIZATIONS),
    *({"dropout": 0.2, "dropout_type": n, "activation": "selu"} for n in DROPOUTS),
    *(
        {"dropout": 0.2, "dropout_type": n, "activation": "maxout"}
        for n in ("standout",)
    ),
    {
        "dropout": [0.2, 0.5],
        "dropout_type": "standout",
        "dropout_params": {"alpha": 0.5, "beta": 1.0},
        "dropout_schedule": "linear",
        "hidden_layer_sizes": (6, 4),
    },
    {"dropout": [0.0, 0.4], "input_dropout": 0.1, "hidden_layer_sizes": (6, 4)},
    {"residual": True, "hidden_layer_sizes": (6, 6, 4)},
    {
        "dropout": 0.4,
        "dropout_type": "dropconnect",
        "dropout_params": {"inference": "gaussian"},
        "activation": "prelu",
        "normalization": "layer",
        "residual": True,
        "hidden_layer_sizes": (5, 5),
    },
    {"hidden_layer_sizes": ()},
]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("n_members", [1, 3])
@pytest.mark.parametrize("params", NETWORKS)
def test_network(params, n_members, dtype, tmp_path, capfd):
    model = classifier(**params, n_members=n_members, dtype=dtype)
    model.fit(X[:200], Y["multiclass"][:200])
    session = written(model, tmp_path)
    assert_equal(model, session, X.astype(dtype))
    for value in (*session.get_inputs(), session.get_outputs()[1]):
        assert np.dtype(NUMPY[value.type]) == dtype
    captured = capfd.readouterr()
    assert captured.out + captured.err == ""  # where onnxruntime warns


def test_all_parameters_of_networks_are_tried():
    """A new one has to be given a form, too."""
    tried = set().union(*NETWORKS) | {"n_members", "dtype", "categories", "n_periodic"}
    names = set(inspect.signature(Architecture).parameters) - {
        "n_features",
        "n_outputs",
    }
    renamed = {"hidden_units": "hidden_layer_sizes"}
    assert {renamed.get(name, name) for name in names} <= tried


OPSETS = range(export.MIN_OPSET, skl2onnx.get_latest_tested_opset_version() + 1)


@pytest.mark.parametrize("opset", OPSETS)
def test_opset(opset, tmp_path):
    model = classifier(**NETWORKS[-2], n_members=2).fit(X[:100], Y["multiclass"][:100])
    session = written(model, tmp_path, opset=opset)
    assert_equal(model, session, X)
    file = onnx.load(tmp_path / "model.onnx")
    assert [item.version for item in file.opset_import if not item.domain] == [opset]


# ---- losses and targets ----------------------------------------------------------


def own_loss(raw, y):
    """Hold the outputs back, whatever the targets."""
    return raw.square().sum(dim=-1)


@pytest.mark.parametrize("n_members", [1, 2])
@pytest.mark.parametrize("target", Y)
@pytest.mark.parametrize("loss", [*sorted(losses_on("binary")), own_loss])
def test_classifier(loss, target, n_members, tmp_path):
    model = classifier(loss=loss, n_members=n_members).fit(X, Y[target])
    assert_equal(model, written(model, tmp_path), X)


@pytest.mark.parametrize("n_members", [1, 2])
@pytest.mark.parametrize("n_targets", [1, 3])
@pytest.mark.parametrize("loss", [*sorted(losses_on("real")), own_loss])
def test_regressor(loss, n_targets, n_members, tmp_path):
    model = regressor(loss=loss, n_members=n_members)
    model.fit(X, np.squeeze(np.abs(X[:, :n_targets]) + 0.1))
    assert_equal(model, written(model, tmp_path), X)


def test_quantiles(tmp_path):
    levels = {"quantile": [0.1, 0.5, 0.9]}
    model = regressor(loss="quantile", loss_params=levels).fit(X, X[:, 0])
    assert_equal(model, written(model, tmp_path), X)


def test_all_losses_and_links_are_tried():
    assert losses_on("binary") | losses_on("real") == set(LOSSES)
    assert losses_on("binary") == losses_on("multiclass")
    links = {term.link for row in LOSSES.values() for term in row.terms.values()}
    assert links == set(INVERSE_LINKS)


@pytest.mark.parametrize(
    "labels",
    [
        ["no", "yes", "vielleicht ä"],
        np.array(["a", "b", "c"], dtype=object),
        [-7, 3, 2**40],
        [0.0, 2.0, 3.0],
        [False, True],
        ["only"],
        [5],
        np.array([1, 2, 3], dtype=np.uint8),
    ],
    ids=str,
)
@pytest.mark.parametrize("loss", ["log_loss", "hinge"])
def test_labels(labels, loss, tmp_path):
    y = np.asarray(labels)[Y["multiclass"] % len(labels)]
    model = classifier(loss=loss, learning_rate_init=1e-9).fit(X, y)  # knows nothing
    session = written(model, tmp_path)
    assert_equal(model, session, X)
    is_text = isinstance(labels[0], str)
    kind = "tensor(string)" if is_text else "tensor(int64)"
    assert session.get_outputs()[0].type == kind


def test_two_labels_each(tmp_path):
    model = classifier().fit(X, Y["multilabel"][:, :2])
    assert_equal(model, written(model, tmp_path), X)


# ---- pipelines and searches ------------------------------------------------------

FRAME = pd.DataFrame(
    {
        "size (cm)": 5 * X[:, 0] + 20,
        "count": rng.integers(0, 4, 1000),
        "colour": rng.choice(["red", "green", "blau ü"], 1000),
        "unused": "?",
        "weight": X[:, 1],
    }
)
NUMBERS = ["size (cm)", "weight"]
ARRAY = FRAME[NUMBERS].to_numpy()


def columns(*transformers, **params):
    return make_pipeline(ColumnTransformer(list(transformers), **params), classifier())


PIPELINES = {
    "scaled": (make_pipeline(StandardScaler(), classifier()), ARRAY),
    "scaled frame": (make_pipeline(StandardScaler(), classifier()), FRAME[NUMBERS]),
    "nothing": (Pipeline([("a", "passthrough"), ("b", classifier())]), ARRAY),
    "text alone": (make_pipeline(OneHotEncoder(), classifier()), FRAME[["colour"]]),
    "text and numbers": (
        make_pipeline(OneHotEncoder(), classifier()),
        FRAME[["count", "colour"]],
    ),
    "by name": (
        columns(
            ("text", OneHotEncoder(handle_unknown="ignore"), ["colour", "count"]),
            ("numbers", StandardScaler(), NUMBERS),
        ),
        FRAME,
    ),
    "by type": (
        columns(
            ("numbers", StandardScaler(), make_column_selector(dtype_include="number")),
            ("text", OneHotEncoder(), make_column_selector(dtype_include="str")),
        ),
        FRAME,
    ),
    "by position": (
        columns(("a", OneHotEncoder(), [2]), ("b", StandardScaler(), [0, 4])),
        FRAME.to_numpy(dtype=object),
    ),
    "numbers by name": (
        columns(("a", StandardScaler(), ["weight"]), remainder="passthrough"),
        FRAME[NUMBERS],
    ),
    "numbers by position": (
        columns(("a", StandardScaler(), [1]), remainder="passthrough"),
        ARRAY,
    ),
    "nested": (
        columns(
            ("numbers", make_pipeline(SimpleImputer(), StandardScaler()), NUMBERS),
            ("text", make_pipeline(OrdinalEncoder(), StandardScaler()), ["colour"]),
        ),
        FRAME,
    ),
    "imputed text": (
        columns(
            (
                "text",
                make_pipeline(
                    SimpleImputer(strategy="most_frequent", missing_values=""),
                    OneHotEncoder(),
                ),
                ["colour"],
            ),
        ),
        FRAME,
    ),
}


@pytest.mark.parametrize(("model", "X"), PIPELINES.values(), ids=PIPELINES)
def test_pipeline(model, X, tmp_path, capfd):
    model.fit(X, Y["multiclass"])
    session = written(model, tmp_path)
    assert_equal(model, session, X)
    captured = capfd.readouterr()
    assert captured.out + captured.err == ""


@pytest.mark.parametrize(
    ("name", "inputs"),
    {
        "scaled frame": {"X": ("tensor(float)", 2)},
        "text alone": {"X": ("tensor(string)", 1)},
        "numbers by position": {"X": ("tensor(float)", 2)},
        "by name": {  # without the column that is not used
            "size (cm)": ("tensor(float)", 1),
            "count": ("tensor(float)", 1),
            "colour": ("tensor(string)", 1),
            "weight": ("tensor(float)", 1),
        },
        "by position": {
            "x0": ("tensor(float)", 1),
            "x2": ("tensor(string)", 1),
            "x4": ("tensor(float)", 1),
        },
    }.items(),
)
def test_inputs_of_a_pipeline(name, inputs, tmp_path):
    model, X = PIPELINES[name]
    session = written(model.fit(X, Y["multiclass"]), tmp_path)
    found = {value.name: (value.type, value.shape[1]) for value in session.get_inputs()}
    assert found == inputs


def test_pipeline_of_a_regressor(tmp_path):
    model = make_pipeline(StandardScaler(), regressor()).fit(ARRAY, X[:, :2])
    assert_equal(model, written(model, tmp_path), ARRAY)


GRID = {"alpha": [1e-4, 1.0]}
SEARCHES = [
    GridSearchCV(classifier(), GRID, cv=2),
    BatchedGridSearchCV(classifier(), GRID, cv=2),
    RecipeSearchCV(classifier(), budget=2, cv=2),
    make_pipeline(StandardScaler(), GridSearchCV(classifier(), GRID, cv=2)),
    GridSearchCV(make_pipeline(classifier()), {"mlpclassifier__alpha": [0, 1]}, cv=2),
]


@pytest.mark.parametrize("search", SEARCHES, ids=lambda s: type(s).__name__)
def test_best_estimator_of_a_search(search, tmp_path):
    search.fit(X, Y["binary"])
    assert_equal(search, written(search, tmp_path), X)


def test_other_estimators_are_skl2onnx_s(tmp_path):
    model = Ridge().fit(X, X[:, 0])
    assert_equal(model, written(model, tmp_path), X)


# ---- skl2onnx itself -------------------------------------------------------------


@pytest.mark.parametrize("X", [X, X.astype(float), pd.DataFrame(X, columns=[*"abcde"])])
def test_skl2onnx_knows_networks(X):
    export.register()
    scaled = make_pipeline(StandardScaler(), classifier())
    for model in (scaled, classifier()):
        model.fit(X, Y["binary"])
        file = skl2onnx.to_onnx(model, X[:1], options={"zipmap": False})
        session = onnxruntime.InferenceSession(file.SerializeToString())
        assert_equal(model, session, X)


@pytest.mark.parametrize("nocl", [False, True])
def test_options_of_skl2onnx(nocl):
    export.register()
    y = np.array(["no", "yes"])[Y["binary"]]
    model = classifier().fit(X, y)
    file = skl2onnx.to_onnx(model, X[:1], options={"nocl": nocl})
    session = onnxruntime.InferenceSession(file.SerializeToString())
    labels, (first, *_) = session.run(None, {"X": X})
    named = np.array(["no", "yes"])[labels] if nocl else labels
    np.testing.assert_array_equal(named, model.predict(X))
    assert list(first) == ([0, 1] if nocl else ["no", "yes"])


# ---- files, errors ---------------------------------------------------------------


def test_a_file_depends_on_the_model_alone(tmp_path):
    model = classifier().fit(X, Y["binary"])
    files = []
    for _ in range(2):
        to_onnx(model, tmp_path / "model.onnx")
        files.append((tmp_path / "model.onnx").read_bytes())
    assert files[0] == files[1]
    assert [path.name for path in tmp_path.iterdir()] == ["model.onnx"]


DATES = np.array(["2026-01-01", "2026-01-02"], dtype="datetime64[D]")
LARGE = np.array([2**63, 2**63 + 2048], dtype=np.uint64)
ERRORS = [
    (3, {}, TypeError, "3 is not an estimator"),
    (MLPClassifier, {}, TypeError, "is a class, not an instance"),
    (classifier(), {}, NotFittedError, "not fitted"),
    (make_pipeline(StandardScaler(), classifier()), {}, NotFittedError, "not fitted"),
    (
        classifier(activation=torch.nn.GELU).fit(X, Y["binary"]),
        {},
        ValueError,
        r"^activation must be a key of .*ACTIVATIONS.*, got .*GELU",
    ),
    (
        classifier(activation=["relu", torch.nn.GELU], hidden_layer_sizes=(3, 3)).fit(
            X, Y["binary"]
        ),
        {},
        ValueError,
        "^activation must be",
    ),
    *(
        (classifier().fit(X, Y["binary"]), {"opset": opset}, ValueError, message)
        for opset, message in {
            12: r"^opset must be an integer in \[13, \d+\], got 12",
            10**6: "got 1000000",
            17.0: "got 17.0",
        }.items()
    ),
    *(
        (
            classifier().fit(X, labels[Y["binary"]]),
            {},
            ValueError,
            "^class labels must be strings or integers",
        )
        for labels in (DATES, LARGE)
    ),
    (
        GridSearchCV(classifier(), GRID, cv=2, refit=False).fit(X, Y["binary"]),
        {},
        ValueError,
        "^the search must have refitted .*, got refit=False",
    ),
    (
        make_pipeline(FunctionTransformer(np.abs), classifier()).fit(X, Y["binary"]),
        {},
        RuntimeError,
        "FunctionTransformer is not supported",
    ),
]


@pytest.mark.parametrize(
    ("model", "options", "error", "message"), ERRORS, ids=range(len(ERRORS))
)
def test_errors(model, options, error, message, tmp_path):
    with pytest.raises(error, match=message):
        to_onnx(model, tmp_path / "model.onnx", **options)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("limit", [100, 500])  # of the weights, of the whole
def test_too_large(limit, tmp_path, monkeypatch):
    model = make_pipeline(StandardScaler(), classifier()).fit(X, Y["binary"])
    assert 100 < model[-1].net_.module_.flat.nbytes < 500
    monkeypatch.setattr("sk_deep.export._converters.MAX_BYTES", limit)
    with pytest.raises(ValueError, match=r"smaller than 2 GB, got \d+ bytes"):
        to_onnx(model, tmp_path / "model.onnx")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("function", [export.register, lambda: to_onnx(None, "a")])
def test_without_skl2onnx(function, monkeypatch):
    monkeypatch.setitem(sys.modules, "skl2onnx", None)
    with pytest.raises(ImportError, match=r'pip install "sk_deep\[onnx\]"'):
        function()


@pytest.mark.processes
def test_import_is_lazy():
    names = "{'onnx', 'onnxruntime', 'skl2onnx'} & sys.modules.keys()"
    code = f"import sys, sk_deep; sys.exit(bool({names}))"
    subprocess.run([sys.executable, "-c", code], check=True)


# ---- columns of numbers --------------------------------------------------------------


@pytest.mark.parametrize("n_members", [1, 2])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("scaling", [None, "standard", "robust", "smooth_clip"])
@pytest.mark.parametrize("embedding", [None, *NUMERICAL_EMBEDDINGS])
def test_columns_of_numbers(embedding, scaling, dtype, n_members, tmp_path):
    holes = np.where(rng.random(X.shape) < 0.1, np.nan, X).astype(dtype)
    params = {
        "missing": "impute",
        "numerical_scaling": scaling,
        "numerical_embedding": embedding,
        "dtype": dtype,
        "n_members": n_members,
    }
    model = classifier(**params).fit(holes, Y["multiclass"])
    assert_equal(model, written(model, tmp_path), holes)
    model = regressor(**params, target_scaling="standard").fit(holes, X[:, 0] + 2)
    assert_equal(model, written(model, tmp_path), holes)


@pytest.mark.long
@pytest.mark.parametrize("kind", [TabularMLPClassifier, TabularMLPRegressor])
def test_tabular(kind, tmp_path):
    holes = np.where(rng.random(X.shape) < 0.1, np.nan, X).astype(float)
    y = Y["multiclass"] if kind is TabularMLPClassifier else X[:, 0]
    holes[:, 0] += 1.6e9  # the columns are encoded in float64, whatever the network's
    for dtype in DTYPES:
        model = kind(max_iter=3, random_state=0, dtype=dtype).fit(holes, y)
        far = np.concatenate([holes, 1e9 * holes, -1e30 * holes])
        assert_equal(model, written(model, tmp_path), far)


def test_columns_that_cannot_be_exported(tmp_path):
    frame = pd.DataFrame({"a": X[:, 0], "b": ["x", "y"] * 500})
    model = classifier(categorical_features=["b"]).fit(frame, Y["binary"])
    with pytest.raises(ValueError, match=r"columns of categories cannot be exported"):
        to_onnx(model, tmp_path / "model.onnx")
    model = classifier(numerical_scaling="quantile").fit(X, Y["binary"])
    with pytest.raises(ValueError, match="'quantile' cannot be exported"):
        to_onnx(model, tmp_path / "model.onnx")
