"""Inputs of a fitted pipeline: names and types of its inputs, in skl2onnx's terms."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from sklearn.compose import ColumnTransformer
from sklearn.pipeline import Pipeline

from sk_deep._compat import columns_of_transformers
from sk_deep._estimator.finding import best_estimator


def plain(estimator: Any) -> Any:
    """Take the best estimators of searches, and the steps of a pipeline that act."""
    estimator = best_estimator(estimator)
    if isinstance(estimator, Pipeline):
        return Pipeline([(name, plain(step)) for name, step in _acting(estimator)])
    return estimator


def _acting(pipeline: Pipeline) -> list[tuple[str, Any]]:
    """List the steps that do something."""
    return [pair for pair in pipeline.steps if pair[1] not in (None, "passthrough")]


def inputs_of(estimator: Any) -> list[tuple[str, Any]]:
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
    """Whether it is a network of float64, or one that encodes columns, alone."""
    net = getattr(estimator, "net_", None)
    if net is None:
        return False
    return estimator._columns is not None or net.module_.flat.dtype == torch.float64


def _first_step(estimator: Any) -> Any:
    """Take what the inputs come to first."""
    while isinstance(estimator, Pipeline) and _acting(estimator):
        estimator = _acting(estimator)[0][1]
    return estimator


def _columns_of_text(step: Any, columns: list[int]) -> Iterator[int]:
    """List the columns in which a fitted step has seen text."""
    step = _first_step(step)
    if isinstance(step, ColumnTransformer):
        for inner, places in columns_of_transformers(step):
            yield from _columns_of_text(inner, [columns[i] for i in places])
    elif hasattr(step, "vocabulary_"):
        yield from columns
    else:
        seen = getattr(step, "categories_", getattr(step, "statistics_", ()))
        for column, values in zip(columns, seen, strict=False):
            if any(isinstance(value, str) for value in np.ravel(values)):
                yield column


def settle_inputs(graph: Any, names: list[str]) -> None:
    """Restore names that skl2onnx turned into identifiers; drop unused inputs."""
    given = {value.name: name for value, name in zip(graph.input, names, strict=True)}
    for node in graph.node:
        node.input[:] = [given.get(name, name) for name in node.input]
    used = {name for node in graph.node for name in node.input}
    for value in list(graph.input):
        value.name = given[value.name]
        if value.name not in used:
            graph.input.remove(value)
