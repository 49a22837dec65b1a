"""Losses and their gradients against scikit-learn, scipy, torch and the formulas."""

import functools

import numpy as np
import pytest
import torch
from scipy import special
from sklearn import metrics, neural_network
from torch.nn import functional as F

from sk_deep import MLPClassifier, MLPRegressor
from sk_deep.losses import LOSSES, Criterion, smooth, soft_targets

N, K = 40, 3
STILL = {  # one step that is too small to change a weight: the loss is of what is left
    "hidden_layer_sizes": (5,),
    "learning_rate_init": 1e-100,
    "alpha": 0.0,
    "max_iter": 1,
    "random_state": 0,
    "dtype": "float64",
}


# ---- the references: means over the rows, of raw outputs and targets in numpy --------


def _one_hot(y):
    return np.eye(K)[y]


def _sum_over_columns(metric, transform=lambda raw: raw):
    """Sum a metric of scikit-learn, which averages over rows, over the columns."""

    def reference(raw, y):
        prediction = transform(raw)
        return sum(metric(y[:, j], prediction[:, j]) for j in range(y.shape[1]))

    return reference


def _log_loss(raw, y):
    return metrics.log_loss(y, special.softmax(raw, axis=1), labels=range(K))


def _half_brier(raw, y):
    errors = special.softmax(raw, axis=1) - _one_hot(y)
    return 0.5 * np.mean(np.sum(errors**2, axis=1))


def _focal(raw, y, gamma=2.0):
    """-(1 - p)^gamma log p of the class's own p, eq. 4 of Lin et al."""
    p = special.softmax(raw, axis=1)[np.arange(N), y]
    return np.mean(-((1 - p) ** gamma) * np.log(p))


def _binary_focal(raw, y, gamma=2.0):
    p = np.where(y == 1, special.expit(raw), special.expit(-raw))
    return np.mean(np.sum(-((1 - p) ** gamma) * np.log(p), axis=1))


def _huber(raw, y, delta=1.0):
    return np.mean(np.sum(special.huber(delta, raw - y), axis=1))


def _pinball(raw, y, quantile=0.5):
    columns = np.broadcast_to(y, raw.shape)
    return sum(
        metrics.mean_pinball_loss(columns[:, j], raw[:, j], alpha=q)
        for j, q in enumerate(np.broadcast_to(quantile, raw.shape[1]))
    )


CASES = [
    # loss, kind of target, parameters, reference
    ("log_loss", "multiclass", {}, _log_loss),
    ("log_loss", "binary", {}, _sum_over_columns(metrics.log_loss, special.expit)),
    (
        "squared_error",
        "real",
        {},
        _sum_over_columns(lambda y, p: 0.5 * metrics.mean_squared_error(y, p)),
    ),
    ("squared_error", "multiclass", {}, _half_brier),
    (
        "squared_error",
        "binary",
        {},
        _sum_over_columns(
            lambda y, p: 0.5 * metrics.brier_score_loss(y, p), special.expit
        ),
    ),
    ("hinge", "multiclass", {}, lambda raw, y: metrics.hinge_loss(y, raw)),
    (
        "hinge",
        "binary",
        {},
        _sum_over_columns(lambda y, raw: metrics.hinge_loss(2 * y - 1, raw)),
    ),
    ("focal", "multiclass", {}, _focal),
    ("focal", "multiclass", {"gamma": 0.5}, functools.partial(_focal, gamma=0.5)),
    ("focal", "multiclass", {"gamma": 0}, _log_loss),
    ("focal", "binary", {}, _binary_focal),
    ("focal", "binary", {"gamma": 5}, functools.partial(_binary_focal, gamma=5)),
    (
        "focal",
        "binary",
        {"gamma": 0},
        _sum_over_columns(metrics.log_loss, special.expit),
    ),
    (
        "absolute_error",
        "real",
        {},
        _sum_over_columns(metrics.mean_absolute_error),
    ),
    ("huber", "real", {}, _huber),
    ("huber", "real", {"delta": 0.3}, functools.partial(_huber, delta=0.3)),
    ("quantile", "real", {}, _pinball),
    ("quantile", "real", {"quantile": 0.9}, functools.partial(_pinball, quantile=0.9)),
    (
        "quantile",
        "real",
        {"quantile": [0.1, 0.5, 0.8]},
        functools.partial(_pinball, quantile=[0.1, 0.5, 0.8]),
    ),
    (
        "poisson",
        "real",
        {},
        _sum_over_columns(
            lambda y, p: 0.5 * metrics.mean_poisson_deviance(y, p), np.exp
        ),
    ),
    (
        "gamma",
        "real",
        {},
        _sum_over_columns(lambda y, p: 0.5 * metrics.mean_gamma_deviance(y, p), np.exp),
    ),
]
TERMS = [(loss, kind) for loss, row in LOSSES.items() for kind in row.terms]


