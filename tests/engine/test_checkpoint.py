"""A killed fit resumes, and ends where one ends that was never killed."""

import os

import numpy as np
import pytest
from faults import Kill, Killed
from numpy.random import RandomState
from option_rows import ROWS
from sklearn.model_selection import GridSearchCV
from skorch.callbacks import Callback

from sk_deep import BatchedGridSearchCV, MLPClassifier, MLPRegressor
from sk_deep._files import plain_tree
from sk_deep.callbacks import Checkpoint

SHORT = {"hidden_layer_sizes": (8,), "max_iter": 7, "random_state": 0}


def _resumed(model, folder, X, y, *, epochs=(3,), every=1, **options):
    """Fit, killed after some epochs, once or more; then to the end."""
    checkpoint = Checkpoint(folder, every=every)
    for epoch in epochs:
        killed = model(callbacks=[checkpoint, Kill(epoch)])
        with pytest.raises(Killed):
            killed.fit(X, y, **options)
        assert not hasattr(killed, "net_") or killed.warm_start
        assert len(os.listdir(folder)) == 1
    last = model(callbacks=[checkpoint]).fit(X, y, **options)
    assert os.listdir(folder) == []
    return last


def _assert_alike(found, expected):
    ours, theirs = (plain_tree.dump(_state(one), {}) for one in (found, expected))
    assert ours == theirs


def _state(model):
    """What a fit has left, as plain data."""
    state = model.__getstate__()
    net = state.pop("_net_state")
    attributes = {k: v for k, v in state.items() if k not in model.get_params()}
    training = net["training"] and {
        **net["training"],
        "optimizer": net["training"]["optimizer"]["state"],
    }
    return attributes, net["flat"], net["flat_buffers"], training


def _is_by_epochs(row):
    return row.get("solver") != "lbfgs" and row.get("max_iter", 9) > 3


@pytest.mark.parametrize("params", [row for row in ROWS if _is_by_epochs(row)])
def test_each_option_resumes(params, digits, tmp_path):
    X, y = (part[:200] for part in digits)

    def model(**own):
        return MLPClassifier(**{**SHORT, **params, "max_iter": 7}, **own)

    found = _resumed(model, tmp_path, X, y)
    _assert_alike(found, model().fit(X, y))


@pytest.mark.parametrize(
    "params",
    [
        {"warm_start": True, "dropout": 0.2},
        {"shuffle": False},
        {"early_stopping": True, "validation_fraction": 0.3},
        {"early_stopping": True, "n_members": 3, "n_iter_no_change": 1},
        {"learning_rate": "adaptive", "solver": "sgd", "tol": 1.0, "max_iter": 30},
        {"n_iter_no_change": 2, "tol": 1.0, "max_iter": 30},
        {"loss": "quantile", "loss_params": {"quantile": 0.9}},
        {"batch_size": 7, "normalization": "batch"},
        {"weight_averaging": 2.0, "normalization": "batch"},
        {"early_stopping": True, "n_members": 4, "n_folds": 2, "weight_averaging": 1.0},
    ],
)
def test_regressors_resume(params, diabetes, tmp_path):
    X, y = (part[:100] for part in diabetes)

    def model(**own):
        return MLPRegressor(**{**SHORT, **params}, **own)

    found = _resumed(model, tmp_path, X, y, epochs=(2, 3))
    _assert_alike(found, model().fit(X, y))


@pytest.mark.parametrize("every", [2, 3])
def test_epochs_that_were_not_written_are_done_again(every, digits, tmp_path):
    X, y = digits

    def model(**own):
        return MLPClassifier(**SHORT, dropout=0.1, **own)

    found = _resumed(model, tmp_path, X, y, epochs=(3, 5), every=every)
    _assert_alike(found, model().fit(X, y))


def test_a_fit_that_was_killed_after_its_last_epoch(digits, tmp_path):
    def model(**own):
        return MLPClassifier(**SHORT, **own)

    found = _resumed(model, tmp_path, *digits, epochs=(7,))
    _assert_alike(found, model().fit(*digits))


def test_only_epochs_that_are_left_are_done(digits, tmp_path):
    epochs = []

    class Count(Callback):
        def on_epoch_end(self, net, **kwargs):
            epochs.append(len(net.history))

    def model(callbacks):
        return MLPClassifier(**SHORT, callbacks=[*callbacks, Count()])

    _resumed(model, tmp_path, *digits, epochs=(3, 5))
    assert epochs == [1, 2, 4, 6, 7]


