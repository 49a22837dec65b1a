"""The mean loss of many steps is that of their sums, written out in numpy."""

import numpy as np
import pytest
import torch

from sk_deep._engine import mean_loss
from sk_deep._engine.mean_loss import MeanLoss, Step, total_loss
from sk_deep.losses import Criterion

SIZES = (7, 7, 7, 3)
N_OUTPUTS = 2


def _steps_and_mean(members, rng, *, weighted, penalised, known):
    """Steps of squared error, and the mean of their losses."""
    steps, totals, sizes = [], [], []
    for n_rows in SIZES:
        raw, y = rng.normal(size=(2, *members, n_rows, N_OUTPUTS))
        weight = rng.uniform(size=(*members, n_rows))
        size = weight.sum(axis=-1)
        norm, strength = rng.uniform(size=(2, *members))
        losses = ((raw - y) ** 2).sum(axis=-1) / 2
        if not weighted:
            weight, size, strength = np.ones_like(weight), n_rows, 0.25
        total = (weight * losses).sum(axis=-1) / N_OUTPUTS
        totals.append(total + strength * norm if penalised else total)
        sizes.append(size)
        tensors = [
            torch.from_numpy(np.asarray(value))
            for value in (raw, y, size, weight, losses, norm, strength)
        ]
        raw, y, size, weight, losses, norm, strength = tensors
        step = Step(raw, y, size if weighted else n_rows, weight if weighted else None)
        if known:
            step = step._replace(losses=losses)
        if penalised:
            factor = strength if weighted else 0.25
            step = step._replace(norm=norm, penalty_factor=factor)
        steps.append(step)
    return steps, np.sum(totals, axis=0) / np.sum(sizes, axis=0)


@pytest.mark.parametrize("known", [False, True])
@pytest.mark.parametrize("penalised", [False, True])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("members", [(), (3,)])
@pytest.mark.parametrize("n_pending", [0, 20, 2**16])
def test_mean(n_pending, members, weighted, penalised, known, rng, monkeypatch):
    monkeypatch.setattr(mean_loss, "_PENDING_ELEMENTS", n_pending)
    options = {"weighted": weighted, "penalised": penalised, "known": known}
    steps, expected = _steps_and_mean(members, rng, **options)
    mean = MeanLoss(Criterion("squared_error", "real"))
    for step in steps:
        mean.add(step)
    assert mean.value().shape == members
    np.testing.assert_allclose(mean.value(), expected, rtol=1e-12)


def test_total_needs_no_gradient(rng):
    raw = torch.zeros(4, 1, requires_grad=True)
    step = Step(raw, torch.ones(4, 1), 4)
    total = total_loss(Criterion("squared_error", "real"), [step])
    assert not total.requires_grad
    assert total.item() == 2


def test_steps_wait_in_a_bounded_number(monkeypatch):
    monkeypatch.setattr(mean_loss, "_PENDING_ELEMENTS", 10)
    mean = MeanLoss(Criterion("squared_error", "real"))
    for _ in range(50):
        mean.add(Step(torch.zeros(3, 1), torch.ones(3, 1), 3))
        assert len(mean.pending) <= 4
    assert mean.value() == 0.5


def test_steps_of_different_kinds():
    """Indices beside probabilities, and a penalty that changes."""
    mean = MeanLoss(Criterion("log_loss", "multiclass"))
    raw, y = torch.zeros(2, 4), torch.tensor([1, 3])
    mean.add(Step(raw, y, 2, norm=torch.tensor(6.0), penalty_factor=0.5))
    soft = torch.nn.functional.one_hot(y, 4).float()
    mean.add(Step(raw, soft, 2, norm=torch.tensor(6.0), penalty_factor=0.5))
    mean.add(Step(raw, soft, 2, norm=torch.tensor(6.0), penalty_factor=1.5))
    assert mean.value() == pytest.approx(np.log(4) + 6 * (0.5 + 0.5 + 1.5) / 6)


def test_sums_of_finite_losses_are_finite():
    mean = MeanLoss(Criterion("squared_error", "real"))
    mean.add(Step(torch.full((100, 1), 1e18), torch.full((100, 1), -1e19), 100))
    assert mean.value() == pytest.approx(1.1e19**2 / 2, rel=1e-6)
