"""The network's own encoding of its inputs: learned embeddings of columns."""

import itertools
import math
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from numpy.random import RandomState
from numpy.typing import NDArray
from torch import Tensor, nn

from sk_deep._onnx import Graph

N_FREQUENCIES = 16  # of each number, and its values after the linear map
N_PERIODIC = 8
_FREQUENCY_SCALE = 0.1  # standard deviation of the initial frequencies


class Embeddings(nn.Module):
    """Replace columns of codes by learned values, and add such of the numbers.

    C. Guo and F. Berkhahn, "Entity embeddings of categorical variables", arXiv 2016.

    Parameters
    ----------
    members : tuple of int
        ``()`` for one network, ``(n_members,)`` for a stack.
    categories : sequence of pairs of int
        Of each of the last columns the number of codes, and of values for each. Of the
        last two codes, for missing and for unknown levels, the values are 0 at first.
    n_periodic : int
        How many of the first columns are numbers that get periodic embeddings.
    """

    starts: Tensor

    def __init__(
        self,
        members: tuple[int, ...],
        categories: Sequence[Sequence[int]],
        n_periodic: int,
    ) -> None:
        super().__init__()
        self.members = members
        self.n_codes = len(categories)
        groups = _groups(categories)
        self.tables = nn.ParameterList(
            _empty(*members, sum(counts), size) for size, counts in groups
        )
        self.n_columns = [len(counts) for _, counts in groups]
        starts = [start for _, counts in groups for start in _starts(counts)]
        self.register_buffer("starts", torch.tensor(starts, dtype=torch.int64))
        self.periodic = Periodic(members, n_periodic) if n_periodic else None

    def forward(self, x: Tensor) -> Tensor:
        """Map (..., batch, n_features) to (..., batch, n_values)."""
        parts = [x[..., : x.shape[-1] - self.n_codes]]
        parts += [_look_up(table, rows) for table, rows in self._rows(x)]
        if self.periodic is not None:
            parts.append(self.periodic(x[..., : self.periodic.n_numbers]))
        return torch.cat(parts, dim=-1)

    def onnx(self, graph: Graph, x: str) -> str:
        """Set periodic embeddings beside the numbers, which come first."""
        assert self.periodic is not None
        values = self.periodic.onnx(graph, x)
        if self.members:
            x = graph("Add", x, np.zeros((*self.members, 1, 1)))  # to each member
        return graph("Concat", x, values, axis=-1)

    def _rows(self, x: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield the tables, and which of their rows inputs take, column by column."""
        rows = x[..., x.shape[-1] - self.n_codes :].long() + self.starts
        yield from zip(self.tables, rows.split(self.n_columns, dim=-1), strict=True)

    def put_gradient(self, x: Tensor, dv: Tensor) -> None:
        """Put the gradient by the tables, from that by the values: dT[row] += dv."""
        start = x.shape[-1] - self.n_codes
        for table, rows in self._rows(x):
            stop = start + rows.shape[-1] * table.shape[-1]
            assert table.grad is not None
            _add_up(table.grad.zero_(), rows, dv[..., start:stop])
            start = stop


class Periodic(nn.Module):
    """Periodic embeddings of numbers, "PLR".

    Y. Gorishniy, I. Rubachev and A. Babenko, "On embeddings for numerical features in
    tabular deep learning", NeurIPS 2022.

    Parameters
    ----------
    members : tuple of int
        As of `Embeddings`.
    n_numbers : int
        Number of columns.
    """

    def __init__(self, members: tuple[int, ...], n_numbers: int) -> None:
        super().__init__()
        self.n_numbers = n_numbers
        n_waves = 2 * N_FREQUENCIES
        self.frequency = _empty(*members, n_numbers, 1, N_FREQUENCIES)
        self.weight = _empty(*members, n_numbers, n_waves, N_PERIODIC)
        self.bias = _empty(*members, n_numbers, 1, N_PERIODIC)

    def forward(self, x: Tensor) -> Tensor:
        """Map (..., batch, n_numbers) to (..., batch, n_numbers * N_PERIODIC)."""
        angles = 2 * math.pi * x.mT.unsqueeze(-1) * self.frequency  # eq. 3
        waves = torch.cat([angles.sin(), angles.cos()], dim=-1)
        values = torch.relu(waves @ self.weight + self.bias)  # (..., number, batch, 8)
        return values.movedim(-3, -2).flatten(-2)

    def onnx(self, graph: Graph, x: str) -> str:
        """Embed the numbers, as nodes of ONNX: (..., batch, n_numbers * N_PERIODIC)."""
        frequency = self.frequency.numpy(force=True)
        numbers = graph("Gather", x, list(range(self.n_numbers)), axis=1)
        columns = graph("Unsqueeze", graph("Transpose", numbers, perm=[1, 0]), [-1])
        angles = graph("Mul", columns, 2 * math.pi * frequency)
        quarter = graph("Add", angles, math.pi / 2)
        waves = graph("Concat", graph("Sin", angles), graph("Sin", quarter), axis=-1)
        weight, bias = self.weight.numpy(force=True), self.bias.numpy(force=True)
        values = graph("Relu", graph.affine(waves, weight, bias))
        members = list(weight.shape[:-3])
        axes = [*range(len(members)), len(members) + 1, len(members), len(members) + 2]
        values = graph("Transpose", values, perm=axes)
        return graph("Reshape", values, [*members, -1, self.n_numbers * N_PERIODIC])


def _empty(*shape: int) -> nn.Parameter:
    return nn.Parameter(torch.empty(*shape))


def _groups(categories: Sequence[Sequence[int]]) -> list[tuple[int, list[int]]]:
    """Group neighbours of one size, whose tables are one: the size, and their codes."""
    groups = itertools.groupby(categories, key=lambda shape: shape[1])
    return [(size, [n_codes for n_codes, _ in group]) for size, group in groups]


def _starts(counts: Sequence[int]) -> Iterator[int]:
    """Return the row at which the codes of each column begin."""
    return itertools.accumulate([0, *counts[:-1]])


def _look_up(table: Tensor, rows: Tensor) -> Tensor:
    """Take rows (..., batch, n_columns) of a table, side by side."""
    if table.ndim == 2:
        return torch.embedding(table, rows).flatten(-2)
    return table.gather(-2, _index(table, rows)).view(*rows.shape[:-1], -1)


def _add_up(table: Tensor, rows: Tensor, values: Tensor) -> None:
    """Add values (..., batch, n_columns * size) to rows of a table."""
    values = values.reshape(*table.shape[:-2], -1, table.shape[-1])
    if table.ndim == 2:
        table.index_add_(0, rows.flatten(), values)
    else:
        table.scatter_add_(-2, _index(table, rows), values)


def _index(table: Tensor, rows: Tensor) -> Tensor:
    return rows.flatten(-2).unsqueeze(-1).expand(-1, -1, table.shape[-1])


def n_values(categories: Sequence[Sequence[int]], n_periodic: int) -> int:
    """Count the values that the embeddings give."""
    return sum(size for _, size in categories) + n_periodic * N_PERIODIC


def count_embedding_weights(
    categories: Sequence[Sequence[int]], n_periodic: int
) -> int:
    """Count the parameters of the embeddings of one network."""
    of_a_number = N_FREQUENCIES + (2 * N_FREQUENCIES + 1) * N_PERIODIC
    return sum(n * size for n, size in categories) + n_periodic * of_a_number


def draw_embeddings(
    random_state: RandomState, categories: Sequence[Sequence[int]], n_periodic: int
) -> list[NDArray]:
    """Draw the initial embeddings of one network.

    Parameters
    ----------
    random_state : RandomState
        Source of the draws.
    categories : sequence of pairs of int
        As of `Embeddings`.
    n_periodic : int
        As of `Embeddings`.

    Returns
    -------
    drawn : list of ndarray
        In the order of the parameters of `Embeddings`.
    """
    drawn = []
    for size, counts in _groups(categories):
        table = random_state.standard_normal((sum(counts), size))
        for end in np.cumsum(counts):
            table[end - 2 : end] = 0.0
        drawn.append(table)
    if n_periodic:
        shape = (n_periodic, 1, N_FREQUENCIES)
        bound = 1 / math.sqrt(2 * N_FREQUENCIES)
        wide = (n_periodic, 2 * N_FREQUENCIES, N_PERIODIC)
        drawn += [
            random_state.normal(scale=_FREQUENCY_SCALE, size=shape),
            random_state.uniform(-bound, bound, size=wide),
            random_state.uniform(-bound, bound, size=(n_periodic, 1, N_PERIODIC)),
        ]
    return drawn
