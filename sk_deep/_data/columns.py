"""Data frames as they are: categories, missing values and scales as numbers.

What a fit learns of the columns is a dict of plain values and arrays, which a file can
hold. The encoded columns are, from left to right: the numbers, their piecewise linear
encoding, indicators of missing numbers, one-hot columns, and the codes of categories
that the network embeds.
"""

import datetime
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse
from numpy.typing import NDArray
from sklearn.utils import check_array

from sk_deep._data.frames import check_columns, is_of_categories
from sk_deep.encodings import NUMERICAL_EMBEDDINGS, SCALINGS, embedding_size

_MOST_BINS = 128  # of a number, if they are not told
_BINS_OF_ALL = 384  # or a 16th of the rows have all numbers together, likewise
_LEAST_DEVIATION, _ROWS_THAT_TELL = 0.2, 1000  # of bins that are scaled
_DATES = datetime.date, datetime.timedelta, np.datetime64, np.timedelta64


# ---- what a fit learns ---------------------------------------------------------------


def reads_columns(estimator) -> bool:
    """Whether an estimator encodes columns before its network gets them."""
    return (
        estimator.categorical_features is not None
        or estimator.missing != "error"
        or estimator.numerical_scaling is not None
        or estimator.numerical_embedding is not None
    )


def as_table(X) -> Any:
    """Take frames as they are, and make an array of all else.

    Parameters
    ----------
    X : array-like of shape (n_samples, n_features)
        Inputs as the user gave them.

    Returns
    -------
    table : frame or ndarray of shape (n_samples, n_features)
        The inputs.

    Raises
    ------
    ValueError
        If they are sparse, or no table.
    """
    if scipy.sparse.issparse(X):
        raise ValueError(
            "categorical_features, missing, numerical_scaling and numerical_embedding "
            "need dense inputs, however: X is sparse."
        )
    if not hasattr(X, "columns"):
        X = np.asarray(X) if hasattr(X, "dtype") else np.array(X, dtype=object)
    if len(X.shape) != 2 or 0 in X.shape:
        check_array(np.empty(X.shape))  # whose error this is
    return X


def learn_columns(estimator, X) -> dict[str, Any]:
    """Learn how to encode the columns of training data.

    Parameters
    ----------
    estimator : estimator
        With the parameters; the number and names of the features are checked.
    X : frame or ndarray of shape (n_samples, n_features)
        Training inputs, of `as_table`.

    Returns
    -------
    columns : dict
        Of plain values and arrays, for `encode_columns`.

    Raises
    ------
    ValueError
        If the parameters or the inputs are illegal.
    """
    is_category = _categorical(estimator, X)
    numeric = np.flatnonzero(~is_category)
    columns: dict[str, Any] = {
        "n_features": int(X.shape[1]),
        "numeric": numeric.tolist(),
        "imputes": estimator.missing == "impute",
    }
    values = _numbers(X, columns)
    is_missing = np.isnan(values)
    columns["fill"] = _medians(values) if columns["imputes"] else None
    columns["indicated"] = np.flatnonzero(is_missing.any(axis=0)).tolist()
    values = _filled(values, columns)
    scaling = estimator.numerical_scaling if len(numeric) else None
    columns["scaling"] = scaling
    columns["scales"] = SCALINGS[scaling].fit(values) if scaling else None
    row = NUMERICAL_EMBEDDINGS.get(estimator.numerical_embedding)
    columns["n_periodic"] = len(numeric) if row and row.has_waves else 0
    n_bins = estimator.n_bins
    if n_bins == "auto":
        n_bins = _n_bins(*values.shape)
    binned = values.T if row and row.has_bins else ()
    columns["bins"] = [_edges(column, n_bins) for column in binned]
    columns["bin_scales"] = None
    if row and row.scales_bins:
        parts = _piecewise_linear(values, columns)
        columns["bin_scales"] = [_scale_of_bins(part) for part in parts]
    learned = [_learn_category(estimator, X, i) for i in np.flatnonzero(is_category)]
    # one-hot columns first, then neighbours whose levels have as many values
    columns["categories"] = sorted(learned, key=lambda category: category["size"])
    return columns


def _column(X, i: int) -> Any:
    if hasattr(X, "iloc"):
        return X.iloc[:, i]
    return X.to_series(i) if hasattr(X, "to_series") else X[:, i]


