"""The recipe of deep learning as a table of moves: one row each in `MOVES`.

Two questions are asked in order. Good results on the training data? If not, reach for
the loss, the mini-batch, the activation, the solver and its rate, momentum, the
network. Good results on the testing data? If not, reach for early stopping,
regularisation, dropout, augmentation, a smaller network, an ensemble.

A move says which values of which parameters are worth trying, seen from a network's
present parameters. All that it gives is legal beside the others.
"""

import itertools
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from sklearn.model_selection import ParameterGrid

from sk_deep._estimator import checks, plan
from sk_deep.augmentation import AUGMENTATIONS
from sk_deep.normalizations import NORMALIZATIONS
from sk_deep.solvers import get_solver

TRAINING, TESTING = "training", "testing"

Grid = dict[str, list]


class Facts(NamedTuple):
    """What a move may ask of the data.

    Parameters
    ----------
    n_samples : int
        Number of rows.
    n_features : int
        Number of columns.
    is_classifier : bool
        Whether classes are predicted.
    n_classes : int
        Number of classes; 0 for regression.
    """

    n_samples: int
    n_features: int
    is_classifier: bool
    n_classes: int


@dataclass(frozen=True)
class Suggestion:
    """A move that is advised, with its grid for the estimator as it is.

    Parameters
    ----------
    move : str
        Key of `MOVES`.
    sentence : str
        What to do and why.
    param_grid : dict of str to list
        Parameters, under the prefix of the pipeline's step, and the values to try:
        ready for a search over the estimator.
    """

    move: str
    sentence: str
    param_grid: Grid

    @property
    def parameters(self) -> tuple[str, ...]:
        """Names of the parameters."""
        return tuple(self.param_grid)


@dataclass(frozen=True)
class Move:
    """A row of `MOVES`.

    Parameters
    ----------
    question : str
        Which of the two it answers: "training" or "testing".
    sentence : str
        What to do and why.
    grid : callable
        Function of a network with its present parameters, and of `Facts`, that gives
        the values worth trying from there, by parameter. Every combination is legal;
        there is none where the move has no meaning, and one may change nothing.
    title : str
        The move's name in running text.
    """

    question: str
    sentence: str
    grid: Callable[[Any, Facts], Grid]
    title: str

    def candidates(self, network: Any, facts: Facts) -> list[dict[str, Any]]:
        """List the combinations of the grid that change something.

        Parameters
        ----------
        network : estimator
            With the present parameters.
        facts : Facts
            Of the data.

        Returns
        -------
        candidates : list of dict
            Parameters of the network and their values.
        """
        grid = self.grid(network, facts)
        if not _has_candidates(grid):
            return []
        return [one for one in ParameterGrid(grid) if not has_parameters(network, one)]


def _has_candidates(grid: Grid) -> bool:
    """Whether each parameter has a value that is not there yet."""
    return bool(grid) and all(grid.values())


def suggest(
    key: str, network: Any, facts: Facts, prefix: str = "", sentence: str = ""
) -> Suggestion | None:
    """Advise a move.

    Parameters
    ----------
    key : str
        Key of `MOVES`.
    network : estimator
        With the present parameters.
    facts : Facts
        Of the data.
    prefix : str, default=""
        Of the network's parameters among those of the estimator: ``"mlp__"``.
    sentence : str, default=""
        What to do and why, if not as the table says.

    Returns
    -------
    suggestion : Suggestion or None
        None where the move has no meaning.
    """
    move = MOVES[key]
    grid = move.grid(network, facts)
    if not _has_candidates(grid):
        return None
    prefixed = {f"{prefix}{name}": values for name, values in grid.items()}
    return Suggestion(key, sentence or move.sentence, prefixed)


def has_parameters(network: Any, parameters: dict[str, Any]) -> bool:
    """Whether a network has those parameters."""
    return all(is_same(getattr(network, name), v) for name, v in parameters.items())


def is_same(a: Any, b: Any) -> bool:
    """Whether two values of a parameter are the same; a list is as good as a tuple."""
    if callable(a) or callable(b):
        return a is b
    return np.array_equal(np.asarray(a, dtype=object), np.asarray(b, dtype=object))


def _others(value: Any, values: Iterable) -> list:
    return [one for one in values if not is_same(one, value)]


