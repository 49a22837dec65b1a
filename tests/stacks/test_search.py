"""The searches find what scikit-learn's searches find, number for number."""

import collections
import functools
import pickle
import random
import warnings
from collections.abc import Mapping
from typing import Any, NamedTuple

import joblib
import numpy as np
import pandas as pd
import pytest
import scipy.sparse
import scipy.stats
import sklearn
import torch
from sklearn.base import clone, is_classifier
from sklearn.callback.tests._utils import (
    RecordingAutoPropagatedCallback,
    RecordingCallback,
)
from sklearn.datasets import (
    make_classification,
    make_multilabel_classification,
    make_regression,
)
from sklearn.decomposition import PCA
from sklearn.exceptions import ConvergenceWarning, FitFailedWarning
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss, make_scorer
from sklearn.model_selection import (
    GridSearchCV,
    GroupKFold,
    KFold,
    RandomizedSearchCV,
    ShuffleSplit,
    TimeSeriesSplit,
)
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    MinMaxScaler,
    StandardScaler,
    TargetEncoder,
    scale,
)
from skorch.callbacks import Callback

from sk_deep import (
    BatchedGridSearchCV,
    BatchedRandomizedSearchCV,
    MLPClassifier,
    MLPRegressor,
)
from sk_deep._stacks import executor, job, train
from sk_deep._stacks.executor import StackExecutor

N_ROWS = 76  # of which folds of a third are unequal, and leave a last batch of one row
WEIGHT = np.linspace(0, 2, N_ROWS)
GROUPS = np.arange(N_ROWS) % 7


# ---- the data ----------------------------------------------------------------------


@functools.cache
def _data(kind):
    if kind in ("regression", "outputs", "counts"):
        n_targets = 3 if kind == "outputs" else 1
        X, y = make_regression(
            N_ROWS, n_features=6, n_targets=n_targets, noise=30, random_state=0
        )
        y = scale(y)
        return X, np.round(np.exp(y)) if kind == "counts" else y
    if kind == "multilabel":
        X, y = make_multilabel_classification(N_ROWS, n_features=6, random_state=0)
        return scale(X), y
    X, y = make_classification(
        N_ROWS,
        n_features=6,
        n_informative=4,
        n_classes=2 if kind == "binary" else 3,
        flip_y=0.1,
        random_state=0,
    )
    return X, _relabel(kind, y)


def _relabel(kind, y):
    if kind == "strings":
        return np.array(["one", "two", "three"])[y]
    if kind == "rare":  # the last class is in the first of three folds only
        return np.where(np.arange(N_ROWS) < 25, y, y % 2)
    return y


def _sparse(X):
    return scipy.sparse.csr_array(np.where(np.abs(X) > 0.5, X, 0))


def _frame(X):
    return pd.DataFrame(X, columns=[f"column {i}" for i in range(X.shape[1])])


# ---- what a search may be given ----------------------------------------------------


class Nothing(Callback):
    """A callback that does nothing."""


def _epochs(estimator, X, y):
    """Score a network by the epochs it ran."""
    return float(estimator.n_iter_)


def _weights(estimator, X, y):
    """Score a network by the size of its weights."""
    return float(sum(np.square(layer).sum() for layer in estimator.coefs_))


def _is_double(estimator, X, y):
    return float(estimator.coefs_[0].dtype == np.float64)


def _last_loss(estimator, X, y):
    """Score a network by its own account of the training."""
    return -estimator.loss_curve_[-1]


def _measures(estimator, X, y):
    """Compute several scores at once."""
    return {
        "accuracy": np.mean(estimator.predict(X) == y),
        "log_loss": -log_loss(y, estimator.predict_proba(X)),
    }


def _steadiest(results):
    """Choose the candidate whose scores vary the least."""
    return int(np.argmin(results["std_test_score"]))


def _halve(progress):
    return 1 - progress / 2


# ---- the cases ---------------------------------------------------------------------


class Case(NamedTuple):
    """A search: data, grid, parameters of the network, and what else it is given.

    With `steps` the network is the last step of a pipeline, "net".
    """

    data: str
    grid: Any
    params: Mapping[str, Any] = {}
    search: Mapping[str, Any] = {}
    fit: Mapping[str, Any] = {}
    steps: tuple = ()
    inputs: Any = np.asarray


LOG_LOSS = {"scoring": "neg_log_loss", "cv": 2}
THIRDS = {"scoring": "neg_log_loss", "cv": KFold(3)}
TRAIN = {**THIRDS, "return_train_score": True}
EPOCHS = {"loss": "neg_log_loss", "epochs": _epochs}
STOPS = {"scoring": EPOCHS, "refit": "loss", "cv": KFold(3)}
SGD = {"solver": "sgd", "learning_rate_init": 0.1}
EARLY = {"early_stopping": True, "max_iter": 15, "n_iter_no_change": 2}
SMALL = {"batch_size": 7, "max_iter": 4}
SCALE = ("scale", StandardScaler())
REGRESSION = {"cv": 3, "return_train_score": True}

