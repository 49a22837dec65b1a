"""Stacks against single networks, normalization against torch, the flat buffers."""

import numpy as np
import pytest
import torch

from sk_deep._engine.gradients import Autograd
from sk_deep.losses import Criterion
from sk_deep.network import MLP
from sk_deep.normalizations import BatchNorm, LayerNorm

N_MEMBERS, N = 3, 8
CRITERION = Criterion("log_loss", "multiclass")
NETWORKS = [
    {},
    {"hidden_units": []},
    {"normalization": "batch"},
    {"normalization": "layer"},
    {"residual": True},
    {"activation": "maxout", "maxout_pieces": 3},
    {"activation": "prelu"},
    {"dropout": [0.5, 0.25], "input_dropout": 0.2},
    {"dropout": [0.5, 0.25], "dropout_type": "standout"},
    {
        "dropout": [0.5, 0.25],
        "dropout_type": "dropconnect",
        "dropout_params": {"inference": "gaussian"},
    },
    {
        "activation": "prelu",
        "normalization": "batch",
        "residual": True,
        "dropout": [0.5, 0.25],
        "dropout_type": "standout",
    },
    {"activation": "maxout", "normalization": "layer", "residual": True},
]
QUIET = [params for params in NETWORKS if "dropout" not in params]


def _generator(seed=0):
    return torch.Generator().manual_seed(seed)


def _network(n_members=1, *, hidden_units=(6, 6), activation="tanh", **params):
    """Build a network, all parameters and running moments of which are random."""
    network = MLP(
        5,
        3,
        hidden_units=hidden_units,
        activation=[activation] * len(hidden_units),
        n_members=n_members,
        dtype="float64",
        **params,
    )
    generator = _generator()
    network.flat.normal_(generator=generator)
    network.flat_buffers.uniform_(0.5, 0.9, generator=generator)
    return network


def _singles(stack):
    """Networks with the parameters of the members, copied name by name."""
    for i in range(N_MEMBERS):
        single = MLP(**stack.architecture.of_member(i).to_dict())
        named = [*single.named_parameters(), *single.named_buffers()]
        sources = dict([*stack.named_parameters(), *stack.named_buffers()])
        for name, tensor in named:
            tensor.data.copy_(sources[name].detach()[i].view(tensor.shape))
        yield single


def _inputs(*shape, seed=1):
    return torch.randn(*shape, 5, dtype=torch.float64, generator=_generator(seed))


# ---- stacks ------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(N,), (N_MEMBERS, N)])
@pytest.mark.parametrize("params", NETWORKS)
def test_a_stack_predicts_as_its_members(params, shape):
    stack = _network(N_MEMBERS, **params).eval()
    x = _inputs(*shape)
    found = stack(x)
    assert found.shape == (N_MEMBERS, N, 3)
    for i, single in enumerate(_singles(stack)):
        own = x if x.ndim == 2 else x[i]
        torch.testing.assert_close(found[i], single.eval()(own))
        for n_layers in range(len(single.hidden) + 1):
            values = stack.hidden_values(x, n_layers)[i]
            torch.testing.assert_close(values, single.hidden_values(own, n_layers))
    assert not torch.isclose(found[0], found[1]).any()


@pytest.mark.parametrize("shape", [(N,), (N_MEMBERS, N)])
@pytest.mark.parametrize("params", QUIET)
def test_a_stack_trains_as_its_members(params, shape):
    stack = _network(N_MEMBERS, **params)
    singles = list(_singles(stack))
    x = _inputs(*shape)
    y = torch.randint(3, (N_MEMBERS, N), generator=_generator())
    raw, losses = Autograd(stack, CRITERION)(x, y, 1 / N)
    for i, single in enumerate(singles):
        own = x if x.ndim == 2 else x[i]
        expected = Autograd(single, CRITERION)(own, y[i], 1 / N)
        torch.testing.assert_close((raw[i], losses[i]), expected)
        torch.testing.assert_close(stack.flat_grad[i], single.flat_grad)
        torch.testing.assert_close(stack.flat_buffers[i], single.flat_buffers)
    assert stack.flat_grad.abs().max() > 0


@pytest.mark.parametrize("params", NETWORKS)
def test_members_do_not_meet(params):
    """The gradient of one member's loss by another's parameters is zero."""
    stack = _network(N_MEMBERS, **params).eval()
    raw = stack(_inputs(N))
    gradients = torch.autograd.grad(raw[1].sum(), stack.packed)
    assert all(not g[0].any() and not g[2].any() for g in gradients)
    assert all(g[1].any() for g in gradients if g.ndim > 2)


# ---- normalization -----------------------------------------------------------------


