"""The estimators for tables: raw frames of every kind, and what the recipe promises."""

import inspect
import pickle

import numpy as np
import pandas as pd
import polars as pl
import pytest
from sklearn.base import clone, is_classifier
from sklearn.datasets import load_breast_cancer, load_diabetes, load_iris, load_wine
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression, RidgeCV
from sklearn.metrics import log_loss
from sklearn.model_selection import GridSearchCV, cross_val_score, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sk_deep import (
    BatchedGridSearchCV,
    MLPClassifier,
    MLPRegressor,
    RecipeSearchCV,
    TabularMLPClassifier,
    TabularMLPRegressor,
    diagnose,
    load,
    save,
)
from sk_deep._tabular import _RECIPE

N = 160
RNG = np.random.RandomState(0)
FRAME = pd.DataFrame(
    {
        "size": RNG.normal(50, 20, size=N),
        "color": RNG.choice(["red", "green", "blue"], N),
        "price": RNG.exponential(size=N),
        "town": pd.Categorical(RNG.choice([f"town {i}" for i in range(40)], N)),
        "is_new": RNG.random_sample(N) > 0.5,
        "empty": np.nan,
        "constant": 7.0,
    }
)
FRAME.loc[::7, "price"] = np.nan
FRAME.loc[::9, "color"] = None
R = FRAME["size"] / 20 + (FRAME["color"] == "red") + FRAME["is_new"]
Y = np.where(R > 3.2, "much", "little")
SHORT = {"hidden_layer_sizes": 8, "max_iter": 3, "n_members": 4, "random_state": 0}
KINDS = [(TabularMLPClassifier, Y), (TabularMLPRegressor, R)]


def short(kind, **params):
    return kind(**{**SHORT, **params})


# ---- raw tables ----------------------------------------------------------------------


@pytest.mark.parametrize("frame", [FRAME, pl.from_pandas(FRAME)], ids=["pandas", "pl"])
@pytest.mark.parametrize(("kind", "y"), KINDS)
def test_a_frame_as_it_is(kind, y, frame, tmp_path):
    model = short(kind, max_iter=10).fit(frame, y)
    expected = model.predict(frame)
    assert expected.shape == (N,)
    assert model.score(frame, y) > (0.55 if is_classifier(model) else 0.1)
    assert model.feature_names_in_.tolist() == list(FRAME)
    for found in (pickle.loads(pickle.dumps(model)), clone(model).fit(frame, y)):
        np.testing.assert_array_equal(found.predict(frame), expected)
    save(model, tmp_path / "model")
    found = load(tmp_path / "model")
    assert type(found) is kind
    assert found.get_params() == model.get_params()
    np.testing.assert_array_equal(found.predict(frame), expected)


@pytest.mark.parametrize(("kind", "y"), KINDS)
def test_levels_that_training_has_not_met(kind, y):
    model = short(kind).fit(FRAME, y)
    strange = FRAME.assign(color="violet", town="nowhere", size=1e30, constant=-1e30)
    strange["price"] = np.nan
    model.predict(strange)  # which checks that the outputs are finite
    rare = FRAME.assign(town=[f"town {i}" for i in range(N)])  # each level once
    one, other = (
        short(kind).fit(rare, y).predict(rare.assign(town=name)) for name in "ab"
    )
    np.testing.assert_array_equal(one, other)


def test_rare_levels_share_one():
    town = ["a"] * 70 + ["b"] * 70 + ["c", "d", "e"] + ["f"] * (N - 143)
    X = pd.DataFrame({"town": town})
    params = {"categorical_features": "from_dtype", "max_iter": 2, "random_state": 0}
    model = MLPClassifier(**params, min_frequency=20).fit(X, Y)
    levels = pd.DataFrame({"town": ["a", "b", "c", "d", "f", "new"]})
    own = model.predict_proba(levels)[:, 1]
    assert len(set(own)) == 3
    assert own[2] == own[3] == own[4] == own[5]
    everything = MLPClassifier(**params, min_frequency=1000).fit(X, Y)
    assert len(set(everything.predict_proba(levels)[:, 1])) == 1
    embedded = MLPClassifier(**params, min_frequency=20, max_one_hot=0).fit(X, Y)
    assert len(set(embedded.predict_proba(levels)[:, 1])) == 3
    with pytest.raises(ValueError, match="min_frequency acts on categories"):
        MLPClassifier(min_frequency=2).fit([[0.0], [1.0]], [0, 1])


