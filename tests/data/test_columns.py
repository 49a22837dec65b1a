"""Data frames as they are: categories, missing values, scales, embeddings."""

import dataclasses
import pickle

import numpy as np
import pandas as pd
import polars as pl
import pytest
import scipy.sparse
import torch
from sklearn.base import clone
from sklearn.compose import TransformedTargetRegressor, make_column_transformer
from sklearn.impute import SimpleImputer
from sklearn.model_selection import GridSearchCV, StratifiedKFold
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    OneHotEncoder,
    QuantileTransformer,
    RobustScaler,
    StandardScaler,
)

from sk_deep import (
    BatchedGridSearchCV,
    MLPClassifier,
    MLPRegressor,
    RecipeSearchCV,
    diagnose,
    load,
    save,
)
from sk_deep._engine.gradients import Autograd, ByHand, is_by_hand
from sk_deep._stacks import train
from sk_deep.encodings import NUMERICAL_EMBEDDINGS, SCALINGS, embedding_size
from sk_deep.exceptions import CorruptModelError
from sk_deep.losses import Criterion
from sk_deep.network import MLP
from sk_deep.network._embeddings import Periodic, draw_embeddings

N = 200
RNG = np.random.RandomState(0)
FRAME = pd.DataFrame(
    {
        "size": RNG.normal(50, 20, size=N),
        "color": RNG.choice(["red", "green", "blue"], N),
        "price": RNG.exponential(size=N),
        "town": pd.Categorical(RNG.choice(list("abcdefghijklmno"), N)),
        "is_new": RNG.random_sample(N) > 0.5,
    }
)
FRAME.loc[::7, "price"] = np.nan
FRAME.loc[::9, "color"] = None
NUMBERS = ["size", "price"]
TEXTS = ["color", "town", "is_new"]
R = FRAME["size"] / 20 + (FRAME["color"] == "red") + FRAME["is_new"]
Y = np.where(R > 3.2, "much", "little")
RAW = {"categorical_features": "from_dtype", "missing": "impute"}
SHORT = {"hidden_layer_sizes": (6,), "max_iter": 3, "random_state": 0}
SCALERS = {
    None: "passthrough",
    "standard": StandardScaler(),
    "robust": RobustScaler(),
    "smooth_clip": make_pipeline(
        StandardScaler(), FunctionTransformer(lambda z: z / np.hypot(1, z / 6))
    ),
    "quantile": QuantileTransformer(n_quantiles=N, output_distribution="normal"),
}


def classifier(**params):
    return MLPClassifier(**{**SHORT, **RAW, **params})


def regressor(**params):
    return MLPRegressor(**{**SHORT, **RAW, **params})


def learned(X=FRAME, **params):
    """What a fit makes of the columns."""
    model = classifier(max_iter=1, **params).fit(X, Y[: len(X)])
    return model._columns.transform(X), model


# ---- beside scikit-learn's transformers ----------------------------------------------


@pytest.mark.parametrize("scaling", [None, *SCALINGS])
def test_a_raw_frame_is_a_pipeline(scaling):
    numbers = make_pipeline(SimpleImputer(strategy="median"), SCALERS[scaling])
    one_hot = OneHotEncoder(handle_unknown="ignore", sparse_output=False)
    before = make_column_transformer((numbers, NUMBERS), (one_hot, TEXTS))
    table = before.fit_transform(FRAME)
    indicator = FRAME[["price"]].isna().to_numpy(float)
    expected = np.concatenate([table[:, :2], indicator, table[:, 2:]], axis=1)
    found, model = learned(numerical_scaling=scaling, max_one_hot=99)
    # the missing level comes last, there too
    np.testing.assert_array_equal(found, expected)
    plain = MLPClassifier(**SHORT).set_params(max_iter=1).fit(expected, Y)
    np.testing.assert_array_equal(
        model.predict_proba(FRAME), plain.predict_proba(expected)
    )


