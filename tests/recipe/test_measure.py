"""What a diagnosis measures, against scikit-learn and fits by hand."""

import functools

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.stats import entropy
from sklearn.datasets import load_diabetes, load_iris, make_multilabel_classification
from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.linear_model import LogisticRegression, RidgeCV
from sklearn.metrics import confusion_matrix, log_loss
from sklearn.model_selection import (
    GridSearchCV,
    KFold,
    StratifiedKFold,
    cross_val_predict,
    cross_validate,
)
from sklearn.multiclass import OneVsRestClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sk_deep import BatchedGridSearchCV, MLPClassifier, MLPRegressor, diagnose
from sk_deep._engine.unit_states import unit_states
from sk_deep.callbacks import LayerMonitor
from sk_deep.recipe import _study

NAMES = "classes", "values"


@functools.cache
def data(name):
    X, y = (load_iris if name == "classes" else load_diabetes)(return_X_y=True)
    rows = np.random.RandomState(0).permutation(len(X))[:120]
    X, y = 10 * X[rows], y[rows]
    if name == "values":
        return X, (y - y.mean()) / y.std()
    return X, np.array(["one", "three", "two"])[y]


def estimator(name, **params):
    kind = MLPClassifier if name == "classes" else MLPRegressor
    network = kind(random_state=0, dtype="float64", device="cpu")
    settings = {"hidden_layer_sizes": (8, 8), "max_iter": 15, "tol": 0.0}
    return make_pipeline(StandardScaler(), network.set_params(**settings, **params))


def splitter(name):
    return StratifiedKFold(3) if name == "classes" else KFold(3)


@functools.cache
def diagnosis(name):
    return diagnose(estimator(name), *data(name), cv=splitter(name), random_state=0)


def measured(name):
    return diagnosis(name).measurements


@functools.cache
def fits(name):
    """Fit by hand on each split."""
    X, y = data(name)
    found = []
    for train, _ in splitter(name).split(X, y):
        model = estimator(name)
        network = model[-1].set_params(callbacks=[LayerMonitor()])
        network.fit(model[:-1].fit_transform(X[train]), y[train])
        found.append(model)
    return found


def assert_scores(scores, model, X, y, cv, **params):
    found = cross_validate(model, X, y, cv=cv, return_train_score=True, **params)
    assert_allclose(scores.train, found["train_score"], rtol=1e-6, atol=1e-9)
    assert_allclose(scores.test, found["test_score"], rtol=1e-6, atol=1e-9)


# ---- scores ------------------------------------------------------------------------


@pytest.mark.long
@pytest.mark.parametrize("name", NAMES)
def test_scores_of_the_network(name):
    assert_scores(measured(name).network, estimator(name), *data(name), splitter(name))


@pytest.mark.long
@pytest.mark.parametrize("name", NAMES)
def test_scores_of_the_yardsticks(name):
    is_classes = name == "classes"
    linear = (
        LogisticRegression(max_iter=500)
        if is_classes
        else RidgeCV(alphas=10.0 ** np.arange(-3, 4))
    )
    network = estimator(name)[-1]
    plain = type(network)(random_state=0, dtype="float64", device="cpu")
    plain.set_params(hidden_layer_sizes=(128,), max_iter=100)
    models = {
        "constant": DummyClassifier() if is_classes else DummyRegressor(),
        "linear": linear,
        "plain": plain,
    }
    for key, model in models.items():
        scaled = make_pipeline(StandardScaler(), model)
        assert_scores(getattr(measured(name), key), scaled, *data(name), splitter(name))


def test_scores_are_of_the_scoring_and_weights_of_the_training():
    X, y = data("classes")
    weight = np.random.RandomState(0).uniform(size=len(y))
    cv = splitter("classes")
    found = diagnose(
        estimator("classes"),
        *(X, y),
        cv=cv,
        scoring="neg_log_loss",
        sample_weight=weight,
        random_state=0,
    ).measurements
    pairs = [
        (found.network, estimator("classes"), "mlpclassifier"),
        (
            found.linear,
            make_pipeline(StandardScaler(), LogisticRegression(max_iter=500)),
            "logisticregression",
        ),
    ]
    for scores, model, step in pairs:
        params = {f"{step}__sample_weight": weight}
        assert_scores(scores, model, X, y, cv, scoring="neg_log_loss", params=params)


def test_linear_model_of_many_labels():
    X, Y = make_multilabel_classification(90, 5, random_state=0)
    network = estimator("classes").set_params(mlpclassifier__max_iter=2)
    cv = KFold(3)
    scores = diagnose(network, X, Y, cv=cv, random_state=0).measurements.linear
    linear = OneVsRestClassifier(LogisticRegression(max_iter=500))
    found = cross_validate(
        make_pipeline(StandardScaler(), linear), X, Y, cv=cv, return_train_score=True
    )
    # predictions at the border may differ
    assert_allclose(scores.train, found["train_score"], atol=0.02)
    assert_allclose(scores.test, found["test_score"], atol=0.04)


@pytest.mark.long
@pytest.mark.parametrize("name", NAMES)
def test_learning_curve(name, monkeypatch):
    parts = []
    original = _study.Study._part

    def part(study, rows, size):
        parts.append((rows, original(study, rows, size)))
        return parts[-1][1]

    monkeypatch.setattr(_study.Study, "_part", part)
    X, y = data(name)
    found = diagnose(estimator(name), X, y, cv=splitter(name), random_state=0)
    assert list(found.measurements.learning_curve) == [20, 40, 80]
    *parts_scores, whole = found.measurements.learning_curve.values()
    assert whole is found.measurements.network
    tests = [test for _, test in splitter(name).split(X, y)]
    for i, scores in enumerate(parts_scores):
        given = parts[3 * i : 3 * i + 3]
        for rows, chosen in given:
            assert set(chosen) <= set(rows)
            assert len(set(chosen)) == len(chosen) == 20 * 2**i
            if name == "classes":
                counts = np.unique(y[chosen], return_counts=True)[1]
                assert counts.max() - counts.min() <= 2
        splits = [
            (chosen, test) for (_, chosen), test in zip(given, tests, strict=True)
        ]
        assert_scores(scores, estimator(name), X, y, splits)


