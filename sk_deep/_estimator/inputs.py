"""Inputs of an estimator: checked, and encoded where it reads columns."""

from typing import Any, NamedTuple

import numpy as np
import scipy.sparse
from numpy.typing import NDArray
from sklearn.base import is_classifier
from sklearn.utils import check_X_y, column_or_1d
from sklearn.utils.validation import validate_data

from sk_deep._compat import check_sample_weight
from sk_deep._data.columns import (
    ColumnEncoder,
    ColumnOptions,
    as_table,
    reads_columns,
)
from sk_deep._data.frames import check_columns
from sk_deep._data.sources import check_stream, is_stream
from sk_deep._data.tensors import dense


class CheckedRows(NamedTuple):
    """Checked arrays of as many rows: inputs, targets, encoded targets, weights."""

    X: Any
    y: NDArray
    target: NDArray
    weight: NDArray | None

    def n_weighing(self) -> int:
        """Count the rows of nonzero weight."""
        if self.weight is None:
            return len(self.y)
        return int(np.count_nonzero(self.weight))


def check_training_data(estimator: Any, X: Any, y: Any) -> tuple[Any, NDArray]:
    """Check inputs and targets, and set what the estimator learns of its inputs.

    Parameters
    ----------
    estimator : BaseMLP
        It gets the number and the names of the features, and its column encoder.
    X, y : array-like
        Training data as the user gave them.

    Returns
    -------
    X : ndarray or CSR matrix of shape (n, n_inputs)
        Inputs of the network.
    y : ndarray of shape (n,) or (n, n_outputs)
        Targets.
    """
    if not reads_columns(estimator):
        estimator._columns = None
        return _check_data(estimator, X, y, reset=True)
    return _check_table(estimator, fit_columns(estimator, X), y)


def check_further_data(estimator: Any, X: Any, y: Any) -> tuple[Any, NDArray]:
    """Check inputs and targets of an estimator that knows its features already.

    Parameters and result are as those of `check_training_data`.
    """
    if estimator._columns is None:
        return _check_data(estimator, X, y, reset=False)
    return _check_table(estimator, check_inputs(estimator, X), y)


def check_inputs(estimator: Any, X: Any) -> Any:
    """Check the inputs of a fitted estimator, for prediction.

    Parameters
    ----------
    estimator : BaseMLP
        The estimator.
    X : array-like
        Inputs as the user gave them.

    Returns
    -------
    X : ndarray or CSR matrix of shape (n, n_inputs)
        Inputs of the network, of float32 or float64.
    """
    if estimator._columns is not None:
        X = as_table(X)
        validate_data(estimator, X, reset=False, skip_check_array=True)
        return _readable(estimator, estimator._columns.transform(X))
    has_names = hasattr(estimator, "feature_names_in_")
    if not has_names and _is_legal(X, estimator.n_features_in_):
        return X
    check_columns(X)
    X = validate_data(estimator, X, **_checks_of_inputs(X), reset=False)
    return _readable(estimator, X)


def fit_columns(estimator: Any, X: Any) -> NDArray:
    """Learn how to encode the columns of a table, and encode them.

    Parameters
    ----------
    estimator : BaseMLP
        It gets the number and the names of the features, and its column encoder.
    X : array-like of shape (n, n_features)
        Training inputs as the user gave them.

    Returns
    -------
    encoded : ndarray of shape (n, n_encoded)
        Inputs of the network.
    """
    X = as_table(X)
    validate_data(estimator, X, reset=True, skip_check_array=True)
    names = getattr(estimator, "feature_names_in_", None)
    estimator._columns = ColumnEncoder.fit(X, ColumnOptions.of(estimator), names)
    return _readable(estimator, estimator._columns.transform(X))


def check_rows(
    estimator: Any,
    X: Any,
    y: Any,
    sample_weight: Any,
    is_fresh: bool,
    is_incremental: bool,
) -> CheckedRows:
    """Check training data, and encode the targets.

    Parameters
    ----------
    estimator : BaseMLP
        It gets what it learns of the data.
    X, y, sample_weight : array-like
        Training data as the user gave them.
    is_fresh : bool
        Whether no former fit goes on.
    is_incremental : bool
        Whether the data are a part of those of a `partial_fit`.

    Returns
    -------
    rows : CheckedRows
        The data.
    """
    check = check_training_data if is_fresh else check_further_data
    X, y = check(estimator, X, y)
    weight = checked_sample_weight(sample_weight, X)
    target = estimator._encode_targets(
        y, weight, is_fresh=is_fresh, is_incremental=is_incremental
    )
    weight = estimator._weigh_by_targets(weight, y, is_incremental)
    return CheckedRows(X, y, target, weight)


def checked_sample_weight(sample_weight: Any, X: Any) -> NDArray | None:
    """Check sample weights; None stays None."""
    if sample_weight is None:
        return None
    # NOTE[DIFF] negative sample weights: scikit-learn takes them
    return check_sample_weight(sample_weight, X, ensure_non_negative=True)


def _check_data(estimator: Any, X: Any, y: Any, *, reset: bool) -> tuple[Any, NDArray]:
    check_columns(X)
    checks = {**_checks_of_inputs(X), **_checks_of_targets(estimator)}
    y = y if is_classifier(estimator) else dense(y)
    X, y = validate_data(estimator, X, y, **checks, reset=reset)
    return _readable(estimator, X), _checked_targets(estimator, y)


def _check_table(estimator: Any, encoded: NDArray, y: Any) -> tuple[Any, NDArray]:
    checks = {**_checks_of_inputs(encoded), **_checks_of_targets(estimator)}
    y = y if is_classifier(estimator) else dense(y)
    X, y = check_X_y(encoded, y, **checks, estimator=estimator)
    return _readable(estimator, X), _checked_targets(estimator, y)


def _checks_of_targets(estimator: Any) -> dict[str, Any]:
    return {"multi_output": True, "y_numeric": not is_classifier(estimator)}


def _checks_of_inputs(X: Any) -> dict[str, Any]:
    """List how scikit-learn should check inputs; a stream stays as it is."""
    if is_stream(X) and X.dtype.kind in "fiub" and X.dtype != np.longdouble:
        dtype, finite = None, {"ensure_all_finite": False}
    else:
        dtype, finite = (np.float64, np.float32), {}
    return {"accept_sparse": ["csr", "csc"], "dtype": dtype, **finite}


def _checked_targets(estimator: Any, y: NDArray) -> NDArray:
    # NOTE[DIFF] targets that are dates: scikit-learn fails inside numpy
    if y.dtype.kind in "mM" and not is_classifier(estimator):
        raise ValueError(f"y must have numbers, got dtype {y.dtype}.")
    is_column = y.ndim == 2 and y.shape[1] == 1
    return column_or_1d(y, warn=True) if is_column else y


def _readable(estimator: Any, X: Any) -> Any:
    """Return CSR for sparse inputs, so that rows can be taken; native byte order."""
    if scipy.sparse.issparse(X):
        return X.tocsr()
    if is_stream(X):
        check_stream(X, type(estimator).__name__)
        return X
    return X.astype(X.dtype.newbyteorder("="), copy=False)


def _is_legal(X: Any, n_features: int) -> bool:
    """Whether `validate_data` would return X itself, in longer than it predicts."""
    if type(X) is not np.ndarray or X.dtype not in (np.float64, np.float32):
        return False
    if X.ndim != 2 or X.shape[0] == 0 or X.shape[1] != n_features or is_stream(X):
        return False
    with np.errstate(all="ignore"):
        return bool(np.isfinite(X.sum()))
