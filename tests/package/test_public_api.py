"""The public surface: names, signatures, docstrings, pages, version, pins."""

import ast
import dataclasses
import importlib
import inspect
import itertools
import pkgutil
import re
import runpy
import tomllib
import types
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from numpydoc.docscrape import ClassDoc
from numpydoc.validate import validate
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version
from sklearn import model_selection, neural_network
from sklearn.datasets import load_iris
from smoke import BLOCK

import sk_deep
from sk_deep.recipe import MOVES, RULES

ROOT = Path(__file__).parents[2]
NETWORKS = ["MLPClassifier", "MLPRegressor"]
SEARCHES = {  # and whose they are
    "BatchedGridSearchCV": model_selection.GridSearchCV,
    "BatchedRandomizedSearchCV": model_selection.RandomizedSearchCV,
}
TABULAR = ["TabularMLPClassifier", "TabularMLPRegressor"]
ESTIMATORS = [*NETWORKS, *TABULAR, *SEARCHES, "RecipeSearchCV"]
FILES = ["load", "save", "to_onnx", "trusted_types"]
PUBLIC = [*sorted([*ESTIMATORS, "Diagnosis"]), *sorted(["diagnose", *FILES])]
PUBLIC_MODULES = {
    "activations",
    "augmentation",
    "callbacks",
    "dropouts",
    "encodings",
    "exceptions",
    "export",
    "initializers",
    "losses",
    "network",
    "normalizations",
    "persistence",
    "plots",
    "recipe",
    "schedules",
    "search",
    "solvers",
}
MODULES = {
    module.name: importlib.import_module(module.name)
    for module in pkgutil.walk_packages(sk_deep.__path__, "sk_deep.")
}


def _signature(name, package=sk_deep):
    return list(inspect.signature(getattr(package, name)).parameters.values())


# ---- names -----------------------------------------------------------------------


def test_exported_names():
    assert sk_deep.__all__ == PUBLIC
    present = {
        name
        for name, value in vars(sk_deep).items()
        if not name.startswith("_") and value not in MODULES.values()
    }
    assert present == set(PUBLIC)


def test_public_modules():
    names = {name.removeprefix("sk_deep.") for name in MODULES}
    public = {name for name in names if not re.search(r"\b_", name)}
    assert public == PUBLIC_MODULES


def test_version():
    assert str(Version(sk_deep.__version__)) == sk_deep.__version__
    assert f"\nversion: {sk_deep.__version__}\n" in (ROOT / "CITATION.cff").read_text()


# ---- constructors ----------------------------------------------------------------


def _without_type(parameter):
    """Take the name, the default and the kind: scikit-learn has no annotations."""
    return parameter.replace(annotation=parameter.empty)


@pytest.mark.parametrize("name", NETWORKS)
def test_scikit_learns_parameters_come_first(name):
    ours, theirs = _signature(name), _signature(name, neural_network)
    pairs = zip(ours, theirs, strict=False)  # ours has further ones
    assert [_without_type(a) for a, _ in pairs] == theirs
    further = ours[len(theirs) :]
    assert further
    assert all(parameter.kind is parameter.KEYWORD_ONLY for parameter in further)


@pytest.mark.parametrize("name", SEARCHES)
def test_parameters_of_searches_are_scikit_learns(name):
    ours = {parameter.name: parameter for parameter in _signature(name)}
    theirs = inspect.signature(SEARCHES[name]).parameters
    assert ours.keys() ^ theirs.keys() == {"pre_dispatch", "batch_members"}
    for key in ours.keys() & theirs.keys():
        # nan is not equal to nan
        assert str(_without_type(ours[key])) == str(theirs[key])


@pytest.mark.parametrize("name", ESTIMATORS)
def test_all_parameters_have_constraints(name):
    constraints = set(getattr(sk_deep, name)._parameter_constraints)
    names = {parameter.name for parameter in _signature(name)}
    assert constraints - {"pre_dispatch"} == names  # of scikit-learn's searches


@pytest.mark.parametrize("name", ESTIMATORS)
def test_all_parameters_are_documented(name):
    documented = {
        entry.name: _default(entry.type)
        for entry in ClassDoc(getattr(sk_deep, name))["Parameters"]
    }
    actual = {
        p.name: None if p.default is p.empty else repr(p.default)
        for p in _signature(name)
    }
    assert list(documented.items()) == list(actual.items())