CASES = {
    # ---- numbers of the solvers
    "rates": Case(
        "binary",
        {"learning_rate_init": [1e-3, 0.02, 0.1]},
        search={"return_train_score": True},
    ),
    "rates-of-regressors": Case(
        "regression",
        {"learning_rate_init": [1e-3, 0.1, "auto"]},
        {"solver": "sgd"},
        REGRESSION,
    ),
    "moments": Case(
        "multiclass",
        {"beta_1": [0.5, 0.9], "beta_2": [0.9, 0.999], "epsilon": [1e-8, 0.1]},
        search=LOG_LOSS,
    ),
    "momentum": Case(
        "binary",
        [
            {"momentum": [0.5, 0.9], "nesterovs_momentum": [True, False]},
            {"momentum": [0], "alpha": [0.1, 10.0]},
        ],
        SGD,
        {**LOG_LOSS, "return_train_score": True},
    ),
    "adamw": Case(
        "multiclass",
        {"alpha": [0, 1.0, 10.0], "beta_1": [0.5, 0.9]},
        {"solver": "adamw"},
        TRAIN,
    ),
    "nadam": Case(
        "multiclass",
        {"solver_params": [None, {"momentum_decay": 0.1}], "epsilon": [1e-8, 0.1]},
        {"solver": "nadam", **SMALL},
        LOG_LOSS,
    ),
    "radam": Case(
        "binary",
        {"beta_2": [0.9, 0.99], "learning_rate_init": [0.01, 0.1]},
        {"solver": "radam", "batch_size": 32, "max_iter": 12},
        LOG_LOSS,
    ),
    "adamax": Case(
        "regression",
        {"beta_1": [0.5, 0.9], "beta_2": [0.9, 0.999]},
        {"solver": "adamax", **SMALL},
        REGRESSION,
    ),
    "adagrad": Case(
        "binary",
        {
            "solver_params": [
                {"lr_decay": 0.1},
                {"eps": 0.1},
                {"initial_accumulator_value": 0.1},
            ]
        },
        {"solver": "adagrad"},
        LOG_LOSS,
    ),
    "rmsprop": Case(
        "multiclass",
        {"solver_params": [{"alpha": 0.9}, {"alpha": 0.9, "eps": 0.1}, {}]},
        {"solver": "rmsprop"},
        LOG_LOSS,
    ),
    "rmsprop-with-momentum": Case(
        "multiclass",
        {
            "solver_params": [
                {"momentum": 0.9},
                {"momentum": 0.9, "centered": True},
                {"momentum": 0.5, "centered": True},
            ]
        },
        {"solver": "rmsprop"},
        LOG_LOSS,
    ),
    "adadelta": Case(
        "regression",
        {"solver_params": [{"rho": 0.9}, {"rho": 0.5}], "learning_rate_init": [1, 9.0]},
        {"solver": "adadelta", **SMALL},
        REGRESSION,
    ),
    "vsgd": Case(
        "multiclass",
        {
            "solver_params": [None, {"slow_start": 4.0}, {"n_start": 3}],
            "learning_rate_init": ["auto", 0.5],
        },
        {"solver": "vsgd", **SMALL},
        LOG_LOSS,
    ),
    "adasecant": Case(
        "binary",
        {"solver_params": [None, {"first_step": 0.2}, {"max_gamma": 0, "eps": 1e-3}]},
        {"solver": "adasecant", "learning_rate_init": "auto", **SMALL},
        LOG_LOSS,
    ),
    "solvers": Case(
        "multiclass",
        {"solver": ["sgd", "adam", "adamw", "rmsprop"], "alpha": [1e-4, 1.0]},
        search=LOG_LOSS,
    ),
    # ---- schedules
    "schedules": Case(
        "binary",
        {"learning_rate": ["constant", "invscaling", "adaptive", "cosine", "one_cycle"]}
        | {"learning_rate_init": [0.1, 0.5]},
        {"solver": "sgd", "tol": 0.1, "n_iter_no_change": 1},
        LOG_LOSS,
    ),
    "schedules-by-epochs": Case(
        "multiclass",
        [
            {"learning_rate": ["inverse_sqrt", "inverse_time"]},
            {
                "learning_rate": ["step"],
                "schedule_params": [{"every": 2}, {"every": 3, "gamma": 0.5}],
            },
            {"learning_rate": ["exponential"], "schedule_params": [{"gamma": 0.5}]},
        ],
        search=TRAIN,
    ),
    "invscaling": Case(
        "multiclass",
        {"power_t": [0.1, 0.3, 0.5]},
        {**SGD, **SMALL, "learning_rate": "invscaling"},
        TRAIN,
    ),
    "adaptive": Case(
        "binary",
        {"tol": [0.01, 0.03, 0.1], "n_iter_no_change": [1, 2]},
        {**SGD, "learning_rate": "adaptive", "max_iter": 25},
        STOPS,
    ),
    "adaptive-with-early-stopping": Case(
        "multiclass",
        {"learning_rate_init": [2e-5, 0.1, 0.5]},
        {"solver": "sgd", "learning_rate": "adaptive", **EARLY, "tol": 0.02},
        STOPS,
    ),
    "warmup": Case(
        "multiclass",
        {"schedule_params": [None, {"warmup": 0.1}, {"warmup": 0.3}, {"warmup": 0.8}]},
        SMALL,
        {**THIRDS, "refit": False},
    ),
    "cosine": Case(
        "regression",
        {"schedule_params": [None, {"final": 0.5}], "max_iter": [3, 6]},
        {"learning_rate": "cosine", "batch_size": 7},
        REGRESSION,
    ),
    "one-cycle": Case(
        "binary",
        {
            "schedule_params": [
                {"peak": 0.2},
                {"peak": 0.6, "warmup": 0.2},
                {"initial": 0.5, "final": 0.1},
            ],
            "max_iter": [3, 6],
        },
        {"learning_rate": "one_cycle", **SGD, "batch_size": 32},
        LOG_LOSS,
    ),
    # ---- when members stop
    "epochs": Case("multiclass", {"max_iter": [1, 4, 9]}, search=STOPS),
    "patience": Case(
        "binary",
        [
            {"tol": [0.05, 0.02], "n_iter_no_change": [1, 2]},
            {"n_iter_no_change": [np.inf]},
        ],
        {"max_iter": 15},
        STOPS,
    ),
    "early-stopping": Case(
        "binary",
        {"validation_fraction": [0.1, 0.3], "learning_rate_init": [0.01, 0.1]},
        EARLY,
        STOPS,
    ),
    "early-stopping-by-loss": Case(
        "multiclass",
        {"tol": [1e-4, 0.05], "validation_fraction": [0.2, 0.4]},
        {**EARLY, "scoring": "loss", "learning_rate_init": 0.1},
        STOPS,
    ),
    "early-stopping-by-scorer": Case(
        "regression",
        {"learning_rate_init": [0.01, 0.05, 0.3], "n_iter_no_change": [1, 2]},
        {**EARLY, "scoring": "neg_mean_absolute_error"},
        {"scoring": {"r2": "r2", "epochs": _epochs}, "refit": "r2", "cv": 2},
    ),
    "early-stopping-or-not": Case(
        "multiclass",
        [
            {"early_stopping": [False]},
            {"early_stopping": [True], "scoring": [None, "loss", "f1_macro"]},
        ],
        {"validation_fraction": 0.4, "n_iter_no_change": 2, "tol": 0.02},
        STOPS,
    ),
    "early-stopping-with-weights": Case(
        "multiclass",
        {"learning_rate_init": [0.05, 0.1], "scoring": [None, "f1_macro", "loss"]},
        {**EARLY, "validation_fraction": 0.4, "tol": 0.02},
        THIRDS,
        {"sample_weight": WEIGHT},
    ),
    "early-stopping-of-outputs": Case(
        "outputs", {"alpha": [0.1, 10.0], "validation_fraction": [0.2, 0.3]}, EARLY
    ),
    "validation-data": Case(
        "binary",
        {"learning_rate_init": [0.01, 0.1, 0.5]},
        EARLY,
        STOPS,
        {"X_val": _data("binary")[0][::3], "y_val": _data("binary")[1][::3]},
    ),
    # ---- penalties and bounds
    "penalty": Case(
        "multiclass",
        {"alpha": [1e-4, 1.0, 10.0], "l1_ratio": [0.0, 0.5, 1.0]},
        search=LOG_LOSS,
    ),
    "bounds": Case(
        "multiclass",
        {"max_norm": [None, 0.5, 1.0], "gradient_clip": [None, 0.01]},
        SGD,
        LOG_LOSS,
    ),
    "bounds-and-penalty": Case(
        "regression",
        {"max_norm": [0.5, 1.0], "gradient_clip": [0.1, 0.5], "alpha": [0.1, 1.0]},
        {"l1_ratio": 0.3, "batch_size": 32},
    ),
    # ---- rows, batches and folds
    "last-batch-of-one": Case("binary", {"alpha": [0.1, 1.0, 10.0]}, SMALL, TRAIN),
    "batches": Case(
        "regression",
        {"batch_size": [7, 32, "auto"], "alpha": [0.1, 1.0]},
        {},
        {"cv": 3},
    ),
    "unshuffled": Case(
        "multiclass", {"shuffle": [False, True], "beta_1": [0.5, 0.9]}, SMALL, THIRDS
    ),
    "groups": Case(
        "multiclass",
        {"learning_rate_init": [0.01, 0.1]},
        {"batch_size": 32},
        {**TRAIN, "cv": GroupKFold(3)},
        {"groups": GROUPS},
    ),
    "time-series": Case(
        "regression",
        {"alpha": [0.1, 1.0], "learning_rate_init": [0.01, 0.1]},
        SMALL,
        {"cv": TimeSeriesSplit(3), "scoring": "neg_mean_absolute_error"},
    ),
    "random-splits": Case(
        "multiclass",
        {"alpha": [0.1, 1.0, 10.0]},
        search={**LOG_LOSS, "cv": ShuffleSplit(3, test_size=0.4, random_state=0)},
    ),
    "seeds": Case("multiclass", {"random_state": [0, 1, 2, 7]}, SMALL, TRAIN),
    "random-state": Case(
        "binary",
        {"alpha": [0.1, 1.0, 10.0]},
        {"random_state": np.random.RandomState(3), "batch_size": 32},
        LOG_LOSS,
    ),
    "weights": Case(
        "multiclass",
        {"alpha": [0.1, 1.0], "batch_size": [7, "auto"]},
        search=THIRDS,
        fit={"sample_weight": WEIGHT},
    ),
    "weights-of-regressors": Case(
        "outputs",
        {"learning_rate_init": [0.01, 0.1], "alpha": [0.1, 1.0]},
        {"batch_size": 32},
        REGRESSION,
        {"sample_weight": WEIGHT},
    ),
    "class-weight": Case(
        "multiclass",
        {"class_weight": [None, "balanced", {0: 3.0, 1: 0.5}, {2: 0.0}]},
        search=TRAIN,
    ),
    "class-weight-and-weights": Case(
        "strings",
        {"class_weight": ["balanced", {"one": 3.0}], "learning_rate_init": [0.01, 0.1]},
        {"batch_size": 32},
        {"cv": KFold(3, shuffle=True, random_state=0), "return_train_score": True},
        {"sample_weight": WEIGHT},
    ),
    # ---- targets and losses
    "multilabel": Case(
        "multilabel",
        {"alpha": [0.1, 1.0], "learning_rate_init": [0.01, 0.1]},
        search={"scoring": "roc_auc", "cv": 2},
    ),
    "several-outputs": Case(
        "outputs", {"alpha": [0.1, 10.0], "epsilon": [1e-8, 0.1]}, {}, REGRESSION
    ),
    "class-missing-in-a-fold": Case(
        "rare",
        {"learning_rate_init": [0.01, 0.05, 0.3], "class_weight": [None, "balanced"]},
        search={"cv": KFold(3), "return_train_score": True},
    ),
    "label-smoothing": Case(
        "multiclass", {"label_smoothing": [0.0, 0.1, 0.5]}, {"batch_size": 32}, TRAIN
    ),
    "label-smoothing-of-two": Case(
        "binary",
        {"label_smoothing": [0.0, 0.3], "loss": ["log_loss", "squared_error"]},
        search=LOG_LOSS,
    ),
    "hinge": Case(
        "binary",
        {"learning_rate_init": [0.01, 0.1], "alpha": [0.1, 10.0]},
        {"loss": "hinge"},
        {"scoring": "roc_auc", "cv": 3},
    ),
    "losses": Case(
        "multiclass",
        {"loss": ["hinge", "focal", "log_loss"], "learning_rate_init": [0.05, 0.2]},
        search={"scoring": {"own": _last_loss, "accuracy": "accuracy"}, "refit": "own"},
    ),
    "focal": Case(
        "multiclass",
        {"loss_params": [None, {"gamma": 0.0}, {"gamma": 1.0}, {"gamma": 5.0}]},
        {"loss": "focal"},
        LOG_LOSS,
    ),
    "losses-of-regressors": Case(
        "counts",
        [
            {"loss": ["huber"], "loss_params": [None, {"delta": 0.1}]},
            {
                "loss": ["quantile"],
                "loss_params": [{"quantile": q} for q in (0.2, 0.7)],
            },
            {"loss": ["poisson", "absolute_error"]},
        ],
        search=REGRESSION,
    ),
    "poisson": Case(
        "counts",
        {"learning_rate_init": [0.01, 0.1], "alpha": [0.1, 1.0]},
        {"loss": "poisson", "batch_size": 32},
        {"scoring": "neg_mean_poisson_deviance", "cv": 3},
    ),
    "several-quantiles": Case(
        "regression",
        {"learning_rate_init": [0.01, 0.1]},
        {"loss": "quantile", "loss_params": {"quantile": [0.1, 0.5, 0.9]}},
    ),
    # ---- networks
    "structures": Case(
        "multiclass",
        [
            {"hidden_layer_sizes": [()], "learning_rate_init": [0.02, 0.1]},
            {"hidden_layer_sizes": [4, (6, 4)], "activation": ["relu", "tanh"]},
        ],
        search={"cv": 2, "scoring": ["neg_log_loss", "accuracy"], "refit": "accuracy"},
    ),
    "layers": Case(
        "regression",
        {"n_hidden_layers": [1, 2], "activation": ["selu", "logistic"]},
        {"hidden_layer_sizes": 5},
    ),
    "batch-normalization": Case(
        "multiclass",
        {"learning_rate_init": [0.01, 0.1], "alpha": [0.1, 1.0]},
        {"normalization": "batch", "hidden_layer_sizes": (6, 4), **SMALL},
        TRAIN,
    ),
    "normalizations": Case(
        "regression",
        {"normalization": [None, "batch", "layer"], "learning_rate_init": [0.01, 0.1]},
        {"batch_size": 32, "early_stopping": True},
    ),
    "residual": Case(
        "binary",
        {"residual": [False, True], "alpha": [0.1, 10.0]},
        {"hidden_layer_sizes": (6, 6), "normalization": "layer"},
        LOG_LOSS,
    ),
    "maxout": Case(
        "multiclass",
        {"maxout_pieces": [2, 3], "learning_rate_init": [0.01, 0.1]},
        {"activation": ["maxout", "tanh"], "hidden_layer_sizes": (6, 4)},
        LOG_LOSS,
    ),
    "initializers": Case(
        "binary",
        {"weight_init": ["auto", "he_normal", "orthogonal"], "random_state": [0, 1]},
        search=LOG_LOSS,
    ),
    "dtype": Case(
        "binary",
        {"alpha": [0.1, 1.0, 10.0]},
        # small enough for float64 by itself, as a stack it would not be
        {"hidden_layer_sizes": (120, 120), "max_iter": 1},
        {"scoring": {"double": _is_double, "own": _last_loss}, "refit": "own", "cv": 2},
    ),
    # ---- pipelines and inputs
    "scaled": Case(
        "binary",
        {"net__learning_rate_init": [0.01, 0.1], "scale__with_std": [True, False]},
        {"batch_size": 32},
        LOG_LOSS,
        {"net__sample_weight": WEIGHT},
        (SCALE,),
    ),
    "components": Case(
        "regression",
        {"pca__n_components": [2, 3, 6], "net__alpha": [0.1, 1.0]},
        search=REGRESSION,
        steps=(SCALE, ("pca", PCA(random_state=0))),
    ),
    "scaled-or-not": Case(
        "strings",
        {"scale": ["passthrough", StandardScaler()], "net__max_iter": [3, 8]},
        EARLY,
        LOG_LOSS,
        steps=(SCALE,),
    ),
    "other-estimators": Case(
        "multiclass",
        [
            {"net": [LogisticRegression()], "net__C": [0.01, 1.0]},
            {"net__learning_rate_init": [0.01, 0.1]},
        ],
        search=LOG_LOSS,
        steps=(SCALE,),
    ),
    "sparse": Case(
        "multiclass",
        {"alpha": [0.1, 1.0], "batch_size": [7, "auto"]},
        search=THIRDS,
        inputs=_sparse,
    ),
    "frame": Case("regression", {"alpha": [0.1, 1.0, 10.0]}, EARLY, inputs=_frame),
    "scaled-frame": Case(
        "binary",
        {"net__alpha": [0.1, 1.0, 10.0]},
        search=LOG_LOSS,
        steps=(SCALE,),
        inputs=_frame,
    ),
    # ---- scores
    "several-scores": Case(
        "multiclass",
        {"learning_rate_init": [0.01, 0.1, 0.5]},
        search={"scoring": ["accuracy", "neg_log_loss"], "refit": "neg_log_loss"}
        | {"return_train_score": True},
    ),
    "scorers": Case(
        "binary",
        {"learning_rate_init": [0.01, 0.1], "alpha": [0.1, 1.0]},
        search={"scoring": {"auc": "roc_auc", "weights": _weights}, "refit": "weights"},
    ),
    "callable-scores": Case(
        "multiclass",
        {"learning_rate_init": [0.01, 0.1, 0.5]},
        search={"scoring": _measures, "refit": "log_loss", "return_train_score": True},
    ),
    "callable-refit": Case(
        "regression",
        {"learning_rate_init": [0.01, 0.1], "alpha": [0.1, 1.0]},
        search={"scoring": _weights, "refit": _steadiest},
    ),
    # ---- what has to train by itself, beside what has not
    "lbfgs-and-adam": Case(
        "binary",
        [
            {"solver": ["lbfgs"], "alpha": [0.1, 1.0]},
            {"solver": ["adam"], "learning_rate_init": [0.01, 0.1]},
        ],
        search={**TRAIN, "refit": True},
    ),
    "functions-and-classes": Case(
        "multiclass",
        [
            {"solver": [torch.optim.Rprop]},
            {"activation": [torch.nn.PReLU, "relu"]},
            {"learning_rate": [_halve]},
            {"callbacks": [[Nothing()]], "alpha": [10.0]},
            {"n_members": [4], "n_folds": [2], "early_stopping": [True]},
            {"learning_rate_init": [0.2, 0.3]},
        ],
        search=LOG_LOSS,
    ),
    "ensembles": Case(
        "multiclass",
        {"net__n_members": [1, 3], "net__learning_rate_init": [0.02, 0.1]},
        steps=(SCALE,),
        search={**TRAIN, "scoring": ["accuracy", "neg_log_loss"], "refit": "accuracy"},
    ),
    "ensembles-looked-into": Case(
        "multiclass",
        {"n_members": [2, 3], "early_stopping": [True, False]},
        {**EARLY, "tol": 0.05},
        search=STOPS,
    ),
}


