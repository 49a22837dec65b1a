"""Yardsticks for a network: a constant, a linear model and a plain network."""

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
    """Build a model that predicts a constant, for the task of an estimator."""
    return DummyClassifier() if is_classifier(mlp) else DummyRegressor()


def linear_model(mlp: Any, y: Any) -> Any:
    """Build a linear model for the task of an estimator and for targets y."""
    if not is_classifier(mlp):
        return RidgeCV(alphas=np.logspace(-3, 3, 7))
    if type_of_target(y) == "multilabel-indicator":  # the same, label by label
        model = type(mlp)(hidden_layer_sizes=(), device="cpu")
        return model.set_params(solver="lbfgs", alpha=1.0, max_iter=500)
    return LogisticRegression(max_iter=500)


def plain_network(mlp: Any) -> Any:
    """Build a plain network for the task of an estimator, with its loss."""
    names = ["random_state", "device", "dtype"]
    if not is_classifier(mlp):
        names += ["loss", "loss_params"]
    same = {name: getattr(mlp, name) for name in names}
    return type(mlp)(**same).set_params(**_PLAIN)


class Columns(TransformerMixin, BaseEstimator):
    """Encode the columns of a table as an estimator does, without learned embeddings.

    Parameters
    ----------
    mlp : MLPClassifier or MLPRegressor
        The estimator of this package.
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
    """List the step that encodes a table, if the estimator encodes it."""
    return [Columns(mlp)] if reads_columns(mlp) else []


def training_scores(
    estimator: Any, mlp: Any, y: Any, evaluate: dict[str, Any]
) -> dict[str, float]:
    """Score a linear and a constant model in the place of `mlp`, on the training rows.

    Parameters
    ----------
    estimator : estimator
        Where `mlp` is the last step, or `mlp` itself; the steps before it stay.
    mlp : MLPClassifier or MLPRegressor
        The estimator of this package.
    y : array-like
        Targets.
    evaluate : dict
        Arguments of scikit-learn's `cross_validate`.

    Returns
    -------
    scores : dict of str to float
        Scores of "linear" and "constant"; nan if the scorer fails.
    """
    models = {"linear": linear_model(mlp, y), "constant": constant_model(mlp)}
    training = {}
    for name, model in models.items():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of yardsticks, not of the estimator
            try:
                model = make_pipeline(*columns(mlp), model)
                model = replace_network(estimator, model)
                scores = cross_validate(model, y=y, return_train_score=True, **evaluate)
                training[name] = float(np.mean(scores["train_score"]))
            except ValueError:  # all fits failed
                training[name] = np.nan
    return training
