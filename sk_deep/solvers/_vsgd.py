"""Gradient descent whose rates follow the variance of the gradients."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.optim.optimizer import ParamsT

from sk_deep.solvers._lean import BareOptimizer
from sk_deep.solvers._memory import (
    deviates,
    signal_share,
    update_means,
    update_memory,
)

Leaf = tuple[Tensor, Tensor, dict[str, Any]]  # parameter, gradient, group


class VSGD(BareOptimizer):
    r"""Stochastic gradient descent with a learning rate per parameter, tuned by itself.

    It is vSGD-fd, algorithm 1 of reference [2]: the element-wise vSGD-l of [1] with
    the curvature from a finite difference of gradients. A step takes two gradients of
    the same batch, :math:`g` at the parameters and :math:`g'` at parameters moved by
    :math:`\delta = \bar g`, and keeps running means of :math:`g`, :math:`g^2`,
    :math:`h = |(g' - g) / \delta|` and :math:`h^2`. The rate is

    .. math:: \eta = \frac{\bar h}{\overline{h^2}} \frac{\bar g^2}{\overline{g^2}},

    where a curvature without noise makes the first factor :math:`1 / \bar h`, the one
    of [1], and the memory of the means is
    :math:`\tau \leftarrow (1 - \bar g^2 / \overline{g^2}) \tau + 1`.

    Parameters
    ----------
    params : iterable of Tensor
        Parameters.
    lr : float, default=1.0
        Factor on the rates.
    n_start : int, default=10
        Number of first steps that average only, and leave the parameters where they
        are. In [1] it is a thousandth of the number of training samples.
    slow_start : float, default=2.0
        Factor by which the means of :math:`g^2` and :math:`h` are over-estimated after
        these steps, and its square that of :math:`h^2`, so that first updates are
        small. See Notes.
    eps : float, default=1e-8
        Least size of :math:`\delta_i`; also added to both parts of
        :math:`\bar h / \overline{h^2}`, which thereby stays finite where the loss is
        flat.

    Notes
    -----
    What differs from the papers, and why:

    - The gradient of the batch is the sample: its variance is what `g^2` measures, and
      formulas are those for one sample a step. Those for a batch need the gradient of
      each row.
    - `slow_start` is 2, as in the implementation of the first author. The rule of
      thumb in [1] is a tenth of the number of parameters, found with steps of single
      samples. It holds a network of 45 000 parameters back for some 500 steps, which
      are many epochs of batches; a training that stops where the loss no longer falls
      ends there.
    - `eps` is of the same implementation. A parameter whose gradients are zero does not
      move.

    References
    ----------
    .. [1] T. Schaul, S. Zhang and Y. LeCun, "No more pesky learning rates", ICML 2013.
    .. [2] T. Schaul and Y. LeCun, "Adaptive learning rates and parallelization for
       stochastic, sparse, non-smooth gradients", ICLR 2013.
    """

    def __init__(
        self,
        params: ParamsT,
        lr: float = 1.0,
        n_start: int = 10,
        slow_start: float = 2.0,
        eps: float = 1e-8,
    ) -> None:
        if n_start < 1:
            raise ValueError(f"n_start must be at least 1, got {n_start}.")
        defaults = {"lr": lr, "n_start": n_start, "slow_start": slow_start, "eps": eps}
        super().__init__(params, defaults)

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Take a step.

        Parameters
        ----------
        closure : callable
            Computes the loss of the batch and, into the parameters' ``grad``, its
            gradient; it is called twice, and must not draw new noise the second time.

        Returns
        -------
        loss : Tensor
            The loss at the parameters before the step.
        """
        if closure is None:
            raise ValueError("VSGD needs a closure, got closure=None.")
        closure = torch.enable_grad()(closure)
        loss = closure()
        leaves = [
            (parameter, _copy_gradient(parameter), group)
            for group in self.param_groups
            for parameter in group["params"]
        ]
        curvatures = self._curvatures(closure, leaves)
        for (parameter, gradient, group), h in zip(leaves, curvatures, strict=True):
            self._update(parameter, gradient, h, **group)
        return loss

    def _curvatures(
        self, closure: Callable[[], Any], leaves: Sequence[Leaf]
    ) -> list[Tensor]:
        """Compute h = |(gradient at theta + delta - gradient at theta) / delta|."""
        starts = [parameter.clone() for parameter, _, _ in leaves]
        shifts = [self._shift(*leaf) for leaf in leaves]
        try:
            for (parameter, _, _), shift in zip(leaves, shifts, strict=True):
                parameter.add_(shift)
            closure()
            return [
                ((_copy_gradient(parameter) - gradient) / shift).abs_()
                for (parameter, gradient, _), shift in zip(leaves, shifts, strict=True)
            ]
        finally:  # an interrupt too finds everything where it was
            for (parameter, gradient, _), start in zip(leaves, starts, strict=True):
                parameter.copy_(start)
                if parameter.grad is not None:
                    parameter.grad.copy_(gradient)

    def _shift(
        self, parameter: Tensor, gradient: Tensor, group: Mapping[str, Any]
    ) -> Tensor:
        """Compute delta: the mean gradient, at least eps in size."""
        mean = self.state[parameter].get("g", gradient)
        return mean.abs().clamp_(min=group["eps"]).copysign_(mean)

    def _update(
        self,
        parameter: Tensor,
        gradient: Tensor,
        curvature: Tensor,
        *,
        lr: float,
        n_start: int,
        slow_start: float,
        eps: float,
        **_: Any,
    ) -> None:
        """Do what algorithm 1 of [2] does for each parameter i, for all at once."""
        state = self.state[parameter] or self._first_state(parameter)
        tau = state["tau"]
        values = {"g": gradient, "h": curvature}
        values.update({f"{name}2": value.square() for name, value in values.items()})
        state["t"] += 1
        if state["t"] <= n_start:  # arithmetic means of what came so far
            update_means(state, values, tau.fill_(state["t"]))
            if state["t"] == n_start:
                _overestimate(state, slow_start)
            return
        is_outlier = deviates(gradient, state["g"], state["g2"])
        is_outlier |= deviates(curvature, state["h"], state["h2"])
        update_means(state, values, tau.add_(is_outlier))  # tau + 1 for an outlier
        share = signal_share(state["g"], state["g2"])
        rate = (state["h"] + eps) / (state["h2"] + eps) * share
        update_memory(tau, share)
        parameter.addcmul_(rate, gradient, value=-lr)

    def _first_state(self, parameter: Tensor) -> dict[str, Any]:
        state = self.state[parameter]
        state["t"] = 0
        for name in ("g", "g2", "h", "h2", "tau"):
            state[name] = torch.zeros_like(parameter)
        return state


def _copy_gradient(parameter: Tensor) -> Tensor:
    """Copy the gradient, which the next call of the closure overwrites."""
    gradient = parameter.grad
    return torch.zeros_like(parameter) if gradient is None else gradient.clone()


def _overestimate(state: dict[str, Any], factor: float) -> None:
    """Start slowly: [1], "slow-start initialization"."""
    state["g2"].mul_(factor)
    state["h"].mul_(factor)
    state["h2"].mul_(factor**2)
