"""The plan of a fit: from constructor parameters and data to the parts of a net."""

import copy
import inspect
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from numbers import Real
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from skorch.callbacks import Callback

from sk_deep._compat import is_in_bad_fork
from sk_deep._data.tensors import float_dtype
from sk_deep._engine.data_parallel import ProcessGroup, process_group
from sk_deep._engine.net import Net, make_net
from sk_deep._engine.rates import StepSettings
from sk_deep._engine.regularization import DropoutAnnealing
from sk_deep._estimator import checks
from sk_deep._estimator.parameters import PARAMETERS, parameter_of
from sk_deep._param_dicts import check_names, check_params
from sk_deep.augmentation import Augment, get_augmentation
from sk_deep.dropouts import DROPOUT_SCHEDULES, DROPOUTS
from sk_deep.exceptions import warn_user
from sk_deep.losses import get_loss
from sk_deep.network import Architecture
from sk_deep.schedules import INERT_SCHEDULE, SCHEDULES, WARMUP, Schedule, get_schedule
from sk_deep.solvers import Solver, get_solver

_SMALL_STEP = 10**6  # weights x batch up to which float64 costs next to nothing


@dataclass(frozen=True)
class FitPlan:
    """What a fit of an estimator on some rows does, or that of a stack of them.

    Parameters
    ----------
    architecture : Architecture
        The network, without its weights.
    loss : str or callable
        The loss, see `get_loss`.
    kind : str
        Kind of the targets, a key of the loss's terms.
    loss_params : dict
        Parameters of the loss.
    device : str
        Torch device.
    solver : Solver
        Row of the solver.
    step_settings : sequence of StepSettings
        Of all members, or of each.
    alpha, l1_ratio, label_smoothing : float or ndarray of shape (n_members,)
        Penalty on the weights, and part of the targets that is spread over all classes.
    augmentation : Augment or None
        What is done to each batch.
    averaging : float or None
        Number of epochs over which weights are averaged.
    weight_init : str
        Key of `INITIALIZERS`.
    batch_size : int
        Rows of a batch, before it is clipped to the rows there are.
    clips_batches : bool
        Whether a batch size above the number of rows was chosen by the user, who is
        warned.
    watches : tuple
        Key of what is watched: curves and the best value go on while it stays.
    """

    architecture: Architecture
    loss: Any
    kind: str
    loss_params: dict[str, Any]
    device: str
    solver: Solver
    step_settings: Sequence[StepSettings]
    alpha: float | NDArray
    l1_ratio: float | NDArray
    label_smoothing: float | NDArray
    augmentation: Augment | None
    averaging: float | None
    weight_init: str
    batch_size: int
    clips_batches: bool
    watches: tuple

    def make_net(
        self,
        callbacks: Sequence[Callback] = (),
        processes: ProcessGroup | None = None,
    ) -> Net:
        """Build the net that trains, with an uninitialised network."""
        return make_net(
            self.architecture,
            loss=self.loss,
            kind=self.kind,
            loss_params=self.loss_params,
            device=self.device,
            solver=self.solver,
            step_settings=self.step_settings,
            alpha=self.alpha,
            l1_ratio=self.l1_ratio,
            label_smoothing=self.label_smoothing,
            augmentation=self.augmentation,
            averaging=self.averaging,
            callbacks=callbacks,
            processes=processes,
        )

    @property
    def draws_noise(self) -> bool:
        """Whether training draws masks or other noise."""
        arch = self.architecture
        drops = np.any(arch.dropout) or np.any(arch.input_dropout)
        return bool(drops) or self.augmentation is not None

    def clipped_batch_size(self, n_rows: int) -> int:
        """Count the rows of a batch of training data, and warn if there are fewer."""
        if self.clips_batches and self.batch_size > n_rows:
            warn_user(
                "Got `batch_size` less than 1 or larger than "
                "sample size. It is going to be clipped"
            )
        size = min(self.batch_size, n_rows)
        name = self.architecture.normalization
        if size < 2 and self.architecture.mixes_rows:
            raise ValueError(
                f"normalization={name!r} needs batches of at least 2 samples, got "
                f"{size} sample."
            )
        return size

    def of_one_network(self) -> "FitPlan":
        """Return the plan of a single network of an ensemble."""
        return replace(self, architecture=replace(self.architecture, n_members=1))

    @classmethod
    def of_stack(cls, plans: Sequence["FitPlan"]) -> "FitPlan":
        """Join plans of single networks to that of a stack."""
        first = plans[0]
        if len(plans) == 1:
            return first
        archs = [plan.architecture for plan in plans]
        per_layer = zip(*(arch.dropout for arch in archs), strict=True)
        architecture = replace(
            archs[0],
            n_members=len(archs),
            dropout=[_one_or_each(probabilities) for probabilities in per_layer],
            input_dropout=_one_or_each(arch.input_dropout for arch in archs),
        )
        return replace(
            first,
            architecture=architecture,
            step_settings=[plan.step_settings[0] for plan in plans],
            alpha=np.array([plan.alpha for plan in plans]),
            l1_ratio=np.array([plan.l1_ratio for plan in plans]),
            label_smoothing=np.array([plan.label_smoothing for plan in plans]),
        )


