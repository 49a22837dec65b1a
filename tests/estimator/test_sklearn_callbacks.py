"""Callbacks of scikit-learn: what they are told of fits and searches, and may do."""

import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pandas as pd
import pytest
import scipy.sparse
from joblib import parallel_config
from sklearn.base import clone
from sklearn.callback import FitCallback, ScoringMonitor
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import get_scorer
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler
from skorch.callbacks import EarlyStopping

from sk_deep import (
    BatchedGridSearchCV,
    BatchedRandomizedSearchCV,
    MLPClassifier,
    MLPRegressor,
)
from sk_deep._estimator import fit
from sk_deep._stacks import job
from sk_deep.exceptions import DivergenceError

CLASSES = [MLPClassifier, MLPRegressor]
PARAMS = {
    "hidden_layer_sizes": (5,),
    "max_iter": 4,
    "learning_rate_init": 0.01,
    "random_state": 0,
    "dtype": "float64",
}
SEQUENCE = [
    "setup fit",
    "begin fit",
    *(f"{hook} epoch {i}" for i in range(4) for hook in ("begin", "end")),
    "end fit",
    "teardown fit",
]
PRIVATE = {"_callback_fit_ctx", "_skl_callbacks_to_teardown", "_parent_callback_ctx"}
N_ROWS = 60


class Recorder:
    """Records the hooks, and does at one of them what it is asked to.

    Parameters
    ----------
    at : str
        Entry of the record at which to act.
    act : callable
        What to do there; its result is the hook's.
    """

    def __init__(self, at=None, act=None):
        self.at, self.act = at, act
        self.record, self.told, self.snapshots, self.estimators = [], [], [], []

    def _note(self, hook, estimator, context):
        is_epoch = context.task_name == "epoch"
        entry = f"{hook} {context.task_name}" + is_epoch * f" {context.task_id}"
        self.record.append(entry)
        self.estimators.append(estimator)
        return self.act() if entry == self.at else None

    def setup(self, estimator, context):
        self._note("setup", estimator, context)

    def teardown(self, estimator, context):
        self._note("teardown", estimator, context)

    def on_fit_task_begin(
        self, estimator, context, *, X, y, metadata, fitted_estimator
    ):
        self.snapshots.append(fitted_estimator)
        self._note("begin", estimator, context)

    def on_fit_task_end(self, estimator, context, *, X, y, metadata, fitted_estimator):
        self.told.append((X, y, metadata))
        self.snapshots.append(fitted_estimator)
        return self._note("end", estimator, context)


class Counter:
    """Counts the hooks, and looks at nothing else."""

    max_propagation_depth = None

    def __init__(self, max_propagation_depth=None):
        self.max_propagation_depth = max_propagation_depth
        self.paths = []

    def setup(self, estimator, context):
        self.paths.append("setup")

    def teardown(self, estimator, context):
        self.paths.append("teardown")

    def on_fit_task_begin(self, estimator, context):
        self._note("begin", context)

    def on_fit_task_end(self, estimator, context):
        self._note("end", context)

    def _note(self, hook, context):
        path = []
        while context is not None:
            path.insert(0, f"{context.estimator_name} {context.task_name}")
            path[0] += f" {context.task_id}"
            context = context.parent
        self.paths.append((hook, *path))


def _data(cls):
    X = np.random.default_rng(0).normal(size=(N_ROWS, 3))
    y = X[:, 0] - X[:, 1] ** 2 / 2
    return X, y if cls is MLPRegressor else np.where(y > 0, "yes", "no")


def _raise(error):
    def act():
        raise error

    return act


def test_the_recorder_follows_the_protocol():
    assert isinstance(Recorder(), FitCallback)
    assert isinstance(Counter(), FitCallback)


# ---- the tasks of a fit ------------------------------------------------------------


