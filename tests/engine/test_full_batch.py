"""L-BFGS: its options, its callbacks, and what it leaves when it is interrupted."""

import os
import signal

import numpy as np
import pytest
from sklearn.metrics import log_loss
from skorch.callbacks import Callback, EarlyStopping

from sk_deep import MLPClassifier

PARAMS = {"solver": "lbfgs", "random_state": 0, "hidden_layer_sizes": (16,)}


@pytest.mark.parametrize("params", [{"maxcor": 1}, {"ftol": 0.1}, {"maxls": 1}])
def test_options_of_scipy_act(params, digits):
    plain = MLPClassifier(**PARAMS, max_iter=20).fit(*digits)
    model = MLPClassifier(**PARAMS, max_iter=20, solver_params=params).fit(*digits)
    assert model.loss_ != plain.loss_


def test_verbose_tells_of_iterations(digits, capfd):
    for verbose in (False, 0):
        MLPClassifier(**PARAMS, max_iter=3, verbose=verbose).fit(*digits)
    assert capfd.readouterr() == ("", "")
    model = MLPClassifier(**PARAMS, max_iter=3, verbose=True).fit(*digits)
    *_, last = capfd.readouterr().out.splitlines()
    assert last.startswith("Iteration 3, loss = ")
    assert float(last.split()[-1]) == pytest.approx(model.loss_, rel=1e-7)


@pytest.mark.parametrize("n_members", [1, 3])
def test_moments_of_batch_norm_are_those_of_the_data(n_members, digits):
    X, y = digits[0] * 5 + 20, digits[1]
    model = MLPClassifier(
        **PARAMS, alpha=0, normalization="batch", max_iter=15, n_members=n_members
    ).fit(X, y)
    losses = [
        log_loss(y, p) for p in model.predict_proba_samples(X, n_samples=n_members)
    ]
    # training divides by n, prediction by n - 1
    assert np.mean(losses) == pytest.approx(model.loss_, rel=0.01)


@pytest.mark.parametrize("n_members", [1, 2])
def test_early_stopping_of_skorch(n_members, digits, capfd):
    stop = EarlyStopping("train_loss", patience=2, threshold=10, threshold_mode="abs")
    model = MLPClassifier(**PARAMS, callbacks=[stop], n_members=n_members).fit(*digits)
    assert model.n_iter_ < 10
    assert capfd.readouterr().out == ""  # it prints where a net is verbose
    assert np.isfinite(model.predict_proba(digits[0])).all()


class Interrupt(Callback):
    """Send a SIGINT after some iterations, as Ctrl-C does."""

    def on_epoch_begin(self, net, **kwargs):
        if len(net.history) == 4:
            os.kill(os.getpid(), signal.SIGINT)


def test_an_interrupt_leaves_the_last_iteration(digits):
    model = MLPClassifier(**PARAMS, callbacks=[Interrupt()])
    with pytest.raises(KeyboardInterrupt):
        model.fit(*digits)
    expected = MLPClassifier(**PARAMS, max_iter=model.n_iter_).fit(*digits)
    assert model.n_iter_ == 3
    np.testing.assert_allclose(
        model.predict_proba(digits[0]), expected.predict_proba(digits[0]), atol=1e-9
    )
