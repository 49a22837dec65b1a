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
from sk_deep._data.tensors import as_tensor

_BLOCK_ELEMENTS = 2**18  # of X that are gathered at a time: they stay in the cache
_STREAM_BYTES = 2**28  # of a memory map, above which its rows are not all in memory
_WINDOW_BYTES = 2**26  # of a stream that are in memory at a time
_PIECE_BYTES = 2**20  # of a stream that lie side by side and are read in one go


class Inputs:
    """Rows of inputs, of which a batch is read at a time: those of a memory map.

    Parameters
    ----------
    X : ndarray or CSR matrix of shape (n, n_features)
        Inputs.
    dtype : torch.dtype
        Of the network.
    device : str
        Of the network.

    Attributes
    ----------
    shape : tuple of int
        Shape of X.
    width : int
        Values of a row of a batch.
    rows_at_once : int
        Rows that are best gathered at a time.
    piece, window : int
        Rows of a stream that are shuffled together, and that are read at a time; 0 of
        inputs that are no stream.
    """

    piece = window = 0

    def __init__(self, X, dtype: torch.dtype, device: str) -> None:
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
        """Read what the next calls of `select` choose from, where that helps."""


class InMemory(Inputs):
    """Inputs as a tensor on the device."""

    def __init__(self, X: NDArray, dtype: torch.dtype, device: str) -> None:
        super().__init__(X, dtype, device)
        self.tensor = as_tensor(X, dtype, device)

    def take(self, rows: slice | NDArray) -> Tensor:
        """Take rows."""
        return self.tensor[rows]

    def select(self, positions: NDArray, index: Tensor) -> Tensor:
        """Select rows by their positions on the device."""
        return select(self.tensor, index)


class Compressed(Inputs):
    """A sparse matrix, of which a batch is made dense."""

    def take(self, rows: slice | NDArray) -> Tensor:
        """Take rows."""
        return SparseRows(self._X[rows], self._dtype).to_dense().to(self._device)


class Multiplied(Inputs):
    """A sparse matrix, of which the network takes the rows as they are."""

    def __init__(self, X, dtype: torch.dtype, device: str) -> None:
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
    read one after the other. So the disk is read piece by piece and never row by row;
    the pages that were read are let go.
    """

    def __init__(self, X: NDArray, dtype: torch.dtype, device: str) -> None:
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
        found = torch.from_numpy(self._where[positions])
        return select(self._rows, found.to(self._device))


def inputs_of(X, dtype: torch.dtype, device: str, *, multiplies: bool) -> Inputs:
    """Take inputs as they lie.

    Parameters
    ----------
    X : ndarray or CSR matrix of shape (n, n_features)
        Inputs.
    dtype : torch.dtype
        Of the network.
    device : str
        Of the network.
    multiplies : bool
        Whether the network takes the rows of these sparse inputs as they are.

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
    found, owner = None, X
    while isinstance(owner, np.ndarray):
        found = owner if isinstance(owner, np.memmap) else found
        owner = owner.base
    return found, owner if isinstance(owner, mmap.mmap) else None


def is_mapped(X) -> bool:
    """Whether inputs lie on the disk."""
    return _owners(X)[1] is not None


def is_stream(X) -> bool:
    """Whether inputs lie on the disk and are too many to bring them into memory.

    Those that joblib brings into a process by a map are in memory already, and are to
    be trained on there as they would be without it.
    """
    if getattr(X, "nbytes", 0) <= _STREAM_BYTES:  # a glance, for short predictions
        return False
    array, _ = _owners(X)
    return array is not None and "joblib_memmapping_folder" not in str(array.filename)


def drop_pages(X) -> None:
    """Let go of the memory that holds what was read of a stream; it stays on the disk.

    What is copied on write is in memory alone and stays there.
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
        Who asks, for the error.

    Raises
    ------
    ValueError
        If it is not.
    """
    step = max(1, _WINDOW_BYTES // (X.shape[1] * X.itemsize))
    for start in range(0, len(X), step):
        window = X[start : start + step]
        assert_all_finite(window, estimator_name=estimator_name, input_name="X")
        drop_pages(X)
