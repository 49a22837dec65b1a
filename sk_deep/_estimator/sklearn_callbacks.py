"""Callbacks of scikit-learn around a fit: what they are passed, and how often."""

import contextlib
import copy
import functools
from collections.abc import Callable
from typing import Any

from sklearn.callback import CallbackContext
from skorch.callbacks import Callback

from sk_deep._compat import (
    PARENT_TASK,
    begin_fit_context,
    callbacks_on,
    check_sample_weight,
    only_counts,
)
from sk_deep._estimator import plan

# A progress bar is drawn ten times a second, and each task that it counts may take
# 0.1 ms of several processes: shorter tasks would cost much, and nobody would see them.
_SECONDS = 0.02
_SECONDS_OF_A_STEP = 1e-4  # at least, and in addition for each weight and row:
_SECONDS_OF_A_PRODUCT = 1e-10


@contextlib.contextmanager
def tell_callbacks(caller, trial, net, *, X, rows, sample_weight):
    """Call scikit-learn's callbacks around a fit, if there are any.

    Parameters
    ----------
    caller : estimator or None
        The user's estimator, whose callbacks are called; None calls none.
    trial : estimator
        The copy of it that is trained, and fitted at the end.
    net : Net
        The net that is trained.
    X : array-like
        The inputs as the user gave them.
    rows : CheckedRows
        The checked data.
    sample_weight : array-like or None
        The weights as the user gave them.

    Yields
    ------
    tasks : list of Tasks
        One skorch callback for the net, or none.
    """
    callbacks = [] if caller is None else callbacks_on(caller)
    if not callbacks:
        yield []
        return
    n_epochs = (
        _epochs_in_a_task(trial, net, rows) if all(map(only_counts, callbacks)) else 1
    )
    # with a full-batch solver, each member is trained by itself
    n_searches = trial.n_members if net.solver.full_batch else 1
    max_subtasks = n_searches * -(-trial.max_iter // n_epochs)
    tasks = Tasks(
        begin_fit_context(caller, max_subtasks),
        n_epochs,
        estimator=caller,
        # predictions ask for the names of features, where there are any, or encode
        X=X
        if hasattr(trial, "feature_names_in_") or trial._columns is not None
        else rows.X,
        y=rows.y,
        metadata=_metadata(rows, sample_weight),
    )
    try:
        tasks.begin()
        yield [tasks]
        tasks.end(lambda: attributes(copy.copy(trial)))
    finally:
        tasks.release()


class Tasks(Callback):
    """Call scikit-learn's callbacks at a fit, and at its epochs as subtasks.

    It comes after `Stopping`, which keeps weights, and before the user's callbacks,
    which may end the training. If a callback of scikit-learn asks to stop, every member
    stops.

    Parameters
    ----------
    context : CallbackContext
        The root task, of the whole fit.
    n_epochs : int
        Epochs of a task.
    **arguments : dict
        Arguments of every hook: the estimator, X, y and metadata.

    Attributes
    ----------
    snapshot : callable
        Computes from the net the attributes of the estimator, as if the fit stopped
        now.
    """

    def __init__(self, context: CallbackContext, n_epochs: int, **arguments) -> None:
        self.context: Any = context
        self.n_epochs = n_epochs
        self.arguments = arguments
        self.snapshot: Any = None
        self._epoch: Any = None
        self._n_left = n_epochs

    def begin(self) -> None:
        """Begin the task of the fit."""
        self.context.call_on_fit_task_begin(**self.arguments)

    def on_epoch_begin(self, net, **kwargs) -> None:
        """Begin a task, unless one has begun."""
        if self._epoch is not None:
            return
        self._n_left = self.n_epochs
        self._epoch = self.context.subcontext(task_name="epoch")
        self._epoch.call_on_fit_task_begin(**self._arguments_at(net))

    def on_epoch_end(self, net, **kwargs) -> None:
        """End the task with its last epoch, and perhaps the training."""
        net.note_finished_epoch()  # an interrupt in a hook leaves this epoch
        self._n_left -= 1
        if self._n_left:
            return
        epoch, self._epoch = self._epoch, None
        if epoch.call_on_fit_task_end(**self._arguments_at(net)):
            net.running_[:] = False

    def on_train_end(self, net, **kwargs) -> None:
        """End an open task: of fewer epochs, or an iteration that L-BFGS gave up."""
        if self._epoch is not None:
            self._epoch.call_on_fit_task_end(estimator=self.arguments["estimator"])
            self._epoch = None

    def end(self, attributes: Callable[[], dict[str, Any]]) -> None:
        """End the task of the fit, with the attributes of the fitted estimator."""
        self.context.call_on_fit_task_end(
            **self.arguments, reconstruction_attributes=attributes
        )

    def release(self) -> None:
        """Release the data."""
        self.context, self.arguments, self.snapshot = None, {}, None

    def _arguments_at(self, net) -> dict[str, Any]:
        now = functools.partial(self.snapshot, net)
        return {**self.arguments, "reconstruction_attributes": now}


def _metadata(rows, sample_weight):
    if sample_weight is None:
        return None
    return {"sample_weight": check_sample_weight(sample_weight, rows.X)}


def _epochs_in_a_task(trial, net, rows):
    """Estimate how many epochs to count as one."""
    n_rows = rows.X.shape[0]
    is_full_batch = net.solver.full_batch
    n_steps = 1 if is_full_batch else n_rows / plan.batch_size(trial, n_rows)
    seconds = n_steps * _SECONDS_OF_A_STEP
    seconds += net.module_.flat.numel() * n_rows * _SECONDS_OF_A_PRODUCT
    return max(1, round(_SECONDS / seconds))


def attributes(estimator):
    """Return the whole `__dict__` under one key; scikit-learn sets it on its copy."""
    copied = {
        name: value.copy() if isinstance(value, list) else value  # the curves
        for name, value in vars(estimator).items()
        if name != PARENT_TASK
    }
    return {"__dict__": copied}
