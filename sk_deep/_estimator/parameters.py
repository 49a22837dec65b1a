"""PARAMETERS: one row per constructor parameter of the estimators."""

import enum
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any, NamedTuple

import numpy as np
from sklearn.base import ClassifierMixin
from skorch.callbacks import Callback

from sk_deep._compat import (
    HasMethods,
    Interval,
    KnowsItsParameters,
    Options,
    StrOptions,
)
from sk_deep._engine.regularization import GradientClip, MaxNorm
from sk_deep.activations import ACTIVATIONS
from sk_deep.augmentation import AUGMENTATIONS
from sk_deep.dropouts import DROPOUT_SCHEDULES, DROPOUTS
from sk_deep.encodings import MISSING, NUMERICAL_EMBEDDINGS, SCALINGS
from sk_deep.initializers import INITIALIZERS
from sk_deep.losses import losses_on
from sk_deep.normalizations import NORMALIZATIONS
from sk_deep.schedules import SCHEDULES
from sk_deep.solvers import SOLVERS


class InStack(enum.Enum):
    """How the members of one stack of networks may differ in a parameter."""

    SAME = enum.auto()  # all members have one value
    OWN = enum.auto()  # each member has its own value
    OWN_IF_ON = enum.auto()  # each has its own value, if it is inert for none or all
    ALONE = enum.auto()  # a value that is not inert makes the fit go alone
    UNUSED = enum.auto()  # without effect in a stack


class ActsOn(enum.Enum):
    """What has to be there for a parameter to have an effect."""

    HIDDEN_LAYERS = enum.auto()
    CATEGORIES = enum.auto()
    EARLY_STOPPING = enum.auto()


class SearchRange(NamedTuple):
    """Numbers that the recipe searches on a logarithmic scale.

    Parameters
    ----------
    low, high : float
        Bounds of what a search covers at least.
    step : float
        Factor by which a neighbour differs in one standard deviation.
    """

    low: float
    high: float
    step: float


@dataclass(frozen=True)
class Parameter:
    """A row of `PARAMETERS`.

    Parameters
    ----------
    constraints : list or dict of str to list
        Constraints of scikit-learn on the value; where they differ, of each kind of
        targets, "multiclass" or "real".
    in_stack : InStack, default=InStack.SAME
        How members of one stack may differ.
    code_goes_alone : bool, default=False
        Whether a function or a class as the value makes the fit go alone.
    inert : object, default=None
        Value that has no effect, where that matters. Of parameters that act on
        categories it is the default of each class.
    acts_on : ActsOn or None, default=None
        What has to be there for another value.
    full_batch_needs : str, default=""
        What full-batch solvers need instead of another value, which they refuse.
    callback : callable or None, default=None
        Makes the callback that acts for the value, or for each member's value.
    search_range : SearchRange or None, default=None
        Numbers that the recipe searches, where they are not listed by its moves.
    is_cost : bool, default=False
        Whether a fit takes longer the larger the value is; the recipe's space leaves
        it out.
    reset_with : tuple of str, default=()
        Parameters whose new values it may not go with: the recipe then resets it.
    """

    constraints: list | dict[str, list]
    in_stack: InStack = InStack.SAME
    code_goes_alone: bool = False
    inert: Any = None
    acts_on: ActsOn | None = None
    full_batch_needs: str = ""
    callback: Callable[[Any], Callback] | None = None
    search_range: SearchRange | None = None
    is_cost: bool = False
    reset_with: tuple[str, ...] = ()

    def constraints_for(self, kind: str) -> list:
        """List the constraints on the value, for a kind of targets."""
        if isinstance(self.constraints, dict):
            return self.constraints[kind]
        return self.constraints

    def is_inert(self, value: Any) -> bool:
        """Whether a value, or each of several, has no effect."""
        return not np.any(np.asarray(value, dtype=object) != self.inert)


_AT_LEAST_1 = Interval(Integral, 1, None, closed="left")
_NOT_NEGATIVE = Interval(Real, 0, None, closed="left")
_POSITIVE = Interval(Real, 0, None, closed="neither")
_FRACTION = Interval(Real, 0, 1, closed="both")
_FRACTION_BELOW_1 = Interval(Real, 0, 1, closed="left")
_AUTO = StrOptions({"auto"})

