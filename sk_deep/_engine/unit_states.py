"""Dead and saturated hidden units of a net on data."""

from collections.abc import Iterator
from typing import NamedTuple

import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from sk_deep._engine.net import Net
from sk_deep._engine.network_data import chunk_size
from sk_deep._engine.state import net_from_state, net_state
from sk_deep._engine.threads import threads_for

_FLAT = 0.05  # fraction of the greatest slope below which an activation is flat
_MOST = 0.9  # fraction of the rows on which a saturated unit is flat
_GRID = torch.linspace(-50.0, 50.0, 5001, dtype=torch.float64)
_AT_THE_ENDS = _GRID.abs() >= 45.0  # several points: a sine is flat at some
_BLOCK_ELEMENTS = 2**20  # values of an activation on the grid that are computed at once


class UnitStates(NamedTuple):
    """The states of a hidden layer's units on some rows.

    Parameters
    ----------
    dead, saturated : ndarray of bool of shape (n_units,) or (n_members, n_units)
        Whether each unit is dead, and whether it is saturated; see `unit_states`.
    """

    dead: NDArray
    saturated: NDArray


@torch.inference_mode(False)  # whatever mode the caller is in
@torch.enable_grad()
def unit_states(net: Net, X) -> list[UnitStates]:
    """Find the dead and the saturated hidden units of a net on rows.

    A unit is *dead* where its value is the same on all rows and the derivative of its
    activation is 0 on all of them: no gradient reaches the weights that lead into it.
    It is *saturated* where its activation is flat at both ends, as tanh is, and the
    derivative is below 5 % of its greatest on at least 90 % of the rows. A unit may be
    both. The derivative of a maxout unit is the sum over its pieces.

    Parameters
    ----------
    net : Net
        A trained net; a copy of it computes.
    X : ndarray or CSR matrix of shape (n, n_features)
        Inputs, of float32 or float64.

    Returns
    -------
    states : list of UnitStates
        States of each hidden layer, from the first to the last.

    References
    ----------
    A. Maas, A. Hannun and A. Ng, "Rectifier nonlinearities improve neural network
    acoustic models", ICML 2013 (dead units).

    X. Glorot and Y. Bengio, "Understanding the difficulty of training deep feedforward
    neural networks", AISTATS 2010 (saturated units).
    """
    net = net_from_state(net_state(net, with_training=False), device=net.device)
    n_rows = min(chunk_size(net.module_.architecture, X.shape[1]), X.shape[0])
    with threads_for(net.module_.flat.numel() * n_rows):
        counts = [_Counts(layer.activation) for layer in net.module_.hidden_layers()]
        for batch in net.get_iterator(net.data(X)):
            x = net.module_.inputs(batch.X)
            for count, layer in zip(counts, net.module_.hidden_layers(), strict=True):
                with torch.no_grad():
                    z, x = layer.pre_activations(x), layer(x)
                count.add(z)
        return [count.states() for count in counts]


class _Counts:
    """Statistics of the units of a layer, updated by chunks of rows.

    Parameters
    ----------
    activation : Module
        The layer's activation.
    """

    def __init__(self, activation: nn.Module) -> None:
        self.activation = activation
        self.n_rows = 0

    def add(self, z: Tensor) -> None:
        """Add rows, by their values z before the activation."""
        h, slope = _values_and_slopes(self.activation, z)
        low, high = h.amin(dim=-2), h.amax(dim=-2)
        is_moved = (slope != 0).any(dim=-2)  # a slope that is not a number counts
        if not self.n_rows:
            self.low, self.high, self.is_moved = low, high, is_moved
            self.bound = _flat_below(self.activation, z)
            self.n_flat = torch.zeros_like(low, dtype=torch.int64)
        self.low, self.high = self.low.minimum(low), self.high.maximum(high)
        self.is_moved = self.is_moved | is_moved
        self.n_flat += (slope < self.bound.unsqueeze(-2)).sum(dim=-2)
        self.n_rows += z.shape[-2]

    def states(self) -> UnitStates:
        """Compute the states of the units."""
        dead = (self.low == self.high) & ~self.is_moved
        saturated = self.n_flat >= _MOST * self.n_rows
        return UnitStates(dead.numpy(force=True), saturated.numpy(force=True))


def _flat_below(activation: nn.Module, like: Tensor) -> Tensor:
    """Compute the slope below which a unit is flat; 0 if it is not flat at an end."""
    slopes = torch.cat(list(_slopes_on_the_grid(activation, like)), dim=-2)
    slopes = slopes.nan_to_num(0.0, posinf=0.0)
    bound = _FLAT * slopes.amax(dim=-2)
    at_the_ends = slopes[..., _AT_THE_ENDS.to(slopes.device), :].amax(dim=-2)
    return torch.where(at_the_ends < bound, bound, 0.0)


def _slopes_on_the_grid(activation: nn.Module, like: Tensor) -> Iterator[Tensor]:
    *members, _, n_values = like.shape
    n_points = max(1, _BLOCK_ELEMENTS // like[..., 0, :].numel())
    for points in _GRID.to(like.device, like.dtype).split(n_points):
        z = points.unsqueeze(-1).expand(*members, -1, n_values)
        yield _values_and_slopes(activation, z)[1]


def _values_and_slopes(activation: nn.Module, z: Tensor) -> tuple[Tensor, Tensor]:
    """Compute the units' values, and their absolute derivatives by the inputs."""
    z = z.detach().requires_grad_()
    h = activation(z.clone())  # which may be changed in place
    (slope,) = torch.autograd.grad(h.sum(), z)
    pieces = slope.unflatten(-1, (-1, h.shape[-1]))
    return h.detach(), pieces.sum(dim=-2).abs()
