"""The only import of names that scikit-learn and torch do not promise to keep."""

from sklearn.base import _fit_context as fit_context
from sklearn.utils._param_validation import (
    Interval,
    Options,
    StrOptions,
    validate_parameter_constraints,
)
from sklearn.utils.fixes import _get_additional_lbfgs_options_dict as lbfgs_print_option
from sklearn.utils.multiclass import (
    _check_partial_fit_first_call as check_partial_fit_first_call,
)
from sklearn.utils.optimize import _check_optimize_result as check_optimize_result
from sklearn.utils.validation import _check_sample_weight as check_sample_weight
from torch import _foreach_copy_ as foreach_copy
from torch import _fused_adam_ as fused_adam
from torch.autograd import Variable
from torch.nn import Module

# torch.autograd.grad without its checks, which cost as much as a small backward pass
run_backward = Variable._execution_engine.run_backward


def is_hooked(module: Module) -> bool:
    """Whether someone watches the calls of a module."""
    return bool(module._forward_hooks or module._forward_pre_hooks)


__all__ = [
    "Interval",
    "Options",
    "StrOptions",
    "check_optimize_result",
    "check_partial_fit_first_call",
    "check_sample_weight",
    "fit_context",
    "foreach_copy",
    "fused_adam",
    "is_hooked",
    "lbfgs_print_option",
    "run_backward",
    "validate_parameter_constraints",
]
