"""The recipe of a fit: data are checked, a plan is made, a net is trained."""

import functools
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import joblib
import numpy as np
from numpy.random import RandomState
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning

from sk_deep._data.tensors import dense, float_dtype
from sk_deep._engine.best_constant import losses_if_nothing_learned
from sk_deep._engine.data_parallel import ProcessGroup
from sk_deep._engine.full_batch import train_full_batch
from sk_deep._engine.net import Net
from sk_deep._engine.prediction import predict_outputs
from sk_deep._engine.state import (
    all_finite,
    copy_in_training,
    describe,
    go_on_from,
    member_net,
    net_state,
    progress,
    resume,
)
from sk_deep._engine.stopping import Stopping, ValidationScore, Verbose
from sk_deep._estimator import checks, plan
from sk_deep._estimator.inputs import CheckedRows, check_rows
from sk_deep._estimator.plan import FitPlan
from sk_deep._estimator.random_states import draw_random_states
from sk_deep._estimator.result import FitResult, Records, StoppingState
from sk_deep._estimator.scoring import validation_score
from sk_deep._estimator.sklearn_callbacks import Tasks, attributes, tell_callbacks
from sk_deep._estimator.validation import (
    Fold,
    Validation,
    average_by_row,
    check_validation_rows,
    choose_fold,
)
from sk_deep.callbacks import Checkpoint
from sk_deep.exceptions import divergence, warn_user

_ROWS_AT_ONCE = 2**14  # of rows left out that are predicted


def fit_estimator(
    estimator: Any,
    X: Any,
    y: Any,
    sample_weight: Any,
    validation: Validation,
    *,
    is_incremental: bool = False,
    caller: Any = None,
) -> None:
    """Fit an estimator to data.

    Parameters
    ----------
    estimator : BaseMLP
        The estimator, which gets the fitted attributes.
    X, y, sample_weight : array-like
        Training data as the user gave them.
    validation : Validation
        Validation data as the user gave them.
    is_incremental : bool, default=False
        Whether to train for one epoch more, as `partial_fit` does.
    caller : BaseMLP, default=None
        The user's estimator, whose scikit-learn callbacks follow the fit.
    """
    is_fresh = not (estimator.warm_start or is_incremental)
    is_fresh |= not estimator.__sklearn_is_fitted__()
    checks.hidden_units(estimator)  # its error comes before those of the data
    rows = check_rows(estimator, X, y, sample_weight, is_fresh, is_incremental)
    processes = plan.processes(estimator)
    random_states, draw_seed = draw_random_states(estimator, processes)
    old = None if is_fresh else estimator.net_
    fit_plan = plan.plan_fit(estimator, rows.X, old)
    net = fit_plan.make_net(plan.all_callbacks(estimator), processes)
    if old is None:
        net.module_.reset_parameters(random_states, fit_plan.weight_init)
        if net.draws_noise:
            net.seed_noise(draw_seed())
        estimator._prime(net, rows)
        estimator._streams = False
    else:
        _go_on(net, old, draw_seed, estimator.t_, with_optimizer=is_incremental)
    if processes is not None:
        _check_same(processes, rows, net)
    fit = Fit(estimator, fit_plan, net, rows, random_states, validation, is_incremental)
    if old is not None:
        fit.before = Records.of(estimator, fit_plan.watches)
        fit.n_samples_before = estimator.t_
    data = {"X": X, "rows": rows, "sample_weight": sample_weight}
    with tell_callbacks(caller, estimator, net, **data) as tasks:
        try:
            fit.run(tasks)
        finally:
            if fit.result is not None:
                fit.result.put_on(estimator)
        if not all_finite(net.module_.flat, net.module_.flat_buffers):
            raise divergence(estimator.n_iter_)


