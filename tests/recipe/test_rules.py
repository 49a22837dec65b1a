"""The rules of the diagnosis: what each takes, and planted problems in short."""

import importlib
import itertools
import re
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from sk_deep import MLPClassifier
from sk_deep.recipe import RULES, Facts, Measurements, Scores
from sk_deep.recipe._case import Case
from sk_deep.recipe._diagnosis import _find_verdicts

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
bench = importlib.import_module("bench_diagnosis")

NETWORK = MLPClassifier(
    (8,) * 6, learning_rate_init=1e-3, early_stopping=False, dropout=0.0
)


def scores(train, test, *, spread=0.0):
    """Scores of four folds."""
    around = spread * np.array([-1.0, 1.0, -1.0, 1.0])
    return Scores(np.full(4, float(train)), test + around)


def numbers_of(key):
    """Take the numbers of a rule from what it says it takes."""
    found = re.findall(r"(?<![\w.])(\d+(?:\.\d+)?(?:e-\d+)?)(%?)", RULES[key].rule)
    return [float(number) / (100 if percent else 1) for number, percent in found]


HEALTHY = Measurements(
    facts=Facts(200, 10, True, 2),
    network=scores(0.92, 0.9),
    constant=scores(0.5, 0.5),
    linear=scores(0.9, 0.85),
    plain=scores(1.0, 0.9),
    test_score=None,
    learning_curve={
        40: scores(0.97, 0.85),
        80: scores(0.96, 0.9),
        160: scores(0.92, 0.9),
    },
    loss_curves=[list(np.geomspace(0.7, 0.1, 50)) + [0.1] * 50] * 4,
    score_curves=[],
    n_epochs=np.full(4, 100),
    hits_limit=1.0,
    errors=[],
    gradient_norms=np.ones((100, 7)),
    update_ratios=np.full((100, 7), 1e-3),
    dead_units=np.zeros(6),
    saturated_units=np.zeros(6),
    rate=1e-3,
    rates=1e-3 * np.array([0.01, 0.1, 1.0, 10.0, 100.0]),
    rate_losses=np.array([0.7, 0.4, 0.2, 0.2, 0.6]),
    rate_epochs=5,
    scales=np.ones(10),
    offsets=np.zeros(10),
    class_counts=np.array([100, 100]),
    recalls=np.array([0.9, 0.9]),
    constant_loss=0.7,
    target_scale=1.0,
    is_sparse=False,
    n_fits=0,
)
# a yardstick is better in validation, and none in training
BEHIND = {"plain": scores(0.92, 0.94)}


def keys(**changes):
    case = Case(NETWORK, replace(HEALTHY, **changes))
    return {
        key
        for key, rule in RULES.items()
        if key != "healthy" and rule.finds(case) is not None
    }


def _scales(factor, n=10):
    return {**BEHIND, "scales": factor * np.ones(n)}


def _apart(ratio):
    return {**BEHIND, "scales": np.r_[np.ones(9), ratio]}


def _gradients(hidden, *, n_layers=7):
    norms = np.ones((100, n_layers))
    norms[0, 2] = hidden
    return {**BEHIND, "gradient_norms": norms}


def _exploding(norm, start):
    norms = np.full((100, 7), norm)
    losses = np.r_[start, HEALTHY.rate_losses[1:]]
    return {**BEHIND, "gradient_norms": norms, "rate_losses": losses}


def _rates(*losses, step=1e-3):
    ratios = np.full((100, 7), step)
    return {**BEHIND, "rate_losses": np.array(losses), "update_ratios": ratios}


def _units(kind, part):
    return {**BEHIND, kind: np.array([0, 0, part, 0, 0, 0])}


def _imbalance(ratio, recall):
    counts = np.array([10 * ratio, 10.0])
    return {"class_counts": counts, "recalls": np.array([1.0, recall])}


def _falling(fall, limit=1.0):
    end = np.linspace(1.0, 1.0 - fall, 21)
    curves = [[1.0] * 79 + end.tolist()] * 4
    return {**BEHIND, "loss_curves": curves, "hits_limit": limit}


def _noise(part):
    """Let no contender reach more than a part of its score in training."""
    given = scores(1.0, 0.5 + part * 0.5)
    curve = {40: given, 80: given, 160: given}
    names = "network", "linear", "plain"
    return dict.fromkeys(names, given) | {"learning_curve": curve}


def _gap(part):
    network = scores(0.9 + part * 0.4, 0.9)
    curve = {**HEALTHY.learning_curve, 160: network}
    return {"network": network, "learning_curve": curve}