# ---- the searches ------------------------------------------------------------------


def _network(kind, **params):
    is_real = kind in ("regression", "outputs", "counts")
    estimator = MLPRegressor if is_real else MLPClassifier
    params = {
        "hidden_layer_sizes": (6,),
        "max_iter": 8,
        "learning_rate_init": 0.05,
        "random_state": 0,
        **params,
    }
    return estimator(**params, device="cpu")


def _fit(search, case, **further):
    X, y = _data(case.data)
    estimator = _network(case.data, **case.params)
    if case.steps:
        estimator = Pipeline([*case.steps, ("net", estimator)])
    X = case.inputs(X)
    search = search(estimator, case.grid, **{"cv": 3, **case.search, **further})
    return search.fit(X, y, **case.fit), X


def _metrics(results):
    """Name the metrics of a search."""
    start = "rank_test_"
    return [key.removeprefix(start) for key in results if key.startswith(start)]


def _assert_equal(theirs, ours, X):
    expected, found = theirs.cv_results_, ours.cv_results_
    _assert_equal_columns(expected, found)
    for metric in _metrics(expected):
        _assert_equal_ranks(expected, found, metric)
    assert _fitted(ours) == _fitted(theirs)
    _assert_equal_choices(theirs, ours)
    if hasattr(theirs, "best_estimator_") and ours.best_index_ == theirs.best_index_:
        _assert_equal_predictions(theirs, ours, X)


