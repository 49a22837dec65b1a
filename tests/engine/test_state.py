"""Pickles, copies, failed and interrupted fits, and what a call must not change."""

import copy
import io
import os
import pickle
import pickletools
import random
import signal
import threading
import warnings

import cloudpickle
import joblib
import numpy as np
import pytest
import torch
from skorch.callbacks import Callback

from sk_deep import MLPClassifier, MLPRegressor
from sk_deep.exceptions import DeviceFallbackWarning, DivergenceError

STOCHASTIC = {
    "dropout": 0.2,
    "normalization": "batch",
    "max_iter": 3,
    "random_state": 0,
}


def _mmap(model):
    buffer_file = "model.joblib"
    joblib.dump(model, buffer_file)
    return joblib.load(buffer_file, mmap_mode="r")


ROUND_TRIPS = {
    "pickle": lambda model: pickle.loads(pickle.dumps(model)),
    "cloudpickle": lambda model: pickle.loads(cloudpickle.dumps(model)),
    "deepcopy": copy.deepcopy,
    "copy": copy.copy,
    "mmap": _mmap,
}


@pytest.fixture(autouse=True)
def _in_tmp_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("n_members", [1, 3])
@pytest.mark.parametrize("round_trip", ROUND_TRIPS.values(), ids=ROUND_TRIPS)
def test_round_trip(round_trip, n_members, digits):
    X, y = digits
    model = MLPClassifier(**STOCHASTIC, n_members=n_members).fit(X, y)
    loaded = round_trip(model)
    np.testing.assert_array_equal(loaded.predict_proba(X), model.predict_proba(X))
    for ours, theirs in zip(loaded.coefs_, model.coefs_, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert loaded.history_ == model.history_
    loaded.fit(X, y)
    np.testing.assert_array_equal(loaded.predict_proba(X), model.predict_proba(X))


@pytest.mark.parametrize("solver", ["sgd", "adam", "adamw", "adagrad"])
def test_partial_fit_goes_on_after_a_round_trip(solver, digits):
    X, y = digits
    model = MLPClassifier(**STOCHASTIC, solver=solver)
    model.partial_fit(X, y, classes=np.unique(y)).partial_fit(X, y)
    loaded = pickle.loads(pickle.dumps(model))
    before = model.predict_proba(X)
    loaded.partial_fit(X, y)
    np.testing.assert_array_equal(model.predict_proba(X), before)
    model.partial_fit(X, y)
    np.testing.assert_array_equal(loaded.predict_proba(X), model.predict_proba(X))


def test_masks_differ_between_partial_fits(digits):
    X, y = digits
    model = MLPClassifier(dropout=0.5, random_state=0)
    model.partial_fit(X, y, classes=np.unique(y))
    first = model.net_.module_.generator.get_state()
    model.partial_fit(X, y)
    assert not torch.equal(model.net_.module_.generator.get_state(), first)


@pytest.mark.parametrize("streams", [False, True])
def test_pickle_holds_no_torch(streams, digits):
    X, y = digits
    model = MLPClassifier(**STOCHASTIC, warm_start=True).fit(X, y)
    if streams:
        model.partial_fit(X, y)
    strings = {
        argument
        for _, argument, _ in pickletools.genops(pickle.dumps(model))
        if isinstance(argument, str)
    }
    assert not [s for s in strings if s.split(".")[0].split(" ")[0] == "torch"]
    assert any(s.startswith("sk_deep") for s in strings)  # the scan sees names


@pytest.mark.parametrize(
    ("params", "n_copies"), [({}, 2), ({"max_iter": 200}, 2), ({"warm_start": True}, 4)]
)
def test_pickle_is_small(params, n_copies, digits):
    model = MLPClassifier((200,), random_state=0, max_iter=5, tol=0).set_params(
        **params
    )
    model.fit(*digits)
    n_bytes = sum(array.nbytes for array in model.coefs_ + model.intercepts_)
    limit = n_copies * n_bytes + 32 * 1024 + 18 * model.n_iter_
    assert len(pickle.dumps(model)) < limit


def test_a_net_from_a_gpu_predicts_on_the_cpu(digits):
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    X, y = digits
    model = MLPClassifier(**STOCHASTIC).fit(X, y)
    state = pickle.dumps(model.set_params(device="cuda"))
    with pytest.warns(DeviceFallbackWarning, match="device='cuda' is not available"):
        loaded = pickle.loads(state)
    np.testing.assert_array_equal(loaded.predict_proba(X), model.predict_proba(X))


class Fail(Callback):
    def on_epoch_end(self, net, **kwargs):
        raise OSError("disk full")


def test_a_failed_fit_leaves_the_former_model(digits, diabetes):
    X, y = digits
    model = MLPClassifier(max_iter=3, random_state=0).fit(X, y)
    before = model.predict_proba(X)
    attributes = dict(vars(model))
    with pytest.raises(OSError, match="disk full"):
        model.set_params(callbacks=[Fail()]).fit(X[:, :5], y)
    model.set_params(callbacks=None)
    assert vars(model) == attributes
    np.testing.assert_array_equal(model.predict_proba(X), before)
    regressor = MLPRegressor(max_iter=3, random_state=0).fit(*diabetes)
    before = regressor.predict(diabetes[0])
    regressor.set_params(solver="sgd", learning_rate_init=1e9)
    with pytest.raises(DivergenceError, match="no longer finite at epoch"):
        regressor.fit(*diabetes)
    np.testing.assert_array_equal(regressor.predict(diabetes[0]), before)


class Interrupt(Callback):
    """Send a SIGINT in the given epoch, as Ctrl-C does."""

    def __init__(self, epoch):
        self.epoch = epoch

    def on_batch_end(self, net, **kwargs):
        if net.history[-1, "epoch"] == self.epoch:
            os.kill(os.getpid(), signal.SIGINT)


@pytest.mark.parametrize("early_stopping", [False, True])
def test_an_interrupt_leaves_the_last_epoch(early_stopping, digits):
    X, y = digits
    params = {"random_state": 0, "early_stopping": early_stopping, "batch_size": 100}
    model = MLPClassifier(**params, callbacks=[Interrupt(4)])
    with pytest.raises(KeyboardInterrupt):
        model.fit(X, y)
    expected = MLPClassifier(**params, max_iter=3).fit(X, y)
    assert model.n_iter_ == len(model.loss_curve_) == 3
    np.testing.assert_array_equal(model.predict_proba(X), expected.predict_proba(X))


def test_an_interrupt_before_an_epoch_leaves_no_model(digits):
    model = MLPClassifier(callbacks=[Interrupt(1)])
    with pytest.raises(KeyboardInterrupt):
        model.fit(*digits)
    assert not hasattr(model, "net_")


def test_global_random_states_are_not_touched(digits):
    X, y = digits
    before = (torch.get_rng_state(), np.random.get_state()[1], random.getstate())
    model = MLPClassifier(**STOCHASTIC, input_dropout=0.1, early_stopping=True)
    model.fit(X, y).predict(X)
    after = (torch.get_rng_state(), np.random.get_state()[1], random.getstate())
    assert torch.equal(before[0], after[0])
    np.testing.assert_array_equal(before[1], after[1])
    assert before[2] == after[2]


def test_number_of_threads_is_restored(digits):
    n_threads = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        model = MLPClassifier(**STOCHASTIC).fit(*digits)
        assert torch.get_num_threads() == 2
        model.predict(digits[0])
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(n_threads)


def test_fits_in_threads_equal_serial_fits(digits):
    X, y = digits
    models = [MLPClassifier(**{**STOCHASTIC, "random_state": i}) for i in range(4)]
    serial = [copy.copy(model).fit(X, y).predict_proba(X) for model in models]
    threads = [threading.Thread(target=m.fit, args=(X, y)) for m in models]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    for model, expected in zip(models, serial, strict=True):
        np.testing.assert_array_equal(model.predict_proba(X), expected)


def test_predict_changes_nothing(digits):
    X, y = digits
    model = MLPClassifier(**STOCHASTIC).fit(X, y)
    attributes, state = dict(vars(model)), pickle.dumps(model)
    X.setflags(write=False)
    model.predict(X)
    model.predict_proba(X)
    X.setflags(write=True)
    assert vars(model) == attributes
    assert pickle.dumps(model) == state
    assert not model.net_.module_.training


def test_set_params_acts_at_the_next_fit(digits):
    X, y = digits
    model = MLPClassifier(**STOCHASTIC).fit(X, y)
    before = model.predict_proba(X)
    model.set_params(hidden_layer_sizes=(3,), activation="maxout", n_members=2)
    np.testing.assert_array_equal(model.predict_proba(X), before)
    assert pickle.loads(pickle.dumps(model)).coefs_[0].shape == (64, 100)


def test_a_fit_writes_no_file(digits, tmp_path):
    MLPClassifier(**STOCHASTIC).fit(*digits)
    assert list(tmp_path.iterdir()) == []


def test_verbose_prints_as_scikit_learn(digits, capsys):
    MLPClassifier(max_iter=1, early_stopping=True, verbose=True).fit(*digits)
    printed = io.StringIO(capsys.readouterr().out).readlines()
    assert printed[0].startswith("Iteration 1, loss = ")
    assert printed[1].startswith("Validation score: ")


def test_masks_are_drawn_anew_where_a_state_has_no_generator(digits):
    state = pickle.dumps(MLPClassifier(**STOCHASTIC, shuffle=False).fit(*digits))
    found = [
        pickle.loads(state).set_params(warm_start=True, random_state=i).fit(*digits)
        for i in (1, 1, 2)
    ]
    np.testing.assert_array_equal(found[0].coefs_[0], found[1].coefs_[0])
    assert (found[0].coefs_[0] != found[2].coefs_[0]).any()
