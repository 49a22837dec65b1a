"""Write docs/options, the pages that show in pictures what named options do.

python docs/make_pictures.py

There is one for each row of a table. The pages are made with the site, and are not kept
with the sources.
"""

import inspect
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import gallery_conf
import make_options
import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.axes import Axes
from numpydoc.docscrape import NumpyDocString
from sklearn.datasets import load_iris
from sklearn.exceptions import ConvergenceWarning

import sk_deep
from sk_deep import MLPClassifier
from sk_deep.activations import ACTIVATIONS
from sk_deep.dropouts import DROPOUT_SCHEDULES, DROPOUTS
from sk_deep.network import Linear
from sk_deep.plots._style import COLORS
from sk_deep.schedules import SCHEDULES
from sk_deep.solvers import SOLVERS, minimize_lbfgs

FOLDER = Path(__file__).with_name("options")
STYLE = {
    **gallery_conf.STYLE,
    "font.size": 11,
    "lines.linewidth": 2,
    "svg.hashsalt": "sk_deep",  # the same picture is the same file
}
SIZE = (6.4, 2.8)  # inches


# ---- activations -----------------------------------------------------------------


def draw_activation(name: str, ax: Axes) -> None:
    """Draw an activation's curve, and its derivative by autograd."""
    row = ACTIVATIONS[name]
    pieces = 3
    layer = row.build((1,), pieces)
    z = torch.linspace(-4, 4, 801)[:, None].requires_grad_()
    inputs = z
    if row.has_pieces:  # as a network might learn them
        inputs = z * torch.tensor([-0.5, 0.3, 1.2]) + torch.tensor([-0.8, 0.2, -1.0])
        ax.plot(z.detach(), inputs.detach(), color="0.7", linewidth=1, zorder=1)
    h = layer(inputs)
    (slope,) = torch.autograd.grad(h.sum(), z)
    ax.plot(z.detach(), h.detach(), label="activation")
    jumps = slope.diff(dim=0, prepend=slope[:1]).abs() > 0.1  # are no lines
    ax.plot(z.detach(), slope.where(~jumps, torch.nan), "--", label="its derivative")
    ax.axhline(0, color="0.8", linewidth=0.8, zorder=0)
    ax.axvline(0, color="0.8", linewidth=0.8, zorder=0)
    ax.set(xlabel="z", ylim=(-2.2, 3.2))
    ax.legend(loc="upper left")


# ---- dropouts --------------------------------------------------------------------


def draw_dropout(name: str, ax: Axes, p: float = 0.3) -> None:
    """Draw the values of units with noise, above those without."""
    random = np.random.RandomState(0)
    kind = DROPOUTS[name]
    activation = kind.only_activation or "relu"
    activate = ACTIVATIONS[activation].build((120,), 2)
    linear, noise = Linear((), 20, 120), kind(p)
    noise.generator = torch.Generator().manual_seed(0)
    x = torch.as_tensor(random.normal(size=(1, 20)), dtype=torch.float32)
    with torch.no_grad():
        linear.weight.copy_(torch.as_tensor(random.normal(size=(20, 120)) / 20**0.5))
        linear.bias.zero_()
        plain = activate(linear.forward(x)).ravel()
        draw = [noise.hidden(x, linear, lambda z: z, activate) for _ in range(2000)]
        draws = torch.stack(draw)[:, 0]
    shown = torch.argsort(plain)[::3]
    ax.plot(
        np.tile(plain[shown], 40),
        draws[:40, shown].ravel(),
        ".",
        alpha=0.25,
        label="in 40 steps of training",
    )
    order = torch.argsort(plain)
    ax.plot(plain[order], draws.mean(0)[order], color=COLORS[1], label="their mean")
    ax.set(
        xlabel=f"value of a {activation} unit without dropout",
        ylabel=f"with dropout={p}",
    )
    ax.legend(loc="upper left")


# ---- schedules -------------------------------------------------------------------


def draw_schedule(name: str, ax: Axes) -> None:
    """Draw the rate in the epochs of a training."""
    X, y = load_iris(return_X_y=True)
    # a training that stands still ends, but where the rate falls in place of that
    waits = SCHEDULES[name].reduces_on_plateau
    network = MLPClassifier(
        (8,),
        solver="sgd",
        learning_rate=name,
        learning_rate_init=0.1,
        batch_size=15,
        max_iter=100,
        n_iter_no_change=4 if waits else 100,
        tol=2e-3 if waits else 0.0,
        random_state=0,
    )
    rates = network.fit(X, y).learning_rate_curve_
    ax.plot(np.arange(1, len(rates) + 1), rates, drawstyle="steps-mid")
    ax.set(xlabel="epoch", ylabel="learning rate", xlim=(0, 101), ylim=(0, 0.105))