def _one_or_each(values: Iterable[Any]) -> Any:
    """Return one value if all are equal, so that nothing is done member by member."""
    first, *others = values = list(values)
    return first if all(value == first for value in others) else values


def plan_fit(estimator: Any, X: Any, old: Net | None = None) -> FitPlan:
    """Plan the fit of an estimator.

    Parameters
    ----------
    estimator : BaseMLP
        With the parameters, and what it has learned of the data.
    X : ndarray or CSR matrix of shape (n, n_inputs)
        Inputs of the network, of which shape and dtype count.
    old : Net, default=None
        Net of the last fit, if it goes on.

    Returns
    -------
    fit_plan : FitPlan
        The plan.

    Raises
    ------
    ValueError
        If parameters do not go together, or with the data.
    """
    targets = estimator._targets
    arch = architecture(estimator, X.shape[1], targets.n_outputs)
    n_rows = batch_size(estimator, X.shape[0])
    name = (
        dtype(estimator, X, arch.n_weights, n_rows)
        if old is None or estimator.dtype != "auto"
        else old.module_.architecture.dtype
    )
    row = solver(estimator)
    checks.check_early_stopping(estimator)
    return FitPlan(
        architecture=replace(arch, dtype=name),
        loss=estimator.loss,
        kind=targets.kind,
        loss_params=loss_params(estimator),
        device=device(estimator),
        solver=row,
        step_settings=[settings(estimator, row)],
        alpha=estimator.alpha,
        l1_ratio=estimator.l1_ratio,
        label_smoothing=parameter_of(estimator, "label_smoothing"),
        augmentation=augmentation(estimator, X.shape[1]),
        averaging=estimator.weight_averaging,
        weight_init=estimator.weight_init,
        batch_size=n_rows,
        clips_batches=estimator.batch_size != "auto",
        watches=(
            row.full_batch,
            bool(estimator.early_stopping),
            estimator.scoring,
            estimator.n_folds,
        ),
    )


def all_callbacks(estimator: Any) -> list[Callback]:
    """Build the callbacks of the options, and copy those of the user."""
    of_user = copy.deepcopy(checks.checked_callbacks(estimator))
    return [*callbacks([estimator]), *of_user]


def architecture(estimator, n_features: int, n_outputs: int) -> Architecture:
    """Describe the network, the dtype apart."""
    units = checks.hidden_units(estimator)
    activations = checks.per_layer(estimator.activation, len(units), "activation")
    checks.check_activations(activations, estimator.n_members)
    checks.check_maxout(estimator, activations)
    checks.check_residual(estimator, units)
    checks.check_has_hidden_layers(estimator, units)
    return Architecture(
        n_features=n_features,
        n_outputs=n_outputs,
        hidden_units=units,
        activation=activations,
        maxout_pieces=int(estimator.maxout_pieces),
        **_dropout(estimator, activations),
        normalization=estimator.normalization,
        residual=bool(estimator.residual),
        **_embeddings(estimator),
        n_members=int(estimator.n_members),
    )


