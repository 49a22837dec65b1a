"""What is done to the columns of numbers before the network, as nodes of ONNX."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from sk_deep._data.columns import bounds_of_bins
from sk_deep.encodings import SCALINGS
from sk_deep.export._network import Graph

_FAR = 1e4  # times a bound, where what is bounded no longer grows


def encoded(graph: Graph, columns: Mapping[str, Any], x: str) -> str:
    """Impute, scale and encode numbers, as `sk_deep._data.columns.encode_columns`.

    Parameters
    ----------
    graph : Graph
        To add nodes to.
    columns : mapping
        What a fit has learned of the columns.
    x : str
        Name of the inputs, (n_samples, n_features).

    Returns
    -------
    name : str
        Name of the encoded columns.

    Raises
    ------
    ValueError
        If there are columns of categories, or numbers are scaled by quantiles.
    """
    if columns["categories"]:
        raise ValueError(
            "columns of categories cannot be exported, however: there are "
            f"{len(columns['categories'])}. Encode them in a pipeline, by a "
            "ColumnTransformer with OneHotEncoder."
        )
    is_missing = graph("IsNaN", x)
    if columns["fill"] is not None:
        x = graph("Where", is_missing, np.asarray(columns["fill"], float), x)
    parts = [_scaled(graph, columns, x)]
    for i, edges in enumerate(columns["bins"]):
        if len(edges) > 1:
            filled = _piecewise_linear(graph, np.asarray(edges), x, i)
            scales = columns.get("bin_scales")
            parts.append(filled if scales is None else graph("Div", filled, scales[i]))
    if columns["indicated"]:
        indicators = graph.cast(is_missing, graph.dtype)
        parts.append(graph("Gather", indicators, columns["indicated"], axis=1))
    return graph("Concat", *parts, axis=-1)


def _scaled(graph: Graph, columns: Mapping[str, Any], x: str) -> str:
    if columns["scaling"] is None:
        return x
    row, scales = SCALINGS[columns["scaling"]], columns["scales"]
    if row.center is None:
        raise ValueError(
            f"numerical_scaling={columns['scaling']!r} cannot be exported: ONNX has no "
            "quantiles of the normal distribution."
        )
    z = graph("Div", graph("Sub", x, scales[row.center]), scales["scale_"])
    if row.bound is None:
        return z
    part = graph("Div", z, row.bound)
    part = graph("Min", graph("Max", part, -_FAR), _FAR)  # squares stay finite
    root = graph("Sqrt", graph("Add", graph("Mul", part, part), 1.0))
    return graph("Mul", graph("Div", part, root), row.bound)


def _piecewise_linear(graph: Graph, edges: np.ndarray, x: str, i: int) -> str:
    lowest, highest = bounds_of_bins(len(edges) - 1)
    column = graph("Gather", x, [i], axis=1)
    filled = graph("Div", graph("Sub", column, edges[:-1]), np.diff(edges))
    return graph("Min", graph("Max", filled, lowest), highest)
