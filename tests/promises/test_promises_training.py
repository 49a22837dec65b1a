"""Promises 57 to 72: weights, seeds, parameters, states of a fit."""

import pickle
import random
import warnings

import joblib
import numpy as np
import pytest
import scipy.sparse
import torch
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV
from sklearn.utils.class_weight import compute_class_weight
from sklearn.utils.validation import check_is_fitted
from skorch.callbacks import Callback

from sk_deep import BatchedGridSearchCV, MLPClassifier, MLPRegressor
from sk_deep._data.batches import Data
from sk_deep.exceptions import DivergenceError

RNG = np.random.RandomState(0)
X = RNG.standard_normal((120, 4))
Y = np.digitize(X[:, 0], [-0.5, 0.5])
R = X[:, 0] + 0.1 * X[:, 1]
SHORT = {"hidden_layer_sizes": (8,), "max_iter": 3, "random_state": 0}
WHOLE = {"batch_size": 10**4, "shuffle": False, "alpha": 0.0, "dtype": "float64"}


def classifier(**params):
    """Build a small classifier."""
    return MLPClassifier(**{**SHORT, **params})


def regressor(**params):
    """Build a small regressor."""
    return MLPRegressor(**{**SHORT, **params})


def _fit(model, *data, **fit_params):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return model.fit(*data, **fit_params)


def _outputs(model):
    return getattr(model, "predict_proba", model.predict)(X)


# ---- weights ---------------------------------------------------------------------


@pytest.mark.parametrize("params", [{}, {"early_stopping": True}, {"solver": "lbfgs"}])
def test_promise_57_weights_of_one_are_none(params):
    for make, y in ((classifier, Y), (regressor, R)):
        found = _fit(make(**params), X, y, sample_weight=np.ones(120))
        np.testing.assert_array_equal(
            _outputs(found), _outputs(make(**params).fit(X, y))
        )


@pytest.mark.parametrize("factor", [1e-3, 7.0, 1e3])
def test_promise_57_only_ratios_of_weights_matter(factor):
    weight = RNG.uniform(0.5, 2, size=120)
    for make, y in ((classifier, Y), (regressor, R)):
        found = [
            _outputs(_fit(make(alpha=0.0), X, y, sample_weight=k * weight))
            for k in (1, factor)
        ]
        np.testing.assert_allclose(*found, rtol=1e-7)


@pytest.mark.parametrize("solver", ["sgd", "adam", "lbfgs"])
def test_promise_57_weights_are_repeats(solver):
    weight = RNG.randint(0, 4, size=120)
    rows = np.repeat(np.arange(120), weight)
    params = {**WHOLE, "solver": solver, "max_iter": 20}
    for make, y in ((classifier, Y), (regressor, R)):
        found = _outputs(_fit(make(**params), X, y, sample_weight=weight))
        expected = _outputs(_fit(make(**params), X[rows], y[rows]))
        np.testing.assert_allclose(found, expected, rtol=1e-7)


def test_promise_58_class_weight_is_sample_weight():
    weight = RNG.uniform(0.5, 2, size=120)
    by_class = compute_class_weight("balanced", classes=np.unique(Y), y=Y)
    expected = _fit(classifier(), X, Y, sample_weight=weight * by_class[Y])
    for class_weight in ("balanced", dict(enumerate(by_class))):
        found = classifier(class_weight=class_weight).fit(X, Y, sample_weight=weight)
        np.testing.assert_allclose(_outputs(found), _outputs(expected), rtol=1e-12)
    with pytest.raises(ValueError, match="class_weight must have keys of the classes"):
        classifier(class_weight={7: 1.0}).fit(X, Y)
    labels = np.eye(3, dtype=int)[Y]
    for y in (labels, scipy.sparse.csr_array(labels)):
        with pytest.raises(ValueError, match="class_weight must be 'balanced' or None"):
            classifier(class_weight={0: 1.0}).fit(X, y)