@pytest.mark.parametrize("cls", CLASSES)
@pytest.mark.parametrize(
    "params",
    [
        {},
        {"solver": "lbfgs"},
        {"n_members": 2},
        {"early_stopping": True, "verbose": True},
        {"n_members": 2, "solver": "lbfgs"},
    ],
)
def test_tasks_of_a_fit(cls, params):
    X, y = _data(cls)
    recorder = Recorder()
    model = cls(**{**PARAMS, **params}).set_callbacks(recorder)
    assert model.fit(X, y) is model
    if params.get("n_members") and params.get("solver"):  # a search for each member
        more = [e.replace("epoch ", "epoch +") for e in SEQUENCE if "epoch" in e]
        n_more = [f"{e.split('+')[0]}{4 + int(e.split('+')[1])}" for e in more]
        assert recorder.record == [*SEQUENCE[:-2], *n_more, *SEQUENCE[-2:]]
    else:
        assert recorder.record == SEQUENCE
    assert all(estimator is model for estimator in recorder.estimators)
    assert not PRIVATE & set(vars(model))
    # and again, with warm start or without
    recorder.record.clear()
    model.set_params(warm_start=True).fit(X, y)
    assert recorder.record[:3] == SEQUENCE[:3]
    assert recorder.record[-1] == "teardown fit"


def test_iterations_of_lbfgs_are_as_many_as_those_of_logistic_regression():
    # two steps of scikit-learn's are its own: the empty last task, and the fit
    X, y = _data(MLPClassifier)
    counts = {}
    for model in (LogisticRegression(), MLPClassifier(solver="lbfgs", random_state=0)):
        recorder = Recorder()
        model.set_params(max_iter=3).set_callbacks(recorder).fit(X, y)
        counts[type(model)] = sum(
            entry.startswith("begin") for entry in recorder.record
        )
    assert counts == {LogisticRegression: 5, MLPClassifier: 4}


@pytest.mark.parametrize("cls", CLASSES)
def test_partial_fit_calls_no_hooks(cls):
    X, y = _data(cls)
    recorder = Recorder()
    model = cls(**PARAMS).set_callbacks(recorder)
    classes = {"classes": np.unique(y)} if cls is MLPClassifier else {}
    model.partial_fit(X, y, **classes).partial_fit(X, y)
    assert recorder.record == []


def test_what_hooks_are_told():
    X, y = _data(MLPClassifier)
    weight = np.linspace(0, 1, N_ROWS)
    frame = pd.DataFrame(X, columns=["a", "b", "c"])
    for inputs, labels, told_inputs in [
        (X.tolist(), list(y), X),
        (frame, pd.Series(y), frame),
        (scipy.sparse.csc_array(X), y, X),
    ]:
        recorder = Recorder()
        model = MLPClassifier(**PARAMS, class_weight={"yes": 2.0})
        model.set_callbacks(recorder).fit(inputs, labels, list(weight))
        assert len(recorder.told) == 5
        for X_told, y_told, metadata in recorder.told:
            assert type(X_told) is type(told_inputs) or scipy.sparse.issparse(X_told)
            dense = X_told.toarray() if scipy.sparse.issparse(X_told) else X_told
            np.testing.assert_array_equal(dense, X)
            np.testing.assert_array_equal(y_told, y)
            np.testing.assert_array_equal(metadata["sample_weight"], weight)
    recorder = Recorder()
    MLPClassifier(**PARAMS).set_callbacks(recorder).fit(X, y)
    assert all(metadata is None for _, _, metadata in recorder.told)


# ---- snapshots ---------------------------------------------------------------------

CASES = [
    {},
    {"early_stopping": True, "scoring": "loss", "learning_rate_init": 0.5},
    {"solver": "lbfgs"},
    {"solver": "lbfgs", "normalization": "batch"},
    {"solver": "sgd", "learning_rate": "adaptive"},
    {"n_members": 2, "dropout": 0.2},
    {"n_members": 2, "early_stopping": True, "scoring": "loss"},
    {"normalization": "batch", "max_norm": 1.0},
    {"warm_start": True},
]


@pytest.mark.parametrize("cls", CLASSES)
@pytest.mark.parametrize("params", CASES)
@pytest.mark.parametrize("kind", [np.asarray, pd.DataFrame, scipy.sparse.csr_array])
def test_scores_are_those_of_shorter_fits(cls, params, kind):
    X, y = _data(cls)
    X = kind(X)
    if kind is pd.DataFrame:
        X.columns = ["a", "b", "c"]
    weight = np.linspace(0.5, 1, N_ROWS)
    scoring = "neg_mean_squared_error" if cls is MLPRegressor else "neg_log_loss"
    monitor = ScoringMonitor(scoring=scoring)
    model = cls(**{**PARAMS, **params})
    fitted = clone(model).set_callbacks(monitor).fit(X, y, weight)
    logs = monitor.get_logs().data
    scores = {log["task_id_path"]: log[scoring] for log in logs}
    scorer = get_scorer(scoring)
    assert len(scores) == fitted.n_iter_ + 1
    for k in range(fitted.n_iter_):
        shorter = clone(model).set_params(max_iter=k + 1).fit(X, y, weight)
        assert scores[0, k] == scorer(shorter, X, y, sample_weight=weight)
    assert scores[(0,)] == scorer(fitted, X, y, sample_weight=weight)
    assert len(set(scores.values())) > 1


