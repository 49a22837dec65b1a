"""Grids of the moves for good results on the testing data, one function each."""

import numpy as np

from sk_deep.augmentation import AUGMENTATIONS
from sk_deep.losses import get_loss
from sk_deep.recipe._values import (
    has_one_value,
    may_change_depth,
    may_skip,
    other_values,
    reset_grid,
    shape_grid,
    trains_in_batches,
    units_of,
)

_PENALTIES = (1e-3, 1e-2, 1e-1, 1.0)
_ROWS_PER_CLASS = 20  # rows needed so that the validation rows hold each class
_VALIDATION_ROWS = 20  # fewest rows whose score distinguishes epochs


def early_stopping_grid(mlp, facts):
    """Try early stopping where rows are enough, or more patience with it."""
    if not trains_in_batches(mlp):
        return {}
    if mlp.early_stopping:
        patience = mlp.n_iter_no_change
        longer = [] if np.isinf(patience) else [2 * patience, 5 * patience]
        return {"n_iter_no_change": longer} if longer else {}
    n_validation = facts.n_samples * mlp.validation_fraction
    n_needed = _ROWS_PER_CLASS * max(1, facts.n_classes)
    if facts.n_samples < n_needed or n_validation < _VALIDATION_ROWS:
        return {}
    return {"early_stopping": [True], "n_iter_no_change": [10, 30]}


def regularisation_grid(mlp, facts):
    """Try other penalties on the weights."""
    return {"alpha": other_values(mlp.alpha, _PENALTIES)}


def max_norm_grid(mlp, facts):
    """Try bounds on the norm of the weights of a unit."""
    if not trains_in_batches(mlp):
        return {}
    return {"max_norm": other_values(mlp.max_norm, [3.0, 1.0])}


def label_smoothing_grid(mlp, facts):
    """Try degrees of label smoothing, for the log loss of classes."""
    if not facts.is_classifier or not get_loss(mlp.loss).is_log_likelihood:
        return {}
    return {"label_smoothing": other_values(mlp.label_smoothing, [0.05, 0.15])}


def dropout_grid(mlp, facts):
    """Try other probabilities of dropping a hidden unit."""
    if not trains_in_batches(mlp) or not units_of(mlp):
        return {}
    resets = {}
    if not np.any(mlp.dropout):  # another type may not go with the activation
        resets = reset_grid(mlp, dropout_type="standard", dropout_params=None)
    return {"dropout": other_values(mlp.dropout, [0.1, 0.25, 0.5]), **resets}


def input_dropout_grid(mlp, facts):
    """Try other probabilities of dropping an input."""
    if not trains_in_batches(mlp):
        return {}
    return {"input_dropout": other_values(mlp.input_dropout, [0.1, 0.2])}


def augmentation_grid(mlp, facts):
    """Try augmentations that fit the rows: of images, or of numbers."""
    if not trains_in_batches(mlp):
        return {}
    if mlp.categorical_features is not None:  # codes are no numbers
        return {}
    params = mlp.augmentation_params or {}
    if "image_shape" in params:  # only then the rows are images
        images = [name for name, row in AUGMENTATIONS.items() if row.needs_images]
        others = other_values(mlp.augmentation, images)
        params = {"image_shape": params["image_shape"]}
        return {"augmentation": others, "augmentation_params": [params]}
    names = [
        name
        for name in ("noise", "mixup")
        if mlp.n_folds is None or not AUGMENTATIONS[name].mixes_targets
    ]
    names = other_values(mlp.augmentation, names)
    return {"augmentation": names, **reset_grid(mlp, augmentation_params=None)}


def smaller_network_grid(mlp, facts):
    """Try layers of half and a quarter of the width, and one layer fewer."""
    units = units_of(mlp)
    shapes = [[max(1, n // 2) for n in units], [max(1, n // 4) for n in units]]
    if len(units) > 1 and may_change_depth(mlp):
        shapes.append(units[:-1])
    shapes = [shape for shape in shapes if shape != units]
    if mlp.residual:
        shapes = [shape for shape in shapes if may_skip(shape)]
    return shape_grid(mlp, shapes) if shapes else {}


def ensemble_grid(mlp, facts):
    """Try an ensemble of five times as many networks."""
    activations = mlp.activation
    activations = [activations] if has_one_value(mlp, "activation") else activations
    if any(map(callable, activations)):  # some cannot be stacked
        return {}
    return {"n_members": [5 * mlp.n_members]}
