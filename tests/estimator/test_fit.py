"""What fit takes, what it leaves, and what it says of bad input."""

import warnings

import numpy as np
import pandas as pd
import polars as pl
import pytest
import scipy.sparse
import sklearn
import torch
from sklearn.exceptions import (
    ConvergenceWarning,
    DataConversionWarning,
    NotFittedError,
)
from sklearn.metrics import f1_score, mean_absolute_error
from sklearn.model_selection import cross_val_predict, cross_validate
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.class_weight import compute_sample_weight
from skorch.callbacks import EarlyStopping, EpochScoring, GradientNormClipping

from sk_deep import MLPClassifier, MLPRegressor
from sk_deep._engine.network_data import chunk_size

PARAMS = {"hidden_layer_sizes": (16,), "max_iter": 3, "random_state": 0}


@pytest.fixture
def proba(digits):
    return MLPClassifier(**PARAMS).fit(*digits).predict_proba(digits[0])


def _reversed(X):
    return X[:, ::-1].copy()[:, ::-1]


def _read_only(X):
    X = X.copy()
    X.setflags(write=False)
    return X


SAME_INPUTS = {
    "frame": pd.DataFrame,
    "polars": lambda X: pl.DataFrame({str(i): column for i, column in enumerate(X.T)}),
    "lists": lambda X: X.tolist(),
    "fortran": np.asfortranarray,
    "reversed": _reversed,
    "big endian": lambda X: X.astype(">f8"),
    "read only": _read_only,
    "object": lambda X: X.astype(object),
    "csr": scipy.sparse.csr_array,
    "csc": scipy.sparse.csc_matrix,
}


@pytest.mark.parametrize("convert", SAME_INPUTS.values(), ids=SAME_INPUTS)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_kinds_of_inputs(convert, dtype, digits):
    X, y = digits
    expected = MLPClassifier(**PARAMS, dtype=dtype).fit(X, y).predict_proba(X)
    found = convert(X)
    model = MLPClassifier(**PARAMS, dtype=dtype).fit(found, y)
    tol = 1e-12 if dtype == "float64" else 1e-5
    np.testing.assert_allclose(model.predict_proba(found), expected, atol=tol)


def test_memory_map(digits, tmp_path, proba):
    np.save(tmp_path / "X.npy", digits[0])
    X = np.load(tmp_path / "X.npy", mmap_mode="r")
    model = MLPClassifier(**PARAMS).fit(X, digits[1])
    np.testing.assert_array_equal(model.predict_proba(X), proba)


def test_float32_inputs_are_not_copied(digits):
    X = digits[0].astype(np.float32)
    model = MLPClassifier(**PARAMS).fit(X, digits[1])
    assert model.net_.data(X).inputs.tensor.data_ptr() == X.ctypes.data
    assert model.predict_proba(X).dtype == np.float32


LABELS = [
    np.arange(10) - 5,
    np.arange(10) - 2.0,
    np.array(list("jihgfedcba")),
    np.array([f"label {i}" for i in range(10)], dtype=object),
]


@pytest.mark.parametrize("labels", LABELS, ids=lambda labels: labels.dtype.str)
@pytest.mark.parametrize("early_stopping", [False, True])
def test_kinds_of_labels(labels, early_stopping, digits):
    X, y = digits
    model = MLPClassifier(**PARAMS, early_stopping=early_stopping).fit(X, labels[y])
    predicted = model.predict(X)
    if labels.dtype != object:  # of which scikit-learn makes strings
        assert predicted.dtype == labels.dtype
    np.testing.assert_array_equal(model.classes_, np.unique(labels))
    assert set(predicted) <= set(labels)


def test_two_classes_of_any_name(digits):
    X, y = digits
    for labels in ([False, True], ["no", "yes"], [-1, 1], [1, 2]):
        model = MLPClassifier(**PARAMS).fit(X, np.array(labels)[(y > 4).astype(int)])
        assert model.predict_proba(X).shape == (len(X), 2)
        assert model.score(X, np.array(labels)[(y > 4).astype(int)]) > 0.5


