"""The search along the recipe: moves, space, walk, search, and its picture."""

import collections
import datetime
import pickle

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import scipy.sparse
import torch
from sklearn import config_context
from sklearn.base import clone
from sklearn.callback.tests._utils import RecordingCallback
from sklearn.datasets import load_iris, load_wine, make_multilabel_classification
from sklearn.exceptions import ConvergenceWarning
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import (
    GroupKFold,
    KFold,
    ParameterGrid,
    ParameterSampler,
    ShuffleSplit,
    cross_validate,
)
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from sk_deep import (
    BatchedGridSearchCV,
    BatchedRandomizedSearchCV,
    MLPClassifier,
    MLPRegressor,
    RecipeSearchCV,
)
from sk_deep.plots import RecipePathDisplay
from sk_deep.recipe import MOVES, Facts
from sk_deep.recipe._space import Space

pytestmark = pytest.mark.filterwarnings("ignore", category=ConvergenceWarning)

SMALL = {"hidden_layer_sizes": 5, "max_iter": 3, "random_state": 0}


@pytest.fixture(scope="module")
def wine():
    X, y = load_wine(return_X_y=True)
    return X[::2], y[::2]


def small(X, y):
    """Choose the network for some targets, and the facts of the data."""
    is_classifier = np.ndim(y) == 1 and len(np.unique(y)) < 10
    kind = MLPClassifier if is_classifier else MLPRegressor
    n_classes = len(np.unique(y)) if is_classifier else 0
    return kind(**SMALL), Facts(*np.shape(X), is_classifier, n_classes)


def pipeline(**params):
    network = MLPClassifier(**{**SMALL, **params})
    return Pipeline([("scale", StandardScaler()), ("mlp", network)])


# ---- moves -------------------------------------------------------------------------

STARTS = [
    {},
    {"solver": "lbfgs"},
    {"hidden_layer_sizes": ()},
    {"hidden_layer_sizes": (4, 3), "activation": ["relu", "tanh"], "dropout": [0, 0.2]},
    {"activation": "maxout", "maxout_pieces": 3},
    {"activation": "selu", "dropout": 0.2, "dropout_type": "alpha"},
    {"dropout_type": "standout", "dropout_params": {"alpha": 0.5}},
    {"early_stopping": True, "scoring": "loss"},
    {"solver": "sgd", "learning_rate": "adaptive", "learning_rate_init": "auto"},
    {"solver": "rmsprop", "solver_params": {"centered": True}},
    {"solver": torch.optim.SGD},
    {"n_hidden_layers": 3, "residual": True},
    {"hidden_layer_sizes": (4, 4)},
    {"augmentation": "noise", "augmentation_params": {"scale": 0.2}},
    {"learning_rate": "step", "schedule_params": {"every": 2}},
    {"activation": torch.nn.ReLU},
    {"normalization": "batch", "n_members": 2},
    {"early_stopping": True, "n_members": 2, "n_folds": 2},
    {"weight_averaging": 2.0},
    {"loss": "squared_error"},
    {"gradient_clip": 1.0},
    {"augmentation": "shift", "augmentation_params": {"image_shape": (13, 1)}},
]
OF_CLASSES = [
    {"loss": "hinge"},
    {"class_weight": "balanced"},
    {"loss": "focal", "loss_params": {"gamma": 1.0}, "label_smoothing": 0.1},
]
OF_NUMBERS = [
    {"loss": "quantile", "loss_params": {"quantile": 0.9}},
    {"loss": "huber", "loss_params": {"delta": 2.0}},
]
CASES = [(kind, start) for kind in ("classes", "numbers") for start in STARTS]
CASES += [("classes", start) for start in OF_CLASSES]
CASES += [("numbers", start) for start in OF_NUMBERS]


def _data(kind, wine):
    X, y = wine
    X = StandardScaler().fit_transform(X)
    return (X, y) if kind == "classes" else (X, X[:, 0] + y)


@pytest.mark.parametrize(("kind", "start"), CASES)
def test_all_candidates_of_moves_are_legal(kind, start, wine):
    X, y = _data(kind, wine)
    network, facts = small(X, y)
    network.set_params(**start)
    for move in MOVES.values():
        for candidate in move.candidates(network, facts):
            changed = clone(network).set_params(**candidate)
            assert changed.get_params() != network.get_params()
            changed.set_params(max_iter=1).fit(X, y)


