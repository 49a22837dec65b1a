"""Dropout of units by their activity."""

from collections.abc import Sequence
from numbers import Real

import torch
from torch import Tensor

from sk_deep._compat import Interval
from sk_deep._onnx import Graph
from sk_deep.dropouts._dropout import LEVELS, Dropout, LinearMap, Nodes


class Standout(Dropout):
    """Keep each unit with a probability that grows with its own activity.

    A unit of input z is kept with probability ``sigmoid(alpha z + beta + c)``, where
    the constant c makes it ``1 - p`` at ``alpha z + beta = 0``; in prediction the unit
    is multiplied by that probability. At ``p = 0.5`` it is the paper's. The mask is a
    constant to the gradient, as there.

    Parameters
    ----------
    p : float or sequence of float
        Probability of dropping a unit at ``alpha z + beta = 0``, in [0, 1).
    members : tuple of int, default=()
        ``()`` for one network, ``(n_members,)`` for a stack.
    alpha : float, default=1.0
        Slope.
    beta : float, default=0.0
        Shift.

    References
    ----------
    J. Ba and B. Frey, "Adaptive dropout for training deep neural networks", NIPS 2013.
    """

    use = "To keep units that matter: weak units are dropped more often."

    constraints = {
        "alpha": [Interval(Real, None, None, closed="neither")],
        "beta": [Interval(Real, None, None, closed="neither")],
    }
    acts_on_inputs = False
    multiplies = False
    predicts_by_p = True

    def __init__(
        self,
        p: float | Sequence[float],
        *,
        members: tuple[int, ...] = (),
        alpha: float = 1.0,
        beta: float = 0.0,
    ) -> None:
        super().__init__(p, members=members)
        self.alpha = alpha
        self.beta = beta

    def keep_probability(self, z: Tensor) -> Tensor:
        """Probability of keeping units of input `z`, eq. 3 with pi = alpha w + beta."""
        return (self.alpha * z + (self.beta - self.kept_p.logit())).sigmoid()

    def forward(self, h: Tensor, z: Tensor | None = None) -> Tensor:
        """Multiply by a mask in training (eq. 1), else by its expectation (eq. 4)."""
        z = h if z is None or z.shape != h.shape else z  # maxout has z of its pieces
        with torch.set_grad_enabled(not self.training and torch.is_grad_enabled()):
            probability = self.keep_probability(z)
        if not self.training:
            return h * probability
        threshold = probability * LEVELS - LEVELS // 2
        return h * (self.bits(h) < threshold)

    def onnx(
        self,
        graph: Graph,
        x: str,
        linear: LinearMap,
        normalize: Nodes,
        activate: Nodes,
        *,
        has_pieces: bool,
    ) -> str:
        """Multiply by the probabilities of keeping the units, see `Dropout.onnx`."""
        z = normalize(linear.onnx(graph, x))
        h = activate(z)
        shift = self.beta - self.kept_p.logit().numpy(force=True)
        scaled = graph("Mul", h if has_pieces else z, float(self.alpha))
        return graph("Mul", h, graph("Sigmoid", graph("Add", scaled, shift)))
