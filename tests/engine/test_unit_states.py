"""Dead and saturated units against their formulas in numpy."""

import pickle

import numpy as np
import pytest
import scipy.sparse
import torch
from scipy import special
from torch import nn

from sk_deep import MLPClassifier, MLPRegressor
from sk_deep._engine.network_data import chunk_size
from sk_deep._engine.unit_states import unit_states

N = 60


class SteepTanh(nn.Module):
    def forward(self, z):
        return torch.tanh(50 * z)


class LateLogistic(nn.Module):
    def forward(self, z):
        return torch.sigmoid(z / 4 - 5)


class InPlaceReLU(nn.ReLU):
    def __init__(self):
        super().__init__(inplace=True)


class Sign(nn.Module):
    def forward(self, z):
        return torch.sign(z)


class Wave(nn.Module):
    def forward(self, z):
        return torch.sin(z)


def logistic_slope(z):
    h = special.expit(z)
    return h * (1 - h)  # which rounding makes 0 where h is 1


# activation -> values and slopes in numpy, and the greatest slope where both ends of
# it are flat
ACTIVATIONS = {
    "relu": (lambda z: np.maximum(z, 0), lambda z: z > 0, None),
    "leaky_relu": (
        lambda z: np.where(z > 0, z, 0.01 * z),
        lambda z: np.where(z > 0, 1, 0.01),
        None,
    ),
    "identity": (lambda z: z, np.ones_like, None),
    "softplus": (lambda z: np.logaddexp(0, z), special.expit, None),
    "logistic": (special.expit, logistic_slope, 0.25),
    "tanh": (np.tanh, lambda z: 1 - np.tanh(z) ** 2, 1.0),
    "hard_tanh": (lambda z: z.clip(-1, 1), lambda z: abs(z) < 1, 1.0),
    SteepTanh: (
        lambda z: np.tanh(50 * z),
        lambda z: 50 * (1 - np.tanh(50 * z) ** 2),
        50.0,
    ),
    LateLogistic: (
        lambda z: special.expit(z / 4 - 5),
        lambda z: logistic_slope(z / 4 - 5) / 4,
        0.0625,
    ),
    InPlaceReLU: (lambda z: np.maximum(z, 0), lambda z: z > 0, None),
    Wave: (np.sin, np.cos, None),
    Sign: (np.sign, np.zeros_like, None),
}


@pytest.fixture
def data(rng):
    X = rng.normal(size=(N, 3))
    return X, X[:, 0] - X[:, 1]


def fit(data, activation, units=(7, 6), **params):
    params = {"max_iter": 2, "random_state": 0, "alpha": 0, **params}
    return MLPRegressor(hidden_layer_sizes=units, activation=activation, **params).fit(
        *data
    )


def spoil(model):
    """Set units of all sorts: never or always active, far up, steep, nearly flat."""
    for weight, bias in zip(model.coefs_[:-1], model.intercepts_[:-1], strict=True):
        for i, (scale, shift) in enumerate(
            [(1.0, -1e3), (1.0, 1e3), (30.0, 0.0), (1.0, 2.5), (0.0, 0.5)]
        ):
            weight[..., i] *= scale
            bias[..., i] = shift
    return model


def expected_of(z, activation):
    values, slopes, greatest = ACTIVATIONS[activation]
    h, slope = values(z), np.abs(slopes(z))
    dead = (np.ptp(h, axis=0) == 0) & (slope == 0).all(axis=0)
    if greatest is None:
        return dead, np.zeros_like(dead)
    return dead, (slope < 0.05 * greatest).mean(axis=0) >= 0.9


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_states_are_those_of_the_formulas(activation, data):
    X = data[0]
    model = spoil(fit(data, activation))
    states = unit_states(model.net_, X)
    for i, found in enumerate(states):
        below = X if i == 0 else model.transform_hidden(X, i - 1)
        z = below @ model.coefs_[i] + model.intercepts_[i]
        dead, saturated = expected_of(z, activation)
        np.testing.assert_array_equal(found.dead, dead)
        np.testing.assert_array_equal(found.saturated, saturated)
    assert len(states) == 2


def test_the_cases_tell_states_apart(data):
    relu, tanh = (spoil(fit(data, name)) for name in ("relu", "tanh"))
    first = unit_states(relu.net_, data[0])[0]
    assert first.dead.tolist() == [True, *[False] * 6]
    assert not first.saturated.any()
    first = unit_states(tanh.net_, data[0])[0]
    assert first.dead.tolist() == [True, True, *[False] * 5]
    assert first.saturated.tolist()[:5] == [True, True, True, False, False]


