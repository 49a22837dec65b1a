"""Data as a network takes them, and how many rows it takes at a time."""

from typing import Any

from numpy.typing import NDArray

from sk_deep._data.batches import Data
from sk_deep.network import MLP, Architecture

_CHUNK_ELEMENTS = 2**19  # values of the widest layer in a chunk: they fit the cache
# BLAS sums rows in groups of 8; padding to a multiple keeps predictions independent of
# the rows beside them
ROW_GROUP = 8
_MIN_GROUPS = 8  # row groups in a chunk: fewer rows at a time are slow in wide networks


def chunk_size(architecture: Architecture, width: int) -> int:
    """Count the rows that are predicted at a time, a multiple of `ROW_GROUP`.

    Parameters
    ----------
    architecture : Architecture
        Architecture of the network.
    width : int
        Values of a row of inputs.

    Returns
    -------
    size : int
        The number of rows.
    """
    widest = max(width, *architecture.widths[1:])
    n_groups = _CHUNK_ELEMENTS // (widest * architecture.n_members * ROW_GROUP)
    return ROW_GROUP * max(_MIN_GROUPS, n_groups)


def make_data(
    module: MLP,
    X: Any,
    y: NDArray | None,
    weight: NDArray | None,
    *,
    rows: Any,
    weight_sets: Any,
    multiplies: bool,
) -> Data:
    """Make data of a network's dtype, on its device.

    Parameters
    ----------
    module : MLP
        The network, or stack of networks.
    X, y, weight : array-like
        Inputs, encoded targets and sample weights, see `Data`.
    rows, weight_sets : array-like
        Rows and weights of members, see `Data`; of lists for one network, the first.
    multiplies : bool
        Whether the network multiplies sparse rows.

    Returns
    -------
    data : Data
        The data.
    """
    if rows is not None and not module.members:
        (rows,) = rows
        weight_sets = None if weight_sets is None else weight_sets[0]
    return Data(
        X,
        y,
        weight,
        rows=rows,
        weight_sets=weight_sets,
        dtype=module.flat.dtype,
        device=module.flat.device,
        multiplies_sparse=multiplies,
    )
