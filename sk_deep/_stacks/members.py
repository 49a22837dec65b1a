"""Members of stacks: networks to be trained, and what they must have in common."""

import copy
import functools
import inspect
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.random import RandomState
from numpy.typing import NDArray

from sk_deep._compat import predicts_only
from sk_deep._engine.rates import StepSettings
from sk_deep._estimator import checks
from sk_deep._estimator.base import BaseMLP
from sk_deep._estimator.inputs import CheckedRows
from sk_deep._estimator.plan import FitPlan, plan_fit
from sk_deep._estimator.random_states import draw_random_states
from sk_deep._estimator.validation import ScoredRows, choose_fold
from sk_deep.dropouts import DROPOUT_SCHEDULES

# Parameters that members of one stack may differ in, whatever their values.
_OWN = {
    *("learning_rate_init", "learning_rate", "schedule_params", "power_t", "max_iter"),
    *("momentum", "nesterovs_momentum", "beta_1", "beta_2", "epsilon"),
    *("alpha", "l1_ratio", "tol", "n_iter_no_change", "validation_fraction"),
    *("class_weight", "random_state", "n_members"),
    *("warm_start", "max_fun"),  # without effect in a first fit, and here
}
# What the data decide of a network's architecture, beside the embedded categories.
_OF_THE_DATA = "n_features", "n_outputs", "dtype"
# Parameters that they may differ in if none is off, or all are.
_OWN_IF_ON = {
    *("dropout", "input_dropout", "max_norm", "gradient_clip", "label_smoothing")
}


def structure(estimator: BaseMLP) -> tuple:
    """Tell what members of one stack have in common, of an estimator's parameters.

    Parameters
    ----------
    estimator : BaseMLP
        The estimator.

    Returns
    -------
    key : tuple
        Equal for estimators whose networks can be members of one stack, as far as the
        data allow.
    """
    params = parameters_of(estimator)
    if DROPOUT_SCHEDULES[estimator.dropout_schedule].anneals:
        params["dropout_schedule"] = estimator.dropout_schedule, estimator.max_iter
    if predicts_only(estimator.scoring):  # each fit has a copy of such an object
        params["scoring"] = vars(estimator.scoring)
    params["hidden_layer_sizes"] = checks.hidden_units(estimator)
    params["n_hidden_layers"] = len(params["hidden_layer_sizes"])
    for name in _OWN_IF_ON & set(params):
        params[name] = _is_on(params[name])
    common = sorted(set(params) - _OWN)
    return type(estimator), *((name, freeze(params[name])) for name in common)


def parameters_of(estimator: BaseMLP) -> dict[str, Any]:
    """Take the constructor parameters, at less cost than by `get_params`."""
    return {name: getattr(estimator, name) for name in _names(type(estimator))}


@functools.cache
def _names(kind: type) -> tuple[str, ...]:
    return tuple(inspect.signature(kind).parameters)


def _is_on(value) -> Any:
    return [bool(one) for one in value] if np.ndim(value) else bool(value)


def freeze(value: Any) -> Any:
    """Turn a parameter's value into something hashable, equal for equal values.

    Parameters
    ----------
    value : object
        The value. What is no number, string, array, sequence or dict is told by its
        identity: it must live as long as the key is used.

    Returns
    -------
    key : hashable
        The key.
    """
    if isinstance(value, np.bool_ | np.integer | np.floating | np.str_):
        value = value.item()
    if value is None or isinstance(value, bool | int | float | complex | str | bytes):
        return type(value), value
    if isinstance(value, np.generic | np.ndarray) and not value.dtype.hasobject:
        return type(value), value.dtype.str, value.shape, value.tobytes()
    if isinstance(value, list | tuple | range | np.ndarray):
        return type(value), tuple(freeze(item) for item in value)
    if isinstance(value, Mapping):
        pairs = [(freeze(key), freeze(item)) for key, item in value.items()]
        return type(value), frozenset(pairs)
    return id(value)


def reason_against(estimator: BaseMLP) -> str | None:
    """Tell why a network trains alone; None if it can be a member of a stack.

    Parameters
    ----------
    estimator : BaseMLP
        The estimator.

    Returns
    -------
    reason : str or None
        The reason in words.
    """
    if checks.is_full_batch(estimator):
        return f"solver={estimator.solver!r} trains on the whole data at once"
    own_code = ("solver", "loss", "learning_rate", "augmentation")
    for name in own_code:
        if callable(getattr(estimator, name)):
            return f"{name} is code of one's own"
    activations = estimator.activation
    activations = [activations] if callable(activations) else activations
    if not isinstance(activations, str) and any(map(callable, activations)):
        return "activation is code of one's own"
    alone = {"callbacks": None, "n_folds": None, "verbose": False}
    for name, value in alone.items():
        if getattr(estimator, name) != value:
            return f"{name}={getattr(estimator, name)!r}"
    if estimator.accelerator is not None:
        return "accelerator has processes of its own"
    return None


# ---- a member ----------------------------------------------------------------------


