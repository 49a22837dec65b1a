"""The score that early stopping watches, as a function of a net in training."""

import functools
import inspect
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.metrics import get_scorer

from sk_deep._compat import predicts_only
from sk_deep._data.tensors import float_dtype
from sk_deep._engine.net import Net
from sk_deep._engine.state import member_net
from sk_deep._estimator.validation import ScoredRows, average_by_row


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
    members = zip(parts, outputs, strict=True)
    left_out = ((part.rows, values[: len(part.rows)]) for part, values in members)
    shape = len(whole.y), outputs.shape[-1]
    return average_by_row(shape, outputs.dtype, left_out)[np.newaxis]


def _score_of_each(
    estimators: Sequence[Any], parts: Sequence[ScoredRows], outputs_of: Any = None
) -> Callable[[Net], list[float] | NDArray]:
    scoring, outputs_of = estimators[0].scoring, outputs_of or _validation_outputs
    if scoring == "loss":
        return lambda net: -net.training_.epoch_values["valid_loss"]
    if scoring is None:
        return _default_score(estimators, parts, outputs_of)
    scorer = get_scorer(scoring)
    if parts[0].weight is not None and not _takes_weights(scorer):
        raise ValueError(
            "scoring must accept sample_weight when fit is given sample weights, got "
            f"{scoring=}."
        )
    return _scorer_score(estimators, parts, scorer, outputs_of)


def _takes_weights(scorer: Callable) -> bool:
    parameters = inspect.signature(scorer).parameters.values()
    return any(p.name == "sample_weight" or p.kind is p.VAR_KEYWORD for p in parameters)


def _default_score(
    estimators: Sequence[Any], parts: Sequence[ScoredRows], outputs_of: Callable
) -> Callable[[Net], list[float]]:
    """Score as the estimators' targets do, accuracy or R^2."""
    targets = [estimator._targets for estimator in estimators]

    def score(net: Net) -> list[float]:
        members = zip(targets, parts, outputs_of(net, None), strict=True)
        return [
            own.score(
                net.criterion_, part.target, outputs[: len(part.target)], part.weight
            )
            for own, part, outputs in members
        ]

    return score


def _validation_outputs(net: Net, dtype: torch.dtype | None) -> NDArray:
    """Outputs of the epoch's validation, (n_members, n_rows, n_outputs)."""
    raw = torch.cat(net.training_.outputs, dim=-2).to(dtype=dtype)
    outputs = net.criterion_.inverse_link(raw).numpy(force=True)
    return outputs if outputs.ndim == 3 else outputs[np.newaxis]


def _scorer_score(
    estimators: Sequence[Any],
    parts: Sequence[ScoredRows],
    scorer: Callable,
    outputs_of: Callable,
) -> Callable[[Net], NDArray]:
    n_inputs = parts[0].X.shape[1]
    candidates = [_of_encoded_inputs(estimator, n_inputs) for estimator in estimators]
    looks_inside = not predicts_only(scorer)
    dtype = getattr(torch, float_dtype(parts[0].X))

    def score_one(net: Net, i: int, outputs: NDArray) -> float:
        candidate, part = candidates[i], parts[i]
        if looks_inside:
            X = part.X[part.rows]
            candidate.net_ = member_net(net, i)
        else:
            X = np.empty((len(part.y), 0))  # the outputs are known
            predict_known(candidate, net, outputs[: len(X)])
        weight = {} if part.weight is None else {"sample_weight": part.weight}
        try:
            return scorer(candidate, X, part.y, **weight)
        except AttributeError as error:  # say, that a regressor has no probabilities
            raise ValueError(
                f"scoring must be defined for {type(candidate).__name__}, got "
                f"scoring={candidate.scoring!r}: {error}"
            ) from error

    def score(net: Net) -> NDArray:
        scores = np.full(len(parts), np.nan)
        outputs = outputs_of(net, dtype)
        for i in np.flatnonzero(net.training_.trained[: len(parts)]).tolist():
            if np.isfinite(outputs[i]).all():  # else on the way to a divergence
                scores[i] = score_one(net, i, outputs[i])
        return scores

    return score


def _of_encoded_inputs(estimator: Any, n_inputs: int) -> Any:
    """Copy an estimator for inputs that are checked and encoded, without names."""
    candidate = estimator._copy()
    candidate._columns = None
    candidate.n_features_in_ = n_inputs
    if hasattr(candidate, "feature_names_in_"):
        del candidate.feature_names_in_
    return candidate


def predict_known(estimator: Any, net: Net, outputs: NDArray) -> None:
    """Let an estimator predict from outputs that are known already.

    Parameters
    ----------
    estimator : BaseMLP
        A copy, for scorers that look at predictions alone.
    net : Net
        The net that gave the outputs.
    outputs : ndarray of shape (n, n_outputs)
        Outputs for the rows that the scorer asks for.
    """
    estimator.net_ = net
    estimator._known_outputs = outputs
