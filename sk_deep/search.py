"""Searches that train all candidates and folds together, as stacks of networks."""

import functools
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from itertools import pairwise
from numbers import Integral
from typing import Any

import numpy as np
from joblib import effective_n_jobs
from joblib.logger import short_format_time
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, RandomizedSearchCV
from sklearn.utils.parallel import delayed

from sk_deep import _options
from sk_deep._compat import (
    Interval,
    StrOptions,
    constraints_of,
    fit_and_score,
    replace_executor,
    safe_index,
    safe_split,
    unwrap_delayed,
)
from sk_deep._stacks import structure
from sk_deep._tasks import Inputs, Job, Task, fit_steps, make_task

_STACK_BYTES = 2**23  # of parameters and values of a stack, for them to stay in a cache
_SMALLEST_SHARE = 12  # members for which a worker of its own is worth it
_OF_JOBS = ("scorer", "fit_params", "score_params", "return_train_score", "error_score")
_BATCH_MEMBERS = [StrOptions({"auto"}), Interval(Integral, 1, None, closed="left")]

Call = tuple[tuple, dict[str, Any]]  # arguments of scikit-learn's `_fit_and_score`


class _Batched:
    """What the two searches add to those of scikit-learn."""

    def _run_search(self, evaluate_candidates, *, callback_ctx=None):
        replace_executor(
            evaluate_candidates, lambda parallel: _StackExecutor(parallel, self)
        )
        super()._run_search(evaluate_candidates, callback_ctx=callback_ctx)


