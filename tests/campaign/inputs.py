"""Bad inputs, sizes, relations between fits, and divergence."""

import itertools
import random
import re
import time
import traceback
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import scipy.sparse
import torch
from sklearn import neural_network
from sklearn.base import is_classifier
from sklearn.exceptions import ConvergenceWarning

from campaign._common import Campaign, Outcome, outputs_of, quiet
from sk_deep import MLPClassifier, MLPRegressor
from sk_deep.exceptions import DivergenceError
from sk_deep.losses import losses_on

RNG = np.random.RandomState(0)
N, WIDTH = 30, 4
X = np.round(RNG.standard_normal((N, WIDTH)), 2)
Y = np.arange(N) % 3
R = X[:, 0] + 0.1 * X[:, 1]
SMALL = {"hidden_layer_sizes": (5,), "max_iter": 2, "random_state": 0}
LONGEST = 5  # seconds of a call

# ---- what torch or skorch would say --------------------------------------------------

TORCH_TEXT = re.compile(
    r"mat1|out of bounds|collate|tensor|torch\.(?!nn\.Module|optim)|cuda|criterion|"
    r"broadcast|NoneType|object has no attribute",
    re.IGNORECASE,
)
TORCH_FOLDERS = {"torch", "skorch"}


def is_of_torch(error):
    """Whether an error was raised by torch or skorch, or sounds as if it was."""
    place = Path(traceback.extract_tb(error.__traceback__)[-1].filename)
    return bool(TORCH_FOLDERS & set(place.parts) or TORCH_TEXT.search(str(error)))


# ---- bad inputs ----------------------------------------------------------------------


def _with(value, dtype=np.float64):
    changed = X.astype(dtype)
    changed[3, 1] = value
    return changed


def _frame(column):
    return pd.DataFrame({"a": X[:, 0], "b": column, "c": X[:, 2], "d": X[:, 3]})


def _read_only():
    array = X.copy()
    array.flags.writeable = False
    return array


WHEN = np.arange(N).astype("datetime64[s]")
INPUTS = {  # each makes X anew
    "float64": X.copy,
    "float32": lambda: X.astype("f4"),
    "float16": lambda: X.astype("f2"),
    "longdouble": lambda: X.astype("g"),
    "int64": lambda: np.round(3 * X).astype("i8"),
    "int8": lambda: np.round(3 * X).astype("i1"),
    "uint8": lambda: np.abs(np.round(3 * X)).astype("u1"),
    "bool": lambda: X > 0,
    "big-endian": lambda: X.astype(">f8"),
    "complex": lambda: X.astype(complex),
    "objects that are numbers": lambda: X.astype(object),
    "objects, one None": lambda: _with(None, object),
    "objects, one text": lambda: _with("red", object),
    "text": lambda: np.full((N, WIDTH), "red"),
    "text of numbers": lambda: X.astype("U"),
    "bytes": lambda: np.full((N, WIDTH), b"red"),
    "dates": lambda: np.tile(WHEN[:, np.newaxis], WIDTH),
    "records": lambda: np.zeros(N, [("a", "f8"), ("b", "f8")]),
    "NaN": lambda: _with(np.nan),
    "infinity": lambda: _with(np.inf),
    "minus infinity": lambda: _with(-np.inf, "f4"),
    "1e39": lambda: _with(1e39),
    "1e308": lambda: _with(1e308),
    "denormal": lambda: X * 1e-310,
    "zeros": lambda: np.zeros((N, WIDTH)),
    "Fortran order": lambda: np.asfortranarray(X),
    "reversed": lambda: X[::-1, ::-1],
    "strided": lambda: np.repeat(X, 2, axis=1)[:, ::2],
    "broadcast": lambda: np.broadcast_to(X[0], (N, WIDTH)),
    "read-only": _read_only,
    "masked": lambda: np.ma.masked_greater(X, 1),
    "matrix": lambda: np.matrix(X),
    "list": X.tolist,
    "list of arrays": lambda: list(X),
    "ragged list": lambda: [[1.0] * (1 + i % 2) for i in range(N)],
    "tensor": lambda: torch.tensor(X),
    "frame": lambda: pd.DataFrame(X, columns=list("abcd")),
    "frame with numbers for names": lambda: pd.DataFrame(X),
    "frame with names of two types": lambda: pd.DataFrame(X, columns=["a", 1, 2, 3]),
    "frame with a column of text": lambda: _frame("red"),
    "frame with a column of dates": lambda: _frame(WHEN),
    "frame with categories": lambda: _frame(pd.Categorical(["x", "y", "z"] * 10)),
    "frame with missing integers": lambda: _frame(pd.array([1, None] * 15, "Int64")),
    "frame with nullable floats": lambda: pd.DataFrame(X).astype("Float64"),
    "Series": lambda: pd.Series(X[:, 0]),
    "csr": lambda: scipy.sparse.csr_array(X),
    "csc of integers": lambda: scipy.sparse.csc_matrix((X * 3).astype(int)),
    "coo": lambda: scipy.sparse.coo_array(X),
    "csr with NaN": lambda: scipy.sparse.csr_array(_with(np.nan)),
    "csr of complex": lambda: scipy.sparse.csr_array(X.astype(complex)),
    "no rows": lambda: X[:0],
    "no features": lambda: X[:, :0],
    "one row": lambda: X[:1],
    "fewer rows": lambda: X[:-1],
    "narrower": lambda: X[:, :2],
    "wider": lambda: np.c_[X, X],
    "one dimension": lambda: X[:, 0],
    "three dimensions": lambda: X[:, :, np.newaxis],
    "a number": lambda: 1.0,
    "None": lambda: None,
    "a word": lambda: "red",
    "a dict": lambda: {"a": X[:, 0]},
    "a set": lambda: set(X[:, 0]),
}
TARGETS = {
    "integers": Y.copy,
    "words": lambda: np.array(["low", "middle", "high"])[Y],
    "words as objects": lambda: np.array(["low", "middle", "high"], object)[Y],
    "words and numbers": lambda: np.array(["low", 1, 2.5], object)[Y],
    "bools": lambda: Y > 1,
    "whole floats": lambda: Y.astype(float),
    "real numbers": R.copy,
    "one class": lambda: np.ones(N, int),
    "a column": lambda: Y[:, np.newaxis],
    "several columns": lambda: np.c_[R, -R],
    "labels of yes and no": lambda: np.eye(3, dtype=int)[Y],
    "NaN": lambda: np.where(Y == 1, np.nan, R),
    "infinity": lambda: np.where(Y == 1, np.inf, R),
    "large": lambda: 1e6 * R,
    "a list": Y.tolist,
    "a Series": lambda: pd.Series(Y, name="y"),
    "categories": lambda: pd.Series(pd.Categorical(["u", "v", "w"] * 10)),
    "None": lambda: None,
    "a number": lambda: 1.0,
    "none at all": lambda: Y[:0],
    "fewer": lambda: Y[:-2],
    "three dimensions": lambda: np.ones((N, 1, 1)),
    "complex": lambda: R.astype(complex),
    "dates": WHEN.copy,
    "ragged": lambda: [[1], [1, 2], [3]] * 10,
    "sparse": lambda: scipy.sparse.csr_array(np.eye(3)[Y]),
}
PAIRS = {
    "classifier": (MLPClassifier, neural_network.MLPClassifier),
    "regressor": (MLPRegressor, neural_network.MLPRegressor),
}
METHODS = {  # of an estimator -> whether it takes y
    "classifier": {
        "fit": True,
        "partial_fit": True,
        "score": True,
        "predict": False,
        "predict_proba": False,
    },
    "regressor": {"fit": True, "partial_fit": True, "score": True, "predict": False},
}
SUCCESS = "success"