def draw_dropout_schedule(name: str, ax: Axes) -> None:
    """Draw the probability of dropout in the epochs of a training."""
    epochs = np.arange(100)
    factors = [DROPOUT_SCHEDULES[name].factor(epoch / 100) for epoch in epochs]
    ax.plot(epochs + 1, 0.5 * np.array(factors), drawstyle="steps-mid")
    ax.set(xlabel="epoch", ylabel="probability, dropout=0.5", ylim=(0, 0.55))


# ---- solvers ---------------------------------------------------------------------


def ravine(w: torch.Tensor) -> torch.Tensor:
    """Rise thirty times as fast along the second weight as along the first."""
    return w[..., 0] ** 2 / 2 + 15 * w[..., 1] ** 2


def saddle(w: torch.Tensor) -> torch.Tensor:
    """Fall from a saddle at 0 to two minima, at -1.5 and 1.5 of the second weight."""
    a, b = w[..., 0], w[..., 1]
    return a**2 - b**2 + b**4 / 4.5


SURFACES = {  # function, start, minimum, and what is shown of both weights
    "ravine": (ravine, (-3.0, 0.75), (0.0, 0.0), (-3.4, 1.2), (-1.0, 1.0)),
    "saddle": (saddle, (-1.6, 0.02), (0.0, 1.5), (-2.0, 1.2), (-0.8, 2.2)),
}
RATES = np.logspace(-3, 1, 9)
N_STEPS = 40


def path(name: str, function: Callable, start: tuple, rate: float) -> np.ndarray:
    """Return the weights of a solver's steps, from a start on."""
    row = SOLVERS[name]
    if row.full_batch:
        return _path_of_lbfgs(function, start)
    w = torch.tensor(start, requires_grad=True)

    def closure() -> torch.Tensor:
        w.grad = None
        value = function(w)
        value.backward()
        return value

    optimizer = row.optimizer([w], lr=rate, **row.arguments(MLPClassifier()))
    found = [w.detach().clone()]
    for _ in range(N_STEPS):
        optimizer.step(closure)
        found.append(w.detach().clone())
    return torch.stack(found).numpy()


def _path_of_lbfgs(function: Callable, start: tuple) -> np.ndarray:
    def objective(values: np.ndarray) -> tuple[float, np.ndarray]:
        w = torch.tensor(values, requires_grad=True)
        value = function(w)
        value.backward()
        return value.item(), w.grad.numpy()

    found = [np.array(start)]
    minimize_lbfgs(
        objective,
        np.array(start),
        max_iter=N_STEPS,
        max_fun=1000,
        tol=1e-6,
        callback=lambda values: found.append(np.array(values)),
    )
    return np.array(found)


def best_path(name: str, function: Callable, start: tuple) -> tuple[float, np.ndarray]:
    """Return the rate that comes lowest, on average over the steps, and its path."""
    paths = {rate: path(name, function, start, rate) for rate in RATES}
    heights = {
        rate: np.nan_to_num(function(torch.from_numpy(found)).mean().item(), nan=np.inf)
        for rate, found in paths.items()
    }
    rate = min(heights, key=heights.get)
    return rate, paths[rate]


def draw_solver(name: str, axes: np.ndarray) -> None:
    """Draw a solver's path in a ravine and from a saddle."""
    for ax, title in zip(axes, SURFACES, strict=True):
        function, start, minimum, x, y = SURFACES[title]
        a, b = torch.meshgrid(
            torch.linspace(*x, 60), torch.linspace(*y, 60), indexing="xy"
        )
        heights = function(torch.stack([a, b], dim=-1))
        levels = np.quantile(heights, np.linspace(0, 1, 14))
        ax.contourf(a, b, heights, levels, cmap="Greys", alpha=0.35)
        rate, found = best_path(name, function, start)
        ax.plot(*found.T, "o-", markersize=3, linewidth=1.2)
        ax.plot(*start, "s", color=COLORS[1])
        ax.plot(*minimum, "*", color="black", markersize=9, zorder=1)
        text = "" if SOLVERS[name].full_batch else f", rate {rate:.2g}"
        ax.set(title=f"{title}{text}", xlim=x, ylim=y, xticks=[], yticks=[])


