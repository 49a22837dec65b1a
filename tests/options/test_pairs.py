"""Every pair of options trains together, or raises the error that says why not.

A covering array: each row of it is a whole configuration, and each pair of values of
two parameters that can go together is in one of the rows.
"""

import itertools
import random

import numpy as np
import pytest
import torch
from sklearn.datasets import make_multilabel_classification

from sk_deep import MLPClassifier, MLPRegressor
from sk_deep.activations import ACTIVATIONS
from sk_deep.augmentation import AUGMENTATIONS
from sk_deep.dropouts import DROPOUT_SCHEDULES, DROPOUTS
from sk_deep.initializers import INITIALIZERS
from sk_deep.losses import losses_on
from sk_deep.normalizations import NORMALIZATIONS
from sk_deep.schedules import SCHEDULES
from sk_deep.solvers import SOLVERS

pytestmark = pytest.mark.whole


def squared(raw, y):
    """A loss of one's own, on any target."""
    if not y.is_floating_point():
        y = torch.nn.functional.one_hot(y, raw.shape[-1])
    return (raw - y).square().sum(-1)


def same(X, y, generator):
    """An augmentation of one's own."""
    return X, y


def half(progress):
    """A schedule of one's own."""
    return 1 - progress / 2


def _each(name, table, *further, **needs):
    """Options on a parameter: a value each, with what the value needs beside it."""
    values = dict.fromkeys([*table, *further])
    return [{name: value, **needs.get(str(value), {})} for value in values]


IMAGES = {"augmentation_params": {"image_shape": (8, 8)}}
OPTIONS = {  # of each parameter first the inert value
    "activation": [
        *_each("activation", ["relu", *ACTIVATIONS], torch.nn.PReLU),
        {"activation": ["maxout", "tanh"]},
    ],
    "maxout_pieces": _each("maxout_pieces", [2, 3]),
    "dropout": _each("dropout", [0.0, 0.3, (0.1, 0.2)]),
    "input_dropout": _each("input_dropout", [0.0, 0.2]),
    "dropout_type": [
        *_each("dropout_type", DROPOUTS),
        {"dropout_type": "dropconnect", "dropout_params": {"inference": "gaussian"}},
    ],
    "dropout_schedule": _each("dropout_schedule", DROPOUT_SCHEDULES),
    "normalization": _each("normalization", [None, *NORMALIZATIONS]),
    "residual": _each("residual", [False, True]),
    "weight_init": _each("weight_init", INITIALIZERS),
    "solver": _each("solver", ["sgd", *SOLVERS], torch.optim.Rprop),
    "learning_rate": _each("learning_rate", SCHEDULES, half),
    "warmup": [{}, {"schedule_params": {"warmup": 0.5}}],
    "l1_ratio": _each("l1_ratio", [0.0, 0.5, 1.0]),
    "max_norm": _each("max_norm", [None, 1.0]),
    "gradient_clip": _each("gradient_clip", [None, 0.5]),
    "augmentation": _each(
        "augmentation", [None, *AUGMENTATIONS], same, shift=IMAGES, rotate=IMAGES
    ),
    "early_stopping": _each("early_stopping", [False, True]),
    "scoring": _each("scoring", [None, "loss"]),
    "n_members": _each("n_members", [1, 3]),
    "dtype": _each("dtype", ["float32", "float64"]),
    "weighted": [{}, {"weighted": True}],
}
CLASSIFIER = {
    **OPTIONS,
    "loss": _each("loss", ["log_loss", *sorted(losses_on("multiclass"))], squared),
    "label_smoothing": _each("label_smoothing", [0.0, 0.1]),
    "class_weight": _each("class_weight", [None, "balanced"]),
    "target": _each("target", ["multiclass", "binary", "multilabel"]),
}
REGRESSOR = {
    **OPTIONS,
    "loss": [
        *_each("loss", ["squared_error", *sorted(losses_on("real"))], squared),
        {"loss": "quantile", "loss_params": {"quantile": [0.1, 0.9]}},
    ],
    "target": _each("target", ["real", "several"]),
}


# ---- what does not go together -----------------------------------------------------


def _drops(row):
    return bool(np.any(row.get("dropout", 0)))


def _has(row, activation):
    return activation in np.ravel(row.get("activation", "relu")).tolist()


def _is_lbfgs(row):
    return row.get("solver") == "lbfgs"


RULES = [
    (
        lambda row: (
            _is_lbfgs(row)
            and (_drops(row) or row.get("input_dropout") or row.get("augmentation"))
        ),
        "needs a loss without noise",
    ),
    (lambda row: _is_lbfgs(row) and row.get("l1_ratio"), "needs a smooth loss"),
    (
        lambda row: (
            _is_lbfgs(row) and (row.get("max_norm") or row.get("gradient_clip"))
        ),
        "needs steps that nothing changes",
    ),
    (
        lambda row: (
            _is_lbfgs(row)
            and row.get("learning_rate", "constant")
            not in ("constant", "invscaling", "adaptive")
        ),
        "no learning rate to schedule",
    ),
    (lambda row: _is_lbfgs(row) and row.get("schedule_params"), "may hold"),
    (
        lambda row: row.get("maxout_pieces", 2) > 2 and not _has(row, "maxout"),
        "maxout_pieces needs",
    ),
    (
        lambda row: (
            _drops(row)
            and row.get("dropout_type") == "alpha"
            and row.get("activation", "relu") != "selu"
        ),
        "is made for activation='selu'",
    ),
    (
        lambda row: _drops(row) and row.get("dropout_params") and _has(row, "maxout"),
        "needs an activation that acts on single values",
    ),
    (
        lambda row: (
            row.get("scoring") and (not row.get("early_stopping") or _is_lbfgs(row))
        ),
        "scoring acts on early stopping",
    ),
    (
        lambda row: _has(row, torch.nn.PReLU) and row.get("n_members", 1) > 1,
        "needs n_members=1",
    ),
    (
        lambda row: row.get("target") == "several" and row.get("loss_params"),
        "several columns for one target",
    ),
]


