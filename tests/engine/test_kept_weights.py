"""Averaged weights: by their formula, and wherever training is cut and goes on."""

import pickle

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.metrics import log_loss
from sklearn.model_selection import StratifiedKFold
from skorch.callbacks import Callback

from sk_deep import BatchedGridSearchCV, MLPClassifier, MLPRegressor

RNG = np.random.RandomState(0)
X = RNG.standard_normal((90, 4))
Y = X[:, 0] - X[:, 1] ** 2
SHORT = {"hidden_layer_sizes": 5, "max_iter": 4, "batch_size": 30, "random_state": 0}


class Steps(Callback):
    """Writes the weights of each step down, for all copies."""

    found: list = []

    def on_train_begin(self, net, **kwargs):
        self.found.clear()

    def on_batch_end(self, net, training=False, **kwargs):
        if training:
            self.found.append(net.module_.flat.numpy().copy())


def average(steps, decay):
    """Kingma and Ba, sec. 7.2, with the correction of the bias."""
    factors = decay ** np.arange(len(steps))[::-1]
    return np.average(steps, axis=0, weights=factors)


def flat(model):
    return model.net_.module_.flat.numpy()


@pytest.mark.parametrize(
    "params",
    [{}, {"solver": "sgd"}, {"dropout": 0.3}, {"n_members": 3}, {"max_norm": 0.5}],
    ids=str,
)
def test_averages_are_those_of_the_formula(params):
    model = MLPRegressor(
        **SHORT, **params, weight_averaging=1.5, callbacks=[Steps()]
    ).fit(X, Y)
    steps = np.array(Steps.found)
    assert len(steps) == 4 * 3
    expected = average(steps, np.exp(-1 / (1.5 * 3)))
    np.testing.assert_allclose(flat(model), expected, rtol=1e-10)
    # the steps themselves are those without an average
    plain = MLPRegressor(**SHORT, **params).fit(X, Y)
    np.testing.assert_allclose(flat(plain), steps[-1], rtol=1e-10)
    np.testing.assert_allclose(plain.loss_curve_, model.loss_curve_, rtol=1e-10)


def test_what_validation_watches_is_the_average():
    params = {**SHORT, "early_stopping": True, "weight_averaging": 2.0}
    one = MLPRegressor(**params, scoring="loss").fit(X, Y)
    best = int(np.argmax(one.validation_scores_))
    again = MLPRegressor(**{**params, "max_iter": best + 1}, scoring="loss").fit(X, Y)
    np.testing.assert_array_equal(flat(one), flat(again))
    assert one.validation_scores_ == [-loss for loss in one.validation_loss_curve_]
    plain = MLPRegressor(**{**params, "weight_averaging": None}, scoring="loss")
    assert plain.fit(X, Y).validation_scores_[0] != one.validation_scores_[0]


def test_moments_of_batch_normalization_are_averaged():
    class Moments(Steps):
        found: list = []

        def on_batch_end(self, net, training=False, **kwargs):
            if training:
                self.found.append(net.module_.flat_buffers.numpy().copy())

    model = MLPRegressor(
        **SHORT, normalization="batch", weight_averaging=1.0, callbacks=[Moments()]
    ).fit(X, Y)
    expected = average(np.array(Moments.found), np.exp(-1 / 3))
    np.testing.assert_allclose(model.net_.module_.flat_buffers, expected, rtol=1e-10)


@pytest.mark.parametrize("pickled", [False, True])
def test_partial_fits_go_on_from_the_last_step(pickled):
    whole = MLPRegressor(**SHORT, weight_averaging=2.0, shuffle=False).fit(X, Y)
    parts = clone(whole)
    for _ in range(4):
        parts.partial_fit(X, Y)
        if pickled:
            parts = pickle.loads(pickle.dumps(parts))
    np.testing.assert_allclose(flat(parts), flat(whole), rtol=1e-12)


def test_a_partial_fit_goes_on_from_the_best_epoch():
    params = {"n_iter_no_change": 2, "max_iter": 60, "weight_averaging": 1.0}
    model = MLPRegressor(**{**SHORT, **params}, early_stopping=True, scoring="loss")
    model.set_params(learning_rate_init=0.1).fit(X, Y)
    best = flat(model).copy()
    assert np.argmax(model.validation_scores_) < model.n_iter_ - 1
    model.set_params(early_stopping=False, scoring=None, learning_rate_init=1e-12)
    np.testing.assert_allclose(flat(model.partial_fit(X, Y)), best, atol=1e-9)


def test_a_warm_start_begins_with_the_averages():
    model = MLPRegressor(**SHORT, weight_averaging=2.0, warm_start=True).fit(X, Y)
    start = MLPRegressor(**SHORT, warm_start=True).fit(X, Y)
    start.net_.module_.flat.copy_(model.net_.module_.flat)
    rate = {"learning_rate_init": 1e-12}
    np.testing.assert_allclose(
        flat(model.set_params(**rate).fit(X, Y)),
        flat(start.set_params(**rate).fit(X, Y)),
        atol=1e-9,
    )


def test_members_of_a_stack_have_averages_of_their_own():
    model = MLPClassifier(**SHORT, weight_averaging=3.0)
    grid = {"learning_rate_init": [1e-3, 3e-2], "random_state": [0, 1]}
    grid["max_iter"] = [3, 12, 20]  # those that end leave a smaller stack
    y = Y > Y.mean()
    search = BatchedGridSearchCV(
        model, grid, cv=2, refit=False, scoring="neg_log_loss"
    ).fit(X, y)
    train, test = next(StratifiedKFold(2).split(X, y))
    for params, score in zip(
        search.cv_results_["params"],
        search.cv_results_["split0_test_score"],
        strict=True,
    ):
        single = clone(model).set_params(**params).fit(X[train], y[train])
        loss = log_loss(y[test], single.predict_proba(X[test]))
        assert score == pytest.approx(-loss, rel=1e-9)


def test_lbfgs_has_no_steps_to_average():
    with pytest.raises(ValueError, match=r"lbfgs.*not averaged.*weight_averaging=1.0"):
        MLPRegressor(solver="lbfgs", weight_averaging=1.0).fit(X, Y)