@pytest.mark.parametrize(
    "weight",
    [
        np.zeros(120),
        np.full(120, -1.0),
        np.full(120, np.nan),
        np.ones(7),
        np.ones((120, 2)),
    ],
    ids=["zeros", "negative", "nan", "too few", "matrix"],
)
def test_promise_59_illegal_weights(weight):
    for make, y in ((classifier, Y), (regressor, R)):
        with pytest.raises(ValueError, match=r"(?i)sample.?weight"):
            make().fit(X, y, sample_weight=weight)


def test_promise_59_a_class_that_weighs_nothing():
    model = classifier().fit(X, Y, sample_weight=np.where(Y == 1, 1.0, 0.0))
    assert model.predict_proba(X).shape == (120, 3)
    assert np.isfinite(model.predict_proba(X)).all()


# ---- states of an estimator ------------------------------------------------------


def test_promise_60_new_classes():
    text = r"`y` has classes not in `self.classes_`|y has classes not in"
    model = classifier().partial_fit(X, Y, classes=[0, 1, 2])
    with pytest.raises(ValueError, match=text):
        model.partial_fit(X, Y + 1)
    with pytest.raises(ValueError, match="classes"):
        classifier(warm_start=True).fit(X, Y).fit(X, Y + 1)
    with pytest.raises(ValueError, match="classes must be passed on the first call"):
        classifier().partial_fit(X, Y)
    with pytest.raises(ValueError, match=r"classes must be the columns.*\[0 1\]"):
        classifier().partial_fit(X, np.eye(3, dtype=int)[Y], classes=np.array([0, 1]))
    with pytest.raises(ValueError, match="partial_fit does not support early_stopping"):
        classifier(early_stopping=True).partial_fit(X, Y, classes=[0, 1, 2])


def test_promise_61_set_params_leaves_the_network():
    model = classifier().fit(X, Y)
    before = model.predict_proba(X)
    model.set_params(hidden_layer_sizes=(3,), activation="tanh", alpha=9.0)
    np.testing.assert_array_equal(model.predict_proba(X), before)
    model.fit(X, Y)
    assert model.coefs_[0].shape == (4, 3)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("alpha", -1), ("activation", "swish"), ("solver", "newton"), ("dropout", 1.5),
        ("max_iter", 0), ("batch_size", 0), ("learning_rate_init", 0), ("n_members", 0),
        ("dtype", "float16"), ("normalization", "group"), ("loss", "mae"),
    ],
)  # fmt: skip
def test_promise_62_bad_values_are_told_at_fit(name, value):
    model = MLPClassifier(**{name: value})
    clone(model).set_params(**{name: value})
    with pytest.raises(
        ValueError, match=f"The '{name}' parameter of MLPClassifier must be"
    ):
        model.fit(X, Y)


def test_promise_63_the_global_random_states_are_left():
    def states():
        numpy = np.random.get_state()[1].tobytes()
        return random.getstate(), numpy, torch.get_rng_state().tolist()

    before = states()
    for seed in (0, None):
        model = classifier(random_state=seed, dropout=0.2, augmentation="noise")
        model.fit(X, Y).predict_proba_samples(X, 3)
    assert states() == before


def test_promise_64_a_seed_gives_the_same_numbers():
    params = {"dropout": 0.2, "augmentation": "noise", "early_stopping": True}
    expected = _outputs(classifier(**params).fit(X, Y))
    model = classifier(**params).fit(X, Y)
    found = [
        _outputs(model),
        _outputs(model.fit(X, Y)),
        _outputs(clone(model).fit(X, Y)),
    ]
    found.append(_outputs(pickle.loads(pickle.dumps(model)).fit(X, Y)))
    found += joblib.Parallel(2)(joblib.delayed(_again)(params) for _ in range(2))
    for one in found:
        np.testing.assert_array_equal(one, expected)
    own = classifier(random_state=None)
    assert not np.array_equal(_outputs(own.fit(X, Y)), _outputs(own.fit(X, Y)))
    own.set_params(random_state=np.random.RandomState(0))
    assert not np.array_equal(_outputs(own.fit(X, Y)), _outputs(own.fit(X, Y)))


