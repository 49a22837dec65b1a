"""The gradient by hand is autograd's, and is taken for plain networks alone."""

import dataclasses
import itertools

import numpy as np
import pytest
import torch

from sk_deep import MLPClassifier
from sk_deep._engine.gradients import Autograd, ByHand, choose_gradient
from sk_deep.activations import ACTIVATIONS
from sk_deep.dropouts import DROPOUTS
from sk_deep.losses import LOSSES, Criterion
from sk_deep.network import MLP

PLAIN = sorted(name for name, row in ACTIVATIONS.items() if row.derivative)
TERMS = [
    (name, kind)
    for name, row in LOSSES.items()
    for kind, term in row.terms.items()
    if Criterion(name, kind).has_gradient
]


def _network(activation="tanh", n_members=1, **params):
    network = MLP(
        5,
        3,
        hidden_units=(7, 4),
        activation=[activation] * 2,
        n_members=n_members,
        dtype="float64",
        **params,
    )
    network.reset_parameters([np.random.RandomState(i) for i in range(n_members)])
    return network


def _batch(kind, members, *, weighted=True, soft=False):
    generator = torch.Generator().manual_seed(0)
    X = 3 * torch.randn(*members, 11, 5, dtype=torch.float64, generator=generator)
    if kind == "multiclass" and not soft:
        y = torch.randint(3, (*members, 11), generator=generator)
    else:
        y = torch.rand(*members, 11, 3, dtype=torch.float64, generator=generator)
    shares = torch.rand(*members, 11, dtype=torch.float64, generator=generator)
    return X, y, shares if weighted else 1 / 11


def _assert_equal_ways(network, criterion, batch):
    found = []
    for way in (Autograd, ByHand):
        network.flat_grad.fill_(torch.nan)  # what is not written shows
        network.generator.manual_seed(0)
        network.train()
        raw, losses = way(network, criterion)(*batch)
        found.append((raw, network.flat_grad.clone()))
        assert not raw.requires_grad
        if losses is not None:
            torch.testing.assert_close(losses, criterion(raw, batch[1]))
    for ours, theirs in zip(*found, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-14)
    assert found[0][1].abs().max() > 0


@pytest.mark.parametrize("n_members", [1, 3])
@pytest.mark.parametrize("activation", PLAIN)
def test_every_activation(activation, n_members):
    network = _network(activation, n_members)
    batch = _batch("multiclass", network.members)
    _assert_equal_ways(network, Criterion("log_loss", "multiclass"), batch)


@pytest.mark.parametrize("n_members", [1, 3])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("soft", [False, True])
@pytest.mark.parametrize(("loss", "kind"), TERMS)
def test_every_loss(loss, kind, soft, weighted, n_members):
    network = _network(n_members=n_members)
    batch = _batch(kind, network.members, weighted=weighted, soft=soft)
    if soft:  # probabilities of the classes
        batch[1].div_(batch[1].sum(dim=-1, keepdim=True))
    _assert_equal_ways(network, Criterion(loss, kind), batch)


@pytest.mark.parametrize("n_members", [1, 3])
@pytest.mark.parametrize("kind", [k for k, row in DROPOUTS.items() if row.multiplies])
def test_dropout(kind, n_members):
    dropout = {"dropout": [0.5, 0.25], "input_dropout": 0.2, "dropout_type": kind}
    network = _network("relu", n_members, **dropout)
    batch = _batch("multiclass", network.members)
    _assert_equal_ways(network, Criterion("log_loss", "multiclass"), batch)


def test_no_hidden_layer():
    network = MLP(5, 3, hidden_units=[], activation=[], dtype="float64")
    network.reset_parameters([np.random.RandomState(0)])
    criterion = Criterion("log_loss", "multiclass")
    _assert_equal_ways(network, criterion, _batch("multiclass", ()))


NOT_PLAIN = [
    {"normalization": "batch"},
    {"normalization": "layer"},
    {"activation": "maxout"},
    {"activation": "prelu"},
    {"activation": torch.nn.ReLU},
    {"hidden_layer_sizes": (8, 8), "residual": True},
    {"loss": "hinge"},
    {"dropout": 0.5, "dropout_type": "standout"},
    {"dropout": 0.5, "dropout_type": "dropconnect"},
]


@pytest.mark.parametrize(
    ("params", "way"),
    [*zip(NOT_PLAIN, itertools.repeat(Autograd)), ({}, ByHand)],
)
def test_the_way_is_chosen_by_the_network(params, way, digits):
    model = MLPClassifier(**params, max_iter=1, n_iter_no_change=1).fit(*digits)
    found = choose_gradient(model.net_.module_, model.net_.criterion_)
    assert type(found) is way


@pytest.mark.parametrize("solver", ["adam", "lbfgs", torch.optim.Adam])
def test_fits_by_hand_are_fits_by_autograd(solver, digits, monkeypatch):
    params = {"solver": solver, "max_iter": 5, "random_state": 0, "dropout": 0}
    by_hand = MLPClassifier(**params, dtype="float64").fit(*digits)
    monkeypatch.setattr(
        "sk_deep._engine.gradients.is_by_hand", lambda module, criterion: False
    )
    by_autograd = MLPClassifier(**params, dtype="float64").fit(*digits)
    np.testing.assert_allclose(
        by_hand.predict_proba(digits[0]), by_autograd.predict_proba(digits[0]), 1e-9
    )


@pytest.mark.parametrize("n_members", [1, 3])
@pytest.mark.parametrize("activation", ["tanh", "gelu"])
def test_batches_of_every_size_share_the_memory(activation, n_members):
    """A batch's gradient does not depend on those before it, nor change their raw."""
    network = _network(activation, n_members, dropout=[0.5, 0.0])
    criterion = Criterion("log_loss", "multiclass")
    by_hand, batch = ByHand(network, criterion), _batch("multiclass", network.members)
    kept = []
    for n_rows in (4, 11, 1, 5, 11):
        X, y = batch[0][..., :n_rows, :], batch[1][..., :n_rows]
        found = []
        for way in (by_hand, Autograd(network, criterion)):
            network.generator.manual_seed(n_rows)
            raw, _ = way(X, y, 1 / n_rows)
            found.append((raw, network.flat_grad.clone()))
        torch.testing.assert_close(*found, rtol=1e-12, atol=1e-14)
        kept.append((found[0][0], found[1][0]))
    torch.testing.assert_close(*zip(*kept, strict=True), rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("missing", ["function", "derivative"])
def test_rows_with_one_of_function_and_derivative(missing, digits, monkeypatch):
    row = dataclasses.replace(ACTIVATIONS["relu"], **{missing: None})
    monkeypatch.setitem(ACTIVATIONS, "relu", row)
    model = MLPClassifier(max_iter=2, random_state=0).fit(*digits)
    way = choose_gradient(model.net_.module_, model.net_.criterion_)
    assert type(way) is Autograd
    assert np.isfinite(model.predict_proba(digits[0])).all()
