"""The state of a training, from its start to its end."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from sk_deep._data.batches import Batches
from sk_deep._engine.cuda_graphs import GradientFunction
from sk_deep._engine.kept_weights import KeptWeights
from sk_deep._engine.objective import Objective


@dataclass
class Training:
    """The state of a training, from its start to its end.

    Parameters
    ----------
    objective : Objective
        Computes gradients and losses of batches.
    compute_gradient : GradientFunction
        Computes the gradient of the network.
    kept : KeptWeights
        Weights that members keep as their results.
    hooks : set of str
        Hooks of batches that some callback has.
    trained : ndarray of bool of shape (n_members,)
        Members that train in the present epoch.
    update : callable or None
        Takes a step from the gradient in the flat buffer; None for solvers that
        evaluate the gradient themselves.
    is_lean : bool
        Whether steps need no autograd, and run no code of a user.

    Attributes
    ----------
    batches : Batches or None
        Batches of the training data, in a training by epochs.
    epoch_values : dict of str to ndarray of shape (n_members,)
        Values that were recorded in the last epoch.
    outputs : list of Tensor
        Raw outputs of the validation batches of the last epoch.
    catch_up : callable or None
        Brings the net's module up to date, where another module is trained.
    """

    objective: Objective
    compute_gradient: GradientFunction
    kept: KeptWeights
    hooks: set[str]
    trained: NDArray[np.bool_]
    update: Callable[[], Any] | None
    is_lean: bool
    batches: Batches | None = field(default=None, init=False)
    epoch_values: dict[str, NDArray] = field(default_factory=dict, init=False)
    outputs: list[Tensor] = field(default_factory=list, init=False)
    catch_up: Callable[[], None] | None = field(default=None, init=False)

    @property
    def order(self) -> NDArray | None:
        """Rows in the order of the last epoch; None is the order of the data."""
        return None if self.batches is None else self.batches.order
