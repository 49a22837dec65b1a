"""Training by L-BFGS, on the whole data at once."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from sk_deep._data.batches import Batch, Data
from sk_deep._engine.gradients import choose_gradient
from sk_deep._engine.net import Net
from sk_deep._engine.threads import threads_for
from sk_deep.network import MLP
from sk_deep.solvers import minimize_lbfgs


def train_full_batch(
    net: Net, data: Data, *, max_fun: int, tol: float
) -> tuple[float, int]:
    """Train a net on the whole data, one member after the other.

    Parameters
    ----------
    net : Net
        With initial weights; its callbacks get an epoch per iteration.
    data : Data
        Training data.
    max_fun : int
        Bound on the evaluations of the loss.
    tol : float
        Bound on the greatest component of the gradient at the end.

    Returns
    -------
    loss : float
        The final loss, the mean over the members.
    n_iter : int
        Iterations of the longest search.
    """
    options = {"max_fun": max_fun, "tol": tol}
    options.update(net.step_settings[0].arguments)
    net.start()
    results = []
    try:
        batch = net.training_.objective.prepare(data.take(slice(None)))
        with threads_for(net.module_.flat.shape[-1] * len(data)):
            for i in range(net.n_members):
                # each member's search is a training of its own to callbacks
                net.notify("on_train_begin", X=data, y=None)
                try:
                    results.append(_Search(net, i, batch).run(**options))
                finally:
                    net.module_.eval()
                net.notify("on_train_end", X=data, y=None)
    finally:
        net.end()
    losses, n_iters = zip(*results, strict=True)
    return float(np.mean(losses)), max(n_iters)


class _Search:
    """The search for the weights of one member, in place.

    Parameters
    ----------
    net : Net
        The net, whose training has started.
    i : int
        Position of the member.
    batch : Batch
        The whole data.
    """

    def __init__(self, net: Net, i: int, batch: Batch) -> None:
        self.net, self.i, self.batch = net, i, batch
        self.objective = net.training_.objective
        self.module = net.module_.member(i)
        self.compute_gradient = choose_gradient(self.module, net.criterion_)
        self.finished = self.module.flat.numpy(force=True).astype(float)
        self.last_loss = np.nan
        self.has_begun = False  # an iteration that has not ended

    def run(self, **options) -> tuple[float, int]:
        """Return the loss and the number of iterations.

        An interrupted search leaves the weights of the last iteration.
        """
        training = self.net.training_
        self.module.train()
        training.catch_up = self._catch_up
        try:
            self.finished, loss, n_iter = minimize_lbfgs(
                self._evaluate,
                self.finished,
                max_iter=self.net.max_epochs,
                callback=self._end_iteration,
                **options,
            )
        finally:
            self.module.flat.copy_(torch.from_numpy(self.finished))
            self._catch_up()
            training.catch_up = None
            if self.has_begun:
                self.net.history.pop()
        return loss, n_iter

    def _evaluate(self, parameters: NDArray) -> tuple[float, NDArray]:
        if not self.has_begun:
            self.has_begun = True
            self.net.notify("on_epoch_begin", dataset_train=None, dataset_valid=None)
        # NOTE[DIFF] L-BFGS on float32 inputs: scikit-learn's weights become float64
        self.module.flat.copy_(torch.from_numpy(parameters))
        step = self.objective.gradient(self.compute_gradient, self.batch)
        self.last_loss = self.objective.loss(step).item()
        return self.last_loss, self.module.flat_grad.numpy(force=True).astype(float)

    def _end_iteration(self, parameters: NDArray) -> None:
        net = self.net
        self.has_begun = False
        self.module.flat.copy_(torch.from_numpy(parameters))
        net.history.record("train_loss", self.last_loss)
        self.finished = parameters.copy()
        net.end_epoch({"dataset_train": None, "dataset_valid": None})
        if not net.running_.any():
            net.running_[:] = True  # for the next members
            raise StopIteration

    def _catch_up(self) -> None:
        _set_moments(self.module, self.batch)
        self.net.module_.set_member(self.i, self.module)


@torch.no_grad()
def _set_moments(module: MLP, batch: Batch) -> None:
    """Set the moments of batch normalization to the moments of the data, in one pass.

    The search changes them at each of its trials.
    """
    if not module.mixes_rows:
        return
    norms: list[Any] = [layer.normalization for layer in module.hidden_layers()]
    for norm in norms:
        norm.momentum = 1.0
    module(batch.X)
    for norm in norms:
        norm.momentum = type(norm).momentum
