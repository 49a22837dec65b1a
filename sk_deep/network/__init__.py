"""The network: a multi-layer perceptron, alone or as a stack of members."""

from sk_deep.network._mlp import (
    MLP,
    Hidden,
    Linear,
    draw_parameters,
    n_embedding_weights,
    n_weights,
)

__all__ = [
    "MLP",
    "Hidden",
    "Linear",
    "draw_parameters",
    "n_embedding_weights",
    "n_weights",
]
