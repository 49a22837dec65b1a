"""Sparse rows go through the first layer as they are, and give what dense ones give."""

import numpy as np
import pytest
import scipy.sparse
import torch
from numpy.testing import assert_allclose
from skorch.callbacks import Callback

from sk_deep import MLPClassifier, MLPRegressor
from sk_deep._data.sparse import SparseRows, is_worth_it

N, N_FEATURES = 60, 40
SMALL = {
    "hidden_layer_sizes": (5,),
    "batch_size": 16,
    "max_iter": 4,
    "dtype": "float64",
    "random_state": 0,
}


def _sparse(make=scipy.sparse.csr_array, density=0.05):
    return make(scipy.sparse.random_array((N, N_FEATURES), density=density, rng=0))


def _labels(n_classes=3):
    return np.random.default_rng(1).integers(n_classes, size=N)


# ---- the linear map ----------------------------------------------------------------


@pytest.mark.parametrize("index_type", [np.int32, np.int64])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("n_units", [1, 3, 40])
def test_products_are_those_of_scipy(n_units, dtype, index_type, rng):
    X = _sparse().astype(dtype)
    X.indices, X.indptr = X.indices.astype(index_type), X.indptr.astype(index_type)
    rows = SparseRows(X, getattr(torch, dtype))
    weight, dz = rng.normal(size=(N_FEATURES, n_units)), rng.normal(size=(N, n_units))
    rtol = 1e-5 if dtype == "float32" else 1e-12
    weight, dz = weight.astype(dtype), dz.astype(dtype)
    assert_allclose(rows.times(torch.from_numpy(weight)), X @ weight, rtol, rtol)
    found = rows.transposed_times(torch.from_numpy(dz))
    assert_allclose(found, X.T @ dz, rtol, rtol)


def test_values_in_any_order_and_more_than_once():
    parts = [1.0, 2.0, 0.0, 4.0], [2, 0, 1, 2], [0, 0, 4]
    X = scipy.sparse.csr_array(parts, shape=(2, 3))
    weight = torch.arange(6.0).reshape(3, 2)
    found = SparseRows(X, torch.float32).times(weight)
    assert_allclose(found, X.toarray() @ weight.numpy())
    assert_allclose(SparseRows(X, torch.float32).to_dense(), X.toarray())


def test_rows_are_filled_up_by_empty_ones():
    X = _sparse()
    rows = SparseRows(X, torch.float64, N + 3)
    assert rows.shape == (N + 3, N_FEATURES)
    assert_allclose(rows.to_dense(), np.pad(X.toarray(), [(0, 3), (0, 0)]))
    assert X.shape == (N, N_FEATURES)


