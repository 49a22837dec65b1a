"""What tests do to a fit: they kill it, or run it in a forked process."""

import os
import pickle
import signal
import threading

from skorch.callbacks import Callback


class Killed(Exception):
    """Ends a fit as a kill would: nothing tidies up."""


class Kill(Callback):
    """Ends a fit after some epochs."""

    def __init__(self, epoch):
        self.epoch = epoch

    def on_epoch_end(self, net, **kwargs):
        if len(net.history) == self.epoch:
            raise Killed


def in_fork(function, seconds=10):
    """Return what a function returns in a forked process; None if it hangs."""
    source, target = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(source)
        with os.fdopen(target, "wb") as file:
            pickle.dump(function(), file)
        os._exit(0)
    os.close(target)
    timer = threading.Timer(seconds, os.kill, (pid, signal.SIGKILL))
    timer.start()
    with os.fdopen(source, "rb") as file:
        content = file.read()
    os.waitpid(pid, 0)
    timer.cancel()
    return pickle.loads(content) if content else None
