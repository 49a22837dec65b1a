"""Nodes of ONNX, of which the rows of the tables build their forms.

onnx itself is imported when a node is added, and not before. Forms are made of
operators that onnxruntime has in float32 and in float64.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike


@dataclass(frozen=True)
class Graph:
    """A graph that nodes are added to.

    Parameters
    ----------
    scope, container : Scope, ModelComponentContainer
        Objects of skl2onnx.
    dtype : dtype
        Type of the numbers.
    """

    scope: Any
    container: Any
    dtype: np.dtype

    def __call__(
        self, op: str, *inputs: str | ArrayLike, output: str = "", **attributes: Any
    ) -> str:
        """Add a node and return the name of its output; arrays become constants."""
        names = [x if isinstance(x, str) else self._constant(x) for x in inputs]
        output = output or self.scope.get_unique_variable_name(op.lower())
        name = self.scope.get_unique_operator_name(op)
        self.container.add_node(op, names, output, name=name, **attributes)
        return output

    def cast(self, x: str, dtype: Any) -> str:
        """Convert values to another dtype."""
        from onnx.helper import np_dtype_to_tensor_dtype

        return self("Cast", x, to=np_dtype_to_tensor_dtype(np.dtype(dtype)))

    def affine(self, x: str, weight: ArrayLike, bias: ArrayLike) -> str:
        """Compute ``x @ weight + bias``."""
        return self("Add", self("MatMul", x, weight), bias)

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
