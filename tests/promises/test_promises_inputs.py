"""Promises 31 to 56: inputs and targets, good and bad."""

import re
import tracemalloc
import warnings

import numpy as np
import pandas as pd
import pytest
import scipy.sparse
import torch
from sklearn.exceptions import ConvergenceWarning, DataConversionWarning
from sklearn.model_selection import cross_val_predict

from sk_deep import MLPClassifier, MLPRegressor
from sk_deep._engine.best_constant import best_constant
from sk_deep.exceptions import DivergenceError
from sk_deep.losses import Criterion

RNG = np.random.RandomState(0)
X = RNG.standard_normal((120, 4))
Y = np.digitize(X[:, 0], [-0.5, 0.5])
R = X[:, 0] + 0.1 * X[:, 1]
SHORT = {"hidden_layer_sizes": (8,), "max_iter": 3, "random_state": 0}
BIG = X.copy()
BIG[3, 1] = 1e39


def classifier(**params):
    """Build a small classifier."""
    return MLPClassifier(**{**SHORT, **params})


def regressor(**params):
    """Build a small regressor."""
    return MLPRegressor(**{**SHORT, **params})


# ---- numbers that are too large --------------------------------------------------


@pytest.mark.parametrize("solver", ["sgd", "adam", "lbfgs"])
def test_promise_31_a_loss_that_is_not_finite_is_told(solver):
    model = regressor(solver=solver, learning_rate_init=1e6, max_iter=50)
    with pytest.raises(DivergenceError, match=r"epoch \d+: scale X, lower"):
        model.fit(X * 1e160, R)
    assert not hasattr(model, "net_")


def test_promise_31_with_early_stopping_the_best_is_kept():
    model = regressor(
        solver="sgd", learning_rate_init=5, early_stopping=True, max_iter=300
    )
    with pytest.warns(ConvergenceWarning, match="no longer finite"):
        model.fit(X, R * 10)
    assert np.isfinite(model.predict(X)).all()


def test_promise_31_moments_that_are_not_finite_are_told():
    model = classifier(normalization="batch", dtype="float32", max_iter=20)
    with pytest.raises(DivergenceError):
        model.fit(X * 1e20, Y)


def test_promise_31_predictions_are_finite():
    model = regressor(loss="poisson").fit(X, np.exp(R))
    assert np.isfinite(model.predict(X * 10)).all()
    with pytest.raises(DivergenceError, match="Input X contains a value too large"):
        model.predict(np.sign(X) * 1e300)


LOGISTIC = {"activation": "logistic", "max_iter": 100}
DEAD = {
    "a rate too small": ({**LOGISTIC, "solver": "sgd", "learning_rate_init": 1e-9}, X),
    "values too large": ({**LOGISTIC, "learning_rate_init": 1e-9}, X * 1e18),
    "L-BFGS": ({**LOGISTIC, "solver": "lbfgs", "alpha": 1e9}, X),
}


@pytest.mark.parametrize("name", DEAD)
@pytest.mark.parametrize("make", [classifier, regressor])
def test_promise_32_a_dead_network_is_told(make, name):
    y = Y if make is classifier else R
    params, data = DEAD[name]
    for early_stopping in (False, True)[: 1 + (name != "L-BFGS")]:
        model = make(early_stopping=early_stopping, **params)
        with pytest.warns(ConvergenceWarning, match="than that of a constant") as told:
            model.fit(data, y)
        assert told[-1].filename == __file__


def _learned(model, data, y, **further):
    """Fit, and return what the warning of a dead network tells, if anything."""
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        model.fit(data, y, **further)
    return [str(one.message) for one in told if "learned nothing" in str(one.message)]


