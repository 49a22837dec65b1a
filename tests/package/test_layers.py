"""Who imports whom, and which names no module may use, read from the sources."""

import ast
import graphlib
from pathlib import Path

import pytest

import sk_deep

# The floors of the house from the bottom up; a room is a folder, or files of one
# concern. A module imports from its own room and from lower floors, never in a circle.
FLOORS = [
    [
        *("_compat", "_files", "_onnx", "_param_dicts"),
        *("_typing", "_version", "exceptions"),
    ],
    [
        *("activations", "augmentation", "callbacks", "dropouts", "encodings"),
        *("initializers", "losses", "normalizations", "schedules", "solvers"),
    ],
    ["_data"],
    ["network"],
    ["_engine"],
    ["_estimator"],
    ["_classifier", "_regressor", "_tabular"],
    ["_stacks", "export", "persistence", "plots"],
    ["search"],
    ["recipe"],
    ["__init__"],
]
FLOOR_OF = {name: i for i, names in enumerate(FLOORS) for name in names}
# floors that are one room; on the others each folder is a room of its own
ONE_ROOM = {0, 1, 6}

# Global random states, and files that run code: root of a package -> names in it.
FORBIDDEN = {
    "numpy": {"seed", "set_state"},
    "random": {"seed", "setstate"},
    "torch": {
        *("fork_rng", "manual_seed", "manual_seed_all", "seed", "set_rng_state"),
        *("load", "save"),
    },
}
PRIVATE_IN = {"skorch", "sklearn", "torch"}  # their private names: in _compat only

FOLDER = Path(sk_deep.__file__).parent
MODULES = {
    ".".join(path.relative_to(FOLDER).with_suffix("").parts): path
    for path in sorted(FOLDER.rglob("*.py"))
}
TREES = {
    name: ast.parse(path.read_text(encoding="utf-8")) for name, path in MODULES.items()
}


# ---- reading ---------------------------------------------------------------------


