"""Paces: the learning rate of a member, and which members step together."""

import numpy as np
import pytest

from sk_deep._engine.rates import StepSettings, group_members
from sk_deep.schedules import get_schedule

RATE = 0.2
SLOW = StepSettings(0.1, get_schedule("constant"), 10, {"momentum": 0.5})
FAST = StepSettings(0.2, get_schedule("constant"), 10, {"momentum": 0.5})
LONG = StepSettings(0.1, get_schedule("constant"), 20, {"momentum": 0.5})
HEAVY = StepSettings(0.1, get_schedule("constant"), 10, {"momentum": 0.9})
COSINE = StepSettings(0.1, get_schedule("cosine", final=0.5), 10, {"momentum": 0.5})
FALLS = StepSettings(0.1, get_schedule("adaptive"), 10, {"momentum": 0.5})


def _copy(settings):
    """Make an equal pace that shares nothing but functions."""
    factor = settings.schedule.factor
    schedule = get_schedule(factor.learning_rate, **dict(factor.params))
    arguments = dict(settings.arguments)
    return StepSettings(
        settings.learning_rate, schedule, settings.max_epochs, arguments
    )


# ---- the rate ----------------------------------------------------------------------


def _rate(name, *progress, max_epochs=8, **params):
    return StepSettings(RATE, get_schedule(name, **params), max_epochs).rate(*progress)


@pytest.mark.parametrize(
    ("name", "params", "progress", "factor"),
    [
        ("constant", {}, (5, 100), 1.0),
        ("adaptive", {}, (5, 100), 1.0),  # plateaus apart
        ("inverse_time", {}, (3, 100), 1 / 4),
        ("step", {"every": 2, "gamma": 0.5}, (5, 100), 1 / 4),
        ("invscaling", {"power_t": 0.5}, (1, 99), 1 / 10),
        ("cosine", {}, (4, 100), 1 / 2),
        ("cosine", {}, (3, 100, 1.0), 1 / 2),  # by parts of an epoch, too
        ("cosine", {}, (2, 100), (1 + np.cos(np.pi / 4)) / 2),
        ("constant", {"warmup": 0.5}, (1, 100, 0.0, 1.0), 1 / 2),
        ("constant", {"warmup": 0.5}, (0, 0, 0.0, 0.5), 1 / 8),
        ("constant", {"warmup": 0.5}, (6, 100, 0.0, 0.5), 1.0),
    ],
)
def test_rate(name, params, progress, factor):
    assert _rate(name, *progress, **params) == pytest.approx(RATE * factor)


def test_a_new_optimizer_starts_at_the_initial_rate():
    """Whatever the rows that a former one has seen; they count from then on."""
    assert _rate("invscaling", 0, 99, power_t=0.5) == RATE
    assert _rate("invscaling", 1, 99, power_t=0.5) == pytest.approx(RATE / 10)


@pytest.mark.parametrize("epoch", [8, 9, 100])
def test_rates_stay_at_the_end_beyond_the_longest_training(epoch):
    assert _rate("cosine", epoch, 0, 0.5, 0.6, final=0.25) == RATE / 4
    assert _rate("constant", epoch, 0, 0.5, 0.6, warmup=0.9) == RATE


def test_a_function_of_the_fraction():
    assert _rate(lambda u: 1 - u, 2, 50, 0.5) == pytest.approx(RATE * (1 - 2.5 / 8))


# ---- groups ------------------------------------------------------------------------


def _groups(step_settings, *, n_members=None, together=True):
    n_members = n_members or len(step_settings)
    groups = group_members(step_settings, n_members, together=together)
    return [(group.start, group.stop) for group in groups]


@pytest.mark.parametrize(
    ("step_settings", "expected"),
    [
        ([SLOW], [(0, 1)]),
        ([SLOW, SLOW, SLOW], [(0, 3)]),
        ([SLOW, FAST, FAST], [(0, 1), (1, 3)]),
        ([SLOW, SLOW, FAST], [(0, 2), (2, 3)]),
        ([SLOW, FAST, SLOW], [(0, 1), (1, 2), (2, 3)]),  # not side by side
        ([SLOW, LONG, LONG], [(0, 1), (1, 3)]),
        ([SLOW, HEAVY], [(0, 1), (1, 2)]),
        ([SLOW, COSINE, COSINE], [(0, 1), (1, 3)]),
        ([FALLS, FALLS, FALLS], [(0, 1), (1, 2), (2, 3)]),
        ([SLOW, SLOW, FALLS, FALLS], [(0, 2), (2, 3), (3, 4)]),
        ([FALLS, SLOW, SLOW], [(0, 1), (1, 3)]),
    ],
)
def test_groups_are_runs_of_equal_settings(step_settings, expected):
    assert _groups(step_settings) == expected
    assert (
        _groups([_copy(settings) for settings in step_settings]) == expected
    )  # by their values


@pytest.mark.parametrize("settings", [SLOW, COSINE])
def test_settings_of_all(settings):
    assert _groups([settings], n_members=4) == [(0, 4)]


def test_settings_of_all_that_falls_on_plateaus():
    assert _groups([FALLS], n_members=3) == [(0, 1), (1, 2), (2, 3)]


@pytest.mark.parametrize(
    "step_settings", [[SLOW], [SLOW, SLOW, SLOW], [SLOW, FAST, FALLS]]
)
def test_members_that_step_one_by_one(step_settings):
    found = _groups(step_settings, n_members=3, together=False)
    assert found == [(0, 1), (1, 2), (2, 3)]
