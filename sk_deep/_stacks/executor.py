"""The executor of a search: networks train in stacks, all other fits one by one."""

import contextlib
import warnings
from collections import Counter, defaultdict
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import BrokenExecutor, CancelledError
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import torch
from joblib import effective_n_jobs
from joblib.logger import short_format_time
from sklearn.base import clone
from sklearn.utils.parallel import Parallel, delayed

from sk_deep._compat import (
    callbacks_on,
    check_method_params,
    fit_and_score,
    num_samples,
    passes_callbacks_on,
    replace_executor,
    safe_split,
    unwrap_delayed,
)
from sk_deep._estimator import checks, plan
from sk_deep._stacks.compatibility import structure
from sk_deep._stacks.job import Job
from sk_deep._stacks.task import Task, TransformedSplit, fit_steps, make_task
from sk_deep.exceptions import full_memory

# Parameters and values of a stack: on the CPU they should stay in a cache.
_STACK_BYTES = {"cpu": 2**23}
_STACK_BYTES_ELSEWHERE = 2**31
_INPUT_BYTES = 2**28  # of the inputs that steps before networks give, at a time
_SMALLEST_SHARE = 12  # members for which a worker of its own is worth it
_N_TRIES = 3  # of fits whose workers are lost
_LOST = CancelledError, BrokenExecutor  # as dask and as loky tell of lost workers
_OF_JOBS = ("scorer", "fit_params", "score_params", "return_train_score", "error_score")


class Call(NamedTuple):
    """Arguments of a call of scikit-learn's `_fit_and_score`."""

    model: Any
    X: Any
    y: Any
    options: dict[str, Any]


def train_in_stacks(
    search: Any,
    evaluate_candidates: Callable,
    batch_members: int | str = "auto",
    wrap: Callable[[Callable], Callable] = lambda executor: executor,
) -> None:
    """Let the networks of a search of scikit-learn train in stacks.

    Parameters
    ----------
    search : BaseSearchCV
        The search.
    evaluate_candidates : callable
        What its `_run_search` is handed.
    batch_members : int or "auto", default="auto"
        Most networks in a stack.
    wrap : callable, default=identity
        What is put around the executor.
    """

    def in_stacks(parallel):
        executor = StackExecutor(
            parallel,
            n_jobs=search.n_jobs,
            batch_members=batch_members,
            verbose=search.verbose,
        )
        return wrap(executor)

    replace_executor(evaluate_candidates, in_stacks)


