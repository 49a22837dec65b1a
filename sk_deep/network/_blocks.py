"""Blocks of layers: one row each in `BLOCKS`.

A row describes hidden layers of one kind. It takes its layers from an architecture, and
a description of a layer counts its weights, draws them and builds the layer. The layer
itself has its gradient by hand and its form in ONNX.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.random import RandomState
from numpy.typing import NDArray
from torch import nn

from sk_deep.activations import Activation, get_activation
from sk_deep.dropouts import DROPOUTS, Dropout
from sk_deep.initializers import Draw
from sk_deep.network._hidden import Hidden
from sk_deep.network._linear import LinearShape
from sk_deep.normalizations import NORMALIZATIONS


class Block(ABC):
    """Description of a hidden layer; a row of `BLOCKS` is a class of them."""

    linear: LinearShape

    @classmethod
    @abstractmethod
    def layers_of(cls, architecture: Any, n_in: int) -> Iterator["Block"]:
        """Describe the layers of this kind that an architecture has.

        Parameters
        ----------
        architecture : Architecture
            Its fields.
        n_in : int
            Number of inputs of the first of the layers.

        Yields
        ------
        block : Block
            A layer, from the first to the last.
        """

    @abstractmethod
    def build(self, members: tuple[int, ...]) -> Hidden:
        """Build the layer, for one network or a stack."""

    @property
    def n_out(self) -> int:
        """Number of values of a row that the next layer takes."""
        return self.linear.n_out

    def draw(self, random_state: RandomState, draw: Draw) -> Sequence[NDArray]:
        """Draw the initial weights and biases of one network."""
        return self.linear.draw(random_state, draw)


@dataclass(frozen=True)
class Dense(Block):
    """A hidden layer whose units take all values of the layer before.

    Parameters
    ----------
    linear : LinearShape
        Shape of its linear map.
    activation : str or type
        Key of `ACTIVATIONS` or a module class.
    normalization : str or None
        Key of `NORMALIZATIONS`.
    dropout : float or sequence of float
        Probability of dropping a unit, or each member's.
    dropout_type : str
        Key of `DROPOUTS`.
    dropout_params : dict
        Parameters of the dropout's type.
    skips : bool
        Whether the layer adds its input to its output.
    """

    linear: LinearShape
    activation: str | type[nn.Module]
    normalization: str | None
    dropout: float | Sequence[float]
    dropout_type: str
    dropout_params: Mapping[str, Any]
    skips: bool

    @classmethod
    def layers_of(cls, architecture: Any, n_in: int) -> Iterator["Dense"]:
        """Describe the layers of an architecture's `hidden_units`, see `Block`."""
        a = architecture
        layers = zip(a.hidden_units, a.activation, a.dropout, strict=True)
        for i, (n_out, activation, dropout) in enumerate(layers):
            row = get_activation(activation)
            n_pieces = a.maxout_pieces if row.has_pieces else 1
            yield cls(
                LinearShape(n_in, n_out, n_pieces, row.init_factor),
                activation,
                a.normalization,
                dropout,
                a.dropout_type,
                a.dropout_params,
                skips=a.residual and i > 0 and n_in == n_out,
            )
            n_in = n_out

    @property
    def activation_row(self) -> Activation:
        """Row of the activation."""
        return get_activation(self.activation)

    def build(self, members: tuple[int, ...]) -> Hidden:
        """Build the layer, for one network or a stack."""
        shape = self.linear
        slopes = (*members, 1, shape.n_out) if members else (shape.n_out,)
        normalization = None
        if self.normalization is not None:
            kind = NORMALIZATIONS[self.normalization]
            normalization = kind(members, shape.n_values)
        return Hidden(
            shape.build(members),
            normalization,
            self.activation_row.build(slopes, shape.n_pieces),
            self._build_dropout(members),
            activation_name=self.activation,
            skips=self.skips,
        )

    def _build_dropout(self, members: tuple[int, ...]) -> Dropout | None:
        kind = DROPOUTS[self.dropout_type]  # an unknown one is an error, used or not
        if not np.any(self.dropout):
            return None
        return kind(self.dropout, members=members, **self.dropout_params)


# in the order in which a network has them
BLOCKS: dict[str, type[Block]] = {"dense": Dense}
