"""The network: a multi-layer perceptron, alone or as a stack of members."""

from sk_deep.network._architecture import Architecture
from sk_deep.network._blocks import BLOCKS, Block
from sk_deep.network._hidden import Hidden, HiddenByHand
from sk_deep.network._linear import Linear, LinearByHand
from sk_deep.network._mlp import MLP

__all__ = [
    "BLOCKS",
    "MLP",
    "Architecture",
    "Block",
    "Hidden",
    "HiddenByHand",
    "Linear",
    "LinearByHand",
]
