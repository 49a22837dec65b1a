"""Prediction: outputs and hidden values of a net, in chunks of bounded memory."""

import functools
from collections.abc import Callable, Iterator
from numbers import Integral
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
import scipy.sparse
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from sk_deep._compat import is_hooked
from sk_deep._data.sources import drop_pages
from sk_deep._data.sparse import SparseRows
from sk_deep._data.tensors import as_tensor, float_dtype
from sk_deep._engine.net import Net
from sk_deep._engine.network_data import ROW_GROUP, chunk_size
from sk_deep._engine.state import net_from_state, net_state
from sk_deep._engine.threads import threads_for
from sk_deep.exceptions import DivergenceError
from sk_deep.network import MLP

_CPU = torch.device("cpu")


def is_integer(value: object) -> bool:
    """Whether a value is an integer, and not a bool."""
    return isinstance(value, Integral) and not isinstance(value, bool)


def _as_they_are(values: Tensor) -> Tensor:
    return values


def predict_outputs(net: Net, X) -> NDArray:
    """Compute the outputs after the inverse link, averaged over the members.

    Parameters
    ----------
    net : Net
        A trained net.
    X : ndarray or CSR matrix of shape (n, n_features)
        Inputs, of float32 or float64.

    Returns
    -------
    outputs : ndarray of shape (n, n_outputs)
        Of the dtype of X.
    """
    n_outputs = net.module_.architecture.n_outputs
    result = np.empty((X.shape[0], n_outputs), float_dtype(X))
    link = net.criterion_.inverse_link
    for rows, outputs in _by_chunks(net, X, _function(net.module_), link):
        result[rows] = outputs.mean(axis=0) if net.module_.members else outputs
    return result


def member_outputs(net: Net, X) -> NDArray:
    """Compute the outputs after the inverse link, member by member.

    Parameters
    ----------
    net : Net
        A trained net.
    X : ndarray or CSR matrix of shape (n, n_features)
        Inputs, of float32 or float64.

    Returns
    -------
    outputs : ndarray of shape (n_members, n, n_outputs)
        Of the dtype of X.
    """
    return _member_outputs(net, X, _function(net.module_), net.criterion_.inverse_link)


def raw_outputs(net: Net, X) -> NDArray:
    """Compute the outputs before the inverse link, member by member.

    Parameters and result are as those of `member_outputs`.
    """
    return _member_outputs(net, X, _function(net.module_), _as_they_are)


def _member_outputs(
    net: Net,
    X,
    compute: Callable[[Tensor], Tensor],
    link: Callable[[Tensor], Tensor],
) -> NDArray:
    a = net.module_.architecture
    shape = a.n_members, X.shape[0], a.n_outputs
    result = np.empty(shape, float_dtype(X))
    for rows, outputs in _by_chunks(net, X, compute, link):
        result[:, rows] = outputs
    return result


