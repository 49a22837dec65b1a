"""Types that the public signatures share."""

from collections.abc import Callable, Sequence
from typing import Any, Literal

import numpy as np
from numpy.random import RandomState
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import sparray, spmatrix
from torch import Generator, Tensor, nn

MatrixLike = ArrayLike | sparray | spmatrix
RandomStateLike = int | RandomState | None

Ints = Sequence[int] | NDArray[np.integer]
Floats = Sequence[float] | NDArray[np.floating]
Columns = Sequence[Any] | NDArray

ActivationName = str | type[nn.Module]
AugmentationFunction = Callable[[Tensor, Tensor, Generator], tuple[Tensor, Tensor]]
LossFunction = Callable[[Tensor, Tensor], Tensor]
RateFunction = Callable[[float], float]
ScoreFunction = Callable[..., float]
NetworkDtype = Literal["auto", "float32", "float64"]
