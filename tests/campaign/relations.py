"""Relations that hold whatever is trained: drawn estimators, and changed data."""

import pickle
import traceback
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import scipy.sparse
import sklearn
from hypothesis import HealthCheck, Phase, given, settings
from sklearn.base import clone, is_classifier

import sk_deep
from campaign._common import Campaign, Outcome, outputs_of, quiet
from campaign.strategies import Case, cases
from sk_deep import MLPClassifier, MLPRegressor, load, save

# ---- drawn estimators ----------------------------------------------------------------

OURS = tuple(Path(package.__file__).parent for package in (sk_deep, sklearn))


def check_case(case: Case, folder: Path) -> str | None:
    """Fit, predict, copy and save; return the name of the error, if it is a legal one.

    Raises
    ------
    AssertionError
        If a prediction is not as promised.
    Exception
        If an error is not as promised.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", RuntimeWarning)
        X, y, weight = case.data()
        try:
            model = clone(case.model).fit(X, y, sample_weight=weight)
        except ValueError as error:
            if not _is_told(error):
                raise
            return type(error).__name__
        _check_predictions(model, X, y)
        _check_copies(model, X, y, weight, folder)
    return None


def _is_told(error):
    """Whether an error is ours or scikit-learn's, not one from the depths."""
    place = Path(traceback.extract_tb(error.__traceback__)[-1].filename)
    return any(place.is_relative_to(package) for package in OURS)


def _check_predictions(model, X, y):
    predicted = model.predict(X)
    if is_classifier(model):
        is_multilabel = np.ndim(y) == 2 and y.shape[1] > 1
        if is_multilabel:
            assert predicted.shape == y.shape
            assert scipy.sparse.issparse(predicted) == scipy.sparse.issparse(y)
        else:
            assert predicted.dtype == model.classes_.dtype
            assert predicted.shape == (n_rows(X),)
            assert set(predicted.tolist()) <= set(np.ravel(y).tolist())
    else:
        n_columns = np.shape(y)[1] if np.ndim(y) == 2 else 1
        assert predicted.shape in [(n_rows(X),), (n_rows(X), n_columns)]
        assert np.ndim(predicted) == 1 or n_columns > 1
    outputs = outputs_of(model, X)
    dtypes = getattr(X, "dtypes", getattr(X, "dtype", None))  # of a frame, an array
    is_single = np.all(dtypes == np.float32)
    assert outputs.dtype == (np.float32 if is_single else np.float64)
    assert np.isfinite(outputs).all()


def n_rows(X):
    """Count the rows of any table."""
    return X.shape[0] if hasattr(X, "shape") else len(X)


def _check_copies(model, X, y, weight, folder):
    expected = outputs_of(model, X)
    save(model, folder / "model")
    copies = {
        "clone": clone(model).fit(X, y, sample_weight=weight),
        "pickle": pickle.loads(pickle.dumps(model)),
        "file": load(folder / "model"),
    }
    for name, one in copies.items():
        np.testing.assert_array_equal(outputs_of(one, X), expected, err_msg=name)


