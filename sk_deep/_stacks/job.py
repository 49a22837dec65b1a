"""From the fits that a search asks for to stacks of networks, and back to its scores.

scikit-learn's searches ask for a fit and its scores per candidate and split, by calls
of `_fit_and_score`. Those of one structure make a job: their networks train in stacks.
"""

import functools
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn import get_config
from sklearn.base import clone
from sklearn.pipeline import Pipeline

from sk_deep._classifier import MLPClassifier
from sk_deep._compat import (
    callbacks_on,
    check_method_params,
    fit_steps_before,
    num_samples,
    predicts_only,
    safe_split,
    score,
    validate_parameter_constraints,
)
from sk_deep._data.columns import reads_columns
from sk_deep._data.sources import is_mapped
from sk_deep._engine.prediction import member_outputs
from sk_deep._engine.state import all_finite
from sk_deep._estimator import checks, plan
from sk_deep._estimator.finding import last_step
from sk_deep._estimator.validation import Validation, serve
from sk_deep._regressor import MLPRegressor
from sk_deep._stacks.members import (
    Member,
    Source,
    freeze,
    make_members,
    parameters_of,
    reason_against,
)
from sk_deep._stacks.train import adopt, predictor, train

_NETWORKS = MLPClassifier, MLPRegressor


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
        Tells the steps before the network, and their parameters; None if there are no
        steps.
    """

    index: int
    model: Any
    split: int
    steps: tuple | None

    @property
    def network(self):
        """The last step, or all of the model."""
        return self.model if self.steps is None else self.model.steps[-1][1]

    @property
    def inputs(self) -> tuple:
        """Tell the inputs that the network gets."""
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
        network = last_step(model, nested=False)[0] if is_pipeline else model
        if type(network) not in _NETWORKS:
            return f"{type(network).__name__} is no network of sk_deep"
        validate_parameter_constraints(
            network._parameter_constraints,
            parameters_of(network),
            caller_name=type(network).__name__,
        )
        checks.hidden_units(network)
        plan.device(network)
        reason = reason_against(network)
        watched = [model, *dict(model.steps).values()] if is_pipeline else [model]
        if any(map(callbacks_on, watched)):
            reason = "scikit-learn's callbacks watch it"
    except Exception as error:  # the fit alone tells it in its own way
        return str(error)
    if y is None:
        return "there is no y"
    steps = _steps_before(model, parameters) if is_pipeline else None
    return reason or Task(index, model, split, steps)


def _steps_before(pipeline: Pipeline, parameters: dict[str, Any]) -> tuple:
    """Tell the steps before the last, of pipelines that differ by `parameters`."""
    last, network = pipeline.steps[-1]
    others = sorted(
        name for name in parameters if name != last and not name.startswith(f"{last}__")
    )
    key = tuple((name, freeze(parameters[name])) for name in others)
    if not get_config()["enable_metadata_routing"]:
        return key
    # what passes the steps and goes to the network depends on what it asks for
    return *key, repr(network.get_metadata_routing())


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


# ---- a job: the tasks of a stack ---------------------------------------------------


@dataclass(eq=False)
class Job:
    """Tasks of one structure, and what it takes to train and score them.

    Parameters
    ----------
    tasks : list of Task
        The tasks.
    splits : dict
        Positions that train and that test, of each split.
    inputs : dict
        `TransformedSplit` of each split and each set of steps.
    options : dict
        Of scikit-learn's `_fit_and_score`: ``scorer``, ``fit_params``,
        ``score_params``, ``return_train_score``, ``error_score``.
    """

    tasks: list[Task]
    splits: dict[Any, tuple[NDArray, NDArray]]
    inputs: dict[tuple, TransformedSplit]
    options: dict[str, Any]
    X: Any = field(default=None, init=False)
    y: Any = field(default=None, init=False)
    known: dict[tuple, Any] = field(default_factory=dict, init=False)

    def run(self, X, y) -> list[dict[str, Any] | str]:
        """Train and score.

        What fails here is to be fitted alone, which tells of it in its own way.

        Parameters
        ----------
        X, y : array-like
            All data. They are no part of a job, so that workers get them once.

        Returns
        -------
        results : list
            For each task the result that `_fit_and_score` would give, or the reason why
            it is to be fitted alone.
        """
        self.X, self.y = X, y
        results: dict[Task, Any] = {}
        given = {task: set(vars(task.network)) for task in self.tasks}
        stacks = defaultdict(list)
        start = time.time()
        for task in self.tasks:
            try:
                members = self._members(task)
                stacks[members[0].shape()].append((task, members))
            except Exception as error:
                results[task] = str(error)
        overhead = (time.time() - start) / len(self.tasks)
        for stack in stacks.values():
            try:
                results.update(self._train(stack, overhead))
            except Exception as error:
                results.update({task: str(error) for task, _ in stack})
        self.X = self.y = None
        self.known.clear()
        for task, names in given.items():
            _forget(task.network, names)
        return [results[task] for task in self.tasks]

    def _members(self, task: Task) -> list[Member]:
        network = task.network
        attributes, source = self._once(self._source, task, task.inputs)
        vars(network).update(attributes)
        key = task.inputs, freeze(vars(network).get("class_weight"))
        weight = self._once(self._weight, task, key)
        validation = self._once(self._validation, task, task.inputs)
        return make_members(network, source, weight, validation)

    def _once(self, make: Callable[[Task], Any], task: Task, key: Any) -> Any:
        """Make something once for all tasks of a key."""
        key = make.__name__, key
        if key not in self.known:
            self.known[key] = make(task)
        return self.known[key]

    def _source(self, task: Task) -> tuple[dict[str, Any], Source]:
        """Check and encode training data; also give the attributes that this sets."""
        network = task.network._copy()
        train, _ = self.splits[task.split]
        if task.steps is None and not reads_columns(network):
            attributes, X, y = self._once(self._all_rows, task, None)
            vars(network).update(attributes)
            rows = np.arange(X.shape[0])[train]
            y = y[rows]
        else:
            X, y = safe_split(task.model, self.X, self.y, train)
            if task.steps is not None:
                X = self.inputs[task.inputs].X_train
            X, y = network._validate(X, y, reset=True)
            rows = np.arange(X.shape[0])
        weight = self._sample_weight(task, y)
        target = network._encode(y, weight, fresh=True, incremental=False)
        return _further(network, task.network), Source(X, rows, y, target)

    def _all_rows(self, task: Task) -> tuple[dict[str, Any], Any, NDArray]:
        network = task.network._copy()
        X, y = network._validate(self.X, self.y, reset=True)
        if is_mapped(X):
            X = np.array(X)  # of a memory map, all splits together need all rows
        return _further(network, task.network), X, y

    def _weight(self, task: Task) -> NDArray | None:
        _, source = self._once(self._source, task, task.inputs)
        weight = self._sample_weight(task, source.y)
        return task.network._weight(weight, source.y, False)

    def _sample_weight(self, task: Task, y: NDArray) -> NDArray | None:
        sample_weight = self._fit_params(task).get("sample_weight")
        return task.network._sample_weight(sample_weight, y)

    def _validation(self, task: Task) -> tuple[Source, NDArray | None] | None:
        """Check the validation data, if there are any."""
        params = self._fit_params(task)
        params.pop("sample_weight", None)
        names = ("X_val", "y_val", "sample_weight_val")
        validation = Validation(*(params.pop(name, None) for name in names))
        if params:
            raise ValueError(f"{', '.join(params)} is passed to fit")
        if not validation.is_given:
            return None
        X, y, target, weight = task.network._validation_rows(validation)
        return Source(X, np.arange(X.shape[0]), y, target), weight

    def _fit_params(self, task: Task) -> dict[str, Any]:
        if task.steps is not None:
            return dict(self.inputs[task.inputs].fit_params)
        train, _ = self.splits[task.split]
        params = self.options["fit_params"] or {}
        return dict(check_method_params(self.X, params=params, indices=train))

    # ---- training and scores -------------------------------------------------------

    def _train(self, stack: list[tuple[Task, list[Member]]], overhead: float) -> dict:
        start = time.time()
        train(_joined(stack))
        per_epoch = time.time() - start
        per_epoch /= sum(len(member.history) for member in _joined(stack))
        results: dict[Task, Any] = {}
        by_inputs = defaultdict(list)
        for task, members in stack:
            if all(map(_is_sound, members)):
                by_inputs[task.inputs].append((task, members))
            else:
                results[task] = "its training diverges"
        for trained in by_inputs.values():
            results.update(self._score(trained))
        for task, members in stack:
            if isinstance(results[task], dict):
                n_epochs = sum(len(member.history) for member in members)
                seconds = overhead + per_epoch * n_epochs
                if task.steps is not None:
                    seconds += self.inputs[task.inputs].seconds
                results[task]["fit_time"] = seconds
        return results

    def _score(self, trained: list[tuple[Task, list[Member]]]) -> dict:
        """Score networks of one split, by one pass of all of them over its rows."""
        start = time.time()
        first = trained[0][0]
        parts = self._parts(first)
        net = predictor(_joined(trained))
        first.network.net_ = net
        outputs = {
            name: member_outputs(net, first.network._check_inputs(part.Xt))
            for name, part in parts.items()
        }
        overhead = (time.time() - start) / len(trained)
        results: dict[Task, Any] = {}
        end = 0
        for task, members in trained:
            own = slice(end, end := end + len(members))
            if task is not first:  # scorers may write to what they get
                parts = self._parts(task)
            means = {name: values[own].mean(axis=0) for name, values in outputs.items()}
            try:
                results[task] = self._score_one(task, members, net, parts, means)
                results[task]["score_time"] += overhead
            except Warning as warning:  # where the user made an error of it
                results[task] = str(warning)
        return results

    def _parts(self, task: Task) -> dict[str, "Scored"]:
        """Take the rows to score on: those that test, and perhaps those that train."""
        train, test = self.splits[task.split]
        inputs = None if task.steps is None else self.inputs[task.inputs]
        params = functools.partial(
            check_method_params, self.X, params=self.options["score_params"] or {}
        )
        X, y = safe_split(task.model, self.X, self.y, test, train)
        Xt = X if inputs is None else inputs.X_test
        parts = {"test_scores": Scored(X, Xt, y, params(indices=test))}
        if self.options["return_train_score"]:
            X, y = safe_split(task.model, self.X, self.y, train)
            Xt = X if inputs is None else inputs.X_train_again
            parts["train_scores"] = Scored(X, Xt, y, params(indices=train))
        return parts

    def _score_one(
        self, task: Task, members: list[Member], net, parts: dict, outputs: dict
    ) -> dict[str, Any]:
        """Score one estimator, after the warning of a fit that has not converged."""
        network, scorer = task.network, self.options["scorer"]
        if not all(member.has_converged for member in members):
            network._warn_of_the_last_epoch(stacklevel=3)
        is_fast = predicts_only(scorer)
        if not is_fast:
            adopt(members)
            if task.steps is not None:
                steps = self.inputs[task.inputs].steps
                task.model.steps = [*steps, task.model.steps[-1]]
        result: dict[str, Any] = {"fit_error": None}
        for name, part in parts.items():
            start = time.time()
            if is_fast:
                serve(network, net, outputs[name])
            model, X = (network, part.Xt) if is_fast else (task.model, part.X)
            result[name] = score(
                model, X, part.y, scorer, part.params, self.options["error_score"]
            )
            result.setdefault("score_time", time.time() - start)
        result["n_test_samples"] = num_samples(parts["test_scores"].X)
        return result


@dataclass(eq=False)
class Scored:
    """Rows to score on: inputs, what the network gets, targets, what a scorer takes."""

    X: Any
    Xt: Any
    y: Any
    params: dict[str, Any]


def _joined(stack: list[tuple[Task, list[Member]]]) -> list[Member]:
    """List the members of all tasks."""
    return [member for _, members in stack for member in members]


def _is_sound(member: Member) -> bool:
    return not member.has_diverged and all_finite(member.flat, member.flat_buffers)


def _further(network, other) -> dict[str, Any]:
    """Take the attributes that an estimator has, and another lacks."""
    own = vars(network)
    return {name: own[name] for name in own.keys() - vars(other).keys()}


def _forget(network, names: set[str]) -> None:
    """Leave those attributes alone, and with the others go nets and outputs."""
    for name in vars(network).keys() - names:
        delattr(network, name)
