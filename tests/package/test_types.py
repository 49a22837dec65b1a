"""What a type checker says of right and of wrong uses of the package."""

import re

import pytest
from mypy import api

pytestmark = pytest.mark.long

SNIPPET = """
import datetime
import numpy as np
import torch
from sk_deep import BatchedGridSearchCV, MLPClassifier, MLPRegressor, RecipeSearchCV
from sk_deep import TabularMLPClassifier, diagnose

X, y = np.ones((4, 2)), np.array([0, 1, 0, 1])
clf = MLPClassifier((8, 8), "relu", dropout=[0.1, 0.2], solver=torch.optim.SGD)
scores: list[float] = clf.fit(X, y).loss_curve_
MLPRegressor("huber", 8, n_iter_no_change=np.inf, learning_rate=lambda done: 1 - done)
MLPClassifier(class_weight={0: 1.0}, activation=["tanh", torch.nn.ReLU])
TabularMLPClassifier(n_folds=None, hidden_layer_sizes=np.array([8, 8]))
BatchedGridSearchCV(clf, {"alpha": [0.1]}, n_jobs=2, batch_members=10)
RecipeSearchCV(clf, budget=datetime.timedelta(minutes=1)).fit(X, y)
print(diagnose(clf, X.tolist(), y, cv=3).n_fits, clf.predict_proba(X).shape)

MLPClassifier(dropout="a lot")  # wrong
MLPClassifier(solver=3.5)  # wrong
MLPRegressor(hidden_layer_size=8)  # wrong
TabularMLPClassifier(dtype="float16")  # wrong
BatchedGridSearchCV(clf, 3)  # wrong
RecipeSearchCV(clf, refit="accuracy")  # wrong
clf.fit(X, y, sample_weights=y)  # wrong
clf.predict_proba(X, y)  # wrong
clf.partial_fit(X)  # wrong
text: str = clf.loss_  # wrong
diagnose(clf, X, y, random_state="0")  # wrong
"""
# The sources of these packages take most of a minute to read.
CONFIG = """
[mypy]
ignore_missing_imports = true
follow_imports = silent
[mypy-torch.*,skorch.*,sklearn.*,scipy.*,pandas.*,matplotlib.*,safetensors.*]
follow_imports = skip
"""


def test_type_checkers_find_wrong_uses(tmp_path):
    path = tmp_path / "snippet.py"
    path.write_text(SNIPPET)
    config = tmp_path / "mypy.ini"
    config.write_text(CONFIG)
    options = [f"--config-file={config}", f"--cache-dir={tmp_path}"]
    out, err, _ = api.run([*options, str(path)])
    assert err == ""
    found = {int(line) for line in re.findall(r"snippet.py:(\d+): error", out)}
    lines = SNIPPET.splitlines()
    wrong = {i for i, line in enumerate(lines, 1) if line.endswith("# wrong")}
    assert found == wrong, out
