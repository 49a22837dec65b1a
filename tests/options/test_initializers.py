"""Initial weights against their laws, and those of scikit-learn."""

import math

import numpy as np
import pytest
from numpy.random import RandomState
from scipy import stats
from sklearn import neural_network

from sk_deep import MLPClassifier, MLPRegressor
from sk_deep.initializers import INITIALIZERS
from sk_deep.network import MLP

N_IN, N_OUT = 300, 200


def _uniform(variance):
    bound = math.sqrt(3 * variance)
    return stats.uniform(-bound, 2 * bound)


def _normal(variance):
    return stats.norm(0, math.sqrt(variance))


LAWS = {
    "auto": _uniform(2 / (N_IN + N_OUT)),
    "glorot_uniform": _uniform(2 / (N_IN + N_OUT)),
    "glorot_normal": _normal(2 / (N_IN + N_OUT)),
    "he_uniform": _uniform(2 / N_IN),
    "he_normal": _normal(2 / N_IN),
    "lecun_normal": _normal(1 / N_IN),
}


def _draw(name, n_in=N_IN, n_out=N_OUT, factor=6.0, seed=0):
    return INITIALIZERS[name].draw(RandomState(seed), n_in, n_out, factor)


def test_every_row_has_a_law_here_or_below():
    assert set(LAWS) == set(INITIALIZERS) - {"orthogonal"}


@pytest.mark.parametrize("name", LAWS)
def test_law_of_weights(name):
    weights, _ = _draw(name)
    law = LAWS[name]
    assert weights.shape == (N_IN, N_OUT)
    assert stats.kstest(weights.ravel(), law.cdf).pvalue > 1e-3
    assert abs(weights.mean()) < 4 * law.std() / math.sqrt(weights.size)
    kurtosis = law.stats("k") + 3
    error = law.var() * math.sqrt((kurtosis - 1) / weights.size)
    assert abs(weights.var() - law.var()) < 4 * error


@pytest.mark.parametrize("name", [n for n in LAWS if n.endswith("uniform")])
def test_bounds(name):
    weights, _ = _draw(name)
    _, bound = LAWS[name].support()
    assert 0.999 * bound < np.abs(weights).max() <= bound


@pytest.mark.parametrize("factor", [2.0, 6.0])
def test_auto_follows_the_factor_of_the_activation(factor):
    bound = math.sqrt(factor / (N_IN + N_OUT))
    for values in _draw("auto", factor=factor):
        assert 0.98 * bound < np.abs(values).max() <= bound


@pytest.mark.parametrize("name", INITIALIZERS)
def test_biases_of_all_but_auto_are_zero(name):
    _, biases = _draw(name)
    assert biases.shape == (N_OUT,)
    if name == "auto":
        assert stats.kstest(biases, LAWS["auto"].cdf).pvalue > 1e-3
    else:
        assert not biases.any()


@pytest.mark.parametrize("name", INITIALIZERS)
def test_seeds_decide(name):
    first, again, other = (_draw(name, 4, 3, seed=seed)[0] for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert not np.isclose(first, other).any()


# ---- orthogonal --------------------------------------------------------------------


@pytest.mark.parametrize(("n_in", "n_out"), [(7, 7), (9, 4), (4, 9), (1, 5), (5, 1)])
def test_orthogonal(n_in, n_out):
    weights, _ = _draw("orthogonal", n_in, n_out)
    assert weights.shape == (n_in, n_out)
    short = weights if n_in >= n_out else weights.T
    np.testing.assert_allclose(short.T @ short, np.eye(min(n_in, n_out)), atol=1e-12)


def test_orthogonal_is_uniform():
    """Haar's measure: rotations are as likely as reflections, entries follow Beta."""
    random_state = RandomState(0)
    draw = INITIALIZERS["orthogonal"].draw
    matrices = np.array([draw(random_state, 3, 3, 6.0)[0] for _ in range(4000)])
    is_rotation = np.linalg.det(matrices) > 0
    assert abs(is_rotation.mean() - 0.5) < 4 * 0.5 / math.sqrt(len(matrices))
    for entry in (matrices[:, 0, 0], matrices[:, 1, 2], matrices[:, 2, 2]):
        # on the sphere in three dimensions each coordinate is uniform
        assert stats.kstest(entry, stats.uniform(-1, 2).cdf).pvalue > 1e-3


# ---- in a network ------------------------------------------------------------------

STILL = {"solver": "sgd", "momentum": 0.0, "learning_rate_init": 1e-300, "max_iter": 1}


@pytest.mark.parametrize("activation", ["identity", "logistic", "tanh", "relu"])
@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (MLPClassifier, neural_network.MLPClassifier),
        (MLPRegressor, neural_network.MLPRegressor),
    ],
)
def test_auto_is_that_of_scikit_learn(ours, theirs, activation, rng):
    X, y = rng.normal(size=(30, 4)), np.arange(30) % 3
    params = {**STILL, "hidden_layer_sizes": (6, 5), "activation": activation}
    theirs = theirs(**params, random_state=3).fit(X, y)
    ours = ours(**params, random_state=3).fit(X, y)
    for name in ("coefs_", "intercepts_"):
        for one, other in zip(getattr(ours, name), getattr(theirs, name), strict=True):
            np.testing.assert_array_equal(one, other)


def _weights(name, activation, pieces, *, seed=0, **kwargs):
    """First weights of a network, piece by piece."""
    network = MLP(
        N_IN,
        1,
        hidden_units=[N_OUT],
        activation=[activation],
        maxout_pieces=pieces,
        dtype="float64",
        **kwargs,
    )
    n_members = kwargs.get("n_members", 1)
    states = [RandomState(seed + i) for i in range(n_members)]
    network.reset_parameters(states, name)
    return np.split(network.coefs()[0], pieces, axis=-1)


@pytest.mark.parametrize("name", LAWS)
def test_maxout_draws_each_piece_by_its_own_width(name):
    pieces = _weights(name, "maxout", 3)
    assert len(pieces) == 3
    for piece in pieces:
        assert piece.shape == (N_IN, N_OUT)
        assert stats.kstest(piece.ravel(), LAWS[name].cdf).pvalue > 1e-3
    assert not np.isclose(pieces[0], pieces[1]).all()
    assert not np.isclose(pieces[1], pieces[2]).all()


def test_maxout_pieces_are_orthogonal_each():
    for piece in _weights("orthogonal", "maxout", 2):
        np.testing.assert_allclose(piece.T @ piece, np.eye(N_OUT), atol=1e-12)


@pytest.mark.parametrize("name", INITIALIZERS)
def test_members_draw_as_networks_of_their_seeds(name):
    (stack,) = _weights(name, "relu", 1, n_members=3, seed=5)
    singles = [_weights(name, "relu", 1, seed=5 + i)[0] for i in range(3)]
    np.testing.assert_array_equal(stack, singles)


def test_an_estimator_hands_the_name_on(rng):
    X, y = rng.normal(size=(30, N_IN)), np.arange(30) % 3
    model = MLPClassifier((N_OUT,), weight_init="he_normal", random_state=0, **STILL)
    assert stats.kstest(model.fit(X, y).coefs_[0].ravel(), LAWS["he_normal"].cdf).pvalue
    assert not np.any(model.intercepts_[0])
    with pytest.raises(ValueError, match="'weight_init' parameter"):
        model.set_params(weight_init="he").fit(X, y)
