"""Augmentation of the training batches: one row each in `AUGMENTATIONS`.

An augmentation turns a batch into a new batch of the same shape. It draws anew for each
batch and, in a stack of networks, for each member. Inputs are of shape (..., batch,
n_features). All draws come from the generator that is passed, which is on the device of
the inputs. The batch itself is never written to: its tensors may be views of the user's
arrays.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from numbers import Integral, Real
from typing import Any

import numpy as np
import torch
from torch import Generator, Tensor
from torch.nn import functional as F

from sk_deep._compat import Interval
from sk_deep._param_dicts import check_params

_Rows = tuple[Tensor, Tensor | None, Tensor | None]  # inputs, targets, weights
_Function = Callable[[Tensor, Tensor | None, Generator], tuple[Tensor, Tensor | None]]


# ---- noise -------------------------------------------------------------------------


def _noise(
    X: Tensor,
    y: Tensor | None,
    weight: Tensor | None,
    generator: Generator,
    *,
    scale: float = 0.1,
) -> _Rows:
    """Add N(0, scale^2) to every value."""
    # not empty_like: the draws must not depend on the memory layout of X
    noise = torch.empty(X.shape, dtype=X.dtype, device=X.device)
    return noise.normal_(0, scale, generator=generator).add_(X), y, weight


# ---- mixup -------------------------------------------------------------------------


def _mixup(
    X: Tensor,
    y: Tensor | None,
    weight: Tensor | None,
    generator: Generator,
    *,
    alpha: float = 0.2,
) -> _Rows:
    """Mix each row i with a row j: ``lam x_i + (1 - lam) x_j``, and the targets too.

    As in the authors' code, a batch has one ``lam ~ Beta(alpha, alpha)``, and the rows
    j are a permutation of its rows; in a stack, ``lam`` and the permutation are drawn
    for each member. With sample weights, the new weight is ``w = lam w_i + (1 - lam)
    w_j`` and the new target ``(lam w_i y_i + (1 - lam) w_j y_j) / w``, so that a loss
    whose gradient is linear in the target (log loss, squared error, Poisson, ...) has
    the gradient of the mixture of the two weighted losses. If w is 0, the target is
    mixed as without weights.
    """
    lam = _symmetric_beta(alpha, X.shape[:-2], X, generator)
    partner = _permutations(X.shape[:-1], X.device, generator)
    mixed_weight, share = weight, lam[..., None]
    if weight is not None:
        mixed_weight, share = _mix_weights(weight, weight[partner], lam[..., None])
    mixed_y = None if y is None else _mix(y, y[partner], share[..., None])
    return _mix(X, X[partner], lam[..., None, None]), mixed_y, mixed_weight


def _mix(first: Tensor, second: Tensor, share: Tensor) -> Tensor:
    return torch.lerp(second, first, share)


def _mix_weights(first: Tensor, second: Tensor, lam: Tensor) -> tuple[Tensor, Tensor]:
    """Return the weights of the mixed rows and the shares of their first targets."""
    total = _mix(first, second, lam)
    return total, torch.where(total != 0, lam * first / total, lam)


def _symmetric_beta(
    alpha: float, shape: Sequence[int], like: Tensor, generator: Generator
) -> Tensor:
    """Draw from Beta(alpha, alpha), exactly and without rejection, for any alpha > 0.

    ``(1 + t / sqrt(2 alpha + t^2)) / 2`` has this law if t has Student's law with
    ``2 alpha`` degrees of freedom; ``t = sqrt(2 alpha (u^(-1 / alpha) - 1)) cos(2 pi
    v)`` is by R. Bailey, "Polar generation of random variates with the
    t-distribution", Mathematics of Computation 1994. The power may overflow to
    infinity for small alpha: the result is then 0 or 1.
    """
    uniform, exponential = (like.new_empty(shape) for _ in range(2))
    cosine = uniform.uniform_(generator=generator).mul_(2 * math.pi).cos_()
    exponential.exponential_(generator=generator)  # -log(u)
    power = torch.expm1(exponential / alpha)
    return (1 + cosine.sign() / (1 + 1 / (power * cosine.square())).sqrt()) / 2


def _permutations(
    shape: Sequence[int], device: torch.device, generator: Generator
) -> tuple[Tensor, ...]:
    """Draw an index that permutes the rows of a batch, or of each member's batch."""
    keys = torch.empty(shape, dtype=torch.int64, device=device)
    order = keys.random_(generator=generator).argsort(dim=-1)
    if order.ndim == 1:
        return (order,)
    return torch.arange(len(order), device=device)[:, None], order


