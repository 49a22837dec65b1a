"""The elastic-net penalty on the weights, never on the biases.

It is ``alpha (r |W|_1 + (1 - r) / 2 |W|^2)`` with r = l1_ratio (H. Zou and T. Hastie,
"Regularization and variable selection via the elastic net", JRSS B 2005); at r = 0 it
is scikit-learn's.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sk_deep.network import MLP

Number = float | Tensor  # of all members, or (n_members,)


def is_on(values: float | NDArray) -> bool:
    """Whether a number of any member differs from 0."""
    return bool(np.any(values))


def as_number(values: float | NDArray, like: Tensor) -> Number:
    """Convert members' numbers to a tensor, or to a float if all are equal.

    Parameters
    ----------
    values : float or ndarray of shape (n_members,)
        The numbers.
    like : Tensor
        Has the dtype and the device of the result.

    Returns
    -------
    number : float or Tensor of shape (n_members,)
        The number, or the numbers.
    """
    first, *others = np.ravel(values).tolist()
    if all(value == first for value in others):
        return first
    return like.new_tensor([first, *others])


def penalise(module: MLP, strength: Number, l1_ratio: Number) -> Tensor:
    """Add the gradient of the penalty to the gradient of the network.

    Parameters
    ----------
    module : MLP
        The network.
    strength : float or Tensor of shape () or (n_members,)
        Factor of the penalty.
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
    part = _broadcast(l1_ratio)
    signs, ridge = weights.sign(), (1 - part) * weights
    _add(gradient, ridge + part * signs, strength)
    return _dot(weights, ridge + 2 * part * signs)


def decay(module: MLP, strength: Number, l1_ratio: Number) -> None:
    """Decay the weights: a gradient step on the penalty alone.

    Parameters
    ----------
    module : MLP
        The network.
    strength : float or Tensor of shape (n_members,)
        Learning rate times alpha.
    l1_ratio : float or Tensor of shape (n_members,)
        The L1 part of the penalty, in [0, 1].
    """
    weights, part = module.weights, _broadcast(l1_ratio)
    rate = _broadcast(strength)
    if isinstance(part, Tensor) or part > 0:
        weights.sub_(rate * part * weights.sign())
    weights.mul_(1 - rate * (1 - part))


def _dot(a: Tensor, b: Tensor) -> Tensor:
    """Compute the members' dot products, without memory for elementwise products."""
    if a.ndim == 1:
        return torch.dot(a, b)
    return torch.bmm(a.unsqueeze(-2), b.unsqueeze(-1)).flatten()


def _broadcast(value: Number) -> Number:
    """Add an axis for the weights, with which a number per member broadcasts."""
    return value.unsqueeze(-1) if isinstance(value, Tensor) else value


def _add(gradient: Tensor, slope: Tensor, strength: Number) -> None:
    if isinstance(strength, Tensor):
        gradient.addcmul_(slope, strength.unsqueeze(-1))
    else:
        gradient.add_(slope, alpha=strength)
