"""Steps of a solver on batches."""

from typing import Any

from torch import Tensor

from sk_deep._data.batches import Batch
from sk_deep._engine.cuda_graphs import GradientFunction
from sk_deep._engine.mean_loss import Step
from sk_deep._engine.objective import Objective
from sk_deep.solvers import Solver


class GradientSteps:
    """Steps of a solver that takes one gradient a step, in the flat buffer.

    Parameters
    ----------
    objective : Objective
        Computes gradients and losses of batches.
    compute_gradient : GradientFunction
        Computes the gradient of the network.
    solver : Solver
        Row of the solver.
    optimizer : Optimizer
        Takes the steps.
    """

    def __init__(
        self,
        objective: Objective,
        compute_gradient: GradientFunction,
        solver: Solver,
        optimizer: Any,
    ) -> None:
        self.objective = objective
        self.compute_gradient = compute_gradient
        self._update = optimizer.update if solver.is_lean else optimizer.step

    def __call__(self, batch: Batch) -> Step:
        """Take a step on a batch."""
        objective = self.objective
        batch = objective.prepare(batch)
        step = objective.gradient(self.compute_gradient, batch)
        if objective.decouples_decay:
            objective.decay()
        self._update()
        return step


class ClosureSteps:
    """Steps of a solver that evaluates the gradient itself, once or more a step.

    Parameters
    ----------
    objective : Objective
        Computes gradients and losses of batches.
    compute_gradient : GradientFunction
        Computes the gradient of the network.
    optimizer : Optimizer or PerMember
        Takes the steps.
    draws_noise : bool
        Whether a gradient draws from the network's generator.
    """

    def __init__(
        self,
        objective: Objective,
        compute_gradient: GradientFunction,
        optimizer: Any,
        draws_noise: bool,
    ) -> None:
        self.objective = objective
        self.compute_gradient = compute_gradient
        self.optimizer = optimizer
        self.draws_noise = draws_noise

    def __call__(self, batch: Batch) -> Step:
        """Take a step on a batch; all evaluations in it draw the same masks."""
        objective, generator = self.objective, self.objective.module.generator
        batch = objective.prepare(batch)
        steps: list[Step] = []
        masks = generator.get_state() if self.draws_noise else None

        def closure() -> Tensor:
            if masks is not None:
                generator.set_state(masks)
            steps.append(objective.gradient(self.compute_gradient, batch))
            return objective.loss(steps[-1]).sum()

        self.optimizer.step(closure)
        return steps[0]


def no_step(batch: Batch) -> Step:
    """Refuse a step on a batch, as full-batch solvers take none."""
    raise RuntimeError("A full-batch solver takes no steps on batches.")
