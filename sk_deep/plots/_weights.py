"""Display of the weights: images of the first layer, or histograms of all."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sk_deep.plots._networks import fitted_network, layer_names
from sk_deep.plots._style import (
    COLORS,
    DIVERGING,
    MAX_COLUMNS,
    check_matplotlib,
    give_title,
    grid_of_axes,
)

_GAP = 1  # pixels between images


class WeightDisplay:
    """Weights of a network: the first layer's as images, or histograms of all layers.

    With the shape of an image, each unit of the first layer is drawn as the image of
    its incoming weights: those of the largest norm, in that order. All images share a
    diverging colour scale, symmetric about 0. Without it, each layer's weights are
    counted in a histogram. Use :meth:`from_estimator` to create it. All
    parameters are stored as attributes.

    Parameters
    ----------
    weights : sequence of array-like of shape (n_in, n_out)
        Weights of each layer, from the inputs' side; those that lead into a unit are a
        column.

    image_shape : tuple of two ints, default=None
        Rows and columns of the images that the inputs are; None draws histograms.

    n_images : int, default=25
        Largest number of images.

    Attributes
    ----------
    axes_ : ndarray of Axes of shape (n_panels,)
        A panel for all images, or one for each layer.

    figure_ : Figure
        The figure.

    units_ : ndarray of int of shape (n_images,) or None
        The units that are drawn as images, row by row: columns of the first weights.

    See Also
    --------
    ActivationDisplay : Shapes of the units.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sk_deep import MLPClassifier
    >>> from sk_deep.plots import WeightDisplay
    >>> X, y = load_digits(return_X_y=True)
    >>> network = MLPClassifier((16,), max_iter=5, random_state=0).fit(X / 16, y)
    >>> display = WeightDisplay.from_estimator(network, image_shape=(8, 8))
    >>> display.units_.shape
    (16,)
    """

    def __init__(
        self,
        weights: Sequence[ArrayLike],
        *,
        image_shape: tuple[int, int] | None = None,
        n_images: int = 25,
    ) -> None:
        self.weights = weights
        self.image_shape = image_shape
        self.n_images = n_images

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        *,
        image_shape: tuple[int, int] | None = None,
        n_images: int = 25,
        ax: Any = None,
    ) -> "WeightDisplay":
        """Draw the weights of a fitted estimator.

        Parameters
        ----------
        estimator : object
            A fitted estimator of this package, a pipeline that ends in one, or a fitted
            search, whose best estimator is drawn.

        image_shape : tuple of two ints, default=None
            Rows and columns of the images that the network's inputs are; None draws
            histograms.

        n_images : int, default=25
            Largest number of images.

        ax : Axes or sequence of Axes, default=None
            Where to draw, see :meth:`plot`.

        Returns
        -------
        display : WeightDisplay
            The display. The units of all members of an ensemble are side by side, and
            so are the pieces of maxout.

        Raises
        ------
        ValueError
            If the estimator is of another kind, or its inputs are not such images.
        NotFittedError
            If the estimator is not fitted.
        """
        check_matplotlib(f"{cls.__name__}.from_estimator")
        weights = [_side_by_side(coef) for coef in fitted_network(estimator).coefs_]
        return cls(weights, image_shape=image_shape, n_images=n_images).plot(ax)

    def plot(self, ax: Any = None) -> "WeightDisplay":
        """Draw the images, or the histograms.

        Parameters
        ----------
        ax : Axes or sequence of Axes, default=None
            One for each panel, or one that the panels replace; None is a new figure.

        Returns
        -------
        display : WeightDisplay
            The object itself.

        Raises
        ------
        ValueError
            If the first weights are not of such images.
        """
        check_matplotlib(f"{type(self).__name__}.plot")
        self.units_: NDArray | None = None
        if self.image_shape is None:
            self._draw_histograms(ax)
        else:
            self._draw_images(ax, np.asarray(self.weights[0]), self.image_shape)
        self.figure_ = self.axes_[0].figure
        return self

    def _draw_images(
        self, ax: Any, weight: NDArray, image_shape: tuple[int, int]
    ) -> None:
        _check_images(image_shape, self.n_images, weight.shape[0])
        order = np.argsort(-np.linalg.norm(weight, axis=0), kind="stable")
        self.units_ = units = order[: self.n_images]
        mosaic = _mosaic(weight[:, units].T.reshape(-1, *image_shape))
        self.axes_ = grid_of_axes(ax, 1, n_columns=1, panel_size=(5.2, 4.6))
        panel = self.axes_[0]
        largest = np.nanmax(np.abs(mosaic))
        image = panel.imshow(mosaic, cmap=DIVERGING, vmin=-largest, vmax=largest)
        panel.figure.colorbar(image, ax=panel, label="weight")
        panel.set(xticks=[], yticks=[], facecolor="0.5")  # seen through the gaps
        panel.spines[:].set_visible(False)
        count = f"{len(units)} of {weight.shape[1]}"
        give_title(panel, f"Weights into units of the first layer ({count})")

    def _draw_histograms(self, ax: Any) -> None:
        n_layers = len(self.weights)
        self.axes_ = grid_of_axes(ax, n_layers, n_columns=MAX_COLUMNS)
        panels = zip(self.axes_, layer_names(n_layers), self.weights, strict=True)
        for panel, name, weight in panels:
            weight = np.asarray(weight)
            panel.hist(weight.ravel(), bins="auto", color=COLORS[0])
            rows, columns = weight.shape
            give_title(panel, f"{name}: {rows} x {columns}")
            panel.set(xlabel=f"weight (sd {weight.std():.2g})", ylabel="count")


def _side_by_side(coef: NDArray) -> NDArray:
    """Copy weights; set those of members, (n_members, n_in, n_out), side by side."""
    return np.moveaxis(coef, -2, 0).reshape(coef.shape[-2], -1)


def _check_images(image_shape: Any, n_images: int, n_pixels: int) -> None:
    if len(image_shape) != 2 or np.prod(image_shape) != n_pixels:
        raise ValueError(
            f"image_shape must be (rows, columns) of the {n_pixels} inputs of the "
            f"network, got {image_shape!r}."
        )
    if n_images < 1:
        raise ValueError(f"n_images must be at least 1, got {n_images!r}.")


def _mosaic(images: NDArray) -> NDArray:
    """Arrange images (n, rows, columns) in a square, with gaps of nan."""
    n, height, width = images.shape
    n_columns = int(np.ceil(np.sqrt(n)))
    n_rows = -(-n // n_columns)
    cell = height + _GAP, width + _GAP
    mosaic = np.full((n_rows * cell[0] - _GAP, n_columns * cell[1] - _GAP), np.nan)
    for i, image in enumerate(images):
        row, column = divmod(i, n_columns)
        top, left = row * cell[0], column * cell[1]
        mosaic[top : top + height, left : left + width] = image
    return mosaic
