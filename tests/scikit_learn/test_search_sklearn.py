"""scikit-learn's own tests of its searches, run on ours.

The functions below are those of the installed
``sklearn/model_selection/tests/test_search.py``, with the searches swapped: first all
of them with scikit-learn's estimators, and then, ending in ``_with_networks``, those
that are about the search with the estimators swapped too. The others of them follow
in our words, next to what scikit-learn's search finds with the same estimator.
"""

import ast
import pickle
import re
import warnings
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import scipy.sparse
from scipy.stats import loguniform
from sklearn import config_context
from sklearn.base import clone
from sklearn.callback.tests._utils import RecordingCallback
from sklearn.datasets import (
    make_classification,
    make_multilabel_classification,
    make_regression,
)
from sklearn.exceptions import FitFailedWarning, NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, make_scorer, recall_score
from sklearn.model_selection import (
    GridSearchCV,
    GroupKFold,
    GroupShuffleSplit,
    KFold,
    LeaveOneGroupOut,
    PredefinedSplit,
    RandomizedSearchCV,
    RepeatedStratifiedKFold,
    ShuffleSplit,
    cross_validate,
)
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler, scale

import sk_deep
from sk_deep import BatchedGridSearchCV, BatchedRandomizedSearchCV

pytestmark = pytest.mark.foreign

NO_SEARCH = "has no search"
LEFT_OUT = {
    "test_validate_parameter_input": NO_SEARCH,
    "test_parameter_grid": NO_SEARCH,
    "test_param_sampler": NO_SEARCH,
    "test_parameters_sampler_replacement": NO_SEARCH,
    "test_yield_masked_array_for_each_param": NO_SEARCH,
    "test_yield_masked_array_no_runtime_warning": NO_SEARCH,
    "test__custom_fit_no_run_search": "is about other subclasses of BaseSearchCV",
    "test_array_api_search_cv_classifier": "is about the array API of its estimator",
    "test_search_with_2d_array": "starts processes for 3 s",
}
SMALL = {"hidden_layer_sizes": (4,), "max_iter": 3, "random_state": 0}
WITH_NETWORKS = {  # name -> parameters of the networks besides the small ones
    "test_grid_search_no_score": {},
    "test_grid_search_score_method": {},
    "test_grid_search_groups": {},
    "test_classes__property": {},
    "test_trivial_cv_results_attr": {},
    "test_no_refit": {},
    "test_grid_search_error": {},
    "test_grid_search_bad_param_grid": {},
    "test_grid_search_sparse": {},
    "test_grid_search_sparse_scoring": {},
    "test_refit_callable_invalid_type": {},
    "test_refit_callable_out_bound": {},
    "test_refit_callable_multi_metric": {},
    "test_grid_search_cv_results": {},
    "test_random_search_cv_results": {},
    "test_search_default_iid": {"solver": "lbfgs", "max_iter": 50},
    "test_grid_search_cv_results_multimetric": {},
    "test_random_search_cv_results_multimetric": {},
    "test_search_cv_score_samples_error": {},
    "test_unsupported_sample_weight_scorer": {},
    # all rows in a batch: shuffles of weighted and of repeated rows differ
    "test_search_cv_sample_weight_equivalence": {"solver": "lbfgs"},
    "test_search_cv_results_rank_tie_breaking": {
        "hidden_layer_sizes": (),
        "max_iter": 40,
    },
    "test_search_cv_results_none_param": {},
    "test_search_cv_timing": {},
    "test_grid_search_correct_score_results": {"loss": "hinge"},
    "test_pickle": {},
    "test_grid_search_with_multioutput_data": {},
    "test_predict_proba_disabled": {"loss": "hinge"},
    "test_grid_search_allows_nans": {},
    "test_stochastic_gradient_loss_param": {},
    "test_search_train_scores_set_to_false": {},
    "test_grid_search_cv_splits_consistency": {},
    "test_custom_run_search": {},
    "test_empty_cv_iterator_error": {},
    "test_random_search_bad_cv": {},
    # converges at once: the warnings are counted
    "test_searchcv_raise_warning_with_non_finite_score": {
        "solver": "lbfgs",
        "tol": 0.17,
    },
    "test_callable_multimetric_confusion_matrix": {},
    "test_callable_multimetric_same_as_list_of_strings": {},
    "test_callable_single_metric_same_as_single_string": {},
    "test_callable_multimetric_error_on_invalid_key": {},
    "test_n_features_in": {},
    "test_search_cv_verbose_3": {},
    "test_search_estimator_param": {},
    "test_multi_metric_search_forwards_metadata": {},
    "test_score_rejects_params_with_no_routing_enabled": {},
    "test_search_with_estimators_issue_29157": {},
    "test_cv_results_multi_size_array": {},
    "test_search_callbacks_propagation": {},
    "test_search_callbacks_receive_sample_weight": {},
    "test_search_callbacks_receive_search_instance": {},
}
BELOW = "its estimator is a dummy that checks or fails: in our words below"
NOT_A_NETWORK = "networks have no such method, parameter or input"
NOT_WITH_NETWORKS = {
    "test_grid_search": "asserts the scores of a dummy",
    "test_grid_search_when_param_grid_includes_range": "asserts the scores of a dummy",
    "test_grid_search_pipeline_steps": BELOW,
    "test_SearchCV_with_fit_params": BELOW,
    "test_grid_search_one_grid_point": "compares support vectors: in our words below",
    "test_grid_search_precomputed_kernel": NOT_A_NETWORK,
    "test_grid_search_precomputed_kernel_error_nonsquare": NOT_A_NETWORK,
    "test_refit": BELOW,
    "test_refit_callable": "asserts which C is the best: in our words below",
    "test_gridsearch_nd": NOT_A_NETWORK,
    "test_X_as_list": BELOW,
    "test_y_as_list": BELOW,
    "test_pandas_input": BELOW,
    "test_unsupervised_grid_search": NOT_A_NETWORK,
    "test_gridsearch_no_predict": NOT_A_NETWORK,
    "test_search_cv_score_samples_method": NOT_A_NETWORK,
    "test_grid_search_failing_classifier": BELOW,
    "test_grid_search_classifier_all_fits_fail": BELOW,
    "test_grid_search_failing_classifier_raise": BELOW,
    "test_transform_inverse_transform_round_trip": NOT_A_NETWORK,
    "test_callable_multimetric_error_failing_clf": BELOW,
    "test_callable_multimetric_clf_all_fits_fail": BELOW,
    "test_search_cv_pairwise_property_delegated_to_base_estimator": NOT_A_NETWORK,
    "test_search_cv__pairwise_property_delegated_to_base_estimator": NOT_A_NETWORK,
    "test_search_cv_pairwise_property_equivalence_of_precomputed": NOT_A_NETWORK,
    "test_scalar_fit_param": NOT_A_NETWORK,
    "test_scalar_fit_param_compat": "is of validation data: in our words below",
    "test_search_cv_using_minimal_compatible_estimator": "is about no base class",
    "test_search_html_repr": "looks for the names of its estimators",
    "test_cv_results_dtype_issue_29074": BELOW,
    "test_search_callbacks_no_propagation": "networks take scikit-learn's callbacks",
    "test_search_callbacks_with_partial_fit_failures": BELOW,
}
_WORDS = {
    "C": "learning_rate_init",
    "foo_param": "alpha",
    "gamma": "alpha",
    "degree": "n_iter_no_change",
    "kernel": "activation",
    "rbf": "relu",
    "poly": "tanh",
    "max_depth": "max_iter",
    "min_samples_split": "n_iter_no_change",
    "n_jobs=4": "n_jobs=1",
}
_WORDS |= dict.fromkeys(["LinearRegression", "Ridge"], "MLPRegressor")
_WORDS["DecisionTreeRegressor"] = "MLPRegressor"
_WORDS |= dict.fromkeys(
    [
        "DecisionTreeClassifier",
        "HistGradientBoostingClassifier",
        "LinearSVC",
        "LogisticRegression",
        "MaxIterEstimator",
        "MockClassifier",
        "NoCallbackEstimator",
        "SGDClassifier",
        "SVC",
    ],
    "MLPClassifier",
)
# stacks of other sizes round otherwise, on some processors
_WORDS["== getattr(mycv, attr)"] = "== pytest.approx(getattr(mycv, attr))"
_WORD = re.compile(rf"(?<![^\W_])({'|'.join(map(re.escape, _WORDS))})(?!\w)")

