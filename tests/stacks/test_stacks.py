"""Stacks of members: each becomes what a fit of its own on its own rows becomes."""

import warnings
from collections.abc import Mapping
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import pytest
import scipy.sparse
import torch
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from skorch.callbacks import Callback

from sk_deep import MLPClassifier, MLPRegressor
from sk_deep._engine.prediction import member_outputs
from sk_deep._estimator.inputs import check_training_data, checked_sample_weight
from sk_deep._estimator.parameters import parameter_of
from sk_deep._stacks import train
from sk_deep._stacks.compatibility import freeze, reason_against, structure
from sk_deep._stacks.members import Source, make_members

N_ROWS, N_FEATURES, N_MEMBERS = 70, 4, 7
LENGTHS = (50, 47, 49, 45, 48, 46, 46)  # five batches of at most ten rows; as
# validation rows are taken off, four
WEIGHT = np.linspace(0, 2, N_ROWS)
MAX_ITER = [3, 13, 6, 10, 4, 8, 5]
SHRINKS_TO = [7, 5, 3, 2, 1]
BASE = {
    "hidden_layer_sizes": (5,),
    "batch_size": 10,
    "dtype": "float64",
    "device": "cpu",
}


# ---- members, and the fits that they stand for -------------------------------------


def _data(kind):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(N_ROWS, N_FEATURES))
    z = X[:, 0] + np.abs(X[:, 1]) + 0.5 * rng.normal(size=N_ROWS)
    if kind == "regression":
        return X, z - z.mean()
    if kind == "outputs":
        return X, np.column_stack([z, X[:, 2] ** 2])
    n_classes = 2 if kind == "binary" else 3
    return X, np.digitize(z, np.quantile(z, np.arange(1, n_classes) / n_classes))


def _rows(lengths=LENGTHS):
    """Rows of each member; those of the last two are the same, if as many."""
    rng = np.random.default_rng(1)
    rows = [rng.permutation(N_ROWS)[:n] for n in lengths]
    if len(lengths) > 2 and lengths[-1] == lengths[-2]:
        rows[-1] = rows[-2]
    return rows


def _source(estimator, X, y, rows):
    """Encode the targets on an estimator, and share the checked inputs."""
    X, y = check_training_data(estimator, X, y)
    target = estimator._encode_targets(y[rows], is_fresh=True, is_incremental=False)
    return Source(X, rows, y[rows], target)


def _members(estimators, data, rows, weight=None):
    X, y = data
    sources, weights, members = {}, {}, []
    for estimator, own in zip(estimators, rows, strict=True):
        source = _source(estimator, X, y, own)
        source = sources.setdefault(id(own), source)
        sample_weight = None if weight is None else weight[own]
        given = checked_sample_weight(sample_weight, source.y)
        given = estimator._weigh_by_targets(given, source.y, False)
        key = id(own), freeze(parameter_of(estimator, "class_weight"))
        members += make_members(estimator, source, weights.setdefault(key, given))
    return members


def _fit(estimator, data, rows, weight=None, **given):
    X, y = data
    sample_weight = None if weight is None else weight[rows]
    return clone(estimator).fit(X[rows], y[rows], sample_weight, **given)


def _weights(single):
    module = single.net_.module_
    return module.flat.numpy(), module.flat_buffers.numpy()


def _assert_is(member, single):
    """Compare a member's weights, and its buffers, with those of a fit."""
    for found, expected in zip(
        (member.flat, member.flat_buffers), _weights(single), strict=True
    ):
        np.testing.assert_allclose(found.numpy(), expected, rtol=1e-6, atol=1e-8)


class Spy(list):
    """The sizes of the stacks that members train in, one after the other."""

    def __init__(self, monkeypatch):
        super().__init__()
        make = train._make_net

        def spied(members):
            self.append(len(members))
            return make(members)

        monkeypatch.setattr(train, "_make_net", spied)


# ---- the cases ---------------------------------------------------------------------


class Case(NamedTuple):
    """A stack: data, what its members have in common, and what each has of its own."""

    data: str = "binary"
    common: Mapping[str, Any] = {}
    own: Mapping[str, list] = {}
    rate: float = 0.02
    lengths: tuple = LENGTHS
    weight: Any = None