def test_classes_of_one_row_and_text_labels():
    labels = np.array(["a", "b"])[(np.arange(N) % 2)].astype(object)
    labels[5] = "once"
    model = short(TabularMLPClassifier).fit(FRAME, labels)
    assert model.classes_.tolist() == ["a", "b", "once"]
    assert set(model.predict(FRAME)) <= {"a", "b", "once"}
    assert model.oof_decision_function_.shape == (N, 3)
    single = short(TabularMLPClassifier).fit(FRAME, ["one"] * N)
    assert set(single.predict(FRAME)) == {"one"}


@pytest.mark.parametrize(("kind", "y"), KINDS)
def test_weights_and_few_rows(kind, y):
    weight = (np.arange(N) < 100).astype(float)
    model = short(kind, max_iter=20).fit(FRAME, y, weight)
    plain = short(kind, max_iter=20).fit(FRAME, y)
    assert (model.validation_scores_) != plain.validation_scores_
    for n in (2, 5, 20):
        few = short(kind).fit(FRAME[:n], y[:n])
        assert len(few.predict(FRAME)) == N
    with pytest.raises(ValueError, match="sample"):
        short(kind).fit(FRAME[:1], y[:1])


def test_class_weight():
    y = np.where(np.arange(N) % 10 == 0, "rare", "common")
    models = [
        short(TabularMLPClassifier, max_iter=1, class_weight=weight).fit(FRAME, y)
        for weight in (None, "balanced", {"rare": 9.0})
    ]
    plain, balanced, given = (m.predict_proba(FRAME)[:, 1].mean() for m in models)
    assert plain == pytest.approx(0.1, abs=0.05)
    assert balanced == pytest.approx(0.5, abs=0.1)
    assert given == pytest.approx(balanced, abs=0.05)


@pytest.mark.parametrize("search", [GridSearchCV, BatchedGridSearchCV])
@pytest.mark.parametrize(("kind", "y"), KINDS)
def test_searches(search, kind, y):
    grid = {"hidden_layer_sizes": [4, (8, 8)], "n_bins": ["auto", 3]}
    found = search(short(kind), grid, cv=2, error_score="raise").fit(FRAME, y)
    assert np.isfinite(found.cv_results_["mean_test_score"]).all()
    in_a_pipeline = make_pipeline("passthrough", short(kind))
    assert np.isfinite(cross_val_score(in_a_pipeline, FRAME, y, cv=2)).all()


# ---- the recipe ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "network"),
    [(TabularMLPClassifier, MLPClassifier), (TabularMLPRegressor, MLPRegressor)],
)
def test_what_the_constructor_leaves_out_is_fixed(kind, network):
    own = inspect.signature(kind).parameters
    for name, parameter in inspect.signature(network).parameters.items():
        expected = _RECIPE.get(name, parameter.default)
        if name not in {*own, "schedule_params", "target_scaling"}:
            assert getattr(kind(), name) == expected
    assert kind().schedule_params == {"warmup": 1 / 200}
    assert not _RECIPE.keys() & own.keys()


@pytest.mark.parametrize(
    ("n_rows", "size"),
    [(10, 32), (511, 32), (1024, 64), (4000, 128), (20_000, 256), (20_001, 512)],
)
def test_automatic_batch_size(n_rows, size):
    assert TabularMLPClassifier()._automatic_batch_size(n_rows) == size


