"""Folds that members leave out in turn: who sees what, and what is made of it."""

import numpy as np
import pandas as pd
import pytest
import scipy.sparse
from sklearn.metrics import accuracy_score, log_loss, r2_score, roc_auc_score

from sk_deep import MLPClassifier, MLPRegressor, load, save
from sk_deep._engine.state import member_net
from sk_deep._estimator.inputs import CheckedRows
from sk_deep._estimator.validation import count_folds, split_folds

RNG = np.random.RandomState(0)
X = RNG.standard_normal((90, 4))
R = X[:, 0] - X[:, 1] ** 2
Y = np.array(["low", "middle", "high"])[np.digitize(R, [-1, 0.5])]
FOLDS = {
    "hidden_layer_sizes": 5,
    "max_iter": 6,
    "batch_size": 30,
    "random_state": 0,
    "early_stopping": True,
    "n_members": 3,
    "n_folds": 3,
}


def folds_of(target, n, seed=0):
    rows = CheckedRows(X[: len(target)], target, np.asarray(target), None)
    return split_folds(rows, n, np.random.RandomState(seed))


@pytest.mark.parametrize("n", [2, 3, 7])
def test_folds_are_stratified(n):
    labels = np.array([0] * 50 + [1] * 21 + [2] * 3)
    fold_of = folds_of(labels, n)
    assert np.ptp(np.bincount(fold_of, minlength=n)) <= 1
    for label in range(3):
        counts = np.bincount(fold_of[labels == label], minlength=n)
        assert np.ptp(counts) <= 2
    numbers = np.arange(80.0)
    means = [numbers[folds_of(numbers, n) == k].mean() for k in range(n)]
    assert np.ptp(means) <= n
    assert (folds_of(numbers, n, seed=1) != folds_of(numbers, n)).any()
    with pytest.raises(ValueError, match=r"n_folds must be at most .*n_samples=1"):
        folds_of(labels[:1], n)


@pytest.mark.parametrize(
    ("n_members", "n_samples", "expected"),
    [(8, 100, 8), (8, 7, 4), (8, 3, 2), (8, 1, None), (1, 100, None), (6, 5, 3)],
)
def test_automatic_number_of_folds(n_members, n_samples, expected):
    model = MLPClassifier(n_folds="auto", n_members=n_members)
    assert count_folds(model, n_samples) == expected


@pytest.mark.parametrize("shuffle", [True, False])
@pytest.mark.parametrize("as_given", [np.asarray, scipy.sparse.csr_matrix])
def test_a_member_learns_nothing_of_its_fold(shuffle, as_given):
    """The rows that a member leaves out may be anything."""
    params = {**FOLDS, "shuffle": shuffle, "tol": 0.0, "n_iter_no_change": 99}
    first = MLPRegressor(**params, scoring="loss").fit(as_given(X), R)
    (fold,) = (folds_of_fit(params, R) == 1).nonzero()
    changed = X.copy()
    changed[fold[:3]] += 0.5
    second = MLPRegressor(**params, scoring="loss").fit(as_given(changed), R)
    same = first.validation_scores_.index(max(first.validation_scores_)) == (
        second.validation_scores_.index(max(second.validation_scores_))
    )
    assert same  # the best epoch, or the weights would be those of another one
    for i in range(3):
        one, other = (m.net_.module_.flat[i].numpy() for m in (first, second))
        assert np.array_equal(one, other) == (i == 1)


def folds_of_fit(params, y):
    """Repeat the draws of a fit up to the folds, by what it predicts."""
    model = MLPRegressor(**params, scoring="loss").fit(X, y)
    outputs = np.array(
        [one.predict(X.astype(np.float64)).ravel() for one in members_of(model)]
    )
    return np.abs(outputs - model.oof_prediction_).argmin(axis=0)


def members_of(model):
    for i in range(model.n_members):
        twin = model._copy()
        twin.net_, twin.n_members = member_net(model.net_, i), 1
        yield twin


