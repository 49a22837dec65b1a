"""Questions about the present parameters of an estimator, and grids beside them."""

import itertools
from collections.abc import Iterable
from typing import Any

import numpy as np

from sk_deep._estimator import checks
from sk_deep.solvers import get_solver

Grid = dict[str, list]


def has_parameters(mlp: Any, parameters: dict[str, Any]) -> bool:
    """Whether an estimator has these values of its parameters."""
    return all(is_same(getattr(mlp, name), v) for name, v in parameters.items())


def is_same(a: Any, b: Any) -> bool:
    """Whether two values of a parameter are the same; a list equals a tuple."""
    if callable(a) or callable(b):
        return a is b
    return np.array_equal(np.asarray(a, dtype=object), np.asarray(b, dtype=object))


def other_values(value: Any, values: Iterable) -> list:
    """List the values that differ from a value."""
    return [other for other in values if not is_same(other, value)]


def trains_in_batches(mlp) -> bool:
    """Whether the solver trains on mini-batches."""
    return not checks.is_full_batch(mlp)


def units_of(mlp) -> list[int]:
    """List the number of units of each hidden layer."""
    return checks.hidden_units(mlp)


def may_skip(units: Iterable[int]) -> bool:
    """Whether two consecutive layers have the same width, for skip connections."""
    return any(a == b for a, b in itertools.pairwise(units))


def has_one_value(mlp, name: str) -> bool:
    """Whether a parameter has one value for all layers."""
    value = getattr(mlp, name)
    return isinstance(value, str) or not isinstance(value, Iterable)


def present_rate(mlp: Any) -> float:
    """Initial learning rate, as a number."""
    rate = mlp.learning_rate_init
    return get_solver(mlp.solver).learning_rate if rate == "auto" else float(rate)


def reset_grid(mlp, **inert: Any) -> Grid:
    """Grid that resets parameters which may be illegal beside new values."""
    changed = {n: v for n, v in inert.items() if not is_same(getattr(mlp, n), v)}
    return {name: [value] for name, value in changed.items()}


def rounded(value: float) -> float:
    """Round to two digits."""
    return float(f"{value:.2g}")


def may_change_depth(mlp) -> bool:
    """Whether layers may be added or taken away."""
    return has_one_value(mlp, "activation") and has_one_value(mlp, "dropout")


def shape_grid(mlp, shapes: list[list[int]]) -> Grid:
    """Write shapes as a grid of hidden layers."""
    sizes = [tuple(shape) for shape in shapes]
    return {"hidden_layer_sizes": sizes, **reset_grid(mlp, n_hidden_layers=1)}
