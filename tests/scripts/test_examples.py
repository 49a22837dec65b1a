"""The examples run; what they claim, they assert when the site is made."""

import os
import re
import runpy
import subprocess
import sys
import time
import types
from pathlib import Path

import joblib
import pytest
from sklearn import ensemble, neural_network

import sk_deep

FOLDER = Path(__file__).parents[2] / "examples"
EXAMPLES = sorted(FOLDER.rglob("plot_*.py"))
IN_SHORT = [path for path in EXAMPLES if path.stem != "plot_parquet"]  # see below
ARGUMENTS = {"plot_batched_search.py": ["--points", "2"]}


class ShortTraining:
    """A parameter `max_iter` that never is more than two."""

    def __get__(self, model, kind=None):
        return self if model is None else min(model.__dict__["max_iter"], 2)

    def __set__(self, model, value):
        model.__dict__["max_iter"] = value


@pytest.mark.long
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("path", IN_SHORT, ids=lambda path: path.stem)
def test_example_runs_in_short(path, tmp_path, monkeypatch):
    plt = pytest.importorskip("matplotlib.pyplot")
    plt.switch_backend("agg")
    kinds = [
        sk_deep.TabularMLPClassifier,
        sk_deep.TabularMLPRegressor,
        ensemble.HistGradientBoostingClassifier,
        ensemble.HistGradientBoostingRegressor,
    ]
    for package in (sk_deep, neural_network):
        kinds += package.MLPClassifier, package.MLPRegressor
    for kind in kinds:
        monkeypatch.setattr(kind, "max_iter", ShortTraining(), raising=False)
    clock = time.perf_counter  # what trains by the clock ends ten times as soon
    monkeypatch.setattr(time, "perf_counter", lambda: 10 * clock())
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", [str(path), *ARGUMENTS.get(path.name, [])])
    # an untrained network claims nothing
    code = compile(path.read_text(), path, "exec", optimize=1)
    monkeypatch.setitem(sys.modules, "__main__", types.ModuleType("__main__"))
    with joblib.parallel_config("threading"):  # processes would train at length
        exec(code, vars(sys.modules["__main__"]))
    plt.close("all")


def test_each_example_has_its_place():
    lessons = runpy.run_path(str(FOLDER.parent / "docs" / "gallery_conf.py"))["LESSONS"]
    assert sorted(lessons) == sorted(path.name for path in EXAMPLES)


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_each_example_asserts_what_it_claims(path):
    assert re.search(r"^ *assert ", path.read_text(), re.MULTILINE)


@pytest.mark.processes
def test_a_stream_of_parquet_is_as_good_as_an_array():
    pytest.importorskip("pyarrow")
    command = [sys.executable, FOLDER / "tasks" / "plot_parquet.py", "--rows", "80000"]
    environment = {**os.environ, "PYTHONWARNINGS": "ignore", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    size, held = map(float, re.findall(r"([\d.]+) MB", done.stdout))
    streamed, in_memory = map(float, re.findall(r"accuracy.*: ([\d.]+)", done.stdout))
    assert held < size / 2
    assert streamed > in_memory - 0.01
    assert in_memory > 0.8
