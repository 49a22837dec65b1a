"""Graphs give what goes without them gives; here they are recorded by a stand-in."""

import inspect

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from sk_deep import MLPClassifier
from sk_deep._engine import gradients
from sk_deep._engine.cuda_graphs import _N_BEFORE, Graphed
from sk_deep._engine.gradients import choose_gradient
from sk_deep.dropouts import DROPOUTS
from sk_deep.losses import Criterion, losses_on
from sk_deep.network import MLP
from sk_deep.solvers import SOLVERS
from sk_deep.solvers._lean import BareOptimizer

CRITERION = Criterion("log_loss", "multiclass")
SIZES = (8, 8, 8, 8, 8, 3, 8, 8, 3, 8)
NETWORKS = [
    {},
    {"dropout": [0.5, 0.2], "input_dropout": 0.1},
    {"normalization": "batch", "dropout": [0.5, 0.5]},
    {"dropout": [0.5, 0.5], "dropout_type": "standout"},
    {"activation": ["maxout", "prelu"], "residual": True},
    {"n_members": 3, "dropout": [0.5, 0.2]},
]


def _graphed(function):
    """Whose function a graph records."""
    return inspect.getclosurevars(function).nonlocals["self"]


class FakeGraph:
    """Replays by calling again, into the same memory; recording leaves no trace."""

    n_recorded = n_replayed = 0

    def __init__(self, function, generator):
        type(self).n_recorded += 1
        self.function = function
        self.result = self._traceless(generator)

    def _traceless(self, generator):
        module = _graphed(self.function).module
        tensors = (module.flat_grad, module.flat_buffers)
        before = [tensor.clone() for tensor in tensors]
        state = generator.get_state()
        result = self.function()
        generator.set_state(state)
        for tensor, value in zip(tensors, before, strict=True):
            tensor.copy_(value)
        return tuple(part if part is None else part.clone() for part in result)

    def replay(self):
        type(self).n_replayed += 1
        for memory, value in zip(self.result, self.function(), strict=True):
            if memory is not None:
                memory.copy_(value)


class FailingGraph(FakeGraph):
    """Cannot be recorded, after it has left traces."""

    def __init__(self, function, generator):
        type(self).n_recorded += 1
        function()
        raise RuntimeError("operation not permitted when stream is capturing")


class WrongGradient(FakeGraph):
    """Writes another gradient than the way without."""

    def replay(self):
        super().replay()
        _graphed(self.function).module.flat_grad.mul_(1.1)


class WrongOutput(FakeGraph):
    """Gives other outputs than the way without."""

    def replay(self):
        super().replay()
        self.result[0].mul_(1.1)


@pytest.fixture(autouse=True)
def _count_anew():
    for kind in (FakeGraph, FailingGraph, WrongGradient, WrongOutput):
        kind.n_recorded = kind.n_replayed = 0


def _network(**params):
    params = {"activation": ["relu", "tanh"], **params}
    network = MLP(5, 3, hidden_units=[6, 6], dtype="float64", **params)
    members = range(network.architecture.n_members)
    network.reset_parameters([np.random.RandomState(i) for i in members])
    network.generator.manual_seed(0)
    return network


def _batches(members, *, weighted):
    generator = torch.Generator().manual_seed(0)
    for n_rows in SIZES:
        shape = (*members, n_rows)
        X = torch.randn(*shape, 5, dtype=torch.float64, generator=generator)
        y = torch.randint(3, shape, generator=generator)
        weight = torch.rand(shape, dtype=torch.float64, generator=generator)
        yield X, y, weight if weighted else 1 / n_rows


def _run(record, params, *, weighted=False, anneal_at=None):
    """What each batch gives and leaves, and the way that was gone."""
    network = _network(**params)
    way = choose_gradient(network, CRITERION)
    if record is not None:
        way = Graphed(way, record)
    found = []
    for i, batch in enumerate(_batches(network.members, weighted=weighted)):
        if i == anneal_at:
            for layer in network.dropout_layers():
                layer.anneal(0.5)
        raw, losses = way(*batch)
        left = network.flat_grad, network.flat_buffers, network.generator.get_state()
        found.append([raw, losses, *(part.clone() for part in left)])
    return found, way


def _assert_equal(found, expected):
    for ours, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=0)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("params", NETWORKS)
def test_a_graph_gives_the_same(params, weighted):
    found, _ = _run(FakeGraph, params, weighted=weighted)
    expected, _ = _run(None, params, weighted=weighted)
    _assert_equal(found, expected)
    n_full = SIZES.count(8)
    assert FakeGraph.n_recorded == 1
    # one replay is the check, and it is in place of the batch's own
    assert FakeGraph.n_replayed == n_full - _N_BEFORE


