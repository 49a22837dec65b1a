"""Dropout and its kin: one row each in `DROPOUTS`.

Masks come from random bits compared with a threshold, drawn from a private generator:
cheaper than one random float per unit, and no global random state is touched.
"""

import torch
from torch import Tensor, nn

_LEVELS = 2**16  # a mask's probability is a multiple of 1 / _LEVELS


class Dropout(nn.Module):
    """Set each unit to zero with probability `p` in training, and scale the others.

    The kept units are divided by the probability of keeping them, so that nothing has
    to be scaled in prediction ("inverted" dropout).

    Parameters
    ----------
    p : float
        Probability of dropping a unit, in [0, 1); rounded to a multiple of 2**-16.

    Attributes
    ----------
    generator : torch.Generator or None
        Source of the masks, on the device of the input; set by the network.

    References
    ----------
    N. Srivastava, G. Hinton, A. Krizhevsky, I. Sutskever and R. Salakhutdinov,
    "Dropout: a simple way to prevent neural networks from overfitting", JMLR 2014.
    """

    def __init__(self, p: float) -> None:
        super().__init__()
        self.generator: torch.Generator | None = None
        self._n_drop = min(round(p * _LEVELS), _LEVELS - 1)

    @property
    def p(self) -> float:
        """Probability of dropping a unit."""
        return self._n_drop / _LEVELS

    def mask(self, x: Tensor) -> Tensor:
        """Draw a mask of zeros and 1 / (1 - p), of the shape and dtype of `x`."""
        n_words = -(-x.numel() // 4)
        words = torch.empty(n_words, dtype=torch.int64, device=x.device)
        words.random_(-(2**63), None, generator=self.generator)
        bits = words.view(torch.int16)[: x.numel()].view(x.shape)
        keep = bits >= self._n_drop - _LEVELS // 2
        return keep.to(x.dtype).mul_(1 / (1 - self.p))

    def forward(self, x: Tensor) -> Tensor:
        """Multiply by a mask in training (sec. 4, r ~ Bernoulli), else pass on."""
        return x * self.mask(x) if self.training else x


DROPOUTS: dict[str, type[Dropout]] = {"standard": Dropout}