def _default(text):
    """Take the default value from the type of a documented parameter."""
    found = re.search(r"default=(.+)$", text)
    if found is None or found[1] == "nan":
        return found and found[1]
    return repr(ast.literal_eval(found[1]))


@pytest.mark.parametrize("name", [*SEARCHES, "RecipeSearchCV"])
def test_all_fitted_attributes_of_searches_are_documented(name):
    kind = getattr(sk_deep, name)
    own = {"param_grid": {"alpha": [0.1]}, "n_iter": 1, "budget": 2}
    own["param_distributions"] = own["param_grid"]
    own = {key: own[key] for key in own.keys() & inspect.signature(kind).parameters}
    search = kind(sk_deep.MLPClassifier(4, max_iter=1), cv=2, **own)
    X, y = load_iris(return_X_y=True, as_frame=True)
    search.fit(X, y)
    documented = {entry.name for entry in ClassDoc(type(search))["Attributes"]}
    fitted = {n for n in dir(search) if n.endswith("_") and not n.startswith("_")}
    assert fitted == documented


@pytest.mark.parametrize("name", [*NETWORKS, *TABULAR])
def test_all_fitted_attributes_are_documented(name):
    X = pd.DataFrame({"a": np.arange(40.0), "b": np.arange(40.0) % 2})
    model = getattr(sk_deep, name)(max_iter=1, n_members=2, n_folds=2)
    if name in NETWORKS:
        model.set_params(early_stopping=True)
    model.fit(X, np.arange(40) % 2)
    entries = ClassDoc(type(model))["Attributes"]
    documented = {name for entry in entries for name in entry.name.split(", ")}
    fitted = {n for n in dir(model) if n.endswith("_") and not n.startswith("_")}
    assert fitted == documented


@pytest.mark.parametrize(
    ("names", "told_apart"),
    [
        (NETWORKS, {"loss", "loss_params", "scoring", "n_members"}),
        (TABULAR, {"dropout", "scoring"}),
        (SEARCHES, set()),
    ],
    ids=["networks", "tabular", "searches"],
)
def test_shared_parameters_have_one_text(names, told_apart):
    first, second = (
        {entry.name: entry for entry in ClassDoc(getattr(sk_deep, name))["Parameters"]}
        for name in names
    )
    for name in first.keys() & second.keys() - told_apart:
        assert first[name] == second[name]


# ---- docstrings ------------------------------------------------------------------

IGNORED = {
    "ES01",  # a summary may say all there is to say
    "RT02",  # a single return value may have a name, as in scikit-learn
}
OF_PUBLIC = {"SA01", "EX01"}  # See Also and Examples are for public names
OF_SECTIONS = {  # inside the package a docstring has all sections, or none
    "PR01",
    "RT01",
    "YD01",
}


def _methods(cls):
    """Yield the names of the public methods and properties that a class defines."""
    fields = set()
    if dataclasses.is_dataclass(cls):
        fields = {field.name for field in dataclasses.fields(cls)}
    kinds = (types.FunctionType, property, classmethod, staticmethod)
    for name, value in vars(cls).items():
        is_torchs = str(getattr(value, "__module__", "")).startswith("torch")
        if name.startswith("_") or name in fields or is_torchs:
            continue
        if isinstance(value, kinds) or hasattr(value, "__wrapped__"):
            yield name


def _public_names():
    """Yield the public names and their methods, those of bases in sk_deep too."""
    for name in PUBLIC:
        yield f"sk_deep.{name}"
        bases = getattr(getattr(sk_deep, name), "__mro__", ())
        ours = [cls for cls in bases if cls.__module__.startswith("sk_deep")]
        methods = {method: None for cls in ours for method in _methods(cls)}
        yield from (f"sk_deep.{name}.{method}" for method in methods)


def _inner_names():
    """Yield the public classes, methods and functions of all modules."""
    for module_name, module in MODULES.items():
        for name, value in vars(module).items():
            is_ours = getattr(value, "__module__", None) == module_name
            if name.startswith("_") or not is_ours:
                continue
            if inspect.isclass(value):
                yield f"{module_name}.{name}"
                methods = _methods(value)
                yield from (f"{module_name}.{name}.{method}" for method in methods)
            elif inspect.isfunction(value):
                yield f"{module_name}.{name}"


