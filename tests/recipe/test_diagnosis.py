"""The diagnosis takes all that the estimators take, and leaves it as it was."""

import contextlib
import functools
import random
import re
import sys
import textwrap
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, NamedTuple
from xml.etree import ElementTree

import joblib
import numpy as np
import pandas as pd
import pytest
import scipy.sparse
import torch
from matplotlib.figure import Figure
from numpy.testing import assert_equal as assert_same
from sklearn.base import clone
from sklearn.compose import make_column_transformer
from sklearn.datasets import (
    make_classification,
    make_multilabel_classification,
    make_regression,
)
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score, make_scorer
from sklearn.model_selection import (
    GridSearchCV,
    KFold,
    LeaveOneOut,
    ParameterGrid,
    ShuffleSplit,
    StratifiedKFold,
)
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler, TargetEncoder, scale
from skorch.callbacks import Callback
from torch import nn

from sk_deep import MLPClassifier, MLPRegressor, diagnose
from sk_deep.callbacks import LayerMonitor
from sk_deep.exceptions import DivergenceError
from sk_deep.recipe import RULES, _case, _remedies, _study, _yardsticks
from sk_deep.solvers import SOLVERS

N_ROWS = 40


# ---- the data ----------------------------------------------------------------------


def _classes(n_classes=3):
    return make_classification(
        N_ROWS,
        n_features=5,
        n_informative=4,
        n_redundant=0,
        n_classes=n_classes,
        n_clusters_per_class=1,
        random_state=0,
    )


def _values(n_targets=1):
    X, y = make_regression(N_ROWS, 5, n_targets=n_targets, noise=30.0, random_state=0)
    return X, scale(y)


def _labels():
    return make_multilabel_classification(N_ROWS, 5, random_state=0)


def _words():
    X, y = _classes(2)
    return X, np.array(["no", "yes"])[y]


def _column():
    X, y = _values()
    return X[:, :1], y


def _constant_feature():
    X, y = _classes()
    return np.column_stack([X, np.full(N_ROWS, 3.0)]), y


def _sparse():
    X, y = _classes()
    return scipy.sparse.csr_array(np.where(np.abs(X) > 0.5, X, 0)), y


def _float32():
    X, y = _classes()
    return X.astype(np.float32), y


def _series():
    X, y = _words()
    index = np.arange(N_ROWS)[::-1]
    return pd.DataFrame(X, index=index).add_prefix("x"), pd.Series(y, index=index)


def _categories():
    X, y = _series()
    return X.assign(kind=np.where(X["x0"] > 0, "high", "low")), y


def _lists():
    X, y = _words()
    return X.tolist(), y.tolist()


def _texts():
    _, y = _words()
    return [f"{label} {i % 7}" for i, label in enumerate(y)], y


def _holes():
    X, y = _classes()
    return np.where(np.abs(X) > 2, np.nan, X), y


