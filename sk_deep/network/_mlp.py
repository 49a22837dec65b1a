"""The network: a multi-layer perceptron, alone or as a stack of members.

A stack holds its members' weights in one tensor with a leading axis: weights
(members, in, out), activations (members, batch, units). Every layer treats leading
axes alike, so one source serves both. All parameters are views into one flat buffer,
weights first, and so are their gradients: an elementwise optimizer steps over one
tensor, and a copy of the network is a copy of one tensor.
"""

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import scipy.sparse
import torch
from numpy.random import RandomState
from numpy.typing import NDArray
from torch import Tensor, nn

from sk_deep._compat import is_hooked
from sk_deep._data.sparse import SparseRows, is_worth_it
from sk_deep._data.tensors import is_narrow
from sk_deep.activations import Activation
from sk_deep.dropouts import DROPOUTS, Dropout, dropout_of_inputs
from sk_deep.initializers import INITIALIZERS, Draw
from sk_deep.network._architecture import Architecture
from sk_deep.network._embeddings import Embeddings, draw_embeddings
from sk_deep.normalizations import NORMALIZATIONS


class Linear(nn.Module):
    """Affine map of the last axis, ``x @ weight + bias``.

    Parameters
    ----------
    members : tuple of int
        ``()`` for one network, ``(n_members,)`` for a stack.
    n_in, n_out : int
        Sizes of the last axis of the input and of the output.
    """

    def __init__(self, members: tuple[int, ...], n_in: int, n_out: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(*members, n_in, n_out))
        self.bias = nn.Parameter(torch.empty(*members, n_out))

    def forward(self, x: Tensor) -> Tensor:
        """Map (batch, in) to (batch, out), member by member in a stack."""
        return self.affine(x, self.weight, self.bias)

    @staticmethod
    def affine(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        """Compute ``x @ weight + bias``, member by member in a stack."""
        return Linear.bind(weight, bias)(x)

    @staticmethod
    def bind(weight: Tensor, bias: Tensor) -> Callable[..., Tensor]:
        """Build the function ``x @ weight + bias`` of x, and perhaps of `out`.

        `out` is where the result goes; of the layout that the result has.
        """
        add_product = torch.addmm if weight.ndim == 2 else torch.baddbmm
        if is_narrow(weight):
            column, transposed = bias.unsqueeze(-1), weight.mT

            def dense(x: Tensor, out: Tensor | None = None) -> Tensor:
                out = None if out is None else out.mT
                return add_product(column, transposed, x.mT, out=out).mT

        else:
            row = bias.unsqueeze(-2)

            def dense(x: Tensor, out: Tensor | None = None) -> Tensor:
                return add_product(row, x, weight, out=out)

        return lambda x, out=None: (
            x.affine(weight, bias, out) if isinstance(x, SparseRows) else dense(x, out)
        )


class Hidden(nn.Module):
    """A hidden layer: linear map, normalization, activation, dropout.

    Parameters
    ----------
    linear : Linear
        The affine map.
    normalization : Module or None
        Acts on the linear map's outputs.
    activation : Module
        Acts on what is normalized.
    dropout : Module or None
        Acts on the activations.
    skips : bool
        Whether the input is added to the output (K. He, X. Zhang, S. Ren and J. Sun,
        "Deep residual learning for image recognition", CVPR 2016).
    """

    linear: Linear
    activation: nn.Module
    dropout: Dropout | None

    def __init__(
        self,
        linear: Linear,
        normalization: nn.Module | None,
        activation: nn.Module,
        dropout: Dropout | None,
        *,
        skips: bool,
    ) -> None:
        super().__init__()
        self.linear = linear
        self.normalization = normalization
        self.activation = activation
        self.dropout = dropout
        self.skips = skips

    def forward(self, x: Tensor) -> Tensor:
        """Compute the units' values, (..., batch, units)."""
        if self.dropout is None:
            h = self.activation(self.pre_activations(x))
        else:
            h = self.dropout.hidden(x, self.linear, self._normalize, self.activation)
        return x + h if self.skips else h  # He et al., eq. 1

    def pre_activations(self, x: Tensor) -> Tensor:
        """Compute what the activation acts on, without the noise of dropout."""
        return self._normalize(self.linear(x))

    def _normalize(self, z: Tensor) -> Tensor:
        return z if self.normalization is None else self.normalization(z)


class MLP(nn.Module):
    """Multi-layer perceptron, or a stack of `n_members` of them.

    Parameters
    ----------
    *args : object
        Fields of `Architecture`, in their order.
    device : str, default="cpu"
        Torch device.
    **kwargs : object
        Further fields of `Architecture`, by name.

    Attributes
    ----------
    architecture : Architecture
        Enough, with `flat` and `flat_buffers`, to build the same network again.
    flat, flat_grad : Tensor of shape (n_parameters,) or (n_members, n_parameters)
        All parameters and their gradients; weights first.
    packed, grads : list of Tensor
        The parameters in their order there, and the views of the gradients.
    weights, weights_grad : Tensor of shape (n_weights,) or (n_members, n_weights)
        The views of these on the weights, which a penalty acts on.
    flat_buffers : Tensor
        The running moments of batch normalization, in the same manner.
    mixes_rows : bool
        Whether in training the output of a row depends on the rows beside it.

    Examples
    --------
    >>> import torch
    >>> network = MLP(4, 3, hidden_units=[8], activation=["relu"], n_members=5)
    >>> network.reset_parameters([np.random.RandomState(i) for i in range(5)])
    >>> network(torch.zeros(2, 4)).shape
    torch.Size([5, 2, 3])
    """

    flat: Tensor
    flat_grad: Tensor
    flat_buffers: Tensor
    weights: Tensor
    weights_grad: Tensor

    def __init__(self, *args: Any, device: str = "cpu", **kwargs: Any) -> None:
        super().__init__()
        self.architecture = a = Architecture(*args, **kwargs)
        self.members = a.members
        self.mixes_rows = (
            a.normalization is not None and NORMALIZATIONS[a.normalization].mixes_rows
        )
        self.input_dropout = (
            dropout_of_inputs(a.dropout_type, a.input_dropout)
            if np.any(a.input_dropout)
            else None
        )
        self.embeddings = (
            Embeddings(self.members, a.categories, a.n_periodic).to(device)
            if a.categories or a.n_periodic
            else None
        )
        self.hidden = nn.ModuleList(
            self._hidden_layer(i) for i in range(len(a.hidden_units))
        )
        self.output = Linear(self.members, *a.widths[-2:])
        self.generator = torch.Generator(device)
        for layer in self.dropout_layers():
            layer.generator = self.generator
        self._flatten(getattr(torch, a.dtype), device)

    def _hidden_layer(self, i: int) -> Hidden:
        a = self.architecture
        n_in, n_out = a.widths[i : i + 2]
        row, pieces = a.activation_rows[i], a.pieces[i]
        slopes = (*self.members, 1, n_out) if self.members else (n_out,)
        return Hidden(
            Linear(self.members, n_in, n_out * pieces),
            NORMALIZATIONS[a.normalization](self.members, n_out * pieces)
            if a.normalization
            else None,
            row.build(slopes, pieces),
            self._dropout(a.dropout[i]),
            skips=a.residual and i > 0 and n_in == n_out,
        )

    def _dropout(self, p: float | Sequence[float]) -> Dropout | None:
        kind = DROPOUTS[self.architecture.dropout_type]
        params = self.architecture.dropout_params
        return kind(p, members=self.members, **params) if np.any(p) else None

    def _flatten(self, dtype: torch.dtype, device: str) -> None:
        """Move all parameters, their gradients and the buffers into flat tensors."""
        weights = [layer.weight for layer in self.linear_layers()]
        decayed = {id(weight) for weight in weights}
        others = [p for p in self.parameters() if id(p) not in decayed]
        buffers = [b for b in self.buffers() if b.is_floating_point()]
        n = len(self.members)
        n_weights = sum(w.shape[n:].numel() for w in weights)
        self.flat = _pack([*weights, *others], self.members, dtype, device)
        self.flat_grad = torch.zeros_like(self.flat)
        self.weights = self.flat.narrow(-1, 0, n_weights)
        self.weights_grad = self.flat_grad.narrow(-1, 0, n_weights)
        self.flat_buffers = _pack(buffers, self.members, dtype, device)
        self.packed = [*weights, *others]
        self.grads = _views(self.flat_grad, self.packed, n)
        views = _views(self.flat, self.packed, n)
        for parameter, view, grad in zip(self.packed, views, self.grads, strict=True):
            parameter.data = view
            parameter.grad = grad
        for buffer, view in zip(
            buffers, _views(self.flat_buffers, buffers, n), strict=True
        ):
            buffer.data = view

    @property
    def is_plain(self) -> bool:
        """Whether the layers are linear maps, known functions and dropout's factors."""
        return (
            (self.embeddings is None or self._embeds_plainly)
            and self.architecture.normalization is None
            and not any(layer.skips for layer in self.hidden_layers())
            and all(layer.multiplies for layer in self.dropout_layers())
            and all(row.function is not None for row in self.activation_rows())
        )

    @property
    def _embeds_plainly(self) -> bool:
        """Whether the embeddings are tables, of which nothing is dropped."""
        return not self.architecture.n_periodic and self.input_dropout is None

    def multiplies(self, X: Any) -> bool:
        """Whether the first layer multiplies inputs that are sparse as they are.

        It does on the CPU, if nothing but its linear map takes them, no code of a
        user's, and if few enough of their values are not zero.
        """
        dropouts = [layer.dropout for layer in self.hidden_layers()[:1]]
        return (
            scipy.sparse.issparse(X)
            and is_worth_it(X)
            and not self.members
            and self.flat.device.type == "cpu"
            and self.embeddings is None
            and self.input_dropout is None
            and all(dropout is None or dropout.multiplies for dropout in dropouts)
            and not any(is_hooked(part) for part in self.modules())
        )

    def bare(self) -> Callable[[Tensor], Tensor]:
        """Build the function of a plain network in prediction.

        It gives what the network gives, at less cost per call: no module is called.
        """
        functions: list[Any] = [row.function for row in self.activation_rows()]
        *hidden, output = (
            Linear.bind(layer.weight.detach(), layer.bias.detach())
            for layer in self.linear_layers()
        )
        layers = list(zip(hidden, functions, strict=True))
        members, embeddings = self.members, self.embeddings

        def raw(x: Tensor) -> Tensor:
            x = _for_members(x, members)
            if embeddings is not None:
                with torch.inference_mode():
                    x = embeddings(x)
            for affine, function in layers:
                x = function(affine(x))
            return output(x)

        return raw

    def linear_layers(self) -> list[Linear]:
        """List the linear layers from the first to the output."""
        return [m for m in self.modules() if isinstance(m, Linear)]

    def hidden_layers(self) -> list[Hidden]:
        """Hidden layers from the first to the last."""
        return [m for m in self.modules() if isinstance(m, Hidden)]

    def activation_rows(self) -> list[Activation]:
        """List the rows of the hidden layers' activations."""
        return self.architecture.activation_rows

    def dropout_layers(self) -> list[Dropout]:
        """List the layers that draw masks."""
        return [module for module in self.modules() if isinstance(module, Dropout)]

    def reset_parameters(
        self, random_states: Sequence[RandomState], weight_init: str = "auto"
    ) -> None:
        """Draw initial weights, each member's from its own random state.

        Parameters
        ----------
        random_states : sequence of RandomState
            One per member.
        weight_init : str, default="auto"
            Key of `INITIALIZERS`.
        """
        self.set_parameters(
            [draw_parameters(self.architecture, s, weight_init) for s in random_states]
        )

    def set_parameters(self, drawn: Sequence[Sequence[Sequence[NDArray]]]) -> None:
        """Set the weights and biases of each member, layer by layer, and embeddings.

        Parameters
        ----------
        drawn : sequence
            Of each member, what `draw_parameters` gives.
        """
        own = [[layer.weight, layer.bias] for layer in self.linear_layers()]
        if self.embeddings is not None:
            own.append(list(self.embeddings.parameters()))
        parameters = list(itertools.chain.from_iterable(own))
        for i, layers in enumerate(drawn):
            member = (i,) if self.members else ()
            arrays = itertools.chain.from_iterable(layers)
            for parameter, array in zip(parameters, arrays, strict=True):
                parameter.data[member] = torch.from_numpy(array).to(self.flat)

    def forward(self, x: Tensor) -> Tensor:
        """Compute the raw outputs, before the inverse link.

        Parameters
        ----------
        x : Tensor of shape (batch, n_features) or (n_members, batch, n_features)
            Inputs; a stack gives inputs without a leading axis to all its members.

        Returns
        -------
        raw : Tensor of shape (batch, n_outputs) or (n_members, batch, n_outputs)
            The raw outputs.
        """
        return self.output(self.hidden_values(x, len(self.hidden)))

    def hidden_values(self, x: Tensor, n_layers: int) -> Tensor:
        """Compute the values of the n-th hidden layer, 0 is the input.

        Parameters
        ----------
        x : Tensor of shape (batch, n_features) or (n_members, batch, n_features)
            Inputs.
        n_layers : int
            Number of hidden layers to go through.

        Returns
        -------
        h : Tensor of shape (batch, n_units) or (n_members, batch, n_units)
            Values of the units.
        """
        x = self.inputs(x)
        for layer in itertools.islice(self.hidden, n_layers):
            x = layer(x)
        return x

    def inputs(self, x: Tensor) -> Tensor:
        """Give inputs (batch, n_features) to each member, embed and drop some."""
        x = self.for_members(x)
        if self.embeddings is not None:
            x = self.embeddings(x)
        return x if self.input_dropout is None else self.input_dropout(x)

    def for_members(self, x: Tensor) -> Tensor:
        """Give inputs (batch, n_features) to each member of a stack."""
        return _for_members(x, self.members)

    def member(self, i: int) -> "MLP":
        """Copy the i-th member into a network of its own."""
        architecture = self.architecture.of_member(i)
        single = MLP(**architecture.to_dict(), device=str(self.flat.device))
        index = (i,) if self.members else ()
        single.flat.copy_(self.flat[index])
        single.flat_buffers.copy_(self.flat_buffers[index])
        return single

    def set_member(self, i: int, single: "MLP") -> None:
        """Copy a network into the place of the i-th member."""
        index = (i,) if self.members else ()
        self.flat[index].copy_(single.flat)
        self.flat_buffers[index].copy_(single.flat_buffers)

    def coefs(self) -> list[NDArray]:
        """List the weights of each layer, on the CPU views of the parameters."""
        return [layer.weight.detach().cpu().numpy() for layer in self.linear_layers()]

    def intercepts(self) -> list[NDArray]:
        """List the biases of each layer, on the CPU views of the parameters."""
        return [layer.bias.detach().cpu().numpy() for layer in self.linear_layers()]


def draw_parameters(
    architecture: Architecture, random_state: RandomState, weight_init: str
) -> list[Sequence[NDArray]]:
    """Draw the initial weights and biases of one network, and its embeddings.

    Parameters
    ----------
    architecture : Architecture
        What the network is.
    random_state : RandomState
        Source of the draws.
    weight_init : str
        Key of `INITIALIZERS`.

    Returns
    -------
    drawn : list of sequence of ndarray
        Weight (n_in, n_out) and bias (n_out,) of each linear layer; at last the
        embeddings, if there are any.
    """
    draw = INITIALIZERS[weight_init].draw
    # as scikit-learn, the output layer has the factor of the hidden units
    factors = [row.init_factor for row in architecture.activation_rows] or [6.0]
    widths = architecture.widths
    layers = zip(
        widths[:-1],
        widths[1:],
        [*factors, factors[-1]][: len(widths) - 1],
        [*architecture.pieces, 1],
        strict=True,
    )
    drawn: list[Sequence[NDArray]] = [
        _draw_pieces(draw, random_state, *layer) for layer in layers
    ]
    shapes = architecture.categories, architecture.n_periodic
    return [*drawn, draw_embeddings(random_state, *shapes)] if any(shapes) else drawn


def _for_members(x: Tensor, members: tuple[int, ...]) -> Tensor:
    return x.expand(*members, -1, -1) if members and x.ndim == 2 else x


def _pack(tensors, members, dtype: torch.dtype, device: str) -> Tensor:
    """Copy tensors side by side into one, the members' axis apart."""
    flat = [t.detach().reshape(*members, -1).to(device, dtype) for t in tensors]
    empty = torch.zeros(*members, 0, dtype=dtype, device=device)
    return torch.cat([*flat, empty], dim=-1)


def _views(flat: Tensor, tensors, n_leading: int) -> list[Tensor]:
    """Views into `flat`, shaped as the tensors that were packed into it."""
    sizes = [t.shape[n_leading:].numel() for t in tensors]
    pieces = flat.split(sizes, dim=-1)
    return [piece.view(t.shape) for piece, t in zip(pieces, tensors, strict=True)]


def _draw_pieces(
    draw: Draw,
    random_state: RandomState,
    n_in: int,
    n_out: int,
    factor: float,
    pieces: int,
) -> tuple[NDArray, NDArray]:
    """Draw each linear piece of a unit on its own and set them side by side."""
    drawn = [draw(random_state, n_in, n_out, factor) for _ in range(pieces)]
    weights, biases = zip(*drawn, strict=True)
    return np.concatenate(weights, axis=-1), np.concatenate(biases, axis=-1)
