"""Validation data: given by the user, split off, or dealt out to folds."""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.random import RandomState
from numpy.typing import NDArray
from sklearn.base import is_classifier
from sklearn.model_selection import train_test_split

from sk_deep._data.batches import Data
from sk_deep._data.sources import is_stream
from sk_deep._engine.net import Net
from sk_deep._estimator.inputs import (
    CheckedRows,
    check_further_data,
    checked_sample_weight,
)


class Validation(NamedTuple):
    """Validation data as `fit` was given it."""

    X: Any = None
    y: Any = None
    weight: Any = None

    @property
    def is_given(self) -> bool:
        """Whether there is any."""
        return any(part is not None for part in self)


class Fold(NamedTuple):
    """Which rows train and which validate.

    The positions are each member's; None is all rows. With `leaves_out`, of shape
    (n_members, n_rows), all members share the training rows, and leave out their own.
    """

    train: CheckedRows
    train_positions: Sequence[NDArray] | None = None
    valid: CheckedRows | None = None
    valid_positions: Sequence[NDArray] | None = None
    leaves_out: NDArray | None = None

    def data(self, net: Net) -> tuple[Data, Data | None]:
        """Make the data that a net trains on and validates on."""
        if self.leaves_out is None:
            train = _data(net, self.train, self.train_positions)
        else:
            train = _shared_data(net, self.train, self.leaves_out)
        if self.valid is None:
            return train, None
        return train, _data(net, self.valid, self.valid_positions)

    def positions(self, n_members: int) -> tuple[list[NDArray], list[NDArray | None]]:
        """List the positions that each member trains on, and validates on if any."""
        everything = np.arange(self.train.X.shape[0])
        train, valid = self.train_positions, self.valid_positions
        return (
            [everything] * n_members if train is None else list(train),
            [None] * n_members if valid is None else list(valid),
        )

    def whole(self) -> "ScoredRows | None":
        """Return the rows that members leave out, all together; None without folds."""
        if self.leaves_out is None or self.valid is None:
            return None
        return ScoredRows.of(self.valid, slice(None))

    def parts(self, n_members: int) -> list["ScoredRows"]:
        """List the rows that each member validates on; none without validation."""
        if self.valid is None:
            return []
        positions = self.valid_positions
        if positions is None:
            return [ScoredRows.of(self.valid, slice(None))] * n_members
        return [ScoredRows.of(self.valid, rows) for rows in positions]


class ScoredRows(NamedTuple):
    """What a member is scored on: rows of inputs, and what belongs to them."""

    X: Any
    rows: Any
    y: NDArray
    target: NDArray
    weight: NDArray | None

    @classmethod
    def of(cls, valid: CheckedRows, rows) -> "ScoredRows":
        """Select rows; those of the inputs when they are wanted."""
        weight = None if valid.weight is None else valid.weight[rows]
        return cls(valid.X, rows, valid.y[rows], valid.target[rows], weight)


def _shared_data(net: Net, rows: CheckedRows, leaves_out: NDArray) -> Data:
    weight = np.where(leaves_out, 0.0, 1.0 if rows.weight is None else rows.weight)
    return net.data(rows.X, rows.target, weight, weight_sets=np.arange(len(weight)))


def _data(net: Net, rows: CheckedRows, positions: Sequence[NDArray] | None) -> Data:
    n_members = net.module_.architecture.n_members
    if n_members > 1 and positions is None:
        positions = [np.arange(rows.X.shape[0])] * n_members
    return net.data(rows.X, rows.target, rows.weight, rows=positions)


def check_validation(
    validation: Validation, *, early_stopping: bool, n_folds: int | None
) -> None:
    """Check that X_val comes with y_val, and with early stopping that watches it."""
    if validation.X is None or validation.y is None:
        parts = {"X_val": validation.X, "y_val": validation.y}
        missing = next(name for name, part in parts.items() if part is None)
        raise ValueError(
            f"X_val, y_val and sample_weight_val go together, but {missing} was not "
            "provided."
        )
    if not early_stopping:
        raise ValueError(
            "X_val and y_val are passed to fit while at the same time "
            "early_stopping is False. When passing X_val and y_val to fit, "
            "early_stopping should be set to True."
        )
    if n_folds is not None:
        raise ValueError(
            "X_val and y_val need n_folds=None, since validation data take the place "
            f"of folds, got {n_folds=}."
        )


def split_rows(
    estimator, rows: CheckedRows, random_state: RandomState
) -> tuple[NDArray, NDArray]:
    """Split the positions of the rows into training and validation.

    Parameters
    ----------
    estimator : estimator
        With `validation_fraction`.
    rows : CheckedRows
        All rows.
    random_state : RandomState
        Source of the split.

    Returns
    -------
    train, valid : ndarray of int
        Positions, as scikit-learn's MLP draws them.
    """
    # as scikit-learn: stratified where there is one output, a binary target
    is_stratified = is_classifier(estimator) and estimator.n_outputs_ == 1
    try:
        train, valid = train_test_split(
            np.arange(rows.X.shape[0]),
            random_state=random_state,
            test_size=estimator.validation_fraction,
            stratify=rows.target.astype(bool) if is_stratified else None,
        )
    except ValueError as error:
        if "least populated" not in str(error):
            raise
        raise _rare_class_error(error, rows.y) from error
    if len(valid) < 2:
        raise ValueError(
            "The validation set is too small. Increase 'validation_fraction' "
            "or the size of your dataset."
        )
    return train, valid