def _without_callbacks(model):
    return {name: value for name, value in vars(model).items() if "_skl_" not in name}


@pytest.mark.parametrize("cls", CLASSES)
@pytest.mark.parametrize("params", [{}, {"early_stopping": True}, {"solver": "lbfgs"}])
def test_snapshots_are_fitted_as_by_shorter_fits(cls, params):
    X, y = _data(cls)
    recorder = Recorder()
    model = cls(**{**PARAMS, **params}).set_callbacks(recorder).fit(X, y)
    assert recorder.snapshots[0] is None
    begins, ends = recorder.snapshots[1:-1:2], recorder.snapshots[2:-1:2]
    assert begins[0].n_iter_ == 0
    assert begins[0].predict(X).shape == y.shape
    for k, snapshot in enumerate(ends):
        shorter = clone(model).set_callbacks().set_params(max_iter=k + 1).fit(X, y)
        expected = _without_callbacks(shorter)
        assert set(_without_callbacks(snapshot)) == set(expected)
        for name in ("loss_", "n_iter_", "t_", "loss_curve_", "validation_scores_"):
            assert vars(snapshot).get(name) == expected.get(name)
        for ours, theirs in zip(snapshot.coefs_, shorter.coefs_, strict=True):
            np.testing.assert_array_equal(ours, theirs)
        loaded = pickle.loads(pickle.dumps(snapshot.set_callbacks()))
        np.testing.assert_array_equal(loaded.predict(X), shorter.predict(X))
    for earlier, later in zip(ends, begins[1:], strict=False):
        np.testing.assert_array_equal(earlier.coefs_[0], later.coefs_[0])
    np.testing.assert_array_equal(recorder.snapshots[-1].coefs_[0], model.coefs_[0])
    assert len({id(one.net_) for one in [*recorder.snapshots[1:], model]}) == 10


def test_what_is_done_to_a_snapshot_does_not_touch_the_fit():
    X, y = _data(MLPClassifier)
    plain = MLPClassifier(**PARAMS).fit(X, y)

    class Vandal(Recorder):
        def on_fit_task_end(self, estimator, context, *, fitted_estimator):
            for weights in fitted_estimator.coefs_:
                weights[:] = np.nan
            fitted_estimator.loss_curve_.clear()
            fitted_estimator.set_params(max_iter=1)

    watched = MLPClassifier(**PARAMS).set_callbacks(Vandal()).fit(X, y)
    np.testing.assert_array_equal(watched.coefs_[0], plain.coefs_[0])
    assert watched.loss_curve_ == plain.loss_curve_
    assert watched.max_iter == 4


def test_snapshots_are_made_for_those_who_ask(monkeypatch):
    monkeypatch.setattr(fit, "copy_in_training", _raise(AssertionError))
    X, y = _data(MLPClassifier)
    counter = Counter()
    MLPClassifier(**PARAMS).set_callbacks(counter).fit(X, y)
    assert len(counter.paths) == len(SEQUENCE)


def test_names_of_features_of_an_earlier_fit_are_forgotten():
    X, y = _data(MLPClassifier)
    recorder = Recorder()
    model = MLPClassifier(**PARAMS).fit(pd.DataFrame(X, columns=["a", "b", "c"]), y)
    model.set_callbacks(recorder).fit(X, y)
    assert not hasattr(recorder.snapshots[2], "feature_names_in_")
    recorder.snapshots[2].predict(X)  # would warn


# ---- stops, failures and interrupts ------------------------------------------------


