"""The only import of names that scikit-learn and torch do not promise to keep."""

import functools
from collections.abc import Callable
from types import CellType
from typing import Any, TypeVar

from sklearn.base import BaseEstimator, _fit_context
from sklearn.callback import AutoPropagatedCallback, CallbackContext, ProgressBar
from sklearn.compose import ColumnTransformer
from sklearn.metrics._scorer import _BaseScorer, _MultimetricScorer, _PassthroughScorer
from sklearn.model_selection._search import BaseSearchCV
from sklearn.model_selection._validation import _fit_and_score as fit_and_score
from sklearn.model_selection._validation import _score as score
from sklearn.pipeline import Pipeline
from sklearn.utils._param_validation import (
    HasMethods,
    Interval,
    Options,
    StrOptions,
    validate_parameter_constraints,
)
from sklearn.utils._repr_html.estimator import _VisualBlock
from sklearn.utils.metaestimators import _safe_split as safe_split
from sklearn.utils.metaestimators import available_if as _available_if
from sklearn.utils.multiclass import (
    _check_partial_fit_first_call as check_partial_fit_first_call,
)
from sklearn.utils.optimize import _check_optimize_result as check_optimize_result
from sklearn.utils.validation import _check_method_params as check_method_params
from sklearn.utils.validation import _check_sample_weight as check_sample_weight
from sklearn.utils.validation import _num_samples as num_samples
from torch import _foreach_copy_ as foreach_copy
from torch import _fused_adam_ as fused_adam
from torch.autograd import Variable
from torch.cuda import _is_in_bad_fork as is_in_bad_fork
from torch.nn import Module

Method = TypeVar("Method", bound=Callable)


def fit_context(*, prefer_skip_nested_validation: bool) -> Callable[[Method], Method]:
    """Validate the parameters before a fit; type checkers see the method's types."""
    return _fit_context(prefer_skip_nested_validation=prefer_skip_nested_validation)


def available_if(check: Callable[[Any], bool]) -> Callable[[Method], Method]:
    """Hide a method if a check fails; type checkers see the method's types."""
    return _available_if(check)


# what scikit-learn keeps on an estimator while callbacks watch its fit
CALLBACK_ATTRIBUTES = "_callback_fit_ctx", "_skl_callbacks_to_teardown"
PARENT_TASK = "_parent_callback_ctx"

# torch.autograd.grad without its checks, which cost as much as a small backward pass
run_backward = Variable._execution_engine.run_backward


class KnowsItsParameters(BaseEstimator):
    """An estimator whose class looks up once which parameters it has.

    scikit-learn does in each clone and each fit, which costs a sixth of a search over
    many small networks.
    """

    @classmethod
    @functools.cache
    def _get_param_names(cls) -> list[str]:
        return super()._get_param_names()


def is_hooked(module: Module) -> bool:
    """Whether someone watches the calls of a module."""
    return bool(module._forward_hooks or module._forward_pre_hooks)


def replace_executor(evaluate_candidates: Callable, wrap: Callable) -> None:
    """Let the fits of a search of scikit-learn go through another executor.

    Parameters
    ----------
    evaluate_candidates : callable
        What `BaseSearchCV._run_search` is handed: a closure over the `Parallel` that
        its fits, delayed calls of `_fit_and_score`, are given to.
    wrap : callable
        Makes the other executor from that one.
    """
    cell = _closure_of(evaluate_candidates)["parallel"]
    cell.cell_contents = wrap(cell.cell_contents)


def given_to(evaluate_candidates: Callable) -> tuple[Any, Any, dict[str, Any]]:
    """Return what the candidates of a search of scikit-learn are fitted to.

    Parameters
    ----------
    evaluate_candidates : callable
        What `BaseSearchCV._run_search` is handed: a closure over the data.

    Returns
    -------
    X, y : array-like
        All data, checked for equal length.
    fit_params : dict
        What the estimator's fit is passed beside them.
    """
    cells = _closure_of(evaluate_candidates)
    X, y, options = (
        cells[name].cell_contents for name in ("X", "y", "fit_and_score_kwargs")
    )
    return X, y, options["fit_params"]


def _closure_of(function: Callable) -> dict[str, CellType]:
    """Take the variables that a function closes over, by name."""
    names = function.__code__.co_freevars
    return dict(zip(names, function.__closure__ or (), strict=True))


def constraints_of(search: type[BaseSearchCV]) -> dict[str, list]:
    """Take scikit-learn's constraints on the parameters of a search."""
    return search._parameter_constraints


