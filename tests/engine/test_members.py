"""A stack of networks: each member is the network of a single fit."""

import numpy as np
import pytest
from sklearn.metrics import accuracy_score
from skorch.callbacks import Callback

from sk_deep import MLPClassifier, MLPRegressor

PARAMS = {"hidden_layer_sizes": (16, 16), "max_iter": 6, "dtype": "float64"}
CASES = [
    {},
    {"solver": "sgd", "learning_rate": "adaptive", "tol": 1.0, "n_iter_no_change": 1},
    {"solver": "adasecant", "learning_rate_init": "auto"},
    {"solver": "vsgd", "learning_rate_init": "auto"},
    {"solver": "lbfgs"},
    {"early_stopping": True, "max_iter": 30, "n_iter_no_change": 2, "tol": 1e-2},
    {"early_stopping": True, "scoring": "loss"},
    {"normalization": "batch", "activation": "maxout", "residual": True},
    {"loss": "hinge", "max_norm": 1.0, "gradient_clip": 0.1, "l1_ratio": 0.5},
    {"label_smoothing": 0.1, "batch_size": 64, "shuffle": False},
]


def _seeds(n_members):
    """Seeds of the members of a fit with random_state=0."""
    return np.random.RandomState(0).randint(np.iinfo(np.int32).max, size=n_members)


def _assert_members_are(singles, stack):
    for i, single in enumerate(singles):
        for name in ("coefs_", "intercepts_"):
            for layer, expected in zip(
                getattr(stack, name), getattr(single, name), strict=True
            ):
                np.testing.assert_allclose(layer[i], expected, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("params", CASES)
def test_members_are_single_fits(params, weighted, digits):
    X, y = digits[0][:300], digits[1][:300]
    weight = np.linspace(0, 2, len(y)) if weighted else None
    params = {**PARAMS, **params}
    stack = MLPClassifier(**params, n_members=3, random_state=0).fit(X, y, weight)
    singles = [
        MLPClassifier(**params, random_state=seed).fit(X, y, weight)
        for seed in _seeds(3)
    ]
    _assert_members_are(singles, stack)
    outputs = [_outputs(single, X) for single in singles]
    np.testing.assert_allclose(_outputs(stack, X), np.mean(outputs, axis=0), atol=1e-6)


def _outputs(model, X):
    method = "predict_proba" if hasattr(model, "predict_proba") else "decision_function"
    return getattr(model, method)(X)


@pytest.mark.parametrize("solver", ["sgd", "adam", "adamw"])
def test_members_in_partial_fits(solver, digits):
    X, y = digits
    # each call draws new seeds of the members, and from them the shuffles
    params = {**PARAMS, "solver": solver, "shuffle": False}
    models = [MLPClassifier(**params, n_members=3, random_state=0)]
    models += [MLPClassifier(**params, random_state=seed) for seed in _seeds(3)]
    for model in models:
        for rows in (slice(0, 400), slice(300, 900)):
            model.partial_fit(X[rows], y[rows], classes=np.arange(10))
    _assert_members_are(models[1:], models[0])


def test_regressors_average_their_members(diabetes):
    X, y = diabetes
    stack = MLPRegressor(**PARAMS, n_members=4, random_state=0).fit(X, y)
    singles = [MLPRegressor(**PARAMS, random_state=s).fit(X, y) for s in _seeds(4)]
    _assert_members_are(singles, stack)
    mean = np.mean([single.predict(X) for single in singles], axis=0)
    np.testing.assert_allclose(stack.predict(X), mean, atol=1e-6)


def test_the_mean_is_better_than_its_members(digits):
    X, y = digits
    stack = MLPClassifier((32,), max_iter=15, n_members=5, random_state=0)
    stack.fit(X[:450], y[:450])
    members = stack.predict_proba_samples(X[450:], 5).argmax(axis=2)
    scores = [accuracy_score(y[450:], member) for member in members]
    assert stack.score(X[450:], y[450:]) > np.mean(scores)


class Record(Callback):
    """Note which members run at the end of each epoch."""

    def on_epoch_end(self, net, **kwargs):
        net.history.record("running", net.running_.tolist())


def test_members_stop_one_by_one(digits):
    X, y = digits[0][:300], digits[1][:300]
    params = {**PARAMS, "max_iter": 60, "early_stopping": True, "n_iter_no_change": 2}
    stack = MLPClassifier(
        **params, n_members=4, random_state=0, callbacks=[Record()]
    ).fit(X, y)
    running = np.array(stack.net_.history[:, "running"])
    epochs = [
        MLPClassifier(**params, random_state=s).fit(X, y).n_iter_ for s in _seeds(4)
    ]
    np.testing.assert_array_equal(running.sum(axis=0), np.array(epochs) - 1)
    assert stack.n_iter_ == max(epochs) > min(epochs)