def test_promise_32_a_network_that_learned_is_not_blamed():
    stops = {"max_iter": 500, "learning_rate_init": 0.05, "tol": 1e-2}
    assert _learned(classifier(**stops), X, Y) == []
    assert _learned(regressor(**stops), X, R) == []
    # one class, or one of weight: there is nothing to learn
    assert _learned(classifier(**stops), X, np.ones(120)) == []
    assert _learned(classifier(**stops), X, Y, sample_weight=(Y == 1) * 1.0) == []
    assert _learned(regressor(**stops), X, np.full(120, 7.0)) == []
    # the loss that training saw is worse than a constant's, by its smooth labels
    smooth = classifier(**{**stops, "tol": 1e-4}, label_smoothing=0.9)
    assert _learned(smooth, X, Y) == []
    constant = -np.log(np.bincount(Y)[Y] / 120).mean()
    assert min(smooth.loss_curve_) > constant
    assert smooth.score(X, Y) > 0.7


@pytest.mark.parametrize(
    ("loss", "kind", "target", "expected"),
    [
        ("log_loss", "multiclass", Y, -np.log(np.bincount(Y)[Y] / 120).mean()),
        ("squared_error", "real", R, np.var(R) / 2),
        ("absolute_error", "real", R, np.abs(R - np.median(R)).mean()),
        ("poisson", "real", np.exp(R), None),
    ],
)
def test_promise_32_the_constant_is_the_best(loss, kind, target, expected):
    criterion, n_outputs = Criterion(loss, kind), 3 if kind == "multiclass" else 1
    y = target if kind == "multiclass" else target[:, np.newaxis]
    _, found = best_constant(criterion, y, None, n_outputs)
    if expected is None:  # of a proper loss, the mean is the best
        raw = torch.full((120, 1), float(np.log(target.mean()))).double()
        expected = criterion(raw, torch.as_tensor(y)).mean().item()
    np.testing.assert_allclose(found, expected, rtol=1e-3)
    weight = RNG.randint(1, 4, size=120)
    _, repeated = best_constant(criterion, y.repeat(weight, axis=0), None, n_outputs)
    _, weighted = best_constant(criterion, y, weight, n_outputs)
    np.testing.assert_allclose(weighted, repeated, rtol=1e-3)


def _too_large_for(method):
    model = classifier(dtype="float32").fit(X, Y)
    if method == "fit":
        return lambda data: classifier(dtype="float32").fit(data, Y)
    if method == "X_val":
        own = classifier(dtype="float32", early_stopping=True)
        return lambda data: own.fit(X, Y, X_val=data, y_val=Y)
    return getattr(model, method)


METHODS = ["fit", "X_val", "predict", "predict_proba", "transform_hidden"]


@pytest.mark.parametrize("make", [np.asarray, pd.DataFrame, scipy.sparse.csr_array])
@pytest.mark.parametrize("method", METHODS)
def test_promise_33_values_beyond_float32(method, make):
    text = "Input X contains infinity or a value too large for dtype('float32')"
    call = _too_large_for(method)
    with pytest.raises(ValueError, match=re.escape(text)):
        call(make(BIG))


def test_promise_33_targets_and_weights_beyond_float32():
    text = r"Input y contains infinity or a value too large for dtype\('float32'\)"
    for solver in ("adam", "lbfgs"):
        with pytest.raises(ValueError, match=text):
            regressor(dtype="float32", solver=solver).fit(X, R * 1e39)
    for weight in (1e307, 1e-320):
        with pytest.raises(ValueError, match="sample_weight must have a sum"):
            classifier().fit(X, Y, sample_weight=np.full(len(X), weight))


# ---- classes ---------------------------------------------------------------------


@pytest.mark.parametrize("early_stopping", [False, True])
def test_promise_34_a_single_class(early_stopping):
    model = classifier(early_stopping=early_stopping).fit(X, np.full(len(X), "only"))
    assert set(model.predict(X)) == {"only"}
    np.testing.assert_allclose(model.predict_proba(X), np.ones((len(X), 1)))


