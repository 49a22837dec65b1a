"""Losses: one row each in `LOSSES`.

A row holds the loss per sample for each output activation (the inverse link) that it
knows. Losses take the raw outputs of the network, before that activation. They are
half squared error and half Poisson deviance, as scikit-learn's.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

PerSample = Callable[[Tensor, Tensor], Tensor]
WithGradient = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]

INVERSE_LINKS: dict[str, Callable[[Tensor], Tensor]] = {
    "identity": lambda raw: raw,
    "logistic": torch.sigmoid,
    "softmax": lambda raw: raw.softmax(dim=-1),
    "exp": torch.exp,
}


def _log_softmax(raw: Tensor) -> Tensor:
    """Logarithm of the softmax over the last axis.

    On an axis shorter than a vector register torch's kernel is several times slower
    than over the axis before the last, where it works on whole registers.
    """
    return raw.mT.contiguous().log_softmax(dim=-2).mT


# NOTE[DIFF] scikit-learn clips probabilities at the machine epsilon where it reports
# the log loss (never in its gradient). Ours is computed from the raw outputs, needs no
# clipping, and so goes on telling bad from worse below that epsilon.
def _multinomial_log_loss(raw: Tensor, y: Tensor) -> Tensor:
    """Negative log of the softmax at the class index `y`."""
    return -_log_softmax(raw).gather(-1, y.unsqueeze(-1)).squeeze(-1)


def _multinomial_log_loss_gradient(raw: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    log_probability = _log_softmax(raw)
    at_class = y.unsqueeze(-1)
    losses = -log_probability.gather(-1, at_class).squeeze(-1)
    gradient = log_probability.exp_()  # minus one at the class
    return losses, gradient.scatter_(-1, at_class, -1.0, reduce="add")


def _binary_log_loss(raw: Tensor, y: Tensor) -> Tensor:
    """Log loss of the logistic outputs, summed over them."""
    losses = F.binary_cross_entropy_with_logits(raw, y, reduction="none")
    return losses.sum(dim=-1)


def _half_squared_error(raw: Tensor, y: Tensor) -> Tensor:
    return 0.5 * (raw - y).square().sum(dim=-1)


def _half_poisson_deviance(raw: Tensor, y: Tensor) -> Tensor:
    """``y log(y / mu) - y + mu`` with ``mu = exp(raw)``."""
    constant = torch.xlogy(y, y) - y
    return (raw.exp() - y * raw + constant).sum(dim=-1)


def _with_residual(per_sample: PerSample, link: str) -> WithGradient:
    """Give a loss of a natural parameter its gradient, prediction minus target."""
    return lambda raw, y: (per_sample(raw, y), INVERSE_LINKS[link](raw) - y)


def _any_target(y: NDArray) -> bool:
    return True


def _non_negative(y: NDArray) -> bool:
    return bool(np.all(y >= 0))


@dataclass(frozen=True)
class Loss:
    """A row of `LOSSES`.

    Parameters
    ----------
    per_sample : mapping from str to callable
        For each output activation, a key of `INVERSE_LINKS`, the function of the raw
        outputs (..., batch, n_outputs) and the targets that gives the losses
        (..., batch).
    estimator : {"classifier", "regressor"}
        Which estimator the loss is for.
    is_legal : callable, default accepts all
        Whether the loss is defined for the targets `y`.
    target_rule : str, default=""
        The rule of `is_legal` in words, for the error.
    averages_outputs : bool, default=False
        Whether the reported value is the mean over the outputs, not the sum.
    with_gradient : mapping from str to callable, default={}
        As `per_sample`, but giving the losses and their gradient by the raw outputs;
        where it lacks an output activation, autograd finds the gradient.
    """

    per_sample: Mapping[str, PerSample]
    estimator: str
    is_legal: Callable[[NDArray], bool] = _any_target
    target_rule: str = ""
    averages_outputs: bool = False
    with_gradient: Mapping[str, WithGradient] = field(default_factory=dict)


LOSSES: dict[str, Loss] = {
    "log_loss": Loss(
        {"softmax": _multinomial_log_loss, "logistic": _binary_log_loss},
        "classifier",
        with_gradient={
            "softmax": _multinomial_log_loss_gradient,
            "logistic": _with_residual(_binary_log_loss, "logistic"),
        },
    ),
    # scikit-learn's gradient is that of the sum over outputs, its value the mean.
    "squared_error": Loss(
        {"identity": _half_squared_error},
        "regressor",
        averages_outputs=True,
        with_gradient={"identity": _with_residual(_half_squared_error, "identity")},
    ),
    "poisson": Loss(
        {"exp": _half_poisson_deviance},
        "regressor",
        _non_negative,
        "y >= 0",
        with_gradient={"exp": _with_residual(_half_poisson_deviance, "exp")},
    ),
}


class Criterion(nn.Module):
    """Loss per sample of a row of `LOSSES`, for one output activation.

    Parameters
    ----------
    loss : str
        Key of `LOSSES`.
    out_activation : str
        Key of the row's `per_sample`.
    """

    def __init__(self, loss: str, out_activation: str) -> None:
        super().__init__()
        row = LOSSES[loss]
        self.loss = loss
        self.out_activation = out_activation
        self.averages_outputs = row.averages_outputs
        self._per_sample = row.per_sample[out_activation]
        self._with_gradient = row.with_gradient.get(out_activation)

    @property
    def has_gradient(self) -> bool:
        """Whether `with_gradient` is there."""
        return self._with_gradient is not None

    def with_gradient(self, raw: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Losses (..., batch), and their gradient by `raw`."""
        assert self._with_gradient is not None
        return self._with_gradient(raw, y)

    def forward(self, raw: Tensor, y: Tensor) -> Tensor:
        """Losses (..., batch) whose gradient trains the network."""
        return self._per_sample(raw, y)
