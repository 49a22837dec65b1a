"""Axes, colours and line styles of all displays.

Colours are of M. Okabe and K. Ito, "Color universal design", 2008: those that are
told apart with any colour vision and are seen on white and on black. Lines differ in
style or marker, too. Text keeps the colours of matplotlib's rcParams.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

# those first that are of like contrast to both
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
MARKERS = ("", "o", "s", "^", "D", "v", "P", "X")
LINE_STYLES = ("-", "--", "-.", ":")
DIVERGING = "PuOr"
PANEL_SIZE = (3.2, 2.6)  # of each panel of a grid, in inches
MAX_COLUMNS = 4


def check_matplotlib(caller: str) -> None:
    """Raise an error that names the extra, where matplotlib is missing."""
    try:
        import matplotlib.pyplot  # noqa: F401
    except ImportError as error:
        raise ImportError(
            f'{caller} needs matplotlib: pip install "sk_deep[plot]".'
        ) from error


def one_axes(ax: Any) -> Any:
    """Return the axes, or those of a new figure."""
    if ax is not None:
        return ax
    import matplotlib.pyplot as plt

    return plt.subplots(layout="constrained")[1]


def grid_of_axes(
    ax: Any, n: int, *, n_columns: int, panel_size: tuple[float, float] = PANEL_SIZE
) -> NDArray:
    """Make axes in a grid.

    Parameters
    ----------
    ax : Axes, sequence of Axes, or None
        One that the grid takes the place of; or all n of them; None is a new figure.
    n : int
        Number of axes.
    n_columns : int
        Largest number of columns of the grid.
    panel_size : tuple of two floats, default=(3.2, 2.6)
        Width and height of a panel of a new figure, in inches.

    Returns
    -------
    axes : ndarray of shape (n,)
        The axes, row by row.
    """
    if ax is not None and not hasattr(ax, "plot"):
        return _checked(np.ravel(np.asarray(ax, dtype=object)), n)
    if ax is not None and n == 1:
        return np.array([ax])
    n_rows = -(-n // n_columns)
    n_columns = -(-n // n_rows)  # rows of the same length, if possible
    spec = _new_spec(ax, n_rows, n_columns, panel_size)
    figure = spec.figure if ax is None else ax.figure
    cells = [spec[divmod(i, n_columns)] for i in range(n)]
    return np.array([figure.add_subplot(cell) for cell in cells])


def _checked(axes: NDArray, n: int) -> NDArray:
    if len(axes) != n:
        raise ValueError(
            f"ax must be one Axes or a sequence of {n}, one for each panel, got "
            f"{len(axes)}."
        )
    return axes


def _new_spec(
    ax: Any, n_rows: int, n_columns: int, panel_size: tuple[float, float]
) -> Any:
    if ax is None:
        import matplotlib.pyplot as plt

        size = panel_size[0] * n_columns, panel_size[1] * n_rows
        figure = plt.figure(figsize=size, layout="constrained")
        return figure.add_gridspec(n_rows, n_columns)
    if ax.get_subplotspec() is None or not ax.axison:
        raise ValueError(
            "ax must be an Axes of a grid of subplots that can be replaced by "
            f"{n_rows * n_columns} panels; to draw into the panels of a display, pass "
            "its axes_."
        )
    ax.set_axis_off()
    return ax.get_subplotspec().subgridspec(n_rows, n_columns)


def next_color(ax: Any) -> int:
    """Index of the first colour that no line of the axes has."""
    used = {line.get_color() for line in ax.lines}
    free = (i for i, color in enumerate(COLORS) if color not in used)
    return next(free, len(ax.lines) % len(COLORS))


def sequence_of_colors(n: int) -> Sequence[Any]:
    """Take colours in an order, dark to bright, but seen on white and on black."""
    import matplotlib

    return list(matplotlib.colormaps["viridis"](np.linspace(0.3, 0.78, n)))


def give_title(ax: Any, title: str) -> None:
    """Give axes a title, unless they have one."""
    if not ax.get_title():
        ax.set_title(title)


def name_epochs(ax: Any) -> None:
    """Let the x axis be one of epochs."""
    from matplotlib.ticker import MaxNLocator

    ax.set_xlabel("epoch")
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))


def put_legend(ax: Any, n_inside: int = 3) -> None:
    """Put a legend into axes, or beside them where it is long."""
    n = len(ax.get_legend_handles_labels()[0])
    if n > n_inside:
        ax.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0))
    elif n:
        ax.legend()
