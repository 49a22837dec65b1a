"""Learning-rate schedules against their formulas, torch's and scikit-learn's."""

import numpy as np
import pytest
import torch
from sklearn import neural_network
from skorch.callbacks import Callback

from sk_deep import MLPRegressor
from sk_deep.schedules import SCHEDULES, get_schedule

N, N_EPOCHS, N_BATCHES, RATE = 30, 12, 3, 0.02
T = N_EPOCHS * N_BATCHES
PARAMS = {
    "hidden_layer_sizes": (3,),
    "learning_rate_init": RATE,
    "batch_size": N // N_BATCHES,
    "max_iter": N_EPOCHS,
    "tol": 0.0,
    "n_iter_no_change": np.inf,
    "random_state": 0,
}


class Rates(Callback):
    """Record the learning rate of each batch, as it is set and as it acts."""

    def on_train_begin(self, net, **kwargs):
        self.values, self.acting = [], []

    def on_batch_begin(self, net, training=False, **kwargs):
        if training:
            self.values.append(float(net.rates_.values.mean()))
            self.acting.append([group["lr"] for group in net.optimizer_.param_groups])


def _fit(**params):
    X = np.random.default_rng(0).normal(size=(N, 4))
    model = MLPRegressor(**{**PARAMS, "callbacks": [Rates()], **params})
    return model.fit(X, X[:, 0])


def _rates_of_batches(model):
    (record,) = (c for _, c in model.net_.callbacks_ if isinstance(c, Rates))
    np.testing.assert_allclose(np.mean(record.acting, axis=1), record.values)
    return record.values


# ---- the formulas ------------------------------------------------------------------


def _cosine(u, final=0.0):
    return final + (1 - final) * (1 + np.cos(np.pi * u)) / 2


def _one_cycle(u, peak=0.3, initial=1 / 25, final=1 / 250_000):
    up = initial + (1 - initial) * (1 - np.cos(np.pi * u / peak)) / 2
    down = final + (1 - final) * (1 + np.cos(np.pi * (u - peak) / (1 - peak))) / 2
    return np.where(u < peak, up, down)


FACTORS = [
    # name, constructor parameters, factor after t epochs
    ("constant", {}, lambda t: np.ones(N_EPOCHS)),
    ("invscaling", {}, lambda t: (N * t + 1.0) ** -0.5),
    ("invscaling", {"power_t": 0.2}, lambda t: (N * t + 1.0) ** -0.2),
    ("inverse_sqrt", {}, lambda t: (t + 1.0) ** -0.5),
    ("inverse_time", {}, lambda t: (t + 1.0) ** -1),
    ("step", {}, lambda t: np.ones(N_EPOCHS)),  # longer below
    (
        "step",
        {"schedule_params": {"gamma": 0.5, "every": 4}},
        lambda t: np.repeat([1, 1 / 2, 1 / 4], 4),
    ),
    ("exponential", {}, lambda t: 0.95**t),
    ("exponential", {"schedule_params": {"gamma": 0.7}}, lambda t: 0.7**t),
    ("cosine", {}, lambda t: _cosine(t / N_EPOCHS)),
    (
        "cosine",
        {"schedule_params": {"final": 0.2}},
        lambda t: _cosine(t / N_EPOCHS, 0.2),
    ),
    ("one_cycle", {}, lambda t: _one_cycle(t / N_EPOCHS)),
    (
        "one_cycle",
        {"schedule_params": {"peak": 0.5, "initial": 0.1, "final": 0.01}},
        lambda t: _one_cycle(t / N_EPOCHS, 0.5, 0.1, 0.01),
    ),
    (lambda u: 1 - u / 2, {}, lambda t: 1 - t / N_EPOCHS / 2),
]


def test_every_schedule_has_a_formula_here_or_a_twin_below():
    assert {name for name, *_ in FACTORS if isinstance(name, str)} == (
        set(SCHEDULES) - {"adaptive"}
    )


@pytest.mark.parametrize(
    ("solver", "n_members"), [("sgd", 1), ("adam", 1), ("nadam", 2)]
)
@pytest.mark.parametrize(("name", "params", "factor"), FACTORS)
def test_curve(name, params, factor, solver, n_members):
    model = _fit(learning_rate=name, solver=solver, n_members=n_members, **params)
    # as in scikit-learn, "invscaling" does nothing with "adam"
    is_inert = name == "invscaling" and solver == "adam"
    expected = np.ones(N_EPOCHS) if is_inert else factor(np.arange(N_EPOCHS))
    np.testing.assert_allclose(model.learning_rate_curve_, RATE * expected, rtol=1e-12)


def _expected_rates(name, factor):
    """Rates of the batches; most schedules change with epochs only."""
    if callable(name) or name in ("cosine", "one_cycle"):
        return RATE * factor(np.arange(T) / N_BATCHES)
    return RATE * factor(np.arange(N_EPOCHS)).repeat(N_BATCHES)