_NO_NOISE = "a loss without noise"
_CONSTANT_STEPS = "steps that nothing changes"

PARAMETERS: dict[str, Parameter] = {
    "hidden_layer_sizes": Parameter(["array-like", _AT_LEAST_1]),
    "activation": Parameter(
        [StrOptions(set(ACTIVATIONS)), "array-like", callable], code_goes_alone=True
    ),
    "solver": Parameter([StrOptions(set(SOLVERS)), callable], code_goes_alone=True),
    "alpha": Parameter(
        [_NOT_NEGATIVE], InStack.OWN, search_range=SearchRange(1e-5, 1.0, step=6.0)
    ),
    "batch_size": Parameter([_AUTO, _AT_LEAST_1]),
    "learning_rate": Parameter(
        [StrOptions(set(SCHEDULES)), callable], InStack.OWN, code_goes_alone=True
    ),
    "learning_rate_init": Parameter(
        [_POSITIVE, _AUTO],
        InStack.OWN,
        search_range=SearchRange(1e-4, 1e-1, step=2.0),
    ),
    "power_t": Parameter([_NOT_NEGATIVE], InStack.OWN),
    "max_iter": Parameter([_AT_LEAST_1], InStack.OWN, is_cost=True),
    "shuffle": Parameter(["boolean"]),
    "random_state": Parameter(["random_state"], InStack.OWN),
    "tol": Parameter([_NOT_NEGATIVE], InStack.OWN),
    "verbose": Parameter(["verbose"], InStack.ALONE, inert=False),
    "warm_start": Parameter(["boolean"], InStack.UNUSED),  # in a first fit
    "momentum": Parameter([_FRACTION], InStack.OWN),
    "nesterovs_momentum": Parameter(["boolean"], InStack.OWN),
    "early_stopping": Parameter(["boolean"]),
    "validation_fraction": Parameter([_FRACTION_BELOW_1], InStack.OWN),
    "beta_1": Parameter([_FRACTION_BELOW_1], InStack.OWN),
    "beta_2": Parameter([_FRACTION_BELOW_1], InStack.OWN),
    "epsilon": Parameter([_POSITIVE], InStack.OWN),
    "n_iter_no_change": Parameter([_AT_LEAST_1, Options(Real, {np.inf})], InStack.OWN),
    "max_fun": Parameter([_AT_LEAST_1], InStack.UNUSED, is_cost=True),
    "n_hidden_layers": Parameter([_AT_LEAST_1], reset_with=("hidden_layer_sizes",)),
    "maxout_pieces": Parameter(
        [Interval(Integral, 2, None, closed="left")],
        inert=2,
        acts_on=ActsOn.HIDDEN_LAYERS,
        reset_with=("activation",),
    ),
    "dropout": Parameter(
        [_FRACTION_BELOW_1, "array-like"],
        InStack.OWN_IF_ON,
        inert=0.0,
        acts_on=ActsOn.HIDDEN_LAYERS,
        full_batch_needs=_NO_NOISE,
    ),
    "input_dropout": Parameter(
        [_FRACTION_BELOW_1],
        InStack.OWN_IF_ON,
        inert=0.0,
        full_batch_needs=_NO_NOISE,
    ),
    "dropout_type": Parameter(
        [StrOptions(set(DROPOUTS))], reset_with=("activation", "dropout")
    ),
    "dropout_params": Parameter([dict, None], reset_with=("activation", "dropout")),
    "dropout_schedule": Parameter([StrOptions(set(DROPOUT_SCHEDULES))]),
    "normalization": Parameter(
        [StrOptions(set(NORMALIZATIONS)), None], acts_on=ActsOn.HIDDEN_LAYERS
    ),
    "residual": Parameter(["boolean"]),
    "weight_init": Parameter([StrOptions(set(INITIALIZERS))]),
    "loss": Parameter(
        {
            kind: [StrOptions(losses_on(kind)), callable]
            for kind in ("multiclass", "real")
        },
        code_goes_alone=True,
    ),
    "loss_params": Parameter([dict, None], reset_with=("loss",)),
    "label_smoothing": Parameter([_FRACTION_BELOW_1], InStack.OWN_IF_ON, inert=0.0),
    "class_weight": Parameter([dict, StrOptions({"balanced"}), None], InStack.OWN),
    "solver_params": Parameter([dict, None], reset_with=("solver",)),
    "schedule_params": Parameter(
        [dict, None], InStack.OWN, reset_with=("learning_rate",)
    ),
    "l1_ratio": Parameter(
        [_FRACTION], InStack.OWN, inert=0.0, full_batch_needs="a smooth loss"
    ),
    "max_norm": Parameter(
        [_POSITIVE, None],
        InStack.OWN_IF_ON,
        full_batch_needs=_CONSTANT_STEPS,
        callback=MaxNorm,
    ),
    "gradient_clip": Parameter(
        [_POSITIVE, None],
        InStack.OWN_IF_ON,
        full_batch_needs=_CONSTANT_STEPS,
        callback=GradientClip,
    ),
    "augmentation": Parameter(
        [StrOptions(set(AUGMENTATIONS)), callable, None],
        code_goes_alone=True,
        full_batch_needs=_NO_NOISE,
    ),
    "augmentation_params": Parameter([dict, None], reset_with=("augmentation",)),
    "categorical_features": Parameter([StrOptions({"from_dtype"}), "array-like", None]),
    "max_one_hot": Parameter(
        [Interval(Integral, 0, None, closed="left")], acts_on=ActsOn.CATEGORIES
    ),
    "embedding_size": Parameter([_AT_LEAST_1, _AUTO], acts_on=ActsOn.CATEGORIES),
    "min_frequency": Parameter([_AT_LEAST_1], acts_on=ActsOn.CATEGORIES),
    "missing": Parameter([StrOptions(set(MISSING))]),
    "numerical_scaling": Parameter([StrOptions(set(SCALINGS)), None]),
    "numerical_embedding": Parameter([StrOptions(set(NUMERICAL_EMBEDDINGS)), None]),
    "n_bins": Parameter([_AUTO, _AT_LEAST_1]),
    "scoring": Parameter([str, callable, None], acts_on=ActsOn.EARLY_STOPPING),
    "n_members": Parameter([_AT_LEAST_1], InStack.OWN),
    "n_folds": Parameter(
        [_AUTO, Interval(Integral, 2, None, closed="left"), None],
        InStack.ALONE,
        acts_on=ActsOn.EARLY_STOPPING,
    ),
    "weight_averaging": Parameter(
        [_POSITIVE, None], full_batch_needs="weights that are not averaged"
    ),
    "callbacks": Parameter([list, None], InStack.ALONE),
    "device": Parameter([str]),
    "dtype": Parameter([StrOptions({"auto", "float32", "float64"})]),
    "accelerator": Parameter([HasMethods(["reduce"]), None], InStack.ALONE),
    "target_scaling": Parameter([StrOptions({"standard"}), None]),
}


