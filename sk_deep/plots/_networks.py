"""The network in what a display is given, and the names of its layers."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import scipy.sparse
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_is_fitted, validate_data

from sk_deep._compat import BaseSearchCV


def unwrap(estimator: Any) -> Any:
    """Take the best estimator of a fitted search; others are as they are."""
    if not isinstance(estimator, BaseSearchCV):
        return estimator
    check_is_fitted(estimator)
    if not hasattr(estimator, "best_estimator_"):
        raise ValueError(
            "A search must have refitted its best estimator, however: "
            f"refit={estimator.refit!r}."
        )
    return unwrap(estimator.best_estimator_)


def network_in(estimator: Any) -> Any:
    """Find the network in an estimator, fitted or not.

    Parameters
    ----------
    estimator : object
        A network, a pipeline that ends in one, or a fitted search.

    Returns
    -------
    network : MLPClassifier or MLPRegressor
        The network itself.
    """
    inner = unwrap(estimator)
    if isinstance(inner, Pipeline):
        return network_in(inner.steps[-1][1])
    if not hasattr(type(inner), "transform_hidden"):
        raise ValueError(
            "estimator must be a network of sk_deep, a pipeline that ends in one, or a "
            f"fitted search of either, however: {type(inner).__name__}."
        )
    return inner


def fitted_network(estimator: Any) -> Any:
    """Find the network in a fitted estimator."""
    network = network_in(estimator)
    check_is_fitted(network)
    return network


def inputs_of_network(estimator: Any, X: Any) -> Any:
    """Transform inputs by the steps before the network, and check them.

    Parameters
    ----------
    estimator : object
        A fitted network, pipeline or search.
    X : array-like or sparse matrix of shape (n_samples, n_features)
        Inputs of the estimator.

    Returns
    -------
    X : ndarray or CSR matrix of shape (n_samples, n_inputs)
        Inputs of the network, of float32 or float64.
    """
    inner = unwrap(estimator)
    if isinstance(inner, Pipeline):
        if len(inner.steps) > 1:
            X = inner[:-1].transform(X)
        return inputs_of_network(inner.steps[-1][1], X)
    X = validate_data(
        inner,
        X,
        accept_sparse=["csr", "csc"],
        dtype=(np.float64, np.float32),
        reset=False,
    )
    return X.tocsr() if scipy.sparse.issparse(X) else X


def layer_names(n_layers: int) -> Sequence[str]:
    """Name the layers of a network from the inputs' side, the output layer too."""
    return [*(f"hidden {i}" for i in range(1, n_layers)), "output"]
