"""Who imports whom, and which names no module may use, read from the sources."""

import ast
from pathlib import Path

import pytest

import sk_deep

# From the bottom to the top. A module imports from lower layers only, never from its
# own, so that there can be no cycle.
LAYERS = [
    {
        "exceptions",
        "_average",
        "_compat",
        "_files",
        "_frames",
        "_team",
        "_tensors",
        "_threads",
        "_version",
    },
    {
        "_trees",
        "_embeddings",
        "_params",
        "_sparse",
        "activations",
        "initializers",
        "losses",
        "schedules",
    },
    {"_inputs", "_paces", "augmentation", "dropouts", "normalizations", "solvers"},
    {"_batches", "_columns", "network"},
    {"_graphs"},
    {"_backprop", "_penalty", "_steps", "callbacks"},
    {"_net"},
    {"_options", "_parameters"},
    {"_state"},
    {"_full_batch", "_prediction", "_units", "_validation", "_watched"},
    {"_constant"},
    {"_base", "plots"},
    {"_classifier", "_members", "_regressor"},
    {"_tabular"},
    {"export", "persistence"},
    {"_stacks"},
    {"_tasks"},
    {"_executor"},
    {"search"},
    {"recipe"},
    {"__init__"},
]
LEVELS = {name: level for level, names in enumerate(LAYERS) for name in names}

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


def imports_from_lower_layers(module, tree):
    top = module.split(".")[0]
    for _, name in _imports(tree):
        package, *parts = name.split(".")
        if package != "sk_deep":
            continue
        if not parts or parts[0] not in LEVELS:
            yield f"{name}: import from the module, not through the package"
        elif parts[0] == top:  # a folder's own modules; its face imports them
            if len(parts) < 2 or parts[1] in ("__init__", module.split(".")[-1]):
                yield f"{name}: a folder's module imports its face, or itself"
        elif LEVELS[parts[0]] >= LEVELS[top]:
            yield f"{name}: not in a lower layer"


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
    imports_from_lower_layers,
    imports_no_private_name_of_a_neighbour,
    imports_absolutely_and_by_name,
    leaves_private_names_to_compat,
    uses_no_forbidden_name,
    has_a_docstring,
]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
@pytest.mark.parametrize("module", MODULES)
def test_module(module, rule):
    tree = ast.parse(MODULES[module].read_text(encoding="utf-8"))
    assert list(rule(module, tree)) == []


def test_every_module_has_one_layer():
    assert {name.split(".")[0] for name in MODULES} == set(LEVELS)
    assert len(LEVELS) == sum(map(len, LAYERS))


# ---- the rules themselves --------------------------------------------------------

VIOLATIONS = [
    # rule, module, source
    (imports_from_lower_layers, "losses", "from sk_deep.solvers import SOLVERS"),
    (imports_from_lower_layers, "network", "from sk_deep._net import Net"),
    (imports_from_lower_layers, "_net", "import sk_deep._base"),
    (imports_from_lower_layers, "_net", "from sk_deep import _options"),
    (imports_from_lower_layers, "_net", "def f():\n    from sk_deep._base import B"),
    (imports_from_lower_layers, "_base", "from sk_deep import MLPClassifier"),
    (imports_from_lower_layers, "_base", "import sk_deep"),
    (imports_from_lower_layers, "solvers._vsgd", "import sk_deep.solvers"),
    (imports_from_lower_layers, "solvers._vsgd", "from sk_deep.network import MLP"),
    (imports_no_private_name_of_a_neighbour, "_net", "from sk_deep.solvers import _x"),
    (imports_absolutely_and_by_name, "_net", "from . import network"),
    (imports_absolutely_and_by_name, "_net", "from .network import MLP"),
    (imports_absolutely_and_by_name, "_net", "from torch import *"),
    (leaves_private_names_to_compat, "_net", "from torch import _foreach_copy_"),
    (leaves_private_names_to_compat, "_net", "import sklearn.utils._param_validation"),
    (leaves_private_names_to_compat, "_net", "from skorch._x import y"),
    (leaves_private_names_to_compat, "_net", "import torch\ntorch._C._x()"),
    (uses_no_forbidden_name, "_net", "import torch\ntorch.manual_seed(0)"),
    (uses_no_forbidden_name, "_net", "import torch as t\nt.random.fork_rng()"),
    (uses_no_forbidden_name, "_net", "import torch.nn\ntorch.cuda.manual_seed_all(0)"),
    (uses_no_forbidden_name, "_net", "from torch import random\nrandom.fork_rng()"),
    (uses_no_forbidden_name, "_net", "from torch import load"),
    (uses_no_forbidden_name, "_net", "import torch\nf = torch.save"),
    (uses_no_forbidden_name, "_net", "import numpy as np\nnp.random.seed(0)"),
    (uses_no_forbidden_name, "_net", "import random\nrandom.seed(0)"),
    (has_a_docstring, "_net", "import torch"),
]
LEGAL = '''
"""A docstring."""

import numpy as np
import torch
import torch.nn.functional
from torch import nn

from sk_deep import _threads
from sk_deep.network import MLP

np.load, torch.__version__, torch.get_rng_state, nn.Module, _threads.threads_for
generator = torch.Generator()
generator.manual_seed(0)
generator._private = MLP._private
'''


@pytest.mark.parametrize(("rule", "module", "source"), VIOLATIONS)
def test_a_violation_is_seen(rule, module, source):
    assert list(rule(module, ast.parse(source)))


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_what_is_legal_passes(rule):
    assert list(rule("_net", ast.parse(LEGAL))) == []


def test_every_rule_has_a_violation():
    assert {rule for rule, _, _ in VIOLATIONS} == set(RULES)