def _raw_and_target(loss, kind, rng):
    raw = rng.normal(scale=2, size=(N, K))
    if kind == "multiclass":
        return raw, rng.integers(K, size=N)
    if kind == "binary":
        return raw, rng.integers(2, size=(N, K)).astype(float)
    if loss == "poisson":
        return raw, rng.poisson(1, (N, K)).astype(float)
    y = rng.normal(size=(N, K))
    return raw, np.exp(y) if loss == "gamma" else y


def test_every_term_has_a_case():
    assert {case[:2] for case in CASES} == set(TERMS)


@pytest.mark.parametrize(("loss", "kind", "params", "reference"), CASES)
def test_values(loss, kind, params, reference, rng):
    raw, y = _raw_and_target(loss, kind, rng)
    criterion = Criterion(loss, kind, params)
    losses = criterion(torch.from_numpy(raw), torch.from_numpy(y))
    assert losses.shape == (N,)
    np.testing.assert_allclose(losses.mean(), reference(raw, y), rtol=1e-12)


@pytest.mark.parametrize(("loss", "kind", "params", "reference"), CASES)
def test_a_stack_has_the_losses_of_its_members(loss, kind, params, reference, rng):
    parts = [_raw_and_target(loss, kind, rng) for _ in range(2)]
    raw, y = (torch.from_numpy(np.stack(part)) for part in zip(*parts, strict=True))
    losses = Criterion(loss, kind, params)(raw, y)
    expected = [reference(*part) for part in parts]
    np.testing.assert_allclose(losses.mean(dim=-1), expected, rtol=1e-12)


# ---- gradients -----------------------------------------------------------------------


def _central_differences(function, raw, step=1e-6):
    """Gradient (batch, outputs) of losses (batch,) of independent rows."""
    columns = [step * np.eye(K)[j] for j in range(K)]
    return np.stack(
        [(function(raw + e) - function(raw - e)) / (2 * step) for e in columns], axis=-1
    )


def _target_of(y, *, soft, rng):
    if not soft or y.dtype == float:
        return torch.from_numpy(y)
    return torch.from_numpy(rng.dirichlet(np.ones(K), size=N))


@pytest.mark.parametrize("soft", [False, True])
@pytest.mark.parametrize(("loss", "kind", "params", "reference"), CASES)
def test_gradients_are_finite_differences(loss, kind, params, reference, soft, rng):
    raw, y = _raw_and_target(loss, kind, rng)
    y = _target_of(y, soft=soft, rng=rng)
    criterion = Criterion(loss, kind, params)
    expected = _central_differences(
        lambda raw: criterion(torch.from_numpy(raw), y).numpy(), raw
    )
    leaf = torch.from_numpy(raw).requires_grad_()
    (by_autograd,) = torch.autograd.grad(criterion(leaf, y).sum(), leaf)
    np.testing.assert_allclose(by_autograd, expected, rtol=1e-6, atol=1e-8)
    if criterion.has_gradient:
        gradient = criterion.gradient(leaf.detach(), y)
        torch.testing.assert_close(gradient, by_autograd, rtol=1e-12, atol=1e-14)


CERTAIN = [("multiclass", torch.tensor([0])), ("binary", torch.tensor([[1.0, 0.0]]))]


