"""What a fit leaves on an estimator."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sk_deep._engine.net import Net

# fitted attribute -> key of the net's history
_CURVES = {
    "loss_curve_": "train_loss",
    "validation_loss_curve_": "valid_loss",
    "validation_scores_": "valid_score",
    "learning_rate_curve_": "lr",
    "gradient_norm_curve_": "gradient_norms",
    "update_ratio_curve_": "update_ratios",
}
_BEST = "best_loss_", "best_validation_score_"
_OUT_OF_FOLD = "oof_decision_function_", "oof_prediction_", "_oof_errors"

Curve = list | None


class StoppingState(NamedTuple):
    """Where early stopping, or the rule on the training loss, left off.

    Parameters
    ----------
    watches : tuple
        Key of what is watched; curves and the best value go on while it stays.
    best : ndarray of shape (n_members,)
        Best value of each member.
    n_stale : ndarray of shape (n_members,)
        Consecutive epochs without improvement of each.
    """

    watches: tuple
    best: NDArray
    n_stale: NDArray


class Records(NamedTuple):
    """Curves and state of early stopping of former fits that a new fit goes on from.

    Parameters
    ----------
    curves : mapping from str to list or None
        Values by fitted attribute, of `_CURVES`.
    stopping : StoppingState or None
        Where the last fit left off.
    """

    curves: Mapping[str, Curve] = {}
    stopping: StoppingState | None = None

    @classmethod
    def of(cls, estimator: Any, watches: tuple) -> "Records":
        """Take the records of an estimator, if its fits watched the same."""
        stopping = estimator._stopping_state
        if stopping is None or stopping.watches != watches:
            return cls()
        curves = {name: getattr(estimator, name, None) for name in _CURVES}
        return cls(curves, stopping)


@dataclass(frozen=True)
class FitResult:
    """The network of a fit, and what was counted and recorded.

    Parameters
    ----------
    net : Net
        The trained net.
    n_iter : int
        Epochs, or iterations of the full-batch solver.
    loss : float or None
        Last training loss; None if the fit was interrupted before one was known.
    n_samples_seen : int
        Training samples that were seen in all.
    curves : dict of str to list or None
        Values by epoch, of fits that go by epochs.
    best_loss, best_validation_score : float or None, default=None
        Best training loss or validation score, of fits that go by epochs.
    stopping : StoppingState or None, default=None
        For a warm start.
    out_of_fold : dict of str to ndarray, default={}
        Attributes made of the outputs for rows by members that left them out.
    """

    net: Net
    n_iter: int
    loss: float | None
    n_samples_seen: int
    curves: Mapping[str, Curve] = field(default_factory=dict)
    best_loss: float | None = None
    best_validation_score: float | None = None
    stopping: StoppingState | None = None
    out_of_fold: Mapping[str, NDArray] = field(default_factory=dict)

    @classmethod
    def of_epochs(
        cls,
        net: Net,
        before: Records,
        epochs: Sequence[Mapping[str, Any]],
        stopping: StoppingState,
        *,
        n_samples_seen: int,
        validates: bool,
        out_of_fold: Mapping[str, NDArray] | None = None,
    ) -> "FitResult":
        """Build the result of a training that goes by epochs.

        Parameters
        ----------
        net : Net
            The trained net.
        before : Records
            Of former fits.
        epochs : sequence of mapping
            What was recorded in each finished epoch.
        stopping : StoppingState
            Where the training stopped.
        n_samples_seen : int
            Training samples that were seen in all.
        validates : bool
            Whether a validation score was watched rather than the training loss.
        out_of_fold : mapping, default=None
            Out-of-fold attributes.

        Returns
        -------
        result : FitResult
            The result.
        """
        curves = _joined_curves(before.curves, epochs)
        best = float(stopping.best.mean())
        losses = curves["loss_curve_"] or [np.nan]
        return cls(
            net=net,
            n_iter=len(epochs),
            loss=losses[-1],
            n_samples_seen=n_samples_seen,
            curves=curves,
            best_loss=None if validates else -best,
            best_validation_score=best if validates else None,
            stopping=stopping,
            out_of_fold=out_of_fold or {},
        )

    def put_on(self, estimator: Any) -> None:
        """Set the fitted attributes of an estimator; former ones go."""
        for name in (*_CURVES, *_BEST, *_OUT_OF_FOLD):
            if name in vars(estimator):
                delattr(estimator, name)
        put_network(estimator, self.net)
        estimator.n_iter_, estimator.t_ = self.n_iter, self.n_samples_seen
        estimator.n_layers_ = len(self.net.module_.hidden) + 2
        if self.loss is not None:
            estimator.loss_ = self.loss
        if self.curves:
            estimator.best_loss_ = self.best_loss
            estimator.best_validation_score_ = self.best_validation_score
        for name, value in {**self.curves, **self.out_of_fold}.items():
            setattr(estimator, name, value)
        estimator._stopping_state = self.stopping


def put_network(estimator: Any, net: Net) -> None:
    """Set the network of an estimator, and the lists of its weights."""
    # NOTE[DIFF] assigned weights: the net owns the weights, the lists hold views
    estimator.net_ = net
    estimator.coefs_ = net.module_.coefs()
    estimator.intercepts_ = net.module_.intercepts()


def _joined_curves(
    before: Mapping[str, Curve], epochs: Sequence[Mapping[str, Any]]
) -> dict[str, Curve]:
    """Append epochs to former curves; a curve has all epochs, or is None."""
    n_before = len(before.get("loss_curve_") or [])
    curves: dict[str, Curve] = {}
    for name, key in _CURVES.items():
        values = [epoch[key] for epoch in epochs if key in epoch]
        curve = (before.get(name) or []) + values
        # a monitor may have joined later, or left
        curves[name] = curve if len(curve) == n_before + len(epochs) else None
    return curves


def history_of(estimator: Any) -> list[dict[str, Any]]:
    """List what was recorded in each epoch, a dict by key of the net's history."""
    curves = {key: getattr(estimator, name) for name, key in _CURVES.items()}
    present = {key: curve for key, curve in curves.items() if curve}
    rows = zip(*present.values(), strict=True)
    return [dict(zip(present, row, strict=True)) for row in rows]
