"""Hidden layers: a linear map, normalization, an activation and dropout."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from sk_deep._data.sparse import SparseRows
from sk_deep._onnx import Graph
from sk_deep.activations import Activation, get_activation
from sk_deep.dropouts import Dropout
from sk_deep.network._linear import Linear, LinearByHand
from sk_deep.normalizations import BatchNorm, LayerNorm


class Hidden(nn.Module):
    """A hidden layer: linear map, normalization, activation, dropout.

    Parameters
    ----------
    linear : Linear
        The affine map.
    normalization : Module or None
        Acts on the linear map's outputs.
    activation : Module
        Acts on the normalized values.
    dropout : Module or None
        Acts on the activations.
    activation_name : str or type
        Of the row of the activation, see `get_activation`.
    skips : bool
        Whether the input is added to the output (K. He, X. Zhang, S. Ren and J. Sun,
        "Deep residual learning for image recognition", CVPR 2016).
    """

    linear: Linear
    normalization: BatchNorm | LayerNorm | None
    activation: nn.Module
    dropout: Dropout | None

    def __init__(
        self,
        linear: Linear,
        normalization: BatchNorm | LayerNorm | None,
        activation: nn.Module,
        dropout: Dropout | None,
        *,
        activation_name: str | type[nn.Module],
        skips: bool,
    ) -> None:
        super().__init__()
        self.linear = linear
        self.normalization = normalization
        self.activation = activation
        self.dropout = dropout
        self.activation_name = activation_name
        self.skips = skips

    def forward(self, x: Tensor) -> Tensor:
        """Compute the units' values, (..., batch, units)."""
        if self.dropout is None:
            h = self.activation(self.pre_activations(x))
        else:
            h = self.dropout.hidden(x, self.linear, self._normalize, self.activation)
        return x + h if self.skips else h  # He et al., eq. 1

    def pre_activations(self, x: Tensor) -> Tensor:
        """Compute the inputs of the activation, without the noise of dropout."""
        return self._normalize(self.linear(x))

    def _normalize(self, z: Tensor) -> Tensor:
        return z if self.normalization is None else self.normalization(z)

    @property
    def activation_row(self) -> Activation:
        """Row of the activation."""
        return get_activation(self.activation_name)

    @property
    def is_plain(self) -> bool:
        """Whether it is a linear map, a known function and dropout's factors."""
        return (
            self.normalization is None
            and not self.skips
            and self.takes_sparse
            and self.activation_row.function is not None
        )

    @property
    def takes_sparse(self) -> bool:
        """Whether nothing but the linear map acts on the inputs."""
        return self.dropout is None or self.dropout.multiplies

    @property
    def has_gradient(self) -> bool:
        """Whether the gradient is known without autograd, see `by_hand`."""
        return self.is_plain and self.activation_row.derivative is not None

    def by_hand(self) -> "HiddenByHand":
        """Build the gradient of a layer for which `has_gradient` holds."""
        return HiddenByHand(self)

    def bare(self) -> list[Callable[[Tensor], Tensor]]:
        """List the functions that a plain layer applies in prediction."""
        function: Any = self.activation_row.function
        return [self.linear.bare(), function]

    def onnx(self, graph: Graph, x: str) -> str:
        """Compute the units' values in prediction, as nodes of ONNX."""
        row, norm = self.activation_row, self.normalization
        n_values = self.linear.weight.shape[-1]

        def normalize(z: str) -> str:
            return z if norm is None else norm.onnx(graph, z)

        def activate(z: str) -> str:
            assert row.onnx is not None
            return row.onnx(graph, z, self.activation, n_values)

        if self.dropout is None:
            h = activate(normalize(self.linear.onnx(graph, x)))
        else:
            layer = self.linear, normalize, activate
            h = self.dropout.onnx(graph, x, *layer, has_pieces=row.has_pieces)
        return graph("Add", x, h) if self.skips else h


class HiddenByHand(LinearByHand):
    """The chain rule of hidden units: a linear map, a function, perhaps dropout.

    Parameters
    ----------
    layer : Hidden
        The layer.
    """

    def __init__(self, layer: Hidden) -> None:
        super().__init__(layer.linear)
        row = layer.activation_row
        self.function: Any = row.function
        self.derivative: Any = row.derivative
        self.mask = None if layer.dropout is None else layer.dropout.mask

    def reserve(self, n_rows: int) -> tuple[Tensor, Tensor]:
        """Reserve memory for z, laid out as `affine` gives it, and for dh."""
        *members, n_out, _ = self.weight_mT.shape
        new = self.weight_mT.new_empty
        dh = new(*members, n_rows, n_out)
        if self.is_narrow:
            return new(*members, n_out, n_rows).mT, dh
        return torch.empty_like(dh), dh

    def forward(self, x: Tensor | SparseRows, z: Tensor) -> tuple[Tensor, tuple]:
        """Compute the units' values in the memory of z, and what `backward` needs."""
        h = self.function(self.affine(x, out=z))
        if self.mask is None:
            return h, (x, z, h, None)
        mask = self.mask(h)
        return h * mask, (x, z, h, mask)

    def backward(self, gradient: Tensor, trace: tuple) -> Tensor:
        """Put the gradient, and return that by z, from that by the units' values."""
        x, z, h, mask = trace
        if mask is not None:
            gradient.mul_(mask)
        dz = self.derivative(gradient, z, h)
        self.put_gradient(x, dz)
        return dz