EARLY = {"early_stopping": True, "validation_fraction": 0.2}
SGD = {"solver": "sgd"}
EQUAL = (50,) * N_MEMBERS
SEVERAL = {
    "adam": Case(),
    "penalty": Case(
        "multiclass", SGD, {"l1_ratio": [0.0, 0.5, 1.0, 0.2, 0.0, 0.7, 0.9]}
    ),
    "betas": Case(
        own={
            "beta_1": [0.9, 0.5, 0.9, 0.1, 0.8, 0.9, 0.7],
            "beta_2": [0.999, 0.9, 0.99, 0.9, 0.99, 0.9, 0.5],
            "epsilon": [1e-8, 0.1, 1e-3, 1e-8, 0.1, 1e-2, 1e-8],
        }
    ),
    "amsgrad": Case("multiclass", {"solver_params": {"amsgrad": True}}),
    "sgd": Case(
        "regression",
        SGD,
        {
            "momentum": [0.9, 0.5, 0.0, 0.8, 0.9, 0.3, 0.6],
            "nesterovs_momentum": [True, False, True, True, False, True, False],
        },
    ),
    "adamw": Case(
        "multiclass",
        {"solver": "adamw"},
        {"l1_ratio": [0.0, 0.5, 1.0, 0.2, 0.0, 0.7, 0.9]},
    ),
    "nadam": Case(common={"solver": "nadam"}),
    "radam": Case("regression", {"solver": "radam"}),
    "adamax": Case("outputs", {"solver": "adamax"}),
    "rmsprop": Case("multiclass", {"solver": "rmsprop"}),
    "rmsprop-centered": Case(
        "regression",
        {"solver": "rmsprop", "solver_params": {"momentum": 0.5, "centered": True}},
    ),
    "adagrad": Case(
        common={
            "solver": "adagrad",
            "solver_params": {"initial_accumulator_value": 0.1, "lr_decay": 0.1},
        }
    ),
    "adadelta": Case("regression", {"solver": "adadelta"}, rate=5.0),
    "vsgd": Case("multiclass", {"solver": "vsgd"}, rate=1.0),
    "adasecant": Case("regression", {"solver": "adasecant"}, rate=0.5),
    "adasecant-of-classes": Case("multiclass", {"solver": "adasecant"}, rate=0.5),
    "early-stopping": Case("multiclass", EARLY),
    "early-stopping-of-two": Case(
        "binary",
        {"early_stopping": True},
        {"validation_fraction": [0.2, 0.21, 0.19, 0.2, 0.21, 0.19, 0.2]},
    ),
    "early-stopping-by-loss": Case("regression", {**EARLY, "scoring": "loss"}),
    "early-stopping-by-scorer": Case("multiclass", {**EARLY, "scoring": "f1_macro"}),
    "early-stopping-with-weights": Case(
        "multiclass", {**EARLY, "scoring": "neg_log_loss"}, weight=WEIGHT
    ),
    "batch-normalization": Case(
        "multiclass", {"normalization": "batch"}, lengths=EQUAL
    ),
    "batch-normalization-and-last-row": Case(
        "regression", {"normalization": "batch", "batch_size": 7}, lengths=EQUAL
    ),
    "layer-normalization": Case(
        "multiclass",
        {
            "hidden_layer_sizes": (5, 5, 4),
            "normalization": "layer",
            "residual": True,
            "activation": ["maxout", "prelu", "tanh"],
        },
    ),
    "bounds": Case(
        "multiclass",
        SGD,
        {
            "max_norm": [0.5, 0.8, 1.0, 1.2, 0.4, 0.7, 0.9],
            "gradient_clip": [0.1, 1.0, 0.05, 0.2, 0.5, 0.3, 0.1],
        },
        rate=0.5,
    ),
    "label-smoothing": Case(
        "multiclass", own={"label_smoothing": [0.1, 0.3, 0.2, 0.5, 0.1, 0.4, 0.6]}
    ),
    "label-smoothing-of-two": Case(
        "binary", own={"label_smoothing": [0.1, 0.3, 0.2, 0.5, 0.1, 0.4, 0.6]}
    ),
    "class-weight": Case(
        "multiclass",
        own={
            "class_weight": [
                *("balanced", {0: 3.0}, {1: 0.5, 2: 2.0}, {2: 0.0}),
                *("balanced", {0: 0.2}, {1: 5.0}),
            ]
        },
        weight=WEIGHT,
    ),
    "weights": Case("regression", weight=WEIGHT),
    "one-batch": Case("outputs", {"batch_size": "auto"}),
    "one-cycle": Case(
        common={"learning_rate": "one_cycle"},
        own={"schedule_params": [{"peak": p / 10} for p in range(1, 8)]},
    ),
    "cosine": Case("regression", {"learning_rate": "cosine"}),
    "warmup": Case(
        "multiclass",
        own={"schedule_params": [None, *({"warmup": w / 10} for w in range(1, 7))]},
    ),
    "schedules": Case(
        "binary",
        own={
            "learning_rate": [
                *("constant", "cosine", "one_cycle", "step"),
                *("inverse_sqrt", "exponential", "inverse_time"),
            ],
        },
    ),
    "invscaling": Case(
        "regression",
        {**SGD, "learning_rate": "invscaling"},
        {"power_t": [0.1, 0.5, 0.3, 0.2, 0.4, 0.6, 0.7]},
        rate=0.1,
        lengths=EQUAL,
    ),
    "unshuffled": Case("multiclass", {"shuffle": False}),
}
# The members leave by their numbers of epochs, each at a rate of its own; or by their
# patience, with two rates, so that those of one pace leave at different times.
LEAVES = {
    "epochs": {
        "max_iter": MAX_ITER,
        "rate": [1.0, 0.5, 0.3, 0.8, 0.2, 0.6, 0.4],
    },
    "patience": {
        "max_iter": [20] * N_MEMBERS,
        "rate": [1.0, 0.5] * 3 + [1.0],
        "tol": [1e9] * N_MEMBERS,
        "n_iter_no_change": [n - 2 for n in MAX_ITER],
    },
}


