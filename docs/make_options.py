"""Write docs/options.md, the page of all named options, from the tables.

python docs/make_options.py
"""

import inspect
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

from make_recipe import table
from numpydoc.docscrape import NumpyDocString

from sk_deep import MLPClassifier
from sk_deep.activations import ACTIVATIONS
from sk_deep.augmentation import AUGMENTATIONS
from sk_deep.dropouts import DROPOUT_SCHEDULES, DROPOUTS
from sk_deep.encodings import MISSING, NUMERICAL_EMBEDDINGS, SCALINGS
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
:glob:

options/*
```
"""


class Section(NamedTuple):
    """What a constructor parameter takes by name: the rows of a table."""

    params: str | None  # the dict of the rows' own parameters
    text: str
    table: Mapping

    def lead(self) -> str:
        """Return what is said before the rows."""
        to_set = f" Parameters go in `{self.params}`." if self.params else ""
        return self.text + to_set


SECTIONS = {
    "activation": Section(
        None,
        "`maxout_pieces` is for maxout. Also any `torch.nn.Module` class that keeps the"
        " shape, and a list with a value per hidden layer.",
        ACTIVATIONS,
    ),
    "dropout_type": Section(
        "dropout_params",
        "The kind of the dropout whose probability is `dropout`, a float or one per"
        " hidden layer, and `input_dropout`.",
        DROPOUTS,
    ),
    "dropout_schedule": Section(
        None,
        "The factor on the probabilities of dropout in an epoch.",
        DROPOUT_SCHEDULES,
    ),
    "normalization": Section(
        None,
        "Also None. It acts before the activation.",
        NORMALIZATIONS,
    ),
    "weight_init": Section(None, "Biases start at zero, but for auto.", INITIALIZERS),
    "loss": Section(
        "loss_params",
        "Also a function of the raw outputs and the targets that gives a loss per row.",
        LOSSES,
    ),
    "solver": Section(
        "solver_params",
        "Also any `torch.optim.Optimizer` class; the dict takes whatever else the"
        " optimizer takes.",
        SOLVERS,
    ),
    "learning_rate": Section(
        "schedule_params",
        "The factor on `learning_rate_init`. Also a function of the part of the"
        f" training that is done. All take {', '.join(f'`{name}`' for name in WARMUP)},"
        " the part in which the rate grows from zero.",
        SCHEDULES,
    ),
    "missing": Section(None, "Treatment of the missing numbers of a table.", MISSING),
    "numerical_scaling": Section(
        None,
        "Also None. What is done to the numbers of a table.",
        SCALINGS,
    ),
    "numerical_embedding": Section(
        None,
        "Also None. What stands beside each number of a table.",
        NUMERICAL_EMBEDDINGS,
    ),
    "augmentation": Section(
        "augmentation_params",
        "Also None, and a function of X, y and a `torch.Generator` that gives new X and"
        " y.",
        AUGMENTATIONS,
    ),
}


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


def text_of(parameter: str) -> str:
    """Return a section: a heading, a line, the table and the sources."""
    section = SECTIONS[parameter]
    titles, rows, sources = ["name", "what it is", "when to use it"], [], []
    for name, row in section.table.items():
        what, source = describe(row)
        what += f" ({kinds(row)})" if kinds(row) else ""
        rows.append([f"`{name}`", what.rstrip("."), row.use])
        sources.append(f"- `{name}`: {source.rstrip('.')}.")
    settable = [parameters(row) for row in section.table.values()]
    if any(settable):
        titles.append("parameters")
        rows = [[*row, cell] for row, cell in zip(rows, settable, strict=True)]
    parts = [f"## {parameter}", section.lead(), table(titles, rows)]
    return "\n\n".join([*parts, "Sources:", "\n".join(sources)])


def page() -> str:
    """Return the page."""
    return "\n\n".join([HEAD.rstrip(), *map(text_of, SECTIONS), FOOT])


if __name__ == "__main__":
    PAGE.write_text(page())
    sys.stdout.write(f"wrote {PAGE.name}\n")
