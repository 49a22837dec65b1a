"""A GPU gives what the CPU gives; to be run where there is one."""

import os
import pickle
import subprocess
import sys
import warnings

import numpy as np
import pytest
import torch
from faults import Kill, Killed, in_fork
from option_rows import CUSTOMARY, FAST, ROWS
from sklearn.model_selection import GridSearchCV
from skorch.callbacks import Callback

from sk_deep import (
    BatchedGridSearchCV,
    MLPClassifier,
    MLPRegressor,
    load,
    save,
)
from sk_deep._engine import gradients
from sk_deep._engine.cuda_graphs import Graphed
from sk_deep.callbacks import Checkpoint
from sk_deep.losses import losses_on
from sk_deep.solvers import SOLVERS

pytestmark = pytest.mark.skipif(
    not torch.cuda.is_available(), reason="there is no GPU (torch.cuda.is_available())"
)
NOISE = {"dropout", "input_dropout", "augmentation"}  # drawn on the device
# searches of torch's L-BFGS, batch after batch, make another network of a last digit
CHAOS = [row for row in ROWS if row.get("solver") is torch.optim.LBFGS]
ALONE = [row for row in ROWS if not NOISE & row.keys() and row not in CHAOS]
NOISY = [row for row in ROWS if NOISE & row.keys()]
SHORT = {**FAST, "max_iter": 4, "hidden_layer_sizes": (32,)}


@pytest.fixture
def graphs(monkeypatch):
    """The ways to a gradient that fits have taken."""
    ways = []

    def choose_gradient(*args):
        ways.append(gradients.choose_gradient(*args))
        return ways[-1]

    monkeypatch.setattr("sk_deep._engine.training.choose_gradient", choose_gradient)
    return ways


@pytest.fixture(autouse=True)
def _exact():
    """Without the tensor cores' ten bits."""
    assert not torch.backends.cuda.matmul.allow_tf32


def _fits(X, y, params, kind=MLPClassifier, dtype="float64"):
    for device in ("cuda", "cpu"):
        model = kind(**{**SHORT, **params}, dtype=dtype, device=device)
        yield model.fit(X, y)


def _output(model, X):
    return getattr(model, "predict_proba", model.predict)(X)


@pytest.mark.parametrize("params", ALONE)
def test_a_row_is_fitted_as_on_the_cpu(params, digits):
    X, y = digits
    model, expected = _fits(X, y, params)
    np.testing.assert_allclose(_output(model, X), _output(expected, X), atol=1e-5)
    np.testing.assert_allclose(model.loss_, expected.loss_, rtol=1e-5)


@pytest.mark.parametrize("params", CHAOS)
def test_a_row_is_fitted_as_well_as_on_the_cpu(params, digits):
    model, expected = _fits(*digits, params)
    assert model.score(*digits) == pytest.approx(expected.score(*digits), abs=0.02)


@pytest.mark.parametrize("loss", sorted(losses_on("real")))
def test_a_loss_of_numbers_is_fitted_as_on_the_cpu(loss, diabetes):
    X, y = diabetes
    model, expected = _fits(X, np.exp(y), {"loss": loss}, MLPRegressor)
    np.testing.assert_allclose(model.predict(X), expected.predict(X), atol=1e-6)


@pytest.mark.parametrize("params", NOISY)
def test_noise_is_drawn_anew_and_alike(params, digits):
    X, y = digits
    model = MLPClassifier(**{**SHORT, **params}, device="cuda").fit(X, y)
    found = _output(model, X)
    np.testing.assert_allclose(_output(model.fit(X, y), X), found, atol=1e-5)
    model.set_params(random_state=1)
    assert not np.allclose(_output(model.fit(X, y), X), found, atol=1e-3)
    model.set_params(max_iter=30)
    assert model.fit(X, y).score(X, y) > 0.85


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    "params",
    [
        {},
        {"solver": "adam", **CUSTOMARY},
        {"dropout": 0.2},
        {"normalization": "batch"},
        {"n_members": 3},
        {"activation": "maxout", "dropout": 0.2, "dropout_schedule": "linear"},
        {"loss": "squared_error", "alpha": 0.1, "l1_ratio": 0.5},
    ],
)
def test_a_graph_is_recorded_and_used(params, dtype, digits, graphs):
    X, y = digits
    MLPClassifier(**{**SHORT, **params}, device="cuda", dtype=dtype).fit(X, y)
    ways = [way for way in graphs if isinstance(way, Graphed)]
    assert ways
    assert all(way.graph is not None and not way.is_off for way in ways)


@pytest.mark.parametrize("params", [{}, {"dropout": 0.2}, {"solver": "adam"}])
def test_a_graph_is_fitted_as_without(params, digits, monkeypatch):
    X, y = digits
    model = MLPClassifier(**{**SHORT, **params}, device="cuda", dtype="float64")
    found = _output(model.fit(X, y), X)
    monkeypatch.setattr(Graphed, "__call__", lambda self, *batch: self.way(*batch))
    np.testing.assert_allclose(_output(model.fit(X, y), X), found, atol=1e-9)


class CountReads(Callback):
    """Count how often the host waits for the device in the last epoch."""

    count = None

    def on_epoch_begin(self, net, **kwargs):
        self.caught = warnings.catch_warnings(record=True)
        self.warnings = self.caught.__enter__()
        warnings.simplefilter("always")
        torch.cuda.set_sync_debug_mode("warn")

    def on_epoch_end(self, net, **kwargs):
        torch.cuda.set_sync_debug_mode("default")
        self.caught.__exit__(None, None, None)
        type(self).count = sum("synchroniz" in str(w.message) for w in self.warnings)


