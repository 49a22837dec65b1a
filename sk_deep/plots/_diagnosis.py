"""Display of a diagnosis: one panel for each kind of measurement."""

from typing import Any

import numpy as np

from sk_deep.plots._gradient_flow import GradientFlowDisplay
from sk_deep.plots._style import COLORS, check_matplotlib, name_epochs

_SIZE = (12, 6.5)  # of the figure, in inches
_PARTS = {  # of the data: label, colour, marker, line style
    "train": ("training", COLORS[0], "o", "-"),
    "test": ("validation", COLORS[1], "s", "--"),
}


class DiagnosisDisplay:
    """Measurements of a diagnosis.

    The panels show scores beside the yardsticks, scores by number of training rows,
    training loss by epoch, loss by learning rate, gradients by layer and epoch, units
    by layer. Use `Diagnosis.plot` to create it.

    Parameters
    ----------
    measurements : Measurements
        Measurements of a `sk_deep.recipe.Diagnosis`.

    Attributes
    ----------
    axes_ : ndarray of Axes of shape (2, 3)
        The panels.

    figure_ : Figure or SubFigure
        The figure.

    See Also
    --------
    sk_deep.diagnose : Explain why a network performs badly, and suggest what to try.

    Examples
    --------
    >>> from sk_deep import MLPClassifier, diagnose
    >>> from sk_deep.plots import DiagnosisDisplay
    >>> from sklearn.datasets import load_iris
    >>> X, y = load_iris(return_X_y=True)
    >>> diagnosis = diagnose(MLPClassifier(max_iter=5), X, y, cv=2)
    >>> DiagnosisDisplay(diagnosis.measurements).plot().axes_.shape
    (2, 3)
    """

    def __init__(self, measurements: Any) -> None:
        self.measurements = measurements

    def plot(self, fig: Any = None) -> "DiagnosisDisplay":
        """Draw the panels.

        Parameters
        ----------
        fig : Figure or SubFigure, default=None
            Where to draw; None is a new figure of matplotlib's.

        Returns
        -------
        display : DiagnosisDisplay
            The display itself.

        Raises
        ------
        ImportError
            If matplotlib is missing.
        """
        check_matplotlib(f"{type(self).__name__}.plot")
        if fig is None:
            import matplotlib.pyplot as plt

            fig = plt.figure(figsize=_SIZE, layout="constrained")
        self.figure_, self.axes_ = fig, fig.subplots(2, 3)
        panels = [_scores, _learning_curve, _losses, _rates, _gradients, _units]
        for ax, panel in zip(self.axes_.flat, panels, strict=True):
            panel(ax, self.measurements)
        return self


def _scores(ax: Any, m: Any) -> None:
    """Training and validation scores beside the yardsticks."""
    contenders = m.contenders()
    for offset, (part, (label, color, marker, _)) in zip(
        (-0.15, 0.15), _PARTS.items(), strict=True
    ):
        values = [getattr(scores, part) for scores in contenders.values()]
        ax.errorbar(
            np.mean(values, axis=1),
            np.arange(len(values)) + offset,
            xerr=np.std(values, axis=1),
            fmt=marker,
            color=color,
            capsize=3,
            label=label,
        )
    ax.set_yticks(range(len(contenders)), list(contenders))
    ax.set_ylim(len(contenders) + 0.3, -0.5)  # a place for the legend below
    ax.set(xlabel="score", title="scores, mean and deviation over folds")
    ax.legend(loc="lower center", ncols=2)


def _learning_curve(ax: Any, m: Any) -> None:
    """Scores by number of training rows."""
    curve = m.learning_curve
    if not np.isfinite([scores.test for scores in curve.values()]).any():
        return _leave_empty(ax, "no scores by number of rows")
    for part, (label, color, marker, style) in _PARTS.items():
        means = [np.mean(getattr(scores, part)) for scores in curve.values()]
        ax.plot(list(curve), means, style, marker=marker, color=color, label=label)
    ax.set(xlabel="training rows", ylabel="score", title="more rows")
    ax.legend()


def _losses(ax: Any, m: Any) -> None:
    """Training loss by epoch, of each fold."""
    if not m.loss_curves:
        return _leave_empty(ax, "no loss by epoch")
    for curve in m.loss_curves:
        ax.plot(np.arange(1, len(curve) + 1), curve, color=COLORS[0], alpha=0.7)
    if min(map(min, m.loss_curves)) > 0:
        ax.set_yscale("log")
    name_epochs(ax)
    ax.set(ylabel="training loss", title="training, fold by fold")


def _rates(ax: Any, m: Any) -> None:
    """Loss that a short training reaches, by learning rate."""
    if m.rate is None:
        return _leave_empty(ax, "no learning rate to vary")
    is_finite = np.isfinite(m.rate_losses)
    ax.set_xscale("log")
    if (m.rate_losses > 0).all():
        ax.set_yscale("log")
    ax.plot(m.rates[is_finite], m.rate_losses[is_finite], marker="o", color=COLORS[0])
    if not is_finite.all():
        at_the_top = {"transform": ax.get_xaxis_transform(), "clip_on": False}
        top = np.ones((~is_finite).sum())
        ax.plot(
            m.rates[~is_finite], top, "x", color=COLORS[0], label="fails", **at_the_top
        )
    ax.axvline(m.rate, color=COLORS[1], linestyle="--", label="the network's")
    ax.legend()
    title = f"loss after {m.rate_epochs} epochs"
    ax.set(xlabel="learning rate", ylabel="training loss", title=title)


def _gradients(ax: Any, m: Any) -> None:
    """Gradient norms by layer and epoch."""
    if len(m.gradient_norms):
        GradientFlowDisplay(m.gradient_norms).plot(ax=ax)
    else:
        _leave_empty(ax, "no gradients by epoch")


def _units(ax: Any, m: Any) -> None:
    """Parts of dead and of saturated units, by hidden layer."""
    if not len(m.dead_units):
        return _leave_empty(ax, "no hidden units to look at")
    layers = np.arange(1, len(m.dead_units) + 1)
    ax.bar(layers - 0.2, m.dead_units, 0.4, color=COLORS[1], label="dead")
    ax.bar(
        layers + 0.2,
        m.saturated_units,
        0.4,
        color=COLORS[0],
        hatch="//",
        label="saturated",
    )
    ax.set(xlabel="hidden layer", ylabel="part of the units", ylim=(0, 1))
    ax.set_xticks(layers)
    ax.set_title("units")
    ax.legend()


def _leave_empty(ax: Any, title: str) -> None:
    """Write that there is nothing to draw."""
    ax.set(title=title, xticks=[], yticks=[])
