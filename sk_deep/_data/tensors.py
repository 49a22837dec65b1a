"""Arrays as tensors."""

import numpy as np
import scipy.sparse
import torch
from numpy.typing import NDArray
from torch import Tensor

Device = str | torch.device


class _Writeable:
    """Lets torch wrap a read-only array, which it never writes to, without warning."""

    def __init__(self, array: NDArray) -> None:
        self.array = array
        interface = array.__array_interface__
        self.__array_interface__ = {**interface, "data": (interface["data"][0], False)}


def as_tensor(
    array: NDArray, dtype: torch.dtype, device: Device, name: str = "X"
) -> Tensor:
    """Wrap an array, without a copy where dtype, layout and device allow.

    Parameters
    ----------
    array : ndarray
        Any layout; read-only arrays and memory maps too.
    dtype : torch.dtype
        Of the tensor.
    device : str or torch.device
        Of the tensor.
    name : str, default="X"
        Name of the array, for the error.

    Returns
    -------
    tensor : Tensor
        To be read only; row by row in memory, so that no bit depends on the layout.

    Raises
    ------
    ValueError
        If a value is too large for the dtype.
    """
    if any(stride < 0 for stride in array.strides) or not array.dtype.isnative:
        array = array.astype(array.dtype.newbyteorder("="), order="C")
    if not array.flags.writeable and array.size:
        array = np.asarray(_Writeable(array))
    tensor = torch.from_numpy(array)
    if array.dtype == np.float64 and dtype == torch.float32:
        tensor = tensor.to(dtype)
        if not np.isfinite(tensor.numpy()).all():
            raise ValueError(
                f"Input {name} contains infinity or a value too large for "
                "dtype('float32')."
            )
    return tensor.to(device, dtype).contiguous()


def dense(array):
    """Make an array of a sparse matrix, and leave others as they are."""
    return array.toarray() if scipy.sparse.issparse(array) else array


def float_dtype(X) -> str:
    """Return the name of the dtype of predictions.

    Parameters
    ----------
    X : ndarray or CSR matrix
        Inputs; integers count as float64, as they do in scikit-learn.

    Returns
    -------
    name : {"float32", "float64"}
        The dtype.
    """
    return "float32" if X.dtype == np.float32 else "float64"


def is_narrow(weight: Tensor) -> bool:
    """Whether products with a weight are better transposed.

    For a result that is a few columns wide, the usual BLAS kernels take up to four
    times as long as for its transpose, and up to twenty times as long where an operand
    is transposed in memory.

    Parameters
    ----------
    weight : Tensor of shape (..., n_in, n_out)
        The weight.

    Returns
    -------
    is_narrow : bool
        Whether n_out is small, but not 1.
    """
    return 1 < weight.shape[-1] <= 16