def test_promise_35_a_class_that_a_fold_lacks():
    y = np.where(np.arange(120) < 115, Y, 3)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = cross_val_predict(classifier(), X, y, cv=6, method="predict_proba")
    assert found.shape == (120, 4)
    model = classifier().fit(X[Y != 1], Y[Y != 1])
    assert model.predict_proba(X).shape == (120, len(model.classes_)) == (120, 2)


def test_promise_36_a_class_too_rare_to_be_split():
    y = np.where(np.arange(120) == 7, "rare", "often")
    text = r"In the labels of y: \['rare'\].*early_stopping=False"
    with pytest.raises(ValueError, match=text):
        classifier(early_stopping=True).fit(X, y)


def test_promise_37_a_class_that_validation_lacks():
    y = Y.copy()
    model = classifier(early_stopping=True)
    model.fit(X, y, X_val=X[Y != 1], y_val=Y[Y != 1])
    assert np.isfinite(model.validation_scores_).all()
    assert model.predict_proba(X).shape == (120, 3)


def test_promise_38_a_validation_set_that_is_too_small():
    for kind, y in ((classifier, Y), (regressor, R)):
        with pytest.raises(ValueError, match="validation set is too small"):
            kind(early_stopping=True, validation_fraction=0.1).fit(X[:6], y[:6])


# ---- batches ---------------------------------------------------------------------


@pytest.mark.parametrize("n", range(2, 3 * 8 + 2))
def test_promise_39_batch_statistics_of_any_number_of_rows(n):
    model = regressor(normalization="batch", batch_size=8).set_params(max_iter=2)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.fit(X[:n], R[:n])
    assert np.isfinite(model.predict(X)).all()


def test_promise_39_one_row_has_no_statistics():
    with pytest.raises(ValueError, match="got 1 sample"):
        regressor(normalization="batch").fit(X[:1], R[:1])


@pytest.mark.parametrize("batch_size", [7, 200, 500])
def test_promise_40_each_row_is_used_once_an_epoch(batch_size):
    seen = []

    def look(data, y, generator):
        seen.extend(data[:, 0].tolist())
        return data, y

    model = regressor(batch_size=batch_size, augmentation=look, dtype="float64")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.set_params(max_iter=1).fit(X, R)
    assert sorted(seen) == sorted(X[:, 0].tolist())
    untrained = regressor(learning_rate_init=1e-300).set_params(max_iter=1).fit(X, R)
    assert not np.allclose(model.coefs_[0], untrained.coefs_[0])


# ---- types of inputs and targets -------------------------------------------------

WHOLE = np.round(X * 3)
TYPES = ["f8", "f4", "f2", "i8", "i4", "i2", "i1", ">f8", ">i4", "g", "O"]


@pytest.mark.parametrize("kind", TYPES)
def test_promise_41_and_52_types_of_numbers(kind):
    found = classifier().fit(WHOLE.astype(kind), Y).predict_proba(WHOLE.astype(kind))
    expected = classifier().fit(WHOLE, Y).predict_proba(WHOLE)
    np.testing.assert_allclose(found, expected, atol=1e-4)


@pytest.mark.parametrize("kind", ["u1", "u4", "u8", "bool"])
def test_promise_41_unsigned_numbers_and_bools(kind):
    own = (np.abs(WHOLE) > 1).astype(kind)
    expected = classifier().fit(own.astype(float), Y).predict_proba(own.astype(float))
    np.testing.assert_allclose(classifier().fit(own, Y).predict_proba(own), expected)


LABELS = {
    "from one": np.array([1, 2, 3]),
    "signs": np.array([-1, 1, 5]),
    "strings": np.array(["low", "middle", "high"]),
    "objects": np.array(["low", "middle", "high"], dtype=object),
    "floats": np.array([0.0, 1.0, 2.0]),
    "int8": np.array([3, 4, 5], "i1"),
}


