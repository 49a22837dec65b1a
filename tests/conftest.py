"""What all tests share: one thread, array API checks on, small real data."""

import os
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
