"""What the benchmarks share: measuring in turns, tables, plots, options, files.

A script calls `main` with a table of its sections: functions that take a `Report`, and
whether to be quick.
"""

import argparse
import contextlib
import datetime
import json
import math
import multiprocessing
import os
import platform
import statistics
import sys
import time
import warnings
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import sklearn
import skorch
import torch
from sklearn.exceptions import ConvergenceWarning
from threadpoolctl import threadpool_limits

import sk_deep

PAUSE = 0.1  # seconds
MB = 1e6


# --------------------------------------------------------------------------------------
# Measuring
# --------------------------------------------------------------------------------------
def stopwatch(call, n_calls=1):
    """Return the seconds of a call, the median of several."""
    seconds = []
    for _ in range(n_calls):
        start = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds)


@dataclass(frozen=True)
class Timings:
    """Seconds of each contender, one for each turn."""

    seconds: dict[str, list[float]]

    def median(self, name):
        """Return the median over the turns."""
        return statistics.median(self.seconds[name])

    def speed_up(self, other, ours):
        """Return how many times as fast as another we are: median of ratios by turn."""
        pairs = zip(self.seconds[other], self.seconds[ours], strict=True)
        return statistics.median(a / b for a, b in pairs)


def take_turns(calls, n_turns, timer=stopwatch):
    """Time calls A B C A B C ..., so that a busy moment touches all.

    The first turn warms up and does not count. Before each call is a pause, since the
    threads of the one before spin for a while.
    """
    seconds = {name: [] for name in calls}
    for turn in range(n_turns + 1):
        for name, call in calls.items():
            time.sleep(PAUSE)
            elapsed = timer(call)
            if turn:
                seconds[name].append(elapsed)
    return Timings(seconds)


def ignore_convergence():
    """Let the warning be that training ended early: the epochs are fixed on purpose."""
    warnings.simplefilter("ignore", ConvergenceWarning)


def in_fresh_process(function, *args):
    """Return what a function of a module returns in a process of its own."""
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, spawn, initializer=ignore_convergence) as pool:
        return pool.submit(function, *args).result()


