"""The rules of a diagnosis, in the recipe's order: one row each in `RULES`.

A rule looks at measurements and gives the numbers that speak for it, or None. What is
behind is measured against yardsticks, which need no absolute idea of a good score: a
constant prediction, a linear model and a plain network.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from sk_deep._data.columns import reads_columns
from sk_deep._estimator.finding import find_network
from sk_deep.recipe._measure import Measurements, Scores
from sk_deep.recipe._moves import MOVES, Suggestion, suggest

Evidence = dict[str, float]

_MARGIN = 0.02  # of the span of scores: less is no difference
_GAIN = 0.005  # of the span, of a remedy that helps,
_WAY = 0.05  # and of the way to the better yardstick
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


class Case(NamedTuple):
    """An estimator and what was measured of it.

    Parameters
    ----------
    estimator : estimator
        A network, or a Pipeline that ends in one.
    measured : Measurements
        What was measured.
    """

    estimator: Any
    measured: Measurements

    @property
    def network(self):
        """The network, which is the last step of a pipeline."""
        return find_network(self.estimator, nested=False)[0]

    @property
    def prefix(self) -> str:
        """What stands before the names of the network's parameters."""
        return find_network(self.estimator, nested=False)[1]

    # ---- scores --------------------------------------------------------------------

    @property
    def train(self) -> float:
        """Mean training score; minus infinity where each fold diverged."""
        return _mean(self.measured.network.train)

    @property
    def test(self) -> float:
        """Mean validation score."""
        return _mean(self.measured.network.test)

    @property
    def bar(self) -> float:
        """Validation score from which on a remedy helps."""
        start = max(self.test, _mean(self.measured.constant.test))
        way = _mean(self.rival[1].test) - start
        return start + max(_GAIN * self.span, _WAY * way)

    @property
    def rival(self) -> tuple[str, Scores]:
        """The better yardstick in validation: its name and its scores."""
        m = self.measured
        yardsticks = {"a linear model": m.linear, "a plain network": m.plain}
        return max(yardsticks.items(), key=lambda pair: _mean(pair[1].test))

    @property
    def span(self) -> float:
        """What there is to gain on a constant prediction, in validation."""
        reached = max(_mean(self.rival[1].test), self.test)
        return max(reached - _mean(self.measured.constant.test), 1e-12)

    @property
    def is_behind(self) -> bool:
        """Whether a yardstick is clearly better in validation."""
        if not np.isfinite(self.test):
            return True
        ours, theirs = self.measured.network.test, self.rival[1].test
        return _exceeds(theirs, ours, _MARGIN * self.span)

    def is_trained_as(self, yardstick: Scores) -> bool:
        """Whether the training score is as good as that of a yardstick."""
        return self.train >= _mean(yardstick.train) - 2 * _MARGIN * self.span

    @property
    def is_untrained(self) -> bool:
        """Whether training is the trouble, so that overfitting is not to blame."""
        return self.is_behind and not self.is_trained_as(self.rival[1])

    @property
    def first_gradients(self) -> NDArray:
        """Norms of the layers' gradients in the first epoch."""
        norms = self.measured.gradient_norms
        return norms[0] if len(norms) else np.empty(0)

    @property
    def rate(self) -> float:
        """Learning rate; not a number of a solver that has none."""
        return np.nan if self.measured.rate is None else self.measured.rate

    @property
    def own_loss(self) -> float:
        """Loss that a short training reaches with the present rate."""
        m = self.measured
        return float(m.rate_losses[np.argmin(np.abs(m.rates - self.rate))])

    def best_rate(self, *, above: bool) -> tuple[float, float]:
        """Find the best rate above or below the present one, and its loss."""
        m = self.measured
        chosen = m.rates > 2 * self.rate if above else m.rates < self.rate / 2
        i = int(np.argmin(np.where(chosen, m.rate_losses, np.inf)))
        return float(m.rates[i]), float(m.rate_losses[i])


def _mean(values: NDArray) -> float:
    return float(np.mean(values)) if np.isfinite(values).all() else -np.inf


def _exceeds(ours: NDArray, theirs: NDArray, margin: float) -> bool:
    """Whether paired scores are better by more than a margin and a standard error."""
    differences = np.asarray(ours) - np.asarray(theirs)
    error = np.std(differences) / np.sqrt(len(differences))
    return bool(np.mean(differences) > max(margin, error))


# ---- the rules ---------------------------------------------------------------------


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
    constant = _mean(m.constant.test)
    reached = max(_mean(scores.test) for scores in contenders) - constant
    by_heart = max(_mean(scores.train) for scores in contenders) - constant
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
        name: _mean(scores.test),
    }


