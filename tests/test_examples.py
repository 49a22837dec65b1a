"""The examples do what they tell of."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[1] / "examples"


def test_a_stream_of_parquet_is_as_good_as_an_array():
    pytest.importorskip("pyarrow")
    command = [sys.executable, FOLDER / "plot_parquet.py", "--rows", "80000"]
    environment = {**os.environ, "PYTHONWARNINGS": "ignore", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    size, held = map(float, re.findall(r"([\d.]+) MB", done.stdout))
    streamed, in_memory = map(float, re.findall(r"accuracy.*: ([\d.]+)", done.stdout))
    assert held < size / 2
    assert streamed > in_memory - 0.01
    assert in_memory > 0.8
