"""The network as nodes of ONNX.

What the package names in its tables has a form here, in a table of the same keys: a
function that adds nodes to a graph and gives the name of their result. Forms are made
of operators that onnxruntime has in float32 and in float64.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sk_deep.activations import SELU_ALPHA, SELU_SCALE, Maxout
from sk_deep.network import MLP, Hidden, Linear


@dataclass(frozen=True)
class Graph:
    """A graph that nodes are added to.

    Parameters
    ----------
    scope, container : Scope, ModelComponentContainer
        Those of skl2onnx.
    dtype : dtype
        Of the numbers.
    """

    scope: Any
    container: Any
    dtype: np.dtype

    def __call__(
        self, op: str, *inputs: str | ArrayLike, output: str = "", **attributes: Any
    ) -> str:
        """Add a node; what is no name is a constant; give the name of its output."""
        names = [x if isinstance(x, str) else self._constant(x) for x in inputs]
        output = output or self.scope.get_unique_variable_name(op.lower())
        name = self.scope.get_unique_operator_name(op)
        self.container.add_node(op, names, output, name=name, **attributes)
        return output

    def cast(self, x: str, dtype: Any) -> str:
        """Take values to another dtype."""
        from onnx.helper import np_dtype_to_tensor_dtype

        return self("Cast", x, to=np_dtype_to_tensor_dtype(np.dtype(dtype)))

    def mean(self, x: str, axis: int, size: int, keepdims: int = 1) -> str:
        """Average over an axis of known size."""
        total = self("ReduceSum", x, [axis], keepdims=keepdims)
        return self("Mul", total, 1 / size)

    def _constant(self, value: ArrayLike) -> str:
        from onnx import TensorProto, numpy_helper

        array, name = np.asarray(value), self.scope.get_unique_variable_name("constant")
        if array.dtype.kind == "U":
            text = [label.encode() for label in array]
            add = self.container.add_initializer
            add(name, TensorProto.STRING, array.shape, text)
            return name
        array = np.asarray(array, self.dtype if array.dtype.kind == "f" else np.int64)
        self.container.add_initializer(name, None, None, numpy_helper.from_array(array))
        return name


Pointwise = Callable[[str], str]


def raw_outputs(graph: Graph, module: MLP, x: str) -> str:
    """Compute the outputs before the inverse link, member by member in a stack."""
    if module.embeddings is not None:
        x = _embedded(graph, module, x)
    for layer, activation in zip(
        module.hidden_layers(), module.architecture.activation, strict=True
    ):
        h = _hidden(graph, module, layer, activation, x)
        x = graph("Add", x, h) if layer.skips else h
    return _affine(graph, x, *_weight_and_bias(module.output))


def _embedded(graph: Graph, module: MLP, x: str) -> str:
    """Set periodic embeddings beside the numbers, which come first."""
    embeddings: Any = module.embeddings
    periodic = embeddings.periodic
    frequency, weight, bias = (_array(p) for p in periodic.parameters())
    members, n_numbers = list(module.members), periodic.n_numbers
    numbers = graph("Gather", x, list(range(n_numbers)), axis=1)
    columns = graph("Unsqueeze", graph("Transpose", numbers, perm=[1, 0]), [-1])
    angles = graph("Mul", columns, 2 * math.pi * frequency)
    quarter = graph("Add", angles, math.pi / 2)
    waves = graph("Concat", graph("Sin", angles), graph("Sin", quarter), axis=-1)
    values = graph("Relu", _affine(graph, waves, weight, bias))
    axes = [*range(len(members)), len(members) + 1, len(members), len(members) + 2]
    values = graph("Transpose", values, perm=axes)
    values = graph("Reshape", values, [*members, -1, n_numbers * weight.shape[-1]])
    if members:
        x = graph("Add", x, np.zeros((*members, 1, 1)))  # to each member
    return graph("Concat", x, values, axis=-1)


def _hidden(graph: Graph, module: MLP, layer: Hidden, activation: str, x: str) -> str:
    a = module.architecture

    def normalize(z: str) -> str:
        if layer.normalization is None:
            return z
        return _NORMALIZATIONS[a.normalization](graph, layer, z)

    def activate(z: str) -> str:
        return _ACTIVATIONS[activation](graph, layer, z)

    form = _without_noise if layer.dropout is None else _DROPOUTS[a.dropout_type]
    return form(graph, layer, x, normalize, activate)


def _weight_and_bias(linear: Linear) -> tuple[NDArray, NDArray]:
    """Take the weights and the biases, those of a row: (..., 1, n_out)."""
    return _array(linear.weight), _array(linear.bias)[..., np.newaxis, :]


def _affine(graph: Graph, x: str, weight: NDArray, bias: NDArray) -> str:
    return graph("Add", graph("MatMul", x, weight), bias)


def _array(tensor: Any) -> NDArray:
    return tensor.numpy(force=True)


# ---- forms of the dropouts, in prediction ------------------------------------------


def _without_noise(
    graph: Graph, layer: Hidden, x: str, normalize: Pointwise, activate: Pointwise
) -> str:
    z = _affine(graph, x, *_weight_and_bias(layer.linear))
    return activate(normalize(z))


def _standout(
    graph: Graph, layer: Hidden, x: str, normalize: Pointwise, activate: Pointwise
) -> str:
    """Multiply by the probabilities of keeping the units."""
    dropout: Any = layer.dropout
    z = normalize(_affine(graph, x, *_weight_and_bias(layer.linear)))
    h = activate(z)
    z = h if isinstance(layer.activation, Maxout) else z
    shift = dropout.beta - _array(dropout.kept_p.logit())
    logit = graph("Add", graph("Mul", z, float(dropout.alpha)), shift)
    return graph("Mul", h, graph("Sigmoid", logit))


def _dropconnect(
    graph: Graph, layer: Hidden, x: str, normalize: Pointwise, activate: Pointwise
) -> str:
    """Take the mean over a quadrature along a first axis; or that of the weights."""
    dropout: Any = layer.dropout
    if dropout.inference == "mean":
        return _without_noise(graph, layer, x, normalize, activate)
    weight, bias = _weight_and_bias(layer.linear)
    mean = _affine(graph, x, weight, bias)
    squares = _affine(graph, graph("Mul", x, x), weight**2, bias**2)
    odds = _array(dropout.kept_p / (1 - dropout.kept_p))
    spread = graph("Sqrt", graph("Mul", squares, odds))
    nodes, weights = (
        values.reshape(-1, *[1] * weight.ndim)
        for values in np.polynomial.hermite_e.hermegauss(dropout.n_nodes)
    )
    z = graph("Add", mean, graph("Mul", nodes, spread))
    weights = weights / math.sqrt(2 * math.pi)
    values = graph("Mul", activate(normalize(z)), weights)
    return graph("ReduceSum", values, [0], keepdims=0)


_DROPOUTS: dict[str, Callable[..., str]] = {
    "standard": _without_noise,
    "gaussian": _without_noise,
    "alpha": _without_noise,
    "standout": _standout,
    "dropconnect": _dropconnect,
}


# ---- forms of the normalizations ---------------------------------------------------


def _batch_norm(graph: Graph, layer: Hidden, z: str) -> str:
    """Normalise by the running moments."""
    norm: Any = layer.normalization
    scale = _array(norm.scale * (norm.running_var + norm.eps).rsqrt())
    centred = graph("Sub", z, _array(norm.running_mean))
    return graph("Add", graph("Mul", centred, scale), _array(norm.shift))


def _layer_norm(graph: Graph, layer: Hidden, z: str) -> str:
    norm: Any = layer.normalization
    n_units = norm.shape[-1]
    centred = graph("Sub", z, graph.mean(z, -1, n_units))
    variance = graph.mean(graph("Mul", centred, centred), -1, n_units)
    deviation = graph("Sqrt", graph("Add", variance, 1e-5))
    scaled = graph("Mul", graph("Div", centred, deviation), _array(norm.scale))
    return graph("Add", scaled, _array(norm.shift))


_NORMALIZATIONS: dict[str, Callable[[Graph, Hidden, str], str]] = {
    "batch": _batch_norm,
    "layer": _layer_norm,
}


# ---- forms of the activations and of the links -------------------------------------


def _leaky(graph: Graph, z: str, slope: ArrayLike) -> str:
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


def _prelu(graph: Graph, layer: Hidden, z: str) -> str:
    activation: Any = layer.activation
    return _leaky(graph, z, _array(activation.slope))


def _maxout(graph: Graph, layer: Hidden, z: str) -> str:
    activation: Any = layer.activation
    n_units = layer.linear.weight.shape[-1] // activation.pieces
    starts = range(0, activation.pieces * n_units, n_units)
    pieces = [graph("Slice", z, [start], [start + n_units], [-1]) for start in starts]
    return graph("Max", *pieces)


_ACTIVATIONS: dict[str, Callable[[Graph, Hidden, str], str]] = {
    "identity": lambda g, layer, z: z,
    "logistic": lambda g, layer, z: g("Sigmoid", z),
    "tanh": lambda g, layer, z: g("Tanh", z),
    "relu": lambda g, layer, z: g("Relu", z),
    "leaky_relu": lambda g, layer, z: _leaky(g, z, 0.01),
    "prelu": _prelu,
    "elu": lambda g, layer, z: _elu(g, z),
    "selu": lambda g, layer, z: g("Mul", _elu(g, z, SELU_ALPHA), SELU_SCALE),
    "gelu": lambda g, layer, z: _gelu(g, z),
    "silu": lambda g, layer, z: g("Mul", z, g("Sigmoid", z)),
    "mish": lambda g, layer, z: g("Mul", z, g("Tanh", _softplus(g, z))),
    "softplus": lambda g, layer, z: _softplus(g, z),
    "hard_tanh": lambda g, layer, z: g("Clip", z, -1.0, 1.0),
    "maxout": _maxout,
}

_LINKS: dict[str, Callable[[Graph, str], str]] = {
    "identity": lambda g, raw: raw,
    "logistic": lambda g, raw: g("Sigmoid", raw),
    "softmax": lambda g, raw: g("Softmax", raw, axis=-1),
    "exp": lambda g, raw: g("Exp", raw),
}


def activated(graph: Graph, link: str, raw: str) -> str:
    """Activate the output units, by the name of an inverse link."""
    return _LINKS[link](graph, raw)
