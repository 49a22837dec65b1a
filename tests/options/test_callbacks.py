"""Callbacks of the options: max-norm, clipping, and what lbfgs cannot do."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from skorch.callbacks import Callback

from sk_deep import MLPClassifier, MLPRegressor
from sk_deep._engine.regularization import GradientClip, MaxNorm
from sk_deep.callbacks import LayerMonitor
from sk_deep.network import MLP
from sk_deep.solvers import SOLVERS

ONE_STEP = {
    "hidden_layer_sizes": (6, 5),
    "solver": "sgd",
    "momentum": 0.0,
    "learning_rate_init": 0.5,
    "alpha": 0.1,
    "max_iter": 1,
    "random_state": 0,
}
STILL = {"learning_rate_init": 1e-100}


@pytest.fixture
def data(rng):
    X = rng.normal(size=(40, 4))
    return X, 10 * X[:, :2]


def _fit(data, **params):
    return MLPRegressor(**{**ONE_STEP, **params}).fit(*data)


# ---- max-norm ----------------------------------------------------------------------


class Norms(Callback):
    """Record the largest norm of the weights into a unit after each batch."""

    def on_train_begin(self, net, **kwargs):
        self.values = []

    def on_batch_end(self, net, training=False, **kwargs):
        if training:
            norms = [np.linalg.norm(W, axis=-2).max() for W in net.module_.coefs()]
            self.values.append(max(norms))


@pytest.mark.parametrize("n_members", [1, 2])
@pytest.mark.parametrize("solver", ["sgd", "adam", "adamw", torch.optim.Adam])
def test_max_norm_bounds_every_unit_after_every_step(solver, n_members, data):
    params = {"solver": solver, "n_members": n_members, "activation": "maxout"}
    params.update(max_iter=5, batch_size=10, callbacks=[Norms()])
    params["learning_rate_init"] = 0.05
    _, plain = _fit(data, **params).net_.callbacks_[-1]
    _, bounded = _fit(data, **params, max_norm=0.8).net_.callbacks_[-1]
    assert len(bounded.values) == 20
    assert max(bounded.values) <= 0.8 * (1 + 1e-12)
    assert max(bounded.values) > 0.8 * (1 - 1e-12)  # it is reached
    assert min(plain.values) > 0.8


@pytest.mark.parametrize("n_members", [1, 3])
@pytest.mark.parametrize("bound", [0.5, 1.0, 100.0])
def test_a_step_is_projected(bound, n_members, data):
    free = _fit(data, n_members=n_members)
    model = _fit(data, n_members=n_members, max_norm=bound)
    is_beyond = []
    for W, found in zip(free.coefs_, model.coefs_, strict=True):
        norms = np.sqrt((W**2).sum(axis=-2, keepdims=True))
        is_beyond.extend((norms > bound).ravel())
        expected = W * np.minimum(1, bound / norms)
        np.testing.assert_allclose(found, expected, rtol=1e-12)
    for b, found in zip(free.intercepts_, model.intercepts_, strict=True):
        np.testing.assert_array_equal(found, b)
    assert any(is_beyond) == (bound < 100)


def test_weights_of_zero_stay():
    params = {"max_norm": 0.5, "n_iter_no_change": 1}
    model = MLPRegressor(**ONE_STEP, **params, activation="relu")
    model.fit(np.zeros((5, 3)), np.zeros(5))
    assert all(np.isfinite(W).all() for W in model.coefs_)


# ---- clipping ----------------------------------------------------------------------


def _clipped_by_torch(network, bound, member):
    """Gradient of a member, clipped by torch."""
    index = (member,) if network.members else ()
    copies = [p.detach()[index].clone() for p in network.parameters()]
    for copy, parameter in zip(copies, network.parameters(), strict=True):
        copy.grad = parameter.grad[index].clone()
    torch.nn.utils.clip_grad_norm_(copies, bound)
    return [copy.grad for copy in copies]


@pytest.mark.parametrize("n_members", [1, 3])
@pytest.mark.parametrize("bound", [0.1, 8.0, 1e3])
def test_clipping_is_that_of_torch(bound, n_members):
    network = MLP(
        4,
        2,
        hidden_units=[6],
        activation=["prelu"],
        normalization="batch",
        n_members=n_members,
        dtype="float64",
    )
    network.flat_grad.normal_(generator=torch.Generator().manual_seed(0))
    scales = torch.tensor([1.0, 0.1, 10.0], dtype=torch.float64)[:n_members]
    network.flat_grad.mul_(scales.unsqueeze(-1) if n_members > 1 else 1.0)
    before = network.flat_grad.clone()
    expected = [_clipped_by_torch(network, bound, i) for i in range(n_members)]
    GradientClip(bound).on_grad_computed(SimpleNamespace(module_=network))
    for i, gradients in enumerate(expected):
        index = (i,) if n_members > 1 else ()
        for parameter, gradient in zip(network.parameters(), gradients, strict=True):
            # torch adds 1e-6 to the norm
            torch.testing.assert_close(
                parameter.grad[index], gradient, rtol=2e-5, atol=0
            )
    norms = before.norm(dim=-1)
    assert torch.equal(network.flat_grad, before) == bool((norms <= bound).all())


def _step(model, start):
    """What a step subtracted from all parameters, (n_members, n_parameters)."""
    n_members = model.n_members
    pairs = zip(
        [*start.coefs_, *start.intercepts_],
        [*model.coefs_, *model.intercepts_],
        strict=True,
    )
    steps = [(old - new).reshape(n_members, -1) for old, new in pairs]
    return np.concatenate(steps, axis=1) / ONE_STEP["learning_rate_init"]


@pytest.mark.parametrize("n_members", [1, 3])
@pytest.mark.parametrize("bound", [0.1, 1e6])
def test_a_step_is_clipped_penalty_included(bound, n_members, data):
    params = {"n_members": n_members, "alpha": 100.0}
    start = _fit(data, **params, **STILL)
    gradient = _step(_fit(data, **params), start)
    found = _step(_fit(data, **params, gradient_clip=bound), start)
    norms = np.linalg.norm(gradient, axis=1, keepdims=True)
    expected = gradient * np.minimum(1, bound / norms)
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-12)
    assert len(np.unique(norms)) == n_members  # each by its own


class GradientNorms(Callback):
    """Record the norm of each gradient that an optimizer sees."""

    def on_train_begin(self, net, **kwargs):
        self.values = []

    def on_grad_computed(self, net, **kwargs):
        self.values.append(net.module_.flat_grad.norm(dim=-1).numpy(force=True).copy())


@pytest.mark.parametrize("n_members", [1, 2])
@pytest.mark.parametrize(
    "solver", [*sorted(SOLVERS.keys() - {"lbfgs"}), torch.optim.SGD]
)
def test_optimizers_see_clipped_gradients(solver, n_members, data):
    params = {"solver": solver, "n_members": n_members, "batch_size": 10}
    params.update(callbacks=[GradientNorms()], learning_rate_init=0.01)
    model = _fit(data, **params, gradient_clip=0.5)
    norms = np.array(model.net_.callbacks_[-1][1].values)
    assert len(norms) >= 4  # batches
    np.testing.assert_allclose(norms, 0.5, rtol=1e-9)


# ---- a bound of each member --------------------------------------------------------

BOUNDS = [0.3, 1.0, 100.0]


def _random_stack():
    """A stack and its members, with the same random weights and gradients."""
    generator = torch.Generator().manual_seed(0)
    stack = MLP(
        4,
        2,
        hidden_units=[6],
        activation=["maxout"],
        normalization="layer",
        n_members=3,
        dtype="float64",
    )
    stack.flat.normal_(generator=generator)
    stack.flat_grad.normal_(generator=generator)
    singles = [stack.member(i) for i in range(3)]
    for single, gradient in zip(singles, stack.flat_grad, strict=True):
        single.flat_grad.copy_(gradient)
    return stack, singles


@pytest.mark.parametrize("kind", [MaxNorm, GradientClip])
def test_bounds_of_members_are_those_of_single_networks(kind):
    stack, singles = _random_stack()
    before = stack.flat.clone(), stack.flat_grad.clone()
    pairs = zip([BOUNDS, *BOUNDS], [stack, *singles], strict=True)
    for bound, network in pairs:
        net = SimpleNamespace(module_=network)
        if kind is MaxNorm:
            kind(bound).on_batch_end(net, training=True)
        else:
            kind(bound).on_grad_computed(net)
    for name, old in zip(("flat", "flat_grad"), before, strict=True):
        now = getattr(stack, name)
        expected = torch.stack([getattr(single, name) for single in singles])
        torch.testing.assert_close(now, expected, rtol=1e-12, atol=0)
        acts = (name == "flat") == (kind is MaxNorm)
        is_changed = [not torch.equal(*rows) for rows in zip(now, old, strict=True)]
        assert is_changed == [acts, acts, False]  # the last bound is beyond all


# ---- what lbfgs cannot do ----------------------------------------------------------

NEEDS = [
    ({"l1_ratio": 0.5}, r"a smooth loss, got l1_ratio=0\.5"),
    ({"max_norm": 1.0}, r"steps that nothing changes, got max_norm=1\.0"),
    ({"gradient_clip": 2.0}, r"steps that nothing changes, .*gradient_clip=2\.0"),
    ({"dropout": 0.5}, r"a loss without noise, got dropout=0\.5"),
    ({"dropout": [0.5]}, r"a loss without noise, got dropout=\[0\.5\]"),
    ({"input_dropout": 0.5}, r"a loss without noise, .*input_dropout=0\.5"),
    ({"augmentation": "noise"}, r"a loss without noise, .*augmentation='noise'"),
    (
        {"augmentation": lambda X, y, generator: (X, y)},
        "a loss without noise, .*augmentation=<function",
    ),
]


@pytest.mark.parametrize(("params", "message"), NEEDS)
def test_lbfgs_takes_no_noise_and_no_kinks(params, message):
    model = MLPClassifier(solver="lbfgs", **params)
    with pytest.raises(ValueError, match=f"solver='lbfgs' needs {message}"):
        model.fit(np.eye(4), [0, 1, 0, 1])


@pytest.mark.parametrize("params", [{}, {"alpha": 1.0}, {"dropout": [0.0]}])
def test_what_lbfgs_takes(params):
    model = MLPClassifier(solver="lbfgs", max_iter=2, **params)
    assert np.isfinite(model.fit(np.eye(4), [0, 1, 0, 1]).loss_)


@pytest.mark.parametrize("name", ["max_norm", "gradient_clip"])
def test_bounds_must_be_positive(name):
    with pytest.raises(ValueError, match=f"'{name}' parameter"):
        MLPClassifier(**{name: 0.0}).fit(np.eye(4), [0, 1, 0, 1])


class Note(Callback):
    def on_epoch_end(self, net, **kwargs):
        net.record("one", np.ones(net.running_.shape))


@pytest.mark.parametrize("n_members", [1, 3])
def test_callbacks_record_in_the_epoch_in_which_training_stops(n_members, digits):
    stops = {"early_stopping": True, "n_iter_no_change": 2, "random_state": 0}
    model = MLPClassifier(**stops, n_members=n_members, callbacks=[Note()])
    assert set(model.fit(*digits).net_.history[:, "one"]) == {1.0}


# ---- what the hooks of batches get -------------------------------------------------


class Outputs(Callback):
    """Use the outputs of each batch as any tensor, in place and with autograd."""

    def on_train_begin(self, net, **kwargs):
        self.losses = []

    def on_batch_end(self, net, loss=None, y_pred=None, training=False, **kwargs):
        scale = torch.ones((), dtype=y_pred.dtype, requires_grad=True)
        (scale * y_pred).sum().backward()
        y_pred.zero_()
        self.losses.append(float(loss))


@pytest.mark.parametrize("activation", ["relu", "prelu"])
def test_outputs_are_the_callbacks_own(activation, data):
    outputs = Outputs()
    params = {"activation": activation, **STILL}
    model = _fit(data, callbacks=[outputs], **params)
    assert len(model.net_.callbacks_[-1][1].losses) == 1
    assert model.net_.callbacks_[-1][1].losses[0] == pytest.approx(model.loss_)
    assert model.loss_ == pytest.approx(_fit(data, **params).loss_)


# ---- callbacks of one's own ----------------------------------------------------------


class ScoreOnTrain(Callback):
    """Score the network on the rows that train."""

    def on_epoch_end(self, net, dataset_train=None, **kwargs):
        outputs = torch.cat(list(net.forward_iter(dataset_train)))
        self.score = (outputs.argmax(1) == dataset_train.y).double().mean().item()


def test_rows_that_train_stay_in_their_order(digits):
    X, y = digits
    model = MLPClassifier(max_iter=2, random_state=0, callbacks=[ScoreOnTrain()])
    model.fit(X, y)
    (score,) = [c.score for _, c in model.net_.callbacks_ if type(c) is ScoreOnTrain]
    assert score == pytest.approx(model.score(X, y))


class Slow(Callback):
    """Set the rate from within."""

    def on_epoch_begin(self, net, **kwargs):
        net.lr = 1e-6


def test_a_rate_that_a_callback_sets_acts(digits):
    model = MLPClassifier(max_iter=2, random_state=0, callbacks=[Slow()]).fit(*digits)
    assert model.learning_rate_curve_ == pytest.approx([1e-6, 1e-6])


# ---- the monitor of layers ---------------------------------------------------------


@pytest.mark.parametrize("n_members", [1, 3])
def test_monitor_records_gradients_and_steps(n_members, data):
    start = _fit(data, n_members=n_members, **STILL)
    model = _fit(data, n_members=n_members, callbacks=[LayerMonitor()])
    norms, ratios = [], []
    for before, after in zip(start.coefs_, model.coefs_, strict=True):
        step = np.linalg.norm(after - before, axis=(-2, -1))
        norms.append(np.mean(step / ONE_STEP["learning_rate_init"]))
        ratios.append(np.mean(step / np.linalg.norm(before, axis=(-2, -1))))
    np.testing.assert_allclose(model.gradient_norm_curve_, [norms], rtol=1e-10)
    np.testing.assert_allclose(model.update_ratio_curve_, [ratios], rtol=1e-10)


def test_monitor_takes_means_over_batches(data):
    """The steps of an epoch of two batches, each seen alone."""
    params = {"batch_size": 20, "shuffle": False, "alpha": 0.0}
    X, y = data
    first = _fit((X[:20], y[:20]), **params, callbacks=[LayerMonitor()])
    second = MLPRegressor(**{**ONE_STEP, **params}, callbacks=[LayerMonitor()])
    second.set_params(warm_start=True, max_iter=1).fit(X[:20], y[:20])
    second.fit(X[20:], y[20:])
    both = _fit(data, **params, callbacks=[LayerMonitor()])
    norms = [first.gradient_norm_curve_[0], second.gradient_norm_curve_[1]]
    expected = np.sqrt(np.mean(np.square(norms), axis=0))
    found = both.gradient_norm_curve_[0]
    np.testing.assert_allclose(found, expected, rtol=1e-10)
    expected = [first.update_ratio_curve_[0], second.update_ratio_curve_[1]]
    found = both.update_ratio_curve_[0]
    np.testing.assert_allclose(found, np.mean(expected, axis=0), rtol=1e-10)


@pytest.mark.parametrize("solver", [*sorted(set(SOLVERS) - {"lbfgs"}), torch.optim.SGD])
def test_monitor_watches_and_changes_nothing(solver, data):
    params = {"solver": solver, "max_iter": 3, "batch_size": 20, "dropout": 0.2}
    plain = _fit(data, **params)
    model = _fit(data, **params, callbacks=[LayerMonitor()])
    for W, found in zip(plain.coefs_, model.coefs_, strict=True):
        np.testing.assert_allclose(found, W, rtol=1e-10, atol=1e-12)
    assert np.shape(model.gradient_norm_curve_) == (3, 3)
    assert (np.array(model.gradient_norm_curve_) > 0).all()
    assert model.history_[0]["update_ratios"] == model.update_ratio_curve_[0]
    assert plain.gradient_norm_curve_ is plain.update_ratio_curve_ is None


def test_monitor_needs_steps(data):
    with pytest.raises(ValueError, match="LayerMonitor needs a stochastic solver"):
        _fit(data, solver="lbfgs", callbacks=[LayerMonitor()])


def test_a_curve_is_one_of_all_epochs(data):
    model = MLPRegressor(**ONE_STEP, warm_start=True).fit(*data)
    model.set_params(callbacks=[LayerMonitor()]).fit(*data)
    assert len(model.loss_curve_) == len(model.history_) == 2
    assert model.gradient_norm_curve_ is None
    model.set_params(warm_start=False).fit(*data)
    assert len(model.gradient_norm_curve_) == 1
