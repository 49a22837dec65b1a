"""Whether a network has learned anything: its loss beside a constant prediction's."""

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import minimize
from torch import Tensor

from sk_deep._engine.net import Net
from sk_deep._engine.prediction import raw_outputs
from sk_deep.losses import Criterion

ROUNDING = 1e-6  # part of a loss that is no difference


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
        The loss that training saw, with penalty, dropout and augmentation: if it is
        lower than the constant's, the network's is not looked at.

    Returns
    -------
    losses : tuple of float or None
        The network's and the constant's; None if the network's is lower.
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
    """Find the raw outputs of least mean loss that do not depend on the inputs.

    Parameters
    ----------
    criterion : Criterion
        The loss; of one that is not smooth, nearly the least is found.
    target, weight : ndarray
        As above.
    n_outputs : int
        Number of outputs.

    Returns
    -------
    outputs : ndarray of shape (n_outputs,)
        The outputs.
    loss : float
        Their loss.
    """
    y, shares = _as_tensors(target, weight)

    def evaluate(outputs: NDArray) -> tuple[float, NDArray]:
        raw = torch.tensor(outputs, requires_grad=True)
        loss = _mean_loss(criterion, raw.expand(len(y), -1), y, shares)
        (gradient,) = torch.autograd.grad(loss, raw)
        return loss.item(), gradient.numpy()

    with np.errstate(all="ignore"):  # a line search may go far
        found = minimize(evaluate, np.zeros(n_outputs), jac=True)
    return found.x, float(found.fun)


def distinct(target: NDArray, weight: NDArray | None) -> tuple[NDArray, NDArray]:
    """Find the distinct targets that weigh anything, and the weight of each."""
    values, index = np.unique(target, axis=0, return_inverse=True)
    weights = np.bincount(index.ravel(), weights=weight)
    return values[weights > 0], weights[weights > 0]


def _as_tensors(target: NDArray, weight: NDArray | None) -> tuple[Tensor, Tensor]:
    """Targets, and the share of each row in the mean."""
    is_index = np.issubdtype(target.dtype, np.integer)
    y = torch.as_tensor(target.astype(np.int64 if is_index else np.float64))
    weights = np.ones(len(target)) if weight is None else np.asarray(weight, float)
    return y, torch.as_tensor(weights / weights.sum())


def _mean_loss(criterion: Criterion, raw: Tensor, y: Tensor, shares: Tensor) -> Tensor:
    return (criterion(raw, y) * shares).sum()
