"""The draws of a fit: a source of randomness for each member, and seeds."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.random import RandomState
from sklearn.utils import check_random_state

from sk_deep._engine.data_parallel import ProcessGroup


def draw_random_states(
    estimator: Any, processes: ProcessGroup | None = None
) -> tuple[list[RandomState], Callable[[], int]]:
    """Make each member's source of randomness, and a function that draws seeds.

    Parameters
    ----------
    estimator : BaseMLP
        With `random_state` and `n_members`.
    processes : ProcessGroup, default=None
        Processes that must draw alike.

    Returns
    -------
    random_states : list of RandomState
        One for each member.
    draw_seed : callable
        Draws a seed.
    """
    random_state = private_random_state(estimator.random_state)
    limit = np.iinfo(np.int32).max
    if processes is not None and estimator.random_state is None:
        (seed,) = processes.agree(random_state.randint(limit, size=1))
        random_state = RandomState(seed)
    if estimator.n_members == 1:
        members = [random_state]
    else:
        seeds = random_state.randint(limit, size=estimator.n_members)
        members = [RandomState(seed) for seed in seeds]
    return members, lambda: int(random_state.randint(limit))


def private_random_state(random_state: Any) -> RandomState:
    """Make a random state that is not numpy's global one, unless that was given."""
    # NOTE[DIFF] no random state: scikit-learn draws from numpy's global one
    return RandomState() if random_state is None else check_random_state(random_state)
