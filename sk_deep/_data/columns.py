"""Data frames as they are: categories, missing values and scales as numbers.

The encoded columns are, from left to right: the numbers, their piecewise linear
encoding, indicators of missing numbers, one-hot columns, and the codes of categories
that the network embeds.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import scipy.sparse
from numpy.typing import NDArray
from sklearn.utils import check_array

from sk_deep._data.categories import CategoryEncoder
from sk_deep._data.frames import check_columns, is_of_categories
from sk_deep.encodings import NUMERICAL_EMBEDDINGS, SCALINGS, imputes

_MOST_BINS = 128  # default cap on the bins of a number
_BINS_OF_ALL = 384  # default cap on bins over all columns: max(384, n_rows / 16)
_LEAST_DEVIATION = 0.2  # least divisor of scaled bins, of many rows
_ROWS_THAT_TELL = 1000  # with n rows it is at least sqrt(1000 / n)


@dataclass(frozen=True)
class ColumnOptions:
    """Constructor parameters of an estimator that say how columns are encoded.

    Parameters
    ----------
    categorical_features : "from_dtype", array-like or None
        Columns of categories.
    missing : str
        Key of `MISSING`.
    numerical_scaling, numerical_embedding : str or None
        Keys of `SCALINGS` and of `NUMERICAL_EMBEDDINGS`.
    n_bins : int or "auto"
        Most bins of a number.
    max_one_hot : int
        Number of levels up to which a column becomes one-hot columns.
    embedding_size : int or "auto"
        Number of values that embed a level.
    min_frequency : int
        Rows that a level needs in training.
    """

    categorical_features: Any
    missing: str
    numerical_scaling: str | None
    numerical_embedding: str | None
    n_bins: int | str
    max_one_hot: int
    embedding_size: int | str
    min_frequency: int

    @classmethod
    def of(cls, estimator: Any) -> "ColumnOptions":
        """Take the parameters of an estimator."""
        names = [field.name for field in fields(cls)]
        return cls(**{name: getattr(estimator, name) for name in names})


def reads_columns(estimator: Any) -> bool:
    """Whether an estimator encodes columns before its network gets them."""
    return (
        estimator.categorical_features is not None
        or imputes(estimator.missing)
        or estimator.numerical_scaling is not None
        or estimator.numerical_embedding is not None
    )


def as_table(X: Any) -> Any:
    """Return frames as they are, and an array of all else.

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
        If they are sparse, or not two-dimensional.
    """
    if scipy.sparse.issparse(X):
        raise ValueError(
            "categorical_features, missing, numerical_scaling and numerical_embedding "
            "need dense inputs, got a sparse X."
        )
    if not hasattr(X, "columns"):
        X = np.asarray(X) if hasattr(X, "dtype") else np.array(X, dtype=object)
    if len(X.shape) != 2 or 0 in X.shape:
        check_array(np.empty(X.shape))  # raises scikit-learn's error
    return X


@dataclass(frozen=True)
class ColumnEncoder:
    """Encodes the columns of a table as numbers, as a fit has learned it.

    Parameters
    ----------
    n_features : int
        Number of columns of the table.
    numeric : list of int
        Positions of the columns of numbers.
    imputes : bool
        Whether missing numbers are legal.
    fill : ndarray of shape (n_numbers,) or None
        Replacement of missing numbers.
    indicated : list of int
        Places, among the numbers, of those whose missing values are indicated.
    scaling : str or None
        Key of `SCALINGS`.
    scales : dict or None
        What the scaling has learned.
    n_periodic : int
        Number of columns that get periodic embeddings.
    bins : list of ndarray
        Edges of the bins of each number.
    bin_scales : list of ndarray or None
        Divisors of the bins of each number.
    categories : list of CategoryEncoder
        Columns of categories: those with one-hot columns first, then by the size of
        their embeddings.
    """

    n_features: int
    numeric: list[int]
    imputes: bool
    fill: NDArray | None
    indicated: list[int]
    scaling: str | None
    scales: dict[str, NDArray] | None
    n_periodic: int
    bins: list[NDArray]
    bin_scales: list[NDArray] | None
    categories: list[CategoryEncoder]

    @classmethod
    def fit(
        cls, X: Any, options: ColumnOptions, names: Sequence[str] | None
    ) -> "ColumnEncoder":
        """Learn how to encode the columns of training data.

        Parameters
        ----------
        X : frame or ndarray of shape (n_samples, n_features)
            Training inputs, from `as_table`.
        options : ColumnOptions
            How to encode.
        names : sequence of str or None
            Names of the columns, if they have names.

        Returns
        -------
        encoder : ColumnEncoder
            The fitted encoder.

        Raises
        ------
        ValueError
            If the options or the inputs are illegal.
        """
        is_category = _categorical(options.categorical_features, X, names)
        numeric = np.flatnonzero(~is_category).tolist()
        is_imputed = imputes(options.missing)
        values = _numbers(X, numeric, is_imputed)
        fill = _medians(values) if is_imputed else None
        indicated = np.flatnonzero(np.isnan(values).any(axis=0)).tolist()
        values = _filled(values, fill)
        scaling = options.numerical_scaling if numeric else None
        embedding = NUMERICAL_EMBEDDINGS.get(options.numerical_embedding or "")
        has_bins = embedding is not None and embedding.has_bins
        bins = _all_edges(values, options.n_bins) if has_bins else []
        bin_scales = None
        if embedding is not None and embedding.scales_bins:
            parts = _piecewise_linear(values, bins, None)
            bin_scales = [_scale_of_bins(part) for part in parts]
        has_waves = embedding is not None and embedding.has_waves
        columns = np.flatnonzero(is_category).tolist()
        categories = [_fit_category(X, i, options, names) for i in columns]
        return cls(
            n_features=int(X.shape[1]),
            numeric=numeric,
            imputes=is_imputed,
            fill=fill,
            indicated=indicated,
            scaling=scaling,
            scales=SCALINGS[scaling].fit(values) if scaling else None,
            n_periodic=len(numeric) if has_waves else 0,
            bins=bins,
            bin_scales=bin_scales,
            categories=sorted(categories, key=lambda category: category.size),
        )

    def transform(self, X: Any) -> NDArray:
        """Encode the columns of inputs as numbers.

        Parameters
        ----------
        X : frame or ndarray of shape (n_samples, n_features)
            The inputs, from `as_table`.

        Returns
        -------
        encoded : ndarray of shape (n_samples, n_encoded)
            Of float32 if all numbers are, else of float64.
        """
        values = _numbers(X, self.numeric, self.imputes)
        is_missing = np.isnan(values)
        values = _filled(values, self.fill)
        scaled = values
        if self.scaling is not None and self.scales is not None:
            scaled = SCALINGS[self.scaling].transform(values, self.scales)
        parts = [scaled, *_piecewise_linear(values, self.bins, self.bin_scales)]
        parts.append(is_missing[:, self.indicated])
        parts += [
            category.transform(_objects(_column(X, category.column)))
            for category in self.categories
        ]
        return np.concatenate(parts, axis=1, dtype=values.dtype)

    @property
    def n_encoded(self) -> int:
        """Number of encoded columns."""
        n_bins = sum(max(0, len(edges) - 1) for edges in self.bins)
        n_numbers = len(self.numeric) + n_bins + len(self.indicated)
        return n_numbers + sum(category.n_encoded for category in self.categories)

    @property
    def embedded_categories(self) -> list[list[int]]:
        """Number of codes and of values of each column that the network embeds."""
        shapes = [[category.n_codes, category.size] for category in self.categories]
        return [shape for shape in shapes if shape[1]]

    def to_dict(self) -> dict[str, Any]:
        """Describe the encoder by plain values and arrays, for pickles and files."""
        described = {field.name: getattr(self, field.name) for field in fields(self)}
        described["categories"] = [category.to_dict() for category in self.categories]
        return described

    @classmethod
    def from_dict(cls, described: Mapping[str, Any]) -> "ColumnEncoder":
        """Build an encoder from what `to_dict` returned; older dicts lack scales."""
        categories = [CategoryEncoder.from_dict(one) for one in described["categories"]]
        return cls(**{"bin_scales": None, **described, "categories": categories})


# ---- columns -------------------------------------------------------------------------


def _column(X: Any, i: int) -> Any:
    if hasattr(X, "iloc"):
        return X.iloc[:, i]
    return X.to_series(i) if hasattr(X, "to_series") else X[:, i]


def _objects(column: Any) -> NDArray:
    """Return a column's values as objects: levels of any kind."""
    if hasattr(column, "to_numpy"):
        column = column.to_numpy()
    return np.asarray(column, dtype=object)