def test_target_scaling_is_a_transformed_target():
    X = FRAME[NUMBERS].fillna(0).to_numpy()
    y = 1000 * np.column_stack([R, -3 * R])
    ours = MLPRegressor(**SHORT, target_scaling="standard").fit(X, y)
    theirs = TransformedTargetRegressor(
        MLPRegressor(**SHORT), transformer=StandardScaler()
    )
    np.testing.assert_allclose(ours.predict(X), theirs.fit(X, y).predict(X), rtol=1e-12)
    params = {**SHORT, "loss": "quantile", "loss_params": {"quantile": [0.2, 0.8]}}
    found = MLPRegressor(**params, target_scaling="standard").fit(X, 1000 * R)
    scaled = MLPRegressor(**params).fit(X, (R - R.mean()) / R.std(ddof=0))
    expected = 1000 * (scaled.predict(X) * R.std(ddof=0) + R.mean())
    np.testing.assert_allclose(found.predict(X), expected, rtol=1e-9)
    single = MLPRegressor(**SHORT, target_scaling="standard", early_stopping=True)
    single.set_params(
        numerical_scaling="standard", scoring="neg_root_mean_squared_error"
    ).fit(X, 1000 * R)
    assert -5000 < single.best_validation_score_ < -100  # in the user's units
    constant = MLPRegressor(**SHORT, target_scaling="standard").fit(X, np.full(N, 7.0))
    assert constant._targets.scale == 1
    samples = ours.set_params(n_members=2).fit(X, y).predict_samples(X, 2)
    np.testing.assert_allclose(samples.mean(axis=0), ours.predict(X))


@pytest.mark.parametrize("loss", ["poisson", "gamma"])
def test_positive_targets_are_not_scaled(loss):
    with pytest.raises(ValueError, match=r"target_scaling is not supported .*positive"):
        regressor(loss=loss, target_scaling="standard").fit(FRAME, np.exp(R))


# ---- embeddings ----------------------------------------------------------------------


