"""Two ways to the gradient of a batch: autograd, and the chain rule written out.

On small layers autograd spends more on its graph than the layers on arithmetic. The
commonest networks, of dense layers with a pointwise activation, perhaps dropout, and a
loss with a known gradient, therefore go by hand, at about half the time of a step; all
others by autograd. The two agree to rounding.
"""

import torch
from torch import Tensor

from sk_deep._compat import foreach_copy, run_backward
from sk_deep._engine.cuda_graphs import GradientFunction, Graphed, Shares
from sk_deep.losses import Criterion
from sk_deep.network import MLP, LinearByHand


class Autograd:
    """The gradient of any network, by torch's autograd.

    Parameters
    ----------
    module : MLP
        The network, or stack of networks.
    criterion : Criterion
        The loss.
    """

    def __init__(self, module: MLP, criterion: Criterion) -> None:
        self.module = module
        self.criterion = criterion

    def __call__(
        self, X: Tensor, y: Tensor, shares: Shares
    ) -> tuple[Tensor, Tensor | None]:
        """Put the gradient of ``sum(shares * losses)`` into the network's `flat_grad`.

        Parameters
        ----------
        X : Tensor of shape (batch, n_features) or (n_members, batch, n_features)
            Inputs.
        y : Tensor
            Encoded targets.
        shares : Tensor of shape (batch,) or (n_members, batch), or float
            Factors on the losses of the rows.

        Returns
        -------
        raw : Tensor of shape (batch, n_outputs) or (n_members, batch, n_outputs)
            Outputs before the inverse link.
        losses : Tensor of shape (batch,) or (n_members, batch), or None
            Losses of the rows, where they were computed.
        """
        raw = self.module(X)
        losses = self.criterion(raw, y)
        # members do not meet: each has its own gradient
        factors = (
            shares if isinstance(shares, Tensor) else torch.full_like(losses, shares)
        )
        gradients = run_backward(
            (losses,), (factors,), False, False, tuple(self.module.packed), False, False
        )
        foreach_copy(self.module.grads, gradients)
        return raw.detach(), losses.detach()


class ByHand(Autograd):
    """The gradient of a plain network, by the chain rule written out.

    It is for the networks of which `is_by_hand` holds. The values of the hidden units
    and their gradients keep their memory from step to step: to get new memory from the
    system can take longer than to fill it.
    """

    def __init__(self, module: MLP, criterion: Criterion) -> None:
        super().__init__(module, criterion)
        self.hidden = [layer.by_hand() for layer in module.hidden_layers()]
        self.output = LinearByHand(module.output)
        self.n_rows = 0
        self.memory: list[tuple[Tensor, Tensor]] = []

    @torch.inference_mode()  # cheaper still per operation than without gradients
    def __call__(self, X: Tensor, y: Tensor, shares: Shares) -> tuple[Tensor, None]:
        """Put the gradient into `flat_grad`, see `Autograd`."""
        x = self.module.inputs(X)
        steps = []
        for layer, (z, dh) in zip(self.hidden, self._memory_for(x), strict=True):
            x, trace = layer.forward(x, z)
            steps.append((layer, trace, dh))
        raw = self.output.affine(x)
        gradient = self.criterion.gradient(raw, y)
        gradient.mul_(shares.unsqueeze(-1) if isinstance(shares, Tensor) else shares)
        above: LinearByHand = self.output
        above.put_gradient(x, gradient)
        for layer, trace, dh in reversed(steps):
            gradient = above.input_gradient(gradient, dh)
            gradient = layer.backward(gradient, trace)
            above = layer
        if self.module.embeddings is not None:
            dx = above.input_gradient(gradient)
            self.module.embeddings.put_gradient(self.module.for_members(X), dx)
        return raw, None

    def _memory_for(self, x: Tensor) -> list[tuple[Tensor, Tensor]]:
        """Return memory for z and dh of each hidden layer, cut to the rows of x."""
        n_rows = x.shape[-2]
        if n_rows > self.n_rows or not self.memory:
            self.n_rows = n_rows
            self.memory = [layer.reserve(n_rows) for layer in self.hidden]
        if n_rows == self.n_rows:
            return self.memory
        return [(z[..., :n_rows, :], dh[..., :n_rows, :]) for z, dh in self.memory]


def is_by_hand(module: MLP, criterion: Criterion) -> bool:
    """Whether the gradient of a network's loss is known by hand."""
    return module.has_gradient and criterion.has_gradient


def is_ours(module: MLP, criterion: Criterion) -> bool:
    """Whether no code of a user's takes part in the gradient."""
    names = [criterion.loss, *module.architecture.activation]
    return all(isinstance(name, str) for name in names)


def choose_gradient(module: MLP, criterion: Criterion) -> GradientFunction:
    """Choose the function that computes the gradient of a network's loss."""
    kind = ByHand if is_by_hand(module, criterion) else Autograd
    compute = kind(module, criterion)
    # a graph would not repeat what a user's code does on the host
    is_recorded = module.flat.is_cuda and is_ours(module, criterion)
    return Graphed(compute) if is_recorded else compute
