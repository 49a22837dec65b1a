"""Display of the hidden units: their shapes, and how many are dead or saturated."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from sk_deep._engine.unit_states import unit_states
from sk_deep._estimator.finding import inputs_of_network
from sk_deep.activations import get_activation
from sk_deep.plots._networks import fitted_network
from sk_deep.plots._shapes import grid, unit_shapes
from sk_deep.plots._style import (
    COLORS,
    MAX_COLUMNS,
    check_matplotlib,
    give_title,
    grid_of_axes,
)


class ActivationDisplay:
    """Shapes of the hidden units, and the fractions that are dead or saturated.

    Each panel has the units of a hidden layer as functions of one variable. For most
    activations that is the unit's own input, and one curve stands for all units; units
    of prelu have slopes of their own. A unit of maxout is the largest of affine
    functions of all inputs of its layer. It is drawn along the line on which these
    pieces differ most, the first principal component of their weight vectors: there it
    is a convex function of straight parts, such as a rectifier or an absolute value,
    as in the paper. The line goes through the mean of the layer's inputs, in standard
    deviations, where X is given, and through the origin otherwise. Batch normalization
    is included, layer normalization left out.

    Use :meth:`from_estimator` to create it. All parameters are
    stored as attributes.

    Parameters
    ----------
    inputs : array-like of shape (n_points,)
        Points along the lines.

    shapes : sequence of array-like of shape (n_points, n_units) or (n_points, 1)
        Values of the units of each hidden layer at the points; one column for units
        that are all alike.

    activations : sequence of str
        Name of each layer's activation.

    has_pieces : sequence of bool
        Whether the units of each layer are drawn along lines of their own.

    dead : array-like of shape (n_layers,), default=None
        Fraction of units of each layer that are dead: their value is the same on all
        rows of X, and so is the slope, 0.

    saturated : array-like of shape (n_layers,), default=None
        Fraction of units of each layer that are saturated: their activation is flat at
        both ends, and the slope is below 5 % of its greatest on at least 90 % of the
        rows.

    Attributes
    ----------
    axes_ : ndarray of Axes of shape (n_panels,)
        The panels; layers that follow each other share one if their shapes are the
        same. The last one has the fractions, where there are any.

    figure_ : Figure
        The figure.

    See Also
    --------
    WeightDisplay : Weights of the layers.
    GradientFlowDisplay : Norms of the gradients of the layers.

    References
    ----------
    I. Goodfellow, D. Warde-Farley, M. Mirza, A. Courville and Y. Bengio, "Maxout
    networks", ICML 2013, fig. 1.

    K. He, X. Zhang, S. Ren and J. Sun, "Delving deep into rectifiers: surpassing
    human-level performance on ImageNet classification", ICCV 2015 (learned slopes).

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sk_deep import MLPClassifier
    >>> from sk_deep.plots import ActivationDisplay
    >>> X, y = load_iris(return_X_y=True)
    >>> network = MLPClassifier((8, 8), activation=["prelu", "tanh"], max_iter=5)
    >>> display = ActivationDisplay.from_estimator(network.fit(X, y), X)
    >>> [shape.shape[1] for shape in display.shapes], display.dead.shape
    ([8, 1], (2,))
    """

    def __init__(
        self,
        inputs: ArrayLike,
        shapes: Sequence[ArrayLike],
        *,
        activations: Sequence[str],
        has_pieces: Sequence[bool],
        dead: ArrayLike | None = None,
        saturated: ArrayLike | None = None,
    ) -> None:
        self.inputs = inputs
        self.shapes = shapes
        self.activations = activations
        self.has_pieces = has_pieces
        self.dead = dead
        self.saturated = saturated

    @classmethod
    def from_estimator(
        cls, estimator: Any, X: Any = None, *, ax: Any = None
    ) -> "ActivationDisplay":
        """Draw the hidden units of a fitted estimator.

        Parameters
        ----------
        estimator : object
            A fitted estimator of this package, a pipeline that ends in one, or a fitted
            search, whose best estimator is drawn.

        X : array-like or sparse matrix of shape (n_samples, n_features), default=None
            Inputs of the estimator, to count dead and saturated units; None draws the
            shapes only.

        ax : Axes or sequence of Axes, default=None
            Where to draw, see :meth:`plot`.

        Returns
        -------
        display : ActivationDisplay
            The display. The units of all members of an ensemble are side by side.

        Raises
        ------
        ValueError
            If the estimator is of another kind, or has no hidden layer.
        NotFittedError
            If the estimator is not fitted.
        """
        check_matplotlib(f"{cls.__name__}.from_estimator")
        mlp = fitted_network(estimator)
        net = mlp.net_
        names = net.module_.architecture.activation
        if not names:
            raise ValueError(
                "estimator must have a hidden layer, got hidden_layer_sizes=()."
            )
        fractions = {}
        if X is not None:
            X = mlp._check_inputs(inputs_of_network(estimator, X))
            dead, saturated = zip(*unit_states(net, X), strict=True)
            fractions["dead"] = np.array([units.mean() for units in dead])
            fractions["saturated"] = np.array([units.mean() for units in saturated])
        return cls(
            grid(),
            unit_shapes(net, X),
            activations=[n if isinstance(n, str) else n.__name__ for n in names],
            has_pieces=[get_activation(name).has_pieces for name in names],
            **fractions,
        ).plot(ax)

    def plot(self, ax: Any = None) -> "ActivationDisplay":
        """Draw the shapes, and the fractions if there are any.

        Parameters
        ----------
        ax : Axes or sequence of Axes, default=None
            One for each panel, or one that the panels replace; None is a new figure.

        Returns
        -------
        display : ActivationDisplay
            The object itself.
        """
        check_matplotlib(f"{type(self).__name__}.plot")
        groups = list(self._groups())
        n_panels = len(groups) + (self.dead is not None)
        self.axes_ = grid_of_axes(ax, n_panels, n_columns=MAX_COLUMNS)
        self.figure_ = self.axes_[0].figure
        for panel, (first, last) in zip(self.axes_, groups, strict=False):
            self._draw_shapes(panel, first, last)
        if self.dead is not None:
            self._draw_fractions(self.axes_[-1])
        return self

    def _groups(self) -> Iterator[tuple[int, int]]:
        """Yield the first and the last layer of each panel."""
        first = 0
        for i in range(1, len(self.shapes) + 1):
            if i == len(self.shapes) or not self._is_alike(first, i):
                yield first, i - 1
                first = i

    def _is_alike(self, i: int, j: int) -> bool:
        is_one_name = self.activations[i] == self.activations[j]
        a, b = np.asarray(self.shapes[i]), np.asarray(self.shapes[j])
        return is_one_name and a.shape[1] == 1 and np.array_equal(a, b)

    def _draw_shapes(self, ax: Any, first: int, last: int) -> None:
        shape = np.asarray(self.shapes[first])
        n_units = shape.shape[1]
        if n_units == 1:
            ax.plot(self.inputs, shape[:, 0], color=COLORS[0])
        else:
            alpha = max(0.35, min(0.9, 10 / n_units))
            lines = ax.plot(self.inputs, shape, color=COLORS[2], lw=1, alpha=alpha)
            lines[0].set_label("units")
            mean = shape.mean(axis=1)
            ax.plot(self.inputs, mean, color=COLORS[1], ls="--", lw=2, label="mean")
            ax.legend()
        number = f"{first + 1}" if first == last else f"{first + 1} to {last + 1}"
        give_title(ax, f"hidden {number}: {self.activations[first]}")
        ax.set(xlabel=self._label(first), ylabel="value of a unit")

    def _label(self, i: int) -> str:
        if not self.has_pieces[i]:
            return "input of a unit"
        unit = "" if self.dead is None else " (standard deviations)"
        return f"along a unit's line{unit}"

    def _draw_fractions(self, ax: Any) -> None:
        positions = np.arange(1, len(self.shapes) + 1)
        fractions: dict[str, Any] = {"dead": self.dead, "saturated": self.saturated}
        for i, (name, values) in enumerate(fractions.items()):
            percent = 100 * np.asarray(values)
            ax.bar(
                positions + 0.4 * i - 0.2,
                percent,
                width=0.4,
                color=COLORS[i],
                hatch=["", "///"][i],
                label=name,
            )
        give_title(ax, "Dead and saturated units")
        ax.set(xlabel="hidden layer", ylabel="units (%)", xticks=positions)
        largest = max(np.max(values) for values in fractions.values())
        ax.set_ylim(0, np.clip(130 * largest, 5, 105))  # room for the legend
        ax.legend()
