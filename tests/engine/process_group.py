"""What each process of a group does; started by torchrun, it writes what it found.

python -m torch.distributed.run --nproc-per-node 2 tests/engine/process_group.py FOLDER
"""

import os
import pickle
import sys
import warnings
from pathlib import Path

import numpy as np
import scipy.sparse
import torch
from accelerate import Accelerator
from sklearn.base import clone
from sklearn.datasets import load_diabetes, load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV
from sklearn.preprocessing import scale
from skorch.callbacks import Callback

from sk_deep import BatchedGridSearchCV, MLPClassifier, MLPRegressor
from sk_deep.callbacks import Checkpoint

SMALL = {"max_iter": 3, "random_state": 0, "dtype": "float64"}


def _digits():
    X, y = load_digits(return_X_y=True)
    return X[:301] / 16, y[:301]


def _diabetes():
    X, y = load_diabetes(return_X_y=True)
    return scale(X), scale(y)


def _weighted():
    X, y = _digits()
    return X, y, np.random.default_rng(0).random(len(y))


def _sparse():
    X, y = _digits()
    return scipy.sparse.csr_array(np.where(X > 0.95, X, 0)), y


class Looker(Callback):
    """Checks that callbacks see the rows that belong together."""

    def on_batch_end(self, net, batch, training, loss, y_pred, **kwargs):
        X, y = batch
        assert len(X) == len(y) == len(y_pred)

    def on_grad_computed(self, net, named_parameters, batch, training, **kwargs):
        assert len(batch[0]) == len(batch[1])


# name -> estimator, data; fitted by one process and by two
FITS = {
    "adam": (MLPClassifier(**SMALL), _digits),
    "float32": (MLPClassifier(**{**SMALL, "dtype": "float32"}), _digits),
    "sgd": (MLPRegressor(**SMALL, solver="sgd", gradient_clip=0.1), _diabetes),
    "elastic net": (MLPClassifier(**SMALL, alpha=1.0, l1_ratio=0.5), _digits),
    "weights": (MLPClassifier(**SMALL, class_weight="balanced"), _weighted),
    "penalty and weights": (MLPClassifier(**SMALL, alpha=1.0), _weighted),
    "early stopping": (MLPClassifier(**SMALL, early_stopping=True), _digits),
    "members": (MLPClassifier(**SMALL, n_members=3), _digits),
    "autograd": (
        MLPClassifier(**SMALL, activation="maxout", normalization="layer"),
        _digits,
    ),
    "batches of one row": (
        MLPClassifier(**{**SMALL, "max_iter": 1}, batch_size=1),
        lambda: [part[:40] for part in _digits()],
    ),
    "lbfgs": (MLPRegressor(**SMALL, solver="lbfgs"), _diabetes),
    "a closure": (MLPClassifier(**SMALL, solver=torch.optim.LBFGS), _digits),
    "vsgd": (MLPClassifier(**SMALL, solver="vsgd"), _digits),
    "a schedule": (MLPClassifier(**SMALL, learning_rate="cosine"), _digits),
    "sparse": (MLPClassifier(**SMALL), _sparse),
    "watched": (MLPClassifier(**SMALL, callbacks=[Looker()]), _digits),
    "columns": (
        MLPRegressor(**SMALL, numerical_scaling="standard", target_scaling="standard"),
        _diabetes,
    ),
}


def found_in(model, X):
    """List what two fits are compared by."""
    curves = model.loss_curve_ if hasattr(model, "loss_curve_") else [model.loss_]
    scores = getattr(model, "validation_scores_", None) or []
    return {
        "flat": model.net_.module_.flat.numpy().copy(),
        "curve": np.array([*curves, *scores, model.loss_, model.n_iter_]),
        "outputs": model._outputs(X),
    }


def error_of(call):
    """Return the text of the ValueError that a call raises."""
    try:
        call()
    except ValueError as error:
        return str(error)
    return None


def further(accelerator, folder):
    """List what has no counterpart in one process, or is compared elsewhere."""
    X, y = _digits()
    rank = accelerator.process_index
    model = MLPClassifier(**SMALL, accelerator=accelerator)
    found = {}
    parts = clone(model)
    for own in (slice(0, 150), slice(150, None)):
        parts.partial_fit(X[own], y[own], classes=range(10))
    found["partial fit"] = found_in(parts, X)
    free = clone(model).set_params(random_state=None)
    found["no random state"] = found_in(free.fit(X, y), X)
    noisy = clone(model).set_params(dropout=0.5, max_iter=60).fit(X, y)
    found["dropout"] = found_in(noisy, X)
    found["dropout's score"] = noisy.score(X, y)
    seeds = model.set_params(dropout=0.5).fit(X, y).net_.module_.generator
    found["generator"] = seeds.initial_seed()
    model.set_params(dropout=0.0)
    grid = {"alpha": [1e-3, 1.0]}
    for search in (GridSearchCV, BatchedGridSearchCV):
        searched = search(model, grid, cv=2).fit(X, y)
        found[search.__name__] = searched.cv_results_["mean_test_score"]
    checkpoint = Checkpoint(folder / f"checkpoint {rank}", every=1)
    watched = clone(model).set_params(callbacks=[checkpoint])
    found["checkpoint"] = found_in(watched.fit(X, y), X)
    found["pickle"] = pickle.dumps(clone(model).fit(X, y))
    found["other rows"] = error_of(lambda: clone(model).fit(X + rank, y + rank))
    order = np.random.default_rng(rank).permutation(len(y))
    found["other order"] = error_of(lambda: clone(model).fit(X[order], y[order]))
    other = clone(model).set_params(random_state=rank)
    found["other weights"] = error_of(lambda: other.fit(X, y))
    mixing = clone(model).set_params(normalization="batch")
    found["batch normalization"] = error_of(lambda: mixing.fit(X, y))
    return found


def main(folder):
    """Fit everything, and write what was found."""
    warnings.simplefilter("ignore", ConvergenceWarning)
    accelerator = Accelerator(cpu=True)
    found = {}
    for name, (model, data) in FITS.items():
        X, *targets = data()
        model = clone(model).set_params(accelerator=accelerator)
        found[name] = found_in(model.fit(X, *targets), X)
    found.update(further(accelerator, folder))
    path = folder / f"{accelerator.process_index}.pickle"
    path.write_bytes(pickle.dumps(found))
    accelerator.end_training()
    os._exit(0)  # in an exit in order, one in twenty, threads of torch abort


if __name__ == "__main__":
    main(Path(sys.argv[1]))
