"""Whole batches by index operations, never sample by sample."""

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
        Inputs. Sparse ones are made dense batch by batch.
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
        self.X = X if scipy.sparse.issparse(X) else as_tensor(X, dtype, device)
        self.y = None if y is None else self._target(y)
        self.weight = None if weight is None else as_tensor(weight, dtype, device)

    def _target(self, y: NDArray) -> Tensor:
        is_index = np.issubdtype(y.dtype, np.integer)
        return as_tensor(y, torch.int64 if is_index else self.dtype, self.device)

    def __len__(self) -> int:
        return self.X.shape[0] if self.rows is None else self.rows.shape[-1]

    def take(self, rows: NDArray | slice) -> Batch:
        """Take rows (n,), or (n_members, n) for a stack, of the arrays.

        Parameters
        ----------
        rows : ndarray or slice
            Positions in the arrays.

        Returns
        -------
        X, y, weight : Tensor
            Shaped as `rows` in front; None where there is none.
        """
        if isinstance(rows, slice):
            parts = (self.X, self.y, self.weight)
            X, y, weight = (None if part is None else part[rows] for part in parts)
            return self._dense(X), y, weight
        index = torch.from_numpy(rows).to(self.device)
        X = self._take_inputs(rows, index)
        y, weight = (
            None if part is None else _take_rows(part, index)
            for part in (self.y, self.weight)
        )
        return X, y, weight

    def _take_inputs(self, rows: NDArray, index: Tensor) -> Tensor:
        if isinstance(self.X, Tensor):
            return _take_rows(self.X, index)
        return self._dense(self.X[rows.ravel()]).view(*rows.shape, -1)

    def _dense(self, X) -> Tensor:
        if isinstance(X, Tensor):
            return X
        # NOTE[DIFF] sparse inputs: scikit-learn multiplies sparse matrices
        return as_tensor(X.toarray(), self.dtype, self.device)


def _take_rows(tensor: Tensor, index: Tensor) -> Tensor:
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
        start = 0
        for i in range(0, len(self.sizes), self._n_in_block):
            sizes = self.sizes[i : i + self._n_in_block]
            stop = start + sum(sizes)
            yield from self._split(self._block(start, stop), sizes)
            start = stop

    def _first_order(self) -> NDArray | None:
        rows = self.data.rows
        if rows is not None or not self.random_states:
            return rows
        n_members = len(self.random_states)
        order = np.arange(len(self.data))
        return order if n_members == 1 else np.tile(order, (n_members, 1))

    def _shuffle(self) -> None:
        # as scikit-learn, each epoch shuffles the order of the last one
        if self.random_states and self._order is not None:
            orders = np.atleast_2d(self._order)
            self._order = np.stack(
                [
                    order[random_state.permutation(len(order))]
                    for order, random_state in zip(
                        orders, self.random_states, strict=True
                    )
                ]
            ).reshape(self._order.shape)

    def _block(self, start: int, stop: int) -> Batch:
        if self._order is None:
            return self.data.take(slice(start, stop))
        return self.data.take(self._order[..., start:stop])

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
