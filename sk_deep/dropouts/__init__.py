"""Dropout and its kin: one row each in `DROPOUTS`, and the schedules of its strength.

All of them act in training alone and keep an expectation, so that nothing has to be
scaled in prediction: of a unit's value, with "alpha" over units of mean 0, with
"dropconnect" of a unit's input. Masks come from random bits compared with a threshold,
drawn from a private generator: cheaper than one random float per unit, and no global
random state is touched.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sk_deep.dropouts._dropconnect import DropConnect
from sk_deep.dropouts._dropout import AlphaDropout, Dropout, GaussianDropout
from sk_deep.dropouts._standout import Standout

DROPOUTS: dict[str, type[Dropout]] = {
    "standard": Dropout,
    "gaussian": GaussianDropout,
    "alpha": AlphaDropout,
    "standout": Standout,
    "dropconnect": DropConnect,
}


def dropout_of_inputs(dropout_type: str, p: float | Sequence[float]) -> Dropout:
    """Build the layer that acts on the inputs beside a type of dropout."""
    kind = DROPOUTS[dropout_type]
    return kind(p) if kind.acts_on_inputs else Dropout(p)


@dataclass(frozen=True)
class DropoutSchedule:
    """A row of `DROPOUT_SCHEDULES`.

    Parameters
    ----------
    factor : callable
        Factor on the probabilities as a function of the part of the longest training,
        of `max_iter` epochs, that is done.
    summary, source : str
        The factor in words, and where it is from.
    use : str, default=""
        When to use it.
    anneals : bool, default=True
        Whether the probabilities change, and so depend on `max_iter`.
    """

    factor: Callable[[float], float]
    summary: str
    source: str
    use: str = ""
    anneals: bool = True


_RENNIE = (
    'S. Rennie, V. Goel and S. Thomas, "Annealed dropout training of deep networks",'
    " SLT 2014"
)

DROPOUT_SCHEDULES: dict[str, DropoutSchedule] = {
    "constant": DropoutSchedule(
        lambda fraction: 1.0,
        "1",
        "N. Srivastava, G. Hinton, A. Krizhevsky, I. Sutskever and R. Salakhutdinov,"
        ' "Dropout: a simple way to prevent neural networks from overfitting", JMLR'
        " 2014.",
        use="The default.",
        anneals=False,
    ),
    "linear": DropoutSchedule(
        lambda fraction: 1 - fraction,
        "1 - t / max_iter, t the finished epochs",
        f"{_RENNIE}, eq. 3.",
        use="To use all units of the network in the end: noise "
        "first, fine tuning later.",
    ),
    "cosine": DropoutSchedule(
        lambda fraction: (1 + math.cos(math.pi * fraction)) / 2,
        "half a cosine from 1 to 0 over max_iter epochs",
        f"{_RENNIE}; the shape is that of the learning rate of I. Loshchilov and F."
        ' Hutter, "SGDR: stochastic gradient descent with warm restarts", ICLR 2017.',
        use="As linear, with longer phases of strong and of weak noise.",
    ),
}

__all__ = [
    "DROPOUTS",
    "DROPOUT_SCHEDULES",
    "AlphaDropout",
    "DropConnect",
    "Dropout",
    "DropoutSchedule",
    "GaussianDropout",
    "Standout",
    "dropout_of_inputs",
]
