"""The recipe of deep learning: a diagnosis, and what to try next."""

from sk_deep.recipe._diagnosis import Diagnosis, Verdict, diagnose
from sk_deep.recipe._measure import Measurements, Scores
from sk_deep.recipe._moves import MOVES, Facts, Move, Suggestion
from sk_deep.recipe._path import Decision
from sk_deep.recipe._rules import RULES
from sk_deep.recipe._search import RecipeSearchCV

__all__ = [
    "MOVES",
    "RULES",
    "Decision",
    "Diagnosis",
    "Facts",
    "Measurements",
    "Move",
    "RecipeSearchCV",
    "Scores",
    "Suggestion",
    "Verdict",
    "diagnose",
]
