"""Solvers, the optimizers of the training loss: one row each in `SOLVERS`."""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from numbers import Integral, Real
from typing import Any

import torch
from torch.optim import Optimizer

from sk_deep._compat import Interval
from sk_deep.solvers._adasecant import AdaSecant
from sk_deep.solvers._first_order import SGD, Adam, AdamW
from sk_deep.solvers._lbfgs import minimize_lbfgs
from sk_deep.solvers._lean import LeanOptimizer
from sk_deep.solvers._per_member import make_optimizer
from sk_deep.solvers._vsgd import VSGD

__all__ = [
    "SGD",
    "SOLVERS",
    "VSGD",
    "AdaSecant",
    "Adam",
    "AdamW",
    "Solver",
    "get_solver",
    "make_optimizer",
    "minimize_lbfgs",
]


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
    needs_closure : bool, default=False
        Whether an update evaluates the gradient again, on the same batch and with the
        same masks, at other parameters.
    decouples_decay : bool, default=False
        Whether alpha decays the weights directly, not through the gradient.
    leaves_inert : frozenset of str, default=frozenset()
        Learning-rate schedules that are accepted without effect, as in scikit-learn.
    constraints : mapping from str to list, default={}
        Names that `solver_params` may hold, with scikit-learn's constraints. If empty,
        the optimizer's signature has the names, and the optimizer checks the values.
    summary : str, default=""
        Its step, of the weights w, in a phrase.
    source : str, default=""
        Where the method comes from: author, title, venue, year.
    use : str, default=""
        When to use it.
    """

    optimizer: type[Optimizer] | None
    learning_rate: float
    arguments: Callable[[Any], Mapping[str, Any]] = field(default=lambda estimator: {})
    elementwise: bool = True
    needs_closure: bool = False
    decouples_decay: bool = False
    leaves_inert: frozenset[str] = frozenset()
    constraints: Mapping[str, list] = field(default_factory=dict)
    summary: str = ""
    source: str = ""
    use: str = ""

    @property
    def full_batch(self) -> bool:
        """Whether the solver searches on the whole data instead of taking steps."""
        return self.optimizer is None

    @property
    def steps_by_gradient(self) -> bool:
        """Whether a step takes one gradient, of all parameters in one tensor."""
        return not self.full_batch and self.elementwise and not self.needs_closure

    @property
    def is_lean(self) -> bool:
        """Whether the optimizer has an `update` that runs without torch's wrappers."""
        return self.optimizer is not None and issubclass(self.optimizer, LeanOptimizer)

    def legal_params(self, estimator: Any) -> set[str]:
        """List the names that `solver_params` may hold."""
        if self.constraints or self.optimizer is None:
            return set(self.constraints)
        signature = inspect.signature(self.optimizer)
        return (
            set(signature.parameters) - _SET_ELSEWHERE - set(self.arguments(estimator))
        )


def get_solver(solver: str | type[Optimizer]) -> Solver:
    """Look up a name in `SOLVERS`, or make a row for an optimizer class.

    Parameters
    ----------
    solver : str or type
        Key of `SOLVERS`, or a subclass of `torch.optim.Optimizer` with an ``lr``.

    Returns
    -------
    row : Solver
        For a class, a row without assumptions: the parameters stay separate tensors,
        and a step gets a closure.
    """
    if isinstance(solver, str):
        return SOLVERS[solver]
    lr = inspect.signature(solver.__init__).parameters.get("lr")
    if lr is None:
        raise ValueError(f"solver must be an optimizer with an lr, got {solver!r}.")
    rate = 1e-3 if lr.default is lr.empty else float(lr.default)
    # alpha is the penalty; some classes would decay the biases too, by default
    names = inspect.signature(solver.__init__).parameters
    no_decay = {"weight_decay": 0.0} if "weight_decay" in names else {}
    return Solver(
        solver, rate, lambda estimator: no_decay, elementwise=False, needs_closure=True
    )


def _momentum(estimator: Any) -> Mapping[str, Any]:
    return {
        "momentum": estimator.momentum,
        "nesterov": estimator.nesterovs_momentum,
    }


def _betas(estimator: Any) -> Mapping[str, Any]:
    return {
        "betas": (estimator.beta_1, estimator.beta_2),
        "eps": estimator.epsilon,
    }


_SET_ELSEWHERE = {
    *("self", "params", "args", "kwargs"),
    *("lr", "weight_decay", "decoupled_weight_decay"),  # learning_rate_init, alpha
    *("foreach", "fused", "capturable", "differentiable", "maximize"),
}
_COUNT = [Interval(Integral, 1, None, closed="left")]
_POSITIVE = [Interval(Real, 0, None, closed="neither")]
_NOT_NEGATIVE = [Interval(Real, 0, None, closed="left")]
_SKLEARN_SGD_ONLY = frozenset({"invscaling", "adaptive"})

