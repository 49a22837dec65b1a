"""The progress of a search: callbacks and printed lines, as for single fits.

A fit in a stack has no call of scikit-learn's `_fit_and_score`, which calls back and
prints. This module does both after the stack has trained.
"""

from typing import Any, NamedTuple

from joblib.logger import short_format_time

from sk_deep._compat import callbacks_on, check_method_params, safe_split

_LINE_WIDTH = 80  # of the printed lines, as scikit-learn's


class Call(NamedTuple):
    """Arguments of a call of scikit-learn's `_fit_and_score`.

    Parameters
    ----------
    model : estimator
        The estimator of the search.
    X, y : array-like
        All data.
    options : dict
        The keyword arguments.
    """

    model: Any
    X: Any
    y: Any
    options: dict[str, Any]


def is_reported(call: Call) -> bool:
    """Return whether a fit is reported, to callbacks or in print."""
    return bool(callbacks_on(call.options["caller"])) or call.options["verbose"] > 1


def report(call: Call, result: dict[str, Any]) -> None:
    """Report a fit to callbacks and in print, as `_fit_and_score` does.

    Parameters
    ----------
    call : Call
        The call that asked for the fit.
    result : dict
        Its result, as `_fit_and_score` returns it.
    """
    options = call.options
    if options["callback_ctx"] is not None and callbacks_on(options["caller"]):
        _call_back(call)
    if options["verbose"] > 1:
        _print_progress(options, result)


def _call_back(call: Call) -> None:
    options = call.options
    fit_params = check_method_params(
        call.X, params=options["fit_params"] or {}, indices=options["train"]
    )
    weight = fit_params.get("sample_weight")
    event = {
        "estimator": options["caller"],
        "X": lambda: safe_split(*call[:3], options["train"])[0],
        "y": lambda: safe_split(*call[:3], options["train"])[1],
        "metadata": None if weight is None else {"sample_weight": weight},
    }
    options["callback_ctx"].call_on_fit_task_begin(**event)
    options["callback_ctx"].call_on_fit_task_end(**event)


def _print_progress(options: dict[str, Any], result: dict[str, Any]) -> None:
    verbose, progress = options["verbose"], ""
    if verbose > 2:
        split, n_splits = options["split_progress"]
        progress = f" {split + 1}/{n_splits}"
    if verbose > 9:
        candidate, n_candidates = options["candidate_progress"]
        progress += f"; {candidate + 1}/{n_candidates}"
    parameters = sorted(options["parameters"].items())
    text = ", ".join(f"{name}={value}" for name, value in parameters)
    if verbose > 9:
        start = f"[CV{progress}] START {text}"
        print(f"{start}{(_LINE_WIDTH - len(start)) * '.'}")
    text += ";" if text else ""
    if verbose > 2:
        text += _format_scores(result["test_scores"], result.get("train_scores"))
    seconds = short_format_time(result["fit_time"] + result["score_time"])
    text += f" total time={seconds}"
    end = f"[CV{progress}] END "
    print(f"{end}{'.' * (_LINE_WIDTH - len(end) - len(text))}{text}")


def _format_scores(test: Any, train: Any) -> str:
    if not isinstance(test, dict):
        both = f"(train={train:.3f}, test={test:.3f})" if train is not None else ""
        return f", score={both or format(test, '.3f')}"
    text = ""
    for name in sorted(test):
        train_score = "" if train is None else f"train={train[name]:.3f}, "
        text += f" {name}: ({train_score}test={test[name]:.3f})"
    return text
