"""Activations of the hidden units: one row each in `ACTIVATIONS`.

To add one, add a row. Every layer works on the last axis and treats leading axes
alike, so that it serves one network and a stack of networks.
"""

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn
from torch.nn import functional as F

from sk_deep._onnx import Graph

aten = torch.ops.aten

SELU_ALPHA, SELU_SCALE = 1.6732632423543772, 1.0507009873554805


class PReLU(nn.Module):
    """Parametric rectifier, ``max(0, z) + slope * min(0, z)``, a slope per unit.

    Parameters
    ----------
    *shape : int
        Shape of the slopes: ``(units,)``, or ``(n_members, 1, units)`` for a stack.

    References
    ----------
    K. He, X. Zhang, S. Ren and J. Sun, "Delving deep into rectifiers", ICCV 2015.
    """

    def __init__(self, *shape: int) -> None:
        super().__init__()
        self.slope = nn.Parameter(torch.empty(shape))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Set the slopes to 0.25, the initial value of He et al."""
        nn.init.constant_(self.slope, 0.25)

    def forward(self, z: Tensor) -> Tensor:
        """Apply the rectifier, eq. 1 of He et al."""
        return z.clamp(min=0) + self.slope * z.clamp(max=0)


class Maxout(nn.Module):
    """Maximum over `pieces` linear functions per unit.

    Parameters
    ----------
    pieces : int
        Number of linear functions of a unit, at least 2. The layer before it yields
        ``pieces * units`` values, piece after piece.

    References
    ----------
    I. Goodfellow, D. Warde-Farley, M. Mirza, A. Courville and Y. Bengio, "Maxout
    networks", ICML 2013.

    Examples
    --------
    >>> import torch
    >>> Maxout(2)(torch.tensor([[1.0, -3.0, 0.0, 5.0]]))
    tensor([[1., 5.]])
    """

    def __init__(self, pieces: int) -> None:
        super().__init__()
        self.pieces = pieces

    def forward(self, z: Tensor) -> Tensor:
        """Take the maximum of the pieces, h_i = max_j z_ij (sec. 3)."""
        return functools.reduce(torch.maximum, z.chunk(self.pieces, dim=-1))


@dataclass(frozen=True)
class Activation:
    """A row of `ACTIVATIONS`.

    Parameters
    ----------
    layer : callable
        Builds the module.
    summary, source : str
        Its formula, and where it is from.
    use : str, default=""
        When to use it.
    function : callable, default=None
        Takes the inputs z and gives the outputs h; it may take the memory of z where
        `derivative` does without z. With it, prediction does without `layer`.
    derivative : callable, default=None
        Takes the gradient g by the outputs, z and h, and gives the gradient by the
        inputs; it may take the memory of g. It needs a `function`. None leaves the
        gradient to autograd.
    onnx : callable, default=None
        Takes a graph, the name of the inputs z, the layer and the size of the last axis
        of z; adds nodes, and gives the name of the outputs h. None cannot be exported.
    init_factor : float, default=6.0
        Numerator of scikit-learn's Glorot bound, sqrt(init_factor / (in + out)).
    has_pieces : bool, default=False
        Whether a unit is made of several linear pieces; `layer` then takes their
        number.
    has_slopes : bool, default=False
        Whether a unit has a learned slope; `layer` then takes the slopes' shape.
    """

    layer: Callable[..., nn.Module]
    summary: str
    source: str
    use: str = ""
    function: Callable[[Tensor], Tensor] | None = None
    derivative: Callable[[Tensor, Tensor, Tensor], Tensor] | None = None
    onnx: Callable[[Graph, str, Any, int], str] | None = None
    init_factor: float = 6.0
    has_pieces: bool = False
    has_slopes: bool = False

    def build(self, shape: tuple[int, ...], pieces: int) -> nn.Module:
        """Build the layer for units of the given shape."""
        if self.has_pieces:
            return self.layer(pieces)
        return self.layer(*shape) if self.has_slopes else self.layer()


def _rectified(graph: Graph, z: str, slope: ArrayLike) -> str:
    return graph("Add", graph("Relu", z), graph("Mul", graph("Min", z, 0.0), slope))


def _elu(graph: Graph, z: str, alpha: float = 1.0) -> str:
    below = graph("Sub", graph("Exp", graph("Min", z, 0.0)), 1.0)
    return graph("Add", graph("Relu", z), graph("Mul", below, alpha))


def _gelu(graph: Graph, z: str) -> str:
    # onnxruntime has the error function in float32 only
    scaled = graph.cast(graph("Mul", z, math.sqrt(0.5)), np.float32)
    erf = graph.cast(graph("Erf", scaled), graph.dtype)
    return graph("Mul", graph("Mul", z, 0.5), graph("Add", erf, 1.0))


def _softplus(graph: Graph, z: str) -> str:
    below = graph("Exp", graph("Neg", graph("Abs", z)))
    return graph("Add", graph("Relu", z), graph("Log", graph("Add", below, 1.0)))


def _maxout(graph: Graph, z: str, layer: Maxout, n_values: int) -> str:
    n_units = n_values // layer.pieces
    starts = range(0, n_values, n_units)
    pieces = [graph("Slice", z, [start], [start + n_units], [-1]) for start in starts]
    return graph("Max", *pieces)


ACTIVATIONS: dict[str, Activation] = {
    "identity": Activation(
        nn.Identity,
        "z",
        'B. Widrow and M. Hoff, "Adaptive switching circuits", IRE WESCON 1960.',
        use="For a linear network, such as a yardstick.",
        function=lambda z: z,
        derivative=lambda g, z, h: g,
        onnx=lambda graph, z, *_: z,
    ),
    "logistic": Activation(
        nn.Sigmoid,
        "1 / (1 + exp(-z))",
        'D. Rumelhart, G. Hinton and R. Williams, "Learning representations by'
        ' back-propagating errors", Nature 1986.',
        use="In one hidden layer, where outputs in (0, 1) are wanted. Its slope "
        "is 1/4 at most: in deep networks gradients vanish.",
        function=torch.sigmoid_,
        derivative=lambda g, z, h: aten.sigmoid_backward.grad_input(g, h, grad_input=g),
        onnx=lambda graph, z, *_: graph("Sigmoid", z),
        init_factor=2.0,
    ),
    "tanh": Activation(
        nn.Tanh,
        "tanh(z)",
        'Y. LeCun, L. Bottou, G. Orr and K.-R. Mueller, "Efficient backprop", in Neural'
        " Networks: Tricks of the Trade, 1998.",
        use="In small networks, and for smooth functions. It saturates as the "
        "logistic function does, but is centred at 0.",
        function=torch.tanh_,
        derivative=lambda g, z, h: aten.tanh_backward.grad_input(g, h, grad_input=g),
        onnx=lambda graph, z, *_: graph("Tanh", z),
    ),
    "relu": Activation(
        nn.ReLU,
        "max(0, z)",
        'X. Glorot, A. Bordes and Y. Bengio, "Deep sparse rectifier neural networks",'
        " AISTATS 2011.",
        use="The default: quick, and its gradient does not vanish. Units that are "
        "never on are dead; then try leaky_relu, or a lower rate.",
        function=torch.relu_,
        derivative=lambda g, z, h: aten.threshold_backward.grad_input(
            g, h, 0, grad_input=g
        ),
        onnx=lambda graph, z, *_: graph("Relu", z),
    ),
    "leaky_relu": Activation(
        nn.LeakyReLU,
        "max(0, z) + 0.01 min(0, z)",
        'A. Maas, A. Hannun and A. Ng, "Rectifier nonlinearities improve neural network'
        ' acoustic models", ICML 2013.',
        use="Where units of relu die.",
        function=F.leaky_relu,
        derivative=lambda g, z, h: aten.leaky_relu_backward.grad_input(
            g, z, 0.01, False, grad_input=g
        ),
        onnx=lambda graph, z, *_: _rectified(graph, z, 0.01),
    ),
    "prelu": Activation(
        PReLU,
        "max(0, z) + slope min(0, z), with a learned slope per unit, not penalised",
        'K. He, X. Zhang, S. Ren and J. Sun, "Delving deep into rectifiers: surpassing'
        ' human-level performance on ImageNet classification", ICCV 2015.',
        use="Where there are rows enough to learn the slopes, too.",
        has_slopes=True,
        onnx=lambda graph, z, layer, _: _rectified(
            graph, z, layer.slope.numpy(force=True)
        ),
    ),
    "elu": Activation(
        nn.ELU,
        "z if z > 0, else exp(z) - 1",
        'D.-A. Clevert, T. Unterthiner and S. Hochreiter, "Fast and accurate deep'
        ' network learning by exponential linear units (ELUs)", ICLR 2016.',
        use="Where outputs of mean near 0 help, as in deep networks without "
        "normalization.",
        function=F.elu,
        derivative=lambda g, z, h: aten.elu_backward.grad_input(
            g, 1, 1, 1, False, z, grad_input=g
        ),
        onnx=lambda graph, z, *_: _elu(graph, z),
    ),
    "selu": Activation(
        nn.SELU,
        "1.0507 z if z > 0, else 1.7581 (exp(z) - 1)",
        'G. Klambauer, T. Unterthiner, A. Mayr and S. Hochreiter, "Self-normalizing'
        ' neural networks", NeurIPS 2017.',
        use="In deep networks without normalization, with standardised inputs, "
        "weight_init='lecun_normal' and dropout_type='alpha'.",
        function=torch.selu,
        derivative=lambda g, z, h: aten.elu_backward.grad_input(
            g, SELU_ALPHA, SELU_SCALE, 1, False, z, grad_input=g
        ),
        onnx=lambda graph, z, *_: graph("Mul", _elu(graph, z, SELU_ALPHA), SELU_SCALE),
    ),
    "gelu": Activation(
        nn.GELU,
        "z Phi(z), with the normal distribution function Phi",
        'D. Hendrycks and K. Gimpel, "Gaussian error linear units (GELUs)", arXiv'
        " 2016.",
        use="A smooth relu; the usual one of transformers.",
        function=F.gelu,
        derivative=lambda g, z, h: aten.gelu_backward.grad_input(g, z, grad_input=g),
        onnx=lambda graph, z, *_: _gelu(graph, z),
    ),
    "silu": Activation(
        nn.SiLU,
        "z / (1 + exp(-z)), also called swish",
        'S. Elfwing, E. Uchibe and K. Doya, "Sigmoid-weighted linear units for neural'
        ' network function approximation in reinforcement learning", Neural Networks'
        " 2018.",
        use="A smooth relu; the one that often does best in deep networks on tables.",
        function=F.silu,
        derivative=lambda g, z, h: aten.silu_backward.grad_input(g, z, grad_input=g),
        onnx=lambda graph, z, *_: graph("Mul", z, graph("Sigmoid", z)),
    ),
    "mish": Activation(
        nn.Mish,
        "z tanh(log(1 + exp(z)))",
        'D. Misra, "Mish: a self regularized non-monotonic activation function", BMVC'
        " 2020.",
        use="As silu, at a higher price.",
        function=F.mish,
        derivative=lambda g, z, h: aten.mish_backward.default(g, z),
        onnx=lambda graph, z, *_: graph("Mul", z, graph("Tanh", _softplus(graph, z))),
    ),
    "softplus": Activation(
        nn.Softplus,
        "log(1 + exp(z))",
        'C. Dugas, Y. Bengio, F. Belisle, C. Nadeau and R. Garcia, "Incorporating'
        ' second-order functional knowledge for better option pricing", NIPS 2000.',
        use="A smooth relu whose slope never is 0; where the function that is "
        "learned must be smooth.",
        function=F.softplus,
        derivative=lambda g, z, h: aten.softplus_backward.grad_input(
            g, z, 1, 20, grad_input=g
        ),
        onnx=lambda graph, z, *_: _softplus(graph, z),
    ),
    "hard_tanh": Activation(
        nn.Hardtanh,
        "min(1, max(-1, z))",
        'R. Collobert, "Large scale machine learning", thesis, Universite Paris 6,'
        " 2004.",
        use="As tanh, but cheaper; saturated units have no gradient at all.",
        function=F.hardtanh,
        derivative=lambda g, z, h: aten.hardtanh_backward.grad_input(
            g, z, -1, 1, grad_input=g
        ),
        onnx=lambda graph, z, *_: graph("Clip", z, -1.0, 1.0),
    ),
    "maxout": Activation(
        Maxout,
        "the largest of `maxout_pieces` linear functions of the layer before",
        'I. Goodfellow, D. Warde-Farley, M. Mirza, A. Courville and Y. Bengio, "Maxout'
        ' networks", ICML 2013.',
        use="To let each unit learn its own shape, best with dropout. It has "
        "maxout_pieces times the weights.",
        has_pieces=True,
        onnx=_maxout,
    ),
}


def get_activation(activation: str | type[nn.Module]) -> Activation:
    """Look a name up in `ACTIVATIONS`; a module class is a row of its own."""
    if isinstance(activation, str):
        return ACTIVATIONS[activation]
    return Activation(activation, "a layer of one's own", "")
