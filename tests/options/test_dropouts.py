"""Dropout and its kin: the laws of the noise, and the predictions that match them."""

import math
import pickle

import numpy as np
import pytest
import torch
from scipy import special, stats
from skorch.callbacks import Callback
from torch.nn import functional as F

from sk_deep import MLPClassifier, MLPRegressor
from sk_deep.dropouts import DROPOUT_SCHEDULES, DROPOUTS
from sk_deep.network import MLP

N_DRAWS = 100_000
X_VALUE, Z_VALUE = 1.5, 0.4  # a unit's value, and its input
SELU_LIMIT = -1.7580993408473766
OPTIONS = [
    # kind, its parameters
    ("standard", {}),
    ("gaussian", {}),
    ("alpha", {}),
    ("standout", {}),
    ("standout", {"alpha": 2.0, "beta": -0.5}),
    ("dropconnect", {}),
    ("dropconnect", {"inference": "gaussian"}),
]
ON_UNITS = [(kind, params) for kind, params in OPTIONS if kind != "dropconnect"]


def _generator(seed=0):
    return torch.Generator().manual_seed(seed)


def _layer(kind, p, *, seed=0, **params):
    layer = DROPOUTS[kind](p, **params)
    layer.generator = _generator(seed)
    return layer


def _noisy(kind, p, n=N_DRAWS, **params):
    """Draw the noisy value of a unit many times."""
    h = torch.full((n, 1), X_VALUE, dtype=torch.float64)
    z = torch.full((n, 1), Z_VALUE, dtype=torch.float64)
    return _layer(kind, p, **params)(h, z).numpy().ravel()


def _network(kind, params=None, *, activation="relu", n_hidden=1, **kwargs):
    network = MLP(
        6,
        3,
        hidden_units=[5] * n_hidden,
        activation=[activation] * n_hidden,
        dropout=[0.4] * n_hidden,
        dropout_type=kind,
        dropout_params=params,
        dtype="float64",
        **kwargs,
    )
    states = [np.random.RandomState(i) for i in range(kwargs.get("n_members", 1))]
    network.reset_parameters(states)
    generator = _generator(1)
    for layer in network.linear_layers():
        layer.bias.data.normal_(generator=generator)
    network.generator.manual_seed(0)
    return network


def _inputs(*shape):
    return torch.randn(*shape, 6, dtype=torch.float64, generator=_generator(2))


def _assert_mean(values, mean):
    """Compare means over the first axis with those of the law, to 4 standard errors."""
    values = np.asarray(values)
    error = values.std(axis=0) / math.sqrt(len(values))
    assert (np.abs(values.mean(axis=0) - mean) < 4 * error).all()


def _assert_variance(values, variance):
    """As `_assert_mean`; the standard error comes from the fourth moment."""
    values = np.asarray(values)
    _assert_mean((values - values.mean(axis=0)) ** 2, variance)


# ---- the law of a unit's noise -----------------------------------------------------


def _of_two(kept, dropped, keep):
    """Mean and variance of a value that is `kept` with probability `keep`."""
    mean = keep * kept + (1 - keep) * dropped
    return mean, keep * (1 - keep) * (kept - dropped) ** 2


def _standard(p):
    return X_VALUE, X_VALUE**2 * p / (1 - p)


def _alpha(p):
    """Klambauer et al.: a (x d + alpha' (1 - d)) + b."""
    a = ((1 - p) * (1 + p * SELU_LIMIT**2)) ** -0.5
    b = -a * p * SELU_LIMIT
    return _of_two(a * X_VALUE + b, a * SELU_LIMIT + b, 1 - p)


def _standout(p, alpha=1.0, beta=0.0):
    keep = special.expit(alpha * Z_VALUE + beta + math.log((1 - p) / p))
    return _of_two(X_VALUE, 0.0, keep)


MOMENTS = {
    "standard": _standard,
    "gaussian": _standard,
    "alpha": _alpha,
    "standout": _standout,
}


def test_every_kind_has_an_option():
    assert {kind for kind, _ in OPTIONS} == set(DROPOUTS)


