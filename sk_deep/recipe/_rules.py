"""The rules of a diagnosis, in the recipe's order: one row each in `RULES`.

A rule looks at measurements and gives the numbers that speak for it, or None.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sk_deep.recipe._case import MARGIN, Case, exceeds, mean_score
from sk_deep.recipe._moves import Suggestion
from sk_deep.recipe._remedies import (
    capacity,
    flat_activations,
    generalise,
    higher_rate,
    leaky,
    linear,
    lower_rate,
    more,
    moves,
    scale,
)

Evidence = dict[str, float]

_SMALL_GAP = 0.05
_GAP = 0.08  # of the span, between training and validation
_SLOPE = 0.03  # of the span, that the second half of the rows has brought
_SIGNAL = 0.1  # of the span in training, that no contender reaches in validation
_FALLING = 0.03  # of the loss, over the last fifth of the epochs
_LARGE_GRADIENT = 100.0
_VANISHING = 0.05  # of the output layer's gradient
_MANY_UNITS = 0.3
_SMALL_STEP = 2e-4  # of the weights: a fifth of the customary thousandth
_WORSE_LOSS = 2.0
_IMBALANCE = 10.0
_RECALL = 0.6  # of the most frequent class's
_SCALES = 30.0
_SCALE_RANGE = 0.1, 10.0
_OFFSET = 10.0
_ELSE_BETTER = "; and a yardstick better in validation"


def _unscaled_inputs(case: Case) -> Evidence | None:
    m = case.measured
    scales = m.scales[m.scales > 1e-9 * max(m.scales.max(initial=0), 1e-300)]
    if not case.is_behind or not len(scales):
        return None
    median, ratio = float(np.median(scales)), float(scales.max() / scales.min())
    offset = float(np.median(m.offsets))
    low, high = _SCALE_RANGE
    if low <= median <= high and ratio <= _SCALES and offset <= _OFFSET:
        return None
    return {
        "smallest deviation": float(scales.min()),
        "median deviation": median,
        "largest deviation": float(scales.max()),
        "median of mean over deviation": offset,
    }


def _label_noise(case: Case) -> Evidence | None:
    m = case.measured
    contenders = m.network, m.linear, m.plain
    constant = mean_score(m.constant.test)
    reached = max(mean_score(scores.test) for scores in contenders) - constant
    by_heart = max(mean_score(scores.train) for scores in contenders) - constant
    if by_heart <= 0 or reached > _SIGNAL * by_heart:
        return None
    return {
        "best validation score": reached + constant,
        "constant prediction": constant,
        "best training score": by_heart + constant,
    }


def _imbalance(case: Case) -> Evidence | None:
    m = case.measured
    if not len(m.class_counts):
        return None
    rare, common = int(np.argmin(m.class_counts)), int(np.argmax(m.class_counts))
    ratio = m.class_counts[common] / m.class_counts[rare]
    if ratio < _IMBALANCE or m.recalls[rare] >= _RECALL * m.recalls[common]:
        return None
    return {
        "rows of the rarest class": float(m.class_counts[rare]),
        "rows of the most frequent class": float(m.class_counts[common]),
        "recall of the rarest class": float(m.recalls[rare]),
        "recall of the most frequent class": float(m.recalls[common]),
    }


def _exploding_gradients(case: Case) -> Evidence | None:
    m, gradients = case.measured, case.first_gradients
    if not case.is_behind or not len(gradients) or not len(m.rate_losses):
        return None
    if _unscaled_inputs(case) is not None:  # which explains it
        return None
    start = float(m.rate_losses[0])  # with a rate so small that it hardly moves
    largest = float(gradients.max() / m.target_scale)
    if largest < _LARGE_GRADIENT or start < 10 * m.constant_loss:
        return None
    return {
        "largest gradient norm of a layer": largest,
        "loss at the start": start,
        "loss of a constant prediction": m.constant_loss,
    }


def _learning_rate_too_high(case: Case) -> Evidence | None:
    m = case.measured
    if not len(m.rates) or not case.is_behind:
        return None
    rate, loss = case.best_rate(above=False)
    if not np.isfinite(loss) or case.own_loss < _WORSE_LOSS * loss:
        return None
    if case.best_rate(above=True)[1] < loss and not m.errors:
        return None
    found = {"loss with it": case.own_loss, "a better rate": rate, "its loss": loss}
    return {"folds that diverged": float(len(m.errors)), **found}


def _vanishing_gradients(case: Case) -> Evidence | None:
    gradients = case.first_gradients
    if not case.is_behind or len(gradients) < 5:
        return None
    hidden = float(gradients[:-1].min())
    if hidden >= _VANISHING * gradients[-1]:
        return None
    return {
        "smallest gradient norm of a hidden layer": hidden,
        "gradient norm of the output layer": float(gradients[-1]),
    }


def _saturated_units(case: Case) -> Evidence | None:
    return _bad_units(case, case.measured.saturated_units, "saturated")


def _dead_units(case: Case) -> Evidence | None:
    return _bad_units(case, case.measured.dead_units, "dead")


def _bad_units(case: Case, parts: NDArray, name: str) -> Evidence | None:
    if not len(parts) or parts.max() < _MANY_UNITS or not case.is_behind:
        return None
    return {
        f"part of {name} units": float(parts.max()),
        "in hidden layer": float(np.argmax(parts) + 1),
    }


def _learning_rate_too_low(case: Case) -> Evidence | None:
    m = case.measured
    if not len(m.rates) or not len(m.update_ratios) or not case.is_behind:
        return None
    step = float(m.update_ratios.mean(axis=0).max())
    rate, loss = case.best_rate(above=True)
    if step >= _SMALL_STEP or case.own_loss < _WORSE_LOSS * loss:
        return None
    found = {"loss with it": case.own_loss, "a better rate": rate, "its loss": loss}
    return {"step over weights": step, **found}


def _not_converged(case: Case) -> Evidence | None:
    m = case.measured
    if m.hits_limit < 0.5 or not case.is_behind:
        return None
    found = {
        "epochs": float(np.max(m.n_epochs)),
        "part of the folds that max_iter ended": m.hits_limit,
    }
    if not m.loss_curves:  # of "lbfgs", which else ends where the loss is flat
        return found
    fall = float(np.mean([_fall(curve) for curve in m.loss_curves]))
    if fall < _FALLING:
        return None
    return {**found, "fall of the loss over the last fifth": fall}


def _fall(curve: list[float]) -> float:
    before = curve[max(0, int(0.8 * len(curve)) - 1)]
    return (before - curve[-1]) / max(abs(before), 1e-300)


def _underfitting(case: Case) -> Evidence | None:
    if not case.is_untrained:
        return None
    name, scores = case.rival
    return {
        "training score": case.train,
        "validation score": case.test,
        name: mean_score(scores.test),
    }


def _worse_than_linear(case: Case) -> Evidence | None:
    m = case.measured
    if not case.is_behind or mean_score(m.linear.test) - case.test < MARGIN * case.span:
        return None
    if not case.is_trained_as(m.linear):
        return None
    return {
        "validation score": case.test,
        "a linear model": mean_score(m.linear.test),
        "training score": case.train,
    }


def _overfitting(case: Case) -> Evidence | None:
    test_score = case.measured.test_score
    test = case.test if test_score is None else min(case.test, test_score)
    gap = case.train - test
    if case.is_untrained or gap < _GAP * case.span:
        return None
    return {"training score": case.train, "validation score": test, "gap": gap}


def _needs_more_data(case: Case) -> Evidence | None:
    m = case.measured
    rows, half = list(m.learning_curve.items())[-2:][0]
    if case.is_untrained or case.train - case.test < _SMALL_GAP * case.span:
        return None
    if not exceeds(m.network.test, half.test, _SLOPE * case.span):
        return None
    return {"validation score": case.test, f"with {rows} rows": mean_score(half.test)}


@dataclass(frozen=True)
class Rule:
    """A row of `RULES`.

    Parameters
    ----------
    finds : callable
        Function of a `Case` that gives the numbers that speak for it, or None.
    message : str
        What it means.
    rule : str
        What it takes.
    suggests : callable
        Function of a `Case` that gives suggestions, the first one first.
    has_remedy : bool, default=True
        Whether the first suggestion takes away the cause, if this is it.
    """

    finds: Callable[[Case], Evidence | None]
    message: str
    rule: str
    suggests: Callable[[Case], Iterator[Suggestion]]
    has_remedy: bool = True


RULES: dict[str, Rule] = {
    "unscaled_inputs": Rule(
        _unscaled_inputs,
        "The inputs are not scaled, and on scaled ones others do better.",
        f"deviations outside {_SCALE_RANGE}, or {_SCALES:g} times apart, or means "
        f"{_OFFSET:g} deviations from 0{_ELSE_BETTER}",
        scale,
    ),
    "label_noise": Rule(
        _label_noise,
        "The targets may be noise: what is learnt from the training rows by heart does "
        "not hold for others, neither here nor in a linear or a plain network.",
        f"no contender reaches {_SIGNAL:.0%} of its training score in validation, both "
        "counted from a constant prediction",
        lambda case: moves(case, "regularisation", "early_stopping", "ensemble"),
        has_remedy=False,
    ),
    "imbalance": Rule(
        _imbalance,
        "A class is rare, and is overlooked.",
        f"{_IMBALANCE:g} times fewer rows than the most frequent class, and a recall "
        f"below {_RECALL:g} of that one's",
        lambda case: moves(case, "class_weight"),
    ),
    "exploding_gradients": Rule(
        _exploding_gradients,
        "Signals and gradients grow from layer to layer.",
        f"a gradient norm above {_LARGE_GRADIENT:g} in the first epoch, and a loss that"
        f" starts at 10 times that of a constant prediction{_ELSE_BETTER}",
        lambda case: moves(
            case, "scaling", "initial_weights", "gradient_clip", "activation"
        ),
    ),
    "learning_rate_too_high": Rule(
        _learning_rate_too_high,
        "The learning rate is too high: steps jump over the minimum.",
        f"half the rate or less reaches a loss {_WORSE_LOSS:g} times lower in a short "
        f"training, and no higher rate one that is lower still{_ELSE_BETTER}",
        lower_rate,
    ),
    "vanishing_gradients": Rule(
        _vanishing_gradients,
        "The gradient vanishes on its way to the first layers: they hardly learn. A "
        "deep network that is bad on its training rows does not overfit.",
        f"four hidden layers or more, one with less than {_VANISHING:g} of the output "
        f"layer's gradient in the first epoch{_ELSE_BETTER}",
        flat_activations,
    ),
    "saturated_units": Rule(
        _saturated_units,
        "Units are saturated: their activation is flat on nearly all rows.",
        f"{_MANY_UNITS:.0%} of a hidden layer{_ELSE_BETTER}",
        flat_activations,
    ),
    "dead_units": Rule(
        _dead_units,
        "Units are dead: the same on all rows, and no gradient reaches them.",
        f"{_MANY_UNITS:.0%} of a hidden layer{_ELSE_BETTER}",
        leaky,
    ),
    "learning_rate_too_low": Rule(
        _learning_rate_too_low,
        "The learning rate is too low: the weights hardly move.",
        f"steps below {_SMALL_STEP:g} of the weights, and a higher rate reaches a loss "
        f"{_WORSE_LOSS:g} times lower in a short training{_ELSE_BETTER}",
        higher_rate,
    ),
    "not_converged": Rule(
        _not_converged,
        "Training has not converged: it ends while the loss is still falling.",
        f"max_iter ends half of the folds or more, and the last fifth of the epochs "
        f"lowers the loss by {_FALLING:.0%}, or the solver is lbfgs{_ELSE_BETTER}",
        lambda case: moves(case, "epochs", "learning_rate", "mini_batch", "solver"),
    ),
    "underfitting": Rule(
        _underfitting,
        "It underfits: the training rows themselves are not learnt as well as others "
        "learn them.",
        "training and validation scores below those of the better yardstick",
        capacity,
    ),
    "worse_than_linear": Rule(
        _worse_than_linear,
        "A linear model is better: the network learns what does not generalise.",
        "a validation score below a linear model's, with a training score that is not",
        linear,
    ),
    "overfitting": Rule(
        _overfitting,
        "It overfits: good on the training rows, worse on others.",
        f"training and validation scores {_GAP:.0%} of the span apart",
        generalise,
    ),
    "needs_more_data": Rule(
        _needs_more_data,
        "More data would help: the score still rises with the number of rows.",
        f"training and validation scores {_SMALL_GAP:.0%} of the span apart, and the "
        f"second half of the rows brings {_SLOPE:.0%}",
        lambda case: moves(case, "augmentation", "regularisation", "ensemble"),
    ),
    "healthy": Rule(
        lambda case: {"training score": case.train, "validation score": case.test},
        "Nothing is wrong: good on the training rows, and as good as the yardsticks on "
        "others.",
        "no other rule holds",
        more,
    ),
}
