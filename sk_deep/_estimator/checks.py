"""Checks of parameters beside one another.

A parameter that has no meaning beside another raises a ValueError that names both,
unless scikit-learn's MLP accepts the pair and leaves it inert.
"""

import inspect
from collections.abc import Iterable
from itertools import pairwise
from numbers import Integral

import numpy as np
import torch
from skorch.callbacks import Callback, LRScheduler, ParamMapper
from torch import nn

from sk_deep._estimator.parameters import (
    PARAMETERS,
    ActsOn,
    rows_acting_on,
)
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
            "n_hidden_layers repeats an int hidden_layer_sizes and must be 1 with a "
            f"sequence, got n_hidden_layers={n_layers}, hidden_layer_sizes={sizes}."
        )
    if not all(isinstance(size, Integral) for size in sizes):
        raise ValueError(f"hidden_layer_sizes must be integers, got {list(sizes)}.")
    if np.any(np.array(list(sizes)) <= 0):
        raise ValueError(f"hidden_layer_sizes must be > 0, got {list(sizes)}.")
    return [int(size) for size in sizes]


def check_has_columns(estimator) -> None:
    """Check that parameters on categories, or on bins, have some to act on."""
    if estimator.categorical_features is None:
        _check_no_categories(estimator)
    row = NUMERICAL_EMBEDDINGS.get(estimator.numerical_embedding)
    if estimator.n_bins != "auto" and not (row and row.has_bins):
        raise ValueError(
            "n_bins must be 'auto' without an embedding by bins, got "
            f"n_bins={estimator.n_bins} with "
            f"numerical_embedding={estimator.numerical_embedding!r}."
        )


def _check_no_categories(estimator) -> None:
    defaults = estimator._parameter_defaults
    for name in rows_acting_on(ActsOn.CATEGORIES):
        value = getattr(estimator, name)
        if name in defaults and value != defaults[name]:
            raise ValueError(
                f"{name} acts on categories, got {name}={value!r} with "
                "categorical_features=None."
            )


def check_dropout_fits(row: type[Dropout], name: str, params, activation) -> None:
    """Check that a type of dropout goes with the activation behind it."""
    if row.only_activation not in (None, activation):
        raise ValueError(
            f"dropout_type={name!r} needs activation={row.only_activation!r}, got "
            f"{activation=}."
        )
    if row.needs_pointwise(**params) and get_activation(activation).has_pieces:
        raise ValueError(
            f"dropout_type={name!r} with dropout_params={params} needs an activation "
            f"that acts on single values, got {activation=}."
        )


def per_layer(value, n_layers: int, name: str) -> list:
    """Repeat one value for all layers, or check that there is one for each."""
    if isinstance(value, str) or not isinstance(value, Iterable):
        return [value] * n_layers
    values = list(value)
    if len(values) != n_layers:
        raise ValueError(
            f"{name} must be one value or one per hidden layer, got {name}={values} "
            f"with {n_layers} hidden layer(s)."
        )
    return values


def check_has_hidden_layers(estimator, units: list[int]) -> None:
    """Check what acts on hidden layers; scikit-learn leaves the activation inert."""
    if units:
        return
    for name, row in rows_acting_on(ActsOn.HIDDEN_LAYERS).items():
        value = getattr(estimator, name)
        if not row.is_inert(value):
            raise ValueError(
                f"{name} acts on hidden layers, got {name}={value!r} with no hidden "
                "layer."
            )


def check_activations(activations: list, n_members: int) -> None:
    """Check that activations are names or classes that can be made and called."""
    for activation in activations:
        is_class = inspect.isclass(activation) and issubclass(activation, nn.Module)
        if not is_class and not isinstance(activation, str):
            raise ValueError(
                "activation must be a name or a subclass of torch.nn.Module, got "
                f"{activation!r}."
            )
        if not is_class and activation not in ACTIVATIONS:
            raise ValueError(
                f"activation must be one of {sorted(ACTIVATIONS)}, got {activation!r}."
            )
        if is_class:
            _check_activation_class(activation, n_members)


