"""Learning-rate schedules: one row each in `SCHEDULES`.

A schedule is a pure function of the training's progress that gives the factor on the
initial rate.
"""

import inspect
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple


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
    per_batch : bool, default=False
        Whether the rate changes with every batch, else with every epoch.
    reduces_on_plateau : bool, default=False
        Whether training that stands still divides the rate by 5 and goes on.
    """

    factor: Callable[..., float]
    per_batch: bool = False
    reduces_on_plateau: bool = False

    def legal_params(self) -> set[str]:
        """Names that `schedule_params` may hold, all but "warmup"."""
        parameters = inspect.signature(self.factor).parameters.values()
        return {p.name for p in parameters if p.kind is p.KEYWORD_ONLY} - {"power_t"}


SCHEDULES: dict[str, Schedule] = {
    "constant": Schedule(_constant),
    # the three of scikit-learn; adaptive is L. Bottou's practice of dividing the rate
    # when the error plateaus, as in A. Krizhevsky, I. Sutskever and G. Hinton,
    # "ImageNet classification with deep convolutional neural networks", NIPS 2012.
    "invscaling": Schedule(_invscaling),
    "adaptive": Schedule(_constant, reduces_on_plateau=True),
    # H. Robbins and S. Monro, "A stochastic approximation method", 1951, for the
    # conditions that the two meet.
    "inverse_sqrt": Schedule(_inverse_sqrt),
    "inverse_time": Schedule(_inverse_time),
    "step": Schedule(_step),
    "exponential": Schedule(_exponential),
    # I. Loshchilov and F. Hutter, "SGDR: stochastic gradient descent with warm
    # restarts", ICLR 2017, eq. 5 without restarts.
    "cosine": Schedule(_cosine, per_batch=True),
    # L. Smith and N. Topin, "Super-convergence", 2018, annealed by cosines.
    "one_cycle": Schedule(_one_cycle, per_batch=True),
}


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
            lambda progress: learning_rate(progress.fraction), per_batch=True
        )
    else:
        row = SCHEDULES[learning_rate]

    def factor(progress: Progress) -> float:
        value = float(row.factor(progress, **params))
        return value * min(1.0, progress.next_fraction / warmup) if warmup else value

    per_batch = row.per_batch or bool(warmup)
    return Schedule(factor, per_batch, row.reduces_on_plateau)
