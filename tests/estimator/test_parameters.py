"""One row per constructor parameter, and what is derived from the rows."""

import inspect

import numpy as np
import pytest
from sklearn.base import clone

from sk_deep import (
    MLPClassifier,
    MLPRegressor,
    TabularMLPClassifier,
    TabularMLPRegressor,
)
from sk_deep._estimator.parameters import PARAMETERS, InStack, parameter_of

ESTIMATORS = [MLPClassifier, MLPRegressor, TabularMLPClassifier, TabularMLPRegressor]


def test_each_parameter_has_a_row():
    networks = MLPClassifier, MLPRegressor
    names = set().union(*(inspect.signature(kind).parameters for kind in networks))
    assert names == set(PARAMETERS)


@pytest.mark.parametrize("kind", ESTIMATORS)
def test_constructors_store_all_parameters(kind):
    names = list(inspect.signature(kind).parameters)
    values = {name: object() for name in names}
    assert vars(kind(**values)) == values
    assert list(kind._parameter_constraints) == names


def test_subclasses_of_users_have_parameters_of_their_own():
    class Wide(MLPClassifier):
        def __init__(self, factor=2, dropout=0.1):
            super().__init__(dropout=dropout)
            self.factor = factor

    model = clone(Wide(factor=3))
    assert (model.factor, model.dropout, model.alpha) == (3, 0.1, 1e-4)
    assert list(Wide._parameter_constraints) == ["dropout"]


@pytest.mark.parametrize("kind", [MLPClassifier, MLPRegressor])
def test_inert_values_are_defaults(kind):
    """An estimator as it is uses nothing that a row could rule out."""
    model = kind()
    for name in inspect.signature(kind).parameters:
        row = PARAMETERS[name]
        is_alone = row.in_stack is InStack.ALONE
        if is_alone or row.callback or row.full_batch_needs or row.inert is not None:
            assert row.is_inert(getattr(model, name)), name


def test_other_parameters_are_there():
    for row in PARAMETERS.values():
        assert set(row.reset_with) <= PARAMETERS.keys()


def test_parameter_of_an_estimator_without_it():
    assert parameter_of(MLPClassifier(label_smoothing=0.1), "label_smoothing") == 0.1
    assert parameter_of(MLPRegressor(), "label_smoothing") == 0.0
    assert parameter_of(MLPRegressor(), "class_weight") is None


@pytest.mark.parametrize(
    ("name", "value", "is_inert"),
    [
        ("dropout", 0, True),
        ("dropout", [0.0, 0.0], True),
        ("dropout", np.array([0.0, 0.1]), False),
        ("augmentation", None, True),
        ("augmentation", print, False),
        ("max_norm", 1.0, False),
        ("maxout_pieces", np.int64(2), True),
    ],
)
def test_inert_values(name, value, is_inert):
    assert PARAMETERS[name].is_inert(value) == is_inert