class BatchedGridSearchCV(_Batched, GridSearchCV):
    """Search a grid of parameters, all candidates and folds trained together.

    It is scikit-learn's `GridSearchCV`: it has the same parameters, attributes and
    results, and takes its place in pipelines, `cross_validate` and nested searches.
    Where the estimator is a network of this package, or a `Pipeline` that ends in one,
    the networks of all candidates and folds train together, as stacks: one tensor
    operation steps all of them, which takes a fraction of the time. See Notes.

    Parameters
    ----------
    estimator : estimator
        What is searched. Other estimators than those networks are searched as
        scikit-learn does it.

    param_grid : dict or list of dict
        Parameters and the values to try, or several such grids.

    scoring : str, callable, list, tuple or dict, default=None
        How predictions are scored, as in scikit-learn; None is the estimator's `score`.

    refit : bool, str or callable, default=True
        Whether to refit the best candidate on all data; of several scores, which one
        tells the best; or a function of `cv_results_` that gives its index.

    cv : int, cross-validation generator or iterable, default=None
        How the data are split; None is 5 folds, stratified for classifiers.

    verbose : int, default=0
        What is printed: above 0 the number of fits, and which go one by one, and why;
        above 1 each fit with its time, above 2 its score too.

    error_score : 'raise' or numeric, default=nan
        Score of a fit that fails.

    return_train_score : bool, default=False
        Whether to score on the training rows too.

    n_jobs : int, default=None
        Number of workers, each of which trains whole stacks; None is 1 unless in a
        `joblib.parallel_config` context, -1 all processors.

    batch_members : int or "auto", default="auto"
        Most networks in a stack. The memory of a search grows with it; "auto" lets the
        parameters and values of a stack stay in a processor's cache.

    Attributes
    ----------
    cv_results_ : dict of str to ndarray
        As in scikit-learn. The times of a stack are shared out over its networks.

    best_estimator_ : estimator
        The refitted estimator.

    best_score_ : float
        Mean score of the best candidate on the test folds.

    best_params_ : dict
        Its parameters.

    best_index_ : int
        Its index in `cv_results_`.

    scorer_ : callable or dict
        What scored.

    n_splits_ : int
        Number of splits.

    refit_time_ : float
        Seconds that the refit took.

    multimetric_ : bool
        Whether there are several scores.

    classes_ : ndarray of shape (n_classes,)
        The class labels, of classifiers.

    n_features_in_ : int
        Number of features, if `best_estimator_` tells it.

    feature_names_in_ : ndarray of shape (n_features_in_,)
        Their names, if `best_estimator_` tells them.

    See Also
    --------
    sklearn.model_selection.GridSearchCV : The search that this one is.
    sk_deep.BatchedRandomizedSearchCV : Search a sample of candidates.

    Notes
    -----
    A network in a stack has its own rows, shuffles, initial weights and random state,
    and gives what it gives alone: in float64 to rounding, with dropout or augmentation
    in law. Early stopping acts on each; those that have finished leave the stack.

    Networks share a stack where they differ in numbers: rates, schedules, penalties,
    momentum and betas, probabilities of dropout, bounds on norms, class weights, random
    states, `max_iter`, `tol`, patience. Where they differ in structure (layers,
    activation, solver, batch size, loss, whether there is dropout at all, ...), each
    structure has stacks of its own. The steps of a pipeline before the network are
    fitted once per fold and combination of *their* parameters.

    One by one, as in scikit-learn, go: ``solver="lbfgs"``, ensembles (``n_members``
    above 1), networks with ``callbacks`` or ``verbose``, and those with code of one's
    own as activation, loss, solver, schedule or augmentation.

    Examples
    --------
    >>> from sk_deep import BatchedGridSearchCV, MLPClassifier
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> X, y = load_iris(return_X_y=True)
    >>> network = MLPClassifier(16, max_iter=50, n_iter_no_change=50, random_state=0)
    >>> grid = {
    ...     "mlpclassifier__learning_rate_init": [1e-3, 1e-2],
    ...     "mlpclassifier__alpha": [1e-4, 1e-2, 1.0],
    ... }
    >>> search = BatchedGridSearchCV(make_pipeline(StandardScaler(), network), grid)
    >>> search.fit(X, y).best_params_["mlpclassifier__learning_rate_init"]
    0.01
    """

    _parameter_constraints: dict = {
        **constraints_of(GridSearchCV),
        "batch_members": _BATCH_MEMBERS,
    }

    def __init__(
        self,
        estimator,
        param_grid,
        *,
        scoring=None,
        refit=True,
        cv=None,
        verbose=0,
        error_score=np.nan,
        return_train_score=False,
        n_jobs=None,
        batch_members="auto",
    ):
        super().__init__(
            estimator,
            param_grid,
            scoring=scoring,
            refit=refit,
            cv=cv,
            verbose=verbose,
            error_score=error_score,
            return_train_score=return_train_score,
            n_jobs=n_jobs,
        )
        self.batch_members = batch_members