def _assert_equal_columns(expected, found):
    assert list(found) == list(expected)
    assert found["params"] == expected["params"]
    for key in expected.keys() - {"params"}:
        ours, theirs = found[key], expected[key]
        assert (type(ours), ours.dtype) == (type(theirs), theirs.dtype), key
        if key.startswith("param_"):
            np.testing.assert_array_equal(ours.mask, theirs.mask)
            assert ours.compressed().tolist() == theirs.compressed().tolist()
        elif not key.startswith("rank_") and not key.endswith("_time"):
            np.testing.assert_allclose(ours, theirs, 1e-6, 1e-6, err_msg=key)


def _assert_equal_ranks(expected, found, metric):
    score, rank = (f"{name}_test_{metric}" for name in ("mean", "rank"))
    gap, ours, theirs = (
        np.subtract.outer(column, column)
        for column in (expected[score], found[rank], expected[rank])
    )
    differ = np.abs(gap) > 1e-9
    np.testing.assert_array_equal(np.sign(ours[differ]), np.sign(theirs[differ]))


def _fitted(search):
    """Name the public attributes of a fit."""
    return {name for name in vars(search) if name[0] != "_" and name[-1] == "_"}


def _assert_equal_choices(theirs, ours):
    """The same best candidate, or one as good."""
    if not hasattr(theirs, "best_index_"):
        return
    if callable(theirs.refit):
        assert ours.best_index_ == theirs.best_index_
    else:
        metric = theirs.refit if isinstance(theirs.refit, str) else "score"
        scores = theirs.cv_results_[f"mean_test_{metric}"]
        assert abs(scores[ours.best_index_] - scores[theirs.best_index_]) <= 1e-9
        np.testing.assert_allclose(ours.best_score_, theirs.best_score_, atol=1e-6)
    assert ours.best_params_ == ours.cv_results_["params"][ours.best_index_]