def _embeddings(estimator) -> dict[str, Any]:
    """Fields of `Architecture` on what it embeds, see `sk_deep._data.columns`."""
    checks.check_has_columns(estimator)
    encoder = estimator._columns
    if encoder is None:
        return {"categories": [], "n_periodic": 0}
    categories = encoder.embedded_categories
    if categories and estimator.augmentation is not None:
        raise ValueError(
            "augmentation acts on numbers, not on codes of categories, got "
            f"augmentation={estimator.augmentation!r} and columns of more than "
            f"max_one_hot={estimator.max_one_hot} levels."
        )
    return {"categories": categories, "n_periodic": encoder.n_periodic}


def _dropout(estimator, activations: list) -> dict[str, Any]:
    """Fields of `Architecture` on dropout."""
    name = estimator.dropout_type
    row = DROPOUTS[name]
    dropout = checks.per_layer(estimator.dropout, len(activations), "dropout")
    if not all(isinstance(p, Real) and 0 <= float(p) < 1 for p in dropout):
        raise ValueError(f"dropout must be in [0, 1), got dropout={estimator.dropout}.")
    params = check_params(
        "dropout_params", name, estimator.dropout_params, row.constraints
    )
    for p, activation in zip(dropout, activations, strict=True):
        if p:
            checks.check_dropout_fits(row, name, params, activation)
    return {
        "dropout": [float(p) for p in dropout],
        "input_dropout": float(estimator.input_dropout),
        "dropout_type": name,
        "dropout_params": params,
    }


def batch_size(estimator, n_samples: int) -> int:
    """Count the rows of a batch, before it is clipped to the rows there are."""
    if estimator.batch_size == "auto":
        return min(estimator._automatic_batch_size(n_samples), n_samples)
    return int(estimator.batch_size)


def dtype(estimator, X, n_weights: int, n_rows: int) -> str:
    """Name of the network's dtype.

    Parameters
    ----------
    estimator : estimator
        With the parameters.
    X : ndarray or sparse matrix
        Training inputs, float32 or float64.
    n_weights, n_rows : int
        Weights of the network, and rows of a batch.

    Returns
    -------
    name : {"float32", "float64"}
        The dtype.
    """
    if estimator.dtype != "auto":
        return estimator.dtype
    # NOTE[DIFF] automatic dtype: scikit-learn's is that of X
    on_cpu = torch.device(device(estimator)).type == "cpu"
    is_small = n_weights * n_rows <= _SMALL_STEP
    return float_dtype(X) if on_cpu and is_small else "float32"


def processes(estimator) -> ProcessGroup | None:
    """Find the processes that train together; None is this one alone."""
    group = process_group(estimator.accelerator)
    if group is not None and checks.mixes_rows(estimator):
        raise ValueError(
            f"normalization={estimator.normalization!r} needs whole batches, got an "
            f"accelerator of {group.size} processes that share each batch."
        )
    return group


def device(estimator) -> str:
    """Torch device to train on."""
    name = estimator.device
    if estimator.accelerator is not None:
        if name != "auto":
            raise ValueError(
                "device must be 'auto' with an accelerator, which has its own device, "
                f"got {name!r}."
            )
        return str(torch.empty(0, device=estimator.accelerator.device).device)
    # NOTE[DIFF] automatic device: scikit-learn trains on the CPU
    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        kind = torch.device(name).type
    except RuntimeError as error:
        raise ValueError(
            f"device must be 'auto' or a device of torch, got {name!r}."
        ) from error
    if kind == "cuda" and not torch.cuda.is_available():
        raise RuntimeError(f"device={name!r} was requested, none available.")
    if kind == "cuda" and is_in_bad_fork():
        raise RuntimeError(
            f"device={name!r} cannot be used in a process that was forked after its "
            "parent had used the GPU: take joblib's backend 'loky', the default of "
            "n_jobs, or the start method 'spawn'."
        )
    try:
        torch.Generator(name)  # fails for a device that is not there
    except RuntimeError as error:
        raise RuntimeError(f"device={name!r} was requested, none available.") from error
    return name