def _estimators(case, leaves):
    columns = {
        "random_state": range(N_MEMBERS),
        "alpha": [1e-4, 1.0, 0.1, 0.5, 0.0, 0.3, 0.05],
        **leaves,
        **case.own,
    }
    columns["learning_rate_init"] = [case.rate * r for r in columns.pop("rate")]
    is_real = case.data in ("regression", "outputs")
    estimator = MLPRegressor if is_real else MLPClassifier
    rows = zip(*columns.values(), strict=True)
    return [
        estimator(**{**BASE, **case.common}, **dict(zip(columns, row, strict=True)))
        for row in rows
    ]


def _tells(name, estimators, singles, fit):
    """Whether a member's own value of a parameter acts: a neighbour's would differ."""
    for i, single in enumerate(singles):
        other = getattr(estimators[i - 1], name)
        changed = fit(clone(estimators[i]).set_params(**{name: other}), i)
        if not np.allclose(_weights(changed)[0], _weights(single)[0], rtol=1e-4):
            return True
    return False


@pytest.mark.parametrize("leaves", LEAVES.values(), ids=LEAVES)
@pytest.mark.parametrize("case", SEVERAL.values(), ids=SEVERAL)
def test_members_are_single_fits(case, leaves, monkeypatch):
    data, rows = _data(case.data), _rows(case.lengths)
    estimators = _estimators(case, leaves)

    def fit(estimator, i):
        return _fit(estimator, data, rows[i], case.weight)

    singles = [fit(estimator, i) for i, estimator in enumerate(estimators)]
    assert [single.n_iter_ for single in singles] == MAX_ITER
    members = _members([clone(one) for one in estimators], data, rows, case.weight)
    assert len({member.shape() for member in members}) == 1
    sizes = Spy(monkeypatch)
    train.train(members)
    assert sizes == SHRINKS_TO
    for member, single in zip(members, singles, strict=True):
        _assert_is(member, single)
    for name in (*case.own, "alpha", "learning_rate_init"):
        assert _tells(name, estimators, singles, fit), name


def _adaptive(early_stopping, **own):
    columns = {
        "random_state": range(6),
        "tol": [0.3, 0.01, 0.1, 0.03, 1e9, 0.2],
        "n_iter_no_change": [1, 2, 1, 2, 1, 2],
        "max_iter": [30, 30, 8, 30, 30, 30],
        **own,
    }
    params = {**BASE, **SGD, "learning_rate": "adaptive"}
    params.update(EARLY if early_stopping else {})
    rows = zip(*columns.values(), strict=True)
    return [
        MLPRegressor(**params, **dict(zip(columns, row, strict=True))) for row in rows
    ]


@pytest.mark.parametrize("early_stopping", [False, True])
def test_plateaus_slow_down_their_member_alone(early_stopping, monkeypatch):
    rates = [0.05, 0.002, 0.02, 5e-6, 2e-6, 0.01]
    estimators = _adaptive(early_stopping, learning_rate_init=rates)
    data, rows = _data("regression"), _rows(LENGTHS[:6])
    members = _members([clone(one) for one in estimators], data, rows)
    sizes = Spy(monkeypatch)
    train.train(members)
    assert len(sizes) > 1
    curves = []
    for estimator, member, own in zip(estimators, members, rows, strict=True):
        single = _fit(estimator, data, own)
        _assert_is(member, single)
        curves.append([row["lr"] for row in member.history])
        np.testing.assert_allclose(curves[-1], single.learning_rate_curve_)
    assert sum(curve[-1] < curve[0] for curve in curves) >= 3  # slowed down
    assert len({len(curve) for curve in curves}) >= 3


