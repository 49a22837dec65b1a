"""In float64 the estimators are scikit-learn's, number for number."""

import numpy as np
import pytest
import scipy.sparse
from sklearn import neural_network
from sklearn.datasets import (
    make_classification,
    make_multilabel_classification,
    make_regression,
)
from sklearn.preprocessing import scale

import sk_deep


def _data(kind):
    if kind == "multilabel":
        return make_multilabel_classification(120, n_features=8, random_state=0)
    if kind in ("binary", "multiclass"):
        n_classes = 2 if kind == "binary" else 4
        return make_classification(
            150, n_features=8, n_informative=6, n_classes=n_classes, random_state=0
        )
    n_targets = 3 if kind == "multioutput" else 1
    X, y = make_regression(150, n_features=8, n_targets=n_targets, random_state=0)
    y = scale(y)
    return (X, np.round(np.exp(y))) if kind == "poisson" else (X, y)


SGD = {"solver": "sgd", "learning_rate_init": 0.05}
LBFGS = {"solver": "lbfgs", "max_iter": 40}
CONFIGURATIONS = [
    # kind of target, parameters
    ("binary", {}),
    ("binary", {"activation": "tanh", "beta_1": 0.8, "beta_2": 0.99}),
    ("binary", {"activation": "logistic", "alpha": 1.0}),
    ("binary", {"activation": "identity", "epsilon": 1e-3}),
    ("binary", {"hidden_layer_sizes": (20, 10, 5), "batch_size": 32}),
    ("binary", {"shuffle": False, "batch_size": 40}),
    ("binary", {"early_stopping": True, "batch_size": 16}),
    ("binary", {"early_stopping": True, "tol": 0.05, "n_iter_no_change": 2}),
    ("binary", {"tol": 0.1, "n_iter_no_change": 3}),
    ("binary", {"batch_size": 1, "hidden_layer_sizes": (4,)}),
    ("binary", SGD),
    ("binary", {**SGD, "momentum": 0}),
    ("binary", {**SGD, "nesterovs_momentum": False}),
    ("binary", {**SGD, "learning_rate": "invscaling", "power_t": 0.3}),
    ("binary", {**SGD, "learning_rate": "adaptive", "tol": 0.1, "n_iter_no_change": 1}),
    ("binary", {**SGD, "early_stopping": True, "learning_rate": "adaptive"}),
    ("binary", LBFGS),
    ("multiclass", {}),
    ("multiclass", {"learning_rate": "invscaling"}),  # inert with adam
    ("multiclass", {"alpha": 0.0, "activation": "tanh"}),
    ("multiclass", {"hidden_layer_sizes": 30, "batch_size": 50}),
    ("multiclass", {"hidden_layer_sizes": ()}),
    ("multiclass", {"early_stopping": True, "validation_fraction": 0.3}),
    ("multiclass", {**SGD, "batch_size": 64}),
    ("multiclass", {**SGD, "momentum": 0.5, "activation": "logistic"}),
    ("multiclass", {**SGD, "learning_rate": "adaptive", "tol": 1.0}),
    ("multiclass", {**LBFGS, "activation": "tanh"}),
    ("multilabel", {}),
    ("multilabel", {"early_stopping": True}),
    ("multilabel", {**SGD, "alpha": 0.1}),
    ("multilabel", LBFGS),
    ("regression", {}),
    ("regression", {"early_stopping": True, "batch_size": 25}),
    ("regression", {"activation": "logistic", "hidden_layer_sizes": (10, 10)}),
    ("regression", SGD),
    ("regression", {**SGD, "learning_rate": "invscaling", "activation": "tanh"}),
    ("regression", {**SGD, "momentum": 0.99, "nesterovs_momentum": False}),
    ("regression", LBFGS),
    ("multioutput", {}),
    ("multioutput", {**SGD, "early_stopping": True}),
    ("multioutput", LBFGS),
    ("poisson", {"loss": "poisson"}),
    ("poisson", {"loss": "poisson", **SGD, "learning_rate_init": 1e-3}),
    ("poisson", {"loss": "poisson", "early_stopping": True}),
    ("poisson", {"loss": "poisson", **LBFGS}),
]
CURVES = [
    "loss_curve_",
    "validation_scores_",
    "best_loss_",
    "best_validation_score_",
    "loss_",
]
EXACT = ["n_iter_", "t_", "n_layers_", "n_outputs_", "out_activation_"]


def _pair(kind, params, seed=0):
    is_classifier = kind in ("binary", "multiclass", "multilabel")
    name = "MLPClassifier" if is_classifier else "MLPRegressor"
    params = {"max_iter": 15, "random_state": seed, **params}
    theirs = getattr(neural_network, name)(**params)
    ours = getattr(sk_deep, name)(**params, dtype="float64", device="cpu")
    return theirs, ours


