"""Methods that the parameters of an estimator rule out."""

import functools
import types
from collections.abc import Callable
from typing import TypeVar, cast

from sk_deep._estimator import checks

Method = TypeVar("Method", bound=Callable)


def stochastic_only(method: Method) -> Method:
    """Hide a method where training by single epochs has no meaning."""
    return cast(Method, _StochasticOnly(method))


class _StochasticOnly:
    """Hide a method where training by single epochs has no meaning.

    As `sklearn.utils.metaestimators.available_if`, but the error that says so is the
    ValueError that scikit-learn's MLP raises for early stopping, too.
    """

    def __init__(self, function):
        functools.update_wrapper(self, function)
        self._function = function

    def __get__(self, estimator, owner=None):
        if estimator is None:
            return self._function
        if checks.is_full_batch(estimator):
            raise NotAvailableError(
                "partial_fit is only available for stochastic"
                f" optimizers. {estimator.solver} is not stochastic."
            )
        # NOTE[DIFF] partial fit with early stopping: scikit-learn's is there to raise
        if estimator.early_stopping:
            raise NotAvailableError("partial_fit does not support early_stopping=True")
        return types.MethodType(self._function, estimator)


class NotAvailableError(AttributeError, ValueError):
    """The parameters of the estimator rule a method out."""