def test_piecewise_linear_encoding():
    found, model = learned(numerical_embedding="piecewise_linear", max_one_hot=99)
    values = FRAME[NUMBERS].fillna(FRAME[NUMBERS].median()).to_numpy()
    start = 2
    for column, edges in zip(values.T, model._columns.bins, strict=True):
        assert (np.diff(edges) > 0).all()
        assert len(edges) <= 1 + round(N**0.45)
        np.testing.assert_allclose(
            [edges[0], edges[-1]], [column.min(), column.max()], rtol=1e-12
        )
        n_bins = len(edges) - 1
        part = found[:, start : start + n_bins]
        for i in range(n_bins):  # eq. 1, in the interval [0, 1]
            expected = (column - edges[i]) / (edges[i + 1] - edges[i])
            np.testing.assert_allclose(part[:, i], expected.clip(0, 1), atol=1e-12)
        start += n_bins
    assert len(model._columns.bins[0]) == 1 + round(N**0.45)  # without ties
    far = FRAME.assign(size=[-1e6, 1e6] * (N // 2))
    encoded = model._columns.transform(far)
    first, last = 2, 1 + len(model._columns.bins[0]) - 1
    np.testing.assert_array_equal(encoded[:2, first], [-1, 1])
    np.testing.assert_array_equal(encoded[:2, last], [0, 2])


def test_bins_of_few_values():
    frame = pd.DataFrame({"few": [1.0, 2.0, 5.0, 1.0] * 50, "one": 3.0})
    _, model = learned(frame, numerical_embedding="piecewise_linear")
    assert [edges.tolist() for edges in model._columns.bins] == [[1, 2, 5], [3]]
    tied = pd.DataFrame({"tied": np.r_[np.zeros(150), np.arange(50)]})
    _, model = learned(tied, numerical_embedding="piecewise_linear")
    (edges,) = model._columns.bins
    assert 5 <= len(edges) <= 1 + round(N**0.45)


def test_an_embedding_is_a_table_by_one_hot_columns():
    _, model = learned(max_one_hot=0, embedding_size=2)
    net = model.net_.module_
    X = torch.from_numpy(model._columns.transform(FRAME)).to(net.flat)
    tables = [t for _, t in net.embeddings.named_parameters()]
    (table,) = tables  # of all columns, as all have as many values
    counts = [category.n_codes for category in model._columns.categories]
    starts = np.r_[0, np.cumsum(counts)[:-1]]
    values = [
        torch.eye(len(table), dtype=net.flat.dtype)[X[:, 3 + i].long() + starts[i]]
        @ table
        for i in range(3)
    ]
    expected = torch.cat([X[:, :3], *values], dim=1)
    torch.testing.assert_close(net.inputs(X), expected, rtol=0, atol=1e-12)
    for end in np.cumsum(counts):  # missing ones here only in the first column
        assert (table[end - 1] == 0).all()


def test_periodic_embeddings():
    layer = Periodic((), 3).double()
    drawn = draw_embeddings(np.random.RandomState(0), [], 3)
    for parameter, array in zip(layer.parameters(), drawn, strict=True):
        parameter.data = torch.from_numpy(array)
    x = np.random.RandomState(1).normal(size=(7, 3))
    frequency, weight, bias = drawn
    expected = []
    for i in range(3):  # eq. 3
        angles = 2 * np.pi * frequency[i] * x[:, [i]]
        waves = np.concatenate([np.sin(angles), np.cos(angles)], axis=1)
        expected.append(np.maximum(waves @ weight[i] + bias[i], 0))
    found = layer(torch.from_numpy(x)).detach().numpy()
    np.testing.assert_allclose(found, np.concatenate(expected, axis=1), rtol=1e-12)


CATEGORIES = [(4, 2), (7, 3), (5, 2)]


@pytest.mark.parametrize("n_periodic", [0, 3])
@pytest.mark.parametrize("hidden", [[], [5, 4]])
@pytest.mark.parametrize("n_members", [1, 3])
def test_gradients(n_members, hidden, n_periodic):
    net = MLP(
        6,
        3,
        hidden,
        ["tanh"] * len(hidden),
        categories=CATEGORIES,
        n_periodic=n_periodic,
        n_members=n_members,
        dtype="float64",
    )
    states = [np.random.RandomState(i) for i in range(n_members)]
    net.reset_parameters(states)
    rng = np.random.RandomState(9)
    codes = [rng.randint(n, size=20) for n, _ in CATEGORIES]
    X = torch.from_numpy(np.column_stack([rng.normal(size=(20, 3)), *codes]))
    y = torch.from_numpy(rng.randint(3, size=(n_members, 20)))
    y = y if n_members > 1 else y[0]
    criterion = Criterion("log_loss", "multiclass")
    net.train()
    Autograd(net, criterion)(X, y, 1 / 20)
    expected = net.flat_grad.clone()
    assert is_by_hand(net, criterion) == (n_periodic == 0)
    if not n_periodic:
        ByHand(net, criterion)(X, y, 1 / 20)
        torch.testing.assert_close(net.flat_grad, expected, rtol=0, atol=1e-14)
        torch.testing.assert_close(net.bare()(X), net(X), rtol=0, atol=0)

    def loss(flat):  # finite differences
        net.flat.copy_(flat)
        with torch.no_grad():
            return criterion(net(X), y).mean(dim=-1).sum().item()

    start, direction = net.flat.clone(), torch.randn_like(net.flat)
    steps = [loss(start + h * direction) for h in (1e-6, -1e-6)]
    slope = (steps[0] - steps[1]) / 2e-6
    assert slope == pytest.approx((expected * direction).sum().item(), rel=1e-5)


def test_members_of_a_stack_are_networks(rng):
    stack = MLP(
        5, 1, [4], ["relu"], categories=[(6, 3), (4, 3)], n_periodic=2, n_members=2
    )
    stack.reset_parameters([np.random.RandomState(i) for i in range(2)])
    codes = rng.integers(4, size=(9, 2))
    X = torch.from_numpy(np.column_stack([rng.normal(size=(9, 3)), codes])).float()
    for i in range(2):
        alone = MLP(5, 1, [4], ["relu"], categories=[(6, 3), (4, 3)], n_periodic=2)
        alone.reset_parameters([np.random.RandomState(i)])
        torch.testing.assert_close(stack(X)[i], alone(X))
        torch.testing.assert_close(stack.member(i)(X), alone(X))


def test_sizes_of_embeddings():
    assert [embedding_size(n) for n in (2, 10, 100, 10**6)] == [2, 6, 21, 50]
    net = classifier().fit(FRAME, Y).net_.module_
    assert net.architecture.categories == [[17, embedding_size(15)]]
    net = classifier(max_one_hot=2, embedding_size=4).fit(FRAME, Y).net_.module_
    assert net.architecture.categories == [[5, 4], [17, 4]]


# ---- odd columns ---------------------------------------------------------------------


@pytest.mark.parametrize("max_one_hot", [0, 99])
def test_levels_that_training_has_not_met(max_one_hot):
    model = classifier(max_one_hot=max_one_hot).fit(FRAME, Y)
    other = FRAME.assign(town="z", color="violet", is_new=None, price=np.nan)
    outputs = model.predict_proba(other)
    assert np.isfinite(outputs).all()
    # levels that are not known are one level
    again = model.predict_proba(other.assign(town="y", color="black"))
    np.testing.assert_array_equal(outputs, again)
    missing = model.predict_proba(FRAME.assign(color=np.nan))
    assert (missing != model.predict_proba(FRAME.assign(color="violet"))).any()


ODD = {
    "all missing numbers": FRAME.assign(size=np.nan),
    "all missing text": FRAME.assign(color=pd.Series([None] * N, dtype=object)),
    "a constant number": FRAME.assign(size=1.0),
    "a constant text": FRAME.assign(color="red"),
    "numbers and text": FRAME.assign(color=["red", 1, 2.5, None] * (N // 4)),
    "objects that are numbers": FRAME.assign(
        color=pd.Series([1, 2] * (N // 2), dtype=object)
    ),
    "nullable integers": FRAME.assign(size=pd.array([1, None] * (N // 2), "Int64")),
    "nullable bools": FRAME.assign(is_new=pd.array([True, None] * (N // 2), "boolean")),
    "nullable text": FRAME.assign(color=pd.array(["red", None] * (N // 2), "string")),
    "integers": FRAME.assign(size=np.arange(N)),
    "categories of numbers": FRAME.assign(town=pd.Categorical(np.arange(N) % 20)),
    "categories that are not used": FRAME.assign(
        color=pd.Categorical(FRAME["color"], ["red", "green", "blue", "violet"])
    ),
    "text alone": FRAME[TEXTS],
    "numbers alone": FRAME[NUMBERS],
    "one column": FRAME[["town"]],
    "names that are numbers": FRAME.rename(
        columns=dict(zip(FRAME, range(5), strict=True))
    ),
    "an array": FRAME.to_numpy(dtype=object),
    "a list": FRAME.to_numpy(dtype=object).tolist(),
}


@pytest.mark.parametrize("embedding", [None, *NUMERICAL_EMBEDDINGS])
@pytest.mark.parametrize("name", ODD)
def test_odd_columns(name, embedding, tmp_path):
    X = ODD[name]
    params = {"numerical_scaling": "standard", "numerical_embedding": embedding}
    if name in ("an array", "a list"):
        params["categorical_features"] = [1, 3, 4]
    for model, y in ((classifier(**params), Y), (regressor(**params), R)):
        model.fit(X, y)
        outputs = getattr(model, "predict_proba", model.predict)(X)
        assert np.isfinite(outputs).all()
        save(model, tmp_path / "model")
        for copy in (pickle.loads(pickle.dumps(model)), load(tmp_path / "model")):
            found = getattr(copy, "predict_proba", copy.predict)(X)
            np.testing.assert_array_equal(found, outputs)


def test_a_hundred_thousand_levels():
    towns = np.array([f"town {i}" for i in range(100_000)])
    X = pd.DataFrame({"town": towns})
    y = np.arange(100_000) % 2
    params = {"max_iter": 1, "batch_size": 10_000, "embedding_size": 4}
    model = classifier(**params).fit(X, y)
    assert model.net_.module_.architecture.categories == [[100_002, 4]]
    assert model.predict(X[:5]).shape == (5,)


@pytest.mark.parametrize(
    ("X", "params", "text"),
    [
        (
            FRAME.assign(size=pd.Timestamp("2026-01-01")),
            {},
            r"columns of numbers.*'size'",
        ),
        (
            FRAME.assign(town=pd.Categorical([pd.Timestamp("2026-01-01")] * N)),
            {},
            "'town' has dates",
        ),
        (FRAME.assign(color=[[1]] * N), {}, r"must be hashable.*'color'"),
        (FRAME, {"missing": "error"}, "Input X contains NaN"),
        (FRAME, {"categorical_features": ["color"]}, r"columns of numbers.*'town'"),
        (FRAME, {"categorical_features": ["colour"]}, r"names of columns.*'colour'"),
        (FRAME, {"categorical_features": [5]}, r"positions in \[0, 5\).*5"),
        (FRAME, {"categorical_features": [True] * 4}, "must have 5 values"),
        (FRAME.assign(size=np.inf), {}, "infinity"),
        (scipy.sparse.eye_array(N, format="csr"), {}, r"dense.*sparse"),
        (FRAME.iloc[:0], {}, r"0 sample\(s\)"),
        (FRAME.iloc[:, :0], {}, r"0 feature\(s\)"),
        (FRAME["size"], {}, "Expected 2D array|2-dimensional"),
        (FRAME, {"augmentation": "noise"}, "augmentation acts on numbers"),
    ],
    ids=lambda value: None if not isinstance(value, str) else value[:20],
)
def test_what_is_refused(X, params, text):
    model = classifier(**params)
    with pytest.raises(ValueError, match=f"(?s){text}"):
        model.fit(X, Y[: X.shape[0]])
    assert not hasattr(model, "net_")


def _levels(model):
    """Take the levels of the towns."""
    (category,) = [c for c in model._columns.categories if c.column == 3]
    return category.levels


@pytest.mark.parametrize("params", [{"max_one_hot": 3}, {"embedding_size": 2}])
def test_categories_are_needed(params):
    (name,) = params
    with pytest.raises(ValueError, match=f"{name} acts on categories, got {name}"):
        regressor(**params, categorical_features=None).fit(FRAME[NUMBERS], R)


def test_columns_at_prediction():
    model = classifier().fit(FRAME, Y)
    with pytest.raises(ValueError, match="feature names"):
        model.predict(FRAME[::-1].rename(columns={"size": "length"}))
    with pytest.raises(ValueError, match=r"is expecting 5 features|feature names"):
        model.predict(FRAME.iloc[:, :4])
    backwards = classifier().fit(FRAME.iloc[::-1], Y[::-1])
    np.testing.assert_array_equal(_levels(backwards), _levels(model))
    model.set_params(categorical_features=None, missing="error")
    assert model.predict(FRAME).shape == (N,)  # by the parameters of the fit


def _polars():
    columns = {name: FRAME[name].astype(object).tolist() for name in FRAME}
    columns["color"] = [None if pd.isna(value) else value for value in columns["color"]]
    return pl.DataFrame(columns).with_columns(pl.col("town").cast(pl.Categorical))


@pytest.mark.parametrize("embedding", [None, *NUMERICAL_EMBEDDINGS])
def test_polars_is_pandas(embedding):
    params = {"numerical_embedding": embedding, "numerical_scaling": "standard"}
    found = classifier(**params).fit(_polars(), Y)
    expected = classifier(**params).fit(FRAME, Y)
    assert found.feature_names_in_.tolist() == FRAME.columns.tolist()
    np.testing.assert_array_equal(
        found.predict_proba(_polars()), expected.predict_proba(FRAME)
    )
    with pytest.raises(ValueError, match=r"'when'|has dates"):
        found.fit(_polars().with_columns(when=pl.lit("2026-01-01").str.to_date()), Y)


def test_dtypes_of_outputs():
    assert classifier().fit(FRAME, Y).predict_proba(FRAME).dtype == np.float64
    single = FRAME[NUMBERS].astype(np.float32)
    model = classifier(numerical_scaling="standard").fit(single, Y)
    assert model.predict_proba(single).dtype == np.float32


# ---- beside the other options --------------------------------------------------------


@pytest.mark.parametrize(
    "params",
    [
        {"n_members": 3},
        {"early_stopping": True},
        {"early_stopping": True, "scoring": "neg_log_loss"},
        {"early_stopping": True, "scoring": MLPClassifier.score},
        {"input_dropout": 0.2},
        {"solver": "lbfgs"},
        {"solver": "adasecant", "learning_rate_init": "auto"},
        {"class_weight": "balanced", "dropout": 0.3, "normalization": "batch"},
        {"dtype": "float32", "activation": "maxout"},
    ],
    ids=lambda params: "-".join(params),
)
@pytest.mark.parametrize("embedding", NUMERICAL_EMBEDDINGS)
def test_other_options(params, embedding):
    model = classifier(max_one_hot=2, numerical_embedding=embedding, **params)
    model.fit(FRAME, Y, sample_weight=np.linspace(1, 2, N))
    outputs = model.predict_proba(FRAME)
    assert np.isfinite(outputs).all()
    np.testing.assert_array_equal(
        clone(model)
        .fit(FRAME, Y, sample_weight=np.linspace(1, 2, N))
        .predict_proba(FRAME),
        outputs,
    )
    assert model.transform_hidden(FRAME).shape[0] == N


def test_validation_data_are_encoded():
    model = classifier(early_stopping=True)
    model.fit(FRAME[:150], Y[:150], X_val=FRAME[150:], y_val=Y[150:])
    assert len(model.validation_scores_) == model.n_iter_


def test_training_goes_on():
    model = classifier(warm_start=True).fit(FRAME, Y)
    levels = _levels(model)
    model.fit(FRAME[FRAME["town"] != "a"], Y[FRAME["town"] != "a"])
    assert _levels(model) is levels  # what was learned first
    model = classifier()
    for start in range(0, N, 50):
        rows = slice(start, start + 50)
        model.partial_fit(FRAME[rows], Y[rows], classes=["little", "much"])
    assert model.t_ == N


@pytest.mark.long
@pytest.mark.parametrize("search", [GridSearchCV, BatchedGridSearchCV])
def test_a_fold_learns_its_own(search):
    grid = {
        "alpha": [1e-4, 1e-2],
        "numerical_scaling": ["standard", None],
        "max_one_hot": [0, 99],
    }
    found = search(classifier(), grid, cv=3, return_train_score=True).fit(FRAME, Y)
    expected = []
    for params in found.cv_results_["params"]:
        scores = []
        for fit, test in StratifiedKFold(3).split(FRAME, Y):
            model = classifier(**params).fit(FRAME.iloc[fit], Y[fit])
            scores.append(model.score(FRAME.iloc[test], Y[test]))
        expected.append(np.mean(scores))
    np.testing.assert_allclose(found.cv_results_["mean_test_score"], expected)
    assert found.predict(FRAME).shape == (N,)


def test_stacks_are_used(monkeypatch):
    search = BatchedGridSearchCV(
        classifier(max_one_hot=99), {"alpha": [1e-4, 1e-2, 1e-1]}, cv=3
    )
    sizes = []

    def spy(members):
        sizes.append(len(members))
        train(members)

    monkeypatch.setattr("sk_deep._stacks.job.train", spy)
    search.fit(FRAME, Y)
    assert sizes == [9]


def test_in_files_of_pipelines(tmp_path):
    model = Pipeline([("net", classifier(numerical_scaling="quantile"))]).fit(FRAME, Y)
    save(model, tmp_path / "model")
    np.testing.assert_array_equal(
        load(tmp_path / "model").predict_proba(FRAME), model.predict_proba(FRAME)
    )


def test_columns_of_another_fit_are_refused(tmp_path):
    model = classifier().fit(FRAME, Y)
    categories = list(model._columns.categories)
    categories[2] = dataclasses.replace(categories[2], size=9)
    model._columns = dataclasses.replace(model._columns, categories=categories)
    save(model, tmp_path / "model")
    with pytest.raises(CorruptModelError, match="the columns must give"):
        load(tmp_path / "model")


def test_a_state_without_the_parameters_is_read():
    state = MLPClassifier(**SHORT).fit(FRAME[["size"]], Y).__getstate__()
    del state["missing"], state["numerical_embedding"]
    model = MLPClassifier.__new__(MLPClassifier)
    model.__setstate__(state)
    assert model.missing == "error"
    assert model.predict(FRAME[["size"]]).shape == (N,)


@pytest.mark.long
def test_diagnosis_of_a_raw_frame():
    found = diagnose(classifier(max_iter=20), FRAME, Y, cv=3, random_state=0)
    assert found.verdicts[0].key == "unscaled_inputs"
    grid = found.verdicts[0].suggestions[0].param_grid
    assert grid == {"numerical_scaling": ["standard", "quantile"]}
    numbers = found.measurements
    assert numbers.linear.test.mean() > numbers.constant.test.mean() + 0.2


@pytest.mark.long
def test_recipe_of_a_raw_frame():
    network = classifier(numerical_scaling="standard")
    search = RecipeSearchCV(network, budget=10, cv=2, random_state=0)
    assert search.fit(FRAME, Y).best_estimator_.predict(FRAME).shape == (N,)
    # which codes of categories refuse
    space = RecipeSearchCV.space(network, FRAME, Y)
    assert "augmentation" not in space