def _pair_of_batch_norms():
    ours, theirs = BatchNorm((), 4).double(), torch.nn.BatchNorm1d(4).double()
    generator = _generator()
    for one, other in [(ours.scale, theirs.weight), (ours.shift, theirs.bias)]:
        other.data.normal_(generator=generator)
        one.data.copy_(other)
    return ours, theirs


def _batches(n_batches=3):
    generator = _generator(2)
    for n in range(5, 5 + n_batches):
        yield 2 + 3 * torch.randn(n, 4, dtype=torch.float64, generator=generator)


def test_batch_norm_is_that_of_torch():
    ours, theirs = _pair_of_batch_norms()
    for z in _batches():
        torch.testing.assert_close(ours(z), theirs(z), rtol=1e-12, atol=1e-12)
        for name in ("running_mean", "running_var"):
            found, expected = getattr(ours, name)[0], getattr(theirs, name)
            torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)
    z = next(_batches())
    moments = ours.running_mean.clone()
    torch.testing.assert_close(ours.eval()(z), theirs.eval()(z), rtol=1e-12, atol=1e-12)
    assert torch.equal(ours.running_mean, moments)  # prediction moves nothing


def test_gradients_of_batch_norm_are_those_of_torch():
    ours, theirs = _pair_of_batch_norms()
    z = next(_batches())
    weights = torch.randn(z.shape, dtype=torch.float64, generator=_generator(3))
    found, expected = [], []
    for layer, gradients in [(ours, found), (theirs, expected)]:
        leaf = z.clone().requires_grad_()
        (weights * layer(leaf).sin()).sum().backward()
        gradients.extend([leaf.grad, *(p.grad.view(-1) for p in layer.parameters())])
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-12)


def test_batch_norm_of_a_stack_is_that_of_torch_for_each():
    layer = BatchNorm((N_MEMBERS,), 4).double()
    theirs = [torch.nn.BatchNorm1d(4).double() for _ in range(N_MEMBERS)]
    for seed in range(3):
        z = torch.randn(
            N_MEMBERS, 6, 4, dtype=torch.float64, generator=_generator(seed)
        )
        z *= torch.arange(1, N_MEMBERS + 1).view(-1, 1, 1)
        expected = torch.stack([t(part) for t, part in zip(theirs, z, strict=True)])
        torch.testing.assert_close(layer(z), expected, rtol=1e-12, atol=1e-12)
    for name in ("running_mean", "running_var"):
        expected = torch.stack([getattr(t, name) for t in theirs])
        found = getattr(layer, name)[:, 0]
        torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)


def test_layer_norm_is_that_of_torch():
    ours, theirs = LayerNorm((), 4).double(), torch.nn.LayerNorm(4).double()
    generator = _generator()
    for one, other in [(ours.scale, theirs.weight), (ours.shift, theirs.bias)]:
        other.data.normal_(generator=generator)
        one.data.copy_(other)
    for z in _batches():
        torch.testing.assert_close(ours(z), theirs(z), rtol=1e-12, atol=1e-12)
        assert torch.equal(ours.eval()(z), ours.train()(z))


@pytest.mark.parametrize("normalization", ["batch", "layer"])
def test_normalization_comes_before_the_activation(normalization):
    network = _network(normalization=normalization, hidden_units=(6,)).eval()
    (hidden,) = network.hidden
    x = _inputs(N)
    z = hidden.normalization(x @ hidden.linear.weight + hidden.linear.bias)
    expected = torch.tanh(z) @ network.output.weight + network.output.bias
    torch.testing.assert_close(network(x), expected)


# ---- residual ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("units", "skips"),
    [
        ((6, 6, 6), [False, True, True]),
        ((5, 5), [False, True]),  # not from the inputs, though they are as wide
        ((6, 4, 4, 6), [False, False, True, False]),
    ],
)
def test_residual_adds_the_layer_before(units, skips):
    network = _network(hidden_units=units, residual=True)
    x = _inputs(N)
    h = x
    for layer, skip in zip(network.hidden, skips, strict=True):
        new = torch.tanh(h @ layer.linear.weight + layer.linear.bias)
        h = h + new if skip else new
    expected = h @ network.output.weight + network.output.bias
    torch.testing.assert_close(network(x), expected)


# ---- the flat buffers --------------------------------------------------------------