def test_a_constant_target(digits):
    X = digits[0][:20]
    model = MLPClassifier(**PARAMS, early_stopping=True).fit(X, ["only"] * 20)
    np.testing.assert_array_equal(model.predict(X), ["only"] * 20)
    np.testing.assert_array_equal(model.predict_proba(X), np.ones((20, 1)))


def test_classes_that_folds_lack(digits):
    X, y = digits[0][:60], np.r_[np.zeros(29, int), np.ones(29, int), 2, 2]
    model = MLPClassifier(**PARAMS)
    assert cross_val_predict(model, X, y, cv=2, method="predict_proba").shape == (60, 3)


def test_sparse_labels(digits):
    X, y = digits
    Y = scipy.sparse.csr_matrix(np.eye(10)[y])
    model = MLPClassifier(**PARAMS).fit(X, Y)
    dense = MLPClassifier(**PARAMS).fit(X, Y.toarray())
    assert scipy.sparse.issparse(model.predict(X))
    np.testing.assert_array_equal(model.predict(X).toarray(), dense.predict(X))


def test_column_target_warns_once(diabetes):
    X, y = diabetes
    with pytest.warns(DataConversionWarning) as record:
        column = MLPRegressor(**PARAMS).fit(X, y[:, np.newaxis])
    assert len([w for w in record if w.category is DataConversionWarning]) == 1
    np.testing.assert_array_equal(
        column.predict(X), MLPRegressor(**PARAMS).fit(X, y).predict(X)
    )


@pytest.mark.parametrize("n", range(2, 34))
def test_numbers_of_rows_around_the_batch(n, digits):
    X, y = digits[0][:n], digits[1][:n]
    model = MLPClassifier((4,), batch_size=16, normalization="batch", max_iter=2)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # the batch is clipped
        model.fit(X, y)
    assert np.isfinite(model.predict_proba(X)).all()
    assert model.t_ == 2 * n


# ---- weights ---------------------------------------------------------------------


def test_weights_of_one_are_none(digits, proba):
    X, y = digits
    model = MLPClassifier(**PARAMS).fit(X, y, sample_weight=np.ones(len(y)))
    np.testing.assert_allclose(model.predict_proba(X), proba, rtol=1e-5)


@pytest.mark.parametrize("class_weight", ["balanced", {0: 5.0, 3: 0.1}])
def test_class_weight_is_sample_weight(class_weight, digits, rng):
    X, y = digits
    weight = rng.uniform(0.5, 1.5, len(y))
    by_class = compute_sample_weight(class_weight, y)
    model = MLPClassifier(**PARAMS, class_weight=class_weight).fit(X, y, weight)
    product = MLPClassifier(**PARAMS).fit(X, y, weight * by_class)
    np.testing.assert_array_equal(model.predict_proba(X), product.predict_proba(X))


def test_balanced_needs_all_samples(digits):
    model = MLPClassifier(class_weight="balanced")
    with pytest.raises(ValueError, match="not supported for partial_fit"):
        model.partial_fit(*digits, classes=np.arange(10))


@pytest.mark.parametrize(
    ("weight", "message"),
    [
        (np.zeros(900), "Sample weights must contain at least one non-zero"),
        (-np.ones(900), "Negative values in data passed to `sample_weight`"),
        (np.full(900, np.nan), "sample_weight contains NaN"),
        (np.ones(3), "sample_weight.shape"),
    ],
)
def test_bad_weights(weight, message, digits):
    with pytest.raises(ValueError, match=message):
        MLPClassifier(**PARAMS).fit(*digits, sample_weight=weight)


def test_rows_that_weigh_nothing_do_nothing(digits):
    X, y = digits
    weight = (np.arange(len(y)) < 100).astype(float)  # and so whole batches
    params = {**PARAMS, "shuffle": False, "batch_size": 100, "alpha": 0.1}
    model = MLPClassifier(**params, solver="sgd", momentum=0).fit(X, y, weight)
    alone = MLPClassifier(**params, solver="sgd", momentum=0).fit(X[:100], y[:100])
    np.testing.assert_allclose(
        model.predict_proba(X), alone.predict_proba(X), rtol=1e-5
    )


