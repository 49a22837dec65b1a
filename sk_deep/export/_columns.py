"""What is done to the columns of numbers before the network, as nodes of ONNX."""

import numpy as np

from sk_deep._data.columns import ColumnEncoder, bounds_of_bins
from sk_deep.encodings import SCALINGS
from sk_deep.export._network import Graph

_FAR = 1e4  # times a bound, where what is bounded no longer grows


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
            "columns of categories cannot be exported, however: there are "
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
    row, scales = SCALINGS[encoder.scaling], encoder.scales
    if row.center is None:
        raise ValueError(
            f"numerical_scaling={encoder.scaling!r} cannot be exported: ONNX has no "
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
