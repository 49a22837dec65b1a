"""The network: a multi-layer perceptron, alone or as a stack of members."""

from sk_deep.network._architecture import Architecture
from sk_deep.network._mlp import MLP, Hidden, Linear, draw_parameters

__all__ = ["MLP", "Architecture", "Hidden", "Linear", "draw_parameters"]
