"""How fast members learn, and which of them an optimizer can step together."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sk_deep.schedules import Progress, Schedule


@dataclass(frozen=True)
class StepSettings:
    """What sets the steps of a member.

    Parameters
    ----------
    learning_rate : float
        Initial rate.
    schedule : Schedule
        Of the rate, with its parameters bound.
    max_epochs : int
        Epochs of the longest training.
    arguments : mapping from str to object, default={}
        Arguments of the optimizer, the rate apart.
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
            Parts of the epoch that are done now, and after the coming batch.

        Returns
        -------
        rate : float
            The rate, plateaus apart.
        """
        progress = Progress(
            epoch,
            # NOTE as scikit-learn, a new optimizer starts at the initial rate, though
            # the rows seen by the former one count later on
            n_samples if epoch else 0,
            min(1.0, (epoch + done) / self.max_epochs),
            min(1.0, (epoch + next_done) / self.max_epochs),
        )
        return self.learning_rate * self.schedule.factor(progress)


def group_members(
    step_settings: Sequence[StepSettings], n_members: int, *, together: bool
) -> list[slice]:
    """Group members of one pace that are side by side.

    Parameters
    ----------
    step_settings : sequence of StepSettings
        One for all members, or one for each.
    n_members : int
        Number of members.
    together : bool
        Whether the optimizer can step several members as one tensor.

    Returns
    -------
    groups : list of slice
        Of the members. One whose rate falls on plateaus is a group of its own.
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
