"""Data are copied once at most; batches are those of the epoch's order."""

import numpy as np
import pytest
import scipy.sparse
import torch
from sklearn.utils import check_array

from sk_deep import MLPClassifier, MLPRegressor
from sk_deep._data.batches import Batches, Data

N, N_FEATURES = 23, 3
FLOAT32 = {"dtype": torch.float32, "device": "cpu"}


@pytest.fixture
def X(rng):
    return rng.normal(size=(N, N_FEATURES)).astype(np.float32)


def _mapped(X, folder):
    np.save(folder / "X.npy", X)
    return np.load(folder / "X.npy", mmap_mode="r")


# ---- copies ------------------------------------------------------------------------


def test_arrays_of_the_networks_dtype_are_not_copied(X):
    assert np.shares_memory(Data(X, **FLOAT32).inputs.tensor.numpy(), X)


def test_arrays_of_another_dtype_are_copied_once(X):
    data = Data(X.astype(float), **FLOAT32)
    assert data.inputs.tensor.dtype == torch.float32
    np.testing.assert_array_equal(data.inputs.tensor, X)


@pytest.mark.parametrize("view", [lambda X: X, lambda X: X[2:], check_array])
def test_memory_maps_stay_on_the_disk(view, X, tmp_path):
    mapped = view(_mapped(X.astype(float), tmp_path))
    batch = Data(mapped, **FLOAT32).take(slice(3, 7))
    own_type = Data(mapped, dtype=torch.float64, device="cpu")
    assert np.shares_memory(own_type.take(slice(3)).X.numpy(), mapped)
    np.testing.assert_array_equal(batch.X, view(X)[3:7])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("n_members", [1, 2])
@pytest.mark.parametrize("early_stopping", [False, True])
def test_memory_maps_fit_as_arrays(early_stopping, n_members, dtype, digits, tmp_path):
    X, y = digits
    params = {"early_stopping": early_stopping, "n_members": n_members, "max_iter": 3}
    model = MLPClassifier(**params, dtype=dtype, random_state=0)
    expected = model.fit(X, y).predict_proba(X)
    mapped = _mapped(X, tmp_path)
    np.testing.assert_array_equal(model.fit(mapped, y).predict_proba(mapped), expected)


def test_memory_maps_fit_by_full_batch(X, tmp_path):
    model = MLPRegressor(solver="lbfgs", dtype="float64", max_iter=5, random_state=0)
    expected = model.fit(X, X[:, 0]).predict(X)
    mapped = _mapped(X, tmp_path)
    np.testing.assert_array_equal(model.fit(mapped, X[:, 0]).predict(mapped), expected)


# ---- batches -----------------------------------------------------------------------


@pytest.mark.parametrize("n_members", [1, 2])
@pytest.mark.parametrize("given_rows", [False, True])
@pytest.mark.parametrize("convert", [np.asarray, scipy.sparse.csr_matrix])
@pytest.mark.parametrize("n_block_elements", [1, 2**18])
def test_an_epoch_is_a_permutation(
    n_block_elements, convert, given_rows, n_members, X, monkeypatch
):
    monkeypatch.setattr("sk_deep._data.sources._BLOCK_ELEMENTS", n_block_elements)
    members = () if n_members == 1 else (n_members,)
    rows = np.broadcast_to(np.arange(0, N, 2), (*members, 12)) if given_rows else None
    y = np.arange(N, dtype=float)
    data = Data(convert(X), y, y.astype(np.float32), rows=rows, **FLOAT32)
    states = [np.random.RandomState(i) for i in range(n_members)]
    batches = Batches(data, 5, random_states=states)
    for _ in range(2):  # each epoch shuffles the order of the last one
        epoch = list(batches)
        assert [batch.n_rows for batch in epoch] == batches.sizes
        assert [batch.X.shape[-2] for batch in epoch] == batches.sizes
        found_X, found_y, weight = (
            torch.cat(parts, dim=len(members)).reshape(n_members, -1, *shape).numpy()
            for parts, shape in zip(
                zip(*(batch[:3] for batch in epoch), strict=True),
                [(N_FEATURES,), (), ()],
                strict=True,
            )
        )
        np.testing.assert_array_equal(found_X, X[found_y.astype(int)])
        np.testing.assert_array_equal(found_y, weight)
        expected = np.arange(0, N, 2 if given_rows else 1)
        assert (np.sort(found_y) == expected).all()
        assert not (found_y == expected).all(axis=1).any()
    if n_members > 1:
        assert (found_y[0] != found_y[1]).any()


def test_batches_in_order_are_views(X):
    batches = Batches(Data(X, **FLOAT32), 10)
    found = [batch[0] for batch in batches]
    assert [len(batch) for batch in found] == [10, 10, 3]
    assert all(np.shares_memory(batch.numpy(), X) for batch in found)


# ---- members with rows of their own ------------------------------------------------

ROWS = [np.arange(3, 20), np.arange(15), np.arange(1, 23)]  # 17, 15 and 22 of 23


@pytest.mark.parametrize("with_weights", [False, True])
@pytest.mark.parametrize("n_block_elements", [1, 2**18])
def test_rows_that_fill_up_weigh_nothing(
    n_block_elements, with_weights, X, monkeypatch
):
    monkeypatch.setattr("sk_deep._data.sources._BLOCK_ELEMENTS", n_block_elements)
    y = np.arange(N, dtype=float)
    given = y.astype(np.float32) + 1
    data = Data(X, y, given if with_weights else None, rows=ROWS, **FLOAT32)
    states = [np.random.RandomState(i) for i in range(3)]
    for _ in range(2):
        taken = [[], [], []]
        for batch in Batches(data, 12, random_states=states):
            counts = np.broadcast_to(np.asarray(batch.n_rows), 3)
            for i, n in enumerate(counts.astype(int)):
                targets = batch.y[i].numpy()
                taken[i].extend(targets[:n])
                if n < len(targets) or with_weights:
                    own = given[targets.astype(int)] if with_weights else 1
                    expected = np.where(np.arange(len(targets)) < n, own, 0)
                    np.testing.assert_array_equal(batch.weight[i], expected)
                else:
                    assert batch.weight is None or (batch.weight[i] == 1).all()
        assert [sorted(own) for own in taken] == [list(rows) for rows in ROWS]
        assert any(own != sorted(own) for own in taken)


def test_members_take_their_sets_of_weights(X):
    weights = np.arange(2.0 * N).reshape(2, N)
    data = Data(X, weight=weights, rows=ROWS, weight_sets=[1, 0, 1], **FLOAT32)
    (batch,) = Batches(data, N)
    for i, (rows, which) in enumerate(zip(ROWS, [1, 0, 1], strict=True)):
        n = len(rows)
        np.testing.assert_array_equal(batch.weight[i, :n], weights[which, rows])
        assert (batch.weight[i, n:] == 0).all()


def test_shuffles_go_on_where_others_stopped(X):
    def batches(data, random_state):
        return Batches(data, 5, random_states=[random_state])

    data = Data(X, np.arange(N, dtype=float), rows=np.arange(4, N), **FLOAT32)
    random_state = np.random.RandomState(0)
    whole = batches(data, np.random.RandomState(0))
    for _ in range(3):
        expected = torch.cat([batch.y for batch in whole])
        part = batches(data, random_state)
        np.testing.assert_array_equal(torch.cat([b.y for b in part]), expected)
        data = data.with_rows(part.order, None)
    np.testing.assert_array_equal(whole.data.rows, np.arange(4, N))  # as they were
