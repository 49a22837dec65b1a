"""Initial weights: one row each in `INITIALIZERS`.

An initializer draws the weights and the biases of one layer from a numpy
``RandomState``. Biases are zero, except with "auto".
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.random import RandomState
from numpy.typing import NDArray

Weights = tuple[NDArray[np.float64], NDArray[np.float64]]
Draw = Callable[[RandomState, int, int, float], Weights]


def _auto(random_state: RandomState, n_in: int, n_out: int, factor: float) -> Weights:
    """Draw as scikit-learn does: Glorot's uniform law, also for the biases."""
    bound = np.sqrt(factor / (n_in + n_out))
    weights = random_state.uniform(-bound, bound, (n_in, n_out))
    return weights, random_state.uniform(-bound, bound, n_out)


def _uniform(variance: Callable[[int, int], float]) -> Draw:
    def draw(
        random_state: RandomState, n_in: int, n_out: int, factor: float
    ) -> Weights:
        bound = np.sqrt(3 * variance(n_in, n_out))
        return random_state.uniform(-bound, bound, (n_in, n_out)), np.zeros(n_out)

    return draw


def _normal(variance: Callable[[int, int], float]) -> Draw:
    def draw(
        random_state: RandomState, n_in: int, n_out: int, factor: float
    ) -> Weights:
        scale = np.sqrt(variance(n_in, n_out))
        return random_state.normal(0.0, scale, (n_in, n_out)), np.zeros(n_out)

    return draw


def _orthogonal(
    random_state: RandomState, n_in: int, n_out: int, factor: float
) -> Weights:
    """Draw orthonormal rows or columns uniformly; the signs make Q unique."""
    shape = (max(n_in, n_out), min(n_in, n_out))
    q, r = np.linalg.qr(random_state.normal(size=shape))
    q *= np.sign(np.diag(r))
    return (q if n_in >= n_out else q.T), np.zeros(n_out)


def _glorot(n_in: int, n_out: int) -> float:
    return 2 / (n_in + n_out)


def _he(n_in: int, n_out: int) -> float:
    return 2 / n_in


def _lecun(n_in: int, n_out: int) -> float:
    return 1 / n_in


@dataclass(frozen=True)
class Initializer:
    """A row of `INITIALIZERS`.

    Parameters
    ----------
    draw : callable
        Function of a ``RandomState``, n_in, n_out and the factor of the activation's
        row that returns the weights (n_in, n_out) and the biases (n_out,) of a layer.
    summary, source : str
        The law of the weights, and a reference.
    use : str, default=""
        When to use it.
    """

    draw: Draw
    summary: str
    source: str
    use: str = ""


_GLOROT = (
    'X. Glorot and Y. Bengio, "Understanding the difficulty of training deep'
    ' feedforward neural networks", AISTATS 2010, '
)
_HE = (
    'K. He, X. Zhang, S. Ren and J. Sun, "Delving deep into rectifiers: surpassing'
    ' human-level performance on ImageNet classification", ICCV 2015, eq. 10.'
)

INITIALIZERS: dict[str, Initializer] = {
    "auto": Initializer(
        _auto,
        "as in scikit-learn: glorot_uniform, also for the biases, with a third of the"
        " variance for logistic units",
        _GLOROT + "eq. 16.",
        use="The default: networks start from the same weights as scikit-learn's.",
    ),
    "glorot_uniform": Initializer(
        _uniform(_glorot),
        "uniform of variance 2 / (n_in + n_out)",
        _GLOROT + "eq. 16.",
        use="With tanh and other odd activations.",
    ),
    "glorot_normal": Initializer(
        _normal(_glorot),
        "normal of variance 2 / (n_in + n_out)",
        _GLOROT + "eq. 12.",
        use="Like glorot_uniform.",
    ),
    "he_uniform": Initializer(
        _uniform(_he),
        "uniform of variance 2 / n_in",
        _HE,
        use="With relu and similar activations, above all in deep networks.",
    ),
    "he_normal": Initializer(
        _normal(_he), "normal of variance 2 / n_in", _HE, use="Like he_uniform."
    ),
    "lecun_normal": Initializer(
        _normal(_lecun),
        "normal of variance 1 / n_in, for selu",
        'Y. LeCun, L. Bottou, G. Orr and K.-R. Mueller, "Efficient backprop", in Neural'
        " Networks: Tricks of the Trade, 1998, eq. 16.",
        use="With selu.",
    ),
    "orthogonal": Initializer(
        _orthogonal,
        "orthonormal rows or columns",
        'A. Saxe, J. McClelland and S. Ganguli, "Exact solutions to the nonlinear'
        ' dynamics of learning in deep linear neural networks", ICLR 2014.',
        use="In deep networks: linear layers keep the norm of signals.",
    ),
}
