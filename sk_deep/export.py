"""Export to ONNX: the network in prediction, and the pipeline before it.

The graph is built from the description of the network. What the package names in its
tables has a form here, in a table of the same keys: a function that adds nodes to a
graph and gives the name of their result. Forms are made of operators that onnxruntime
has in float32 and in float64. Converters are registered with skl2onnx, which converts
the other steps of a pipeline.
"""

import math
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, is_classifier
from sklearn.compose import ColumnTransformer
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_is_fitted

from sk_deep._classifier import MLPClassifier
from sk_deep._compat import BaseSearchCV, columns_of_transformers
from sk_deep._files import atomic_write
from sk_deep._regressor import MLPRegressor
from sk_deep.activations import SELU_ALPHA, SELU_SCALE, Maxout
from sk_deep.network import MLP, Hidden, Linear

MIN_OPSET = 13  # since which softmax acts on one axis and sums take axes as inputs
MAX_BYTES = 2**31 - 1  # of a protobuf message


def to_onnx(
    estimator: BaseEstimator, path: str | os.PathLike, *, opset: int | None = None
) -> None:
    """Write a fitted network, or a pipeline that ends in one, as a file of ONNX.

    Parameters
    ----------
    estimator : estimator
        A fitted `MLPClassifier` or `MLPRegressor`, a `Pipeline` whose other steps
        skl2onnx can convert, or a search over either, of which `best_estimator_` is
        written.

    path : str or path-like
        Where the file shall be. It is written whole or not at all.

    opset : int, default=None
        Version of ONNX's operators, from 13 on; None is the newest that skl2onnx
        knows.

    Raises
    ------
    ImportError
        If skl2onnx is not installed.
    NotFittedError
        If the estimator is not fitted.
    TypeError
        If it is no estimator.
    ValueError
        If `opset` is out of range, the file would be larger than 2 GB, or the network
        has what ONNX cannot express: an activation of one's own, or class labels that
        are neither strings nor integers.

    See Also
    --------
    sk_deep.export.register : Let skl2onnx itself convert the networks.

    Notes
    -----
    A classifier has the outputs `label`, of int64 or strings, and `probabilities`, what
    `predict_proba` gives, or `decision_function` where there are no probabilities; a
    regressor has `variable`, of shape (n_samples, n_outputs).

    A network alone has one input `X` of its own dtype. A pipeline takes numbers as
    float32. It has one input `X`, too, or one of shape (n_samples, 1) for each column
    that is used: if it begins with a `ColumnTransformer` that was fitted to named
    columns, or takes text beside numbers.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> import onnxruntime
    >>> from sk_deep import MLPClassifier, to_onnx
    >>> from sklearn.datasets import load_iris
    >>> X, y = load_iris(return_X_y=True)
    >>> model = MLPClassifier(8, max_iter=5, n_iter_no_change=5).fit(X, y)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     to_onnx(model, Path(folder) / "model.onnx")
    ...     session = onnxruntime.InferenceSession(Path(folder) / "model.onnx")
    >>> label, probabilities = session.run(None, {"X": X})
    >>> bool((label == model.predict(X)).all())
    True
    """
    _check_skl2onnx()
    import skl2onnx

    check_is_fitted(estimator)
    opset = _checked_opset(opset)
    register()
    estimator = _plain(estimator)
    inputs = _inputs(estimator)
    model = skl2onnx.to_onnx(
        estimator,
        initial_types=inputs,
        options={"zipmap": False} if is_classifier(estimator) else None,
        target_opset=opset,
    )
    _settle_inputs(model.graph, [name for name, _ in inputs])
    _check_size(model.ByteSize())
    with atomic_write(path) as file:
        file.write(model.SerializeToString(deterministic=True))


def register() -> None:
    """Let skl2onnx convert the networks, alone or wherever it meets them."""
    _check_skl2onnx()
    from skl2onnx import update_registered_converter

    update_registered_converter(
        MLPClassifier,
        "SkDeepMLPClassifier",
        _set_types_of_classifier,
        _convert_classifier,
        options={
            "zipmap": [True, False, "columns"],
            "output_class_labels": [False, True],
            "nocl": [True, False],
        },
    )
    update_registered_converter(
        MLPRegressor, "SkDeepMLPRegressor", _set_types_of_regressor, _convert_regressor
    )


def _check_skl2onnx() -> None:
    try:
        import skl2onnx  # noqa: F401
    except ImportError as error:
        raise ImportError(
            'to_onnx needs skl2onnx: pip install "sk_deep[onnx]".'
        ) from error


