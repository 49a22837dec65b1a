"""Display of a training: losses, validation scores and learning rates by epoch."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sk_deep.plots._networks import fitted_network
from sk_deep.plots._style import (
    COLORS,
    MARKERS,
    check_matplotlib,
    give_title,
    grid_of_axes,
    name_epochs,
    next_color,
    put_legend,
)

# panels from top to bottom -> label of the y axis
_LABELS = {
    "loss": "loss",
    "validation_score": "validation score",
    "learning_rate": "learning rate",
}
_WIDE = 20.0  # ratio of losses from which a log scale shows more


class LossCurveDisplay:
    """Losses, validation scores and learning rates of a training, epoch by epoch.

    Use :meth:`from_estimator` or :meth:`from_estimators` to create it. All
    parameters are stored as attributes.

    Parameters
    ----------
    training_loss : array-like of shape (n_epochs,)
        Training loss of each epoch, penalty included.

    validation_loss : array-like of shape (n_epochs,), default=None
        Loss on the validation data, without the penalty.

    validation_score : array-like of shape (n_epochs,), default=None
        Score on the validation data.

    learning_rate : array-like of shape (n_epochs,), default=None
        Learning rate at the start of each epoch.

    best_epoch : int, default=None
        Epoch whose weights were kept, the first is 1.

    name : str, default=None
        Name of the training in the legend.

    Attributes
    ----------
    axes_ : ndarray of Axes of shape (n_panels,)
        The panels, from top to bottom.

    panels_ : tuple of str
        What each panel shows.

    figure_ : Figure
        The figure.

    lines_ : list of Line2D
        The curves.

    See Also
    --------
    GradientFlowDisplay : Norms of the gradients, epoch by epoch.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sk_deep import MLPClassifier
    >>> from sk_deep.plots import LossCurveDisplay
    >>> X, y = load_iris(return_X_y=True)
    >>> network = MLPClassifier(early_stopping=True, max_iter=20, random_state=0)
    >>> display = LossCurveDisplay.from_estimator(network.fit(X, y))
    >>> display.panels_
    ('loss', 'validation_score')
    """

    def __init__(
        self,
        training_loss: ArrayLike,
        *,
        validation_loss: ArrayLike | None = None,
        validation_score: ArrayLike | None = None,
        learning_rate: ArrayLike | None = None,
        best_epoch: int | None = None,
        name: str | None = None,
    ) -> None:
        self.training_loss = training_loss
        self.validation_loss = validation_loss
        self.validation_score = validation_score
        self.learning_rate = learning_rate
        self.best_epoch = best_epoch
        self.name = name

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        *,
        ax: Any = None,
        panels: str | Sequence[str] = "auto",
        log_scale: str | bool = "auto",
        name: str | None = None,
    ) -> "LossCurveDisplay":
        """Draw the curves of a fitted estimator.

        Parameters
        ----------
        estimator : object
            A fitted estimator of this package, a pipeline that ends in one, or a fitted
            search, whose best estimator is drawn.

        ax : Axes or sequence of Axes, default=None
            Where to draw, see :meth:`plot`. Pass the `axes_` of another display to draw
            the curves over its curves.

        panels : "auto" or sequence of str, default="auto"
            What to draw, see :meth:`plot`.

        log_scale : bool or "auto", default="auto"
            Whether the losses have a log scale, see :meth:`plot`.

        name : str, default=None
            Name of the training in the legend.

        Returns
        -------
        display : LossCurveDisplay
            The display.

        Raises
        ------
        ValueError
            If the estimator is of another kind, or was trained by L-BFGS, which has no
            epochs.
        NotFittedError
            If the estimator is not fitted.
        """
        check_matplotlib(f"{cls.__name__}.from_estimator")
        display = cls._of(fitted_network(estimator), name)
        return display.plot(ax, panels=panels, log_scale=log_scale)

    @classmethod
    def from_estimators(
        cls,
        estimators: Mapping[str, Any],
        *,
        ax: Any = None,
        panels: str | Sequence[str] = "auto",
        log_scale: str | bool = "auto",
    ) -> list["LossCurveDisplay"]:
        """Draw the curves of several fitted estimators over each other.

        Parameters
        ----------
        estimators : mapping of str to object
            Fitted estimators by name, see :meth:`from_estimator`.

        ax : Axes or sequence of Axes, default=None
            Where to draw, see :meth:`plot`.

        panels : "auto" or sequence of str, default="auto"
            What to draw; "auto" is every panel that :meth:`plot` draws for one of them.

        log_scale : bool or "auto", default="auto"
            Whether the losses have a log scale, see :meth:`plot`.

        Returns
        -------
        displays : list of LossCurveDisplay
            One for each estimator, all in the same axes.

        Raises
        ------
        ValueError
            If there is no estimator, or one is of another kind.
        NotFittedError
            If an estimator is not fitted.
        """
        check_matplotlib(f"{cls.__name__}.from_estimators")
        if not estimators:
            raise ValueError(f"estimators must not be empty, got {estimators!r}.")
        displays = [cls._of(fitted_network(e), name) for name, e in estimators.items()]
        drawn = [display._panels(panels, must_have=False) for display in displays]
        names = tuple(label for label in _LABELS if any(label in row for row in drawn))
        axes = _axes(ax, names)
        is_log = _is_log(log_scale, [loss for d in displays for loss in d._losses()])
        for display in displays:
            display._draw(axes, names, is_log)
        return displays

    @classmethod
    def _of(cls, network: Any, name: str | None) -> "LossCurveDisplay":
        curve = getattr(network, "loss_curve_", None)
        if curve is None:
            raise ValueError(
                "estimator must be trained in epochs, which record the curves, got "
                "solver='lbfgs'."
            )
        score = network.validation_scores_
        is_known = score is not None and not np.isnan(score).all()
        return cls(
            np.array(curve),
            validation_loss=_array(network.validation_loss_curve_),
            validation_score=_array(score),
            learning_rate=_array(network.learning_rate_curve_),
            best_epoch=int(np.nanargmax(score)) + 1 if is_known else None,
            name=name,
        )

    def plot(
        self,
        ax: Any = None,
        *,
        panels: str | Sequence[str] = "auto",
        log_scale: str | bool = "auto",
    ) -> "LossCurveDisplay":
        """Draw the curves.

        Parameters
        ----------
        ax : Axes or sequence of Axes, default=None
            One for each panel, or one that the panels replace; None is a new figure.
            Axes with curves get further curves in other colours and markers.

        panels : "auto" or sequence of str, default="auto"
            Some of "loss", "validation_score" and "learning_rate"; "auto" is all that
            have data, the learning rate only where it varies.

        log_scale : bool or "auto", default="auto"
            Whether the losses have a log scale; "auto" does if the largest is more than
            20 times the smallest.

        Returns
        -------
        display : LossCurveDisplay
            The object itself.

        Raises
        ------
        ValueError
            If a panel has no data, or losses on a log scale are not positive.
        """
        check_matplotlib(f"{type(self).__name__}.plot")
        names = self._panels(panels, must_have=True)
        return self._draw(_axes(ax, names), names, _is_log(log_scale, self._losses()))

    def _losses(self) -> list[NDArray]:
        curves = (self.training_loss, self.validation_loss)
        return [np.asarray(curve) for curve in curves if curve is not None]

    def _panels(self, panels: str | Sequence[str], must_have: bool) -> tuple[str, ...]:
        rate = self.learning_rate
        present = {
            "loss": True,
            "validation_score": self.validation_score is not None,
            "learning_rate": rate is not None,
        }
        if isinstance(panels, str) and panels == "auto":
            present["learning_rate"] = rate is not None and np.ptp(rate) > 0
            return tuple(name for name in _LABELS if present[name])
        names = [panels] if isinstance(panels, str) else list(panels)
        for name in names:
            if name not in _LABELS or (must_have and not present[name]):
                legal = [key for key in _LABELS if present[key] or not must_have]
                raise ValueError(
                    f"panels must be 'auto' or some of {legal}, got {panels!r}."
                )
        return tuple(name for name in _LABELS if name in names)

    def _draw(
        self, axes: NDArray, panels: tuple[str, ...], is_log: bool
    ) -> "LossCurveDisplay":
        self.axes_, self.panels_, self.figure_ = axes, panels, axes[0].figure
        index = next_color(axes[0])
        self.lines_: list[Any] = []
        for ax, panel in zip(axes, panels, strict=True):
            getattr(self, f"_draw_{panel}")(ax, index)
        put_legend(axes[0])
        if is_log and "loss" in panels:
            axes[panels.index("loss")].set_yscale("log")
        return self

    def _draw_loss(self, ax: Any, index: int) -> None:
        self._line(ax, self.training_loss, index, "training")
        if self.validation_loss is not None:
            self._line(ax, self.validation_loss, index, "validation", ls="--")
            self._mark(ax, self.validation_loss, index)

    def _draw_validation_score(self, ax: Any, index: int) -> None:
        if self.validation_score is not None:
            self._line(ax, self.validation_score, index, "validation", ls="--")
            self._mark(ax, self.validation_score, index)

    def _draw_learning_rate(self, ax: Any, index: int) -> None:
        if self.learning_rate is not None:
            self._line(ax, self.learning_rate, index, "", drawstyle="steps-post")
            if _is_wide([np.asarray(line.get_ydata()) for line in ax.lines]):
                ax.set_yscale("log")

    def _line(
        self, ax: Any, curve: ArrayLike, index: int, what: str, **style: Any
    ) -> None:
        n_epochs = len(np.asarray(curve))
        label = ": ".join(part for part in (self.name, what) if part)
        self.lines_ += ax.plot(
            np.arange(1, n_epochs + 1),
            curve,
            color=COLORS[index],
            marker=MARKERS[index % len(MARKERS)],
            markevery=max(1, n_epochs // 8),
            label=label or None,
            **style,
        )

    def _mark(self, ax: Any, curve: ArrayLike, index: int) -> None:
        """Mark the best epoch on a curve."""
        if self.best_epoch is None:
            return
        value = np.asarray(curve)[self.best_epoch - 1]
        label = f"best epoch, {self.best_epoch}"
        ax.plot(
            self.best_epoch,
            value,
            marker="*",
            ms=14,
            mec="gray",
            ls="",
            color=COLORS[index],
            label=f"{self.name}: {label}" if self.name else label,
        )


def _array(curve: Sequence[float] | None) -> NDArray | None:
    return None if curve is None else np.array(curve)


def _is_wide(curves: Sequence[NDArray]) -> bool:
    values = np.concatenate(curves)
    return bool(values.min() > 0 and values.max() > _WIDE * values.min())


def _is_log(log_scale: str | bool, losses: Sequence[NDArray]) -> bool:
    if log_scale not in ("auto", True, False):
        raise ValueError(f"log_scale must be a bool or 'auto', got {log_scale!r}.")
    if log_scale == "auto":
        return _is_wide(losses)
    smallest = min(loss.min() for loss in losses)
    if log_scale and not smallest > 0:
        raise ValueError(f"log_scale needs losses above 0, got {smallest}.")
    return bool(log_scale)


def _axes(ax: Any, panels: tuple[str, ...]) -> NDArray:
    axes = grid_of_axes(ax, len(panels), n_columns=1, panel_size=(7.0, 2.7))
    for ax_of_panel, panel in zip(axes, panels, strict=True):
        ax_of_panel.set_ylabel(_LABELS[panel])
        if not ax_of_panel.get_shared_x_axes().joined(ax_of_panel, axes[0]):
            ax_of_panel.sharex(axes[0])
        if ax_of_panel is not axes[-1]:
            ax_of_panel.tick_params(labelbottom=False)
    give_title(axes[0], "Training")
    name_epochs(axes[-1])
    return axes