_FILE = find_spec("sklearn.model_selection.tests.test_search").origin
# the mark is of a plugin that we do not use
_SOURCE = Path(_FILE).read_text().replace("@pytest.mark.thread_unsafe", "")
_OLD = "\nfrom sklearn.model_selection._search import ("
_SWAP = (
    "\nfrom sk_deep import BatchedGridSearchCV as GridSearchCV,"
    " BatchedRandomizedSearchCV as RandomizedSearchCV;"
)
assert _SOURCE.count(_OLD) == 1
_NODES = {getattr(node, "name", None): node for node in ast.parse(_SOURCE).body}
_NAMESPACE = {"__name__": __name__}
exec(compile(_SOURCE.replace(_OLD, _SWAP + _OLD[1:]), _FILE, "exec"), _NAMESPACE)
_NAMES = [name for name in _NAMESPACE if name.startswith("test_")]
MockClassifier = _NAMESPACE["MockClassifier"]  # to be found when it is pickled


class _NoScore(sk_deep.MLPClassifier):
    @property
    def score(self):
        raise AttributeError


def _with_networks(name, params):
    """A test of scikit-learn's with networks in place of its estimators."""
    node = _NODES[name]
    start = min(item.lineno for item in (node, *node.decorator_list)) - 1
    lines = _SOURCE.splitlines()[start : node.end_lineno]
    source = _WORD.sub(lambda match: _WORDS[match[1]], "\n".join(lines))
    namespace = {
        **_NAMESPACE,
        "MLPClassifier": partial(sk_deep.MLPClassifier, **{**SMALL, **params}),
        "MLPRegressor": partial(sk_deep.MLPRegressor, **{**SMALL, **params}),
        "LinearSVCNoScore": partial(_NoScore, **{**SMALL, **params}),
        # the first two are ours, the others halve
        "_searchcv_callback_test_cases": lambda *args: _NAMESPACE[
            "_searchcv_callback_test_cases"
        ](*args)[:2],
    }
    exec(compile("\n" * start + source, _FILE, "exec"), namespace)
    return namespace[name]


# warnings are not errors there
_as_in_scikit_learn = pytest.mark.filterwarnings(
    "default", "ignore::sklearn.exceptions.ConvergenceWarning"
)
globals().update(
    {n: _as_in_scikit_learn(_NAMESPACE[n]) for n in _NAMES if n not in LEFT_OUT}
)
globals().update(
    {
        f"{name}_with_networks": _as_in_scikit_learn(_with_networks(name, params))
        for name, params in WITH_NETWORKS.items()
    }
)


