"""The executor of a search: networks train in stacks, all other fits one by one."""

import contextlib
import warnings
from collections import Counter, defaultdict
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import BrokenExecutor, CancelledError
from itertools import pairwise
from typing import Any

import numpy as np
import scipy.sparse
import torch
from joblib import effective_n_jobs
from sklearn.base import clone, is_classifier
from sklearn.utils.parallel import Parallel, delayed

from sk_deep._compat import (
    fit_and_score,
    num_samples,
    passes_callbacks_on,
    replace_executor,
    unwrap_delayed,
)
from sk_deep._estimator import checks, plan
from sk_deep._stacks.compatibility import structure
from sk_deep._stacks.job import Job
from sk_deep._stacks.progress import Call, is_reported, report
from sk_deep._stacks.task import Task, TransformedSplit, fit_steps, make_task
from sk_deep.encodings import NUMERICAL_EMBEDDINGS
from sk_deep.exceptions import full_memory
from sk_deep.network import Architecture

# bytes of the weights and values of a stack; on the CPU they must fit into a cache
_STACK_BYTES = {"cpu": 10 * 2**20}
_STACK_BYTES_ELSEWHERE = 2**31
_INPUT_BYTES = 2**28  # of transformed inputs that are in memory at a time
_SMALLEST_SHARE = 12  # members; fewer are not worth another worker
_N_TRIES = 3  # for fits whose workers are lost
_LOST = CancelledError, BrokenExecutor  # lost workers of dask and of loky
_JOB_OPTIONS = (
    "scorer",
    "fit_params",
    "score_params",
    "return_train_score",
    "error_score",
)


def train_in_stacks(
    search: Any,
    evaluate_candidates: Callable,
    batch_members: int | str = "auto",
    wrap: Callable[[Callable], Callable] = lambda executor: executor,
) -> None:
    """Make a search of scikit-learn train its networks in stacks.

    Parameters
    ----------
    search : BaseSearchCV
        The search.
    evaluate_candidates : callable
        The argument of its `_run_search`.
    batch_members : int or "auto", default="auto"
        Maximum number of networks in a stack.
    wrap : callable, default=identity
        Function of the executor that returns the executor to use.
    """

    def in_stacks(parallel: Parallel) -> Callable:
        executor = StackExecutor(
            parallel,
            n_jobs=search.n_jobs,
            batch_members=batch_members,
            verbose=search.verbose,
        )
        return wrap(executor)

    replace_executor(evaluate_candidates, in_stacks)


