"""Grids of the moves for good results on the training data, one function each."""

import numpy as np

from sk_deep._estimator import plan
from sk_deep.normalizations import NORMALIZATIONS
from sk_deep.recipe._values import (
    may_change_depth,
    may_skip,
    other_values,
    present_rate,
    reset_grid,
    rounded,
    shape_grid,
    trains_in_batches,
    units_of,
)
from sk_deep.solvers import get_solver

_OF_CLASSES = ("log_loss", "squared_error")
_OF_NUMBERS = ("squared_error", "huber", "absolute_error")
_SMALLER_BATCHES = (4, 8)  # divisors of the batch size
_RATE_FACTORS = (0.1, 1 / 3, 3.0, 10.0)
_RATES = (1e-3, 3e-3, 1e-2)
_ADAPTIVE = ("adam", "adamw", "rmsprop")


def loss_grid(mlp, facts):
    """Try other losses that predict the same quantity."""
    # no other loss predicts a quantile, or the mean of a count
    legal = _OF_CLASSES if facts.is_classifier else _OF_NUMBERS
    if not facts.is_classifier and mlp.loss not in legal:
        return {}
    return {"loss": other_values(mlp.loss, legal), **reset_grid(mlp, loss_params=None)}


def mini_batch_grid(mlp, facts):
    """Try batches a quarter and an eighth of the size, of at least 8 rows."""
    if not trains_in_batches(mlp):
        return {}
    present = plan.batch_size(mlp, facts.n_samples)
    sizes = {2 ** round(np.log2(present / times)) for times in _SMALLER_BATCHES}
    smaller = sorted(size for size in sizes if 8 <= size < present)
    return {"batch_size": smaller} if smaller else {}


def activation_grid(mlp, facts):
    """Try other activations for all layers."""
    if not units_of(mlp):
        return {}
    names = ["relu", "tanh", "silu", "maxout"]
    resets = reset_grid(mlp, maxout_pieces=2)
    if np.any(mlp.dropout):  # some types go with some activations only
        resets |= reset_grid(mlp, dropout_type="standard", dropout_params=None)
    return {"activation": other_values(mlp.activation, names), **resets}


def solver_grid(mlp, facts):
    """Try two adaptive solvers, with learning rates that suit them."""
    resets = reset_grid(mlp, solver_params=None)
    solvers = other_values(mlp.solver, _ADAPTIVE)
    return {"solver": solvers[:2], "learning_rate_init": list(_RATES), **resets}


def learning_rate_grid(mlp, facts):
    """Try learning rates from a tenth to ten times the present one."""
    if not trains_in_batches(mlp):
        return {}
    rates = [rounded(present_rate(mlp) * factor) for factor in _RATE_FACTORS]
    return {"learning_rate_init": [rate for rate in rates if rate <= 1]}


def schedule_grid(mlp, facts):
    """Try schedules that lower the learning rate to the end."""
    if not trains_in_batches(mlp):
        return {}
    names = other_values(mlp.learning_rate, ["cosine", "one_cycle"])
    return {"learning_rate": names, **reset_grid(mlp, schedule_params=None)}


def momentum_grid(mlp, facts):
    """Try other momenta, for solvers that have one."""
    if "momentum" not in get_solver(mlp.solver).arguments(mlp):
        return {}
    return {"momentum": other_values(mlp.momentum, [0.5, 0.9, 0.98])}


def scaling_grid(mlp, facts):
    """Try normalizations between the layers."""
    if not units_of(mlp):
        return {}
    names = [
        name
        for name in ("batch", "layer")
        if mlp.n_folds is None or not NORMALIZATIONS[name].mixes_rows
    ]
    return {"normalization": other_values(mlp.normalization, names)}


def initial_weights_grid(mlp, facts):
    """Try other distributions of the initial weights."""
    names = ["he_normal", "orthogonal"]
    return {"weight_init": other_values(mlp.weight_init, names)}


def residual_grid(mlp, facts):
    """Try skip connections, where two consecutive layers have one width."""
    units = units_of(mlp)
    return {"residual": [True]} if may_skip(units) and not mlp.residual else {}


def gradient_clip_grid(mlp, facts):
    """Try a bound on the norm of the gradient."""
    if not trains_in_batches(mlp):
        return {}
    return {"gradient_clip": other_values(mlp.gradient_clip, [1.0])}


def class_weight_grid(mlp, facts):
    """Try weights that balance the classes."""
    if not facts.is_classifier:
        return {}
    return {"class_weight": other_values(mlp.class_weight, ["balanced"])}


def network_grid(mlp, facts):
    """Try layers of twice the width, one more layer, and both."""
    units = units_of(mlp) or [50]
    wide = [2 * n for n in units]
    shapes = [wide]
    if may_change_depth(mlp):
        shapes += [[*units, units[-1]], [*wide, wide[-1]]]
    return shape_grid(mlp, shapes)


def epochs_grid(mlp, facts):
    """Try more epochs, and more patience."""
    n = mlp.max_iter
    grid = {"max_iter": [max(200, 2 * n), max(500, 3 * n)]}
    if not trains_in_batches(mlp):
        return {**grid, "max_fun": [10 * mlp.max_fun]}
    return {**grid, "n_iter_no_change": [max(mlp.n_iter_no_change, 30)]}
