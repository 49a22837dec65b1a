"""The elastic-net penalty on the weights, never on the biases.

It is ``alpha (r |W|_1 + (1 - r) / 2 |W|^2)`` with r = l1_ratio (H. Zou and T. Hastie,
"Regularization and variable selection via the elastic net", JRSS B 2005); at r = 0 it
is scikit-learn's.
"""

import torch
from numpy.typing import NDArray
from torch import Tensor

from sk_deep.network import MLP


def penalise(module: MLP, strength: float | Tensor, l1_ratio: float) -> Tensor:
    """Add the gradient of the penalty to the network's.

    Parameters
    ----------
    module : MLP
        The network.
    strength : float or Tensor of shape () or (n_members,)
        The penalty's factor.
    l1_ratio : float
        The L1 part of it, in [0, 1].

    Returns
    -------
    norm : Tensor of shape () or (n_members,)
        ``2 r |W|_1 + (1 - r) |W|^2``: the penalty is half the strength times it.
    """
    weights, gradient = module.weights, module.weights_grad
    if not l1_ratio:
        _add(gradient, weights, strength)
        return torch.linalg.vecdot(weights, weights)
    signs, ridge = weights.sign(), (1 - l1_ratio) * weights
    _add(gradient, ridge + l1_ratio * signs, strength)
    return torch.linalg.vecdot(weights, ridge + 2 * l1_ratio * signs)


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
    rate = float(strength[0]) if len(strength) == 1 else _column(strength, weights)
    if l1_ratio > 0:
        weights.sub_(rate * l1_ratio * weights.sign())
    weights.mul_(1 - rate * (1 - l1_ratio))


def _column(values: NDArray, like: Tensor) -> Tensor:
    return torch.as_tensor(values, dtype=like.dtype).to(like.device).unsqueeze(-1)


def _add(gradient: Tensor, slope: Tensor, strength: float | Tensor) -> None:
    if isinstance(strength, Tensor):
        gradient.addcmul_(slope, strength.unsqueeze(-1))
    else:
        gradient.add_(slope, alpha=strength)