def test_names_are_of_scikit_learn():
    assert set(LEFT_OUT) <= set(_NAMES)
    with_networks = [*LEFT_OUT, *WITH_NETWORKS, *NOT_WITH_NETWORKS]
    assert sorted(with_networks) == sorted(_NAMES)
    for name in set(_NAMES) - set(LEFT_OUT):
        assert globals()[name].__code__ is _NAMESPACE[name].__code__  # not redefined
    assert len(_NAMES) > 90


def test_searches_are_swapped():
    assert _NAMESPACE["GridSearchCV"] is BatchedGridSearchCV
    assert _NAMESPACE["RandomizedSearchCV"] is BatchedRandomizedSearchCV


GRID = {"learning_rate_init": [1e-3, 0.1], "alpha": [1e-4, 1.0]}
RATES = {"learning_rate_init": [1e-3, 0.1]}
DISTRIBUTIONS = {
    "learning_rate_init": loguniform(1e-3, 1e-1),
    "activation": ["relu", "tanh"],
}
CLASSES = {
    "grid": (BatchedGridSearchCV, GridSearchCV),
    "random": (BatchedRandomizedSearchCV, RandomizedSearchCV),
}


def _classifier(**params):
    return sk_deep.MLPClassifier(**{**SMALL, **params})


def _regressor(**params):
    return sk_deep.MLPRegressor(**{**SMALL, **params})


def _pipeline(model):
    return Pipeline([("scale", StandardScaler()), ("mlp", model)])


def _data(n_classes=2, n_samples=60):
    return make_classification(
        n_samples, 6, n_informative=4, n_classes=n_classes, random_state=0
    )


def _targets(n_targets=1):
    X, y = make_regression(60, 6, n_targets=n_targets, random_state=0)
    return X, scale(y)


def _searches(estimator, space=RATES, kind="grid", **params):
    """A search of ours and the one of scikit-learn, not yet fitted."""
    params = {"cv": 3, **params}
    if kind == "random":
        params = {"n_iter": 4, "random_state": 0, **params}
    return [search(clone(estimator), space, **params) for search in CLASSES[kind]]


def _assert_column_is(column, expected):
    assert type(column) is type(expected)
    assert column.dtype == expected.dtype
    assert column.shape == expected.shape
    np.testing.assert_array_equal(np.ma.getmask(column), np.ma.getmask(expected))
    if isinstance(expected, np.ma.MaskedArray):
        assert column.compressed().tolist() == expected.compressed().tolist()
    else:
        np.testing.assert_allclose(column, expected, rtol=1e-6, atol=1e-8)


def _assert_results_are(results, expected):
    assert list(results) == list(expected)
    assert results["params"] == expected["params"]
    for name in set(expected) - {"params"}:
        if name.endswith("_time"):
            assert results[name].shape == expected[name].shape
            assert results[name].dtype == expected[name].dtype
            assert (results[name] >= 0).all()
        else:
            _assert_column_is(results[name], expected[name])


def _fitted(search):
    names = ["n_features_in_", "classes_", "feature_names_in_"]
    return {n for n in vars(search) if n.endswith("_")} | {
        name for name in names if hasattr(search, name)
    }


def _network(search):
    best = search.best_estimator_
    return best[-1] if isinstance(best, Pipeline) else best


def _assert_same(ours, theirs):
    """All that a fitted search has is that of the search of scikit-learn."""
    _assert_results_are(ours.cv_results_, theirs.cv_results_)
    assert _fitted(ours) == _fitted(theirs)
    for name in ("n_splits_", "multimetric_", "best_index_", "best_params_"):
        assert getattr(ours, name, None) == getattr(theirs, name, None)
    if hasattr(theirs, "best_score_"):
        assert ours.best_score_ == pytest.approx(theirs.best_score_, nan_ok=True)
    for name in ("classes_", "n_features_in_", "feature_names_in_"):
        if hasattr(theirs, name):
            np.testing.assert_array_equal(getattr(ours, name), getattr(theirs, name))
    assert type(ours.scorer_) is type(theirs.scorer_)
    if hasattr(theirs, "best_estimator_"):
        assert ours.refit_time_ >= 0
        networks = [_network(search) for search in (ours, theirs)]
        assert type(networks[0]) is type(networks[1])
        layers = [getattr(network, "coefs_", []) for network in networks]
        for layer, expected in zip(*layers, strict=True):
            np.testing.assert_allclose(layer, expected, rtol=1e-6, atol=1e-9)


def _check(estimator, space, X, y, kind="grid", fit_params=None, **params):
    ours, theirs = _searches(estimator, space, kind, **params)
    for search in (ours, theirs):
        assert search.fit(X, y, **fit_params or {}) is search
    _assert_same(ours, theirs)
    return ours, theirs


def _of_step(space):
    return {f"mlp__{name}": values for name, values in space.items()}


MODELS = {
    "classifier": (_classifier(), {}, _data()),
    "multiclass": (_classifier(), {}, _data(n_classes=3)),
    "regressor": (_regressor(), {}, _targets()),
    "pipeline": (_pipeline(_classifier()), "mlp__", _data()),
}