def _assert_equal_predictions(theirs, ours, X):
    found, expected = ours.predict(X), theirs.predict(X)
    if not is_classifier(theirs):
        np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-6)
        return
    np.testing.assert_array_equal(found, expected)
    if hasattr(theirs, "predict_proba"):
        found, expected = ours.predict_proba(X), theirs.predict_proba(X)
        np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-9)


def _scores(results):
    """Stack all test scores, a row per candidate."""
    keys = [key for key in results if key.startswith("split") and "_test_" in key]
    return np.stack([results[key] for key in keys], axis=1)


def _assert_tells_candidates_apart(results):
    """A case proves little where candidates or splits have the same scores."""
    scores = _scores(results).round(7)
    assert len(np.unique(scores, axis=0)) == len(scores)
    for metric in _metrics(results):
        if metric == "epochs":
            assert len(np.unique(results["mean_test_epochs"])) > 1


# ---- equality ----------------------------------------------------------------------

# cases with candidates that run one by one
ALONE = {"lbfgs-and-adam", "functions-and-classes", "other-estimators"}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_search_is_that_of_sklearn(case, capsys):
    theirs, X = _fit(GridSearchCV, case)
    _assert_tells_candidates_apart(theirs.cv_results_)
    capsys.readouterr()
    ours, _ = _fit(BatchedGridSearchCV, case, verbose=1)
    _assert_equal(theirs, ours, X)
    is_alone = "run one by one" in capsys.readouterr().out
    assert is_alone == any(case is CASES[name] for name in ALONE)


def test_there_are_enough_cases():
    assert len(CASES) >= 30


SAMPLED = {
    "numbers": Case(
        "binary",
        {
            "learning_rate_init": scipy.stats.loguniform(1e-3, 1),
            "alpha": scipy.stats.loguniform(1e-3, 10),
            "beta_1": scipy.stats.uniform(0.1, 0.8),
        },
        search=THIRDS,
    ),
    "structures": Case(
        "regression",
        [
            {
                "net__hidden_layer_sizes": [(4,), (6, 4)],
                "net__momentum": scipy.stats.uniform(0.1, 0.8),
                "net__solver": ["sgd"],
            },
            {"net__max_iter": scipy.stats.randint(2, 9), "pca__n_components": [3, 4]},
        ],
        search=REGRESSION,
        steps=(SCALE, ("pca", PCA(random_state=0))),
    ),
}


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("case", SAMPLED.values(), ids=SAMPLED)
def test_sampled_search_is_that_of_sklearn(case, seed):
    sampled = {"n_iter": 6, "random_state": seed}
    theirs, X = _fit(RandomizedSearchCV, case, **sampled)
    _assert_tells_candidates_apart(theirs.cv_results_)
    ours, _ = _fit(BatchedRandomizedSearchCV, case, **sampled)
    _assert_equal(theirs, ours, X)


def test_pipelines_with_memory(tmp_path):
    X, y = _data("multiclass")
    net = _network("multiclass")
    grid = {"pca__n_components": [2, 4], "net__alpha": [0.1, 1.0, 10.0]}
    searches = []
    for cls in (GridSearchCV, BatchedGridSearchCV):
        steps = [SCALE, ("pca", PCA(random_state=0)), ("net", net)]
        pipeline = Pipeline(steps, memory=str(tmp_path / cls.__name__))
        searches.append(cls(pipeline, grid, **THIRDS).fit(X, y))
    _assert_tells_candidates_apart(searches[0].cv_results_)
    _assert_equal(*searches, X)


def test_float32_agrees_to_float32(digits):
    X, y = digits[0][:500], digits[1][:500]
    net = MLPClassifier((16,), dtype="float32", max_iter=10, random_state=0)
    grid = {"learning_rate_init": [0.003, 0.01, 0.03], "alpha": [1e-4, 1.0]}
    theirs, ours = (
        cls(net, grid, cv=2).fit(X, y) for cls in (GridSearchCV, BatchedGridSearchCV)
    )
    found, expected = _scores(ours.cv_results_), _scores(theirs.cv_results_)
    assert np.ptp(expected) > 0.05
    np.testing.assert_allclose(found, expected, rtol=0, atol=0.005)


@pytest.mark.long
def test_dropout_has_the_same_distribution():
    X, y = _data("binary")
    net = _network("binary", hidden_layer_sizes=(8, 8), max_iter=25)
    grid = {"dropout": [0.0, 0.2, 0.4], "random_state": list(range(20))}
    settings = {"scoring": "neg_log_loss", "cv": 2, "return_train_score": True}
    theirs, ours = (
        cls(net, grid, refit=False, **settings).fit(X, y).cv_results_
        for cls in (GridSearchCV, BatchedGridSearchCV)
    )
    for key in ("mean_test_score", "mean_train_score"):
        (expected, error), (found, error_of_ours) = (
            _mean_over_seeds(results[key].reshape(3, 20)) for results in (theirs, ours)
        )
        # each probability tells
        assert (np.abs(np.diff(expected)) > 2 * np.hypot(error[1:], error[:-1])).all()
        assert found[0] == pytest.approx(expected[0], abs=1e-6)  # without masks
        assert (np.abs(found - expected) < 2 * np.hypot(error, error_of_ours)).all()