def _faults(name, ignored):
    return [error for error in validate(name)["errors"] if error[0] not in ignored]


@pytest.mark.parametrize("name", list(_public_names()))
def test_docstring_of_public_name(name):
    is_method = name.count(".") > 1
    assert _faults(name, IGNORED | (OF_PUBLIC if is_method else set())) == []


@pytest.mark.parametrize("name", list(_inner_names()))
def test_docstring(name):
    has_sections = re.search(r"^ *-{3,}$", validate(name)["docstring"], re.MULTILINE)
    ignored = IGNORED | OF_PUBLIC
    assert _faults(name, ignored if has_sections else ignored | OF_SECTIONS) == []


def test_all_docstrings_are_found():
    assert {"sk_deep.MLPClassifier.fit", "sk_deep.MLPRegressor.partial_fit"} <= set(
        _public_names()
    )
    assert "sk_deep.network._mlp.MLP.forward" in _inner_names()
    assert "sk_deep.losses.Loss.is_legal" not in _inner_names()  # a field
    assert "sk_deep._estimator.parameters.Interval" not in _inner_names()  # an import


# ---- pages -----------------------------------------------------------------------

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("**/*.md"))]


@pytest.mark.long
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_page_runs(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    blocks = BLOCK.findall(page.read_text(encoding="utf-8"))
    namespace = {}
    for i, block in enumerate(blocks):
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # those that tests may raise, too
            exec(compile(block, f"{page.name}, block {i + 1}", "exec"), namespace)


def test_the_readme_has_an_example():
    assert "from sk_deep import" in BLOCK.findall(PAGES[0].read_text())[0]


def _deliberate_differences():
    """Find the keys of the comments ``NOTE[DIFF] key: ...``."""
    for module in MODULES.values():
        source = Path(module.__file__).read_text(encoding="utf-8")
        for text in re.findall(r"NOTE\[DIFF\](.*)", source):
            yield text.partition(":")[0].strip().lower()


def test_every_deliberate_difference_has_a_line():
    page = (ROOT / "docs" / "differences.md").read_text(encoding="utf-8")
    lines = re.findall(r"^- \*\*(.+?)\*\*:", page, re.MULTILINE)
    assert sorted(map(str.lower, lines)) == sorted(set(_deliberate_differences()))


# ---- pins ------------------------------------------------------------------------


def _requirements():
    """Yield what ``make test`` asks for by name."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    extras = project["project"]["optional-dependencies"]
    yield from project["build-system"]["requires"]
    yield from project["project"]["dependencies"]
    for line in extras["dev"]:
        requirement = Requirement(line)
        is_ours = requirement.name == "sk_deep"
        for extra in sorted(requirement.extras) if is_ours else ():
            yield from extras[extra]
        if not is_ours:
            yield line


@pytest.mark.parametrize("line", list(_requirements()))
def test_requirement_is_pinned(line):
    requirement = Requirement(line)
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = [Requirement(pin) for pin in lines if not pin.startswith("#")]
    versions = {canonicalize_name(pin.name): str(pin.specifier) for pin in pins}
    pinned = versions[canonicalize_name(requirement.name)]
    assert pinned.startswith("==")
    assert requirement.specifier.contains(pinned.removeprefix("=="))


def test_page_of_the_recipe_is_the_tables():
    page = runpy.run_path(str(ROOT / "docs" / "make_recipe.py"))["page"]()
    assert (ROOT / "docs" / "recipe.md").read_text() == page
    for name in [*RULES, *MOVES]:
        assert f"`{name}`" in page


def test_page_of_options_is_the_tables(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "docs")
    maker = runpy.run_path(str(ROOT / "docs" / "make_options.py"))
    page = maker["page"]()
    assert (ROOT / "docs" / "options.md").read_text() == page
    tables = {
        name: table
        for module in MODULES.values()
        for name, table in vars(module).items()
        if name.isupper() and isinstance(table, dict) and not name.startswith("_")
    }
    # no parameter chooses from these
    for name in ("BLOCKS", "INVERSE_LINKS", "MOVES", "PARAMETERS", "RULES"):
        del tables[name]
    assert len(tables) >= 10
    for name in itertools.chain(*tables.values()):
        assert f"`{name}" in page
    for section in maker["SECTIONS"].values():
        assert all(row.use for row in section.table.values())