class BatchedRandomizedSearchCV(_Batched, RandomizedSearchCV):
    """Search a sample of candidates, all candidates and folds trained together.

    It is scikit-learn's `RandomizedSearchCV`: it has the same parameters, attributes
    and results, and takes its place in pipelines, `cross_validate` and nested searches.
    Where the estimator is a network of this package, or a `Pipeline` that ends in one,
    the networks of all candidates and folds train together, as stacks: one tensor
    operation steps all of them, which takes a fraction of the time. See Notes.

    Parameters
    ----------
    estimator : estimator
        What is searched. Other estimators than those networks are searched as
        scikit-learn does it.

    param_distributions : dict or list of dict
        Parameters and their values, lists or distributions with an ``rvs`` method, or
        several such dicts.

    n_iter : int, default=10
        Number of candidates.

    scoring : str, callable, list, tuple or dict, default=None
        How predictions are scored, as in scikit-learn; None is the estimator's `score`.

    refit : bool, str or callable, default=True
        Whether to refit the best candidate on all data; of several scores, which one
        tells the best; or a function of `cv_results_` that gives its index.

    cv : int, cross-validation generator or iterable, default=None
        How the data are split; None is 5 folds, stratified for classifiers.

    verbose : int, default=0
        What is printed: above 0 the number of fits, and which go one by one, and why;
        above 1 each fit with its time, above 2 its score too.

    random_state : int, RandomState instance or None, default=None
        Source of the candidates.

    error_score : 'raise' or numeric, default=nan
        Score of a fit that fails.

    return_train_score : bool, default=False
        Whether to score on the training rows too.

    n_jobs : int, default=None
        Number of workers, each of which trains whole stacks; None is 1 unless in a
        `joblib.parallel_config` context, -1 all processors.

    batch_members : int or "auto", default="auto"
        Most networks in a stack. The memory of a search grows with it; "auto" lets the
        parameters and values of a stack stay in a processor's cache.

    Attributes
    ----------
    cv_results_ : dict of str to ndarray
        As in scikit-learn. The times of a stack are shared out over its networks.

    best_estimator_ : estimator
        The refitted estimator.

    best_score_ : float
        Mean score of the best candidate on the test folds.

    best_params_ : dict
        Its parameters.

    best_index_ : int
        Its index in `cv_results_`.

    scorer_ : callable or dict
        What scored.

    n_splits_ : int
        Number of splits.

    refit_time_ : float
        Seconds that the refit took.

    multimetric_ : bool
        Whether there are several scores.

    classes_ : ndarray of shape (n_classes,)
        The class labels, of classifiers.

    n_features_in_ : int
        Number of features, if `best_estimator_` tells it.

    feature_names_in_ : ndarray of shape (n_features_in_,)
        Their names, if `best_estimator_` tells them.

    See Also
    --------
    sklearn.model_selection.RandomizedSearchCV : The search that this one is.
    sk_deep.BatchedGridSearchCV : Search a grid of parameters.

    Notes
    -----
    A network in a stack has its own rows, shuffles, initial weights and random state,
    and gives what it gives alone: in float64 to rounding, with dropout or augmentation
    in law. Early stopping acts on each; those that have finished leave the stack.

    Networks share a stack where they differ in numbers: rates, schedules, penalties,
    momentum and betas, probabilities of dropout, bounds on norms, class weights, random
    states, `max_iter`, `tol`, patience. Where they differ in structure (layers,
    activation, solver, batch size, loss, whether there is dropout at all, ...), each
    structure has stacks of its own. The steps of a pipeline before the network are
    fitted once per fold and combination of *their* parameters.

    One by one, as in scikit-learn, go: ``solver="lbfgs"``, ensembles (``n_members``
    above 1), networks with ``callbacks`` or ``verbose``, and those with code of one's
    own as activation, loss, solver, schedule or augmentation.

    Examples
    --------
    >>> from scipy.stats import loguniform
    >>> from sk_deep import BatchedRandomizedSearchCV, MLPRegressor
    >>> from sklearn.datasets import make_regression
    >>> X, y = make_regression(n_features=5, random_state=0)
    >>> y /= y.std()
    >>> network = MLPRegressor(hidden_layer_sizes=16, max_iter=50, random_state=0)
    >>> space = {"learning_rate_init": loguniform(1e-4, 1e-1), "dropout": [0.0, 0.2]}
    >>> search = BatchedRandomizedSearchCV(network, space, n_iter=20, random_state=0)
    >>> search.fit(X, y).cv_results_["params"][search.best_index_]["dropout"]
    0.0
    """

    _parameter_constraints: dict = {
        **constraints_of(RandomizedSearchCV),
        "batch_members": _BATCH_MEMBERS,
    }

    def __init__(
        self,
        estimator,
        param_distributions,
        *,
        n_iter=10,
        scoring=None,
        refit=True,
        cv=None,
        verbose=0,
        random_state=None,
        error_score=np.nan,
        return_train_score=False,
        n_jobs=None,
        batch_members="auto",
    ):
        super().__init__(
            estimator,
            param_distributions,
            n_iter=n_iter,
            scoring=scoring,
            refit=refit,
            cv=cv,
            verbose=verbose,
            random_state=random_state,
            error_score=error_score,
            return_train_score=return_train_score,
            n_jobs=n_jobs,
        )
        self.batch_members = batch_members


