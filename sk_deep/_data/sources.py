"""Inputs where they lie: in memory, compressed, or on the disk."""

import mmap
from typing import Any

import numpy as np
import scipy.sparse
import torch
from numpy.random import RandomState
from numpy.typing import NDArray
from sklearn.utils import assert_all_finite
from torch import Tensor

from sk_deep._data.sparse import SparseRows
from sk_deep._data.tensors import Device, as_tensor

_BLOCK_ELEMENTS = 2**18  # of X that are gathered at a time: they stay in the cache
_STREAM_BYTES = 2**28  # of a memory map, above which its rows are not all in memory
_WINDOW_BYTES = 2**26  # of a stream that are in memory at a time
_PIECE_BYTES = 2**20  # of a stream that are adjacent and read at once


class Inputs:
    """Rows of inputs that are read batch by batch, as those of a memory map.

    Parameters
    ----------
    X : ndarray or CSR matrix of shape (n, n_features)
        Inputs.
    dtype : torch.dtype
        Of the network.
    device : str or torch.device
        Of the network.

    Attributes
    ----------
    shape : tuple of int
        Shape of X.
    width : int
        Values of a row of a batch.
    rows_at_once : int
        Number of rows to gather at a time.
    piece, window : int
        Rows of a stream that are shuffled together, and that are read at a time; 0 for
        inputs that are not a stream.
    """

    piece = window = 0

    def __init__(self, X, dtype: torch.dtype, device: Device) -> None:
        self.shape = X.shape
        self.width = X.shape[1]
        self.rows_at_once = _BLOCK_ELEMENTS // self.width
        self._X, self._dtype, self._device = X, dtype, device

    def take(self, rows: slice | NDArray) -> Any:
        """Take rows."""
        return as_tensor(self._X[rows], self._dtype, self._device)

    def select(self, positions: NDArray, index: Tensor) -> Any:
        """Select rows by their positions, which are given on the device, too."""
        return self.take(positions.ravel()).view(*positions.shape, -1)

    def read(self, positions: NDArray) -> None:
        """Read the rows that the next calls of `select` choose from, if that helps."""


class InMemory(Inputs):
    """Inputs as a tensor on the device."""

    def __init__(self, X: NDArray, dtype: torch.dtype, device: Device) -> None:
        super().__init__(X, dtype, device)
        self.tensor = as_tensor(X, dtype, device)

    def take(self, rows: slice | NDArray) -> Tensor:
        """Take rows."""
        return self.tensor[rows]

    def select(self, positions: NDArray, index: Tensor) -> Tensor:
        """Select rows by their positions on the device."""
        return select(self.tensor, index)


class Compressed(Inputs):
    """A sparse matrix whose rows are made dense batch by batch."""

    def take(self, rows: slice | NDArray) -> Tensor:
        """Take rows."""
        return SparseRows(self._X[rows], self._dtype).to_dense().to(self._device)


class Multiplied(Inputs):
    """A sparse matrix whose rows the network multiplies."""

    def __init__(self, X, dtype: torch.dtype, device: Device) -> None:
        super().__init__(X, dtype, device)
        self.width = 1  # few values are not zero
        self.rows_at_once = 1  # sparse rows are not split

    def take(self, rows: slice | NDArray) -> SparseRows:
        """Take rows."""
        return SparseRows(self._X[rows], self._dtype)

    def select(self, positions: NDArray, index: Tensor) -> SparseRows:
        """Select rows by their positions."""
        return self.take(positions)