def test_the_product_is_differentiable_by_the_weight():
    rows = SparseRows(_sparse(), torch.float64)
    weight = torch.randn(N_FEATURES, 3, dtype=torch.float64, requires_grad=True)
    bias = torch.randn(3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(rows.affine, (weight, bias))


def test_values_too_large_are_an_error():
    X = scipy.sparse.csr_array(([1e300], [0], [0, 1]), shape=(1, 3))
    with pytest.raises(ValueError, match=r"too large for dtype.'float32'"):
        SparseRows(X, torch.float32)


class Seer(Callback):
    """Looks at the inputs of each batch, as at those of dense ones."""

    def on_batch_begin(self, net, batch, training, **kwargs):
        assert batch[0].std(dim=0).isfinite().all()

    def on_grad_computed(self, net, named_parameters, batch, training, **kwargs):
        assert batch[0].std(dim=0).isfinite().all()


# ---- fits --------------------------------------------------------------------------

MULTIPLIES = [
    {},
    {"hidden_layer_sizes": ()},
    {"hidden_layer_sizes": (30, 4), "activation": ["tanh", "relu"]},
    {"activation": "maxout"},
    {"activation": "prelu"},
    {"normalization": "batch"},
    {"normalization": "layer", "hidden_layer_sizes": (8, 8), "residual": True},
    {"dropout": 0.5},
    {"dropout": 0.5, "dropout_type": "gaussian", "activation": "maxout"},
    {"solver": "sgd", "alpha": 0.1, "l1_ratio": 0.5},
    {"solver": "vsgd"},
    {"solver": "lbfgs"},
    {"solver": torch.optim.LBFGS, "max_iter": 1},
    {"loss": "hinge"},
    {"label_smoothing": 0.1},
    {"class_weight": "balanced"},
    {"early_stopping": True},
    {"early_stopping": True, "scoring": "loss"},
    {"early_stopping": True, "scoring": "accuracy"},
    {"shuffle": False},
    {"callbacks": [Seer()]},
]
IS_MADE_DENSE = [
    {"n_members": 2},
    {"input_dropout": 0.2},
    {"dropout": 0.5, "dropout_type": "dropconnect"},
    {"dropout": 0.5, "dropout_type": "standout"},
    {"augmentation": "noise"},
]


@pytest.fixture
def made_dense(monkeypatch):
    """List the shapes of the rows that were made dense."""
    shapes = []
    original = SparseRows.to_dense

    def to_dense(rows):
        shapes.append(rows.shape)
        return original(rows)

    monkeypatch.setattr(SparseRows, "to_dense", to_dense)
    return shapes


@pytest.mark.parametrize("params", MULTIPLIES)
def test_sparse_rows_are_multiplied(params, made_dense):
    X, y = _sparse(), _labels()
    dense, sparse = (MLPClassifier(**{**SMALL, **params}) for _ in range(2))
    dense.fit(X.toarray(), y), sparse.fit(X, y)
    for found, expected in zip(sparse.coefs_, dense.coefs_, strict=True):
        assert_allclose(found, expected, rtol=1e-7, atol=1e-9)
    assert_allclose(sparse._outputs(X), dense._outputs(X.toarray()), rtol=1e-7)
    assert bool(made_dense) == ("callbacks" in params)  # which are shown tensors


@pytest.mark.parametrize("params", IS_MADE_DENSE)
def test_sparse_rows_are_made_dense_by_batch(params, made_dense, monkeypatch):
    monkeypatch.setattr("sk_deep._data.sources._BLOCK_ELEMENTS", 1)
    X, y = _sparse(), _labels()
    model = MLPClassifier(**{**SMALL, **params})
    expected = model.fit(X.toarray(), y).predict_proba(X.toarray())
    assert not made_dense
    assert_allclose(model.fit(X, y).predict_proba(X), expected, rtol=1e-9)
    sizes = {n_rows for n_rows, _ in made_dense}
    assert sizes <= {2 * 12, 2 * 16, 12, 16, N + 4}


def test_dense_matrices_are_made_dense(made_dense):
    X = _sparse(density=0.5)
    assert not is_worth_it(X)
    MLPRegressor(**SMALL).fit(X, _labels()).predict(X)
    assert made_dense


@pytest.mark.parametrize("make", [scipy.sparse.csr_matrix, scipy.sparse.csc_array])
@pytest.mark.parametrize("n_outputs", [1, 2])
def test_regression_by_parts(n_outputs, make, made_dense, rng):
    X, Y = _sparse(make), np.squeeze(rng.normal(size=(N, n_outputs)))
    sparse, dense = (MLPRegressor(**SMALL) for _ in range(2))
    for rows in (slice(0, 32), slice(32, N)):
        own = X.tocsr()[rows]
        sparse.partial_fit(own, Y[rows])
        dense.partial_fit(own.toarray(), Y[rows])
    assert_allclose(sparse.predict(X), dense.predict(X.toarray()), rtol=1e-9)
    assert_allclose(sparse.transform_hidden(X), dense.transform_hidden(X.toarray()))
    assert not made_dense


def test_the_matrix_stays_as_it_is():
    X, y = _sparse(), _labels()
    before = X.copy()
    MLPClassifier(**SMALL).fit(X, y).predict(X)
    assert X.shape == before.shape
    for name in ("data", "indices", "indptr"):
        np.testing.assert_array_equal(getattr(X, name), getattr(before, name))


def test_the_rows_that_are_drawn_from_are_those_of_dense_inputs():
    """Dropout's samples are drawn with the same masks."""
    X, y = _sparse(), _labels()
    model = MLPClassifier(**SMALL, dropout=0.5).fit(X, y)
    kwargs = {"n_samples": 3, "random_state": 0}
    found = model.predict_proba_samples(X, **kwargs)
    assert_allclose(found, model.predict_proba_samples(X.toarray(), **kwargs), 1e-9)


def test_hooks_see_tensors():
    X, y = _sparse(), _labels()
    model = MLPClassifier(**SMALL).fit(X, y)
    expected, seen = model.predict_proba(X), []
    hidden = model.net_.module_.hidden[0]
    hidden.linear.register_forward_hook(lambda module, args, z: seen.append(args[0]))
    assert_allclose(model.predict_proba(X), expected, rtol=1e-9)
    assert {type(x) for x in seen} == {torch.Tensor}