# ---- what a network is -------------------------------------------------------------


def _steps_at_random(network) -> bool:
    """Whether it trains on batches, as all solvers but the full-batch one do."""
    return not checks.is_full_batch(network)


def _units(network) -> list[int]:
    return checks.hidden_units(network)


def may_skip(units: Iterable[int]) -> bool:
    """Whether two consecutive layers have one width, as skip connections need."""
    return any(a == b for a, b in itertools.pairwise(units))


def _one_value(network, name: str) -> bool:
    """Whether a parameter has one value for all layers."""
    value = getattr(network, name)
    return isinstance(value, str) or not isinstance(value, Iterable)


def present_rate(network: Any) -> float:
    """Initial learning rate, as a number."""
    rate = network.learning_rate_init
    return get_solver(network.solver).learning_rate if rate == "auto" else float(rate)


def _resets(network, **inert: Any) -> Grid:
    """Set back what would be illegal beside new values, where it has been set."""
    changed = {n: v for n, v in inert.items() if not is_same(getattr(network, n), v)}
    return {name: [value] for name, value in changed.items()}


def _rounded(value: float) -> float:
    return float(f"{value:.2g}")


# ---- good results on the training data? --------------------------------------------

_OF_CLASSES = ("log_loss", "squared_error")
_OF_NUMBERS = ("squared_error", "huber", "absolute_error")
_SMALLER_BATCHES = (4, 8)  # by how many times
_RATE_FACTORS = (0.1, 1 / 3, 3.0, 10.0)
_RATES = (1e-3, 3e-3, 1e-2)
_ADAPTIVE = ("adam", "adamw", "rmsprop")


def _loss(network, facts):
    # what a quantile or a count's mean is cannot be had by another loss
    legal = _OF_CLASSES if facts.is_classifier else _OF_NUMBERS
    if not facts.is_classifier and network.loss not in legal:
        return {}
    return {"loss": _others(network.loss, legal), **_resets(network, loss_params=None)}


def _mini_batch(network, facts):
    if not _steps_at_random(network):
        return {}
    present = plan.batch_size(network, facts.n_samples)
    sizes = {2 ** round(np.log2(present / times)) for times in _SMALLER_BATCHES}
    smaller = sorted(size for size in sizes if 8 <= size < present)
    return {"batch_size": smaller} if smaller else {}


def _activation(network, facts):
    if not _units(network):
        return {}
    names = ["relu", "tanh", "silu", "maxout"]
    resets = _resets(network, maxout_pieces=2)
    if np.any(network.dropout):  # some types go with some activations only
        resets |= _resets(network, dropout_type="standard", dropout_params=None)
    return {"activation": _others(network.activation, names), **resets}


def _solver(network, facts):
    resets = _resets(network, solver_params=None)
    solvers = _others(network.solver, _ADAPTIVE)
    return {"solver": solvers[:2], "learning_rate_init": list(_RATES), **resets}


def _learning_rate(network, facts):
    if not _steps_at_random(network):
        return {}
    rates = [_rounded(present_rate(network) * factor) for factor in _RATE_FACTORS]
    return {"learning_rate_init": [rate for rate in rates if rate <= 1]}


def _schedule(network, facts):
    if not _steps_at_random(network):
        return {}
    names = _others(network.learning_rate, ["cosine", "one_cycle"])
    return {"learning_rate": names, **_resets(network, schedule_params=None)}


def _momentum(network, facts):
    if "momentum" not in get_solver(network.solver).arguments(network):
        return {}
    return {"momentum": _others(network.momentum, [0.5, 0.9, 0.98])}


def _scaling(network, facts):
    if not _units(network):
        return {}
    names = [
        name
        for name in ("batch", "layer")
        if network.n_folds is None or not NORMALIZATIONS[name].mixes_rows
    ]
    return {"normalization": _others(network.normalization, names)}


def _initial_weights(network, facts):
    names = ["he_normal", "orthogonal"]
    return {"weight_init": _others(network.weight_init, names)}


def _residual(network, facts):
    units = _units(network)
    return {"residual": [True]} if may_skip(units) and not network.residual else {}


def _gradient_clip(network, facts):
    if not _steps_at_random(network):
        return {}
    return {"gradient_clip": _others(network.gradient_clip, [1.0])}


