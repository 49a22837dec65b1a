"""No module compares with the name of an option but that of the option's table."""

import ast
import importlib
from pathlib import Path

import pytest

import sk_deep

# module -> its tables of options, each with a row per name
TABLES = {
    "activations": ["ACTIVATIONS"],
    "augmentation": ["AUGMENTATIONS"],
    "dropouts": ["DROPOUTS", "DROPOUT_SCHEDULES"],
    "encodings": ["MISSING", "SCALINGS", "NUMERICAL_EMBEDDINGS"],
    "initializers": ["INITIALIZERS"],
    "losses": ["LOSSES", "INVERSE_LINKS"],
    "network": ["BLOCKS"],
    "normalizations": ["NORMALIZATIONS"],
    "schedules": ["SCHEDULES"],
    "solvers": ["SOLVERS"],
}
# option -> the modules of its tables
HOMES = {}
for module, tables in TABLES.items():
    for table in tables:
        for name in getattr(importlib.import_module(f"sk_deep.{module}"), table):
            HOMES.setdefault(name, set()).add(module)
del HOMES["auto"]  # a value of many parameters, and not an initializer there
FOLDER = Path(sk_deep.__file__).parent
SOURCES = {
    ".".join(path.relative_to(FOLDER).with_suffix("").parts): path.read_text("utf-8")
    for path in sorted(FOLDER.rglob("*.py"))
}


def _compared(source):
    """Yield the strings that a source compares values with, or matches them to."""
    for node in ast.walk(ast.parse(source)):
        parts = []
        if isinstance(node, ast.Compare):
            parts = [node.left, *node.comparators]
        elif isinstance(node, ast.MatchValue):
            parts = [node.value]
        for part in parts:
            is_group = isinstance(part, ast.Tuple | ast.List | ast.Set)
            for leaf in part.elts if is_group else [part]:
                if isinstance(leaf, ast.Constant) and isinstance(leaf.value, str):
                    yield leaf.value


def _faults(module, source):
    room = module.split(".")[0]
    return sorted(
        name for name in _compared(source) if room not in HOMES.get(name, {room})
    )


def test_no_option_is_named_outside_its_table():
    faults = {module: _faults(module, source) for module, source in SOURCES.items()}
    assert {module: names for module, names in faults.items() if names} == {}


@pytest.mark.parametrize(
    "source",
    [
        'name == "maxout"',
        '"batch" != name',
        'name in ("relu", "gelu")',
        'match name:\n    case "softmax":\n        pass',
    ],
)
def test_a_fault_is_seen(source):
    assert _faults("_engine.net", source)
    homes = set.intersection(*(HOMES[name] for name in _compared(source)))
    assert all(_faults(module, source) == [] for module in homes)


def test_names_of_no_option_are_legal():
    assert (
        _faults("_engine.net", 'kind == "binary" and text in ("auto", "a lot")') == []
    )
