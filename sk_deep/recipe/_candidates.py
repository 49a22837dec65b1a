"""Candidates with their scores, and which of them are better."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sk_deep.recipe._moves import TRAINING
from sk_deep.recipe._path import MeanScores

_ROUNDING = 1e-9  # relative difference of scores that count as equal


@dataclass(frozen=True)
class Tried:
    """A candidate and its scores.

    Parameters
    ----------
    parameters : dict
        The parameters that differ from those of the start.
    training, validation : ndarray of shape (n_splits,)
        Scores on the rows of each split.
    """

    parameters: dict[str, Any]
    training: NDArray
    validation: NDArray

    @property
    def scores(self) -> MeanScores:
        """Means and standard deviations."""
        parts = (self.training, self.validation)
        return MeanScores(*(f(part) for part in parts for f in (np.mean, np.std)))

    @property
    def value(self) -> float:
        """Mean validation score, by which candidates are ranked; -inf without one."""
        mean = float(np.mean(self.validation))
        return mean if np.isfinite(mean) else -np.inf


def _gain(after: NDArray, before: NDArray) -> tuple[float, float]:
    """Mean of the differences over the folds, and its standard error."""
    if not np.isfinite(before).all():
        return (np.inf, 0.0) if np.isfinite(after).all() else (-np.inf, 0.0)
    differences = after - before
    error = np.std(differences) / np.sqrt(max(1, len(differences) - 1))
    return float(np.mean(differences)), float(error)


def is_better(candidate: Tried, before: Tried, question: str) -> bool:
    """Whether a candidate is better than another, for the question of its move."""
    if not np.isfinite(candidate.value):
        return False
    if candidate.value > before.value + _ROUNDING * max(1.0, abs(candidate.value)):
        return True
    gain, error_of_gain = _gain(candidate.training, before.training)
    loss, error_of_loss = _gain(before.validation, candidate.validation)
    return question == TRAINING and gain > error_of_gain and loss <= error_of_loss


def by_validation(candidate: Tried) -> float:
    """Rank by the validation score."""
    return candidate.value


def by_both(candidate: Tried) -> float:
    """Rank by the sum of the training and the validation score."""
    return candidate.value + float(
        np.nan_to_num(candidate.scores.training, nan=-np.inf)
    )
