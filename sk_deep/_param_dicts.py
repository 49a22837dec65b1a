"""Checks of the dicts that hold an option's own parameters."""

from collections.abc import Collection, Mapping
from typing import Any

from sk_deep._compat import validate_parameter_constraints


def check_names(parameter: str, owner: Any, given: Collection[str], legal) -> None:
    """Check that a dict holds only names that its owner takes.

    Parameters
    ----------
    parameter : str
        Name of the constructor parameter that the dict is.
    owner : str, type or callable
        The option that it belongs to.
    given : collection of str
        Names in the dict.
    legal : collection of str
        Names that the option knows.

    Raises
    ------
    ValueError
        If there are others.
    """
    unknown = sorted(set(given) - set(legal), key=str)
    if unknown:
        raise ValueError(
            f"{parameter} for {owner!r} may hold {sorted(legal)}, got {unknown}."
        )


def check_params(
    parameter: str, owner: Any, given: Mapping[str, Any] | None, constraints
) -> dict[str, Any]:
    """Check the names and the values of a dict, and copy it.

    Parameters
    ----------
    parameter : str
        Name of the constructor parameter that the dict is.
    owner : str, type or callable
        The option that it belongs to.
    given : dict or None
        The dict; None is empty.
    constraints : dict
        Names that the option knows, with scikit-learn's constraints on them.

    Returns
    -------
    params : dict
        The copy.

    Raises
    ------
    ValueError
        If a name or a value is illegal.
    """
    params = dict(given or {})
    check_names(parameter, owner, params, constraints)
    validate_parameter_constraints(constraints, params, f"{parameter} for {owner!r}")
    return params
