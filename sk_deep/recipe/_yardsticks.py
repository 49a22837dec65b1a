"""What a network is measured against: a constant, a linear model, a plain network."""

import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, TransformerMixin, clone, is_classifier
from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.linear_model import LogisticRegression, RidgeCV
from sklearn.model_selection import cross_validate
from sklearn.pipeline import make_pipeline
from sklearn.utils.multiclass import type_of_target

from sk_deep._compat import num_samples
from sk_deep._data.columns import reads_columns
from sk_deep._estimator.finding import replace_network
from sk_deep._estimator.inputs import check_inputs, fit_columns

_PLAIN = {"hidden_layer_sizes": (128,), "max_iter": 100}


def constant_model(mlp: Any) -> Any:
    """Build the model that predicts a constant, of a network's kind."""
    return DummyClassifier() if is_classifier(mlp) else DummyRegressor()


def linear_model(mlp: Any, y: Any) -> Any:
    """Build the linear model of a network's kind and of targets y."""
    if not is_classifier(mlp):
        return RidgeCV(alphas=np.logspace(-3, 3, 7))
    if type_of_target(y) == "multilabel-indicator":  # the same, label by label
        found = type(mlp)(hidden_layer_sizes=(), device="cpu")
        return found.set_params(solver="lbfgs", alpha=1.0, max_iter=500)
    return LogisticRegression(max_iter=500)


def plain_network(mlp: Any) -> Any:
    """Build a plain network of a network's kind and loss."""
    names = ["random_state", "device", "dtype"]
    if not is_classifier(mlp):
        names += ["loss", "loss_params"]
    same = {name: getattr(mlp, name) for name in names}
    return type(mlp)(**same).set_params(**_PLAIN)


class Columns(TransformerMixin, BaseEstimator):
    """What a network makes of the columns of a table, without learned embeddings.

    Parameters
    ----------
    mlp : MLPClassifier or MLPRegressor
        The network.
    """

    def __init__(self, mlp: Any) -> None:
        self.mlp = mlp

    def fit(self, X: Any, y: Any = None) -> "Columns":
        """Learn how to encode the columns."""
        self.network_ = clone(self.mlp).set_params(max_one_hot=num_samples(X))
        fit_columns(self.network_, X)
        return self

    def transform(self, X: Any) -> NDArray:
        """Encode the columns."""
        return check_inputs(self.network_, X)


def columns(mlp: Any) -> list[Columns]:
    """List the step that encodes a table in the network's place, if it does."""
    return [Columns(mlp)] if reads_columns(mlp) else []


def training_scores(
    estimator: Any, mlp: Any, y: Any, evaluate: dict[str, Any]
) -> dict[str, float]:
    """Score a linear and a constant model in a network's place, on the training rows.

    Parameters
    ----------
    estimator : estimator
        The network, or a pipeline that ends in one; the steps before it stay.
    mlp : MLPClassifier or MLPRegressor
        The network.
    y : array-like
        Targets.
    evaluate : dict
        Arguments of scikit-learn's `cross_validate`.

    Returns
    -------
    scores : dict of str to float
        Of "linear" and "constant"; nan if the scorer fails on one.
    """
    models = {"linear": linear_model(mlp, y), "constant": constant_model(mlp)}
    found = {}
    for name, model in models.items():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # how a yardstick is made is not our matter
            try:
                model = make_pipeline(*columns(mlp), model)
                model = replace_network(estimator, model)
                scores = cross_validate(model, y=y, return_train_score=True, **evaluate)
                found[name] = float(np.mean(scores["train_score"]))
            except ValueError:  # all fits fail, as scikit-learn puts it
                found[name] = np.nan
    return found
