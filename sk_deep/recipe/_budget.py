"""The budget of a search: fits, or time."""

import datetime
import time


class Budget:
    """The budget of a search: a number of fits, or time.

    Parameters
    ----------
    limit : int or datetime.timedelta
        Number of fits, or wall time from now.
    n_splits : int
        Number of fits of a candidate.
    """

    def __init__(self, limit: int | datetime.timedelta, n_splits: int) -> None:
        self.limit, self.n_splits = limit, n_splits
        self.start = time.monotonic()
        self.n_fits = 0
        self.seconds = 0.0  # per network of a fit, in the last step

    def spend(self, n_fits: int, seconds: float, n_networks: float = 1) -> None:
        """Count fits of `n_networks` networks each, and the time that they took."""
        self.n_fits += n_fits
        self.seconds = seconds / max(1, n_fits * n_networks)

    def n_candidates(self, n_networks: int = 1) -> int:
        """Estimate how many candidates can still be tried.

        Parameters
        ----------
        n_networks : int, default=1
            Number of networks of a candidate, on which its time depends.

        Returns
        -------
        n_candidates : int
            Their number.
        """
        if not isinstance(self.limit, datetime.timedelta):
            return max(0, self.limit - self.n_fits) // self.n_splits
        left = self.limit.total_seconds() - (time.monotonic() - self.start)
        if left <= 0:
            return 0
        per_candidate = max(self.seconds * self.n_splits * n_networks, 1e-3)
        return max(1, int(left / per_candidate))
