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

from sk_deep._data.batches import Batch, Batches, Data
from sk_deep._engine.data_parallel import ProcessGroup
from sk_deep._engine.kept_weights import WeightAverage
from sk_deep._engine.mean_loss import MeanLoss, Step
from sk_deep._engine.network_data import chunk_size, make_data
from sk_deep._engine.rates import (
    Rates,
    StepSettings,
    build_optimizer,
    group_members,
)
from sk_deep._engine.threads import threads_for
from sk_deep._engine.training import Training, start_training
from sk_deep.augmentation import Augment
from sk_deep.losses import Criterion
from sk_deep.network import MLP, Architecture
from sk_deep.schedules import SCHEDULES
from sk_deep.solvers import SOLVERS, Solver


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
            self.optimizer_: Any = build_optimizer(module, solver, self.rates_)
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
            return Batches(
                dataset, chunk_size(self.module_.architecture, dataset.inputs.width)
            )
        return Batches(
            dataset,
            self.batch_size,
            random_states=self.random_states,
            joins_last_row=self.module_.mixes_rows,
        )

    def data(self, X, y=None, weight=None, *, rows=None, weight_sets=None) -> Data:
        """Make data of this network's dtype, on its device; see `Data`."""
        sets = {"rows": rows, "weight_sets": weight_sets}
        multiplies = self.augmentation is None and self.module_.multiplies(X)
        return make_data(self.module_, X, y, weight, **sets, multiplies=multiplies)

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
        """Train on data `X` with validation data `y`, for `max_epochs` by default."""
        self.start()
        self.notify("on_train_begin", X=X, y=y)
        work = self.module_.flat.numel() * self.batch_size
        with threads_for(work):
            try:
                self.fit_loop(X, y, epochs=epochs)
            finally:
                self.training_.kept.load(self.average_)
                self.end()
        self.notify("on_train_end", X=X, y=y)
        return self

    def start(self) -> None:
        """Start a training: every member runs, and its weights are kept."""
        self.running_ = np.ones(self.n_members, dtype=bool)
        self.n_finished_ = 0
        self._training = start_training(self)

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
        """Notify the callbacks, some of which may stop the training."""
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
        state, step = self.training_, step_fn
        if state.hooks.names:
            step = functools.partial(state.hooks.around, step_fn, state.objective)
        mean_loss = MeanLoss(self.criterion_)
        with torch.inference_mode(training and state.is_lean):
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
        self.training_.record_rates(self.rates_, self.history)
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
        """Record values of members, and in the history the mean of those that train."""
        self.training_.record(name, values, self.history)

    def train_step(self, batch: Batch, **fit_params) -> Step:
        """Take one step of the solver on a batch."""
        return self.training_.step(batch)

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


def _has_stopped(callback) -> bool:
    return isinstance(callback, EarlyStopping) and callback.misses_ >= callback.patience


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