# ---- images ------------------------------------------------------------------------


def shift_images(X: Tensor, offsets: Tensor, image_shape: Sequence[int]) -> Tensor:
    """Move images, with bilinear interpolation and zeros around them.

    Parameters
    ----------
    X : Tensor of shape (..., height * width * channels)
        Images, flattened in the order of `image_shape`.
    offsets : Tensor of shape (..., 2)
        Pixels to move each image down and right.
    image_shape : sequence of int
        Height, width, and the channels if there are several.

    Returns
    -------
    X : Tensor
        The moved images, in the same shape.
    """
    height, width, *_ = image_shape
    # from output to input, in coordinates x, y from -1 to 1 between the edges
    right, down = -2 / width * offsets[..., 1], -2 / height * offsets[..., 0]
    one, zero = torch.ones_like(down), torch.zeros_like(down)
    return _resample(X, [one, zero, right, zero, one, down], image_shape)


def rotate_images(X: Tensor, degrees: Tensor, image_shape: Sequence[int]) -> Tensor:
    """Rotate images about their centres, interpolated as by `shift_images`.

    Parameters
    ----------
    X : Tensor of shape (..., height * width * channels)
        Images, flattened in the order of `image_shape`.
    degrees : Tensor of shape (...)
        Angle of each image, counter-clockwise with the first row on top.
    image_shape : sequence of int
        Height, width, and the channels if there are several.

    Returns
    -------
    X : Tensor
        The rotated images, in the same shape.
    """
    height, width, *_ = image_shape
    cosine, sine = degrees.deg2rad().cos(), degrees.deg2rad().sin()
    zero = torch.zeros_like(sine)
    # x and y go from -1 to 1 whatever the shape, so that pixels are not square in them
    rows = [
        *(cosine, -sine * (height / width), zero),
        *(sine * (width / height), cosine, zero),
    ]
    return _resample(X, rows, image_shape)


def _resample(X: Tensor, entries: list[Tensor], image_shape: Sequence[int]) -> Tensor:
    """Sample images at affine maps of their pixels, 2 x 3 matrices given by entries."""
    height, width, *channels = image_shape
    theta = torch.stack(entries, dim=-1).reshape(-1, 2, 3)
    images = X.reshape(-1, height, width, math.prod(channels)).movedim(-1, 1)
    grid = F.affine_grid(theta, list(images.shape), align_corners=False)
    images = F.grid_sample(
        images, grid, mode="bilinear", padding_mode="zeros", align_corners=False
    )
    return images.movedim(1, -1).reshape(X.shape)


def _shift(
    X: Tensor,
    y: Tensor | None,
    weight: Tensor | None,
    generator: Generator,
    *,
    image_shape: Sequence[int],
    max_shift: float = 2.0,
) -> _Rows:
    """Move each image down and right by uniform draws up to `max_shift` pixels."""
    offsets = X.new_empty(*X.shape[:-1], 2)
    offsets.uniform_(-max_shift, max_shift, generator=generator)
    return shift_images(X, offsets, image_shape), y, weight


def _rotate(
    X: Tensor,
    y: Tensor | None,
    weight: Tensor | None,
    generator: Generator,
    *,
    image_shape: Sequence[int],
    max_degrees: float = 10.0,
) -> _Rows:
    """Rotate each image by a uniform draw in [-max_degrees, max_degrees]."""
    degrees = X.new_empty(X.shape[:-1])
    degrees.uniform_(-max_degrees, max_degrees, generator=generator)
    return rotate_images(X, degrees, image_shape), y, weight


