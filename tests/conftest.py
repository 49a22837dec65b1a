"""What all tests share: one thread, array API checks on, small real data."""

import os
import re
import signal

os.environ["SCIPY_ARRAY_API"] = "1"  # before scipy is imported

import numpy as np
import pytest
import torch
from sklearn.datasets import load_diabetes, load_digits
from sklearn.preprocessing import scale

torch.set_num_threads(1)
# a shell's background has it ignored, and interrupts are tested
signal.signal(signal.SIGINT, signal.default_int_handler)

NOT_QUICK = ("processes", "foreign", "long")  # marks, explained in pyproject.toml
MARK_OF_FILE = re.compile(
    rf"^pytestmark = \[?\s*pytest\.mark\.({'|'.join(NOT_QUICK)})\b", re.MULTILINE
)


def pytest_make_parametrize_id(config, val, argname):
    """Name a case the same in all processes: functions and classes by their names."""
    if isinstance(val, dict):
        items = (
            f"{key}={pytest_make_parametrize_id(config, item, key)}"
            for key, item in val.items()
        )
        return ",".join(items)
    name = getattr(val, "__name__", str(val))
    return None if " at 0x" in name or "\n" in name else name


def pytest_addoption(parser):
    parser.addoption(
        "--quick",
        action="store_true",
        help="run the first and the last case of each test, without the tests that "
        f"are marked {', '.join(NOT_QUICK)}",
    )


def pytest_ignore_collect(collection_path, config):
    """Save a quick run the imports of the files that it leaves out."""
    if config.getoption("--quick") and collection_path.suffix == ".py":
        text = collection_path.read_text(encoding="utf-8")
        if MARK_OF_FILE.search(text) or not collection_path.match("test_*.py"):
            return True
    return None


def pytest_collection_modifyitems(config, items):
    """Reduce a quick run to the first and the last case of each test."""
    if not config.getoption("--quick"):
        return
    cases = {}
    for item in items:
        cases.setdefault(item.nodeid.partition("[")[0], []).append(item)
    kept = {item for of_test in cases.values() for item in _quick_cases(of_test)}
    config.hook.pytest_deselected(items=[item for item in items if item not in kept])
    items[:] = [item for item in items if item in kept]


def _quick_cases(cases):
    cases = [case for case in cases if not any(map(case.get_closest_marker, NOT_QUICK))]
    is_whole = any(case.get_closest_marker("whole") for case in cases)
    return cases if is_whole else [*cases[:1], *cases[-1:]]


@pytest.fixture(scope="session")
def digits():
    """Half of scikit-learn's digits, ten classes, inputs in [0, 1]."""
    X, y = load_digits(return_X_y=True)
    return X[:900] / 16, y[:900]


@pytest.fixture(scope="session")
def diabetes():
    """scikit-learn's diabetes, everything standardised."""
    X, y = load_diabetes(return_X_y=True)
    return scale(X), scale(y)


@pytest.fixture
def global_random_seed():
    """Stand in for the fixture of scikit-learn's own tests."""
    return 42


@pytest.fixture
def rng():
    return np.random.default_rng(0)
