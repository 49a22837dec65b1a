"""Normalizations of the hidden layers: one row each in `NORMALIZATIONS`.

Every layer treats leading axes alike, so that it serves one network and a stack of
networks.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sk_deep._onnx import Graph


class _Normalization(nn.Module):
    """Scale and shift of each unit, at first the identity.

    Parameters
    ----------
    members : tuple of int
        ``()`` for one network, ``(n_members,)`` for a stack.
    n_units : int
        Size of the last axis.
    """

    eps = 1e-5  # added to variances
    mixes_rows = False  # whether in training a row depends on the rows beside it

    def __init__(self, members: tuple[int, ...], n_units: int) -> None:
        super().__init__()
        self.shape = (*members, 1, n_units)
        self.scale = nn.Parameter(torch.ones(self.shape))
        self.shift = nn.Parameter(torch.zeros(self.shape))


class BatchNorm(_Normalization):
    """Standardise each unit over the batch, then scale and shift it.

    Parameters
    ----------
    members : tuple of int
        ``()`` for one network, ``(n_members,)`` for a stack.
    n_units : int
        Size of the last axis.

    References
    ----------
    S. Ioffe and C. Szegedy, "Batch normalization", ICML 2015.
    """

    use = "In deep networks with batches of 32 rows or more: it allows larger rates."

    momentum = 0.1
    mixes_rows = True
    running_mean: Tensor
    running_var: Tensor

    def __init__(self, members: tuple[int, ...], n_units: int) -> None:
        super().__init__(members, n_units)
        self.register_buffer("running_mean", torch.zeros(self.shape))
        self.register_buffer("running_var", torch.ones(self.shape))

    def forward(self, z: Tensor) -> Tensor:
        """Normalise by the batch (alg. 1), in prediction by the running moments."""
        if self.training:
            var, mean = torch.var_mean(z, dim=-2, correction=0, keepdim=True)
            self._update_running(mean.detach(), var.detach(), z.shape[-2])
        else:
            mean, var = self.running_mean, self.running_var
        scale = self.scale * (var + self.eps).rsqrt()
        return torch.addcmul(self.shift, z - mean, scale)

    def onnx(self, graph: Graph, z: str) -> str:
        """Normalise by the running moments, as nodes of ONNX."""
        scale = self.scale * (self.running_var + self.eps).rsqrt()
        centred = graph("Sub", z, self.running_mean.numpy(force=True))
        scaled = graph("Mul", centred, scale.numpy(force=True))
        return graph("Add", scaled, self.shift.numpy(force=True))

    def _update_running(self, mean: Tensor, var: Tensor, n_rows: int) -> None:
        """Move the running moments; the variance is the unbiased one (alg. 2)."""
        self.running_mean.lerp_(mean, self.momentum)
        self.running_var.lerp_(var * (n_rows / (n_rows - 1)), self.momentum)


class LayerNorm(_Normalization):
    """Standardise each row over its units, then scale and shift each unit.

    Parameters
    ----------
    members : tuple of int
        ``()`` for one network, ``(n_members,)`` for a stack.
    n_units : int
        Size of the last axis.

    References
    ----------
    J. Ba, J. Kiros and G. Hinton, "Layer normalization", arXiv 2016.
    """

    use = "In deep networks with small batches: a row does not depend on the others."

    def forward(self, z: Tensor) -> Tensor:
        """Normalise each row, eq. 4 of Ba et al."""
        h = F.layer_norm(z, z.shape[-1:], eps=self.eps)
        return torch.addcmul(self.shift, h, self.scale)

    def onnx(self, graph: Graph, z: str) -> str:
        """Normalise each row, as nodes of ONNX."""
        n_units = self.shape[-1]
        centred = graph("Sub", z, graph.mean(z, -1, n_units))
        variance = graph.mean(graph("Mul", centred, centred), -1, n_units)
        deviation = graph("Sqrt", graph("Add", variance, self.eps))
        scale = self.scale.numpy(force=True)
        scaled = graph("Mul", graph("Div", centred, deviation), scale)
        return graph("Add", scaled, self.shift.numpy(force=True))


NORMALIZATIONS: dict[str, type[BatchNorm] | type[LayerNorm]] = {
    "batch": BatchNorm,
    "layer": LayerNorm,
}
