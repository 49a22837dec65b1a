"""Write docs/options.md, the page of all named options, from the tables.

python docs/make_options.py
"""

import inspect
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from numpydoc.docscrape import NumpyDocString

from sk_deep import MLPClassifier
from sk_deep._columns import NUMERICAL_EMBEDDINGS, SCALINGS
from sk_deep.activations import ACTIVATIONS
from sk_deep.augmentation import AUGMENTATIONS
from sk_deep.dropouts import DROPOUT_SCHEDULES, DROPOUTS
from sk_deep.initializers import INITIALIZERS
from sk_deep.losses import LOSSES
from sk_deep.normalizations import NORMALIZATIONS
from sk_deep.schedules import SCHEDULES, WARMUP
from sk_deep.solvers import SOLVERS, Solver

PAGE = Path(__file__).with_name("options.md")
HEAD = """# Options by name

Each name is a row of a table in the sources, and a value of the constructor parameter
that heads its section. What stands under "parameters" is set by the dict named in the
section's first line. This page is written by `python docs/make_options.py`. The
site shows in pictures what activations, dropouts, solvers and schedules do.
"""
FOOT = """```{toctree}
:hidden:

options/activation
options/dropout_type
options/dropout_schedule
options/solver
options/learning_rate
```
"""
SECTIONS = [
    # parameter, its dict of parameters, what else it takes, table
    (
        "activation",
        None,
        "`maxout_pieces` is for maxout. Also any `torch.nn.Module` class that keeps the"
        " shape, and a list with a value per hidden layer.",
        ACTIVATIONS,
    ),
    (
        "dropout_type",
        "dropout_params",
        "The kind of the dropout whose probability is `dropout`, a float or one per"
        " hidden layer, and `input_dropout`.",
        DROPOUTS,
    ),
    (
        "dropout_schedule",
        None,
        "The factor on the probabilities of dropout in an epoch.",
        DROPOUT_SCHEDULES,
    ),
    (
        "normalization",
        None,
        "Also None. It acts before the activation.",
        NORMALIZATIONS,
    ),
    ("weight_init", None, "Biases start at zero, but for auto.", INITIALIZERS),
    (
        "loss",
        "loss_params",
        "Also a function of the raw outputs and the targets that gives a loss per row.",
        LOSSES,
    ),
    (
        "solver",
        "solver_params",
        "Also any `torch.optim.Optimizer` class; the dict takes whatever else the"
        " optimizer takes.",
        SOLVERS,
    ),
    (
        "learning_rate",
        "schedule_params",
        "The factor on `learning_rate_init`. Also a function of the part of the"
        f" training that is done. All take {', '.join(f'`{name}`' for name in WARMUP)},"
        " the part in which the rate grows from zero.",
        SCHEDULES,
    ),
    (
        "numerical_scaling",
        None,
        "Also None. What is done to the numbers of a table.",
        SCALINGS,
    ),
    (
        "numerical_embedding",
        None,
        "Also None. What stands beside each number of a table.",
        NUMERICAL_EMBEDDINGS,
    ),
    (
        "augmentation",
        "augmentation_params",
        "Also None, and a function of X, y and a `torch.Generator` that gives new X and"
        " y.",
        AUGMENTATIONS,
    ),
]


def describe(row) -> tuple[str, str]:
    """Return what a row is and where it is from, of a dataclass or of a class."""
    if not inspect.isclass(row):
        return row.summary, row.source
    doc = NumpyDocString(inspect.getdoc(row))
    return " ".join(doc["Summary"]), " ".join(filter(None, doc["References"]))


def functions_of(row) -> list[Callable]:
    """Return the functions, or the class, that take a row's parameters."""
    if inspect.isclass(row):
        return [row]
    terms = getattr(row, "terms", {}).values()
    parts = [*(term.per_sample for term in terms), *vars(row).values()]
    return [part for part in parts if isinstance(part, Callable)]


def parameters(row) -> str:
    """Return the parameters that a row takes in its dict, with their defaults."""
    if isinstance(row, Solver):
        names = sorted(row.legal_params(MLPClassifier()))
    else:
        names = list(getattr(row, "constraints", {}))
    found = {}
    for function in functions_of(row) if names else []:
        for name, parameter in inspect.signature(function).parameters.items():
            found.setdefault(name, parameter.default)
    if not set(names) <= found.keys():  # those of scipy have no signature
        return ", ".join(f"`{name}`" for name in names)
    return ", ".join(
        f"`{name}`"
        if found[name] is inspect.Parameter.empty
        else f"`{name}={found[name]!r}`"
        for name in names
    )


def kinds(row) -> str:
    """Return the targets that a loss is for."""
    words = {"real": "regressor", "multiclass": "classifier", "binary": "classifier"}
    return ", ".join(dict.fromkeys(words[kind] for kind in getattr(row, "terms", {})))


def section(parameter: str, params: str | None, text: str, table: Mapping) -> str:
    """Return a section: a heading, a line and the table."""
    lines = [f"## {parameter}", "", text]
    if params:
        lines[-1] += f" Parameters go in `{params}`."
    named = any(parameters(row) for row in table.values())
    titles = ["name", "what it is", "when to use it", *["parameters"] * named]
    lines += ["", f"| {' | '.join(titles)} |", "|---" * len(titles) + "|"]
    sources = []
    for name, row in table.items():
        what, source = describe(row)
        what += f" ({kinds(row)})" if kinds(row) else ""
        cells = [f"`{name}`", what.rstrip("."), row.use, *[parameters(row)] * named]
        lines.append(
            "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
        )
        sources.append(f"- `{name}`: {source.rstrip('.')}.")
    return "\n".join([*lines, "", "Sources:", "", *sources])


def page() -> str:
    """Return the page."""
    sections = [section(*parts) for parts in SECTIONS]
    return "\n\n".join([HEAD.rstrip(), *sections, FOOT])


if __name__ == "__main__":
    PAGE.write_text(page())
    sys.stdout.write(f"wrote {PAGE.name}\n")