@pytest.mark.parametrize("labels", LABELS.values(), ids=LABELS)
def test_promise_42_labels_of_the_caller(labels):
    model = classifier(max_iter=50, learning_rate_init=0.05)
    found = model.fit(X, labels[Y]).predict(X)
    assert set(found) <= set(labels)
    assert (found == labels[Y]).mean() > 0.5


@pytest.mark.parametrize("labels", [LABELS["strings"], LABELS["objects"]], ids=str)
def test_promise_43_strings_with_early_stopping(labels):
    model = classifier(early_stopping=True).fit(X, labels[Y])
    expected = classifier(early_stopping=True).fit(
        X, np.searchsorted(model.classes_, labels[Y])
    )
    np.testing.assert_array_equal(model.predict_proba(X), expected.predict_proba(X))
    assert model.validation_scores_ == expected.validation_scores_


def test_promise_44_a_column_is_told_once():
    for model, y in ((classifier(), Y), (regressor(), R)):
        with pytest.warns(DataConversionWarning) as told:
            model.fit(X, y[:, np.newaxis])
        assert len([one for one in told if one.category is DataConversionWarning]) == 1


def test_promise_45_a_column_is_a_vector():
    with pytest.warns(DataConversionWarning):
        found = regressor().fit(X, R[:, np.newaxis])
    expected = regressor().fit(X, R)
    np.testing.assert_array_equal(found.coefs_[0], expected.coefs_[0])
    assert found.predict(X[:1]).shape == (1,)
    model = regressor(max_iter=300, learning_rate_init=0.05)
    assert model.fit(X, R).score(X, R) > 0.9  # no (n, n) residuals


def test_promise_45_a_sparse_target_is_a_dense_one():
    y = np.where(X[:, :2] > 0, X[:, :2], 0.0)
    found = regressor().fit(X, scipy.sparse.csc_array(y)).predict(X)
    np.testing.assert_array_equal(found, regressor().fit(X, y).predict(X))


@pytest.mark.parametrize(
    ("y", "text"),
    [
        (R, "Unknown label type"),
        (None, "requires y to be passed, but the target y is None"),
        (np.where(Y == 1, np.nan, Y), "contains NaN"),
    ],
)
def test_promise_46_targets_that_are_none(y, text):
    with pytest.raises(ValueError, match=text):
        classifier().fit(X, y)


@pytest.mark.parametrize("make", [scipy.sparse.csr_array, scipy.sparse.csc_matrix])
def test_promise_47_sparse_inputs(make):
    own = np.where(np.abs(X) > 0.5, X, 0.0)
    found = classifier().fit(make(own), Y).predict_proba(make(own))
    expected = classifier().fit(own, Y).predict_proba(own)
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_promise_47_sparse_inputs_are_not_made_dense_whole():
    wide = scipy.sparse.random(3000, 20_000, 1e-3, "csr", rng=0, dtype=np.float32)
    model = regressor(batch_size=100).set_params(max_iter=1)
    tracemalloc.start()
    model.fit(wide, np.ones(3000)).predict(wide)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < wide.shape[0] * wide.shape[1] * 4 / 4


def test_promise_48_a_frame_is_its_array():
    frame = pd.DataFrame(X, columns=list("abcd"))
    model = classifier().fit(frame, pd.Series(Y))
    np.testing.assert_array_equal(
        model.predict_proba(frame), classifier().fit(X, Y).predict_proba(X)
    )
    assert list(model.feature_names_in_) == list("abcd")


@pytest.mark.parametrize("params", [{}, {"numerical_scaling": "standard"}])
def test_promise_48_a_frame_of_any_byte_order(params):
    foreign = pd.DataFrame(X.astype(">f8"))
    expected = regressor(**params).fit(X, R).predict(X)
    np.testing.assert_array_equal(
        regressor(**params).fit(foreign, R).predict(X), expected
    )
    found = regressor(**params).fit(X, R).predict(foreign)
    assert found.dtype.isnative
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("dtype", [object, "category", "str"])
def test_promise_49_columns_of_text(dtype):
    frame = pd.DataFrame(
        {"size": X[:, 0], "color": pd.Series(["red"] * 120, dtype=dtype)}
    )
    with pytest.raises(ValueError, match="color") as caught:
        classifier().fit(frame, Y)
    assert "size" not in str(caught.value)
    assert "OneHotEncoder" in str(caught.value)
    assert "OrdinalEncoder" in str(caught.value)