@pytest.mark.parametrize(("kind", "start"), CASES)
def test_all_of_the_space_is_legal(kind, start, wine):
    X, y = _data(kind, wine)
    network, _ = small(X, y)
    space = RecipeSearchCV.space(network.set_params(**start), X, y)
    for candidate in ParameterSampler(space, 8, random_state=0):
        clone(network).set_params(**candidate, max_iter=1).fit(X, y)


@pytest.mark.parametrize(("kind", "start"), CASES)
def test_usual_choices_are_legal_and_in_the_space(kind, start, wine):
    X, y = _data(kind, wine)
    network, facts = small(X, y)
    network.set_params(**start)
    space = Space(network, facts)
    choices = space.usual(network)
    kinds = {(c["activation"], c["solver"], c.get("learning_rate")) for c in choices}
    assert len(kinds) == len(choices)
    for choice in choices:
        assert all(space.holds({name: value}) for name, value in choice.items())
        clone(network).set_params(**choice, max_iter=1).fit(X, y)


def test_a_mixture_has_values_of_both(wine):
    network, facts = small(*wine)
    space = Space(network, facts)
    choices = space.usual(network)
    one, other = (clone(network).set_params(**choices[i]) for i in (0, 5))
    own, others = one.get_params(), other.get_params()
    random_state = np.random.RandomState(0)
    taken = [space.mixture(one, other, random_state) for _ in range(40)]
    differing = {name for name in own if own[name] != others[name]}
    for changes in taken:
        assert all(changes[name] == others[name] for name in changes)
        assert changes.keys() <= differing
    n_taken = collections.Counter(name for changes in taken for name in changes)
    assert n_taken.keys() == differing
    assert all(8 <= n <= 32 for n in n_taken.values())  # of 40, by halves
    line = clone(one).set_params(hidden_layer_sizes=(), dropout=0.0)
    assert space.mixture(line, other, random_state) == {}


def test_the_space_holds_what_the_moves_give(wine):
    X, y = wine
    model = pipeline(solver="sgd")
    network, facts = model[-1], small(X, y)[1]
    space = RecipeSearchCV.space(model, X, y)
    for move in MOVES.values():
        for name, values in move.grid(network, facts).items():
            if name == "max_iter":
                continue
            known = space[f"mlp__{name}"]
            for value in values:
                if hasattr(known, "support"):
                    assert known.support()[0] <= value <= known.support()[1]
                else:
                    assert value in known
    search = BatchedRandomizedSearchCV(model, space, n_iter=3, cv=2, random_state=0)
    assert np.isfinite(search.fit(X, y).best_score_)


@pytest.mark.parametrize(
    ("start", "moves"),
    [
        (
            {"solver": "lbfgs"},
            (
                *("mini_batch", "learning_rate", "schedule", "momentum", "dropout"),
                *("input_dropout", "augmentation", "max_norm", "gradient_clip"),
                "early_stopping",
            ),
        ),
        ({"solver": "adam"}, ("momentum", "residual")),
        ({"hidden_layer_sizes": ()}, ("activation", "dropout", "scaling")),
        ({"batch_size": 8}, ("mini_batch",)),
        ({"loss": "hinge"}, ("label_smoothing",)),
        ({"activation": torch.nn.ReLU}, ("ensemble",)),
    ],
)
def test_moves_without_a_meaning_give_nothing(start, moves, wine):
    network, facts = small(*wine)
    network.set_params(**start)
    assert [MOVES[key].grid(network, facts) for key in moves] == [{}] * len(moves)


def test_moves_change_what_they_are_called():
    facts = Facts(1000, 20, True, 3)
    network = MLPClassifier(solver="sgd", learning_rate_init=0.02)
    grids = {key: move.grid(network, facts) for key, move in MOVES.items()}
    assert grids["mini_batch"] == {"batch_size": [32, 64]}  # of 200
    assert grids["learning_rate"] == {"learning_rate_init": [0.002, 0.0067, 0.06, 0.2]}
    shapes = [(200,), (100, 100), (200, 200)]
    assert grids["network"] == {"hidden_layer_sizes": shapes}
    assert grids["smaller_network"] == {"hidden_layer_sizes": [(50,), (25,)]}
    assert grids["momentum"] == {"momentum": [0.5, 0.98]}  # and not the present 0.9
    assert grids["epochs"]["max_iter"] == [400, 600]
    assert grids["ensemble"] == {"n_members": [5]}


# ---- the search --------------------------------------------------------------------


