"""Compare a network's loss with the loss of the best constant prediction."""

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import minimize
from torch import Tensor

from sk_deep._engine.net import Net
from sk_deep._engine.prediction import raw_outputs
from sk_deep.losses import Criterion

ROUNDING = 1e-6  # relative difference of losses that counts as equal


def losses_if_nothing_learned(
    net: Net, X, target: NDArray, weight: NDArray | None, seen: float
) -> tuple[float, float] | None:
    """Compare a network with the best constant prediction, on its training data.

    Parameters
    ----------
    net : Net
        The trained net.
    X : ndarray or CSR matrix of shape (n, n_features)
        Inputs.
    target : ndarray of shape (n,) or (n, n_outputs)
        Encoded targets.
    weight : ndarray of shape (n,) or None
        Sample weights.
    seen : float
        The loss during training, with penalty, dropout and augmentation: if it is lower
        than the constant's, the network's loss is not computed.

    Returns
    -------
    losses : tuple of float or None
        Losses of the network and of the constant; None if the network's is lower.
    """
    values, weights = distinct(target, weight)
    if len(values) == 1:  # there is nothing to learn
        return None
    n_outputs = net.module_.architecture.n_outputs
    _, constant = best_constant(net.criterion_, values, weights, n_outputs)
    bound = constant - ROUNDING * abs(constant)
    if seen < bound:
        return None
    members = torch.from_numpy(raw_outputs(net, X)).double()
    tensors = _as_tensors(target, weight)
    losses = [_mean_loss(net.criterion_, raw, *tensors).item() for raw in members]
    loss = float(np.mean(losses))
    return None if loss < bound else (loss, constant)


def best_constant(
    criterion: Criterion, target: NDArray, weight: NDArray | None, n_outputs: int
) -> tuple[NDArray, float]:
    """Find the constant raw outputs of least mean loss.

    Parameters
    ----------
    criterion : Criterion
        The loss; for a loss that is not smooth the result is approximate.
    target, weight : ndarray
        Encoded targets and sample weights.
    n_outputs : int
        Number of outputs.

    Returns
    -------
    outputs : ndarray of shape (n_outputs,)
        The outputs.
    loss : float
        Loss of these outputs.
    """
    y, shares = _as_tensors(target, weight)

    def evaluate(outputs: NDArray) -> tuple[float, NDArray]:
        raw = torch.tensor(outputs, requires_grad=True)
        loss = _mean_loss(criterion, raw.expand(len(y), -1), y, shares)
        (gradient,) = torch.autograd.grad(loss, raw)
        return loss.item(), gradient.numpy()

    with np.errstate(all="ignore"):  # a line search may go far
        result = minimize(evaluate, np.zeros(n_outputs), jac=True)
    return result.x, float(result.fun)


def distinct(target: NDArray, weight: NDArray | None) -> tuple[NDArray, NDArray]:
    """Find the distinct targets of positive weight, and the weight of each."""
    values, index = np.unique(target, axis=0, return_inverse=True)
    weights = np.bincount(index.ravel(), weights=weight)
    return values[weights > 0], weights[weights > 0]


def _as_tensors(target: NDArray, weight: NDArray | None) -> tuple[Tensor, Tensor]:
    """Convert targets, and compute the share of each row in the mean."""
    is_index = np.issubdtype(target.dtype, np.integer)
    y = torch.as_tensor(target.astype(np.int64 if is_index else np.float64))
    weights = np.ones(len(target)) if weight is None else np.asarray(weight, float)
    return y, torch.as_tensor(weights / weights.sum())


def _mean_loss(criterion: Criterion, raw: Tensor, y: Tensor, shares: Tensor) -> Tensor:
    return (criterion(raw, y) * shares).sum()
