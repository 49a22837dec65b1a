"""Learning-rate schedules: one row each in `SCHEDULES`.

A schedule is a pure function of the progress of training. It returns the factor on the
initial learning rate.
"""

import inspect
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from numbers import Integral, Real
from typing import Any, NamedTuple

from sk_deep._compat import Interval


class Progress(NamedTuple):
    """The progress of training.

    Parameters
    ----------
    epoch : int
        Finished epochs.
    n_samples : int
        Training samples seen.
    fraction : float
        Finished fraction of `max_iter` epochs, in [0, 1].
    next_fraction : float
        The fraction after the next batch.
    """

    epoch: int
    n_samples: int
    fraction: float
    next_fraction: float


def _constant(progress: Progress) -> float:
    return 1.0


def _invscaling(progress: Progress, *, power_t: float) -> float:
    return 1 / (progress.n_samples + 1) ** power_t


def _inverse_sqrt(progress: Progress) -> float:
    return 1 / math.sqrt(progress.epoch + 1)


def _inverse_time(progress: Progress) -> float:
    return 1 / (progress.epoch + 1)


def _step(progress: Progress, *, gamma: float = 0.1, every: int = 30) -> float:
    return gamma ** (progress.epoch // every)


def _exponential(progress: Progress, *, gamma: float = 0.95) -> float:
    return gamma**progress.epoch


def _cosine(progress: Progress, *, final: float = 0.0) -> float:
    return _anneal(1.0, final, progress.fraction)


def _one_cycle(
    progress: Progress,
    *,
    peak: float = 0.3,
    initial: float = 1 / 25,
    final: float = 1 / 250_000,
) -> float:
    if progress.fraction < peak:
        return _anneal(initial, 1.0, progress.fraction / peak)
    return _anneal(1.0, final, (progress.fraction - peak) / (1 - peak))


def _anneal(start: float, end: float, fraction: float) -> float:
    """Interpolate between `start` and `end` by half a cosine."""
    return end + (start - end) * (1 + math.cos(math.pi * fraction)) / 2


@dataclass(frozen=True)
class Schedule:
    """A row of `SCHEDULES`.

    Parameters
    ----------
    factor : callable
        Function of `Progress` and keyword parameters that returns the factor on the
        initial rate.
    summary, source : str
        The factor in words, and a reference.
    use : str, default=""
        When to use it.
    per_batch : bool, default=False
        Whether the rate changes after every batch, instead of every epoch.
    reduces_on_plateau : bool, default=False
        Whether training divides the rate by 5 and continues when the loss stops
        improving.
    takes_power_t : bool, default=False
        Whether the estimator's `power_t` is a parameter of the factor.
    counts_rows : bool, default=False
        Whether the factor depends on the number of rows seen.
    constraints : mapping from str to list, default={}
        Names that `schedule_params` may hold beside `WARMUP`, with scikit-learn's
        constraints on their values.
    """

    factor: Callable[..., float]
    summary: str
    source: str
    use: str = ""
    per_batch: bool = False
    reduces_on_plateau: bool = False
    takes_power_t: bool = False
    counts_rows: bool = False
    constraints: Mapping[str, list] = field(default_factory=dict)


_FACTOR = [Interval(Real, 0, 1, closed="right")]
_END = [Interval(Real, 0, 1, closed="both")]

SCHEDULES: dict[str, Schedule] = {
    "constant": Schedule(
        _constant,
        "1",
        'L. Bottou, F. Curtis and J. Nocedal, "Optimization methods for large-scale'
        ' machine learning", SIAM Review 2018, sec. 4.2.',
        use="With adaptive solvers and early stopping, and while other parameters are "
        "not yet chosen.",
    ),
    "invscaling": Schedule(
        _invscaling,
        "1 / (t + 1)^power_t, where t is the number of rows seen",
        'F. Pedregosa and 15 others, "Scikit-learn: machine learning in Python", JMLR'
        " 2011.",
        use="To reproduce scikit-learn's results. The rate falls fast, as it counts "
        "rows.",
        takes_power_t=True,
        counts_rows=True,
    ),
    "adaptive": Schedule(
        _constant,
        "divided by 5 each time the loss stops improving",
        'A. Krizhevsky, I. Sutskever and G. Hinton, "ImageNet classification with deep'
        ' convolutional neural networks", NIPS 2012, sec. 5.',
        use="With sgd, if the length of training is not known in advance.",
        reduces_on_plateau=True,
    ),
    "inverse_sqrt": Schedule(
        _inverse_sqrt,
        "1 / sqrt(t + 1), where t is the number of finished epochs",
        'M. Zinkevich, "Online convex programming and generalized infinitesimal'
        ' gradient ascent", ICML 2003, thm. 1.',
        use="For long training of unknown length: the rate falls slowly.",
    ),
    "inverse_time": Schedule(
        _inverse_time,
        "1 / (t + 1), where t is the number of finished epochs",
        'H. Robbins and S. Monro, "A stochastic approximation method", Annals of'
        " Mathematical Statistics 1951.",
        use="For convex problems, for which theory recommends it. Often too fast for "
        "deep networks.",
    ),
    "step": Schedule(
        _step,
        "gamma^(t // every), where t is the number of finished epochs",
        'K. He, X. Zhang, S. Ren and J. Sun, "Deep residual learning for image'
        ' recognition", CVPR 2016, sec. 3.4.',
        use="If you know when the loss levels off.",
        constraints={
            "gamma": _FACTOR,
            "every": [Interval(Integral, 1, None, closed="left")],
        },
    ),
    "exponential": Schedule(
        _exponential,
        "gamma^t, where t is the number of finished epochs",
        'A. Senior, G. Heigold, M. Ranzato and K. Yang, "An empirical study of learning'
        ' rates in deep neural networks for speech recognition", ICASSP 2013.',
        use="Like step, but smooth.",
        constraints={"gamma": _FACTOR},
    ),
    "cosine": Schedule(
        _cosine,
        "half a cosine from 1 to final, over max_iter epochs",
        'I. Loshchilov and F. Hutter, "SGDR: stochastic gradient descent with warm'
        ' restarts", ICLR 2017, eq. 5 without restarts.',
        use="The first to try if max_iter is the budget: the rate ends near 0, and "
        "nothing else needs to be chosen.",
        per_batch=True,
        constraints={"final": _END},
    ),
    "one_cycle": Schedule(
        _one_cycle,
        "from initial up to 1 after the fraction peak of max_iter epochs, then down to"
        " final",
        'L. Smith and N. Topin, "Super-convergence: very fast training of neural'
        ' networks using large learning rates", SPIE 2019; annealed by cosines.',
        use="For few epochs and a large rate; it includes a warm-up. Use it with sgd "
        "and momentum, or with adamw.",
        per_batch=True,
        constraints={
            "peak": [Interval(Real, 0, 1, closed="neither")],
            "initial": _END,
            "final": _END,
        },
    ),
}

INERT_SCHEDULE = "constant"

# legal with every schedule of a first-order solver
WARMUP: dict[str, list] = {"warmup": [Interval(Real, 0, 1, closed="left")]}


def get_schedule(
    learning_rate: str | Callable[[float], float], *, warmup: float = 0.0, **params
) -> Schedule:
    """Bind a schedule's parameters.

    Parameters
    ----------
    learning_rate : str or callable
        Key of `SCHEDULES`, or a function of the finished fraction of training that
        returns the factor on the initial rate.
    warmup : float, default=0.0
        Fraction of training in which the factor is multiplied by a ramp from 0 to 1
        (P. Goyal et al., "Accurate, large minibatch SGD", arXiv 2017, sec. 2.2).
    **params : dict
        Parameters of the schedule.

    Returns
    -------
    schedule : Schedule
        The row, with a `factor` that is a function of `Progress` alone.
    """
    if callable(learning_rate):
        row = Schedule(
            lambda progress: learning_rate(progress.fraction),
            "a user's schedule",
            inspect.getdoc(learning_rate) or "",
            per_batch=True,
        )
    else:
        row = SCHEDULES[learning_rate]

    factor = _Factor(learning_rate, row.factor, params, warmup)
    return replace(row, factor=factor, per_batch=row.per_batch or bool(warmup))


@dataclass(frozen=True)
class _Factor:
    """A factor with its parameters bound, compared by value."""

    learning_rate: str | Callable[[float], float]
    factor: Callable[..., float]
    params: Mapping[str, Any]
    warmup: float

    def __call__(self, progress: Progress) -> float:
        value = self.factor(progress, **self.params)
        if not isinstance(value, Real) or not 0 <= value < math.inf:
            raise ValueError(
                "learning_rate must return finite factors >= 0 on the rate, got "
                f"{value!r} from {self.learning_rate!r} at {progress}."
            )
        if self.warmup:
            return value * min(1.0, progress.next_fraction / self.warmup)
        return float(value)
