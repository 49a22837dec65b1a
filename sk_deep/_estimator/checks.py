"""From constructor parameters to the parts of a net: what goes with what.

Each function takes the estimator and returns one part. A parameter that has no meaning
beside another raises a ValueError that names both, unless scikit-learn's MLP accepts
the pair and leaves it inert.
"""

import functools
import inspect
from collections.abc import Iterable, Sequence
from itertools import pairwise
from numbers import Integral, Real
from typing import Any

import numpy as np
import torch
from skorch.callbacks import Callback, LRScheduler, ParamMapper
from torch import nn

from sk_deep._compat import is_in_bad_fork
from sk_deep._data.columns import embedded
from sk_deep._data.tensors import float_dtype
from sk_deep._engine.data_parallel import Team, team_of
from sk_deep._engine.rates import Pace
from sk_deep._param_dicts import check_names, check_params
from sk_deep.activations import ACTIVATIONS, get_activation
from sk_deep.augmentation import AUGMENTATIONS, Augment, get_augmentation
from sk_deep.callbacks import Checkpoint, DropoutAnnealing, GradientClip, MaxNorm
from sk_deep.dropouts import DROPOUT_SCHEDULES, DROPOUTS, Dropout
from sk_deep.encodings import NUMERICAL_EMBEDDINGS
from sk_deep.losses import get_loss
from sk_deep.normalizations import NORMALIZATIONS
from sk_deep.schedules import INERT_SCHEDULE, SCHEDULES, WARMUP, Schedule, get_schedule
from sk_deep.solvers import SOLVERS, Solver, get_solver

_SMALL_STEP = 10**6  # weights x batch up to which float64 costs next to nothing


def hidden_units(estimator) -> list[int]:
    """Number of units of each hidden layer."""
    sizes, n_layers = estimator.hidden_layer_sizes, estimator.n_hidden_layers
    if not isinstance(sizes, Iterable):
        return [int(sizes)] * n_layers
    if n_layers != 1:
        raise ValueError(
            "n_hidden_layers repeats an int hidden_layer_sizes; with a sequence it must"
            f" be 1, however: n_hidden_layers={n_layers}, hidden_layer_sizes={sizes}."
        )
    if not all(isinstance(size, Integral) for size in sizes):
        raise ValueError(f"hidden_layer_sizes must be integers, got {list(sizes)}.")
    if np.any(np.array(list(sizes)) <= 0):
        raise ValueError(f"hidden_layer_sizes must be > 0, got {list(sizes)}.")
    return [int(size) for size in sizes]


def architecture(estimator, n_features: int, n_outputs: int) -> dict[str, Any]:
    """Collect the arguments of `MLP`, the dtype apart."""
    units = hidden_units(estimator)
    activations = _per_layer(estimator.activation, len(units), "activation")
    _check_activations(activations, estimator.n_members)
    _check_maxout(estimator, activations)
    _check_residual(estimator, units)
    _check_has_hidden_layers(estimator, units)
    return {
        "n_features": n_features,
        "n_outputs": n_outputs,
        "hidden_units": units,
        "activation": activations,
        "maxout_pieces": int(estimator.maxout_pieces),
        **_dropout(estimator, activations),
        "normalization": estimator.normalization,
        "residual": bool(estimator.residual),
        **_embeddings(estimator),
        "n_members": int(estimator.n_members),
    }


def _embeddings(estimator) -> dict[str, Any]:
    """Arguments of `MLP` on what it embeds, see `sk_deep._data.columns`."""
    _check_has_columns(estimator)
    columns = getattr(estimator, "_columns", None)
    if columns is None:
        return {"categories": [], "n_periodic": 0}
    shapes = embedded(columns)
    if shapes["categories"] and estimator.augmentation is not None:
        raise ValueError(
            "augmentation acts on numbers, and not on codes of categories, however: "
            f"augmentation={estimator.augmentation!r}, and there are columns of more "
            f"than max_one_hot={estimator.max_one_hot} levels."
        )
    return shapes