@dataclass
class Fit:
    """A plan that is run on rows.

    Parameters
    ----------
    estimator : BaseMLP
        With the parameters, and what checking the rows has set.
    plan : FitPlan
        What to do.
    net : Net
        With the initial weights.
    rows : CheckedRows
        Training data.
    random_states : list of RandomState
        Each member's source of randomness.
    validation : Validation
        Validation data as the user gave them.
    is_incremental : bool
        Whether to train for one epoch.
    before : Records, default=Records()
        Of former fits that this one goes on from.
    n_samples_before : int, default=0
        Training samples that these have seen.

    Attributes
    ----------
    result : FitResult or None
        What the fit comes to, as soon as an epoch has finished: an interrupted fit has
        one, too.
    """

    estimator: Any
    plan: FitPlan
    net: Net
    rows: CheckedRows
    random_states: list[RandomState]
    validation: Validation
    is_incremental: bool
    before: Records = field(default_factory=Records)
    n_samples_before: int = 0
    result: FitResult | None = field(default=None, init=False)

    def run(self, tasks: Sequence[Tasks]) -> None:
        """Train, and call scikit-learn's callbacks at the epochs."""
        if self.plan.solver.full_batch:
            self._run_full_batch(tasks)
        else:
            self._run_by_epochs(tasks)

    # ---- the full-batch way --------------------------------------------------------

    def _run_full_batch(self, tasks: Sequence[Tasks]) -> None:
        if self.validation.is_given:
            raise ValueError(
                "X_val and y_val need early stopping, which "
                f"solver={self.estimator.solver!r} does not support."
            )
        net, estimator = self.net, self.estimator
        for task in tasks:
            task.snapshot = self._as_if_stopped
        # NOTE[DIFF] verbose L-BFGS: scikit-learn lets scipy print, which no longer does
        net.call_first([*self._verbose(), *tasks])
        data = net.data(self.rows.X, self.rows.target, self.rows.weight)
        try:
            loss, n_iter = train_full_batch(
                net, data, max_fun=estimator.max_fun, tol=estimator.tol
            )
        except KeyboardInterrupt:
            if net.n_finished_:
                self.result = self._last_iteration(net)
            raise
        self.result = FitResult(net, n_iter, loss, self.n_samples_before)
        if not np.isfinite(loss):
            raise divergence(n_iter)
        self._warn_if_nothing_was_learned(self.rows, loss)

    def _last_iteration(self, net: Net) -> FitResult:
        """Build the result of a search that stops after its last iteration."""
        n_iter = self.net.n_finished_
        loss = self.net.history[n_iter - 1, "train_loss"] if n_iter else None
        return FitResult(net, n_iter, loss, self.n_samples_before)

    # ---- by epochs -----------------------------------------------------------------

    def _run_by_epochs(self, tasks: Sequence[Tasks]) -> None:
        net = self.net
        if self.validation.is_given:
            valid_rows = check_validation_rows(self.estimator, self.validation)
            fold = Fold(self.rows, None, valid_rows)
        else:
            fold = choose_fold(self.estimator, self.rows, self.random_states)
        train, valid = fold.data(net)
        net.batch_size = self.plan.clipped_batch_size(len(train))
        shared = fold.leaves_out is not None  # members share the batches
        states = self.random_states[:1] if shared else self.random_states
        net.random_states = states if self.estimator.shuffle else ()
        stopping = self._stopping()
        callbacks = self._verbose()
        if valid is not None:
            score = validation_score(
                [self.estimator] * net.n_members,
                fold.parts(net.n_members),
                fold.whole(),
            )
            callbacks.insert(0, ValidationScore(score))
        for task in tasks:
            task.snapshot = functools.partial(self._as_if_stopped, stopping=stopping)
        net.call_first([*callbacks, stopping, *tasks])
        self._begin_checkpoints(stopping, fold)
        try:
            net.partial_fit(train, valid, epochs=1 if self.is_incremental else None)
        finally:
            if net.n_finished_:
                self.result = self._epochs_so_far(net, stopping, fold)
        if not self.is_incremental:
            self._warn_of_the_end(fold.train, stopping, self.result)

    def _stopping(self) -> Stopping:
        """Go on with the best value and the stale epochs of the last fit, if alike."""
        estimator, n_members = self.estimator, self.net.n_members
        best, n_stale = np.full(n_members, -np.inf), np.zeros(n_members, int)
        if self.before.stopping is not None:
            _, best, n_stale = self.before.stopping
        return Stopping(
            estimator.tol,
            estimator.n_iter_no_change,
            validates=bool(estimator.early_stopping),
            best=best.copy(),
            n_stale=n_stale.copy(),
            growth=estimator._growth_of_patience,
            verbose=bool(estimator.verbose),
        )

    def _epochs_so_far(
        self, net: Net, stopping: Stopping, fold: Fold | None = None
    ) -> FitResult:
        """Build the result of the epochs that have finished."""
        n_epochs = self.net.n_finished_
        state = StoppingState(
            self.plan.watches, stopping.best.copy(), stopping.n_stale.copy()
        )
        return FitResult.of_epochs(
            net,
            self.before,
            self.net.history[:n_epochs],
            state,
            n_samples_seen=self.net.n_samples_,
            validates=stopping.validates,
            out_of_fold=None if fold is None else self._out_of_fold(fold),
        )

    def _out_of_fold(self, fold: Fold) -> dict[str, NDArray]:
        """Predict each training row by the members that have left it out."""
        if fold.leaves_out is None or fold.valid_positions is None:
            return {}
        X, targets = fold.train.X, self.estimator._targets
        nets = (member_net(self.net, i) for i in range(self.net.n_members))
        left_out = (
            (part, predict_outputs(net, X[part]))
            for net, rows in zip(nets, fold.valid_positions, strict=True)
            for part in np.split(rows, range(_ROWS_AT_ONCE, len(rows), _ROWS_AT_ONCE))
        )
        shape = X.shape[0], targets.n_outputs
        outputs = average_by_row(shape, float_dtype(X), left_out)
        return targets.out_of_fold(outputs, fold.train.y)

    def _begin_checkpoints(self, stopping: Stopping, fold: Fold) -> None:
        for _, callback in self.net.callbacks_:
            if isinstance(callback, Checkpoint):
                self._begin_checkpoint(callback, stopping, fold)

    def _begin_checkpoint(
        self, checkpoint: Checkpoint, stopping: Stopping, fold: Fold
    ) -> None:
        """Let a checkpoint write this training, and resume what it wrote before."""
        net, estimator = self.net, self.estimator
        if self.is_incremental or estimator.random_state is None:
            method = "partial_fit" if self.is_incremental else "fit"
            raise ValueError(
                "A Checkpoint among callbacks needs fit and a random_state, by which "
                f"the fit can be repeated, got random_state={estimator.random_state} "
                f"in {method}."
            )
        parameters = estimator.get_params(deep=False)
        for name in ("callbacks", "verbose", "accelerator"):
            del parameters[name]
        weights = net_state(net, with_training=True)
        parts = [type(estimator), parameters, fold, weights, self.before.stopping]
        take = functools.partial(progress, net, stopping)
        state = checkpoint.begin(joblib.hash([*parts, net.random_states]), take)
        if state is not None:
            net.resume = functools.partial(resume, net, stopping, state)

    # ---- both ways -----------------------------------------------------------------

    def _verbose(self) -> list:
        """List the callback that prints the epochs, in the first process."""
        processes = self.net.processes
        is_first = processes is None or processes.rank == 0
        return [Verbose()] if self.estimator.verbose and is_first else []

    def _as_if_stopped(
        self, net: Net, stopping: Stopping | None = None
    ) -> dict[str, Any]:
        """List the attributes that a fit leaves whose training stops now."""
        copy = self.estimator._copy()
        stopped = copy_in_training(net, with_training=self.estimator.warm_start)
        if stopping is None or not net.n_finished_:
            result = self._last_iteration(stopped)
        else:
            result = self._epochs_so_far(stopped, stopping)
        result.put_on(copy)
        return attributes(copy)

    def _warn_of_the_end(
        self, rows: CheckedRows, stopping: Stopping, result: FitResult | None
    ) -> None:
        """Warn where training ended by `max_iter`, or has learned nothing."""
        if self.net.running_.any():
            warn_of_max_iter(self.estimator)
        # without a stale epoch, a callback stopped it while it improved
        elif stopping.n_stale.any() and result is not None:
            least = min(result.curves["loss_curve_"] or [np.inf])
            self._warn_if_nothing_was_learned(rows, least)

    def _warn_if_nothing_was_learned(self, rows: CheckedRows, seen: float) -> None:
        """Warn where a constant prediction is as good as the trained network."""
        losses = losses_if_nothing_learned(
            self.net, rows.X, rows.target, rows.weight, seen
        )
        # NOTE[DIFF] networks that learned nothing: scikit-learn is silent
        if losses is not None:
            warn_user(
                "The network has learned nothing: its loss on the training data, "
                f"{losses[0]:.4g}, is not lower than that of a constant prediction, "
                f"{losses[1]:.4g}. Scale X, or change learning_rate_init; "
                "sk_deep.diagnose explains more.",
                ConvergenceWarning,
            )


