"""scikit-learn's own tests of its MLP, run on ours.

The functions below are those of the installed
``sklearn/neural_network/tests/test_mlp.py``, with the import swapped.
"""

import inspect

import pytest
from sklearn.neural_network.tests import test_mlp

SET_OR_READ_PRIVATE_ATTRIBUTES = {
    "test_fit": "mlp._coef_grads",
    "test_gradient": "mlp._loss_grad_lbfgs",
    "test_learning_rate_warmstart": "mlp._optimizer",
    "test_adaptive_learning_rate": "clf._optimizer",
    "test_n_iter_no_change": "clf._no_improvement_count",
    "test_n_iter_no_change_inf": "clf._no_improvement_count",
}

_SOURCE = inspect.getsource(test_mlp)
_OLD = "from sklearn.neural_network import MLPClassifier, MLPRegressor"
_NEW = "from sk_deep import MLPClassifier, MLPRegressor"
assert _SOURCE.count(_OLD) == 1
_NAMESPACE = {"__name__": __name__}
exec(compile(_SOURCE.replace(_OLD, _NEW), test_mlp.__file__, "exec"), _NAMESPACE)
globals().update(
    {
        name: value
        for name, value in _NAMESPACE.items()
        if name.startswith("test_") and name not in SET_OR_READ_PRIVATE_ATTRIBUTES
    }
)

# scikit-learn runs these tests with warnings that are not errors
pytestmark = [pytest.mark.foreign, pytest.mark.filterwarnings("default")]


@pytest.mark.parametrize("name", SET_OR_READ_PRIVATE_ATTRIBUTES)
def test_what_is_left_out_is_private(name):
    source = inspect.getsource(getattr(test_mlp, name))
    assert SET_OR_READ_PRIVATE_ATTRIBUTES[name] in source


def test_all_others_are_here():
    names = {name for name in vars(test_mlp) if name.startswith("test_")}
    assert names - set(globals()) == set(SET_OR_READ_PRIVATE_ATTRIBUTES)
    assert len(names) > 40