@pytest.mark.parametrize("p", [0.1, 0.5, 0.8])
@pytest.mark.parametrize(("kind", "params"), ON_UNITS)
def test_moments(kind, params, p):
    mean, variance = MOMENTS[kind](p, **params)
    values = _noisy(kind, p, **params)
    _assert_mean(values, mean)
    _assert_variance(values, variance)


@pytest.mark.parametrize("p", [0.2, 0.5])
def test_standard_values_are_zero_or_scaled(p):
    np.testing.assert_allclose(
        np.unique(_noisy("standard", p)), [0, X_VALUE / (1 - p)], rtol=1e-4
    )


def test_gaussian_factors_are_normal():
    factors = _noisy("gaussian", 0.2) / X_VALUE
    assert stats.kstest(factors, stats.norm(1, 0.5).cdf).pvalue > 1e-3


def test_standout_values_are_zero_or_unchanged():
    np.testing.assert_array_equal(np.unique(_noisy("standout", 0.5)), [0, X_VALUE])


@pytest.mark.parametrize("p", [0.05, 0.5, 0.9])
@pytest.mark.parametrize("value", [-1.7, 0.0, 2.5])
def test_alpha_has_the_two_values_of_torch(value, p):
    x = torch.full((1000,), value, dtype=torch.float64)
    with torch.random.fork_rng():  # its values do not depend on the draws
        torch.manual_seed(0)
        theirs = F.alpha_dropout(x, p, training=True).unique()
    ours = _layer("alpha", p)(x).unique()
    assert len(ours) == 2
    # p is rounded to a multiple of 2**-16
    torch.testing.assert_close(ours, theirs, rtol=2e-4, atol=2e-4)


@pytest.mark.parametrize("p", [0.05, 0.5])
def test_alpha_keeps_mean_0_and_variance_1(p):
    x = torch.randn(4 * N_DRAWS, dtype=torch.float64, generator=_generator(1))
    values = _layer("alpha", p)(x)
    _assert_mean(values, 0.0)
    _assert_variance(values, 1.0)


@pytest.mark.parametrize("p", [0.1, 0.5])
def test_dropconnect_law_of_a_linear_unit(p):
    """Wan et al., sec. 3.2: a sum of independent terms, the bias one of them."""
    network = _network("dropconnect", activation="identity")
    (layer,) = network.hidden
    layer.dropout = _layer("dropconnect", p)
    x = _inputs(1)
    with torch.no_grad():
        values = np.concatenate([layer(x).numpy() for _ in range(3000)])
    terms = np.vstack(
        [x[0, :, None] * layer.linear.weight.data, layer.linear.bias.data]
    )
    _assert_mean(values, terms.sum(axis=0))
    _assert_variance(values, p / (1 - p) * (terms**2).sum(axis=0))


def test_a_mask_of_dropconnect_serves_a_batch():
    network = _network("dropconnect", activation="identity")
    x = _inputs(1).expand(4, -1)
    with torch.no_grad():
        first, *others = network.hidden[0](x)
        again = network.hidden[0](x)[0]
    assert all(torch.equal(first, other) for other in others)
    assert not torch.equal(first, again)


@pytest.mark.parametrize("kind", ["standard", "gaussian", "alpha", "standout"])
def test_rows_and_units_have_masks_of_their_own(kind):
    h = torch.ones(200, 300, dtype=torch.float64)
    noise = _layer(kind, 0.5)(h).numpy()
    noise = (noise - noise.mean()) / noise.std()
    for products in (noise[1:] * noise[:-1], noise[:, 1:] * noise[:, :-1]):
        _assert_mean(products.ravel(), 0.0)


# ---- predictions -------------------------------------------------------------------


@pytest.mark.parametrize("n_members", [1, 2])
@pytest.mark.parametrize(
    ("kind", "params"), [option for option in OPTIONS if option[0] != "alpha"]
)
def test_prediction_is_the_mean_of_training_passes(kind, params, n_members):
    # the mean passes through one layer of units, and of dropconnect, whose noise comes
    # before the activation, through none
    activation = "identity" if kind == "dropconnect" else "tanh"
    network = _network(kind, params, activation=activation, n_members=n_members)
    x = _inputs(4)
    with torch.no_grad():
        passes = np.stack([network.train()(x).numpy() for _ in range(1000)])
        _assert_mean(passes, network.eval()(x).numpy())