# ---- pages -----------------------------------------------------------------------


class Page(NamedTuple):
    """What the page of a parameter shows."""

    title: str
    legend: str
    draw: Callable
    n_axes: int = 1


PAGES = {
    "activation": Page(
        "Activations",
        "A hidden unit's value over its input z, and its slope, which the gradient is"
        " multiplied by on its way down. In bold, the value.",
        draw_activation,
    ),
    "dropout_type": Page(
        "Dropouts",
        "The values of 120 hidden units of one layer for one row: in training, where"
        " noise acts, over those without. The mean is what the layer above sees in the"
        " long run.",
        draw_dropout,
    ),
    "dropout_schedule": Page(
        "Schedules of dropout",
        "The probability over a training of 100 epochs. In bold, the factor on it.",
        draw_dropout_schedule,
    ),
    "solver": Page(
        "Solvers",
        "Forty steps from the square; stars are minima. The ravine rises thirty times"
        " as fast across as along it; the saddle is left only by the slope across it,"
        " which is small at the start. Each solver has the rate, of nine between 0.001"
        " and 10, that is lowest on average over its steps; they suit a surface of two"
        " weights, no network. In bold, the weights w after a step.",
        draw_solver,
        n_axes=2,
    ),
    "learning_rate": Page(
        "Learning-rate schedules",
        "The rate in a training of 100 epochs with sgd, 150 rows in batches of 15, and"
        " learning_rate_init=0.1. In bold, the factor on that.",
        draw_schedule,
    ),
}


def are_new(folder: Path) -> bool:
    """Whether all pictures are there, and no source has changed since."""
    pictures = list(folder.glob("*.svg"))
    if len(pictures) != sum(len(make_options.SECTIONS[name].table) for name in PAGES):
        return False
    scripts = [Path(module) for module in (__file__, gallery_conf.__file__)]
    sources = [*scripts, *Path(sk_deep.__file__).parent.rglob("*.py")]
    changed = max(source.stat().st_mtime for source in sources)
    return changed < min(picture.stat().st_mtime for picture in pictures)


def draw_all() -> None:
    """Write the pictures, as PARAMETER-NAME.svg, unless they are new."""
    folder = FOLDER / "pictures"
    folder.mkdir(parents=True, exist_ok=True)
    if are_new(folder):
        return
    with plt.rc_context(STYLE), warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        for parameter, page in PAGES.items():
            for name in make_options.SECTIONS[parameter].table:
                figure, axes = plt.subplots(ncols=page.n_axes, figsize=SIZE)
                page.draw(name, axes)
                picture = folder / f"{parameter}-{name}.svg"
                figure.savefig(picture, metadata={"Date": None})
                plt.close(figure)


def details(row) -> str:
    """Return what a class tells beyond its summary."""
    if not inspect.isclass(row):
        return ""
    return " ".join(NumpyDocString(inspect.getdoc(row))["Extended Summary"])


def text_of(parameter: str) -> str:
    """Return the text of a parameter's page."""
    page, section = PAGES[parameter], make_options.SECTIONS[parameter]
    lead = f"Values of `{parameter}`. {section.lead()}"
    parts = [f"# {page.title}", lead, page.legend]
    for name, row in section.table.items():
        what, source = make_options.describe(row)
        picture = f"pictures/{parameter}-{name}.svg"
        lines = [f"**{what.rstrip('.')}**", details(row), row.use]
        if make_options.parameters(row):
            lines.append(f"Parameters: {make_options.parameters(row)}.")
        lines.append(f"Source: {source.rstrip('.')}.")
        parts += [f"## {name}", f"![The picture of {name}]({picture})"]
        parts += [line for line in lines if line]
    return "\n\n".join(parts) + "\n"


def write_pages() -> None:
    """Write the pages and their pictures, where they have changed."""
    draw_all()
    for parameter in PAGES:
        path = FOLDER / f"{parameter}.md"
        text = text_of(parameter)
        if not path.exists() or path.read_text() != text:  # else Sphinx reads it again
            path.write_text(text)


if __name__ == "__main__":
    write_pages()