def _rare():
    X, y = _classes()
    return X, np.where(np.arange(N_ROWS) < N_ROWS // 3, y, y % 2)


def _few():
    return np.arange(12.0).reshape(6, 2), np.array([0, 1, 0, 1, 0, 1])


# ---- what is diagnosed -------------------------------------------------------------


class Nothing(Callback):
    """A callback that does nothing."""


class Cube(nn.Module):
    """An activation of one's own."""

    def forward(self, z):
        return z**3


def classifier(**params):
    return MLPClassifier(**{"hidden_layer_sizes": (4, 4), "max_iter": 3, **params})


def regressor(**params):
    return MLPRegressor(**{"hidden_layer_sizes": (4, 4), "max_iter": 3, **params})


def _in_columns():
    kinds = make_column_transformer(
        (OneHotEncoder(), ["kind"]), remainder=StandardScaler()
    )
    return make_pipeline(kinds, classifier())


class Row(NamedTuple):
    """A case of the table."""

    estimator: Any
    data: Any = _classes
    params: Mapping[str, Any] = {}


def _part(estimator, X, y):
    return float(np.mean(estimator.predict(X) == y))


def _halves():
    rows = np.arange(N_ROWS)
    yield rows[::2], rows[1::2]
    yield rows[1::2], rows[::2]


def _masks():
    is_even = np.arange(N_ROWS) % 2 == 0
    return [(is_even, ~is_even), (~is_even, is_even)]


WEIGHT = np.linspace(0.1, 2, N_ROWS)

ROWS = {
    "bare": Row(classifier()),
    "regressor": Row(regressor(), _values),
    "pipeline": Row(make_pipeline(StandardScaler(), classifier())),
    "passthrough": Row(Pipeline([("scale", "passthrough"), ("mlp", classifier())])),
    "passthrough first": Row(make_pipeline("passthrough", *_in_columns()), _categories),
    "one step": Row(Pipeline([("mlp", regressor())]), _values),
    "columns": Row(_in_columns(), _categories),
    "frame out": Row(
        make_pipeline(StandardScaler().set_output(transform="pandas"), classifier()),
        _series,
    ),
    "texts": Row(make_pipeline(CountVectorizer(), classifier()), _texts),
    "holes": Row(make_pipeline(SimpleImputer(), classifier()), _holes),
    "target encoder": Row(
        make_pipeline(
            make_column_transformer((TargetEncoder(cv=KFold(2)), ["kind"])),
            classifier(),
        ),
        _categories,
    ),
    "words": Row(classifier(), _words),
    "float32": Row(classifier(), _float32),
    "sparse": Row(classifier(), _sparse),
    "sparse in a pipeline": Row(
        make_pipeline(StandardScaler(with_mean=False), classifier()), _sparse
    ),
    "series": Row(classifier(), _series),
    "lists": Row(classifier(), _lists),
    "multilabel": Row(classifier(), _labels),
    "multilabel, weights": Row(classifier(), _labels, {"sample_weight": WEIGHT}),
    "outputs": Row(regressor(), functools.partial(_values, 2)),
    "lbfgs": Row(classifier(solver="lbfgs")),
    "lbfgs regressor": Row(regressor(solver="lbfgs"), _values),
    **{
        f"solver {name}": Row(classifier(solver=name))
        for name in sorted(SOLVERS.keys() - {"adam", "lbfgs"})
    },
    "early stopping": Row(classifier(early_stopping=True)),
    "callbacks": Row(classifier(callbacks=[Nothing(), LayerMonitor()])),
    "named callbacks": Row(classifier(callbacks=[("one", Nothing())])),
    "members": Row(classifier(n_members=2)),
    "members, early stopping": Row(
        regressor(n_members=2, early_stopping=True), _values
    ),
    "no hidden layer": Row(classifier(hidden_layer_sizes=())),
    "seven layers": Row(classifier(hidden_layer_sizes=4, n_hidden_layers=7)),
    "residual": Row(classifier(hidden_layer_sizes=(4, 4, 4), residual=True)),
    "own activation": Row(classifier(activation=Cube)),
    "maxout": Row(classifier(activation="maxout", maxout_pieces=3)),
    "values by layer": Row(
        classifier(activation=["tanh", "relu"], dropout=[0.5, 0.0]),
    ),
    "alpha dropout": Row(
        classifier(activation="selu", dropout=0.6, dropout_type="alpha")
    ),
    "much penalty": Row(classifier(alpha=10.0, max_norm=1.0, input_dropout=0.5)),
    "schedule": Row(
        classifier(learning_rate="exponential", schedule_params={"gamma": 0.9})
    ),
    "automatic rate": Row(classifier(learning_rate_init="auto")),
    "own rate": Row(classifier(learning_rate_init=0.5, solver="sgd", batch_size=10)),
    "hinge": Row(classifier(loss="hinge")),
    "quantile": Row(regressor(loss="quantile", loss_params={"quantile": 0.9}), _values),
    "poisson": Row(
        regressor(loss="poisson"), lambda: (_values()[0], np.exp(_values()[1]))
    ),
    "weights": Row(classifier(), params={"sample_weight": WEIGHT.tolist()}),
    "weights in a pipeline": Row(
        make_pipeline(StandardScaler(), regressor()),
        _values,
        {"sample_weight": WEIGHT},
    ),
    "class weights": Row(classifier(class_weight="balanced")),
    "scoring by name": Row(classifier(), params={"scoring": "neg_log_loss"}),
    "scoring that warns": Row(classifier(), params={"scoring": "f1_macro"}),
    "scoring by function": Row(classifier(), params={"scoring": _part}),
    "scorer": Row(
        classifier(),
        _words,
        {"scoring": make_scorer(f1_score, pos_label="yes", zero_division=0)},
    ),
    "splitter": Row(classifier(), params={"cv": StratifiedKFold(3)}),
    "one split": Row(classifier(), params={"cv": ShuffleSplit(1, random_state=0)}),
    "splits": Row(classifier(), params={"cv": _halves}),
    "masks": Row(classifier(), params={"cv": _masks}),
    "one feature": Row(regressor(), _column),
    "constant feature": Row(classifier(), _constant_feature),
    "missing classes": Row(classifier(), _rare, {"cv": KFold(3)}),
    "few rows": Row(classifier(), _few),
    "fewest rows": Row(classifier(), _few, {"cv": LeaveOneOut()}),
    "test data": Row(
        classifier(), params={"X_test": _classes()[0], "y_test": _classes()[1]}
    ),
    "diverges": Row(
        regressor(solver="sgd", learning_rate_init=1e20, max_iter=20), _values
    ),
    "diverges in the last step": Row(
        regressor(solver="sgd", learning_rate_init=1e200, max_iter=1),
        _values,
    ),
}


def state_of(*things):
    """Take a hash of things, and of all global random states."""
    random_states = np.random.get_state(), random.getstate()
    return joblib.hash((things, random_states, torch.get_rng_state().numpy()))


def run(row):
    X, y = row.data()
    params = {"cv": 2, "random_state": 0, **row.params}
    if callable(params["cv"]):
        params["cv"] = params["cv"]()
    before = state_of(row.estimator, X, y)
    diagnosis = diagnose(row.estimator, X, y, **params)
    assert state_of(row.estimator, X, y) == before
    return diagnosis


@pytest.fixture(scope="module", autouse=True)
def _short():
    """Measure little, so that there is time for all rows of the table."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_study, "RATE_FACTORS", (0.1, 1.0, 10.0))
        patch.setattr(_study, "_SHORT_STEPS", 5)
        patch.setitem(_yardsticks._PLAIN, "max_iter", 5)
        yield


@functools.cache
def diagnosis_of(name):
    return run(ROWS[name])


@pytest.mark.parametrize("name", ROWS)
def test_a_diagnosis_can_be_read(name):
    diagnosis = diagnosis_of(name)
    assert diagnosis.verdicts
    text = repr(diagnosis)
    assert max(map(len, text.splitlines())) <= 88
    assert not re.search(r"(?i)\b(nan|inf)\b", text)
    for verdict in diagnosis.verdicts:
        assert textwrap.shorten(f"{verdict.key}: {verdict.message}", 60)[:-5] in text
    frame = diagnosis.to_frame()
    assert list(frame["param_grid"]) == [
        one.param_grid for verdict in diagnosis.verdicts for one in verdict.suggestions
    ]
    assert len(diagnosis.plot(Figure()).axes) >= 6


SHOWN = "bare", "lbfgs", "diverges", "one split", "columns"


@pytest.mark.long
@pytest.mark.parametrize("name", SHOWN)
def test_the_page_of_a_notebook(name):
    diagnosis = diagnosis_of(name)
    page, _, picture = diagnosis._repr_html_().partition("<img ")
    assert picture.startswith('alt="what was measured" src="data:image/png;base64,')
    assert not re.search(r"(?i)\b(nan|inf)\b", page)
    root = ElementTree.fromstring(page.replace("<br>", "<br/>") + "</div>")
    shown = " ".join("".join(root.itertext()).split())
    for verdict in diagnosis.verdicts:
        for part in (verdict.message, verdict.rule, *verdict.evidence):
            assert " ".join(part.split()) in shown
        for suggestion in verdict.suggestions:
            assert suggestion.sentence in shown
            assert repr(suggestion.param_grid) in shown


@pytest.mark.long
@pytest.mark.parametrize("name", ["bare", "pipeline", "passthrough", "columns"])
def test_the_first_grid_is_ready_for_a_search(name):
    row, diagnosis = ROWS[name], diagnosis_of(name)
    for one in diagnosis.suggestions[:2]:
        search = GridSearchCV(row.estimator, one.param_grid, cv=2, error_score="raise")
        search.fit(*row.data())
        assert set(search.best_params_) == set(one.parameters)


def fit_shortly(estimator, candidate, X, y):
    model = clone(estimator).set_params(**candidate)
    network = model
    while isinstance(network, Pipeline):
        network = network[-1]
    network.set_params(max_iter=1)
    with contextlib.suppress(DivergenceError):  # which is legal
        model.fit(X, y)


@pytest.mark.parametrize(
    "name", {repr(ROWS[name].estimator): name for name in ROWS}.values()
)
def test_all_that_a_rule_may_suggest_is_legal(name):
    row, measured = ROWS[name], diagnosis_of(name).measurements
    X, y = row.data()
    case, seen = _case.Case(row.estimator, measured), []
    for rule in RULES.values():
        if rule.suggests in (_remedies.lower_rate, _remedies.higher_rate):
            continue  # they ask for a better rate, which there need not be
        for one in rule.suggests(case):
            if one.param_grid not in seen:
                seen.append(one.param_grid)
                for candidate in ParameterGrid(one.param_grid):
                    fit_shortly(row.estimator, candidate, X, y)
    assert len(seen) > 5


# ---- what the estimator is like afterwards, and the same twice ---------------------


@pytest.mark.parametrize("name", ["bare", "one step", "weights", "test data"])
def test_the_same_seed_gives_the_same_diagnosis(name):
    one, other = diagnosis_of(name), run(ROWS[name])
    assert repr(one) == repr(other)
    assert_same(asdict(one.measurements), asdict(other.measurements))


def test_the_seed_is_of_the_parts_of_the_rows_alone_if_the_network_has_one():
    X, y = _classes()
    network = classifier(random_state=3, learning_rate_init=0.1, max_iter=10)
    one, other = (diagnose(network, X, y, cv=2, random_state=i) for i in range(2))
    assert one.measurements.loss_curves == other.measurements.loss_curves
    curves = [each.measurements.learning_curve for each in (one, other)]
    *parts, whole = curves[0]
    assert any(np.any(curves[0][n].test != curves[1][n].test) for n in parts)
    assert_same(curves[0][whole], curves[1][whole])


@pytest.mark.parametrize("is_in_pipeline", [False, True])
@pytest.mark.parametrize("data", [_classes, _series, _sparse, _values])
def test_a_fitted_estimator_is_what_is_tested(data, is_in_pipeline):
    X, y = data()
    network = regressor() if data is _values else classifier()
    estimator = network
    if is_in_pipeline:
        estimator = make_pipeline(StandardScaler(with_mean=False), network)
    estimator.fit(X, y)
    for weights, biases in zip(network.coefs_, network.intercepts_, strict=True):
        weights[:], biases[:] = 0.0, -1.0
    before = joblib.hash((estimator.predict(X), list(vars(network))))
    diagnosis = run(Row(estimator, data, {"X_test": X, "y_test": y}))
    assert joblib.hash((estimator.predict(X), list(vars(network)))) == before
    assert diagnosis.measurements.test_score == estimator.score(X, y)
    assert_same(diagnosis.measurements.dead_units, np.array([1.0, 1.0]))


def test_an_estimator_that_is_not_fitted_is_fitted_on_all_rows_for_the_test():
    X_test, y_test = _classes(2)
    network = classifier(random_state=0)
    row = Row(network, params={"X_test": X_test, "y_test": y_test})
    fitted = clone(network).fit(*_classes())
    assert run(row).measurements.test_score == fitted.score(X_test, y_test)


def test_a_pipeline_with_a_memory(tmp_path):
    one, other = (
        run(Row(make_pipeline(StandardScaler(), classifier(), memory=memory)))
        for memory in (None, str(tmp_path))
    )
    assert_same(asdict(one.measurements), asdict(other.measurements))


# ---- what is refused ---------------------------------------------------------------

REFUSED = {
    "another estimator": (LogisticRegression(), {}, "must be an estimator of sk_deep"),
    "a class": (MLPClassifier, {}, "must be an estimator of sk_deep"),
    "another pipeline": (
        make_pipeline(classifier(), LogisticRegression()),
        {},
        "must be an estimator of sk_deep",
    ),
    "no y_test": (classifier(), {"X_test": _classes()[0]}, "got y_test=None"),
    "no X_test": (classifier(), {"y_test": _classes()[1]}, "got X_test=None"),
    "no rows": (classifier(), {"X": np.empty((0, 5)), "y": []}, "0 sample"),
    "fewer targets": (classifier(), {"y": [0, 1]}, "inconsistent numbers of samples"),
    "few weights": (classifier(), {"sample_weight": [1.0]}, "inconsistent numbers of"),
    "no split": (classifier(), {"cv": []}, "cv must give at least one split"),
    "one fold": (classifier(), {"cv": 1}, "n_splits=2 or more"),
    "scores": (classifier(), {"scoring": ["accuracy"]}, "must be a single score"),
    "no score": (
        regressor(),
        {"X": _few()[0], "y": _few()[1], "cv": LeaveOneOut()},
        "must give a number",
    ),
    "holes": (classifier(), {"X": np.full((N_ROWS, 2), np.nan)}, "contains NaN"),
    "illegal alpha": (classifier(alpha=-1), {}, "'alpha' parameter of MLPClassifier"),
    "illegal pair": (
        make_pipeline(StandardScaler(), classifier(maxout_pieces=3)),
        {},
        "maxout_pieces needs an activation",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_illegal_is_refused(name):
    estimator, params, message = REFUSED[name]
    X, y = _classes()
    with pytest.raises(ValueError, match=message):
        diagnose(estimator, **{"X": X, "y": y, **params})


# ---- the report --------------------------------------------------------------------


def test_without_matplotlib_there_is_no_picture(monkeypatch):
    diagnosis = diagnosis_of("bare")
    for name in [name for name in sys.modules if name.startswith("matplotlib")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    page = diagnosis._repr_html_()
    assert "<img" not in page
    assert diagnosis.verdicts[0].message in page
    with pytest.raises(ImportError, match=r"sk_deep\[plot\]"):
        diagnosis.plot()


@pytest.mark.long
def test_the_page_escapes_what_a_user_named():
    estimator = Pipeline([("<b>&", classifier())])
    page = run(Row(estimator))._repr_html_()
    assert "<b>&__" not in page
    assert "&lt;b&gt;&amp;__" in page


def test_a_failure_is_told():
    text = " ".join(repr(diagnosis_of("diverges")).split())
    assert "The network failed, splits: 2. " in text
    assert diagnosis_of("diverges").measurements.errors[0] in text
    assert "the network failed failed" in text