@pytest.mark.parametrize("return_train_score", [False, True])
@pytest.mark.parametrize("kind", CLASSES)
@pytest.mark.parametrize("name", MODELS)
def test_results(name, kind, return_train_score):
    estimator, prefix, (X, y) = MODELS[name]
    space = GRID if kind == "grid" else DISTRIBUTIONS
    if prefix:
        space = _of_step(space)
    _check(estimator, space, X, y, kind, return_train_score=return_train_score)


@pytest.mark.parametrize("kind", CLASSES)
def test_results_of_a_list_of_spaces_are_masked(kind):
    space = [GRID, {"hidden_layer_sizes": [(3,), (4, 2)]}, {"n_iter_no_change": [1, 2]}]
    ours, _ = _check(_classifier(), space, *_data(), kind, scoring="neg_log_loss")
    if kind == "grid":
        mask = [False] * 4 + [True] * 4
        np.testing.assert_array_equal(ours.cv_results_["param_alpha"].mask, mask)
        assert ours.cv_results_["param_hidden_layer_sizes"].dtype == object
        assert ours.cv_results_["param_n_iter_no_change"].dtype.kind == "i"


@pytest.mark.parametrize(
    "space",
    [
        {},
        {"alpha": [0.1]},
        {"alpha": np.array([0.1, 1.0]), "max_iter": range(1, 3)},
        {"alpha": [0.1, 0.1, 1.0]},
        {"solver": ["adam", "sgd", "lbfgs", "adamw"]},
        {"batch_size": [8, "auto", 30]},
        {"early_stopping": [True, False], "shuffle": [True, False]},
        {"n_members": [1, 2], "dropout": [0.0, 0.5]},
        {"random_state": [0, 1, np.random.RandomState(2)]},
        {"hidden_layer_sizes": [3, (4, 2)], "normalization": [None, "batch"]},
        {"class_weight": [None, "balanced", {0: 1, 1: 3}]},
        {"loss": ["log_loss", "hinge"]},
        {"dtype": ["float32", "float64"]},
    ],
)
def test_results_of_a_space(space):
    _check(_classifier(), space, *_data())


def test_random_state_of_the_estimator_is_a_generator():
    estimator = _classifier(random_state=np.random.RandomState(5))
    _check(estimator, RATES, *_data())


@pytest.mark.parametrize("random_state", [3, np.random.RandomState(3)])
def test_random_search_repeats_itself(random_state):
    X, y = _data()
    runs = [
        clone(
            BatchedRandomizedSearchCV(
                _classifier(), DISTRIBUTIONS, n_iter=3, cv=2, random_state=random_state
            )
        ).fit(X, y)
        for _ in range(2)
    ]
    _assert_same(*runs)
    other = runs[0].set_params(random_state=4).fit(X, y)
    assert other.cv_results_["params"] != runs[1].cv_results_["params"]


def test_random_search_of_a_small_space_warns():
    for search in _searches(_classifier(), GRID, "random", n_iter=9):
        with pytest.warns(UserWarning, match="The total space of parameters 4 is sma"):
            search.fit(*_data())
        assert len(search.cv_results_["params"]) == 4


def _two_scores(estimator, X, y):
    predicted = estimator.predict(X)
    return {
        "recall": recall_score(y, predicted),
        "accuracy": accuracy_score(y, predicted),
    }


def _one_score(estimator, X, y):
    return np.sum(estimator.predict_proba(X)[np.arange(len(y)), y])


@pytest.mark.parametrize(
    ("scoring", "refit"),
    [
        (None, True),
        ("roc_auc", True),
        ("neg_log_loss", "neg_log_loss"),
        (make_scorer(accuracy_score), True),
        (_one_score, True),
        (["recall", "accuracy"], "recall"),
        (("recall", "accuracy"), "accuracy"),
        (["recall", "accuracy"], False),
        ({"a": "recall", "b": make_scorer(accuracy_score), "c": _one_score}, "c"),
        (_two_scores, "recall"),
        (_two_scores, False),
    ],
)
def test_scoring(scoring, refit):
    ours, theirs = _check(
        _classifier(),
        RATES,
        *_data(),
        scoring=scoring,
        refit=refit,
        return_train_score=True,
    )
    assert hasattr(ours, "best_index_") == (refit is not False)
    if refit:
        assert ours.score(*_data()) == pytest.approx(theirs.score(*_data()))
    if isinstance(theirs.scorer_, dict):
        assert list(ours.scorer_) == list(theirs.scorer_)


@pytest.mark.parametrize("scoring", [["recall", "accuracy"], _two_scores])
@pytest.mark.parametrize("refit", [True, "precision"])
def test_refit_needs_the_name_of_a_score(refit, scoring):
    for search in _searches(_classifier(), scoring=scoring, refit=refit):
        with pytest.raises(ValueError, match="the parameter refit must be set to a"):
            search.fit(*_data())


def test_an_unknown_score():
    for search in _searches(_classifier(), scoring="sklearn"):
        with pytest.raises(ValueError, match="sklearn"):
            search.fit(*_data())


@pytest.mark.parametrize("scoring", [None, ["recall", "accuracy"]])
def test_refit_is_a_callable(scoring):
    seen = []

    def worst(results):
        seen.append(list(results))
        return results[f"mean_test_{'recall' if scoring else 'score'}"].argmin()

    ours, _ = _check(_classifier(), RATES, *_data(), refit=worst, scoring=scoring)
    assert seen[0] == seen[1] == list(ours.cv_results_)
    assert not hasattr(ours, "best_score_")


