"""Data frames: which columns are numbers."""

import datetime

import pandas as pd
from pandas.api.types import is_bool_dtype, is_numeric_dtype


def check_columns(X) -> None:
    """Check that the columns of a frame hold numbers; an array, no dates.

    Parameters
    ----------
    X : array-like
        Inputs as the user gave them.

    Raises
    ------
    ValueError
        If columns hold text, dates or categories that are no numbers; it names them.
    """
    # NOTE[DIFF] columns of dates: scikit-learn takes the numbers behind them
    if getattr(getattr(X, "dtype", None), "kind", "") in ("m", "M"):
        raise ValueError(f"Input X must have numbers, got dtype {X.dtype}.")
    if not (hasattr(X, "columns") and hasattr(X, "dtypes")):
        return
    columns = enumerate(zip(X.columns, X.dtypes, strict=True))
    others = [name for i, (name, dtype) in columns if not _is_of_numbers(X, i, dtype)]
    if others:
        raise ValueError(
            "Input X must have columns of numbers, got text, dates or categories in "
            f"{', '.join(map(repr, others))}: could not convert them to float. Name "
            "them in categorical_features, or encode them before, by a "
            "ColumnTransformer with OneHotEncoder or OrdinalEncoder."
        )


def is_of_categories(column) -> bool:
    """Whether a frame's column holds categories: text, objects or bools."""
    dtype = column.dtype
    if hasattr(dtype, "is_numeric"):  # of polars
        return not (dtype.is_numeric() or dtype.is_temporal())
    if isinstance(dtype, pd.CategoricalDtype):
        return True
    return dtype.kind == "O" or is_bool_dtype(dtype)


def _is_of_numbers(X, i: int, dtype) -> bool:
    if hasattr(dtype, "is_numeric"):  # of polars
        return dtype.is_numeric() or str(dtype) == "Boolean"
    if isinstance(dtype, pd.CategoricalDtype):
        dtype = dtype.categories.dtype
    if dtype.kind == "O":
        return not any(isinstance(value, str | datetime.date) for value in X.iloc[:, i])
    return is_numeric_dtype(dtype) or is_bool_dtype(dtype)