def _cases():
    for kind, methods in METHODS.items():
        for method, takes_y in methods.items():
            targets = TARGETS if takes_y else ["integers"]
            yield from itertools.product([kind], [method], INPUTS, targets)


def _some(cases, n):
    """Choose n cases, the same at each call."""
    cases = list(cases)
    return random.Random(0).sample(cases, n) if n < len(cases) else cases


def _call(model, method, data, y):
    """Return what a call says, its values, its error and the seconds."""
    arguments = (data,) if method.startswith("predict") else (data, y)
    further = {}
    if method == "partial_fit" and is_classifier(model):
        further["classes"] = _classes(y)
    start = time.perf_counter()
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        try:
            values = getattr(model, method)(*arguments, **further)
        except Exception as error:
            said = f"{type(error).__name__}: {error}"
            return said, None, error, time.perf_counter() - start
    seconds = time.perf_counter() - start
    names = {one.category.__name__ for one in told if not _is_ofoutputs(one)}
    return " and ".join([SUCCESS, *sorted(names)]), values, None, seconds


def _is_ofoutputs(one):
    return issubclass(one.category, ConvergenceWarning | RuntimeWarning)


def _classes(y):
    try:
        return np.unique(y)
    except (TypeError, ValueError):
        return np.unique(Y)


def _run(model, method, case):
    kind, name, target = case
    data, y = INPUTS[name](), TARGETS[target]()
    if not method.endswith("fit"):
        model.fit(X, Y if kind == "classifier" else R)
    said, values, error, seconds = _call(model, method, data, y)
    if values is not model:
        return said, np.asarray(values), error, seconds
    try:
        return said, outputs_of(model, data), None, seconds
    except Exception as failed:
        return f"{SUCCESS}, then {type(failed).__name__}: {failed}", None, failed, 0


@quiet
def bad_inputs(n, folder):
    """Call methods with kinds of X and y; scikit-learn's MLP says what is right."""
    outcome = Outcome()
    for kind, method, name, target in _some(_cases(), n):
        own, other = (
            _run(make(**SMALL, **params), method, (kind, name, target))
            for make, params in zip(
                PAIRS[kind], ({"dtype": "float64"}, {}), strict=True
            )
        )
        problem = _problem(own, other, target)
        text = f"{kind}.{method}, X {name}, y {target}: {problem}"
        outcome.check(problem is None, text)
    return outcome