@pytest.mark.parametrize("params", [{"dropout": 0.3}, {"augmentation": "noise"}])
def test_a_stack_of_one_is_a_fit_with_its_noise(params):
    data, (rows,) = _data("regression"), _rows(LENGTHS[:1])
    params = {**BASE, **params, "max_iter": 5, "random_state": 0}
    (member,) = _members([MLPRegressor(**params)], data, [rows])
    train.train([member])
    _assert_is(member, _fit(MLPRegressor(**params), data, rows))


# ---- where the rows come from ------------------------------------------------------


@pytest.mark.parametrize("is_sparse", [False, True])
def test_members_may_have_inputs_of_their_own(is_sparse):
    X, y = _data("multiclass")
    columns = [X, X[:, ::-1].copy(), X + 1]
    if is_sparse:
        columns = [scipy.sparse.csr_array(np.where(one > 0, one, 0)) for one in columns]
    members, singles = [], []
    for i, own in enumerate((*columns, columns[1])):
        params = {**BASE, "max_iter": 3 + i, "random_state": i, **EARLY}
        estimator = MLPClassifier(**params)
        rows = _rows()[i]
        members += make_members(estimator, _source(estimator, own, y, rows), None)
        singles.append(_fit(estimator, (own, y), rows))
    train.train(members)
    for member, single in zip(members, singles, strict=True):
        _assert_is(member, single)


@pytest.mark.parametrize("weight", [None, WEIGHT])
@pytest.mark.parametrize("scoring", [None, "loss"])
def test_validation_rows_that_are_given(scoring, weight):
    (X, y), rows = _data("binary"), _rows(LENGTHS[:4])
    given = [np.setdiff1d(np.arange(N_ROWS), own)[:n] for n, own in enumerate(rows, 9)]
    params = {**BASE, "early_stopping": True, "scoring": scoring, "tol": 0.02}
    params.update(n_iter_no_change=2, max_iter=25)
    members, singles = [], []
    for i, (own, valid) in enumerate(zip(rows, given, strict=True)):
        estimator = MLPClassifier(**params, learning_rate_init=0.02 + i / 50)
        estimator.random_state = i
        parts = {"X_val": X[valid], "y_val": y[valid]}
        own_weight = valid_weight = None
        if weight is not None:
            own_weight, valid_weight = weight[own], weight[valid]
            parts["sample_weight_val"] = valid_weight
        single = clone(estimator).fit(X[own], y[own], own_weight, **parts)
        singles.append(single)
        source = _source(estimator, X, y, own)
        target = estimator._targets.encode(y[valid])
        validation = Source(X, valid, y[valid], target), valid_weight
        members += make_members(estimator, source, own_weight, validation)
    train.train(members)
    for member, single in zip(members, singles, strict=True):
        _assert_is(member, single)
        scores = [row["valid_score"] for row in member.history]
        np.testing.assert_allclose(scores, single.validation_scores_, rtol=1e-6)
    assert len({single.n_iter_ for single in singles}) > 1


# ---- how stacks shrink -------------------------------------------------------------


@pytest.mark.parametrize(
    ("epochs", "expected"),
    [
        ([3], [1]),
        ([4, 4], [2]),
        ([2, 5, 5, 5], [4]),  # three of four go on as they are
        ([2, 3, 5, 5], [4, 2]),
        ([1, 2, 2, 5, 5, 5, 5, 5], [8, 5]),
        ([8, 7, 6, 5, 4, 3, 2, 1], [8, 5, 3, 2, 1]),
    ],
)
def test_members_that_go_on_move_to_smaller_stacks(epochs, expected, monkeypatch):
    data = _data("binary")
    rows = [np.arange(40) + i for i in range(len(epochs))]
    estimators = [
        MLPClassifier(**BASE, max_iter=n, random_state=i) for i, n in enumerate(epochs)
    ]
    members = _members(estimators, data, rows)
    sizes = Spy(monkeypatch)
    train.train(members)
    assert sizes == expected
    assert [len(member.history) for member in members] == epochs
    assert all(smaller < 3 / 4 * size for size, smaller in pairwise(sizes))


# ---- how training ends -------------------------------------------------------------


