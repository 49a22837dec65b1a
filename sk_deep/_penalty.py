"""The elastic-net penalty on the weights, never on the biases.

It is ``alpha (r |W|_1 + (1 - r) / 2 |W|^2)`` with r = l1_ratio (H. Zou and T. Hastie,
"Regularization and variable selection via the elastic net", JRSS B 2005); at r = 0 it
is scikit-learn's.
"""

import torch
from numpy.typing import NDArray
from torch import Tensor

from sk_deep.network import MLP


def penalise(
    module: MLP, loss: Tensor, strength: float | Tensor, l1_ratio: float
) -> Tensor:
    """Add the penalty to the loss, and its gradient to the network's.

    Parameters
    ----------
    module : MLP
        The network.
    loss : Tensor of shape () or (n_members,)
        The loss.
    strength : float or Tensor of shape () or (n_members,)
        The penalty's factor.
    l1_ratio : float
        The L1 part of it, in [0, 1].

    Returns
    -------
    loss : Tensor of shape () or (n_members,)
        The sum.
    """
    weights, gradient = module.weights, module.weights_grad
    if l1_ratio < 1:
        squares = torch.linalg.vecdot(weights, weights)
        part = strength * (1 - l1_ratio)
        loss = _add_loss(loss, squares, 0.5 * part)
        _add_gradient(gradient, weights, part)
    if l1_ratio > 0:
        part = strength * l1_ratio
        loss = _add_loss(loss, weights.abs().sum(dim=-1), part)
        _add_gradient(gradient, weights.sign(), part)
    return loss


def decay(module: MLP, strength: NDArray, l1_ratio: float) -> None:
    """Move the weights down the penalty's slope.

    Parameters
    ----------
    module : MLP
        The network.
    strength : ndarray of shape (1,) or (n_members,)
        Learning rates times alpha.
    l1_ratio : float
        The L1 part of the penalty, in [0, 1].
    """
    weights = module.weights
    rate = torch.as_tensor(strength, dtype=weights.dtype).to(weights.device)
    rate = rate.view(-1, *[1] * (weights.ndim - 1))
    if l1_ratio > 0:
        weights.sub_(rate * l1_ratio * weights.sign())
    weights.mul_(1 - rate * (1 - l1_ratio))


def _add_loss(loss: Tensor, value: Tensor, strength: float | Tensor) -> Tensor:
    if isinstance(strength, Tensor):
        return torch.addcmul(loss, value, strength)
    return torch.add(loss, value, alpha=strength)


def _add_gradient(gradient: Tensor, slope: Tensor, strength: float | Tensor) -> None:
    if isinstance(strength, Tensor):
        gradient.addcmul_(slope, strength.unsqueeze(-1))
    else:
        gradient.add_(slope, alpha=strength)
