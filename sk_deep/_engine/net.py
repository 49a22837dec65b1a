"""The skorch net inside the estimators, and its only builder."""

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.random import RandomState
from numpy.typing import NDArray
from skorch import NeuralNet
from skorch.callbacks import Callback, EarlyStopping
from torch import Tensor

from sk_deep._data.batches import Batch, Batches, Data
from sk_deep._engine.data_parallel import ProcessGroup
from sk_deep._engine.gradients import ByHand, choose_gradient
from sk_deep._engine.kept_weights import KeptWeights, WeightAverage
from sk_deep._engine.mean_loss import MeanLoss, Step
from sk_deep._engine.objective import Objective
from sk_deep._engine.rates import (
    Rates,
    StepSettings,
    group_members,
    make_param_groups,
)
from sk_deep._engine.threads import threads_for
from sk_deep._engine.training import Training
from sk_deep.augmentation import Augment
from sk_deep.losses import Criterion
from sk_deep.network import MLP, Architecture
from sk_deep.schedules import SCHEDULES
from sk_deep.solvers import SOLVERS, Solver, make_optimizer

_CHUNK_ELEMENTS = 2**19  # values of the widest layer in a chunk: they fit the cache
# BLAS sums rows in groups of 8; padding to a multiple keeps predictions independent of
# the rows beside them
ROW_GROUP = 8
_MIN_GROUPS = 8  # row groups in a chunk: fewer rows at a time are slow in wide networks
_BATCH_HOOKS = ("on_batch_begin", "on_batch_end", "on_grad_computed")


