"""The skorch net inside the estimators, and its only builder."""

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.random import RandomState
from numpy.typing import NDArray
from skorch import NeuralNet
from skorch.callbacks import Callback, EarlyStopping
from torch import Tensor

from sk_deep._data.batches import Batch, Batches, Data
from sk_deep._engine.cuda_graphs import GradientFunction
from sk_deep._engine.data_parallel import ProcessGroup
from sk_deep._engine.gradients import ByHand, choose_gradient
from sk_deep._engine.kept_weights import WeightAverage
from sk_deep._engine.mean_loss import MeanLoss, Step, total_loss
from sk_deep._engine.penalty import Number, decay, penalise
from sk_deep._engine.rates import StepSettings, group_members
from sk_deep._engine.threads import threads_for
from sk_deep.augmentation import Augment
from sk_deep.losses import Criterion, smooth, soft_targets
from sk_deep.network import MLP, Architecture
from sk_deep.schedules import SCHEDULES
from sk_deep.solvers import SOLVERS, Solver, make_optimizer

_CHUNK_ELEMENTS = 2**19  # of the widest layer in prediction: they stay in the cache
ROW_GROUP = 8  # rows in whole groups are added up nearly alike, whatever their number
_MIN_GROUPS = 8  # of a chunk: fewer rows at a time are slow in wide networks
_BATCH_HOOKS = ("on_batch_begin", "on_batch_end", "on_grad_computed")