@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
@pytest.mark.parametrize(("kind", "y"), CERTAIN)
def test_focal_gradients_are_finite_at_certainty(kind, y, gamma):
    raw = torch.tensor([[800.0, -800.0]], dtype=torch.float64, requires_grad=True)
    losses = Criterion("focal", kind, {"gamma": gamma})(raw, y)
    (gradient,) = torch.autograd.grad(losses.sum(), raw)
    assert losses.item() == 0
    assert gradient.abs().max() < 1e-6


# ---- soft targets --------------------------------------------------------------------


@pytest.mark.parametrize("loss", ["log_loss", "hinge", "focal"])
def test_soft_classes_are_means_over_hard_ones(loss, rng):
    raw = torch.from_numpy(rng.normal(size=(N, K)))
    y = torch.from_numpy(rng.dirichlet(np.ones(K), size=N))
    criterion = Criterion(loss, "multiclass")
    hard = [criterion(raw, torch.full((N,), k)) for k in range(K)]
    expected = (torch.stack(hard, dim=-1) * y).sum(dim=-1)
    torch.testing.assert_close(criterion(raw, y), expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("loss", ["log_loss", "hinge", "focal"])
def test_soft_indicators_are_means_over_hard_ones(loss, rng):
    raw = torch.from_numpy(rng.normal(size=(N, K)))
    y = torch.from_numpy(rng.uniform(size=(N, K)))
    criterion = Criterion(loss, "binary")
    expected = torch.zeros(N, dtype=raw.dtype)
    for column, share in zip(raw.split(1, dim=-1), y.T, strict=True):
        expected += share * criterion(column, torch.ones_like(column))
        expected += (1 - share) * criterion(column, torch.zeros_like(column))
    torch.testing.assert_close(criterion(raw, y), expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("kind", ["multiclass", "binary"])
def test_soft_targets_of_the_squared_error(kind, rng):
    raw = rng.normal(size=(N, K))
    y = rng.dirichlet(np.ones(K), size=N)
    p = special.softmax(raw, axis=1) if kind == "multiclass" else special.expit(raw)
    losses = Criterion("squared_error", kind)(
        torch.from_numpy(raw), torch.from_numpy(y)
    )
    np.testing.assert_allclose(losses, 0.5 * np.sum((p - y) ** 2, axis=1), rtol=1e-12)


@pytest.mark.parametrize("amount", [0.0, 0.1, 0.9])
def test_smoothing_is_that_of_torch(amount, rng):
    raw = torch.from_numpy(rng.normal(size=(N, K)))
    y = torch.from_numpy(rng.integers(K, size=N))
    ours = smooth(soft_targets(y, K, raw), amount, K)
    theirs = F.cross_entropy(raw, y, reduction="none", label_smoothing=amount)
    torch.testing.assert_close(Criterion("log_loss", "multiclass")(raw, ours), theirs)


@pytest.mark.parametrize("n_classes", [2, 4])
def test_a_fit_smooths_as_torch_does(n_classes, rng):
    X, y = rng.normal(size=(N, 4)), rng.integers(n_classes, size=N)
    model = MLPClassifier(**STILL, label_smoothing=0.3, batch_size=N).fit(X, y)
    logits = torch.from_numpy(model.predict_log_proba(X))
    theirs = F.cross_entropy(logits, torch.from_numpy(y), label_smoothing=0.3)
    np.testing.assert_allclose(model.loss_, theirs, rtol=1e-12)


# ---- what a fit reports --------------------------------------------------------------

TWO_TARGETS = [
    ("squared_error", lambda y, p: 0.5 * metrics.mean_squared_error(y, p)),
    ("absolute_error", metrics.mean_absolute_error),
    ("huber", lambda y, p: np.mean(special.huber(1.0, y - p))),
    ("quantile", metrics.mean_pinball_loss),
    # as scikit-learn, which sums this one over the targets
    (
        "poisson",
        lambda y, p: 0.5 * 2 * metrics.mean_poisson_deviance(y.ravel(), p.ravel()),
    ),
    (
        "gamma",
        lambda y, p: 0.5 * metrics.mean_gamma_deviance(y.ravel(), p.ravel()),
    ),
]


@pytest.mark.parametrize("n_members", [1, 2])
@pytest.mark.parametrize(("loss", "reported"), TWO_TARGETS)
def test_reported_loss_of_two_targets(loss, reported, n_members, rng):
    X, y = rng.normal(size=(N, 4)), np.exp(rng.normal(size=(N, 2)))
    model = MLPRegressor(loss, **STILL, n_members=n_members).fit(X, y)
    predictions = model.predict_samples(X, n_members)
    expected = np.mean([reported(y, prediction) for prediction in predictions])
    np.testing.assert_allclose(model.loss_, expected, rtol=1e-12)


@pytest.mark.parametrize("loss", ["squared_error", "poisson"])
def test_reported_loss_of_two_targets_is_that_of_scikit_learn(loss, rng):
    X, y = rng.normal(size=(N, 4)), np.exp(rng.normal(size=(N, 2)))
    params = {name: value for name, value in STILL.items() if name != "dtype"}
    theirs = neural_network.MLPRegressor(loss, **params).fit(X, y)
    ours = MLPRegressor(loss, **STILL).fit(X, y)
    np.testing.assert_allclose(ours.loss_, theirs.loss_, rtol=1e-12)


def test_reported_loss_of_several_quantiles(rng):
    X, y = rng.normal(size=(N, 4)), rng.normal(size=N)
    quantiles = [0.2, 0.5, 0.7]
    model = MLPRegressor("quantile", **STILL, loss_params={"quantile": quantiles})
    columns = model.fit(X, y).predict(X).T
    losses = [
        metrics.mean_pinball_loss(y, column, alpha=q)
        for column, q in zip(columns, quantiles, strict=True)
    ]
    np.testing.assert_allclose(model.loss_, np.mean(losses), rtol=1e-12)


# ---- errors --------------------------------------------------------------------------

ILLEGAL = [
    # loss, parameters, targets, message
    ("poisson", None, [-1.0, 2.0], r"loss='poisson' needs y >= 0, got min\(y\)=-"),
    ("gamma", None, [-1.0, 2.0], r"loss='gamma' needs y > 0, got min\(y\)=-1"),
    ("gamma", None, [0.0, 2.0], r"loss='gamma' needs y > 0, got min\(y\)=0"),
    ("huber", {"gamma": 1.0}, None, r"'huber' may hold \['delta'\].*\['gamma'\]"),
    ("squared_error", {"delta": 1.0}, None, r"may hold \[\], got \['delta'\]"),
    ("huber", {"delta": 0.0}, None, "'delta' parameter of loss_params for 'huber'"),
    ("huber", {"delta": "1"}, None, "'delta' parameter of loss_params for 'huber'"),
    ("quantile", {"quantile": 1.2}, None, "'quantile' parameter of loss_params"),
    ("quantile", {"quantile": None}, None, "'quantile' parameter of loss_params"),
    ("quantile", {"quantile": [0.1, 1.2]}, None, r"in \(0, 1\).*\[0.1, 1.2\]"),
    ("quantile", {"quantile": [0.0]}, None, r"in \(0, 1\).*\[0.0\]"),
    ("quantile", {"quantile": []}, None, "quantile"),
    ("quantile", {"quantile": [[0.1, 0.5]]}, None, "quantile"),
    (
        "quantile",
        {"quantile": [0.1, 0.9]},
        np.ones((2, 2)),
        r"'quantile' .* several columns for one target, got y with 2",
    ),
]


@pytest.mark.parametrize(("loss", "params", "y", "message"), ILLEGAL)
def test_illegal_fits_of_the_regressor(loss, params, y, message):
    model = MLPRegressor(loss, loss_params=params, max_iter=1)
    with pytest.raises(ValueError, match=message):
        model.fit(np.eye(2), [1.0, 2.0] if y is None else y)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"gamma": -1.0}, "'gamma' parameter of loss_params for 'focal'"),
        ({"delta": 1.0}, r"loss_params for 'focal' may hold \['gamma'\]"),
    ],
)
def test_illegal_parameters_of_the_classifier(params, message):
    with pytest.raises(ValueError, match=message):
        MLPClassifier(loss="focal", loss_params=params).fit(np.eye(2), [0, 1])