def test_members_tell_whether_they_converged():
    data, rows = _data("binary"), _rows(LENGTHS[:5])
    settings = [(1e9, 3), (1e9, 30), (1e-4, 6), (0.05, 60), (0.0, 4)]
    estimators = [
        MLPClassifier(
            **BASE, tol=tol, max_iter=n, n_iter_no_change=2, random_state=i
        ).set_params(learning_rate_init=0.05)
        for i, (tol, n) in enumerate(settings)
    ]
    members = _members([clone(one) for one in estimators], data, rows)
    train.train(members)
    expected = []
    for estimator, own in zip(estimators, rows, strict=True):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            _fit(estimator, data, own)
        expected.append(not any(w.category is ConvergenceWarning for w in caught))
    assert [member.has_converged for member in members] == expected
    assert 1 < sum(expected) < 5
    assert not any(member.has_diverged for member in members)


@pytest.mark.parametrize("early_stopping", [False, True])
@pytest.mark.parametrize("estimator", [MLPClassifier, MLPRegressor])
def test_a_member_that_diverges_leaves_the_others(estimator, early_stopping):
    data = _data("binary" if estimator is MLPClassifier else "regression")
    rows, params = _rows(LENGTHS[:5]), {**BASE, **SGD, "max_iter": 6, "max_norm": None}
    params.update(EARLY if early_stopping else {})
    estimators = [
        estimator(**params, learning_rate_init=rate, random_state=i)
        for i, rate in enumerate([0.05, 1e200, 0.02, 0.1, 0.05])
    ]
    members = _members([clone(one) for one in estimators], data, rows)
    train.train(members)
    has_diverged = [member.has_diverged for member in members]
    assert has_diverged == [False, True, False, False, False]
    assert len(members[1].history) < 6
    for i in (0, 2, 3, 4):
        _assert_is(members[i], _fit(estimators[i], data, rows[i]))


# ---- what a fit leaves -------------------------------------------------------------

LEFT = {
    "plain": ("binary", {}),
    "early-stopping": ("multiclass", {**EARLY, "n_iter_no_change": 2}),
    "by-loss": ("regression", {**EARLY, "scoring": "loss", "n_iter_no_change": 1}),
    "batch-normalization": ("outputs", {"normalization": "batch"}),
    "adaptive": (
        "regression",
        {**SGD, "learning_rate": "adaptive", "tol": 0.1, "n_iter_no_change": 1},
    ),
    "one-cycle": ("multiclass", {"learning_rate": "one_cycle", "class_weight": {0: 3}}),
    "ensemble": ("binary", {"n_members": 3, "tol": 0.05, "n_iter_no_change": 1}),
    "ensemble-early-stopping": (
        "regression",
        {**EARLY, "n_members": 2, "n_iter_no_change": 1, "normalization": "batch"},
    ),
}


def _left(case):
    """Adopted members' estimators, and fits of their own."""
    kind, params = LEFT[case]
    is_real = kind in ("regression", "outputs")
    data, rows = _data(kind), _rows(EQUAL[:4])
    estimators = [
        (MLPRegressor if is_real else MLPClassifier)(
            **{**BASE, "max_iter": 5 + 3 * i, "random_state": i, **params},
            learning_rate_init=0.03,
        )
        for i in range(4)
    ]
    singles = [
        _fit(estimator, data, own)
        for estimator, own in zip(estimators, rows, strict=True)
    ]
    members = _members(estimators, data, rows)
    train.train(members)
    for estimator in estimators:
        own = [member for member in members if member.estimator is estimator]
        train.result_of(own).put_on(estimator)
    return data, rows, estimators, singles


def _public(estimator):
    return {name for name in vars(estimator) if name[0] != "_" and name[-1] == "_"}


def _assert_equal_values(found, expected, name):
    if expected is None or isinstance(expected, str):
        assert found == expected, name
    elif isinstance(expected, list) and isinstance(expected[0], np.ndarray | dict):
        for one, other in zip(found, expected, strict=True):
            if isinstance(other, dict):
                assert list(one) == list(other)
                one, other = list(one.values()), list(other.values())
            _assert_equal_values(one, other, name)
    else:
        np.testing.assert_allclose(found, expected, 1e-6, 1e-8, err_msg=name)


@pytest.mark.parametrize("case", LEFT)
def test_members_leave_what_a_fit_leaves(case):
    (X, _), _, estimators, singles = _left(case)
    assert len({single.n_iter_ for single in singles}) > 1
    for estimator, single in zip(estimators, singles, strict=True):
        assert _public(estimator) == _public(single)
        for name in sorted(_public(single) - {"net_", "label_binarizer_"}):
            found, expected = getattr(estimator, name), getattr(single, name)
            if name.startswith(("coefs", "intercepts", "loss", "best", "n_", "t_")):
                assert type(found) is type(expected), name
            if name == "classes_":
                np.testing.assert_array_equal(found, expected)
            else:
                _assert_equal_values(found, expected, name)
        _assert_equal_values(estimator.history_, single.history_, "history_")
        np.testing.assert_allclose(estimator.predict(X), single.predict(X), 1e-6, 1e-8)
        for found, expected in zip(
            (estimator.net_.module_.flat, estimator.net_.module_.flat_buffers),
            _weights(single),
            strict=True,
        ):
            np.testing.assert_allclose(found.numpy(), expected, 1e-6, 1e-8)