def _check_has_columns(estimator) -> None:
    """Check that what acts on categories, or on bins, has some to act on."""
    for name, inert in _inert_without_categories(type(estimator)).items():
        value = getattr(estimator, name)
        if estimator.categorical_features is None and value != inert:
            raise ValueError(
                f"{name} acts on categories, however: {name}={value!r} with "
                "categorical_features=None."
            )
    row = NUMERICAL_EMBEDDINGS.get(estimator.numerical_embedding)
    if estimator.n_bins != "auto" and not (row and row.has_bins):
        raise ValueError(
            "n_bins is for an embedding by bins, however: "
            f"n_bins={estimator.n_bins} with "
            f"numerical_embedding={estimator.numerical_embedding!r}."
        )


@functools.cache
def _inert_without_categories(kind: type) -> dict[str, Any]:
    """Tell the defaults of the parameters that act on categories, of a class."""
    parameters = inspect.signature(kind).parameters
    names = {"max_one_hot", "embedding_size", "min_frequency"} & parameters.keys()
    return {name: parameters[name].default for name in sorted(names)}


def _dropout(estimator, activations: list) -> dict[str, Any]:
    """Arguments of `MLP` on dropout."""
    name = estimator.dropout_type
    row = DROPOUTS[name]
    dropout = _per_layer(estimator.dropout, len(activations), "dropout")
    if not all(isinstance(p, Real) and 0 <= p < 1 for p in dropout):
        raise ValueError(
            f"dropout must be in [0, 1), however: dropout={estimator.dropout}."
        )
    params = check_params(
        "dropout_params", name, estimator.dropout_params, row.constraints
    )
    for p, activation in zip(dropout, activations, strict=True):
        if p:
            _check_dropout_fits(row, name, params, activation)
    return {
        "dropout": [float(p) for p in dropout],
        "input_dropout": float(estimator.input_dropout),
        "dropout_type": name,
        "dropout_params": params,
    }


def _check_dropout_fits(row: type[Dropout], name: str, params, activation) -> None:
    if row.only_activation not in (None, activation):
        raise ValueError(
            f"dropout_type={name!r} is made for activation={row.only_activation!r}, "
            f"however: {activation=}."
        )
    if row.needs_pointwise(**params) and get_activation(activation).has_pieces:
        raise ValueError(
            f"dropout_type={name!r} with dropout_params={params} needs an activation "
            f"that acts on single values, however: {activation=}."
        )


def _per_layer(value, n_layers: int, name: str) -> list:
    """Repeat one value for all layers, or check that there is one for each."""
    if isinstance(value, str) or not isinstance(value, Iterable):
        return [value] * n_layers
    values = list(value)
    if len(values) != n_layers:
        raise ValueError(
            f"{name} must be one value or one per hidden layer, however: "
            f"{name}={values} with {n_layers} hidden layer(s)."
        )
    return values


def _check_has_hidden_layers(estimator, units: list[int]) -> None:
    """Check what acts on hidden layers; scikit-learn leaves the activation inert."""
    wanted = {
        "dropout": (estimator.dropout, 0.0),
        "normalization": (estimator.normalization, None),
        "maxout_pieces": (estimator.maxout_pieces, 2),
    }
    for name, (value, inert) in wanted.items():
        if not units and np.any(np.asarray(value, dtype=object) != inert):
            raise ValueError(
                f"{name} acts on hidden layers, however: {name}={value!r} with no "
                "hidden layer."
            )


def _check_activations(activations: list, n_members: int) -> None:
    for activation in activations:
        is_class = inspect.isclass(activation) and issubclass(activation, nn.Module)
        if not is_class and not isinstance(activation, str):
            raise ValueError(
                "activation must be a name or a subclass of torch.nn.Module, however: "
                f"{activation!r}."
            )
        if not is_class and activation not in ACTIVATIONS:
            raise ValueError(
                f"activation must be one of {sorted(ACTIVATIONS)}, however: "
                f"{activation!r}."
            )
        if is_class:
            _check_activation_class(activation, n_members)


