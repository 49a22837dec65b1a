"""The skorch callbacks of the package; each overrides what it needs, no more."""

import functools
import os
import warnings
from collections.abc import Callable, Sequence
from numbers import Integral
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.callback import CallbackContext
from sklearn.exceptions import ConvergenceWarning
from skorch.callbacks import Callback
from torch import Tensor

from sk_deep._files import plain_tree
from sk_deep._files.atomic import atomic_write
from sk_deep._version import __version__
from sk_deep.exceptions import CorruptModelError, divergence

_SMALLEST_RATE = 1e-6  # of the adaptive schedule, as in scikit-learn


class ValidationScore(Callback):
    """Record the score of each member on the validation data, "valid_score".

    Parameters
    ----------
    score : callable
        Gives the members' scores as a function of the net.
    """

    def __init__(self, score: Callable) -> None:
        self.score = score

    def on_epoch_end(self, net, **kwargs) -> None:
        """Score the members."""
        net.record("valid_score", np.asarray(self.score(net), dtype=float))

    def on_train_end(self, net, **kwargs) -> None:
        """Let go of the validation data."""
        self.score = None


class Verbose(Callback):
    """Print the loss and the validation score of each epoch, as scikit-learn does."""

    def on_epoch_end(self, net, **kwargs) -> None:
        """Print a line or two."""
        row = net.history[-1]
        print(f"Iteration {row['epoch']}, loss = {row['train_loss']:.8f}")
        if "valid_score" in row:
            print(f"Validation score: {row['valid_score']:f}")


class _NormBound(Callback):
    """A bound on norms.

    Parameters
    ----------
    bound : float or sequence of float
        The largest norm, or each member's.
    """

    def __init__(self, bound: float | Sequence[float]) -> None:
        self.bound = bound
        self._tensors: dict[Any, Tensor] = {}

    def shrink(self, tensor: Tensor, *, dim: int) -> None:
        """Scale down what has a norm beyond the bound."""
        bound: Any = self.bound
        if isinstance(bound, Sequence):
            key = tensor.ndim, tensor.dtype, tensor.device
            if key not in self._tensors:
                own = tensor.new_tensor(bound)
                self._tensors[key] = own.view(-1, *[1] * (tensor.ndim - 1))
            bound = self._tensors[key]
        tensor.mul_(bound / tensor.norm(dim=dim, keepdim=True).clamp(min=bound))


class MaxNorm(_NormBound):
    """Bound the norm of the weights that lead into each unit, after every step.

    Parameters
    ----------
    bound : float or sequence of float
        The largest norm, or each member's.

    References
    ----------
    N. Srivastava, G. Hinton, A. Krizhevsky, I. Sutskever and R. Salakhutdinov,
    "Dropout: a simple way to prevent neural networks from overfitting", JMLR 2014,
    sec. 5.1.
    """

    @torch.no_grad()
    def on_batch_end(self, net, training=False, **kwargs) -> None:
        """Scale down the weights of the units that are beyond the bound."""
        if training:
            for layer in net.module_.linear_layers():
                self.shrink(layer.weight, dim=-2)


class GradientClip(_NormBound):
    """Bound the norm of each member's gradient, penalty included.

    Parameters
    ----------
    bound : float or sequence of float
        The largest norm, or each member's.

    References
    ----------
    R. Pascanu, T. Mikolov and Y. Bengio, "On the difficulty of training recurrent
    neural networks", ICML 2013, alg. 1.
    """

    def on_grad_computed(self, net, **kwargs) -> None:
        """Scale the gradients that are beyond the bound."""
        self.shrink(net.module_.flat_grad, dim=-1)