@pytest.fixture(scope="module")
def search(digits):
    X, y = digits[0][:240], digits[1][:240]
    poor = {"activation": "logistic", "solver": "sgd", "learning_rate_init": 0.01}
    network = MLPClassifier(10, **poor, loss="squared_error", max_iter=30)
    model = make_pipeline(StandardScaler(), network)
    search = RecipeSearchCV(model, budget=28 * 3, cv=3, random_state=0)
    with pytest.warns(ConvergenceWarning):
        return search.fit(X, y)


@pytest.mark.long
def test_it_improves_a_poor_start(search):
    scores = search.cv_results_["mean_test_score"]
    assert search.cv_results_["params"][0].keys() == {"mlpclassifier__random_state"}
    assert scores[0] < 0.2
    assert search.best_score_ == np.nanmax(scores) > 0.8
    assert search.score(*_rows(search)) > 0.8


def _rows(search):
    from sklearn.datasets import load_digits

    X, y = load_digits(return_X_y=True)
    return X[240:400] / 16, y[240:400]


@pytest.mark.long
def test_results_are_those_of_a_search(search, digits):
    X, y = digits[0][:240], digits[1][:240]
    results = search.cv_results_
    i = search.best_index_
    assert results["params"][i] == search.best_params_
    assert results["rank_test_score"][i] == 1
    model = clone(search.estimator).set_params(**search.best_params_)
    own = cross_validate(model, X, y, cv=3, return_train_score=True)
    for part in ("train", "test"):
        column = [results[f"split{k}_{part}_score"][i] for k in range(3)]
        np.testing.assert_allclose(own[f"{part}_score"], column, atol=0.02)
    assert search.n_splits_ == 3
    assert not search.multimetric_
    np.testing.assert_array_equal(search.classes_, np.arange(10))


@pytest.mark.long
def test_candidates_are_tried_once_and_paid_for(search):
    params = search.cv_results_["params"]
    assert len({str(sorted(one.items())) for one in params}) == len(params)
    yardsticks = 2  # a linear and a constant model
    assert search.n_fits_ == 3 * (len(params) + yardsticks) <= search.budget


@pytest.mark.long
def test_the_path_has_the_numbers_of_the_search(search):
    results, path = search.cv_results_, search.path_
    tried = [one for decision in path for one in decision.tried]
    assert tried == results["params"]
    held = None
    for decision in path:
        if decision.tried:
            rows = [results["params"].index(one) for one in decision.tried]
            best = [
                i
                for i in rows
                if results["mean_test_score"][i] == pytest.approx(decision.after[2])
                and results["mean_train_score"][i] == pytest.approx(decision.after[0])
                and results["std_test_score"][i] == pytest.approx(decision.after[3])
            ]
            assert best
            assert (
                decision.kept is None or results["params"].index(decision.kept) in best
            )
        if held is not None:
            np.testing.assert_array_equal(decision.before, held)
        if decision.kept is not None:
            held = decision.after
    assert path[-1].kept == search.best_params_
    assert path[-1].after.validation == pytest.approx(search.best_score_)
    assert [one.n_fits for one in path] == sorted(one.n_fits for one in path)


@pytest.mark.long
def test_the_path_follows_the_recipe(search):
    moves = [decision.move for decision in search.path_]
    keys = [key for key in moves if key in MOVES]
    stages = ["start", "training", "testing", "usual", "ensemble", "refinement", "end"]
    assert stages == sorted(stages, key=moves.index)
    by_question = [MOVES[key].question for key in keys]
    assert by_question == sorted(by_question, reverse=True)  # training, then testing
    assert keys[-1] == "ensemble"
    for decision in search.path_:
        assert decision.sentence
        if decision.question == "testing" and decision.tried and decision.kept:
            assert decision.after.validation > decision.before.validation


@pytest.mark.long
def test_the_path_reads_as_text(search):
    lines = repr(search.path_).splitlines()
    assert len(lines) == len(search.path_)
    assert lines[0].startswith("Start: training 0.")
    asked = [line for line in lines if line.startswith("Good results on the training")]
    assert "a linear model has 1.000" in asked[0]
    assert asked[0].endswith(": no.")
    assert any("loss='log_loss'" in line and line.endswith(": kept.") for line in lines)
    assert repr(pickle.loads(pickle.dumps(search)).path_) == repr(search.path_)