def unwrap_delayed(call: tuple) -> tuple[tuple, dict]:
    """Take the arguments of a call that joblib's `delayed` has wrapped."""
    _, args, kwargs = call
    return args, kwargs


def predicts_only(scorer: Any) -> bool:
    """Whether a scorer is of a class of scikit-learn's, which look at predictions."""
    if isinstance(scorer, _MultimetricScorer):
        return all(predicts_only(one) for one in scorer._scorers.values())
    is_theirs = type(scorer).__module__.startswith("sklearn.")
    return is_theirs and isinstance(scorer, _BaseScorer | _PassthroughScorer)


def callbacks_on(estimator: Any) -> list:
    """List the callbacks of scikit-learn that watch an estimator."""
    return getattr(estimator, "_skl_callbacks", [])


def only_counts(callback: Any) -> bool:
    """Whether a callback of scikit-learn's counts tasks, and does not look at them.

    What others do cannot be known: one that looks at nothing may still time the tasks,
    or stop them.
    """
    hooks = "on_fit_task_begin", "on_fit_task_end"
    return all(
        getattr(type(callback), hook, None) is getattr(ProgressBar, hook)
        for hook in hooks
    )


def begin_fit_context(estimator: Any, max_subtasks: int | None) -> CallbackContext:
    """Set up the callbacks that watch a fit, and make the context of its root task."""
    return estimator._init_callback_context(max_subtasks=max_subtasks)


def passes_callbacks_on(search: Any, context: CallbackContext | None) -> bool:
    """Whether callbacks on a search watch what it fits, and do more than to count.

    Parameters
    ----------
    search : estimator
        The search.
    context : CallbackContext or None
        Of one of its fits.

    Returns
    -------
    passes_on : bool
        Whether one goes down from that context.
    """
    if context is None:
        return False
    return any(
        isinstance(one, AutoPropagatedCallback)
        and not only_counts(one)
        and (
            one.max_propagation_depth is None
            or one.max_propagation_depth > context._propagation_depth
        )
        for one in callbacks_on(search)
    )


def columns_of_transformers(
    transformer: ColumnTransformer,
) -> list[tuple[Any, list[int]]]:
    """List fitted transformers and the positions of the columns each acts on."""
    columns = transformer._transformer_to_input_indices
    return [(inner, columns[name]) for name, inner, _ in transformer.transformers_]


def visual_block(estimator: Any, caption: str | None) -> Any:
    """Make the box of an estimator in the diagrams of notebooks, with a caption."""
    return _VisualBlock(
        "single",
        estimator,
        names=type(estimator).__name__,
        name_details=str(estimator),
        name_caption=caption,
    )


def fit_steps_before(pipeline: Pipeline, X, y, params: dict) -> tuple[Any, dict]:
    """Fit all steps of a pipeline but the last.

    Parameters
    ----------
    pipeline : Pipeline
        Its steps are fitted in place.
    X, y : array-like
        Training data.
    params : dict
        What `Pipeline.fit` is passed beside them.

    Returns
    -------
    Xt : array-like
        Transformed inputs.
    params : dict
        What the last step's fit is passed beside inputs and targets.
    """
    context = pipeline._init_callback_context(max_subtasks=len(pipeline))
    routed = pipeline._check_method_params(method="fit", props=params)
    Xt = pipeline._fit(X, y, routed, raw_params=params, callback_ctx=context)
    last = pipeline._get_metadata_for_step(
        step_idx=len(pipeline) - 1,
        step_params=routed[pipeline.steps[-1][0]],
        all_params=params,
    )
    return Xt, last["fit"]


__all__ = [
    "CALLBACK_ATTRIBUTES",
    "PARENT_TASK",
    "BaseSearchCV",
    "HasMethods",
    "Interval",
    "Options",
    "StrOptions",
    "available_if",
    "begin_fit_context",
    "callbacks_on",
    "check_method_params",
    "check_optimize_result",
    "check_partial_fit_first_call",
    "check_sample_weight",
    "columns_of_transformers",
    "constraints_of",
    "fit_and_score",
    "fit_context",
    "fit_steps_before",
    "foreach_copy",
    "fused_adam",
    "given_to",
    "is_hooked",
    "is_in_bad_fork",
    "num_samples",
    "only_counts",
    "passes_callbacks_on",
    "predicts_only",
    "replace_executor",
    "run_backward",
    "safe_split",
    "score",
    "unwrap_delayed",
    "validate_parameter_constraints",
    "visual_block",
]
