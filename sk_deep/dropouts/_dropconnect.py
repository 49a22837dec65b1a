"""Dropout of weights."""

import functools
import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from sk_deep._compat import StrOptions
from sk_deep._onnx import Graph
from sk_deep.dropouts._dropout import Dropout, LinearMap, Nodes, Pointwise


class DropConnect(Dropout):
    """Set each weight and bias of a layer to zero with probability `p` in training.

    The kept ones are divided by 1 - p. A mask serves a batch, where the paper draws one
    for each row: the law of a row is the same, and a layer stays one matrix product.

    Parameters
    ----------
    p : float or sequence of float
        Probability of dropping a weight that leads into a hidden unit, in [0, 1).
    members : tuple of int, default=()
        ``()`` for one network, ``(n_members,)`` for a stack.
    inference : {"mean", "gaussian"}, default="mean"
        How to predict: with the mean weights, or, as the paper does, with the mean of
        the activation under the normal law that has the mean and the variance of the
        unit's input. That mean is found by Gauss-Hermite quadrature, where the paper
        samples, so that predictions do not vary.

    References
    ----------
    L. Wan, M. Zeiler, S. Zhang, Y. LeCun and R. Fergus, "Regularization of neural
    networks using DropConnect", ICML 2013.
    """

    use = (
        "To rely less on single connections, rather than on whole units. "
        "Slower: a mask has the size of the weights."
    )

    constraints = {"inference": [StrOptions({"mean", "gaussian"})]}
    acts_on_inputs = False
    multiplies = False
    predicts_by_p = True
    n_nodes = 32

    @classmethod
    def needs_pointwise(cls, **params) -> bool:
        """Whether the activation must act on single values, with these parameters."""
        # maxout's pieces vary on their own
        return params.get("inference") == "gaussian"

    def __init__(
        self,
        p: float | Sequence[float],
        *,
        members: tuple[int, ...] = (),
        inference: str = "mean",
    ) -> None:
        super().__init__(p, members=members)
        self.inference = inference

    def hidden(
        self, x: Tensor, linear: LinearMap, normalize: Pointwise, activate: Pointwise
    ) -> Tensor:
        """Compute the units' values with masked weights (eq. 4), or their mean."""
        if self.training:
            weight, bias = linear.weight, linear.bias
            masked = weight * self.mask(weight), bias * self.mask(bias)
            return activate(normalize(linear.affine(x, *masked)))
        if self.inference == "mean":
            return activate(normalize(linear.forward(x)))
        return self._expectation(x, linear, lambda z: activate(normalize(z)))

    def _expectation(self, x: Tensor, linear: LinearMap, activate: Pointwise) -> Tensor:
        """Mean of the activation under a normal law of its input (sec. 3.2)."""
        mean = linear.forward(x)
        squares = linear.affine(
            x.square(), linear.weight.square(), linear.bias.square()
        )
        spread = (squares * (self.kept_p / (1 - self.kept_p))).sqrt()
        nodes, weights = np.polynomial.hermite_e.hermegauss(self.n_nodes)
        values = [
            float(weight) * activate(mean + float(node) * spread)
            for node, weight in zip(nodes, weights, strict=True)
        ]
        return functools.reduce(torch.add, values) / math.sqrt(2 * math.pi)

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
        """Predict with the mean weights, or by a quadrature along a first axis.

        See `Dropout.onnx`.
        """
        mean = linear.onnx(graph, x)
        if self.inference == "mean":
            return activate(normalize(mean))
        weight = linear.weight.numpy(force=True)
        bias = linear.bias.numpy(force=True)[..., np.newaxis, :]
        squares = graph.affine(graph("Mul", x, x), weight**2, bias**2)
        odds = (self.kept_p / (1 - self.kept_p)).numpy(force=True)
        spread = graph("Sqrt", graph("Mul", squares, odds))
        nodes, weights = (
            values.reshape(-1, *[1] * weight.ndim)
            for values in np.polynomial.hermite_e.hermegauss(self.n_nodes)
        )
        z = graph("Add", mean, graph("Mul", nodes, spread))
        weights = weights / math.sqrt(2 * math.pi)
        values = graph("Mul", activate(normalize(z)), weights)
        return graph("ReduceSum", values, [0], keepdims=0)