class Net(NeuralNet):
    """A skorch net with a lean training loop.

    It differs from its base class: `Data` gives whole batches; the loss is summed on
    the device and read once per epoch; the history has a row per epoch; hooks of
    batches run only if a callback has them; an interrupt reaches the caller.

    Parameters
    ----------
    module, criterion : type
        Classes of the network and of the loss.
    solver : Solver
        Row of the solver.
    step_settings : sequence of StepSettings
        Settings of the steps, of all members or of each.
    alpha, l1_ratio, label_smoothing, augmentation : object
        See `Objective`.
    averaging : float, default=None
        Number of epochs over which weights are averaged; None does not average.
    random_states : sequence of RandomState, default=()
        Each member's source of shuffles; empty does not shuffle.
    processes : ProcessGroup, default=None
        Processes that train this network together; None is this process alone.
    **kwargs : dict
        Arguments of `skorch.NeuralNet`.

    Attributes
    ----------
    quorum : float
        Fraction of running members below which the loop ends for all.
    resume : callable or None
        Called before the first epoch; it may restore a training that was interrupted.
    running_ : ndarray of bool of shape (n_members,)
        Members that have not stopped.
    n_finished_ : int
        Finished epochs of the last training.
    n_epochs_, n_samples_ : int
        Epochs of this optimizer, and rows seen in all.
    rates_ : Rates
        Learning rates of the groups of members.
    average_ : WeightAverage or None
        The average of the weights.
    loaded_training_ : mapping or None
        The training state that the net was loaded with, see `net_state`.
    """

    def __init__(
        self,
        module,
        criterion,
        *,
        solver: Solver,
        step_settings: Sequence[StepSettings],
        alpha: float | NDArray = 0.0,
        l1_ratio: float | NDArray = 0.0,
        label_smoothing: float | NDArray = 0.0,
        augmentation: Augment | None = None,
        averaging: float | None = None,
        random_states: Sequence[RandomState] = (),
        processes: ProcessGroup | None = None,
        **kwargs,
    ) -> None:
        self.solver = solver
        self.step_settings = step_settings
        self.alpha = alpha
        self.l1_ratio = l1_ratio
        self.label_smoothing = label_smoothing
        self.augmentation = augmentation
        self.averaging = averaging
        self.random_states = random_states
        self.processes = processes
        self.quorum = 0.0
        self.resume: Callable[[], None] | None = None
        super().__init__(module, criterion, **kwargs)

    # ---- building ------------------------------------------------------------------

    def get_default_callbacks(self) -> list:
        """Return none: the loop keeps the history itself."""
        return []

    def initialize_module(self) -> "Net":
        """Build the network on its device, where its flat buffers stay."""
        self.module_ = self.module(**self.get_params_for("module"), device=self.device)
        return self

    def initialize_optimizer(self, triggered_directly=None) -> "Net":
        """Build the optimizer over the flat buffer, and the state of its steps."""
        module, solver = self.module_, self.solver
        groups = group_members(
            self.step_settings, self.n_members, together=solver.elementwise
        )
        self.rates_ = Rates(self.step_settings, groups)
        if not solver.full_batch:
            first = self.step_settings[0]
            self.optimizer_: Any = make_optimizer(
                self.optimizer,
                make_param_groups(module, solver, self.rates_),
                lr=first.learning_rate,
                **first.arguments,
            )
        self.average_: WeightAverage | None = None
        if self.averaging is not None:
            tensors = module.flat, module.flat_buffers
            self.average_ = WeightAverage(tensors, self.averaging)
        self.n_epochs_ = self.n_samples_ = self.n_finished_ = 0
        self.running_ = np.ones(self.n_members, dtype=bool)
        self._training: Training | None = None
        self.loaded_training_: Mapping[str, Any] | None = None
        return self

    def call_first(self, callbacks: Sequence[Callback]) -> None:
        """Put callbacks before the present ones."""
        named = [(type(callback).__name__, callback) for callback in callbacks]
        self.callbacks_[:0] = named

    @property
    def n_members(self) -> int:
        """Number of networks."""
        return self.module_.architecture.n_members

    # ---- data ----------------------------------------------------------------------

    def get_split_datasets(self, X, y=None, **fit_params):
        """Pass on the training and the validation data; they come split."""
        return X, y

    def get_iterator(self, dataset, training=False):
        """Iterate over whole batches, or over the chunks of a prediction."""
        if not isinstance(dataset, Data):
            dataset = self.data(dataset.X)
        if not training:
            return Batches(dataset, self.chunk_size(dataset.inputs.width))
        return Batches(
            dataset,
            self.batch_size,
            random_states=self.random_states,
            joins_last_row=self.module_.mixes_rows,
        )

    def data(self, X, y=None, weight=None, *, rows=None, weight_sets=None) -> Data:
        """Make data of this network's dtype, on its device; see `Data`."""
        if rows is not None and not self.module_.members:
            (rows,) = rows
            weight_sets = None if weight_sets is None else weight_sets[0]
        flat = self.module_.flat
        return Data(
            X,
            y,
            weight,
            rows=rows,
            weight_sets=weight_sets,
            dtype=flat.dtype,
            device=flat.device,
            multiplies_sparse=self.augmentation is None and self.module_.multiplies(X),
        )

    def chunk_size(self, width: int) -> int:
        """Count the rows that are predicted at a time, a multiple of `ROW_GROUP`.

        Parameters
        ----------
        width : int
            Values of a row of inputs.

        Returns
        -------
        size : int
            The number of rows.
        """
        arch = self.module_.architecture
        widest = max(width, arch.n_outputs, *arch.hidden_units, 1)
        n_groups = _CHUNK_ELEMENTS // (widest * arch.n_members * ROW_GROUP)
        return ROW_GROUP * max(_MIN_GROUPS, n_groups)

    @property
    def draws_noise(self) -> bool:
        """Whether training draws from the network's generator."""
        return bool(self.module_.dropout_layers()) or self.augmentation is not None

    def seed_noise(self, seed: int) -> None:
        """Seed the network's generator; each process of a group draws its own masks."""
        rank = 0 if self.processes is None else self.processes.rank
        self.module_.generator.manual_seed(seed + rank)

    # ---- a training ----------------------------------------------------------------

    @property
    def training_(self) -> Training:
        """State of the present training; there is one between its start and its end."""
        if self._training is None:
            raise RuntimeError("The net is not in training.")
        return self._training

    @property
    def is_in_training(self) -> bool:
        """Whether a training has started and not ended."""
        return self._training is not None

    def partial_fit(self, X, y=None, classes=None, *, epochs=None, **fit_params):
        """Train on data `X`, with validation data `y` or None.

        Parameters
        ----------
        X, y : Data
            Training and validation data.
        classes : None
            For skorch; not used.
        epochs : int, default=None
            Number of epochs; None is `max_epochs`.
        **fit_params : dict
            For skorch; not used.

        Returns
        -------
        self : Net
            With the weights that its members kept.
        """
        self.start()
        self.notify("on_train_begin", X=X, y=y)
        work = self.module_.flat.numel() * self.batch_size
        with threads_for(work):
            try:
                self.fit_loop(X, y, epochs=epochs)
            finally:
                self._load_kept()
                self.end()
        self.notify("on_train_end", X=X, y=y)
        return self

    def start(self) -> None:
        """Start a training: every member runs, and its weights are kept."""
        module = self.module_
        compute_gradient = choose_gradient(module, self.criterion_)
        hooks = {
            name
            for name in _BATCH_HOOKS
            for _, callback in self.callbacks_
            if getattr(type(callback), name) is not getattr(Callback, name)
        }
        self.running_ = np.ones(self.n_members, dtype=bool)
        self.n_finished_ = 0
        self._training = Training(
            self._make_objective(hooks),
            compute_gradient,
            KeptWeights(module, copies=not self.solver.full_batch),
            hooks,
            trained=self.running_.copy(),
            update=self._update_function(),
            is_lean=isinstance(compute_gradient, ByHand)
            and self.solver.is_lean
            and self.augmentation is None
            and not hooks,
        )

    def _make_objective(self, hooks: set[str]) -> Objective:
        notify = self._notify_gradient if "on_grad_computed" in hooks else None
        return Objective(
            self.module_,
            self.criterion_,
            alpha=self.alpha,
            l1_ratio=self.l1_ratio,
            label_smoothing=self.label_smoothing,
            augmentation=self.augmentation,
            decouples_decay=self.solver.decouples_decay,
            processes=self.processes,
            after_gradient=notify,
        )

    def _update_function(self) -> Callable[[], Any] | None:
        """Return the function that takes a step from the gradient in the flat buffer.

        It is None for solvers that evaluate the gradient themselves.
        """
        if not self.solver.steps_by_gradient:
            return None
        optimizer = self.optimizer_
        return optimizer.update if self.solver.is_lean else optimizer.step

    def _load_kept(self) -> None:
        """Load the kept weights, also after an interrupt."""
        kept = self.training_.kept
        if self.average_ is not None:
            self.average_.end_epoch()
            if not kept.are_current():
                self.average_.n_steps = 0  # further steps go on from the kept weights
        kept.load()

    def end(self) -> None:
        """End a training: make ready to predict, and release its memory."""
        self.module_.eval()
        self._training = None

    # ---- epochs --------------------------------------------------------------------

    def fit_loop(self, X, y=None, epochs=None, **fit_params):
        """Train epoch by epoch until every member has stopped."""
        training = self.training_
        train = training.batches = self.get_iterator(X, training=True)
        valid = None if y is None else self.get_iterator(y)
        datasets = {"dataset_train": X, "dataset_valid": y}
        if self.resume is not None:
            self.resume()
            if self.processes is not None:
                self.processes.check_same("finished epochs", self.n_finished_)
        for _ in range(self.n_finished_, epochs or self.max_epochs):
            if self.is_over():
                break
            training.trained = self.running_.copy()
            self.notify("on_epoch_begin", **datasets)
            self.run_single_epoch(train, True, "train", self.train_step)
            if valid is not None:
                training.outputs.clear()
                self.run_single_epoch(valid, False, "valid", self.validation_step)
            self.n_epochs_ += 1
            self.n_samples_ += len(X)
            self.end_epoch(datasets)
        return self

    def is_over(self) -> bool:
        """Whether to leave the loop before its last epoch."""
        return not self.running_.any() or self.running_.mean() < self.quorum

    def end_epoch(self, datasets: Mapping[str, Data | None]) -> None:
        """Notify the callbacks, some of which may stop the training.

        Parameters
        ----------
        datasets : mapping
            Training and validation data, by skorch's names.
        """
        try:
            self.notify("on_epoch_end", **datasets)
        except KeyboardInterrupt:
            # skorch's EarlyStopping raises it; the user's own reaches the caller
            if not any(_has_stopped(callback) for _, callback in self.callbacks_):
                raise
            self.running_[:] = False
        self.note_finished_epoch()

    def note_finished_epoch(self) -> None:
        """Count the present epoch as finished; its results are kept."""
        self.n_finished_ = len(self.history)

    def run_single_epoch(self, iterator, training, prefix, step_fn, **fit_params):
        """Take a step on each batch, and record the mean loss."""
        if self.module_.training != training:  # a walk over all modules
            self._set_training(training)
        if training:
            self._begin_epoch(len(iterator))
        average = self.average_ if training else None
        varies = training and self.rates_.varies_by_batch
        step = step_fn
        if self.training_.hooks:
            step = functools.partial(self._hooked_step, step_fn)
        mean_loss = MeanLoss(self.criterion_)
        with torch.inference_mode(training and self.training_.is_lean):
            for i, batch in enumerate(iterator):
                if varies:
                    self._set_rates(i / len(iterator), (i + 1) / len(iterator))
                mean_loss.add(step(batch))
                if average is not None:
                    average.add()
        if average is not None:
            average.end_epoch()
        loss = mean_loss.value()
        if training and self.processes is not None:
            loss = self.processes.add_up_numbers(loss)
        self.record(f"{prefix}_loss", loss)

    def _begin_epoch(self, n_batches: int) -> None:
        self._set_rates(0.0, 1 / n_batches)
        self.training_.epoch_values["lr"] = self.rates_.of_members()
        self._history_row()["lr"] = float(self.rates_.values.mean())
        if self.average_ is not None:
            self.average_.begin_epoch(n_batches)

    def _set_rates(self, done: float, next_done: float) -> None:
        """Set the learning rates for the given fractions of the epoch."""
        # a user's callback may have set `lr`
        scale = self.lr / self.step_settings[0].learning_rate
        progress = self.n_epochs_, self.n_samples_, done, next_done
        self.rates_.update(self.optimizer_.param_groups, *progress, scale=scale)
        self.training_.objective.set_rates(self.rates_.of_members())

    def record(self, name: str, values: NDArray) -> None:
        """Record a value per member, and in the history the mean of those that train.

        Parameters
        ----------
        name : str
            Key of the history.
        values : ndarray of shape (n_members,) or ()
            The values.
        """
        if self.processes is not None:  # all processes decide by the same numbers
            values = self.processes.agree(values)
        training = self.training_
        training.epoch_values[name] = values = np.atleast_1d(values)
        mean = values[0] if len(values) == 1 else values[training.trained].mean()
        self._history_row()[name] = float(mean)

    def _history_row(self) -> dict[str, Any]:
        """Return the row of the present epoch; skorch's look-up copies the history."""
        return list.__getitem__(self.history, -1)

    def finish(self, member: int) -> None:
        """Stop a member; its kept weights are its result."""
        self.running_[member] = False

    # ---- steps ---------------------------------------------------------------------

    def train_step(self, batch: Batch, **fit_params) -> Step:
        """Take one step of the solver on a batch.

        Parameters
        ----------
        batch : Batch
            The batch.
        **fit_params : dict
            For skorch; not used.

        Returns
        -------
        step : Step
            What is needed to compute the loss before the step, penalty included.
        """
        training = self.training_
        objective = training.objective
        batch = objective.prepare(batch)
        if training.update is None:
            return self._step_with_closure(batch)
        step = objective.gradient(training.compute_gradient, batch)
        if objective.decouples_decay:
            objective.decay()
        training.update()
        return step

    def _step_with_closure(self, batch: Batch) -> Step:
        """Take a step of a solver that evaluates the gradient itself."""
        training = self.training_
        steps: list[Step] = []
        generator = self.module_.generator
        masks = generator.get_state() if self.draws_noise else None

        def closure() -> Tensor:
            if masks is not None:  # all evaluations of a step draw the same masks
                generator.set_state(masks)
            step = training.objective.gradient(training.compute_gradient, batch)
            steps.append(step)
            return training.objective.loss(step).sum()

        self.optimizer_.step(closure)
        return steps[0]

    @torch.no_grad()
    def validation_step(self, batch: Batch, **fit_params) -> Step:
        """Compute the outputs of a batch; their loss has no penalty."""
        X, y, weight, n_rows = batch
        raw = self.module_(X)
        self.training_.outputs.append(raw)
        size = n_rows if weight is None else weight.sum(dim=-1)
        return Step(raw, y, size, weight)

    def evaluation_step(self, batch, training=False):
        """Compute the raw outputs of a batch, for skorch's own prediction."""
        return super().evaluation_step(batch.pair, training=training)

    # ---- hooks of batches ----------------------------------------------------------

    def _hooked_step(self, step_fn: Callable[[Batch], Step], batch: Batch) -> Step:
        """Take a step between its hooks; a process of a group passes its own rows."""
        is_training = self.module_.training
        rows = batch
        if is_training and self.processes is not None:
            rows = self.processes.share(batch)
        arguments = {"batch": rows.pair, "training": is_training}
        self._notify_batch("on_batch_begin", **arguments)
        step = step_fn(batch)
        if "on_batch_end" in self.training_.hooks:
            loss = self.training_.objective.loss(step)
            y_pred = step.raw.clone()
            self._notify_batch("on_batch_end", **arguments, loss=loss, y_pred=y_pred)
        return step

    def _notify_gradient(self, module: MLP, batch: Batch) -> None:
        self._notify_batch(
            "on_grad_computed",
            named_parameters=module.named_parameters(),
            batch=batch.pair,
            training=True,
        )

    def _notify_batch(self, hook: str, **kwargs) -> None:
        if hook in self.training_.hooks:
            for _, callback in self.callbacks_:
                getattr(callback, hook)(self, **kwargs)


