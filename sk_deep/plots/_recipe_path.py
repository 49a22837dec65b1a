"""Display of a search along the recipe: scores, decision by decision."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from sk_deep.plots._style import (
    COLORS,
    LINE_STYLES,
    MARKERS,
    check_matplotlib,
    give_title,
    one_axes,
    put_legend,
)

_WIDTH = 0.45  # inches of a decision, in a figure of its own
_HEIGHT = 4.2


class RecipePathDisplay:
    """Training and validation scores along the path of a `RecipeSearchCV`.

    It is recommended to use :meth:`from_estimator` to make one. All parameters are
    stored as attributes.

    Parameters
    ----------
    labels : sequence of str
        Names of the moves, in order; the first is the start.

    kept : array-like of shape (n_moves,)
        Whether the best candidate of a move was kept.

    training_score, training_std : array-like of shape (n_moves,)
        Scores of the best candidate of each move on the training rows, mean and
        standard deviation over the folds.

    validation_score, validation_std : array-like of shape (n_moves,)
        The same on the rows held out.

    score_name : str, default="score"
        What the scores are called.

    Attributes
    ----------
    ax_ : Axes
        The axes.

    figure_ : Figure
        The figure.

    lines_ : list of Line2D
        The scores held after each move, on the training rows and on those held out.

    See Also
    --------
    sk_deep.RecipeSearchCV : The search.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sk_deep import MLPClassifier, RecipeSearchCV
    >>> from sk_deep.plots import RecipePathDisplay
    >>> X, y = load_iris(return_X_y=True)
    >>> network = MLPClassifier(8, max_iter=5, random_state=0)
    >>> search = RecipeSearchCV(network, budget=12, cv=2, random_state=0).fit(X, y)
    >>> display = RecipePathDisplay.from_estimator(search)
    >>> display.labels[0]
    'start'
    """

    def __init__(
        self,
        labels: Sequence[str],
        kept: ArrayLike,
        training_score: ArrayLike,
        training_std: ArrayLike,
        validation_score: ArrayLike,
        validation_std: ArrayLike,
        *,
        score_name: str = "score",
    ) -> None:
        self.labels = labels
        self.kept = kept
        self.training_score = training_score
        self.training_std = training_std
        self.validation_score = validation_score
        self.validation_std = validation_std
        self.score_name = score_name

    @classmethod
    def from_estimator(cls, search: Any, *, ax: Any = None) -> "RecipePathDisplay":
        """Draw the path of a fitted search.

        Parameters
        ----------
        search : RecipeSearchCV
            The fitted search.

        ax : Axes, default=None
            Where to draw, see :meth:`plot`.

        Returns
        -------
        display : RecipePathDisplay
            The display.

        Raises
        ------
        ValueError
            If the search is of another kind, or not fitted.
        """
        check_matplotlib(f"{cls.__name__}.from_estimator")
        if not hasattr(search, "path_"):
            raise ValueError(f"search must be a fitted RecipeSearchCV, got {search!r}.")
        moves = [decision for decision in search.path_ if decision.tried]
        scores = np.array([move.after for move in moves], dtype=float).T
        kept = np.array([move.kept is not None for move in moves])
        name = search.scoring if isinstance(search.scoring, str) else "score"
        labels = [move.title.lower() for move in moves]
        return cls(labels, kept, *scores, score_name=name).plot(ax)

    def plot(self, ax: Any = None) -> "RecipePathDisplay":
        """Draw the path.

        Parameters
        ----------
        ax : Axes, default=None
            Where to draw; None is a new figure.

        Returns
        -------
        self : RecipePathDisplay
            The display itself.

        Raises
        ------
        ImportError
            If matplotlib is missing.
        """
        check_matplotlib(f"{type(self).__name__}.plot")
        is_new = ax is None
        self.ax_ = one_axes(ax)
        self.figure_ = self.ax_.figure
        if is_new:
            self.figure_.set_size_inches(3 + _WIDTH * len(self.labels), _HEIGHT)
        rows = (
            ("training", self.training_score, self.training_std),
            ("validation", self.validation_score, self.validation_std),
        )
        self.lines_ = [self._draw(i, *row) for i, row in enumerate(rows)]
        self.ax_.set_xticks(range(len(self.labels)), self.labels, rotation=60)
        for label in self.ax_.get_xticklabels():
            label.set(ha="right", rotation_mode="anchor")
        self.ax_.set_xlabel("best of each move, filled if it was kept")
        self.ax_.set_ylabel(self.score_name.replace("_", " "))
        give_title(self.ax_, "Path along the recipe")
        put_legend(self.ax_)
        return self

    def _draw(self, i: int, name: str, scores: ArrayLike, deviations: ArrayLike) -> Any:
        scores, deviations = np.asarray(scores), np.asarray(deviations)
        places, kept = np.arange(len(scores)), np.asarray(self.kept, dtype=bool)
        last = np.maximum.accumulate(np.where(kept, places, 0))
        held, spread = scores[last], deviations[last]
        color = COLORS[i]
        (line,) = self.ax_.plot(
            places,
            held,
            LINE_STYLES[i],
            color=color,
            drawstyle="steps-post",
            label=name,
        )
        band = {"color": color, "alpha": 0.15, "step": "post", "linewidth": 0}
        self.ax_.fill_between(places, held - spread, held + spread, **band)
        shape = {"marker": MARKERS[i + 1], "linestyle": "none", "color": color}
        self.ax_.plot(places[kept], scores[kept], **shape)
        self.ax_.plot(places[~kept], scores[~kept], **shape, fillstyle="none")
        return line
