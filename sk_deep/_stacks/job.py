"""From the fits that a search asks for to stacks of networks, and back to its scores.

scikit-learn's searches ask for a fit and its scores per candidate and split, by calls
of `_fit_and_score`. Those of one structure make a job: their networks train in stacks.
"""

import copy
import functools
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sk_deep._classifier import MLPClassifier
from sk_deep._compat import (
    check_method_params,
    num_samples,
    predicts_only,
    safe_split,
    score,
)
from sk_deep._data.columns import ColumnEncoder, reads_columns
from sk_deep._data.sources import is_mapped
from sk_deep._engine.prediction import member_outputs
from sk_deep._engine.state import all_finite
from sk_deep._estimator.fit import warn_of_max_iter
from sk_deep._estimator.inputs import check_training_data, checked_sample_weight
from sk_deep._estimator.parameters import parameter_of
from sk_deep._estimator.scoring import predict_known
from sk_deep._estimator.validation import Validation, check_validation_rows
from sk_deep._regressor import MLPRegressor
from sk_deep._stacks.compatibility import freeze
from sk_deep._stacks.members import Member, Source, make_members
from sk_deep._stacks.task import Task, TransformedSplit
from sk_deep._stacks.train import predictor, result_of, train

_NETWORKS = MLPClassifier, MLPRegressor


# ---- what an estimator learns of the data of a split -------------------------------


class LearnedOfData(NamedTuple):
    """What estimators learn of the same training data, whatever their parameters.

    Parameters
    ----------
    n_features_in : int
        Number of features.
    feature_names_in : ndarray or None
        Their names, if they have names.
    columns : ColumnEncoder or None
        What encodes columns.
    targets : Targets or None
        What encodes targets, and decodes outputs.
    """

    n_features_in: int
    feature_names_in: NDArray | None
    columns: ColumnEncoder | None
    targets: Any

    @classmethod
    def of(cls, estimator) -> "LearnedOfData":
        """Take what an estimator has learned."""
        names = getattr(estimator, "feature_names_in_", None)
        return cls(
            estimator.n_features_in_, names, estimator._columns, estimator._targets
        )

    def put_on(self, estimator):
        """Let an estimator know it, and return the estimator."""
        estimator.n_features_in_ = self.n_features_in
        if self.feature_names_in is not None:
            estimator.feature_names_in_ = self.feature_names_in
        estimator._columns, estimator._targets = self.columns, self.targets
        for name, value in self.targets.attributes.items() if self.targets else ():
            setattr(estimator, name, value)
        return estimator


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

        A fit that fails here is to be run alone, where it raises its own error.

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
        return [results[task] for task in self.tasks]

    def _members(self, task: Task) -> list[Member]:
        learned, source = self._once(self._source, task, task.inputs)
        estimator = learned.put_on(task.estimator._copy())
        key = task.inputs, freeze(parameter_of(estimator, "class_weight"))
        weight = self._once(self._weight, task, key)
        validation = self._once(self._validation, task, task.inputs)
        return make_members(estimator, source, weight, validation)

    def _once(self, make: Callable[[Task], Any], task: Task, key: Any) -> Any:
        """Make something once for all tasks of a key."""
        key = make.__name__, key
        if key not in self.known:
            self.known[key] = make(task)
        return self.known[key]

    def _source(self, task: Task) -> tuple[LearnedOfData, Source]:
        """Check and encode training data."""
        estimator = task.estimator._copy()
        train, _ = self.splits[task.split]
        if task.steps is None and not reads_columns(estimator):
            learned, X, y = self._once(self._all_rows, task, None)
            learned.put_on(estimator)
            rows = np.arange(X.shape[0])[train]
            y = y[rows]
        else:
            X, y = safe_split(task.model, self.X, self.y, train)
            if task.steps is not None:
                X = self.inputs[task.inputs].X_train
            X, y = check_training_data(estimator, X, y)
            rows = np.arange(X.shape[0])
        weight = self._sample_weight(task, y)
        target = estimator._encode_targets(
            y, weight, is_fresh=True, is_incremental=False
        )
        return LearnedOfData.of(estimator), Source(X, rows, y, target)

    def _all_rows(self, task: Task) -> tuple[LearnedOfData, Any, NDArray]:
        estimator = task.estimator._copy()
        X, y = check_training_data(estimator, self.X, self.y)
        if is_mapped(X):
            X = np.array(X)  # of a memory map, all splits together need all rows
        return LearnedOfData.of(estimator), X, y

    def _weight(self, task: Task) -> NDArray | None:
        learned, source = self._once(self._source, task, task.inputs)
        weight = self._sample_weight(task, source.y)
        estimator = learned.put_on(task.estimator._copy())
        return estimator._weigh_by_targets(weight, source.y, False)

    def _sample_weight(self, task: Task, y: NDArray) -> NDArray | None:
        return checked_sample_weight(self._fit_params(task).get("sample_weight"), y)

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
        learned, _ = self._once(self._source, task, task.inputs)
        estimator = learned.put_on(task.estimator._copy())
        X, y, target, weight = check_validation_rows(estimator, validation)
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
        first, members_of_first = trained[0]
        parts = self._parts(first)
        net = predictor(_joined(trained))
        fitted = members_of_first[0].estimator._copy()
        fitted.net_ = net
        outputs = {
            name: member_outputs(net, fitted._check_inputs(part.Xt))
            for name, part in parts.items()
        }
        overhead = (time.time() - start) / len(trained)
        results: dict[Task, Any] = {}
        end = 0
        for task, members in trained:
            columns = slice(end, end := end + len(members))
            if task is not first:  # scorers may write to what they get
                parts = self._parts(task)
            means = {
                name: values[columns].mean(axis=0) for name, values in outputs.items()
            }
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
        scorer = self.options["scorer"]
        estimator = members[0].estimator._copy()
        if not all(member.has_converged for member in members):
            warn_of_max_iter(estimator)
        is_fast = predicts_only(scorer)
        model = estimator
        if not is_fast:
            result_of(members).put_on(estimator)
            if task.steps is not None:
                steps = self.inputs[task.inputs].steps
                model = copy.copy(task.model)
                model.steps = [*steps, (task.model.steps[-1][0], estimator)]
        result: dict[str, Any] = {"fit_error": None}
        for name, part in parts.items():
            start = time.time()
            if is_fast:
                predict_known(estimator, net, outputs[name])
            result[name] = score(
                model,
                part.Xt if is_fast else part.X,
                part.y,
                scorer,
                part.params,
                self.options["error_score"],
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