def _check_activation_class(activation: type[nn.Module], n_members: int) -> None:
    before = torch.get_rng_state()
    try:
        layer = activation()
    except TypeError as error:
        raise ValueError(
            "an activation class must be callable without arguments, got "
            f"{activation!r}: {error}"
        ) from error
    rows = torch.zeros(2, 4)
    values = layer(rows)
    if not isinstance(values, torch.Tensor) or values.shape != rows.shape:
        raise ValueError(
            f"an activation class must keep the shape, got {activation!r}, which turns "
            f"{tuple(rows.shape)} into {tuple(np.shape(values))}."
        )
    if not torch.equal(torch.get_rng_state(), before):
        raise ValueError(
            "an activation class must not draw from torch's global random state, got "
            f"activation={activation!r}."
        )
    if n_members > 1 and [*layer.parameters(), *layer.buffers()]:
        raise ValueError(
            "an activation class with parameters or buffers needs n_members=1, got "
            f"activation={activation!r}, n_members={n_members}."
        )


def check_maxout(estimator, activations: list) -> None:
    """Check that `maxout_pieces` has an activation to act on."""
    if (
        estimator.maxout_pieces != 2
        and activations
        and not any(get_activation(activation).has_pieces for activation in activations)
    ):
        raise ValueError(
            "maxout_pieces needs an activation made of pieces, maxout, got "
            f"maxout_pieces={estimator.maxout_pieces}, "
            f"activation={estimator.activation!r}."
        )


def check_residual(estimator, units: list[int]) -> None:
    """Check that there are layers that skip connections can join."""
    if estimator.residual and not any(a == b for a, b in pairwise(units)):
        raise ValueError(
            "residual=True needs two consecutive hidden layers of equal width, got "
            f"hidden layers of {units} units."
        )


def mixes_rows(estimator) -> bool:
    """Whether in training the output of a row depends on the rows beside it."""
    name = estimator.normalization
    return name is not None and NORMALIZATIONS[name].mixes_rows


def is_full_batch(estimator) -> bool:
    """Whether the solver takes the whole data at once; it need not be a legal one."""
    row = SOLVERS.get(estimator.solver) if isinstance(estimator.solver, str) else None
    return row is not None and row.full_batch


def check_full_batch(estimator) -> None:
    """Check that the loss is one that L-BFGS can search along lines."""
    for name, row in PARAMETERS.items():
        if row.full_batch_needs and not row.is_inert(getattr(estimator, name)):
            raise ValueError(
                f"solver={estimator.solver!r} needs {row.full_batch_needs}, got "
                f"{name}={getattr(estimator, name)!r}."
            )


def drops(estimator) -> bool:
    """Whether training drops units or inputs."""
    return bool(np.any(estimator.dropout)) or estimator.input_dropout > 0


def checked_callbacks(estimator) -> list:
    """Check the user's callbacks, and list them."""
    for item in estimator.callbacks or []:
        callback = item[1] if isinstance(item, tuple) and len(item) == 2 else item
        kind = callback if inspect.isclass(callback) else type(callback)
        if not issubclass(kind, Callback):
            raise ValueError(
                "callbacks must be skorch's, or pairs of a name and a callback, got "
                f"{item!r}."
            )
        if issubclass(kind, LRScheduler | ParamMapper):
            raise ValueError(
                "callbacks must not set learning rates or freeze parameters, got "
                f"{item!r}. Schedule rates by the parameter learning_rate."
            )
        if issubclass(kind, Checkpoint) and is_full_batch(estimator):
            raise ValueError(
                "a Checkpoint needs a solver that trains by epochs, got "
                f"solver={estimator.solver!r}."
            )
    return estimator.callbacks or []


def check_early_stopping(estimator) -> None:
    """Check that parameters on early stopping are set with early stopping alone."""
    if not estimator.early_stopping or is_full_batch(estimator):
        for name, row in rows_acting_on(ActsOn.EARLY_STOPPING).items():
            value = getattr(estimator, name)
            if value is not row.inert:
                raise ValueError(
                    f"{name} acts on early stopping, got {name}={value!r} with "
                    f"early_stopping={estimator.early_stopping}, "
                    f"solver={estimator.solver!r}."
                )
    if estimator.n_folds is not None:
        _check_folds(estimator)


def _check_folds(estimator) -> None:
    """Check that each fold is left out, by members that do not see its rows."""
    if estimator.n_folds != "auto" and estimator.n_members % estimator.n_folds:
        raise ValueError(
            "n_members must be a multiple of n_folds, got "
            f"n_members={estimator.n_members}, n_folds={estimator.n_folds}."
        )
    if estimator.warm_start:
        raise ValueError(
            "warm_start must be False with n_folds, as new folds would validate "
            "members on rows that trained them, got warm_start=True, n_folds="
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
                f"{name} must not mix rows with n_folds, as members would train on "
                f"rows that they leave out, got {name}={getattr(estimator, name)!r}, "
                f"n_folds={estimator.n_folds}."
            )
