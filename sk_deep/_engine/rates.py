"""Settings of the steps, groups of members, and learning rates."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from torch import Tensor

from sk_deep.network import MLP
from sk_deep.schedules import Progress, Schedule
from sk_deep.solvers import Solver, make_optimizer


@dataclass(frozen=True)
class StepSettings:
    """Settings of the steps of a member.

    Parameters
    ----------
    learning_rate : float
        Initial rate.
    schedule : Schedule
        Schedule of the rate, with its parameters bound.
    max_epochs : int
        Largest number of epochs.
    arguments : mapping from str to object, default={}
        Arguments of the optimizer, without the rate.
    """

    learning_rate: float
    schedule: Schedule
    max_epochs: int
    arguments: Mapping[str, Any] = field(default_factory=dict)

    def rate(
        self, epoch: int, n_samples: int, done: float = 0.0, next_done: float = 1.0
    ) -> float:
        """Compute the learning rate.

        Parameters
        ----------
        epoch, n_samples : int
            Finished epochs of the optimizer, and rows seen in all.
        done, next_done : float
            Fractions of the epoch that are done now, and after the next batch.

        Returns
        -------
        rate : float
            The rate, before reductions on plateaus.
        """
        progress = Progress(
            epoch,
            # as in scikit-learn, a new optimizer starts at the initial rate, though
            # the rows that the former one saw count later on
            n_samples if epoch else 0,
            min(1.0, (epoch + done) / self.max_epochs),
            min(1.0, (epoch + next_done) / self.max_epochs),
        )
        return self.learning_rate * self.schedule.factor(progress)


def group_members(
    step_settings: Sequence[StepSettings], n_members: int, *, together: bool
) -> list[slice]:
    """Group adjacent members of equal settings.

    Parameters
    ----------
    step_settings : sequence of StepSettings
        Of all members, or of each.
    n_members : int
        Number of members.
    together : bool
        Whether the optimizer can step several members as one tensor.

    Returns
    -------
    groups : list of slice
        Groups of members. A member whose rate falls on plateaus is alone in its group.
    """
    if len(step_settings) == 1:
        step_settings = [step_settings[0]] * n_members
    starts = [
        i
        for i, settings in enumerate(step_settings)
        if not together
        or i == 0
        or settings.schedule.reduces_on_plateau
        or settings != step_settings[i - 1]
    ]
    return [slice(*ends) for ends in zip(starts, [*starts[1:], n_members], strict=True)]


class Rates:
    """Learning rates of the groups of members that an optimizer steps together.

    Parameters
    ----------
    step_settings : sequence of StepSettings
        Of all members, or of each.
    groups : sequence of slice
        The members of each group, see `group_members`.

    Attributes
    ----------
    settings : list of StepSettings
        Settings of each group.
    values : ndarray of shape (n_groups,)
        The present rates.
    reductions : ndarray of shape (n_groups,)
        Factors on the rates, from plateaus.
    varies_by_batch : bool
        Whether a schedule changes rates within an epoch.
    """

    def __init__(
        self, step_settings: Sequence[StepSettings], groups: Sequence[slice]
    ) -> None:
        each = len(step_settings) > 1
        self.groups = groups
        self.settings = [step_settings[g.start if each else 0] for g in groups]
        self.values = np.array([s.learning_rate for s in self.settings])
        self.reductions = np.ones(len(groups))
        self.varies_by_batch = any(s.schedule.per_batch for s in self.settings)
        self._sizes = [group.stop - group.start for group in groups]

    def update(
        self,
        param_groups: Sequence[dict[str, Any]],
        n_epochs: int,
        n_samples: int,
        done: float,
        next_done: float,
        *,
        scale: float,
    ) -> None:
        """Compute the rates, and set those of an optimizer.

        Parameters
        ----------
        param_groups : sequence of dict
            Groups of the optimizer.
        n_epochs, n_samples, done, next_done : int, float
            Progress of the training, see `StepSettings.rate`.
        scale : float
            Factor on all rates.
        """
        rates = [s.rate(n_epochs, n_samples, done, next_done) for s in self.settings]
        self.values = np.array(rates) * self.reductions * scale
        for param_group, rate in zip(param_groups, self.values, strict=True):
            param_group["lr"] = float(rate)

    def of_members(self) -> np.ndarray:
        """Return the rate of each member, (n_members,)."""
        return np.repeat(self.values, self._sizes)

    def group_of(self, member: int) -> int:
        """Return the index of a member's group."""
        return next(i for i, group in enumerate(self.groups) if member < group.stop)

    def on_plateau(self, member: int) -> float | None:
        """Return the rate of a member, if its schedule reduces it on plateaus."""
        i = self.group_of(member)
        reduces = self.settings[i].schedule.reduces_on_plateau
        return float(self.values[i]) if reduces else None

    def reduce(self, member: int, divisor: float) -> None:
        """Divide the rate of a member's group from the next epoch on."""
        self.reductions[self.group_of(member)] /= divisor


def build_optimizer(module: MLP, solver: Solver, rates: Rates) -> Any:
    """Build the optimizer of a stochastic solver over the flat buffer.

    Parameters
    ----------
    module : MLP
        The network, or stack of networks.
    solver : Solver
        Row of the solver.
    rates : Rates
        With the groups of members, and their settings.

    Returns
    -------
    optimizer : Optimizer or PerMember
        With a parameter group for each group of members.
    """
    param_groups = [
        {"params": _leaves(module, group, solver), **settings.arguments}
        for group, settings in zip(rates.groups, rates.settings, strict=True)
    ]
    first = rates.settings[0]
    arguments = {"lr": first.learning_rate, **first.arguments}
    if solver.optimizer is None:
        raise ValueError("A full-batch solver has no optimizer.")
    return make_optimizer(solver.optimizer, param_groups, **arguments)


def _leaves(module: MLP, group: slice, solver: Solver) -> list[Tensor]:
    """List the tensors that are optimised for a group of members."""
    if solver.elementwise:
        rows = group if module.members else ...
        return [_leaf(module.flat[rows], module.flat_grad[rows])]
    if not module.members:
        return list(module.parameters())
    i = group.start
    pairs = [(p.data[i], p.grad[i]) for p in module.parameters() if p.grad is not None]
    return [_leaf(*pair) for pair in pairs]


def _leaf(view: Tensor, gradient: Tensor) -> Tensor:
    """Make a leaf tensor for an optimizer that shares memory with both tensors."""
    leaf = view.detach()
    leaf.grad = gradient
    return leaf
