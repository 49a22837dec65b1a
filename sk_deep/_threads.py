"""How many threads a training step takes."""

import contextlib
import threading
from collections.abc import Iterator

import torch

_ONE_THREAD_WORK = 10**7  # multiply-adds of a step up to which one thread is best


class _Fits:
    """Counts the fits on one thread, so that the number before them is restored."""

    lock = threading.Lock()
    n_running = 0
    n_threads = 1


@contextlib.contextmanager
def threads_for(work: int) -> Iterator[None]:
    """Run small steps on one thread, since more only spin at barriers.

    A step is small by its `work`, the number of its multiply-adds.
    """
    if work > _ONE_THREAD_WORK:
        yield
        return
    with _Fits.lock:
        if _Fits.n_running == 0:
            _Fits.n_threads = torch.get_num_threads()
        _Fits.n_running += 1
        torch.set_num_threads(1)
    try:
        yield
    finally:
        with _Fits.lock:
            _Fits.n_running -= 1
            torch.set_num_threads(_Fits.n_threads)