@pytest.mark.parametrize("case", LEFT)
def test_training_goes_on_from_a_member_as_from_a_fit(case):
    (X, y), rows, estimators, singles = _left(case)
    before = [single.loss_curve_ for single in singles]
    for estimator, single, own in zip(estimators, singles, rows, strict=True):
        for one in (estimator, single):
            one.set_params(warm_start=True, max_iter=4).fit(X[own], y[own])
        assert estimator.n_iter_ == single.n_iter_
        assert estimator.t_ == single.t_
        np.testing.assert_allclose(estimator.loss_curve_, single.loss_curve_, 1e-6)
        for found, expected in zip(estimator.coefs_, single.coefs_, strict=True):
            np.testing.assert_allclose(found, expected, 1e-6, 1e-8)
    longer = zip(singles, before, strict=True)
    assert all(single.loss_curve_[: len(old)] == old for single, old in longer)
    assert all(
        len(s.loss_curve_) > len(b) for s, b in zip(singles, before, strict=True)
    )


PREDICTORS = {
    "plain": ("multiclass", {}),
    "batch-normalization": ("regression", {"normalization": "batch"}),
    "hinge": ("binary", {"loss": "hinge", "activation": "maxout"}),
}


@pytest.mark.parametrize("case", PREDICTORS.values(), ids=PREDICTORS)
def test_predictors(case):
    kind, params = case
    data, rows = _data(kind), _rows(EQUAL[:4])
    estimator = MLPRegressor if kind == "regression" else MLPClassifier
    estimators = [
        estimator(**BASE, **params, max_iter=2 + i, random_state=i) for i in range(4)
    ]
    members = _members([clone(one) for one in estimators], data, rows)
    train.train(members)
    X = data[0]
    expected = [
        _fit(one, data, own)._outputs(X)
        for one, own in zip(estimators, rows, strict=True)
    ]
    for chosen in ([0, 1, 2, 3], [3, 1], [2]):
        net = train.predictor([members[i] for i in chosen])
        found = member_outputs(net, X)
        assert found.shape == (len(chosen), *expected[0].shape)
        for outputs, i in zip(found, chosen, strict=True):
            np.testing.assert_allclose(outputs, expected[i], 1e-6, 1e-8)


@pytest.mark.parametrize("schedule", ["constant", "linear"])
@pytest.mark.parametrize("kind", ["standard", "standout", "dropconnect"])
def test_predictors_with_probabilities_of_their_own(kind, schedule):
    data, rows = _data("regression"), _rows(EQUAL[:3])
    params = {"dropout_type": kind, "dropout_schedule": schedule, "max_iter": 4}
    estimators = [
        MLPRegressor(**BASE, **params, dropout=p, random_state=i)
        for i, p in enumerate([0.2, 0.5, 0.7])
    ]
    members = _members(estimators, data, rows)
    train.train(members)
    X = data[0]
    together = member_outputs(train.predictor(members), X)
    alone = [member_outputs(train.predictor([one]), X)[0] for one in members]
    np.testing.assert_allclose(together, alone, rtol=1e-9)
    for estimator, member, outputs in zip(estimators, members, alone, strict=True):
        train.result_of([member]).put_on(member.estimator)
        np.testing.assert_allclose(estimator.predict(X), outputs.ravel(), rtol=1e-9)
    if kind == "standout":  # of the last of the epochs
        kept = torch.stack([member.flat_buffers for member in members]).numpy()
        part = 1 / 4 if schedule == "linear" else 1.0
        expected = np.array([[0.2], [0.5], [0.7]]) * part
        np.testing.assert_allclose(kept, expected, atol=1e-4)


def _weights_of(estimator, X, y):
    """Score a network that is looked into."""
    return (
        float(estimator.net_.module_.flat.square().sum()) + estimator.predict(X).mean()
    )


@pytest.mark.parametrize("kind", ["standard", "standout", "dropconnect"])
def test_scorers_that_look_into_members_of_different_dropout(kind):
    data, rows = _data("regression"), _rows(EQUAL[:3])
    params = {"dropout_type": kind, "scoring": _weights_of, **EARLY, "max_iter": 3}
    estimators = [
        MLPRegressor(**BASE, **params, dropout=p, random_state=i)
        for i, p in enumerate([0.2, 0.5, 0.7])
    ]
    members = _members(estimators, data, rows)
    train.train(members)
    for member in members:
        best = int(np.argmax([row["valid_score"] for row in member.history]))
        train.result_of([member]).put_on(member.estimator)
        valid = member.valid.rows
        X, y = (part[member.train.source.rows[valid]] for part in data)
        score = _weights_of(member.estimator, X, y)
        assert member.history[best]["valid_score"] == pytest.approx(score)


