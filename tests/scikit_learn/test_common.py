"""scikit-learn's checks of estimators, in several configurations."""

import numpy as np
import pytest
from sklearn.utils.estimator_checks import (
    check_dataframe_column_names_consistency,
    check_inplace_ensure_writeable,
    check_param_validation,
    parametrize_with_checks,
)

from sk_deep import (
    MLPClassifier,
    MLPRegressor,
    RecipeSearchCV,
    TabularMLPClassifier,
    TabularMLPRegressor,
)

pytestmark = pytest.mark.foreign

# half the epochs, as in scikit-learn's own tests of its MLP
SHORTER = {"max_iter": 100}
FAST = {"max_iter": 40, "learning_rate_init": 0.01}
CONFIGURATIONS = [
    # the checks fit 10 rows: a tenth of them would be too small a validation set
    {"early_stopping": True, "validation_fraction": 0.5},
    {"dropout": 0.2, "normalization": "batch"},
    {"activation": "maxout"},
    {"solver": "sgd"},
    {"n_members": 3},
    {"dtype": "float32"},
    {"missing": "impute", "numerical_scaling": "standard"},
]
FURTHER = [
    # decision_function in place of probabilities
    MLPClassifier(loss="hinge", **FAST),
    MLPClassifier(loss="focal", label_smoothing=0.1, **FAST),
    MLPRegressor("huber", l1_ratio=0.5, max_norm=3.0, gradient_clip=1.0, **FAST),
]
WEIGHTS_ARE_REPEATS = [
    "check_sample_weight_equivalence_on_dense_data",
    "check_sample_weight_equivalence_on_sparse_data",
]
REASONS = {  # a parameter -> why weights cannot equal repeated rows to 1e-7
    "early_stopping": "repeated rows are split otherwise than weighted ones",
    "dropout": "a mask is drawn for each repeated row",
    "numerical_scaling": "means of rows are not weighted",
    "dtype": "float32 rounds at 6e-8, and the epochs amplify it",
}


def _expected_failures(estimator):
    default = type(estimator)()
    changed = [name for name in REASONS if vars(estimator)[name] != vars(default)[name]]
    return {check: REASONS[name] for name in changed for check in WEIGHTS_ARE_REPEATS}


# These look at the class and at parameters, and train nothing: a configuration takes
# no other branch in them than the default one.
OF_CLASSES = {
    "check_do_not_raise_errors_in_init_or_set_params",
    "check_estimator_cloneable",
    "check_estimator_repr",
    "check_estimator_tags_renamed",
    "check_get_params_invariance",
    "check_mixin_order",
    "check_no_attributes_set_in_init",
    "check_parameters_default_constructible",
    "check_set_params",
}


def _once_a_class(checks):
    """Leave out the checks of classes but for the first estimator of each class."""
    names, cases = checks.args
    first, kept = {}, []
    for case in cases:
        estimator, check = getattr(case, "values", case)
        is_first = first.setdefault(type(estimator), repr(estimator)) == repr(estimator)
        if is_first or check.func.__name__ not in OF_CLASSES:
            kept.append(case)
    return pytest.mark.parametrize(names, kept, **checks.kwargs)


@pytest.mark.filterwarnings("default")  # the checks mean to raise some
@_once_a_class(
    parametrize_with_checks(
        [
            estimator(**params)
            for params in (SHORTER, *({**FAST, **params} for params in CONFIGURATIONS))
            for estimator in (MLPClassifier, MLPRegressor)
        ]
        + FURTHER,
        expected_failed_checks=_expected_failures,
        xfail_strict=True,
    )
)
def test_scikit_learn_checks(estimator, check):
    check(estimator)


FOLDS = "folds of repeated rows are not those of weighted ones"


@pytest.mark.filterwarnings("default")
@parametrize_with_checks(
    [
        kind(n_members=4, hidden_layer_sizes=8, **FAST)
        for kind in (TabularMLPClassifier, TabularMLPRegressor)
    ],
    expected_failed_checks=lambda estimator: {WEIGHTS_ARE_REPEATS[0]: FOLDS},
    xfail_strict=True,
)
def test_scikit_learn_checks_of_tables(estimator, check):
    check(estimator)


SMALL = {"hidden_layer_sizes": 4, "max_iter": 60, "solver": "lbfgs"}


@pytest.mark.filterwarnings("default")
@parametrize_with_checks(
    [
        RecipeSearchCV(network, budget=4, cv=2, random_state=0)
        for network in (MLPClassifier(**SMALL), MLPRegressor(**SMALL))
    ],
    expected_failed_checks=lambda search: dict.fromkeys(WEIGHTS_ARE_REPEATS, FOLDS),
    xfail_strict=True,
)
def test_scikit_learn_checks_of_the_recipe(estimator, check):
    check(estimator)


@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("estimator", [MLPClassifier(), MLPRegressor()], ids=repr)
@pytest.mark.parametrize(
    "check",
    [
        check_dataframe_column_names_consistency,
        check_inplace_ensure_writeable,
        check_param_validation,
    ],
)
def test_further_checks(estimator, check):
    check(type(estimator).__name__, estimator)


def test_weights_of_batch_norm_are_not_repeats(digits):
    # the reason of the fourth pair: batch statistics count rows, not weights
    X, y = digits[0][:60], digits[1][:60]
    weight = np.arange(60) % 3
    params = {"normalization": "batch", "max_iter": 3, "random_state": 0}
    weighted = MLPClassifier(**params).fit(X, y, sample_weight=weight)
    repeated = MLPClassifier(**params).fit(X.repeat(weight, 0), y.repeat(weight))
    assert not np.allclose(weighted.predict_proba(X), repeated.predict_proba(X))
