"""Hidden values and samples against forward passes in numpy and known moments."""

import copy
import gc
import math
import pickle
import weakref

import numpy as np
import pytest
import scipy.sparse
from scipy import special
from sklearn.exceptions import NotFittedError

from sk_deep import MLPClassifier, MLPRegressor
from sk_deep._engine.network_data import chunk_size
from sk_deep.dropouts import DROPOUTS

ACTIVATION = ["tanh", "relu", "logistic"]
IN_NUMPY = [np.tanh, lambda z: np.maximum(0, z), special.expit]
UNITS = (5, 4, 3)
N = 30


@pytest.fixture
def data(rng):
    X = rng.normal(size=(N, 4))
    return X, X[:, 0] + X[:, 1] ** 2


def _fit(data, n_members=1, estimator=MLPRegressor, **params):
    X, y = data
    y = y > 0.5 if estimator is MLPClassifier else y
    defaults = {"hidden_layer_sizes": UNITS, "activation": ACTIVATION, "max_iter": 5}
    params = {**defaults, "learning_rate_init": 0.01, "random_state": 0, **params}
    return estimator(n_members=n_members, **params).fit(X, y)


def _members(model):
    """Weights and biases of each member, layer by layer."""
    arrays = [*model.coefs_, *model.intercepts_]
    arrays = [a if model.n_members > 1 else a[np.newaxis] for a in arrays]
    n_layers = len(model.coefs_)
    for i in range(model.n_members):
        own = [a[i] for a in arrays]
        yield list(zip(own[:n_layers], own[n_layers:], strict=True))


def _layers(layers, X):
    """Values of each hidden layer of a member, and its raw output."""
    values, h = [], X
    for (W, b), activate in zip(layers, [*IN_NUMPY, lambda z: z], strict=True):
        h = activate(h @ W + b)
        values.append(h)
    return values


# ---- values of hidden units --------------------------------------------------------


@pytest.mark.parametrize("estimator", [MLPClassifier, MLPRegressor])
@pytest.mark.parametrize("n_members", [1, 3])
@pytest.mark.parametrize("layer", [0, 1, 2, -1, -2, -3])
def test_hidden_values(layer, n_members, estimator, data):
    model = _fit(data, n_members, estimator)
    X = data[0][:11]  # no multiple of the groups that rows are padded to
    found = model.transform_hidden(X, layer)
    expected = [_layers(m, X)[:3][layer] for m in _members(model)]
    assert found.shape == (11, n_members * UNITS[layer])
    np.testing.assert_allclose(found, np.hstack(expected), rtol=1e-9, atol=1e-12)


def test_the_last_layer_is_the_default(data):
    model = _fit(data)
    np.testing.assert_array_equal(
        model.transform_hidden(data[0]), model.transform_hidden(data[0], layer=2)
    )


def test_hidden_values_are_what_the_output_layer_sees(data):
    model = _fit(
        data, normalization="batch", residual=True, hidden_layer_sizes=(4,) * 3
    )
    raw = model.transform_hidden(data[0]) @ model.coefs_[-1] + model.intercepts_[-1]
    np.testing.assert_allclose(raw.ravel(), model.predict(data[0]), rtol=1e-9)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("convert", [np.asarray, scipy.sparse.csr_matrix])
def test_hidden_values_have_the_dtype_of_the_inputs(convert, dtype, data):
    model = _fit(data)
    found = model.transform_hidden(convert(data[0].astype(dtype)))
    assert found.dtype == dtype
    np.testing.assert_allclose(found, model.transform_hidden(data[0]), rtol=1e-4)


def test_hidden_values_are_without_noise(data):
    model = _fit(data, dropout=0.5, input_dropout=0.5)
    (member,) = _members(model)
    expected = _layers(member, data[0])[2]
    np.testing.assert_allclose(model.transform_hidden(data[0]), expected, rtol=1e-9)


@pytest.mark.parametrize("layer", [3, -4, 100, 1.0, True, "a"])
def test_a_layer_that_is_not_there(layer, data):
    message = rf"an integer in \[-3, 3\), .* 3 hidden layer\(s\), got {layer=}"
    with pytest.raises(ValueError, match=message):
        _fit(data).transform_hidden(data[0], layer)


