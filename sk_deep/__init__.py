"""Deep learning as scikit-learn estimators."""

from sk_deep._classifier import MLPClassifier
from sk_deep._regressor import MLPRegressor
from sk_deep.recipe import Diagnosis, diagnose
from sk_deep.search import BatchedGridSearchCV, BatchedRandomizedSearchCV

__version__ = "0.1.0"

__all__ = [
    "BatchedGridSearchCV",
    "BatchedRandomizedSearchCV",
    "Diagnosis",
    "MLPClassifier",
    "MLPRegressor",
    "diagnose",
]
