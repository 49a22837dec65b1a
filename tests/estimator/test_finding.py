"""Where the estimator of this package is found in what a user gives."""

import numpy as np
import pytest
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LinearRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from sk_deep import MLPRegressor, TabularMLPRegressor
from sk_deep._estimator.finding import (
    best_estimator,
    find_network,
    inputs_of_network,
    last_step,
    replace_network,
)

X = np.arange(24.0).reshape(12, 2)
y = X.sum(axis=1)


def network():
    return MLPRegressor(hidden_layer_sizes=3, max_iter=1)


def nested(last):
    inner = Pipeline([("scale", StandardScaler()), ("mlp", last)])
    return Pipeline([("again", StandardScaler()), ("inner", inner)])


@pytest.mark.parametrize("kind", [MLPRegressor, TabularMLPRegressor])
def test_alone_and_in_pipelines(kind):
    mlp = kind()
    pairs = {
        "": mlp,
        "mlp__": Pipeline([("scale", StandardScaler()), ("mlp", mlp)]),
        "inner__mlp__": nested(mlp),
    }
    for prefix, estimator in pairs.items():
        assert find_network(estimator) == (mlp, prefix)
        assert estimator.get_params()[f"{prefix}alpha"] == mlp.alpha


def test_a_pipeline_in_a_pipeline_can_be_refused():
    estimator = nested(network())
    assert last_step(estimator, nested=False) == (estimator.steps[-1][1], "inner__")
    with pytest.raises(ValueError, match="must be an estimator of sk_deep"):
        find_network(estimator, nested=False)


@pytest.mark.parametrize(
    "estimator",
    [LinearRegression(), nested(LinearRegression()), MLPRegressor, "network"],
    ids=["linear", "nested", "class", "text"],
)
def test_others_are_refused(estimator):
    with pytest.raises(ValueError, match="or a Pipeline that ends in one, got"):
        find_network(estimator)
    with pytest.raises(ValueError, match="or a fitted search of either, got"):
        find_network(estimator, searches=True)


def test_searches():
    search = GridSearchCV(nested(network()), {"inner__mlp__alpha": [0.1]}, cv=2)
    with pytest.raises(ValueError, match="must be an estimator of sk_deep"):
        find_network(search)
    with pytest.raises(NotFittedError):
        find_network(search, searches=True)
    search.fit(X, y)
    best = search.best_estimator_
    assert best_estimator(search) is best
    assert find_network(search, searches=True) == (best[-1][-1], "inner__mlp__")
    search.set_params(refit=False).fit(X, y)
    del search.best_estimator_
    with pytest.raises(ValueError, match=r"must have refitted .*, got refit=False"):
        find_network(search, searches=True)


def test_a_search_as_the_last_step():
    search = GridSearchCV(network(), {"alpha": [0.1]}, cv=2)
    pipeline = make_pipeline(StandardScaler(), search).fit(X, y)
    mlp, _ = find_network(pipeline, searches=True)
    assert mlp is pipeline[-1].best_estimator_
    expected = pipeline[0].transform(X)
    np.testing.assert_array_equal(inputs_of_network(pipeline, X), expected)


def test_inputs_are_those_after_the_steps():
    estimator = nested(network()).fit(X, y)
    expected = estimator[-1][0].transform(estimator[0].transform(X))
    np.testing.assert_array_equal(inputs_of_network(estimator, X), expected)
    assert inputs_of_network(network(), X) is X


def test_another_takes_its_place():
    linear = LinearRegression()
    assert replace_network(network(), linear) is linear
    estimator = nested(network())
    replaced = replace_network(estimator, linear)
    assert replaced[-1][-1] is linear
    assert isinstance(estimator[-1][-1], MLPRegressor)
