"""When to stop: the validation score, the rule that judges it, and what is printed."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning
from skorch.callbacks import Callback

from sk_deep.exceptions import divergence, warn_user

_SMALLEST_RATE = 1e-6  # lowest rate that plateaus are followed to, as in scikit-learn
_PLATEAU_DIVISOR = 5.0  # of the rate, as in scikit-learn


class ValidationScore(Callback):
    """Record the score of each member on the validation data, "valid_score".

    Parameters
    ----------
    score : callable
        Computes the members' scores from the net.
    """

    def __init__(self, score: Callable[[Any], Any]) -> None:
        self.score: Callable[[Any], Any] | None = score

    def on_epoch_end(self, net, **kwargs) -> None:
        """Score the members."""
        if self.score is not None:
            net.record("valid_score", np.asarray(self.score(net), dtype=float))

    def on_train_end(self, net, **kwargs) -> None:
        """Release the validation data."""
        self.score = None


class Verbose(Callback):
    """Print the loss and the validation score of each epoch, as scikit-learn does."""

    def on_epoch_end(self, net, **kwargs) -> None:
        """Print a line or two."""
        row = net.history[-1]
        print(f"Iteration {row['epoch']}, loss = {row['train_loss']:.8f}")
        if "valid_score" in row:
            print(f"Validation score: {row['valid_score']:f}")


class Stopping(Callback):
    """Stop each member when it no longer improves, and keep its weights.

    With a validation score the weights of the best epoch are kept, otherwise those of
    the last epoch. This is scikit-learn's rule, applied to each member. A schedule that
    reduces the learning rate on plateaus divides it by 5 instead of stopping, down to
    1e-6.

    Parameters
    ----------
    tol : float or sequence of float
        Smallest improvement that counts, for all members or for each.
    n_iter_no_change : int, inf or sequence of them
        Allowed epochs without improvement, for all members or for each.
    validates : bool
        Whether to watch the validation score rather than the training loss.
    best : ndarray of shape (n_members,)
        Best value so far, of the score or of the negative loss.
    n_stale : ndarray of shape (n_members,)
        Consecutive epochs without improvement so far.
    growth : float, default=0.0
        Fraction of the epochs before the plateau by which `n_iter_no_change` grows.
    verbose : bool, default=False
        Whether to print that a member stops or slows down.
    """

    def __init__(
        self,
        tol: float | Sequence[float],
        n_iter_no_change: float | Sequence[float],
        *,
        validates: bool,
        best: NDArray,
        n_stale: NDArray,
        growth: float = 0.0,
        verbose: bool = False,
    ) -> None:
        self.tol = np.broadcast_to(tol, best.shape).tolist()
        patience = np.broadcast_to(np.asarray(n_iter_no_change, object), best.shape)
        self.n_iter_no_change = patience.tolist()
        self.validates = validates
        self.best = best
        self.n_stale = n_stale
        self.growth = growth
        self.verbose = verbose

    def on_epoch_end(self, net, **kwargs) -> None:
        """Judge each running member."""
        name, sign = ("valid_score", 1) if self.validates else ("train_loss", -1)
        values = sign * net.training_.epoch_values[name]
        running = np.flatnonzero(net.running_).tolist()
        improved = [i for i in running if self._judge(net, i, float(values[i]))]
        net.training_.kept.keep(improved)

    def _judge(self, net, member: int, value: float) -> bool:
        """Stop a member that no longer improves; return whether to keep its weights."""
        stale = value < self.best[member] + self.tol[member]
        self.n_stale[member] = self.n_stale[member] + 1 if stale else 0
        improved = value > self.best[member]
        if improved:
            self.best[member] = value
        if not np.isfinite(
            [value, net.training_.epoch_values["train_loss"][member]]
        ).all():
            self._diverge(net, member)
            return False
        n_before = len(net.history) - self.n_stale[member]
        allowed = self.n_iter_no_change[member] + self.growth * n_before
        if self.n_stale[member] > allowed:
            self._stop_or_slow(net, member, allowed)
        return improved or not self.validates

    def _diverge(self, net, member: int) -> None:
        epoch = net.history[-1, "epoch"]
        if not (self.validates and np.isfinite(self.best[member])):
            # NOTE[DIFF] divergence: scikit-learn trains on, and raises at the end
            raise divergence(epoch)
        # NOTE[DIFF] divergence with early stopping: scikit-learn trains on, silently
        warn_user(
            f"The loss or the validation score was no longer finite at epoch {epoch}; "
            "the weights of the epoch with the best validation score are kept. Scale X "
            "or lower learning_rate_init.",
            ConvergenceWarning,
        )
        net.running_[member] = False

    def _stop_or_slow(self, net, member: int, allowed: float) -> None:
        watched = "Validation score" if self.validates else "Training loss"
        message = (
            f"{watched} did not improve more than tol={self.tol[member]:f} for "
            f"{allowed:g} consecutive epochs."
        )
        rate = net.rates_.on_plateau(member)
        if rate is None:
            net.running_[member] = False
            message += " Stopping."
        elif rate <= _SMALLEST_RATE:
            net.running_[member] = False
            message += " Learning rate too small. Stopping."
        else:
            net.rates_.reduce(member, _PLATEAU_DIVISOR)
            self.n_stale[member] = 0
            message += f" Setting learning rate to {rate / _PLATEAU_DIVISOR:f}"
        if self.verbose:
            print(message)
