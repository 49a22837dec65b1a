"""A column of categories: its levels, and their codes or one-hot columns."""

import datetime
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sk_deep import encodings

_DATES = datetime.date, datetime.timedelta, np.datetime64, np.timedelta64


@dataclass(frozen=True)
class CategoryEncoder:
    """Encodes a column of categories.

    Parameters
    ----------
    column : int
        Position of the column in the table.
    levels : ndarray
        Distinct levels, sorted.
    size : int
        Number of values that embed a level; 0 for one-hot columns.
    misses : bool
        Whether values were missing in training.
    has_rare : bool, default=False
        Whether rare levels share a column, which unseen levels join.
    """

    column: int
    levels: NDArray
    size: int
    misses: bool
    has_rare: bool = False  # older files have no rare levels

    @classmethod
    def fit(
        cls,
        values: NDArray,
        column: int,
        *,
        name: str,
        max_one_hot: int,
        embedding_size: int | None,
        min_frequency: int,
    ) -> "CategoryEncoder":
        """Find the levels of a column, and choose how to encode them.

        Parameters
        ----------
        values : ndarray of object of shape (n_samples,)
            Values of the column.
        column : int
            Position of the column.
        name : str
            Name of the column, for errors.
        max_one_hot : int
            Number of levels up to which they become one-hot columns.
        embedding_size : int or None
            Number of values of an embedding; None is chosen by the number of levels.
        min_frequency : int
            Rows that a level needs; rarer levels are treated as one.

        Returns
        -------
        encoder : CategoryEncoder
            The fitted encoder.

        Raises
        ------
        ValueError
            If a value is a date or cannot be hashed.
        """
        is_missing = pd.isna(values)
        levels = _levels(values[~is_missing], name)
        counts = np.bincount(_codes(values, levels), minlength=len(levels))
        is_rare = counts[: len(levels)] < min_frequency
        levels = levels[~is_rare]
        if len(levels) <= max_one_hot:
            size = 0
        else:
            size = embedding_size or encodings.embedding_size(len(levels))
        return cls(
            int(column),
            levels,
            int(size),
            bool(is_missing.any()),
            bool(is_rare.any()),
        )

    @property
    def n_encoded(self) -> int:
        """Number of encoded columns."""
        return 1 if self.size else len(self.levels) + self.misses + self.has_rare

    @property
    def n_codes(self) -> int:
        """Number of codes: one for each level, for missing and for other values."""
        return len(self.levels) + 2

    def transform(self, values: NDArray) -> NDArray:
        """Encode a column as one-hot columns, or as a column of codes."""
        codes = _codes(values, self.levels)[:, np.newaxis]
        if self.size:
            return codes
        is_shown = [True] * len(self.levels) + [self.misses, self.has_rare]
        return codes == np.flatnonzero(is_shown)

    def to_dict(self) -> dict[str, Any]:
        """Describe the encoder by plain values and arrays."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> "CategoryEncoder":
        """Build an encoder from what `to_dict` returned."""
        return cls(**fields)


def _levels(values: NDArray, name: str) -> NDArray:
    """List the distinct levels of a column, in an order that rows do not change."""
    try:
        levels = pd.unique(values)
    except TypeError as error:
        raise ValueError(
            f"Levels of a categorical column must be hashable, got column {name}: "
            f"{error}."
        ) from error
    if any(isinstance(level, _DATES) for level in levels):
        raise ValueError(
            f"Input X must have columns of numbers or categories, but column {name} "
            "has dates. Take numbers from them, such as the year."
        )
    try:
        return np.sort(levels)
    except TypeError:  # of several types
        return np.array(sorted(levels, key=_by_type), dtype=object)


def _by_type(level) -> tuple[str, str]:
    return type(level).__name__, str(level)


def _codes(values: NDArray, levels: NDArray) -> NDArray:
    """Find each value's place among the levels; missing and other values follow."""
    codes = pd.Index(levels, dtype=object).get_indexer(values)
    codes[codes < 0] = len(levels) + 1
    codes[pd.isna(values)] = len(levels)
    return codes