@pytest.mark.parametrize("kind", ["datetime64[ns]", "timedelta64[ns]"])
def test_promise_50_columns_of_dates(kind):
    when = pd.Series(np.arange(120), dtype="int64").astype(kind)
    frame = pd.DataFrame({"size": X[:, 0], "when": when})
    with pytest.raises(ValueError, match="when"):
        classifier().fit(frame, Y)


def test_promise_50_arrays_of_dates():
    when = np.arange(120).astype("datetime64[s]")
    with pytest.raises(ValueError, match=r"Input X must have numbers.*datetime64"):
        classifier().fit(when[:, np.newaxis], Y)
    with pytest.raises(ValueError, match=r"y must have numbers.*datetime64"):
        regressor().fit(X, when)


def test_promise_51_nullable_integers():
    frame = pd.DataFrame({"a": pd.array([1, None] * 60, dtype="Int64")})
    with pytest.raises(ValueError, match="Input X contains NaN"):
        classifier().fit(frame, Y)


@pytest.mark.parametrize(
    "change",
    [lambda a: a[::-1][::-1], np.asfortranarray, lambda a: np.repeat(a, 2, 0)[::2]],
    ids=["reversed", "fortran", "strided"],
)
def test_promise_52_layouts(change):
    found = classifier().fit(change(X), Y).predict_proba(change(X))
    np.testing.assert_array_equal(found, classifier().fit(X, Y).predict_proba(X))
    backwards = X[::-1]
    model = classifier().fit(X, Y)
    np.testing.assert_allclose(
        model.predict_proba(backwards)[::-1], model.predict_proba(X)
    )


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (X[:0], r"0 sample\(s\)"),
        (X[:, :0], r"0 feature\(s\)"),
        (X[0], "Expected 2D array, got 1D array"),
    ],
)
def test_promise_53_nothing(data, text):
    with pytest.raises(ValueError, match=text):
        classifier().fit(data, Y[: len(data)])
    if data.shape != (120, 0):
        with pytest.raises(ValueError, match=text):
            classifier().fit(X, Y).predict(data)


def test_promise_54_other_widths():
    model = classifier().fit(X, Y)
    with pytest.raises(ValueError, match="X has 3 features, but"):
        model.predict(X[:, :3])
    assert model.fit(X[:, :3], Y).predict(X[:, :3]).shape == (120,)
    with pytest.raises(ValueError, match="X has 4 features"):
        model.set_params(warm_start=True).fit(X, Y)


def test_promise_55_names_of_features():
    frame = pd.DataFrame(X, columns=list("abcd"))
    model = classifier().fit(frame, Y)
    with pytest.raises(ValueError, match="Feature names must be in the same order"):
        model.predict(frame[list("bacd")])
    with pytest.raises(ValueError, match="names seen at fit time, yet now missing"):
        model.predict(frame[list("abc")])
    with pytest.warns(UserWarning, match="X does not have valid feature names"):
        model.predict(X)


def test_promise_56_predictions_of_many_rows():
    model = classifier(hidden_layer_sizes=(500,), dtype="float32").fit(X, Y)
    many = np.tile(X, (2000, 1)).astype("f4")
    hidden = many.shape[0] * 500 * 4
    tracemalloc.start()
    found = model.predict_proba(many)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < hidden / 20
    np.testing.assert_allclose(
        found[:120], model.predict_proba(X.astype("f4")), atol=1e-6
    )
