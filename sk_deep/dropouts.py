"""Dropout and its kin: one row each in `DROPOUTS`, and the schedules of its strength.

All of them act in training alone and keep an expectation, so that nothing has to be
scaled in prediction: of a unit's value, with "alpha" over units of mean 0, with
"dropconnect" of a unit's input. Masks come from random bits compared with a threshold,
drawn from a private generator: cheaper than one random float per unit, and no global
random state is touched.
"""

import functools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from sk_deep._compat import Interval, StrOptions
from sk_deep._onnx import Graph
from sk_deep.activations import SELU_ALPHA, SELU_SCALE

Pointwise = Callable[[Tensor], Tensor]
Nodes = Callable[[str], str]

_LEVELS = 2**16  # a mask's probability is a multiple of 1 / _LEVELS


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
        return (self._n_drop / _LEVELS).tolist()

    def anneal(self, factor: float) -> None:
        """Set `p` to a part of its initial value."""
        n_drop = np.minimum(np.round(factor * self._initial_p * _LEVELS), _LEVELS - 1)
        if not np.array_equal(n_drop, self._n_drop):  # tensors of it may be in use
            self._n_drop = n_drop
            self._p = self.p
            self._threshold = (n_drop - _LEVELS // 2).astype(int).tolist()
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
        """Tell `p`, as it acts on values of the shape and dtype of `like`."""
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


class Standout(Dropout):
    """Keep each unit with a probability that grows with its own activity.

    A unit of input z is kept with probability ``sigmoid(alpha z + beta + c)``, where
    the constant c makes it ``1 - p`` at ``alpha z + beta = 0``; in prediction the unit
    is multiplied by that probability. At ``p = 0.5`` it is the paper's. The mask is a
    constant to the gradient, as there.

    Parameters
    ----------
    p : float or sequence of float
        Probability of dropping a unit at ``alpha z + beta = 0``, in [0, 1).
    members : tuple of int, default=()
        ``()`` for one network, ``(n_members,)`` for a stack.
    alpha : float, default=1.0
        Slope.
    beta : float, default=0.0
        Shift.

    References
    ----------
    J. Ba and B. Frey, "Adaptive dropout for training deep neural networks", NIPS 2013.
    """

    use = "Where units that matter shall stay: it drops the weak ones more often."

    constraints = {
        "alpha": [Interval(Real, None, None, closed="neither")],
        "beta": [Interval(Real, None, None, closed="neither")],
    }
    acts_on_inputs = False
    multiplies = False
    predicts_by_p = True

    def __init__(
        self,
        p: float | Sequence[float],
        *,
        members: tuple[int, ...] = (),
        alpha: float = 1.0,
        beta: float = 0.0,
    ) -> None:
        super().__init__(p, members=members)
        self.alpha = alpha
        self.beta = beta

    def keep_probability(self, z: Tensor) -> Tensor:
        """Probability of keeping units of input `z`, eq. 3 with pi = alpha w + beta."""
        return (self.alpha * z + (self.beta - self.kept_p.logit())).sigmoid()

    def forward(self, h: Tensor, z: Tensor | None = None) -> Tensor:
        """Multiply by a mask in training (eq. 1), else by its expectation (eq. 4)."""
        z = h if z is None or z.shape != h.shape else z  # maxout has z of its pieces
        with torch.set_grad_enabled(not self.training and torch.is_grad_enabled()):
            probability = self.keep_probability(z)
        if not self.training:
            return h * probability
        threshold = probability * _LEVELS - _LEVELS // 2
        return h * (self.bits(h) < threshold)

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
        """Multiply by the probabilities of keeping the units, see `Dropout.onnx`."""
        z = normalize(linear.onnx(graph, x))
        h = activate(z)
        shift = self.beta - self.kept_p.logit().numpy(force=True)
        scaled = graph("Mul", h if has_pieces else z, float(self.alpha))
        return graph("Mul", h, graph("Sigmoid", graph("Add", scaled, shift)))


class DropConnect(Dropout):
    """Set each weight and bias of a layer to zero with probability `p` in training.

    The kept ones are divided by 1 - p. A mask serves a batch, where the paper draws one
    for each row: the law of a row is the same, and a layer stays one matrix product.

    Parameters
    ----------
    p : float or sequence of float
        Probability of dropping a weight that leads into a hidden unit, in [0, 1).
    members : tuple of int, default=()
        ``()`` for one network, ``(n_members,)`` for a stack.
    inference : {"mean", "gaussian"}, default="mean"
        How to predict: with the mean weights, or, as the paper does, with the mean of
        the activation under the normal law that has the mean and the variance of the
        unit's input. That mean is found by Gauss-Hermite quadrature, where the paper
        samples, so that predictions do not vary.

    References
    ----------
    L. Wan, M. Zeiler, S. Zhang, Y. LeCun and R. Fergus, "Regularization of neural
    networks using DropConnect", ICML 2013.
    """

    use = (
        "Where single connections, not whole units, shall not be relied on. "
        "Slower: a mask has the size of the weights."
    )

    constraints = {"inference": [StrOptions({"mean", "gaussian"})]}
    acts_on_inputs = False
    multiplies = False
    predicts_by_p = True
    n_nodes = 32

    @classmethod
    def needs_pointwise(cls, **params) -> bool:
        """Whether the activation must act on single values, with these parameters."""
        # maxout's pieces vary on their own
        return params.get("inference") == "gaussian"

    def __init__(
        self,
        p: float | Sequence[float],
        *,
        members: tuple[int, ...] = (),
        inference: str = "mean",
    ) -> None:
        super().__init__(p, members=members)
        self.inference = inference

    def hidden(
        self, x: Tensor, linear: LinearMap, normalize: Pointwise, activate: Pointwise
    ) -> Tensor:
        """Compute the units' values with masked weights (eq. 4), or their mean."""
        if self.training:
            weight, bias = linear.weight, linear.bias
            masked = weight * self.mask(weight), bias * self.mask(bias)
            return activate(normalize(linear.affine(x, *masked)))
        if self.inference == "mean":
            return activate(normalize(linear.forward(x)))
        return self._expectation(x, linear, lambda z: activate(normalize(z)))

    def _expectation(self, x: Tensor, linear: LinearMap, activate: Pointwise) -> Tensor:
        """Mean of the activation under a normal law of its input (sec. 3.2)."""
        mean = linear.forward(x)
        squares = linear.affine(
            x.square(), linear.weight.square(), linear.bias.square()
        )
        spread = (squares * (self.kept_p / (1 - self.kept_p))).sqrt()
        nodes, weights = np.polynomial.hermite_e.hermegauss(self.n_nodes)
        values = [
            float(weight) * activate(mean + float(node) * spread)
            for node, weight in zip(nodes, weights, strict=True)
        ]
        return functools.reduce(torch.add, values) / math.sqrt(2 * math.pi)

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
        """Predict with the mean weights, or by a quadrature along a first axis.

        See `Dropout.onnx`.
        """
        mean = linear.onnx(graph, x)
        if self.inference == "mean":
            return activate(normalize(mean))
        weight = linear.weight.numpy(force=True)
        bias = linear.bias.numpy(force=True)[..., np.newaxis, :]
        squares = graph.affine(graph("Mul", x, x), weight**2, bias**2)
        odds = (self.kept_p / (1 - self.kept_p)).numpy(force=True)
        spread = graph("Sqrt", graph("Mul", squares, odds))
        nodes, weights = (
            values.reshape(-1, *[1] * weight.ndim)
            for values in np.polynomial.hermite_e.hermegauss(self.n_nodes)
        )
        z = graph("Add", mean, graph("Mul", nodes, spread))
        weights = weights / math.sqrt(2 * math.pi)
        values = graph("Mul", activate(normalize(z)), weights)
        return graph("ReduceSum", values, [0], keepdims=0)


DROPOUTS: dict[str, type[Dropout]] = {
    "standard": Dropout,
    "gaussian": GaussianDropout,
    "alpha": AlphaDropout,
    "standout": Standout,
    "dropconnect": DropConnect,
}


def dropout_of_inputs(dropout_type: str, p: float | Sequence[float]) -> Dropout:
    """Build the layer that acts on the inputs beside a type of dropout."""
    kind = DROPOUTS[dropout_type]
    return kind(p) if kind.acts_on_inputs else Dropout(p)


@dataclass(frozen=True)
class DropoutSchedule:
    """A row of `DROPOUT_SCHEDULES`.

    Parameters
    ----------
    factor : callable
        Factor on the probabilities as a function of the part of the longest training,
        of `max_iter` epochs, that is done.
    summary, source : str
        The factor in words, and where it is from.
    use : str, default=""
        When to use it.
    anneals : bool, default=True
        Whether the probabilities change, and so depend on `max_iter`.
    """

    factor: Callable[[float], float]
    summary: str
    source: str
    use: str = ""
    anneals: bool = True


_RENNIE = (
    'S. Rennie, V. Goel and S. Thomas, "Annealed dropout training of deep networks",'
    " SLT 2014"
)

DROPOUT_SCHEDULES: dict[str, DropoutSchedule] = {
    "constant": DropoutSchedule(
        lambda fraction: 1.0,
        "1",
        "N. Srivastava, G. Hinton, A. Krizhevsky, I. Sutskever and R. Salakhutdinov,"
        ' "Dropout: a simple way to prevent neural networks from overfitting", JMLR'
        " 2014.",
        use="The default.",
        anneals=False,
    ),
    "linear": DropoutSchedule(
        lambda fraction: 1 - fraction,
        "1 - t / max_iter, t the finished epochs",
        f"{_RENNIE}, eq. 3.",
        use="Where the network shall use all of its units in the end: noise "
        "first, fine tuning later.",
    ),
    "cosine": DropoutSchedule(
        lambda fraction: (1 + math.cos(math.pi * fraction)) / 2,
        "half a cosine from 1 to 0 over max_iter epochs",
        f"{_RENNIE}; the shape is that of the learning rate of I. Loshchilov and F."
        ' Hutter, "SGDR: stochastic gradient descent with warm restarts", ICLR 2017.',
        use="As linear, with longer phases of strong and of weak noise.",
    ),
}