@pytest.mark.parametrize(("name", "params", "factor"), FACTORS)
def test_rates_within_epochs(name, params, factor):
    rates = _rates_of_batches(_fit(learning_rate=name, **params, solver="sgd"))
    np.testing.assert_allclose(rates, _expected_rates(name, factor), rtol=1e-12)


def test_steps_without_parameters_are_tenths_every_30_epochs():
    rates = _fit(learning_rate="step", max_iter=70).learning_rate_curve_
    expected = RATE * np.repeat([1, 0.1, 0.01], 30)[:70]
    np.testing.assert_allclose(rates, expected, rtol=1e-12)


def test_the_rate_acts(rng):
    """Steps of SGD without momentum, the last rates of which are zero."""
    X = rng.normal(size=(N, 4))
    params = {**PARAMS, "solver": "sgd", "momentum": 0.0, "shuffle": False}
    short = MLPRegressor(**{**params, "max_iter": 2}).fit(X, X[:, 0])
    long = MLPRegressor(**params, learning_rate=lambda u: float(u < 2 / N_EPOCHS))
    long.fit(X, X[:, 0])
    np.testing.assert_array_equal(long.coefs_[0], short.coefs_[0])


# ---- torch's -----------------------------------------------------------------------


def _by_torch(build, n_steps=T):
    """Rates of a scheduler of torch, step by step."""
    optimizer = torch.optim.SGD([torch.zeros(1)], lr=RATE)
    scheduler = build(optimizer)
    rates = []
    for _ in range(n_steps):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return rates


@pytest.mark.parametrize("solver", ["sgd", "adam"])
@pytest.mark.parametrize("final", [0.0, 0.3])
def test_cosine_is_that_of_torch(final, solver):
    params = {"learning_rate": "cosine", "schedule_params": {"final": final}}
    expected = _by_torch(
        lambda optimizer: torch.optim.lr_scheduler.CosineAnnealingLR(
            optimizer, T_max=T, eta_min=RATE * final
        )
    )
    np.testing.assert_allclose(
        _rates_of_batches(_fit(**params, solver=solver)), expected, rtol=1e-9
    )


@pytest.mark.parametrize("solver", ["sgd", "adam"])
@pytest.mark.parametrize("peak", [0.25, 0.5])
def test_one_cycle_is_that_of_torch(peak, solver):
    # torch's ends in the last step, ours after it, and so has a step more; its defaults
    # of the first and the last rate are ours
    expected = _by_torch(
        lambda optimizer: torch.optim.lr_scheduler.OneCycleLR(
            optimizer,
            max_lr=RATE,
            total_steps=T + 1,
            pct_start=(peak * T + 1) / (T + 1),
            cycle_momentum=False,
        )
    )
    params = {"learning_rate": "one_cycle", "schedule_params": {"peak": peak}}
    np.testing.assert_allclose(
        _rates_of_batches(_fit(**params, solver=solver)), expected, rtol=1e-9
    )


@pytest.mark.parametrize(
    ("name", "params", "build"),
    [
        (
            "step",
            {"gamma": 0.3, "every": 5},
            lambda o: torch.optim.lr_scheduler.StepLR(o, 5, 0.3),
        ),
        (
            "exponential",
            {"gamma": 0.8},
            lambda o: torch.optim.lr_scheduler.ExponentialLR(o, 0.8),
        ),
    ],
)
def test_schedules_by_epochs_are_those_of_torch(name, params, build):
    model = _fit(learning_rate=name, schedule_params=params)
    expected = _by_torch(build, N_EPOCHS)
    np.testing.assert_allclose(model.learning_rate_curve_, expected, rtol=1e-12)


# ---- warmup ------------------------------------------------------------------------


@pytest.mark.parametrize("warmup", [0.0, 1 / 36, 0.25])
@pytest.mark.parametrize(("name", "params", "factor"), FACTORS)
def test_warmup_multiplies(name, params, factor, warmup):
    schedule_params = {**params.get("schedule_params", {}), "warmup": warmup}
    rates = _rates_of_batches(
        _fit(
            **{**params, "schedule_params": schedule_params},
            learning_rate=name,
            solver="sgd",
        )
    )
    # the first batch already has a rate, and the last one of the warmup the whole one
    ramp = np.minimum(1, np.arange(1, T + 1) / max(1, round(warmup * T)))
    np.testing.assert_allclose(rates, _expected_rates(name, factor) * ramp, rtol=1e-9)


# ---- scikit-learn's ----------------------------------------------------------------

PLATEAUS = {"solver": "sgd", "learning_rate": "adaptive", "tol": 0.05}


def _fit_theirs(max_iter, params, X, y):
    theirs = neural_network.MLPRegressor(**{**params, "max_iter": max_iter})
    return theirs.fit(X, y)


@pytest.mark.parametrize("early_stopping", [False, True])
def test_adaptive_is_that_of_scikit_learn(early_stopping, rng):
    X = rng.normal(size=(N, 4))
    params = {**PARAMS, **PLATEAUS, "n_iter_no_change": 1}
    params.update(max_iter=20, early_stopping=early_stopping)
    ours = MLPRegressor(**params).fit(X, X[:, 0])
    after = [
        _fit_theirs(n, params, X, X[:, 0])._optimizer.learning_rate
        for n in range(1, ours.n_iter_ + 1)
    ]
    np.testing.assert_allclose(ours.learning_rate_curve_[1:], after[:-1], rtol=1e-12)
    assert len(set(after)) > 2
    assert ours.n_iter_ == _fit_theirs(20, params, X, X[:, 0]).n_iter_