def _categorical(estimator, X) -> NDArray:
    """Tell which columns are categories, as scikit-learn's boosting takes it."""
    n_features, wanted = X.shape[1], estimator.categorical_features
    is_category = np.zeros(n_features, dtype=bool)
    if wanted is None:
        return is_category
    if isinstance(wanted, str):
        for i in range(n_features) if hasattr(X, "columns") else ():
            is_category[i] = is_of_categories(_column(X, i))
        return is_category
    wanted = np.asarray(wanted)
    if wanted.dtype.kind == "b":
        if wanted.shape != (n_features,):
            raise ValueError(
                f"categorical_features as a mask must have {n_features} values, "
                f"however: its shape is {wanted.shape}."
            )
        return wanted.copy()
    names = list(getattr(estimator, "feature_names_in_", ()))
    for one in wanted.ravel().tolist():
        is_category[_position(one, names, n_features)] = True
    return is_category


def _position(wanted, names: list, n_features: int) -> int:
    if isinstance(wanted, str) and wanted in names:
        return names.index(wanted)
    if type(wanted) is int and 0 <= wanted < n_features:
        return wanted
    raise ValueError(
        "categorical_features must be names of columns or positions in "
        f"[0, {n_features}), however: {wanted!r}."
    )


def _numbers(X, columns: Mapping[str, Any]) -> NDArray:
    """Take the columns of numbers; missing ones are NaN."""
    numeric = columns["numeric"]
    if not numeric:
        return np.empty((X.shape[0], 0))
    part = X.iloc[:, numeric] if hasattr(X, "iloc") else X[:, numeric]
    check_columns(part)
    return check_array(
        part,
        dtype=(np.float64, np.float32),
        ensure_all_finite="allow-nan" if columns["imputes"] else True,
        input_name="X",
    )


def _medians(values: NDArray) -> NDArray:
    """Median of each column; of one without values 0."""
    found = np.zeros(values.shape[1])
    for i, column in enumerate(values.T):
        present = column[~np.isnan(column)]
        if len(present):
            found[i] = np.median(present)
    return found


def _filled(values: NDArray, columns: Mapping[str, Any]) -> NDArray:
    if columns["fill"] is None:
        return values
    return np.where(np.isnan(values), columns["fill"].astype(values.dtype), values)


