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
                    results.append(_minimize(net, i, batch, **options))
                finally:
                    net.module_.eval()
                net.notify("on_train_end", X=data, y=None)
    finally:
        net.end()
    losses, n_iters = zip(*results, strict=True)
    return float(np.mean(losses)), max(n_iters)


def _minimize(net: Net, i: int, batch: Batch, **options) -> tuple[float, int]:
    """Train one member in place; return its loss and the number of iterations.

    An interrupted search leaves the weights of the last iteration.
    """
    training = net.training_
    module = net.module_.member(i)
    last_loss, has_begun = np.nan, False
    finished = module.flat.numpy(force=True).astype(float)
    compute_gradient = choose_gradient(module, net.criterion_)

    def evaluate(parameters: NDArray) -> tuple[float, NDArray]:
        nonlocal last_loss, has_begun
        if not has_begun:
            has_begun = True
            net.notify("on_epoch_begin", dataset_train=None, dataset_valid=None)
        # NOTE[DIFF] L-BFGS on float32 inputs: scikit-learn's weights become float64
        module.flat.copy_(torch.from_numpy(parameters))
        step = training.objective.gradient(compute_gradient, batch)
        last_loss = training.objective.loss(step).item()
        return last_loss, module.flat_grad.numpy(force=True).astype(float)

    def end_iteration(parameters: NDArray) -> None:
        nonlocal finished, has_begun
        has_begun = False
        module.flat.copy_(torch.from_numpy(parameters))
        net.history.record("train_loss", last_loss)
        finished = parameters.copy()
        net.end_epoch({"dataset_train": None, "dataset_valid": None})
        if not net.running_.any():
            net.running_[:] = True  # for the next members
            raise StopIteration

    def catch_up() -> None:
        _set_moments(module, batch)
        net.module_.set_member(i, module)

    module.train()
    training.catch_up = catch_up
    try:
        finished, loss, n_iter = minimize_lbfgs(
            evaluate,
            finished,
            max_iter=net.max_epochs,
            callback=end_iteration,
            **options,
        )
    finally:
        module.flat.copy_(torch.from_numpy(finished))
        catch_up()
        training.catch_up = None
        if has_begun:  # an iteration that did not end
            net.history.pop()
    return loss, n_iter


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
