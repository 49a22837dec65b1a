"""The shapes that the units of a network compute, as functions of one variable."""

from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sk_deep._engine.net import Net
from sk_deep._engine.network_data import chunk_size
from sk_deep._engine.state import net_from_state, net_state
from sk_deep._engine.threads import threads_for
from sk_deep.network import Hidden
from sk_deep.normalizations import BatchNorm

_GRID = np.linspace(-4.0, 4.0, 201)


class Line(NamedTuple):
    """A line in the inputs of each unit of a layer, ``center + t scale direction``.

    Parameters
    ----------
    direction : Tensor of shape (..., n_in, n_units)
        Unit vectors, one for each unit.
    center : Tensor of shape (..., 1, n_in)
        Where the lines meet.
    scale : Tensor of shape (..., 1, n_units)
        How long a step of t is.
    """

    direction: Tensor
    center: Tensor
    scale: Tensor


@torch.inference_mode()
def unit_shapes(net: Net, X: Any = None) -> list[NDArray]:
    """Compute the values of the hidden units along a line.

    A unit with one input to its activation is a function of that input. A maxout unit
    is the largest of affine functions of all inputs of its layer: it is followed along
    the line on which its pieces differ most, that of the first principal component of
    the pieces' weight vectors. There it is convex and piecewise linear. With one input
    the line is the input.

    Parameters
    ----------
    net : Net
        A trained net. It is left as it is: a copy computes.
    X : ndarray or CSR matrix of shape (n, n_features), default=None
        Inputs: lines then go through the mean of a layer's inputs on these rows, and a
        step is a standard deviation along the line. Else they go through the origin.

    Returns
    -------
    shapes : list of ndarray of shape (n_points, n_units) or (n_points, 1)
        Of each hidden layer, at `grid()`; of the members' units side by side. One
        column stands for units that are all alike.
    """
    net = net_from_state(net_state(net, with_training=False), device=net.device)
    layers, rows = net.module_.hidden_layers(), net.module_.activation_rows()
    units = net.module_.architecture.hidden_units
    lines = [
        _first_line(layer, n_units) if row.has_pieces else None
        for layer, row, n_units in zip(layers, rows, units, strict=True)
    ]
    if X is not None and any(line is not None for line in lines):
        lines = _lines_through(net, X, lines)
    return [
        _flat(layer.activation(_points(layer) if line is None else _on(layer, line)))
        for layer, line in zip(layers, lines, strict=True)
    ]


def grid() -> NDArray:
    """Return the points at which shapes are computed."""
    return _GRID.copy()


def _points(layer: Hidden) -> Tensor:
    """Values of the grid as what goes into the activation of each unit."""
    *members, _, n_values = layer.linear.weight.shape
    t = layer.linear.bias.new_tensor(_GRID)
    return t.unsqueeze(-1).expand(*members, -1, n_values).clone()


def _on(layer: Hidden, line: Line) -> Tensor:
    """Values of the pieces on each unit's own line, batch normalization included.

    Layer normalization mixes units, which are on lines of their own, and is left out.
    """
    t = line.scale.new_tensor(_GRID).unsqueeze(-1)
    slopes = _slopes(layer, line.direction) * line.scale
    offsets = layer.linear(line.center).unflatten(-1, slopes.shape[-2:])
    # (..., points, pieces, units)
    z = (offsets + t.unsqueeze(-1) * slopes.unsqueeze(-3)).flatten(-2)
    norm = layer.normalization
    return norm(z) if isinstance(norm, BatchNorm) else z


def _slopes(layer: Hidden, direction: Tensor) -> Tensor:
    """Slopes of the pieces along the units' directions, (..., pieces, units)."""
    weight = _pieces(layer, direction.shape[-1])
    return (weight * direction.unsqueeze(-2)).sum(dim=-3)


def _pieces(layer: Hidden, n_units: int) -> Tensor:
    """Weights of the pieces, (..., n_in, pieces, n_units)."""
    return layer.linear.weight.unflatten(-1, (-1, n_units))


def _first_line(layer: Hidden, n_units: int) -> Line:
    """Find the line through the origin on which the pieces of each unit differ most."""
    weight = layer.linear.weight
    pieces = _pieces(layer, n_units).movedim(-1, -3)  # (..., units, n_in, pieces)
    centered = pieces - pieces.mean(dim=-1, keepdim=True)
    left = torch.linalg.svd(centered, full_matrices=False)[0]
    direction = left[..., 0].mT
    slopes = _slopes(layer, direction)
    steepest = slopes.gather(-2, slopes.abs().argmax(dim=-2, keepdim=True))
    # else the sign would be chance
    direction = torch.where(steepest < 0, -direction, direction)
    if weight.shape[-2] == 1:
        direction = torch.ones_like(direction)
    center = torch.zeros_like(weight[..., :1]).mT
    return Line(direction, center, torch.ones_like(steepest))


def _lines_through(net: Net, X: Any, lines: list[Line | None]) -> list[Line | None]:
    """Move lines to the mean of the layers' inputs, and scale their steps."""
    sums: list[Any] = [0.0] * len(lines)
    n_rows = min(chunk_size(net.module_.architecture, X.shape[1]), X.shape[0])
    with threads_for(net.module_.flat.numel() * n_rows):
        for batch in net.get_iterator(net.data(X)):
            x = net.module_.inputs(batch.pair[0])
            for i, layer in enumerate(net.module_.hidden_layers()):
                line = lines[i]
                if line is not None:
                    sums[i] = sums[i] + _moments(x, line)
                x = layer(x)
    return [
        None if line is None else _moved(line, total / X.shape[0])
        for line, total in zip(lines, sums, strict=True)
    ]


def _moments(x: Tensor, line: Line) -> Tensor:
    """Sums over rows of the inputs, their projections, and the squares of these."""
    x = x.double()
    along = x @ line.direction.double()
    return torch.cat([x, along, along.square()], dim=-1).sum(dim=-2, keepdim=True)


def _moved(line: Line, means: Tensor) -> Line:
    n_in, n_units = line.direction.shape[-2:]
    center, mean, square = means.split([n_in, n_units, n_units], dim=-1)
    scale = (square - mean.square()).clamp(min=0).sqrt()
    return Line(line.direction, center.to(line.center), scale.to(line.scale))


def _flat(values: Tensor) -> NDArray:
    """Set members' units side by side; one column for units that are all alike."""
    shapes = values.movedim(-2, 0).flatten(1).numpy(force=True)
    return shapes[:, :1] if (shapes == shapes[:, :1]).all() else shapes
