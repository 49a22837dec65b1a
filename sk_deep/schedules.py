"""Learning-rate schedules: one row each in `SCHEDULES`.

A schedule is a pure function of the training's progress that gives the factor on the
initial rate.
"""

import inspect
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from numbers import Integral, Real
from typing import Any, NamedTuple

from sk_deep._compat import Interval


class Progress(NamedTuple):
    """How far training has come.

    Parameters
    ----------
    epoch : int
        Finished epochs.
    n_samples : int
        Training samples seen.
    fraction : float
        Part of the longest training, of `max_iter` epochs, that is done, in [0, 1].
    next_fraction : float
        The same after the coming batch.
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
    """Go from `start` to `end` on half a cosine."""
    return end + (start - end) * (1 + math.cos(math.pi * fraction)) / 2


@dataclass(frozen=True)
class Schedule:
    """A row of `SCHEDULES`.

    Parameters
    ----------
    factor : callable
        Function of `Progress`, and of keyword parameters, that gives the factor on
        the initial rate.
    summary, source : str
        The factor in words, and where it is from.
    use : str, default=""
        When to use it.
    per_batch : bool, default=False
        Whether the rate changes with every batch, else with every epoch.
    reduces_on_plateau : bool, default=False
        Whether training that stands still divides the rate by 5 and goes on.
    takes_power_t : bool, default=False
        Whether the estimator's `power_t` is a parameter of the factor.
    counts_rows : bool, default=False
        Whether the factor depends on the number of rows seen.
    constraints : mapping from str to list, default={}
        Names that `schedule_params` may hold, with scikit-learn's constraints on
        them; those of `WARMUP` come on top.
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
        use="With adaptive solvers and early stopping, and while other choices "
        "are open.",
    ),
    "invscaling": Schedule(
        _invscaling,
        "1 / (t + 1)^power_t, t the rows seen",
        'F. Pedregosa and 15 others, "Scikit-learn: machine learning in Python", JMLR'
        " 2011.",
        use="For scikit-learn's results. The rate falls fast, as it counts rows.",
        takes_power_t=True,
        counts_rows=True,
    ),
    "adaptive": Schedule(
        _constant,
        "divided by 5 whenever training stands still",
        'A. Krizhevsky, I. Sutskever and G. Hinton, "ImageNet classification with deep'
        ' convolutional neural networks", NIPS 2012, sec. 5.',
        use="With sgd, when no other schedule is at hand: it needs no length of "
        "the training.",
        reduces_on_plateau=True,
    ),
    "inverse_sqrt": Schedule(
        _inverse_sqrt,
        "1 / sqrt(t + 1), t the finished epochs",
        'M. Zinkevich, "Online convex programming and generalized infinitesimal'
        ' gradient ascent", ICML 2003, thm. 1.',
        use="For long trainings whose length is open: the rate falls slowly.",
    ),
    "inverse_time": Schedule(
        _inverse_time,
        "1 / (t + 1), t the finished epochs",
        'H. Robbins and S. Monro, "A stochastic approximation method", Annals of'
        " Mathematical Statistics 1951.",
        use="For convex problems, where the theory has it. Often too fast for "
        "deep networks.",
    ),
    "step": Schedule(
        _step,
        "gamma^(t // every), t the finished epochs",
        'K. He, X. Zhang, S. Ren and J. Sun, "Deep residual learning for image'
        ' recognition", CVPR 2016, sec. 3.4.',
        use="Where you know when the loss levels off.",
        constraints={
            "gamma": _FACTOR,
            "every": [Interval(Integral, 1, None, closed="left")],
        },
    ),
    "exponential": Schedule(
        _exponential,
        "gamma^t, t the finished epochs",
        'A. Senior, G. Heigold, M. Ranzato and K. Yang, "An empirical study of learning'
        ' rates in deep neural networks for speech recognition", ICASSP 2013.',
        use="As step, but smooth.",
        constraints={"gamma": _FACTOR},
    ),
    "cosine": Schedule(
        _cosine,
        "half a cosine from 1 to final, over max_iter epochs",
        'I. Loshchilov and F. Hutter, "SGDR: stochastic gradient descent with warm'
        ' restarts", ICLR 2017, eq. 5 without restarts.',
        use="The first to try when max_iter is the budget: it ends at a rate near "
        "0, without further choices.",
        per_batch=True,
        constraints={"final": _END},
    ),
    "one_cycle": Schedule(
        _one_cycle,
        "from initial to 1 at the part peak of max_iter epochs, then down to final",
        'L. Smith and N. Topin, "Super-convergence: very fast training of neural'
        ' networks using large learning rates", SPIE 2019; annealed by cosines.',
        use="For few epochs and a large rate; it brings a warm-up of its own. Use "
        "it with sgd and momentum, or adamw.",
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
        Key of `SCHEDULES`, or a function of the fraction of training that gives the
        factor on the initial rate.
    warmup : float, default=0.0
        Part of the training in which the rate grows in proportion to the fraction of
        it (P. Goyal et al., "Accurate, large minibatch SGD", arXiv 2017, sec. 2.2).
    **params : dict
        Parameters of the row.

    Returns
    -------
    schedule : Schedule
        Whose `factor` is a function of `Progress` alone.
    """
    if callable(learning_rate):
        row = Schedule(
            lambda progress: learning_rate(progress.fraction),
            "a schedule of one's own",
            inspect.getdoc(learning_rate) or "",
            per_batch=True,
        )
    else:
        row = SCHEDULES[learning_rate]

    factor = _Factor(learning_rate, row.factor, params, warmup)
    return replace(row, factor=factor, per_batch=row.per_batch or bool(warmup))


@dataclass(frozen=True)
class _Factor:
    """A factor with its parameters bound; equal to another of equal ones."""

    learning_rate: str | Callable[[float], float]
    factor: Callable[..., float]
    params: Mapping[str, Any]
    warmup: float

    def __call__(self, progress: Progress) -> float:
        value = self.factor(progress, **self.params)
        if not isinstance(value, Real) or not 0 <= value < math.inf:
            raise ValueError(
                "learning_rate must give finite factors >= 0 on the rate, however: "
                f"{value!r} from {self.learning_rate!r} at {progress}."
            )
        if self.warmup:
            return value * min(1.0, progress.next_fraction / self.warmup)
        return float(value)
