"""What simple models reach on the same rows: yardsticks of a network's scores."""

import warnings
from typing import Any

import numpy as np
from sklearn.base import clone
from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import cross_validate
from sklearn.multiclass import OneVsRestClassifier
from sklearn.utils.multiclass import type_of_target


def training_scores(
    estimator: Any, y: Any, is_classifier: bool, evaluate: dict[str, Any]
) -> dict[str, float]:
    """Score a linear and a constant model in a network's place, on the training rows.

    Parameters
    ----------
    estimator : estimator
        The network, or a pipeline that ends in one; the steps before it stay.
    y : array-like
        Targets.
    is_classifier : bool
        Whether they are classes.
    evaluate : dict
        Arguments of scikit-learn's `cross_validate`.

    Returns
    -------
    scores : dict of str to float
        Of "linear" and "constant"; nan if the scorer fails on one.
    """
    models = _models(y) if is_classifier else (Ridge(), DummyRegressor())
    found = {}
    for name, model in zip(("linear", "constant"), models, strict=True):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # how a yardstick is made is not our matter
            try:
                model = _in_place(estimator, model)
                scores = cross_validate(model, y=y, return_train_score=True, **evaluate)
                found[name] = float(np.mean(scores["train_score"]))
            except ValueError:  # all fits fail, as scikit-learn puts it
                found[name] = np.nan
    return found


def _models(y) -> tuple:
    linear = LogisticRegression(max_iter=1000)
    if type_of_target(y).startswith("multilabel"):
        linear = OneVsRestClassifier(linear)
    return linear, DummyClassifier(strategy="prior")


def _in_place(estimator, model):
    """Put a model into the place of the network."""
    if not hasattr(estimator, "steps"):
        return model
    pipeline = clone(estimator)
    name, last = pipeline.steps[-1]
    return pipeline.set_params(**{name: _in_place(last, model)})