def _again(params):
    return _outputs(classifier(**params).fit(X, Y))


def test_promise_65_threads_and_chunks_change_little(monkeypatch):
    model = classifier(hidden_layer_sizes=(300, 300), dtype="float32").fit(X, Y)
    many = np.tile(X, (20, 1)).astype("f4")
    expected = model.predict_proba(many)
    n_threads = torch.get_num_threads()
    monkeypatch.setattr("sk_deep._engine.threads._ONE_THREAD_WORK", 0)
    for n in (1, 2):
        torch.set_num_threads(n)
        np.testing.assert_allclose(model.predict_proba(many), expected, atol=1e-5)
    torch.set_num_threads(n_threads)
    monkeypatch.setattr("sk_deep._engine.network_data._CHUNK_ELEMENTS", 1)
    np.testing.assert_allclose(model.predict_proba(many), expected, atol=1e-5)


class Fail(Callback):
    """Fails in the second epoch."""

    def on_epoch_end(self, net, **kwargs):
        if len(net.history) == 2:
            raise OSError("planted")


def test_promise_66_and_67_a_failed_fit_leaves_what_was():
    model = classifier(callbacks=[Fail()])
    with pytest.raises(OSError, match="planted"):
        model.fit(X, Y)
    with pytest.raises(NotFittedError):
        check_is_fitted(model)
    with pytest.raises(NotFittedError):
        model.predict(X)
    before = _outputs(model.set_params(callbacks=None).fit(X, Y))
    with pytest.raises(OSError, match="planted"):
        model.set_params(callbacks=[Fail()], random_state=1).fit(X, Y)
    np.testing.assert_array_equal(_outputs(model), before)


@pytest.mark.parametrize("search", [GridSearchCV, BatchedGridSearchCV])
def test_promise_68_searches_hide_nothing(search):
    grid = {"alpha": [1e-4, 1e-2]}
    found = search(classifier(), grid, cv=2).fit(X, Y).cv_results_
    assert np.isfinite(found["mean_test_score"]).all()
    bad = np.where(np.arange(120)[:, None] % 7 == 3, np.nan, X)
    with pytest.raises(ValueError, match="contains NaN"):
        search(classifier(), grid, cv=2).fit(bad, Y)


def _nan(estimator, X, y):
    return np.nan


def test_promise_69_a_score_of_nan_is_no_score():
    with pytest.raises(DivergenceError, match="no longer finite"):
        classifier(early_stopping=True, scoring=_nan).fit(X, Y)


def test_promise_70_divergence_in_the_first_epoch():
    model = regressor(early_stopping=True, solver="sgd", learning_rate_init=1e200)
    with pytest.raises(DivergenceError):
        model.fit(X, R)
    assert not hasattr(model, "net_")
    fast = regressor(early_stopping=True, solver="sgd", learning_rate_init=1e10)
    try:
        _fit(fast, X, R)
    except DivergenceError:
        assert not hasattr(fast, "net_")
    else:
        assert np.isfinite(fast.predict(X)).all()


@pytest.mark.parametrize("network", ["float32", "float64"])
@pytest.mark.parametrize("own", ["f2", "f4", "f8", "i4"])
def test_promise_71_probabilities_are_of_numpys_types(own, network):
    data = np.round(X * 3).astype(own)
    found = classifier(dtype=network).fit(data, Y).predict_proba(data)
    assert found.dtype in (np.float32, np.float64)
    np.testing.assert_allclose(found.sum(axis=1), 1, atol=1e-6)


def test_promise_72_targets_are_indices_before_any_device_sees_them(monkeypatch):
    seen = []
    original = Data._target

    def look(self, y):
        seen.append(y)
        return original(self, y)

    monkeypatch.setattr(Data, "_target", look)
    labels = np.array(["a", "b", "c"])[Y]
    classifier(early_stopping=True).fit(X, labels)
    classifier().fit(X, Y * 1000 - 7)
    assert seen
    assert all(y.min() >= 0 and y.max() <= 2 for y in seen)