def test_prediction_of_alpha_is_the_mean_over_standard_units():
    layer = _layer("alpha", 0.3)
    x = torch.randn(N_DRAWS, 4, dtype=torch.float64, generator=_generator(1))
    _assert_mean(layer(x), 0.0)
    assert torch.equal(layer.eval()(x), x)


def _rectified_units(p, *, n_passes=1, is_training=False, **params):
    """Relu units with many inputs, after dropconnect; and the terms of their inputs."""
    linear = MLP(300, 40, hidden_units=[], activation=[], dtype="float64").output
    generator = _generator(3)
    linear.weight.data.normal_(0, 0.1, generator=generator)
    linear.bias.data.normal_(generator=generator)
    x = torch.randn(1, 300, dtype=torch.float64, generator=generator)
    layer = _layer("dropconnect", p, **params).train(is_training)
    with torch.no_grad():
        passes = [
            layer.hidden(x, linear, lambda z: z, torch.relu)[0] for _ in range(n_passes)
        ]
    terms = np.vstack([x[0, :, None] * linear.weight.data, linear.bias.data])
    return torch.stack(passes).numpy(), terms


QUADRATURE = 0.02  # error at a kink with 32 nodes, in standard deviations of the input


@pytest.mark.parametrize("p", [0.2, 0.5])
def test_gaussian_inference_of_dropconnect_is_the_rectified_normal_law(p):
    (found,), terms = _rectified_units(p, inference="gaussian")
    mean, spread = terms.sum(axis=0), np.sqrt(p / (1 - p) * (terms**2).sum(axis=0))
    t = mean / spread
    expected = mean * stats.norm.cdf(t) + spread * stats.norm.pdf(t)
    assert (np.abs(found - expected) < QUADRATURE * spread).all()


@pytest.mark.parametrize("p", [0.2, 0.5])
def test_gaussian_inference_of_dropconnect_is_the_mean_of_passes(p):
    passes, terms = _rectified_units(p, n_passes=1000, is_training=True)
    (gaussian,), _ = _rectified_units(p, inference="gaussian")
    (by_means,), _ = _rectified_units(p, inference="mean")
    mean, error = passes.mean(axis=0), passes.std(axis=0) / math.sqrt(len(passes))
    spread = np.sqrt(p / (1 - p) * (terms**2).sum(axis=0))
    assert (np.abs(mean - gaussian) < 4 * error + QUADRATURE * spread).all()
    # Jensen's inequality: mean weights make it too small, by far where it is near 0
    assert (by_means <= mean + 4 * error).all()
    assert (by_means < mean - 15 * error).any()


@pytest.mark.parametrize("activation", ["tanh", "gelu"])
def test_gaussian_inference_is_the_integral(activation):
    layer = _layer("dropconnect", 0.5, inference="gaussian").eval()
    network = _network("dropconnect", activation=activation)
    linear, activate = network.hidden[0].linear, network.hidden[0].activation
    x = _inputs(3)
    with torch.no_grad():
        found = layer.hidden(x, linear, lambda z: z, activate).numpy()
    z = (x @ linear.weight + linear.bias).detach().numpy()
    squares = x.square() @ linear.weight.square() + linear.bias.square()
    spread = squares.sqrt().detach().numpy()  # p / (1 - p) is 1
    nodes = np.linspace(-9, 9, 4001)
    values = activate(torch.from_numpy(z[..., None] + nodes * spread[..., None]))
    expected = np.trapezoid(values.numpy() * stats.norm.pdf(nodes), nodes, axis=-1)
    np.testing.assert_allclose(found, expected, atol=1e-4)


@pytest.mark.parametrize(("kind", "params"), OPTIONS)
def test_prediction_draws_nothing(kind, params):
    network = _network(kind, params, activation="selu").eval()
    state = network.generator.get_state()
    x = _inputs(4)
    assert torch.equal(network(x), network(x))
    assert torch.equal(network.generator.get_state(), state)


# ---- where the masks come from -----------------------------------------------------


