"""The case of a diagnosis: an estimator and its measurements, as the rules read them.

Scores are compared with yardsticks, so that no absolute idea of a good score is needed:
a constant prediction, a linear model and a plain network.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sk_deep._estimator.base import BaseMLP
from sk_deep._estimator.finding import find_network
from sk_deep.recipe._measure import Measurements, Scores

MARGIN = 0.02  # part of the span of scores; smaller differences do not count
_GAIN = 0.005  # part of the span that a helpful remedy gains at least
_WAY = 0.05  # part of the way to the better yardstick that it covers at least


class Case(NamedTuple):
    """An estimator and its measurements.

    Parameters
    ----------
    estimator : estimator
        An estimator of this package, or a Pipeline that ends in one.
    measured : Measurements
        Its measurements.
    """

    estimator: Any
    measured: Measurements

    @property
    def mlp(self) -> BaseMLP:
        """The estimator of this package, in a pipeline its last step."""
        return find_network(self.estimator, nested=False)[0]

    @property
    def prefix(self) -> str:
        """Prefix of its parameters among those of the estimator."""
        return find_network(self.estimator, nested=False)[1]

    # ---- scores --------------------------------------------------------------------

    @property
    def train(self) -> float:
        """Mean training score; minus infinity where each fold diverged."""
        return mean_score(self.measured.network.train)

    @property
    def test(self) -> float:
        """Mean validation score."""
        return mean_score(self.measured.network.test)

    @property
    def bar(self) -> float:
        """Validation score from which a remedy counts as helpful."""
        start = max(self.test, mean_score(self.measured.constant.test))
        way = mean_score(self.rival[1].test) - start
        return start + max(_GAIN * self.span, _WAY * way)

    @property
    def rival(self) -> tuple[str, Scores]:
        """The better yardstick in validation: its name and its scores."""
        m = self.measured
        yardsticks = {"a linear model": m.linear, "a plain network": m.plain}
        return max(yardsticks.items(), key=lambda pair: mean_score(pair[1].test))

    @property
    def span(self) -> float:
        """Best validation score above that of a constant prediction."""
        reached = max(mean_score(self.rival[1].test), self.test)
        return max(reached - mean_score(self.measured.constant.test), 1e-12)

    @property
    def is_behind(self) -> bool:
        """Whether a yardstick is clearly better in validation."""
        if not np.isfinite(self.test):
            return True
        scores = self.measured.network.test
        return exceeds(self.rival[1].test, scores, MARGIN * self.span)

    def is_trained_as(self, yardstick: Scores) -> bool:
        """Whether the training score is as good as that of a yardstick."""
        return self.train >= mean_score(yardstick.train) - 2 * MARGIN * self.span

    @property
    def is_untrained(self) -> bool:
        """Whether the training score is too low for overfitting to be the cause."""
        return self.is_behind and not self.is_trained_as(self.rival[1])

    @property
    def first_gradients(self) -> NDArray:
        """Norms of the layers' gradients in the first epoch."""
        norms = self.measured.gradient_norms
        return norms[0] if len(norms) else np.empty(0)

    @property
    def rate(self) -> float:
        """Learning rate; nan for a solver without one."""
        return np.nan if self.measured.rate is None else self.measured.rate

    @property
    def present_loss(self) -> float:
        """Loss after a short training with the present rate."""
        m = self.measured
        return float(m.rate_losses[np.argmin(np.abs(m.rates - self.rate))])

    def best_rate(self, *, above: bool) -> tuple[float, float]:
        """Find the best rate above or below the present one, and its loss."""
        m = self.measured
        chosen = m.rates > 2 * self.rate if above else m.rates < self.rate / 2
        i = int(np.argmin(np.where(chosen, m.rate_losses, np.inf)))
        return float(m.rates[i]), float(m.rate_losses[i])


def mean_score(values: NDArray) -> float:
    """Mean of scores; minus infinity if one of them is not finite."""
    return float(np.mean(values)) if np.isfinite(values).all() else -np.inf


def exceeds(scores: NDArray, others: NDArray, margin: float) -> bool:
    """Whether paired scores are better by more than a margin and a standard error."""
    differences = np.asarray(scores) - np.asarray(others)
    error = np.std(differences) / np.sqrt(len(differences))
    return bool(np.mean(differences) > max(margin, error))
