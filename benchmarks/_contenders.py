"""Who competes: scikit-learn, plain skorch, a loop in torch, and sk_deep.

All fit networks of equal shape to equal data, for an equal number of epochs and with
equal settings, and return a model with ``predict_proba``.
"""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from sklearn.neural_network import MLPClassifier as SklearnMLPClassifier
from skorch import NeuralNetClassifier
from torch import nn
from torch.nn import functional as F

from sk_deep import MLPClassifier

ALPHA = 1e-4  # scikit-learn's default penalty; all sides carry it
LEARNING_RATE = 1e-3


@dataclass(frozen=True)
class Shape:
    """A network, its batch size, and how long to train it."""

    layers: tuple[int, ...]
    batch_size: int
    steps_per_epoch: int
    epochs: int

    @property
    def name(self):
        return f"{'-'.join(map(str, self.layers))} @ {self.batch_size}"

    @property
    def n_steps(self):
        return self.epochs * self.steps_per_epoch

    @property
    def n_parameters(self):
        return sum((n_in + 1) * n_out for n_in, n_out in pairwise(self.layers))

    def make_data(self):
        """Return X in float64, and y, which a noisy linear teacher gave."""
        rng = np.random.RandomState(0)
        rows = self.batch_size * self.steps_per_epoch
        X = rng.standard_normal((rows, self.layers[0]))
        teacher = rng.standard_normal((self.layers[0], self.layers[-1]))
        y = (X @ teacher + rng.standard_normal((rows, self.layers[-1]))).argmax(axis=1)
        return X, y


# --------------------------------------------------------------------------------------
# Ways to fit
# --------------------------------------------------------------------------------------
def parameters(shape):
    """Return what both MLPClassifiers are given."""
    return {
        "hidden_layer_sizes": shape.layers[1:-1],
        "alpha": ALPHA,
        "batch_size": shape.batch_size,
        "learning_rate_init": LEARNING_RATE,
        "max_iter": shape.epochs,
        "n_iter_no_change": np.inf,  # every side runs all its epochs
        "random_state": 0,
    }


def fit_sklearn(shape, X, y):
    """Fit scikit-learn's MLPClassifier, which computes in the dtype of X."""
    return SklearnMLPClassifier(**parameters(shape)).fit(X, y)


def fit_sk_deep(shape, X, y, device="cpu", **further):
    """Fit sk_deep's MLPClassifier."""
    return MLPClassifier(**parameters(shape), device=device, **further).fit(X, y)


class TorchModel(nn.Sequential):
    """The layers as a beginner's book has them."""

    def __init__(self, sizes, dropout=0.0):
        layers = []
        for n_in, n_out in pairwise(sizes):
            layers += [nn.Linear(n_in, n_out), nn.ReLU()]
            layers += [nn.Dropout(dropout)] if dropout else []
        super().__init__(*layers[: -2 if dropout else -1])

    def predict_proba(self, X):
        """Compute all rows at once, with nothing around it: a floor."""
        with torch.inference_mode():
            return self(torch.from_numpy(X)).softmax(dim=1).numpy()


def fit_torch(shape, X, y, device="cpu", dropout=0.0):
    """Fit the layers by a loop that indexes whole batches."""
    X, y = torch.from_numpy(X).to(device), torch.from_numpy(y).to(device)
    model = TorchModel(shape.layers, dropout).to(device)
    optimizer = torch.optim.Adam(
        model.parameters(),
        lr=LEARNING_RATE,
        weight_decay=ALPHA / shape.batch_size,
        fused=True,
    )
    for _ in range(shape.epochs):
        for rows in torch.randperm(len(X), device=device).split(shape.batch_size):
            loss = F.cross_entropy(model(X[rows]), y[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return model.eval()


def fit_skorch(shape, X, y, device="cpu"):
    """Fit skorch as its documentation shows it, with its own DataLoader."""
    net = NeuralNetClassifier(
        TorchModel(shape.layers),
        criterion=nn.CrossEntropyLoss,
        optimizer=torch.optim.Adam,
        optimizer__weight_decay=ALPHA / shape.batch_size,
        lr=LEARNING_RATE,
        max_epochs=shape.epochs,
        batch_size=shape.batch_size,
        iterator_train__shuffle=True,
        train_split=None,
        callbacks__print_log=None,
        verbose=0,
        device=device,
    )
    return net.fit(X, y)


# --------------------------------------------------------------------------------------
# The contenders
# --------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Contender:
    """A way to fit, and the dtype of the X that it is fed."""

    fit: Callable
    dtype: type = np.float32


CONTENDERS = {
    "sklearn f64": Contender(fit_sklearn, np.float64),
    "sklearn f32": Contender(fit_sklearn),
    "skorch f32": Contender(fit_skorch),
    "torch f32": Contender(fit_torch),
    "sk_deep f64": Contender(
        functools.partial(fit_sk_deep, dtype="float64"), np.float64
    ),
    "sk_deep f32": Contender(functools.partial(fit_sk_deep, dtype="float32")),
    "sk_deep auto": Contender(functools.partial(fit_sk_deep, dtype="auto"), np.float64),
    "sk_deep f64 to f32": Contender(
        functools.partial(fit_sk_deep, dtype="float32"), np.float64
    ),
}


def fits(shape, contenders):
    """Return a call for each contender, which fits it."""
    X, y = shape.make_data()
    data = {np.float64: X, np.float32: X.astype(np.float32)}
    return {
        name: functools.partial(contender.fit, shape, data[contender.dtype], y)
        for name, contender in contenders.items()
    }
