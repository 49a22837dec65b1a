"""The line on a fitted network in scikit-learn's diagrams."""

from typing import Any


def caption_of(estimator: Any) -> str:
    """Write a line: epochs, best score or loss, number of weights and device."""
    module = estimator.net_.module_
    has_epochs = getattr(estimator, "loss_curve_", None) is not None
    parts = [
        _count(estimator.n_iter_, "epoch" if has_epochs else "iteration"),
        _best_value(estimator),
        _count(module.flat.numel(), "weight"),  # biases too
        str(estimator.net_.device),
    ]
    return ", ".join(parts)


def _best_value(estimator: Any) -> str:
    """Name the best validation score, or else the best or the last loss."""
    for name in ("best_validation_score_", "best_loss_"):
        value = getattr(estimator, name, None)
        if value is not None:
            return f"{name.strip('_').replace('_', ' ')} {value:.4g}"
    return f"loss {estimator.loss_:.4g}"


def _count(n: int, noun: str) -> str:
    return f"{n:,} {noun}{'s' * (n != 1)}"
