"""The decisions of a search along the recipe, in order."""

from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np


class MeanScores(NamedTuple):
    """Mean scores over the folds, and their standard deviations.

    Parameters
    ----------
    training, training_std : float
        Scores on the training rows.
    validation, validation_std : float
        Scores on the validation rows.
    """

    training: float
    training_std: float
    validation: float
    validation_std: float


NO_SCORES = MeanScores(np.nan, np.nan, np.nan, np.nan)


@dataclass(frozen=True)
class Decision:
    """A step of the path: a question, the candidates, their scores, the choice.

    Parameters
    ----------
    question : str
        The question of the step: "training" or "testing".
    move : str
        Key of `MOVES`, the table of moves; or "start", "training" and "testing" for the
        answers to the questions, "refinement", and "end".
    title : str
        The move's name in running text.
    sentence : str
        What to do and why.
    text : str
        The result and the decision, in a line.
    tried : list of dict
        Parameters of each candidate.
    kept : dict or None
        Parameters of the best candidate if they are kept, otherwise None.
    before : MeanScores
        Scores of the parameters before the step.
    after : MeanScores
        Scores of the best candidate.
    n_fits : int
        Number of fits up to this step.
    """

    question: str
    move: str
    title: str
    sentence: str
    text: str
    tried: list[dict[str, Any]] = field(default_factory=list)
    kept: dict[str, Any] | None = None
    before: MeanScores = NO_SCORES
    after: MeanScores = NO_SCORES
    n_fits: int = 0

    def __str__(self) -> str:
        return f"{self.title}{' ' if self.title.endswith('?') else ': '}{self.text}"


class Path(list):
    """List of the decisions, in order; printed, it is a readable text."""

    def __repr__(self) -> str:
        return "\n".join(map(str, self))


def write_parameters(parameters: dict[str, Any], prefix: str = "") -> str:
    """Write parameters as ``name=value``, without a prefix.

    Parameters
    ----------
    parameters : dict of str to object
        The parameters.
    prefix : str, default=""
        Prefix to remove from their names.

    Returns
    -------
    text : str
        The text.
    """
    pairs = [f"{n.removeprefix(prefix)}={v!r}" for n, v in sorted(parameters.items())]
    return ", ".join(pairs) or "the estimator as it is"


def write_scores(after: MeanScores, before: MeanScores) -> str:
    """Write both scores and their changes.

    Parameters
    ----------
    after, before : MeanScores
        The scores.

    Returns
    -------
    text : str
        The text.
    """
    if np.isnan(after.validation):
        return "no score: the training diverges or fails"
    texts = []
    for name in ("training", "validation"):
        new, old = getattr(after, name), getattr(before, name)
        change = "" if np.isnan(old) else f" ({new - old:+.3f})"
        texts.append(f"{name} {new:.3f}{change}")
    return ", ".join(texts)
