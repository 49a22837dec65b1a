"""The benchmarks: what they share is right, and each section runs on a tiny shape."""

import contextlib
import functools
import importlib
import itertools
import json
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.metrics import log_loss

pytestmark = pytest.mark.long

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
common, contenders, problems = map(
    importlib.import_module, ("_common", "_contenders", "_problems")
)
bench_diagnosis, bench_fit, bench_gpu = map(
    importlib.import_module, ("bench_diagnosis", "bench_fit", "bench_gpu")
)
bench_memory, bench_tables, bench_workers = map(
    importlib.import_module, ("bench_memory", "bench_tables", "bench_workers")
)
bench_tabular = importlib.import_module("bench_tabular")
bench_predict, bench_recipe, bench_scaling, bench_search = map(
    importlib.import_module,
    ("bench_predict", "bench_recipe", "bench_scaling", "bench_search"),
)
TINY = contenders.Shape((4, 3, 2), batch_size=10, steps_per_epoch=2, epochs=2)


@pytest.fixture
def run(tmp_path):
    """Run sections, as from the command line, and return the text of the tables."""

    def run(**sections):
        args = ["--quick", "--threads", "1", "--out", str(tmp_path)]
        with torch.random.fork_rng():
            common.main("name", "what it is", sections, args)
        numbers = json.loads((tmp_path / "name.json").read_text())
        assert numbers.keys() == {"environment", *sections}
        return (tmp_path / "name.md").read_text()

    return run


# ---- what they share -------------------------------------------------------------


@pytest.mark.parametrize("power", [1.0, 2.0])
def test_exponent(power):
    sizes = np.array([10, 100, 1000])
    assert common.exponent(sizes, 3 * sizes**power) == pytest.approx(power)


def test_speed_up_is_the_others_time_by_ours_within_turns():
    timings = common.Timings({"other": [2, 40, 6], "ours": [1, 10, 1]})
    assert timings.speed_up("other", "ours") == 4
    assert timings.median("other") == 6


def test_contenders_take_turns_and_the_first_does_not_count():
    order = []
    calls = {name: functools.partial(order.append, name) for name in "ab"}
    timings = common.take_turns(calls, n_turns=2)
    assert "".join(order) == "ababab"
    assert [len(seconds) for seconds in timings.seconds.values()] == [2, 2]


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (common.Number(1234.5), "1,234"),
        (common.Number(2.0, low=1.5), "2.00 (>= 1.5)"),
        (common.Number(1.0, low=1.5), "**1.00 (>= 1.5)**"),
        (common.Number(30.0, high=25), "**30.0 (<= 25)**"),
        (common.Number(1.0, low=0.95, high=1.05), "1.00 (0.95 to 1.05)"),
        (common.Number(21, low=22), "**21 (>= 22)**"),
        (common.Number(np.nan, low=1), "**nan (>= 1)**"),
    ],
)
def test_missed_target_is_bold(number, text):
    assert str(number) == text
    assert number.is_met == (not text.startswith("*"))


def test_markdown_table():
    assert common.markdown(["", "a"], [["b", common.Number(1.0, low=2)]]) == (
        "|  | a |\n| --- | --: |\n| b | **1.00 (>= 2)** |"
    )


def test_all_contenders_learn_alike():
    shape = contenders.Shape((5, 30, 3), batch_size=20, steps_per_epoch=5, epochs=60)
    _, y = shape.make_data()
    with torch.random.fork_rng():
        torch.manual_seed(0)
        losses = {
            name: log_loss(y, fit().predict_proba(fit.args[1]))
            for name, fit in contenders.fits(shape, contenders.CONTENDERS).items()
        }
    assert max(losses.values()) < 0.8  # a guess has 1.1
    assert max(losses.values()) - min(losses.values()) < 0.1


# ---- the sections ----------------------------------------------------------------


def test_fit(run, monkeypatch):
    monkeypatch.setattr(bench_fit, "SHAPES", [TINY])
    dropout = functools.partial(bench_fit.dropout, shape=TINY)
    text = run(steps=bench_fit.steps, dropout=dropout)
    for name in (TINY.name, "sklearn f64", "f32 vs torch loop", "sk_deep f32"):
        assert name in text


@pytest.mark.skipif(sys.platform != "linux", reason="Linux alone can reset the peak")
def test_growth_of_memory():
    grown = common.peak_growth(lambda: np.ones(10**7))
    assert grown == pytest.approx(8e7, rel=0.1)


def test_bound_of_memory():
    shape = contenders.Shape((100, 10), 100, steps_per_epoch=1000, epochs=1)
    parameters = 3 * 4 * 1010 / 1e6
    for name, rest in [("sk_deep f32", 50), ("sk_deep f64 to f32", 90)]:
        bound = bench_fit.memory_bound(name, shape)
        assert bound == pytest.approx(rest + parameters)