def _assert_equal(theirs, ours, X, *, rtol=1e-6):
    for name in EXACT:
        assert getattr(ours, name) == getattr(theirs, name), name
    for name in CURVES:
        expected = getattr(theirs, name, None)
        found = getattr(ours, name, None)
        if expected is None:
            assert found is None, name
        else:
            np.testing.assert_allclose(found, expected, rtol=rtol, err_msg=name)
    for name in ("coefs_", "intercepts_"):
        for found, expected in zip(
            getattr(ours, name), getattr(theirs, name), strict=True
        ):
            np.testing.assert_allclose(found, expected, rtol=rtol, atol=1e-10)
    _assert_equal_predictions(theirs, ours, X, rtol=rtol)


def _assert_equal_predictions(theirs, ours, X, *, rtol):
    np.testing.assert_allclose(ours.predict(X), theirs.predict(X), rtol=rtol)
    if hasattr(theirs, "predict_proba"):
        found, expected = ours.predict_proba(X), theirs.predict_proba(X)
        np.testing.assert_allclose(found, expected, rtol=rtol, atol=1e-10)


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize(("kind", "params"), CONFIGURATIONS)
def test_twin(kind, params, seed):
    X, y = _data(kind)
    theirs, ours = (estimator.fit(X, y) for estimator in _pair(kind, params, seed))
    if params.get("solver") == "lbfgs":
        np.testing.assert_allclose(ours.loss_, theirs.loss_, rtol=1e-2)
        _assert_equal_predictions(theirs, ours, X, rtol=1e-2)
    else:
        _assert_equal(theirs, ours, X)


def test_there_are_enough_configurations():
    assert len(CONFIGURATIONS) >= 40


@pytest.mark.parametrize("kind", ["binary", "multiclass", "regression"])
@pytest.mark.parametrize(
    "params", [{}, SGD, {"early_stopping": True}, {"solver": "lbfgs"}]
)
def test_twin_with_sample_weight(kind, params, rng):
    X, y = _data(kind)
    weight = rng.uniform(0, 2, len(y))
    theirs, ours = _pair(kind, {"batch_size": 50, **params})
    for estimator in (theirs, ours):
        estimator.fit(X, y, sample_weight=weight)
    if params.get("solver") == "lbfgs":
        _assert_equal_predictions(theirs, ours, X, rtol=1e-2)
    else:
        _assert_equal(theirs, ours, X)


@pytest.mark.parametrize("container", [scipy.sparse.csr_matrix, scipy.sparse.csc_array])
def test_twin_on_sparse_inputs(container):
    X, y = _data("multiclass")
    X = container(np.where(np.abs(X) > 1, X, 0))
    theirs, ours = (e.fit(X, y) for e in _pair("multiclass", {"batch_size": 32}))
    _assert_equal(theirs, ours, X)


@pytest.mark.parametrize("params", [{}, SGD, {**SGD, "learning_rate": "invscaling"}])
@pytest.mark.parametrize("kind", ["multiclass", "regression"])
def test_twin_with_warm_start(kind, params):
    X, y = _data(kind)
    theirs, ours = _pair(kind, {"warm_start": True, "max_iter": 5, **params})
    for estimator in (theirs, ours):
        estimator.fit(X, y).fit(X, y)
    _assert_equal(theirs, ours, X)


@pytest.mark.parametrize("params", [{}, SGD, {**SGD, "learning_rate": "invscaling"}])
@pytest.mark.parametrize("kind", ["multiclass", "multilabel", "regression"])
@pytest.mark.parametrize("fits_first", [False, True])
def test_twin_with_partial_fit(kind, params, fits_first):
    X, y = _data(kind)
    classes = {} if kind == "regression" else {"classes": np.arange(np.max(y) + 1)}
    if kind == "multilabel":
        classes = {"classes": np.arange(y.shape[1])}
    theirs, ours = _pair(kind, {"batch_size": 32, "max_iter": 3, **params})
    for estimator in (theirs, ours):
        if fits_first:
            estimator.fit(X, y)
        for rows in (slice(0, 80), slice(40, 120), slice(None)):
            estimator.partial_fit(X[rows], y[rows], **({} if fits_first else classes))
    _assert_equal(theirs, ours, X)


def test_twin_with_random_state_instance():
    X, y = _data("binary")
    theirs, ours = _pair("binary", {})
    for estimator in (theirs, ours):
        state = np.random.RandomState(3)
        estimator.set_params(random_state=state).fit(X, y).fit(X, y)
    _assert_equal(theirs, ours, X)


def test_float32_inputs_agree_to_float32():
    X, y = _data("regression")
    X = X.astype(np.float32)
    theirs = neural_network.MLPRegressor(random_state=0, max_iter=15).fit(X, y)
    ours = sk_deep.MLPRegressor(random_state=0, max_iter=15).fit(X, y)
    assert ours.coefs_[0].dtype == ours.predict(X).dtype == np.float32
    np.testing.assert_allclose(ours.predict(X), theirs.predict(X), atol=1e-4)
