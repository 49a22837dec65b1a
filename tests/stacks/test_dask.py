"""Searches on dask workers are those of one process, whatever happens to a worker."""

import os
import signal
from concurrent.futures import CancelledError

import joblib
import numpy as np
import pytest
from dask import array
from dask.distributed import Client, LocalCluster
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.model_selection import (
    GridSearchCV,
    KFold,
    RandomizedSearchCV,
    cross_val_score,
)
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.parallel import Parallel, delayed

from sk_deep import (
    BatchedGridSearchCV,
    BatchedRandomizedSearchCV,
    MLPClassifier,
    RecipeSearchCV,
)
from sk_deep._stacks.executor import StackExecutor

pytestmark = pytest.mark.processes

GRID = {"alpha": [1e-4, 1e-2, 1.0], "learning_rate_init": [1e-3, 1e-2]}
NETWORK = MLPClassifier((8,), max_iter=5, random_state=0)
ENSEMBLE = clone(NETWORK).set_params(n_members=2)
PIPELINE = make_pipeline(StandardScaler(), NETWORK)
OF_PIPELINE = {f"mlpclassifier__{name}": values for name, values in GRID.items()}
RANDOM = {"n_iter": 4, "random_state": 0}
SEARCHES = {
    "grid": GridSearchCV(NETWORK, GRID, cv=2),
    "randomized": RandomizedSearchCV(NETWORK, GRID, cv=2, **RANDOM),
    "stacks": BatchedGridSearchCV(NETWORK, GRID, cv=2, batch_members=3),
    "random stacks": BatchedRandomizedSearchCV(NETWORK, GRID, cv=2, **RANDOM),
    "stacks behind steps": BatchedGridSearchCV(PIPELINE, OF_PIPELINE, cv=2),
    "one by one": BatchedGridSearchCV(
        clone(NETWORK).set_params(n_members=2), GRID, cv=2
    ),
    "recipe": RecipeSearchCV(NETWORK, budget=20, cv=2, random_state=0),
}


@pytest.fixture(scope="module")
def data():
    X, y = load_digits(return_X_y=True)
    return X[:300] / 16, y[:300]


@pytest.fixture(scope="module")
def cluster():
    options = {"n_workers": 2, "threads_per_worker": 1, "processes": True}
    # those that take the place of a killed worker, too
    options["preload"] = "import warnings; warnings.simplefilter('ignore')"
    with LocalCluster(**options, dashboard_address=":0") as cluster:
        yield cluster


@pytest.fixture
def client(cluster):
    with Client(cluster) as client:
        client.wait_for_workers(2)
        yield client


@pytest.mark.parametrize("name", SEARCHES)
def test_searches_are_those_of_one_process(name, data, client):
    expected = clone(SEARCHES[name]).fit(*data)
    with joblib.parallel_config("dask"):
        found = clone(SEARCHES[name]).fit(*data)
    scores = "mean_test_score"
    assert_allclose(found.cv_results_[scores], expected.cv_results_[scores], rtol=1e-9)
    assert found.best_params_ == expected.best_params_
    assert_allclose(
        found.predict_proba(data[0]), expected.predict_proba(data[0]), rtol=1e-6
    )


def test_cross_validation(data, client):
    expected = cross_val_score(NETWORK, *data, cv=2)
    with joblib.parallel_config("dask"):
        assert_array_equal(cross_val_score(NETWORK, *data, cv=2), expected)


def test_data_are_scattered_once(data, client, monkeypatch):
    scattered, scatter = [], client.scatter

    def noted(data, **kwargs):
        scattered.append(np.shape(data))
        return scatter(data, **kwargs)

    monkeypatch.setattr(client, "scatter", noted)
    search = BatchedGridSearchCV(NETWORK, GRID, cv=2, batch_members=2, refit=False)
    with joblib.parallel_config("dask"):
        search.fit(*data)
    assert sorted(scattered) == [(300,), (300, 64)]


# ---- workers that are lost ---------------------------------------------------------


class _Killer:
    """A scoring function that kills its process, once."""

    def __init__(self, marker):
        self.marker = str(marker)

    def __call__(self, estimator, X, y):
        try:
            os.close(os.open(self.marker, os.O_CREAT | os.O_EXCL))
        except FileExistsError:
            return estimator.score(X, y)
        os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.parametrize(
    ("backend", "verbose", "with_steps"),  # verbose: fits are told of as they end
    [("dask", 0, False), ("dask", 2, False), ("dask", 0, True), ("loky", 2, False)],
)
def test_a_killed_worker_loses_nothing(
    backend, verbose, with_steps, data, client, tmp_path, capsys
):
    model, grid = (PIPELINE, OF_PIPELINE) if with_steps else (NETWORK, GRID)
    options = {"cv": 2, "refit": False, "batch_members": 2, "n_jobs": 2}
    expected = BatchedGridSearchCV(model, grid, **options).fit(*data)
    killer = _Killer(tmp_path / "killed")
    search = BatchedGridSearchCV(
        model, grid, **options, scoring=killer, verbose=verbose
    )
    with joblib.parallel_config(backend):
        search.fit(*data)
    assert os.path.exists(killer.marker)
    scores = "mean_test_score"
    assert_allclose(search.cv_results_[scores], expected.cv_results_[scores])
    assert capsys.readouterr().out.count("] END ") == (12 if verbose else 0)


class _Loser(Parallel):
    """Loses its workers at the first calls."""

    n_losses = 0

    def __call__(self, calls):
        if self.n_losses:
            self.n_losses -= 1
            raise CancelledError
        return super().__call__(calls)


@pytest.mark.parametrize(
    ("n_losses", "comes_through"), [(0, True), (2, True), (3, False)]
)
def test_calls_are_run_again_a_few_times(n_losses, comes_through):
    parallel = _Loser()
    parallel.n_losses = n_losses
    executor = StackExecutor(parallel, n_jobs=1, batch_members="auto", verbose=0)
    calls = [delayed(abs)(-i) for i in range(3)]
    if n_losses < 3:
        assert executor._run_calls(calls) == [0, 1, 2]
    else:
        with pytest.raises(CancelledError):
            executor._run_calls(calls)


# ---- collections of dask -----------------------------------------------------------


def test_arrays_of_dask_block_by_block(data, client):
    """As `dask_ml.wrappers.Incremental` does, which passes blocks to partial_fit."""
    X, y = data
    lazy_X, lazy_y = (
        array.from_array(part, chunks=(100, *part.shape[1:])) for part in data
    )
    expected, found = clone(NETWORK), clone(NETWORK)
    for fold in KFold(3).split(X):
        expected.partial_fit(X[fold[1]], y[fold[1]], classes=range(10))
    blocks = zip(lazy_X.to_delayed().ravel(), lazy_y.to_delayed(), strict=True)
    for block_X, block_y in blocks:
        found.partial_fit(block_X.compute(), block_y.compute(), classes=range(10))
    assert_array_equal(found.predict_proba(X), expected.predict_proba(X))
    lazy = lazy_X.map_blocks(
        found.predict_proba, dtype=float, chunks=((100,) * 3, (10,))
    )
    assert_allclose(lazy.compute(), expected.predict_proba(X), rtol=1e-12)


def test_a_whole_array_of_dask_is_brought_into_memory(data, client):
    X, y = (array.from_array(part, chunks=100) for part in data)
    expected = clone(NETWORK).fit(*data).predict(data[0])
    assert_array_equal(clone(NETWORK).fit(X, y).predict(X), expected)