@pytest.mark.long
def test_an_int_repeats_the_search_and_no_global_state_moves(wine):
    states = np.random.get_state()[1].copy(), torch.get_rng_state()
    searches = [
        RecipeSearchCV(
            pipeline(random_state=None), budget=22, cv=2, random_state=seed
        ).fit(*wine)
        for seed in (0, 0, 1)
    ]
    first, second, third = (one.cv_results_["params"] for one in searches)
    assert first == second != third
    scores = [one.cv_results_["mean_test_score"] for one in searches]
    np.testing.assert_array_equal(scores[0], scores[1])
    np.testing.assert_array_equal(
        searches[0].predict(wine[0]), searches[1].predict(wine[0])
    )
    np.testing.assert_array_equal(np.random.get_state()[1], states[0])
    assert torch.equal(torch.get_rng_state(), states[1])


def test_a_random_state_of_the_network_stays(wine):
    search = RecipeSearchCV(pipeline(random_state=7), budget=8, cv=2, random_state=0)
    assert search.fit(*wine).best_estimator_[-1].random_state == 7
    assert "mlp__random_state" not in search.best_params_


# ---- what is searched --------------------------------------------------------------


def _table(X, y):
    names = [f"column {i}" for i in range(X.shape[1])]
    return pd.DataFrame(X, columns=names), pd.Series(np.array(["a", "b", "c"])[y])


def _sparse(X, y):
    return scipy.sparse.csr_matrix(X / 1000), y


def _lists(X, y):
    return X.tolist(), y.tolist()


def _numbers(X, y):
    return X, X[:, 0] - y


def _several_numbers(X, y):
    return X, np.column_stack([X[:, 0], y])


def _labels(X, y):
    return make_multilabel_classification(90, 13, n_classes=3, random_state=0)


KINDS = [
    (MLPClassifier(**SMALL), _table, {}),
    (MLPClassifier(**SMALL), _sparse, {}),
    (MLPClassifier(**SMALL), _lists, {}),
    (MLPClassifier(**SMALL), _labels, {}),
    (pipeline(loss="hinge"), _table, {}),
    (pipeline(loss="hinge"), _table, {"scoring": "balanced_accuracy"}),
    (pipeline(), _table, {"scoring": "neg_log_loss"}),
    (pipeline(early_stopping=True), _table, {}),
    (pipeline(solver="lbfgs"), _table, {}),
    (pipeline(activation=torch.nn.ReLU), _table, {}),
    (make_pipeline(StandardScaler(), pipeline()), _table, {}),
    (MLPRegressor(**SMALL), _numbers, {"scoring": "neg_mean_absolute_error"}),
    (MLPRegressor("quantile", **SMALL), _numbers, {}),
    (MLPRegressor(**SMALL), _several_numbers, {}),
]


@pytest.mark.long
@pytest.mark.parametrize(("model", "of_kind", "params"), KINDS)
def test_kinds_of_estimators_and_data(model, of_kind, params, wine):
    X, y = of_kind(StandardScaler().fit_transform(wine[0]), wine[1])
    search = RecipeSearchCV(model, budget=44, cv=2, random_state=0, **params)
    search.fit(X, y)
    assert len(search.predict(X)) == len(wine[0]) or of_kind is _labels
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    assert np.isfinite(search.cv_results_["mean_train_score"]).all()
    assert 15 <= len(search.cv_results_["params"]) <= 22
    if isinstance(X, pd.DataFrame):
        assert list(search.feature_names_in_) == list(X.columns)


def test_weights_and_other_fit_parameters_pass_through(wine):
    X, y = StandardScaler().fit_transform(wine[0]), wine[1]
    only_two = (y < 2).astype(float)  # the third class counts nothing
    model = MLPClassifier(10, solver="adam", learning_rate_init=0.05, max_iter=30)
    search = RecipeSearchCV(model, budget=24, cv=2, random_state=0)
    fitted = search.fit(X, y, sample_weight=only_two)
    assert (fitted.predict(X) < 2).all()
    watched = clone(search).set_params(estimator=clone(model), budget=8)
    watched.set_params(estimator__early_stopping=True)
    watched.fit(X, y, X_val=X[:10], y_val=y[:10])
    assert watched.best_estimator_.validation_scores_ is not None


def test_groups_and_drawn_folds(wine):
    X, y = wine
    groups = np.arange(len(y)) % 4
    search = RecipeSearchCV(pipeline(), budget=12, cv=GroupKFold(2))
    assert search.fit(X, y, groups=groups).n_splits_ == 2
    # folds that are drawn anew at each split, but for one draw for all candidates
    drawn = RecipeSearchCV(pipeline(), budget=30, cv=ShuffleSplit(2), random_state=0)
    results = drawn.fit(X, y).cv_results_
    assert len(results["params"]) > 10
    assert not hasattr(drawn, "_splits")


