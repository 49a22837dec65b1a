"""The box of a fitted network in the diagrams of notebooks."""

import re

import numpy as np
import pytest
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sk_deep import BatchedGridSearchCV, MLPClassifier, MLPRegressor


@pytest.fixture
def data(rng):
    X = rng.normal(size=(60, 3))
    return X, X[:, 0] - X[:, 1]


def captions(estimator):
    return re.findall(r'<div class="caption">(.+?)</div>', estimator._repr_html_())


def network(**params):
    params = {"hidden_layer_sizes": (5,), "max_iter": 3, "random_state": 0, **params}
    return MLPRegressor(**params)


CASES = [
    # parameters, attribute of the value and its name, what is counted, weights
    ({}, "best_loss_", "best loss", "3 epochs", 26),
    (
        {"early_stopping": True},
        "best_validation_score_",
        "best validation score",
        "3 epochs",
        26,
    ),
    ({"max_iter": 1}, "best_loss_", "best loss", "1 epoch", 26),
    ({"solver": "lbfgs"}, "loss_", "loss", "3 iterations", 26),
    ({"n_members": 50}, "best_loss_", "best loss", "3 epochs", 1300),
    ({"activation": "prelu"}, "best_loss_", "best loss", "3 epochs", 31),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: str(case[0]))
def test_a_fitted_network_tells_what_was_trained(case, data):
    params, attribute, name, epochs, n_weights = case
    model = network(**params).fit(*data)
    value = f"{getattr(model, attribute):.4g}"
    (caption,) = captions(model)
    assert caption == f"{epochs}, {name} {value}, {n_weights:,} weights, cpu"


def test_a_network_that_is_not_fitted_tells_nothing():
    assert captions(network()) == []


@pytest.mark.parametrize("search", [GridSearchCV, BatchedGridSearchCV])
def test_pipelines_and_searches_have_the_box(search, data):
    pipeline = make_pipeline(StandardScaler(), network())
    grid = {"mlpregressor__alpha": [0.1, 0.2]}
    fitted = search(pipeline, grid, cv=2).fit(*data)
    for estimator in (pipeline.fit(*data), fitted):
        (caption,) = captions(estimator)
        assert caption.startswith("3 epochs, best loss")
        assert caption.endswith("26 weights, cpu")


def test_parameters_and_attributes_are_there(data):
    text = MLPClassifier((5,), max_iter=3).fit(data[0], data[1] > 0)._repr_html_()
    for name in ("hidden_layer_sizes", "dropout", "n_iter_", "loss_curve_", "classes_"):
        assert f"{name}" in text
    assert "Fitted attributes" in text


def test_it_is_small_for_a_large_network(data):
    X = np.repeat(data[0], 100, axis=1)
    small, large = (
        network(hidden_layer_sizes=units, max_iter=n).fit(X, data[1])
        for units, n in [((2,), 1), ((1000, 500), 30)]
    )
    assert len(large._repr_html_()) < len(small._repr_html_()) + 1000
