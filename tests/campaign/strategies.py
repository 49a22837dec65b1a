"""Estimators and data as hypothesis draws them, from the package's own tables."""

from dataclasses import dataclass
from numbers import Integral

import numpy as np
import pandas as pd
import scipy.sparse
from hypothesis import strategies as st
from sklearn.utils import _param_validation as validation

from sk_deep import MLPClassifier, MLPRegressor
from sk_deep.augmentation import AUGMENTATIONS
from sk_deep.dropouts import DROPOUTS
from sk_deep.losses import LOSSES
from sk_deep.schedules import SCHEDULES, WARMUP
from sk_deep.solvers import SOLVERS

# ---- parameters ----------------------------------------------------------------------

OF_ROWS = {  # parameter that is a dict -> parameter that names a row, its constraints
    "dropout_params": ("dropout_type", lambda row: DROPOUTS[row].constraints),
    "loss_params": ("loss", lambda row: LOSSES[row].constraints),
    "solver_params": ("solver", lambda row: SOLVERS[row].constraints),
    "schedule_params": (
        "learning_rate",
        lambda row: {**SCHEDULES[row].constraints, **WARMUP},
    ),
    "augmentation_params": (
        "augmentation",
        lambda row: AUGMENTATIONS[row].constraints if row else {},
    ),
}
OWN = {  # what constraints do not tell
    "hidden_layer_sizes": st.one_of(
        st.integers(1, 5), st.lists(st.integers(1, 5), max_size=3)
    ),
    "scoring": st.sampled_from([None, "loss", "neg_log_loss", "r2", "accuracy"]),
    "class_weight": st.sampled_from([None, "balanced", {0: 1.0}]),
    "image_shape": st.sampled_from([(2, 2), (1, 3), (2, 1), (5,)]),
    "n_hidden_layers": st.integers(1, 3),
    "n_members": st.integers(1, 3),
    "dtype": st.sampled_from(["auto", "float32", "float64"]),
}
FIXED = {"max_iter": 2, "max_fun": 50, "device": "cpu", "verbose": False}
NOT_DRAWN = {*FIXED, *OF_ROWS, "callbacks", "random_state"}


def _values(name, constraints):
    """Values of a parameter: those that a constraint allows, if it tells any."""
    if name in OWN:
        return OWN[name]
    return st.one_of(*(_of(validation.make_constraint(one)) for one in constraints))


def _of(constraint):
    if isinstance(constraint, validation.Interval):
        return _of_interval(constraint)
    if isinstance(constraint, validation.Options):
        return st.sampled_from(sorted(constraint.options, key=str))
    if isinstance(constraint, validation._Booleans):
        return st.booleans()
    if isinstance(constraint, validation._NoneConstraint):
        return st.none()
    return st.nothing()


def _of_interval(interval):
    """A few small, customary and large numbers, of those inside."""
    few = (0, 1, 2, 3, 7) if interval.type is Integral else (0, 1e-3, 0.1, 0.5, 1, 3.0)
    return st.sampled_from([value for value in few if interval.is_satisfied_by(value)])


@st.composite
def estimators(draw, most_changes=6):
    """An estimator with up to some parameters that are not the defaults."""
    kind = draw(st.sampled_from([MLPClassifier, MLPRegressor]))
    constraints = kind._parameter_constraints
    names = sorted(set(constraints) - NOT_DRAWN)
    changed = draw(st.lists(st.sampled_from(names), unique=True, max_size=most_changes))
    params = {name: draw(_values(name, constraints[name])) for name in changed}
    params = {"hidden_layer_sizes": 4, **FIXED, **params}
    model = kind(**params, random_state=draw(st.integers(0, 2**31 - 1)))
    for name, (owner, constraints_of) in OF_ROWS.items():
        legal = constraints_of(vars(model)[owner])
        some = draw(st.sets(st.sampled_from(sorted(legal)))) if legal else ()
        values = {key: draw(_values(key, legal[key])) for key in sorted(some)}
        model.set_params(**{name: values or None})
    return model