def fuzzed_estimators(n, folder):
    """Fit estimators that hypothesis draws: predictions as promised, or an error."""
    outcome = Outcome()
    n_refused = []

    @settings(
        max_examples=n,
        derandomize=True,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(cases())
    def try_one(case):
        try:
            refusal = check_case(case, folder)
        except Exception as error:
            outcome.check(False, f"{case}: {type(error).__name__}: {error!s:.300}")
        else:
            outcome.check(True, "")
            n_refused.append(refusal is not None)

    try_one()
    outcome.notes["part that is refused"] = float(np.mean(n_refused))
    return outcome


# ---- changed data --------------------------------------------------------------------

N, WIDTH = 48, 4


def _configuration(rng):
    """An estimator with parameters by chance, and data for it."""
    is_classifier = rng.integers(2)
    params = {
        "hidden_layer_sizes": tuple(rng.integers(2, 9, size=rng.integers(1, 3))),
        "activation": rng.choice(["relu", "tanh", "maxout", "prelu"]),
        "solver": rng.choice(["sgd", "adam"]),
        "batch_size": int(rng.choice([7, 16, N])),
        "dropout": float(rng.choice([0.0, 0.3])),
        "normalization": rng.choice([None, "layer"]),
        "early_stopping": bool(rng.integers(2)),
        "max_iter": 3,
        "dtype": "float64",
        "random_state": int(rng.integers(100)),
    }
    data = rng.normal(size=(N, WIDTH))
    if is_classifier:
        return MLPClassifier(**params), data, rng.permutation(np.arange(N) % 3)
    return MLPRegressor(**params), data, data[:, 0] + rng.normal(scale=0.1, size=N)


def _fitted(model, X, y, **further):
    return outputs_of(clone(model).fit(X, y, **further), X)


def _weights_of_one(model, X, y, rng, folder):
    return _fitted(model, X, y), _fitted(model, X, y, sample_weight=np.ones(N)), 0


def _scaled_weights(model, X, y, rng, folder):
    # the L2 term, as scikit-learn's, is divided by their sum
    weight, model = rng.uniform(0.5, 2, size=N), clone(model).set_params(alpha=0)
    one, other = (_fitted(model, X, y, sample_weight=k * weight) for k in (1, 3.7))
    return one, other, 1e-7


def _whole(model):
    """Let an estimator see all rows at each step, and nothing by chance."""
    params = {"dropout": 0, "early_stopping": False, "shuffle": False, "solver": "sgd"}
    return clone(model).set_params(**params)


def _repeated_rows(model, X, y, rng, folder):
    counts = rng.integers(1, 4, size=N)
    rows = np.repeat(np.arange(N), counts)
    whole = _whole(model)
    one = whole.set_params(batch_size=N).fit(X, y, sample_weight=counts)
    expected = outputs_of(one, X)
    other = clone(whole).set_params(batch_size=len(rows)).fit(X[rows], y[rows])
    return expected, outputs_of(other, X), 1e-7


def _permuted_rows(model, X, y, rng, folder):
    order = rng.permutation(N)
    whole = _whole(model).set_params(batch_size=N)
    expected = outputs_of(clone(whole).fit(X, y), X)
    return expected, outputs_of(clone(whole).fit(X[order], y[order]), X), 1e-7


def _chunks(model, X, y, rng, folder):
    fitted, cut = clone(model).fit(X, y), int(rng.integers(1, N))
    parts = [outputs_of(fitted, X[:cut]), outputs_of(fitted, X[cut:])]
    return outputs_of(fitted, X), np.concatenate(parts), 1e-12


def _renamed_labels(model, X, y, rng, folder):
    if not is_classifier(model):
        return _fitted(model, X, y), _fitted(model, X, y.tolist()), 0
    return _fitted(model, X, y), _fitted(model, X, np.array(["a", "b", "c"])[y]), 0


def _column(model, X, y, rng, folder):
    return _fitted(model, X, y), _fitted(model, X, y[:, np.newaxis]), 0


def _frame(model, X, y, rng, folder):
    frame = pd.DataFrame(X, columns=list("abcd"), index=rng.permutation(N))
    return _fitted(model, X, y), _fitted(model, frame, pd.Series(y)), 0


def _fortran(model, X, y, rng, folder):
    return _fitted(model, X, y), _fitted(model, np.asfortranarray(X), y), 0


def _memory_map(model, X, y, rng, folder):
    np.save(folder / "X.npy", X)
    mapped = np.load(folder / "X.npy", mmap_mode="r")
    return _fitted(model, X, y), _fitted(model, mapped, y), 0


def _pickled(model, X, y, rng, folder):
    fitted = clone(model).fit(X, y)
    return outputs_of(fitted, X), outputs_of(pickle.loads(pickle.dumps(fitted)), X), 0


def _cloned(model, X, y, rng, folder):
    fitted = clone(model).fit(X, y)
    return outputs_of(fitted, X), _fitted(fitted, X, y), 0


RELATIONS = {  # each gives two outputs, and how far from each other they may be
    "weights of one": _weights_of_one,
    "scaled weights": _scaled_weights,
    "repeated rows": _repeated_rows,
    "permuted rows": _permuted_rows,
    "chunks": _chunks,
    "renamed labels": _renamed_labels,
    "a column of targets": _column,
    "frame": _frame,
    "Fortran order": _fortran,
    "memory map": _memory_map,
    "pickle": _pickled,
    "clone": _cloned,
}


@quiet
def relations(n, folder):
    """Change what must not matter, with n estimators and data by chance."""
    outcome = Outcome()
    for seed in range(n):
        model, X, y = _configuration(np.random.default_rng(seed))
        for name, relation in RELATIONS.items():
            rng = np.random.default_rng([seed, 1])
            one, other, tolerance = relation(model, X, y, rng, folder)
            gap = np.abs(one - other).max()
            outcome.check(gap <= tolerance, f"{name}, seed {seed}: {gap:.3g}")
    return outcome


CAMPAIGNS = {
    "relations": Campaign("relations", relations, 4, 30),
    "fuzzed estimators": Campaign("relations", fuzzed_estimators, 10, 5000),
}
