"""What early stopping watches: which rows, and how they are scored."""

import functools
import inspect
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.random import RandomState
from numpy.typing import NDArray
from sklearn.base import is_classifier
from sklearn.metrics import get_scorer
from sklearn.model_selection import train_test_split

from sk_deep._compat import predicts_only
from sk_deep._data.batches import Data
from sk_deep._data.tensors import float_dtype
from sk_deep._engine.net import Net
from sk_deep._engine.state import member_net


class Validation(NamedTuple):
    """Validation data as `fit` was given it."""

    X: Any = None
    y: Any = None
    weight: Any = None

    @property
    def is_given(self) -> bool:
        """Whether there is any."""
        return any(part is not None for part in self)


class CheckedRows(NamedTuple):
    """Checked arrays of as many rows: inputs, targets, encoded targets, weights."""

    X: Any
    y: NDArray
    target: NDArray
    weight: NDArray | None

    def n_weighing(self) -> int:
        """Count the rows that weigh something."""
        return len(self.y) if self.weight is None else np.count_nonzero(self.weight)


class Fold(NamedTuple):
    """Which rows train and which validate.

    The positions are each member's; None is all rows. With `leaves_out`, of shape
    (n_members, n_rows), all members share the training rows, and leave out their own.
    """

    train: CheckedRows
    train_positions: NDArray | None = None
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

    def whole(self) -> "ScoredRows | None":
        """Take the rows that members leave out, all together; None without folds."""
        return (
            None if self.leaves_out is None else ScoredRows.of(self.valid, slice(None))
        )

    def parts(self, n_members: int) -> list["ScoredRows"]:
        """List the rows that each member validates on."""
        positions = self.valid_positions
        if positions is None:
            return [ScoredRows.of(self.valid, slice(None))] * n_members
        return [ScoredRows.of(self.valid, own) for own in positions]


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
    n_members = net.module_.architecture["n_members"]
    if n_members > 1 and positions is None:
        positions = np.tile(np.arange(rows.X.shape[0]), (n_members, 1))
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
            "X_val and y_val are watched in place of folds, for which n_folds must be "
            f"None, however: {n_folds=}."
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
            f"n_folds must be at most the number of rows that weigh something, however:"
            f" {n_folds=}, n_samples={counts}."
        )
    order = random_state.permutation(n_rows)
    if rows.target.size == n_rows:
        order = order[np.argsort(rows.target[order].ravel(), kind="stable")]
    if rows.weight is not None:  # each fold needs some
        order = order[np.argsort(rows.weight[order] == 0, kind="stable")]
    fold_of = np.empty(n_rows, int)
    for start in range(0, n_rows, n_folds):
        own = order[start : start + n_folds]
        fold_of[own] = random_state.permutation(n_folds)[: len(own)]
    return fold_of


def _rare_class_error(error: ValueError, y: NDArray) -> ValueError:
    # NOTE[DIFF] classes of one sample: scikit-learn names their codes, not the labels
    labels, counts = np.unique(y, return_counts=True)
    return ValueError(
        f"{error} In the labels of y: {labels[counts < 2].tolist()}. Add samples of "
        "them or set early_stopping=False."
    )


def validation_score(
    estimators: Sequence, parts: Sequence[ScoredRows], whole: ScoredRows | None = None
) -> Callable[[Net], list[float] | NDArray]:
    """Build the function of a net that scores its members on the validation rows.

    Parameters
    ----------
    estimators : sequence of estimator
        Each member's, with one `scoring`, and what decodes the outputs.
    parts : sequence of ScoredRows
        What each member is scored on.
    whole : ScoredRows, default=None
        All rows, of which the parts are folds: then all members get one score, that of
        the predictions for each row by those that have left it out. The loss, and a
        scorer of the user's, which may look at more than predictions, are averaged over
        the folds.

    Returns
    -------
    score : callable
        Gives a score per member.
    """
    if whole is None:
        return _score_of_each(estimators, parts)
    scoring = estimators[0].scoring
    if scoring is None or (scoring != "loss" and predicts_only(get_scorer(scoring))):
        outputs_of = functools.partial(_outputs_of_folds, parts=parts, whole=whole)
        score = _score_of_each(estimators[:1], [whole], outputs_of)
        return lambda net: np.repeat(score(net), len(parts))
    score = _score_of_each(estimators, parts)
    sizes = [len(p.y) if p.weight is None else p.weight.sum() for p in parts]
    return lambda net: np.full(len(parts), np.average(score(net), weights=sizes))


