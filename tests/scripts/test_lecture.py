"""The lecture's comparisons hold on scikit-learn's digits."""

import importlib.util
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytestmark = pytest.mark.long

PATH = Path(__file__).parents[2] / "benchmarks" / "lecture.py"


def load_script():
    spec = importlib.util.spec_from_file_location("lecture", PATH)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


lecture = load_script()


@pytest.mark.parametrize("comparison", lecture.COMPARISONS, ids=lambda row: row.name)
def test_claims_of_the_lecture_hold(comparison, tmp_path):
    # Over seeds, only the cost of early stopping varies as much as its margin.
    n_seeds = 5 if comparison.name == "early_stopping" else 1
    task = lecture.load_small_digits(n_units=50)
    runs = lecture.run(task, replace(comparison, n_seeds=n_seeds))
    failed = [
        lecture.verdict(claim, runs)
        for claim in comparison.claims
        if not claim.holds(runs)
    ]
    assert not failed
    lecture.draw(comparison, runs, tmp_path / "figure.png")
    assert (tmp_path / "figure.png").stat().st_size


@pytest.mark.parametrize(("dtype", "scale"), [(np.uint8, 255), (np.float64, 1)])
def test_data_file_may_hold_integers_or_floats(dtype, scale, tmp_path):
    X = np.array([[0, 1], [1, 0], [1, 1]])
    path = tmp_path / "three.npz"
    np.savez(path, X=(X * scale).astype(dtype), y=["b", "a", "b"])
    task = lecture.load_file(path)
    np.testing.assert_array_equal(task.X, X)
    np.testing.assert_array_equal(task.y, [1, 0, 1])
    assert task.X.dtype == np.float32


def test_claim_is_about_the_mean_difference():
    def runs(*accuracies):
        return [lecture.Run(a, a, seconds=1.0, curve=[a]) for a in accuracies]

    both = {"deep": runs(0.9, 0.7), "shallow": runs(0.5, 0.6)}
    assert lecture.Claim("deep", "shallow", 0.2).holds(both)
    assert not lecture.Claim("deep", "shallow", 0.3).holds(both)
    assert "by 0.250 (0.100 to 0.400)" in lecture.verdict(
        lecture.Claim("deep", "shallow", 0.2), both
    )
