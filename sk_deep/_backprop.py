"""Two ways to the gradient of a batch: autograd, and the chain rule written out.

On small layers autograd spends more on its graph than the layers on arithmetic. The
commonest networks, of dense layers with a pointwise activation, perhaps dropout, and a
loss with a known gradient, therefore go by hand, at about half the time of a step; all
others by autograd. The two agree to rounding.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from sk_deep._compat import foreach_copy, run_backward
from sk_deep.activations import get_activation
from sk_deep.losses import Criterion
from sk_deep.network import MLP, Linear, is_narrow

Shares = Tensor | float


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

    def __call__(self, X: Tensor, y: Tensor, shares: Shares) -> tuple[Tensor, Tensor]:
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
        losses : Tensor of shape (batch,) or (n_members, batch)
            Losses of the rows.
        raw : Tensor of shape (batch, n_outputs) or (n_members, batch, n_outputs)
            Outputs before the inverse link.
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
        return losses.detach(), raw.detach()


class _Layer(NamedTuple):
    """A linear map with what follows it; nothing follows that of the output."""

    weight: Tensor
    bias: Tensor
    weight_grad: Tensor
    bias_grad: Tensor
    is_narrow: bool
    activation: Callable[[Tensor], Tensor] | None
    derivative: Callable[[Tensor, Tensor, Tensor], Tensor] | None
    mask: Callable[[Tensor], Tensor] | None


def _layer(linear: Linear, activation=None, derivative=None, mask=None) -> _Layer:
    weight, bias = linear.weight, linear.bias
    assert weight.grad is not None
    assert bias.grad is not None
    tensors = (weight.detach(), bias.detach(), weight.grad, bias.grad)
    return _Layer(*tensors, is_narrow(weight), activation, derivative, mask)


class _Trace(NamedTuple):
    """What the way back needs of a layer: input, z = x W + b, h = f(z), mask."""

    x: Tensor
    z: Tensor
    h: Tensor
    mask: Tensor | None


class ByHand(Autograd):
    """The gradient of a plain network, by the chain rule written out.

    It is for the networks of which `is_plain` holds.
    """

    def __init__(self, module: MLP, criterion: Criterion) -> None:
        super().__init__(module, criterion)
        rows = [get_activation(name) for name in module.architecture["activation"]]
        self.layers = [
            _layer(
                layer.linear,
                layer.activation.forward,
                row.derivative,
                layer.dropout.mask if layer.dropout else None,
            )
            for layer, row in zip(module.hidden_layers(), rows, strict=True)
        ]
        self.layers.append(_layer(module.output))
        self.product: Callable = torch.bmm if module.members else torch.mm

    @torch.no_grad()
    def __call__(self, X: Tensor, y: Tensor, shares: Shares) -> tuple[Tensor, Tensor]:
        """Put the gradient into `flat_grad`, see `Autograd`."""
        module = self.module
        if module.members and X.ndim == 2:
            X = X.expand(*module.members, -1, -1)
        if module.input_dropout is not None:
            X = module.input_dropout(X)
        traces = self._forward(X)
        raw = traces[-1].z
        losses, gradient = self.criterion.with_gradient(raw, y)
        gradient.mul_(shares.unsqueeze(-1) if isinstance(shares, Tensor) else shares)
        self._backward(gradient, traces)
        return losses, raw

    def _forward(self, x: Tensor) -> list[_Trace]:
        """Go through the layers; the z of the last one are the raw outputs."""
        traces = []
        for layer in self.layers:
            z = Linear.affine(x, layer.weight, layer.bias)
            h = z if layer.activation is None else layer.activation(z)
            mask = None if layer.mask is None else layer.mask(h)
            traces.append(_Trace(x, z, h, mask))
            x = h if mask is None else h * mask
        return traces

    def _backward(self, gradient: Tensor, traces: list[_Trace]) -> None:
        """Go back through the layers, dW = x^T dz and dx = dz W^T."""
        for layer, trace in zip(reversed(self.layers), reversed(traces), strict=True):
            if trace.mask is not None:
                gradient = gradient.mul_(trace.mask)
            if layer.derivative is not None:
                gradient = layer.derivative(gradient, trace.z, trace.h)
            if layer.is_narrow:
                layer.weight_grad.copy_(self.product(gradient.mT, trace.x).mT)
            else:
                self.product(trace.x.mT, gradient, out=layer.weight_grad)
            torch.sum(gradient, -2, out=layer.bias_grad)
            if layer is not self.layers[0]:
                gradient = self.product(gradient, layer.weight.mT)


def is_plain(module: MLP, criterion: Criterion) -> bool:
    """Whether the gradient of a network is known by hand."""
    architecture = module.architecture
    return (
        criterion.has_gradient
        and all(layer.multiplies for layer in module.dropout_layers())
        and architecture["normalization"] is None
        and not any(layer.skips for layer in module.hidden_layers())
        and all(
            get_activation(name).derivative is not None
            for name in architecture["activation"]
        )
    )


def differentiator(module: MLP, criterion: Criterion) -> Autograd:
    """Choose the way to the gradient of a network's loss."""
    way = ByHand if is_plain(module, criterion) else Autograd
    return way(module, criterion)
