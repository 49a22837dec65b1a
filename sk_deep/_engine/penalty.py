"""The elastic-net penalty on the weights, never on the biases.

It is ``alpha (r |W|_1 + (1 - r) / 2 |W|^2)`` with r = l1_ratio (H. Zou and T. Hastie,
"Regularization and variable selection via the elastic net", JRSS B 2005); at r = 0 it
is scikit-learn's.
"""

import torch
from torch import Tensor

from sk_deep.network import MLP

Number = float | Tensor  # one for all members, or a tensor of one for each


def penalise(module: MLP, strength: Number, l1_ratio: Number) -> Tensor:
    """Add the gradient of the penalty to the network's.

    Parameters
    ----------
    module : MLP
        The network.
    strength : float or Tensor of shape () or (n_members,)
        The penalty's factor.
    l1_ratio : float or Tensor of shape (n_members,)
        The L1 part of it, in [0, 1].

    Returns
    -------
    norm : Tensor of shape () or (n_members,)
        ``2 r |W|_1 + (1 - r) |W|^2``: the penalty is half the strength times it.
    """
    weights, gradient = module.weights, module.weights_grad
    if not isinstance(l1_ratio, Tensor) and not l1_ratio:
        _add(gradient, weights, strength)
        return _dot(weights, weights)
    part = _of_members(l1_ratio)
    signs, ridge = weights.sign(), (1 - part) * weights
    _add(gradient, ridge + part * signs, strength)
    return _dot(weights, ridge + 2 * part * signs)


def decay(module: MLP, strength: Number, l1_ratio: Number) -> None:
    """Move the weights down the penalty's slope.

    Parameters
    ----------
    module : MLP
        The network.
    strength : float or Tensor of shape (n_members,)
        Learning rate times alpha.
    l1_ratio : float or Tensor of shape (n_members,)
        The L1 part of the penalty, in [0, 1].
    """
    weights, part = module.weights, _of_members(l1_ratio)
    rate = _of_members(strength)
    if isinstance(part, Tensor) or part > 0:
        weights.sub_(rate * part * weights.sign())
    weights.mul_(1 - rate * (1 - part))


def _dot(one: Tensor, other: Tensor) -> Tensor:
    """Dot products of the members, without memory for the products of the values."""
    if one.ndim == 1:
        return torch.dot(one, other)
    return torch.bmm(one.unsqueeze(-2), other.unsqueeze(-1)).flatten()


def _of_members(value: Number) -> Number:
    """Let a number of each member act on all its weights."""
    return value.unsqueeze(-1) if isinstance(value, Tensor) else value


def _add(gradient: Tensor, slope: Tensor, strength: Number) -> None:
    if isinstance(strength, Tensor):
        gradient.addcmul_(slope, strength.unsqueeze(-1))
    else:
        gradient.add_(slope, alpha=strength)