def test_legal_targets_at_the_border():
    model = MLPRegressor("poisson", max_iter=2).fit(np.eye(2), [0.0, 0.0])
    assert np.isfinite(model.loss_)


# ---- callables -----------------------------------------------------------------------


def _cross_entropy(raw, y):
    return F.cross_entropy(raw.movedim(-1, 1), y, reduction="none")


def _binary_cross_entropy(raw, y):
    return F.binary_cross_entropy_with_logits(raw, y, reduction="none").sum(-1)


def _squared_error(raw, y):
    return 0.5 * (raw - y).square().sum(-1)


OWN = [
    (MLPClassifier, 3, "log_loss", _cross_entropy),
    (MLPClassifier, 2, "log_loss", _binary_cross_entropy),
    (MLPRegressor, 3, "squared_error", _squared_error),
]


@pytest.mark.parametrize("n_members", [1, 2])
@pytest.mark.parametrize(("estimator", "n_values", "loss", "own"), OWN)
def test_a_callable_fits_as_its_row(estimator, n_values, loss, own, n_members, rng):
    X, y = rng.normal(size=(N, 4)), np.arange(N) % n_values
    params = {"max_iter": 5, "random_state": 0, "n_members": n_members, "batch_size": 9}
    by_row = estimator(loss=loss, **params).fit(X, y)
    by_own = estimator(loss=own, **params).fit(X, y)
    assert by_own.out_activation_ == by_row.out_activation_
    np.testing.assert_allclose(by_own.loss_curve_, by_row.loss_curve_, rtol=1e-10)
    for ours, theirs in zip(by_own.coefs_, by_row.coefs_, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-10, atol=1e-12)


