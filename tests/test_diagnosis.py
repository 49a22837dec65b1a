"""The diagnosis takes all that the estimators take, and leaves it as it was."""

import functools
import random
import re
import textwrap
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pytest
import scipy.sparse
import torch
from matplotlib.figure import Figure
from sklearn.base import clone, is_classifier
from sklearn.compose import make_column_transformer
from sklearn.datasets import (
    make_classification,
    make_multilabel_classification,
    make_regression,
)
from sklearn.decomposition import PCA
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
from sk_deep.recipe import RULES, _measure, _rules
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
    X, y = make_regression(
        N_ROWS, 5, n_targets=n_targets, noise=30.0, random_state=0
    )
    return X, scale(y)


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
    "passthrough first": Row(
        make_pipeline("passthrough", *_in_columns()), _categories
    ),
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
            make_column_transformer((TargetEncoder(cv=2), ["kind"])), classifier()
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
    "multilabel": Row(
        classifier(), functools.partial(make_multilabel_classification, N_ROWS, 5)
    ),
    "multilabel, weights": Row(
        classifier(),
        functools.partial(make_multilabel_classification, N_ROWS, 5, random_state=0),
        {"sample_weight": WEIGHT},
    ),
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
    "splitter": Row(classifier(), params={"cv": StratifiedKFold(3, shuffle=True)}),
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


def run(row, **changes):
    X, y = row.data()
    params = {"cv": 2, "random_state": 0, **row.params, **changes}
    if callable(params["cv"]):
        params["cv"] = params["cv"]()
    return diagnose(row.estimator, X, y, **params)


@pytest.fixture(scope="module", autouse=True)
def _short():
    """Measure little, so that there is time for all rows of the table."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_measure, "RATE_FACTORS", (0.1, 1.0, 10.0))
        patch.setattr(_measure, "_SHORT_STEPS", 5)
        patch.setitem(_measure._PLAIN, "max_iter", 5)
        yield


@functools.cache
def diagnosis_of(name):
    return run(ROWS[name])


@pytest.mark.parametrize("name", ROWS)
def test_a_diagnosis_can_be_read(name):
    diagnosis = diagnosis_of(name)
    assert diagnosis.verdicts
    text, page = repr(diagnosis), diagnosis._repr_html_()
    assert max(map(len, text.splitlines())) <= 88
    assert not re.search(r"(?i)\b(nan|inf)\b", text + page.split("<img")[0])
    assert "data:image/png;base64," in page
    frame = diagnosis.to_frame()
    assert len(frame) == sum(len(one.suggestions) for one in diagnosis.verdicts)
    assert diagnosis.plot(Figure()).axes


def fit_shortly(estimator, candidate, X, y):
    model = clone(estimator).set_params(**candidate)
    network = model
    while isinstance(network, Pipeline):
        network = network[-1]
    network.set_params(max_iter=1)
    return model.fit(X, y)


@pytest.mark.parametrize("name", ROWS)
def test_all_that_a_rule_may_suggest_is_legal(name):
    row, measured = ROWS[name], diagnosis_of(name).measurements
    X, y = row.data()
    case, seen = _rules.Case(row.estimator, measured), []
    for rule in RULES.values():
        if rule.suggests in (_rules._lower_rate, _rules._higher_rate):
            continue  # they ask for a better rate, which there need not be
        for one in rule.suggests(case):
            if one.param_grid not in seen:
                seen.append(one.param_grid)
                for candidate in ParameterGrid(one.param_grid):
                    fit_shortly(row.estimator, candidate, X, y)
    assert len(seen) > 5