def _slope(part, spread=0.0):
    before = scores(0.95, 0.9 - part * 0.4, spread=spread)
    return {"learning_curve": {**HEALTHY.learning_curve, 80: before}}


def _gap_beside_slope(part, steep):
    return {**_slope(2 * steep[1]), "network": scores(0.9 + part * 0.4, 0.9)}


LOW, HIGH = 0.99, 1.01
scaled, noise, rare, exploding = map(
    numbers_of, ["unscaled_inputs", "label_noise", "imbalance", "exploding_gradients"]
)
fast, slow, ends, vanishing = map(
    numbers_of,
    [
        *("learning_rate_too_high", "learning_rate_too_low"),
        *("not_converged", "vanishing_gradients"),
    ],
)
flat, dead, apart, steep = map(
    numbers_of, ["saturated_units", "dead_units", "overfitting", "needs_more_data"]
)
# key, what holds it, and what just does not
CASES = [
    ("unscaled_inputs", _scales(LOW * scaled[0]), _scales(HIGH * scaled[0])),
    ("unscaled_inputs", _scales(HIGH * scaled[1]), _scales(LOW * scaled[1])),
    ("unscaled_inputs", _apart(HIGH * scaled[2]), _apart(LOW * scaled[2])),
    (
        "unscaled_inputs",
        {**BEHIND, "offsets": np.full(10, HIGH * scaled[3])},
        {**BEHIND, "offsets": np.full(10, LOW * scaled[3])},
    ),
    ("imbalance", _imbalance(HIGH * rare[0], 0.5), _imbalance(LOW * rare[0], 0.5)),
    (
        "imbalance",
        _imbalance(20, LOW * rare[1]),
        _imbalance(20, HIGH * rare[1]),
    ),
    (
        "exploding_gradients",
        _exploding(HIGH * exploding[0], 100.0),
        _exploding(LOW * exploding[0], 100.0),
    ),
    (
        "exploding_gradients",
        _exploding(1e4, 0.7 * HIGH * exploding[1]),
        _exploding(1e4, 0.7 * LOW * exploding[1]),
    ),
    (
        "learning_rate_too_high",
        _rates(0.7, 0.2 / fast[0] * LOW, 0.2, 0.2, 0.6),
        _rates(0.7, 0.2 / fast[0] * HIGH, 0.2, 0.2, 0.6),
    ),
    (
        "learning_rate_too_high",
        _rates(0.7, 0.1, 0.3, 0.101, 0.6),
        _rates(0.7, 0.1, 0.3, 0.099, 0.6),
    ),
    (
        "vanishing_gradients",
        _gradients(LOW * vanishing[0]),
        _gradients(HIGH * vanishing[0]),
    ),
    (
        "vanishing_gradients",
        _gradients(0.0, n_layers=5),
        _gradients(0.0, n_layers=4),
    ),
    (
        "saturated_units",
        _units("saturated_units", HIGH * flat[0]),
        _units("saturated_units", LOW * flat[0]),
    ),
    (
        "dead_units",
        _units("dead_units", HIGH * dead[0]),
        _units("dead_units", LOW * dead[0]),
    ),
    (
        "learning_rate_too_low",
        _rates(0.7, 0.7, 0.7, 0.2, 0.6, step=LOW * slow[0]),
        _rates(0.7, 0.7, 0.7, 0.2, 0.6, step=HIGH * slow[0]),
    ),
    (
        "learning_rate_too_low",
        _rates(0.7, 0.7, 0.7, 0.7 / slow[1] * LOW, 0.7, step=1e-6),
        _rates(0.7, 0.7, 0.7, 0.7 / slow[1] * HIGH, 0.7, step=1e-6),
    ),
    ("not_converged", _falling(HIGH * ends[0]), _falling(LOW * ends[0])),
    ("not_converged", _falling(0.5, limit=0.5), _falling(0.5, limit=0.25)),
    (
        "not_converged",
        {**BEHIND, "loss_curves": [], "hits_limit": 1.0},
        {**BEHIND, "loss_curves": [], "hits_limit": 0.25},
    ),
    (
        "underfitting",
        {"network": scores(0.7, 0.7)},
        {"network": scores(0.7, 0.9)},
    ),
    (
        "worse_than_linear",
        {"linear": scores(0.92, 0.9 + 0.4 * 0.03)},
        {"linear": scores(0.92, 0.9 + 0.4 * 0.01)},
    ),
    ("overfitting", _gap(HIGH * apart[0]), _gap(LOW * apart[0])),
    (
        "overfitting",
        {"network": scores(0.9, 0.9), "test_score": 0.9 - 0.4 * HIGH * apart[0]},
        {"network": scores(0.9, 0.9), "test_score": 0.9 - 0.4 * LOW * apart[0]},
    ),
    ("needs_more_data", _slope(HIGH * steep[1]), _slope(LOW * steep[1])),
    (
        "needs_more_data",
        _gap_beside_slope(HIGH * steep[0], steep),
        _gap_beside_slope(LOW * steep[0], steep),
    ),
    (
        "needs_more_data",
        _slope(2 * steep[1], spread=0.01),
        _slope(2 * steep[1], spread=0.1),
    ),
    ("label_noise", _noise(LOW * noise[0]), _noise(HIGH * noise[0])),
]
# what holds besides, because it must
BESIDES = {"label_noise": {"overfitting"}}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case[0])
def test_a_rule_holds_where_it_says(case):
    key, holds, does_not = case
    besides = BESIDES.get(key, set())
    assert keys(**holds) - besides == {key}
    assert keys(**does_not) - besides == set()