class DropoutAnnealing(Callback):
    """Let the probabilities of dropout follow a schedule, epoch by epoch.

    Parameters
    ----------
    factor : callable
        Factor on the probabilities as a function of the part of the longest training
        that is done, of a row of `sk_deep.dropouts.DROPOUT_SCHEDULES`.
    """

    def __init__(self, factor: Callable[[float], float]) -> None:
        self.factor = factor

    def on_epoch_begin(self, net, **kwargs) -> None:
        """Set the probabilities of the epoch."""
        fraction = min(1.0, net.n_epochs_ / net.max_epochs)
        for layer in net.module_.dropout_layers():
            layer.anneal(self.factor(fraction))


class Checkpoint(Callback):
    """Write the training to a file as it goes on, so that a killed fit can resume.

    Put one into the parameter ``callbacks`` of an estimator. If its fit is killed, the
    next one with the same data and the same parameters goes on after the last epoch
    that was written, and ends in the weights of a fit that was never killed, bit by
    bit, on the same number of threads. A fit that ends removes its file.

    Parameters
    ----------
    folder : str or path-like
        Where the files shall be; it is made. Each fit has a file of its own, named by
        its data and parameters, so that workers can share a folder.
    every : int, default=1
        Number of epochs after which the file is written anew.

    Raises
    ------
    ValueError
        In fit, if `every` is not positive, or the estimator has no `random_state`, by
        which the fit could be repeated. In ``partial_fit`` and with ``solver="lbfgs"``
        there is nothing to resume.

    Warns
    -----
    UserWarning
        If a file is there and is corrupt; training then starts afresh.

    Notes
    -----
    It does not know what other callbacks of yours have in mind, and does not restore
    them. The files are those of `sk_deep.save`: safe to read, and written whole or not
    at all. Of a fit that is not tried again, the file stays.

    Examples
    --------
    >>> import tempfile
    >>> from sklearn.datasets import load_iris
    >>> from sk_deep import MLPClassifier
    >>> from sk_deep.callbacks import Checkpoint
    >>> X, y = load_iris(return_X_y=True)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     clf = MLPClassifier(
    ...         max_iter=500, random_state=0, callbacks=[Checkpoint(folder, every=50)]
    ...     ).fit(X, y)
    >>> clf.score(X, y) > 0.9
    True
    """

    def __init__(self, folder: str | os.PathLike, every: int = 1) -> None:
        self.folder = folder
        self.every = every

    def begin(self, key: str, take: Callable[[], Any]) -> Any:
        """Begin to write; return what was written of this fit before.

        Parameters
        ----------
        key : str
            Tells this fit from all others.
        take : callable
            Gives the state of the training, as a tree for `sk_deep._files.plain_tree`.

        Returns
        -------
        state : object
            What `take` gave when it was written last; None if it never was.
        """
        if not isinstance(self.every, Integral) or self.every < 1:
            raise ValueError(
                f"every must be an integer of at least 1, however: {self.every!r}."
            )
        folder = Path(self.folder)
        folder.mkdir(parents=True, exist_ok=True)
        self._path, self._take = folder / f"{key}.checkpoint", take
        if not self._path.exists():
            return None
        try:
            return plain_tree.load(self._path.read_bytes())
        except CorruptModelError as error:
            warnings.warn(
                f"The checkpoint {self._path} is not used, and training starts afresh:"
                f" {error}",
                stacklevel=2,
            )
            return None

    def on_epoch_end(self, net, **kwargs) -> None:
        """Write the file, if it is time to."""
        if len(net.history) % self.every == 0:
            content = plain_tree.dump(self._take(), {"version": __version__})
            with atomic_write(self._path) as file:
                file.write(content)

    def on_train_end(self, net, **kwargs) -> None:
        """Remove the file, and let go of the training."""
        self._path.unlink(missing_ok=True)
        self._take = None