# ---- what members must have in common ----------------------------------------------


class Nothing(Callback):
    """A callback that does nothing."""


def _one(progress):
    return 1.0


EQUAL_VALUES = [
    ((5, 4), (np.int64(5), 4)),
    ([5, (4,)], [5, (4,)]),
    (np.arange(2), np.arange(2)),
    (range(2), range(2)),
    (3, np.int64(3)),
    (0.5, np.float64(0.5)),
    (True, np.bool_(True)),
    (np.datetime64(1, "s"), np.datetime64(1, "s")),
    (np.array([1j]), np.array([1j])),
    ("relu", np.str_("relu")),
    ({"a": 1, "b": [1, 2]}, {"b": [1, 2], "a": np.int32(1)}),
    (_one, _one),
]
DIFFERENT_VALUES = [
    ((5, 4), (4, 5)),
    # a step before the network may tell these apart
    ((5, 4), [5, 4]),
    ((5, 4), np.array([5, 4])),
    (np.arange(2), np.arange(2.0)),
    (range(2), (0, 1)),
    (np.datetime64(1, "s"), np.datetime64(2, "s")),
    (np.array([1j]), np.array([2j])),
    (np.array(["a", None], object), np.array(["b", None], object)),
    ((5,), 5),
    ("1", 1),
    (None, 0),
    (True, 1),
    ({"a": 1}, {"a": 2}),
    ({"a": 1}, {"b": 1}),
    (_one, lambda progress: 1.0),
    ("ab", ("a", "b")),
]


@pytest.mark.parametrize(("value", "other"), EQUAL_VALUES)
def test_equal_values_freeze_alike(value, other):
    assert freeze(value) == freeze(other)
    assert hash(freeze(value)) == hash(freeze(other))


@pytest.mark.parametrize(("value", "other"), DIFFERENT_VALUES)
def test_different_values_freeze_differently(value, other):
    assert freeze(value) != freeze(other)
    hash(freeze(value)), hash(freeze(other))


ALIKE = [
    ({"batch_size": 10}, {"batch_size": np.int64(10)}),
    ({"dropout": 0.2}, {"dropout": 0.5}),
    ({"dropout": [0.2, 0.0]}, {"dropout": (0.5, 0.0)}),
    ({"input_dropout": 0.2}, {"input_dropout": 0.1}),
    ({"label_smoothing": 0.1}, {"label_smoothing": 0.5}),
    ({"max_norm": 1.0}, {"max_norm": 2}),
    ({"gradient_clip": 1.0}, {"gradient_clip": np.float32(2)}),
    ({"learning_rate_init": 0.1}, {"learning_rate_init": "auto"}),
    ({"learning_rate": "cosine"}, {"learning_rate": "step"}),
    ({"schedule_params": None}, {"schedule_params": {"warmup": 0.1}}),
    ({"alpha": 0.1}, {"alpha": 0.0}),
    ({"l1_ratio": 0.1}, {"l1_ratio": 0.0}),
    ({"max_iter": 3}, {"max_iter": 4}),
    ({"tol": 0.1, "n_iter_no_change": 3}, {"tol": 0.0}),
    ({"beta_1": 0.5, "beta_2": 0.5}, {"epsilon": 0.1}),
    ({"momentum": 0.5}, {"nesterovs_momentum": False}),
    ({"class_weight": None}, {"class_weight": "balanced"}),
    ({"random_state": 0}, {"random_state": None}),
    ({"n_members": 1}, {"n_members": 5}),
    ({"validation_fraction": 0.5}, {"power_t": 0.1}),
    ({"solver_params": {"amsgrad": True}}, {"solver_params": {"amsgrad": True}}),
]
APART = [
    ({"hidden_layer_sizes": (5, 4)}, {"hidden_layer_sizes": (4, 5)}),
    ({"dropout": 0.0}, {"dropout": 0.5}),
    ({"dropout": [0.2, 0.0]}, {"dropout": [0.2, 0.1]}),
    ({"input_dropout": 0.0}, {"input_dropout": 0.1}),
    ({"label_smoothing": 0.0}, {"label_smoothing": 0.5}),
    ({"max_norm": None}, {"max_norm": 2.0}),
    ({"gradient_clip": None}, {"gradient_clip": 2.0}),
    ({"activation": "relu"}, {"activation": "tanh"}),
    ({"solver": "adam"}, {"solver": "adamw"}),
    ({"solver_params": None}, {"solver_params": {"amsgrad": True}}),
    ({"batch_size": 10}, {"batch_size": 20}),
    ({"loss": "log_loss"}, {"loss": "hinge"}),
    ({"shuffle": True}, {"shuffle": False}),
    ({"early_stopping": True}, {"early_stopping": False}),
    ({"scoring": None}, {"scoring": "loss"}),
    ({"normalization": "batch"}, {"normalization": "layer"}),
    ({"residual": True}, {"residual": False}),
    ({"maxout_pieces": 2}, {"maxout_pieces": 3}),
    ({"weight_init": "auto"}, {"weight_init": "orthogonal"}),
    ({"dtype": "float32"}, {"dtype": "float64"}),
    ({"augmentation": None}, {"augmentation": "noise"}),
]
ANNEALED = {"dropout": 0.5, "dropout_schedule": "linear"}


