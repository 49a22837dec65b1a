"""Every row of every table trains, clones, pickles, searches, stacks."""

import itertools
import pickle

import numpy as np
import pytest
import torch
from option_rows import FAST, ROWS
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler
from skorch.callbacks import Freezer, LRScheduler

from sk_deep import BatchedGridSearchCV, MLPClassifier, MLPRegressor
from sk_deep.losses import LOSSES, losses_on


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("params", ROWS)
def test_row_trains(params, dtype, digits):
    X, y = digits[0][:500], digits[1][:500]
    model = MLPClassifier(
        **{"hidden_layer_sizes": (32,), **FAST, **params}, dtype=dtype
    )
    model.fit(X, y)
    assert model.coefs_[0].dtype == dtype
    assert model.score(X, y) > 0.85


def _outputs(model, X):
    if hasattr(model, "predict_proba"):
        return model.predict_proba(X)
    return model.decision_function(X)


@pytest.mark.parametrize("params", ROWS)
def test_row_clones_and_pickles(params, digits):
    X, y = digits[0][:100], digits[1][:100]
    model = MLPClassifier(**{**FAST, "max_iter": 2, **params}).fit(X, y)
    copy = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(_outputs(copy, X), _outputs(model, X))
    again = clone(copy).fit(X, y)
    np.testing.assert_array_equal(_outputs(again, X), _outputs(model, X))


@pytest.mark.parametrize("params", ROWS)
def test_row_stacks(params, digits):
    X, y = digits[0][:200], digits[1][:200]
    model = MLPClassifier(**{**FAST, "max_iter": 5, **params, "n_members": 3})
    model.fit(X, y)
    assert model.coefs_[0].shape[0] == 3
    assert not np.array_equal(model.coefs_[0][0], model.coefs_[0][1])
    assert np.isfinite(_outputs(model, X)).all()
    assert model.score(X, y) > 0.2


@pytest.mark.parametrize("params", ROWS)
def test_row_searches_in_stacks(params, digits, capsys):
    X, y = digits[0][:150], digits[1][:150]
    small = {"hidden_layer_sizes": 16, "max_iter": 3, "dtype": "float64"}
    model = MLPClassifier(**{**FAST, **small, **params})
    # of 120 and 121 rows
    splits = [
        (np.arange(120), np.arange(120, 150)),
        (np.arange(29, 150), np.arange(29)),
    ]
    grid = {"alpha": [1e-4, 1.0], "random_state": [0, 1]}
    options = {"cv": splits, "refit": False, "error_score": "raise"}
    theirs = GridSearchCV(model, grid, **options).fit(X, y).cv_results_
    ours = BatchedGridSearchCV(model, grid, **options, verbose=1).fit(X, y).cv_results_
    goes_alone = params.get("solver") == "lbfgs" or any(map(callable, params.values()))
    assert ("one by one" in capsys.readouterr().out) == goes_alone
    draws_noise = {"dropout", "input_dropout", "augmentation"} & set(params)
    if goes_alone or not draws_noise:
        for key in ("split0_test_score", "split1_test_score"):
            np.testing.assert_allclose(ours[key], theirs[key], atol=1e-9)
    assert np.isfinite(ours["mean_test_score"]).all()


@pytest.mark.processes
def test_all_rows_in_searches(digits):
    X, y = digits[0][:220], digits[1][:220]
    model = MLPClassifier(**{**FAST, "max_iter": 2})
    grid = [{name: [value] for name, value in params.items()} for params in ROWS]
    search = GridSearchCV(model, grid, cv=2, n_jobs=2, error_score="raise").fit(X, y)
    assert len(search.cv_results_["params"]) == len(ROWS)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()