@pytest.mark.parametrize(("kind", "params"), OPTIONS)
def test_members_have_masks_of_their_own(kind, params):
    network = _network(kind, params, activation="selu", n_members=3)
    network.flat.copy_(network.flat[:1].expand_as(network.flat))  # one and the same
    x = _inputs(4)
    with torch.no_grad():
        first, second, third = network.eval()(x)
        torch.testing.assert_close(first, second)
        torch.testing.assert_close(first, third)
        first, second, third = network.train()(x)
    assert not torch.isclose(first, second).all()
    assert not torch.isclose(first, third).all()
    assert not torch.isclose(second, third).all()


@pytest.mark.parametrize(("kind", "params"), OPTIONS)
def test_masks_come_from_the_private_generator_alone(kind, params):
    network = _network(kind, params, activation="selu", input_dropout=0.2)
    x, state = _inputs(4), torch.get_rng_state()
    with torch.no_grad():
        network.generator.manual_seed(1)
        first, second = network(x), network(x)
        network.generator.manual_seed(1)
        again = network(x)
    assert torch.equal(first, again)
    assert not torch.equal(first, second)
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("kind", DROPOUTS)
def test_noise_on_inputs(kind):
    """Of the kind where it has a meaning for inputs, else the standard one."""
    network = _network(kind, activation="selu", input_dropout=0.5)
    layer = network.input_dropout
    expected = kind if kind in ("standard", "gaussian", "alpha") else "standard"
    assert type(layer) is DROPOUTS[expected]
    h = torch.full((N_DRAWS, 1), X_VALUE, dtype=torch.float64)
    mean, variance = MOMENTS[expected](0.5)
    values = layer(h).numpy().ravel()
    _assert_mean(values, mean)
    _assert_variance(values, variance)


# ---- schedules of the probability --------------------------------------------------


@pytest.mark.parametrize(("kind", "params"), OPTIONS)
def test_annealed_to_nothing(kind, params):
    network = _network(kind, params, activation="selu")
    plain = _network(kind, params, activation="selu").eval()
    plain.hidden[0].dropout = None
    (layer,) = network.dropout_layers()
    layer.anneal(0.0)
    assert layer.p == 0
    x = _inputs(4)
    with torch.no_grad():
        torch.testing.assert_close(network.train()(x), plain(x), rtol=1e-12, atol=0)
        torch.testing.assert_close(network.eval()(x), plain(x), rtol=1e-9, atol=0)


class Probabilities(Callback):
    """Record the probabilities of dropout in each batch."""

    def on_train_begin(self, net, **kwargs):
        self.values = []

    def on_batch_begin(self, net, **kwargs):
        self.values.append([layer.p for layer in net.module_.dropout_layers()])


SCHEDULED = {
    "constant": lambda t, n: 1.0,
    "linear": lambda t, n: 1 - t / n,
    "cosine": lambda t, n: (1 + np.cos(np.pi * t / n)) / 2,
}
UNENDING = {"tol": 0.0, "n_iter_no_change": np.inf, "random_state": 0}


@pytest.mark.parametrize("kind", DROPOUTS)
@pytest.mark.parametrize("name", DROPOUT_SCHEDULES)
def test_schedules(name, kind, rng):
    X, y = rng.normal(size=(40, 3)), rng.normal(size=40)
    model = MLPRegressor(
        hidden_layer_sizes=(4, 4),
        activation="selu",
        dropout=[0.5, 0.3],
        input_dropout=0.2,
        dropout_type=kind,
        dropout_schedule=name,
        callbacks=[Probabilities()],
        batch_size=20,
        max_iter=6,
        **UNENDING,
    ).fit(X, y)
    (record,) = (c for _, c in model.net_.callbacks_ if isinstance(c, Probabilities))
    epochs = np.repeat(np.arange(6), 2)[:, np.newaxis]
    expected = SCHEDULED[name](epochs, 6) * np.array([[0.2, 0.5, 0.3]])
    np.testing.assert_allclose(record.values, expected + 0 * epochs, atol=2.0**-16)