class StackExecutor:
    """Runs the fits of a search: networks in stacks, and all others one by one.

    Parameters
    ----------
    parallel : Parallel
        The executor of the search, which runs whole stacks, and single fits.
    n_jobs : int or None
        Number of its workers.
    batch_members : int or "auto"
        Most networks in a stack.
    verbose : int
        Whether to print which fits go one by one, and why.
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
            As joblib's `delayed` makes them.

        Returns
        -------
        results : list of dict
            As `_fit_and_score` gives them.
        """
        calls = [_unwrap(call) for call in delayed_calls]
        # what is known of each: its task, then its result or the reason against stacks
        found: list[Any] = [_task(i, call) for i, call in enumerate(calls)]
        for tasks in _waves([one for one in found if isinstance(one, Task)], calls):
            self._run(tasks, calls, found)
        alone = {i: reason for i, reason in enumerate(found) if isinstance(reason, str)}
        if self.verbose > 0:
            for reason, n in Counter(alone.values()).items():
                print(f"{n} of {len(found)} fits go one by one: {reason}")
        results = self._run_calls([_again(calls[i]) for i in alone])
        for i, result in zip(alone, results, strict=True):
            found[i] = result
        _raise_out_of_memory(result["fit_error"] for result in found)
        return found

    def _run(self, tasks: list[Task], calls: list[Call], found: list) -> None:
        """Train and score tasks in stacks; put what comes out into `found`."""
        inputs = self._fit_steps(tasks, calls)
        groups = defaultdict(list)
        for task in tasks:
            reason = inputs.get(task.inputs)
            if isinstance(reason, str):
                found[task.index] = reason
            else:
                groups[structure(task.network)].append(task)
        jobs = [
            _job(chunk, calls, inputs)
            for group in groups.values()
            for chunk in self._cut(group, calls, inputs)
        ]
        if not jobs:
            return
        X, y = calls[0].X, calls[0].y
        jobs.sort(key=lambda job: _work(job, X), reverse=True)
        run = self._run_jobs if any(map(_is_told, calls)) else self._run_all
        for job, results in run(jobs, X, y):
            for task, result in zip(job.tasks, results, strict=True):
                found[task.index] = result
                if isinstance(result, dict):
                    _tell(calls[task.index], result)

    def _run_all(self, jobs: list[Job], X, y) -> Iterable[tuple[Job, list]]:
        """Run jobs, and give each with its results."""
        all_results = self._run_calls([delayed(Job.run)(job, X, y) for job in jobs])
        return zip(jobs, all_results, strict=True)

    def _run_calls(self, calls: list[tuple]) -> list:
        """Run delayed calls, again where a worker was lost, with what it had."""
        for _ in range(_N_TRIES - 1):
            with contextlib.suppress(*_LOST):
                return self.parallel(calls)
        return self.parallel(calls)

    def _run_jobs(self, jobs: list[Job], X, y) -> Iterator[tuple[Job, list]]:
        """Run jobs, and yield each with its results as soon as it has finished."""
        left = dict(enumerate(jobs))
        for tries_left in reversed(range(_N_TRIES)):
            try:
                # on the workers that those of the search are, too; one for each try, as
                # results of a try that lost a worker may come late
                parallel = Parallel(
                    self.n_jobs,
                    return_as="generator_unordered",
                    pre_dispatch=self.parallel.pre_dispatch,
                )
            except ValueError:  # as of "multiprocessing"
                yield from self._run_all(jobs, X, y)
                return
            outputs = parallel([delayed(_run)(i, job, X, y) for i, job in left.items()])
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
        one_of: dict[tuple, Task] = {}
        for task in tasks:
            if task.steps is not None:
                one_of.setdefault(task.inputs, task)
        names = ("train", "test", "fit_params", "return_train_score")
        fits = []
        for task in one_of.values():
            _, X, y, options = calls[task.index]
            given = [options[name] for name in names]
            fits.append(delayed(fit_steps)(task.model, X, y, *given))
        return dict(zip(one_of, self._run_calls(fits), strict=True))

    def _cut(
        self,
        tasks: list[Task],
        calls: list[Call],
        inputs: dict[tuple, TransformedSplit],
    ) -> list[list[Task]]:
        """Cut tasks of one structure to stacks, and to shares of the workers."""
        size = self.batch_members
        if isinstance(size, str):
            first = tasks[0]
            X = calls[first.index].X
            X = X if first.steps is None else inputs[first.inputs].X_train
            device = torch.device(plan.device(first.network)).type
            budget = _STACK_BYTES.get(device, _STACK_BYTES_ELSEWHERE)
            size = max(1, budget // _member_bytes(first.network, X))
        n_members = sum(task.network.n_members for task in tasks)
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


def _run(i: int, job: Job, X, y) -> tuple[int, list]:
    """Run a job, and tell which one it was."""
    return i, job.run(X, y)


def _close(outputs: Generator) -> None:
    """Cancel jobs without joblib's advice on results that nobody takes."""
    # threads of workers set the filters too, so that it may come as an error
    with warnings.catch_warnings(), contextlib.suppress(UserWarning):
        warnings.simplefilter("ignore")
        outputs.close()


def _again(call: Call):
    """Delay a call, of an estimator that nothing has touched."""
    return delayed(fit_and_score)(clone(call.model), call.X, call.y, **call.options)


def _waves(tasks: list[Task], calls: list[Call]) -> Iterator[list[Task]]:
    """Cut tasks to parts whose transformed inputs fit into memory together."""
    keys = list({task.inputs: None for task in tasks})
    if not any(task.steps is not None for task in tasks):
        yield tasks
        return
    n_rows, n_features = _size(calls[tasks[0].index].X)
    n_at_a_time = max(1, _INPUT_BYTES // max(1, 8 * n_rows * n_features))
    for start in range(0, len(keys), n_at_a_time):
        own = set(keys[start : start + n_at_a_time])
        yield [task for task in tasks if task.inputs in own]


def _job(
    tasks: list[Task], calls: list[Call], inputs: dict[tuple, TransformedSplit]
) -> Job:
    options = calls[tasks[0].index].options
    splits = {}
    for task in tasks:
        own = calls[task.index].options
        splits[task.split] = own["train"], own["test"]
    own_inputs = {task.inputs for task in tasks} & set(inputs)
    return Job(
        tasks,
        splits,
        {key: inputs[key] for key in own_inputs},
        {name: options[name] for name in _OF_JOBS},
    )


def _work(job: Job, X) -> int:
    """Estimate what a job takes, to begin with the longest."""
    first = job.tasks[0]
    X = X if first.steps is None else job.inputs[first.inputs].X_train
    n_members = sum(task.network.n_members for task in job.tasks)
    return n_members * _member_bytes(first.network, X)


def _member_bytes(network, X) -> int:
    """Estimate the bytes that a step of a member reads and writes."""
    n_rows, n_features = _size(X)
    n_rows = plan.batch_size(network, n_rows)
    units = [n_features, *checks.hidden_units(network)]
    n_weights = sum(a * b for a, b in pairwise(units))
    return 4 * (4 * n_weights + n_rows * (n_features + 3 * sum(units[1:])))


def _size(X) -> tuple[int, int]:
    """Tell the number of rows and estimate that of columns, of inputs of any kind."""
    n_rows = num_samples(X)
    if hasattr(X, "shape"):
        return n_rows, int(np.prod(X.shape[1:]))
    return n_rows, len(X[0]) if n_rows and hasattr(X[0], "__len__") else 1


# ---- what is told of a fit ---------------------------------------------------------


def _is_told(call: Call) -> bool:
    """Whether someone is told of a fit: callbacks or the user."""
    return bool(callbacks_on(call.options["caller"])) or call.options["verbose"] > 1


def _tell(call: Call, result: dict[str, Any]) -> None:
    """Tell callbacks and the user of a fit, as `_fit_and_score` does."""
    options = call.options
    if options["callback_ctx"] is not None and callbacks_on(options["caller"]):
        fit_params = check_method_params(
            call.X, params=options["fit_params"] or {}, indices=options["train"]
        )
        weight = fit_params.get("sample_weight")
        weight = None if weight is None else {"sample_weight": weight}
        known = {
            "estimator": options["caller"],
            "X": lambda: safe_split(*call[:3], options["train"])[0],
            "y": lambda: safe_split(*call[:3], options["train"])[1],
            "metadata": weight,
        }
        options["callback_ctx"].call_on_fit_task_begin(**known)
        options["callback_ctx"].call_on_fit_task_end(**known)
    if options["verbose"] > 1:
        _print_progress(options, result)


def _print_progress(options: dict[str, Any], result: dict[str, Any]) -> None:
    verbose, progress = options["verbose"], ""
    if verbose > 2:
        split, n_splits = options["split_progress"]
        progress = f" {split + 1}/{n_splits}"
    if verbose > 9:
        candidate, n_candidates = options["candidate_progress"]
        progress += f"; {candidate + 1}/{n_candidates}"
    parameters = sorted(options["parameters"].items())
    told = ", ".join(f"{name}={value}" for name, value in parameters)
    if verbose > 9:
        start = f"[CV{progress}] START {told}"
        print(f"{start}{(80 - len(start)) * '.'}")
    told += ";" if told else ""
    if verbose > 2:
        told += _name_scores(result["test_scores"], result.get("train_scores"))
    seconds = short_format_time(result["fit_time"] + result["score_time"])
    told += f" total time={seconds}"
    end = f"[CV{progress}] END "
    print(f"{end}{'.' * (80 - len(end) - len(told))}{told}")


def _name_scores(test: Any, train: Any) -> str:
    if not isinstance(test, dict):
        both = f"(train={train:.3f}, test={test:.3f})" if train is not None else ""
        return f", score={both or format(test, '.3f')}"
    told = ""
    for name in sorted(test):
        own = "" if train is None else f"train={train[name]:.3f}, "
        told += f" {name}: ({own}test={test[name]:.3f})"
    return told


def _raise_out_of_memory(errors: Iterable[str | None]) -> None:
    """Raise where fits ran out of memory, which says nothing of their candidates."""
    for error in errors:
        kind = full_memory(error or "")
        if kind is not None:
            raise kind(error)
