"""Whole batches by index operations, never sample by sample."""

import copy
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.random import RandomState
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from sk_deep._data.sources import inputs_of, select, shuffle_pieces
from sk_deep._data.sparse import SparseRows
from sk_deep._data.tensors import Device, as_tensor


class Batch(NamedTuple):
    """Rows that go through the network together.

    Parameters
    ----------
    X : Tensor of shape (..., batch, n_features), or SparseRows
        Inputs.
    y : Tensor or None
        Encoded targets.
    weight : Tensor of shape (..., batch) or None
        Sample weights; 0 for rows that only pad a member's batch.
    n_rows : int or Tensor of shape (n_members,)
        Number of rows, of each member without padding.
    """

    X: Any
    y: Any
    weight: Any
    n_rows: int | Tensor

    @property
    def pair(self) -> tuple[Tensor, Any]:
        """Inputs and targets as tensors, for a user's code."""
        X = self.X.to_dense() if isinstance(self.X, SparseRows) else self.X
        return X, self.y


class Data(Dataset):
    """Rows of inputs, targets and weights that batches are taken from.

    Parameters
    ----------
    X : ndarray or CSR matrix of shape (n, n_features)
        Inputs; sparse matrices and memory maps are read batch by batch.
    y : ndarray of shape (n,) or (n, n_outputs), or None
        Encoded targets; integers stay integers.
    weight : ndarray of shape (n,) or (n_sets, n), or None
        Sample weights, or several sets of them.
    rows : ndarray of shape (n_rows,), or a sequence of them, default=None
        The rows to use, in a stack for each member; None is all.
    weight_sets : int or ndarray of int of shape (n_members,), default=None
        Index of each member's set of weights. Members of the same rows and different
        weights share each batch.
    dtype : torch.dtype
        Of the network.
    device : str or torch.device
        Of the network.
    multiplies_sparse : bool, default=False
        Whether the network multiplies the rows of X, which are sparse.

    Attributes
    ----------
    inputs : Inputs
        The inputs, read from where they lie.
    rows : ndarray of shape (n_rows,) or (n_members, n_rows), or None
        The rows; shorter ones are padded by the member's first row.
    lengths : ndarray of shape (n_members,) or None
        Number of each member's rows; None if all have the same number.
    """

    def __init__(
        self,
        X,
        y=None,
        weight=None,
        *,
        rows=None,
        weight_sets: int | NDArray | None = None,
        dtype: torch.dtype,
        device: Device,
        multiplies_sparse: bool = False,
    ) -> None:
        self.dtype, self.device = dtype, device
        self.inputs = inputs_of(X, dtype, device, multiplies=multiplies_sparse)
        self.y = None if y is None else self._target(y)
        self.weight = None
        if weight is not None:
            self.weight = self._weight(weight)
        self._set_rows(rows, weight_sets)

    def _target(self, y: NDArray) -> Tensor:
        is_index = np.issubdtype(y.dtype, np.integer)
        dtype = torch.int64 if is_index else self.dtype
        return as_tensor(y, dtype, self.device, "y")

    def _weight(self, weight: NDArray) -> Tensor:
        tensor = as_tensor(weight, self.dtype, self.device, "sample_weight")
        total = tensor.sum(dim=-1)
        if not (total.isfinite() & (1 / total).isfinite()).all():
            raise ValueError(
                "sample_weight must have a sum that is finite and has a finite "
                f"reciprocal in {self.dtype}, got {total.tolist()}."
            )
        return tensor.reshape(-1)

    def __len__(self) -> int:
        return self.inputs.shape[0] if self.rows is None else self.rows.shape[-1]

    def take(self, rows: slice) -> Batch:
        """Take a slice of the rows.

        Parameters
        ----------
        rows : slice
            Positions in the arrays.

        Returns
        -------
        batch : Batch
            The rows.
        """
        parts = (self.y, self.weight)
        y, weight = (None if part is None else part[rows] for part in parts)
        X = self.inputs.take(rows)
        return Batch(X, y, weight, len(X))

    def with_rows(self, rows, weight_sets: int | NDArray | None) -> "Data":
        """Make data of other rows that share the memory.

        Parameters
        ----------
        rows : ndarray or sequence of ndarray
            The rows, see `Data`.
        weight_sets : int, ndarray of int, or None
            Index of each member's set of weights.

        Returns
        -------
        data : Data
            The same data with these rows.
        """
        data = copy.copy(self)
        data._set_rows(rows, weight_sets)
        return data

    def _set_rows(self, rows, weight_sets: int | NDArray | None) -> None:
        self.rows, self.lengths = _pad(rows)
        self.weight_sets, self.weight_starts = weight_sets, None
        if weight_sets is not None:
            starts = np.asarray(weight_sets)[..., np.newaxis] * self.inputs.shape[0]
            self.weight_starts = self.on_device(starts)

    def on_device(self, positions: NDArray) -> Tensor:
        """Copy positions to the device, in one transfer."""
        return torch.from_numpy(positions).to(self.device)

    def select(self, positions: NDArray, index: Tensor) -> Batch:
        """Select rows by their positions.

        Parameters
        ----------
        positions : ndarray of shape (n,), or (n_members, n) for a stack
            Positions in the arrays.
        index : Tensor of the same shape
            The same, on the device.

        Returns
        -------
        batch : Batch
            The rows; its leading axes are those of `positions`.
        """
        X = self.inputs.select(positions, index)
        y = None if self.y is None else select(self.y, index)
        weight = None
        if self.weight is not None:
            starts = self.weight_starts
            weight = select(self.weight, index if starts is None else index + starts)
            if weight.ndim > index.ndim:  # members share the rows: views of them
                members = len(weight)
                X = X.expand(members, *X.shape)
                y = None if y is None else y.expand(members, *y.shape)
        return Batch(X, y, weight, positions.shape[-1])


