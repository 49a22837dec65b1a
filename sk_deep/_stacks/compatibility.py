"""Which fits can train together as one stack, seen from the parameters."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from sk_deep._compat import predicts_only
from sk_deep._estimator import checks
from sk_deep._estimator.base import BaseMLP
from sk_deep._estimator.parameters import PARAMETERS, InStack
from sk_deep.dropouts import DROPOUT_SCHEDULES


def _names(*ways: InStack) -> list[str]:
    """List the parameters that behave so in a stack."""
    return sorted(name for name, row in PARAMETERS.items() if row.in_stack in ways)


_OWN_IF_ON = _names(InStack.OWN_IF_ON)
_IN_COMMON = _names(InStack.SAME, InStack.ALONE, InStack.OWN_IF_ON)


def structure(estimator: BaseMLP) -> tuple:
    """Return what members of one stack have in common, of an estimator's parameters.

    Parameters
    ----------
    estimator : BaseMLP
        The estimator.

    Returns
    -------
    key : tuple
        Equal for estimators whose networks can be members of one stack, as far as the
        data allow.
    """
    params = parameters_of(estimator)
    if DROPOUT_SCHEDULES[estimator.dropout_schedule].anneals:
        params["dropout_schedule"] = estimator.dropout_schedule, estimator.max_iter
    if predicts_only(estimator.scoring):  # each fit has a copy of such an object
        params["scoring"] = vars(estimator.scoring)
    params["hidden_layer_sizes"] = checks.hidden_units(estimator)
    params["n_hidden_layers"] = len(params["hidden_layer_sizes"])
    for name in params.keys() & _OWN_IF_ON:
        params[name] = _is_on(params[name])
    common = [name for name in _IN_COMMON if name in params]
    return type(estimator), *((name, freeze(params[name])) for name in common)


def parameters_of(estimator: BaseMLP) -> dict[str, Any]:
    """Take the constructor parameters, at less cost than by `get_params`."""
    return {name: getattr(estimator, name) for name in estimator._parameter_defaults}


def _is_on(value: Any) -> Any:
    return [bool(item) for item in value] if np.ndim(value) else bool(value)


def freeze(value: Any) -> Any:
    """Turn a parameter's value into something hashable, equal for equal values.

    Parameters
    ----------
    value : object
        The value. Anything but a number, string, array, sequence or dict becomes its
        identity: it must live as long as the key is used.

    Returns
    -------
    key : hashable
        The key.
    """
    if isinstance(value, np.bool_ | np.integer | np.floating | np.str_):
        value = value.item()
    if value is None or isinstance(value, bool | int | float | complex | str | bytes):
        return type(value), value
    if isinstance(value, np.generic | np.ndarray) and not value.dtype.hasobject:
        return type(value), value.dtype.str, value.shape, value.tobytes()
    if isinstance(value, list | tuple | range | np.ndarray):
        return type(value), tuple(freeze(item) for item in value)
    if isinstance(value, Mapping):
        pairs = [(freeze(key), freeze(item)) for key, item in value.items()]
        return type(value), frozenset(pairs)
    return id(value)


def reason_against(estimator: BaseMLP) -> str | None:
    """Explain why a fit cannot be stacked.

    Parameters
    ----------
    estimator : BaseMLP
        The estimator.

    Returns
    -------
    reason : str or None
        The reason in words; None if its networks can be members of a stack.
    """
    if checks.is_full_batch(estimator):
        return f"solver={estimator.solver!r} trains on the whole data at once"
    for name, value in parameters_of(estimator).items():
        row = PARAMETERS[name]
        if row.code_goes_alone and _has_code(value):
            return f"{name} is a custom function or class"
        if row.in_stack is InStack.ALONE and value != row.inert:
            return f"{name}={value!r}"
    return None


def _has_code(value: Any) -> bool:
    """Whether a value, or one of several, is a function or a class."""
    if callable(value) or isinstance(value, str) or not isinstance(value, Iterable):
        return callable(value)
    return any(map(callable, value))