class LayerMonitor(Callback):
    """Record how large the gradients and the steps of each layer are, by epoch.

    Put one into the parameter ``callbacks`` of an estimator: after its fit the records
    are in `gradient_norm_curve_` and `update_ratio_curve_`, a list per epoch with a
    number per layer, from the inputs' side to the outputs'. Gradients that shrink from
    layer to layer towards the inputs vanish; steps should be about a thousandth of the
    weights.

    Notes
    -----
    The gradient norm of an epoch is the root of the mean, over its batches, of
    the squared norm of the gradient of a layer's weights, penalty and clipping
    included; the update ratio is the mean of the norm of a step over the norm of the
    weights. Both are means over the members of an ensemble. Watching every step costs
    time: a small network trains half as fast.

    References
    ----------
    X. Glorot and Y. Bengio, "Understanding the difficulty of training deep feedforward
    neural networks", AISTATS 2010, sec. 4.

    Examples
    --------
    >>> from sk_deep import MLPRegressor
    >>> from sklearn.datasets import make_regression
    >>> X, y = make_regression(n_features=4, random_state=0)
    >>> network = MLPRegressor(max_iter=5, callbacks=[LayerMonitor()])
    >>> np.shape(network.fit(X, y / y.std()).gradient_norm_curve_)
    (5, 2)
    """

    def on_train_begin(self, net, **kwargs) -> None:
        """Check that there are steps to watch."""
        if net.optimizer is None:
            raise ValueError(
                "LayerMonitor watches the steps of a stochastic solver, however: the "
                "solver takes all data at once."
            )

    def on_epoch_begin(self, net, **kwargs) -> None:
        """Start anew."""
        self._weights = [layer.weight.data for layer in net.module_.linear_layers()]
        self._squares: list[Tensor] = []
        self._ratios: list[Tensor] = []

    def on_batch_begin(self, net, training=False, **kwargs) -> None:
        """Take note of the weights before a step."""
        if training:
            self._before = [weight.clone() for weight in self._weights]

    def on_grad_computed(self, net, **kwargs) -> None:
        """Take the gradients' norms."""
        grads = [layer.weight.grad for layer in net.module_.linear_layers()]
        self._squares.append(_norms(grads) ** 2)

    def on_batch_end(self, net, training=False, **kwargs) -> None:
        """Compare the step with the weights before it."""
        if training:
            pairs = zip(self._weights, self._before, strict=True)
            steps = [now - before for now, before in pairs]
            self._ratios.append(_norms(steps) / _norms(self._before).clamp(min=1e-30))

    def on_epoch_end(self, net, **kwargs) -> None:
        """Record the means over the epoch, and let go of the tensors."""
        norms = torch.stack(self._squares).mean(dim=0).sqrt()
        ratios = torch.stack(self._ratios).mean(dim=0)
        for name, values in {"gradient_norms": norms, "update_ratios": ratios}.items():
            net.history.record(name, values.mean(dim=1).tolist())
        self._weights, self._before, self._squares, self._ratios = [], [], [], []


def _norms(weights: Sequence[Tensor]) -> Tensor:
    """Norms of the weights of layers, (n_layers, n_members)."""
    return torch.stack([w.norm(dim=(-2, -1)).reshape(-1) for w in weights])