def test_a_warm_start_resumes_from_its_own_weights(digits, tmp_path):
    X, y = digits
    first = MLPClassifier(**SHORT, warm_start=True).fit(X, y)
    expected = first.predict_proba(X)
    model = MLPClassifier(**SHORT, warm_start=True).fit(X, y)
    model.set_params(callbacks=[Checkpoint(tmp_path), Kill(2)])
    with pytest.raises(Killed):
        model.fit(X, y)
    np.testing.assert_array_equal(model.predict_proba(X), expected)
    model.set_params(callbacks=[Checkpoint(tmp_path)]).fit(X, y)
    _assert_alike(model, first.fit(X, y))


def test_a_random_state_is_left_as_without_a_kill(digits, tmp_path):
    first, second = RandomState(3), RandomState(3)
    params = {**SHORT, "callbacks": [Checkpoint(tmp_path), Kill(3)]}
    with pytest.raises(Killed):
        MLPClassifier(**{**params, "random_state": RandomState(3)}).fit(*digits)
    params["callbacks"] = [Checkpoint(tmp_path)]
    MLPClassifier(**{**params, "random_state": first}).fit(*digits)
    MLPClassifier(**{**SHORT, "random_state": second}).fit(*digits)
    assert os.listdir(tmp_path) == []
    assert first.randint(10**9) == second.randint(10**9)


@pytest.mark.parametrize(
    "change",
    [
        {"alpha": 0.1},
        {"random_state": 1},
        {"max_iter": 9},
        {"X": 1.001},
        {"y": slice(None, None, -1)},
        {"sample_weight": 2.0},
    ],
    ids=str,
)
def test_another_fit_starts_afresh(change, digits, tmp_path):
    X, y = digits
    with pytest.raises(Killed):
        MLPClassifier(**SHORT, callbacks=[Checkpoint(tmp_path), Kill(3)]).fit(X, y)
    X, y = X * change.pop("X", 1), y[change.pop("y", slice(None))]
    weight = {k: np.full(len(y), change.pop(k)) for k in list(change) if k[0] == "s"}
    params = {**SHORT, **change}
    model = MLPClassifier(**params, callbacks=[Checkpoint(tmp_path)])
    _assert_alike(
        model.fit(X, y, **weight), MLPClassifier(**params).fit(X, y, **weight)
    )
    assert len(os.listdir(tmp_path)) == 1


@pytest.mark.parametrize("content", [b"", b"half", b"\x80\x04K\x01."])
def test_a_corrupt_file_is_told_and_not_used(content, digits, tmp_path):
    callbacks = [Checkpoint(tmp_path), Kill(3)]
    with pytest.raises(Killed):
        MLPClassifier(**SHORT, callbacks=callbacks).fit(*digits)
    (path,) = tmp_path.iterdir()
    path.write_bytes(content)
    model = MLPClassifier(**SHORT, callbacks=[Checkpoint(tmp_path)])
    with pytest.warns(UserWarning, match="training starts afresh") as caught:
        model.fit(*digits)
    assert caught[0].filename == __file__
    _assert_alike(model, MLPClassifier(**SHORT).fit(*digits))


@pytest.mark.processes
@pytest.mark.parametrize("search", [GridSearchCV, BatchedGridSearchCV])
def test_workers_share_a_folder(search, digits, tmp_path):
    X, y = (part[:200] for part in digits)
    grid = {"alpha": [1e-4, 1e-2], "learning_rate_init": [0.01, 0.001]}
    own = MLPClassifier(**SHORT, callbacks=[Checkpoint(tmp_path / "new" / "folder")])
    found = search(own, grid, cv=2, n_jobs=2).fit(X, y)
    expected = search(MLPClassifier(**SHORT), grid, cv=2).fit(X, y)
    for name in ("mean_test_score", "std_test_score"):
        np.testing.assert_allclose(found.cv_results_[name], expected.cv_results_[name])
    assert list((tmp_path / "new" / "folder").iterdir()) == []


@pytest.mark.parametrize(
    ("params", "text"),
    [
        ({"solver": "lbfgs"}, "got solver='lbfgs'"),
        ({"random_state": None}, r"got random_state=None in fit\."),
        ({"callbacks": [Checkpoint("folder", every=0)]}, "every must be an integer"),
        ({"callbacks": [Checkpoint("folder", every=1.5)]}, "every must be an integer"),
    ],
)
def test_what_cannot_resume_is_refused(params, text, digits, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    params = {**SHORT, "callbacks": [Checkpoint("folder")], **params}
    with pytest.raises(ValueError, match=text):
        MLPClassifier(**params).fit(*digits)


def test_partial_fit_is_refused(digits, tmp_path):
    X, y = digits
    model = MLPClassifier(**SHORT, callbacks=[Checkpoint(tmp_path)])
    with pytest.raises(ValueError, match=r"needs fit .* in partial_fit\."):
        model.partial_fit(X, y, classes=np.unique(y))
