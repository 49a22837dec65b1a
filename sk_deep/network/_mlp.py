"""The network: a multi-layer perceptron, alone or as a stack of members.

A stack holds its members' weights in one tensor with a leading axis: weights
(members, in, out), activations (members, batch, units). Every layer treats leading
axes alike, so one source serves both.
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
from sk_deep._data.sparse import is_worth_it
from sk_deep._onnx import Graph
from sk_deep.activations import Activation
from sk_deep.dropouts import Dropout, dropout_of_inputs
from sk_deep.network._architecture import Architecture
from sk_deep.network._embeddings import Embeddings
from sk_deep.network._flat import FlatModule
from sk_deep.network._hidden import Hidden
from sk_deep.network._linear import Linear


class MLP(FlatModule):
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

    def __init__(self, *args: Any, device: str = "cpu", **kwargs: Any) -> None:
        super().__init__()
        self.architecture = a = Architecture(*args, **kwargs)
        self.members = a.members
        self.mixes_rows = a.mixes_rows
        self.input_dropout = (
            dropout_of_inputs(a.dropout_type, a.input_dropout)
            if np.any(a.input_dropout)
            else None
        )
        self.embeddings = (
            Embeddings(self.members, a.categories, a.n_periodic).to(device)
            if a.embeds
            else None
        )
        self.hidden = nn.ModuleList(block.build(self.members) for block in a.blocks)
        self.output = a.output.build(self.members)
        self.generator = torch.Generator(device)
        for layer in self.dropout_layers():
            layer.generator = self.generator
        weights = [layer.weight for layer in self.linear_layers()]
        self.flatten(weights, self.members, getattr(torch, a.dtype), device)

    @property
    def is_plain(self) -> bool:
        """Whether the layers are linear maps, known functions and dropout's factors."""
        embeds_plainly = self.embeddings is None or self._embeds_plainly
        return embeds_plainly and all(layer.is_plain for layer in self.hidden_layers())

    @property
    def _embeds_plainly(self) -> bool:
        """Whether the embeddings are tables, of which nothing is dropped."""
        return not self.architecture.n_periodic and self.input_dropout is None

    @property
    def has_gradient(self) -> bool:
        """Whether the gradients of all layers are known without autograd."""
        has_gradients = all(layer.has_gradient for layer in self.hidden_layers())
        return self.is_plain and has_gradients

    def multiplies(self, X: Any) -> bool:
        """Whether the first layer multiplies inputs that are sparse as they are.

        It does on the CPU, if nothing but its linear map takes them, no code of a
        user's, and if few enough of their values are not zero.
        """
        return (
            scipy.sparse.issparse(X)
            and is_worth_it(X)
            and not self.members
            and self.flat.device.type == "cpu"
            and self.embeddings is None
            and self.input_dropout is None
            and all(layer.takes_sparse for layer in self.hidden_layers()[:1])
            and not any(is_hooked(part) for part in self.modules())
        )

    def bare(self) -> Callable[[Tensor], Tensor]:
        """Build the function of a plain network in prediction.

        It gives what the network gives, at less cost per call: no module is called.
        """
        bare = [layer.bare() for layer in self.hidden_layers()]
        functions = [*itertools.chain.from_iterable(bare), self.output.bare()]
        members, embeddings = self.members, self.embeddings

        def raw(x: Tensor) -> Tensor:
            x = _for_members(x, members)
            if embeddings is not None:
                with torch.inference_mode():
                    x = embeddings(x)
            for function in functions:
                x = function(x)
            return x

        return raw

    def onnx(self, graph: Graph, x: str) -> str:
        """Compute the raw outputs in prediction, as nodes of ONNX.

        Parameters
        ----------
        graph : Graph
            To add nodes to.
        x : str
            Name of the inputs, (batch, n_features).

        Returns
        -------
        raw : str
            Name of the raw outputs, (batch, n_outputs) or with a leading axis.
        """
        if self.embeddings is not None:
            x = self.embeddings.onnx(graph, x)
        for layer in self.hidden_layers():
            x = layer.onnx(graph, x)
        return self.output.onnx(graph, x)

    def linear_layers(self) -> list[Linear]:
        """List the linear layers from the first to the output."""
        return [m for m in self.modules() if isinstance(m, Linear)]

    def hidden_layers(self) -> list[Hidden]:
        """Hidden layers from the first to the last."""
        return [m for m in self.modules() if isinstance(m, Hidden)]

    def activation_rows(self) -> list[Activation]:
        """List the rows of the hidden layers' activations."""
        return [layer.activation_row for layer in self.hidden_layers()]

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
        draw = self.architecture.draw_parameters
        self.set_parameters([draw(state, weight_init) for state in random_states])

    def set_parameters(self, drawn: Sequence[Sequence[Sequence[NDArray]]]) -> None:
        """Set the weights and biases of each member, layer by layer, and embeddings.

        Parameters
        ----------
        drawn : sequence
            Initial weights of each member, see `Architecture.draw_parameters`.
        """
        pairs = [[layer.weight, layer.bias] for layer in self.linear_layers()]
        parameters = list(itertools.chain.from_iterable(pairs))
        if self.embeddings is not None:
            parameters += self.embeddings.parameters()
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


def _for_members(x: Tensor, members: tuple[int, ...]) -> Tensor:
    return x.expand(*members, -1, -1) if members and x.ndim == 2 else x