def _checked_opset(opset: int | None) -> int:
    from skl2onnx import get_latest_tested_opset_version

    newest = get_latest_tested_opset_version()
    opset = newest if opset is None else opset
    if not isinstance(opset, int | np.integer) or not MIN_OPSET <= opset <= newest:
        raise ValueError(
            f"opset must be an integer in [{MIN_OPSET}, {newest}], however: {opset=}."
        )
    return int(opset)


def _check_size(n_bytes: int) -> None:
    if n_bytes > MAX_BYTES:
        raise ValueError(
            f"a file of ONNX must be smaller than 2 GB, however: {n_bytes} bytes."
        )


# ---- what a pipeline takes ---------------------------------------------------------


def _plain(estimator: Any) -> Any:
    """Take the best estimators of searches, and the steps of a pipeline that act."""
    if isinstance(estimator, BaseSearchCV):
        if not hasattr(estimator, "best_estimator_"):
            raise ValueError(
                "a search must have refitted its best estimator to be exported, "
                f"however: refit={estimator.refit!r}."
            )
        return _plain(estimator.best_estimator_)
    if isinstance(estimator, Pipeline):
        return Pipeline([(name, _plain(step)) for name, step in _acting(estimator)])
    return estimator


def _acting(pipeline: Pipeline) -> list[tuple[str, Any]]:
    """List the steps that do something."""
    return [pair for pair in pipeline.steps if pair[1] not in (None, "passthrough")]


def _inputs(estimator: Any) -> list[tuple[str, Any]]:
    """Name and type the inputs."""
    from skl2onnx.common.data_types import (
        DoubleTensorType,
        FloatTensorType,
        StringTensorType,
    )

    n_columns = getattr(estimator, "n_features_in_", 1)
    names = getattr(estimator, "feature_names_in_", None)
    first = _first_step(estimator)
    number = DoubleTensorType if _is_of_float64(estimator) else FloatTensorType
    text = set(_columns_of_text(first, list(range(n_columns))))
    is_by_name = names is not None and isinstance(first, ColumnTransformer)
    if not is_by_name and len(text) in (0, n_columns):
        kind = StringTensorType if text else number
        return [("X", kind([None, n_columns]))]
    names = [f"x{i}" for i in range(n_columns)] if names is None else names
    return [
        (name, (StringTensorType if i in text else number)([None, 1]))
        for i, name in enumerate(names)
    ]


def _is_of_float64(estimator: Any) -> bool:
    """Whether it is a network of float64, alone."""
    net = getattr(estimator, "net_", None)
    return net is not None and net.module_.flat.dtype == torch.float64


def _first_step(estimator: Any) -> Any:
    """Take what the inputs come to first."""
    while isinstance(estimator, Pipeline) and _acting(estimator):
        estimator = _acting(estimator)[0][1]
    return estimator


def _columns_of_text(step: Any, columns: list[int]) -> Iterator[int]:
    """List those of the columns that a fitted step has seen text in."""
    step = _first_step(step)
    if isinstance(step, ColumnTransformer):
        for inner, own in columns_of_transformers(step):
            yield from _columns_of_text(inner, [columns[i] for i in own])
    elif hasattr(step, "vocabulary_"):
        yield from columns
    else:
        seen = getattr(step, "categories_", getattr(step, "statistics_", ()))
        for column, values in zip(columns, seen, strict=False):
            if any(isinstance(value, str) for value in np.ravel(values)):
                yield column


def _settle_inputs(graph: Any, names: list[str]) -> None:
    """Restore names, of which skl2onnx makes identifiers; drop what is not used."""
    given = {value.name: name for value, name in zip(graph.input, names, strict=True)}
    for node in graph.node:
        node.input[:] = [given.get(name, name) for name in node.input]
    used = {name for node in graph.node for name in node.input}
    for value in list(graph.input):
        value.name = given[value.name]
        if value.name not in used:
            graph.input.remove(value)


# ---- the converters of skl2onnx ----------------------------------------------------


def _labels(scope: Any, model: MLPClassifier) -> NDArray:
    """Take the class labels as strings or integers."""
    from skl2onnx.common.utils_classifier import get_label_classes

    classes = get_label_classes(scope, model)
    if all(isinstance(label, str) for label in classes):
        return classes.astype(str)
    try:
        labels = classes.astype(np.int64)
    except (TypeError, ValueError):
        labels = None
    if labels is None or not np.array_equal(labels, classes):
        raise ValueError(
            "class labels must be strings or integers to be exported, however: "
            f"{classes.tolist()}."
        )
    return labels


def _takes_float64(operator: Any) -> bool:
    """Whether the inputs are of float64; as in prediction, outputs then are, too."""
    from skl2onnx.common.data_types import DoubleTensorType

    return isinstance(operator.inputs[0].type, DoubleTensorType)


