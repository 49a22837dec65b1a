"""The numbers behind the pictures, and what all pictures share."""

import ast
import pickle
import sys
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
import scipy.sparse
from scipy import special
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LinearRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import nn

import sk_deep
from sk_deep import (
    BatchedGridSearchCV,
    MLPClassifier,
    MLPRegressor,
    TabularMLPClassifier,
)
from sk_deep._engine.unit_states import unit_states
from sk_deep.callbacks import LayerMonitor
from sk_deep.plots import (
    ActivationDisplay,
    GradientFlowDisplay,
    LossCurveDisplay,
    WeightDisplay,
)

mpl.use("Agg")
from matplotlib import pyplot as plt

DISPLAYS = [ActivationDisplay, GradientFlowDisplay, LossCurveDisplay, WeightDisplay]
N, N_FEATURES = 60, 4


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    plt.close("all")


@pytest.fixture
def data(rng):
    X = rng.normal(size=(N, N_FEATURES))
    return X, X[:, 0] - X[:, 1] ** 2


@pytest.fixture
def table(rng):
    numbers = 1e3 * rng.normal(size=N)
    letters = rng.choice(list("xyz"), size=N)
    frame = pd.DataFrame({"number": numbers, "letter": letters})
    return frame, (numbers > 0) ^ (letters == "x")


def network(**params):
    defaults = {"hidden_layer_sizes": (6, 5), "max_iter": 4, "random_state": 0}
    return MLPRegressor(**{**defaults, "callbacks": [LayerMonitor()], **params})


def axes_of(display):
    return list(display.axes_) if hasattr(display, "axes_") else [display.ax_]


def curve_of(line):
    x, y = line.get_data()
    np.testing.assert_array_equal(x, np.arange(1, len(x) + 1))
    return np.asarray(y)


# ---- what all share ----------------------------------------------------------------


def in_pipeline(model, data):
    return make_pipeline(StandardScaler(), model).fit(*data)


def in_search(model, data):
    return GridSearchCV(model, {"alpha": [0.1]}, cv=2).fit(*data)


def in_batched_search_of_pipelines(model, data):
    pipeline = make_pipeline(StandardScaler(), model)
    grid = {"mlpregressor__alpha": [0.1]}
    return BatchedGridSearchCV(pipeline, grid, cv=2).fit(*data)


def bare(model, data):
    return model.fit(*data)


WRAPS = [bare, in_pipeline, in_search, in_batched_search_of_pipelines]


@pytest.mark.parametrize("display", DISPLAYS)
@pytest.mark.parametrize("wrap", WRAPS)
def test_estimators_pipelines_and_searches(display, wrap, data):
    estimator = wrap(network(early_stopping=True), data)
    before = pickle.dumps(estimator)
    drawn = display.from_estimator(estimator)
    assert isinstance(drawn, display)
    assert pickle.dumps(estimator) == before
    assert all(ax.figure is drawn.figure_ for ax in axes_of(drawn))
    assert drawn.plot() is drawn
    drawn.figure_.draw_without_rendering()


@pytest.mark.parametrize("display", DISPLAYS)
def test_axes_are_labelled(display, data):
    model = network(activation=["maxout", "prelu"], learning_rate="cosine")
    model.set_params(solver="sgd", early_stopping=True).fit(*data)
    drawn = display.from_estimator(model)
    axes = axes_of(drawn)
    assert axes[0].get_title()
    assert axes[-1].get_xlabel()
    assert all(ax.get_ylabel() for ax in axes)


@pytest.mark.parametrize("style", ["default", "dark_background"])
@pytest.mark.parametrize("display", DISPLAYS)
def test_text_has_the_colours_of_the_style(display, style, data):
    model = network(early_stopping=True).fit(*data)
    with plt.style.context(style):
        ax = axes_of(display.from_estimator(model))[0]
        assert ax.title.get_color() == plt.rcParams["text.color"]
        assert ax.xaxis.label.get_color() == plt.rcParams["axes.labelcolor"]
        assert ax.get_facecolor() == mpl.colors.to_rgba(plt.rcParams["axes.facecolor"])


