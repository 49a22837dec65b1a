"""What the regressors share."""

import numpy as np
from sklearn.base import RegressorMixin
from sklearn.metrics import r2_score
from sklearn.preprocessing import StandardScaler
from sklearn.utils.metaestimators import available_if

from sk_deep._compat import fit_context
from sk_deep._data.tensors import dense
from sk_deep._estimator import plan
from sk_deep._estimator.base import BaseMLP, stochastic_only
from sk_deep.losses import get_loss


def _that_weigh(target, weight):
    """Take the rows that weigh something, and their weights; all if none does."""
    if weight is None or not weight.any():
        return target, None
    return target[weight > 0], weight[weight > 0]


def _has_errors(estimator):
    """Whether there are errors on rows left out, or the error that tells how."""
    if hasattr(estimator, "_oof_errors"):
        return True
    raise AttributeError(
        "predict_interval is there after a fit with n_folds and a loss whose outputs "
        f"are predictions, however: n_folds={estimator.n_folds!r}."
    )


class BaseMLPRegressor(RegressorMixin, BaseMLP):
    """What the regressors share: from numbers to targets, and from outputs back."""

    def _kind(self):
        return "real"

    def _validate(self, X, y, reset):
        X, y = super()._validate(X, dense(y), reset)
        # NOTE[DIFF] targets that are dates: scikit-learn fails inside numpy
        if y.dtype.kind in "mM":
            raise ValueError(f"y must have numbers, however: {y.dtype}.")
        return X, y

    def _encode(self, y, weight=None, *, fresh, incremental, validates=False):
        row = get_loss(self.loss)
        # NOTE[DIFF] negative targets of the Poisson loss: scikit-learn's loss is NaN
        if not row.is_legal(y):
            raise ValueError(
                f"loss={self.loss!r} needs {row.target_rule}, however: "
                f"min(y)={np.min(y)}."
            )
        target = y.astype(float, copy=False).reshape(len(y), -1)
        if fresh:
            self._learn_scale(row, *_that_weigh(target, weight))
        if hasattr(self, "_target_scale"):
            target = (target - self._target_mean) / self._target_scale
        n_outputs = self._count_outputs(row, target.shape[1])
        if not fresh and n_outputs != self.n_outputs_:
            raise ValueError(
                f"y has {n_outputs} outputs, but {type(self).__name__} was "
                f"fitted with {self.n_outputs_}."
            )
        self.n_outputs_ = n_outputs
        self.out_activation_ = row.terms["real"].link
        return target

    def _learn_scale(self, row, target, weight):
        """Learn the mean and the standard deviation of the targets, if asked to."""
        for name in ("_target_mean", "_target_scale"):
            vars(self).pop(name, None)
        if self.target_scaling is None:
            return
        if row.terms["real"].link != "identity":
            raise ValueError(
                f"target_scaling is not for losses of positive targets, however: "
                f"target_scaling={self.target_scaling!r}, loss={self.loss!r}."
            )
        scaler = StandardScaler().fit(target, sample_weight=weight)
        self._target_mean, self._target_scale = scaler.mean_, scaler.scale_

    def _scaled_back(self, outputs):
        """Turn outputs (..., n_outputs) into the user's units."""
        if not hasattr(self, "_target_scale"):
            return outputs
        values = outputs * self._target_scale + self._target_mean
        return values.astype(outputs.dtype, copy=False)

    def _adopt_out_of_fold(self, outputs, y):
        values = self._scaled_back(outputs)
        self.oof_prediction_ = values.ravel() if self.n_outputs_ == 1 else values
        if values.size == y.size:  # a quantile is no prediction of the target
            errors = np.abs(values - y.reshape(values.shape))
            self._oof_errors = np.sort(errors, axis=0)

    def _count_outputs(self, row, n_targets):
        n_columns = row.columns(**plan.loss_params(self))
        if n_columns > 1 and n_targets > 1:
            raise ValueError(
                f"loss={self.loss!r} with loss_params={self.loss_params} gives several "
                f"columns for one target, however: y has {n_targets}."
            )
        return n_columns * n_targets

    def _score(self, target, outputs, sample_weight):
        if not np.isfinite(outputs).all():
            return np.nan
        with np.errstate(over="ignore"):  # on the way to a divergence, which is told
            params = self.loss_params or {}
            return _score(target, outputs, sample_weight, self.loss, params)

    def score(self, X, y, sample_weight=None):
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
        criterion = self.net_.criterion_
        return _score(y, outputs, sample_weight, criterion.loss, criterion.params)

    @stochastic_only
    @fit_context(prefer_skip_nested_validation=True)
    def partial_fit(self, X, y, sample_weight=None):
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

    def predict(self, X):
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
        outputs = self._scaled_back(self._outputs(X))
        return outputs.ravel() if self.n_outputs_ == 1 else outputs

    @available_if(_has_errors)
    def predict_interval(self, X, *, coverage=0.9):
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
                f"training rows, however: {coverage=}."
            )
        place = int(np.ceil(coverage * (n_rows + 1))) - 1
        values = self.predict(X)
        half = self._oof_errors[place].reshape(values.shape[1:])
        return np.stack([values - half, values + half], axis=-1)

    def predict_samples(self, X, n_samples, *, random_state=0):
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
        samples = self._scaled_back(self._samples(X, n_samples, random_state))
        return samples[..., 0] if self.n_outputs_ == 1 else samples


def _score(y, outputs, sample_weight, loss, params):
    """R^2, or the score of a loss that gives several columns for one target."""
    if np.size(y) == len(outputs) < np.size(outputs):
        return get_loss(loss).score(np.ravel(y), outputs, sample_weight, **params)
    return r2_score(y, outputs, sample_weight=sample_weight)