ANNEALED = {
    "hidden_layer_sizes": (8,),
    "dropout": 0.6,
    "dropout_schedule": "linear",
    "max_iter": 4,
    **UNENDING,
}
PREDICT_BY_P = [option for option in OPTIONS if DROPOUTS[option[0]].predicts_by_p]


def _annealed(kind, params, **kwargs):
    params = {"dropout_type": kind, "dropout_params": params, **ANNEALED, **kwargs}
    return MLPClassifier(**params)


@pytest.mark.parametrize("n_members", [1, 2])
@pytest.mark.parametrize(("kind", "params"), PREDICT_BY_P)
def test_annealed_models_predict_alike_after_pickling(kind, params, n_members, rng):
    X = rng.normal(size=(60, 4))
    model = _annealed(kind, params, n_members=n_members).fit(X, X[:, 0] > 0)
    copy = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(copy.predict_proba(X), model.predict_proba(X))


def test_an_annealed_standout_predicts_by_the_probability_it_was_trained_with(rng):
    X = rng.normal(size=(60, 4))
    model = _annealed("standout", {}).fit(X, X[:, 0] > 0)
    z = X @ model.coefs_[0] + model.intercepts_[0]
    p = 0.6 * 1 / 4  # of the last of four epochs
    keep = special.expit(z + np.log((1 - p) / p))
    raw = (keep * np.maximum(z, 0)) @ model.coefs_[1] + model.intercepts_[1]
    expected = special.expit(raw.ravel())
    np.testing.assert_allclose(model.predict_proba(X)[:, 1], expected, rtol=1e-4)


@pytest.mark.parametrize(("kind", "params"), PREDICT_BY_P)
def test_a_warm_start_goes_by_its_own_schedule(kind, params, rng):
    X = rng.normal(size=(60, 4))
    model = _annealed(kind, params, warm_start=True).fit(X, X[:, 0] > 0)
    model.set_params(dropout_schedule="constant").fit(X, X[:, 0] > 0)
    (layer,) = model.net_.module_.dropout_layers()
    np.testing.assert_allclose(layer.kept_p, 0.6, atol=2.0**-16)


@pytest.mark.parametrize("kind", DROPOUTS)
def test_samples_of_an_annealed_model_are_as_noisy_as_training_began(kind, rng):
    X = rng.normal(size=(60, 4))
    params = {"activation": "selu", "learning_rate_init": 1e-100}
    annealed = _annealed(kind, None, **params).fit(X, X[:, 0] > 0)
    constant = _annealed(kind, None, **params, dropout_schedule="constant")
    constant.fit(X, X[:, 0] > 0)
    found, expected = (
        model.predict_proba_samples(X, 3, random_state=0)
        for model in (annealed, constant)
    )
    np.testing.assert_array_equal(found, expected)


# ---- probabilities of members ------------------------------------------------------

OF_MEMBERS = [0.0, 0.2, 0.6]


def _layer_of_members(kind, params):
    return _layer(kind, OF_MEMBERS, members=(3,), **params)


def _noisy_members(layer):
    """Draw noisy values of a unit, or of a weight, of each member many times."""
    h = torch.full((3, N_DRAWS, 1), X_VALUE, dtype=torch.float64)
    z = torch.full((3, N_DRAWS, 1), Z_VALUE, dtype=torch.float64)
    noisy = h * layer.mask(h) if isinstance(layer, DROPOUTS["dropconnect"]) else None
    return (layer(h, z) if noisy is None else noisy).numpy()[..., 0]


@pytest.mark.parametrize("factor", [1.0, 0.5])
@pytest.mark.parametrize(("kind", "params"), OPTIONS)
def test_each_member_has_the_law_of_its_probability(kind, params, factor):
    layer = _layer_of_members(kind, params)
    layer.anneal(factor)
    untouched, *others = _noisy_members(layer)
    np.testing.assert_array_equal(untouched, X_VALUE)  # nothing is dropped
    for p, values in zip(OF_MEMBERS[1:], others, strict=True):
        law = MOMENTS.get(kind, _standard)
        own = params if kind in MOMENTS else {}
        mean, variance = law(factor * p, **own)
        _assert_mean(values, mean)
        _assert_variance(values, variance)
        if kind in ("standard", "dropconnect"):
            _assert_mean(values == 0, factor * p)