def _check_activation_class(activation: type[nn.Module], n_members: int) -> None:
    before = torch.get_rng_state()
    try:
        layer = activation()
    except TypeError as error:
        raise ValueError(
            "an activation class must be made without arguments, however: "
            f"{activation!r} says: {error}"
        ) from error
    rows = torch.zeros(2, 4)
    values = layer(rows)
    if not isinstance(values, torch.Tensor) or values.shape != rows.shape:
        raise ValueError(
            f"an activation class must keep the shape, however: {activation!r} turns "
            f"{tuple(rows.shape)} into {tuple(np.shape(values))}."
        )
    if not torch.equal(torch.get_rng_state(), before):
        raise ValueError(
            "an activation class must not draw from torch's global random state, "
            f"however: activation={activation!r} does."
        )
    if n_members > 1 and [*layer.parameters(), *layer.buffers()]:
        raise ValueError(
            "an activation class with parameters or buffers of its own needs "
            f"n_members=1, however: activation={activation!r}, n_members={n_members}."
        )


def _check_maxout(estimator, activations: list) -> None:
    if (
        estimator.maxout_pieces != 2
        and activations
        and not any(get_activation(activation).has_pieces for activation in activations)
    ):
        raise ValueError(
            "maxout_pieces needs an activation made of pieces, maxout, however: "
            f"maxout_pieces={estimator.maxout_pieces}, "
            f"activation={estimator.activation!r}."
        )


def _check_residual(estimator, units: list[int]) -> None:
    if estimator.residual and not any(a == b for a, b in pairwise(units)):
        raise ValueError(
            "residual=True needs two consecutive hidden layers of equal width, "
            f"however: the hidden layers have {units} units."
        )


def mixes_rows(estimator) -> bool:
    """Whether in training the output of a row depends on the rows beside it."""
    name = estimator.normalization
    return name is not None and NORMALIZATIONS[name].mixes_rows


def draws_noise(estimator) -> bool:
    """Whether training draws masks or other noise."""
    return _drops(estimator) or estimator.augmentation is not None


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


def team(estimator) -> Team | None:
    """Team of processes that train together; None is this one alone."""
    found = team_of(estimator.accelerator)
    if found is not None and mixes_rows(estimator):
        raise ValueError(
            f"normalization={estimator.normalization!r} needs whole batches, however: "
            f"{found.size} processes of an accelerator share each."
        )
    return found


def device(estimator) -> str:
    """Torch device to train on."""
    name = estimator.device
    if estimator.accelerator is not None:
        if name != "auto":
            raise ValueError(
                "device must be 'auto' with an accelerator, which knows its device, "
                f"however: {name!r}."
            )
        return str(torch.empty(0, device=estimator.accelerator.device).device)
    # NOTE[DIFF] automatic device: scikit-learn trains on the CPU
    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        kind = torch.device(name).type
    except RuntimeError as error:
        raise ValueError(
            f"device must be 'auto' or a device of torch, however: {name!r}."
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
        torch.Generator(name)  # as a network has; of a device that is not there none
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
            "solver must be a name or a subclass of torch.optim.Optimizer, however: "
            f"{estimator.solver!r}."
        )
    row = get_solver(estimator.solver)
    given = ("solver_params", estimator.solver, estimator.solver_params or {})
    if row.constraints:
        check_params(*given, row.constraints)
    else:
        check_names(*given, row.legal_params(estimator))
    if row.optimizer is None:
        _check_full_batch(estimator)
    return row


def is_full_batch(estimator) -> bool:
    """Whether the solver takes the whole data at once; it need not be a legal one."""
    row = SOLVERS.get(estimator.solver) if isinstance(estimator.solver, str) else None
    return row is not None and row.optimizer is None


def _check_full_batch(estimator) -> None:
    """Check that the loss is one that L-BFGS can search along lines."""
    rules = {
        "a loss without noise": ("dropout", "input_dropout", "augmentation"),
        "a smooth loss": ("l1_ratio",),
        "steps that nothing changes": ("max_norm", "gradient_clip"),
        "weights that are not averaged": ("weight_averaging",),
    }
    for rule, names in rules.items():
        given = {name: getattr(estimator, name) for name in names}
        if any(value is not None and np.any(value) for value in given.values()):
            values = ", ".join(f"{name}={value!r}" for name, value in given.items())
            raise ValueError(
                f"solver={estimator.solver!r} needs {rule}, however: {values}."
            )