@pytest.mark.processes
def test_workers_find_the_same(wine):
    searches = [
        RecipeSearchCV(pipeline(), budget=30, cv=2, random_state=0, n_jobs=n).fit(*wine)
        for n in (None, 2)
    ]
    scores = [one.cv_results_["mean_test_score"] for one in searches]
    np.testing.assert_allclose(*scores, atol=1e-12)
    assert repr(searches[0].path_) == repr(searches[1].path_)


# ---- budgets -----------------------------------------------------------------------


@pytest.mark.long
@pytest.mark.parametrize("budget", [2, 3, 10, 25, 50])
def test_a_budget_of_fits_is_kept(budget, wine):
    search = RecipeSearchCV(pipeline(), budget=budget, cv=2, random_state=0).fit(*wine)
    assert search.n_fits_ <= budget
    assert search.n_fits_ > budget - 2 * 6  # a round of refinement is not cut
    assert search.diagnosis_ is None


@pytest.mark.long
def test_a_budget_of_time_is_kept(wine):
    short = RecipeSearchCV(pipeline(), budget=datetime.timedelta(microseconds=1), cv=2)
    assert len(short.fit(*wine).cv_results_["params"]) == 1
    long = clone(short).set_params(budget=datetime.timedelta(seconds=2))
    assert len(long.fit(*wine).cv_results_["params"]) > 1


@pytest.mark.long
def test_a_diagnosis_comes_first_and_counts(wine):
    model = pipeline(learning_rate_init=1e-6, max_iter=20)
    search = RecipeSearchCV(model, cv=3, random_state=0).fit(*wine)
    diagnosis = search.diagnosis_
    first = diagnosis.suggestions[0]
    assert [one.move for one in search.path_[:2]] == ["start", first.move]
    grid = [{**one} for one in ParameterGrid(first.param_grid)]
    tried = search.path_[1].tried
    assert all(one in grid for one in tried)
    n_candidates = len(search.cv_results_["params"])
    assert search.n_fits_ == diagnosis.n_fits + 3 * n_candidates <= 50 * 3


# ---- what fails --------------------------------------------------------------------


@pytest.mark.long
def test_it_leaves_a_start_that_diverges(diabetes):
    X, y = diabetes
    network = MLPRegressor(
        hidden_layer_sizes=10,
        solver="sgd",
        learning_rate_init=1e4,
        max_iter=20,
        random_state=0,
    )
    search = RecipeSearchCV(network, budget=40, cv=2, random_state=0).fit(X, y)
    assert np.isnan(search.cv_results_["mean_test_score"][0])
    assert "diverges" in str(search.path_[0])
    assert search.best_score_ > 0
    for decision in search.path_[1:]:
        if decision.kept is not None and decision.tried:
            assert np.isfinite(decision.after.validation)


def test_a_start_that_is_illegal_raises(wine):
    search = RecipeSearchCV(pipeline(dropout=2.0), budget=20, cv=2)
    with pytest.raises(ValueError, match="fits failed"):
        search.fit(*wine)


def _two_scores(estimator, X, y):
    return {"a": 1.0, "b": 2.0}


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"estimator": LogisticRegression()}, "Pipeline that ends in one, got"),
        (
            {"estimator": make_pipeline(StandardScaler(), LogisticRegression())},
            "Pipeline that ends in one",
        ),
        ({"scoring": ["accuracy", "f1_macro"]}, "The 'scoring' parameter"),
        ({"scoring": {"a": "accuracy"}}, "The 'scoring' parameter"),
        ({"scoring": _two_scores}, "scoring must give a single score"),
        ({"budget": 1}, "one fit for each of 2 splits, got 1"),
        ({"budget": 0}, "The 'budget' parameter"),
        ({"budget": datetime.timedelta(0)}, "budget must be positive"),
        ({"budget": "much"}, "The 'budget' parameter"),
        ({"refit": "accuracy"}, "The 'refit' parameter"),
    ],
)
def test_errors(params, message, wine):
    search = RecipeSearchCV(pipeline(), cv=2, budget=4).set_params(**params)
    with pytest.raises(ValueError, match=message):
        search.fit(*wine)


