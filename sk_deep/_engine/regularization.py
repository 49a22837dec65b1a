"""Callbacks that act between the steps of a training: clipping, bounds, annealing."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from skorch.callbacks import Callback
from torch import Tensor


class _NormBound(Callback):
    """A bound on norms.

    Parameters
    ----------
    bound : float or sequence of float
        Largest norm, of all members or of each.
    """

    def __init__(self, bound: float | Sequence[float]) -> None:
        self.bound = bound
        self._tensors: dict[Any, Tensor] = {}

    def shrink(self, tensor: Tensor, *, dim: int) -> None:
        """Scale down vectors along an axis whose norm exceeds the bound."""
        bound = self._bounds_like(tensor)
        tensor.mul_(bound / tensor.norm(dim=dim, keepdim=True).clamp(min=bound))

    def _bounds_like(self, tensor: Tensor) -> Any:
        if not isinstance(self.bound, Sequence):
            return self.bound
        key = tensor.ndim, tensor.dtype, tensor.device
        if key not in self._tensors:
            bounds = tensor.new_tensor(self.bound)
            self._tensors[key] = bounds.view(-1, *[1] * (tensor.ndim - 1))
        return self._tensors[key]


class MaxNorm(_NormBound):
    """Bound the norm of each unit's incoming weights after every step.

    Parameters
    ----------
    bound : float or sequence of float
        Largest norm, of all members or of each.

    References
    ----------
    N. Srivastava, G. Hinton, A. Krizhevsky, I. Sutskever and R. Salakhutdinov,
    "Dropout: a simple way to prevent neural networks from overfitting", JMLR 2014,
    sec. 5.1.
    """

    @torch.no_grad()
    def on_batch_end(self, net, training=False, **kwargs) -> None:
        """Scale down the weights of units whose norm exceeds the bound."""
        if training:
            for layer in net.module_.linear_layers():
                self.shrink(layer.weight, dim=-2)


class GradientClip(_NormBound):
    """Bound the norm of each member's gradient, penalty included.

    Parameters
    ----------
    bound : float or sequence of float
        Largest norm, of all members or of each.

    References
    ----------
    R. Pascanu, T. Mikolov and Y. Bengio, "On the difficulty of training recurrent
    neural networks", ICML 2013, alg. 1.
    """

    def on_grad_computed(self, net, **kwargs) -> None:
        """Scale down gradients whose norm exceeds the bound."""
        self.shrink(net.module_.flat_grad, dim=-1)


class DropoutAnnealing(Callback):
    """Anneal the probabilities of dropout by a schedule, epoch by epoch.

    Parameters
    ----------
    factor : callable
        Factor on the probabilities as a function of the fraction of `max_epochs` that
        is done, from a row of `sk_deep.dropouts.DROPOUT_SCHEDULES`.
    """

    def __init__(self, factor: Callable[[float], float]) -> None:
        self.factor = factor

    def on_epoch_begin(self, net, **kwargs) -> None:
        """Set the probabilities of the epoch."""
        fraction = min(1.0, net.n_epochs_ / net.max_epochs)
        for layer in net.module_.dropout_layers():
            layer.anneal(self.factor(fraction))
