"""What the regressors share."""

from dataclasses import replace
from typing import Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import RegressorMixin

from sk_deep._compat import available_if, fit_context
from sk_deep._estimator import plan
from sk_deep._estimator.availability import stochastic_only
from sk_deep._estimator.base import BaseMLP
from sk_deep._estimator.targets import RealTargets, as_columns, score_real
from sk_deep._typing import MatrixLike, RandomStateLike
from sk_deep.losses import INVERSE_LINKS, get_loss


def _has_errors(estimator):
    """Whether there are out-of-fold errors; the error explains how to get them."""
    if estimator._oof_errors is not None:
        return True
    raise AttributeError(
        "predict_interval needs a fit with n_folds and a loss whose outputs are "
        f"predictions, got n_folds={estimator.n_folds!r}."
    )


class BaseMLPRegressor(RegressorMixin, BaseMLP):
    """What the regressors share: from numbers to targets, and from outputs back."""

    oof_prediction_: NDArray

    # whether predictions are clipped to the range of the training targets
    _clips_predictions = False

    def _targets_of(self, y, weight, *, is_fresh, is_incremental, validates=False):
        row = get_loss(self.loss)
        # NOTE[DIFF] negative targets of the Poisson loss: scikit-learn's loss is NaN
        if not row.is_legal(y):
            raise ValueError(
                f"loss={self.loss!r} needs {row.target_rule}, got min(y)={np.min(y)}."
            )
        link, target = row.terms["real"].link, as_columns(y)
        if is_fresh:
            self._check_target_scaling(link)
        n_outputs = self._count_outputs(row, target.shape[1])
        if not is_fresh:
            if n_outputs != self.n_outputs_:
                raise ValueError(
                    f"y has {n_outputs} outputs, but {type(self).__name__} was "
                    f"fitted with {self.n_outputs_}."
                )
            return replace(self._targets, link=link)
        targets = RealTargets(n_outputs, link)
        if self.target_scaling is None:
            return targets
        return targets.standardised(target, weight, clips=self._clips_predictions)

    def _targets_from_state(self, state):
        return RealTargets.from_state(state)

    def _check_target_scaling(self, link):
        if self.target_scaling is not None and not INVERSE_LINKS[link].is_identity:
            raise ValueError(
                "target_scaling is not supported for losses of positive targets, got "
                f"target_scaling={self.target_scaling!r}, loss={self.loss!r}."
            )

    def _count_outputs(self, row, n_targets):
        n_columns = row.columns(**plan.loss_params(self))
        if n_columns > 1 and n_targets > 1:
            raise ValueError(
                f"loss={self.loss!r} with loss_params={self.loss_params} gives several "
                f"columns for one target, got y with {n_targets} targets."
            )
        return n_columns * n_targets

    def score(
        self, X: MatrixLike, y: ArrayLike, sample_weight: ArrayLike | None = None
    ) -> float:
        """Compute the coefficient of determination R^2.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            The input data.

        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            The target values.

        sample_weight : array-like of shape (n_samples,), default=None
            Sample weights; None is one each.

        Returns
        -------
        score : float
            R^2; of several quantiles the mean of their D^2 scores, see
            `sklearn.metrics.d2_pinball_score`.
        """
        outputs = self.predict(X)
        return score_real(self.net_.criterion_, y, outputs, sample_weight)

    @stochastic_only
    @fit_context(prefer_skip_nested_validation=True)
    def partial_fit(
        self, X: MatrixLike, y: ArrayLike, sample_weight: ArrayLike | None = None
    ) -> Self:
        """Train for one more epoch, on the given data.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            The input data.

        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            The target values.

        sample_weight : array-like of shape (n_samples,), default=None
            Sample weights; None is one each.

        Returns
        -------
        self : object
            The estimator.
        """
        return self._partial_fit(X, y, sample_weight)

    def predict(self, X: MatrixLike) -> NDArray:
        """Predict the target of each sample.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            The input data.

        Returns
        -------
        y : ndarray of shape (n_samples,) or (n_samples, n_outputs)
            The predicted values.
        """
        outputs = self._outputs(X)
        return self._targets.predictions(outputs)

    @available_if(_has_errors)
    def predict_interval(self, X: MatrixLike, *, coverage: float = 0.9) -> NDArray:
        """Predict intervals that hold so large a part of the targets, after `n_folds`.

        Half of an interval's length is a quantile of the errors that the members have
        made on the training rows that they have left out: the same for all rows.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            The input data.

        coverage : float, default=0.9
            The part of the targets, in (0, 1).

        Returns
        -------
        intervals : ndarray of shape (n_samples, 2) or (n_samples, n_outputs, 2)
            The least and the greatest value.

        Raises
        ------
        ValueError
            If `coverage` needs more training rows.

        Notes
        -----
        New rows must be drawn as those of training were. Each of these counts once,
        whatever its weight. Since all members together err less than one of them, a
        larger part is held, as a rule.

        References
        ----------
        R. Barber, E. Candes, A. Ramdas and R. Tibshirani, "Predictive inference with
        the jackknife+", Annals of Statistics 2021, sec. 3, K-fold CV.
        """
        n_rows = len(self._oof_errors)
        if not 0 < coverage < 1 or coverage * (n_rows + 1) > n_rows:
            raise ValueError(
                f"coverage must be in (0, {n_rows} / {n_rows + 1}] with {n_rows} "
                f"training rows, got {coverage=}."
            )
        place = int(np.ceil(coverage * (n_rows + 1))) - 1
        values = self.predict(X)
        half = self._oof_errors[place].reshape(values.shape[1:])
        return np.stack([values - half, values + half], axis=-1)

    def predict_samples(
        self, X: MatrixLike, n_samples: int, *, random_state: RandomStateLike = 0
    ) -> NDArray:
        """Sample the predictions, to see how sure they are.

        With dropout a sample is a prediction with units dropped (Monte-Carlo dropout);
        without it, a sample is a member's.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            The input data.

        n_samples : int
            Number of samples; without dropout at most `n_members`.

        random_state : int, RandomState instance or None, default=0
            Source of the masks.

        Returns
        -------
        y : ndarray of shape (n_samples, n) or (n_samples, n, n_outputs)
            Each sample as `predict` returns it.

        References
        ----------
        Y. Gal and Z. Ghahramani, "Dropout as a Bayesian approximation: representing
        model uncertainty in deep learning", ICML 2016.
        """
        outputs = self._samples(X, n_samples, random_state)
        samples = self._targets.decode(outputs)
        return samples[..., 0] if self.n_outputs_ == 1 else samples
