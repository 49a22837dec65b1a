"""Two ways to the gradient of a batch: autograd, and the chain rule written out.

On small layers autograd spends more on its graph than the layers on arithmetic. The
commonest networks, of dense layers with a pointwise activation, perhaps dropout, and a
loss with a known gradient, therefore go by hand, at about half the time of a step; all
others by autograd. The two agree to rounding.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from sk_deep._compat import foreach_copy, run_backward
from sk_deep._data.sparse import SparseRows
from sk_deep._data.tensors import is_narrow
from sk_deep._engine.cuda_graphs import GradientFunction, Graphed, Shares
from sk_deep.activations import Activation
from sk_deep.losses import Criterion
from sk_deep.network import MLP, Hidden, Linear


class Autograd:
    """The gradient of any network, by torch's autograd.

    Parameters
    ----------
    module : MLP
        The network, or stack of networks.
    criterion : Criterion
        The loss.
    """

    def __init__(self, module: MLP, criterion: Criterion) -> None:
        self.module = module
        self.criterion = criterion

    def __call__(
        self, X: Tensor, y: Tensor, shares: Shares
    ) -> tuple[Tensor, Tensor | None]:
        """Put the gradient of ``sum(shares * losses)`` into the network's `flat_grad`.

        Parameters
        ----------
        X : Tensor of shape (batch, n_features) or (n_members, batch, n_features)
            Inputs.
        y : Tensor
            Encoded targets.
        shares : Tensor of shape (batch,) or (n_members, batch), or float
            Factors on the losses of the rows.

        Returns
        -------
        raw : Tensor of shape (batch, n_outputs) or (n_members, batch, n_outputs)
            Outputs before the inverse link.
        losses : Tensor of shape (batch,) or (n_members, batch), or None
            Losses of the rows, where they were computed.
        """
        raw = self.module(X)
        losses = self.criterion(raw, y)
        # members do not meet: each has its own gradient
        factors = (
            shares if isinstance(shares, Tensor) else torch.full_like(losses, shares)
        )
        found = run_backward(
            (losses,), (factors,), False, False, tuple(self.module.packed), False, False
        )
        foreach_copy(self.module.grads, found)
        return raw.detach(), losses.detach()


class _Map:
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
        self.affine = Linear.bind(weight, linear.bias.detach())
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


class _Units(_Map):
    """Hidden units: a linear map, a function, perhaps dropout.

    Parameters
    ----------
    layer : Hidden
        The layer.
    activation : Activation
        The row of its function.
    """

    def __init__(self, layer: Hidden, activation: Activation) -> None:
        super().__init__(layer.linear)
        self.function: Any = activation.function
        self.derivative: Any = activation.derivative
        self.mask = None if layer.dropout is None else layer.dropout.mask

    def reserve(self, n_rows: int) -> tuple[Tensor, Tensor]:
        """Reserve memory for z, laid out as `affine` gives it, and for dz."""
        *members, n_out, _ = self.weight_mT.shape
        new = self.weight_mT.new_empty
        dz = new(*members, n_rows, n_out)
        if self.is_narrow:
            return new(*members, n_out, n_rows).mT, dz
        return torch.empty_like(dz), dz


class ByHand(Autograd):
    """The gradient of a plain network, by the chain rule written out.

    It is for the networks of which `is_by_hand` holds. The values of the hidden units
    and their gradients keep their memory from step to step: to get new memory from the
    system can take longer than to fill it.
    """

    def __init__(self, module: MLP, criterion: Criterion) -> None:
        super().__init__(module, criterion)
        pairs = zip(module.hidden_layers(), module.activation_rows(), strict=True)
        self.hidden = [_Units(*pair) for pair in pairs]
        self.output = _Map(module.output)
        self.n_rows = 0
        self.memory: list[tuple[Tensor, Tensor]] = []

    @torch.inference_mode()  # cheaper still per operation than without gradients
    def __call__(self, X: Tensor, y: Tensor, shares: Shares) -> tuple[Tensor, None]:
        """Put the gradient into `flat_grad`, see `Autograd`."""
        x = self.module.inputs(X)
        trace = []
        for layer, (z, dz) in zip(self.hidden, self._memory_for(x), strict=True):
            h = layer.function(layer.affine(x, out=z))
            mask = None if layer.mask is None else layer.mask(h)
            trace.append((layer, x, z, h, mask, dz))
            x = h if mask is None else h * mask
        raw = self.output.affine(x)
        gradient = self.criterion.gradient(raw, y)
        gradient.mul_(shares.unsqueeze(-1) if isinstance(shares, Tensor) else shares)
        above: _Map = self.output
        above.put_gradient(x, gradient)
        for layer, x, z, h, mask, dz in reversed(trace):
            gradient = above.product(gradient, above.weight_mT, out=dz)  # dx = dz W^T
            if mask is not None:
                gradient.mul_(mask)
            gradient = layer.derivative(gradient, z, h)
            layer.put_gradient(x, gradient)
            above = layer
        if self.module.embeddings is not None:
            dx = above.product(gradient, above.weight_mT)
            self.module.embeddings.put_gradient(self.module.for_members(X), dx)
        return raw, None

    def _memory_for(self, x: Tensor) -> list[tuple[Tensor, Tensor]]:
        """Each hidden layer's memory for z and dz; the first rows of it, of few."""
        n_rows = x.shape[-2]
        if n_rows > self.n_rows or not self.memory:
            self.n_rows = n_rows
            self.memory = [layer.reserve(n_rows) for layer in self.hidden]
        if n_rows == self.n_rows:
            return self.memory
        return [(z[..., :n_rows, :], dz[..., :n_rows, :]) for z, dz in self.memory]


def is_by_hand(module: MLP, criterion: Criterion) -> bool:
    """Whether the gradient of a network's loss is known by hand."""
    has_gradients = all(row.derivative is not None for row in module.activation_rows())
    return module.is_plain and has_gradients and criterion.has_gradient


def is_ours(module: MLP, criterion: Criterion) -> bool:
    """Whether no code of a user's takes part in the gradient."""
    names = [criterion.loss, *module.architecture.activation]
    return all(isinstance(name, str) for name in names)


def choose_gradient(module: MLP, criterion: Criterion) -> GradientFunction:
    """Choose the way to the gradient of a network's loss."""
    way = (ByHand if is_by_hand(module, criterion) else Autograd)(module, criterion)
    # a graph would not repeat what a user's code does on the host
    return Graphed(way) if module.flat.is_cuda and is_ours(module, criterion) else way
