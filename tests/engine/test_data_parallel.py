"""Two processes that share their batches train the network that one trains."""

import os
import pickle
import subprocess
import sys
from types import SimpleNamespace

import process_group as group
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV

from sk_deep import BatchedGridSearchCV, MLPClassifier, MLPRegressor

pytestmark = pytest.mark.processes

pytest.importorskip("accelerate")

X, Y = group._digits()
# no rounding is the same: a few steps of these amplify it
LOOSE = {"float32": 1e-5, "lbfgs": 1e-5, "a closure": 1e-5}


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """What the two processes found."""
    folder = tmp_path_factory.mktemp("processes")
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    command = [*launch, "--nproc-per-node", "2", group.__file__, str(folder)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONFAULTHANDLER": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return [pickle.loads((folder / f"{i}.pickle").read_bytes()) for i in range(2)]


def _assert_alike(found, expected, tolerance=1e-9):
    for key, values in expected.items():
        assert_allclose(found[key], values, rtol=tolerance, atol=tolerance, err_msg=key)


@pytest.mark.parametrize("name", group.FITS)
def test_two_processes_train_what_one_trains(name, found):
    model, data = group.FITS[name]
    inputs, *targets = data()
    expected = group.found_in(clone(model).fit(inputs, *targets), inputs)
    _assert_alike(found[0][name], expected, LOOSE.get(name, 1e-9))
    assert_array_equal(found[0][name]["flat"], found[1][name]["flat"])


def test_parts(found):
    model = MLPClassifier(**group.SMALL)
    for own in (slice(0, 150), slice(150, None)):
        model.partial_fit(X[own], Y[own], classes=range(10))
    _assert_alike(found[0]["partial fit"], group.found_in(model, X))


@pytest.mark.parametrize("search", [GridSearchCV, BatchedGridSearchCV])
def test_searches(search, found):
    grid = {"alpha": [1e-3, 1.0]}
    expected = search(MLPClassifier(**group.SMALL), grid, cv=2).fit(X, Y)
    for own in found:
        scores = expected.cv_results_["mean_test_score"]
        assert_allclose(own[search.__name__], scores, rtol=1e-9)


def test_the_processes_agree_on_what_no_seed_decides(found):
    first, second = (own["no random state"]["flat"] for own in found)
    assert_array_equal(first, second)


def test_each_process_draws_its_own_masks(found):
    first, second = found
    assert first["generator"] + 1 == second["generator"]
    assert_array_equal(first["dropout"]["flat"], second["dropout"]["flat"])
    alone = MLPClassifier(**{**group.SMALL, "max_iter": 60}, dropout=0.5).fit(X, Y)
    assert first["dropout's score"] > alone.score(X, Y) - 0.02


def test_checkpoints(found):
    expected = group.found_in(MLPClassifier(**group.SMALL).fit(X, Y), X)
    _assert_alike(found[0]["checkpoint"], expected)


def test_what_the_group_trained_predicts_in_a_process_alone(found):
    model = pickle.loads(found[0]["pickle"])
    expected = MLPClassifier(**group.SMALL).fit(X, Y)
    assert_allclose(model.predict_proba(X), expected.predict_proba(X), rtol=1e-9)


@pytest.mark.parametrize(
    ("key", "text"),
    [
        ("other rows", "must have the same rows, targets, weights and seeds"),
        ("other order", "must have the same rows, targets, weights and seeds"),
        ("other weights", "must have the same rows, targets, weights and seeds"),
        ("batch normalization", "needs whole batches"),
    ],
)
def test_what_cannot_be_shared_is_an_error_in_every_process(key, text, found):
    for own in found:
        assert text in own[key]


# ---- what an accelerator must be ---------------------------------------------------


def _accelerator(**changes):
    from accelerate import Accelerator

    accelerator = Accelerator(cpu=True)
    names = ("device", "distributed_type", "mixed_precision", "num_processes")
    names = (*names, "process_index", "gradient_accumulation_steps", "reduce")
    own = {name: getattr(accelerator, name) for name in names}
    return SimpleNamespace(**{**own, **changes})


def test_an_accelerator_of_one_process_changes_nothing():
    expected = MLPClassifier(**group.SMALL).fit(X, Y)
    found = MLPClassifier(**group.SMALL, accelerator=_accelerator()).fit(X, Y)
    assert_array_equal(found.predict_proba(X), expected.predict_proba(X))
    assert found.net_.processes is None


@pytest.mark.parametrize(
    ("changes", "params", "text"),
    [
        ({"mixed_precision": "fp16"}, {}, "mixed_precision='fp16'"),
        ({"gradient_accumulation_steps": 2}, {}, "gradient_accumulation_steps=2"),
        (
            {"distributed_type": SimpleNamespace(name="FSDP")},
            {},
            "share batches.*distributed_type",
        ),
        ({"num_processes": 2}, {}, "made in this process.*n_jobs"),
        ({}, {"device": "cpu"}, "device must be 'auto' with an accelerator"),
    ],
)
def test_accelerators_of_other_kinds(changes, params, text):
    model = MLPRegressor(**group.SMALL, **params, accelerator=_accelerator(**changes))
    with pytest.raises(ValueError, match=text):
        model.fit(X, Y)


def test_only_accelerators():
    with pytest.raises(ValueError, match="'accelerator' parameter"):
        MLPClassifier(accelerator="cpu").fit(X, Y)