def _mean_over_seeds(scores):
    """Compute the means of the rows, and their standard errors."""
    error = scores.std(axis=1, ddof=1) / np.sqrt(scores.shape[1])
    return scores.mean(axis=1), error


def _as_pickled(estimator, X, y):
    """Score a copy of a fitted network, and its own account of the training."""
    copy = pickle.loads(pickle.dumps(estimator))
    assert not hasattr(clone(estimator), "coefs_")
    weights = [*copy.coefs_, *copy.intercepts_]
    assert all(
        map(np.array_equal, weights, [*estimator.coefs_, *estimator.intercepts_])
    )
    return {
        "loss": -log_loss(y, copy.predict_proba(X)),
        "weights": sum(float(np.square(layer).sum()) for layer in weights),
        "epochs": float(copy.n_iter_),
        "curve": float(np.mean(estimator.loss_curve_)),
        "samples": float(copy.t_),
        "rates": float(np.mean(copy.learning_rate_curve_)),
        "best": copy.best_loss_ or copy.best_validation_score_,
    }


PICKLED = {
    "plain": {},
    "early-stopping": EARLY,
    "adaptive": {**SGD, "learning_rate": "adaptive", "tol": 0.1, "max_iter": 15},
    "cosine": {"learning_rate": "cosine", **SMALL},
    "batch-normalization": {"normalization": "batch", **SMALL},
}


@pytest.mark.long
@pytest.mark.parametrize("params", PICKLED.values(), ids=PICKLED)
def test_scorers_may_pickle_what_they_get(params):
    grid = {"n_iter_no_change": [1, 3], "alpha": [0.1, 1.0], "random_state": [0, 1]}
    case = Case("binary", grid, params, {"scoring": _as_pickled, "refit": "loss"})
    theirs, X = _fit(GridSearchCV, case)
    ours, _ = _fit(BatchedGridSearchCV, case)
    for metric in ("loss", "weights"):
        assert len(np.unique(theirs.cv_results_[f"mean_test_{metric}"])) >= 4
    _assert_equal(theirs, ours, X)


# ---- candidates that fail ----------------------------------------------------------

FAILURES = {
    "illegal": {"activation": ["relu", "no such"], "alpha": [0.1, 1.0]},
    "illegal-beside-another": {"maxout_pieces": [2, 3], "alpha": [0.1, 1.0]},
    "diverges": {"learning_rate_init": [0.05, 1e200, 0.1]},
}


def _fit_failing(cls, grid, **further):
    X, y = _data("binary")
    net = _network("binary", solver="sgd", max_iter=4)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        search = cls(net, grid, **LOG_LOSS, **further).fit(X, y)
    return search, {item.category for item in caught}


@pytest.mark.parametrize("error_score", [np.nan, -100.0])
@pytest.mark.parametrize("grid", FAILURES.values(), ids=FAILURES)
def test_failures_leave_the_others(grid, error_score):
    theirs, expected = _fit_failing(GridSearchCV, grid, error_score=error_score)
    ours, found = _fit_failing(BatchedGridSearchCV, grid, error_score=error_score)
    assert FitFailedWarning in expected
    assert found == expected
    _assert_equal(theirs, ours, _data("binary")[0])


@pytest.mark.parametrize("grid", FAILURES.values(), ids=FAILURES)
def test_failures_raise_on_demand(grid):
    with pytest.raises(ValueError, match=r".") as expected:
        _fit_failing(GridSearchCV, grid, error_score="raise")
    with pytest.raises(type(expected.value), match=r".") as found:
        _fit_failing(BatchedGridSearchCV, grid, error_score="raise")
    assert str(found.value) == str(expected.value)


@pytest.mark.parametrize("cls", [GridSearchCV, BatchedGridSearchCV])
def test_nothing_but_failures_raises(cls):
    with pytest.raises(ValueError, match=r"All the 4 fits failed"):
        _fit_failing(cls, {"learning_rate_init": [1e200, 1e210]})


@pytest.mark.parametrize("steps", [(), (SCALE,)], ids=["network", "pipeline"])
def test_errors_made_of_warnings(steps):
    name = "net__max_iter" if steps else "max_iter"
    params = {"tol": 1e9, "n_iter_no_change": 1}  # it ends after three epochs
    grid = {name: [1, 20, 2, 30], name.replace("max_iter", "alpha"): [0.1, 1.0]}
    case = Case("binary", grid, params, LOG_LOSS, steps=steps)
    searches = []
    for cls in (GridSearchCV, BatchedGridSearchCV):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            warnings.simplefilter("error", ConvergenceWarning)
            search, X = _fit(cls, case)
        searches.append((search, {item.category for item in caught}))
    (theirs, expected), (ours, found) = searches
    assert FitFailedWarning in expected
    assert found == expected
    assert np.isnan(theirs.cv_results_["mean_test_score"]).sum() == 4
    _assert_equal(theirs, ours, X)


# ---- how it is run -----------------------------------------------------------------

MIXED = Case(
    "multiclass",
    [
        {"solver": ["adam"], "learning_rate_init": [0.01, 0.05, 0.1, 0.3]},
        {"solver": ["sgd"], "momentum": [0.5, 0.9]},
        {"solver": ["lbfgs"]},
    ],
    {"batch_size": 32, "max_iter": 4},
    {"scoring": ["neg_log_loss", "accuracy"], "refit": "neg_log_loss"},
)


@pytest.fixture(scope="module")
def theirs():
    return _fit(GridSearchCV, MIXED)[0]


@pytest.mark.parametrize("batch_members", [1, 3, 1000, "auto"])
def test_members_of_a_batch(batch_members, theirs):
    ours, X = _fit(BatchedGridSearchCV, MIXED, batch_members=batch_members)
    _assert_equal(theirs, ours, X)


@pytest.mark.parametrize("batch_members", [0, -1, 1.5, "all", None])
@pytest.mark.parametrize("cls", [BatchedGridSearchCV, BatchedRandomizedSearchCV])
def test_illegal_members_of_a_batch(cls, batch_members):
    with pytest.raises(ValueError, match="batch_members"):
        _fit(cls, CASES["rates"], batch_members=batch_members)