def test_memory(run, monkeypatch):
    monkeypatch.setattr(
        bench_memory, "in_fresh_process", lambda call, *args: call(*args)
    )
    monkeypatch.setattr(bench_memory, "N_ROWS", {True: 2000})
    monkeypatch.setattr(bench_memory, "TEXTS", {True: (200, 500, 20)})
    text = run(maps=bench_memory.maps, sparse=bench_memory.sparse)
    assert "(<= 1.3)" in text
    assert "| sk_deep, float32 |" in text


def test_texts_are_those_of_tf_idf():
    X, y = bench_memory.documents(50, 300, 20, np.float32)
    assert X.shape == (50, 302)
    assert X.dtype == np.float32
    np.testing.assert_allclose(X.multiply(X).sum(axis=1), 1, rtol=1e-5)
    assert set(y) == {0, 1}


def test_workers(run, monkeypatch):
    monkeypatch.setattr(
        bench_workers, "launch", lambda n: {"a": (2.0 / n, 0.1, 9, 0.5)}
    )
    monkeypatch.setattr(bench_workers, "SHAPES", ["a"])

    @contextlib.contextmanager
    def workers(n_workers, data):
        yield lambda search: search.set_params(n_iter=2).fit(*data)

    monkeypatch.setattr(bench_workers, "workers", workers)
    text = run(search=bench_workers.search, fit=bench_workers.fit)
    assert "| 256-a | 9 | 2,000 | 1,000 | 2.00 | 100 |" in text


def test_predict(run, monkeypatch):
    monkeypatch.setattr(bench_predict, "SHAPES", [TINY])
    monkeypatch.setattr(bench_predict, "N_CALLS", {1: 2, 20: 1})
    monkeypatch.setattr(bench_predict, "N_FURTHER", 1)
    text = run(predictions=bench_predict.predictions, start=bench_predict.start)
    assert "4-3-2, 20" in text
    assert "(<= 5)" in text
    assert bench_predict.import_seconds("json") > 0


def test_tables(run, tmp_path):
    frame, y = bench_tables.made_up(n_rows=80)
    frame.assign(y=y).to_csv(tmp_path / "own.csv")
    own = ["--data", str(tmp_path), "--sets", "own:y", "--quick"]
    sets, rest = bench_tables.parse(own)
    assert rest == ["--quick"]
    text = run(tables=functools.partial(bench_tables.tables, sets=sets))
    assert text.count(" +- ") == 6