class StackExecutor:
    """Runs the fits of a search: networks in stacks, all other fits one by one.

    Parameters
    ----------
    parallel : Parallel
        The executor of the search, which runs stacks and single fits.
    n_jobs : int or None
        Number of workers of `parallel`.
    batch_members : int or "auto"
        Maximum number of networks in a stack.
    verbose : int
        If above 0, print how many fits run one by one, and why.
    """

    def __init__(
        self,
        parallel: Parallel,
        *,
        n_jobs: int | None,
        batch_members: int | str,
        verbose: int,
    ) -> None:
        self.parallel = parallel
        self.n_jobs = n_jobs
        self.batch_members = batch_members
        self.verbose = verbose

    def __call__(self, delayed_calls: Iterable[tuple]) -> list[dict[str, Any]]:
        """Run delayed calls of `_fit_and_score`.

        Parameters
        ----------
        delayed_calls : iterable of tuple
            The calls, made by joblib's `delayed`.

        Returns
        -------
        results : list of dict
            The results, as `_fit_and_score` returns them.
        """
        calls = [_unwrap(call) for call in delayed_calls]
        # of each fit: its task, then its result or the reason why it cannot be stacked
        outcomes: list[Any] = [_task(i, call) for i, call in enumerate(calls)]
        for tasks in _waves(outcomes, calls):
            self._run_tasks(tasks, calls, outcomes)
        reasons = {i: text for i, text in enumerate(outcomes) if isinstance(text, str)}
        if self.verbose > 0:
            _print_reasons(reasons.values(), len(outcomes))
        results = self._run_calls([_delay_afresh(calls[i]) for i in reasons])
        for i, result in zip(reasons, results, strict=True):
            outcomes[i] = result
        _raise_out_of_memory(result["fit_error"] for result in outcomes)
        return outcomes

    def _run_tasks(self, tasks: list[Task], calls: list[Call], outcomes: list) -> None:
        """Train and score tasks in stacks; put their results into `outcomes`."""
        if not tasks:
            return
        inputs = self._fit_steps(tasks, calls)
        X, y = calls[0].X, calls[0].y
        n_outputs = _count_outputs(tasks[0].estimator, y)
        groups = defaultdict(list)
        for task in tasks:
            reason = inputs.get(task.inputs)
            if isinstance(reason, str):
                outcomes[task.index] = reason
            else:
                groups[structure(task.estimator)].append(task)
        jobs = [
            _job(chunk, calls, inputs)
            for group in groups.values()
            for chunk in self._cut(group, calls, inputs, n_outputs)
        ]
        if not jobs:
            return
        jobs.sort(key=lambda job: _work(job, X, n_outputs), reverse=True)
        run = self._run_unordered if any(map(is_reported, calls)) else self._run_jobs
        for job, results in run(jobs, X, y):
            for task, result in zip(job.tasks, results, strict=True):
                outcomes[task.index] = result
                if isinstance(result, dict):
                    report(calls[task.index], result)

    def _run_jobs(self, jobs: list[Job], X, y) -> Iterable[tuple[Job, list]]:
        """Run jobs, and return each with its results."""
        all_results = self._run_calls([delayed(Job.run)(job, X, y) for job in jobs])
        return zip(jobs, all_results, strict=True)

    def _run_calls(self, calls: list[tuple]) -> list:
        """Run delayed calls, and run them again if a worker is lost."""
        for _ in range(_N_TRIES - 1):
            with contextlib.suppress(*_LOST):
                return self.parallel(calls)
        return self.parallel(calls)

    def _run_unordered(self, jobs: list[Job], X, y) -> Iterator[tuple[Job, list]]:
        """Run jobs, and yield each with its results as soon as it has finished."""
        left = dict(enumerate(jobs))
        for tries_left in reversed(range(_N_TRIES)):
            try:
                # on the workers of the search; a new object for each try, since results
                # of a try that lost a worker may come late
                parallel = Parallel(
                    self.n_jobs,
                    return_as="generator_unordered",
                    pre_dispatch=self.parallel.pre_dispatch,
                )
            except ValueError:  # of backends such as "multiprocessing"
                yield from self._run_jobs(jobs, X, y)
                return
            outputs = parallel(
                [delayed(_run_job)(i, job, X, y) for i, job in left.items()]
            )
            try:
                for i, results in outputs:
                    yield left.pop(i), results
                return
            except _LOST:
                if not tries_left:
                    raise
            finally:
                _close(outputs)

    def _fit_steps(self, tasks: list[Task], calls: list[Call]) -> dict[tuple, Any]:
        """Fit the steps before the networks, once per split and set of parameters."""
        task_of: dict[tuple, Task] = {}
        for task in tasks:
            if task.steps is not None:
                task_of.setdefault(task.inputs, task)
        names = ("train", "test", "fit_params", "return_train_score")
        fits = []
        for task in task_of.values():
            _, X, y, options = calls[task.index]
            values = [options[name] for name in names]
            fits.append(delayed(fit_steps)(task.model, X, y, *values))
        return dict(zip(task_of, self._run_calls(fits), strict=True))

    def _cut(
        self,
        tasks: list[Task],
        calls: list[Call],
        inputs: dict[tuple, TransformedSplit],
        n_outputs: int,
    ) -> list[list[Task]]:
        """Cut tasks of one structure into stacks, and into shares for the workers."""
        size = self.batch_members
        if isinstance(size, str):
            first = tasks[0]
            X = calls[first.index].X
            X = X if first.steps is None else inputs[first.inputs].X_train
            device = torch.device(plan.device(first.estimator)).type
            budget = _STACK_BYTES.get(device, _STACK_BYTES_ELSEWHERE)
            size = max(1, budget // _member_bytes(first.estimator, X, n_outputs))
        n_members = sum(task.estimator.n_members for task in tasks)
        n_stacks = -(-n_members // size)
        n_shares = max(1, n_members // _SMALLEST_SHARE)
        n_shares = min(n_shares, effective_n_jobs(self.n_jobs))
        n_chunks = -(-max(n_stacks, n_shares) // n_shares) * n_shares
        bounds = np.linspace(0, len(tasks), min(n_chunks, len(tasks)) + 1).astype(int)
        return [tasks[a:b] for a, b in pairwise(bounds)]


def _unwrap(delayed_call: tuple) -> Call:
    (model, X, y), options = unwrap_delayed(delayed_call)
    split = {name: np.asarray(options[name]) for name in ("train", "test")}
    return Call(model, X, y, {**options, **split})


def _task(i: int, call: Call) -> Task | str:
    if passes_callbacks_on(call.options["caller"], call.options["callback_ctx"]):
        return "scikit-learn's callbacks watch it"
    split, _ = call.options["split_progress"]
    return make_task(i, split, call.model, call.y, call.options["parameters"])


def _run_job(i: int, job: Job, X, y) -> tuple[int, list]:
    """Run a job, and return its number with its results."""
    return i, job.run(X, y)


def _close(outputs: Generator) -> None:
    """Cancel jobs without joblib's warning about unconsumed results."""
    # worker threads set the filters too, which may turn the warning into an error
    with warnings.catch_warnings(), contextlib.suppress(UserWarning):
        warnings.simplefilter("ignore")
        outputs.close()


def _print_reasons(reasons: Iterable[str], n_fits: int) -> None:
    for reason, n in Counter(reasons).items():
        print(f"{n} of {n_fits} fits cannot be stacked and run one by one: {reason}")


def _delay_afresh(call: Call) -> tuple:
    """Delay a call with an unfitted copy of its estimator."""
    return delayed(fit_and_score)(clone(call.model), call.X, call.y, **call.options)


def _waves(outcomes: list[Any], calls: list[Call]) -> Iterator[list[Task]]:
    """Cut tasks into parts whose transformed inputs fit into memory together."""
    tasks = [outcome for outcome in outcomes if isinstance(outcome, Task)]
    keys = list({task.inputs: None for task in tasks})
    if not any(task.steps is not None for task in tasks):
        yield tasks
        return
    n_rows, n_features = _size(calls[tasks[0].index].X)
    n_at_a_time = max(1, _INPUT_BYTES // max(1, 8 * n_rows * n_features))
    for start in range(0, len(keys), n_at_a_time):
        chosen = set(keys[start : start + n_at_a_time])
        yield [task for task in tasks if task.inputs in chosen]


def _job(
    tasks: list[Task], calls: list[Call], inputs: dict[tuple, TransformedSplit]
) -> Job:
    options = calls[tasks[0].index].options
    splits = {}
    for task in tasks:
        split = calls[task.index].options
        splits[task.split] = split["train"], split["test"]
    keys = {task.inputs for task in tasks} & set(inputs)
    return Job(
        tasks,
        splits,
        {key: inputs[key] for key in keys},
        {name: options[name] for name in _JOB_OPTIONS},
    )


def _work(job: Job, X, n_outputs: int) -> int:
    """Estimate the work of a job, to start with the longest."""
    first = job.tasks[0]
    X = X if first.steps is None else job.inputs[first.inputs].X_train
    n_members = sum(task.estimator.n_members for task in job.tasks)
    return n_members * _member_bytes(first.estimator, X, n_outputs)


def _member_bytes(estimator, X, n_outputs: int) -> int:
    """Estimate the bytes that a step of a member reads and writes."""
    n_rows, n_features = _size(X)
    units = checks.hidden_units(estimator)
    embedding = NUMERICAL_EMBEDDINGS.get(estimator.numerical_embedding)
    architecture = Architecture(
        n_features,
        n_outputs,
        units,
        checks.per_layer(estimator.activation, len(units), "activation"),
        maxout_pieces=estimator.maxout_pieces,
        n_periodic=n_features if embedding and embedding.has_waves else 0,
    )
    return 4 * architecture.work(plan.batch_size(estimator, n_rows))


def _count_outputs(estimator, y) -> int:
    """Return the number of outputs of a network, as targets of any kind need them."""
    if len(np.shape(y)) > 1 or scipy.sparse.issparse(y):
        return y.shape[1] if hasattr(y, "shape") else np.shape(y)[1]
    n_classes = len(set(np.asarray(y).tolist())) if is_classifier(estimator) else 1
    return n_classes if n_classes > 2 else 1


def _size(X) -> tuple[int, int]:
    """Return the number of rows and an estimate of the number of columns."""
    n_rows = num_samples(X)
    if hasattr(X, "shape"):
        return n_rows, int(np.prod(X.shape[1:]))
    return n_rows, len(X[0]) if n_rows and hasattr(X[0], "__len__") else 1


def _raise_out_of_memory(errors: Iterable[str | None]) -> None:
    """Raise if fits ran out of memory, which says nothing about their candidates."""
    for error in errors:
        kind = full_memory(error or "")
        if kind is not None:
            raise kind(error)