# ---- the executor ------------------------------------------------------------------


class _StackExecutor:
    """Runs the fits of a search: networks in stacks, and all others one by one.

    Parameters
    ----------
    parallel : Parallel
        The executor of the search, which runs whole stacks, and single fits.
    search : BatchedGridSearchCV or BatchedRandomizedSearchCV
        The search.
    """

    def __init__(self, parallel: Callable, search) -> None:
        self.parallel = parallel
        self.search = search

    def __call__(self, delayed_calls: Iterable[tuple]) -> list[dict[str, Any]]:
        """Run calls of scikit-learn's `_fit_and_score`, and list their results."""
        calls = [unwrap_delayed(call) for call in delayed_calls]
        # what is known of each: its task, then its result or the reason against stacks
        found: list[Any] = [make_task(i, *call) for i, call in enumerate(calls)]
        inputs = self._fit_steps(found, calls)
        jobs = self._make_jobs(found, inputs, calls)
        alone = self._list_alone(found)
        done = self.parallel(
            [delayed(Job.run)(job) for job in jobs] + [_again(*calls[i]) for i in alone]
        )
        for job, results in zip(jobs, done, strict=False):
            for task, result in zip(job.tasks, results, strict=True):
                found[task.index] = result
        for i, result in zip(alone, done[len(jobs) :], strict=True):
            found[i] = result
        in_stacks = sorted(task.index for job in jobs for task in job.tasks)
        failed = self._list_alone(found)
        for i, result in zip(
            failed, self.parallel(_again(*calls[i]) for i in failed), strict=True
        ):
            found[i] = result
        for i in sorted(set(in_stacks) - set(failed)):
            _tell(*calls[i], found[i])
        return found

    def _fit_steps(self, found: list, calls: list[Call]) -> dict[tuple, Inputs]:
        """Fit the steps before the networks, once per split and set of parameters."""
        tasks = [task for task in found if isinstance(task, Task)]
        first = {task.inputs: task for task in tasks if task.steps is not None}
        done = self.parallel(
            delayed(fit_steps)(task.model, *_data(*calls[task.index]))
            for task in first.values()
        )
        inputs = dict(zip(first, done, strict=True))
        for task in tasks:
            if isinstance(inputs.get(task.inputs), str):
                found[task.index] = inputs[task.inputs]
        return inputs

    def _list_alone(self, found: list) -> list[int]:
        """List what is to be fitted one by one, and perhaps print why."""
        alone = {i: why for i, why in enumerate(found) if isinstance(why, str)}
        if self.search.verbose > 0:
            for why, n in Counter(alone.values()).items():
                print(f"{n} of {len(found)} fits go one by one: {why}")
        return list(alone)

    def _make_jobs(self, found: list, inputs: dict, calls: list[Call]) -> list[Job]:
        """Make a job, or several, of the tasks of one structure."""
        groups = defaultdict(list)
        for task in found:
            if isinstance(task, Task):
                groups[structure(task.network)].append(task)
        jobs = []
        for tasks in groups.values():
            (X, y), kwargs = calls[tasks[0].index][0][1:], calls[tasks[0].index][1]
            for chunk in self._cut(tasks, inputs, X):
                own = {task.inputs for task in chunk}
                splits = {
                    task.split: (kw["train"], kw["test"])
                    for task in chunk
                    for kw in [calls[task.index][1]]
                }
                known = {key: inputs[key] for key in own & set(inputs)}
                options = {name: kwargs[name] for name in _OF_JOBS}
                jobs.append(Job(chunk, X, y, splits, known, options))
        return sorted(jobs, key=_work, reverse=True)

    def _cut(self, tasks: list[Task], inputs: dict, X) -> list[list[Task]]:
        """Cut tasks of one structure to stacks, and to shares of the workers."""
        n_jobs = effective_n_jobs(self.search.n_jobs)
        size = self.search.batch_members
        if size == "auto":
            first = tasks[0]
            X = X if first.steps is None else inputs[first.inputs].X_train
            size = max(1, _STACK_BYTES // _member_bytes(first.network, X))
        n_stacks = -(-len(tasks) // size)
        n_shares = min(n_jobs, max(1, len(tasks) // _SMALLEST_SHARE))
        n_chunks = -(-max(n_stacks, n_shares) // n_shares) * n_shares
        bounds = np.linspace(0, len(tasks), min(n_chunks, len(tasks)) + 1).astype(int)
        return [tasks[a:b] for a, b in pairwise(bounds)]


def _work(job: Job) -> int:
    """Estimate what a job takes, to begin with the longest."""
    first = job.tasks[0]
    X = job.X if first.steps is None else job.inputs[first.inputs].X_train
    return len(job.tasks) * _member_bytes(first.network, X)


def _member_bytes(network, X) -> int:
    """Estimate the bytes that a step of a member reads and writes."""
    n_rows, n_features = np.shape(X)
    n_rows = _options.batch_size(network, n_rows)
    units = [n_features, *_options.hidden_units(network)]
    n_weights = sum(a * b for a, b in pairwise(units))
    n_values = 4 * n_weights + n_rows * (n_features + 3 * sum(units[1:]))
    return 4 * n_values


def _data(args: tuple, kwargs: dict) -> tuple:
    """Take the data of a call: X, y, the split, and what is passed to fit."""
    _, X, y = args
    return X, y, kwargs["train"], kwargs["test"], kwargs["fit_params"]


def _again(args: tuple, kwargs: dict):
    """Delay a call, of an estimator that nothing has touched."""
    model, *data = args
    return delayed(fit_and_score)(clone(model), *data, **kwargs)


def _tell(args: tuple, kwargs: dict, result: dict) -> None:
    """Tell callbacks and the user of a fit, as `_fit_and_score` does."""
    context = kwargs["callback_ctx"]
    if context is not None:
        data = functools.partial(safe_split, *args, kwargs["train"])
        weight = (kwargs["fit_params"] or {}).get("sample_weight")
        known = {
            "estimator": kwargs["caller"],
            "X": lambda: data()[0],
            "y": lambda: data()[1],
            "metadata": None
            if weight is None
            else {"sample_weight": safe_index(weight, kwargs["train"])},
        }
        context.call_on_fit_task_begin(**known)
        context.call_on_fit_task_end(**known)
    if kwargs["verbose"] > 1:
        _print_progress(kwargs, result)


def _print_progress(kwargs: dict, result: dict) -> None:
    verbose, progress = kwargs["verbose"], ""
    if verbose > 2:
        split, n_splits = kwargs["split_progress"]
        progress = f" {split + 1}/{n_splits}"
    if verbose > 9:
        candidate, n_candidates = kwargs["candidate_progress"]
        progress += f"; {candidate + 1}/{n_candidates}"
    parameters = sorted(kwargs["parameters"].items())
    told = ", ".join(f"{name}={value}" for name, value in parameters)
    if verbose > 9:
        start = f"[CV{progress}] START {told}"
        print(f"{start}{(80 - len(start)) * '.'}")
    told += ";" if told else ""
    if verbose > 2:
        told += _scores(result)
    seconds = short_format_time(result["fit_time"] + result["score_time"])
    told += f" total time={seconds}"
    end = f"[CV{progress}] END "
    print(f"{end}{'.' * (80 - len(end) - len(told))}{told}")


def _scores(result: dict) -> str:
    test, train = result["test_scores"], result.get("train_scores")
    if not isinstance(test, dict):
        if train is None:
            return f", score={test:.3f}"
        return f", score=(train={train:.3f}, test={test:.3f})"
    told = ""
    for name in sorted(test):
        own = "" if train is None else f"train={train[name]:.3f}, "
        told += f" {name}: ({own}test={test[name]:.3f})"
    return told