def test_without_a_refit_nothing_predicts():
    ours, _ = _check(_classifier(), RATES, *_data(), refit=False)
    for name in ("predict", "predict_proba", "predict_log_proba"):
        with pytest.raises(AttributeError, match=f"has no attribute '{name}'"):
            getattr(ours, name)
    with pytest.raises(AttributeError, match="refit=False"):
        ours.score(*_data())


def test_not_fitted():
    ours, _ = _searches(_classifier())
    assert not hasattr(ours, "classes_")
    with pytest.raises(NotFittedError):
        ours.predict(_data()[0])
    with pytest.raises(NotFittedError):
        ours.score(*_data())


@pytest.mark.parametrize("name", MODELS)
def test_predictions_are_of_the_best_estimator(name):
    estimator, prefix, (X, y) = MODELS[name]
    ours, theirs = _check(estimator, _of_step(RATES) if prefix else RATES, X, y)
    methods = ["predict"]
    if name != "regressor":
        methods += ["predict_proba", "predict_log_proba"]
    for method in methods:
        outputs = getattr(ours, method)(X)
        np.testing.assert_array_equal(outputs, getattr(ours.best_estimator_, method)(X))
        np.testing.assert_allclose(outputs, getattr(theirs, method)(X), rtol=1e-5)
    assert ours.score(X, y) == pytest.approx(theirs.score(X, y))
    assert not hasattr(ours, "decision_function")
    assert not hasattr(ours, "transform")


def test_decision_function_is_of_the_best_estimator():
    ours, theirs = _check(_classifier(loss="hinge"), RATES, *_data())
    X, _ = _data()
    np.testing.assert_allclose(
        ours.decision_function(X), theirs.decision_function(X), rtol=1e-5
    )
    assert not hasattr(ours, "predict_proba")


def test_refit_is_a_single_fit():
    X, y = _data()
    ours, _ = _searches(_classifier(), GRID)
    ours.fit(X, y)
    single = _classifier(**ours.best_params_).fit(X, y)
    np.testing.assert_array_equal(ours.predict_proba(X), single.predict_proba(X))
    assert vars(ours.best_estimator_).keys() == vars(single).keys()


def test_what_is_given_stays_as_it_was():
    X, y = _data()
    estimator = _pipeline(_classifier())
    steps = [_classifier(alpha=1.0), LogisticRegression()]
    space = {"mlp": steps, "scale": [StandardScaler(), "passthrough"]}
    ours = BatchedGridSearchCV(estimator, space, cv=3).fit(X, y)
    theirs = GridSearchCV(clone(estimator), space, cv=3).fit(X, y)
    _assert_same(ours, theirs)
    assert ours.estimator is estimator
    assert not hasattr(estimator[-1], "coefs_")
    for step in (*steps, space["scale"][0]):
        assert not any(name.endswith("_") for name in vars(step))
    assert list(ours.cv_results_["param_mlp"][[0, 2]]) == steps
    assert ours.best_estimator_[-1] not in steps


def test_estimators_and_their_parameters_are_searched_together():
    space = [
        {"mlp": [_classifier(), _classifier(alpha=1.0)], "mlp__activation": ["tanh"]},
        {"mlp": [LogisticRegression()], "mlp__C": [0.1, 1.0]},
        {"scale__with_mean": [True, False]},
    ]
    _check(_pipeline(_classifier()), space, *_data())


UNEQUAL = np.repeat([0, 1, 2, -1], [5, 25, 20, 10])
GROUPS = np.repeat([0, 1, 2, 3], [5, 25, 20, 10])
SPLITTERS = {
    "number": 4,
    "default": None,
    "unequal": PredefinedSplit(UNEQUAL),
    "shuffled": KFold(3, shuffle=True, random_state=0),
    "overlapping": ShuffleSplit(3, train_size=20, test_size=30, random_state=0),
    "unseeded": ShuffleSplit(2, random_state=np.random.RandomState(0)),
    "repeated": RepeatedStratifiedKFold(n_splits=2, n_repeats=2, random_state=0),
    "arrays": list(KFold(3).split(np.zeros(60))),
    "lists": [(list(range(30)), list(range(30, 60))), (list(range(9, 60)), [0, 1, 8])],
    "masks": [(UNEQUAL != 0, UNEQUAL == 0), (UNEQUAL != 1, UNEQUAL == 1)],
    "repeated rows": [(np.repeat(np.arange(20), 2), np.arange(40, 60))],
}


@pytest.mark.parametrize("name", SPLITTERS)
def test_splits(name):
    ours, theirs = _searches(_classifier(), cv=SPLITTERS[name])
    for search in (ours, theirs):
        # each with a generator of its own
        search.set_params(cv=pickle.loads(pickle.dumps(search.cv))).fit(*_data())
    _assert_same(ours, theirs)


def test_splits_are_a_generator():
    X, y = _data()
    splitter = KFold(3, shuffle=True, random_state=0)
    ours, theirs = _searches(_classifier(), cv=splitter)
    ours.set_params(cv=splitter.split(X, y)).fit(X, y)
    _assert_same(ours, theirs.fit(X, y))


GROUP_SPLITTERS = [
    LeaveOneGroupOut(),
    GroupKFold(n_splits=2),
    GroupShuffleSplit(n_splits=2, random_state=0),
]