# ---- data ----------------------------------------------------------------------------

DTYPES = "f8 f4 f2 >f8 g i8 i1 u1 bool object".split()
FORMS = {
    "C": np.ascontiguousarray,
    "F": np.asfortranarray,
    "strided": lambda X: X.repeat(2, axis=0).repeat(2, axis=1)[::2, ::2],
    "reversed": lambda X: X[::-1, ::-1].copy()[::-1, ::-1],
    "read-only": lambda X: np.frombuffer(X.tobytes(), X.dtype).reshape(X.shape),
    "list": np.ndarray.tolist,
    "frame": pd.DataFrame,
    "named frame": lambda X: pd.DataFrame(X).rename(columns="x{}".format),
    "csr": scipy.sparse.csr_array,
    "csc": scipy.sparse.csc_matrix,
}
DENSE_ONLY = "g", "f2", ">f8", "object"  # dtypes that scipy does not take
LABELS = {
    "int": lambda codes: codes,
    "negative": lambda codes: codes * 2 - 1,
    "float": lambda codes: codes * 1.0,
    "bool": lambda codes: codes > 0,
    "str": lambda codes: np.array(["no", "yes", "perhaps"])[codes],
    "object": lambda codes: np.array(["no", "yes", "perhaps"], object)[codes],
    "column": lambda codes: codes[:, np.newaxis],
    "list": np.ndarray.tolist,
    "series": pd.Series,
    "indicators": lambda codes: np.eye(3, dtype=int)[codes],
    "sparse indicators": lambda codes: scipy.sparse.csr_array(np.eye(3)[codes]),
}
NUMBERS = {
    "float64": lambda values: values,
    "float32": lambda values: values.astype(np.float32),
    "int": lambda values: (10 * values).astype(int),
    "positive": np.exp,
    "column": lambda values: values[:, np.newaxis],
    "two": lambda values: np.column_stack([values, -values]),
    "constant": np.ones_like,
    "list": np.ndarray.tolist,
    "series": pd.Series,
}
WEIGHTS = {
    "none": lambda rng, n: None,
    "ones": lambda rng, n: np.ones(n),
    "ints": lambda rng, n: rng.integers(0, 3, size=n),
    "floats": lambda rng, n: rng.uniform(size=n).tolist(),
}


@dataclass
class Case:
    """An estimator, and the data that it is to be fitted to.

    Its repr has all that it takes to make it again.
    """

    model: object
    n: int
    n_features: int
    n_classes: int
    dtype: str
    form: str
    target: str
    weight: str
    seed: int

    def data(self):
        """Make X, y and the sample weights."""
        rng = np.random.default_rng(self.seed)
        raw = rng.normal(scale=2.0, size=(self.n, self.n_features))
        X = np.abs(raw) if self.dtype == "u1" else raw
        X = FORMS[self.form](X.astype(self.dtype))
        if isinstance(self.model, MLPClassifier):
            codes = rng.permutation(np.arange(self.n) % self.n_classes)
            y = LABELS[self.target](codes)
        else:
            y = NUMBERS[self.target](raw[:, 0])
        return X, y, WEIGHTS[self.weight](rng, self.n)


@st.composite
def cases(draw):
    """A `Case`."""
    model = draw(estimators())
    form = draw(st.sampled_from(sorted(FORMS)))
    dtypes = [
        dtype
        for dtype in DTYPES
        if form not in ("csr", "csc", "read-only") or dtype not in DENSE_ONLY
    ]
    targets = LABELS if isinstance(model, MLPClassifier) else NUMBERS
    return Case(
        model,
        n=draw(st.integers(2, 30)),
        n_features=draw(st.integers(1, 5)),
        n_classes=draw(st.integers(1, 3)),
        dtype=draw(st.sampled_from(dtypes)),
        form=form,
        target=draw(st.sampled_from(sorted(targets))),
        weight=draw(st.sampled_from(sorted(WEIGHTS))),
        seed=draw(st.integers(0, 2**31 - 1)),
    )