def sample_outputs(net: Net, X, n_samples: int, seed: int) -> NDArray:
    """Sample the outputs, by dropout or from the members.

    With dropout a sample is a pass with new masks (Y. Gal and Z. Ghahramani, "Dropout
    as a Bayesian approximation", ICML 2016), through each member in turn, at the
    probabilities of dropping before annealing. Without dropout a sample is a member.

    Parameters
    ----------
    net : Net
        A trained net.
    X : ndarray or CSR matrix of shape (n, n_features)
        Inputs, of float32 or float64.
    n_samples : int
        Number of samples.
    seed : int
        Seed of the masks.

    Returns
    -------
    samples : ndarray of shape (n_samples, n, n_outputs)
        Of the dtype of X.
    """
    n_members = net.module_.architecture.n_members
    if not is_integer(n_samples) or n_samples < 1:
        raise ValueError(f"n_samples must be an integer >= 1, got {n_samples!r}.")
    if not net.module_.dropout_layers():
        if n_samples > n_members:
            raise ValueError(
                f"n_samples must be at most n_members={n_members} without dropout, got "
                f"{n_samples}."
            )
        return member_outputs(net, X)[:n_samples]
    noisy = _with_dropout_on(net, seed)
    compute = _quiet(noisy.module_)
    n_passes = -(-n_samples // n_members)
    link = net.criterion_.inverse_link
    passes = [_member_outputs(noisy, X, compute, link) for _ in range(n_passes)]
    return np.concatenate(passes)[:n_samples]


def _with_dropout_on(net: Net, seed: int) -> Net:
    """Copy a net: prediction must leave the net itself alone."""
    noisy = net_from_state(net_state(net, with_training=False), device=net.device)
    noisy.module_.generator.manual_seed(seed)
    for layer in noisy.module_.dropout_layers():
        layer.train()
        layer.anneal(1.0)
    return noisy


def hidden_values(net: Net, X, n_layers: int) -> NDArray:
    """Compute the values of the n-th hidden layer, the members' side by side.

    Parameters
    ----------
    net : Net
        A trained net.
    X : ndarray or CSR matrix of shape (n, n_features)
        Inputs, of float32 or float64.
    n_layers : int
        Number of hidden layers to go through.

    Returns
    -------
    values : ndarray of shape (n, n_members * n_units)
        Of the dtype of X.
    """
    a = net.module_.architecture
    n_units = a.n_members * a.widths[n_layers]
    result = np.empty((X.shape[0], n_units), float_dtype(X))
    compute = functools.partial(net.module_.hidden_values, n_layers=n_layers)
    for rows, values in _by_chunks(net, X, _quiet(compute)):
        result[rows] = np.moveaxis(values, -2, 0).reshape(-1, n_units)
    return result


# A network's parts and its bare function, which shares memory with its weights; kept
# apart from it, since the copy of a network would copy the function and not the memory.
_BARE: WeakKeyDictionary[MLP, tuple[list[nn.Module], Callable[[Tensor], Tensor]]] = (
    WeakKeyDictionary()
)


def _function(module: MLP) -> Callable[[Tensor], Tensor]:
    """Return the function of a network; a plain one at less cost per call.

    A network with hooks of a user, or in training mode, is called by torch's way.
    """
    if module not in _BARE:
        if not module.is_plain:
            return _quiet(module)
        parts = list(module.modules())[1:]
        _BARE[module] = parts, module.bare()
    parts, bare = _BARE[module]
    if module.training or is_hooked(module):
        return _quiet(module)
    is_in_use = any(part.training or is_hooked(part) for part in parts)
    return _quiet(module) if is_in_use else bare


def _quiet(compute: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    def values(x: Tensor) -> Tensor:
        with torch.inference_mode():
            return compute(x)

    return values


def _by_chunks(
    net: Net,
    X,
    compute: Callable[[Tensor], Tensor],
    link: Callable[[Tensor], Tensor] = _as_they_are,
) -> Iterator[tuple[slice, NDArray]]:
    """Compute values (..., rows, columns) chunk by chunk, of X's dtype.

    BLAS sums in another order for a few rows: in whole groups of rows the prediction of
    a row hardly depends on the rows beside it.
    """
    # NOTE[DIFF] dtype of predictions: scikit-learn's is float64 if X or a weight is
    dtype = getattr(torch, float_dtype(X))
    multiplies = net.module_.multiplies(X)
    width = 1 if multiplies else X.shape[1]
    n_rows, size = X.shape[0], chunk_size(net.module_.architecture, width)
    work = net.module_.flat.numel() * min(size, n_rows)
    for start in range(0, n_rows, size):
        inputs = _whole_groups(X[start : start + size], net.module_.flat, multiplies)
        with threads_for(work):
            values = link(compute(inputs).to(_CPU, dtype)).numpy()
        # NOTE[DIFF] predictions that are not finite: scikit-learn gives them
        if not np.isfinite(values).all():
            raise DivergenceError(
                "Input X contains a value too large for the network, whose outputs are "
                "not finite: scale X as in the fit."
            )
        yield slice(start, start + size), values[..., : n_rows - start, :]
        drop_pages(X)


def _whole_groups(X, like: Tensor, multiplies: bool) -> Any:
    """Convert rows to the dtype and the device of a tensor, in whole groups."""
    n_rows = -(-X.shape[0] // ROW_GROUP) * ROW_GROUP
    if scipy.sparse.issparse(X):
        rows = SparseRows(X, like.dtype, n_rows)
        return rows if multiplies else rows.to_dense().to(like.device)
    if n_rows > X.shape[0]:
        X = np.pad(X, [(0, n_rows - X.shape[0]), (0, 0)])
    return as_tensor(X, like.dtype, like.device)
