"""Losses per sample, as functions of the raw outputs and the targets."""

import functools
from collections.abc import Callable

import numpy as np
import torch
from sklearn.metrics import d2_pinball_score
from torch import Tensor
from torch.nn import functional as F


def _over_columns(function: Callable[..., Tensor], raw: Tensor) -> Tensor:
    """Apply a softmax over the last axis.

    torch's kernels use whole vector registers over the axis before the last; over a
    last axis that is shorter than a register they are several times slower.
    """
    return function(raw.mT.contiguous(), dim=-2).mT


softmax = functools.partial(_over_columns, torch.softmax)
log_softmax = functools.partial(_over_columns, torch.log_softmax)


# ---- targets of a batch ------------------------------------------------------------


def soft_targets(y: Tensor, n_classes: int, like: Tensor) -> Tensor:
    """Turn class indices into probabilities of the classes.

    Parameters
    ----------
    y : Tensor
        Class indices (..., batch) as integers; floats are returned as they are.
    n_classes : int
        Number of classes.
    like : Tensor
        A tensor of the dtype and device of the result.

    Returns
    -------
    y : Tensor of shape (..., batch, n_classes)
        The probabilities.
    """
    if y.is_floating_point():
        return y
    # unlike functional.one_hot, it does not read y on the host
    zeros = like.new_zeros(*y.shape, n_classes)
    return zeros.scatter_(-1, y.unsqueeze(-1), 1.0)


def smooth(y: Tensor, amount: float | Tensor, n_classes: int) -> Tensor:
    """Mix probabilities with uniform probabilities, ``(1 - e) y + e / K``.

    Parameters
    ----------
    y : Tensor
        Probabilities.
    amount : float or Tensor
        The share e of the uniform probabilities, in [0, 1).
    n_classes : int
        Number of classes K; an indicator has two.

    Returns
    -------
    y : Tensor
        The smoothed probabilities.

    References
    ----------
    C. Szegedy, V. Vanhoucke, S. Ioffe, J. Shlens and Z. Wojna, "Rethinking the
    Inception architecture for computer vision", CVPR 2016, sec. 7.
    """
    return (1 - amount) * y + amount / n_classes


def expected(losses: Tensor, y: Tensor) -> Tensor:
    """Take each row's loss at its class, or the mean over its classes' probabilities.

    `losses` (..., batch, n_classes) holds the loss of each row for each class.
    """
    if y.is_floating_point():
        return torch.linalg.vecdot(losses, y)
    return losses.gather(-1, y.unsqueeze(-1)).squeeze(-1)


# ---- losses of classifiers ---------------------------------------------------------


# NOTE[DIFF] reported log loss: scikit-learn clips probabilities at the machine epsilon
# (never in its gradient). sk_deep computes it from the raw outputs without clipping, so
# that it still grows where probabilities are below that epsilon.
def multinomial_log_loss(raw: Tensor, y: Tensor) -> Tensor:
    """``-log p_y`` of softmax, over class indices or probabilities."""
    return expected(-log_softmax(raw), y)


def multinomial_log_loss_gradient(raw: Tensor, y: Tensor) -> Tensor:
    """Gradient of `multinomial_log_loss` by the raw outputs: ``p - y``."""
    probability = softmax(raw)
    if y.is_floating_point():
        return probability.sub_(y)
    return probability.scatter_(-1, y.unsqueeze(-1), -1.0, reduce="add")


def binary_log_loss(raw: Tensor, y: Tensor) -> Tensor:
    """``-y log p - (1 - y) log(1 - p)``, summed over the outputs."""
    losses = F.binary_cross_entropy_with_logits(raw, y, reduction="none")
    return losses.sum(dim=-1)


def softmax_squared_error(raw: Tensor, y: Tensor) -> Tensor:
    """Half the squared error of the probabilities of softmax."""
    return half_squared_error(softmax(raw), soft_targets(y, raw.shape[-1], raw))


def logistic_squared_error(raw: Tensor, y: Tensor) -> Tensor:
    """Half the squared error of the probabilities of the logistic function."""
    return half_squared_error(raw.sigmoid(), y)


