"""The flat buffer: all parameters, gradients and buffers as views into a few tensors.

An elementwise optimizer then steps over one tensor, and a copy of the network is a copy
of one tensor.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class FlatModule(nn.Module):
    """A module, alone or as a stack, whose parameters are views into `flat`.

    Attributes
    ----------
    flat, flat_grad : Tensor of shape (n_parameters,) or (n_members, n_parameters)
        All parameters and their gradients; weights first.
    packed, grads : list of Tensor
        The parameters in their order there, and the views of the gradients.
    weights, weights_grad : Tensor of shape (n_weights,) or (n_members, n_weights)
        The views of these on the weights, which a penalty acts on.
    flat_buffers : Tensor
        The floating-point buffers, in the same manner.
    """

    flat: Tensor
    flat_grad: Tensor
    flat_buffers: Tensor
    packed: list[Tensor]
    grads: list[Tensor]
    weights: Tensor
    weights_grad: Tensor

    def __init__(self) -> None:
        super().__init__()

    def flatten(
        self,
        weights: Sequence[Tensor],
        members: tuple[int, ...],
        dtype: torch.dtype,
        device: str,
    ) -> None:
        """Move all parameters, their gradients and the buffers into flat tensors.

        Parameters
        ----------
        weights : sequence of Tensor
            The parameters that come first.
        members : tuple of int
            ``()`` for one network, ``(n_members,)`` for a stack.
        dtype : torch.dtype
            Type of the flat tensors.
        device : str
            Their device.
        """
        decayed = {id(weight) for weight in weights}
        others = [p for p in self.parameters() if id(p) not in decayed]
        buffers = [b for b in self.buffers() if b.is_floating_point()]
        n = len(members)
        n_weights = sum(w.shape[n:].numel() for w in weights)
        self.flat = _pack([*weights, *others], members, dtype, device)
        self.flat_grad = torch.zeros_like(self.flat)
        self.weights = self.flat.narrow(-1, 0, n_weights)
        self.weights_grad = self.flat_grad.narrow(-1, 0, n_weights)
        self.flat_buffers = _pack(buffers, members, dtype, device)
        self.packed = [*weights, *others]
        self.grads = _views(self.flat_grad, self.packed, n)
        views = _views(self.flat, self.packed, n)
        for parameter, view, grad in zip(self.packed, views, self.grads, strict=True):
            parameter.data = view
            parameter.grad = grad
        for buffer, view in zip(
            buffers, _views(self.flat_buffers, buffers, n), strict=True
        ):
            buffer.data = view


def _pack(
    tensors: Sequence[Tensor],
    members: tuple[int, ...],
    dtype: torch.dtype,
    device: str,
) -> Tensor:
    """Copy tensors side by side into one, the members' axis apart."""
    flat = [t.detach().reshape(*members, -1).to(device, dtype) for t in tensors]
    empty = torch.zeros(*members, 0, dtype=dtype, device=device)
    return torch.cat([*flat, empty], dim=-1)


def _views(flat: Tensor, tensors: Sequence[Tensor], n_leading: int) -> list[Tensor]:
    """Views into `flat`, shaped as the tensors that were packed into it."""
    sizes = [t.shape[n_leading:].numel() for t in tensors]
    pieces = flat.split(sizes, dim=-1)
    return [piece.view(t.shape) for piece, t in zip(pieces, tensors, strict=True)]