def _outputs_of_folds(
    net: Net,
    dtype: torch.dtype | None,
    *,
    parts: Sequence[ScoredRows],
    whole: ScoredRows,
) -> NDArray:
    """Outputs of an epoch's validation for all rows, (1, n_rows, n_outputs)."""
    outputs = _validation_outputs(net, dtype)
    pairs = zip(parts, outputs, strict=True)
    left_out = ((part.rows, own[: len(part.rows)]) for part, own in pairs)
    shape = len(whole.y), outputs.shape[-1]
    return average_by_row(shape, outputs.dtype, left_out)[np.newaxis]


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


def _score_of_each(estimators: Sequence, parts: Sequence[ScoredRows], outputs_of=None):
    scoring, outputs_of = estimators[0].scoring, outputs_of or _validation_outputs
    if scoring == "loss":
        return lambda net: -net.epoch_values_["valid_loss"]
    if scoring is None:
        return _default_score(estimators, parts, outputs_of)
    scorer = get_scorer(scoring)
    if parts[0].weight is not None and not _takes_weights(scorer):
        raise ValueError(
            f"scoring must take sample_weight where there are any, however: {scoring=}."
        )
    return _scorer_score(estimators, parts, scorer, outputs_of)


def _takes_weights(scorer: Callable) -> bool:
    parameters = inspect.signature(scorer).parameters.values()
    return any(p.name == "sample_weight" or p.kind is p.VAR_KEYWORD for p in parameters)


def _default_score(
    estimators: Sequence, parts: Sequence[ScoredRows], outputs_of: Callable
):
    def score(net: Net) -> list[float]:
        members = zip(estimators, parts, outputs_of(net, None), strict=True)
        return [
            estimator._score(part.target, outputs[: len(part.target)], part.weight)
            for estimator, part, outputs in members
        ]

    return score


def _validation_outputs(net: Net, dtype: torch.dtype | None) -> NDArray:
    """Outputs of the epoch's validation, (n_members, n_rows, n_outputs)."""
    raw = torch.cat(net.outputs_, dim=-2).to(dtype=dtype)
    outputs = net.criterion_.inverse_link(raw).numpy(force=True)
    return outputs if outputs.ndim == 3 else outputs[np.newaxis]


def _scorer_score(
    estimators: Sequence,
    parts: Sequence[ScoredRows],
    scorer: Callable,
    outputs_of: Callable,
):
    candidates = [estimator._copy() for estimator in estimators]
    for candidate in candidates:  # the checked rows have no names, and are encoded
        for name in ("feature_names_in_", "_columns"):
            vars(candidate).pop(name, None)
        candidate.n_features_in_ = parts[0].X.shape[1]
    looks_inside = not predicts_only(scorer)
    dtype = getattr(torch, float_dtype(parts[0].X))

    def score_one(net: Net, i: int, outputs: NDArray) -> float:
        candidate, part = candidates[i], parts[i]
        if looks_inside:
            X = part.X[part.rows]
            candidate.net_ = member_net(net, i)
        else:
            X = np.empty((len(part.y), 0))  # the outputs are known
            serve(candidate, net, outputs[: len(X)])
        weight = {} if part.weight is None else {"sample_weight": part.weight}
        try:
            return scorer(candidate, X, part.y, **weight)
        except AttributeError as error:  # say, that a regressor has no probabilities
            raise ValueError(
                f"scoring must go with {type(candidate).__name__}, however: "
                f"scoring={candidate.scoring!r}: {error}"
            ) from error

    def score(net: Net) -> NDArray:
        scores = np.full(len(parts), np.nan)
        outputs = outputs_of(net, dtype)
        for i in np.flatnonzero(net.trained_[: len(parts)]):
            if np.isfinite(outputs[i]).all():  # else on the way to a divergence
                scores[i] = score_one(net, i, outputs[i])
        return scores

    return score


def serve(estimator, net: Net, outputs: NDArray) -> None:
    """Let an estimator predict from outputs that are known already.

    Parameters
    ----------
    estimator : BaseMLP
        It is for scorers that look at predictions alone.
    net : Net
        What the outputs are of.
    outputs : ndarray of shape (n, n_outputs)
        Outputs for the rows that will be asked for.
    """
    estimator.net_ = net
    estimator._outputs = functools.partial(_served, outputs)


def _served(outputs: NDArray, X) -> NDArray:
    return outputs
