"""Linear maps: their shape, the layer, and their part of the chain rule."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.random import RandomState
from numpy.typing import NDArray
from torch import Tensor, nn

from sk_deep._data.sparse import SparseRows
from sk_deep._data.tensors import is_narrow
from sk_deep._onnx import Graph
from sk_deep.initializers import Draw


class Linear(nn.Module):
    """Affine map of the last axis, ``x @ weight + bias``.

    Parameters
    ----------
    members : tuple of int
        ``()`` for one network, ``(n_members,)`` for a stack.
    n_in, n_out : int
        Sizes of the last axis of the input and of the output.
    """

    def __init__(self, members: tuple[int, ...], n_in: int, n_out: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(*members, n_in, n_out))
        self.bias = nn.Parameter(torch.empty(*members, n_out))

    def forward(self, x: Tensor) -> Tensor:
        """Map (batch, in) to (batch, out), member by member in a stack."""
        return self.affine(x, self.weight, self.bias)

    @staticmethod
    def affine(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        """Compute ``x @ weight + bias``, member by member in a stack."""
        return Linear.bind(weight, bias)(x)

    @staticmethod
    def bind(weight: Tensor, bias: Tensor) -> Callable[..., Tensor]:
        """Build the function ``x @ weight + bias`` of x, and perhaps of `out`.

        `out` is where the result goes; of the layout that the result has.
        """
        add_product = torch.addmm if weight.ndim == 2 else torch.baddbmm
        if is_narrow(weight):
            column, transposed = bias.unsqueeze(-1), weight.mT

            def dense(x: Tensor, out: Tensor | None = None) -> Tensor:
                out = None if out is None else out.mT
                return add_product(column, transposed, x.mT, out=out).mT

        else:
            row = bias.unsqueeze(-2)

            def dense(x: Tensor, out: Tensor | None = None) -> Tensor:
                return add_product(row, x, weight, out=out)

        return lambda x, out=None: (
            x.affine(weight, bias, out) if isinstance(x, SparseRows) else dense(x, out)
        )

    def bare(self) -> Callable[..., Tensor]:
        """Build the function of the layer in prediction."""
        return self.bind(self.weight.detach(), self.bias.detach())

    def onnx(self, graph: Graph, x: str) -> str:
        """Apply the map, as nodes of ONNX."""
        bias = self.bias.numpy(force=True)[..., np.newaxis, :]
        return graph.affine(x, self.weight.numpy(force=True), bias)


class LinearByHand:
    """A linear map, and its part of the chain rule.

    Parameters
    ----------
    linear : Linear
        The map.
    """

    def __init__(self, linear: Linear) -> None:
        weight = linear.weight.detach()
        self.weight_mT, self.is_narrow = weight.mT, is_narrow(weight)
        self.weight_grad: Any = linear.weight.grad
        self.bias_grad = linear.bias.grad
        self.affine = linear.bare()
        self.product: Callable = torch.mm if weight.ndim == 2 else torch.bmm

    def put_gradient(self, x: Tensor | SparseRows, dz: Tensor) -> None:
        """Compute dW = x^T dz and db = sum(dz)."""
        if isinstance(x, SparseRows):
            self.weight_grad.copy_(x.transposed_times(dz))
        elif self.is_narrow:
            self.weight_grad.copy_(self.product(dz.mT, x).mT)
        else:
            self.product(x.mT, dz, out=self.weight_grad)
        torch.sum(dz, -2, out=self.bias_grad)

    def input_gradient(self, dz: Tensor, out: Tensor | None = None) -> Tensor:
        """Compute dx = dz W^T."""
        return self.product(dz, self.weight_mT, out=out)


@dataclass(frozen=True)
class LinearShape:
    """Shape of a linear map, and the law of its weights.

    Parameters
    ----------
    n_in, n_out : int
        Numbers of inputs and of units.
    n_pieces : int, default=1
        Number of linear functions of a unit.
    init_factor : float, default=6.0
        Numerator of Glorot's bound, see `Activation`.
    """

    n_in: int
    n_out: int
    n_pieces: int = 1
    init_factor: float = 6.0

    @property
    def n_values(self) -> int:
        """Number of values that the map computes of a row."""
        return self.n_out * self.n_pieces

    @property
    def n_weights(self) -> int:
        """Number of weights, without biases."""
        return self.n_in * self.n_values

    def build(self, members: tuple[int, ...]) -> Linear:
        """Build the layer."""
        return Linear(members, self.n_in, self.n_values)

    def draw(self, random_state: RandomState, draw: Draw) -> tuple[NDArray, NDArray]:
        """Draw each linear piece of a unit on its own and set them side by side."""
        sizes = self.n_in, self.n_out, self.init_factor
        drawn = [draw(random_state, *sizes) for _ in range(self.n_pieces)]
        weights, biases = zip(*drawn, strict=True)
        return np.concatenate(weights, axis=-1), np.concatenate(biases, axis=-1)