@pytest.mark.parametrize("display", DISPLAYS)
def test_draws_into_axes(display, data):
    model = network(early_stopping=True).fit(*data)
    figure, (left, right) = plt.subplots(1, 2)
    right.set_title("mine")
    drawn = display.from_estimator(model, ax=left)
    assert drawn.figure_ is figure
    borders = left.get_position()
    for ax in axes_of(drawn):
        inside = ax.get_position()
        assert borders.x0 <= inside.x0 < inside.x1 <= borders.x1 + 1e-9
    assert right.get_title() == "mine"
    again = display.from_estimator(model, ax=getattr(drawn, "axes_", left))
    assert axes_of(again) == axes_of(drawn)


PANELLED = [ActivationDisplay, LossCurveDisplay, WeightDisplay]


@pytest.mark.parametrize("display", PANELLED)
def test_wrong_axes_are_refused(display, data):
    model = network(early_stopping=True, activation=["maxout", "prelu"]).fit(*data)
    drawn = display.from_estimator(model)
    n = len(drawn.axes_)
    with pytest.raises(ValueError, match=rf"sequence of {n}.*got {n + 1}"):
        drawn.plot(plt.subplots(n + 1)[1])
    ax = plt.figure().add_axes([0.1, 0.1, 0.8, 0.8])
    with pytest.raises(ValueError, match="must be an Axes of a grid"):
        drawn.plot(ax)
    ax = plt.subplots()[1]
    drawn.plot(ax)
    with pytest.raises(ValueError, match="pass its axes_"):
        drawn.plot(ax)


@pytest.mark.parametrize("display", DISPLAYS)
def test_illegal_estimators(display, data):
    unfitted = [
        network(),
        make_pipeline(StandardScaler(), network()),
        GridSearchCV(network(), {"alpha": [0.1]}),
    ]
    for estimator in unfitted:
        with pytest.raises(NotFittedError):
            display.from_estimator(estimator)
    foreign = LinearRegression().fit(*data)
    for estimator in (foreign, make_pipeline(foreign), "network"):
        with pytest.raises(ValueError, match="must be an estimator of sk_deep"):
            display.from_estimator(estimator)
    search = GridSearchCV(network(), {"alpha": [0.1]}, cv=2, refit=False).fit(*data)
    with pytest.raises(ValueError, match="refit=False"):
        display.from_estimator(search)


@pytest.mark.parametrize("display", DISPLAYS)
def test_without_matplotlib_the_error_names_the_extra(display, data, monkeypatch):
    model = network().fit(*data)
    drawn = display.from_estimator(model)
    for name in [n for n in sys.modules if n.startswith("matplotlib")]:
        monkeypatch.setitem(sys.modules, name, None)
    for call in (drawn.plot, lambda: display.from_estimator(model)):
        with pytest.raises(ImportError, match=r'pip install "sk_deep\[plot\]"'):
            call()


def test_matplotlib_is_imported_to_draw_only():
    """Each import of it is inside a function."""
    folder = Path(sk_deep.plots.__file__).parent
    for path in folder.glob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        names = [
            alias.name
            for node in tree.body
            if isinstance(node, ast.Import | ast.ImportFrom)
            for alias in [*node.names, ast.alias(getattr(node, "module", ""))]
        ]
        assert names
        assert "matplotlib" not in {name.split(".")[0] for name in names}


# ---- loss curves -------------------------------------------------------------------


def test_loss_curves_are_those_of_the_estimator(data):
    params = {"solver": "sgd", "learning_rate": "cosine", "learning_rate_init": 0.05}
    model = network(early_stopping=True, max_iter=12, **params).fit(*data)
    display = LossCurveDisplay.from_estimator(model)
    assert display.panels_ == ("loss", "validation_score", "learning_rate")
    training, validation, score, rate = map(curve_of, display.lines_)
    np.testing.assert_array_equal(training, model.loss_curve_)
    np.testing.assert_array_equal(validation, model.validation_loss_curve_)
    np.testing.assert_array_equal(score, model.validation_scores_)
    np.testing.assert_array_equal(rate, model.learning_rate_curve_)
    assert score[display.best_epoch - 1] == model.best_validation_score_
    assert display.best_epoch == np.argmax(model.validation_scores_) + 1


