"""Optimizers without the wrappers of torch's base class, and what these cost."""

import inspect
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer


class BareOptimizer(Optimizer):
    """An optimizer that does not import torch's compiler.

    The first call of the wrapped methods would, in a second and with 85 MB.
    """

    add_param_group = inspect.unwrap(Optimizer.add_param_group)
    state_dict = inspect.unwrap(Optimizer.state_dict)
    load_state_dict = inspect.unwrap(Optimizer.load_state_dict)


class LeanOptimizer(BareOptimizer):
    """An optimizer whose `update` the training loop calls in place of `step`.

    `step` is wrapped for profiling and hooks, at a cost that is several times that of
    the update of a small network.
    """

    def update(self) -> None:
        """Update the parameters, which need no gradient mode, from their gradients."""
        raise NotImplementedError

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Call the closure, if there is one, and update the parameters."""
        loss = None if closure is None else torch.enable_grad()(closure)()
        self.update()
        return loss


def zeros_like(tensor: Tensor) -> Tensor:
    """Make a state that may be updated in any mode, though made in inference mode."""
    with torch.inference_mode(False):
        return torch.zeros_like(tensor)
