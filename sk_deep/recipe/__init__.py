"""The recipe of deep learning: a diagnosis, and what to try next."""

from sk_deep.recipe._diagnosis import Diagnosis, Verdict, diagnose
from sk_deep.recipe._measure import Measurements, Scores
from sk_deep.recipe._moves import MOVES, Facts, Move, Suggestion

__all__ = [
    "MOVES",
    "Diagnosis",
    "Facts",
    "Measurements",
    "Move",
    "Scores",
    "Suggestion",
    "Verdict",
    "diagnose",
]