def solver(estimator) -> Solver:
    """Row of the solver."""
    if callable(estimator.solver) and not (
        inspect.isclass(estimator.solver)
        and issubclass(estimator.solver, torch.optim.Optimizer)
    ):
        raise ValueError(
            "solver must be a name or a subclass of torch.optim.Optimizer, got "
            f"{estimator.solver!r}."
        )
    row = get_solver(estimator.solver)
    given = ("solver_params", estimator.solver, estimator.solver_params or {})
    if row.constraints:
        check_params(*given, row.constraints)
    else:
        check_names(*given, row.legal_params(estimator))
    if row.full_batch:
        checks.check_full_batch(estimator)
    return row


def settings(estimator, row: Solver) -> StepSettings:
    """Collect what sets the steps of a solver."""
    rate = estimator.learning_rate_init
    return StepSettings(
        row.learning_rate if rate == "auto" else float(rate),
        _schedule(estimator, row),
        int(estimator.max_iter),
        {**row.arguments(estimator), **(estimator.solver_params or {})},
    )


def _schedule(estimator, row: Solver) -> Schedule:
    """Schedule of the learning rate, with its parameters bound."""
    name = estimator.learning_rate
    if isinstance(name, str) and name in row.leaves_inert:
        name = INERT_SCHEDULE
    if row.full_batch and name != INERT_SCHEDULE:
        raise ValueError(
            f"solver={estimator.solver!r} has no learning rate to schedule, got "
            f"learning_rate={name!r}."
        )
    schedule = None if callable(name) else SCHEDULES[name]
    legal = dict(schedule.constraints) if schedule else {}
    if not row.full_batch:
        legal.update(WARMUP)
    params = check_params(
        "schedule_params", estimator.learning_rate, estimator.schedule_params, legal
    )
    if schedule and schedule.takes_power_t:
        params["power_t"] = estimator.power_t
    return get_schedule(name, **params)


def loss_params(estimator) -> dict[str, Any]:
    """Check the parameters of the loss, and copy them."""
    row = get_loss(estimator.loss)
    params = check_params(
        "loss_params", estimator.loss, estimator.loss_params, row.constraints
    )
    for name, value in params.items():
        if not np.isscalar(value):
            params[name] = np.asarray(value).tolist()
    return params


def augmentation(estimator, n_features: int) -> Augment | None:
    """Bind what is done to each batch."""
    name, params = estimator.augmentation, estimator.augmentation_params
    if name is None:
        check_params("augmentation_params", None, params, {})
        return None
    return get_augmentation(name, n_features, params)


def callbacks(estimators: Sequence) -> list[Callback]:
    """Build the callbacks of the options that act between the engine's steps.

    Parameters
    ----------
    estimators : sequence of estimator
        One for all members, or each member's, which have the same options on.

    Returns
    -------
    callbacks : list of Callback
        Of skorch.
    """
    first = estimators[0]
    built = [
        row.callback(_of_each(estimators, name))
        for name, row in PARAMETERS.items()
        if row.callback is not None and not row.is_inert(getattr(first, name))
    ]
    if checks.drops(first):
        row = DROPOUT_SCHEDULES[first.dropout_schedule]
        built.append(DropoutAnnealing(row.factor))
    return built


def _of_each(estimators: Sequence, name: str) -> Any:
    """Value of a parameter, or of each member's."""
    values = [getattr(estimator, name) for estimator in estimators]
    return values[0] if len(values) == 1 else values
