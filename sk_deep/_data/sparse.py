"""Rows of a sparse matrix, and the linear map of them.

``X W`` sums the rows of W at the nonzero columns of a row of X, and ``X^T dZ`` the rows
of dZ: sums over bags of rows, which torch's embedding bags compute. If at most a tenth
of the values are not zero, they take a fraction of the time of dense products.
"""

from typing import Any

import numpy as np
import scipy.sparse
import torch
from torch import Tensor, nn

from sk_deep._data.tensors import as_tensor, is_narrow

DENSITY = 0.1  # fraction of nonzero values up to which bags are faster


class SparseRows:
    """Rows that go through the first layer without being made dense.

    Parameters
    ----------
    matrix : CSR matrix of shape (batch, n_features)
        The rows.
    dtype : torch.dtype
        Of the network.
    n_rows : int, default=None
        Number of rows after padding by empty rows; None does not pad.
    """

    ndim = 2

    def __init__(self, matrix, dtype: torch.dtype, n_rows: int | None = None) -> None:
        n_given, n_features = matrix.shape
        self.shape = n_rows or n_given, n_features
        values = as_tensor(matrix.data, dtype, "cpu").numpy()
        starts = np.pad(matrix.indptr, (0, self.shape[0] - n_given), mode="edge")
        parts = values, matrix.indices, starts
        self._matrix = scipy.sparse.csr_array(parts, shape=self.shape)

    def __len__(self) -> int:
        return self.shape[0]

    def narrow(self, axis: int, start: int, length: int) -> "SparseRows":
        """Take rows, by the arguments of `Tensor.narrow`; the axis is 0."""
        rows = self._matrix[start : start + length]
        return SparseRows(rows, torch.from_numpy(rows.data).dtype)

    def to_dense(self) -> Tensor:
        """Make the rows a tensor."""
        return torch.from_numpy(self._matrix.toarray())

    def affine(self, weight: Tensor, bias: Tensor, out: Tensor | None = None) -> Tensor:
        """Compute ``x @ weight + bias``, perhaps into `out`.

        The result is laid out as that of a dense product: noise is drawn in the order
        of the memory.
        """
        product = _Product.apply(self, weight)
        if is_narrow(weight):
            product = product.mT.contiguous().mT
        return torch.add(product, bias, out=out)

    def times(self, weight: Tensor) -> Tensor:
        """Compute ``x @ weight``."""
        return _sum_bags(self._matrix, weight)

    def transposed_times(self, dz: Tensor) -> Tensor:
        """Compute ``x^T @ dz``."""
        return _sum_bags(self._matrix.T.tocsr(), dz)


class _Product(torch.autograd.Function):
    """The product of sparse rows with a weight, differentiable by the weight."""

    @staticmethod
    def forward(ctx, x: SparseRows, weight: Tensor) -> Tensor:
        ctx.x = x
        return x.times(weight)

    @staticmethod
    def backward(ctx, *gradients: Tensor) -> Any:
        (dz,) = gradients
        return None, ctx.x.transposed_times(dz)


def _sum_bags(matrix, rows: Tensor) -> Tensor:
    return nn.functional.embedding_bag(
        torch.from_numpy(matrix.indices),
        rows.contiguous(),
        torch.from_numpy(matrix.indptr),
        mode="sum",
        per_sample_weights=torch.from_numpy(matrix.data),
        include_last_offset=True,
    )


def is_worth_it(matrix) -> bool:
    """Whether a sparse matrix is better multiplied than made dense."""
    return matrix.nnz <= DENSITY * matrix.shape[0] * matrix.shape[1]