@pytest.mark.processes
def test_search_in_a_pipeline(digits):
    X, y = digits
    pipeline = Pipeline(
        [
            ("scale", StandardScaler()),
            ("mlp", MLPClassifier(max_iter=10, random_state=0, early_stopping=True)),
        ]
    )
    grid = {
        "mlp__activation": ["relu", "maxout"],
        "mlp__dropout": [0.0, 0.2],
        "mlp__solver": ["sgd", "adam"],
        "mlp__batch_size": [32, 100],
    }
    parallel = GridSearchCV(pipeline, grid, cv=2, n_jobs=2).fit(X, y)
    serial = GridSearchCV(pipeline, grid, cv=2).fit(X, y)
    np.testing.assert_array_equal(
        parallel.cv_results_["mean_test_score"], serial.cv_results_["mean_test_score"]
    )
    assert parallel.best_score_ > 0.8


@pytest.mark.parametrize("loss", sorted(losses_on("real")))
@pytest.mark.parametrize("n_members", [1, 3])
def test_regression_losses(loss, n_members, diabetes):
    X, y = diabetes
    y = np.exp(y) if LOSSES[loss].target_rule else y
    model = MLPRegressor(
        loss, n_members=n_members, **{**FAST, "learning_rate_init": 0.01}
    )
    assert model.fit(X, y).score(X, y) > 0.4
    assert model.predict(X[:1]).shape == (1,)


def test_a_negative_target_has_no_poisson_loss(diabetes):
    with pytest.raises(ValueError, match=r"loss='poisson' needs y >= 0, got"):
        MLPRegressor("poisson").fit(*diabetes)


PAIRS = [
    {"normalization": None},
    {"normalization": "batch"},
    {"normalization": "layer", "activation": "prelu"},
    {"dropout": 0.2, "input_dropout": 0.1},
    {"residual": True, "activation": "maxout", "maxout_pieces": 3},
    {"n_members": 2},
    {"solver": "adamw", "learning_rate": "adaptive"},
    {"learning_rate": "one_cycle", "early_stopping": True},
    {"early_stopping": True, "scoring": "f1_macro"},
    {"solver": torch.optim.RMSprop, "learning_rate": "cosine"},
    {"class_weight": "balanced", "dtype": "float64"},
]


@pytest.mark.parametrize(("first", "second"), list(itertools.combinations(PAIRS, 2)))
def test_pairs_of_options_train(first, second, digits):
    X, y = digits[0][:150], digits[1][:150]
    model = MLPClassifier((8, 8), max_iter=2, random_state=0, **{**first, **second})
    assert np.isfinite(model.fit(X, y).predict_proba(X)).all()


