"""What a network is, without its weights."""

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from numpy.random import RandomState
from numpy.typing import NDArray

from sk_deep.initializers import INITIALIZERS
from sk_deep.network._blocks import BLOCKS, Block
from sk_deep.network._embeddings import (
    count_embedding_weights,
    draw_embeddings,
    n_values,
)
from sk_deep.network._linear import LinearShape
from sk_deep.normalizations import NORMALIZATIONS


@dataclass(frozen=True)
class Architecture:
    """What a network is, without its weights: enough to build it, and to draw them.

    Sequences are copied into lists: the dictionary of the fields is the description of
    a network in pickles and files.

    Parameters
    ----------
    n_features, n_outputs : int
        Sizes of the input and of the output.
    hidden_units : sequence of int
        Units of each hidden layer.
    activation : sequence of str or type
        Activation of each hidden layer, a key of `ACTIVATIONS` or a module class.
    maxout_pieces : int, default=2
        Linear pieces of a maxout unit.
    dropout : sequence, default=()
        Probability of dropping a unit of each hidden layer, a float or each member's;
        an empty one, and None, is 0 for all.
    input_dropout : float or sequence of float, default=0.0
        Probability of dropping an input, or each member's.
    dropout_type : str, default="standard"
        Key of `DROPOUTS`.
    dropout_params : dict, default={}
        Parameters of the dropout's type.
    normalization : str or None, default=None
        Normalization of each hidden layer, before its activation; a key of
        `NORMALIZATIONS`.
    residual : bool, default=False
        Whether hidden layers as wide as the one before them add its output.
    categories : sequence of pairs of int, default=()
        Of each of the last inputs, which are codes of categories, the number of codes
        and of values that embed each.
    n_periodic : int, default=0
        How many of the first inputs get periodic embeddings.
    n_members : int, default=1
        Number of networks; 1 means no leading axis.
    dtype : str, default="float32"
        "float32" or "float64".
    """

    n_features: int
    n_outputs: int
    hidden_units: Sequence[int]
    activation: Sequence[str | type[torch.nn.Module]]
    maxout_pieces: int = 2
    dropout: Sequence[float | Sequence[float]] = ()
    input_dropout: float | Sequence[float] = 0.0
    dropout_type: str = "standard"
    dropout_params: Mapping[str, Any] = field(default_factory=dict)
    normalization: str | None = None
    residual: bool = False
    categories: Sequence[Sequence[int]] = ()
    n_periodic: int = 0
    n_members: int = 1
    dtype: str = "float32"

    def __post_init__(self) -> None:
        plain = {
            "hidden_units": list(self.hidden_units),
            "activation": list(self.activation),
            "dropout": list(self.dropout or [0.0] * len(self.hidden_units)),
            "dropout_params": dict(self.dropout_params or {}),
            "categories": [list(shape) for shape in self.categories],
        }
        for name, value in plain.items():
            object.__setattr__(self, name, value)

    @classmethod
    def from_dict(cls, description: Mapping[str, Any]) -> "Architecture":
        """Make an architecture from what `to_dict` gives.

        Parameters
        ----------
        description : mapping
            The fields by name; older descriptions lack some, which have defaults.

        Returns
        -------
        architecture : Architecture
            The architecture.
        """
        return cls(**description)

    def to_dict(self) -> dict[str, Any]:
        """Return the fields by name, as plain values."""
        return {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}

    def of_member(self, i: int) -> "Architecture":
        """Return the architecture of the i-th member."""
        return dataclasses.replace(
            self,
            n_members=1,
            dropout=[_of_member(p, i) for p in self.dropout],
            input_dropout=_of_member(self.input_dropout, i),
        )

    @property
    def members(self) -> tuple[int, ...]:
        """Leading axis of all tensors: none for one network."""
        return () if self.n_members == 1 else (self.n_members,)

    @property
    def mixes_rows(self) -> bool:
        """Whether in training the output of a row depends on the rows beside it."""
        name = self.normalization
        return name is not None and NORMALIZATIONS[name].mixes_rows

    @property
    def embeds(self) -> bool:
        """Whether some inputs are embedded."""
        return bool(self.categories) or self.n_periodic > 0

    # ---- the walk over the layers ----------------------------------------------------

    @property
    def input_width(self) -> int:
        """Size of the first layer's input, where embeddings stand for codes."""
        n_others = self.n_features - len(self.categories)
        return n_others + n_values(self.categories, self.n_periodic)

    @functools.cached_property
    def blocks(self) -> list[Block]:
        """Descriptions of the hidden layers, from the first to the last."""
        blocks: list[Block] = []
        n_in = self.input_width
        for kind in BLOCKS.values():
            blocks.extend(kind.layers_of(self, n_in))
            n_in = blocks[-1].n_out if blocks else n_in
        return blocks

    @property
    def output(self) -> LinearShape:
        """Shape of the output layer."""
        return self._linear_shapes[-1]

    @property
    def _linear_shapes(self) -> list[LinearShape]:
        """Shapes of the linear maps, from the first hidden layer's to the output's."""
        blocks = self.blocks
        if not blocks:
            return [LinearShape(self.input_width, self.n_outputs)]
        # as scikit-learn, the output layer has the factor of the hidden units
        last = blocks[-1]
        factor = last.linear.init_factor
        output = LinearShape(last.n_out, self.n_outputs, init_factor=factor)
        return [*(block.linear for block in blocks), output]

    @property
    def widths(self) -> list[int]:
        """Sizes of the values between layers, from the first layer's input on."""
        n_outs = [block.n_out for block in self.blocks]
        return [self.input_width, *n_outs, self.n_outputs]

    @property
    def n_weights(self) -> int:
        """Number of weights, without biases, over all members."""
        return self.n_members * sum(s.n_weights for s in self._linear_shapes)

    @property
    def n_biases(self) -> int:
        """Number of biases over all members."""
        return self.n_members * sum(s.n_values for s in self._linear_shapes)

    @property
    def n_embedding_weights(self) -> int:
        """Number of weights of the embeddings, over all members."""
        shapes = self.categories, self.n_periodic
        return self.n_members * count_embedding_weights(*shapes)

    def work(self, n_rows: int) -> int:
        """Estimate the numbers that a training step on some rows reads and writes.

        Parameters
        ----------
        n_rows : int
            Rows of a batch.

        Returns
        -------
        work : int
            Weights, their gradients and two moments; inputs, and for each value that a
            layer computes the value, its activation and their gradient.
        """
        n_values = self.input_width + 3 * sum(s.n_values for s in self._linear_shapes)
        n_weights = self.n_weights + self.n_embedding_weights
        return 4 * n_weights + self.n_members * n_rows * n_values

    def draw_parameters(
        self, random_state: RandomState, weight_init: str
    ) -> list[Sequence[NDArray]]:
        """Draw the initial weights and biases of one network, and its embeddings.

        Parameters
        ----------
        random_state : RandomState
            Source of the draws.
        weight_init : str
            Key of `INITIALIZERS`.

        Returns
        -------
        drawn : list of sequence of ndarray
            Weight (n_in, n_out) and bias (n_out,) of each linear layer; then the
            embeddings, if there are any.
        """
        draw = INITIALIZERS[weight_init].draw
        layers: list[Block | LinearShape] = [*self.blocks, self.output]
        drawn: list[Sequence[NDArray]] = [
            layer.draw(random_state, draw) for layer in layers
        ]
        if self.embeds:
            shapes = self.categories, self.n_periodic
            drawn.append(draw_embeddings(random_state, *shapes))
        return drawn


def _of_member(p: float | Sequence[float], i: int) -> float:
    """Probability of a member, where all have one or each its own."""
    return p[i] if isinstance(p, Sequence) else p