@pytest.mark.parametrize("splitter", GROUP_SPLITTERS)
def test_groups(splitter):
    for search in _searches(_classifier(), cv=splitter):
        with pytest.raises(ValueError, match="'groups' parameter should not be None"):
            search.fit(*_data())
    params = {"fit_params": {"groups": GROUPS}, "cv": splitter}
    ours, _ = _check(_classifier(), RATES, *_data(), **params)
    assert ours.n_splits_ == splitter.get_n_splits(groups=GROUPS)


@config_context(enable_metadata_routing=True)
def test_groups_are_routed():
    params = {"fit_params": {"groups": GROUPS}, "cv": GroupKFold(n_splits=2)}
    _check(_classifier(), RATES, *_data(), **params)


@pytest.mark.parametrize(
    "requests", [(True, True), (True, False), (False, True), ("alias", False)]
)
@config_context(enable_metadata_routing=True)
def test_weights_are_routed(requests):
    estimator = _classifier()
    estimator.set_fit_request(sample_weight=requests[0])
    estimator.set_score_request(sample_weight=requests[1])
    name = requests[0] if isinstance(requests[0], str) else "sample_weight"
    fit_params = {name: np.linspace(0, 2, 60)}
    _check(estimator, RATES, *_data(), fit_params=fit_params)
    pipeline = _pipeline(estimator)
    pipeline[0].set_fit_request(sample_weight=False)
    _check(
        pipeline,
        _of_step(RATES),
        *_data(),
        fit_params=fit_params,
        scoring=make_scorer(accuracy_score).set_score_request(sample_weight=name),
    )


@config_context(enable_metadata_routing=True)
def test_weights_that_nobody_requests():
    errors = []
    for search in _searches(_classifier()):
        with pytest.raises(Exception, match="sample_weight") as info:
            search.fit(*_data(), sample_weight=np.ones(60))
        errors.append((info.type, str(info.value).replace("Batched", "")))
    assert errors[0] == errors[1]


@pytest.mark.parametrize("as_type", [np.asarray, list, pd.Series])
@pytest.mark.parametrize("scoring", [None, "neg_log_loss"])
def test_weights(scoring, as_type):
    fit_params = {"sample_weight": as_type(np.linspace(0, 2, 60))}
    _check(_classifier(), RATES, *_data(), fit_params=fit_params, scoring=scoring)


def test_weights_of_a_regressor_and_of_a_pipeline():
    weight = np.tile([0.0, 1.0, 2.0], 20)
    fit_params = {"sample_weight": weight}
    _check(_regressor(), RATES, *_targets(), fit_params=fit_params)
    fit_params = {"mlp__sample_weight": weight}
    space = _of_step(RATES)
    _check(_pipeline(_classifier()), space, *_data(), fit_params=fit_params)


def test_validation_data_is_given_whole():
    X, y = make_classification(80, 6, n_informative=4, random_state=0)
    fit_params = {"X_val": X[60:], "y_val": y[60:]}
    estimator = _classifier(early_stopping=True)
    _check(estimator, RATES, X[:60], y[:60], fit_params=fit_params)


@pytest.mark.parametrize("fit_params", [{"sample_weight": [1.0]}, {"spam": [1] * 60}])
def test_wrong_fit_params(fit_params):
    errors = []
    for search in _searches(_classifier(), error_score="raise"):
        with pytest.raises((TypeError, ValueError)) as info:
            search.fit(*_data(), **fit_params)
        errors.append((info.type, str(info.value)))
    assert errors[0] == errors[1]


INPUTS = {
    "lists": (np.ndarray.tolist, np.ndarray.tolist),
    "tuples": (lambda X: tuple(map(tuple, X)), tuple),
    "frame": (lambda X: pd.DataFrame(X, columns=list("abcdef")), pd.Series),
    "numbered frame": (pd.DataFrame, lambda y: pd.Series(y, index=range(60, 0, -1))),
    "float32": (np.float32, np.float32),
    "integers": (lambda X: np.round(10 * X).astype(int), np.int8),
    "fortran": (np.asfortranarray, np.asarray),
    "strided": (lambda X: np.repeat(X, 2, axis=0)[::2], lambda y: np.repeat(y, 2)[::2]),
    "csr_matrix": (scipy.sparse.csr_matrix, np.asarray),
    "csr_array": (scipy.sparse.csr_array, np.asarray),
    "csc_array": (scipy.sparse.csc_array, np.asarray),
    "coo_array": (scipy.sparse.coo_array, np.asarray),
    "strings": (np.asarray, lambda y: np.array(["b", "a"])[y]),
    "objects": (np.asarray, lambda y: np.array(["b", "a"], dtype=object)[y]),
    "categories": (np.asarray, lambda y: pd.Series(list("ba")).astype("category")[y]),
    "booleans": (np.asarray, lambda y: y.astype(bool)),
}


@pytest.mark.parametrize("name", INPUTS)
def test_inputs(name):
    X, y = _data()
    of_X, of_y = INPUTS[name]
    ours, theirs = _check(_classifier(), RATES, of_X(X), of_y(y))
    np.testing.assert_array_equal(ours.classes_, theirs.classes_)
    assert list(getattr(ours, "feature_names_in_", [])) == list("abcdef") * (
        name == "frame"
    )


def test_inputs_are_not_written_to():
    X, y = _data()
    X.flags.writeable = y.flags.writeable = False
    _check(_classifier(), RATES, X, y)
    _check(_pipeline(_classifier()), _of_step(RATES), X, y)


@pytest.mark.parametrize("n_targets", [2, 3])
def test_targets_are_many(n_targets):
    _check(_regressor(), RATES, *_targets(n_targets))
    X, y = make_multilabel_classification(60, 6, n_classes=n_targets, random_state=0)
    _check(_classifier(), RATES, X, y)