def _pad(rows) -> tuple[NDArray | None, NDArray | None]:
    """Pad members' rows to one length; return their lengths, if these differ."""
    if rows is None or isinstance(rows, np.ndarray):
        return rows, None
    lengths = np.array([len(member_rows) for member_rows in rows])
    padded = np.stack(
        [np.resize(member_rows[:1], lengths.max()) for member_rows in rows]
    )
    for padded_rows, member_rows in zip(padded, rows, strict=True):
        padded_rows[: len(member_rows)] = member_rows
    return padded, None if len(set(lengths)) == 1 else lengths


class Batches:
    """Iterates over the batches of an epoch; each pass is a new epoch.

    Parameters
    ----------
    data : Data
        The data.
    batch_size : int
        Rows of a batch; the last one of an epoch may be smaller.
    random_states : sequence of RandomState, default=()
        Shuffle the rows, one for each member; empty does not shuffle.
    joins_last_row : bool, default=False
        Whether a last batch of one row is joined to the batch before it, since batch
        statistics need two.
    """

    def __init__(
        self,
        data: Data,
        batch_size: int,
        *,
        random_states: Sequence[RandomState] = (),
        joins_last_row: bool = False,
    ) -> None:
        self.data = data
        self.random_states = random_states
        bounds = [*range(0, len(data), batch_size), len(data)]
        if joins_last_row and len(bounds) > 2 and bounds[-1] - bounds[-2] == 1:
            del bounds[-2]
        self.sizes = [stop - start for start, stop in pairwise(bounds)]
        self._order = self._first_order()
        n_orders = 1 if self._order is None else len(np.atleast_2d(self._order))
        rows_at_once = data.inputs.rows_at_once
        self._n_in_block = max(1, rows_at_once // (n_orders * batch_size))
        n_blocks = data.inputs.window // (n_orders * batch_size * self._n_in_block)
        self._n_in_window = max(1, n_blocks) * self._n_in_block  # of a stream
        self._parts = [self._part(start, stop) for start, stop in pairwise(bounds)]

    def _part(self, start: int, stop: int) -> tuple[Tensor, Tensor] | None:
        """Return the mask and the number of a batch's rows, if some are padding."""
        lengths, device = self.data.lengths, self.data.device
        if lengths is None or stop <= lengths.min():
            return None
        is_own = np.arange(start, stop) < lengths[:, np.newaxis]
        mask, counts = (torch.from_numpy(a).to(device) for a in (is_own, is_own.sum(1)))
        return mask.to(self.data.dtype), counts.to(self.data.dtype)

    def __len__(self) -> int:
        return len(self.sizes)

    def __iter__(self) -> Iterator[Batch]:
        self._shuffle()
        index = None if self._order is None else self.data.on_device(self._order)
        start = 0
        for i in range(0, len(self.sizes), self._n_in_block):
            if self._order is not None and i % self._n_in_window == 0:
                n_rows = sum(self.sizes[i : i + self._n_in_window])
                self.data.inputs.read(self._order[..., start : start + n_rows])
            sizes = self.sizes[i : i + self._n_in_block]
            rows = slice(start, start + sum(sizes))
            batches = self._split(self._block(rows, index), sizes)
            parts = self._parts[i : i + self._n_in_block]
            yield from map(_mask_padding, batches, parts) if any(parts) else batches
            start = rows.stop

    @property
    def order(self) -> NDArray | None:
        """The rows in the order of the last epoch; None is that of the data."""
        return self._order

    def _first_order(self) -> NDArray | None:
        rows = self.data.rows
        if rows is not None:
            return rows.copy()
        if not self.random_states and self.data.weight_sets is None:
            return None
        n_orders = len(self.random_states)
        order = np.arange(len(self.data))
        return order if n_orders < 2 else np.tile(order, (n_orders, 1))

    def _shuffle(self) -> None:
        if self._order is None or not self.random_states:
            return
        orders, inputs = np.atleast_2d(self._order), self.data.inputs
        lengths = self.data.lengths
        lengths = np.full(len(orders), len(self.data)) if lengths is None else lengths
        members = zip(orders, self.random_states, lengths, strict=True)
        for order, random_state, n in members:
            if inputs.window:
                window = self._n_in_window * self.sizes[0]
                sizes = {"piece": inputs.piece, "window": window}
                order[:n] = shuffle_pieces(order[:n], random_state, **sizes)
            else:
                # as scikit-learn, each epoch shuffles the order of the last one
                order[:n] = order[:n][random_state.permutation(n)]

    def _block(self, rows: slice, index: Tensor | None) -> Batch:
        if self._order is None or index is None:
            return self.data.take(rows)
        return self.data.select(self._order[..., rows], index[..., rows])

    def _split(self, block: Batch, sizes: list[int]) -> Iterator[Batch]:
        if len(sizes) == 1:
            return iter([block])
        X, y, weight, _ = block
        axis = X.ndim - 2
        empty = [None] * len(sizes)
        return map(
            Batch,
            X.split(sizes, dim=axis),
            empty if y is None else y.split(sizes, dim=axis),
            empty if weight is None else weight.split(sizes, dim=axis),
            sizes,
        )


def _mask_padding(batch: Batch, part: tuple[Tensor, Tensor] | None) -> Batch:
    """Set the weight of padding to 0."""
    if part is None:
        return batch
    mask, counts = part
    weight = mask if batch.weight is None else batch.weight * mask
    return batch._replace(weight=weight, n_rows=counts)