@pytest.mark.parametrize("n_members", [3, 6])
def test_predictions_for_rows_left_out(n_members):
    model = MLPClassifier(**{**FOLDS, "n_members": n_members}, scoring="loss").fit(X, Y)
    found = model.oof_decision_function_
    assert found.shape == (90, 3)
    np.testing.assert_allclose(found.sum(axis=1), 1)
    by_member = np.array([one.predict_proba(X) for one in members_of(model)])
    # the members of a fold are every third one
    candidates = by_member.reshape(-1, 3, 90, 3).mean(axis=0)
    gaps = np.abs(candidates - found).max(axis=-1)
    np.testing.assert_allclose(gaps.min(axis=0), 0, atol=1e-12)
    assert np.bincount(gaps.argmin(axis=0)).tolist() == [30, 30, 30]
    if n_members == 3:
        loss = log_loss(Y, found, labels=model.classes_)
        assert loss == pytest.approx(-model.best_validation_score_)


@pytest.mark.parametrize(
    ("scoring", "score"),
    [
        (None, lambda y, p: accuracy_score(y, p[:, 1] > 0.5)),
        ("accuracy", lambda y, p: accuracy_score(y, p[:, 1] > 0.5)),
        ("neg_log_loss", lambda y, p: -log_loss(y, p)),
        ("roc_auc", lambda y, p: roc_auc_score(y, p[:, 1])),
    ],
)
@pytest.mark.parametrize("n_positive", [4, 45])
@pytest.mark.parametrize("n_members", [3, 6])
def test_all_members_watch_one_score(scoring, score, n_positive, n_members):
    y = R >= np.sort(R)[-n_positive]  # of few, a fold may have none
    params = {**FOLDS, "n_members": n_members, "scoring": scoring}
    model = MLPClassifier(**params).fit(X, y)
    assert model.best_validation_score_ == pytest.approx(
        score(y, model.oof_decision_function_)
    )
    assert len(model.validation_scores_) == model.n_iter_


def test_a_scorer_of_ones_own_sees_fold_by_fold():
    seen = []

    def score(estimator, X, y):
        seen.append((len(y), estimator.predict(X).shape))
        return -len(seen)

    model = MLPRegressor(**{**FOLDS, "max_iter": 1}, scoring=score).fit(X, R)
    assert seen == [(30, (30,))] * 3
    assert model.best_validation_score_ == -2


def test_few_rows_have_a_score():
    params = {**FOLDS, "n_members": 8, "n_folds": 8, "batch_size": 10}
    model = MLPRegressor(**params).fit(X[:10], R[:10])  # some folds of one row
    expected = r2_score(R[:10], model.oof_prediction_)
    assert model.best_validation_score_ == pytest.approx(expected)


@pytest.mark.parametrize("y", [R > 0, Y], ids=["two", "three"])
def test_decisions_where_there_are_no_probabilities(y):
    model = MLPClassifier(**FOLDS, loss="hinge").fit(X, y)
    by_member = [one.decision_function(X) for one in members_of(model)]
    gaps = np.abs(np.array(by_member) - model.oof_decision_function_)
    np.testing.assert_allclose(gaps.min(axis=0), 0, atol=1e-12)


def test_weights_and_units_of_the_user():
    weight = RNG.random_sample(90)
    params = {**FOLDS, "scoring": "loss", "target_scaling": "standard"}
    model = MLPRegressor(**params).fit(X, 1000 * R, weight)
    scale = np.sqrt(np.cov(1000 * R, ddof=0, aweights=weight))
    error = (model.oof_prediction_ - 1000 * R) / scale
    expected = -np.average(error**2 / 2, weights=weight)
    assert model.best_validation_score_ == pytest.approx(expected)
    both = MLPRegressor(**params).fit(X, np.column_stack([R, X[:, 2]]))
    assert both.oof_prediction_.shape == (90, 2)


def test_intervals_hold_what_they_say():
    params = {**FOLDS, "scoring": "loss", "max_iter": 60, "learning_rate_init": 0.02}
    model = MLPRegressor(**params).fit(X, R)
    errors = np.sort(np.abs(model.oof_prediction_ - R))
    for coverage in (0.1, 0.5, 0.9, 90 / 91):
        found = model.predict_interval(X, coverage=coverage)
        assert found.shape == (90, 2)
        np.testing.assert_allclose(found.mean(axis=1), model.predict(X))
        half = np.diff(found, axis=1).ravel() / 2
        np.testing.assert_allclose(half, errors[int(np.ceil(91 * coverage)) - 1])
    fresh = np.random.RandomState(1).standard_normal((4000, 4))
    low, high = model.predict_interval(fresh, coverage=0.8).T
    y = fresh[:, 0] - fresh[:, 1] ** 2
    assert 0.75 < np.mean((low <= y) & (y <= high)) < 0.95
    for coverage in (0.0, 0.995, 1.0):
        with pytest.raises(ValueError, match=r"coverage must be in \(0, 90 / 91\]"):
            model.predict_interval(X, coverage=coverage)