@dataclass(eq=False)
class Source:
    """Checked rows, which several members may share.

    Parameters
    ----------
    X : ndarray or CSR matrix
        Inputs, of which some or all rows are used.
    rows : ndarray of int of shape (n,)
        Those rows.
    y, target : ndarray
        Targets of those rows, and the encoded ones.
    """

    X: Any
    rows: NDArray
    y: NDArray
    target: NDArray


@dataclass(eq=False)
class RowSelection:
    """Rows of a source that a member takes, and the weights of all rows of it."""

    source: Source
    rows: NDArray
    weight: NDArray | None

    def part(self) -> ScoredRows:
        """Take the rows to score on."""
        source, rows = self.source, self.rows
        weight = None if self.weight is None else self.weight[rows]
        return ScoredRows(
            source.X, source.rows[rows], source.y[rows], source.target[rows], weight
        )


@dataclass(eq=False)
class Member:
    """A network to be trained, and what it comes to.

    Parameters
    ----------
    estimator : BaseMLP
        Whose network it is, or one of whose networks; with what it has learned of the
        data.
    train, valid : RowSelection
        Rows that train, and rows that validate or None.
    plan : FitPlan
        Of its fit, of one network.
    random_state : RandomState
        Source of its shuffles.
    parameters : list
        Initial weights, see `Architecture.draw_parameters`.
    seed : int or None
        Of its noise.
    batch_size : int
        Rows of a batch.

    Attributes
    ----------
    best, n_stale : float, int
        Of early stopping.
    history : list of dict
        What was recorded in each epoch.
    flat, flat_buffers : Tensor
        The weights that were kept.
    has_converged, has_diverged : bool
        How the training ended.
    """

    estimator: BaseMLP
    train: RowSelection
    valid: RowSelection | None
    plan: FitPlan
    random_state: RandomState
    parameters: list
    seed: int | None
    batch_size: int
    best: float = field(default=-np.inf, init=False)
    n_stale: int = field(default=0, init=False)
    history: list[dict[str, float]] = field(default_factory=list, init=False)
    flat: Any = field(default=None, init=False)
    flat_buffers: Any = field(default=None, init=False)
    has_converged: bool = field(default=True, init=False)
    has_diverged: bool = field(default=False, init=False)

    @property
    def settings(self) -> StepSettings:
        """Settings of its steps."""
        return self.plan.step_settings[0]

    def shape(self) -> tuple:
        """Return what members of one stack have in common of the data."""
        classes = getattr(self.estimator, "classes_", None)
        n_rows = len(self.train.rows)
        n_batches = -(-n_rows // self.batch_size)
        counts = (
            checks.mixes_rows(self.estimator)
            or self.plan.augmentation is not None
            or self.settings.schedule.counts_rows
        )
        architecture = self.plan.architecture
        return (
            None if classes is None else (classes.dtype.str, *classes.tolist()),
            *(getattr(architecture, name) for name in _OF_THE_DATA),
            str(architecture.categories),
            n_batches,
            self.batch_size if n_batches > 1 else 0,
            n_rows if counts else 0,
            self.train.weight is None,
            self.valid is not None and self.valid.weight is None,
        )


def make_members(
    estimator: BaseMLP,
    source: Source,
    weight: NDArray | None,
    validation: tuple[Source, NDArray | None] | None = None,
) -> list[Member]:
    """Make a member of each network of an estimator, with the draws of a fit.

    Parameters
    ----------
    estimator : BaseMLP
        With what it has learned of the data.
    source : Source
        Training rows.
    weight : ndarray of shape (n,) or None
        Their weights.
    validation : tuple of Source and weights, default=None
        Rows that are given for validation.

    Returns
    -------
    members : list of Member
        To be trained, of one shape.

    Raises
    ------
    ValueError
        If the parameters are illegal, or do not go with the data.
    """
    n_rows, n_features = len(source.rows), source.X.shape[1]
    # what a plan and a split need of the inputs, without a copy of their rows
    X = np.broadcast_to(source.X.dtype.type(0), (n_rows, n_features))
    rows = CheckedRows(X, source.y, source.target, weight)
    fit_plan = plan_fit(estimator, X).of_one_network()
    copy_of_it = estimator._copy()  # a fit alone, if it comes to that, draws anew
    copy_of_it.random_state = copy.deepcopy(estimator.random_state)
    random_states, draw_seed = draw_random_states(copy_of_it)
    weights = [
        fit_plan.architecture.draw_parameters(state, fit_plan.weight_init)
        for state in random_states
    ]
    seed = draw_seed() if fit_plan.draws_noise else None
    if validation is not None:
        trains = [np.arange(n_rows)] * len(random_states)
        given, given_weight = validation
        valid = RowSelection(given, np.arange(len(given.rows)), given_weight)
        valids: list[RowSelection | None] = [valid] * len(random_states)
    else:
        fold = choose_fold(estimator, rows, random_states)
        trains, held_out = fold.positions(len(random_states))
        valids = [
            None if positions is None else RowSelection(source, positions, weight)
            for positions in held_out
        ]
    return [
        Member(
            estimator,
            RowSelection(source, train, weight),
            valid,
            fit_plan,
            random_state,
            drawn,
            seed,
            fit_plan.clipped_batch_size(len(train)),
        )
        for train, valid, random_state, drawn in zip(
            trains, valids, random_states, weights, strict=True
        )
    ]