def _class_weight(network, facts):
    if not facts.is_classifier:
        return {}
    return {"class_weight": _others(network.class_weight, ["balanced"])}


def _network(network, facts):
    units = _units(network) or [50]
    wide = [2 * n for n in units]
    shapes = [wide]
    if _has_one_value_for_all_layers(network):
        shapes += [[*units, units[-1]], [*wide, wide[-1]]]
    return _of_shape(network, shapes)


def _epochs(network, facts):
    n = network.max_iter
    grid = {"max_iter": [max(200, 2 * n), max(500, 3 * n)]}
    if not _steps_at_random(network):
        return {**grid, "max_fun": [10 * network.max_fun]}
    return {**grid, "n_iter_no_change": [max(network.n_iter_no_change, 30)]}


def _has_one_value_for_all_layers(network) -> bool:
    """Whether layers may be added or taken away."""
    return _one_value(network, "activation") and _one_value(network, "dropout")


def _of_shape(network, shapes: list[list[int]]) -> Grid:
    sizes = [tuple(shape) for shape in shapes]
    return {"hidden_layer_sizes": sizes, **_resets(network, n_hidden_layers=1)}


# ---- good results on the testing data? ---------------------------------------------

_PENALTIES = (1e-3, 1e-2, 1e-1, 1.0)
_ROWS_PER_CLASS = 20  # so that the rows which early stopping watches hold each class
_ROWS_WATCHED = 20  # for their score to tell epochs apart


def _early_stopping(network, facts):
    if not _steps_at_random(network):
        return {}
    if network.early_stopping:
        patience = network.n_iter_no_change
        longer = [] if np.isinf(patience) else [2 * patience, 5 * patience]
        return {"n_iter_no_change": longer} if longer else {}
    n_watched = facts.n_samples * network.validation_fraction
    n_needed = _ROWS_PER_CLASS * max(1, facts.n_classes)
    if facts.n_samples < n_needed or n_watched < _ROWS_WATCHED:
        return {}
    return {"early_stopping": [True], "n_iter_no_change": [10, 30]}


def _regularisation(network, facts):
    return {"alpha": _others(network.alpha, _PENALTIES)}


def _max_norm(network, facts):
    if not _steps_at_random(network):
        return {}
    return {"max_norm": _others(network.max_norm, [3.0, 1.0])}


def _label_smoothing(network, facts):
    if not facts.is_classifier or network.loss != "log_loss":
        return {}
    return {"label_smoothing": _others(network.label_smoothing, [0.05, 0.15])}


def _dropout(network, facts):
    if not _steps_at_random(network) or not _units(network):
        return {}
    resets = {}
    if not np.any(network.dropout):  # another type may not go with the activation
        resets = _resets(network, dropout_type="standard", dropout_params=None)
    return {"dropout": _others(network.dropout, [0.1, 0.25, 0.5]), **resets}


def _input_dropout(network, facts):
    if not _steps_at_random(network):
        return {}
    return {"input_dropout": _others(network.input_dropout, [0.1, 0.2])}


def _augmentation(network, facts):
    if not _steps_at_random(network):
        return {}
    if network.categorical_features is not None:  # its codes are no numbers
        return {}
    params = network.augmentation_params or {}
    if "image_shape" in params:  # the one sign that rows are images
        images = [name for name, row in AUGMENTATIONS.items() if row.needs_images]
        others = _others(network.augmentation, images)
        params = {"image_shape": params["image_shape"]}
        return {"augmentation": others, "augmentation_params": [params]}
    names = [
        name
        for name in ("noise", "mixup")
        if network.n_folds is None or not AUGMENTATIONS[name].mixes_targets
    ]
    names = _others(network.augmentation, names)
    return {"augmentation": names, **_resets(network, augmentation_params=None)}


