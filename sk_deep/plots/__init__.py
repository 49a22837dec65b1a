"""Pictures of trained networks, as scikit-learn's Display objects.

Each class takes what it draws as plain arrays; its class methods take them from a
fitted estimator, a pipeline that ends in one, or a fitted search. The pictures need
matplotlib: ``pip install "sk_deep[plot]"``.
"""

from sk_deep.plots._activation import ActivationDisplay
from sk_deep.plots._diagnosis import DiagnosisDisplay
from sk_deep.plots._gradient_flow import GradientFlowDisplay
from sk_deep.plots._loss_curve import LossCurveDisplay
from sk_deep.plots._weights import WeightDisplay

__all__ = [
    "ActivationDisplay",
    "DiagnosisDisplay",
    "GradientFlowDisplay",
    "LossCurveDisplay",
    "WeightDisplay",
]
