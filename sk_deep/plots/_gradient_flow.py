"""Display of vanishing gradients: their norms by layer and epoch."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import clone
from sklearn.utils.validation import check_is_fitted

from sk_deep._estimator.checks import is_full_batch
from sk_deep._estimator.finding import best_estimator, find_network
from sk_deep.callbacks import LayerMonitor
from sk_deep.plots._networks import layer_names
from sk_deep.plots._style import (
    LINE_STYLES,
    check_matplotlib,
    give_title,
    name_epochs,
    one_axes,
    sequence_of_colors,
)

_IN_LEGEND = 8  # most layers in a legend


class GradientFlowDisplay:
    """Norms of the gradients of each layer's weights, epoch by epoch.

    Gradients that shrink from layer to layer towards the inputs *vanish*: the lines of
    the first layers lie orders of magnitude below those of the last. Where they lie
    above, gradients *explode*. Use :meth:`from_estimator` to create it.
    All parameters are stored as attributes.

    Parameters
    ----------
    gradient_norms : array-like of shape (n_epochs, n_layers)
        Norms, from the inputs' side to the output layer.

    name : str, default=None
        Name of the training in the title.

    Attributes
    ----------
    ax_ : Axes
        The axes.

    figure_ : Figure
        The figure.

    lines_ : list of Line2D
        A line for each layer.

    See Also
    --------
    sk_deep.callbacks.LayerMonitor : Records the norms.
    LossCurveDisplay : Losses and scores, epoch by epoch.

    References
    ----------
    X. Glorot and Y. Bengio, "Understanding the difficulty of training deep feedforward
    neural networks", AISTATS 2010, sec. 4.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sk_deep import MLPClassifier
    >>> from sk_deep.callbacks import LayerMonitor
    >>> from sk_deep.plots import GradientFlowDisplay
    >>> X, y = load_iris(return_X_y=True)
    >>> monitor = LayerMonitor()
    >>> network = MLPClassifier((8, 8, 8), max_iter=5, callbacks=[monitor])
    >>> display = GradientFlowDisplay.from_estimator(network.fit(X, y))
    >>> display.gradient_norms.shape
    (5, 4)
    """

    def __init__(self, gradient_norms: ArrayLike, *, name: str | None = None) -> None:
        self.gradient_norms = gradient_norms
        self.name = name

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any = None,
        y: Any = None,
        *,
        ax: Any = None,
        name: str | None = None,
    ) -> "GradientFlowDisplay":
        """Draw the gradients' norms of an estimator.

        Parameters
        ----------
        estimator : object
            An estimator of this package, a pipeline that ends in one, or a fitted
            search, whose best estimator is drawn. If it was fitted with a
            `sk_deep.callbacks.LayerMonitor`, its record is drawn.

        X : array-like or sparse matrix of shape (n_samples, n_features), default=None
            Training data. Without a record, a clone is fitted to them with a monitor;
            the estimator does not change.

        y : array-like of shape (n_samples,) or (n_samples, n_outputs), default=None
            Targets of X.

        ax : Axes, default=None
            Where to draw; None is a new figure.

        name : str, default=None
            Name of the training in the title.

        Returns
        -------
        display : GradientFlowDisplay
            The display.

        Raises
        ------
        ValueError
            If the estimator is of another kind, or has no record and X and y are not
            given.
        NotFittedError
            If the estimator is not fitted, and X and y are not given.
        """
        check_matplotlib(f"{cls.__name__}.from_estimator")
        mlp, _ = find_network(estimator, searches=True)
        record = getattr(mlp, "gradient_norm_curve_", None)
        if record is None and X is not None and y is not None:
            record = _watch(best_estimator(estimator), X, y)
        elif record is None:
            check_is_fitted(mlp)
            raise ValueError(
                "X and y must be given for an estimator without a record of its "
                "gradients: a clone is fitted to record them. Or fit the estimator "
                "with callbacks=[sk_deep.callbacks.LayerMonitor()]."
            )
        return cls(np.array(record), name=name).plot(ax)

    def plot(self, ax: Any = None) -> "GradientFlowDisplay":
        """Draw the norms on a log scale, a line for each layer.

        Parameters
        ----------
        ax : Axes, default=None
            Where to draw; None is a new figure.

        Returns
        -------
        display : GradientFlowDisplay
            The object itself.
        """
        check_matplotlib(f"{type(self).__name__}.plot")
        norms = np.asarray(self.gradient_norms)
        self.ax_ = one_axes(ax)
        self.figure_ = self.ax_.figure
        self._draw_lines(norms)
        self._draw_zeros(norms)
        self.ax_.set(ylabel="norm of the gradient", yscale="log")
        name_epochs(self.ax_)
        title = "Gradients of the layers"
        give_title(self.ax_, f"{title}: {self.name}" if self.name else title)
        self._draw_legend(norms.shape[1])
        return self

    def _draw_lines(self, norms: NDArray) -> None:
        n_epochs, n_layers = norms.shape
        colors = sequence_of_colors(n_layers)
        self.lines_: list[Any] = []
        for i, name in enumerate(layer_names(n_layers)):
            self.lines_ += self.ax_.plot(
                np.arange(1, n_epochs + 1),
                np.where(norms[:, i] > 0, norms[:, i], np.nan),
                color=colors[i],
                ls=LINE_STYLES[i % len(LINE_STYLES)],
                marker="o" if n_epochs == 1 else "",
                label=name,
            )

    def _draw_zeros(self, norms: NDArray) -> None:
        """Mark norms of 0 below all others, since a log scale cannot show them."""
        epochs, layers = np.nonzero(norms == 0)
        if len(epochs):
            positive = norms[norms > 0]
            floor = positive.min() / 10 if len(positive) else 1.0
            self.ax_.scatter(
                epochs + 1,
                np.full(len(epochs), floor),
                color=np.asarray(sequence_of_colors(norms.shape[1]))[layers],
                marker="v",
                label="0",
            )

    def _draw_legend(self, n_layers: int) -> None:
        handles, labels = self.ax_.get_legend_handles_labels()
        if n_layers > _IN_LEGEND:  # the first and the last, and some between
            some = np.linspace(0, n_layers - 1, _IN_LEGEND).round().astype(int)
            shown = [*some, *range(n_layers, len(handles))]
            handles, labels = [handles[i] for i in shown], [labels[i] for i in shown]
        # the output layer on top, as the lines mostly lie
        self.ax_.legend(
            handles[::-1], labels[::-1], loc="center left", bbox_to_anchor=(1.0, 0.5)
        )


def _watch(estimator: Any, X: Any, y: Any) -> Any:
    """Fit a clone with a monitor, and return its record."""
    monitored = clone(estimator)
    mlp, _ = find_network(monitored, searches=True)
    if is_full_batch(mlp):
        raise ValueError(
            f"estimator must be trained in epochs, got solver={mlp.solver!r}."
        )
    callbacks = mlp.callbacks or []
    if not any(isinstance(callback, LayerMonitor) for callback in callbacks):
        # as an attribute: the constructors for tables do not take it
        mlp.callbacks = [*callbacks, LayerMonitor()]
    return find_network(monitored.fit(X, y), searches=True)[0].gradient_norm_curve_