@pytest.mark.parametrize("params", [{}, {"solver": "adam"}, {"n_members": 3}])
def test_the_host_waits_once_an_epoch_whatever_the_batches(params, digits):
    X, y = digits
    counts = []
    for batch_size in (300, 30):
        own = {**SHORT, "max_iter": 6, **params, "batch_size": batch_size}
        MLPClassifier(**own, callbacks=[CountReads()], device="cuda").fit(X, y)
        counts.append(CountReads.count)
    assert 1 <= counts[0] == counts[1] <= 4


def test_a_pickle_is_read_where_there_is_no_gpu(digits, tmp_path):
    X, y = digits
    model = MLPClassifier(**SHORT, device="cuda", warm_start=True).fit(X, y)
    path = tmp_path / "model.pickle"
    path.write_bytes(pickle.dumps((model, X, model.predict_proba(X))))
    code = (
        "import pickle, sys, warnings, numpy as np\n"
        "warnings.simplefilter('ignore')\n"
        "model, X, expected = pickle.load(open(sys.argv[1], 'rb'))\n"
        "np.testing.assert_allclose(model.predict_proba(X), expected, atol=1e-5)\n"
        "import torch; assert not torch.cuda.is_available()\n"
    )
    without = {**os.environ, "CUDA_VISIBLE_DEVICES": ""}
    subprocess.run([sys.executable, "-c", code, str(path)], check=True, env=without)


def test_a_file_is_written_on_the_gpu_and_read_anywhere(digits, tmp_path):
    X, y = digits
    model = MLPClassifier(**SHORT, device="cuda", dtype="float64").fit(X, y)
    save(model, tmp_path / "model")
    found = load(tmp_path / "model")
    np.testing.assert_array_equal(_output(found, X), _output(model, X))
    on_cpu = load(tmp_path / "model").set_params(device="cpu")
    on_cpu = pickle.loads(pickle.dumps(on_cpu))
    assert on_cpu.net_.device == "cpu"
    np.testing.assert_allclose(_output(on_cpu, X), _output(model, X), atol=1e-9)


@pytest.mark.parametrize("solver", [name for name in SOLVERS if name != "lbfgs"])
def test_a_killed_fit_resumes(solver, digits, tmp_path):
    X, y = digits
    params = {**SHORT, **CUSTOMARY, "solver": solver, "dropout": 0.2, "device": "cuda"}
    expected = MLPClassifier(**params).fit(X, y)
    callbacks = [Checkpoint(tmp_path), Kill(3)]
    with pytest.raises(Killed):
        MLPClassifier(**params, callbacks=callbacks).fit(X, y)
    found = MLPClassifier(**params, callbacks=[Checkpoint(tmp_path)]).fit(X, y)
    np.testing.assert_array_equal(_output(found, X), _output(expected, X))


def test_out_of_memory_is_told_with_what_helps(digits):
    X, y = digits
    MLPClassifier(**SHORT, device="cuda").fit(X, y)
    torch.cuda.empty_cache()
    model = MLPClassifier((4000, 4000), device="cuda", max_iter=2, random_state=0)
    torch.cuda.set_per_process_memory_fraction(0.001)
    try:
        with pytest.raises(torch.OutOfMemoryError, match=r"(?s)batch_size.*n_jobs"):
            model.fit(X, y)
        with pytest.raises(torch.OutOfMemoryError, match=r"(?s)batch_size.*n_jobs"):
            BatchedGridSearchCV(model, {"alpha": [1, 2]}, cv=2).fit(X, y)
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    model.set_params(hidden_layer_sizes=(8,)).fit(X, y)


def test_a_fork_is_told_to_take_loky(digits):
    def fit():
        try:
            MLPClassifier(**SHORT, device="cuda").fit(*digits)
        except RuntimeError as error:
            return str(error)

    assert fit() is None
    assert "loky" in in_fork(fit)


def test_workers_share_the_gpu(digits):
    X, y = digits
    model = MLPClassifier(**SHORT, device="cuda", dtype="float64")
    scores = [
        GridSearchCV(model, {"alpha": [1e-4, 1e-2]}, cv=2, n_jobs=n_jobs)
        .fit(X, y)
        .cv_results_["mean_test_score"]
        for n_jobs in (None, 2)
    ]
    np.testing.assert_array_equal(*scores)


@pytest.mark.parametrize(("first", "second"), [("cuda", "cpu"), ("cpu", "cuda")])
def test_training_goes_on_on_another_device(first, second, digits):
    X, y = digits
    params = {**SHORT, "solver": "adam", "warm_start": True, "dtype": "float64"}
    model = MLPClassifier(**params, device=first).fit(X, y)
    model.set_params(device=second).fit(X, y)
    expected = MLPClassifier(**params, device="cpu").fit(X, y).fit(X, y)
    np.testing.assert_allclose(_output(model, X), _output(expected, X), atol=1e-6)


@pytest.mark.parametrize("early_stopping", [False, True])
def test_a_batched_search_scores_as_on_the_cpu(early_stopping, digits):
    X, y = digits
    grid = {"alpha": [1e-4, 1e-2], "learning_rate_init": [0.1, 0.01]}
    scores = []
    for device in ("cuda", "cpu"):
        model = MLPClassifier(
            **SHORT, device=device, dtype="float64", early_stopping=early_stopping
        )
        search = BatchedGridSearchCV(model, grid, cv=3).fit(X, y)
        scores.append(search.cv_results_["mean_test_score"])
    np.testing.assert_allclose(*scores, atol=0.01)


def test_auto_is_the_gpu(digits):
    before = torch.cuda.memory_stats()["allocation.all.allocated"]
    MLPClassifier(**SHORT, device="auto").fit(*digits)
    assert torch.cuda.memory_stats()["allocation.all.allocated"] > before
