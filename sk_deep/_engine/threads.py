"""Number of threads of a step or a prediction."""

import functools
import os
import threading

import torch

_ONE_THREAD_WORK = 10**7  # multiply-adds up to which one thread is best


class threads_for:
    """Run small work on one thread, since more threads only spin at barriers.

    torch keeps the number per Python thread, and it is restored there. A thread that
    uses torch for the first time inherits the number that was set last, which may be 1
    for small work elsewhere: it gets the number from before that work.

    Parameters
    ----------
    work : int
        Number of multiply-adds of a step, or of a pass through the network.
    """

    _lock = threading.Lock()
    _n_running = 0
    _n_before = 1
    _seen = threading.local()

    def __init__(self, work: int) -> None:
        self.is_small = work <= _ONE_THREAD_WORK
        _guard_forks()

    def __enter__(self) -> None:
        if not self.is_small:
            return
        with threads_for._lock:
            self.n_threads = torch.get_num_threads()
            if threads_for._n_running == 0:
                threads_for._n_before = self.n_threads
            elif self.n_threads == 1 and not hasattr(self._seen, "is_known"):
                self.n_threads = threads_for._n_before
            self._seen.is_known = True
            threads_for._n_running += 1
            torch.set_num_threads(1)

    def __exit__(self, *exception: object) -> None:
        if not self.is_small:
            return
        with threads_for._lock:
            threads_for._n_running -= 1
            torch.set_num_threads(self.n_threads)

    @staticmethod
    def forget() -> None:
        """Reset the state in a forked child, which has no threads of its parent."""
        threads_for._lock = threading.Lock()
        threads_for._n_running = 0
        torch.set_num_threads(1)


@functools.cache
def _guard_forks() -> None:
    """Set one thread in processes that are forked from now on.

    They have no threads of their parent, for which OpenMP would wait for ever.
    """
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=threads_for.forget)