def test_the_best_epoch_has_the_weights_that_were_kept(data):
    params = {"early_stopping": True, "learning_rate_init": 0.1}
    model = network(max_iter=30, **params).fit(*data)
    best = LossCurveDisplay.from_estimator(model).best_epoch
    assert 1 < best < model.n_iter_
    shorter = network(max_iter=best, **params).fit(*data)
    np.testing.assert_array_equal(shorter.coefs_[0], model.coefs_[0])


def test_only_what_there_is_has_a_panel(data):
    model = network().fit(*data)
    display = LossCurveDisplay.from_estimator(model)
    assert display.panels_ == ("loss",)
    assert display.best_epoch is None
    display.plot(panels=["learning_rate", "loss"])
    assert display.panels_ == ("loss", "learning_rate")
    for panels in (["validation_score"], "score", ["loss", "rate"]):
        with pytest.raises(ValueError, match=r"some of \['loss', 'learning_rate'\]"):
            display.plot(panels=panels)


@pytest.mark.parametrize(
    ("losses", "log_scale", "expected"),
    [
        ([2, 1.0], "auto", "linear"),
        ([2, 0.05], "auto", "log"),
        ([2, -0.05], "auto", "linear"),  # the log-likelihood of a density may be so
        ([2, 0.05], False, "linear"),
        ([2, 1.0], True, "log"),
    ],
)
def test_scale_of_losses(losses, log_scale, expected):
    display = LossCurveDisplay(losses).plot(log_scale=log_scale)
    assert display.axes_[0].get_yscale() == expected


@pytest.mark.parametrize(
    ("log_scale", "message"), [(True, "above 0, got 0"), ("log", "a bool or")]
)
def test_illegal_scale(log_scale, message):
    with pytest.raises(ValueError, match=message):
        LossCurveDisplay([1, 0]).plot(log_scale=log_scale)


def test_several_estimators_are_told_apart(data):
    models = {
        "short": network(max_iter=3),
        "stopped": network(early_stopping=True),
        "long": network(solver="sgd", learning_rate="cosine", max_iter=5),
    }
    fitted = {name: model.fit(*data) for name, model in models.items()}
    displays = LossCurveDisplay.from_estimators(fitted)
    axes = displays[0].axes_
    assert displays[0].panels_ == ("loss", "validation_score", "learning_rate")
    for display, model in zip(displays, fitted.values(), strict=True):
        assert list(display.axes_) == list(axes)
        np.testing.assert_array_equal(curve_of(display.lines_[0]), model.loss_curve_)
    firsts = [display.lines_[0] for display in displays]
    assert len({line.get_color() for line in firsts}) == 3
    assert len({line.get_marker() for line in firsts}) == 3
    labels = axes[0].get_legend_handles_labels()[1]
    assert labels[:2] == ["short: training", "stopped: training"]
    assert len(axes[1].lines) == 2  # of the one with a validation, and its best epoch


def test_a_further_estimator_over_a_display(data):
    first = LossCurveDisplay.from_estimator(network().fit(*data), name="a")
    model = network(alpha=1.0).fit(*data)
    second = LossCurveDisplay.from_estimator(model, ax=first.axes_, name="b")
    (one,), (two,) = first.lines_, second.lines_
    assert one.axes is two.axes
    assert one.get_color() != two.get_color()
    assert one.get_marker() != two.get_marker()


def test_curves_of_lbfgs_are_refused(data):
    model = network(solver="lbfgs", callbacks=None).fit(*data)
    with pytest.raises(ValueError, match="must be trained in epochs"):
        LossCurveDisplay.from_estimator(model)
    with pytest.raises(ValueError, match="must not be empty"):
        LossCurveDisplay.from_estimators({})


# ---- gradients ---------------------------------------------------------------------


def test_gradients_are_those_of_the_record(data):
    model = network().fit(*data)
    display = GradientFlowDisplay.from_estimator(model)
    assert display.ax_.get_yscale() == "log"
    drawn = np.transpose([curve_of(line) for line in display.lines_])
    np.testing.assert_array_equal(drawn, model.gradient_norm_curve_)
    labels = [line.get_label() for line in display.lines_]
    assert labels == ["hidden 1", "hidden 2", "output"]


