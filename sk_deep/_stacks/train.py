"""Training many networks of one shape as one stack, each as it would train alone.

A member has its own rows, shuffles, initial weights and numbers: rates, penalties,
probabilities of dropout, patience. What members must have in common is their structure.
Those that have finished leave the stack, and the others go on in a smaller one.
"""

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import scipy.sparse
import torch
from numpy.typing import NDArray
from skorch.callbacks import Callback

from sk_deep._data.batches import Data
from sk_deep._engine.compaction import continue_members
from sk_deep._engine.net import Net
from sk_deep._engine.stopping import Stopping, ValidationScore
from sk_deep._engine.threads import threads_for
from sk_deep._estimator import plan
from sk_deep._estimator.plan import FitPlan
from sk_deep._estimator.result import FitResult, Records, StoppingState
from sk_deep._estimator.scoring import validation_score
from sk_deep._stacks.members import Member, RowSelection, Source

_QUORUM = 3 / 4  # part of the members below which those that run move to a new stack


def train(members: Sequence[Member]) -> None:
    """Train members of one structure and shape as one stack.

    Parameters
    ----------
    members : sequence of Member
        They get their weights.
    """
    running = _side_by_side(members)
    net = _make_net(running)
    net.module_.set_parameters([member.parameters for member in running])
    if running[0].seed is not None:
        net.module_.generator.manual_seed(running[0].seed)
    data, valid = _make_data(net, running)
    old, stay = None, np.arange(len(running))
    while running:
        net.start()
        if old is not None:
            continue_members(net, old, stay)
        # as one member alone: more threads would only spin between so many operations
        with threads_for(net.module_.flat.shape[-1] * net.batch_size):
            net.fit_loop(data, valid)
        for i in np.flatnonzero(~net.running_).tolist():
            running[i].flat, running[i].flat_buffers = net.training_.kept.of(i)
        stay = np.flatnonzero(net.running_)
        running = [running[i] for i in stay]
        if running:
            data = _stay(data, net.training_.order, stay)
            valid = None if valid is None else _stay(valid, valid.rows, stay)
            old, net = net, _make_net(running)


def _side_by_side(members: Sequence[Member]) -> list[Member]:
    """Sort members so that members of equal step settings are adjacent."""
    step_settings: list = []
    for member in members:
        if member.settings not in step_settings:
            step_settings.append(member.settings)
    return sorted(members, key=lambda member: step_settings.index(member.settings))


def _make_net(members: Sequence[Member]) -> Net:
    net = _stack_of(members)
    net.batch_size = max(member.batch_size for member in members)
    net.quorum = _QUORUM
    estimators = [member.estimator for member in members]
    if estimators[0].shuffle:
        net.random_states = [member.random_state for member in members]
    callbacks: list[Callback] = [_Ends(members)]
    parts = [member.valid.part() for member in members if member.valid is not None]
    if parts:
        callbacks.insert(0, ValidationScore(validation_score(estimators, parts)))
    net.call_first(callbacks)
    return net


def _stack_of(members: Sequence[Member]) -> Net:
    """Build the net of a stack, without weights."""
    stack_plan = FitPlan.of_stack([member.plan for member in members])
    callbacks = plan.callbacks([member.estimator for member in members])
    return stack_plan.make_net(callbacks)


class _Ends(Stopping):
    """Stop each member by its own rules, and write down how its training went.

    Parameters
    ----------
    members : sequence of Member
        The members of the stack.
    """

    def __init__(self, members: Sequence[Member]) -> None:
        self.members = members
        estimators = [member.estimator for member in members]
        super().__init__(
            [estimator.tol for estimator in estimators],
            [estimator.n_iter_no_change for estimator in estimators],
            validates=members[0].valid is not None,
            best=np.array([member.best for member in members]),
            n_stale=np.array([member.n_stale for member in members]),
        )

    def on_epoch_end(self, net, **kwargs) -> None:
        """Judge each running member, and stop those that have no epochs left."""
        epoch_values = net.training_.epoch_values
        columns = {name: values.tolist() for name, values in epoch_values.items()}
        for i in np.flatnonzero(net.running_).tolist():
            row = {name: column[i] for name, column in columns.items()}
            self.members[i].history.append(row)
        super().on_epoch_end(net, **kwargs)
        for i, member in enumerate(self.members):
            member.best, member.n_stale = float(self.best[i]), int(self.n_stale[i])
            if net.running_[i] and net.n_epochs_ >= member.settings.max_epochs:
                net.running_[i] = False
                member.has_converged = False

    def _diverge(self, net, member: int) -> None:
        self.members[member].has_diverged = True
        net.running_[member] = False


# ---- what a member comes to --------------------------------------------------------


