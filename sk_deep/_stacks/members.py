"""Members of stacks: networks to be trained."""

import copy
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.random import RandomState
from numpy.typing import NDArray

from sk_deep._engine.rates import StepSettings
from sk_deep._estimator import checks
from sk_deep._estimator.base import BaseMLP
from sk_deep._estimator.inputs import CheckedRows
from sk_deep._estimator.plan import FitPlan, plan_fit
from sk_deep._estimator.random_states import draw_random_states
from sk_deep._estimator.validation import ScoredRows, choose_fold

# What the data decide of a network's architecture, beside the embedded categories.
_OF_THE_DATA = "n_features", "n_outputs", "dtype"


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
    selections = _select_rows(estimator, source, rows, validation, random_states)
    return [
        Member(
            estimator,
            train,
            valid,
            fit_plan,
            random_state,
            drawn,
            seed,
            fit_plan.clipped_batch_size(len(train.rows)),
        )
        for (train, valid), random_state, drawn in zip(
            selections, random_states, weights, strict=True
        )
    ]


def _select_rows(
    estimator: BaseMLP,
    source: Source,
    rows: CheckedRows,
    validation: tuple[Source, NDArray | None] | None,
    random_states: Sequence[RandomState],
) -> list[tuple[RowSelection, RowSelection | None]]:
    """Select the rows that each member trains on, and those that it validates on."""
    if validation is not None:
        given, given_weight = validation
        train = RowSelection(source, np.arange(len(source.rows)), rows.weight)
        valid = RowSelection(given, np.arange(len(given.rows)), given_weight)
        return [(train, valid)] * len(random_states)
    fold = choose_fold(estimator, rows, random_states)
    return [
        (
            RowSelection(source, trains, rows.weight),
            None if held_out is None else RowSelection(source, held_out, rows.weight),
        )
        for trains, held_out in zip(*fold.positions(len(random_states)), strict=True)
    ]
