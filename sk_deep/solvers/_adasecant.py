"""Gradient descent whose rates are secants along its own path."""

from typing import Any

import torch
from torch import Tensor
from torch.optim.optimizer import ParamsT

from sk_deep.solvers._lean import LeanOptimizer
from sk_deep.solvers._memory import (
    deviates,
    signal_share,
    update_means,
    update_memory,
)

_OUTLIER_MEMORY = 2.2  # sec. 5.2
_MEMORY_BOUNDS = 1.5, 1e8  # of the authors' implementation


class AdaSecant(LeanOptimizer):
    r"""Stochastic gradient descent with a learning rate per parameter, from secants.

    It is algorithm 1 of reference [1], whose experiments [2] extends, with the bounded
    Adagrad of section 6; sections are those of the first version. With :math:`g` the
    gradient divided by the norm of its tensor, :math:`\Delta` the last update,
    :math:`\alpha` the change of :math:`g` that came with it, and running means
    :math:`E`, it updates by

    .. math::

        \eta &= \sqrt{E[\Delta^2] / E[\alpha^2]} - E[\alpha \Delta] / E[\alpha^2], \\
        \tilde g &= (g + \gamma E[g]) / (1 + \gamma), \\
        \Delta &= -\eta \tilde g / \max(1, \sqrt{\textstyle\sum \tilde g^2}).

    :math:`\gamma` reduces the variance of the gradient. The memory of the means is
    :math:`\tau \leftarrow (1 - E[\Delta]^2 / E[\Delta^2]) \tau + 1`; it begins at 2.2
    again where :math:`g` or :math:`\alpha` is an outlier.

    Parameters
    ----------
    params : iterable of Tensor
        Parameters; each tensor is a block of its own.
    lr : float, default=1.0
        Factor on the updates. It is no part of the :math:`\Delta` in the means, as in
        `torch.optim.Adadelta`; there it would act again at every step.
    max_gamma : float, default=1.8
        Bound on :math:`\gamma`, the value of the papers' experiments; 0 leaves the
        variance as it is.
    first_step : float, default=0.1
        Rate of the first step, which is about the norm of each tensor's first update.
    eps : float, default=1e-6
        Damping, added to both parts of the quotients of :math:`\eta`. See Notes.

    Notes
    -----
    What differs from the paper, and why:

    - :math:`\gamma` is a quotient of root mean squares, as in the authors'
      implementation; the quotient of means in the paper can be negative.
    - The authors take a `first_step` of 1. Where a layer has few units that kills many
      of them.
    - The paper has no `eps`, and the authors' implementation 1e-7. Where noise governs
      the gradients, successive rates shrink in a constant proportion until `eps` holds
      them up, so that it sets the rate at the end.
    - :math:`\alpha` goes with the update that brought it about, as in the paper; the
      authors' implementation pairs it with the next update.

    References
    ----------
    .. [1] C. Gulcehre, M. Moczulski and Y. Bengio, "ADASECANT: robust adaptive secant
       method for stochastic gradient", arXiv:1412.7419, 2014.
    .. [2] C. Gulcehre, J. Sotelo, M. Moczulski and Y. Bengio, "A robust adaptive
       stochastic gradient method for deep learning", IJCNN 2017.
    """

    def __init__(
        self,
        params: ParamsT,
        lr: float = 1.0,
        max_gamma: float = 1.8,
        first_step: float = 0.1,
        eps: float = 1e-6,
    ) -> None:
        defaults = {
            "lr": lr,
            "max_gamma": max_gamma,
            "first_step": first_step,
            "eps": eps,
        }
        super().__init__(params, defaults)

    def update(self) -> None:
        """Update the parameters from their gradients."""
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    self._update(parameter, parameter.grad, **group)

    def _update(
        self,
        parameter: Tensor,
        gradient: Tensor,
        *,
        lr: float,
        max_gamma: float,
        first_step: float,
        eps: float,
        **_: Any,
    ) -> None:
        state = self.state[parameter]
        g = _normalise(gradient)
        if state:
            _observe(state, g)
        else:
            state.update(_first_state(g, first_step))
        corrected = _reduce_variance(state, g, max_gamma)
        sum2 = state["sum2"].addcmul_(corrected, corrected)
        rate = _secant_rate(state, eps) / sum2.sqrt().clamp_(min=1)  # sec. 6
        state["g"], state["delta"] = g, -rate * corrected
        parameter.add_(state["delta"], alpha=lr)


def _normalise(gradient: Tensor) -> Tensor:
    """Divide a block by its norm (sec. 2), and leave one of zeros."""
    norm = torch.linalg.vector_norm(gradient)
    return gradient / torch.where(norm > 0, norm, 1.0)


def _first_state(g: Tensor, first_step: float) -> dict[str, Tensor]:
    """Begin as if the gradient had been zero, and the last update -first_step g."""
    delta, zeros = -first_step * g, torch.zeros_like(g)
    means = {"E[g]": g, "E[g2]": g**2, "E[a]": g, "E[a2]": g**2}
    means.update({"E[d]": delta, "E[d2]": delta**2, "E[ad]": zeros})
    means.update({"numerator2": zeros, "denominator2": zeros, "sum2": zeros})
    tau = torch.full_like(g, _OUTLIER_MEMORY)
    return {name: mean.clone() for name, mean in means.items()} | {"tau": tau}


def _observe(state: dict[str, Tensor], g: Tensor) -> None:
    """Update the means and their memory by a gradient and the update before it."""
    last, delta, mean, tau = state["g"], state["delta"], state["E[g]"], state["tau"]
    a = g - last
    is_outlier = deviates(g, mean, state["E[g2]"])
    is_outlier |= deviates(a, state["E[a]"], state["E[a2]"])
    tau.masked_fill_(is_outlier, _OUTLIER_MEMORY)
    values = {"E[g]": g, "E[g2]": g**2, "E[a]": a, "E[a2]": a**2}
    values.update({"E[d]": delta, "E[d2]": delta**2, "E[ad]": a * delta})
    values["numerator2"] = ((last - g) * (last - mean)).square_()
    values["denominator2"] = ((g - mean) * (last - mean)).square_()
    update_means(state, values, tau)
    update_memory(tau, signal_share(state["E[d]"], state["E[d2]"]))
    tau.clamp_(*_MEMORY_BOUNDS)


def _reduce_variance(state: dict[str, Tensor], g: Tensor, max_gamma: float) -> Tensor:
    """Draw the gradient towards its mean by gamma, sec. 3 and 5.3."""
    numerator, denominator = state["numerator2"], state["denominator2"]
    gamma = torch.where(denominator > 0, numerator / denominator, 0.0)
    gamma.sqrt_().clamp_(max=max_gamma)
    return (g + gamma * state["E[g]"]) / (1 + gamma)


def _secant_rate(state: dict[str, Tensor], eps: float) -> Tensor:
    """Estimate Delta / alpha from second moments, sec. 4; it is not negative."""
    a2 = state["E[a2]"] + eps
    rate = ((state["E[d2]"] + eps) / a2).sqrt_()
    return rate.sub_(state["E[ad]"] / a2).clamp_(min=0)