def pace(estimator, row: Solver) -> Pace:
    """Collect what sets the steps of a solver."""
    rate = estimator.learning_rate_init
    return Pace(
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
    if row.optimizer is None and name != INERT_SCHEDULE:
        raise ValueError(
            f"solver={estimator.solver!r} has no learning rate to schedule, however: "
            f"learning_rate={name!r}."
        )
    known = None if callable(name) else SCHEDULES[name]
    legal = dict(known.constraints) if known else {}
    if row.optimizer is not None:
        legal.update(WARMUP)
    params = check_params(
        "schedule_params", estimator.learning_rate, estimator.schedule_params, legal
    )
    if known and known.takes_power_t:
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
    first, found = estimators[0], list[Callback]()
    if first.gradient_clip is not None:
        found.append(GradientClip(_of_each(estimators, "gradient_clip")))
    if first.max_norm is not None:
        found.append(MaxNorm(_of_each(estimators, "max_norm")))
    if _drops(first):
        row = DROPOUT_SCHEDULES[first.dropout_schedule]
        found.append(DropoutAnnealing(row.factor))
    return found


def _of_each(estimators: Sequence, name: str) -> Any:
    """Value of a parameter, or of each member's."""
    values = [getattr(estimator, name) for estimator in estimators]
    return values[0] if len(values) == 1 else values


def _drops(estimator) -> bool:
    return bool(np.any(estimator.dropout)) or estimator.input_dropout > 0


def checked_callbacks(estimator) -> list:
    """Check the user's callbacks, and list them."""
    for item in estimator.callbacks or []:
        callback = item[1] if isinstance(item, tuple) and len(item) == 2 else item
        kind = callback if inspect.isclass(callback) else type(callback)
        if not issubclass(kind, Callback):
            raise ValueError(
                "callbacks must be skorch's, or pairs of a name and one, however: "
                f"{item!r}."
            )
        if issubclass(kind, LRScheduler | ParamMapper):
            raise ValueError(
                f"callbacks cannot set learning rates or freeze parameters, however: "
                f"{item!r}. For rates there is learning_rate."
            )
        if issubclass(kind, Checkpoint) and is_full_batch(estimator):
            raise ValueError(
                "callbacks can have a Checkpoint where training goes by epochs, "
                f"however: solver={estimator.solver!r}."
            )
    return estimator.callbacks or []


def check_watched(estimator) -> None:
    """Check that what early stopping watches is asked for with early stopping."""
    stops_early = estimator.early_stopping and not is_full_batch(estimator)
    for name in ("scoring", "n_folds"):
        value = getattr(estimator, name)
        if value is not None and not stops_early:
            raise ValueError(
                f"{name} is what early stopping watches, however: {name}={value!r} "
                f"with early_stopping={estimator.early_stopping}, "
                f"solver={estimator.solver!r}."
            )
    if estimator.n_folds is not None:
        _check_folds(estimator)


def n_folds(estimator, n_samples: int) -> int | None:
    """Number of folds that members leave out in turn; None if there are none."""
    if estimator.n_folds != "auto":
        return estimator.n_folds
    most = min(n_samples, estimator.n_members)
    divisors = [n for n in range(2, most + 1) if estimator.n_members % n == 0]
    return max(divisors, default=None)


def _check_folds(estimator) -> None:
    """Check that each fold is left out, by members that do not see its rows."""
    if estimator.n_folds != "auto" and estimator.n_members % estimator.n_folds:
        raise ValueError(
            "n_members must be a multiple of n_folds, however: "
            f"n_members={estimator.n_members}, n_folds={estimator.n_folds}."
        )
    if estimator.warm_start:
        raise ValueError(
            "warm_start must be False with n_folds, which deals the rows out anew to "
            "members that have seen them, however: warm_start=True, n_folds="
            f"{estimator.n_folds!r}."
        )
    row = AUGMENTATIONS.get(estimator.augmentation, estimator.augmentation)
    mixers = {
        "normalization": mixes_rows(estimator),
        "augmentation": callable(row) or (row is not None and row.mixes_targets),
    }
    for name, mixes in mixers.items():
        if mixes:
            raise ValueError(
                f"{name} must not mix rows with n_folds, where members would meet "
                f"those that they leave out, however: {name}="
                f"{getattr(estimator, name)!r}, n_folds={estimator.n_folds}."
            )
