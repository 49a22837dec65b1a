"""Whether a network has learned anything: its loss beside a constant prediction's."""

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import minimize
from torch import Tensor

from sk_deep._net import Net
from sk_deep._prediction import raw_outputs
from sk_deep.losses import Criterion

ROUNDING = 1e-6  # part of a loss that is no difference


class Targets:
    """Encoded targets and their shares of a mean, to compare losses on.

    Parameters
    ----------
    criterion : Criterion
        The loss.
    target : ndarray of shape (n,) or (n, n_outputs)
        Encoded targets.
    weight : ndarray of shape (n,) or None
        Sample weights.
    """

    def __init__(
        self, criterion: Criterion, target: NDArray, weight: NDArray | None
    ) -> None:
        is_index = np.issubdtype(target.dtype, np.integer)
        self.criterion = criterion
        self.y = torch.as_tensor(np.array(target, np.int64 if is_index else np.float64))
        shares = np.ones(len(target)) if weight is None else np.array(weight, float)
        self.shares = torch.as_tensor(shares / shares.sum())

    @property
    def vary(self) -> bool:
        """Whether there is anything to learn."""
        present = self.y[self.shares > 0]
        return bool((present != present[0]).any())

    def mean_loss(self, raw: Tensor) -> Tensor:
        """Compute the mean loss of raw outputs of shape (n, n_outputs)."""
        return (self.criterion(raw, self.y) * self.shares).sum()

    def constant_loss(self, n_outputs: int) -> float:
        """Find the least mean loss of raw outputs that do not depend on the inputs.

        Of a loss that is not smooth, nearly the least.
        """

        def evaluate(outputs: NDArray) -> tuple[float, NDArray]:
            raw = torch.tensor(outputs, requires_grad=True)
            loss = self.mean_loss(raw.expand(len(self.y), -1))
            (gradient,) = torch.autograd.grad(loss, raw)
            return loss.item(), gradient.numpy()

        with np.errstate(all="ignore"):  # a line search may go far
            return float(minimize(evaluate, np.zeros(n_outputs), jac=True).fun)


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
    target, weight : ndarray
        See `Targets`.
    seen : float
        The loss that training saw, with penalty, dropout and augmentation: if it is
        lower than the constant's, the network's is not looked at.

    Returns
    -------
    losses : tuple of float or None
        The network's and the constant's; None if the network's is lower.
    """
    targets = Targets(net.criterion_, target, weight)
    if not targets.vary:
        return None
    constant = targets.constant_loss(net.module_.architecture["n_outputs"])
    bound = constant - ROUNDING * abs(constant)
    if seen < bound:
        return None
    members = torch.from_numpy(raw_outputs(net, X)).double()
    loss = float(np.mean([targets.mean_loss(raw) for raw in members]))
    return None if loss < bound else (loss, constant)