def test_folds_that_lack_a_class():
    X, _ = _data()
    y = np.repeat([0, 1, 2], 20)  # a fold of each class: two of three to train on
    _check(_classifier(), RATES, X, y, cv=KFold(3), return_train_score=True)


def _warned(search, X, y):
    """What a fit warns of: categories and the first lines without numbers of lines."""
    with warnings.catch_warnings(record=True) as record:
        warnings.simplefilter("always")
        search.fit(X, y)
    return sorted(
        (item.category.__name__, str(item.message).strip().split("\n")[0])
        for item in record
        if issubclass(item.category, FitFailedWarning) or item.category is UserWarning
    )


@pytest.mark.parametrize("error_score", [np.nan, 0.25, -1])
@pytest.mark.parametrize("scoring", [None, ["accuracy", "recall"], _two_scores])
def test_a_candidate_that_fails(scoring, error_score):
    ours, theirs = _searches(
        _classifier(),
        {"alpha": [0.1, -1.0, 1.0]},
        scoring=scoring,
        refit="recall" if scoring else True,
        error_score=error_score,
        return_train_score=True,
    )
    seen = _warned(ours, *_data())
    assert seen == _warned(theirs, *_data())
    assert ("FitFailedWarning", "3 fits failed out of a total of 9.") in seen
    _assert_same(ours, theirs)
    name = "recall" if scoring else "score"
    np.testing.assert_array_equal(
        ours.cv_results_[f"split0_test_{name}"][1], error_score
    )
    assert ours.cv_results_["mean_score_time"][1] == 0
    assert ours.best_index_ != 1


def test_a_candidate_that_fails_is_explained():
    for search in _searches(_classifier(), {"alpha": [0.1, -1.0]}):
        message = (
            r"3 fits failed(.|\n)+total of 6(.|\n)+will be set to nan(.|\n)+"
            r"3 fits failed with the following error(.|\n)+The 'alpha' parameter of "
        )
        with (
            pytest.warns(FitFailedWarning, match=message),
            pytest.warns(UserWarning, match="test scores are non-finite"),
        ):
            search.fit(*_data())


@pytest.mark.parametrize("scoring", [None, _two_scores])
def test_all_candidates_fail(scoring):
    for search in _searches(
        _classifier(), {"alpha": [-1.0, -2.0]}, scoring=scoring, refit=False
    ):
        with pytest.raises(
            ValueError, match=r"All the 6 fits failed(.|\n)+'alpha' param"
        ):
            search.fit(*_data())


@pytest.mark.parametrize("space", [{"alpha": [0.1, -1.0]}, {"spam": [1]}])
def test_errors_are_raised(space):
    errors = []
    for search in _searches(_classifier(), space, error_score="raise", refit=False):
        with pytest.raises(ValueError, match="parameter") as info:
            search.fit(*_data())
        errors.append((info.type, str(info.value)))
    assert errors[0] == errors[1]


def test_an_unknown_parameter_is_raised_whatever_the_error_score():
    for search in _searches(
        _classifier(), {"alpha": [0.1], "spam": [1]}, error_score=0
    ):
        with pytest.raises(ValueError, match="Invalid parameter 'spam'"):
            search.fit(*_data())


def test_folds_that_fail():
    X, y = _targets()
    y = np.abs(y)
    y[:20] *= -1  # the loss takes no negative targets: only the first fold trains
    ours, theirs = _searches(
        _regressor(loss="poisson"), cv=KFold(3), refit=False, scoring="r2"
    )
    seen = _warned(ours, X, y)
    assert seen == _warned(theirs, X, y)
    assert ("FitFailedWarning", "4 fits failed out of a total of 6.") in seen
    _assert_same(ours, theirs)
    assert np.isfinite(ours.cv_results_["split0_test_score"]).all()


def test_inputs_that_are_not_finite_fail():
    X, y = _data()
    X[0] = np.nan
    ours, theirs = _searches(_classifier(), cv=KFold(3), refit=False)
    assert _warned(ours, X, y) == _warned(theirs, X, y)
    _assert_same(ours, theirs)
    assert np.isnan(ours.cv_results_["mean_test_score"]).all()


class _Fails:
    """A score that fails for some candidates."""

    def __call__(self, estimator, X, y):
        if estimator.alpha == 1.0:
            raise ValueError("no score")
        return estimator.score(X, y)


@pytest.mark.parametrize("error_score", [np.nan, 0.5])
def test_scores_that_fail(error_score):
    ours, theirs = _searches(
        _classifier(), GRID, scoring=_Fails(), error_score=error_score
    )
    seen = _warned(ours, *_data())
    assert seen == _warned(theirs, *_data())
    assert sum("Scoring failed" in message for _, message in seen) == 6
    _assert_same(ours, theirs)
    with pytest.raises(ValueError, match="no score"):
        ours.set_params(error_score="raise").fit(*_data())


def test_callbacks_of_the_search_are_called_for_fits_that_fail():
    callbacks = [RecordingCallback(), RecordingCallback()]
    searches = _searches(_classifier(), {"alpha": [0.1, -1.0]}, error_score=0.0)
    for search, callback in zip(searches, callbacks, strict=True):
        search.set_callbacks(callback)
        with pytest.warns(FitFailedWarning, match="3 fits failed out of a total of 6"):
            search.fit(*_data())
    for hook in ("setup", "on_fit_task_begin", "on_fit_task_end", "teardown"):
        assert callbacks[0].count_hooks(hook) == callbacks[1].count_hooks(hook) > 0