@pytest.mark.parametrize("cls", CLASSES)
@pytest.mark.parametrize("params", [*CASES[:3], {"n_members": 2}])
@pytest.mark.filterwarnings("error::sklearn.exceptions.ConvergenceWarning")
def test_a_hook_stops_the_training(cls, params):
    X, y = _data(cls)
    recorder = Recorder("end epoch 1", lambda: True)
    model = cls(**{**PARAMS, **params}).set_callbacks(recorder).fit(X, y)
    assert recorder.record == [*SEQUENCE[:6], *SEQUENCE[-2:]]
    assert model.n_iter_ == 2
    shorter = clone(model).set_callbacks().set_params(max_iter=2)
    with pytest.warns(match="aximum|TOTAL NO"):  # which the stopped one has not
        shorter.fit(X, y)
    np.testing.assert_array_equal(model.coefs_[0], shorter.coefs_[0])


def test_early_stopping_of_skorch_ends_the_tasks():
    X, y = _data(MLPClassifier)
    recorder = Recorder()
    stop = EarlyStopping("train_loss", patience=1, threshold=1.0)
    model = MLPClassifier(**PARAMS, callbacks=[stop]).set_callbacks(recorder).fit(X, y)
    assert model.n_iter_ == 2
    assert recorder.record == [*SEQUENCE[:6], *SEQUENCE[-2:]]


@pytest.mark.parametrize("cls", CLASSES)
@pytest.mark.parametrize("params", [{}, {"solver": "lbfgs"}])
@pytest.mark.parametrize("at", SEQUENCE)
def test_a_hook_that_fails_leaves_the_former_model(cls, params, at):
    X, y = _data(cls)
    recorder = Recorder(at, _raise(OSError("in a hook")))
    model = cls(**{**PARAMS, **params}, alpha=1.0).fit(X, y)
    former = model.predict(X)
    model.set_params(alpha=0.0).set_callbacks(recorder)
    with pytest.raises(OSError, match="in a hook"):
        model.fit(X, y)
    assert (
        recorder.record
        == [*SEQUENCE[: SEQUENCE.index(at) + 1], *SEQUENCE[-1:]][: len(SEQUENCE)]
    )
    assert not PRIVATE & set(vars(model))
    if at != "teardown fit":  # which comes when all is done, as in scikit-learn
        np.testing.assert_array_equal(model.predict(X), former)


def test_teardown_after_a_fit_that_diverges():
    X, y = _data(MLPRegressor)
    recorder = Recorder()
    model = MLPRegressor(**PARAMS).fit(X, y).set_callbacks(recorder)
    former = model.predict(X)
    model.set_params(solver="sgd", learning_rate_init=1e9)
    with pytest.raises(DivergenceError):
        model.fit(X * 1e9, y)
    assert recorder.record[-1] == "teardown fit"
    assert "end fit" not in recorder.record
    np.testing.assert_array_equal(model.predict(X), former)
    with pytest.raises(ValueError, match="NaN"):
        model.fit(X * np.nan, y)
    assert recorder.record[-1] == "teardown fit"
    assert not PRIVATE & set(vars(model))


@pytest.mark.parametrize("cls", CLASSES)
@pytest.mark.parametrize("params", [{}, {"early_stopping": True}, {"solver": "lbfgs"}])
@pytest.mark.parametrize(
    ("at", "n_epochs"),
    [
        ("begin fit", 0),
        ("begin epoch 0", 0),
        ("end epoch 0", 1),
        ("begin epoch 2", 2),
        ("end epoch 2", 3),
        ("end fit", 4),
    ],
)
def test_an_interrupt_leaves_the_last_finished_epoch(cls, params, at, n_epochs):
    X, y = _data(cls)
    recorder = Recorder(at, _raise(KeyboardInterrupt))
    model = cls(**{**PARAMS, **params}).set_callbacks(recorder)
    with pytest.raises(KeyboardInterrupt):
        model.fit(X, y)
    assert recorder.record[-1] == "teardown fit"
    assert recorder.record.count("teardown fit") == 1
    assert not PRIVATE & set(vars(model))
    assert hasattr(model, "net_") == bool(n_epochs)
    if n_epochs:
        assert model.n_iter_ == n_epochs
        shorter = clone(model).set_callbacks().set_params(max_iter=n_epochs).fit(X, y)
        np.testing.assert_array_equal(model.coefs_[0], shorter.coefs_[0])
        assert vars(model).get("loss_curve_") == vars(shorter).get("loss_curve_")