@pytest.mark.parametrize("wrap", WRAPS)
def test_without_a_record_a_clone_is_watched(wrap, data):
    expected = GradientFlowDisplay.from_estimator(wrap(network(), data))
    plain = wrap(network(callbacks=None), data)
    before = pickle.dumps(plain)
    found = GradientFlowDisplay.from_estimator(plain, *data)
    assert pickle.dumps(plain) == before
    np.testing.assert_array_equal(found.gradient_norms, expected.gradient_norms)


def test_an_estimator_that_is_not_fitted_may_be_watched(data):
    pipeline = make_pipeline(StandardScaler(), network())
    found = GradientFlowDisplay.from_estimator(pipeline, *data)
    assert not hasattr(pipeline[-1], "net_")
    record = pipeline.fit(*data)[-1].gradient_norm_curve_
    np.testing.assert_array_equal(found.gradient_norms, record)


@pytest.mark.parametrize("wrap", [lambda model: model, make_pipeline])
def test_gradients_of_an_estimator_for_tables(wrap, table):
    X, y = table
    estimator = wrap(TabularMLPClassifier(max_iter=2, random_state=0))
    display = GradientFlowDisplay.from_estimator(estimator, X, y)
    assert np.shape(display.gradient_norms) == (2, 4)
    assert np.all(np.asarray(display.gradient_norms) > 0)


def test_without_a_record_and_data_both_ways_are_told(data):
    model = network(callbacks=None).fit(*data)
    for args in [(), (data[0],), (None, data[1])]:
        with pytest.raises(ValueError, match="X and y must be given") as error:
            GradientFlowDisplay.from_estimator(model, *args)
        assert "callbacks=[sk_deep.callbacks.LayerMonitor()]" in str(error.value)
    with pytest.raises(ValueError, match="trained in epochs, got solver='lbfgs'"):
        GradientFlowDisplay.from_estimator(model.set_params(solver="lbfgs"), *data)


def test_gradients_of_zero_are_marked():
    norms = np.array([[0.0, 1e-3], [1e-5, 1e-2], [0.0, 1e-2]])
    display = GradientFlowDisplay(norms).plot()
    np.testing.assert_array_equal(curve_of(display.lines_[0]), [np.nan, 1e-5, np.nan])
    (marks,) = display.ax_.collections
    np.testing.assert_allclose(marks.get_offsets(), [[1, 1e-6], [3, 1e-6]])


# ---- activations -------------------------------------------------------------------


class Bump(nn.Module):
    def forward(self, z):
        return (-z.square()).exp()


IN_NUMPY = {
    "relu": lambda z: np.maximum(z, 0),
    "tanh": np.tanh,
    "logistic": special.expit,
    "softplus": lambda z: np.logaddexp(0, z),
    Bump: lambda z: np.exp(-(z**2)),
}


@pytest.mark.parametrize("activation", IN_NUMPY)
@pytest.mark.parametrize("n_members", [1, 3])
def test_shapes_of_functions(activation, n_members, data):
    model = network(activation=activation, n_members=n_members).fit(*data)
    display = ActivationDisplay.from_estimator(model)
    expected = IN_NUMPY[activation](display.inputs)[:, np.newaxis]
    for shape in display.shapes:
        np.testing.assert_allclose(shape, expected, atol=1e-12)
    assert len(display.axes_) == 1  # both layers are alike
    name = activation if isinstance(activation, str) else activation.__name__
    assert display.axes_[0].get_title() == f"hidden 1 to 2: {name}"


@pytest.mark.parametrize("n_members", [1, 3])
def test_shapes_of_learned_slopes(n_members, data):
    model = network(activation=["relu", "prelu"], n_members=n_members).fit(*data)
    display = ActivationDisplay.from_estimator(model)
    assert len(display.axes_) == 2
    z, shape = display.inputs[:, np.newaxis], display.shapes[1]
    slopes = model.net_.module_.hidden[1].activation.slope.detach().numpy().ravel()
    assert len(slopes) == 5 * n_members == shape.shape[1]
    assert len(np.unique(slopes)) > 1
    np.testing.assert_allclose(shape, np.maximum(z, 0) + slopes * np.minimum(z, 0))


