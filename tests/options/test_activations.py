"""Activations against their formulas, and their gradients through whole networks."""

import numpy as np
import pytest
import torch
from scipy import special

from sk_deep import MLPClassifier, MLPRegressor
from sk_deep._engine.gradients import choose_gradient
from sk_deep._engine.penalty import penalise
from sk_deep.activations import ACTIVATIONS, Maxout, PReLU
from sk_deep.losses import Criterion
from sk_deep.network import MLP

Z = np.concatenate([np.linspace(-6, 6, 49), [-40.0, 40.0]])  # kinks included
FORMULAS = {
    "identity": lambda z: z,
    "logistic": special.expit,
    "tanh": np.tanh,
    "relu": lambda z: np.maximum(0, z),
    "leaky_relu": lambda z: np.where(z > 0, z, 0.01 * z),
    "prelu": lambda z: np.where(z > 0, z, 0.25 * z),  # the initial slope
    "elu": lambda z: np.where(z > 0, z, np.expm1(np.minimum(z, 0))),
    "selu": lambda z: (
        1.0507009873554805
        * np.where(z > 0, z, 1.6732632423543772 * np.expm1(np.minimum(z, 0)))
    ),
    "gelu": lambda z: z * special.ndtr(z),
    "silu": lambda z: z * special.expit(z),
    "mish": lambda z: z * np.tanh(np.logaddexp(0, z)),
    "softplus": lambda z: np.logaddexp(0, z),
    "hard_tanh": lambda z: np.clip(z, -1, 1),
}


def _network(activation="relu", n_hidden=2, **params):
    units = [4, 3][:n_hidden]
    network = MLP(
        5, 3, hidden_units=units, activation=[activation] * n_hidden, **params
    )
    n_members = params.get("n_members", 1)
    network.reset_parameters([np.random.RandomState(i) for i in range(n_members)])
    return network


# ---- values ------------------------------------------------------------------------


def test_every_row_has_a_formula_here_or_below():
    assert set(FORMULAS) == set(ACTIVATIONS) - {"maxout"}