def _imports(tree):
    """Yield the imports as pairs of the local name and the full one."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.asname or alias.name.split(".")[0], alias.name
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:
                full = f"{'.' * node.level}{node.module or ''}.{alias.name}"
                yield alias.asname or alias.name, full


def _uses(tree):
    """Yield the full names that are imported, or reached from an import by dots."""
    imported = dict(_imports(tree))
    yield from imported.values()
    for node in ast.walk(tree):
        parts = []
        while isinstance(node, ast.Attribute):
            parts.insert(0, node.attr)
            node = node.value
        if parts and isinstance(node, ast.Name) and node.id in imported:
            is_root = imported[node.id].startswith(f"{node.id}.")  # import a.b
            yield ".".join([node.id if is_root else imported[node.id], *parts])


def _is_private(part):
    return part.startswith("_") and not part.endswith("__")


# ---- rules: each yields the faults of a module -----------------------------------


def imports_from_lower_floors(module, tree):
    top = module.split(".")[0]
    for _, name in _imports(tree):
        package, *parts = name.split(".")
        if package != "sk_deep":
            continue
        if not parts or parts[0] not in FLOOR_OF:
            yield f"{name}: import from the module, not through the package"
        elif parts[0] == top:  # a folder's own modules; its face imports them
            if len(parts) < 2 or parts[1] in ("__init__", module.split(".")[-1]):
                yield f"{name}: a folder's module imports its face, or itself"
        elif not _is_below(parts[0], top):
            yield f"{name}: not on a lower floor"


def _is_below(other, own):
    floor = FLOOR_OF[own]
    is_room = FLOOR_OF[other] == floor and floor in ONE_ROOM
    return FLOOR_OF[other] < floor or is_room


def imports_no_private_name_of_a_neighbour(module, tree):
    for _, name in _imports(tree):
        package, *parts = name.split(".")
        is_neighbour = parts and parts[0] != module.split(".")[0]
        hidden = parts[1:] if is_neighbour else parts[-1:]
        if package == "sk_deep" and any(_is_private(part) for part in hidden):
            yield name


def imports_absolutely_and_by_name(module, tree):
    for _, name in _imports(tree):
        if name.startswith(".") or name.endswith("*"):
            yield name


def leaves_private_names_to_compat(module, tree):
    for name in _uses(tree):
        package, *parts = name.split(".")
        if package in PRIVATE_IN and any(_is_private(part) for part in parts):
            if module != "_compat":
                yield name


def uses_no_forbidden_name(module, tree):
    for name in _uses(tree):
        package, *parts = name.split(".")
        if parts and parts[-1] in FORBIDDEN.get(package, ()):
            yield name


def has_a_docstring(module, tree):
    if not ast.get_docstring(tree):
        yield "no docstring"


RULES = [
    imports_from_lower_floors,
    imports_no_private_name_of_a_neighbour,
    imports_absolutely_and_by_name,
    leaves_private_names_to_compat,
    uses_no_forbidden_name,
    has_a_docstring,
]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_modules(rule):
    faults = {module: list(rule(module, tree)) for module, tree in TREES.items()}
    assert {module: own for module, own in faults.items() if own} == {}


def test_every_module_has_one_floor():
    assert {name.split(".")[0] for name in MODULES} == set(FLOOR_OF)
    assert len(FLOOR_OF) == sum(map(len, FLOORS))
    assert len(FLOORS) <= 12


def _modules_imported(module, tree, modules):
    """Yield the modules that a module imports, by the names of their files."""
    for _, name in _imports(tree):
        package, *parts = name.split(".")
        if package == "sk_deep":
            paths = [".".join(parts[:n]) for n in range(len(parts), 0, -1)]
            names = [(path, f"{path}.__init__") for path in paths]
            found = [one for pair in names for one in pair if one in modules]
            yield from found[:1]


def _circle(trees):
    """Find modules that import one another in a circle; an empty list if none do."""
    graph = {name: set(_modules_imported(name, t, trees)) for name, t in trees.items()}
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as error:
        return error.args[1]
    return []


def test_there_is_no_circle():
    assert _circle(TREES) == []


def test_a_circle_is_seen():
    sources = {
        "_data.a": "from sk_deep._data import b",
        "_data.b": "from sk_deep._data.c import name",
        "_data.c": "def f():\n    from sk_deep._data.a import name",
    }
    trees = {name: ast.parse(source) for name, source in sources.items()}
    assert len(_circle(trees)) == 4
    del trees["_data.c"]
    assert _circle(trees) == []


# ---- the rules themselves --------------------------------------------------------

VIOLATIONS = [
    # rule, module, source
    (imports_from_lower_floors, "losses", "from sk_deep._data import tensors"),
    (imports_from_lower_floors, "network._mlp", "from sk_deep._engine.net import Net"),
    (imports_from_lower_floors, "persistence", "from sk_deep.plots import x"),
    (imports_from_lower_floors, "_engine.net", "import sk_deep._estimator.base"),
    (imports_from_lower_floors, "_engine.net", "from sk_deep._estimator import checks"),
    (
        imports_from_lower_floors,
        "_engine.net",
        "def f():\n    from sk_deep._estimator.base import B",
    ),
    (imports_from_lower_floors, "_estimator.base", "from sk_deep import MLPClassifier"),
    (imports_from_lower_floors, "_estimator.base", "import sk_deep"),
    (imports_from_lower_floors, "solvers._vsgd", "import sk_deep.solvers"),
    (imports_from_lower_floors, "solvers._vsgd", "from sk_deep.network import MLP"),
    (
        imports_no_private_name_of_a_neighbour,
        "_engine.net",
        "from sk_deep.solvers import _x",
    ),
    (imports_absolutely_and_by_name, "_engine.net", "from . import network"),
    (imports_absolutely_and_by_name, "_engine.net", "from .network import MLP"),
    (imports_absolutely_and_by_name, "_engine.net", "from torch import *"),
    (leaves_private_names_to_compat, "_engine.net", "from torch import _foreach_copy_"),
    (
        leaves_private_names_to_compat,
        "_engine.net",
        "import sklearn.utils._param_validation",
    ),
    (leaves_private_names_to_compat, "_engine.net", "from skorch._x import y"),
    (leaves_private_names_to_compat, "_engine.net", "import torch\ntorch._C._x()"),
    (uses_no_forbidden_name, "_engine.net", "import torch\ntorch.manual_seed(0)"),
    (uses_no_forbidden_name, "_engine.net", "import torch as t\nt.random.fork_rng()"),
    (
        uses_no_forbidden_name,
        "_engine.net",
        "import torch.nn\ntorch.cuda.manual_seed_all(0)",
    ),
    (
        uses_no_forbidden_name,
        "_engine.net",
        "from torch import random\nrandom.fork_rng()",
    ),
    (uses_no_forbidden_name, "_engine.net", "from torch import load"),
    (uses_no_forbidden_name, "_engine.net", "import torch\nf = torch.save"),
    (uses_no_forbidden_name, "_engine.net", "import numpy as np\nnp.random.seed(0)"),
    (uses_no_forbidden_name, "_engine.net", "import random\nrandom.seed(0)"),
    (has_a_docstring, "_engine.net", "import torch"),
]
LEGAL = '''
"""A docstring."""

import numpy as np
import torch
import torch.nn.functional
from torch import nn

from sk_deep._engine import threads
from sk_deep.network import MLP

np.load, torch.__version__, torch.get_rng_state, nn.Module, threads.threads_for
generator = torch.Generator()
generator.manual_seed(0)
generator._private = MLP._private
'''


@pytest.mark.parametrize(("rule", "module", "source"), VIOLATIONS)
def test_a_violation_is_seen(rule, module, source):
    assert list(rule(module, ast.parse(source)))


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_what_is_legal_passes(rule):
    assert list(rule("_engine.net", ast.parse(LEGAL))) == []


def test_every_rule_has_a_violation():
    assert {rule for rule, _, _ in VIOLATIONS} == set(RULES)
