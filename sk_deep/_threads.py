"""How many threads a step or a prediction takes."""

import threading

import torch

_ONE_THREAD_WORK = 10**7  # multiply-adds up to which one thread is best


class threads_for:
    """Run small work on one thread, since more only spin at barriers.

    Parameters
    ----------
    work : int
        Number of multiply-adds of a step, or of a pass through the network.
    """

    # counts those on one thread, so that the number before them is restored
    _lock = threading.Lock()
    _n_running = 0
    _n_threads = 1

    def __init__(self, work: int) -> None:
        self.is_small = work <= _ONE_THREAD_WORK

    def __enter__(self) -> None:
        if not self.is_small:
            return
        with threads_for._lock:
            if threads_for._n_running == 0:
                threads_for._n_threads = torch.get_num_threads()
            threads_for._n_running += 1
            torch.set_num_threads(1)

    def __exit__(self, *exception: object) -> None:
        if not self.is_small:
            return
        with threads_for._lock:
            threads_for._n_running -= 1
            torch.set_num_threads(threads_for._n_threads)  # it is a thread's own
