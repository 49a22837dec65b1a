"""Fits that go on from others: warm starts and partial fits with changed parameters."""

import numpy as np
import pytest
import torch
from sklearn.datasets import make_multilabel_classification

from sk_deep import MLPClassifier, MLPRegressor

PARAMS = {"hidden_layer_sizes": (16,), "max_iter": 4, "random_state": 0}
STOPS = {"early_stopping": True, "learning_rate_init": 0.01}


def test_a_score_of_another_kind_starts_afresh(digits):
    model = MLPClassifier(**PARAMS, **STOPS, warm_start=True).fit(*digits)
    before = model.coefs_[0].copy()
    model.set_params(scoring="loss").fit(*digits)
    assert model.best_validation_score_ == max(model.validation_scores_) < 0
    assert not np.array_equal(model.coefs_[0], before)


@pytest.mark.parametrize("stops_first", [False, True])
def test_curves_start_afresh_where_early_stopping_changes(stops_first, digits):
    model = MLPClassifier(**PARAMS, warm_start=True, early_stopping=stops_first)
    model.fit(*digits).set_params(early_stopping=not stops_first).fit(*digits)
    assert len(model.loss_curve_) == len(model.history_) == model.n_iter_ == 4
    assert (model.validation_scores_ is None) == stops_first


@pytest.mark.parametrize("solvers", [("adam", "lbfgs"), ("lbfgs", "adam")])
def test_warm_start_between_kinds_of_solvers(solvers, digits):
    model = MLPClassifier(**PARAMS, warm_start=True, solver=solvers[0]).fit(*digits)
    first = model.loss_
    model.set_params(solver=solvers[1]).fit(*digits)
    assert model.loss_ < first
    assert hasattr(model, "loss_curve_") == (solvers[1] == "adam")


@pytest.mark.parametrize("dtype", ["float32", "float64", "auto"])
def test_a_named_dtype_is_not_ignored(dtype, digits):
    model = MLPClassifier(**PARAMS, warm_start=True, dtype="float64").fit(*digits)
    model.set_params(dtype=dtype)
    if dtype == "float32":
        with pytest.raises(ValueError, match="other values of: dtype"):
            model.fit(*digits)
    else:
        assert model.fit(*digits).coefs_[0].dtype == np.float64


CHANGES = [
    ({"solver": "adam"}, {"solver": "adamw"}),
    ({"solver": "adamw"}, {"solver": "adam"}),
    ({"solver": "adam"}, {"solver_params": {"amsgrad": True}}),
    ({"solver": "rmsprop"}, {"solver_params": {"centered": True}}),
    ({"solver": "rmsprop"}, {"solver_params": {"momentum": 0.5}}),
    ({"solver": "sgd"}, {"momentum": 0.0}),
    ({"solver": "sgd"}, {"solver": torch.optim.SGD}),
    ({"solver": "vsgd"}, {"solver": "adasecant"}),
]


@pytest.mark.parametrize(("first", "then"), CHANGES)
def test_a_changed_solver_starts_afresh_from_the_weights(first, then, digits):
    X, y = digits
    model = MLPClassifier(**PARAMS, **first).partial_fit(X, y, classes=np.arange(10))
    before = model.loss_
    assert model.set_params(**then).partial_fit(X, y).loss_ < before
    assert np.isfinite(model.predict_proba(X)).all()


def test_validation_data_may_lack_classes(digits):
    X, y = digits
    model = MLPClassifier(**PARAMS, **STOPS, warm_start=True)
    model.fit(X, y, X_val=X[y < 5], y_val=y[y < 5])
    assert len(model.validation_scores_) == 4


def test_class_weight_of_classes_that_a_partial_fit_lacks(digits):
    X, y = digits[0], digits[1] % 3
    some, weight = y < 2, {0: 2.0, 2: 5.0}
    models = [MLPClassifier(**PARAMS, class_weight=w) for w in (weight, {0: 2.0})]
    for model in models:
        model.partial_fit(X[some], y[some], classes=[0, 1, 2])
    np.testing.assert_array_equal(*(model.predict_proba(X) for model in models))


def test_targets_of_another_kind(digits):
    X = digits[0][:100]
    _, labels = make_multilabel_classification(100, n_classes=3, random_state=0)
    single = MLPClassifier(**PARAMS, warm_start=True).fit(X, labels[:, 0])
    with pytest.raises(ValueError, match="of the kind as in the first fit, single"):
        single.fit(X, labels)
    several = MLPClassifier(**PARAMS, warm_start=True).fit(X, labels)
    for y in (labels[:, 0], labels[:, :2]):
        with pytest.raises(ValueError, match="in the first fit, 3 labels"):
            several.fit(X, y)


def test_scorers_without_weights(digits):
    X, y = digits
    model = MLPClassifier(**PARAMS, early_stopping=True, scoring=lambda m, X, y: 0.5)
    assert set(model.fit(X, y).validation_scores_) == {0.5}
    with pytest.raises(ValueError, match="scoring must accept sample_weight"):
        model.fit(X, y, sample_weight=np.ones(len(y)))


@pytest.mark.parametrize("name", ["AdamW", "Adam", "SGD"])
def test_optimizer_classes_do_not_decay_by_themselves(name, diabetes):
    model = MLPRegressor(**PARAMS, solver=getattr(torch.optim, name), alpha=0)
    model.fit(*diabetes)
    assert model.net_.optimizer_.param_groups[0]["weight_decay"] == 0
