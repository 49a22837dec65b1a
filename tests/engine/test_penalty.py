"""The elastic-net penalty and the decoupled decay against numpy and torch."""

import numpy as np
import pytest
import torch
from sklearn import linear_model, neural_network

from sk_deep import MLPClassifier, MLPRegressor
from sk_deep._engine.penalty import decay, penalise
from sk_deep.network import MLP

RATIOS = [0.0, 0.3, 1.0]
STRENGTHS = [(1, 0.7), (1, [0.7]), (2, 0.7), (2, [0.2, 3.0])]  # of members


def _network(n_members=1, activation="prelu", normalization="batch"):
    network = MLP(
        4,
        2,
        hidden_units=[5, 5],
        activation=[activation] * 2,
        normalization=normalization,
        residual=True,
        n_members=n_members,
        dtype="float64",
    )
    generator = torch.Generator().manual_seed(0)
    network.flat.normal_(generator=generator)
    network.flat_grad.normal_(generator=generator)
    return network


def _strength(value, members):
    """The factor as the net passes it: a number, or a tensor of each member's."""
    if not isinstance(value, list):
        return value
    return torch.tensor(value, dtype=torch.float64).view(members)


def _weights(coefs, n_members):
    """All weights of each member, (n_members, n_weights)."""
    return np.concatenate([W.reshape(n_members, -1) for W in coefs], axis=1)


def _value(weights, strength, l1_ratio):
    """Penalty of each member: alpha (r |W|_1 + (1 - r) / 2 |W|^2)."""
    l1, l2 = np.abs(weights).sum(axis=1), (weights**2).sum(axis=1)
    return np.asarray(strength) * (l1_ratio * l1 + (1 - l1_ratio) / 2 * l2)


@pytest.mark.parametrize("l1_ratio", RATIOS)
@pytest.mark.parametrize(("n_members", "strength"), STRENGTHS)
def test_value(n_members, strength, l1_ratio):
    network = _network(n_members)
    factor = _strength(strength, network.members)
    half_norm = penalise(network, factor, l1_ratio) / 2
    value = _value(_weights(network.coefs(), n_members), strength, l1_ratio)
    assert half_norm.shape == network.members
    np.testing.assert_allclose((factor * half_norm).view(-1), value, rtol=1e-12)


