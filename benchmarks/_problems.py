"""Planted problems: networks on bundled data, each with a known cause of trouble.

A problem is a row of `PROBLEMS`. What mends it takes the cause away and touches nothing
else: that the cross-validated score then rises proves the plant.
"""

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from sklearn.base import BaseEstimator, clone
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits, load_wine
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler
from skorch.callbacks import Callback
from torch import Tensor, nn

from sk_deep import MLPClassifier, MLPRegressor

Data = tuple[np.ndarray, np.ndarray]


# --------------------------------------------------------------------------------------
# The data, their rows in random order
# --------------------------------------------------------------------------------------
def bundled(load, n_rows=None) -> Data:
    """Return random rows of a data set of scikit-learn's, all by default."""
    X, y = load(return_X_y=True)
    rows = np.random.RandomState(0).permutation(len(X))[:n_rows]
    return X[rows], y[rows]


digits = functools.partial(bundled, load_digits)
few_digits = functools.partial(bundled, load_digits, 500)
breast_cancer = functools.partial(bundled, load_breast_cancer)
wine = functools.partial(bundled, load_wine)


def diabetes() -> Data:
    """Return diabetes with targets of mean 0 and deviation 1."""
    X, y = bundled(load_diabetes)
    return X, (y - y.mean()) / y.std()


def values_of_digits(n_rows) -> Data:
    """Return digits and the numbers they mean, to be found by regression."""
    X, y = digits(n_rows)
    return X, (y - 4.5) / 2.9


def linear_truth() -> Data:
    """Return 150 digits with a linear function of their pixels, and some noise."""
    X, _ = digits(150)
    random_state = np.random.RandomState(0)
    signal = StandardScaler().fit_transform(X) @ random_state.normal(size=X.shape[1])
    return X, signal / signal.std() + random_state.normal(0, 0.1, len(X))


def shuffled_labels() -> Data:
    """Return digits with each other's labels."""
    X, y = few_digits()
    return X, np.random.RandomState(1).permutation(y)


def random_targets() -> Data:
    """Return diabetes with targets that have nothing to do with it."""
    X, y = diabetes()
    return X, np.random.RandomState(1).normal(size=len(y))


