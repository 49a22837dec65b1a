"""Solvers, the optimizers of the training loss: one row each in `SOLVERS`."""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import scipy.optimize
import torch
from numpy.typing import NDArray
from torch.optim import Optimizer

from sk_deep._compat import (
    check_optimize_result,
    fused_adam,
    lbfgs_print_option,
)


class _LeanOptimizer(Optimizer):
    """An optimizer whose `update` the training loop calls without torch's wrapper.

    `Optimizer.step` is wrapped for profiling and hooks, at a cost per step that is
    several times that of the update of a small network.
    """

    def update(self) -> None:
        """Update the parameters, which need no gradient mode, from their gradients."""
        raise NotImplementedError

    @torch.no_grad()
    def step(self, closure=None):
        """Call the closure, if there is one, and update the parameters."""
        loss = None if closure is None else torch.enable_grad()(closure)()
        self.update()
        return loss


class SGD(_LeanOptimizer):
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

    def __init__(self, params, lr=1e-2, momentum=0.9, nesterov=True) -> None:
        super().__init__(params, {"lr": lr, "momentum": momentum, "nesterov": nesterov})

    def update(self) -> None:
        """Update the parameters from their gradients."""
        for group in self.param_groups:
            for parameter in group["params"]:
                self._update(parameter, **group)

    def _update(self, parameter, lr, momentum, nesterov, **_) -> None:
        gradient = parameter.grad
        if not momentum:
            parameter.add_(gradient, alpha=-lr)
            return
        state = self.state[parameter]
        if not state:
            state["velocity"] = torch.zeros_like(parameter)
        velocity = state["velocity"]
        velocity.mul_(momentum).add_(gradient, alpha=-lr)  # eq. 1
        if nesterov:  # eqs. 3 and 4, at the point that looks ahead
            parameter.add_(velocity, alpha=momentum).add_(gradient, alpha=-lr)
        else:
            parameter.add_(velocity)  # eq. 2


class Adam(_LeanOptimizer):
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
        self, params, lr=1e-3, betas=(0.9, 0.999), eps=1e-8, amsgrad=False
    ) -> None:
        defaults = {"lr": lr, "betas": betas, "eps": eps, "amsgrad": amsgrad}
        super().__init__(params, defaults)

    def update(self) -> None:
        """Update the parameters from their gradients, by torch's fused kernel."""
        for group in self.param_groups:
            t = group["t"] = group.get("t", 0) + 1
            beta_1, beta_2 = group["betas"]
            for parameter in group["params"]:
                state = self.state[parameter] or self._first_state(parameter, **group)
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
                    # the kernel adds it after the correction: this is eps before it
                    eps=group["eps"] / (1 - beta_2**t) ** 0.5,
                    amsgrad=group["amsgrad"],
                    maximize=False,
                )

    def _first_state(self, parameter, amsgrad, **_) -> dict[str, torch.Tensor]:
        state = self.state[parameter]
        moments = ("m", "v", "v_max") if amsgrad else ("m", "v")
        for name in moments:
            state[name] = torch.zeros_like(parameter)
        state["step"] = torch.zeros((), device=parameter.device)
        return state


@dataclass(frozen=True)
class Solver:
    """A row of `SOLVERS`.

    Parameters
    ----------
    optimizer : type or None
        Class of the optimizer; None for scipy's L-BFGS-B on the whole data.
    learning_rate : float
        The customary rate, the value of ``learning_rate_init="auto"``.
    arguments : callable, default takes none
        The optimizer's arguments that are constructor parameters of the estimator,
        as a function of the estimator.
    elementwise : bool, default=True
        Whether an update depends on nothing but the parameter's own gradients, so that
        all parameters can be one tensor.
    decouples_decay : bool, default=False
        Whether alpha decays the weights directly, not through the gradient.
    leaves_inert : frozenset of str, default=frozenset()
        Learning-rate schedules that are accepted without effect, as in scikit-learn.
    """

    optimizer: type[Optimizer] | None
    learning_rate: float
    arguments: Callable[[Any], Mapping[str, Any]] = field(default=lambda estimator: {})
    elementwise: bool = True
    decouples_decay: bool = False
    leaves_inert: frozenset[str] = frozenset()

    def legal_params(self, estimator) -> set[str]:
        """List the names that `solver_params` may hold."""
        if self.optimizer is None:
            return _LBFGS_OPTIONS
        signature = inspect.signature(self.optimizer.__init__)
        return (
            set(signature.parameters) - _SET_ELSEWHERE - set(self.arguments(estimator))
        )


def _momentum(estimator) -> Mapping[str, Any]:
    return {
        "momentum": estimator.momentum,
        "nesterov": estimator.nesterovs_momentum,
    }


