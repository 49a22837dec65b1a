"""How the time of an epoch grows with rows, features, width and depth.

python benchmarks/bench_scaling.py
python benchmarks/bench_scaling.py --quick --only rows
"""

import functools
from collections.abc import Callable
from dataclasses import dataclass, replace

from _common import Number, draw_growth, exponent, main, take_turns
from _contenders import CONTENDERS, Shape, fits

NAMES = ("sklearn f32", "sk_deep f32")
RACERS = {name: CONTENDERS[name] for name in NAMES}


@dataclass(frozen=True)
class Sweep:
    """What grows, and the shape for each size.

    Of the growth with rows, which is to be linear, the exponent is taken from size
    `linear_from` on.
    """

    name: str
    sizes: tuple[int, ...]
    shape: Callable[[int], Shape]
    fixed: str
    linear_from: int | None = None


def shape_of_rows(n):
    # few rows make short epochs, of which there are more
    return Shape(
        (30, 100, 2), 200, steps_per_epoch=n // 200, epochs=max(2, 3 * 10**5 // n)
    )


SWEEPS = (
    Sweep(
        "rows",
        (10**3, 10**4, 10**5, 10**6),
        shape_of_rows,
        "30-100-2 @ 200",
        linear_from=10**4,
    ),
    Sweep(
        "features",
        (10, 30, 100, 300, 1000),
        lambda n: Shape((n, 100, 2), 200, steps_per_epoch=10, epochs=10),
        "n-100-2 @ 200, 2000 rows",
    ),
    Sweep(
        "width",
        (16, 64, 256, 1024),
        lambda n: Shape((100, n, n, 2), 200, steps_per_epoch=10, epochs=3),
        "100-n-n-2 @ 200, 2000 rows",
    ),
    Sweep(
        "depth",
        (1, 2, 4, 8, 16),
        lambda n: Shape((100, *[100] * n, 2), 200, steps_per_epoch=10, epochs=5),
        "100-100-...-2 @ 200, n hidden layers, 2000 rows",
    ),
)


def grow(sweep, report, quick):
    """Time an epoch for each size of a sweep."""
    n_turns = 1 if quick else 5
    if quick:
        fewer = sweep.sizes[:-1] if sweep.linear_from else sweep.sizes[::2]
        sweep = replace(sweep, sizes=fewer)
    found, milliseconds = {}, {name: [] for name in RACERS}
    for size in sweep.sizes:
        shape = sweep.shape(size)
        found[size] = take_turns(fits(shape, RACERS), n_turns)
        for name in RACERS:
            milliseconds[name].append(1e3 * found[size].median(name) / shape.epochs)
    rows = [
        [f"{size:,}", *map(Number, times), Number(found[size].speed_up(*NAMES))]
        for size, *times in zip(sweep.sizes, *milliseconds.values(), strict=True)
    ]
    if sweep.linear_from:
        rows.append(exponents(sweep, milliseconds))
    report.table(
        f"An epoch, in milliseconds, over {sweep.name}",
        f"{sweep.fixed}. The speed-up is scikit-learn's time divided by ours.",
        [sweep.name, *RACERS, "speed-up"],
        rows,
    )
    report.numbers[sweep.name] = {size: t.seconds for size, t in found.items()}
    report.plot(
        f"Growth with {sweep.name}",
        functools.partial(draw, sweep, milliseconds),
        suffix=f"_{sweep.name}",
    )


def exponents(sweep, milliseconds):
    """Return the table's row of exponents; linear growth is the target of ours."""
    first = sweep.sizes.index(sweep.linear_from)
    theirs, ours = (
        exponent(sweep.sizes[first:], times[first:]) for times in milliseconds.values()
    )
    label = f"exponent from {sweep.linear_from:,}"
    return [label, Number(theirs), Number(ours, low=0.95, high=1.05), ""]


def draw(sweep, milliseconds, axes):
    """Draw the growth of both."""
    (ax,) = axes
    draw_growth(ax, sweep.sizes, milliseconds)
    ax.set(title=sweep.fixed, xlabel=sweep.name, ylabel="milliseconds per epoch")


SECTIONS = {sweep.name: functools.partial(grow, sweep) for sweep in SWEEPS}

if __name__ == "__main__":
    main("scaling", __doc__.splitlines()[0], SECTIONS)