def test_healthy():
    assert keys() == set()
    assert keys(**BEHIND) == set()


def test_every_rule_has_a_case():
    assert {key for key, *_ in CASES} == RULES.keys() - {"healthy"}


NEEDS_RIVAL = [
    holds for key, holds, _ in CASES if "plain" in holds and key != "label_noise"
]


@pytest.mark.parametrize("holds", NEEDS_RIVAL)
def test_no_trouble_where_no_yardstick_is_better(holds):
    assert keys(**{**holds, "plain": HEALTHY.plain}) == set()


# ---- the order of verdicts ---------------------------------------------------------


class Study:
    """Scores grids as told.

    Parameters
    ----------
    score_of : callable
        Gives the validation score of a grid.
    """

    estimator = NETWORK

    def __init__(self, score_of):
        self.score_of = score_of

    def scores(self, estimator, grid):
        return [scores(0.0, score) for score in (-1.0, self.score_of(grid), np.nan)]


TROUBLES = {
    **BEHIND,
    **_units("dead_units", 0.9),
    "gradient_norms": _gradients(1e-6)["gradient_norms"],
    "scales": np.full(10, 1000.0),
}
ORDERS = [  # an activation or parameter that helps, the verdicts, remedies tried
    ("batch", "unscaled_inputs vanishing_gradients dead_units", 1),
    ("tanh", "vanishing_gradients dead_units unscaled_inputs", 2),
    ("leaky_relu", "dead_units unscaled_inputs vanishing_gradients", 3),
    ("nothing", "unscaled_inputs vanishing_gradients dead_units", 3),
]


@pytest.mark.parametrize(("remedy", "order", "n_tried"), ORDERS)
def test_the_cause_whose_remedy_helps_comes_first(remedy, order, n_tried):
    def score_of(grid):
        values = itertools.chain(*grid.values())
        return 0.93 if remedy in values else HEALTHY.network.test.mean()

    verdicts = list(_find_verdicts(Study(score_of), replace(HEALTHY, **TROUBLES)))
    assert [verdict.key for verdict in verdicts] == order.split()
    told = "validation score with the first suggestion"
    tried = [one.evidence[told] for one in verdicts if told in one.evidence]
    assert sorted(tried)[-1] == (0.9 if remedy == "nothing" else 0.93)
    assert len(tried) == n_tried


def test_of_a_network_that_diverges_a_remedy_must_beat_a_constant():
    diverged = {"network": scores(np.nan, np.nan)}
    measured = replace(HEALTHY, **{**TROUBLES, **diverged})
    for score, first in [(0.4, "unscaled_inputs"), (0.6, "vanishing_gradients")]:
        study = Study(lambda grid, score=score: score if "tanh" in str(grid) else 0.3)
        assert next(_find_verdicts(study, measured)).key == first


def test_noise_has_no_remedy_and_is_not_refuted():
    measured = replace(HEALTHY, **_noise(0.0))
    verdicts = list(_find_verdicts(Study(lambda grid: 0.0), measured))
    assert verdicts[0].key == "label_noise"


# ---- planted problems --------------------------------------------------------------

SHORT = [
    *("sgd_diverges", "adam_300_times_too_fast", "sgd_1000_times_too_slow"),
    *("ten_logistic_layers", "hundred_rows", "one_in_fifty"),
    *("random_targets", "three_epochs", "raw_wine", "healthy_breast_cancer"),
]


@pytest.mark.long
@pytest.mark.parametrize("name", SHORT)
def test_planted_problem(name):
    outcome = bench.examine(bench.ROWS[name], cv=2)
    assert outcome.is_right, outcome
    if "healthy" in outcome.problem.causes:
        assert outcome.is_clean
    else:
        assert outcome.is_better