def test_nothing_of_the_data_stays_with_the_net():
    X, y = _data(MLPClassifier)
    for at, act in [(None, None), ("end epoch 1", _raise(KeyboardInterrupt))]:
        model = MLPClassifier(**PARAMS).set_callbacks(Recorder(at, act))
        try:
            model.fit(X, y)
        except KeyboardInterrupt:
            pass
        kept = [callback for _, callback in model.net_.callbacks_]
        (tasks,) = [one for one in kept if type(one).__name__ == "Tasks"]
        assert (tasks.context, tasks.arguments, tasks.snapshot) == (None, {}, None)


def test_a_fit_without_callbacks_has_none_in_its_net():
    X, y = _data(MLPClassifier)
    model = MLPClassifier(**PARAMS).fit(X, y)
    assert [type(one).__name__ for _, one in model.net_.callbacks_] == ["Stopping"]


# ---- clones, pickles, threads ------------------------------------------------------


def test_clones_share_callbacks_as_in_scikit_learn():
    monitor = ScoringMonitor(scoring=None)
    for model in (MLPClassifier(), LogisticRegression()):
        assert clone(model.set_callbacks(monitor))._skl_callbacks == [monitor]
        assert "_skl_callbacks" not in vars(clone(model.set_callbacks()))


def test_pickles_hold_what_those_of_scikit_learn_hold():
    X, y = _data(MLPClassifier)
    for model in (MLPClassifier(**PARAMS), LogisticRegression(max_iter=4)):
        monitor = ScoringMonitor(scoring="accuracy")
        copy = pickle.loads(pickle.dumps(model.set_callbacks(monitor).fit(X, y)))
        assert {name for name in vars(copy) if "callback" in name} - {"callbacks"} == {
            "_skl_callbacks"
        }
        np.testing.assert_array_equal(copy.predict(X), model.predict(X))
        assert not PRIVATE & set(vars(copy.fit(X, y)))


def test_fits_in_threads_share_a_callback():
    X, y = _data(MLPRegressor)
    counter = Counter()
    model = MLPRegressor(**PARAMS).set_callbacks(counter)
    serial = clone(model).fit(X, y)
    counter.paths.clear()
    with ThreadPoolExecutor(2) as pool:
        fits = [pool.submit(clone(model).fit, X, y) for _ in range(4)]
    for running in fits:
        np.testing.assert_array_equal(running.result().coefs_[0], serial.coefs_[0])
    assert len(counter.paths) == 4 * len(SEQUENCE)


# ---- pipelines and searches --------------------------------------------------------


def _search(kind, **options):
    pipeline = Pipeline([("scale", StandardScaler()), ("net", MLPClassifier(**PARAMS))])
    space = {"net__alpha": [0.1, 1.0]}
    if kind is BatchedRandomizedSearchCV:
        options["n_iter"] = 2
    return kind(pipeline, space, cv=2, **options)


@pytest.fixture
def stacks(monkeypatch):
    """Sizes of the stacks that searches train in this thread."""
    sizes, train, here = [], job.train, threading.get_ident()

    def spied(members):
        # a search that failed before may leave a job at work in another thread
        if threading.get_ident() == here:
            sizes.append(len(members))
        train(members)

    monkeypatch.setattr(job, "train", spied)
    return sizes


def test_epochs_are_tasks_of_the_step_of_a_pipeline():
    X, y = _data(MLPClassifier)
    counter = Counter()
    pipeline = _search(GridSearchCV).estimator
    pipeline.set_callbacks(counter).fit(X, y)
    root, step = "Pipeline fit 0", "MLPClassifier fit 1"
    epochs = [(root, step, f"MLPClassifier epoch {i}") for i in range(4)]
    assert [path[1:] for path in counter.paths if path[0] == "end"] == [
        (root, "StandardScaler fit 0"),
        *epochs,
        (root, step),
        (root,),
    ]
    assert not PRIVATE & set(vars(pipeline["net"]))
    assert "_skl_callbacks" not in vars(pipeline["net"])


def test_searches_tell_the_same(stacks, capsys):
    X, y = _data(MLPClassifier)
    told = []
    for kind in (GridSearchCV, BatchedGridSearchCV):
        counter = Counter()
        _search(kind, verbose=1).set_callbacks(counter).fit(X, y)
        told.append(
            [
                tuple(part.replace("Batched", "") for part in path)
                for path in counter.paths
                if isinstance(path, tuple)
            ]
        )
    assert told[0] == told[1]
    assert sum("epoch" in path[-1] for path in told[0]) == 2 * 4 * (2 * 2 + 1)
    # it may look at each epoch: there are no stacks, and it is said why
    assert stacks == []
    message = "4 of 4 fits cannot be stacked and run one by one: scikit-learn's callba"
    assert message in capsys.readouterr().out