def maxout_along_lines(weight, bias, t, inputs=None, n_units=6):
    """Follow maxout units along the first principal component of their pieces."""
    center = np.zeros(len(weight)) if inputs is None else inputs.mean(axis=0)
    shapes = []
    for i in range(n_units):
        own, shift = weight[:, i::n_units], bias[i::n_units]
        covariance = np.cov(own)  # of the pieces, over the features
        direction = np.linalg.eigh(np.atleast_2d(covariance))[1][:, -1]
        slopes = own.T @ direction
        if slopes[np.abs(slopes).argmax()] < 0:
            direction = -direction
        step = 1.0 if inputs is None else (inputs @ direction).std()
        x = center + np.outer(t * step, direction)
        shapes.append((x @ own + shift).max(axis=1))
    return np.transpose(shapes)


@pytest.mark.parametrize("pieces", [2, 3])
@pytest.mark.parametrize("with_data", [False, True])
def test_shapes_of_maxout(pieces, with_data, data):
    X = data[0]
    model = network(activation="maxout", maxout_pieces=pieces).fit(*data)
    display = ActivationDisplay.from_estimator(model, X if with_data else None)
    inputs = [X, model.transform_hidden(X, 0)] if with_data else [None, None]
    for i, n_units in enumerate((6, 5)):
        W, b = model.coefs_[i], model.intercepts_[i]
        expected = maxout_along_lines(W, b, display.inputs, inputs[i], n_units)
        np.testing.assert_allclose(display.shapes[i], expected, atol=1e-9)


def test_shapes_of_the_members_maxout(data):
    model = network(activation="maxout", n_members=3).fit(*data)
    shape = ActivationDisplay.from_estimator(model, data[0]).shapes[0]
    for i in range(3):
        W, b = model.coefs_[0][i], model.intercepts_[0][i]
        t = np.linspace(-4, 4, 201)
        expected = maxout_along_lines(W, b, t, data[0])
        np.testing.assert_allclose(shape[:, 6 * i : 6 * i + 6], expected, atol=1e-9)


def test_maxout_of_one_input_is_the_function_itself():
    X = np.linspace(-3, 3, 50)[:, np.newaxis]
    model = network(hidden_layer_sizes=(6,), activation="maxout").fit(X, X.ravel())
    display = ActivationDisplay.from_estimator(model)
    expected = model.transform_hidden(display.inputs[:, np.newaxis])
    np.testing.assert_allclose(display.shapes[0], expected, atol=1e-12)


def test_batch_normalization_is_part_of_maxout():
    X = np.linspace(-3, 3, 50)[:, np.newaxis]
    model = network(activation="maxout", normalization="batch", max_iter=20)
    model.set_params(hidden_layer_sizes=(6,)).fit(X, X.ravel() ** 2)
    display = ActivationDisplay.from_estimator(model)
    expected = model.transform_hidden(display.inputs[:, np.newaxis])
    np.testing.assert_allclose(display.shapes[0], expected, atol=1e-12)


@pytest.mark.parametrize("wrap", WRAPS[:2])
def test_fractions_of_dead_and_saturated_units(wrap, data):
    model = network(activation=["relu", "tanh"])
    estimator = wrap(model, data)
    model.intercepts_[0][:2] = -1e3
    model.intercepts_[1][3] = 1e3
    display = ActivationDisplay.from_estimator(estimator, data[0])
    X = data[0] if wrap is bare else estimator[:-1].transform(data[0])
    states = unit_states(model.net_, X)
    np.testing.assert_array_equal(display.dead, [s.dead.mean() for s in states])
    expected = [s.saturated.mean() for s in states]
    np.testing.assert_array_equal(display.saturated, expected)
    assert display.dead[0] >= 2 / 6
    assert display.saturated[1] >= 1 / 5
    heights = [bar.get_height() for bar in display.axes_[-1].patches]
    np.testing.assert_allclose(heights, 100 * np.r_[display.dead, display.saturated])