def crammer_singer_hinge(raw: Tensor, y: Tensor) -> Tensor:
    """``max(0, 1 + max_{k != y} raw_k - raw_y)``, eq. 2 of Crammer and Singer."""
    (first, second), (best, _) = (part.unbind(-1) for part in raw.topk(2, dim=-1))
    is_best = soft_targets(best, raw.shape[-1], raw).bool()
    rival = torch.where(is_best, second.unsqueeze(-1), first.unsqueeze(-1))
    return expected((1 + rival - raw).relu(), y)


def binary_hinge(raw: Tensor, y: Tensor) -> Tensor:
    """``max(0, 1 - raw)`` of the positive class, ``max(0, 1 + raw)`` of the other."""
    return (y * (1 - raw).relu() + (1 - y) * (1 + raw).relu()).sum(dim=-1)


def modulate(probability: Tensor, gamma: float) -> Tensor:
    """``(1 - p)^gamma``, with a finite derivative at p = 1, eq. 4 of Lin et al."""
    return (1 - probability).clamp(min=torch.finfo(probability.dtype).eps) ** gamma


def multiclass_focal(raw: Tensor, y: Tensor, *, gamma: float = 2.0) -> Tensor:
    """``-(1 - p_y)^gamma log p_y`` of softmax, eq. 4 of Lin et al."""
    log_probability = log_softmax(raw)
    return expected(-modulate(log_probability.exp(), gamma) * log_probability, y)


def binary_focal(raw: Tensor, y: Tensor, *, gamma: float = 2.0) -> Tensor:
    """The same for each output of the logistic function, summed."""
    positive = modulate(raw.sigmoid(), gamma) * F.softplus(-raw)
    negative = modulate((-raw).sigmoid(), gamma) * F.softplus(raw)
    return (y * positive + (1 - y) * negative).sum(dim=-1)


# ---- losses of regressors ----------------------------------------------------------


def half_squared_error(raw: Tensor, y: Tensor) -> Tensor:
    """``|raw - y|^2 / 2``, summed over the outputs."""
    return 0.5 * (raw - y).square().sum(dim=-1)


def absolute_error(raw: Tensor, y: Tensor) -> Tensor:
    """``|raw - y|``, averaged over the outputs."""
    return (raw - y).abs().sum(dim=-1)


def huber(raw: Tensor, y: Tensor, *, delta: float = 1.0) -> Tensor:
    """``r^2 / 2`` up to ``|r| = delta``, ``delta (|r| - delta / 2)`` beyond."""
    return F.huber_loss(raw, y, reduction="none", delta=delta).sum(dim=-1)


def pinball(raw: Tensor, y: Tensor, *, quantile: float | list[float] = 0.5) -> Tensor:
    """``max(q r, (q - 1) r)`` with ``r = y - raw``, a column per quantile q."""
    q = torch.as_tensor(quantile, dtype=raw.dtype, device=raw.device)
    residual = y - raw
    return torch.maximum(q * residual, (q - 1) * residual).sum(dim=-1)


def half_poisson_deviance(raw: Tensor, y: Tensor) -> Tensor:
    """``y log(y / mu) - y + mu`` with ``mu = exp(raw)``."""
    constant = torch.xlogy(y, y) - y
    return (raw.exp() - y * raw + constant).sum(dim=-1)


def half_gamma_deviance(raw: Tensor, y: Tensor) -> Tensor:
    """``log(mu / y) + y / mu - 1`` with ``mu = exp(raw)``."""
    return (raw + y * (-raw).exp() - y.log() - 1).sum(dim=-1)


def count_quantiles(quantile: float | list[float] = 0.5) -> int:
    """Count the quantiles, and check that each is in (0, 1)."""
    values = np.ravel(quantile)
    is_list = np.ndim(quantile) < 2 and len(values) and values.dtype.kind == "f"
    if not is_list or not all((values > 0) & (values < 1)):
        raise ValueError(
            "quantile must be a number in (0, 1) or a list of such numbers, got "
            f"{quantile!r}."
        )
    return len(values)


def score_quantiles(y, outputs, sample_weight, *, quantile) -> float:
    """Mean of the D^2 scores of the quantiles."""
    scores = [
        d2_pinball_score(y, column, alpha=q, sample_weight=sample_weight)
        for q, column in zip(quantile, outputs.T, strict=True)
    ]
    return float(np.mean(scores))