@pytest.mark.parametrize(("params", "others"), ALIKE)
def test_numbers_leave_the_structure(params, others):
    first, second = MLPClassifier(**params), MLPClassifier(**others)
    assert structure(first) == structure(second)
    assert hash(structure(first)) == hash(structure(second))


@pytest.mark.parametrize(("params", "others"), APART)
def test_structures_differ(params, others):
    assert structure(MLPClassifier(**params)) != structure(MLPClassifier(**others))


def test_annealed_members_have_as_many_epochs():
    short, long = (MLPClassifier(**ANNEALED, max_iter=n) for n in (3, 4))
    assert structure(short) != structure(long)
    assert structure(short) == structure(clone(short))


def test_classifiers_and_regressors_are_apart():
    assert structure(MLPClassifier(loss="squared_error")) != structure(MLPRegressor())


ALONE = [
    ({"solver": "lbfgs"}, "solver='lbfgs' trains on the whole data at once"),
    ({"solver": torch.optim.Adam}, "solver is a custom function or class"),
    ({"loss": lambda y, raw: raw}, "loss is a custom function or class"),
    ({"learning_rate": _one}, "learning_rate is a custom function or class"),
    (
        {"augmentation": lambda X, y, g: (X, y)},
        "augmentation is a custom function or class",
    ),
    ({"activation": torch.nn.ReLU}, "activation is a custom function or class"),
    (
        {"activation": ["relu", torch.nn.ReLU]},
        "activation is a custom function or class",
    ),
    ({"callbacks": [Nothing()]}, "callbacks=["),
    ({"n_members": 4, "n_folds": 2, "early_stopping": True}, "n_folds=2"),
    ({"verbose": True}, "verbose=True"),
]
TOGETHER = [
    {},
    {"activation": ["relu", "tanh"]},
    {"activation": "maxout", "augmentation": "noise", "loss": "hinge"},
    {"verbose": 0, "n_members": np.int64(3)},
    {"random_state": np.random.RandomState(0), "warm_start": True},
]


@pytest.mark.parametrize(("params", "reason"), ALONE)
def test_reasons_to_train_alone(params, reason):
    assert reason_against(MLPClassifier(**params)).startswith(reason)


@pytest.mark.parametrize("params", TOGETHER)
def test_no_reason_to_train_alone(params):
    assert reason_against(MLPClassifier(**params)) is None


def _shape(kind="multiclass", length=50, weight=None, **params):
    X, y = _data(kind)
    estimator = MLPClassifier(**{**BASE, **params})
    source = _source(estimator, X, y, np.arange(length))
    return make_members(estimator, source, weight)[0].shape()


@pytest.mark.parametrize(
    ("other", "params"),
    [
        ({"length": 41}, {}),
        ({"length": 45, "batch_size": 45}, {"batch_size": 50}),  # a batch each
        ({"length": 50}, {"normalization": "batch"}),
    ],
)
def test_shapes_are_equal(other, params):
    assert _shape(**params) == _shape(**{**params, **other})


@pytest.mark.parametrize(
    ("other", "params"),
    [
        ({"length": 51}, {}),  # a batch more
        ({"kind": "binary"}, {}),
        ({"weight": np.ones(50)}, {}),
        ({"batch_size": 11}, {}),
        ({"dtype": "float32"}, {}),
        ({"length": 49}, {"normalization": "batch"}),
        ({"length": 49}, {"augmentation": "noise"}),
        ({"length": 49}, {"learning_rate": "invscaling", "solver": "sgd"}),
    ],
)
def test_shapes_differ(other, params):
    assert _shape(**params) != _shape(**{**params, **other})
