"""The recipe of deep learning: what is wrong with a network, and what to do next."""

from sk_deep.recipe._moves import Suggestion
from sk_deep.recipe._search import RecipeSearchCV

__all__ = ["RecipeSearchCV", "Suggestion"]
