"""Dropout of units by random masks: standard, gaussian, and alpha for selu."""

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from sk_deep._onnx import Graph
from sk_deep.activations import SELU_ALPHA, SELU_SCALE

Pointwise = Callable[[Tensor], Tensor]
Nodes = Callable[[str], str]

LEVELS = 2**16  # a mask's probability is a multiple of 1 / LEVELS


class LinearMap(Protocol):
    """What the types need of a linear layer."""

    weight: nn.Parameter
    bias: nn.Parameter

    @staticmethod
    def affine(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        """Compute ``x @ weight + bias``."""

    def forward(self, x: Tensor) -> Tensor:
        """Apply `affine` to the layer's own weight and bias."""

    def onnx(self, graph: Graph, x: str) -> str:
        """Apply it as nodes of ONNX."""


class Dropout(nn.Module):
    """Set each unit to zero with probability `p` in training, and scale the others.

    The kept units are divided by the probability of keeping them, so that nothing has
    to be scaled in prediction ("inverted" dropout).

    Parameters
    ----------
    p : float or sequence of float
        Probability of dropping a unit, in [0, 1), one for all members or each
        member's; rounded to a multiple of 2**-16.
    members : tuple of int, default=()
        ``()`` for one network, ``(n_members,)`` for a stack.

    Attributes
    ----------
    generator : torch.Generator or None
        Source of the masks, on the device of the input; set by the network.
    constraints : dict
        Names of the type's own parameters, with scikit-learn's constraints on them.
    only_activation : str or None
        The activation that the type is made for; None is any.
    acts_on_inputs : bool
        Whether the type has a meaning for inputs, too; else they get this class.
    multiplies : bool
        Whether the noise is a factor, `mask`, that does not depend on the units.
    predicts_by_p : bool
        Whether prediction, too, depends on the probability. It is then a buffer, which
        is kept and restored with the weights that were trained under it.
    use : str
        When to use it.

    References
    ----------
    N. Srivastava, G. Hinton, A. Krizhevsky, I. Sutskever and R. Salakhutdinov,
    "Dropout: a simple way to prevent neural networks from overfitting", JMLR 2014.
    """

    use = "The first to try, at 0.1 to 0.5, where training is good and testing is not."

    constraints: dict[str, list] = {}
    only_activation: str | None = None
    acts_on_inputs = True
    multiplies = True
    predicts_by_p = False
    kept_p: Tensor

    def __init__(
        self, p: float | Sequence[float], *, members: tuple[int, ...] = ()
    ) -> None:
        super().__init__()
        self.generator: torch.Generator | None = None
        self._initial_p = np.asarray(p, dtype=float)
        self._n_drop = np.array(-1.0)
        if self.predicts_by_p:
            self.register_buffer("kept_p", torch.zeros(*members, 1, 1))
        self.anneal(1.0)

    @classmethod
    def needs_pointwise(cls, **params) -> bool:
        """Whether the activation must act on single values, with these parameters."""
        return False

    @property
    def p(self) -> float | list[float]:
        """Probability of dropping a unit, or each member's."""
        return (self._n_drop / LEVELS).tolist()

    def anneal(self, factor: float) -> None:
        """Set `p` to a part of its initial value."""
        n_drop = np.minimum(np.round(factor * self._initial_p * LEVELS), LEVELS - 1)
        if not np.array_equal(n_drop, self._n_drop):  # tensors of it may be in use
            self._n_drop = n_drop
            self._p = self.p
            self._threshold = (n_drop - LEVELS // 2).astype(int).tolist()
            self._tensors: dict[Any, Tensor] = {}
        if self.predicts_by_p:
            self.kept_p.copy_(torch.as_tensor(self.p)[..., None, None])

    def _numbers(self, values: Any, like: Tensor, dtype: torch.dtype) -> Any:
        """Take a number, or the members' to act on values of the shape of `like`."""
        if not isinstance(values, list):
            return values
        key = dtype, like.ndim, like.device
        if key not in self._tensors:
            tensor = torch.tensor(values, dtype=dtype, device=like.device)
            self._tensors[key] = tensor.view(-1, *[1] * (like.ndim - 1))
        return self._tensors[key]

    def probability(self, like: Tensor) -> Any:
        """Return `p` as it acts on values of the shape and dtype of `like`."""
        return self._numbers(self._p, like, like.dtype)

    def bits(self, like: Tensor) -> Tensor:
        """Draw integers, uniform in [-2**15, 2**15), of the shape of a tensor."""
        n_words = -(-like.numel() // 4)
        words = torch.empty(n_words, dtype=torch.int64, device=like.device)
        words.random_(-(2**63), None, generator=self.generator)
        return words.view(torch.int16)[: like.numel()].view(like.shape)

    def keep(self, like: Tensor) -> Tensor:
        """Draw booleans that are true with probability 1 - p."""
        threshold = self._numbers(self._threshold, like, torch.int16)
        return self.bits(like) >= threshold

    def mask(self, x: Tensor) -> Tensor:
        """Draw a mask of zeros and 1 / (1 - p), of the shape and dtype of `x`."""
        return self.keep(x).to(x.dtype).mul_(1 / (1 - self.probability(x)))

    def forward(self, h: Tensor, z: Tensor | None = None) -> Tensor:
        """Multiply by a mask in training (sec. 4, r ~ Bernoulli), else pass on."""
        return h * self.mask(h) if self.training else h

    def hidden(
        self, x: Tensor, linear: LinearMap, normalize: Pointwise, activate: Pointwise
    ) -> Tensor:
        """Compute the values of a hidden layer, noise included.

        Parameters
        ----------
        x : Tensor of shape (..., batch, n_in)
            Values of the layer before.
        linear, normalize, activate : callable
            The layer's linear map, and what follows it.

        Returns
        -------
        h : Tensor of shape (..., batch, n_units)
            Values of the units.
        """
        z = normalize(linear.forward(x))
        return self(activate(z), z)

    def onnx(
        self,
        graph: Graph,
        x: str,
        linear: LinearMap,
        normalize: Nodes,
        activate: Nodes,
        *,
        has_pieces: bool,
    ) -> str:
        """Compute the values of a hidden layer in prediction, as nodes of ONNX.

        Parameters
        ----------
        graph : Graph
            To add nodes to.
        x : str
            Name of the values of the layer before.
        linear : LinearMap
            The layer's linear map.
        normalize, activate : callable
            What follows it: functions that take the name of values, and give another.
        has_pieces : bool
            Whether a unit is made of several linear pieces.

        Returns
        -------
        h : str
            Name of the values of the units.
        """
        return activate(normalize(linear.onnx(graph, x)))


class GaussianDropout(Dropout):
    """Multiply each unit by a normal factor of mean 1 and variance p / (1 - p).

    Parameters
    ----------
    p : float or sequence of float
        Probability of dropping a unit in the dropout of equal variance, in [0, 1).
    members : tuple of int, default=()
        ``()`` for one network, ``(n_members,)`` for a stack.

    References
    ----------
    N. Srivastava, G. Hinton, A. Krizhevsky, I. Sutskever and R. Salakhutdinov,
    "Dropout: a simple way to prevent neural networks from overfitting", JMLR 2014,
    sec. 10.
    """

    use = "As standard, with smoother noise."

    def mask(self, x: Tensor) -> Tensor:
        """Draw the factors, of the shape and dtype of `x`."""
        noise = torch.empty_like(x).normal_(generator=self.generator)
        p = self.probability(x)
        return noise.mul_((p / (1 - p)) ** 0.5).add_(1)


class AlphaDropout(Dropout):
    """Set each unit to the lower limit of selu with probability `p`, then rescale.

    It keeps mean 0 and variance 1, and so the self-normalization of selu networks.

    Parameters
    ----------
    p : float or sequence of float
        Probability of dropping a unit, in [0, 1).
    members : tuple of int, default=()
        ``()`` for one network, ``(n_members,)`` for a stack.

    References
    ----------
    G. Klambauer, T. Unterthiner, A. Mayr and S. Hochreiter, "Self-normalizing neural
    networks", NeurIPS 2017, sec. "New dropout technique".
    """

    use = "With selu, whose means and variances it keeps."

    only_activation = "selu"
    multiplies = False

    def forward(self, h: Tensor, z: Tensor | None = None) -> Tensor:
        """Apply ``a (h d + alpha' (1 - d)) + b`` in training, else pass on."""
        if not self.training:
            return h
        limit = -SELU_SCALE * SELU_ALPHA  # alpha', that of selu at minus infinity
        p = self.probability(h)
        q = 1 - p
        a = (q + limit**2 * q * p) ** -0.5
        b = -a * p * limit
        return torch.where(self.keep(h), a * h + b, a * limit + b)