def _categorical(wanted: Any, X: Any, names: Sequence[str] | None) -> NDArray:
    """Find the columns of categories, by the rules of scikit-learn's boosting."""
    n_features = X.shape[1]
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
                f"categorical_features as a mask must have {n_features} values, got "
                f"shape {wanted.shape}."
            )
        return wanted.copy()
    list_of_names = [] if names is None else list(names)
    for column in wanted.ravel().tolist():
        is_category[_position(column, list_of_names, n_features)] = True
    return is_category


def _position(column: Any, names: list, n_features: int) -> int:
    if isinstance(column, str) and column in names:
        return names.index(column)
    if type(column) is int and 0 <= column < n_features:
        return column
    raise ValueError(
        "categorical_features must be names of columns or positions in "
        f"[0, {n_features}), got {column!r}."
    )


def _fit_category(
    X: Any, i: int, options: ColumnOptions, names: Sequence[str] | None
) -> CategoryEncoder:
    size = options.embedding_size
    return CategoryEncoder.fit(
        _objects(_column(X, i)),
        i,
        name=repr(i if names is None else names[i]),
        max_one_hot=options.max_one_hot,
        embedding_size=None if size == "auto" else int(size),
        min_frequency=options.min_frequency,
    )


# ---- numbers -------------------------------------------------------------------------


