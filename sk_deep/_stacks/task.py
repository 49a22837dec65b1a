"""Tasks of a search: a fit that a stack may train, and the steps before its network."""

import time
from dataclasses import dataclass
from typing import Any

from sklearn import get_config
from sklearn.base import clone
from sklearn.pipeline import Pipeline

from sk_deep._classifier import MLPClassifier
from sk_deep._compat import (
    callbacks_on,
    check_method_params,
    fit_steps_before,
    safe_split,
    validate_parameter_constraints,
)
from sk_deep._estimator import checks, plan
from sk_deep._estimator.finding import last_step
from sk_deep._regressor import MLPRegressor
from sk_deep._stacks.compatibility import (
    freeze,
    parameters_of,
    reason_against,
)

_ESTIMATORS = MLPClassifier, MLPRegressor


# ---- a fit -------------------------------------------------------------------------


@dataclass(eq=False)
class Task:
    """A candidate on a split, to be trained in a stack.

    Parameters
    ----------
    index : int
        Its place among the fits of the search.
    model : estimator or Pipeline
        With the candidate's parameters.
    split : int
        Number of the split.
    steps : tuple or None
        Key of the steps before the network, and of their parameters; None without
        steps.
    """

    index: int
    model: Any
    split: int
    steps: tuple | None

    @property
    def estimator(self):
        """The last step, or all of the model."""
        return self.model if self.steps is None else self.model.steps[-1][1]

    @property
    def inputs(self) -> tuple:
        """Key of the inputs that the network gets."""
        return self.split, self.steps


def make_task(
    index: int, split: int, model, y, parameters: dict[str, Any]
) -> Task | str:
    """Make a task of a fit.

    Parameters
    ----------
    index, split : int
        Place of the fit, and of its split.
    model : estimator
        It gets the candidate's parameters.
    y : array-like or None
        All targets.
    parameters : dict
        The candidate's parameters.

    Returns
    -------
    task : Task or str
        The task, or the reason why the fit cannot be part of a stack.
    """
    try:
        model.set_params(**clone(parameters, safe=False))
        is_pipeline = type(model) is Pipeline  # a subclass may fit in its own way
        mlp = last_step(model, nested=False)[0] if is_pipeline else model
        if type(mlp) not in _ESTIMATORS:
            return f"{type(mlp).__name__} is no estimator of sk_deep"
        validate_parameter_constraints(
            mlp._parameter_constraints,
            parameters_of(mlp),
            caller_name=type(mlp).__name__,
        )
        units = checks.hidden_units(mlp)
        activations = checks.per_layer(mlp.activation, len(units), "activation")
        checks.check_activations(activations, mlp.n_members)
        plan.device(mlp)
        reason = reason_against(mlp)
        parts = [model, *dict(model.steps).values()] if is_pipeline else [model]
        if any(map(callbacks_on, parts)):
            reason = "scikit-learn's callbacks watch it"
    except Exception as error:  # a fit alone raises it again
        return str(error)
    if y is None:
        return "y is None"
    steps = _steps_before(model, parameters) if is_pipeline else None
    return reason or Task(index, model, split, steps)


def _steps_before(pipeline: Pipeline, parameters: dict[str, Any]) -> tuple:
    """Build the key of the steps before the last, of pipelines that differ by these."""
    last, mlp = pipeline.steps[-1]
    others = sorted(
        name for name in parameters if name != last and not name.startswith(f"{last}__")
    )
    key = tuple((name, freeze(parameters[name])) for name in others)
    if not get_config()["enable_metadata_routing"]:
        return key
    # metadata that pass the steps depend on what the last one requests
    return *key, repr(mlp.get_metadata_routing())


# ---- what the steps before the network make of a split -----------------------------


@dataclass(eq=False)
class TransformedSplit:
    """A split as the network gets it.

    Parameters
    ----------
    X_train : array-like
        Inputs that train, as the steps' ``fit_transform`` gives them.
    X_test, X_train_again : array-like
        Inputs to score on, as their ``transform`` gives them; the latter may be None.
    fit_params : dict
        What the network's fit is passed beside inputs and targets.
    steps : list
        The fitted steps.
    seconds : float
        That it took.
    """

    X_train: Any
    X_test: Any
    X_train_again: Any
    fit_params: dict[str, Any]
    steps: list
    seconds: float


def fit_steps(
    pipeline: Pipeline, X, y, train, test, fit_params, return_train_score
) -> TransformedSplit | str:
    """Fit the steps before the network on a split, and transform both parts.

    Parameters
    ----------
    pipeline : Pipeline
        With the steps, of which copies are fitted.
    X, y : array-like
        All data.
    train, test : ndarray
        The split.
    fit_params : dict
        What the pipeline's fit is passed.
    return_train_score : bool
        Whether the training rows are to be scored on.

    Returns
    -------
    inputs : TransformedSplit or str
        The inputs, or the error that a step raised.
    """
    start = time.time()
    pipeline = clone(pipeline)
    try:
        X_train, y_train = safe_split(pipeline, X, y, train)
        X_test, _ = safe_split(pipeline, X, y, test, train)
        params = check_method_params(X, params=fit_params or {}, indices=train)
        Xt, params = fit_steps_before(pipeline, X_train, y_train, params)
        if len(pipeline) > 1:
            X_test = pipeline[:-1].transform(X_test)
        again = None
        if return_train_score:  # a copy of its own: steps may write to what they get
            again, _ = safe_split(pipeline, X, y, train)
            again = pipeline[:-1].transform(again) if len(pipeline) > 1 else again
    except Exception as error:
        return str(error)
    seconds = time.time() - start
    return TransformedSplit(Xt, X_test, again, params, pipeline.steps[:-1], seconds)