def check_image_shape(
    augmentation: str, image_shape: Any, n_features: int
) -> tuple[int, ...]:
    """Check the shape of the images in the rows of the inputs.

    Parameters
    ----------
    augmentation : str
        Key of `AUGMENTATIONS`, for the error.
    image_shape : object
        Value of the parameter; None if it is not set.
    n_features : int
        Number of values in a row.

    Returns
    -------
    image_shape : tuple of int
        Height, width, and the channels if there are several.

    Raises
    ------
    ValueError
        If it is None, or does not have `n_features` values.
    """
    if image_shape is None:
        raise ValueError(
            f"{augmentation=} needs augmentation_params={{'image_shape': (height, "
            "width)}, or (height, width, channels)."
        )
    sizes = tuple(image_shape)
    if len(sizes) not in (2, 3) or not all(map(_is_positive_int, sizes)):
        raise ValueError(
            f"image_shape for {augmentation=} must be (height, width) or (height, "
            f"width, channels) with positive integers, got {image_shape!r}."
        )
    n_values = math.prod(map(int, sizes))
    if n_values != n_features:
        raise ValueError(
            f"image_shape for {augmentation=} must have as many values as X has "
            f"features, got {n_values} values for {image_shape!r} and {n_features} "
            "features."
        )
    return tuple(map(int, sizes))


def _is_positive_int(value: Any) -> bool:
    return isinstance(value, Integral) and int(value) > 0


# ---- the table ---------------------------------------------------------------------


@dataclass(frozen=True)
class Augmentation:
    """A row of `AUGMENTATIONS`.

    Parameters
    ----------
    augment : callable
        Function of inputs, targets, weights, generator and keyword parameters that
        returns new inputs, targets and weights. Its signature has the defaults.
    summary, source : str
        Description and reference.
    constraints : mapping from str to list
        Names that `augmentation_params` may hold, with scikit-learn's constraints on
        their values.
    use : str, default=""
        When to use it.
    mixes_targets : bool, default=False
        Whether targets must be floats, class probabilities instead of class indices.
    needs_images : bool, default=False
        Whether inputs must be images of shape `image_shape`.
    """

    augment: Callable[..., _Rows]
    summary: str
    source: str
    constraints: Mapping[str, list]
    use: str = ""
    mixes_targets: bool = False
    needs_images: bool = False


_SIMARD = (
    'P. Simard, D. Steinkraus and J. Platt, "Best practices for convolutional neural'
    ' networks applied to visual document analysis", ICDAR 2003, sec. 2.'
)

AUGMENTATIONS: dict[str, Augmentation] = {
    "noise": Augmentation(
        _noise,
        "normal noise of standard deviation scale, added to every input",
        'C. Bishop, "Training with noise is equivalent to Tikhonov regularization",'
        " Neural Computation 1995.",
        use="For numbers of similar scale, if small changes do not change the target.",
        constraints={"scale": [Interval(Real, 0, np.inf, closed="left")]},
    ),
    "mixup": Augmentation(
        _mixup,
        "mixtures of pairs of rows and of their targets, in parts lam and 1 - lam with"
        " lam ~ Beta(alpha, alpha), drawn for each batch",
        'H. Zhang, M. Cisse, Y. Dauphin and D. Lopez-Paz, "mixup: beyond empirical risk'
        ' minimization", ICLR 2018, eq. 1.',
        use="For tables and images, with many epochs: predictions between the rows "
        "become smoother and less confident.",
        constraints={"alpha": [Interval(Real, 0, np.inf, closed="neither")]},
        mixes_targets=True,
    ),
    "shift": Augmentation(
        _shift,
        "images moved by up to max_shift pixels in each direction, with zeros around"
        " them",
        _SIMARD,
        use="For images whose object is not always in the same place.",
        constraints={
            "image_shape": ["array-like"],
            "max_shift": [Interval(Real, 0, np.inf, closed="left")],
        },
        needs_images=True,
    ),
    "rotate": Augmentation(
        _rotate,
        "images rotated by up to max_degrees in either direction, with zeros around"
        " them",
        _SIMARD,
        use="For images that may be tilted. Use small angles only: 6 and 9 look alike "
        "upside down.",
        constraints={
            "image_shape": ["array-like"],
            "max_degrees": [Interval(Real, 0, 180, closed="right")],
        },
        needs_images=True,
    ),
}