def test_no_refit(wine):
    search = RecipeSearchCV(pipeline(), budget=8, cv=2, refit=False).fit(*wine)
    assert search.best_params_ == search.path_[-1].kept
    assert not hasattr(search, "best_estimator_")
    assert not hasattr(search, "predict")


# ---- what is told ------------------------------------------------------------------


def test_verbose_prints_the_decisions(wine, capsys):
    search = RecipeSearchCV(pipeline(), budget=12, cv=2, random_state=0)
    search.fit(*wine)
    assert capsys.readouterr().out == ""
    search.set_params(verbose=1).fit(*wine)
    printed = capsys.readouterr().out.splitlines()
    assert [line for line in printed if line in set(map(str, search.path_))] == [
        str(decision) for decision in search.path_
    ]


def test_callbacks_see_steps_and_fits(wine):
    watch = RecordingCallback()
    search = RecipeSearchCV(pipeline(), budget=10, cv=2, random_state=0)
    search.set_callbacks(watch).fit(*wine)
    begun, ended = (
        collections.Counter(
            one["context"].task_name for one in watch.record if one["name"] == hook
        )
        for hook in ("on_fit_task_begin", "on_fit_task_end")
    )
    assert begun == ended
    assert begun["fit"] == begun["search"] == begun["refit-with-best-params"] == 1
    assert begun["step"] == sum(bool(one.tried) for one in search.path_)
    n_candidates = len(search.cv_results_["params"])
    assert begun["candidate-split-evaluation"] == 2 * n_candidates


# ---- the picture -------------------------------------------------------------------


@pytest.mark.long
def test_picture_has_the_numbers(search):
    display = RecipePathDisplay.from_estimator(search)
    moves = [one for one in search.path_ if one.tried]
    assert list(display.labels) == [one.title.lower() for one in moves]
    np.testing.assert_array_equal(
        display.validation_score, [one.after.validation for one in moves]
    )
    held = []
    for one in moves:
        held.append(one.after.validation if one.kept is not None else held[-1])
    np.testing.assert_array_equal(display.lines_[1].get_ydata(), held)
    ax = display.ax_
    assert ax.get_title()
    assert ax.get_xlabel()
    assert ax.get_ylabel() == "score"
    assert len(ax.get_xticks()) == len(moves)
    assert display.plot(ax).ax_ is ax
    plt.close("all")


def test_picture_needs_a_path():
    grid = BatchedGridSearchCV(pipeline(), {"mlp__alpha": [0.1]})
    for other in (RecipeSearchCV(pipeline()), grid):
        with pytest.raises(ValueError, match="must be a fitted RecipeSearchCV"):
            RecipePathDisplay.from_estimator(other)


def test_metadata_routing(wine):
    X, y = wine
    with config_context(enable_metadata_routing=True):
        network = MLPClassifier(**SMALL).set_fit_request(sample_weight=True)
        scaler = StandardScaler().set_fit_request(sample_weight=False)
        model = make_pipeline(scaler, network)
        search = RecipeSearchCV(model, budget=24, cv=KFold(2), random_state=0)
        search.fit(X, y, sample_weight=np.ones(len(y)))
        assert np.isfinite(search.cv_results_["mean_test_score"]).all()


# ---- suggestions beside the network's own parameters --------------------------------


@pytest.mark.long
@pytest.mark.parametrize("before", [SimpleImputer(), "passthrough"])
def test_inputs_that_are_not_scaled(before):
    """A scaler may take an idle step's place, but not the network's."""
    X, y = load_wine(return_X_y=True)
    model = Pipeline([("before", before), ("mlp", MLPClassifier(4, max_iter=2))])
    search = RecipeSearchCV(model, budget=90, cv=2, random_state=0, refit=False)
    search.fit(X, y)
    assert search.diagnosis_.verdicts[0].key == "unscaled_inputs"
    tried = {name for one in search.cv_results_["params"] for name in one}
    assert ("before" in tried) == (before == "passthrough")
    assert "mlp" not in tried


@pytest.mark.long
def test_weights_of_other_steps_are_not_the_networks():
    X, y = (array[::2] for array in load_iris(return_X_y=True))
    model = Pipeline(
        [("scale", StandardScaler()), ("mlp", MLPClassifier(4, max_iter=2))]
    )
    search = RecipeSearchCV(model, budget=90, cv=2, random_state=0, refit=False)
    assert search.fit(X, y, scale__sample_weight=np.ones(len(y))).diagnosis_ is None
    assert search.fit(X, y, mlp__sample_weight=np.ones(len(y))).diagnosis_ is not None