ILLEGAL = [
    ({"hidden_layer_sizes": (3,), "n_hidden_layers": 2}, "n_hidden_layers=2"),
    ({"maxout_pieces": 3}, "maxout_pieces=3"),
    ({"residual": True}, "two consecutive hidden layers of equal width"),
    ({"hidden_layer_sizes": (4, 5), "residual": True}, r"\[4, 5\] units"),
    ({"dropout": [0.1, 0.2]}, r"dropout=\[0.1, 0.2\] with 1 hidden"),
    ({"dropout": [1.0]}, r"dropout must be in \[0, 1\)"),
    ({"hidden_layer_sizes": (), "dropout": 0.5}, "no hidden layer"),
    ({"activation": ["relu", "tanh"]}, "one per hidden layer"),
    ({"activation": ["nothing"]}, "activation must be one of"),
    ({"activation": print}, "subclass of torch.nn.Module"),
    ({"activation": torch.nn.PReLU, "n_members": 2}, "needs n_members=1"),
    ({"activation": torch.nn.GLU}, "keep the shape"),
    ({"solver": print}, "subclass of torch.optim.Optimizer"),
    ({"solver_params": {"rho": 0.9}}, r"solver_params for 'adam' may hold"),
    ({"solver_params": {"weight_decay": 0.9}}, r"solver_params for 'adam' may hold"),
    ({"schedule_params": {"gamma": 0.9}}, "schedule_params for 'constant' may hold"),
    ({"solver": "lbfgs", "dropout": 0.1}, "without noise"),
    ({"solver": "lbfgs", "input_dropout": 0.1}, "without noise"),
    ({"solver": "lbfgs", "learning_rate": "cosine"}, "no learning rate to schedule"),
    ({"solver": "lbfgs", "schedule_params": {"warmup": 0.1}}, "may hold"),
    ({"scoring": "accuracy"}, "early_stopping=False"),
    ({"normalization": "batch", "batch_size": 1}, "at least 2 samples"),
    ({"class_weight": {11: 2.0}}, "class_weight must have keys of the classes"),
    ({"class_weight": {0: -1.0}}, "finite values >= 0"),
    ({"class_weight": {0: np.nan}}, "finite values >= 0"),
    ({"dropout": ["a"]}, r"dropout must be in \[0, 1\)"),
    ({"hidden_layer_sizes": (), "maxout_pieces": 3}, "no hidden layer"),
    ({"hidden_layer_sizes": [10.7]}, "must be integers"),
    ({"activation": torch.nn.RReLU}, "global random state"),
    ({"activation": torch.nn.Linear}, "without arguments"),
    ({"solver": "lbfgs", "solver_params": {"maxcor": 0}}, "'maxcor' parameter"),
    ({"solver": "lbfgs", "scoring": "loss", "early_stopping": True}, "early stopping"),
    ({"solver": "vsgd", "solver_params": {"slow_start": -1}}, "'slow_start' parameter"),
    (
        {"solver": "adadelta", "solver_params": {"rho": "x"}},
        "must be arguments of Adadelta",
    ),
    (
        {"solver": torch.optim.SGD, "solver_params": {"momentum": -1}},
        "must be arguments",
    ),
    ({"learning_rate": lambda progress: np.nan}, "finite factors >= 0"),
    ({"learning_rate": lambda progress: None}, "finite factors >= 0"),
    ({"loss": torch.nn.MSELoss}, "function of two tensors"),
    ({"loss": lambda raw, y: 1.0}, "must return a tensor"),
    ({"loss": lambda raw, y: torch.ones(len(raw))}, "must depend on the outputs"),
    ({"augmentation_params": {"scale": 1.0}}, "augmentation_params for None"),
    ({"augmentation": "noise", "augmentation_params": {1: 2}}, "may hold"),
    (
        {"augmentation": lambda X, y, generator: (X, X[..., :3])},
        r"probabilities of 10 classes, got y of shape \(200, 3\)",
    ),
    ({"callbacks": [3]}, "callbacks must be skorch's"),
    ({"device": "nowhere"}, "device must be 'auto' or a device of torch"),
    (
        {"callbacks": [LRScheduler("StepLR", step_size=1)]},
        "by the parameter learning_rate",
    ),
    ({"callbacks": [("frozen", Freezer("hidden.*"))]}, "freeze parameters"),
]


@pytest.mark.parametrize(("params", "message"), ILLEGAL)
def test_what_does_not_go_together(params, message, digits):
    with pytest.raises(ValueError, match=message):
        MLPClassifier(**params).fit(*digits)


def test_a_device_that_is_not_there(digits):
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    with pytest.raises(RuntimeError, match="device='cuda' was requested"):
        MLPClassifier(device="cuda").fit(*digits)


@pytest.mark.parametrize("name", ["invscaling", "adaptive"])
def test_what_scikit_learn_leaves_inert(name, digits):
    X, y = digits[0][:100], digits[1][:100]
    params = {"max_iter": 3, "random_state": 0}
    plain = MLPClassifier(**params).fit(X, y)
    inert = MLPClassifier(**params, learning_rate=name).fit(X, y)
    np.testing.assert_array_equal(plain.coefs_[0], inert.coefs_[0])
    acting = MLPClassifier(**params, solver="nadam", learning_rate="invscaling")
    assert acting.fit(X, y).learning_rate_curve_[2] < 1e-3