@pytest.mark.parametrize("batch_members", [1, 3])
def test_stacks_have_at_most_so_many_members(batch_members, monkeypatch, theirs):
    sizes = []

    def spied(members):
        sizes.append(len(members))
        train(members)

    monkeypatch.setattr(job, "train", spied)
    ours, X = _fit(BatchedGridSearchCV, MIXED, batch_members=batch_members)
    assert max(sizes) == batch_members
    assert sum(sizes) == 3 * 6  # folds, and candidates that can be members
    _assert_equal(theirs, ours, X)


def test_inputs_are_prepared_as_memory_allows(monkeypatch):
    case = CASES["components"]
    theirs, X = _fit(GridSearchCV, case)
    counts, prepare = [], StackExecutor._fit_steps

    def spied(executor, tasks, calls):
        inputs = prepare(executor, tasks, calls)
        counts.append(len(inputs))
        return inputs

    monkeypatch.setattr(StackExecutor, "_fit_steps", spied)
    for n_bytes, expected in ((1, [1] * 9), (5 * 8 * X.size, [5, 4]), (2**30, [9])):
        counts.clear()
        monkeypatch.setattr(executor, "_INPUT_BYTES", n_bytes)
        ours, _ = _fit(BatchedGridSearchCV, case)
        assert counts == expected  # three splits, and as many numbers of components
        _assert_equal(theirs, ours, X)


@pytest.mark.processes
@pytest.mark.parametrize("backend", ["threading", "loky"])
def test_jobs(backend, theirs):
    with joblib.parallel_config(backend):
        ours, X = _fit(BatchedGridSearchCV, MIXED, n_jobs=2, batch_members=3)
    _assert_equal(theirs, ours, X)


def _global_states():
    numpys = np.random.get_state()[1].tolist()
    return numpys, random.getstate(), torch.get_rng_state().tolist()


def test_no_global_random_state_changes():
    before = _global_states()
    _fit(BatchedGridSearchCV, MIXED)
    grid = {"dropout": [0.2, 0.5], "random_state": [None, 0]}
    _fit(BatchedGridSearchCV, Case("binary", grid))
    assert _global_states() == before


@pytest.mark.parametrize(
    "params", [{}, {"dropout": 0.5}, {"input_dropout": 0.3, "early_stopping": True}]
)
def test_a_second_fit_gives_the_same(params):
    X, y = _data("multiclass")
    net = _network("multiclass", **params)
    grid = {"learning_rate_init": [0.05, 0.2], "solver": ["sgd", "adam"]}
    search = BatchedGridSearchCV(net, grid, **LOG_LOSS)
    first, second = (_scores(search.fit(X, y).cv_results_) for _ in range(2))
    np.testing.assert_array_equal(first, second)


def test_data_and_estimator_stay_as_they_are():
    X, y = (part.copy() for part in _data("multiclass"))
    net = _network("multiclass", early_stopping=True)
    before = net.get_params()
    grid = {"alpha": [0.1, 1.0], "max_iter": [3, 6]}
    BatchedGridSearchCV(net, grid).fit(X, y)
    assert net.get_params() == before
    assert not hasattr(net, "net_")
    for found, expected in zip((X, y), _data("multiclass"), strict=True):
        np.testing.assert_array_equal(found, expected)


def test_verbose_tells_what_trains_by_itself(capsys):
    _fit(BatchedGridSearchCV, MIXED, verbose=0)
    assert not capsys.readouterr().out
    _fit(BatchedGridSearchCV, MIXED, verbose=1)
    assert "lbfgs" in capsys.readouterr().out


# ---- what another fit does not spoil -----------------------------------------------


def _raise_where_it_learns_fast(estimator, X, y):
    if estimator.learning_rate_init > 0.1:
        raise KeyError("too fast")
    return log_loss(y, estimator.predict_proba(X))


def _turn(X, by):
    return X * by.real


def _log_loss_that_writes(estimator, X, y):
    score = -log_loss(y, estimator.predict_proba(X))
    X *= 2
    return score


def _error_that_writes(y, predictions):
    error = np.abs(y - predictions).mean()
    y += 1
    return error


ODD = {  # of some candidates the fit or a score fails, or cannot be part of a stack
    "sizes": Case("binary", {"hidden_layer_sizes": [(4,), (-1,)]}),
    "layers": Case(
        "binary", {"hidden_layer_sizes": [(4,), 5], "n_hidden_layers": [1, 2]}
    ),
    "scorer-of-early-stopping": Case(
        "binary",
        {"learning_rate_init": [0.01, 0.05, 0.3]},
        {"early_stopping": True, "scoring": _raise_where_it_learns_fast},
    ),
    "diverging-under-a-scorer": Case(
        "regression",
        {"learning_rate_init": [0.001, 0.01, 1e150]},
        {
            "solver": "sgd",
            "early_stopping": True,
            "scoring": "neg_mean_absolute_error",
            "random_state": np.random.RandomState(3),
        },
    ),
    "kinds-of-a-step's-sequence": Case(
        "binary",
        {"scale__feature_range": [[0, 1], (0, 1)]},
        steps=(("scale", MinMaxScaler()),),
    ),
    "steps-that-transform-otherwise-in-a-fit": Case(
        "binary",
        {"net__alpha": [0.1, 1.0]},
        search=TRAIN,
        steps=(("encode", TargetEncoder(cv=KFold(3))),),
        inputs=lambda X: X.round().astype(int),
    ),
    "values-of-other-types": Case(
        "binary",
        {"turn__kw_args": [{"by": np.array([complex(i)])} for i in range(-4, 5)]},
        steps=(("turn", FunctionTransformer(_turn)),),
    ),
    "steps-that-write-to-their-inputs": Case(
        "binary",
        {"net__alpha": [0.1, 1.0, 3.0]},
        search={
            "scoring": lambda e, X, y: -log_loss(y, e.predict_proba(X)),
            "refit": False,  # which would write to X itself
        },
        steps=(("scale", StandardScaler(copy=False)),),
        inputs=lambda X: 5 * X + 3,
    ),
    "scorers-that-write-to-X": Case(
        "binary", {"alpha": [0.1, 1.0, 3.0]}, search={"scoring": _log_loss_that_writes}
    ),
    "metrics-that-write-to-y": Case(
        "regression",
        {"alpha": [0.1, 1.0, 3.0]},
        search={"scoring": make_scorer(_error_that_writes)},
    ),
    "splits-as-ranges": Case(
        "binary",
        {"alpha": [0.1, 1.0]},
        search={"cv": [(range(50), range(50, 76)), (range(26, 76), range(26))]},
    ),
}


