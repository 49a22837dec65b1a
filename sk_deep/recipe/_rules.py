"""The rules of a diagnosis, in the recipe's order: one row each in `RULES`.

A rule reads measurements and returns the numbers that support it, or None.
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
_GAP = 0.08  # part of the span, between training and validation
_SLOPE = 0.03  # part of the span gained by the second half of the rows
_SIGNAL = 0.1  # part of the training score that any contender validates
_FALLING = 0.03  # part of the loss, over the last fifth of the epochs
_LARGE_GRADIENT = 100.0
_VANISHING = 0.05  # part of the gradient of the output layer
_MANY_UNITS = 0.3
_SMALL_STEP = 2e-4  # part of the weights; about 1e-3 is usual
_WORSE_LOSS = 2.0
_IMBALANCE = 10.0
_RECALL = 0.6  # part of the recall of the most frequent class
_SCALES = 30.0
_SCALE_RANGE = 0.1, 10.0
_OFFSET = 10.0
_ELSE_BETTER = "; and a yardstick has a better validation score"


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
    memorised = max(mean_score(scores.train) for scores in contenders) - constant
    if memorised <= 0 or reached > _SIGNAL * memorised:
        return None
    return {
        "best validation score": reached + constant,
        "constant prediction": constant,
        "best training score": memorised + constant,
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
    if _unscaled_inputs(case) is not None:  # they explain the gradients
        return None
    start = float(m.rate_losses[0])  # the smallest rate hardly trains
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
    if not np.isfinite(loss) or case.present_loss < _WORSE_LOSS * loss:
        return None
    if case.best_rate(above=True)[1] < loss and not m.errors:
        return None
    evidence = {
        "loss with it": case.present_loss,
        "a better rate": rate,
        "its loss": loss,
    }
    return {"folds that diverged": float(len(m.errors)), **evidence}


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
    if step >= _SMALL_STEP or case.present_loss < _WORSE_LOSS * loss:
        return None
    evidence = {
        "loss with it": case.present_loss,
        "a better rate": rate,
        "its loss": loss,
    }
    return {"step over weights": step, **evidence}


def _not_converged(case: Case) -> Evidence | None:
    m = case.measured
    if m.hits_limit < 0.5 or not case.is_behind:
        return None
    evidence = {
        "epochs": float(np.max(m.n_epochs)),
        "part of the folds that max_iter ended": m.hits_limit,
    }
    if not m.loss_curves:  # "lbfgs" otherwise stops where the loss is flat
        return evidence
    fall = float(np.mean([_fall(curve) for curve in m.loss_curves]))
    if fall < _FALLING:
        return None
    return {**evidence, "fall of the loss over the last fifth": fall}


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
        Function of a `Case` that returns the numbers that support the rule, or None.
    message : str
        The cause in a sentence.
    rule : str
        The conditions of the rule.
    suggests : callable
        Function of a `Case` that yields suggestions, the best one first.
    has_remedy : bool, default=True
        Whether the first suggestion removes the cause.
    """

    finds: Callable[[Case], Evidence | None]
    message: str
    rule: str
    suggests: Callable[[Case], Iterator[Suggestion]]
    has_remedy: bool = True


RULES: dict[str, Rule] = {
    "unscaled_inputs": Rule(
        _unscaled_inputs,
        "The inputs are not scaled, and a yardstick does better on scaled inputs.",
        f"deviations outside {_SCALE_RANGE}, or {_SCALES:g} times apart, or means "
        f"{_OFFSET:g} deviations from 0{_ELSE_BETTER}",
        scale,
    ),
    "label_noise": Rule(
        _label_noise,
        "The targets may be noise: no model, not even a linear or a plain network, "
        "generalises from the training rows.",
        f"no contender reaches {_SIGNAL:.0%} of its training score in validation, both "
        "counted from a constant prediction",
        lambda case: moves(case, "regularisation", "early_stopping", "ensemble"),
        has_remedy=False,
    ),
    "imbalance": Rule(
        _imbalance,
        "A class is rare, and the network rarely predicts it.",
        f"{_IMBALANCE:g} times fewer rows than the most frequent class, and a recall "
        f"below {_RECALL:g} times the recall of that class",
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
        f"training, and no higher rate reaches a lower loss{_ELSE_BETTER}",
        lower_rate,
    ),
    "vanishing_gradients": Rule(
        _vanishing_gradients,
        "The gradient vanishes on its way to the first layers, which hardly learn. A "
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
        "Units are dead: their value is the same on all rows, and their gradient is 0.",
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
        "Training has not converged: it stops while the loss is still falling.",
        f"max_iter stops half of the folds or more, and the last fifth of the epochs "
        f"lowers the loss by {_FALLING:.0%}, or the solver is lbfgs{_ELSE_BETTER}",
        lambda case: moves(case, "epochs", "learning_rate", "mini_batch", "solver"),
    ),
    "underfitting": Rule(
        _underfitting,
        "The network underfits: a yardstick has a better score on the training rows.",
        "training and validation scores below those of the better yardstick",
        capacity,
    ),
    "worse_than_linear": Rule(
        _worse_than_linear,
        "A linear model is better: the network learns patterns that do not generalise.",
        "a validation score below that of a linear model, and a training score that is "
        "not",
        linear,
    ),
    "overfitting": Rule(
        _overfitting,
        "The network overfits: good on the training rows, worse on other rows.",
        f"training and validation scores {_GAP:.0%} of the span apart",
        generalise,
    ),
    "needs_more_data": Rule(
        _needs_more_data,
        "More data would help: the score still rises with the number of rows.",
        f"training and validation scores {_SMALL_GAP:.0%} of the span apart, and the "
        f"second half of the rows adds {_SLOPE:.0%}",
        lambda case: moves(case, "augmentation", "regularisation", "ensemble"),
    ),
    "healthy": Rule(
        lambda case: {"training score": case.train, "validation score": case.test},
        "Nothing is wrong: the network is good on the training rows, and as good as "
        "the yardsticks on other rows.",
        "no other rule holds",
        more,
    ),
}