def warn_of_max_iter(estimator: Any) -> None:
    """Warn that a training ended by `max_iter`."""
    warn_user(
        f"Stochastic Optimizer: Maximum iterations ({estimator.max_iter}) "
        "reached and the optimization hasn't converged yet.",
        ConvergenceWarning,
    )


# ---- parts of a single fit -----------------------------------------------------------


def _go_on(
    net: Net,
    old: Net,
    draw_seed: Callable[[], int],
    n_samples_seen: int,
    *,
    with_optimizer: bool,
) -> None:
    """Let a new net go on from that of the last fit."""
    new_parts, old_parts = describe(net), describe(old)
    changed = sorted(key for key in new_parts if new_parts[key] != old_parts[key])
    # NOTE[DIFF] warm start with another network: scikit-learn keeps the old one
    if changed:
        raise ValueError(
            "warm_start and partial_fit need the same network as before, got other "
            f"values of: {', '.join(changed)}."
        )
    has_generator = go_on_from(net, old, with_optimizer=with_optimizer)
    if net.draws_noise and not has_generator:
        net.seed_noise(draw_seed())
    net.n_samples_ = n_samples_seen


def _check_same(processes: ProcessGroup, rows: CheckedRows, net: Net) -> None:
    """Check that processes which share a fit begin alike, on the same rows."""
    ends = [dense(rows.X[:1]), dense(rows.X[-1:])]  # all inputs would take long
    parts = [*ends, rows.target, rows.weight, net.module_.flat.numpy(force=True)]
    sums = [
        zlib.crc32(np.ascontiguousarray(part).data)
        for part in parts
        if part is not None
    ]
    processes.check_same("rows, targets, weights and seeds", *rows.X.shape, *sums)
