"""The average of a network's weights over its steps."""

import math
from collections.abc import Sequence

from torch import Tensor


class WeightAverage:
    """An exponential average of tensors that steps change.

    Between epochs the averages lie in the tensors, for validation and for what is kept,
    and what the steps go on from is held here; during an epoch it is the reverse.

    Parameters
    ----------
    tensors : sequence of Tensor
        The tensors.
    n_epochs : float
        Number of epochs after which a step counts by 1 / e.

    Attributes
    ----------
    held : list of Tensor
        What does not lie in the tensors at present.
    n_steps : int
        Steps that have been averaged.

    References
    ----------
    D. Kingma and J. Ba, "Adam: a method for stochastic optimization", ICLR 2015, sec.
    7.2.
    """

    def __init__(self, tensors: Sequence[Tensor], n_epochs: float) -> None:
        self.tensors = tensors
        self.held = [tensor.clone() for tensor in tensors]
        self.n_epochs = n_epochs
        self.n_steps = 0
        self._is_between_epochs = True

    def begin_epoch(self, n_batches: int) -> None:
        """Let the steps go on from where they were."""
        self._decay = math.exp(-1 / (self.n_epochs * n_batches))
        if not self.n_steps:
            for held, tensor in zip(self.held, self.tensors, strict=True):
                held.copy_(tensor)
        if self._is_between_epochs:
            self._swap()

    def add(self) -> None:
        """Add the tensors after a step; the bias towards the first ones is corrected.

        With the mean m of t steps, and the correction in the factor of the step,
        m <- m + (1 - d) / (1 - d^t) (w - m).
        """
        self.n_steps += 1
        factor = (1 - self._decay) / (1 - self._decay**self.n_steps)
        for held, tensor in zip(self.held, self.tensors, strict=True):
            held.lerp_(tensor, factor)

    def end_epoch(self) -> None:
        """Let the averages lie in the tensors, if they do not."""
        if not self._is_between_epochs:
            self._swap()

    def _swap(self) -> None:
        self._is_between_epochs = not self._is_between_epochs
        for held, tensor in zip(self.held, self.tensors, strict=True):
            other = held.clone()
            held.copy_(tensor)
            tensor.copy_(other)

    def go_on_from(self, held: Sequence[Tensor], n_steps: int) -> None:
        """Go on, between epochs, from what another average of these tensors held."""
        for own, values in zip(self.held, held, strict=True):
            own.copy_(values.view_as(own))
        self.n_steps = n_steps