WRONG = [
    lambda raw, y: _squared_error(raw, y).mean(),
    lambda raw, y: (raw - y).square(),
    lambda raw, y: _squared_error(raw, y).unsqueeze(-1),
]


@pytest.mark.parametrize("loss", WRONG)
@pytest.mark.parametrize("n_members", [1, 2])
def test_a_callable_must_return_a_loss_per_row(loss, n_members, rng):
    X, y = rng.normal(size=(N, 4)), rng.normal(size=(N, 2))
    with pytest.raises(ValueError, match=r"must return a loss per row, of shape \("):
        MLPRegressor(loss, n_members=n_members).fit(X, y)


# ---- quantile regression -------------------------------------------------------------


def test_quantiles_cover_their_parts(diabetes):
    X, y = diabetes
    quantiles = [0.1, 0.5, 0.9]
    model = MLPRegressor(
        "quantile",
        (10,),
        loss_params={"quantile": quantiles},
        learning_rate="cosine",
        learning_rate_init=0.02,
        max_iter=120,
        random_state=0,
    ).fit(X, y)
    covered = (y[:, np.newaxis] <= model.predict(X)).mean(axis=0)
    # at a minimum the parts are exact up to the rows that are interpolated, here by
    # 10 units; training ends near one
    np.testing.assert_allclose(covered, quantiles, atol=0.03)


def test_score_of_quantiles_is_the_mean_of_their_scores(diabetes, rng):
    X, y = diabetes
    quantiles, weight = [0.1, 0.5, 0.9], rng.uniform(size=len(y))
    model = MLPRegressor("quantile", (8,), loss_params={"quantile": quantiles})
    columns = model.set_params(max_iter=20, random_state=0).fit(X, y).predict(X).T
    for sample_weight in (None, weight):
        scores = [
            metrics.d2_pinball_score(y, column, alpha=q, sample_weight=sample_weight)
            for column, q in zip(columns, quantiles, strict=True)
        ]
        for target in (y, y[:, np.newaxis]):
            found = model.score(X, target, sample_weight)
            np.testing.assert_allclose(found, np.mean(scores), rtol=1e-12)


