"""Deep learning as scikit-learn estimators."""

from sk_deep._classifier import MLPClassifier
from sk_deep._regressor import MLPRegressor
from sk_deep._tabular import TabularMLPClassifier, TabularMLPRegressor
from sk_deep._version import __version__ as __version__
from sk_deep.export import to_onnx
from sk_deep.persistence import load, save, trusted_types
from sk_deep.recipe import Diagnosis, RecipeSearchCV, diagnose
from sk_deep.search import BatchedGridSearchCV, BatchedRandomizedSearchCV

__all__ = [
    "BatchedGridSearchCV",
    "BatchedRandomizedSearchCV",
    "Diagnosis",
    "MLPClassifier",
    "MLPRegressor",
    "RecipeSearchCV",
    "TabularMLPClassifier",
    "TabularMLPRegressor",
    "diagnose",
    "load",
    "save",
    "to_onnx",
    "trusted_types",
]
