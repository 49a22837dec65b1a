"""The estimator of this package in what a user gives: alone, in a pipeline or search.

In the whole package `estimator` is what the user gives, and `mlp` the `MLPClassifier`
or `MLPRegressor` in it.
"""

from typing import Any

from sklearn.base import clone
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_is_fitted

from sk_deep._compat import BaseSearchCV
from sk_deep._estimator.base import BaseMLP


def best_estimator(estimator: Any) -> Any:
    """Take the best estimator of a fitted search; return others unchanged.

    Parameters
    ----------
    estimator : object
        A search, perhaps of a search, or anything else.

    Returns
    -------
    estimator : object
        No search.

    Raises
    ------
    NotFittedError
        If a search is not fitted.
    ValueError
        If a search did not refit its best estimator.
    """
    while isinstance(estimator, BaseSearchCV):
        check_is_fitted(estimator)
        if not hasattr(estimator, "best_estimator_"):
            raise ValueError(
                "the search must have refitted its best estimator, got "
                f"refit={estimator.refit!r}."
            )
        estimator = estimator.best_estimator_
    return estimator


def last_step(
    estimator: Any, *, nested: bool = True, searches: bool = False
) -> tuple[Any, str]:
    """Find the last step of a pipeline, whatever it is.

    Parameters
    ----------
    estimator : object
        A pipeline; anything else is its own last step.
    nested : bool, default=True
        Whether to enter a pipeline that is the last step of another.
    searches : bool, default=False
        Whether to enter the best estimator of a fitted search.

    Returns
    -------
    step : object
        The last step.
    prefix : str
        Of its parameters among those of the estimator, ``"mlp__"``; empty without a
        pipeline. Of a search it is that in its best estimator.
    """
    prefix = ""
    step = best_estimator(estimator) if searches else estimator
    while isinstance(step, Pipeline) and (nested or not prefix):
        name, step = step.steps[-1]
        prefix += f"{name}__"
        step = best_estimator(step) if searches else step
    return step, prefix


def find_network(
    estimator: Any, *, nested: bool = True, searches: bool = False
) -> tuple[BaseMLP, str]:
    """Find the estimator of this package in what a user gives.

    Parameters
    ----------
    estimator : object
        An `MLPClassifier` or `MLPRegressor`, fitted or not, or a pipeline that ends in
        one.
    nested : bool, default=True
        Whether to enter a pipeline that is the last step of another.
    searches : bool, default=False
        Whether to enter the best estimator of a fitted search.

    Returns
    -------
    mlp : MLPClassifier or MLPRegressor
        The estimator itself, no copy.
    prefix : str
        Of its parameters among those of the estimator, ``"mlp__"``; empty without a
        pipeline. Of a search it is that in its best estimator.

    Raises
    ------
    ValueError
        If there is none.
    NotFittedError
        If a search is not fitted.
    """
    step, prefix = last_step(estimator, nested=nested, searches=searches)
    if not isinstance(step, BaseMLP):
        search = ", or a fitted search of either" if searches else ""
        raise ValueError(
            "estimator must be an estimator of sk_deep, or a Pipeline that ends in one"
            f"{search}, got {step!r}."
        )
    return step, prefix


def inputs_of_network(estimator: Any, X: Any) -> Any:
    """Transform inputs by the fitted steps before the network.

    Parameters
    ----------
    estimator : object
        Fitted; an estimator of this package, a pipeline or search that ends in one.
    X : array-like or sparse matrix of shape (n_samples, n_features)
        Inputs of the estimator.

    Returns
    -------
    X : array-like or sparse matrix of shape (n_samples, n_inputs)
        Inputs of the network, which it has not checked yet.
    """
    step = best_estimator(estimator)
    while isinstance(step, Pipeline):
        if len(step.steps) > 1:
            X = step[:-1].transform(X)
        step = best_estimator(step.steps[-1][1])
    return X


def replace_network(estimator: Any, other: Any) -> Any:
    """Copy an estimator with another one in the network's place.

    Parameters
    ----------
    estimator : estimator
        An estimator of this package, or a pipeline that ends in one.
    other : estimator
        What takes its place.

    Returns
    -------
    estimator : estimator
        The copy, or `other` where there is no pipeline.
    """
    _, prefix = find_network(estimator)
    if not prefix:
        return other
    return clone(estimator).set_params(**{prefix.removesuffix("__"): other})