@pytest.mark.parametrize("factor", [1.0, 0.5, 0.0])
@pytest.mark.parametrize(("kind", "params"), OPTIONS)
def test_probabilities_of_members_are_annealed(kind, params, factor):
    layer = _layer_of_members(kind, params)
    layer.anneal(0.25)
    layer.anneal(factor)  # a part of the initial ones
    expected = factor * np.array(OF_MEMBERS)
    np.testing.assert_allclose(layer.p, expected, rtol=0, atol=2.0**-16)
    if layer.predicts_by_p:
        assert layer.kept_p.shape == (3, 1, 1)
        np.testing.assert_allclose(layer.kept_p.ravel(), layer.p, rtol=1e-6)


@pytest.mark.parametrize(("kind", "params"), OPTIONS)
def test_members_predict_by_their_own_probability(kind, params):
    activation = "selu" if kind == "alpha" else "relu"
    network = _network(kind, params, activation=activation, n_members=3)
    states = [np.random.RandomState(i) for i in range(3)]
    several = MLP(**{**network.architecture.to_dict(), "dropout": [OF_MEMBERS]})
    several.reset_parameters(states)
    x = _inputs(4)
    with torch.no_grad():
        found = several.eval()(x)
        for i in range(3):
            single = MLP(**several.architecture.of_member(i).to_dict())
            single.reset_parameters(states[i : i + 1])
            single.flat.copy_(several.flat[i])
            torch.testing.assert_close(found[i], single.eval()(x), rtol=1e-6, atol=0)


# ---- errors ------------------------------------------------------------------------

ILLEGAL = [
    (
        {"dropout_type": "alpha"},
        "dropout_type='alpha' needs activation='selu', got activation='relu",
    ),
    (
        {
            "dropout_type": "dropconnect",
            "dropout_params": {"inference": "gaussian"},
            "activation": "maxout",
        },
        "'dropconnect' .* acts on single values, got activation='maxout'",
    ),
    ({"dropout_params": {"alpha": 1.0}}, r"'standard' may hold \[\].*\['alpha'\]"),
    (
        {"dropout_type": "standout", "dropout_params": {"gamma": 1.0}},
        r"'standout' may hold \['alpha', 'beta'\], got \['gamma'\]",
    ),
    (
        {"dropout_type": "standout", "dropout_params": {"alpha": np.inf}},
        "'alpha' parameter of dropout_params for 'standout'",
    ),
    (
        {"dropout_type": "dropconnect", "dropout_params": {"inference": "median"}},
        "'inference' parameter of dropout_params for 'dropconnect'",
    ),
    ({"dropout_type": "none"}, "'dropout_type' parameter"),
    ({"dropout": 1.0}, "'dropout' parameter"),
    ({"dropout": [1.0]}, r"dropout must be in \[0, 1\)"),
    ({"dropout": [-0.1]}, r"dropout must be in \[0, 1\)"),
    ({"input_dropout": 1.0}, "'input_dropout' parameter"),
    ({"dropout_schedule": "step"}, "'dropout_schedule' parameter"),
]


@pytest.mark.parametrize(("params", "message"), ILLEGAL)
def test_errors(params, message):
    model = MLPClassifier(**{"dropout": 0.5, "max_iter": 1, **params})
    with pytest.raises(ValueError, match=message):
        model.fit(np.eye(4), [0, 1, 0, 1])


LEGAL = [
    {"dropout": [0.5, 0.0], "dropout_type": "alpha", "activation": ["selu", "relu"]},
    {"dropout": 0.0, "dropout_type": "alpha", "activation": "relu"},
    {"dropout_type": "dropconnect", "activation": "maxout"},
    {
        "dropout": [0.5, 0.0],
        "dropout_type": "dropconnect",
        "dropout_params": {"inference": "gaussian"},
        "activation": ["relu", "maxout"],
    },
]


@pytest.mark.parametrize("params", LEGAL)
def test_what_fits_together(params):
    model = MLPClassifier((3, 3), **{"dropout": 0.5, "max_iter": 2, **params})
    assert np.isfinite(model.fit(np.eye(4), [0, 1, 0, 1]).loss_)
