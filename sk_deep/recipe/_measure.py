"""The records of a diagnosis: scores, yardsticks, curves, gradients, units, rates."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sk_deep.recipe._moves import Facts


class Scores(NamedTuple):
    """Scores of a contender on each split, (n_splits,)."""

    train: NDArray
    test: NDArray


@dataclass
class Measurements:
    """Measurements of an estimator. A fold is a fit on the rows of a split.

    Parameters
    ----------
    facts : Facts
        Facts about the data, as the network gets them.
    network, constant, linear, plain : Scores
        Scores of the estimator, of a constant prediction, of a linear model, and of a
        plain network of one hidden layer, the latter two on scaled inputs.
    test_score : float or None
        Score of the estimator on the test data of the user.
    learning_curve : dict of int to Scores
        Scores of the estimator by number of training rows, fewest first, all last.
    loss_curves : list of list of float
        Training loss by epoch, of each fold; empty with solver "lbfgs".
    score_curves : list of list of float
        Validation score by epoch, of each fold with early stopping.
    n_epochs : ndarray of shape (n_folds,)
        Epochs that the folds ran.
    hits_limit : float
        Part of the folds that reached `max_iter` or `max_fun`.
    errors : list of str
        Errors of the folds that failed.
    gradient_norms, update_ratios : ndarray of shape (n_epochs, n_layers)
        Means over the folds; without rows if they are unknown.
    dead_units, saturated_units : ndarray of shape (n_hidden_layers,)
        Fractions of the units, of a fitted estimator or as means over the folds.
    rate : float or None
        Learning rate of the estimator, if its solver has one.
    rates, rate_losses : ndarray of shape (n_rates,)
        Learning rates, and the training loss after a short training with each.
    rate_epochs : int
        Epochs of that short training.
    scales, offsets : ndarray of shape (n_features,)
        Standard deviations of the inputs, and their means divided by them.
    class_counts, recalls : ndarray of shape (n_classes,)
        Rows of each class, and their recall in validation.
    constant_loss : float
        Loss of a constant prediction: entropy of the classes, half a variance.
    target_scale : float
        Standard deviation of the targets; 1 for classifiers.
    is_sparse : bool
        Whether the network gets sparse inputs.
    n_fits : int
        Number of fits of the diagnosis.
    """

    facts: Facts
    network: Scores
    constant: Scores
    linear: Scores
    plain: Scores
    test_score: float | None
    learning_curve: dict[int, Scores]
    loss_curves: list[list[float]]
    score_curves: list[list[float]]
    n_epochs: NDArray
    hits_limit: float
    errors: list[str]
    gradient_norms: NDArray
    update_ratios: NDArray
    dead_units: NDArray
    saturated_units: NDArray
    rate: float | None
    rates: NDArray
    rate_losses: NDArray
    rate_epochs: int
    scales: NDArray
    offsets: NDArray
    class_counts: NDArray
    recalls: NDArray
    constant_loss: float
    target_scale: float
    is_sparse: bool
    n_fits: int

    def contenders(self) -> dict[str, Scores]:
        """Return the scores of the estimator and the yardsticks, by name."""
        return {
            "the network": self.network,
            "a plain network": self.plain,
            "a linear model": self.linear,
            "a constant": self.constant,
        }


class Sweep(NamedTuple):
    """Learning rates, and the loss after a short training with each, perhaps inf."""

    rate: float | None
    rates: NDArray
    rate_losses: NDArray
    rate_epochs: int


class FittedSplit(NamedTuple):
    """A fit on the rows of a split; `mlp` is None if it diverged."""

    mlp: Any
    Xt: Any
    error: str | None = None
    train_score: float = np.nan
    test_score: float = np.nan
    predicted: NDArray | None = None
    hits_limit: bool = False


def scores_in(results: dict[str, Any], n_splits: int) -> list[Scores]:
    """Read the scores of each candidate on both parts from the results of a search."""
    by_candidate = [
        np.stack([results[f"split{i}_{part}_score"] for i in range(n_splits)], axis=1)
        for part in ("train", "test")
    ]
    return [Scores(*pair) for pair in zip(*by_candidate, strict=True)]