def _numbers(X: Any, numeric: list[int], allows_missing: bool) -> NDArray:
    """Select the columns of numbers; missing ones are NaN."""
    if not numeric:
        return np.empty((X.shape[0], 0))
    part = X.iloc[:, numeric] if hasattr(X, "iloc") else X[:, numeric]
    check_columns(part)
    return check_array(
        part,
        dtype=(np.float64, np.float32),
        ensure_all_finite="allow-nan" if allows_missing else True,
        input_name="X",
    )


def _medians(values: NDArray) -> NDArray:
    """Compute the median of each column; 0 of a column without values."""
    medians = np.zeros(values.shape[1])
    for i, column in enumerate(values.T):
        present = column[~np.isnan(column)]
        if len(present):
            medians[i] = np.median(present)
    return medians


def _filled(values: NDArray, fill: NDArray | None) -> NDArray:
    if fill is None:
        return values
    return np.where(np.isnan(values), fill.astype(values.dtype), values)


def _all_edges(values: NDArray, n_bins: int | str) -> list[NDArray]:
    """Find the edges of the bins of each number."""
    n = _n_bins(*values.shape) if n_bins == "auto" else int(n_bins)
    return [_edges(column, n) for column in values.T]


def _n_bins(n_rows: int, n_columns: int) -> int:
    """Compute the default number of bins of a column."""
    most = max(4, max(_BINS_OF_ALL, n_rows // 16) // max(1, n_columns))
    return max(1, min(round(n_rows**0.45), _MOST_BINS, most))


def _edges(column: NDArray, n_bins: int) -> NDArray:
    """Find the edges of the bins of a column, at its quantiles.

    Where frequent values make quantiles coincide, more quantiles are used, as long as
    there are not too many bins.
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


def _piecewise_linear(
    values: NDArray, bins: list[NDArray], scales: list[NDArray] | None
) -> Iterable[NDArray]:
    """Encode each number by the part of each bin that it fills, perhaps scaled.

    Y. Gorishniy, I. Rubachev and A. Babenko, "On embeddings for numerical features in
    tabular deep learning", NeurIPS 2022, eq. 1; the outer bins go on beyond the edges,
    by one bin.
    """
    for i, edges in enumerate(bins):
        n_bins = max(0, len(edges) - 1)
        filled = (values[:, i, np.newaxis] - edges[:-1]) / np.diff(edges)
        filled = filled.clip(*bounds_of_bins(n_bins))
        yield filled if scales is None else filled / scales[i]


def _scale_of_bins(part: NDArray) -> NDArray:
    """Compute the divisors of a column's bins, which few rows bound from below."""
    least = max(_LEAST_DEVIATION, np.sqrt(_ROWS_THAT_TELL / len(part)))
    return np.maximum(part.std(axis=0), least)


def bounds_of_bins(n_bins: int) -> tuple[NDArray, NDArray]:
    """Return the least and the greatest part of each bin that a number fills."""
    lowest, highest = np.zeros(n_bins), np.ones(n_bins)
    lowest[:1], highest[-1:] = -1, 2
    return lowest, highest