# ---- early stopping --------------------------------------------------------------


def test_given_validation_data(digits):
    X, y = digits
    model = MLPClassifier(**PARAMS, early_stopping=True)
    weight = np.linspace(0.5, 1, 100)
    model.fit(X[:800], y[:800], X_val=X[800:], y_val=y[800:], sample_weight_val=weight)
    plain = MLPClassifier(**PARAMS).fit(X[:800], y[:800])
    assert model.loss_curve_ == plain.loss_curve_
    best = model.score(X[800:], y[800:], sample_weight=weight)
    assert model.best_validation_score_ == max(model.validation_scores_)
    assert model.best_validation_score_ == pytest.approx(best)
    assert len(model.validation_loss_curve_) == model.n_iter_ == 3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"X_val": 1}, "y_val was not provided"),
        ({"y_val": 1}, "X_val was not provided"),
        ({"sample_weight_val": 1}, "X_val was not provided"),
        ({"X_val": 1, "y_val": 1}, "early_stopping should be set to True"),
    ],
)
def test_bad_validation_data(arguments, message, digits):
    with pytest.raises(ValueError, match=message):
        MLPClassifier().fit(*digits, **arguments)
    with pytest.raises(ValueError, match="solver='lbfgs' does not support"):
        MLPClassifier(solver="lbfgs").fit(*digits, **arguments)


def test_validation_data_through_a_pipeline(digits):
    X, y = digits
    with sklearn.config_context(enable_metadata_routing=True):
        mlp = MLPClassifier(**PARAMS, early_stopping=True)
        mlp.set_fit_request(X_val=True, y_val=True)
        scaler = StandardScaler()
        pipeline = Pipeline(
            [("scale", scaler), ("mlp", mlp)], transform_input=["X_val"]
        )
        pipeline.fit(X[:800] * 9, y[:800], X_val=X[800:] * 9, y_val=y[800:])
    best = pipeline.score(X[800:] * 9, y[800:])
    assert mlp.best_validation_score_ == pytest.approx(best)