def test_no_hidden_layer(data):
    model = _fit(data, hidden_layer_sizes=(), activation="relu")
    with pytest.raises(ValueError, match=r"0 hidden layer\(s\), got layer=-1"):
        model.transform_hidden(data[0])


# ---- samples of dropout ------------------------------------------------------------


def _assert_moments(samples, mean, variance):
    """Compare means and variances of samples to 4 of their standard errors."""
    root = math.sqrt(len(samples))
    error = samples.std(axis=0) / root
    assert (np.abs(samples.mean(axis=0) - mean) < 4 * error).all()
    squares = (samples - samples.mean(axis=0)) ** 2
    error = squares.std(axis=0) / root
    assert (np.abs(squares.mean(axis=0) - variance) < 4 * error).all()


LINEAR = {"hidden_layer_sizes": (6,), "activation": "identity"}


@pytest.mark.parametrize("p", [0.2, 0.5])
@pytest.mark.parametrize("dropout_type", ["standard", "gaussian"])
def test_moments_of_units_dropped(dropout_type, p, data):
    """A sum over the units of independent terms h v / (1 - p) times Bernoulli."""
    model = _fit(data, **LINEAR, dropout=p, dropout_type=dropout_type)
    X = data[0][:7]
    hidden = X @ model.coefs_[0] + model.intercepts_[0]
    variance = p / (1 - p) * hidden**2 @ model.coefs_[1] ** 2
    samples = model.predict_samples(X, 1500)
    assert samples.shape == (1500, 7)
    _assert_moments(samples, model.predict(X), variance.ravel())


def test_moments_of_inputs_dropped(data):
    model = _fit(data, **LINEAR, input_dropout=0.3)
    X = data[0][:7]
    slopes = (model.coefs_[0] @ model.coefs_[1]).ravel()
    samples = model.predict_samples(X, 1500)
    _assert_moments(samples, model.predict(X), 0.3 / 0.7 * X**2 @ slopes**2)


def test_moments_of_probabilities(data):
    model = _fit(data, 1, MLPClassifier, **LINEAR, dropout=0.4)
    X = data[0][:7]
    hidden = X @ model.coefs_[0] + model.intercepts_[0]
    raw = (hidden @ model.coefs_[1] + model.intercepts_[1]).ravel()
    variance = (0.4 / 0.6 * hidden**2 @ model.coefs_[1] ** 2).ravel()
    samples = model.predict_proba_samples(X, 1500)
    assert samples.shape == (1500, 7, 2)
    np.testing.assert_allclose(samples.sum(axis=2), 1)
    _assert_moments(special.logit(samples[..., 1]), raw, variance)


def test_dropout_samples_take_the_members_in_turn(data):
    model = _fit(data, 2, **LINEAR, dropout=0.4)
    X = data[0][:7]
    samples = model.predict_samples(X, 2001)
    assert len(samples) == 2001
    for i, ((V, a), (W, b)) in enumerate(_members(model)):
        hidden = X @ V + a
        variance = 0.4 / 0.6 * hidden**2 @ W**2
        _assert_moments(samples[i::2, :, None], hidden @ W + b, variance)


# ---- samples of members ------------------------------------------------------------


@pytest.mark.parametrize("n_samples", [1, 2, 3])
def test_members_are_the_samples_of_a_regressor(n_samples, data):
    model = _fit(data, 3)
    expected = [_layers(m, data[0])[-1].ravel() for m in _members(model)]
    samples = model.predict_samples(data[0], n_samples)
    np.testing.assert_allclose(samples, expected[:n_samples], rtol=1e-9, atol=1e-12)
    everything = model.predict_samples(data[0], 3)
    np.testing.assert_allclose(everything.mean(axis=0), model.predict(data[0]))


def test_members_are_the_samples_of_two_targets(data):
    X, y = data
    model = _fit((X, np.column_stack([y, -y])), 2)
    expected = [_layers(m, X)[-1] for m in _members(model)]
    np.testing.assert_allclose(model.predict_samples(X, 2), expected, rtol=1e-9)


TARGETS = {
    "binary": lambda X: (X[:, 0] > 0).astype(int),
    "multiclass": lambda X: np.digitize(X[:, 0], [-0.4, 0.4]),
    "multilabel": lambda X: (X[:, :3] > 0).astype(int),
}