@pytest.mark.parametrize("name", FORMULAS)
def test_values(name):
    layer = ACTIVATIONS[name].build((1,), 2).double()
    found = layer(torch.from_numpy(Z)).detach()
    # torch's softplus is linear beyond 20: an error of 2e-9
    np.testing.assert_allclose(found, FORMULAS[name](Z), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("shape", [(6,), (4, 6), (2, 4, 6)])
@pytest.mark.parametrize("pieces", [2, 3])
def test_maxout_values(pieces, shape, rng):
    z = rng.normal(size=shape)
    found = Maxout(pieces)(torch.from_numpy(z))
    np.testing.assert_array_equal(found, np.max(np.split(z, pieces, -1), axis=0))


def test_selu_keeps_mean_0_and_variance_1():
    """The fixed point that defines its constants (Klambauer et al., eq. 14)."""
    nodes, weights = np.polynomial.legendre.leggauss(200)
    z, weights = 12 * nodes, 12 * weights * np.exp(-((12 * nodes) ** 2) / 2)
    weights /= np.sqrt(2 * np.pi)
    h = ACTIVATIONS["selu"].layer()(torch.from_numpy(z)).numpy()
    np.testing.assert_allclose([weights @ h, weights @ h**2], [0, 1], atol=1e-3)


@pytest.mark.parametrize("name", FORMULAS)
def test_an_estimator_applies_it(name, rng):
    X = rng.normal(size=(40, 5))
    # almost no step, so that the slopes of prelu stay where they began
    still = {"learning_rate_init": 1e-12, "max_iter": 1}
    model = MLPRegressor(activation=name, random_state=0, **still).fit(X, X[:, 0])
    hidden = FORMULAS[name](X @ model.coefs_[0] + model.intercepts_[0])
    expected = (hidden @ model.coefs_[1] + model.intercepts_[1]).ravel()
    np.testing.assert_allclose(model.predict(X), expected, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("pieces", [2, 3, 5])
def test_maxout_of_an_estimator_is_the_maximum_over_its_pieces(pieces, rng):
    X = rng.normal(size=(60, 5))
    params = {"activation": "maxout", "maxout_pieces": pieces, "max_iter": 20}
    model = MLPClassifier((4, 3), **params, random_state=0).fit(X, np.arange(60) % 3)
    h = X
    for W, b in list(zip(model.coefs_, model.intercepts_, strict=True))[:-1]:
        h = (h @ W + b).reshape(len(X), pieces, -1).max(axis=1)
    raw = h @ model.coefs_[-1] + model.intercepts_[-1]
    assert [W.shape[1] for W in model.coefs_] == [4 * pieces, 3 * pieces, 3]
    np.testing.assert_allclose(model.transform_hidden(X), h, rtol=1e-9)
    np.testing.assert_allclose(
        model.predict_proba(X), special.softmax(raw, axis=1), rtol=1e-9
    )


# ---- gradients ---------------------------------------------------------------------

NETWORKS = [
    *((name, {}) for name in ACTIVATIONS),
    *(("maxout", {"maxout_pieces": k}) for k in (3, 5)),
    *((name, {"n_members": 2}) for name in ("tanh", "prelu", "maxout")),
    ("prelu", {"normalization": "layer"}),
    ("maxout", {"normalization": "batch"}),
]


@pytest.mark.parametrize(("name", "params"), NETWORKS)
def test_gradients_are_finite_differences(name, params):
    rng = np.random.default_rng(1)  # with which no unit is near a kink
    network = _network(name, dtype="float64", **params)
    criterion = Criterion("log_loss", "multiclass")
    X = torch.from_numpy(rng.normal(scale=2, size=(9, 5)))
    y = torch.from_numpy(rng.integers(3, size=(*network.members, 9)))

    def loss():
        with torch.no_grad():
            return criterion(network(X), y).sum().item()

    choose_gradient(network, criterion)(X, y, 1.0)
    found = network.flat_grad.clone()
    flat = network.flat.view(-1)
    expected = torch.empty_like(flat)
    for i, value in enumerate(flat.tolist()):
        flat[i] = value + 1e-6
        above = loss()
        flat[i] = value - 1e-6
        expected[i] = (above - loss()) / 2e-6
        flat[i] = value
    torch.testing.assert_close(found, expected.view_as(found), rtol=1e-6, atol=1e-7)
    assert found.abs().max() > 0.1


# ---- the slope of prelu ------------------------------------------------------------


def test_prelu_has_a_slope_per_unit(rng):
    layer = PReLU(3).double()
    layer.slope.data.copy_(torch.tensor([0.1, 0.5, -2.0]))
    z = rng.normal(size=(8, 3))
    expected = np.where(z > 0, z, z * [0.1, 0.5, -2.0])
    np.testing.assert_allclose(layer(torch.from_numpy(z)).detach(), expected)


def _slopes(model):
    layers = [layer.activation for layer in model.net_.module_.hidden_layers()]
    return torch.cat([layer.slope.detach().flatten() for layer in layers])


@pytest.mark.parametrize("n_members", [1, 2])
def test_slopes_of_prelu_are_learned(n_members, rng):
    X = rng.normal(size=(60, 3))
    y = np.where(X[:, 0] > 0, X[:, 0], -X[:, 0])
    params = {"activation": "prelu", "n_members": n_members, "learning_rate_init": 0.01}
    model = MLPRegressor(hidden_layer_sizes=(4, 4), **params, random_state=0).fit(X, y)
    slopes = _slopes(model)
    assert slopes.shape == (8 * n_members,)
    assert ((slopes - 0.25).abs() > 1e-3).all()


@pytest.mark.parametrize("l1_ratio", [0.0, 0.5])
def test_slopes_of_prelu_are_not_penalised(l1_ratio):
    network = _network("prelu")
    penalise(network, 10.0, l1_ratio)
    for layer in network.hidden_layers():
        assert not layer.activation.slope.grad.any()
        assert layer.linear.weight.grad.all()


def test_weight_decay_leaves_the_slopes_of_prelu(rng):
    X = rng.normal(size=(30, 3))
    params = {"solver": "adamw", "alpha": 100.0, "max_iter": 5, "random_state": 0}
    # the decay is lr * alpha = 1/2 per step, the update at most lr per step
    model = MLPRegressor(activation="prelu", learning_rate_init=0.005, **params)
    slopes = _slopes(model.fit(X, X[:, 0]))
    assert ((slopes - 0.25).abs() < 5 * 0.005 * 1.5).all()


# ---- classes of one's own ----------------------------------------------------------


def test_a_class_is_its_row():
    params = {"hidden_layer_sizes": (4,), "max_iter": 5, "random_state": 0}
    X, y = np.eye(6), np.arange(6) % 2
    by_row = MLPClassifier(activation="silu", **params).fit(X, y)
    by_class = MLPClassifier(activation=torch.nn.SiLU, **params).fit(X, y)
    np.testing.assert_allclose(
        by_class.predict_proba(X), by_row.predict_proba(X), rtol=1e-9
    )
