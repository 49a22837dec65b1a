"""First-order solvers whose form is scikit-learn's and not torch's."""

from typing import Any

import torch
from torch import Tensor
from torch.optim.optimizer import ParamsT

from sk_deep._compat import fused_adam
from sk_deep.solvers._lean import LeanOptimizer, zeros_like


class SGD(LeanOptimizer):
    """Stochastic gradient descent with classical or Nesterov momentum.

    The velocity holds the learning rate, as in the papers and in scikit-learn, so that
    a changing rate acts on new gradients only; `torch.optim.SGD` applies the newest
    rate to old gradients too. With a constant rate the two are equal.

    Parameters
    ----------
    params : iterable of Tensor
        Parameters.
    lr : float, default=1e-2
        Learning rate.
    momentum : float, default=0.9
        Decay of the velocity, in [0, 1].
    nesterov : bool, default=True
        Whether to use Nesterov's momentum.

    References
    ----------
    I. Sutskever, J. Martens, G. Dahl and G. Hinton, "On the importance of
    initialization and momentum in deep learning", ICML 2013.
    """

    def __init__(
        self,
        params: ParamsT,
        lr: float = 1e-2,
        momentum: float = 0.9,
        nesterov: bool = True,
    ) -> None:
        super().__init__(params, {"lr": lr, "momentum": momentum, "nesterov": nesterov})

    def update(self) -> None:
        """Update the parameters from their gradients."""
        for group in self.param_groups:
            for parameter in group["params"]:
                self._update(parameter, **group)

    def _update(
        self, parameter: Tensor, lr: float, momentum: float, nesterov: bool, **_: Any
    ) -> None:
        gradient = parameter.grad
        assert gradient is not None
        if not momentum:
            parameter.add_(gradient, alpha=-lr)
            return
        state = self.state[parameter]
        if not state:
            state["velocity"] = zeros_like(parameter)
        velocity = state["velocity"]
        velocity.mul_(momentum).add_(gradient, alpha=-lr)  # eq. 1
        if nesterov:  # eqs. 3 and 4, at the point that looks ahead
            parameter.add_(velocity, alpha=momentum).add_(gradient, alpha=-lr)
        else:
            parameter.add_(velocity)  # eq. 2


class Adam(LeanOptimizer):
    """Adam in the form of the paper's section 2, as scikit-learn has it.

    There `eps` is added to the square root of the raw second moment,
    ``lr * sqrt(1 - beta2**t) / (1 - beta1**t) * m / (sqrt(v) + eps)``;
    `torch.optim.Adam` adds it after the bias correction.

    Parameters
    ----------
    params : iterable of Tensor
        Parameters.
    lr : float, default=1e-3
        Learning rate.
    betas : tuple of two floats, default=(0.9, 0.999)
        Decay rates of the moments.
    eps : float, default=1e-8
        Added to the denominator.
    amsgrad : bool, default=False
        Whether to take the maximum of the second moments (S. Reddi, S. Kale and S.
        Kumar, "On the convergence of Adam and beyond", ICLR 2018).

    References
    ----------
    D. Kingma and J. Ba, "Adam: a method for stochastic optimization", ICLR 2015.
    """

    def __init__(
        self,
        params: ParamsT,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        amsgrad: bool = False,
    ) -> None:
        defaults = {"lr": lr, "betas": betas, "eps": eps, "amsgrad": amsgrad}
        super().__init__(params, defaults)

    def update(self) -> None:
        """Update the parameters from their gradients, by torch's fused kernel."""
        for group in self.param_groups:
            t = group["t"] = group.get("t", 0) + 1
            beta_1, beta_2 = group["betas"]
            for parameter in group["params"]:
                state = self.state[parameter] or self._first_state(parameter)
                fused_adam(
                    [parameter],
                    [parameter.grad],
                    [state["m"]],
                    [state["v"]],
                    [state["v_max"]] if group["amsgrad"] else [],
                    [state["step"].fill_(t)],
                    lr=group["lr"],
                    beta1=beta_1,
                    beta2=beta_2,
                    weight_decay=0.0,
                    eps=self._corrected(group["eps"], beta_2**t),
                    amsgrad=group["amsgrad"],
                    maximize=False,
                )

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over a state; the count of steps goes to the device, too.

        Parameters
        ----------
        state_dict : dict
            A state of `state_dict`, perhaps from an untrusted file.

        Raises
        ------
        ValueError
            If a moment is not of its parameter's shape, unchecked by the kernel.
        """
        super().load_state_dict(state_dict)
        for parameter, state in self.state.items():
            for name in self._moments():
                if state[name].shape != parameter.shape:
                    raise ValueError(
                        f"{name} of Adam must be of shape {tuple(parameter.shape)}, "
                        f"got {tuple(state[name].shape)}."
                    )
            state["step"] = _new_step(parameter)

    def _corrected(self, eps: float, beta_2_t: float) -> float:
        """Convert `eps` to the value that the kernel adds after the bias correction."""
        return eps / (1 - beta_2_t) ** 0.5

    def _moments(self) -> tuple[str, ...]:
        return ("m", "v", "v_max") if self.defaults["amsgrad"] else ("m", "v")

    def _first_state(self, parameter: Tensor) -> dict[str, Tensor]:
        state = self.state[parameter]
        for name in self._moments():
            state[name] = zeros_like(parameter)
        state["step"] = _new_step(parameter)
        return state


class AdamW(Adam):
    """Adam with `eps` added after the bias correction, as `torch.optim.AdamW` has it.

    The decay of the weights, a step of its own before Adam's (alg. 2, line 12), is the
    training loop's.

    Parameters
    ----------
    params : iterable of Tensor
        Parameters.
    lr : float, default=1e-3
        Learning rate.
    betas : tuple of two floats, default=(0.9, 0.999)
        Decay rates of the moments.
    eps : float, default=1e-8
        Added to the denominator.
    amsgrad : bool, default=False
        Whether to take the maximum of the second moments.

    References
    ----------
    I. Loshchilov and F. Hutter, "Decoupled weight decay regularization", ICLR 2019.
    """

    def _corrected(self, eps: float, beta_2_t: float) -> float:
        return eps


def _new_step(parameter: Tensor) -> Tensor:
    """Make the count of steps, as the kernel takes it."""
    return zeros_like(parameter.new_empty((), dtype=torch.float32))