def test_sample_weight_is_routed(digits, rng):
    X, y = digits
    weight = rng.uniform(size=len(y))
    with sklearn.config_context(enable_metadata_routing=True):
        mlp = MLPClassifier(**PARAMS).set_fit_request(sample_weight=True)
        mlp.set_score_request(sample_weight=False)
        scores = cross_validate(
            mlp, X, y, cv=2, params={"sample_weight": weight}, return_estimator=True
        )
    half = MLPClassifier(**PARAMS)
    trained = scores["estimator"][0]
    assert (
        trained.loss_curve_ != half.fit(X[len(X) // 2 :], y[len(X) // 2 :]).loss_curve_
    )


SCORERS = {
    "loss": lambda model, X, y: -model.validation_loss_curve_[-1],
    "f1_macro": lambda model, X, y: f1_score(y, model.predict(X), average="macro"),
    "callable": lambda model, X, y: float(np.mean(model.predict(X) == y)),
}


@pytest.mark.parametrize("name", SCORERS)
@pytest.mark.parametrize("n_members", [1, 2])
def test_scoring(name, n_members, digits):
    X, y = digits
    scorer = SCORERS[name]
    model = MLPClassifier(
        **{**PARAMS, "max_iter": 1},
        early_stopping=True,
        scoring=scorer if name == "callable" else name,
        n_members=n_members,
    ).fit(
        pd.DataFrame(X).add_prefix("x").iloc[:800],
        y[:800],
        X_val=pd.DataFrame(X).add_prefix("x").iloc[800:],
        y_val=y[800:],
    )
    assert np.isfinite(model.validation_scores_).all()
    if n_members == 1:
        frame = pd.DataFrame(X[800:]).add_prefix("x")
        assert model.validation_scores_[0] == pytest.approx(
            scorer(model, frame, y[800:])
        )


def test_the_best_epoch_is_kept(diabetes):
    X, y = diabetes
    model = MLPRegressor(
        hidden_layer_sizes=64,
        early_stopping=True,
        learning_rate_init=0.02,
        random_state=0,
        scoring="neg_mean_absolute_error",
    ).fit(X[:300], y[:300], X_val=X[300:], y_val=y[300:])
    assert np.argmax(model.validation_scores_) < model.n_iter_ - 1  # it did overfit
    error = mean_absolute_error(y[300:], model.predict(X[300:]))
    assert -model.best_validation_score_ == pytest.approx(error, rel=1e-5)


def test_a_rare_class_is_named(digits):
    y = np.array(["common"] * 99 + ["rare"])
    with pytest.raises(ValueError, match=r"\['rare'\].*early_stopping=False"):
        MLPClassifier(early_stopping=True).fit(digits[0][:100], y)


def test_divergence_with_early_stopping_keeps_the_best(diabetes):
    X, y = diabetes
    model = MLPRegressor(
        solver="sgd",
        activation="identity",
        learning_rate_init=0.9,
        max_iter=50,
        early_stopping=True,
        random_state=0,
    )
    category = sklearn.exceptions.ConvergenceWarning
    with pytest.warns(category, match="no longer finite") as caught:
        model.fit(X, y)
    assert caught[0].filename == __file__
    assert np.isfinite(model.predict(X)).all()
    assert model.score(X, y) > -np.inf


# ---- what it says of bad input ---------------------------------------------------

BAD_INPUTS = [
    (np.full((900, 64), np.nan), "Input X contains NaN"),
    (np.zeros((900, 0)), r"0 feature\(s\)"),
    (np.zeros((0, 64)), r"0 sample\(s\)"),
    (np.zeros((3, 64)), "inconsistent numbers of samples"),
    (np.zeros(900), "Expected 2D array"),
    (np.full((900, 2), "a"), "could not convert string to float"),
]


@pytest.mark.parametrize(("X", "message"), BAD_INPUTS, ids=lambda v: str(v)[:20])
def test_bad_inputs(X, message, digits):
    with pytest.raises(ValueError, match=message):
        MLPClassifier().fit(X, digits[1])


def test_bad_targets(digits):
    X, y = digits
    with pytest.raises(ValueError, match="Unknown label type"):
        MLPClassifier().fit(X, y + 0.5 * np.arange(900) / 900)
    with pytest.raises(ValueError, match="requires y to be passed"):
        MLPClassifier().fit(X, None)
    with pytest.raises(ValueError, match="Input y contains NaN"):
        MLPRegressor().fit(X, np.full(900, np.nan))


def test_not_fitted(digits):
    for model in (MLPClassifier(), MLPRegressor()):
        with pytest.raises(NotFittedError):
            model.predict(digits[0])
        assert not hasattr(model, "history_")


def test_warm_start_needs_the_same_network(digits, diabetes):
    model = MLPClassifier(**PARAMS, warm_start=True).fit(*digits)
    with pytest.raises(ValueError, match="other values of: activation, hidden_units"):
        model.set_params(hidden_layer_sizes=8, activation="elu").fit(*digits)
    model = MLPRegressor(**PARAMS).partial_fit(*diabetes)
    with pytest.raises(
        ValueError, match="y has 2 outputs, but MLPRegressor was fitted"
    ):
        model.partial_fit(diabetes[0], np.c_[diabetes[1], diabetes[1]])


# ---- what it leaves --------------------------------------------------------------


def test_curves(digits):
    model = MLPClassifier(
        **PARAMS, early_stopping=True, learning_rate="exponential", solver="sgd"
    ).fit(*digits)
    assert list(model.history_[0]) == ["train_loss", "valid_loss", "valid_score", "lr"]
    assert [row["train_loss"] for row in model.history_] == model.loss_curve_
    np.testing.assert_allclose(model.learning_rate_curve_, 1e-3 * 0.95 ** np.arange(3))


def test_coefs_are_the_networks(digits):
    X, y = digits
    model = MLPClassifier(**PARAMS).fit(X, y)
    model.coefs_[-1][:] = 0
    model.intercepts_[-1][:] = np.arange(10)
    np.testing.assert_array_equal(model.predict(X), 9)


def test_n_hidden_layers(digits):
    repeated = MLPClassifier(**{**PARAMS, "hidden_layer_sizes": 8}, n_hidden_layers=3)
    spelled = MLPClassifier(**{**PARAMS, "hidden_layer_sizes": (8, 8, 8)})
    for ours, theirs in zip(
        repeated.fit(*digits).coefs_, spelled.fit(*digits).coefs_, strict=True
    ):
        np.testing.assert_array_equal(ours, theirs)


def test_dtype_is_chosen_by_the_size_of_a_step(digits):
    X, y = digits
    small = MLPClassifier(**PARAMS, batch_size=50).fit(X, y)
    large = MLPClassifier((300,), max_iter=1, batch_size=200).fit(X, y)
    assert small.coefs_[0].dtype == np.float64
    assert large.coefs_[0].dtype == np.float32
    assert large.predict_proba(X).dtype == np.float64
    np.testing.assert_allclose(large.predict_proba(X).sum(axis=1), 1, rtol=1e-12)


def test_chunks_do_not_change_predictions(digits, monkeypatch, proba):
    X, y = digits
    model = MLPClassifier(**PARAMS).fit(X, y)
    monkeypatch.setattr("sk_deep._engine.network_data._CHUNK_ELEMENTS", 75 * 64)
    assert chunk_size(model.net_.module_.architecture, X.shape[1]) == 72
    np.testing.assert_allclose(model.predict_proba(X), proba, rtol=1e-6)


def test_callbacks_of_skorch(diabetes):
    X, y = diabetes
    stop = EarlyStopping(monitor="train_loss", patience=2, threshold=0.9)
    mae = EpochScoring("neg_mean_absolute_error", lower_is_better=False, name="mae")
    clip = GradientNormClipping(1e-6)
    model = MLPRegressor(
        **{**PARAMS, "max_iter": 20},
        solver="sgd",
        momentum=0,
        alpha=0,
        dtype="float64",
        callbacks=[stop, clip, ("named", mae)],
        early_stopping=True,
    ).fit(X, y)
    assert model.n_iter_ == 3
    assert stop.misses_ == 0  # a copy was used
    assert np.isfinite(model.net_.history[:, "mae"]).all()
    start = MLPRegressor(**{**PARAMS, "max_iter": 1}, learning_rate_init=1e-12).fit(
        X, y
    )
    moved = [a - b for a, b in zip(model.coefs_, start.coefs_, strict=True)]
    # 3 epochs of 2 batches of a gradient of norm 1e-6 or less
    assert 0 < np.sqrt(sum(np.sum(m**2) for m in moved)) < 6 * 1e-3 * 1e-6 + 1e-9


@pytest.mark.processes
def test_in_a_cross_validation(digits):
    pipeline = make_pipeline(
        StandardScaler(), MLPClassifier(max_iter=20, random_state=0)
    )
    scores = cross_validate(pipeline, *digits, cv=3, n_jobs=2, error_score="raise")
    assert scores["test_score"].min() > 0.75


def test_layers_of_torch_are_left_as_they_were(digits):
    class Scale(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.factor = torch.nn.Parameter(torch.ones(()))

        def forward(self, z):
            return self.factor * z.relu()

    model = MLPClassifier(**PARAMS, activation=Scale).fit(*digits)
    factor = model.net_.module_.hidden[0].activation.factor
    assert factor.item() != 1.0


def test_a_score_that_is_not_for_the_estimator(diabetes):
    model = MLPRegressor(early_stopping=True, scoring="neg_log_loss")
    text = "scoring must be defined for MLPRegressor, .*'neg_log_loss': .*predict_proba"
    with pytest.raises(ValueError, match=text):
        model.fit(*diabetes)


def test_probabilities_that_are_scored_sum_to_one(digits):
    X, y = digits
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        warnings.simplefilter("ignore", ConvergenceWarning)
        MLPClassifier(
            dtype="float32", early_stopping=True, scoring="neg_log_loss", max_iter=2
        ).fit(X.astype(float), y)