@pytest.mark.parametrize("kind", [BatchedGridSearchCV, BatchedRandomizedSearchCV])
def test_callbacks_that_end_at_the_search_leave_the_stacks(kind, stacks):
    X, y = _data(MLPClassifier)
    told = []
    for one in (GridSearchCV, kind):
        counter = Counter(max_propagation_depth=0)
        recorder = Recorder()
        _search(one).set_callbacks(counter, recorder).fit(X, y)
        told.append((len(counter.paths), sorted(recorder.record)))
    assert told[0] == told[1]
    assert stacks == [4]


def test_callbacks_on_a_network_of_a_search_see_each_epoch(stacks):
    X, y = _data(MLPClassifier)
    for kind in (GridSearchCV, BatchedGridSearchCV):
        recorder = Recorder()
        model = MLPClassifier(**PARAMS).set_callbacks(recorder)
        kind(model, {"alpha": [0.1, 1.0]}, cv=2, refit=False).fit(X, y)
        assert recorder.record == SEQUENCE * 4
    assert stacks == []


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_fits_are_told_as_jobs_finish(n_jobs, monkeypatch):
    X, y = _data(MLPClassifier)
    begun, told, run = [], threading.Event(), job.Job.run
    n_told, in_time = [], []

    def spied(job, *data):
        begun.append(job)
        if len(begun) == 4:  # the last one does not end before others are told
            in_time.append(told.wait(timeout=20))
        return run(job, *data)

    monkeypatch.setattr(job.Job, "run", spied)

    class Teller(Recorder):
        def on_fit_task_end(self, estimator, context):
            if context.task_name == "candidate-split-evaluation":
                n_told.append(context.task_id)
                told.set()

    search = _search(BatchedGridSearchCV, n_jobs=n_jobs, batch_members=1, refit=False)
    with parallel_config(backend="threading"):
        search.set_callbacks(Teller()).fit(X, y)
    assert in_time == [True]
    assert sorted(n_told) == [0, 1, 2, 3]


@pytest.mark.processes
def test_a_backend_without_generators():
    X, y = _data(MLPClassifier)
    recorder = Recorder()
    search = _search(BatchedGridSearchCV, n_jobs=2, refit=False)
    with parallel_config(backend="multiprocessing"):
        search.set_callbacks(recorder).fit(X, y)
    assert recorder.record.count("end candidate-split-evaluation") == 4


def test_a_hook_that_fails_ends_a_search():
    X, y = _data(MLPClassifier)
    at = "end candidate-split-evaluation"
    for n_jobs in (1, 2):
        recorder = Recorder(at, _raise(OSError("in a hook")))
        search = _search(BatchedGridSearchCV, n_jobs=n_jobs, batch_members=1)
        with (
            parallel_config(backend="threading"),
            pytest.raises(OSError, match="in a hook"),
        ):
            search.set_callbacks(recorder).fit(X, y)
        assert recorder.record[-1] == "teardown fit"


# ---- progress bars -----------------------------------------------------------------


@pytest.fixture
def bar():
    """A progress bar for all levels."""
    pytest.importorskip("rich")
    from sklearn.callback import ProgressBar

    return ProgressBar(max_propagation_depth=None)


@pytest.mark.parametrize("kind", [GridSearchCV, BatchedGridSearchCV])
def test_bars_are_nested(kind, bar, stacks, capsys):
    X, y = _data(MLPClassifier)
    search = _search(kind).set_callbacks(bar).fit(X, y)
    lines = capsys.readouterr().out.splitlines()
    assert all("100%" in line for line in lines)
    text = [line.split("━")[0].rstrip() for line in lines]
    n_fits = 5 if kind is GridSearchCV else 1
    assert stacks == ([] if kind is GridSearchCV else [4])
    assert text[:2] == [f"{kind.__name__} - fit", f"  {kind.__name__} - search #0"]
    assert sum("MLPClassifier - fit #1" in line for line in text) == n_fits
    assert not PRIVATE & set(vars(search.best_estimator_["net"]))