@pytest.mark.parametrize("container", [pd.DataFrame, scipy.sparse.csc_matrix])
def test_data_in_any_container(container, data):
    X = container(data[0])
    if container is pd.DataFrame:
        X.columns = list("abcd")
    model = network(activation="maxout").fit(X, data[1])
    display = ActivationDisplay.from_estimator(model, X)
    model = network(activation="maxout").fit(*data)
    expected = ActivationDisplay.from_estimator(model, data[0])
    np.testing.assert_allclose(display.shapes[0], expected.shapes[0], atol=1e-9)
    with pytest.raises(ValueError, match="features"):
        ActivationDisplay.from_estimator(model, data[0][:, :2])


def test_columns_are_encoded_as_the_estimator_does(data):
    X, y = 1e4 * data[0], data[1]
    model = network(activation="tanh", max_iter=1)
    pipeline = make_pipeline(StandardScaler(), model).fit(X, y)
    expected = ActivationDisplay.from_estimator(pipeline, X)
    encoding = clone(model).set_params(numerical_scaling="standard").fit(X, y)
    display = ActivationDisplay.from_estimator(encoding, X)
    np.testing.assert_array_equal(expected.saturated, 0)
    np.testing.assert_array_equal(display.saturated, 0)
    np.testing.assert_array_equal(display.dead, expected.dead)


@pytest.mark.parametrize("wrap", [lambda model: model, make_pipeline])
def test_units_of_an_estimator_for_tables(wrap, table):
    X, y = table
    model = TabularMLPClassifier(n_members=2, max_iter=2, random_state=0)
    display = ActivationDisplay.from_estimator(wrap(model).fit(X, y), X)
    assert display.dead.shape == display.saturated.shape == (3,)
    assert display.saturated.max() < 0.5


def test_a_network_without_hidden_layers_is_refused(data):
    model = network(hidden_layer_sizes=()).fit(*data)
    with pytest.raises(ValueError, match="must have a hidden layer"):
        ActivationDisplay.from_estimator(model)


# ---- weights -----------------------------------------------------------------------


@pytest.fixture(scope="module")
def images():
    X, y = load_digits(return_X_y=True)
    X, y = X[:200, :48] / 16, y[:200]
    return MLPClassifier((7,), max_iter=5, random_state=0).fit(X, y)


def test_images_are_the_weights_of_the_largest_norms(images):
    display = WeightDisplay.from_estimator(images, image_shape=(6, 8), n_images=4)
    weight = images.coefs_[0]
    norms = np.sqrt((weight**2).sum(axis=0))
    assert display.units_.tolist() == sorted(range(7), key=lambda i: -norms[i])[:4]
    (image,) = display.axes_[0].images
    drawn = image.get_array().filled(np.nan)
    assert drawn.shape == (13, 17)
    corners = [(0, 0), (0, 9), (7, 0), (7, 9)]
    for unit, (top, left) in zip(display.units_, corners, strict=True):
        part = drawn[top : top + 6, left : left + 8]
        np.testing.assert_array_equal(part.ravel(), weight[:, unit])
    assert np.isnan(drawn[6]).all()
    low, high = image.get_clim()
    assert -low == high == np.abs(weight[:, display.units_]).max()


@pytest.mark.parametrize("image_shape", [(8, 8), (48,), (4, 4, 3)])
def test_illegal_shapes_of_images(image_shape, images):
    with pytest.raises(ValueError, match="of the 48 inputs"):
        WeightDisplay.from_estimator(images, image_shape=image_shape)
    with pytest.raises(ValueError, match="at least 1, got 0"):
        WeightDisplay.from_estimator(images, image_shape=(6, 8), n_images=0)


@pytest.mark.parametrize("params", [{}, {"n_members": 3}, {"activation": "maxout"}])
def test_histograms_count_all_weights(params, data):
    model = network(**params).fit(*data)
    display = WeightDisplay.from_estimator(model)
    assert display.units_ is None
    for ax, coef, own in zip(display.axes_, model.coefs_, display.weights, strict=True):
        assert own.shape == (coef.shape[-2], coef.size // coef.shape[-2])
        counts = [bar.get_height() for bar in ax.patches]
        bins = np.histogram_bin_edges(coef, "auto")
        np.testing.assert_array_equal(counts, np.histogram(coef, bins)[0])