def _numbers(operator: Any, n_columns: int) -> Any:
    """Make the type of outputs that are numbers."""
    from skl2onnx.common.data_types import DoubleTensorType, FloatTensorType

    kind = DoubleTensorType if _takes_float64(operator) else FloatTensorType
    return kind([operator.inputs[0].get_first_dimension(), n_columns])


def _set_types_of_classifier(operator: Any) -> None:
    from skl2onnx.common.data_types import Int64TensorType, StringTensorType

    model, n_rows = operator.raw_operator, operator.inputs[0].get_first_dimension()
    has_scores = not hasattr(model, "predict_proba")
    n_columns = model.n_outputs_ if has_scores else len(model.classes_)
    is_multilabel = model._target_type == "multilabel-indicator"
    is_text = _labels(operator.scope_inst, model).dtype.kind == "U"
    label = StringTensorType if is_text else Int64TensorType
    shape = [n_rows, len(model.classes_)] if is_multilabel else [n_rows]
    operator.outputs[0].set_type(label(shape))
    operator.outputs[1].set_type(_numbers(operator, n_columns))


def _set_types_of_regressor(operator: Any) -> None:
    operator.outputs[0].set_type(_numbers(operator, operator.raw_operator.n_outputs_))


def _convert_classifier(scope: Any, operator: Any, container: Any) -> None:
    model, (label, probabilities) = operator.raw_operator, operator.outputs
    graph, outputs = _outputs(scope, operator, container)
    decisions = _decisions(graph, model, outputs)
    graph("Identity", decisions, output=label.full_name)
    if model._target_type == "binary" and hasattr(model, "predict_proba"):
        outputs = _both(graph, outputs, len(model.classes_))
    graph("Identity", outputs, output=probabilities.full_name)


def _decisions(graph: "_Graph", model: MLPClassifier, outputs: str) -> str:
    """Decide as `predict` does."""
    labels = _labels(graph.scope, model)
    if model._target_type == "multiclass":
        indices = graph("ArgMax", outputs, axis=-1, keepdims=0)
        return graph("Gather", labels, indices)
    is_positive = graph("Greater", outputs, float(model._threshold))
    decisions = graph.cast(is_positive, np.int64)
    if model._target_type == "multilabel-indicator":
        return decisions
    two = np.resize(labels, 2)  # a constant target has one
    return graph("Gather", two, graph("Reshape", decisions, [-1]))


def _both(graph: "_Graph", positive: str, n_classes: int) -> str:
    """Give the probabilities of the classes from that of the positive one."""
    negative = graph("Sub", 1.0, positive)
    if n_classes == 1:
        return graph("Add", negative, positive)
    return graph("Concat", negative, positive, axis=-1)


def _convert_regressor(scope: Any, operator: Any, container: Any) -> None:
    graph, outputs = _outputs(scope, operator, container)
    graph("Identity", outputs, output=operator.outputs[0].full_name)


def _outputs(scope: Any, operator: Any, container: Any) -> tuple["_Graph", str]:
    """Add the network, its output link, and the mean over its members."""
    net = operator.raw_operator.net_
    module: MLP = net.module_
    _check_network(module)
    graph = _Graph(scope, container, np.dtype(module.architecture["dtype"]))
    inputs = [graph.cast(x.full_name, graph.dtype) for x in operator.inputs]
    x = graph("Concat", *inputs, axis=-1) if len(inputs) > 1 else inputs[0]
    raw = _raw(graph, module, x)
    dtype = np.dtype("float64" if _takes_float64(operator) else "float32")
    graph = replace(graph, dtype=dtype)
    outputs = _LINKS[net.criterion_.term.link](graph, graph.cast(raw, dtype))
    if module.members:
        outputs = graph.mean(outputs, 0, module.members[0], keepdims=0)
    return graph, outputs


def _check_network(module: MLP) -> None:
    for activation in module.architecture["activation"]:
        if not isinstance(activation, str):
            raise ValueError(
                "activation must be a key of sk_deep.activations.ACTIVATIONS to be "
                f"exported, however: {activation}."
            )
    _check_size(module.flat.nbytes)


# ---- the network -------------------------------------------------------------------


@dataclass(frozen=True)
class _Graph:
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


def _raw(graph: _Graph, module: MLP, x: str) -> str:
    """Compute the outputs before the inverse link, member by member in a stack."""
    for layer, activation in zip(
        module.hidden_layers(), module.architecture["activation"], strict=True
    ):
        h = _hidden(graph, module, layer, activation, x)
        x = graph("Add", x, h) if layer.skips else h
    return _affine(graph, x, *_weight_and_bias(module.output))


