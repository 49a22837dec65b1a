"""Callbacks of scikit-learn around a fit: what they are passed, and how often."""

import contextlib
import copy

from sk_deep._compat import (
    PARENT_TASK,
    begin_fit_context,
    callbacks_on,
    check_sample_weight,
    only_counts,
)
from sk_deep._estimator import plan
from sk_deep.callbacks import Tasks

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
