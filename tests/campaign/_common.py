"""What the campaigns share."""

import functools
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np


@dataclass
class Outcome:
    """What a campaign has tried, and what went wrong.

    Parameters
    ----------
    n_tried : int
        Number of bad inputs, faults or relations that were tried.
    wrong : list of str
        A line for each wrong behaviour.
    notes : dict of str to float
        Figures worth a place in the table, such as a slope.
    """

    n_tried: int = 0
    wrong: list[str] = field(default_factory=list)
    notes: dict[str, float] = field(default_factory=dict)

    def check(self, is_right: bool, text: str) -> None:
        """Count a trial; keep its text if it went wrong."""
        self.n_tried += 1
        if not is_right:
            self.wrong.append(text)


@dataclass(frozen=True)
class Campaign:
    """A row of the table: its kind, function, and sizes.

    The kind is "bad inputs", "faults" or "relations"; the function is called with the
    size and an empty folder, and returns an `Outcome`.
    """

    kind: str
    run: Callable
    n_short: int
    n_full: int


def quiet(function):
    """Let a function warn nobody."""

    @functools.wraps(function)
    def call(*args):
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            return function(*args)

    return call


def outputs_of(model, data):
    """What a fitted estimator predicts: probabilities, where it has them."""
    names = ("predict_proba", "decision_function", "predict")
    return next(getattr(model, name) for name in names if hasattr(model, name))(data)
