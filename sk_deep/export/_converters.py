"""The converters of the networks, for skl2onnx."""

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sk_deep._classifier import MLPClassifier
from sk_deep._estimator.base_classifier import BaseMLPClassifier
from sk_deep._onnx import Graph
from sk_deep._regressor import MLPRegressor
from sk_deep._tabular import TabularMLPClassifier, TabularMLPRegressor
from sk_deep.export._columns import encoded
from sk_deep.network import MLP

MAX_BYTES = 2**31 - 1  # of a protobuf message


def register() -> None:
    """Let skl2onnx convert the networks, alone or wherever it meets them."""
    check_skl2onnx()
    from skl2onnx import update_registered_converter

    options = {
        "zipmap": [True, False, "columns"],
        "output_class_labels": [False, True],
        "nocl": [True, False],
    }
    classifiers: list[type] = [MLPClassifier, TabularMLPClassifier]
    regressors: list[type] = [MLPRegressor, TabularMLPRegressor]
    for kind in classifiers:
        update_registered_converter(
            kind,
            f"SkDeep{kind.__name__}",
            _set_types_of_classifier,
            _convert_classifier,
            options=options,
        )
    for kind in regressors:
        update_registered_converter(
            kind,
            f"SkDeep{kind.__name__}",
            _set_types_of_regressor,
            _convert_regressor,
        )


def check_skl2onnx() -> None:
    """Raise an error that names the extra, where skl2onnx is missing."""
    try:
        import skl2onnx  # noqa: F401
    except ImportError as error:
        raise ImportError(
            'to_onnx needs skl2onnx: pip install "sk_deep[onnx]".'
        ) from error


def check_size(n_bytes: int) -> None:
    """Raise an error if the format cannot hold as much."""
    if n_bytes > MAX_BYTES:
        raise ValueError(
            f"a file of ONNX must be smaller than 2 GB, got {n_bytes} bytes."
        )


# ---- types and nodes -----------------------------------------------------------------


def _labels(scope: Any, model: BaseMLPClassifier) -> NDArray:
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
            "class labels must be strings or integers to be exported, got "
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
    is_multilabel = model._targets.is_multilabel
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
    if model._targets.target_type == "binary" and hasattr(model, "predict_proba"):
        outputs = _both(graph, outputs, len(model.classes_))
    graph("Identity", outputs, output=probabilities.full_name)


def _decisions(graph: Graph, model: BaseMLPClassifier, outputs: str) -> str:
    """Decide as `predict` does."""
    labels = _labels(graph.scope, model)
    if model._targets.target_type == "multiclass":
        indices = graph("ArgMax", outputs, axis=-1, keepdims=0)
        return graph("Gather", labels, indices)
    is_positive = graph("Greater", outputs, model._targets.threshold)
    decisions = graph.cast(is_positive, np.int64)
    if model._targets.is_multilabel:
        return decisions
    two = np.resize(labels, 2)  # a constant target has one
    return graph("Gather", two, graph("Reshape", decisions, [-1]))


def _both(graph: Graph, positive: str, n_classes: int) -> str:
    """Give the probabilities of the classes from that of the positive one."""
    if n_classes == 1:
        return graph("Max", positive, 1.0)  # ones
    return graph("Concat", graph("Sub", 1.0, positive), positive, axis=-1)


def _convert_regressor(scope: Any, operator: Any, container: Any) -> None:
    model = operator.raw_operator
    graph, outputs = _outputs(scope, operator, container)
    targets = model._targets
    if targets.scale is not None:
        outputs = graph("Mul", outputs, targets.scale)
        outputs = graph("Add", outputs, targets.mean)
    if targets.bounds is not None:
        least, greatest = targets.bounds
        outputs = graph("Min", graph("Max", outputs, least), greatest)
    graph("Identity", outputs, output=operator.outputs[0].full_name)


def _outputs(scope: Any, operator: Any, container: Any) -> tuple[Graph, str]:
    """Add the network, its output link, and the mean over its members."""
    net = operator.raw_operator.net_
    module: MLP = net.module_
    _check_network(module)
    encoder = operator.raw_operator._columns
    of_weights = np.dtype(module.architecture.dtype)
    graph = Graph(scope, container, np.dtype("float64") if encoder else of_weights)
    inputs = [graph.cast(x.full_name, graph.dtype) for x in operator.inputs]
    x = graph("Concat", *inputs, axis=-1) if len(inputs) > 1 else inputs[0]
    if encoder is not None:
        x = encoded(graph, encoder, x)
        graph = replace(graph, dtype=of_weights)
        x = graph.cast(x, of_weights)
    raw = module.onnx(graph, x)
    dtype = np.dtype("float64" if _takes_float64(operator) else "float32")
    graph = replace(graph, dtype=dtype)
    outputs = net.criterion_.link.onnx(graph, graph.cast(raw, dtype))
    if module.members:
        outputs = graph.mean(outputs, 0, module.members[0], keepdims=0)
    return graph, outputs


def _check_network(module: MLP) -> None:
    pairs = zip(module.architecture.activation, module.activation_rows(), strict=True)
    for activation, row in pairs:
        if row.onnx is None:
            raise ValueError(
                "activation must be a key of sk_deep.activations.ACTIVATIONS to be "
                f"exported, got {activation}."
            )
    check_size(module.flat.nbytes)