def one_in_fifty() -> Data:
    """Return four pixels of the digits: one eight in 50 others, which look alike."""
    X, y = digits()
    eights, others = np.flatnonzero(y == 8), np.flatnonzero(y != 8)
    rows = np.sort(np.concatenate([eights[: len(others) // 50], others]))
    return X[rows, 26:30], (y[rows] == 8).astype(int)


def times_thousand() -> Data:
    """Return digits, their pixels times 1000."""
    X, y = few_digits()
    return 1000 * X, y


# --------------------------------------------------------------------------------------
# What makes trouble
# --------------------------------------------------------------------------------------
class SteepTanh(nn.Module):
    """Compute tanh(50 z), saturated but for a narrow stripe."""

    def forward(self, z: Tensor) -> Tensor:
        """Squash."""
        return torch.tanh(50 * z)


class KillUnits(Callback):
    """Let a part of the hidden units start with biases that no row overcomes.

    Parameters
    ----------
    fraction : float
        The part of the units of each hidden layer.
    """

    def __init__(self, fraction: float) -> None:
        self.fraction = fraction

    @torch.no_grad()
    def on_train_begin(self, net, **kwargs) -> None:
        """Set the biases."""
        for layer in net.module_.linear_layers()[:-1]:
            n_dead = round(self.fraction * layer.bias.shape[-1])
            layer.bias[..., :n_dead] = -6.0


# --------------------------------------------------------------------------------------
# The problems
# --------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Problem:
    """A network, its data, and what is wrong.

    Parameters
    ----------
    name : str
        What the tables call it.
    causes : tuple of str
        The right keys of the first verdict; two only where both are true.
    network : estimator
        The network, not fitted.
    data : callable
        Returns X and y.
    fix : mapping, default={}
        Parameters of the pipeline that take the cause away.
    good_data : callable, default=None
        Returns data without the cause, where the cause is in the data.
    scoring : str, default=None
        What shows the trouble; None is the estimator's own score.
    scaler : transformer or "passthrough"
        The step before the network.
    """

    name: str
    causes: tuple[str, ...]
    network: BaseEstimator
    data: Callable[[], Data]
    fix: Mapping[str, Any] = field(default_factory=dict)
    good_data: Callable[[], Data] | None = None
    scoring: str | None = None
    scaler: Any = field(default_factory=StandardScaler)

    def make(self):
        """Return the pipeline, not fitted, and X and y."""
        steps = [("scaler", self.scaler), ("mlp", clone(self.network))]
        return Pipeline(steps), *self.data()

    def mend(self):
        """Return the pipeline, X and y without the cause; None where all is well."""
        if not self.fix and self.good_data is None:
            return None
        pipeline, X, y = self.make()
        if self.good_data is not None:
            X, y = self.good_data()
        return pipeline.set_params(**self.fix), X, y


def classifier(hidden_layer_sizes=(32,), **parameters):
    return MLPClassifier(hidden_layer_sizes, random_state=0, device="cpu", **parameters)


def regressor(hidden_layer_sizes=(32,), **parameters):
    return MLPRegressor(
        hidden_layer_sizes=hidden_layer_sizes,
        random_state=0,
        device="cpu",
        **parameters,
    )


PROBLEMS = (
    Problem(
        "adam_300_times_too_fast",
        ("learning_rate_too_high",),
        classifier((64, 64), learning_rate_init=0.3),
        few_digits,
        fix={"mlp__learning_rate_init": 1e-3},
    ),
    Problem(
        "sgd_diverges",
        ("learning_rate_too_high",),
        regressor(solver="sgd", learning_rate_init=1.0),
        diabetes,
        fix={"mlp__learning_rate_init": 1e-3},
    ),
    Problem(
        "sgd_jumps_about",
        ("learning_rate_too_high",),
        classifier(
            (32, 32),
            activation="logistic",
            solver="sgd",
            learning_rate_init=5.0,
            batch_size=32,
        ),
        few_digits,
        fix={"mlp__learning_rate_init": 0.1},
    ),
    Problem(
        "adam_100_times_too_slow",
        ("learning_rate_too_low",),
        classifier(learning_rate_init=1e-5),
        few_digits,
        fix={"mlp__learning_rate_init": 1e-3},
    ),
    Problem(
        "sgd_1000_times_too_slow",
        ("learning_rate_too_low",),
        classifier(solver="sgd", learning_rate_init=1e-5, batch_size=32),
        wine,
        fix={"mlp__learning_rate_init": 1e-2},
    ),
    Problem(
        "ten_logistic_layers",
        ("vanishing_gradients",),
        classifier(32, n_hidden_layers=10, activation="logistic"),
        few_digits,
        fix={"mlp__activation": "relu"},
    ),
    Problem(
        "twelve_silu_layers_by_sgd",
        ("vanishing_gradients",),
        classifier(
            32,
            n_hidden_layers=12,
            activation="silu",
            solver="sgd",
            learning_rate_init=1e-2,
        ),
        few_digits,
        fix={"mlp__residual": True},
    ),
    Problem(
        "twenty_residual_layers",
        ("exploding_gradients",),
        classifier(
            32, n_hidden_layers=20, residual=True, weight_init="he_normal", max_iter=60
        ),
        few_digits,
        fix={"mlp__normalization": "batch"},
    ),
    Problem(
        "nine_of_ten_units_dead",
        ("dead_units",),
        classifier(callbacks=[KillUnits(0.9)], max_iter=1000),
        few_digits,
        fix={"mlp__callbacks": None},
    ),
    Problem(
        "steep_tanh",
        ("saturated_units",),
        classifier((32, 32), activation=SteepTanh),
        few_digits,
        fix={"mlp__activation": "tanh"},
    ),
    Problem(
        "two_units",
        ("underfitting",),
        classifier((2,), learning_rate_init=1e-2, max_iter=500),
        digits,
        fix={"mlp__hidden_layer_sizes": (64,)},
    ),
    Problem(
        "penalty_of_100",
        ("underfitting",),
        classifier((64,), alpha=100.0, max_iter=500),
        few_digits,
        fix={"mlp__alpha": 1e-4},
    ),
    Problem(
        "linear_truth",
        ("worse_than_linear", "overfitting"),
        regressor((256, 256), alpha=0.0),
        linear_truth,
        fix={"mlp__activation": "identity"},
    ),
    Problem(
        "wide_without_penalty",
        ("overfitting",),
        regressor((256, 256), alpha=0.0, n_iter_no_change=50),
        functools.partial(values_of_digits, 300),
        fix={"mlp__alpha": 1.0},
    ),
    Problem(
        "hundred_rows",
        ("needs_more_data", "overfitting"),
        regressor((64,), alpha=3.0, learning_rate_init=1e-2),
        functools.partial(values_of_digits, 100),
        good_data=functools.partial(values_of_digits, 1000),
    ),
    Problem(
        "shuffled_labels",
        ("label_noise",),
        classifier(),
        shuffled_labels,
        good_data=few_digits,
        scoring="neg_log_loss",
    ),
    Problem(
        "random_targets",
        ("label_noise",),
        regressor(),
        random_targets,
        good_data=diabetes,
    ),
    Problem(
        "one_in_fifty",
        ("imbalance",),
        classifier((16,)),
        one_in_fifty,
        fix={"mlp__class_weight": "balanced"},
        scoring="balanced_accuracy",
    ),
    Problem(
        "inputs_times_1000",
        ("unscaled_inputs",),
        classifier(),
        times_thousand,
        fix={"scaler": StandardScaler()},
        scaler="passthrough",
    ),
    Problem(
        "raw_wine",
        ("unscaled_inputs",),
        classifier(),
        wine,
        fix={"scaler": StandardScaler()},
        scaler="passthrough",
    ),
    Problem(
        "three_epochs",
        ("not_converged",),
        classifier((64,), max_iter=3),
        digits,
        fix={"mlp__max_iter": 200},
    ),
    Problem(
        "healthy_digits",
        ("healthy",),
        classifier((64,), alpha=1.0, max_iter=400),
        digits,
    ),
    Problem(
        "healthy_breast_cancer",
        ("healthy",),
        classifier(alpha=3.0, max_iter=400),
        breast_cancer,
    ),
    Problem(
        "healthy_diabetes",
        ("healthy",),
        regressor((16,), activation="tanh", alpha=10.0, learning_rate_init=1e-2),
        diabetes,
    ),
)