@pytest.mark.parametrize("l1_ratio", RATIOS)
@pytest.mark.parametrize(("n_members", "strength"), STRENGTHS)
def test_gradient_is_added_and_is_that_of_the_value(n_members, strength, l1_ratio):
    network = _network(n_members)
    before = network.flat_grad.clone()
    penalise(network, _strength(strength, network.members), l1_ratio)
    flat = network.flat.view(-1)
    expected = torch.empty_like(flat)
    for i, value in enumerate(flat.tolist()):
        totals = []
        for step in (1e-6, -1e-6):
            flat[i] = value + step
            weights = _weights(network.coefs(), n_members)
            totals.append(_value(weights, strength, l1_ratio).sum())
        flat[i] = value
        expected[i] = (totals[0] - totals[1]) / 2e-6
    added = (network.flat_grad - before).view(-1)
    torch.testing.assert_close(added, expected, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("l1_ratio", RATIOS)
@pytest.mark.parametrize("n_members", [1, 2])
def test_weights_are_penalised_and_nothing_else(n_members, l1_ratio):
    network = _network(n_members)
    network.flat_grad.zero_()
    penalise(network, 0.7, l1_ratio)
    touched = {name for name, p in network.named_parameters() if p.grad.any()}
    hidden = {f"hidden.{i}.linear.weight" for i in range(2)}
    assert touched == {*hidden, "output.weight"}


# ---- in a fit ----------------------------------------------------------------------

STILL = {"learning_rate_init": 1e-100, "max_iter": 1, "random_state": 0}


@pytest.mark.parametrize("l1_ratio", RATIOS)
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("n_members", [1, 3])
def test_reported_loss_holds_the_penalty(n_members, weighted, l1_ratio, rng):
    X = rng.normal(size=(30, 4))
    sample_weight = rng.uniform(size=30) if weighted else None
    params = {**STILL, "n_members": n_members, "hidden_layer_sizes": (5, 3)}
    models = [
        MLPRegressor(**params, alpha=alpha, l1_ratio=l1_ratio) for alpha in (0.0, 2.0)
    ]
    plain, model = (m.fit(X, X[:, 0], sample_weight) for m in models)
    n = sample_weight.sum() if weighted else 30
    expected = _value(_weights(model.coefs_, n_members), 2.0 / n, l1_ratio).mean()
    np.testing.assert_allclose(model.loss_ - plain.loss_, expected, rtol=1e-10)


@pytest.mark.parametrize("solver", ["sgd", "adam", "lbfgs"])
def test_without_l1_it_is_that_of_scikit_learn(solver, rng):
    X, y = rng.normal(size=(60, 4)), np.arange(60) % 3
    params = {"solver": solver, "alpha": 5.0, "max_iter": 10, "random_state": 0}
    theirs = neural_network.MLPClassifier(**params).fit(X, y)
    ours = MLPClassifier(**params, l1_ratio=0.0).fit(X, y)
    for one, other in zip(ours.coefs_, theirs.coefs_, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("l1_ratio", [0.0, 0.3, 1.0])
def test_a_linear_model_is_the_elastic_net(l1_ratio, rng):
    X = rng.normal(size=(100, 6))
    y = X @ [3, -1, 0.5, 0, 0, 0] + 0.1 * rng.normal(size=100)
    theirs = linear_model.ElasticNet(alpha=0.7, l1_ratio=l1_ratio, tol=1e-10)
    theirs.fit(X, y)
    ours = MLPRegressor(
        hidden_layer_sizes=(),
        alpha=0.7 * 100,  # of the sum over the rows
        l1_ratio=l1_ratio,
        solver="sgd",
        momentum=0.0,
        learning_rate="cosine",
        learning_rate_init=0.05,
        batch_size=100,
        max_iter=500,
        tol=0.0,
        n_iter_no_change=np.inf,
        random_state=0,
    ).fit(X, y)
    # a step across zero is of the size of the rate, which goes to 0
    np.testing.assert_allclose(ours.coefs_[0].ravel(), theirs.coef_, atol=2e-3)
    np.testing.assert_allclose(ours.intercepts_[0], theirs.intercept_, atol=2e-3)
    assert (theirs.coef_ == 0).any() == (l1_ratio > 0)


def test_a_strong_l1_leaves_nothing(rng):
    X = rng.normal(size=(50, 4))
    params = {"alpha": 1e3, "learning_rate": "cosine", "learning_rate_init": 0.01}
    params.update(hidden_layer_sizes=(10,), max_iter=300, random_state=0)
    params.update(tol=0.0, n_iter_no_change=np.inf)
    model = MLPRegressor(**params, l1_ratio=1.0).fit(X, X[:, 0])
    assert max(np.abs(W).max() for W in model.coefs_) < 1e-3


# ---- decoupled decay ---------------------------------------------------------------


@pytest.mark.parametrize("l1_ratio", RATIOS)
@pytest.mark.parametrize("n_rates", [1, 3])
def test_decay_of_weights(n_rates, l1_ratio):
    network = _network(3)
    rates = np.array([0.1, 0.2, 0.3])[:n_rates]
    before = network.flat.clone().numpy()
    one = float(rates[0])
    decay(network, one if n_rates == 1 else torch.from_numpy(rates), l1_ratio)
    n_weights = sum(W[0].size for W in network.coefs())
    weights, others = np.split(before, [n_weights], axis=1)
    shrunk = weights - rates[:, None] * l1_ratio * np.sign(weights)
    shrunk = shrunk * (1 - rates[:, None] * (1 - l1_ratio))
    np.testing.assert_allclose(
        network.flat, np.hstack([shrunk, others]), rtol=1e-12, atol=1e-15
    )


@pytest.mark.parametrize("act", [penalise, decay])
def test_members_have_their_own_parts(act):
    strengths, parts = torch.tensor([0.1, 0.2, 0.0]), torch.tensor([0.3, 0.0, 1.0])
    stack = _network(3)
    stack.flat_grad.zero_()
    singles = [stack.member(i) for i in range(3)]
    found = act(stack, strengths.double(), parts.double())
    for i, single in enumerate(singles):
        expected = act(single, float(strengths[i].double()), float(parts[i].double()))
        np.testing.assert_allclose(stack.flat[i], single.flat, rtol=1e-12)
        np.testing.assert_allclose(stack.flat_grad[i], single.flat_grad, rtol=1e-12)
        if expected is not None:
            np.testing.assert_allclose(found[i], expected, rtol=1e-12)


@pytest.mark.parametrize("n_members", [1, 2])
def test_adamw_is_that_of_torch(n_members, rng):
    X, y = rng.normal(size=(30, 4)), rng.normal(size=(30, 2))
    params = {
        "hidden_layer_sizes": (5,),
        "activation": "tanh",
        "shuffle": False,
        "solver": "adamw",
        "random_state": 0,
        "n_members": n_members,
    }
    start = MLPRegressor(**params, learning_rate_init=1e-100, max_iter=1).fit(X, y)
    ours = MLPRegressor(
        **params, learning_rate_init=0.02, alpha=0.5, batch_size=10, max_iter=4
    ).fit(X, y)
    for member in range(n_members):
        index = (member,) if n_members > 1 else ()
        weights, biases = (
            [torch.from_numpy(a[index].copy()).requires_grad_() for a in arrays]
            for arrays in (start.coefs_, start.intercepts_)
        )
        _train_by_torch(weights, biases, torch.from_numpy(X), torch.from_numpy(y))
        for one, other in zip(ours.coefs_, weights, strict=True):
            np.testing.assert_allclose(one[index], other.detach(), rtol=1e-7)
        for one, other in zip(ours.intercepts_, biases, strict=True):
            np.testing.assert_allclose(one[index], other.detach(), rtol=1e-7)


def _train_by_torch(weights, biases, X, y):
    groups = [
        {"params": weights, "weight_decay": 0.5},
        {"params": biases, "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(groups, lr=0.02)
    for _ in range(4):
        for rows in torch.arange(30).split(10):
            hidden = torch.tanh(X[rows] @ weights[0] + biases[0])
            errors = hidden @ weights[1] + biases[1] - y[rows]
            optimizer.zero_grad()
            (0.5 * errors.square().sum(dim=1).mean()).backward()
            optimizer.step()


@pytest.mark.parametrize("l1_ratio", RATIOS)
def test_decay_of_adamw_is_no_part_of_the_loss(l1_ratio, rng):
    X = rng.normal(size=(30, 4))
    models = [
        MLPRegressor(solver="adamw", **STILL, alpha=alpha, l1_ratio=l1_ratio)
        for alpha in (0.0, 10.0)
    ]
    plain, model = (m.fit(X, X[:, 0]) for m in models)
    assert model.loss_ == plain.loss_


def test_an_l1_ratio_beyond_1():
    with pytest.raises(ValueError, match="'l1_ratio' parameter"):
        MLPRegressor(l1_ratio=1.1).fit(np.eye(4), np.ones(4))
