"""Whole batches by index operations, never sample by sample."""

import mmap
from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np
import scipy.sparse
import torch
from numpy.random import RandomState
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

Batch = tuple[Tensor, Tensor | None, Tensor | None]

_BLOCK_ELEMENTS = 2**18  # of X that are gathered at a time: they stay in the cache


class _Writeable:
    """Lets torch wrap a read-only array, which it never writes to, without warning."""

    def __init__(self, array: NDArray) -> None:
        self.array = array
        interface = array.__array_interface__
        self.__array_interface__ = {**interface, "data": (interface["data"][0], False)}


def as_tensor(array: NDArray, dtype: torch.dtype, device: str) -> Tensor:
    """Wrap an array, without a copy where dtype and device allow.

    Parameters
    ----------
    array : ndarray
        Any layout; read-only arrays and memory maps too.
    dtype : torch.dtype
        Of the tensor.
    device : str
        Of the tensor.

    Returns
    -------
    tensor : Tensor
        To be read only.
    """
    if any(stride < 0 for stride in array.strides) or not array.dtype.isnative:
        array = array.astype(array.dtype.newbyteorder("="), order="C")
    if not array.flags.writeable and array.size:
        array = np.asarray(_Writeable(array))
    return torch.from_numpy(array).to(device, dtype)


class Data(Dataset):
    """Rows of inputs, targets and weights that batches are taken from.

    Parameters
    ----------
    X : ndarray or CSR matrix of shape (n, n_features)
        Inputs. Sparse ones are made dense batch by batch, and memory maps are read so.
    y : ndarray of shape (n,) or (n, n_outputs), or None
        Encoded targets; integers stay integers.
    weight : ndarray of shape (n,) or None
        Sample weights.
    rows : ndarray of shape (n_rows,) or (n_members, n_rows), default=None
        The rows to use, each member's own in a stack; None is all.
    dtype : torch.dtype
        Of the network.
    device : str
        Of the network.
    """

    def __init__(
        self, X, y=None, weight=None, *, rows=None, dtype: torch.dtype, device: str
    ) -> None:
        self.dtype, self.device, self.rows = dtype, device, rows
        self.X = X if _is_read_by_batch(X) else as_tensor(X, dtype, device)
        self.y = None if y is None else self._target(y)
        self.weight = None if weight is None else as_tensor(weight, dtype, device)

    def _target(self, y: NDArray) -> Tensor:
        is_index = np.issubdtype(y.dtype, np.integer)
        return as_tensor(y, torch.int64 if is_index else self.dtype, self.device)

    def __len__(self) -> int:
        return self.X.shape[0] if self.rows is None else self.rows.shape[-1]

    def take(self, rows: slice) -> Batch:
        """Take a slice of the rows.

        Parameters
        ----------
        rows : slice
            Positions in the arrays.

        Returns
        -------
        X, y, weight : Tensor
            The rows; None where there is none.
        """
        parts = (self.X, self.y, self.weight)
        X, y, weight = (None if part is None else part[rows] for part in parts)
        return self._read(X), y, weight

    def on_device(self, positions: NDArray) -> Tensor:
        """Take positions to the device, in one transfer."""
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
        X, y, weight : Tensor
            Shaped as `positions` in front; None where there is none.
        """
        if isinstance(self.X, Tensor):
            X = _select(self.X, index)
        else:
            X = self._read(self.X[positions.ravel()]).view(*positions.shape, -1)
        y, weight = (
            None if part is None else _select(part, index)
            for part in (self.y, self.weight)
        )
        return X, y, weight

    def _read(self, X) -> Tensor:
        if isinstance(X, Tensor):
            return X
        # NOTE[DIFF] sparse inputs: scikit-learn multiplies sparse matrices
        dense = X.toarray() if scipy.sparse.issparse(X) else X
        return as_tensor(dense, self.dtype, self.device)


def _is_read_by_batch(X) -> bool:
    """Whether X is better left where it is: compressed, or on the disk."""
    if scipy.sparse.issparse(X):
        return True
    owner = X
    while isinstance(owner, np.ndarray):
        owner = owner.base
    return isinstance(owner, mmap.mmap)


def _select(tensor: Tensor, index: Tensor) -> Tensor:
    taken = tensor.index_select(0, index.flatten())
    return taken.view(*index.shape, *tensor.shape[1:])


class Batches:
    """Iterates over the batches of an epoch; each pass is a new epoch.

    Parameters
    ----------
    data : Data
        Where the batches come from.
    batch_size : int
        Rows of a batch; the last one of an epoch may be smaller.
    random_states : sequence of RandomState, default=()
        Shuffle the rows, each member's with its own; empty does not shuffle.
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
        self._n_in_block = max(1, _BLOCK_ELEMENTS // (batch_size * data.X.shape[1]))
        self._order = self._first_order()

    def __len__(self) -> int:
        return len(self.sizes)

    def __iter__(self) -> Iterator[Batch]:
        self._shuffle()
        index = None if self._order is None else self.data.on_device(self._order)
        start = 0
        for i in range(0, len(self.sizes), self._n_in_block):
            sizes = self.sizes[i : i + self._n_in_block]
            rows = slice(start, start + sum(sizes))
            yield from self._split(self._block(rows, index), sizes)
            start = rows.stop

    def _first_order(self) -> NDArray | None:
        rows = self.data.rows
        if rows is not None or not self.random_states:
            return rows
        n_members = len(self.random_states)
        order = np.arange(len(self.data))
        return order if n_members == 1 else np.tile(order, (n_members, 1))

    def _shuffle(self) -> None:
        # as scikit-learn, each epoch shuffles the order of the last one
        if self._order is None or not self.random_states:
            return
        members = zip(np.atleast_2d(self._order), self.random_states, strict=True)
        orders = [order[state.permutation(len(order))] for order, state in members]
        self._order = orders[0] if self._order.ndim == 1 else np.stack(orders)

    def _block(self, rows: slice, index: Tensor | None) -> Batch:
        if self._order is None or index is None:
            return self.data.take(rows)
        return self.data.select(self._order[..., rows], index[..., rows])

    def _split(self, block: Batch, sizes: list[int]) -> Iterator[Batch]:
        X, y, weight = block
        axis = X.ndim - 2
        empty = [None] * len(sizes)
        return zip(
            X.split(sizes, dim=axis),
            empty if y is None else y.split(sizes, dim=axis),
            empty if weight is None else weight.split(sizes, dim=axis),
            strict=True,
        )