def _worse_than_linear(case: Case) -> Evidence | None:
    m = case.measured
    if not case.is_behind or _mean(m.linear.test) - case.test < _MARGIN * case.span:
        return None
    if not case.is_trained_as(m.linear):
        return None
    return {
        "validation score": case.test,
        "a linear model": _mean(m.linear.test),
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
    if not _exceeds(m.network.test, half.test, _SLOPE * case.span):
        return None
    return {"validation score": case.test, f"with {rows} rows": _mean(half.test)}


# ---- what they suggest -------------------------------------------------------------


def _moves(case: Case, *keys: str, sentence: str = "") -> Iterator[Suggestion]:
    facts = case.measured.facts
    for key in keys:
        found = suggest(key, case.network, facts, case.prefix, sentence)
        if found is not None:
            yield found


def _custom(case: Case, move: str, sentence: str, **grid) -> Suggestion:
    prefixed = {f"{case.prefix}{name}": values for name, values in grid.items()}
    return Suggestion(move, sentence, prefixed)


def _scale(case: Case) -> Iterator[Suggestion]:
    if reads_columns(case.network):
        sentence, scalings = "Scale the numbers.", ["standard", "quantile"]
        yield _custom(case, "scaling", sentence, numerical_scaling=scalings)
        return
    estimator, sentence = case.estimator, "Scale the inputs by a StandardScaler."
    scaler = StandardScaler(with_mean=not case.measured.is_sparse)
    if isinstance(estimator, Pipeline):
        *before, (name, network) = estimator.steps
        grid = {name: [make_pipeline(scaler, clone(network))]}
        if before and before[-1][1] == "passthrough":
            grid = {before[-1][0]: [scaler]}
        yield Suggestion("scaling", sentence, grid)
    yield from _moves(case, "scaling")


def _rates(case: Case, *, above: bool) -> Iterator[Suggestion]:
    rate, _ = case.best_rate(above=above)
    rates = [float(f"{rate * factor:.1g}") for factor in (1 / 3, 1.0, 3.0)]
    rates = [one for one in rates if (one > case.rate) == above]
    word = "Raise" if above else "Lower"
    sentence = f"{word} the learning rate from {case.rate:g} to about {rate:.1g}."
    yield _custom(case, "learning_rate", sentence, learning_rate_init=rates)


def _lower_rate(case: Case) -> Iterator[Suggestion]:
    yield from _rates(case, above=False)
    yield from _moves(case, "gradient_clip", "schedule")


def _higher_rate(case: Case) -> Iterator[Suggestion]:
    yield from _rates(case, above=True)
    yield from _moves(case, "solver", "epochs")


def _capacity(case: Case) -> Iterator[Suggestion]:
    if case.network.early_stopping:
        sentence = "Stop later: watch the loss, finer than the score, and wait longer."
        grid = {"scoring": ["loss"], "n_iter_no_change": [30, 100]}
        yield _custom(case, "early_stopping", sentence, **grid)
    yield from _less_regularisation(case)
    yield from _moves(case, "network", "loss", "mini_batch", "activation", "solver")


def _less_regularisation(case: Case) -> Iterator[Suggestion]:
    network, grid = case.network, {}
    if network.alpha >= 0.1:
        grid["alpha"] = [network.alpha / 100, 1e-4]
    if np.max(network.dropout) >= 0.5:
        grid["dropout"] = [0.0, 0.1]
    if network.input_dropout >= 0.5:
        grid["input_dropout"] = [0.0, 0.1]
    if network.max_norm is not None:
        grid["max_norm"] = [None]
    if grid:
        yield _custom(case, "regularisation", "Regularise less.", **grid)


def _linear(case: Case) -> Iterator[Suggestion]:
    sentence = "Try a network that is linear: what it cannot express is not needed."
    grid = {**_with_activations(case, ["identity"]), "alpha": [1e-4, 1e-1, 10.0]}
    yield _custom(case, "smaller_network", sentence, **grid)
    yield from _moves(case, "regularisation", "smaller_network", "early_stopping")


def _with_activations(case: Case, names: list[str]) -> dict[str, list]:
    """Take other activations, and set back what is illegal beside them."""
    grid = MOVES["activation"].grid(case.network, case.measured.facts)
    return {**grid, "activation": names} if grid else {}


def _flat_activations(case: Case) -> Iterator[Suggestion]:
    yield from _moves(case, "activation", "scaling", "residual", "initial_weights")


def _leaky(case: Case) -> Iterator[Suggestion]:
    sentence = "Take an activation whose slope is nowhere 0: no unit can die."
    grid = _with_activations(case, ["leaky_relu", "elu", "silu"])
    yield _custom(case, "activation", sentence, **grid)
    yield from _moves(case, "scaling", "initial_weights", "learning_rate")


def _generalise(case: Case) -> Iterator[Suggestion]:
    keys = "regularisation", "early_stopping", "dropout", "augmentation"
    yield from _moves(case, *keys, "smaller_network", "ensemble")


def _more(case: Case) -> Iterator[Suggestion]:
    yield from _moves(case, "ensemble")
    sentence = "See whether a wider or deeper network does better still."
    yield from _moves(case, "network", sentence=sentence)


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
        _scale,
    ),
    "label_noise": Rule(
        _label_noise,
        "The targets may be noise: what is learnt from the training rows by heart does "
        "not hold for others, neither here nor in a linear or a plain network.",
        f"no contender reaches {_SIGNAL:.0%} of its training score in validation, both "
        "counted from a constant prediction",
        lambda case: _moves(case, "regularisation", "early_stopping", "ensemble"),
        has_remedy=False,
    ),
    "imbalance": Rule(
        _imbalance,
        "A class is rare, and is overlooked.",
        f"{_IMBALANCE:g} times fewer rows than the most frequent class, and a recall "
        f"below {_RECALL:g} of that one's",
        lambda case: _moves(case, "class_weight"),
    ),
    "exploding_gradients": Rule(
        _exploding_gradients,
        "Signals and gradients grow from layer to layer.",
        f"a gradient norm above {_LARGE_GRADIENT:g} in the first epoch, and a loss that"
        f" starts at 10 times that of a constant prediction{_ELSE_BETTER}",
        lambda case: _moves(
            case, "scaling", "initial_weights", "gradient_clip", "activation"
        ),
    ),
    "learning_rate_too_high": Rule(
        _learning_rate_too_high,
        "The learning rate is too high: steps jump over the minimum.",
        f"half the rate or less reaches a loss {_WORSE_LOSS:g} times lower in a short "
        f"training, and no higher rate one that is lower still{_ELSE_BETTER}",
        _lower_rate,
    ),
    "vanishing_gradients": Rule(
        _vanishing_gradients,
        "The gradient vanishes on its way to the first layers: they hardly learn. A "
        "deep network that is bad on its training rows does not overfit.",
        f"four hidden layers or more, one with less than {_VANISHING:g} of the output "
        f"layer's gradient in the first epoch{_ELSE_BETTER}",
        _flat_activations,
    ),
    "saturated_units": Rule(
        _saturated_units,
        "Units are saturated: their activation is flat on nearly all rows.",
        f"{_MANY_UNITS:.0%} of a hidden layer{_ELSE_BETTER}",
        _flat_activations,
    ),
    "dead_units": Rule(
        _dead_units,
        "Units are dead: the same on all rows, and no gradient reaches them.",
        f"{_MANY_UNITS:.0%} of a hidden layer{_ELSE_BETTER}",
        _leaky,
    ),
    "learning_rate_too_low": Rule(
        _learning_rate_too_low,
        "The learning rate is too low: the weights hardly move.",
        f"steps below {_SMALL_STEP:g} of the weights, and a higher rate reaches a loss "
        f"{_WORSE_LOSS:g} times lower in a short training{_ELSE_BETTER}",
        _higher_rate,
    ),
    "not_converged": Rule(
        _not_converged,
        "Training has not converged: it ends while the loss is still falling.",
        f"max_iter ends half of the folds or more, and the last fifth of the epochs "
        f"lowers the loss by {_FALLING:.0%}, or the solver is lbfgs{_ELSE_BETTER}",
        lambda case: _moves(case, "epochs", "learning_rate", "mini_batch", "solver"),
    ),
    "underfitting": Rule(
        _underfitting,
        "It underfits: the training rows themselves are not learnt as well as others "
        "learn them.",
        "training and validation scores below those of the better yardstick",
        _capacity,
    ),
    "worse_than_linear": Rule(
        _worse_than_linear,
        "A linear model is better: the network learns what does not generalise.",
        "a validation score below a linear model's, with a training score that is not",
        _linear,
    ),
    "overfitting": Rule(
        _overfitting,
        "It overfits: good on the training rows, worse on others.",
        f"training and validation scores {_GAP:.0%} of the span apart",
        _generalise,
    ),
    "needs_more_data": Rule(
        _needs_more_data,
        "More data would help: the score still rises with the number of rows.",
        f"training and validation scores {_SMALL_GAP:.0%} of the span apart, and the "
        f"second half of the rows brings {_SLOPE:.0%}",
        lambda case: _moves(case, "augmentation", "regularisation", "ensemble"),
    ),
    "healthy": Rule(
        lambda case: {"training score": case.train, "validation score": case.test},
        "Nothing is wrong: good on the training rows, and as good as the yardsticks on "
        "others.",
        "no other rule holds",
        _more,
    ),
}