@pytest.mark.parametrize("kind", TARGETS)
def test_members_are_the_samples_of_a_classifier(kind, data):
    X, _ = data
    model = MLPClassifier(UNITS, ACTIVATION, n_members=2, max_iter=5, random_state=0)
    model.fit(X, TARGETS[kind](X))
    raws = np.array([_layers(m, X)[-1] for m in _members(model)])
    if kind == "multiclass":
        expected = special.softmax(raws, axis=-1)
    else:
        expected = special.expit(raws)
    if kind == "binary":
        expected = np.concatenate([1 - expected, expected], axis=-1)
    samples = model.predict_proba_samples(X, 2)
    np.testing.assert_allclose(samples, expected, rtol=1e-9)
    np.testing.assert_allclose(samples.mean(axis=0), model.predict_proba(X))


# ---- randomness, and what stays ----------------------------------------------------


def _sample(model, X, n_samples=3, **kwargs):
    if isinstance(model, MLPClassifier):
        return model.predict_proba_samples(X, n_samples, **kwargs)
    return model.predict_samples(X, n_samples, **kwargs)


@pytest.mark.parametrize("n_members", [1, 2])
@pytest.mark.parametrize("estimator", [MLPClassifier, MLPRegressor])
def test_random_state_decides(estimator, n_members, data):
    model = _fit(data, n_members, estimator, dropout=0.5)
    X = data[0]
    first = _sample(model, X, random_state=1)
    np.testing.assert_array_equal(first, _sample(model, X, random_state=1))
    state = np.random.RandomState(1)
    np.testing.assert_array_equal(first, _sample(model, X, random_state=state))
    assert not np.isclose(first, _sample(model, X, random_state=state)).all()
    assert not np.isclose(first, _sample(model, X, random_state=2)).all()
    np.testing.assert_array_equal(_sample(model, X), _sample(model, X, random_state=0))
    assert not np.isclose(first[0], first[1]).all()


def test_no_random_state_leaves_the_global_one(data):
    model = _fit(data, dropout=0.5)
    before = np.random.get_state()
    first, second = (_sample(model, data[0], random_state=None) for _ in range(2))
    after = np.random.get_state()
    assert not np.isclose(first, second).all()
    np.testing.assert_array_equal(before[1], after[1])
    assert before[2] == after[2]


@pytest.mark.parametrize("n_members", [1, 2])
@pytest.mark.parametrize("dropout_type", DROPOUTS)
def test_sampling_leaves_the_model_as_it_is(dropout_type, n_members, data):
    params = {"dropout": 0.5, "dropout_type": dropout_type, "activation": "selu"}
    params.update(normalization="batch", dropout_schedule="linear", warm_start=True)
    model = _fit(data, n_members, **params)
    before, predictions = pickle.dumps(model), model.predict(data[0])
    samples = model.predict_samples(data[0], 4)
    model.transform_hidden(data[0])
    assert pickle.dumps(model) == before
    assert not any(module.training for module in model.net_.module_.modules())
    np.testing.assert_array_equal(model.predict(data[0]), predictions)
    copy = pickle.loads(before)
    np.testing.assert_array_equal(copy.predict_samples(data[0], 4), samples)


def test_samples_have_the_dtype_of_the_inputs(data):
    model = _fit(data, dropout=0.5)
    assert model.predict_samples(data[0].astype(np.float32), 2).dtype == np.float32


# ---- errors ------------------------------------------------------------------------


@pytest.mark.parametrize("estimator", [MLPClassifier, MLPRegressor])
@pytest.mark.parametrize("n_samples", [3, 10])
def test_more_samples_than_members(n_samples, estimator, data):
    model = _fit(data, 2, estimator)
    message = rf"must be at most n_members=2 .* got {n_samples}"
    with pytest.raises(ValueError, match=message):
        _sample(model, data[0], n_samples)


@pytest.mark.parametrize("params", [{"dropout": 0.5}, {"n_members": 2}])
@pytest.mark.parametrize("n_samples", [0, -1, 2.5, True])
def test_no_number_of_samples(n_samples, params, data):
    model = _fit(data, **params)
    message = f"must be an integer >= 1, got {n_samples!r}"
    with pytest.raises(ValueError, match=message):
        model.predict_samples(data[0], n_samples)


