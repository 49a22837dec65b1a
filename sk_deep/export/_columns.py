"""Encoding of columns of numbers, as nodes of ONNX."""

import numpy as np

from sk_deep._data.columns import ColumnEncoder, bounds_of_bins
from sk_deep._onnx import Graph
from sk_deep.encodings import SCALINGS


def encoded(graph: Graph, encoder: ColumnEncoder, x: str) -> str:
    """Impute, scale and encode numbers, as `ColumnEncoder.transform`.

    Parameters
    ----------
    graph : Graph
        To add nodes to.
    encoder : ColumnEncoder
        The fitted encoder.
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
    if encoder.categories:
        raise ValueError(
            "columns of categories cannot be exported, got "
            f"{len(encoder.categories)}. Encode them in a pipeline, by a "
            "ColumnTransformer with OneHotEncoder."
        )
    is_missing = graph("IsNaN", x)
    if encoder.fill is not None:
        x = graph("Where", is_missing, np.asarray(encoder.fill, float), x)
    parts = [_scaled(graph, encoder, x)]
    for i, edges in enumerate(encoder.bins):
        if len(edges) > 1:
            filled = _piecewise_linear(graph, np.asarray(edges), x, i)
            scales = encoder.bin_scales
            parts.append(filled if scales is None else graph("Div", filled, scales[i]))
    if encoder.indicated:
        indicators = graph.cast(is_missing, graph.dtype)
        parts.append(graph("Gather", indicators, encoder.indicated, axis=1))
    return graph("Concat", *parts, axis=-1)


def _scaled(graph: Graph, encoder: ColumnEncoder, x: str) -> str:
    if encoder.scaling is None or encoder.scales is None:
        return x
    row = SCALINGS[encoder.scaling]
    if row.why_no_onnx:
        raise ValueError(
            f"numerical_scaling={encoder.scaling!r} cannot be exported: "
            f"{row.why_no_onnx}."
        )
    return row.onnx(graph, x, encoder.scales)


def _piecewise_linear(graph: Graph, edges: np.ndarray, x: str, i: int) -> str:
    lowest, highest = bounds_of_bins(len(edges) - 1)
    column = graph("Gather", x, [i], axis=1)
    filled = graph("Div", graph("Sub", column, edges[:-1]), np.diff(edges))
    return graph("Min", graph("Max", filled, lowest), highest)