def _hidden(graph: _Graph, module: MLP, layer: Hidden, activation: str, x: str) -> str:
    a = module.architecture

    def normalize(z: str) -> str:
        if layer.normalization is None:
            return z
        return _NORMALIZATIONS[a["normalization"]](graph, layer, z)

    def activate(z: str) -> str:
        return _ACTIVATIONS[activation](graph, layer, z)

    form = _without_noise if layer.dropout is None else _DROPOUTS[a["dropout_type"]]
    return form(graph, layer, x, normalize, activate)


def _weight_and_bias(linear: Linear) -> tuple[NDArray, NDArray]:
    """Take the weights and the biases, those of a row: (..., 1, n_out)."""
    return _array(linear.weight), _array(linear.bias)[..., np.newaxis, :]


def _affine(graph: _Graph, x: str, weight: NDArray, bias: NDArray) -> str:
    return graph("Add", graph("MatMul", x, weight), bias)


def _array(tensor: Any) -> NDArray:
    return tensor.numpy(force=True)


# ---- forms of the dropouts, in prediction ------------------------------------------


def _without_noise(
    graph: _Graph, layer: Hidden, x: str, normalize: Pointwise, activate: Pointwise
) -> str:
    z = _affine(graph, x, *_weight_and_bias(layer.linear))
    return activate(normalize(z))


def _standout(
    graph: _Graph, layer: Hidden, x: str, normalize: Pointwise, activate: Pointwise
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
    graph: _Graph, layer: Hidden, x: str, normalize: Pointwise, activate: Pointwise
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


def _batch_norm(graph: _Graph, layer: Hidden, z: str) -> str:
    """Normalise by the running moments."""
    norm: Any = layer.normalization
    scale = _array(norm.scale * (norm.running_var + norm.eps).rsqrt())
    centred = graph("Sub", z, _array(norm.running_mean))
    return graph("Add", graph("Mul", centred, scale), _array(norm.shift))


def _layer_norm(graph: _Graph, layer: Hidden, z: str) -> str:
    norm: Any = layer.normalization
    n_units = norm.shape[-1]
    centred = graph("Sub", z, graph.mean(z, -1, n_units))
    variance = graph.mean(graph("Mul", centred, centred), -1, n_units)
    deviation = graph("Sqrt", graph("Add", variance, 1e-5))
    scaled = graph("Mul", graph("Div", centred, deviation), _array(norm.scale))
    return graph("Add", scaled, _array(norm.shift))


_NORMALIZATIONS: dict[str, Callable[[_Graph, Hidden, str], str]] = {
    "batch": _batch_norm,
    "layer": _layer_norm,
}


# ---- forms of the activations and of the links -------------------------------------


def _leaky(graph: _Graph, z: str, slope: ArrayLike) -> str:
    return graph("Add", graph("Relu", z), graph("Mul", graph("Min", z, 0.0), slope))


def _elu(graph: _Graph, z: str, alpha: float = 1.0) -> str:
    below = graph("Sub", graph("Exp", graph("Min", z, 0.0)), 1.0)
    return graph("Add", graph("Relu", z), graph("Mul", below, alpha))


def _gelu(graph: _Graph, z: str) -> str:
    # onnxruntime has the error function in float32 only
    scaled = graph.cast(graph("Mul", z, math.sqrt(0.5)), np.float32)
    erf = graph.cast(graph("Erf", scaled), graph.dtype)
    return graph("Mul", graph("Mul", z, 0.5), graph("Add", erf, 1.0))


def _softplus(graph: _Graph, z: str) -> str:
    below = graph("Exp", graph("Neg", graph("Abs", z)))
    return graph("Add", graph("Relu", z), graph("Log", graph("Add", below, 1.0)))


def _prelu(graph: _Graph, layer: Hidden, z: str) -> str:
    activation: Any = layer.activation
    return _leaky(graph, z, _array(activation.slope))


def _maxout(graph: _Graph, layer: Hidden, z: str) -> str:
    activation: Any = layer.activation
    n_units = layer.linear.weight.shape[-1] // activation.pieces
    starts = range(0, activation.pieces * n_units, n_units)
    pieces = [graph("Slice", z, [start], [start + n_units], [-1]) for start in starts]
    return graph("Max", *pieces)


_ACTIVATIONS: dict[str, Callable[[_Graph, Hidden, str], str]] = {
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

_LINKS: dict[str, Callable[[_Graph, str], str]] = {
    "identity": lambda g, raw: raw,
    "logistic": lambda g, raw: g("Sigmoid", raw),
    "softmax": lambda g, raw: g("Softmax", raw, axis=-1),
    "exp": lambda g, raw: g("Exp", raw),
}