def test_another_probability_is_recorded_again():
    params = {"dropout": [0.5, 0.2]}
    found, _ = _run(FakeGraph, params, anneal_at=6)
    expected, _ = _run(None, params, anneal_at=6)
    _assert_equal(found, expected)
    assert FakeGraph.n_recorded == 2


@pytest.mark.parametrize("graph", [FailingGraph, WrongGradient, WrongOutput])
@pytest.mark.parametrize("params", NETWORKS)
def test_a_graph_that_fails_or_differs_is_not_used(params, graph):
    found, way = _run(graph, params)
    expected, _ = _run(None, params)
    _assert_equal(found, expected)
    assert way.is_off
    assert way.graph is None
    assert graph.n_recorded == 1
    assert graph.n_replayed <= 1


@pytest.mark.parametrize("params", [{}, {"dropout": 0.5}, {"normalization": "batch"}])
def test_fits(params, digits, monkeypatch):
    model = MLPClassifier(**params, max_iter=3, random_state=0, dtype="float64")
    expected = model.fit(*digits).predict_proba(digits[0])
    monkeypatch.setattr(
        "sk_deep._engine.training.choose_gradient",
        lambda *args: Graphed(gradients.choose_gradient(*args), FakeGraph),
    )
    found = model.fit(*digits).predict_proba(digits[0])
    np.testing.assert_array_equal(found, expected)
    assert FakeGraph.n_replayed > 3


def test_a_larger_batch_ends_it():
    """It takes new memory for hidden values, of which the graph does not know."""
    way = Graphed(choose_gradient(_network(), CRITERION), FakeGraph)
    for n_rows in (8, 8, 8, 8, 8, 9, 8):
        X = torch.zeros(n_rows, 5, dtype=torch.float64)
        way(X, torch.zeros(n_rows, dtype=torch.int64), 1 / n_rows)
    assert way.is_off
    assert FakeGraph.n_replayed == 2


def test_the_code_of_a_user_is_not_recorded():
    assert gradients.is_ours(_network(), CRITERION)
    assert not gradients.is_ours(_network(), Criterion(lambda raw, y: raw, "real"))
    own = _network(activation=["relu", torch.nn.ReLU])
    assert not gradients.is_ours(own, CRITERION)


def test_the_cpu_has_no_graphs():
    assert not isinstance(choose_gradient(_network(), CRITERION), Graphed)


# ---- reads by the host -------------------------------------------------------------


def _is_ours(optimizer):
    return optimizer is not None and issubclass(optimizer, BareOptimizer)


OPTIONS = [
    # torch's own read counters of steps, which they keep on the CPU
    *({"solver": name} for name, row in SOLVERS.items() if _is_ours(row.optimizer)),
    *({"dropout": 0.5, "dropout_type": name} for name in DROPOUTS if name != "alpha"),
    *({"loss": name} for name in sorted(losses_on("multiclass"))),
    {"dropout": 0.5, "dropout_type": "alpha", "activation": "selu"},
    {"normalization": "batch"},
    {"n_members": 3, "input_dropout": 0.2},
    {"max_norm": 1.0, "gradient_clip": 0.1, "l1_ratio": 0.5},
    {"learning_rate": "cosine"},
    {"label_smoothing": 0.1},
    {"augmentation": "noise"},
    {"augmentation": "mixup"},
    {"class_weight": "balanced"},
]


class _Reads(TorchDispatchMode):
    """Counts the numbers that the host reads from a tensor."""

    n = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        self.n += function is torch.ops.aten._local_scalar_dense.default
        return function(*args, **(kwargs or {}))


def _n_reads(params, batch_size, data):
    model = MLPClassifier(**params, max_iter=3, batch_size=batch_size, random_state=0)
    with _Reads() as reads:
        model.fit(*data)
    return reads.n


@pytest.mark.parametrize("params", OPTIONS)
def test_the_host_reads_nothing_within_an_epoch(params, digits):
    """Reads would wait for the device: their number does not grow with the batches."""
    assert _n_reads(params, 50, digits) == _n_reads(params, 300, digits)


def test_reads_are_counted(digits):
    class Reading(torch.nn.ReLU):
        def forward(self, z):
            return super().forward(z) if z.sum() < 1e9 else z

    params = {"activation": Reading}
    assert _n_reads(params, 50, digits) > _n_reads(params, 300, digits)
