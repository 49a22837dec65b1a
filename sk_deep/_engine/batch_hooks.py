"""Hooks of batches: skorch's, called only if a callback has them."""

from collections.abc import Callable

from skorch import NeuralNet
from skorch.callbacks import Callback

from sk_deep._data.batches import Batch
from sk_deep._engine.mean_loss import Step
from sk_deep._engine.objective import Objective
from sk_deep.network import MLP

_NAMES = ("on_batch_begin", "on_batch_end", "on_grad_computed")


class BatchHooks:
    """The hooks of batches that callbacks of a net have.

    Parameters
    ----------
    net : NeuralNet
        The net that is passed to the callbacks.

    Attributes
    ----------
    names : set of str
        The hooks that some callback has.
    """

    def __init__(self, net: NeuralNet) -> None:
        self.net = net
        self.names = {
            name
            for name in _NAMES
            for _, callback in net.callbacks_
            if getattr(type(callback), name) is not getattr(Callback, name)
        }

    def around(
        self, take_step: Callable[[Batch], Step], objective: Objective, batch: Batch
    ) -> Step:
        """Take a step between its hooks.

        Parameters
        ----------
        take_step : callable
            Takes the step on a batch.
        objective : Objective
            Computes the loss of the step.
        batch : Batch
            The batch. A process of a group passes its share of it to the hooks.

        Returns
        -------
        step : Step
            The step.
        """
        is_training, processes = self.net.module_.training, objective.processes
        rows = batch
        if is_training and processes is not None:
            rows = processes.share(batch)
        arguments = {"batch": rows.pair, "training": is_training}
        self._notify("on_batch_begin", **arguments)
        step = take_step(batch)
        if "on_batch_end" in self.names:
            loss, y_pred = objective.loss(step), step.raw.clone()
            self._notify("on_batch_end", **arguments, loss=loss, y_pred=y_pred)
        return step

    def after_gradient(self, module: MLP, batch: Batch) -> None:
        """Call the hook of a gradient that was computed."""
        self._notify(
            "on_grad_computed",
            named_parameters=module.named_parameters(),
            batch=batch.pair,
            training=True,
        )

    def _notify(self, name: str, **kwargs) -> None:
        if name in self.names:
            for _, callback in self.net.callbacks_:
                getattr(callback, name)(self.net, **kwargs)
