"""Initial weights: one row each in `INITIALIZERS`.

An initializer draws the weights and the biases of one layer from a numpy
``RandomState``; the biases of all but "auto" are zero.
"""

from collections.abc import Callable

import numpy as np
from numpy.random import RandomState
from numpy.typing import NDArray

Weights = tuple[NDArray[np.float64], NDArray[np.float64]]
Initializer = Callable[[RandomState, int, int, float], Weights]


def _auto(random_state: RandomState, n_in: int, n_out: int, factor: float) -> Weights:
    """Draw as scikit-learn does: Glorot's uniform law, for the biases too."""
    bound = np.sqrt(factor / (n_in + n_out))
    weights = random_state.uniform(-bound, bound, (n_in, n_out))
    return weights, random_state.uniform(-bound, bound, n_out)


def _uniform(variance: Callable[[int, int], float]) -> Initializer:
    def draw(
        random_state: RandomState, n_in: int, n_out: int, factor: float
    ) -> Weights:
        bound = np.sqrt(3 * variance(n_in, n_out))
        return random_state.uniform(-bound, bound, (n_in, n_out)), np.zeros(n_out)

    return draw


def _normal(variance: Callable[[int, int], float]) -> Initializer:
    def draw(
        random_state: RandomState, n_in: int, n_out: int, factor: float
    ) -> Weights:
        scale = np.sqrt(variance(n_in, n_out))
        return random_state.normal(0.0, scale, (n_in, n_out)), np.zeros(n_out)

    return draw


def _orthogonal(
    random_state: RandomState, n_in: int, n_out: int, factor: float
) -> Weights:
    """Draw orthonormal rows or columns, uniformly (the signs make Q unique)."""
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


INITIALIZERS: dict[str, Initializer] = {
    "auto": _auto,
    # X. Glorot and Y. Bengio, "Understanding the difficulty of training deep
    # feedforward neural networks", AISTATS 2010, eqs. 12 and 16.
    "glorot_uniform": _uniform(_glorot),
    "glorot_normal": _normal(_glorot),
    # K. He, X. Zhang, S. Ren and J. Sun, "Delving deep into rectifiers", ICCV 2015,
    # eq. 10.
    "he_uniform": _uniform(_he),
    "he_normal": _normal(_he),
    # Y. LeCun, L. Bottou, G. Orr and K.-R. Mueller, "Efficient backprop", in Neural
    # Networks: Tricks of the Trade, 1998, eq. 16.
    "lecun_normal": _normal(_lecun),
    # A. Saxe, J. McClelland and S. Ganguli, "Exact solutions to the nonlinear dynamics
    # of learning in deep linear neural networks", ICLR 2014.
    "orthogonal": _orthogonal,
}