class Net(NeuralNet):
    """A skorch net with a lean training loop.

    It differs from its base in this: batches come whole, from `Data`; the loss is
    added up on the device and read once per epoch; history is kept per epoch; the
    hooks of batches run only if a callback has them; an interrupt reaches the caller.

    Parameters
    ----------
    module, criterion : type
        Classes of the network and of the loss.
    solver : Solver
        Row of the solver.
    step_settings : sequence of StepSettings
        What sets the steps: one for all members, or one for each.
    alpha, l1_ratio : float or ndarray of shape (n_members,), default=0.0
        Strength of the penalty on the weights, and the L1 part of it.
    label_smoothing : float or ndarray of shape (n_members,), default=0.0
        Part of the targets that is spread over all classes.
    augmentation : Augment, default=None
        What is done to each batch.
    averaging : float, default=None
        Number of epochs over which weights are averaged; None is not at all.
    random_states : sequence of RandomState, default=()
        Each member's source of shuffles; empty does not shuffle.
    processes : ProcessGroup, default=None
        The processes that train this network together; None is this one alone.
    **kwargs : dict
        Arguments of `skorch.NeuralNet`.

    Attributes
    ----------
    running_ : ndarray of bool of shape (n_members,)
        Which members still train.
    quorum : float
        Part of the members below which those that run leave the loop, too.
    resume : callable or None
        Called before the first epoch; it may bring the training to where it once was.
    trained_ : ndarray of bool of shape (n_members,)
        Which members train, or trained, in the present epoch.
    epoch_values_ : dict of str to ndarray of shape (n_members,)
        What was recorded in the last epoch, member by member.
    groups_ : list of slice
        The members that the optimizer steps together, see `group_members`.
    rates_, reductions_ : ndarray of shape (n_groups,)
        Learning rates, and the factors on them that plateaus brought.
    n_epochs_, n_samples_ : int
        Epochs of this optimizer, and rows seen in all.
    n_finished_ : int
        Epochs that the present training has finished.
    average_ : WeightAverage or None
        The average of the weights.
    catch_up_ : callable or None
        Brings `module_` up to date, where it is not what the loop trains.
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

    def initialize_module(self):
        """Build the network on its device, where its flat buffers stay."""
        self.module_ = self.module(**self.get_params_for("module"), device=self.device)
        return self

    def initialize_optimizer(self, triggered_directly=None):
        """Build the optimizer over the flat buffer."""
        self.groups_ = group_members(
            self.step_settings, self.n_members, together=self.solver.elementwise
        )
        if self.optimizer is not None:
            groups = [
                {"params": self._leaves(group), **settings.arguments}
                for group, settings in self._groups_with_settings()
            ]
            first = self.step_settings[0]
            self.optimizer_ = make_optimizer(
                self.optimizer, groups, lr=first.learning_rate, **first.arguments
            )
        self.average_ = None
        if self.averaging is not None:
            tensors = self.module_.flat, self.module_.flat_buffers
            self.average_ = WeightAverage(tensors, self.averaging)
        self.reductions_ = np.ones(len(self.groups_))
        self.n_epochs_ = self.n_samples_ = self.n_finished_ = 0
        self.loaded_training_ = None
        return self

    def call_first(self, callbacks: Sequence[Callback]) -> None:
        """Put callbacks before those there are."""
        self.callbacks_ = [(type(c).__name__, c) for c in callbacks] + self.callbacks_

    @property
    def n_members(self) -> int:
        """Number of networks."""
        return self.module_.architecture.n_members

    def _groups_with_settings(self) -> Iterator[tuple[slice, StepSettings]]:
        """Yield the groups, and what sets their steps."""
        for group in self.groups_:
            yield (
                group,
                self.step_settings[group.start if len(self.step_settings) > 1 else 0],
            )

    def _leaves(self, group: slice) -> list[Tensor]:
        """List the tensors of a group of members to optimise."""
        module = self.module_
        if self.solver.elementwise:
            rows = group if module.members else ...
            return [_leaf(module.flat[rows], module.flat_grad[rows])]
        if not module.members:
            return list(module.parameters())
        i = group.start
        return [_leaf(p.data[i], p.grad[i]) for p in module.parameters()]

    # ---- training ------------------------------------------------------------------

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
        """Count the rows that are predicted at a time, in whole groups.

        Parameters
        ----------
        width : int
            Values of a row of inputs.

        Returns
        -------
        size : int
            The number.
        """
        a = self.module_.architecture
        widest = max(width, a.n_outputs, *a.hidden_units, 1)
        n_groups = _CHUNK_ELEMENTS // (widest * a.n_members * ROW_GROUP)
        return ROW_GROUP * max(_MIN_GROUPS, n_groups)

    def partial_fit(self, X, y=None, classes=None, *, epochs=None, **fit_params):
        """Train on data `X`, with validation data `y` or None.

        Parameters
        ----------
        X, y : Data
            Training and validation data.
        classes : None
            Of skorch; not used.
        epochs : int, default=None
            Number of epochs; None is `max_epochs`.
        **fit_params : dict
            Of skorch; not used.

        Returns
        -------
        self : Net
            Its members hold the weights that were kept.
        """
        self.start()
        self.notify("on_train_begin", X=X, y=y)
        work = self.module_.flat.numel() * self.batch_size
        with threads_for(work):
            try:
                self.fit_loop(X, y, epochs=epochs)
            finally:
                self._load_kept()
        self.notify("on_train_end", X=X, y=y)
        return self

    def start(self) -> None:
        """Make ready to train: every member runs, and its weights are kept."""
        module = self.module_
        self.compute_gradient_ = choose_gradient(module, self.criterion_)
        self.running_ = np.ones(self.n_members, dtype=bool)
        self.epoch_values_: dict[str, NDArray] = {}
        self.outputs_: list[Tensor] = []
        self.n_finished_ = 0
        self.catch_up_: Callable[[], None] | None = None
        self.batches_: Any = None
        self.alpha_, self.l1_ratio_, self.label_smoothing_ = (
            self._number(values)
            for values in (self.alpha, self.l1_ratio, self.label_smoothing)
        )
        self.is_penalised_ = bool(np.any(self.alpha)) and not (
            self.solver.decouples_decay
        )
        self.smooths_labels_ = bool(np.any(self.label_smoothing))
        if self.optimizer is not None:
            self.update_ = getattr(self.optimizer_, "update", self.optimizer_.step)
        tensors = (module.flat, module.flat_buffers)
        self.kept_ = [(now.clone(), now) for now in tensors]
        self.hooked_ = {
            name
            for name in _BATCH_HOOKS
            for _, callback in self.callbacks_
            if getattr(type(callback), name) is not getattr(Callback, name)
        }
        # steps without autograd, and without any code of a user's
        self.is_lean_ = (
            self.optimizer is not None
            and isinstance(self.compute_gradient_, ByHand)
            and self._steps_by_gradient
            and hasattr(self.optimizer_, "update")
            and self.augmentation is None
            and not self.hooked_
        )

    @property
    def _steps_by_gradient(self) -> bool:
        """Whether the solver asks for one gradient a step, in the flat buffer."""
        return self.solver.elementwise and not self.solver.needs_closure

    def fit_loop(self, X, y=None, epochs=None, **fit_params):
        """Train epoch by epoch until every member has stopped."""
        train = self.batches_ = self.get_iterator(X, training=True)
        valid = None if y is None else self.get_iterator(y)
        datasets = {"dataset_train": X, "dataset_valid": y}
        if self.resume is not None:
            self.resume()
            if self.processes is not None:
                self.processes.check_same("finished epochs", self.n_finished_)
        for _ in range(self.n_finished_, epochs or self.max_epochs):
            if self.is_over():
                break
            self.trained_ = self.running_.copy()
            self.notify("on_epoch_begin", **datasets)
            self.run_single_epoch(train, True, "train", self.train_step)
            if valid is not None:
                self.outputs_.clear()
                self.run_single_epoch(valid, False, "valid", self.validation_step)
            self.n_epochs_ += 1
            self.n_samples_ += len(X)
            self.end_epoch(datasets)
        return self

    def is_over(self) -> bool:
        """Whether to leave the loop before its last epoch."""
        return not self.running_.any() or self.running_.mean() < self.quorum

    def end_epoch(self, datasets: Mapping[str, Data | None]) -> None:
        """Tell the callbacks, some of which may stop the training.

        Parameters
        ----------
        datasets : mapping
            Training and validation data, as skorch names them.
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
        """Count the present epoch as finished; its results are those kept."""
        self.n_finished_ = len(self.history)

    def run_single_epoch(self, iterator, training, prefix, step_fn, **fit_params):
        """Take a step on each batch, and record the mean loss."""
        if self.module_.training != training:  # a walk over all modules
            self._set_training(training)
        if training:
            self._set_rates(0.0, 1 / len(iterator))
            self.epoch_values_["lr"] = self.member_rates()
            self._history_row()["lr"] = float(self.rates_.mean())
        average = self.average_ if training else None
        if average is not None:
            average.begin_epoch(len(iterator))
        varies = training and any(
            settings.schedule.per_batch for settings in self.step_settings
        )
        step = functools.partial(self._hooked, step_fn) if self.hooked_ else step_fn
        mean_loss = MeanLoss(self.criterion_)
        with torch.inference_mode(training and self.is_lean_):
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

    def _hooked(self, step_fn: Callable[[Batch], Step], batch: Batch) -> Step:
        """Take a step, and tell the callbacks; those of a team of their share of it."""
        training = self.module_.training
        own = self.processes.share(batch) if training and self.processes else batch
        known = {"batch": own.pair, "training": training}
        self._notify_batch("on_batch_begin", **known)
        step = step_fn(batch)
        if "on_batch_end" in self.hooked_:
            done = {"loss": self.loss(step), "y_pred": step.raw.clone()}
            self._notify_batch("on_batch_end", **known, **done)
        return step

    def _notify_batch(self, hook: str, **kwargs) -> None:
        if hook in self.hooked_:
            for _, callback in self.callbacks_:
                getattr(callback, hook)(self, **kwargs)

    def train_step(self, batch: Batch, **fit_params) -> Step:
        """Take one step of the solver on a batch.

        Parameters
        ----------
        batch : Batch
            The batch.
        **fit_params : dict
            Of skorch; not used.

        Returns
        -------
        step : Step
            What tells the loss before it, penalty included.
        """
        batch = self.prepare(batch)
        if self._steps_by_gradient:
            step = self.gradient(self.compute_gradient_, batch)
            if self.solver.decouples_decay:
                decay(self.module_, self.decay_, self.l1_ratio_)
            self.update_()
            return step
        steps: list[Step] = []
        generator = self.module_.generator
        masks = generator.get_state() if self.draws_noise else None

        def closure() -> Tensor:
            if masks is not None:  # the function stands still during a step
                generator.set_state(masks)
            steps.append(self.gradient(self.compute_gradient_, batch))
            return self.loss(steps[-1]).sum()

        self.optimizer_.step(closure)
        return steps[0]

    @property
    def draws_noise(self) -> bool:
        """Whether training draws from the network's generator."""
        return bool(self.module_.dropout_layers()) or self.augmentation is not None

    def seed_noise(self, seed: int) -> None:
        """Seed the network's generator; each process of a team draws its own masks."""
        rank = 0 if self.processes is None else self.processes.rank
        self.module_.generator.manual_seed(seed + rank)

    def prepare(self, batch: Batch) -> Batch:
        """Augment a batch, and smooth its labels.

        Parameters
        ----------
        batch : Batch
            The batch.

        Returns
        -------
        batch : Batch
            The same, or new tensors.
        """
        if self.augmentation is None and not self.smooths_labels_:
            return batch
        X, y, weight, n_rows = batch
        if self.augmentation is not None:
            if self.augmentation.mixes_targets:
                y = self._soft_targets(y)
            X, y, weight = self.augmentation(X, y, weight, self.module_.generator)
            self._check_number_of_classes(y)
        if self.smooths_labels_:
            y = self._soft_targets(y)
            is_indicator = self.criterion_.kind == "binary"
            amount = self.label_smoothing_
            if isinstance(amount, Tensor):
                amount = amount[:, None, None]
            y = smooth(y, amount, 2 if is_indicator else y.shape[-1])
        return Batch(X, y, weight, n_rows)

    def _check_number_of_classes(self, y: Tensor) -> None:
        """Check what a user's augmentation made of class indices."""
        n_classes = self.module_.architecture.n_outputs
        is_soft = self.criterion_.kind == "multiclass" and y.is_floating_point()
        if is_soft and y.shape[-1] != n_classes:
            raise ValueError(
                f"augmentation must give probabilities of {n_classes} classes, however:"
                f" y is of shape {tuple(y.shape)}."
            )

    def _soft_targets(self, y: Tensor) -> Tensor:
        module = self.module_
        return soft_targets(y, module.architecture.n_outputs, module.flat)

    def gradient(self, compute_gradient: GradientFunction, batch: Batch) -> Step:
        """Put the gradient of a batch's loss into the flat buffer.

        The loss is (sum(w l) + alpha (r |W|_1 + (1 - r) / 2 |W|^2)) / sum(w), with
        r = l1_ratio; as scikit-learn's at r = 0.

        Parameters
        ----------
        compute_gradient : GradientFunction
            The way to the gradient of a network.
        batch : Batch
            The batch.

        Returns
        -------
        step : Step
            What tells the loss.
        """
        processes = self.processes
        if processes is not None:
            batch = processes.share(batch)
        X, y, weight, n_rows = batch
        share, total = (
            (1 / n_rows, n_rows) if weight is None else _shares(weight, processes)
        )
        raw, losses = compute_gradient(X, y, share)
        if processes is not None:
            gradient = compute_gradient.module.flat_grad
            gradient.copy_(processes.add_up(gradient))
        norm, strength = None, self.alpha_ / total
        if self.is_penalised_:
            norm = penalise(compute_gradient.module, strength, self.l1_ratio_)
        if self.hooked_:
            named = compute_gradient.module.named_parameters()
            self._notify_batch(
                "on_grad_computed",
                named_parameters=named,
                batch=batch.pair,
                training=True,
            )
        if processes is not None and processes.rank > 0:
            norm = None  # the first process counts the penalty
        if weight is None:
            return Step(raw, y, n_rows, None, losses, norm, self.alpha_ / 2)
        counts = n_rows.unsqueeze(-1) if isinstance(n_rows, Tensor) else n_rows
        factor = strength * (n_rows / 2)
        return Step(raw, y, n_rows, share * counts, losses, norm, factor)

    def loss(self, step: Step) -> Tensor:
        """Compute the loss of a step, () or (n_members,)."""
        loss = total_loss(self.criterion_, [step]) / step.size
        return loss if self.processes is None else self.processes.add_up(loss)

    def _set_rates(self, done: float, next_done: float) -> None:
        """Set the learning rates, with the given parts of the epoch done."""
        progress = self.n_epochs_, self.n_samples_, done, next_done
        rates = [
            settings.rate(*progress) for _, settings in self._groups_with_settings()
        ]
        # a callback of the user's may have set `lr`
        scale = self.lr / self.step_settings[0].learning_rate
        self.rates_ = np.array(rates) * self.reductions_ * scale
        for group, rate in zip(self.optimizer_.param_groups, self.rates_, strict=True):
            group["lr"] = float(rate)
        if self.solver.decouples_decay:
            self.decay_ = self._number(self.member_rates() * self.alpha)

    def member_rates(self) -> NDArray:
        """Tell the learning rate of each member."""
        sizes = [group.stop - group.start for group in self.groups_]
        return np.repeat(self.rates_, sizes)

    def rate_on_plateau(self, member: int) -> float | None:
        """Tell the learning rate of a member, if plateaus reduce it."""
        settings = self.step_settings[member if len(self.step_settings) > 1 else 0]
        reduces = settings.schedule.reduces_on_plateau
        return float(self.rates_[self.group_of(member)]) if reduces else None

    def slow_down(self, member: int, divisor: float) -> None:
        """Divide the learning rate of a member from the next epoch on."""
        self.reductions_[self.group_of(member)] /= divisor

    def group_of(self, member: int) -> int:
        """Find the group of a member."""
        return next(i for i, group in enumerate(self.groups_) if member < group.stop)

    def _number(self, values: float | NDArray) -> Number:
        """Take members' numbers to the device, or the one that all share."""
        first, *others = np.ravel(values).tolist()
        if all(other == first for other in others):
            return first
        return self.module_.flat.new_tensor([first, *others])

    @torch.no_grad()
    def validation_step(self, batch: Batch, **fit_params) -> Step:
        """Compute the outputs of a batch; their loss has no penalty."""
        X, y, weight, n_rows = batch
        raw = self.module_(X)
        self.outputs_.append(raw)
        size = n_rows if weight is None else weight.sum(dim=-1)
        return Step(raw, y, size, weight)

    def record(self, name: str, values: NDArray) -> None:
        """Record a value per member, and in the history the mean of those that train.

        Parameters
        ----------
        name : str
            Key of the history.
        values : ndarray of shape (n_members,) or ()
            The values.
        """
        if self.processes is not None:  # all decide by the same numbers
            values = self.processes.agree(values)
        self.epoch_values_[name] = values = np.atleast_1d(values)
        mean = values[0] if len(values) == 1 else values[self.trained_].mean()
        self._history_row()[name] = float(mean)

    def _history_row(self) -> dict[str, Any]:
        """Take the row of the present epoch; skorch's look-up copies the history."""
        return list.__getitem__(self.history, -1)

    # ---- what is kept --------------------------------------------------------------

    def keep(self, members: Sequence[int]) -> None:
        """Keep the present weights of members as their results."""
        if len(members) == self.n_members:
            for kept, now in self.kept_:
                kept.copy_(now)
        elif len(members):
            index = torch.as_tensor(members, device=self.device)
            for kept, now in self.kept_:
                kept.index_copy_(0, index, now.index_select(0, index))

    def kept_of(self, member: int) -> list[Tensor]:
        """Copy the parameters and the buffers that a member kept."""
        index = (member,) if self.module_.members else ()
        return [kept[index].clone() for kept, _ in self.kept_]

    def finish(self, member: int) -> None:
        """Take a member's kept weights as its result, whatever follows."""
        self.running_[member] = False

    def _load_kept(self) -> None:
        if self.average_ is not None:
            self.average_.end_epoch()  # of one that was interrupted
            if any(not kept.equal(now) for kept, now in self.kept_):
                self.average_.n_steps = 0  # what follows goes on from what is kept
        for kept, now in self.kept_:
            now.copy_(kept)
        self.end()

    def end(self) -> None:
        """Make ready to predict, and let go of the memory of training."""
        self.module_.eval()
        self.compute_gradient_ = self.batches_ = None
        self.kept_, self.outputs_ = [], []

    def evaluation_step(self, batch, training=False):
        """Compute the raw outputs of a batch, for skorch's own prediction."""
        return super().evaluation_step(batch.pair, training=training)


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
        What the network is.
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
        What sets the steps: one for all members, or one for each.
    callbacks : sequence, default=()
        Of skorch.
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


def _leaf(view: Tensor, gradient: Tensor) -> Tensor:
    """Make a tensor that an optimizer takes, sharing memory with both."""
    leaf = view.detach()
    leaf.grad = gradient
    return leaf


def _has_stopped(callback) -> bool:
    return isinstance(callback, EarlyStopping) and callback.misses_ >= callback.patience


def _shares(weight: Tensor, processes: ProcessGroup | None) -> tuple[Tensor, Tensor]:
    """Share of each row in the batch's loss, w / sum(w), and the sum."""
    total = weight.sum(dim=-1, keepdim=True)
    if processes is not None:
        total = processes.add_up(total)
    # NOTE[DIFF] batches that weigh nothing: scikit-learn divides by zero
    total = total.where(total > 0, torch.inf)
    return weight / total, total.squeeze(-1)
