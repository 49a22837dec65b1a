"""The state of a training, from its start to its end."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from skorch import NeuralNet
from skorch.history import History
from torch import Tensor

from sk_deep._data.batches import Batch, Batches
from sk_deep._engine.batch_hooks import BatchHooks
from sk_deep._engine.gradients import ByHand, choose_gradient
from sk_deep._engine.kept_weights import KeptWeights
from sk_deep._engine.mean_loss import Step
from sk_deep._engine.objective import Objective
from sk_deep._engine.rates import Rates
from sk_deep._engine.steps import ClosureSteps, GradientSteps, no_step


@dataclass
class Training:
    """The state of a training, from its start to its end.

    Parameters
    ----------
    objective : Objective
        Computes gradients and losses of batches.
    step : callable
        Takes a step of the solver on a batch.
    kept : KeptWeights
        Weights that members keep as their results.
    hooks : BatchHooks
        Hooks of batches that some callback has.
    is_lean : bool
        Whether steps need no autograd, and run no code of a user.
    trained : ndarray of bool of shape (n_members,)
        Members that train in the present epoch.

    Attributes
    ----------
    batches : Batches or None
        Batches of the training data, in a training by epochs.
    epoch_values : dict of str to ndarray of shape (n_members,)
        Values that were recorded in the last epoch.
    outputs : list of Tensor
        Raw outputs of the validation batches of the last epoch.
    catch_up : callable or None
        Brings the net's module up to date, where another module is trained.
    """

    objective: Objective
    step: Callable[[Batch], Step]
    kept: KeptWeights
    hooks: BatchHooks
    is_lean: bool
    trained: NDArray[np.bool_]
    batches: Batches | None = field(default=None, init=False)
    epoch_values: dict[str, NDArray] = field(default_factory=dict, init=False)
    outputs: list[Tensor] = field(default_factory=list, init=False)
    catch_up: Callable[[], None] | None = field(default=None, init=False)

    @property
    def order(self) -> NDArray | None:
        """Rows in the order of the last epoch; None is the order of the data."""
        return None if self.batches is None else self.batches.order

    def record(self, name: str, values: NDArray, history: History) -> None:
        """Record values of members, and in the history the mean of those that train.

        Parameters
        ----------
        name : str
            Key of the history.
        values : ndarray of shape (n_members,) or ()
            The values.
        history : History
            History of the net.
        """
        processes = self.objective.processes
        if processes is not None:  # all processes decide by the same numbers
            values = processes.agree(values)
        self.epoch_values[name] = values = np.atleast_1d(values)
        mean = values[0] if len(values) == 1 else values[self.trained].mean()
        _last_row(history)[name] = float(mean)

    def record_rates(self, rates: Rates, history: History) -> None:
        """Record the learning rates, and in the history the mean over the groups."""
        self.epoch_values["lr"] = rates.of_members()
        _last_row(history)["lr"] = float(rates.values.mean())


def _last_row(history: History) -> dict[str, Any]:
    """Return the row of the present epoch; skorch's look-up copies the history."""
    return list.__getitem__(history, -1)


def start_training(net: NeuralNet) -> Training:
    """Build the state of a training of a net that starts.

    Parameters
    ----------
    net : Net
        The net, with its callbacks.

    Returns
    -------
    training : Training
        The state.
    """
    module, solver, hooks = net.module_, net.solver, BatchHooks(net)
    objective = Objective(
        module,
        net.criterion_,
        alpha=net.alpha,
        l1_ratio=net.l1_ratio,
        label_smoothing=net.label_smoothing,
        augmentation=net.augmentation,
        decouples_decay=solver.decouples_decay,
        processes=net.processes,
        after_gradient=(
            hooks.after_gradient if "on_grad_computed" in hooks.names else None
        ),
    )
    compute_gradient = choose_gradient(module, net.criterion_)
    step: Callable[[Batch], Step] = no_step
    if solver.steps_by_gradient:
        step = GradientSteps(objective, compute_gradient, solver, net.optimizer_)
    elif not solver.full_batch:
        noise = net.draws_noise
        step = ClosureSteps(objective, compute_gradient, net.optimizer_, noise)
    return Training(
        objective,
        step,
        KeptWeights(module, copies=not solver.full_batch),
        hooks,
        is_lean=isinstance(compute_gradient, ByHand)
        and solver.is_lean
        and net.augmentation is None
        and not hooks.names,
        trained=np.ones(net.n_members, dtype=bool),
    )
