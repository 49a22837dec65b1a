"""Searches on ray's workers are those of one process."""

import os
import subprocess
import sys

import pytest

pytestmark = pytest.mark.processes

CODE = """
import warnings

import joblib
import numpy as np
import ray
from ray.util.joblib import register_ray
from sklearn.datasets import load_digits
from sklearn.model_selection import GridSearchCV

from sk_deep import BatchedGridSearchCV, MLPClassifier

warnings.simplefilter("ignore")
X, y = load_digits(return_X_y=True)
ray.init(num_cpus=2, include_dashboard=False)
register_ray()
model = MLPClassifier((8,), max_iter=5, random_state=0)
for search in (GridSearchCV, BatchedGridSearchCV):
    search = search(model, {"alpha": [1e-3, 0.1, 1.0]}, cv=2)
    expected = search.fit(X[:300], y[:300]).cv_results_["mean_test_score"]
    with joblib.parallel_config("ray"):
        found = search.fit(X[:300], y[:300]).cv_results_["mean_test_score"]
    np.testing.assert_allclose(found, expected, rtol=1e-9)
print("equal")
"""


def test_searches_are_those_of_one_process(tmp_path):
    pytest.importorskip("ray")
    # ray writes a token to the home folder, and its processes may outlive a test
    environment = {**os.environ, "HOME": str(tmp_path), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", CODE]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert "equal" in done.stdout, done.stderr
