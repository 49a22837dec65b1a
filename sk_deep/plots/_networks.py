"""The fitted estimator that a display draws, and the names of its layers."""

from collections.abc import Sequence
from typing import Any

from sklearn.utils.validation import check_is_fitted

from sk_deep._estimator.base import BaseMLP
from sk_deep._estimator.finding import find_network


def fitted_network(estimator: Any) -> BaseMLP:
    """Find the fitted estimator of this package in a pipeline or search.

    Parameters
    ----------
    estimator : object
        A fitted estimator of this package, a pipeline that ends in one, or a fitted
        search, whose best estimator is taken.

    Returns
    -------
    mlp : MLPClassifier or MLPRegressor
        The estimator itself.
    """
    mlp, _ = find_network(estimator, searches=True)
    check_is_fitted(mlp)
    return mlp


def layer_names(n_layers: int) -> Sequence[str]:
    """Name the layers of a network from the inputs' side, the output layer too."""
    return [*(f"hidden {i}" for i in range(1, n_layers)), "output"]