def peak_memory():
    """Return the peak of this process's resident memory, in bytes."""
    with contextlib.suppress(OSError):
        status = Path("/proc/self/status").read_text()
        return 1024 * int(status.partition("VmHWM:")[2].split()[0])
    import resource  # which Windows lacks

    unit = 1 if sys.platform == "darwin" else 1024
    return unit * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def forget_peak():
    """Let the peak be the present memory, where the system (Linux) can."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def peak_growth(call):
    """Return by how many bytes the peak grows over the memory before a call."""
    forget_peak()
    before = peak_memory()
    call()
    return peak_memory() - before


def exponent(sizes, times):
    """Return b of the least-squares fit of log(time) = a + b log(size)."""
    return float(np.polyfit(np.log(sizes), np.log(times), 1)[0])


# --------------------------------------------------------------------------------------
# Tables
# --------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Number:
    """A measured value and the target it has to meet, ends included."""

    value: float
    low: float = -math.inf
    high: float = math.inf

    @property
    def is_met(self):
        return self.low <= self.value <= self.high

    @property
    def target(self):
        if self.low > -math.inf and self.high < math.inf:
            return f"{self.low:.3g} to {self.high:.3g}"
        if self.low > -math.inf:
            return f">= {self.low:.3g}"
        return f"<= {self.high:.3g}" if self.high < math.inf else ""

    def __str__(self):
        """Return three digits, and the target in brackets; bold if it is missed.

        A count has no decimals.
        """
        size = abs(self.value)
        has_none = size >= 100 or isinstance(self.value, int)
        digits = 0 if has_none else 1 if size >= 10 else 2
        text = f"{self.value:,.{digits}f}"
        if self.target:
            text = f"{text} ({self.target})"
        return text if self.is_met else f"**{text}**"


def markdown(columns, rows):
    """Return a Markdown table; the first column is text, the others are numbers."""
    lines = [columns, ["---"] + ["--:"] * (len(columns) - 1), *rows]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)


# --------------------------------------------------------------------------------------
# The report
# --------------------------------------------------------------------------------------
COLORS = {
    "sklearn": "#d9741a",
    "skorch": "#6b7280",
    "torch": "#2f9461",
    "sk_deep": "#1a62b5",
}
STYLE = {
    "axes.titlesize": 11,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.grid": True,
    "grid.color": "0.9",
}


def color(name):
    """Return the color of a contender, that of its library."""
    return COLORS[name.split()[0]]


def draw_growth(ax, sizes, series):
    """Draw a line for each contender over the sizes, float64 dashed; both axes log."""
    from matplotlib.ticker import EngFormatter, LogLocator, NullLocator

    for name, values in series.items():
        style = "--" if "f64" in name else "-"
        ax.plot(sizes, values, "o" + style, ms=4, color=color(name), label=name)
    ax.set_xscale("log")
    ax.set_yscale("log")
    ax.set_xticks(sizes)
    ax.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_major_formatter(EngFormatter(sep=""))
        axis.set_minor_locator(NullLocator())
    ax.legend(frameon=False)


class Report:
    """Tables, numbers and plots of a script: each is printed, and written to a folder.

    Parameters
    ----------
    name : str
        What the files are called.
    folder : Path
        Where they go.
    environment : dict
        What a reader needs to judge the numbers.
    """

    def __init__(self, name, folder, environment):
        self.name, self.folder = name, folder
        self.numbers = {"environment": environment}
        self.parts = []
        folder.mkdir(parents=True, exist_ok=True)
        self._say(", ".join(f"{key} {value}" for key, value in environment.items()))

    def _say(self, text):
        self.parts.append(text)
        print(text, end="\n\n", flush=True)

    def table(self, title, note, columns, rows):
        """Add a table below its title and a note."""
        self._say("\n\n".join([f"### {title}", note, markdown(columns, rows)]))

    def plot(self, title, draw, n_panels=1, suffix=""):
        """Save the figure that ``draw(axes)`` makes; say so where matplotlib lacks."""
        try:
            import matplotlib as mpl
            from matplotlib.figure import Figure
        except ModuleNotFoundError:
            print("No plot: matplotlib is missing, pip install 'sk_deep[plot]'.\n")
            return
        n_columns = min(n_panels, 3)
        n_rows = math.ceil(n_panels / n_columns)
        with mpl.rc_context(STYLE):
            size = (2 + 3.4 * n_columns, 0.6 + 3.4 * n_rows)
            fig = Figure(size, layout="constrained")
            grid = fig.subplots(n_rows, n_columns, sharey="row", squeeze=False).flat
            for ax in grid[n_panels:]:
                ax.remove()
            draw(grid[:n_panels])
            fig.suptitle(title, fontweight="bold")
            fig.savefig(self.folder / f"{self.name}{suffix}.png", dpi=150)

    def write(self):
        """Write the tables and the numbers; the plots are there already."""
        path = self.folder / self.name
        path.with_suffix(".md").write_text("\n\n".join(self.parts) + "\n")
        path.with_suffix(".json").write_text(json.dumps(self.numbers, indent=1))
        print(f"Written to {path}.md, {path}.json and {path}*.png")


def environment(n_threads):
    """Return what a reader needs to judge the numbers."""
    return {
        "date": datetime.date.today().isoformat(),
        "machine": platform.machine(),
        "cpu": torch.backends.cpu.get_cpu_capability(),
        "cores": os.cpu_count(),
        "threads": n_threads,
        "python": platform.python_version(),
        "sk_deep": sk_deep.__version__,
        "scikit-learn": sklearn.__version__,
        "skorch": skorch.__version__,
        "torch": torch.__version__,
        "numpy": np.__version__,
    }


# --------------------------------------------------------------------------------------
# The command line
# --------------------------------------------------------------------------------------
def build_parser(description, sections):
    """Return the parser of the options that the scripts share."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--quick", action="store_true", help="do less of everything")
    parser.add_argument(
        "--threads",
        type=int,
        default=torch.get_num_threads(),
        help="threads of every contender (default: torch's own, here %(default)s)",
    )
    parser.add_argument(
        "--only",
        nargs="+",
        choices=sections,
        default=list(sections),
        help="sections to run; the files then have these alone",
    )
    parser.add_argument(
        "--out",
        metavar="FOLDER",
        type=Path,
        default=Path("build/bench"),
        help="where the tables, numbers and plots go (default: build/bench)",
    )
    return parser


@contextlib.contextmanager
def equal_terms(n_threads):
    """Hold the number of threads, and let training end early without a warning."""
    torch.set_num_threads(n_threads)
    torch.manual_seed(0)  # plain torch and skorch draw from the global generator
    with threadpool_limits(n_threads), warnings.catch_warnings():
        ignore_convergence()
        yield


def main(name, description, sections, argv=None):
    """Run a script: its sections in order, all on equal numbers of threads."""
    args = build_parser(description, sections).parse_args(argv)
    report = Report(name, args.out, environment(args.threads))
    with equal_terms(args.threads):
        for section in args.only:
            sections[section](report, args.quick)
    report.write()
