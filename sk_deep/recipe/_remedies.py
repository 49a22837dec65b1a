"""The suggestions of a diagnosis: what to try against each cause."""

from collections.abc import Iterator

import numpy as np
from sklearn.base import clone
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from sk_deep._data.columns import reads_columns
from sk_deep.recipe._case import Case
from sk_deep.recipe._moves import MOVES, Suggestion, suggest


def moves(case: Case, *keys: str, sentence: str = "") -> Iterator[Suggestion]:
    """Suggest moves of the recipe, those that have a meaning for the estimator."""
    facts = case.measured.facts
    for key in keys:
        suggestion = suggest(key, case.mlp, facts, case.prefix, sentence)
        if suggestion is not None:
            yield suggestion


def _custom(case: Case, move: str, sentence: str, **grid) -> Suggestion:
    prefixed = {f"{case.prefix}{name}": values for name, values in grid.items()}
    return Suggestion(move, sentence, prefixed)


def scale(case: Case) -> Iterator[Suggestion]:
    """Scale the inputs."""
    if reads_columns(case.mlp):
        sentence, scalings = "Scale the numbers.", ["standard", "quantile"]
        yield _custom(case, "scaling", sentence, numerical_scaling=scalings)
        return
    estimator, sentence = case.estimator, "Scale the inputs by a StandardScaler."
    scaler = StandardScaler(with_mean=not case.measured.is_sparse)
    if isinstance(estimator, Pipeline):
        *before, (name, mlp) = estimator.steps
        grid = {name: [make_pipeline(scaler, clone(mlp))]}
        if before and before[-1][1] == "passthrough":
            grid = {before[-1][0]: [scaler]}
        yield Suggestion("scaling", sentence, grid)
    yield from moves(case, "scaling")


def _rates(case: Case, *, above: bool) -> Iterator[Suggestion]:
    rate, _ = case.best_rate(above=above)
    rates = [float(f"{rate * factor:.1g}") for factor in (1 / 3, 1.0, 3.0)]
    rates = [value for value in rates if (value > case.rate) == above]
    word = "Raise" if above else "Lower"
    sentence = f"{word} the learning rate from {case.rate:g} to about {rate:.1g}."
    yield _custom(case, "learning_rate", sentence, learning_rate_init=rates)


def lower_rate(case: Case) -> Iterator[Suggestion]:
    """Lower the learning rate."""
    yield from _rates(case, above=False)
    yield from moves(case, "gradient_clip", "schedule")


def higher_rate(case: Case) -> Iterator[Suggestion]:
    """Raise the learning rate."""
    yield from _rates(case, above=True)
    yield from moves(case, "solver", "epochs")


def capacity(case: Case) -> Iterator[Suggestion]:
    """Give the network more freedom to fit the training rows."""
    if case.mlp.early_stopping:
        sentence = "Stop later: monitor the loss instead of the score, and wait longer."
        grid = {"scoring": ["loss"], "n_iter_no_change": [30, 100]}
        yield _custom(case, "early_stopping", sentence, **grid)
    yield from _less_regularisation(case)
    yield from moves(case, "network", "loss", "mini_batch", "activation", "solver")


def _less_regularisation(case: Case) -> Iterator[Suggestion]:
    mlp, grid = case.mlp, {}
    if mlp.alpha >= 0.1:
        grid["alpha"] = [mlp.alpha / 100, 1e-4]
    if np.max(mlp.dropout) >= 0.5:
        grid["dropout"] = [0.0, 0.1]
    if mlp.input_dropout >= 0.5:
        grid["input_dropout"] = [0.0, 0.1]
    if mlp.max_norm is not None:
        grid["max_norm"] = [None]
    if grid:
        yield _custom(case, "regularisation", "Regularise less.", **grid)


def linear(case: Case) -> Iterator[Suggestion]:
    """Simplify the network until it is linear."""
    sentence = "Try a linear network: a more complex one does not generalise better."
    grid = {**_with_activations(case, ["identity"]), "alpha": [1e-4, 1e-1, 10.0]}
    yield _custom(case, "smaller_network", sentence, **grid)
    yield from moves(case, "regularisation", "smaller_network", "early_stopping")


def _with_activations(case: Case, names: list[str]) -> dict[str, list]:
    """Grid of activations; parameters that are illegal beside them are reset."""
    grid = MOVES["activation"].grid(case.mlp, case.measured.facts)
    return {**grid, "activation": names} if grid else {}


def flat_activations(case: Case) -> Iterator[Suggestion]:
    """Keep gradients from vanishing in flat parts of activations."""
    yield from moves(case, "activation", "scaling", "residual", "initial_weights")


def leaky(case: Case) -> Iterator[Suggestion]:
    """Choose activations that keep units alive."""
    sentence = "Use an activation without a slope of 0, so that no unit can die."
    grid = _with_activations(case, ["leaky_relu", "elu", "silu"])
    yield _custom(case, "activation", sentence, **grid)
    yield from moves(case, "scaling", "initial_weights", "learning_rate")


def generalise(case: Case) -> Iterator[Suggestion]:
    """Reduce the gap between training and validation."""
    keys = "regularisation", "early_stopping", "dropout", "augmentation"
    yield from moves(case, *keys, "smaller_network", "ensemble")


def more(case: Case) -> Iterator[Suggestion]:
    """Improve a network that has no fault."""
    yield from moves(case, "ensemble")
    sentence = "Try whether a wider or deeper network does better still."
    yield from moves(case, "network", sentence=sentence)