class Stopping(Callback):
    """Stop each member when it no longer improves, and keep its weights.

    With a validation score the weights of the best epoch are kept, otherwise those of
    the last. This is scikit-learn's rule, member by member. Where the schedule is
    "adaptive", the learning rate is divided by 5 instead, down to 1e-6.

    Parameters
    ----------
    tol : float or sequence of float
        Least improvement that counts, or each member's.
    n_iter_no_change : int, inf or sequence of them
        Epochs without improvement that are allowed, or each member's.
    validates : bool
        Whether to watch the validation score rather than the training loss.
    best : ndarray of shape (n_members,)
        Best value so far, of the score or of the negative loss.
    n_stale : ndarray of shape (n_members,)
        Consecutive epochs without improvement so far.
    growth : float, default=0.0
        Part of the epochs before them that is added to those allowed.
    verbose : bool, default=False
        Whether to print what is done.
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
        values = sign * net.epoch_values_[name]
        running = np.flatnonzero(net.running_).tolist()
        net.keep([i for i in running if self._judge(net, i, float(values[i]))])

    def _judge(self, net, member: int, value: float) -> bool:
        """Stop a member if it is time to, and tell whether to keep its weights."""
        stale = value < self.best[member] + self.tol[member]
        self.n_stale[member] = self.n_stale[member] + 1 if stale else 0
        improved = value > self.best[member]
        if improved:
            self.best[member] = value
        if not np.isfinite([value, net.epoch_values_["train_loss"][member]]).all():
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
        warnings.warn(
            f"The loss or the validation score was no longer finite at epoch {epoch}; "
            "the weights of the epoch with the best validation score are kept. Scale X "
            "or lower learning_rate_init.",
            ConvergenceWarning,
            stacklevel=2,
        )
        net.finish(member)

    def _stop_or_slow(self, net, member: int, allowed: float) -> None:
        watched = "Validation score" if self.validates else "Training loss"
        message = (
            f"{watched} did not improve more than tol={self.tol[member]:f} for "
            f"{allowed:g} consecutive epochs."
        )
        rate = net.rate_on_plateau(member)
        if rate is None:
            net.finish(member)
            message += " Stopping."
        elif rate <= _SMALLEST_RATE:
            net.finish(member)
            message += " Learning rate too small. Stopping."
        else:
            net.slow_down(member, 5.0)
            self.n_stale[member] = 0
            message += f" Setting learning rate to {rate / 5:f}"
        if self.verbose:
            print(message)


class Tasks(Callback):
    """Tell scikit-learn's callbacks of a fit, and of its epochs as tasks of it.

    It comes after `Stopping`, which keeps weights, and before the user's, which may
    end the training. If one of scikit-learn's asks to stop, every member does.

    Parameters
    ----------
    context : CallbackContext
        The root task, of the whole fit.
    n_epochs : int
        Epochs of a task.
    **known : dict
        What every hook is told: the estimator, X, y and metadata.

    Attributes
    ----------
    snapshot : callable
        Gives, as a function of the net, the attributes of an estimator as a fit would
        leave it that stops now.
    """

    def __init__(self, context: CallbackContext, n_epochs: int, **known) -> None:
        self.context: Any = context
        self.n_epochs = n_epochs
        self.known = known
        self.snapshot: Any = None
        self._epoch: CallbackContext | None = None

    def begin(self) -> None:
        """Tell that the fit begins."""
        self.context.call_on_fit_task_begin(**self.known)

    def on_epoch_begin(self, net, **kwargs) -> None:
        """Begin a task, unless one is on."""
        if self._epoch is not None:
            return
        self._n_left = self.n_epochs
        self._epoch = self.context.subcontext(task_name="epoch")
        self._epoch.call_on_fit_task_begin(**self._told(net))

    def on_epoch_end(self, net, **kwargs) -> None:
        """End the task with its last epoch, and perhaps the training."""
        net.note_finished_epoch()  # an interrupt in a hook leaves this epoch
        self._n_left -= 1
        if self._n_left:
            return
        epoch, self._epoch = self._epoch, None
        if epoch.call_on_fit_task_end(**self._told(net)):
            net.running_[:] = False

    def on_train_end(self, net, **kwargs) -> None:
        """End what is left: a part of several epochs, a step that L-BFGS gave up."""
        if self._epoch is not None:
            self._epoch.call_on_fit_task_end(estimator=self.known["estimator"])
            self._epoch = None

    def end(self, attributes: Callable[[], dict[str, Any]]) -> None:
        """Tell that the fit ends, with the attributes of the fitted estimator."""
        self.context.call_on_fit_task_end(
            **self.known, reconstruction_attributes=attributes
        )

    def release(self) -> None:
        """Let go of the data."""
        self.context, self.known, self.snapshot = None, {}, None

    def _told(self, net) -> dict[str, Any]:
        now = functools.partial(self.snapshot, net)
        return {**self.known, "reconstruction_attributes": now}
