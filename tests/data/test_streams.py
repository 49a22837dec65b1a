"""Inputs larger than memory are read piece by piece, and give what arrays give."""

import itertools
import os
import sys

import joblib
import numpy as np
import pytest
import torch
from numpy.testing import assert_array_equal
from sklearn.base import clone
from sklearn.metrics import accuracy_score, make_scorer

from sk_deep import MLPClassifier, MLPRegressor
from sk_deep._data import sources
from sk_deep._data.batches import Batches, Data
from sk_deep._data.sources import drop_pages, is_stream, shuffle_pieces

N, N_FEATURES = 900, 16
ROW = 4 * N_FEATURES
PARAMS = {"hidden_layer_sizes": (8,), "batch_size": 50, "max_iter": 3}
PARAMS = {**PARAMS, "random_state": 0}


@pytest.fixture
def sizes(monkeypatch):
    """Make small maps streams: blocks of 100 rows, pieces of 10 and windows of 200."""
    monkeypatch.setattr(sources, "_BLOCK_ELEMENTS", 100 * N_FEATURES)
    monkeypatch.setattr(sources, "_STREAM_BYTES", 0)
    monkeypatch.setattr(sources, "_PIECE_BYTES", 10 * ROW)
    monkeypatch.setattr(sources, "_WINDOW_BYTES", 200 * ROW)


@pytest.fixture
def X(rng):
    return rng.integers(0, 16, size=(N, N_FEATURES)).astype(np.float32)


@pytest.fixture
def y(X):
    return (X[:, 0] > X[:, 1]).astype(int)


@pytest.fixture
def mapped(tmp_path):
    numbers = itertools.count()

    def make(X, mode="r"):
        path = tmp_path / f"{next(numbers)}.npy"
        np.save(path, X)
        return np.load(path, mmap_mode=mode)

    return make


# ---- shuffles ----------------------------------------------------------------------


