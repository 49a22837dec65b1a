"""Running means that decide for themselves how far back they remember.

The scheme is that of T. Schaul, S. Zhang and Y. LeCun, "No more pesky learning rates",
ICML 2013, and is common to vSGD and AdaSecant. A memory of size tau gives a new value
the weight 1 / tau.
"""

from collections.abc import Mapping

import torch
from torch import Tensor


def update_means(
    state: Mapping[str, Tensor], values: Mapping[str, Tensor], tau: Tensor
) -> None:
    """Move each running mean towards its new value: (1 - 1/tau) mean + value / tau."""
    for name, value in values.items():
        mean = state[name]
        mean.add_((value - mean) / tau)


def deviates(value: Tensor, mean: Tensor, mean_square: Tensor) -> Tensor:
    """Whether values lie more than two standard deviations from their mean."""
    variance = (mean_square - mean.square()).clamp_(min=0)
    return (value - mean).square() > 4 * variance


def signal_share(mean: Tensor, mean_square: Tensor) -> Tensor:
    """Compute mean^2 / mean square, in [0, 1]: 1 without noise, 0 for pure noise."""
    share = torch.where(mean_square > 0, mean.square() / mean_square, 0.0)
    return share.clamp_(max=1)


def update_memory(tau: Tensor, share: Tensor) -> None:
    """Update the memory size to (1 - share) tau + 1: long in noise, short in motion."""
    tau.mul_(1 - share).add_(1)