def predictor(members: Sequence[Member]) -> Net:
    """Build a net that predicts for all of some members.

    Parameters
    ----------
    members : sequence of Member
        Trained members of one stack.

    Returns
    -------
    net : Net
        The net.
    """
    net = _stack_of(members)
    for name in ("flat", "flat_buffers"):
        values = torch.stack([getattr(member, name) for member in members])
        tensor = getattr(net.module_, name)
        tensor.copy_(values.view_as(tensor))
    net.end()
    return net


def result_of(members: Sequence[Member]) -> FitResult:
    """Build what a fit leaves on an estimator, the optimizer's state apart.

    Parameters
    ----------
    members : sequence of Member
        All of the estimator's, trained.

    Returns
    -------
    result : FitResult
        The result.
    """
    net = predictor(members)
    by_epoch = itertools.zip_longest(*(member.history for member in members))
    net.history.extend(_mean([row for row in rows if row]) for rows in by_epoch)
    net.n_finished_ = len(net.history)
    net.n_samples_ = net.n_finished_ * len(members[0].train.rows)
    best = np.array([member.best for member in members])
    n_stale = np.array([member.n_stale for member in members])
    return FitResult.of_epochs(
        net,
        Records(),
        net.history,
        StoppingState(members[0].plan.watches, best, n_stale),
        n_samples_seen=net.n_samples_,
        validates=members[0].valid is not None,
    )


def _mean(rows: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Take the mean of each value over rows of an epoch."""
    return {name: float(np.mean([row[name] for row in rows])) for name in rows[0]}


# ---- its data ----------------------------------------------------------------------


def _make_data(net: Net, members: Sequence[Member]) -> tuple[Data, Data | None]:
    """Make the data that a stack trains on and validates on."""
    data = _gather(net, [member.train for member in members])
    picks = [member.valid for member in members if member.valid is not None]
    if not picks:
        return data, None
    if picks[0].source is not members[0].train.source:  # it was given
        return data, _gather(net, picks)
    return data, _of_rows(data, _rows_of(picks, _places(picks)), data.weight_sets)


def _gather(net: Net, picks: Sequence[RowSelection]) -> Data:
    """Put inputs side by side, those of each source once, and let members pick rows."""
    inputs = list({id(pick.source.X): pick.source.X for pick in picks}.values())
    first = picks[0].source.target
    n_rows = sum(X.shape[0] for X in inputs)
    target = np.zeros((n_rows, *first.shape[1:]), first.dtype)
    places = _places(picks)
    for source, place in places.items():
        target[place] = source.target
    weight, sets = _weights(picks, places, n_rows)
    X = inputs[0] if len(inputs) == 1 else _concatenate(inputs)
    return net.data(X, target, weight, rows=_rows_of(picks, places), weight_sets=sets)


def _places(picks: Sequence[RowSelection]) -> dict[Source, NDArray]:
    """Find where the rows of each source are in the joint inputs."""
    starts: dict[int, int] = {}
    n_rows = 0
    for pick in picks:
        X = pick.source.X
        if id(X) not in starts:
            starts[id(X)] = n_rows
            n_rows += X.shape[0]
    sources = {pick.source: None for pick in picks}
    return {source: starts[id(source.X)] + source.rows for source in sources}


def _rows_of(
    picks: Sequence[RowSelection], places: Mapping[Source, NDArray]
) -> list[NDArray]:
    """List the rows in the joint inputs that each member takes."""
    return [places[pick.source][pick.rows] for pick in picks]


def _concatenate(inputs: list) -> Any:
    if scipy.sparse.issparse(inputs[0]):
        return scipy.sparse.vstack(inputs, format="csr")
    return np.concatenate(inputs)


def _weights(
    picks: Sequence[RowSelection], places: Mapping[Source, NDArray], n_rows: int
) -> tuple[NDArray | None, NDArray | None]:
    """Take each set of weights once, and number the set of each member.

    Sets of different inputs, which have rows of their own, share a row of the result.
    """
    if picks[0].weight is None:
        return None, None
    numbers: dict[int, dict[int, int]] = {}
    sets = []
    for pick in picks:
        of_inputs = numbers.setdefault(id(pick.source.X), {})
        sets.append(of_inputs.setdefault(id(pick.weight), len(of_inputs)))
    weight = np.zeros((max(sets) + 1, n_rows))
    for number, pick in zip(sets, picks, strict=True):
        weight[number, places[pick.source]] = pick.weight
    return weight, np.array(sets)


def _stay(data: Data, rows: Any, stay: NDArray) -> Data:
    """Keep the rows, in their present order, of the members that stay."""
    kept, sets = list(rows[stay]), data.weight_sets
    if data.lengths is not None:
        kept = [own[:n] for own, n in zip(kept, data.lengths[stay], strict=True)]
    return _of_rows(data, kept, None if sets is None else np.asarray(sets)[stay])


def _of_rows(data: Data, rows: Sequence[NDArray], sets) -> Data:
    """Take other rows of the same data; a single member has no leading axis."""
    if len(rows) > 1:
        return data.with_rows(list(rows), sets)
    return data.with_rows(rows[0], None if sets is None else np.ravel(sets)[0])
