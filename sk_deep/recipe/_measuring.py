"""Measure an estimator for the rules of a diagnosis."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import scipy.sparse
from numpy.typing import NDArray
from sklearn.base import clone, is_classifier
from sklearn.exceptions import UndefinedMetricWarning
from sklearn.metrics import recall_score
from sklearn.preprocessing import StandardScaler

from sk_deep._data.columns import reads_columns
from sk_deep._engine.unit_states import unit_states
from sk_deep._estimator.finding import find_network, inputs_of_network
from sk_deep._estimator.inputs import fit_columns
from sk_deep.recipe._measure import FittedSplit, Measurements, Scores
from sk_deep.recipe._study import Study, mean_n_rows, quiet
from sk_deep.recipe._yardsticks import constant_model, linear_model, plain_network


def measure(study: Study, *, fitted=None, test=None) -> Measurements:
    """Measure an estimator.

    Parameters
    ----------
    study : Study
        The estimator, its data and the splits.
    fitted : estimator, default=None
        The fitted estimator: its units are measured, and it is scored on test data.
    test : tuple of X and y, default=None
        Further data to score on.

    Returns
    -------
    measured : Measurements
        The measurements.
    """
    with quiet(UndefinedMetricWarning):
        folds = [study.fold(*split) for split in study.splits]
        test_score = None if test is None else study.test_score(fitted, *test)
    is_sparse = scipy.sparse.issparse(folds[0].Xt)
    mlp = Scores(
        np.array([fold.train_score for fold in folds]),
        np.array([fold.test_score for fold in folds]),
    )
    facts = study.facts(np.shape(folds[0].Xt)[1])
    return Measurements(
        facts=facts,
        network=mlp,
        **_yardsticks(study, is_sparse),
        test_score=test_score,
        learning_curve={**study.learning_curve(), mean_n_rows(study.splits): mlp},
        **_records([fold for fold in folds if fold.mlp is not None]),
        errors=[fold.error for fold in folds if fold.error is not None],
        **_units(folds if fitted is None else [_as_fold(fitted, study.X)]),
        **study.sweep()._asdict(),
        **_scales(study.mlp, folds[0].Xt),
        **_by_class(study, facts.n_classes, folds),
        **_scale_of_targets(study),
        is_sparse=is_sparse,
        n_fits=study.n_fits,
    )


def _yardsticks(study: Study, is_sparse: bool) -> dict[str, Any]:
    models = {
        "constant": constant_model(study.mlp),
        "linear": linear_model(study.mlp, study.y),
        "plain": plain_network(study.mlp),
    }
    return {
        name: study.scores(study.instead(model, is_sparse=is_sparse), {})[0]
        for name, model in models.items()
    }


def _records(folds: Sequence[FittedSplit]) -> dict[str, Any]:
    """Collect the records of the trainings."""
    mlps = [fold.mlp for fold in folds]
    ends = [fold.hits_limit for fold in folds]
    return {
        "loss_curves": _curves(mlps, "loss_curve_"),
        "score_curves": _curves(mlps, "validation_scores_"),
        "n_epochs": np.array([mlp.n_iter_ for mlp in mlps]),
        "hits_limit": float(np.mean(ends)) if ends else 0.0,
        "gradient_norms": _mean_curve(mlps, "gradient_norm_curve_"),
        "update_ratios": _mean_curve(mlps, "update_ratio_curve_"),
    }


def _curves(mlps: Sequence, name: str) -> list[list]:
    """List the curves of the estimators that have one."""
    curves = [getattr(mlp, name, None) for mlp in mlps]
    return [curve for curve in curves if curve]


def _mean_curve(mlps: Sequence, name: str) -> NDArray:
    """Mean of curves, cut to the shortest; empty if there is none."""
    curves = _curves(mlps, name)
    n_epochs = min((len(curve) for curve in curves), default=0)
    if not n_epochs:
        return np.empty((0, 0))
    return np.mean([curve[:n_epochs] for curve in curves], axis=0)


def _units(folds: Sequence[FittedSplit]) -> dict[str, Any]:
    """Fractions of dead and of saturated units by layer, means over the folds."""
    fractions = []
    for mlp, Xt in [fold[:2] for fold in folds if fold.mlp is not None]:
        states = unit_states(mlp.net_, mlp._check_inputs(Xt))
        fractions.append([[s.dead.mean(), s.saturated.mean()] for s in states])
    means = np.empty((0, 2))
    if fractions:
        means = np.mean(fractions, axis=0).reshape(-1, 2)
    return {"dead_units": means[:, 0], "saturated_units": means[:, 1]}


def _as_fold(fitted, X) -> FittedSplit:
    """Treat a fitted estimator as a fit on all rows."""
    mlp, _ = find_network(fitted)
    return FittedSplit(mlp, inputs_of_network(fitted, X))


def _scales(mlp, Xt) -> dict[str, Any]:
    """Compute the scales of the inputs; in a table, of its numerical columns."""
    if reads_columns(mlp):
        table = clone(mlp)
        Xt = fit_columns(table, Xt)[:, : len(table._columns.numeric)]
    if not np.shape(Xt)[1]:
        return {"scales": np.empty(0), "offsets": np.empty(0)}
    scaler = StandardScaler(with_mean=not scipy.sparse.issparse(Xt)).fit(Xt)
    scales = np.sqrt(scaler.var_)
    offsets = np.abs(scaler.mean_) / np.where(scales > 0, scales, 1.0)
    return {"scales": scales, "offsets": offsets}


def _by_class(
    study: Study, n_classes: int, folds: Sequence[FittedSplit]
) -> dict[str, Any]:
    """Count the rows of each class, and compute their recall in validation."""
    if not n_classes or any(fold.predicted is None for fold in folds):
        return {"class_counts": np.empty(0, int), "recalls": np.empty(0)}
    y = np.asarray(study.y)
    labels, counts = np.unique(y, return_counts=True)
    tests = np.concatenate([test for _, test in study.splits])
    predicted = np.concatenate([fold.predicted for fold in folds])
    recalls = recall_score(
        y[tests], predicted, labels=labels, average=None, zero_division=0
    )
    return {"class_counts": counts, "recalls": recalls}


def _scale_of_targets(study: Study) -> dict[str, Any]:
    """Compute the scale of the targets, and the loss of a constant prediction."""
    y = np.asarray(study.y)
    if not is_classifier(study.mlp):
        deviation = float(np.sqrt(np.mean(np.var(y.astype(float), axis=0))))
        n_outputs = 1 if y.ndim == 1 else y.shape[1]
        loss = n_outputs * deviation**2 / 2
        return {"constant_loss": loss, "target_scale": deviation or 1.0}
    outputs = [y] if y.ndim == 1 else list(y.T)
    parts = [np.unique(y, return_counts=True)[1] / len(y) for y in outputs]
    loss = float(sum(-(part * np.log(part)).sum() for part in parts))
    return {"constant_loss": loss, "target_scale": 1.0}