def _problem(own, other, target):
    """Tell what is wrong with a call, beside scikit-learn's; None is nothing."""
    (said, values, error, seconds), (expected, expected_values, *_) = own, other
    if seconds > LONGEST:
        return f"{seconds} seconds"
    if _is_listed(said, expected):
        return None
    if said != expected:
        return f"{said!r:.150}, not {expected!r:.150}"
    if error is not None:
        return "it sounds of torch" if is_of_torch(error) else None
    if target == "one class" and values.shape == (N, 1):  # promise 34
        return None if (values == 1).all() else f"{values!r:.80}"
    return None if _are_close(values, expected_values) else f"{values!r:.80}"


def _are_close(values, expected):
    if values.shape != expected.shape:
        return False
    if values.dtype.kind != "f":
        return bool((values == expected).all())
    return np.allclose(values, expected, rtol=1e-4, atol=1e-5, equal_nan=True)


NOT_A_TABLE = r"(could not convert|float\(\) argument|Cannot cast array|Expected 2D)"
DIFFERENCES = [  # what we say, and what scikit-learn says
    ("ValueError: Input X must have (columns of )?numbers", ""),
    ("ValueError: y must have numbers", ""),
    ("ValueError: classes must be the columns of `y`", ""),
    # its predict and score take less than its fit does
    ("", ".*dtype='numeric' is not compatible"),
    (f"(Value|Type)Error: {NOT_A_TABLE}", "ValueError: Expected 2D array"),
    ("ValueError: could not convert", "UFuncTypeError|ValueError: invalid literal"),
    ("ValueError: Input contains infinity", "ValueError: Input contains infinity"),
    ("ValueError: setting an array element", "ValueError: Found input variables"),
    ("DivergenceError: Solver produced non-finite", "ValueError: Solver produced"),
]


def _is_listed(said, expected):
    return any(
        re.match(own, said, re.DOTALL) and re.match(other, expected, re.DOTALL)
        for own, other in DIFFERENCES
    )


# ---- sizes, and divergence -----------------------------------------------------------

BATCH = 16
TOO_FEW = re.compile(
    "validation set is too small|least populated|at least 2 samples|will be empty|"
    "should be greater or equal to the number of classes"
)


def _fit_and_predict(model, data, y):
    """Return what is predicted, or the error."""
    try:
        return outputs_of(model.fit(data, y), data)
    except ValueError as error:
        return error


@quiet
def sizes(n, folder):
    """Fit to 1 to 3 batches and one row: it works, or the rows are too few."""
    outcome = Outcome()
    kinds = [MLPClassifier, MLPRegressor]
    switches = itertools.product(kinds, [None, "batch"], [False, True])
    cases = itertools.product(range(1, 3 * BATCH + 2), switches)
    for n_rows, (kind, normalization, stops) in _some(cases, n):
        params = {"normalization": normalization, "early_stopping": stops}
        model = kind(**SMALL, batch_size=min(BATCH, n_rows), **params)
        data, y = np.tile(X, (2, 1))[:n_rows], np.arange(n_rows) % 3
        found = _fit_and_predict(model, data, y)
        if isinstance(found, ValueError):
            must_fit = n_rows > BATCH or not (stops or (normalization and n_rows < 2))
            is_right = bool(TOO_FEW.search(str(found))) and not must_fit
        else:
            is_right = len(found) == n_rows and np.isfinite(found).all()
        outcome.check(is_right, f"{kind.__name__}, {n_rows} rows, {params}: {found}")
    return outcome


RATES = (1e-3, 1.0, 1e3, 1e10, 1e30)
SCALES = (1.0, 1e6, 1e18, 1e37)


@quiet
def divergence(n, folder):
    """Rates and scales that are far too large: finite predictions, or it is told."""
    outcome = Outcome()
    losses = [(MLPClassifier, loss) for loss in losses_on("multiclass")]
    losses += [(MLPRegressor, loss) for loss in losses_on("real")]
    further = {"max_iter": 5, "hidden_layer_sizes": (5,), "random_state": 0}
    cases = itertools.product(RATES, SCALES, ("sgd", "adam"), losses)
    for rate, scale, solver, (kind, loss) in _some(cases, n):
        params = {"solver": solver, "learning_rate_init": rate, "loss": loss}
        model = kind(**params, **further)
        y = Y if kind is MLPClassifier else np.abs(R)
        found = _fit_and_predict(model, scale * X, y)
        is_right = isinstance(found, DivergenceError) or np.isfinite(found).all()
        outcome.check(is_right, f"{kind.__name__}, {params}, scale {scale}: {found}")
    return outcome


CAMPAIGNS = {
    "bad inputs": Campaign("bad inputs", bad_inputs, 200, 10**6),
    "sizes around the batch": Campaign("bad inputs", sizes, 60, 10**6),
    "divergence": Campaign("bad inputs", divergence, 60, 10**6),
}
