"""The gradient of a batch as one CUDA graph.

On a GPU a step of a small network waits for the launches of its kernels, one by one. A
graph launches them together. It repeats the recorded kernels on the same memory, so it
serves batches of one shape; the last and smaller batch of an epoch goes without.
"""

from collections.abc import Callable
from typing import Any, Protocol

import torch
from torch import Tensor

from sk_deep.network import MLP

Shares = Tensor | float  # factors on the losses of the rows

_N_BEFORE = 3  # batches before a graph is recorded, while memory and libraries warm up


class GradientFunction(Protocol):
    """Computes the gradient of a network, see `sk_deep._engine.gradients.Autograd`."""

    module: MLP

    def __call__(
        self, X: Tensor, y: Tensor, shares: Shares
    ) -> tuple[Tensor, Tensor | None]:
        """Put the gradient into the network's `flat_grad`."""


class CudaGraph:
    """The kernels of a function, recorded and not run.

    Parameters
    ----------
    function : callable
        The function to record, without arguments, which returns tensors.
    generator : torch.Generator
        Its source of random numbers, which advances with every replay.

    Attributes
    ----------
    result : tuple
        Tensors that the function returned; each replay writes to them.
    """

    def __init__(
        self, function: Callable[[], tuple], generator: torch.Generator
    ) -> None:
        self._graph = torch.cuda.CUDAGraph()
        self._graph.register_generator_state(generator)
        with torch.cuda.graph(self._graph, capture_error_mode="thread_local"):
            self.result = function()

    def replay(self) -> None:
        """Run the kernels."""
        self._graph.replay()


class Graphed:
    """A gradient function that replays a graph where it can.

    A graph is recorded after a few batches, and again when a probability of dropping
    has changed. It is checked against the function without a graph, on the same batch:
    if it cannot be recorded, or differs, training continues without graphs.

    Parameters
    ----------
    way : callable
        The function without a graph, `Autograd` or `ByHand`.
    record : callable, default=CudaGraph
        Records a graph.
    """

    def __init__(
        self, way: GradientFunction, record: Callable[..., CudaGraph] = CudaGraph
    ) -> None:
        self.way, self.record = way, record
        self.module = way.module
        self.dropouts = self.module.dropout_layers()
        self.shapes: Any = None
        self.n_seen = 0
        self.drops: list[float | list[float]] | None = None
        self.inputs: list[Any] = []
        self.graph: CudaGraph | None = None
        self.is_off = False

    def __call__(
        self, X: Tensor, y: Tensor, shares: Shares
    ) -> tuple[Tensor, Tensor | None]:
        """Put the gradient into the network's `flat_grad`, see `Autograd`."""
        shapes = X.shape, y.shape, y.dtype, getattr(shares, "shape", shares)
        self.shapes = self.shapes or shapes
        if self.is_off or shapes != self.shapes:
            # more rows take new memory, and the graph keeps the old
            self.is_off |= X.shape[-2] > self.shapes[0][-2]
            return self.way(X, y, shares)
        if self.n_seen < _N_BEFORE:
            self.n_seen += 1
            return self.way(X, y, shares)
        drops = [layer.p for layer in self.dropouts]
        if self.graph is None or drops != self.drops:
            self.drops = drops
            return self._record(X, y, shares)
        for static, given in zip(self.inputs, (X, y, shares), strict=True):
            if isinstance(static, Tensor) and isinstance(given, Tensor):
                static.copy_(given)
        self.graph.replay()
        raw, losses = self.graph.result
        return raw.clone(), None if losses is None else losses.clone()

    def _record(
        self, X: Tensor, y: Tensor, shares: Shares
    ) -> tuple[Tensor, Tensor | None]:
        """Compute without a graph, and check that a new graph gives the same."""
        gradient, before = self.module.flat_grad, self._state()
        result = self.way(X, y, shares)
        expected, after = gradient.clone(), self._state()
        self.inputs = [
            part.clone() if isinstance(part, Tensor) else part
            for part in (X, y, shares)
        ]
        try:
            self.graph = self.record(
                lambda: self.way(*self.inputs), self.module.generator
            )
            self._set_state(*before)
            self.graph.replay()
            pairs = [(gradient, expected), (self.graph.result[0], result[0])]
            self.is_off = not all(_are_close(*pair) for pair in pairs)
        except RuntimeError:
            self.is_off = True
        if self.is_off:
            self.graph, self.inputs = None, []
        self._set_state(*after)
        gradient.copy_(expected)
        return result

    def _state(self) -> tuple[Tensor, Tensor]:
        return self.module.generator.get_state(), self.module.flat_buffers.clone()

    def _set_state(self, generator: Tensor, buffers: Tensor) -> None:
        self.module.generator.set_state(generator)
        self.module.flat_buffers.copy_(buffers)


def _are_close(values: Tensor, expected: Tensor) -> bool:
    tolerance = 1e-3 * expected.abs().max().item()
    return torch.allclose(values, expected, rtol=0, atol=tolerance, equal_nan=True)