@pytest.mark.parametrize(("kind", "y"), KINDS)
def test_it_begins_with_the_best_constant(kind, y):
    params = {"learning_rate_init": 1e-12, "max_iter": 1, "dropout": 0.0}
    model = short(kind, **params).fit(FRAME, y)
    if is_classifier(model):
        found, expected = model.predict_proba(FRAME)[:, 1], np.mean(Y == "much")
    else:
        found, expected = model.predict(FRAME), R.mean()
    np.testing.assert_allclose(found, expected, rtol=1e-4)


def test_predictions_are_in_the_range_of_training():
    X, y = load_diabetes(return_X_y=True)
    model = TabularMLPRegressor(random_state=0, max_iter=5).fit(X, y)
    far = model.predict(np.concatenate([1e6 * X, -1e6 * X]))
    assert y.min() <= far.min()
    assert far.max() <= y.max()
    both = TabularMLPRegressor(random_state=0, max_iter=2)
    both.fit(X, np.column_stack([y, -y]))
    assert (both.predict(1e6 * X) >= [y.min(), -y.max()]).all()


@pytest.mark.parametrize("weight", [0.0, 1e-9])
def test_rows_that_weigh_nothing_do_not_scale_the_target(weight):
    y, weights = R.to_numpy().copy(), np.ones(N)
    y[3], weights[3] = 1e6, weight
    model = short(TabularMLPRegressor, max_iter=20).fit(FRAME, y, weights)
    assert model.score(FRAME[4:], y[4:]) > 0.1
    if not weight:
        assert model.predict(FRAME).max() <= R.max()


def test_a_score_that_stays_ends_the_training():
    X, y = load_iris(return_X_y=True)
    model = TabularMLPClassifier(scoring="accuracy", random_state=0).fit(X, y == 0)
    assert model.best_validation_score_ == 1
    assert model.n_iter_ < 30


def test_patience_grows_with_the_best_epoch():
    X, y = load_diabetes(return_X_y=True)
    model = TabularMLPRegressor(random_state=0, learning_rate_init=1e-3).fit(X, y)
    best = int(np.argmax(model.validation_scores_)) + 1
    assert best > 4
    assert model.n_iter_ == int(best + 6 + 0.5 * best) + 1


@pytest.mark.long
@pytest.mark.parametrize("data", [load_wine, load_iris, load_breast_cancer])
def test_it_is_as_good_as_boosting_and_a_linear_model(data):
    X, y = data(return_X_y=True)
    X, X_test, y, y_test = train_test_split(X, y, random_state=0, stratify=y)
    model = TabularMLPClassifier(random_state=0).fit(X, y)
    boosting = HistGradientBoostingClassifier(random_state=0).fit(X, y)
    losses = [log_loss(y_test, one.predict_proba(X_test)) for one in (model, boosting)]
    assert losses[0] < max(0.1, losses[1])
    linear = make_pipeline(StandardScaler(), LogisticRegression()).fit(X, y)
    assert model.score(X_test, y_test) >= linear.score(X_test, y_test) - 0.03


def test_a_regression_is_as_good_as_a_linear_one():
    X, y = load_diabetes(return_X_y=True)
    model, linear = TabularMLPRegressor(random_state=0), RidgeCV(np.logspace(-3, 3))
    scores = [cross_val_score(one, X, y, cv=3).mean() for one in (model, linear)]
    assert scores[0] > scores[1] - 0.05


# ---- what is for networks with parameters --------------------------------------------


def test_the_recipe_of_search_and_diagnosis_is_not_for_it():
    for call in (diagnose, lambda model, X, y: RecipeSearchCV(model).fit(X, y)):
        with pytest.raises((TypeError, ValueError), match="TabularMLPClassifier"):
            call(short(TabularMLPClassifier), FRAME, Y)


def test_there_is_no_training_by_parts():
    assert not hasattr(TabularMLPClassifier(), "partial_fit")