@pytest.mark.parametrize(
    "params", [{}, {"solver": "lbfgs"}, {"n_members": 3, "solver": "lbfgs"}]
)
@pytest.mark.parametrize("max_iter", [1, 7, 300])
def test_a_bar_counts_no_more_tasks_than_it_expects(params, max_iter, bar, monkeypatch):
    from sklearn.callback import _progressbar

    X, y = _data(MLPRegressor)
    sent = []
    monkeypatch.setattr(_progressbar, "send", lambda _, message: sent.append(message))
    model = MLPRegressor(**{**PARAMS, **params, "max_iter": max_iter, "tol": 0.0})
    model.set_callbacks(bar).fit(X, y)
    total = sent[0]["max_subtasks"]
    ended = [event["path"] for event in sent if event["event"] == "end"]
    assert ended[-1] == [0]
    assert [path[1] for path in ended[:-1]] == list(range(len(ended) - 1))
    assert 1 <= len(ended) - 1 <= total <= max_iter * params.get("n_members", 1)
    if max_iter == 300:  # of a tenth of a millisecond each
        assert total < 100
    if not params:
        assert len(ended) - 1 == total


def test_slow_epochs_are_counted_one_by_one(bar, monkeypatch):
    from sklearn.callback import _progressbar

    X, y = _data(MLPRegressor)
    sent = []
    monkeypatch.setattr(_progressbar, "send", lambda _, message: sent.append(message))
    model = MLPRegressor(**PARAMS).set_params(hidden_layer_sizes=(2000, 2000))
    model.set_callbacks(bar).fit(X, y)
    assert sent[0]["max_subtasks"] == 4


def test_others_beside_a_bar_see_each_epoch(bar, capsys):
    X, y = _data(MLPRegressor)
    recorder = Recorder()
    MLPRegressor(**PARAMS).set_callbacks(bar, recorder).fit(X, y)
    assert recorder.record == SEQUENCE
    assert "MLPRegressor - fit" in capsys.readouterr().out


SCRIPT = """
import sys
from sklearn.callback import ProgressBar
from sklearn.datasets import load_digits
from sklearn.model_selection import GridSearchCV
from sk_deep import BatchedGridSearchCV, MLPClassifier

search = {kind}(
    MLPClassifier(20, max_iter=10**6, n_iter_no_change=10**6, random_state=0),
    {{"alpha": [0.1, 1.0]}}, cv=2, n_jobs={n_jobs},
)
search.set_callbacks(ProgressBar(max_propagation_depth=None))
X, y = load_digits(return_X_y=True)
try:
    search.fit(X, y)
finally:
    print("left:", *sorted(vars(search).keys() - search.get_params().keys()))
    sys.stdout.flush()
"""


@pytest.mark.processes
@pytest.mark.skipif(sys.platform == "win32", reason="there are no such terminals")
@pytest.mark.parametrize(
    ("kind", "n_jobs"), [(GridSearchCV, 2), (BatchedGridSearchCV, 1)]
)
def test_an_interrupt_ends_the_bars(kind, n_jobs):
    pytest.importorskip("rich")
    import pty

    master, slave = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-c", SCRIPT.format(kind=kind.__name__, n_jobs=n_jobs)],
        stdout=slave,
        stderr=subprocess.PIPE,
        env={**os.environ, "TERM": "xterm", "OMP_NUM_THREADS": "1"},
        start_new_session=True,
    ) as process:
        os.close(slave)
        out = b""
        seen = b"MLPClassifier - fit" if kind is GridSearchCV else b"search #0"
        while seen not in out:  # what has begun is drawn
            out += os.read(master, 2**16)
        time.sleep(0.3)
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does
        try:
            while part := os.read(master, 2**16):
                out += part
        except OSError:  # the end, on Linux
            pass
        os.close(master)
        error = process.stderr.read().decode()
        assert process.wait(timeout=60) == -signal.SIGINT
    assert error.rstrip().endswith("KeyboardInterrupt")
    assert "During handling" not in error
    assert "Exception" not in error
    assert out.count(b"\x1b[?25l") == out.count(b"\x1b[?25h") == 1  # the cursor
    left = out.decode().split("left:")[1].split()
    assert not PRIVATE & set(left)
    assert "best_estimator_" not in left