def test_intervals_of_several_targets_and_of_none():
    both = MLPRegressor(**FOLDS).fit(X, np.column_stack([R, 100 * R]))
    found = both.predict_interval(X)
    assert found.shape == (90, 2, 2)
    lengths = np.diff(found, axis=-1)[0].ravel()
    assert lengths[1] > 10 * lengths[0]
    with pytest.raises(AttributeError, match="predict_interval") as caught:
        MLPRegressor(max_iter=1).fit(X, R).predict_interval(X)
    assert "needs a fit with n_folds" in str(caught.value.__cause__)
    params = {"loss": "quantile", "loss_params": {"quantile": [0.2, 0.8]}}
    quantiles = MLPRegressor(**FOLDS, **params, scoring="loss").fit(X, R)
    assert quantiles.oof_prediction_.shape == (90, 2)
    assert not hasattr(quantiles, "predict_interval")


def test_they_are_kept_and_forgotten(tmp_path):
    model = MLPRegressor(**FOLDS).fit(X, R)
    save(model, tmp_path / "model")
    found = load(tmp_path / "model")
    np.testing.assert_array_equal(found.oof_prediction_, model.oof_prediction_)
    np.testing.assert_array_equal(found.predict_interval(X), model.predict_interval(X))
    model.set_params(n_folds=None).fit(X, R)
    assert not hasattr(model, "oof_prediction_")


@pytest.mark.parametrize(
    "params",
    [
        {"dropout": 0.2},
        {"augmentation": "noise"},
        {"categorical_features": [3], "missing": "impute"},
        {"weight_averaging": 1.0},
        {"solver": "vsgd"},
        {"residual": True, "hidden_layer_sizes": (4, 4), "normalization": "layer"},
        {"label_smoothing": 0.1, "class_weight": "balanced"},
        {"shuffle": False},
        {"activation": "maxout"},
    ],
    ids=str,
)
def test_they_go_with_other_options(params):
    table = pd.DataFrame(X, columns=list("abcd"))
    table["d"] = (table["d"] > 0).map({True: "yes", False: "no"})
    inputs = table if "categorical_features" in params else X
    model = MLPClassifier(**{**FOLDS, **params}).fit(inputs, Y)
    assert model.oof_decision_function_.shape == (90, 3)
    assert model.predict_proba(inputs).shape == (90, 3)


ILLEGAL = [
    ({"early_stopping": False}, "n_folds acts on early stopping"),
    ({"n_members": 4}, r"multiple of n_folds, got n_members=4, n_folds=3"),
    ({"normalization": "batch"}, "normalization must not mix rows with n_folds"),
    ({"augmentation": "mixup"}, "augmentation must not mix rows with n_folds"),
    (
        {"augmentation": lambda X, y, generator: (X, y)},
        "augmentation must not mix rows with n_folds",
    ),
    ({"warm_start": True}, "warm_start must be False with n_folds"),
    ({"solver": "lbfgs"}, "n_folds acts on early stopping"),
]


@pytest.mark.parametrize(("params", "message"), ILLEGAL)
def test_what_has_no_meaning_is_refused(params, message):
    with pytest.raises(ValueError, match=message):
        MLPClassifier(**{**FOLDS, **params}).fit(X, Y)


def test_given_validation_data_are_watched_instead():
    with pytest.raises(ValueError, match=r"need n_folds=None, .* got n_folds=3"):
        MLPClassifier(**FOLDS).fit(X, Y, X_val=X, y_val=Y)


def test_each_fold_has_rows_that_weigh_something():
    weight = np.zeros(90)
    weight[:5] = 1
    rows = CheckedRows(X, R, R, weight)
    fold_of = split_folds(rows, 4, np.random.RandomState(0))
    assert set(fold_of[:5]) == {0, 1, 2, 3}
    with pytest.raises(ValueError, match="n_samples=5"):
        split_folds(rows, 6, np.random.RandomState(0))
    model = MLPRegressor(**{**FOLDS, "n_members": 4, "n_folds": "auto"})
    assert np.isfinite(model.fit(X, R, weight).validation_loss_curve_).all()