def test_members_and_dropout_give_more_samples_than_members(data):
    assert _fit(data, 2, dropout=0.5).predict_samples(data[0], 5).shape == (5, N)


@pytest.mark.parametrize(
    "call",
    [
        lambda X: MLPRegressor().predict_samples(X, 2),
        lambda X: MLPClassifier().predict_proba_samples(X, 2),
        lambda X: MLPClassifier().transform_hidden(X),
    ],
)
def test_before_a_fit(call):
    with pytest.raises(NotFittedError):
        call(np.eye(4))


def test_other_features(data):
    model = _fit(data, dropout=0.5)
    for call in (model.transform_hidden, lambda X: model.predict_samples(X, 2)):
        with pytest.raises(ValueError, match="3 features"):
            call(data[0][:, :3])


# ---- what is checked ---------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_finite_inputs_whose_sum_is_not_are_legal(dtype, data):
    model = _fit(data, activation="tanh")
    largest = np.full((2, 4), np.finfo(dtype).max, dtype)
    assert np.isfinite(model.predict(largest)).all()


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_inputs_that_are_not_finite_are_refused(dtype, value, data):
    X = np.zeros((3, 4), dtype)
    X[1, 2] = value
    with pytest.raises(ValueError, match=r"contains (NaN|infinity)"):
        _fit(data).predict(X)


@pytest.mark.parametrize(
    "convert",
    [np.asfortranarray, np.ndarray.tolist, lambda X: X.astype(">f8"), np.matrix.view],
    ids=["fortran", "list", "big-endian", "subclass"],
)
def test_inputs_of_every_kind_give_the_same(convert, data):
    model = _fit(data)
    expected = model.predict(data[0])
    np.testing.assert_array_equal(model.predict(convert(data[0])), expected)


# ---- plain networks, as functions of their weights ---------------------------------


def test_weights_that_are_edited_in_place_act(data):
    model = _fit(data)
    before = model.predict(data[0])
    model.coefs_[1][:] = 0
    model.intercepts_[-1][:] += 1
    after = model.predict(data[0])
    assert np.ptp(after) == 0 < np.ptp(before)


def test_a_copied_estimator_predicts_by_its_own_weights(data):
    model = _fit(data)
    before = model.predict(data[0])
    copied = copy.deepcopy(model)
    copied.net_.module_.flat.zero_()
    np.testing.assert_array_equal(model.predict(data[0]), before)
    assert not copied.predict(data[0]).any()


@pytest.mark.parametrize("place", ["network", "layer"])
def test_hooks_are_called(place, data):
    model = _fit(data)
    expected = model.predict(data[0])
    module = model.net_.module_
    shapes = []
    (module if place == "network" else module.hidden[1].linear).register_forward_hook(
        lambda module, args, output: shapes.append(output.shape)
    )
    np.testing.assert_allclose(model.predict(data[0]), expected, rtol=1e-12)
    assert len(shapes) == 1


@pytest.mark.parametrize("whole", [False, True])
def test_dropout_that_is_switched_on_by_hand_acts(whole, data):
    model = _fit(data, dropout=0.5)
    model.predict(data[0])
    module = model.net_.module_
    for part in [module] if whole else module.dropout_layers():
        part.train()
    assert (model.predict(data[0]) != model.predict(data[0])).any()


def test_networks_are_let_go(data):
    model = _fit(data)
    model.predict(data[0])
    reference = weakref.ref(model.net_.module_)
    del model
    gc.collect()
    assert reference() is None


def test_training_leaves_no_memory(data):
    """Hidden values and their gradients, and former weights, go with the training."""
    for solver in ("adam", "lbfgs"):
        net = _fit(data, solver=solver).net_
        assert not net.is_in_training


def test_rows_nearly_do_not_depend_on_those_beside_them(data):
    model = _fit(data, dtype="float32")
    whole = model.predict(data[0])
    alone = [model.predict(row[np.newaxis])[0] for row in data[0]]
    np.testing.assert_allclose(whole, alone, rtol=1e-6)


def test_wide_inputs_go_in_chunks_of_many_rows(rng):
    X = rng.normal(size=(3, 20_000))
    model = _fit((X, X[:, 0]), max_iter=1)
    assert chunk_size(model.net_.module_.architecture, X.shape[1]) == 64