def _n_bins(n_rows: int, n_columns: int) -> int:
    """Tell how many bins a column has, for a number of rows and of columns."""
    most = max(4, max(_BINS_OF_ALL, n_rows // 16) // max(1, n_columns))
    return max(1, min(round(n_rows**0.45), _MOST_BINS, most))


def _edges(column: NDArray, n_bins: int) -> NDArray:
    """Find the edges of the bins of a column, at its quantiles.

    Where values that are frequent make quantiles coincide, more quantiles are taken,
    as long as there are not too many bins.
    """
    n_edges, n_rows = 1 + n_bins, len(column)
    distinct = np.unique(column)
    if len(distinct) <= n_edges:
        return distinct.astype(float)
    n_quantiles, edges = n_edges, np.empty(0)
    while n_quantiles <= n_rows:
        finer = np.unique(np.quantile(column, np.linspace(0, 1, n_quantiles)))
        if len(finer) > n_edges:
            break
        edges, n_quantiles = finer, 2 * n_quantiles
    return edges.astype(float)


def _objects(column) -> NDArray:
    """Take a column's values as objects: levels of any kind."""
    if hasattr(column, "to_numpy"):
        column = column.to_numpy()
    return np.asarray(column, dtype=object)


def _levels(values: NDArray, name: str) -> NDArray:
    """List the distinct levels of a column, in an order that rows do not matter to."""
    try:
        levels = pd.unique(values)
    except TypeError as error:
        raise ValueError(
            f"levels must be hashable, however: column {name}: {error}."
        ) from error
    if any(isinstance(level, _DATES) for level in levels):
        raise ValueError(
            "Input X must have columns of numbers or categories, however: column "
            f"{name} has dates. Take numbers from them, say the year."
        )
    try:
        return np.sort(levels)
    except TypeError:  # of several types
        return np.array(sorted(levels, key=_by_type), dtype=object)


def _name(estimator, i: int) -> str:
    return repr(getattr(estimator, "feature_names_in_", range(i + 1))[i])


def _by_type(level) -> tuple[str, str]:
    return type(level).__name__, str(level)


def _learn_category(estimator, X, i: int) -> dict[str, Any]:
    """Learn a column's levels, the size of an embedding, and what else there is.

    The size is 0 where one-hot columns stand for the levels. Rare levels are none.
    """
    values = _objects(_column(X, i))
    is_missing = pd.isna(values)
    levels = _levels(values[~is_missing], _name(estimator, i))
    counts = np.bincount(_codes(values, levels), minlength=len(levels))
    is_rare = counts[: len(levels)] < estimator.min_frequency
    levels = levels[~is_rare]
    size = estimator.embedding_size
    if len(levels) <= estimator.max_one_hot:
        size = 0
    elif size == "auto":
        size = embedding_size(len(levels))
    return {
        "column": int(i),
        "levels": levels,
        "size": int(size),
        "misses": bool(is_missing.any()),
        "has_rare": bool(is_rare.any()),
    }


def check_learned(columns: Mapping[str, Any], description: Mapping[str, Any]) -> None:
    """Check that what was learned of columns goes with a network; both are of a file.

    Parameters
    ----------
    columns : dict
        For `encode_columns`.
    description : dict
        Arguments of `MLP`.

    Raises
    ------
    ValueError
        If they are not those of one fit.
    """
    found = _n_encoded(columns), embedded(columns)
    expected = (
        description["n_features"],
        {name: description[name] for name in ("categories", "n_periodic")},
    )
    if found != expected:
        raise ValueError(
            f"the columns give the network {found}, however: it takes {expected}."
        )


def _n_encoded(columns: Mapping[str, Any]) -> int:
    """Count the columns that `encode_columns` gives."""
    n_bins = sum(max(0, len(edges) - 1) for edges in columns["bins"])
    n_numbers = len(columns["numeric"]) + n_bins + len(columns["indicated"])
    return n_numbers + sum(_width(category) for category in columns["categories"])


def _width(category: Mapping[str, Any]) -> int:
    if category["size"]:
        return 1
    return len(category["levels"]) + category["misses"] + _has_rare(category)


def _has_rare(category: Mapping[str, Any]) -> bool:
    """Whether rare levels share a column, with those that a fit has not seen."""
    return category.get("has_rare", False)  # those of older files have none


def embedded(columns: Mapping[str, Any]) -> dict[str, Any]:
    """Tell what the network embeds, as arguments of `MLP`."""
    shapes = [[len(one["levels"]) + 2, one["size"]] for one in columns["categories"]]
    return {
        "categories": [shape for shape in shapes if shape[1]],
        "n_periodic": columns["n_periodic"],
    }


# ---- encoding ------------------------------------------------------------------------


def encode_columns(columns: Mapping[str, Any], X) -> NDArray:
    """Encode the columns of inputs as numbers.

    Parameters
    ----------
    columns : dict
        What `learn_columns` has learned.
    X : frame or ndarray of shape (n_samples, n_features)
        The inputs, of `as_table`.

    Returns
    -------
    encoded : ndarray of shape (n_samples, n_encoded)
        Of float32 if all numbers are, else of float64.
    """
    values = _numbers(X, columns)
    is_missing = np.isnan(values)
    values = _filled(values, columns)
    name = columns["scaling"]
    scaled = SCALINGS[name].transform(values, columns["scales"]) if name else values
    parts = [scaled, *_piecewise_linear(values, columns)]
    parts.append(is_missing[:, columns["indicated"]])
    parts += [_encode_category(category, X) for category in columns["categories"]]
    return np.concatenate(parts, axis=1, dtype=values.dtype)


def _piecewise_linear(values: NDArray, columns: Mapping[str, Any]) -> Iterable[NDArray]:
    """Encode each number by the part of each bin that it fills, perhaps scaled.

    Y. Gorishniy, I. Rubachev and A. Babenko, "On embeddings for numerical features in
    tabular deep learning", NeurIPS 2022, eq. 1; beyond the edges it goes on by one bin.
    """
    scales = columns.get("bin_scales")  # those of older files have none
    for i, edges in enumerate(columns["bins"]):
        n_bins = max(0, len(edges) - 1)
        filled = (values[:, i, np.newaxis] - edges[:-1]) / np.diff(edges)
        filled = filled.clip(*bounds_of_bins(n_bins))
        yield filled if scales is None else filled / scales[i]


def _scale_of_bins(part: NDArray) -> NDArray:
    """Tell what to divide the bins of a column by: few rows tell little of a bin."""
    least = max(_LEAST_DEVIATION, np.sqrt(_ROWS_THAT_TELL / len(part)))
    return np.maximum(part.std(axis=0), least)


def bounds_of_bins(n_bins: int) -> tuple[NDArray, NDArray]:
    """Tell the least and the greatest part of each bin that a number fills."""
    lowest, highest = np.zeros(n_bins), np.ones(n_bins)
    lowest[:1], highest[-1:] = -1, 2
    return lowest, highest


def _encode_category(category: Mapping[str, Any], X) -> NDArray:
    """Make one-hot columns, or a column of codes."""
    values = _objects(_column(X, category["column"]))
    codes = _codes(values, category["levels"])[:, np.newaxis]
    if category["size"]:
        return codes
    n_levels = len(category["levels"])
    shown = [True] * n_levels + [category["misses"], _has_rare(category)]
    return codes == np.flatnonzero(shown)


def _codes(values: NDArray, levels: NDArray) -> NDArray:
    """Find each value's place among the levels; then come missing and other ones."""
    codes = pd.Index(levels, dtype=object).get_indexer(values)
    codes[codes < 0] = len(levels) + 1
    codes[pd.isna(values)] = len(levels)
    return codes
