"""Weights that are kept: the best of each member, and averages over steps."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from sk_deep.network import MLP


class KeptWeights:
    """Copies of the weights that members keep as their results.

    Parameters
    ----------
    module : MLP
        The network, or stack of networks.
    copies : bool, default=True
        Whether there are copies; otherwise the network itself has the results.

    Attributes
    ----------
    pairs : list of tuple of Tensor
        The copy and the network's own tensor, of the parameters and of the buffers.
    """

    def __init__(self, module: MLP, *, copies: bool = True) -> None:
        tensors = (module.flat, module.flat_buffers) if copies else ()
        self.pairs = [(tensor.clone(), tensor) for tensor in tensors]
        self._is_stack = bool(module.members)
        self._n_members = module.architecture.n_members

    def keep(self, members: Sequence[int]) -> None:
        """Keep the present weights of some members as their results."""
        if len(members) == self._n_members:
            for kept, current in self.pairs:
                kept.copy_(current)
        elif len(members):
            for kept, current in self.pairs:
                index = torch.as_tensor(members, device=current.device)
                kept.index_copy_(0, index, current.index_select(0, index))

    def of(self, member: int) -> list[Tensor]:
        """Copy the parameters and the buffers that a member kept."""
        index = (member,) if self._is_stack else ()
        return [kept[index].clone() for kept, _ in self.pairs]

    def load(self, average: "WeightAverage | None" = None) -> None:
        """Load the kept weights into the network, also after an interrupt.

        Parameters
        ----------
        average : WeightAverage, default=None
            Average of the network's weights; it restarts if others are kept.
        """
        if average is not None:
            average.end_epoch()
            if not all(kept.equal(current) for kept, current in self.pairs):
                average.n_steps = 0  # further steps go on from the kept weights
        for kept, current in self.pairs:
            current.copy_(kept)


class WeightAverage:
    """An exponential average of tensors over the steps that change them.

    Between epochs the tensors hold the averages, for validation and as results, and
    `held` the raw weights that the steps go on from; during an epoch it is the reverse.

    Parameters
    ----------
    tensors : sequence of Tensor
        The tensors.
    n_epochs : float
        Number of epochs after which a step counts by 1 / e.

    Attributes
    ----------
    held : list of Tensor
        The averages during an epoch, and the raw weights between epochs.
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
        self._decay = 0.0
        self._is_between_epochs = True

    def begin_epoch(self, n_batches: int) -> None:
        """Swap the raw weights back in before an epoch."""
        self._decay = math.exp(-1 / (self.n_epochs * n_batches))
        if not self.n_steps:
            for held, tensor in zip(self.held, self.tensors, strict=True):
                held.copy_(tensor)
        if self._is_between_epochs:
            self._swap()

    def add(self) -> None:
        """Add the weights after a step; the bias towards the first ones is corrected.

        With the mean m of t steps, and the correction in the factor of the step,
        m <- m + (1 - d) / (1 - d^t) (w - m).
        """
        self.n_steps += 1
        factor = (1 - self._decay) / (1 - self._decay**self.n_steps)
        for held, tensor in zip(self.held, self.tensors, strict=True):
            held.lerp_(tensor, factor)

    def end_epoch(self) -> None:
        """Swap the averages in after an epoch, also after one that was interrupted."""
        if not self._is_between_epochs:
            self._swap()

    def _swap(self) -> None:
        self._is_between_epochs = not self._is_between_epochs
        for held, tensor in zip(self.held, self.tensors, strict=True):
            copy = held.clone()
            held.copy_(tensor)
            tensor.copy_(copy)

    def go_on_from(self, held: Sequence[Tensor], n_steps: int) -> None:
        """Continue, between epochs, from the raw weights and steps of an average."""
        for own, values in zip(self.held, held, strict=True):
            own.copy_(values.view_as(own))
        self.n_steps = n_steps