@pytest.mark.parametrize("solver", ["nadam", "rmsprop"])
def test_adaptive_divides_by_5_with_solvers_that_scikit_learn_lacks(solver):
    model = _fit(
        solver=solver, learning_rate="adaptive", tol=1e9, n_iter_no_change=1, max_iter=9
    )
    # the first epoch improves on nothing; then two stale ones and a reduction
    expected = RATE * 5.0 ** -np.array([0, 0, 0, 1, 1, 2, 2, 3, 3])
    np.testing.assert_allclose(model.learning_rate_curve_, expected, rtol=1e-12)


def test_plateaus_reduce_the_rate_of_their_member_alone():
    model = _fit(**{**PLATEAUS, "n_iter_no_change": 1}, n_members=4)
    (record,) = (c for _, c in model.net_.callbacks_ if isinstance(c, Rates))
    exponents = np.log(np.array(record.acting) / RATE) / np.log(5)
    np.testing.assert_allclose(exponents, exponents.round(), atol=1e-9)
    assert (np.diff(exponents, axis=0) <= 1e-9).all()
    assert len(np.unique(exponents.round()[-1])) > 1


# ---- equality ----------------------------------------------------------------------


def _linear(fraction):
    return 1 - fraction


BOUND = [
    ("constant", {}),
    ("constant", {"warmup": 0.1}),
    ("adaptive", {}),
    ("invscaling", {"power_t": 0.5}),
    ("invscaling", {"power_t": 0.2}),
    ("step", {}),
    ("step", {"gamma": 0.5}),
    ("step", {"gamma": 0.5, "every": 4}),
    ("exponential", {"gamma": 0.5}),
    ("cosine", {}),
    ("cosine", {"final": 0.2}),
    ("cosine", {"final": 0.2, "warmup": 0.1}),
    (_linear, {}),
    (_linear, {"warmup": 0.1}),
    (abs, {}),
]


@pytest.mark.parametrize("first", range(len(BOUND)))
def test_bound_schedules_are_equal_where_name_and_parameters_are(first):
    name, params = BOUND[first]
    schedule = get_schedule(name, **params)
    if isinstance(name, str):  # a function's is made anew
        again = get_schedule(name, **dict(reversed(params.items())))
        assert again == schedule
    others = [get_schedule(n, **p) for i, (n, p) in enumerate(BOUND) if i != first]
    assert all(other != schedule for other in others)


# ---- errors ------------------------------------------------------------------------

ILLEGAL = [
    ("nothing", None, "'learning_rate' parameter"),
    ("constant", {"gamma": 0.5}, r"'constant' may hold \['warmup'\].*\['gamma'\]"),
    ("cosine", {"peak": 0.5}, r"may hold \['final', 'warmup'\], got \['peak'\]"),
    (abs, {"final": 0.5}, r"may hold \['warmup'\], got \['final'\]"),
    ("step", {"every": 0}, "'every' parameter of schedule_params for 'step'"),
    ("step", {"every": 1.5}, "'every' parameter of schedule_params for 'step'"),
    ("step", {"gamma": 0.0}, "'gamma' parameter of schedule_params for 'step'"),
    ("exponential", {"gamma": 1.1}, "'gamma' parameter of schedule_params"),
    ("cosine", {"final": 1.5}, "'final' parameter of schedule_params for 'cosine'"),
    ("one_cycle", {"peak": 0.0}, "'peak' parameter of schedule_params"),
    ("one_cycle", {"peak": 1.0}, "'peak' parameter of schedule_params"),
    ("one_cycle", {"initial": -0.1}, "'initial' parameter of schedule_params"),
    ("constant", {"warmup": 1.0}, "'warmup' parameter of schedule_params"),
    ("constant", {"warmup": -0.1}, "'warmup' parameter of schedule_params"),
    ("invscaling", {"power_t": 0.5}, r"may hold \['warmup'\], got \['power_t'\]"),
]


@pytest.mark.parametrize(("name", "params", "message"), ILLEGAL)
def test_errors(name, params, message):
    model = MLPRegressor(learning_rate=name, schedule_params=params, solver="sgd")
    with pytest.raises(ValueError, match=message):
        model.fit(np.eye(4), np.ones(4))


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"learning_rate": "cosine"}, "'lbfgs' has no learning rate to schedule"),
        ({"learning_rate": abs}, "'lbfgs' has no learning rate to schedule"),
        ({"schedule_params": {"warmup": 0.1}}, r"may hold \[\], got \['warmup'\]"),
    ],
)
def test_lbfgs_has_no_rate(params, message):
    with pytest.raises(ValueError, match=message):
        MLPRegressor(solver="lbfgs", **params).fit(np.eye(4), np.ones(4))