# ---- binding -----------------------------------------------------------------------


@dataclass(frozen=True)
class Augment:
    """An augmentation with its parameters bound.

    Parameters
    ----------
    function : callable
        Function of inputs, targets, weights and generator that returns new inputs,
        targets and weights.
    mixes_targets : bool, default=False
        Whether targets must be floats, class probabilities instead of class indices.
    """

    function: Callable[[Tensor, Tensor | None, Tensor | None, Generator], _Rows]
    mixes_targets: bool = False

    def __call__(
        self,
        X: Tensor,
        y: Tensor | None,
        weight: Tensor | None,
        generator: Generator,
    ) -> _Rows:
        """Augment a batch."""
        return self.function(X, y, weight, generator)


def get_augmentation(
    augmentation: str | _Function,
    n_features: int,
    params: Mapping[str, Any] | None = None,
) -> Augment:
    """Bind an augmentation's parameters.

    Parameters
    ----------
    augmentation : str or callable
        Key of `AUGMENTATIONS`, or a function of inputs (..., batch, n_features),
        targets and a generator on their device. It returns new inputs of the same
        shape, and new targets for the same rows. Targets of several classes are class
        indices (..., batch), for which it may return probabilities (..., batch,
        n_classes); other targets are numbers (..., batch, n_outputs). Sample weights
        stay at the places of the rows. The function gets copies and may write to them.
    n_features : int
        Number of features of the inputs.
    params : dict, default=None
        Parameters of the augmentation; a function takes none.

    Returns
    -------
    augment : Augment
        Function of inputs, targets, weights and generator.

    Raises
    ------
    ValueError
        If a parameter is unknown, illegal or missing.
    """
    if callable(augmentation):
        check_params("augmentation_params", augmentation, params, {})
        return Augment(partial(_call, augmentation))
    row = AUGMENTATIONS[augmentation]
    params = check_params("augmentation_params", augmentation, params, row.constraints)
    if row.needs_images:
        shape = params.get("image_shape")
        params["image_shape"] = check_image_shape(augmentation, shape, n_features)
    return Augment(partial(row.augment, **params), row.mixes_targets)


def _call(
    function: _Function,
    X: Tensor,
    y: Tensor | None,
    weight: Tensor | None,
    generator: Generator,
) -> _Rows:
    """Augment a batch by a user's function."""
    pair = function(X.clone(), None if y is None else y.clone(), generator)
    if not isinstance(pair, tuple) or len(pair) != 2:
        raise ValueError(f"augmentation must return a tuple (X, y), got {pair!r}.")
    new_X = _check_part("X", pair[0], X.shape, X)
    if y is None:
        return new_X, None, weight
    return new_X, _check_targets(pair[1], y, X), weight


def _check_targets(new_y: Any, y: Tensor, X: Tensor) -> Tensor:
    """Check a function's targets, which may be probabilities for class indices."""
    has_classes = isinstance(new_y, Tensor) and new_y.ndim == y.ndim + 1
    if has_classes and not y.is_floating_point():
        return _check_part("y", new_y, (*y.shape, new_y.shape[-1]), X)
    return _check_part("y", new_y, y.shape, y)


def _check_part(name: str, part: Any, shape: Sequence[int], like: Tensor) -> Tensor:
    """Check a returned tensor and convert it to the dtype and device of `like`.

    Floats are not converted to integers: class indices must be integers.
    """
    if not isinstance(part, Tensor):
        raise ValueError(
            f"augmentation must return {name} as a tensor, got {type(part)}."
        )
    if part.shape != torch.Size(shape):
        raise ValueError(
            f"augmentation must return {name} of shape {tuple(shape)}, got shape "
            f"{tuple(part.shape)}."
        )
    if part.is_floating_point() and not like.is_floating_point():
        raise ValueError(
            f"augmentation must return {name} as class indices of an integer dtype, or "
            f"as probabilities {(*shape, 'n_classes')}, got {part.dtype}."
        )
    return part.detach().to(like, copy=True)  # the function may reuse its memory