def make_net(
    architecture: Architecture,
    *,
    loss: str | Callable,
    kind: str,
    device: str,
    loss_params: Mapping[str, Any] | None = None,
    solver: Solver = SOLVERS["adam"],
    step_settings: Sequence[StepSettings] = (
        StepSettings(1e-3, SCHEDULES["constant"], 1),
    ),
    callbacks: Sequence = (),
    **kwargs,
) -> Net:
    """Build and initialise a net.

    Parameters
    ----------
    architecture : Architecture
        Architecture of the network.
    loss : str or callable
        See `get_loss`.
    kind : str
        Kind of the targets, a key of the loss's terms.
    device : str
        Torch device.
    loss_params : dict, default=None
        Parameters of the loss.
    solver : Solver, default=adam
        Row of the solver.
    step_settings : sequence of StepSettings, default=(StepSettings(1e-3, constant, 1),)
        Settings of the steps, of all members or of each.
    callbacks : sequence, default=()
        Callbacks of skorch.
    **kwargs : dict
        Further arguments of `Net`.

    Returns
    -------
    net : Net
        With an uninitialised network: draw or load its weights.
    """
    net = Net(
        MLP,
        Criterion,
        criterion__loss=loss,
        criterion__kind=kind,
        criterion__params=loss_params,
        solver=solver,
        optimizer=solver.optimizer,
        step_settings=step_settings,
        lr=step_settings[0].learning_rate,
        max_epochs=max(settings.max_epochs for settings in step_settings),
        callbacks=list(callbacks),
        train_split=None,
        verbose=0,
        device=device,
        **{f"module__{name}": value for name, value in architecture.to_dict().items()},
        **kwargs,
    )
    return net.initialize()


def _has_stopped(callback) -> bool:
    return isinstance(callback, EarlyStopping) and callback.misses_ >= callback.patience