def _broken_rule(row):
    """Message of the first rule that a configuration breaks, or None."""
    return next((message for breaks, message in RULES if breaks(row)), None)


# ---- the covering array ------------------------------------------------------------


def _params(row, options):
    """Parameters of a row, which maps names of `options` to positions."""
    parts = [options[name][i] for name, i in row.items()]
    return {key: value for part in parts for key, value in part.items()}


def _repair(row, options):
    """Choose one parameter more, if that makes a row that breaks a rule a legal one."""
    if _broken_rule(_params(row, options)) is None:
        return row
    for name in sorted(options.keys() - row.keys()):
        for i in range(len(options[name])):
            if _broken_rule(_params({**row, name: i}, options)) is None:
                return {**row, name: i}
    return None


def _fill(row, options, uncovered, rng):
    """Give the other parameters the values that cover the most pairs."""
    names = sorted(options.keys() - row.keys())
    rng.shuffle(names)
    for name in names:
        legal = [
            i
            for i in range(len(options[name]))
            if _broken_rule(_params({**row, name: i}, options)) is None
        ]
        gains = {
            i: sum(frozenset({(name, i), item}) in uncovered for item in row.items())
            for i in legal
        }
        row[name] = max(legal, key=lambda i: (gains[i], rng.random()))
    return row


def _cover(options):
    """List rows that cover all pairs that go together, and the pairs that do not."""
    rng = random.Random(0)
    items = [(name, i) for name, values in options.items() for i in range(len(values))]
    pairs = [
        frozenset(pair)
        for pair in itertools.combinations(items, 2)
        if pair[0][0] != pair[1][0]
    ]
    uncovered = dict.fromkeys(pairs)
    rows, illegal = [], []
    while uncovered:
        pair = next(iter(uncovered))
        row = _repair(dict(sorted(pair)), options)
        if row is None:
            illegal.append(dict(sorted(pair)))
            del uncovered[pair]
            continue
        rows.append(_fill(row, options, uncovered, rng))
        for found in itertools.combinations(rows[-1].items(), 2):
            uncovered.pop(frozenset(found), None)
    return [_params(row, options) for row in rows], [
        _params(row, options) for row in illegal
    ]


ROWS, ILLEGAL = zip(_cover(CLASSIFIER), _cover(REGRESSOR), strict=True)


# ---- the fits ----------------------------------------------------------------------


@pytest.fixture(scope="module")
def targets(digits):
    X, y = digits[0][:80], digits[1][:80]
    real = np.abs(X[:, :8].sum(axis=1)) + 0.1
    _, several_labels = make_multilabel_classification(80, random_state=0)
    return {
        "multiclass": (X, y % 4),
        "binary": (X, y > 4),
        "multilabel": (X, several_labels),
        "real": (X, real),
        "several": (X, np.c_[real, real**2]),
    }


def _fit(estimator, params, targets):
    params = dict(params)
    X, y = targets[params.pop("target")]
    weight = np.linspace(0, 2, len(X)) if params.pop("weighted", False) else None
    brief = {"hidden_layer_sizes": (8, 8), "max_iter": 2, "batch_size": 30}
    return estimator(**brief, random_state=0, **params).fit(X, y, weight), X


@pytest.mark.parametrize(
    "params", ROWS[0], ids=[f"classifier-{i}" for i in range(len(ROWS[0]))]
)
def test_classifier_trains(params, targets):
    model, X = _fit(MLPClassifier, params, targets)
    method = "predict_proba" if hasattr(model, "predict_proba") else "decision_function"
    assert np.isfinite(getattr(model, method)(X)).all()
    assert model.predict(X).shape == targets[params["target"]][1].shape


@pytest.mark.parametrize(
    "params", ROWS[1], ids=[f"regressor-{i}" for i in range(len(ROWS[1]))]
)
def test_regressor_trains(params, targets):
    model, X = _fit(MLPRegressor, params, targets)
    assert np.isfinite(model.predict(X)).all()
    assert len(model.predict(X)) == len(X)


@pytest.mark.parametrize(
    ("estimator", "params"),
    [
        (estimator, params)
        for estimator, rows in zip((MLPClassifier, MLPRegressor), ILLEGAL, strict=True)
        for params in rows
    ],
)
def test_illegal_pair_raises(estimator, params, targets):
    kind = "multiclass" if estimator is MLPClassifier else "real"
    with pytest.raises(ValueError, match=_broken_rule(params)):
        _fit(estimator, {"target": kind, **params}, targets)