@pytest.mark.parametrize("n_members", [1, N_MEMBERS])
@pytest.mark.parametrize("params", NETWORKS)
class TestFlat:
    def test_parameters_are_views(self, params, n_members):
        network = _network(n_members, **params)
        sizes = [p.numel() for p in network.parameters()]
        assert network.flat.numel() == sum(sizes)
        network.flat.copy_(torch.arange(sum(sizes)).view(network.flat.shape))
        values = torch.cat([p.detach().reshape(-1) for p in network.parameters()])
        assert torch.equal(values.sort().values, network.flat.reshape(-1))
        for parameter in network.parameters():
            with torch.no_grad():
                parameter.fill_(-1.0)
        assert (network.flat == -1).all()

    def test_gradients_are_views_in_the_same_order(self, params, n_members):
        network = _network(n_members, **params)
        network.flat_grad.copy_(network.flat)
        for parameter in network.parameters():
            assert torch.equal(parameter.grad, parameter)

    def test_autograd_writes_into_the_flat_gradient(self, params, n_members):
        network = _network(n_members, **params).eval()
        y = torch.randint(3, (*network.members, N), generator=_generator())
        loss = CRITERION(network(_inputs(N)), y).sum()
        expected = torch.autograd.grad(loss, list(network.parameters()))
        network.flat_grad.fill_(torch.nan)
        Autograd(network, CRITERION)(_inputs(N), y, 1.0)
        for parameter, gradient in zip(network.parameters(), expected, strict=True):
            torch.testing.assert_close(parameter.grad, gradient)
        assert network.flat_grad.isfinite().all()

    def test_weights_come_first(self, params, n_members):
        network = _network(n_members, **params)
        weights = [W.reshape(*network.members, -1) for W in network.coefs()]
        np.testing.assert_array_equal(network.weights, np.concatenate(weights, -1))
        network.weights_grad.fill_(1.0)
        assert network.flat_grad.sum() == network.weights.numel()
        assert all(layer.weight.grad.all() for layer in network.linear_layers())

    def test_buffers_are_views(self, params, n_members):
        network = _network(n_members, **params)
        network.flat_buffers.fill_(0.25)
        buffers = list(network.buffers())
        assert sum(b.numel() for b in buffers) == network.flat_buffers.numel()
        assert all((b == 0.25).all() for b in buffers)

    def test_state_rebuilds_the_network(self, params, n_members):
        network = _network(n_members, **params).eval()
        again = MLP(**network.architecture.to_dict()).eval()
        again.flat.copy_(network.flat)
        again.flat_buffers.copy_(network.flat_buffers)
        assert torch.equal(again(_inputs(N)), network(_inputs(N)))


@pytest.mark.parametrize("n_members", [1, N_MEMBERS])
def test_what_is_not_drawn_has_its_initial_value(n_members):
    params = {"activation": ["prelu"] * 2, "normalization": "batch"}
    network = MLP(5, 3, [6, 4], **params, n_members=n_members)
    initial = {"slope": 0.25, "scale": 1, "shift": 0, "mean": 0, "var": 1}
    for name, tensor in [*network.named_parameters(), *network.named_buffers()]:
        kind = name.replace("_", ".").split(".")[-1]
        if kind not in ("weight", "bias"):
            assert (tensor == initial[kind]).all()


# ---- members -----------------------------------------------------------------------


@pytest.mark.parametrize("params", NETWORKS)
def test_member_is_a_copy(params):
    stack = _network(N_MEMBERS, **params).eval()
    before = stack(_inputs(N))
    for i in range(N_MEMBERS):
        member = stack.member(i).eval()
        assert member.members == ()
        torch.testing.assert_close(member(_inputs(N)), before[i])
        member.flat.fill_(0.0)
        member.flat_buffers.fill_(0.0)
    assert torch.equal(stack(_inputs(N)), before)


@pytest.mark.parametrize("params", NETWORKS)
def test_set_member_replaces_one(params):
    stack, other = _network(N_MEMBERS, **params).eval(), _network(**params).eval()
    other.flat.mul_(0.5)
    before = stack(_inputs(N))
    stack.set_member(1, other)
    after = stack(_inputs(N))
    torch.testing.assert_close(after[1], other(_inputs(N)))
    assert torch.equal(after[[0, 2]], before[[0, 2]])
    assert not torch.isclose(after[1], before[1]).any()


@pytest.mark.parametrize("n_members", [1, N_MEMBERS])
@pytest.mark.parametrize("params", NETWORKS)
def test_round_trip(params, n_members):
    network = _network(n_members, **params)
    flat, buffers = network.flat.clone(), network.flat_buffers.clone()
    members = [network.member(i) for i in range(n_members)]
    network.flat.fill_(torch.nan)
    network.flat_buffers.fill_(torch.nan)
    for i, member in enumerate(members):
        network.set_member(i, member)
    assert torch.equal(network.flat, flat)
    assert torch.equal(network.flat_buffers, buffers)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_dtype(dtype):
    network = MLP(4, 2, [3], ["prelu"], normalization="batch", n_members=2, dtype=dtype)
    tensors = [*network.parameters(), *network.buffers(), network.flat_grad]
    assert {str(t.dtype) for t in tensors} == {f"torch.{dtype}"}