def _betas(estimator) -> Mapping[str, Any]:
    return {
        "betas": (estimator.beta_1, estimator.beta_2),
        "eps": estimator.epsilon,
    }


_SET_ELSEWHERE = {
    *("self", "params", "args", "kwargs"),
    *("lr", "weight_decay", "decoupled_weight_decay"),  # learning_rate_init, alpha
    *("foreach", "fused", "capturable", "differentiable", "maximize"),
}
_LBFGS_OPTIONS = {"maxcor", "ftol", "maxls"}  # of scipy; the others are parameters
_SKLEARN_SGD_ONLY = frozenset({"invscaling", "adaptive"})

SOLVERS: dict[str, Solver] = {
    "sgd": Solver(SGD, 1e-2, _momentum),
    "adam": Solver(Adam, 1e-3, _betas, leaves_inert=_SKLEARN_SGD_ONLY),
    # D. Liu and J. Nocedal, "On the limited memory BFGS method for large scale
    # optimization", Mathematical Programming 1989; scipy's L-BFGS-B.
    "lbfgs": Solver(None, 1.0, leaves_inert=_SKLEARN_SGD_ONLY),
    # I. Loshchilov and F. Hutter, "Decoupled weight decay regularization", ICLR 2019,
    # alg. 2: the decay is a step of its own, so the optimizer proper is Adam.
    "adamw": Solver(torch.optim.Adam, 1e-3, _betas, decouples_decay=True),
    # T. Dozat, "Incorporating Nesterov momentum into Adam", ICLR workshop 2016.
    "nadam": Solver(torch.optim.NAdam, 2e-3, _betas),
    # L. Liu, H. Jiang, P. He, W. Chen, X. Liu, J. Gao and J. Han, "On the variance of
    # the adaptive learning rate and beyond", ICLR 2020.
    "radam": Solver(torch.optim.RAdam, 1e-3, _betas),
    # Kingma and Ba 2015, sec. 7.1.
    "adamax": Solver(torch.optim.Adamax, 2e-3, _betas),
    # J. Duchi, E. Hazan and Y. Singer, "Adaptive subgradient methods for online
    # learning and stochastic optimization", JMLR 2011.
    "adagrad": Solver(torch.optim.Adagrad, 1e-2),
    # T. Tieleman and G. Hinton, "Lecture 6.5: RMSProp", Coursera 2012.
    "rmsprop": Solver(torch.optim.RMSprop, 1e-3),
    # M. Zeiler, "ADADELTA: an adaptive learning rate method", arXiv 2012.
    "adadelta": Solver(torch.optim.Adadelta, 1.0),
}


def get_solver(solver: str | type[Optimizer]) -> Solver:
    """Look a name up in `SOLVERS`; an optimizer class is a row of its own."""
    if isinstance(solver, str):
        return SOLVERS[solver]
    lr = inspect.signature(solver.__init__).parameters.get("lr")
    if lr is None:
        raise ValueError(f"solver must be an optimizer with an lr, however: {solver=}.")
    rate = 1e-3 if lr.default is lr.empty else float(lr.default)
    return Solver(solver, rate, elementwise=False)


def minimize_lbfgs(
    objective: Callable[[NDArray], tuple[float, NDArray]],
    start: NDArray,
    *,
    max_iter: int,
    max_fun: int,
    tol: float,
    verbose: bool,
    callback: Callable[[], None],
    **options,
) -> tuple[NDArray, float, int]:
    """Minimise a function of the flat parameters by scipy's L-BFGS-B.

    Parameters
    ----------
    objective : callable
        Gives the loss and its gradient, of shape (n_parameters,).
    start : ndarray of shape (n_parameters,)
        Initial parameters.
    max_iter, max_fun : int
        Bounds on the iterations and on the evaluations of the objective.
    tol : float
        Bound on the greatest component of the gradient at the end.
    verbose : bool
        Whether scipy prints its progress.
    callback : callable
        Called after each iteration.
    **options : dict
        Further options of scipy's L-BFGS-B.

    Returns
    -------
    parameters : ndarray of shape (n_parameters,)
        The best parameters.
    loss : float
        The objective there.
    n_iter : int
        Number of iterations.

    Warns
    -----
    ConvergenceWarning
        If a bound stopped the search.
    """
    result = scipy.optimize.minimize(
        objective,
        start,
        method="L-BFGS-B",
        jac=True,
        callback=lambda _: callback(),
        options={
            "maxfun": max_fun,
            "maxiter": max_iter,
            "gtol": tol,
            **lbfgs_print_option("iprint", 1 if verbose else -1),
            **options,
        },
    )
    n_iter = check_optimize_result("lbfgs", result, max_iter)
    return np.asarray(result.x), float(result.fun), int(n_iter)
