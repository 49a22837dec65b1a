"""One optimizer per member, of classes that know no groups of parameters."""

from collections.abc import Callable, Sequence
from typing import Any

from torch.optim import Optimizer


class PerMember:
    """Optimizers that step one after the other, as one.

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
        return [group for one in self.optimizers for group in one.param_groups]

    def step(self, closure: Callable[[], Any]) -> None:
        """Take a step of each; to each the others' losses are constants.

        Parameters
        ----------
        closure : callable
            Computes the sum of the members' losses, and the gradients.
        """
        for one in self.optimizers:
            one.step(closure)

    def state_dict(self) -> dict[str, Any]:
        """Describe the states of all optimizers."""
        return {"members": [one.state_dict() for one in self.optimizers]}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over the states that `state_dict` described.

        Parameters
        ----------
        state : dict
            The description.
        """
        for one, part in zip(self.optimizers, state["members"], strict=True):
            one.load_state_dict(part)


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
            f"{optimizer.__name__} does not take its solver_params or its rate, "
            f"however: {kwargs}. It says: {error}"
        ) from error


def _make_for_members(optimizer, groups, **kwargs) -> Optimizer | PerMember:
    try:
        return optimizer(groups, **kwargs)
    except ValueError:
        return PerMember([optimizer(group["params"], **kwargs) for group in groups])