def test_early_stopping_of_quantiles_watches_their_score(diabetes):
    X, y = diabetes
    params = {"loss_params": {"quantile": [0.2, 0.8]}, "early_stopping": True}
    model = MLPRegressor("quantile", (8,), **params, max_iter=3, random_state=0)
    model.fit(X[:300], y[:300], X_val=X[300:], y_val=y[300:])
    best = model.score(X[300:], y[300:])
    np.testing.assert_allclose(best, model.best_validation_score_, rtol=1e-6)


# ---- hinge: no probabilities ---------------------------------------------------------

PROBABILITIES = ["predict_proba", "predict_log_proba", "predict_proba_samples"]


@pytest.mark.parametrize("is_fitted", [False, True])
def test_hinge_has_no_probabilities(is_fitted, digits):
    hinge, plain = MLPClassifier(loss="hinge", max_iter=1), MLPClassifier(max_iter=1)
    if is_fitted:
        hinge.fit(*digits)
        plain.fit(*digits)
    assert not any(hasattr(hinge, name) for name in PROBABILITIES)
    assert hasattr(hinge, "decision_function")
    assert all(hasattr(plain, name) for name in PROBABILITIES)
    assert not hasattr(plain, "decision_function")


HINGE = {
    "loss": "hinge",
    "hidden_layer_sizes": (8,),
    "learning_rate_init": 0.02,
    "max_iter": 100,
    "random_state": 0,
}


def _forward(model, X):
    """Outputs of a network with one relu layer."""
    hidden = np.maximum(X @ model.coefs_[0] + model.intercepts_[0], 0)
    return hidden @ model.coefs_[1] + model.intercepts_[1]


@pytest.mark.parametrize("n_classes", [2, 3])
def test_hinge_decides_by_its_outputs(n_classes, rng):
    X = rng.normal(size=(150, 4))
    labels = np.array(["a", "b", "c"])
    y = labels[np.digitize(X[:, 0], [-0.4, 0.4][: n_classes - 1])]
    model = MLPClassifier(**HINGE).fit(X, y)
    outputs = _forward(model, X)
    best = outputs.argmax(axis=1) if n_classes == 3 else (outputs.ravel() > 0) * 1
    np.testing.assert_array_equal(model.predict(X), labels[best])
    np.testing.assert_allclose(model.decision_function(X), outputs.squeeze(), rtol=1e-9)
    assert model.score(X, y) > 0.9


def test_hinge_decides_on_labels_by_signs(rng):
    X = rng.normal(size=(150, 4))
    y = (X[:, :3] > 0).astype(int)
    model = MLPClassifier(**HINGE).fit(X, y)
    outputs = _forward(model, X)
    np.testing.assert_allclose(model.decision_function(X), outputs, rtol=1e-9)
    np.testing.assert_array_equal(model.predict(X), outputs > 0)
    assert metrics.f1_score(y, model.predict(X), average="micro") > 0.9


def test_hinge_averages_the_outputs_of_members(rng):
    X = rng.normal(size=(60, 4))
    model = MLPClassifier(**HINGE, n_members=3).fit(X, X[:, 0] > 0)
    weights = zip(*model.coefs_, *model.intercepts_, strict=True)  # by members
    outputs = [np.maximum(X @ V + a, 0) @ W + b for V, W, a, b in weights]
    found = model.decision_function(X)
    np.testing.assert_allclose(found, np.mean(outputs, axis=0).ravel(), rtol=1e-9)


def test_early_stopping_judges_by_the_loss_of_its_own_fit(rng):
    X = rng.normal(size=(200, 4))
    y = (X[:, 0] > 0).astype(int)
    params = {**HINGE, "early_stopping": True, "learning_rate_init": 0.005}
    fresh = MLPClassifier(**params).fit(X, y)
    again = MLPClassifier(max_iter=1).fit(X, y).set_params(**params).fit(X, y)
    assert fresh.validation_scores_ == again.validation_scores_