def _smaller_network(network, facts):
    units = _units(network)
    shapes = [[max(1, n // 2) for n in units], [max(1, n // 4) for n in units]]
    if len(units) > 1 and _has_one_value_for_all_layers(network):
        shapes.append(units[:-1])
    shapes = [shape for shape in shapes if shape != units]
    if network.residual:
        shapes = [shape for shape in shapes if may_skip(shape)]
    return _of_shape(network, shapes) if shapes else {}


def _ensemble(network, facts):
    activations = network.activation
    activations = [activations] if _one_value(network, "activation") else activations
    if any(callable(one) for one in activations):  # some cannot be stacked
        return {}
    return {"n_members": [5 * network.n_members]}


MOVES: dict[str, Move] = {
    "loss": Move(
        TRAINING,
        "Change the loss: where its gradient vanishes far from the target, as that of a"
        " squared error behind softmax does, training stalls.",
        _loss,
        "loss",
    ),
    "mini_batch": Move(
        TRAINING,
        "Make the mini-batches smaller: more steps in an epoch, and noise that leads"
        " out of poor regions.",
        _mini_batch,
        "mini-batch",
    ),
    "activation": Move(
        TRAINING,
        "Change the activation: those that saturate let the gradient vanish on its way"
        " to the first layers.",
        _activation,
        "activation",
    ),
    "solver": Move(
        TRAINING,
        "Change the solver for one whose learning rates adapt to each weight, with a"
        " rate that suits it.",
        _solver,
        "solver and rate",
    ),
    "learning_rate": Move(
        TRAINING,
        "Change the learning rate: if it is too high the loss jumps about or grows, if"
        " too low it hardly falls.",
        _learning_rate,
        "learning rate",
    ),
    "schedule": Move(
        TRAINING,
        "Let the learning rate fall during training: large steps first, small ones near"
        " the minimum.",
        _schedule,
        "schedule of the rate",
    ),
    "momentum": Move(
        TRAINING,
        "Change the momentum, which carries steps over plateaus and out of ravines.",
        _momentum,
        "momentum",
    ),
    "scaling": Move(
        TRAINING,
        "Scale the inputs, by a StandardScaler in a Pipeline before the network, and"
        " normalise between its layers.",
        _scaling,
        "normalization",
    ),
    "initial_weights": Move(
        TRAINING,
        "Draw the initial weights so that signals keep their size from layer to layer.",
        _initial_weights,
        "initial weights",
    ),
    "residual": Move(
        TRAINING,
        "Add skip connections: the gradient reaches the first layers undiminished.",
        _residual,
        "skip connections",
    ),
    "gradient_clip": Move(
        TRAINING,
        "Bound the gradient's norm, so that single steps cannot throw the weights far.",
        _gradient_clip,
        "bound on the gradient",
    ),
    "class_weight": Move(
        TRAINING,
        "Weight the classes, so that rare ones count as much as frequent ones.",
        _class_weight,
        "class weights",
    ),
    "epochs": Move(
        TRAINING,
        "Train longer: the loss is still falling at the last epoch.",
        _epochs,
        "epochs",
    ),
    "network": Move(
        TRAINING,
        "Make the network wider or deeper: this one cannot express the function.",
        _network,
        "larger network",
    ),
    "early_stopping": Move(
        TESTING,
        "Stop early, at the epoch that is best on rows held out.",
        _early_stopping,
        "early stopping",
    ),
    "regularisation": Move(
        TESTING,
        "Penalise large weights, so that the function is smoother.",
        _regularisation,
        "regularisation",
    ),
    "max_norm": Move(
        TESTING,
        "Bound the norm of each unit's weights.",
        _max_norm,
        "bound on weights",
    ),
    "label_smoothing": Move(
        TESTING,
        "Smooth the labels, so that training does not chase certainty.",
        _label_smoothing,
        "label smoothing",
    ),
    "dropout": Move(
        TESTING,
        "Drop units at random: each must be of use without the others.",
        _dropout,
        "dropout",
    ),
    "input_dropout": Move(
        TESTING,
        "Drop inputs at random, so that no prediction hangs on a single one.",
        _input_dropout,
        "dropout of inputs",
    ),
    "augmentation": Move(
        TESTING,
        "Train on altered copies of the rows, in place of more data.",
        _augmentation,
        "augmentation",
    ),
    "smaller_network": Move(
        TESTING,
        "Make the network smaller: it learns the training rows by heart.",
        _smaller_network,
        "smaller network",
    ),
    "ensemble": Move(
        TESTING,
        "Average several networks: their errors cancel in part.",
        _ensemble,
        "ensemble",
    ),
}
