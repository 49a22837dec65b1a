"""One optimizer per member, for classes without parameter groups."""

from collections.abc import Callable, Sequence
from typing import Any

from torch.optim import Optimizer


class PerMember:
    """Optimizers that step one after another, with the interface of one.

    Some classes, such as `torch.optim.LBFGS`, refuse the groups that a stack has, one
    for each member.

    Parameters
    ----------
    optimizers : sequence of Optimizer
        One for each member, over its parameters.
    """

    def __init__(self, optimizers: Sequence[Optimizer]) -> None:
        self.optimizers = optimizers
        self.defaults = optimizers[0].defaults

    @property
    def param_groups(self) -> list[dict[str, Any]]:
        """The groups of all optimizers."""
        return [
            group for optimizer in self.optimizers for group in optimizer.param_groups
        ]

    def step(self, closure: Callable[[], Any]) -> None:
        """Take a step of each; to each the others' losses are constants.

        Parameters
        ----------
        closure : callable
            Computes the sum of the members' losses, and the gradients.
        """
        for optimizer in self.optimizers:
            optimizer.step(closure)

    def state_dict(self) -> dict[str, Any]:
        """Describe the states of all optimizers."""
        return {"members": [optimizer.state_dict() for optimizer in self.optimizers]}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over the states that `state_dict` described.

        Parameters
        ----------
        state : dict
            The description.
        """
        for optimizer, part in zip(self.optimizers, state["members"], strict=True):
            optimizer.load_state_dict(part)


def make_optimizer(
    optimizer: type[Optimizer], groups: list[dict[str, Any]], **kwargs: Any
) -> Optimizer | PerMember:
    """Build an optimizer over groups of parameters.

    Parameters
    ----------
    optimizer : type
        Its class.
    groups : list of dict
        The groups.
    **kwargs : dict
        Arguments of the class.

    Returns
    -------
    optimizer : Optimizer or PerMember
        One for all groups, or one for each where the class takes a single group only.

    Raises
    ------
    ValueError
        If the class refuses an argument.
    """
    try:
        if len(groups) == 1:
            return optimizer(groups, **kwargs)
        return _make_for_members(optimizer, groups, **kwargs)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"solver_params and learning_rate_init must be arguments of "
            f"{optimizer.__name__}, got {kwargs}: {error}"
        ) from error


def _make_for_members(optimizer, groups, **kwargs) -> Optimizer | PerMember:
    try:
        return optimizer(groups, **kwargs)
    except ValueError:
        return PerMember([optimizer(group["params"], **kwargs) for group in groups])