def split_folds(rows: CheckedRows, n_folds: int, random_state: RandomState) -> NDArray:
    """Deal the rows out to folds, each with the targets of all.

    The rows are sorted by their target, where it is a column, those of equal targets at
    random; of each `n_folds` neighbours every fold gets one.

    Parameters
    ----------
    rows : CheckedRows
        All rows.
    n_folds : int
        Number of folds.
    random_state : RandomState
        Source of the split.

    Returns
    -------
    fold_of : ndarray of int of shape (n_rows,)
        The fold of each row.
    """
    n_rows, counts = len(rows.y), rows.n_weighing()
    if counts < n_folds:
        raise ValueError(
            "n_folds must be at most the number of samples of nonzero weight, got "
            f"{n_folds=}, n_samples={counts}."
        )
    order = random_state.permutation(n_rows)
    if rows.target.size == n_rows:
        order = order[np.argsort(rows.target[order].ravel(), kind="stable")]
    if rows.weight is not None:  # each fold needs some
        order = order[np.argsort(rows.weight[order] == 0, kind="stable")]
    fold_of = np.empty(n_rows, int)
    for start in range(0, n_rows, n_folds):
        neighbours = order[start : start + n_folds]
        folds = random_state.permutation(n_folds)
        fold_of[neighbours] = folds[: len(neighbours)]
    return fold_of


def _rare_class_error(error: ValueError, y: NDArray) -> ValueError:
    # NOTE[DIFF] classes of one sample: scikit-learn names their codes, not the labels
    labels, counts = np.unique(y, return_counts=True)
    return ValueError(
        f"{error} In the labels of y: {labels[counts < 2].tolist()}. Add samples of "
        "them or set early_stopping=False."
    )


def average_by_row(
    shape: tuple[int, int], dtype: Any, left_out: Iterable[tuple[NDArray, NDArray]]
) -> NDArray:
    """Average the outputs for each row over the members that have left it out.

    Parameters
    ----------
    shape : tuple of int
        Number of rows, and of outputs.
    dtype : dtype
        Of the result.
    left_out : iterable of pairs of ndarray
        Rows, each at most once, and a member's outputs for them.

    Returns
    -------
    outputs : ndarray of that shape
        The means.
    """
    total, counts = np.zeros(shape, dtype), np.zeros((shape[0], 1), int)
    for rows, outputs in left_out:
        total[rows] += outputs
        counts[rows] += 1
    total /= counts
    return total


def check_validation_rows(estimator: Any, validation: Validation) -> CheckedRows:
    """Check validation data, and encode the targets.

    Parameters
    ----------
    estimator : BaseMLP
        With what it has learned of the training data.
    validation : Validation
        Validation data as the user gave them.

    Returns
    -------
    rows : CheckedRows
        The data.
    """
    check_validation(
        validation,
        early_stopping=estimator.early_stopping,
        n_folds=estimator.n_folds,
    )
    X, y = check_further_data(estimator, validation.X, validation.y)
    target = estimator._encode_targets(
        y, None, is_fresh=False, is_incremental=True, validates=True
    )
    weight = checked_sample_weight(validation.weight, X)
    return CheckedRows(X, y, target, weight)


def choose_fold(
    estimator: Any, rows: CheckedRows, random_states: Sequence[RandomState]
) -> Fold:
    """Set apart, of the training data, what early stopping watches.

    Parameters
    ----------
    estimator : BaseMLP
        With the parameters.
    rows : CheckedRows
        Training data.
    random_states : sequence of RandomState
        Each member's source of randomness.

    Returns
    -------
    fold : Fold
        Rows that train, and rows that validate.
    """
    if not estimator.early_stopping:
        return Fold(rows)
    if estimator.n_folds is not None:
        n_folds = count_folds(estimator, rows.n_weighing())
        if n_folds is not None:
            return _leave_folds_out(estimator, rows, n_folds, random_states[0])
    splits = [split_rows(estimator, rows, state) for state in random_states]
    train, held_out = (np.stack(parts) for parts in zip(*splits, strict=True))
    if is_stream(rows.X):
        held_out.sort(axis=-1)
    return Fold(rows, list(train), rows, list(held_out))


def _leave_folds_out(
    estimator: Any, rows: CheckedRows, n_folds: int, random_state: RandomState
) -> Fold:
    """Let each member leave a fold out."""
    fold_of = split_folds(rows, n_folds, random_state)
    folds = np.arange(estimator.n_members) % n_folds
    leaves_out = fold_of == folds[:, np.newaxis]
    positions = [np.flatnonzero(is_left_out) for is_left_out in leaves_out]
    return Fold(rows, None, rows, positions, leaves_out)


def count_folds(estimator, n_samples: int) -> int | None:
    """Number of folds that members leave out in turn; None if there are none."""
    if estimator.n_folds != "auto":
        return estimator.n_folds
    most = min(n_samples, estimator.n_members)
    divisors = [n for n in range(2, most + 1) if estimator.n_members % n == 0]
    return max(divisors, default=None)