class Stream(Inputs):
    """A memory map that is too large to be in memory.

    Its rows are shuffled in pieces, and then within windows of many pieces, which are
    read one after the other. The disk is read piece by piece, not row by row; pages
    that were read are released.
    """

    def __init__(self, X: NDArray, dtype: torch.dtype, device: Device) -> None:
        super().__init__(X, dtype, device)
        row = self.width * X.itemsize
        # NOTE[DIFF] shuffles of streams: scikit-learn reads all, and shuffles rows
        self.piece = max(1, _PIECE_BYTES // row)
        self.window = max(1, _WINDOW_BYTES // row)
        # the rows that were read, in memory that is kept, and where each of them is
        self._read = np.empty((0, self.width), X.dtype)
        self._rows = torch.empty(0)
        self._where = np.empty(len(X), np.int32)

    def take(self, rows: slice | NDArray) -> Tensor:
        """Take rows."""
        drop_pages(self._X)
        return super().take(rows)

    def read(self, positions: NDArray) -> None:
        """Read the rows that the next calls of `select` choose from."""
        order = np.unique if positions.ndim > 1 else np.sort  # members share rows
        places = order(positions)
        self._where[places] = np.arange(len(places))
        if len(places) > len(self._read):
            self._read = np.empty((len(places), self.width), self._X.dtype)
        read = self._read[: len(places)]
        drop_pages(self._X)
        np.take(self._X, places, axis=0, out=read, mode="clip")  # "raise" would copy
        self._rows = as_tensor(read, self._dtype, self._device)

    def select(self, positions: NDArray, index: Tensor) -> Tensor:
        """Select some of the rows that were read, by their positions."""
        index = torch.from_numpy(self._where[positions])
        return select(self._rows, index.to(self._device))


def inputs_of(X, dtype: torch.dtype, device: Device, *, multiplies: bool) -> Inputs:
    """Wrap inputs by where they lie.

    Parameters
    ----------
    X : ndarray or CSR matrix of shape (n, n_features)
        Inputs.
    dtype : torch.dtype
        Of the network.
    device : str or torch.device
        Of the network.
    multiplies : bool
        Whether the network multiplies the rows of these sparse inputs.

    Returns
    -------
    inputs : Inputs
        The inputs.
    """
    kind: type[Inputs]
    if scipy.sparse.issparse(X):
        # NOTE[DIFF] sparse inputs: scikit-learn always multiplies sparse matrices
        kind = Multiplied if multiplies else Compressed
    elif is_mapped(X):
        kind = Stream if is_stream(X) else Inputs
    else:
        kind = InMemory
    return kind(X, dtype, device)


def select(tensor: Tensor, index: Tensor) -> Tensor:
    """Select rows of a tensor by an index of any shape."""
    taken = tensor.index_select(0, index.flatten())
    return taken.view(*index.shape, *tensor.shape[1:])


def shuffle_pieces(
    rows: NDArray, random_state: RandomState, *, piece: int, window: int
) -> NDArray:
    """Shuffle rows of a stream: in pieces, and then within windows.

    Parameters
    ----------
    rows : ndarray of shape (n,)
        Positions of the rows; they are sorted in place.
    random_state : RandomState
        Source of the shuffle.
    piece, window : int
        Rows of a piece, and of a window.

    Returns
    -------
    rows : ndarray of shape (n,)
        The same positions.
    """
    rows.sort()
    starts = random_state.permutation(np.arange(0, len(rows), piece))
    pieces = np.concatenate([rows[start : start + piece] for start in starts])
    for start in range(0, len(rows), window):
        random_state.shuffle(pieces[start : start + window])
    return pieces


# ---- memory maps -------------------------------------------------------------------


def _owners(X) -> tuple[np.memmap | None, mmap.mmap | None]:
    """Find the map of the file that an array is a view of."""
    array, owner = None, X
    while isinstance(owner, np.ndarray):
        array = owner if isinstance(owner, np.memmap) else array
        owner = owner.base
    return array, owner if isinstance(owner, mmap.mmap) else None


def is_mapped(X) -> bool:
    """Whether inputs lie on the disk."""
    return _owners(X)[1] is not None


def is_stream(X) -> bool:
    """Whether inputs lie on the disk and are too large for the memory.

    Maps by which joblib passes arrays to a process are in memory already, and are
    trained on like arrays.
    """
    if getattr(X, "nbytes", 0) <= _STREAM_BYTES:  # a glance, for short predictions
        return False
    array, _ = _owners(X)
    return array is not None and "joblib_memmapping_folder" not in str(array.filename)


def drop_pages(X) -> None:
    """Release the memory of a stream's pages that were read.

    Pages that are copied on write exist in memory only, and stay there.
    """
    if not is_stream(X) or not hasattr(mmap, "MADV_DONTNEED"):
        return
    array, owner = _owners(X)
    if array is not None and owner is not None and array.mode in ("r", "r+", "w+"):
        owner.madvise(mmap.MADV_DONTNEED)


def check_stream(X, estimator_name: str) -> None:
    """Check that a stream is finite, window by window.

    Parameters
    ----------
    X : ndarray of shape (n, n_features)
        The stream.
    estimator_name : str
        Name of the estimator, for the error.

    Raises
    ------
    ValueError
        If it is not finite.
    """
    step = max(1, _WINDOW_BYTES // (X.shape[1] * X.itemsize))
    for start in range(0, len(X), step):
        window = X[start : start + step]
        assert_all_finite(window, estimator_name=estimator_name, input_name="X")
        drop_pages(X)
