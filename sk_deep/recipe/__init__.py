"""The recipe of deep learning: a diagnosis, and what to try next."""

from sk_deep.recipe._diagnosis import Diagnosis, Verdict, diagnose
from sk_deep.recipe._measure import Measurements, Scores
from sk_deep.recipe._moves import MOVES, Facts, Move, Suggestion
from sk_deep.recipe._rules import RULES

__all__ = [
    "MOVES",
    "RULES",
    "Diagnosis",
    "Facts",
    "Measurements",
    "Move",
    "Scores",
    "Suggestion",
    "Verdict",
    "diagnose",
]