def test_scaling(run):
    sweep = bench_scaling.Sweep(
        "rows",
        (20, 40, 80),
        lambda n: contenders.Shape((4, 3, 2), 10, n // 10, epochs=1),
        "4-3-2 @ 10",
        linear_from=20,
    )
    text = run(rows=functools.partial(bench_scaling.grow, sweep))
    assert "exponent from 20" in text


def test_search(run):
    task = bench_search.Task(
        alphas=(1e-4, 1e-3),
        rates=(1e-3,),
        hidden=((3,),),
        batch_size=200,
        epochs=1,
        n_folds=2,
    )
    text = run(
        grid=functools.partial(bench_search.grid, task=task),
        growth=functools.partial(bench_search.growth, sizes=(1, 5, 10), task=task),
    )
    for part in ("skorch ran 1 of the 2", "(>= 20)", "| 10 |"):
        assert part in text


def test_members_of_a_search():
    for n_members in bench_search.MEMBERS:
        search = bench_search.search_of(n_members, bench_search.STACK)
        n_candidates = len(search.param_grid["net__alpha"])
        assert n_candidates * len(search.cv) == n_members


def test_recipe(run, monkeypatch):
    monkeypatch.setitem(bench_recipe.POOR, "max_iter", 2)
    race = functools.partial(bench_recipe.section, name="wine", n_candidates=3)
    text = run(wine=race)
    assert "| mean |" in text
    assert "The recipe with 3 candidates" in text


def test_tabular(tmp_path):
    table = pd.DataFrame({"a": np.arange(80.0), "b": ["x", "y"] * 40})
    table["part"] = np.where(table.index % 4, "train", "test")
    table.assign(y=table["a"] % 7).to_csv(tmp_path / "numbers.csv", index=False)
    table.assign(y=table["b"] + "es").to_csv(tmp_path / "labels.csv", index=False)
    rows = ["name,file,target,split", "n,numbers.csv,y,part", "l,labels.csv,y,"]
    (tmp_path / "index.csv").write_text("\n".join(rows))
    options = "--quick --only wine --rows 100 --threads 1 --contenders".split()
    options += ["ours", "boosting", "RealMLP", "MLP", "--data", str(tmp_path)]
    bench_tabular.main([*options, "--out", str(tmp_path / "out")])
    (text,) = (path.read_text() for path in (tmp_path / "out").glob("*.md"))
    for part in ("100 training rows, 13", "60 training rows, 2", "calibration error"):
        assert part in text
    assert text.count("| boosting |") == 4
    assert "| RealMLP |" not in text  # as it is not installed
    numbers = json.loads(next((tmp_path / "out").glob("*.json")).read_text())
    assert numbers["l"]["ours"]["score"] == 1


def test_calibration_error():
    sure = np.array([[0.9, 0.1]] * 10)
    wrong = (np.arange(10) < 3).astype(int)
    assert bench_tabular.calibration_error(wrong, sure) == pytest.approx(0.2)
    assert bench_tabular.calibration_error(0 * wrong, 1.0 * (sure > 0.5)) == 0


# ---- the diagnosis ---------------------------------------------------------------


def test_planted_problems_cover_all_verdicts():
    assert len({problem.name for problem in problems.PROBLEMS}) == 24
    causes = [problem.causes for problem in problems.PROBLEMS]
    assert len(set(itertools.chain(*causes))) == 15
    assert sum(len(cause) > 1 for cause in causes) <= 3
    assert causes.count(("healthy",)) == 3


@pytest.mark.parametrize("name", bench_diagnosis.QUICK)
def test_plant_is_real(name):
    plant = bench_diagnosis.grow(bench_diagnosis.ROWS[name], cv=3)
    assert plant.rise.is_met, plant.row()


def test_making_a_problem_twice_gives_networks_apart():
    problem = bench_diagnosis.ROWS["penalty_of_100"]
    mended, *_ = problem.mend()
    planted, *_ = problem.make()
    assert (mended["mlp"].alpha, planted["mlp"].alpha) == (1e-4, 100)


@pytest.mark.parametrize("alpha", [100.0, 1e-4])
def test_outcome_of_a_diagnosis(alpha):
    def diagnose(estimator, X, y, *, cv, scoring, random_state):
        suggestion = SimpleNamespace(move="regularisation", param_grid=grid)
        verdict = SimpleNamespace(key="underfitting")
        return SimpleNamespace(verdicts=[verdict], suggestions=[suggestion])

    grid = {"mlp__alpha": [alpha]}
    problem = bench_diagnosis.ROWS["penalty_of_100"]
    outcome = bench_diagnosis.examine(problem, 2, diagnose)
    assert outcome.is_right
    assert outcome.is_better == (alpha < 100)
    right, healthy, better = bench_diagnosis.totals([outcome])
    assert [str(row[1]) for row in (right, healthy, better)] == [
        *("1", "0"),
        str(int(outcome.is_better)),
    ]


@pytest.mark.parametrize(
    ("rates", "is_better"), [([1.0], False), ([1.0, 1e-6], False), ([1.0, 1e-3], True)]
)
def test_from_a_diverging_network_to_one_that_beats_a_constant(rates, is_better):
    def diagnose(estimator, X, y, *, cv, scoring, random_state):
        grid = {"mlp__learning_rate_init": rates}
        suggestion = SimpleNamespace(move="learning_rate", param_grid=grid)
        verdict = SimpleNamespace(key="overfitting")
        return SimpleNamespace(verdicts=[verdict], suggestions=[suggestion])

    outcome = bench_diagnosis.examine(bench_diagnosis.ROWS["sgd_diverges"], 3, diagnose)
    assert np.isnan(outcome.before)
    assert np.isnan(outcome.after) == (rates == [1.0])
    assert outcome.is_better == is_better
    assert not outcome.is_right


def test_script_of_the_diagnosis(tmp_path):
    names = ["sgd_diverges", "healthy_diabetes"]
    args = ["--verify", "--threads", "1", "--out", str(tmp_path), "--only", *names]
    with torch.random.fork_rng():
        bench_diagnosis.main(args)
    numbers = json.loads((tmp_path / "plants.json").read_text())
    assert list(numbers["plants"]) == names


# ---- on a GPU --------------------------------------------------------------------


def test_gpu(run):
    """Here on the CPU, which says nothing of the numbers."""
    task = replace(bench_search.GRID, alphas=(1e-4,), rates=(1e-3,), epochs=1)
    table = run(
        fit=functools.partial(bench_gpu.fit, shapes=(TINY,), device="cpu"),
        search=functools.partial(bench_gpu.search, tasks=(task,), device="cpu"),
    )
    assert "| 4-3-2 @ 10 |" in table
    assert f"| {task.name} |" in table