def test_ties_take_the_first_and_the_best_rank():
    ours, _ = _check(_classifier(), {"alpha": [1.0, 0.1, 0.1, 1.0]}, *_data())
    results = ours.cv_results_
    assert results["mean_test_score"][0] == results["mean_test_score"][3]
    assert results["mean_test_score"][1] == results["mean_test_score"][2]
    assert ours.best_index_ in (0, 1)
    assert results["rank_test_score"].min() == 1


def test_a_search_is_pickled():
    X, y = _data()
    for kind in CLASSES:
        ours, _ = _check(_classifier(), GRID, X, y, kind)
        copy = pickle.loads(pickle.dumps(ours))
        _assert_same(copy, ours)
        np.testing.assert_array_equal(copy.predict_proba(X), ours.predict_proba(X))
        # and before it is fitted
        copy = pickle.loads(pickle.dumps(clone(ours))).fit(X, y)
        _assert_same(copy, ours)


@pytest.mark.parametrize("kind", CLASSES)
def test_a_search_is_cloned(kind):
    ours, theirs = _searches(_classifier(), GRID, kind, return_train_score=True)
    ours.fit(*_data())
    copy = clone(ours)
    assert not hasattr(copy, "cv_results_")
    assert repr(copy) == repr(ours)
    assert set(theirs.get_params()) - set(ours.get_params()) == {"pre_dispatch"}
    assert set(ours.get_params()) - set(theirs.get_params()) == {"batch_members"}
    _assert_same(copy.fit(*_data()), ours)


def test_a_second_fit_forgets_the_first():
    ours, theirs = _searches(_classifier())
    ours.fit(*_data(n_classes=3))
    ours.set_params(estimator__alpha=0.5, param_grid={"max_iter": [1, 2]}, cv=2)
    theirs.set_params(estimator__alpha=0.5, param_grid={"max_iter": [1, 2]}, cv=2)
    _assert_same(ours.fit(*_data()), theirs.fit(*_data()))


@pytest.mark.parametrize("name", ["classifier", "pipeline", "regressor"])
def test_a_search_is_cross_validated(name):
    estimator, prefix, (X, y) = MODELS[name]
    space = _of_step(RATES) if prefix else RATES
    ours, theirs = (
        cross_validate(search, X, y, cv=2, return_estimator=True)
        for search in _searches(estimator, space, cv=2)
    )
    np.testing.assert_allclose(ours["test_score"], theirs["test_score"], rtol=1e-6)
    for search, expected in zip(ours["estimator"], theirs["estimator"], strict=True):
        _assert_same(search, expected)


def test_a_search_is_searched():
    inner = BatchedGridSearchCV(_classifier(), {"alpha": [0.1, 1.0]}, cv=2)
    space = {"estimator__activation": ["relu", "tanh"], "error_score": ["raise"]}
    ours, theirs = (
        search_class(inner, space, cv=2).fit(*_data())
        for search_class in CLASSES["grid"]
    )
    _assert_results_are(ours.cv_results_, theirs.cv_results_)
    assert ours.best_params_ == theirs.best_params_
    assert ours.best_estimator_.best_params_ == theirs.best_estimator_.best_params_


class _Rounds:
    """Two rounds of candidates, the second of what the first was best at."""

    def _run_search(self, evaluate_candidates):
        rates = [1e-3, 0.1]
        results = evaluate_candidates([{"learning_rate_init": rate} for rate in rates])
        best = results["params"][results["mean_test_score"].argmax()]
        results = evaluate_candidates(
            ({**best, "alpha": alpha} for alpha in (0.1, 1.0)),
            cv=KFold(3, shuffle=True, random_state=0),
            more_results={"round": [2, 2]},
        )
        assert len(results["params"]) == 4


class _OurRounds(_Rounds, BatchedGridSearchCV):
    pass


class _TheirRounds(_Rounds, GridSearchCV):
    pass


def test_candidates_come_in_rounds():
    ours, theirs = (
        search_class(_classifier(), {}, cv=3, return_train_score=True)
        for search_class in (_OurRounds, _TheirRounds)
    )
    X, y = _data()
    results, expected = ours.fit(X, y).cv_results_, theirs.fit(X, y).cv_results_
    assert list(results.pop("round")) == list(expected.pop("round")) == [2, 2]
    _assert_same(ours, theirs)


@pytest.mark.parametrize("verbose", [1, 2, 3, 4])
def test_progress(verbose, capsys):
    printed = []
    for search in _searches(
        _classifier(),
        GRID,
        verbose=verbose,
        return_train_score=True,
        scoring="accuracy",
    ):
        search.fit(*_data())
        out = capsys.readouterr().out
        printed.append(re.sub(r"\.* ?total time=.*", "", out).splitlines())
    assert printed[0] == printed[1]
    assert (
        printed[0][0] == "Fitting 3 folds for each of 4 candidates, totalling 12 fits"
    )


@pytest.mark.parametrize("shape", [(0, 6), (60, 0), (59, 6)])
def test_wrong_data(shape):
    errors = []
    for search in _searches(_classifier(), error_score="raise"):
        with pytest.raises(ValueError, match=r"sample|feature") as info:
            search.fit(np.zeros(shape), _data()[1])
        errors.append(str(info.value))
    assert errors[0] == errors[1]