def test_pieces_are_shuffled_within_windows(rng):
    rows = rng.permutation(np.arange(0, 2000, 2))
    found = shuffle_pieces(rows, np.random.RandomState(0), piece=10, window=200)
    assert_array_equal(np.sort(found), np.arange(0, 2000, 2))
    for window in found.reshape(-1, 200):
        starts = np.unique(window // 20)  # the pieces of 10 rows, one in two
        assert len(starts) == 20
        assert (np.diff(window) < 0).any()
    assert (np.diff([window.min() for window in found.reshape(-1, 200)]) < 0).any()


@pytest.mark.parametrize("n_members", [1, 2])
@pytest.mark.parametrize("given_rows", [False, True])
def test_an_epoch_is_a_permutation(given_rows, n_members, X, mapped, sizes):
    rows = np.arange(5, N, 3) if given_rows else None
    if given_rows and n_members > 1:
        rows = np.tile(rows, (n_members, 1))
    y = np.arange(N, dtype=float)
    data = Data(mapped(X), y, rows=rows, dtype=torch.float64, device="cpu")
    states = [np.random.RandomState(i) for i in range(n_members)]
    batches = Batches(data, 50, random_states=states)
    for _ in range(2):
        epoch = list(batches)
        found_X = torch.cat([batch.X for batch in epoch], dim=-2)
        found_y = torch.cat([batch.y for batch in epoch], dim=-1)
        assert_array_equal(found_X, X[found_y.numpy().astype(int)])
        expected = np.arange(N) if rows is None else np.atleast_2d(rows)[0]
        for own in found_y.reshape(n_members, -1):
            assert_array_equal(np.sort(own), expected)


def test_few_pieces_are_read_at_a_time(X, mapped, sizes, monkeypatch):
    data = Data(mapped(X), dtype=torch.float64, device="cpu")
    read, original = [], data.inputs.read

    def note(positions):
        read.append(np.sort(positions))
        return original(positions)

    monkeypatch.setattr(data.inputs, "read", note)
    list(Batches(data, 50, random_states=[np.random.RandomState(0)]))
    assert [len(rows) for rows in read] == [200, 200, 200, 200, 100]
    for rows in read:
        assert len(np.unique(rows // 10)) == len(rows) // 10


# ---- fits --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "params",
    [
        {},
        {"n_members": 2},
        {"solver": "lbfgs"},
        {"normalization": "batch"},
        {"dtype": "float64"},
    ],
)
@pytest.mark.parametrize(
    "dtype", ["float32", "float64", "float16", ">f4", "uint8", "?"]
)
def test_in_order_a_stream_gives_what_an_array_gives(
    dtype, params, X, y, mapped, sizes
):
    X = X.astype(dtype)
    model = MLPClassifier(**PARAMS, shuffle=False, **params)
    expected = clone(model).fit(X, y)
    found = clone(model).fit(mapped(X), y)
    assert_array_equal(found.coefs_[0], expected.coefs_[0])
    assert found.coefs_[0].dtype == expected.coefs_[0].dtype
    probabilities = found.predict_proba(mapped(X))
    assert_array_equal(probabilities, expected.predict_proba(X))
    assert probabilities.dtype == expected.predict_proba(X).dtype
    assert_array_equal(found.transform_hidden(mapped(X)), expected.transform_hidden(X))


@pytest.mark.parametrize(
    "scoring",
    [None, "loss", "accuracy", "neg_log_loss", make_scorer(accuracy_score), len],
)
@pytest.mark.parametrize("n_members", [1, 2])
def test_early_stopping_scores_the_rows_set_apart(
    n_members, scoring, X, y, mapped, sizes
):
    def looks_inside(estimator, X, y):
        assert X.shape == (90, N_FEATURES)
        return estimator.score(X, y)

    scoring = looks_inside if scoring is len else scoring
    options = {"early_stopping": True, "scoring": scoring, "n_members": n_members}
    model = MLPClassifier(**PARAMS, **options, shuffle=False)
    found = model.fit(mapped(X), y).validation_scores_
    # the validation rows are the same, in another order
    np.testing.assert_allclose(found, model.fit(X, y).validation_scores_, rtol=1e-5)


def test_fits_repeat_and_learn(X, y, mapped, sizes):
    model = MLPClassifier(**{**PARAMS, "max_iter": 60}, learning_rate_init=0.01)
    stream = (mapped(X) - 8).astype(np.float32)
    first, second = (model.fit(mapped(stream), y).predict_proba(X - 8) for _ in "ab")
    assert_array_equal(first, second)
    in_memory = clone(model).fit(stream, y)
    assert model.score(stream, y) > in_memory.score(stream, y) - 0.02
    assert in_memory.score(stream, y) > 0.9


def test_parts_and_validation_data(X, y, mapped, sizes):
    model = MLPClassifier(**PARAMS, shuffle=False)
    expected, found = clone(model), clone(model)
    for own in (slice(0, 400), slice(400, N)):
        expected.partial_fit(X[own], y[own], classes=[0, 1])
        found.partial_fit(mapped(X)[own], y[own], classes=[0, 1])
    assert_array_equal(found.predict_proba(X), expected.predict_proba(X))
    model.set_params(early_stopping=True)
    found = clone(model).fit(mapped(X), y, X_val=mapped(X[:99]), y_val=y[:99])
    expected = clone(model).fit(X, y, X_val=X[:99], y_val=y[:99])
    assert found.validation_scores_ == expected.validation_scores_


def test_encoded_streams_are_arrays(X, y, mapped, sizes):
    model = MLPClassifier(**PARAMS, numerical_scaling="standard")
    expected = clone(model).fit(X, y).predict_proba(X)
    assert_array_equal(model.fit(mapped(X), y).predict_proba(mapped(X)), expected)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_the_whole_stream_is_checked(value, X, y, mapped, sizes):
    model = MLPRegressor(**PARAMS).fit(X, y)
    X[-1, -1] = value
    for use in (model.predict, lambda X: clone(model).fit(X, y)):
        with pytest.raises(ValueError, match=r"Input X contains (NaN|infinity)"):
            use(mapped(X))


# ---- memory ------------------------------------------------------------------------


def _resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_pages_are_let_go(mapped, monkeypatch):
    monkeypatch.setattr(sources, "_STREAM_BYTES", 2**20)
    stream = mapped(np.ones(2**26, np.uint8).reshape(-1, 2**10))
    before = _resident()
    stream.sum()
    assert _resident() - before > 2**25
    drop_pages(stream)
    assert _resident() - before < 2**23


def test_changes_in_memory_are_kept(X, mapped, sizes):
    changed = mapped(X, "c")
    changed[:] = 7
    drop_pages(changed)
    assert (changed == 7).all()


def _kinds(own, path):
    sources._STREAM_BYTES = 0  # of a worker
    given = np.load(path, mmap_mode="r")
    return [isinstance(X, np.memmap) and is_stream(X) for X in (own, given)]


@pytest.mark.processes
def test_what_joblib_maps_is_in_memory(X, mapped):
    parallel = joblib.Parallel(n_jobs=2, max_nbytes=1)
    path = mapped(X).filename
    assert parallel([joblib.delayed(isinstance)(X, np.memmap)]) == [True]
    assert parallel([joblib.delayed(_kinds)(X, path)]) == [[False, True]]
