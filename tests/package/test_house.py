"""The sizes of modules, functions and classes, and the words of messages."""

import ast
import functools
from pathlib import Path

import pytest

import sk_deep

MODULE_LINES = 500
FUNCTION_LINES = 45  # without the docstring
CLASS_LINES = 300  # of classes that others inherit from: BaseMLP ...

# A signature and a docstring of all parameters are long.
FINAL_CLASSES = {"_classifier", "_regressor", "_tabular"}

FOLDER = Path(sk_deep.__file__).parent
SOURCES = {
    ".".join(path.relative_to(FOLDER).with_suffix("").parts): path.read_text("utf-8")
    for path in sorted(FOLDER.rglob("*.py"))
}
parse = functools.cache(ast.parse)


# ---- reading ---------------------------------------------------------------------


def _nodes(tree, kinds, path=()):
    """Yield the dotted names and the nodes of functions or classes, inner ones too."""
    for node in ast.iter_child_nodes(tree):
        name = getattr(node, "name", None)
        inner = (*path, name) if isinstance(name, str) else path
        if isinstance(node, kinds):
            yield ".".join(inner), node
        yield from _nodes(node, kinds, inner)


def _docstring_lines(node):
    if ast.get_docstring(node) is None:
        return set()
    return set(range(node.body[0].lineno, node.body[0].end_lineno + 1))


def _lines(node):
    """Return the lines of a function or class, from `def` or `class` to its end."""
    return set(range(node.lineno, node.end_lineno + 1))


# ---- rules: each yields the places of a module that break it ---------------------


def modules_are_short(module, source):
    n_lines = len(source.splitlines())
    if n_lines > MODULE_LINES and module not in FINAL_CLASSES:
        yield module, n_lines


def functions_are_short(module, source):
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    for name, node in _nodes(parse(source), kinds):
        lines = _lines(node) - _docstring_lines(node)
        if node.name == "__init__":  # whose signature has all parameters
            lines -= set(range(node.lineno, node.body[0].lineno))
        if len(lines) > FUNCTION_LINES:
            yield f"{module}.{name}", len(lines)


def base_classes_are_short(module, source):
    for name, node in _nodes(parse(source), ast.ClassDef):
        n_lines = len(_lines(node))
        if node.name.startswith("Base") and n_lines > CLASS_LINES:
            yield f"{module}.{name}", n_lines


def messages_say_got(module, source):
    for node in ast.walk(parse(source)):
        is_text = isinstance(node, ast.Constant) and isinstance(node.value, str)
        if is_text and "however:" in node.value:
            yield module, node.lineno


RULES = [
    modules_are_short,
    functions_are_short,
    base_classes_are_short,
    messages_say_got,
]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_house(rule):
    faults = [fault for name, source in SOURCES.items() for fault in rule(name, source)]
    assert faults == []


# ---- the rules themselves --------------------------------------------------------

LINES = "    x = 0\n" * 301
VIOLATIONS = [
    (modules_are_short, "\n" * 501),
    (functions_are_short, f"def f():\n{LINES}"),
    (functions_are_short, f"class A:\n def f(self):\n  def g():\n{LINES}"),
    (base_classes_are_short, f"class BaseA:\n{LINES}"),
    (messages_say_got, 'f"X must be Y, however: {X}"'),
]
LEGAL = f'''
def f():
    """However: a docstring.
{LINES}
    """
    return "X must be Y, got 1."
'''


@pytest.mark.parametrize(("rule", "source"), VIOLATIONS)
def test_a_violation_is_seen(rule, source):
    assert list(rule("module", source))


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_what_is_legal_passes(rule):
    assert list(rule("module", LEGAL)) == []