def test_recalls():
    X, y = data("classes")
    predicted = cross_val_predict(estimator("classes"), X, y, cv=splitter("classes"))
    confusion = confusion_matrix(y, predicted)
    assert_allclose(measured("classes").recalls, np.diag(confusion) / confusion.sum(1))
    assert_array_equal(measured("classes").class_counts, confusion.sum(axis=1))


# ---- training ----------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_records_of_the_training(name):
    m, networks = measured(name), [model[-1] for model in fits(name)]
    assert m.loss_curves == [network.loss_curve_ for network in networks]
    assert_array_equal(m.n_epochs, 15)
    assert m.hits_limit == 1.0
    for values, curve in [
        (m.gradient_norms, "gradient_norm_curve_"),
        (m.update_ratios, "update_ratio_curve_"),
    ]:
        assert values.shape == (15, 3)
        expected = np.mean([getattr(one, curve) for one in networks], axis=0)
        assert_allclose(values, expected)


@pytest.mark.parametrize("name", NAMES)
def test_units(name):
    X, y = data(name)
    found = []
    for model, (train, _) in zip(fits(name), splitter(name).split(X, y), strict=True):
        states = unit_states(model[-1].net_, model[:-1].transform(X[train]))
        found.append([[one.dead.mean(), one.saturated.mean()] for one in states])
    dead, saturated = np.mean(found, axis=0).T
    assert_allclose(measured(name).dead_units, dead)
    assert_allclose(measured(name).saturated_units, saturated)


@pytest.mark.parametrize("name", NAMES)
def test_sweep_over_rates(name):
    m, (X, y) = measured(name), data(name)
    train, _ = next(iter(splitter(name).split(X, y)))
    assert m.rate == 1e-3
    assert_allclose(m.rates, 1e-3 * np.array(_study.RATE_FACTORS))
    assert m.rate_epochs == 15
    for rate, loss in list(zip(m.rates, m.rate_losses, strict=True))[::3]:
        model = estimator(name, learning_rate_init=rate, n_iter_no_change=np.inf)
        assert loss == pytest.approx(model.fit(X[train], y[train])[-1].loss_, rel=1e-6)


@pytest.mark.long
def test_rates_that_diverge_have_an_infinite_loss():
    model = estimator("values", solver="sgd", learning_rate_init=0.1)
    model.set_params(mlpregressor__max_iter=100, mlpregressor__dtype="float32")
    m = diagnose(model, *data("values"), cv=splitter("values"), random_state=0)
    m = m.measurements
    for rate, loss in zip(m.rates[-2:], m.rate_losses[-2:], strict=True):
        assert rate >= 10
        assert np.isposinf(loss)
    assert np.isfinite(m.rate_losses[0])


# ---- data --------------------------------------------------------------------------


@pytest.mark.long
@pytest.mark.parametrize("name", NAMES)
def test_scales_are_of_what_the_network_gets(name):
    X, y = data(name)
    bare = diagnose(estimator(name)[-1], X, y, cv=splitter(name), random_state=0)
    train, _ = next(iter(splitter(name).split(X, y)))
    m = bare.measurements
    assert_allclose(m.scales, X[train].std(axis=0))
    means = np.abs(X[train].mean(axis=0))
    assert_allclose(m.offsets, means / X[train].std(axis=0))
    assert_allclose(measured(name).scales, 1.0)
    assert_allclose(measured(name).offsets, 0.0, atol=1e-9)


def test_scale_and_loss_of_a_constant():
    _, y = data("values")
    assert measured("values").constant_loss == pytest.approx(y.var() / 2)
    assert measured("values").target_scale == pytest.approx(y.std())
    _, y = data("classes")
    parts = np.unique(y, return_counts=True)[1] / len(y)
    expected = log_loss(y, np.tile(parts, (len(y), 1)))
    assert measured("classes").constant_loss == pytest.approx(expected)
    assert measured("classes").constant_loss == pytest.approx(entropy(parts))
    assert measured("classes").facts == (120, 4, True, 3)
    assert measured("values").facts == (120, 10, False, 0)


# ---- how many fits -----------------------------------------------------------------


@pytest.mark.long
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("has_test_data", [False, True])
def test_number_of_fits(name, has_test_data, monkeypatch):
    n_fits = 0
    fit_network, fit_search = type(estimator(name)[-1]).fit, GridSearchCV.fit
    is_in_search = []

    def count_network(self, *args, **kwargs):
        nonlocal n_fits
        n_fits += not is_in_search
        return fit_network(self, *args, **kwargs)

    def count_search(self, *args, **kwargs):
        nonlocal n_fits
        is_in_search.append(self)
        fit_search(self, *args, **kwargs)
        is_in_search.pop()
        n_fits += len(self.cv_results_["params"]) * self.n_splits_
        return self

    monkeypatch.setattr(type(estimator(name)[-1]), "fit", count_network)
    monkeypatch.setattr(BatchedGridSearchCV, "fit", count_search)
    X, y = data(name)
    test = {"X_test": X, "y_test": y} if has_test_data else {}
    found = diagnose(estimator(name), X, y, cv=splitter(name), random_state=0, **test)
    assert found.n_fits == n_fits
    assert found.n_fits == diagnosis(name).n_fits + has_test_data