SOLVERS: dict[str, Solver] = {
    "sgd": Solver(
        SGD,
        1e-2,
        _momentum,
        summary="w - rate u, with velocity u = momentum u + g, looked ahead by "
        "Nesterov; of the gradient g",
        source="I. Sutskever, J. Martens, G. Dahl and G. Hinton, "
        '"On the importance of initialization and momentum in deep learning", '
        "ICML 2013",
        use="With momentum and a schedule, for results that generalise well; the "
        "rate has to be tuned.",
    ),
    "adam": Solver(
        Adam,
        1e-3,
        _betas,
        leaves_inert=_SKLEARN_SGD_ONLY,
        summary="w - rate m / (sqrt(v) + eps), with running means m of the gradient "
        "and v of its square",
        source="D. Kingma and J. Ba, "
        '"Adam: a method for stochastic optimization", ICLR 2015',
        use="The default: it does well without tuning.",
    ),
    "lbfgs": Solver(
        None,
        1.0,
        leaves_inert=_SKLEARN_SGD_ONLY,
        # of scipy; its other options are parameters of the estimator
        constraints={"maxcor": _COUNT, "ftol": _NOT_NEGATIVE, "maxls": _COUNT},
        summary="w - H g over the whole data, with H from the last `maxcor` steps, by "
        "scipy",
        source="D. Liu and J. Nocedal, "
        '"On the limited memory BFGS method for large scale optimization", '
        "Mathematical Programming 1989",
        use="For small data, some thousands of rows: no rate, few steps. No "
        "mini-batches, dropout or schedules.",
    ),
    "adamw": Solver(
        AdamW,
        1e-3,
        _betas,
        decouples_decay=True,
        summary="adam, and the weights shrink by rate alpha w beside it, not through "
        "the gradient",
        source="I. Loshchilov and F. Hutter, "
        '"Decoupled weight decay regularization", ICLR 2019',
        use="To regularise by alpha: as adam, but weights decay at a separate rate.",
    ),
    "nadam": Solver(
        torch.optim.NAdam,
        2e-3,
        _betas,
        summary="adam with Nesterov's look-ahead: m is moved on by the present "
        "gradient",
        source="T. Dozat, "
        '"Incorporating Nesterov momentum into Adam", ICLR workshop 2016',
        use="As adam, often a little faster.",
    ),
    "radam": Solver(
        torch.optim.RAdam,
        1e-3,
        _betas,
        summary="adam, its rate times the part of the variance of 1 / sqrt(v) that is "
        "known so far",
        source="L. Liu, H. Jiang, P. He, W. Chen, X. Liu, J. Gao and J. Han, "
        '"On the variance of the adaptive learning rate and beyond", ICLR 2020',
        use="As adam, where the first steps are unstable and no warm-up is wanted.",
    ),
    "adamax": Solver(
        torch.optim.Adamax,
        2e-3,
        _betas,
        summary="w - rate m / u, with the largest recent gradient u in place of "
        "sqrt(v)",
        source="D. Kingma and J. Ba, "
        '"Adam: a method for stochastic optimization", ICLR 2015, section 7.1',
        use="As adam, where single gradients are very large.",
    ),
    "adagrad": Solver(
        torch.optim.Adagrad,
        1e-2,
        summary="w - rate g / sqrt(s), with the sum s of all squared gradients",
        source="J. Duchi, E. Hazan and Y. Singer, "
        '"Adaptive subgradient methods for online learning and stochastic '
        'optimization", JMLR 2011',
        use="For sparse inputs: rare features keep large rates. In long trainings "
        "the rate dies out.",
    ),
    "rmsprop": Solver(
        torch.optim.RMSprop,
        1e-3,
        summary="w - rate g / sqrt(v), with a running mean v of squared gradients",
        source='T. Tieleman and G. Hinton, "Lecture 6.5: RMSProp", Coursera 2012',
        use="As adagrad, but the past is forgotten, so that the rate does not die out.",
    ),
    "adadelta": Solver(
        torch.optim.Adadelta,
        1.0,
        summary="w - g sqrt(d) / sqrt(v), with running means v of squared gradients "
        "and d of squared steps",
        source='M. Zeiler, "ADADELTA: an adaptive learning rate method", arXiv 2012',
        use="Without tuning of the rate; slow near the minimum.",
    ),
    "vsgd": Solver(
        VSGD,
        1.0,
        needs_closure=True,
        constraints={"n_start": _COUNT, "slow_start": _POSITIVE, "eps": _POSITIVE},
        summary="w - g m^2 / (v h), with running means m of the gradient, v of its "
        "square and h of the curvature",
        source="T. Schaul, S. Zhang and Y. LeCun, "
        '"No more pesky learning rates", ICML 2013; T. Schaul and Y. LeCun, '
        '"Adaptive learning rates and parallelization for stochastic, sparse, '
        'non-smooth gradients", ICLR 2013',
        use="Without tuning of the rate; steps shrink with the noise of the gradients.",
    ),
    "adasecant": Solver(
        AdaSecant,
        1.0,
        elementwise=False,  # it divides each layer's gradient by its norm
        constraints={
            "first_step": _POSITIVE,
            "max_gamma": _NOT_NEGATIVE,
            "eps": _POSITIVE,
        },
        summary="w - g times a secant's inverse slope, d w / d g along the path, with "
        "a control variate",
        source="C. Gulcehre, M. Moczulski and Y. Bengio, "
        '"ADASECANT: robust adaptive secant method for stochastic gradient", '
        "arXiv 2014",
        use="Without tuning of the rate, on noisy gradients.",
    ),
}
