"""What goes with what: checks of parameters beside one another.

A parameter that has no meaning beside another raises a ValueError that names both,
unless scikit-learn's MLP accepts the pair and leaves it inert.
"""

import functools
import inspect
from collections.abc import Iterable
from itertools import pairwise
from numbers import Integral
from typing import Any

import numpy as np
import torch
from skorch.callbacks import Callback, LRScheduler, ParamMapper
from torch import nn

from sk_deep.activations import ACTIVATIONS, get_activation
from sk_deep.augmentation import AUGMENTATIONS
from sk_deep.callbacks import Checkpoint
from sk_deep.dropouts import Dropout
from sk_deep.encodings import NUMERICAL_EMBEDDINGS
from sk_deep.normalizations import NORMALIZATIONS
from sk_deep.solvers import SOLVERS


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


def check_has_columns(estimator) -> None:
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


def check_dropout_fits(row: type[Dropout], name: str, params, activation) -> None:
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


def per_layer(value, n_layers: int, name: str) -> list:
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


def check_has_hidden_layers(estimator, units: list[int]) -> None:
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


def check_activations(activations: list, n_members: int) -> None:
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


def check_maxout(estimator, activations: list) -> None:
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


def check_residual(estimator, units: list[int]) -> None:
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
    return drops(estimator) or estimator.augmentation is not None


def is_full_batch(estimator) -> bool:
    """Whether the solver takes the whole data at once; it need not be a legal one."""
    row = SOLVERS.get(estimator.solver) if isinstance(estimator.solver, str) else None
    return row is not None and row.full_batch


def check_full_batch(estimator) -> None:
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


def drops(estimator) -> bool:
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