def rows_acting_on(what: ActsOn) -> dict[str, Parameter]:
    """Take the rows of the parameters that act on something."""
    return {name: row for name, row in PARAMETERS.items() if row.acts_on is what}


def parameter_of(estimator: Any, name: str) -> Any:
    """Return a parameter of an estimator; the inert value where it has none."""
    return getattr(estimator, name, PARAMETERS[name].inert)


class Parameters(KnowsItsParameters):
    """An estimator whose constructor parameters have rows in `PARAMETERS`."""

    # of the constructor
    _parameter_constraints: dict[str, list] = {}
    _parameter_defaults: dict[str, Any] = {}

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        signature = inspect.signature(cls).parameters
        cls._parameter_defaults = {name: p.default for name, p in signature.items()}
        if "_parameter_constraints" not in vars(cls):  # of a subclass of a user
            kind = "multiclass" if issubclass(cls, ClassifierMixin) else "real"
            cls._parameter_constraints = {
                name: PARAMETERS[name].constraints_for(kind)
                for name in signature
                if name in PARAMETERS
            }

    def _take(self, arguments: Mapping[str, Any]) -> None:
        """Store the arguments of a constructor, given as its `locals()`."""
        for name, value in arguments.items():
            if name != "self":
                setattr(self, name, value)