def test_nine_rows_of_ten_decide():
    X = np.linspace(-1, 1, 40)[:, np.newaxis]
    model = fit((X, X.ravel()), "hard_tanh", units=(3,), dtype="float64")
    model.coefs_[0][:] = 1.0
    order = np.sort(X.ravel())
    # units that are flat on 35, 36 and 37 of the 40 rows
    model.intercepts_[0][:] = [1 - order[n] + 1e-9 for n in (5, 4, 3)]
    (states,) = unit_states(model.net_, X)
    assert states.saturated.tolist() == [False, True, True]


def test_maxout_has_no_dead_unit_with_weights(data):
    model = fit(data, "maxout", maxout_pieces=3)
    model.coefs_[0][:, [0, 7, 14]] = 0.0  # the three pieces of the first unit
    for state in unit_states(model.net_, data[0]):
        assert state.dead.shape == state.saturated.shape
        assert not state.dead.any()  # a constant, but with a slope of 1
        assert not state.saturated.any()


PARAMS = [
    {"normalization": "batch"},
    {"normalization": "layer"},
    {"residual": True},
    {"dropout": 0.5},
    {"dropout": 0.5, "dropout_type": "standout"},
    {
        "dropout": 0.5,
        "dropout_type": "dropconnect",
        "dropout_params": {"inference": "gaussian"},
    },
    {"input_dropout": 0.3},
]


@pytest.mark.parametrize("params", PARAMS)
def test_states_beside_the_other_layers(params, data):
    """A unit of tanh whose input is far from 0 on all rows is dead and saturated."""
    model = fit(data, "tanh", units=(5, 5), **params)
    weight = model.net_.module_.hidden[0].linear.weight.detach()
    norm = model.net_.module_.hidden[0].normalization
    if norm is None:
        weight[:, 1] = 0.0
        model.intercepts_[0][1] = 1e3
    else:
        norm.scale.detach()[..., 1] = 0.0
        norm.shift.detach()[..., 1] = 1e3
    first, second = unit_states(model.net_, data[0])
    assert first.dead.tolist() == first.saturated.tolist()
    assert first.dead.tolist() == [False, True, False, False, False]
    assert not second.dead.any()


def test_members_are_judged_one_by_one(data):
    model = fit(data, ["relu", "tanh"], n_members=3)
    model.intercepts_[0][1, 2] = -1e3
    model.intercepts_[1][2, 4] = 1e3
    first, second = unit_states(model.net_, data[0])
    assert np.argwhere(first.dead).tolist() == [[1, 2]]
    assert np.argwhere(second.saturated).tolist() == [[2, 4]]
    assert first.saturated.shape == (3, 7)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_sparse_rows_and_many_chunks(dtype, rng):
    X = scipy.sparse.random(3000, 400, density=0.01, random_state=0, dtype=dtype)
    X = X.tocsr()
    y = np.ravel(X.sum(axis=1))
    model = MLPRegressor(
        hidden_layer_sizes=300, max_iter=1, random_state=0, batch_size=1000
    )
    model.fit(X, y)
    model.intercepts_[0][:200] = rng.normal(-0.3, 0.1, size=200)
    assert chunk_size(model.net_.module_.architecture, X.shape[1]) < X.shape[0]
    z = X.toarray() @ model.coefs_[0] + model.intercepts_[0]
    (states,) = unit_states(model.net_, X)
    assert 0 < states.dead.sum() < 300
    np.testing.assert_array_equal(states.dead, (z <= 0).all(axis=0))


def test_a_network_without_hidden_layers_has_no_states(data):
    assert unit_states(fit(data, "relu", units=()).net_, data[0]) == []


def test_nothing_is_changed(data):
    X, y = data
    model = MLPClassifier((6,), activation="prelu", normalization="batch", max_iter=2)
    model.fit(X, y > 0)
    module = model.net_.module_
    before = pickle.dumps(model)
    gradient = module.flat_grad.clone()
    with torch.inference_mode():
        states = unit_states(model.net_, X)  # whatever mode the caller is in
    random_state = torch.get_rng_state()
    module.train()
    for found, expected in zip(unit_states(model.net_, X)[0], states[0], strict=True):
        np.testing.assert_array_equal(found, expected)
    assert module.training
    module.eval()
    assert pickle.dumps(model) == before
    assert torch.equal(module.flat_grad, gradient)
    assert torch.equal(torch.get_rng_state(), random_state)
    assert not any(part._forward_hooks for part in module.modules())