@pytest.mark.parametrize("case", ODD.values(), ids=ODD)
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.FitFailedWarning")
@pytest.mark.filterwarnings("ignore:One or more of the test scores:UserWarning")
def test_odd_candidates(case):
    theirs, X = _fit(GridSearchCV, case)
    ours, _ = _fit(BatchedGridSearchCV, case)
    _assert_equal(theirs, ours, X)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.FitFailedWarning")
@pytest.mark.filterwarnings("ignore:One or more of the test scores:UserWarning")
def test_one_that_diverges_does_not_send_the_others_away(capsys):
    _fit(BatchedGridSearchCV, ODD["diverging-under-a-scorer"], verbose=1)
    message = "3 of 9 fits cannot be stacked and run one by one: its training diverges"
    assert message in capsys.readouterr().out


def test_sparse_labels_go_into_stacks(capsys):
    X, y = _data("multilabel")
    net, grid = _network("multilabel"), {"alpha": [0.1, 1.0]}
    dense = BatchedGridSearchCV(net, grid).fit(X, y)
    sparse = BatchedGridSearchCV(net, grid, verbose=1)
    sparse.fit(X, scipy.sparse.csr_matrix(y))
    assert "one by one" not in capsys.readouterr().out
    np.testing.assert_array_equal(
        _scores(sparse.cv_results_), _scores(dense.cv_results_)
    )


def test_networks_are_let_go_after_their_scores(monkeypatch):
    kept, run = [], job.Job.run

    def spied(job, *data):
        results = run(job, *data)
        kept.extend(task.estimator for task in job.tasks)
        return results

    monkeypatch.setattr(executor.Job, "run", spied)
    _fit(BatchedGridSearchCV, CASES["rates"])
    assert kept
    params = set(kept[0].get_params())
    assert all(set(vars(network)) == params for network in kept)


@pytest.mark.parametrize("kind", [RecordingCallback, RecordingAutoPropagatedCallback])
def test_callbacks_of_scikit_learn_are_told_of_all_fits(kind):
    X, y = _data("binary")
    counts = []
    for cls in (GridSearchCV, BatchedGridSearchCV):
        pipeline = Pipeline([("scale", StandardScaler()), ("net", _network("binary"))])
        search = cls(pipeline, {"net__alpha": [0.1, 1.0]}, cv=2)
        watch = kind()
        (pipeline if kind is RecordingCallback else search).set_callbacks(watch)
        search.fit(X, y)
        counts.append(collections.Counter(entry["name"] for entry in watch.record))
    assert counts[0] == counts[1]
    assert counts[0]["on_fit_task_end"] > 6


def test_weights_of_many_inputs_share_their_memory(monkeypatch):
    shapes, make = [], train._weights

    def spied(picks, places, n_rows):
        weight, sets = make(picks, places, n_rows)
        shapes.append(weight.shape)
        return weight, sets

    monkeypatch.setattr(train, "_weights", spied)
    X, y = _data("binary")
    pipeline = Pipeline([("pca", PCA(random_state=0)), ("net", _network("binary"))])
    grid = {"pca__whiten": [False, True]}
    search = BatchedGridSearchCV(pipeline, grid, cv=3)
    search.fit(X, y, net__sample_weight=WEIGHT)
    assert shapes == [(1, 2 * 2 * N_ROWS)]  # 2 x 3 inputs of two thirds of the rows


def test_requests_of_metadata_outlive_a_stack():
    X, y = _data("regression")
    net = _network(
        "regression",
        solver="sgd",
        activation="identity",
        early_stopping=True,
        batch_size="auto",
        max_iter=20,
    )
    # the second diverges after a good epoch, and so is fitted again
    grid = {"net__learning_rate_init": [0.1, 1.0]}
    found = []
    with sklearn.config_context(enable_metadata_routing=True):
        net.set_fit_request(sample_weight=True).set_score_request(sample_weight=True)
        pipeline = Pipeline([("same", "passthrough"), ("net", net)])
        for cls in (GridSearchCV, BatchedGridSearchCV):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                search = cls(pipeline, grid, cv=2, refit=False, error_score="raise")
                search.fit(X, y, sample_weight=WEIGHT)
            found.append(search.cv_results_["mean_test_score"])
    np.testing.assert_allclose(found[1], found[0], rtol=1e-6)


PROBABILITIES = {"greater_is_better": False, "response_method": "predict_proba"}


def test_networks_that_ask_for_other_metadata(capsys):
    X, y = _data("binary")
    found = []
    with sklearn.config_context(enable_metadata_routing=True):
        scaler = StandardScaler().set_fit_request(sample_weight=True)
        nets = [
            _network("binary").set_fit_request(sample_weight=asks)
            for asks in (True, False)
        ]
        scorer = make_scorer(log_loss, **PROBABILITIES)
        scorer.set_score_request(sample_weight=False)
        pipeline = Pipeline([("scale", scaler), ("net", nets[0])])
        for cls in (GridSearchCV, BatchedGridSearchCV):
            search = cls(pipeline, {"net": nets}, cv=2, scoring=scorer, verbose=1)
            search.set_params(refit=False)
            search.fit(X, y, sample_weight=WEIGHT)
            found.append(_scores(search.cv_results_))
    assert "one by one" not in capsys.readouterr().out
    np.testing.assert_allclose(found[1], found[0], rtol=1e-6)
    assert abs(np.subtract(*found[0])).max() > 1e-3


def test_documents_of_tokens():
    _, y = _data("binary")
    X = [["a"] * (1 + i % 3) + ["b"] * label for i, label in enumerate(y)]
    found = []
    for cls in (GridSearchCV, BatchedGridSearchCV):
        pipeline = Pipeline(
            [("count", CountVectorizer(analyzer=list)), ("net", _network("binary"))]
        )
        search = cls(pipeline, {"net__alpha": [0.1, 1.0]}, **LOG_LOSS).fit(X, y)
        found.append(_scores(search.cv_results_))
    np.testing.assert_allclose(found[1], found[0], rtol=1e-6)


def test_scorer_objects_share_a_stack(monkeypatch):
    sizes = []

    def spied(members):
        sizes.append(len(members))
        train(members)

    monkeypatch.setattr(job, "train", spied)
    scorer = make_scorer(log_loss, **PROBABILITIES)
    case = Case(
        "binary", {"alpha": [0.1, 1.0]}, {"early_stopping": True, "scoring": scorer}
    )
    theirs, X = _fit(GridSearchCV, case)
    ours, _ = _fit(BatchedGridSearchCV, case)
    _assert_equal(theirs, ours, X)
    assert sizes == [6]
