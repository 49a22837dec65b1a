"""What a network is, without its weights."""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from sk_deep.activations import Activation, get_activation
from sk_deep.network._embeddings import count_embedding_weights, n_values


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
    def activation_rows(self) -> list[Activation]:
        """Rows of the hidden layers' activations."""
        return [get_activation(name) for name in self.activation]

    @property
    def pieces(self) -> list[int]:
        """Linear pieces of a unit of each hidden layer."""
        rows = self.activation_rows
        return [self.maxout_pieces if row.has_pieces else 1 for row in rows]

    @property
    def input_width(self) -> int:
        """Size of the first layer's input, where embeddings stand for codes."""
        n_others = self.n_features - len(self.categories)
        return n_others + n_values(self.categories, self.n_periodic)

    @property
    def widths(self) -> list[int]:
        """Sizes of the values between layers, from the first layer's input on."""
        return [self.input_width, *self.hidden_units, self.n_outputs]

    @property
    def n_weights(self) -> int:
        """Number of weights, without biases, over all members."""
        widths = self.widths
        layers = zip(widths[:-1], widths[1:], [*self.pieces, 1], strict=True)
        return self.n_members * sum(n_in * n_out * k for n_in, n_out, k in layers)

    @property
    def n_embedding_weights(self) -> int:
        """Number of weights of the embeddings, over all members."""
        shapes = self.categories, self.n_periodic
        return self.n_members * count_embedding_weights(*shapes)


def _of_member(p: float | Sequence[float], i: int) -> float:
    """Probability of a member, where all have one or each its own."""
    return p[i] if isinstance(p, Sequence) else p
