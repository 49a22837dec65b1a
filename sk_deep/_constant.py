"""The least loss of a prediction that is the same for all rows: a yardstick."""

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import minimize

from sk_deep.losses import Criterion


def constant_loss(
    criterion: Criterion, target: NDArray, weight: NDArray | None, n_outputs: int
) -> float:
    """Find the least mean loss of raw outputs that do not depend on the inputs.

    Parameters
    ----------
    criterion : Criterion
        The loss.
    target : ndarray of shape (n,) or (n, n_outputs)
        Encoded targets.
    weight : ndarray of shape (n,) or None
        Sample weights.
    n_outputs : int
        Number of outputs.

    Returns
    -------
    loss : float
        The loss; of one that is not smooth, nearly the least.
    """
    is_index = np.issubdtype(target.dtype, np.integer)
    y = torch.as_tensor(np.array(target, np.int64 if is_index else np.float64))
    shares = np.ones(len(y)) if weight is None else np.array(weight, np.float64)
    shares_of = torch.as_tensor(shares / shares.sum())

    def evaluate(outputs: NDArray) -> tuple[float, NDArray]:
        raw = torch.tensor(outputs, requires_grad=True)
        loss = (criterion(raw.expand(len(y), -1), y) * shares_of).sum()
        (gradient,) = torch.autograd.grad(loss, raw)
        return loss.item(), gradient.numpy()

    return float(minimize(evaluate, np.zeros(n_outputs), jac=True).fun)
