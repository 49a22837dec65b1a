"""The recipe of deep learning as a table of moves: one row each in `MOVES`.

The recipe asks two questions in order. Good results on the training data? If not,
change the loss, the mini-batch, the activation, the solver and its rate, momentum, the
network. Good results on the testing data? If not, use early stopping, regularisation,
dropout, augmentation, a smaller network, an ensemble.

A move lists the values of parameters that are worth trying from the present parameters.
All of them are legal beside the other parameters.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

from sklearn.model_selection import ParameterGrid

from sk_deep.recipe._testing_grids import (
    augmentation_grid,
    dropout_grid,
    early_stopping_grid,
    ensemble_grid,
    input_dropout_grid,
    label_smoothing_grid,
    max_norm_grid,
    regularisation_grid,
    smaller_network_grid,
)
from sk_deep.recipe._training_grids import (
    activation_grid,
    class_weight_grid,
    epochs_grid,
    gradient_clip_grid,
    initial_weights_grid,
    learning_rate_grid,
    loss_grid,
    mini_batch_grid,
    momentum_grid,
    network_grid,
    residual_grid,
    scaling_grid,
    schedule_grid,
    solver_grid,
)
from sk_deep.recipe._values import Grid, has_parameters

TRAINING, TESTING = "training", "testing"


class Facts(NamedTuple):
    """Facts about the data that moves use.

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
    """A suggested move, with its grid for the present estimator.

    Parameters
    ----------
    move : str
        Key of `MOVES`.
    sentence : str
        What to do and why.
    param_grid : dict of str to list
        Parameters of the estimator, with the prefix of the pipeline's step, and the
        values to try, ready for a search.
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
        The question that the move answers: "training" or "testing".
    sentence : str
        What to do and why.
    grid : callable
        Function of an `MLPClassifier` or `MLPRegressor` and of `Facts` that returns the
        values worth trying by parameter. Every combination is legal; the grid is empty
        where the move has no meaning, and a combination may change nothing.
    title : str
        The move's name in running text.
    """

    question: str
    sentence: str
    grid: Callable[[Any, Facts], Grid]
    title: str

    def candidates(self, mlp: Any, facts: Facts) -> list[dict[str, Any]]:
        """List the combinations of the grid that change something.

        Parameters
        ----------
        mlp : MLPClassifier or MLPRegressor
            The estimator with its present parameters.
        facts : Facts
            Facts about the data.

        Returns
        -------
        candidates : list of dict
            Parameters of `mlp` and their values.
        """
        grid = self.grid(mlp, facts)
        if not _has_candidates(grid):
            return []
        return [
            candidate
            for candidate in ParameterGrid(grid)
            if not has_parameters(mlp, candidate)
        ]


def _has_candidates(grid: Grid) -> bool:
    """Whether each parameter has a new value."""
    return bool(grid) and all(grid.values())


def suggest(
    key: str, mlp: Any, facts: Facts, prefix: str = "", sentence: str = ""
) -> Suggestion | None:
    """Suggest a move.

    Parameters
    ----------
    key : str
        Key of `MOVES`.
    mlp : MLPClassifier or MLPRegressor
        The estimator with its present parameters.
    facts : Facts
        Facts about the data.
    prefix : str, default=""
        Prefix of its parameters among those of the estimator: ``"mlp__"``.
    sentence : str, default=""
        What to do and why; empty is the sentence of the table.

    Returns
    -------
    suggestion : Suggestion or None
        None where the move has no meaning.
    """
    move = MOVES[key]
    grid = move.grid(mlp, facts)
    if not _has_candidates(grid):
        return None
    prefixed = {f"{prefix}{name}": values for name, values in grid.items()}
    return Suggestion(key, sentence or move.sentence, prefixed)


MOVES: dict[str, Move] = {
    "loss": Move(
        TRAINING,
        "Change the loss: training stalls where its gradient vanishes far from the"
        " target, as with a squared error behind softmax.",
        loss_grid,
        "loss",
    ),
    "mini_batch": Move(
        TRAINING,
        "Make the mini-batches smaller: more steps in an epoch, and noise that leads"
        " out of poor regions.",
        mini_batch_grid,
        "mini-batch",
    ),
    "activation": Move(
        TRAINING,
        "Change the activation: saturated activations let the gradient vanish on its"
        " way to the first layers.",
        activation_grid,
        "activation",
    ),
    "solver": Move(
        TRAINING,
        "Change the solver to one that adapts the learning rate of each weight, with a"
        " rate that suits it.",
        solver_grid,
        "solver and rate",
    ),
    "learning_rate": Move(
        TRAINING,
        "Change the learning rate: with a rate too high the loss oscillates or grows,"
        " with a rate too low it hardly falls.",
        learning_rate_grid,
        "learning rate",
    ),
    "schedule": Move(
        TRAINING,
        "Let the learning rate fall during training: large steps first, small ones near"
        " the minimum.",
        schedule_grid,
        "schedule of the rate",
    ),
    "momentum": Move(
        TRAINING,
        "Change the momentum, which carries steps over plateaus and out of ravines.",
        momentum_grid,
        "momentum",
    ),
    "scaling": Move(
        TRAINING,
        "Scale the inputs, by a StandardScaler in a Pipeline before the network, and"
        " normalise between its layers.",
        scaling_grid,
        "normalization",
    ),
    "initial_weights": Move(
        TRAINING,
        "Draw initial weights with which signals keep their size from layer to layer.",
        initial_weights_grid,
        "initial weights",
    ),
    "residual": Move(
        TRAINING,
        "Add skip connections: the gradient reaches the first layers undiminished.",
        residual_grid,
        "skip connections",
    ),
    "gradient_clip": Move(
        TRAINING,
        "Clip the norm of the gradient, so that no step changes the weights too much.",
        gradient_clip_grid,
        "bound on the gradient",
    ),
    "class_weight": Move(
        TRAINING,
        "Weight the classes, so that rare ones count as much as frequent ones.",
        class_weight_grid,
        "class weights",
    ),
    "epochs": Move(
        TRAINING,
        "Train longer: the loss is still falling at the last epoch.",
        epochs_grid,
        "epochs",
    ),
    "network": Move(
        TRAINING,
        "Make the network wider or deeper, if it cannot express the function.",
        network_grid,
        "larger network",
    ),
    "early_stopping": Move(
        TESTING,
        "Stop early, at the epoch with the best score on held-out rows.",
        early_stopping_grid,
        "early stopping",
    ),
    "regularisation": Move(
        TESTING,
        "Penalise large weights, so that the function is smoother.",
        regularisation_grid,
        "regularisation",
    ),
    "max_norm": Move(
        TESTING,
        "Bound the norm of each unit's weights.",
        max_norm_grid,
        "bound on weights",
    ),
    "label_smoothing": Move(
        TESTING,
        "Smooth the labels, so that training does not aim at probabilities of 0 and 1.",
        label_smoothing_grid,
        "label smoothing",
    ),
    "dropout": Move(
        TESTING,
        "Drop units at random, so that each unit is useful without the others.",
        dropout_grid,
        "dropout",
    ),
    "input_dropout": Move(
        TESTING,
        "Drop inputs at random, so that no prediction depends on a single one.",
        input_dropout_grid,
        "dropout of inputs",
    ),
    "augmentation": Move(
        TESTING,
        "Train on altered copies of the rows, as a substitute for more data.",
        augmentation_grid,
        "augmentation",
    ),
    "smaller_network": Move(
        TESTING,
        "Make the network smaller, so that it cannot memorise the training rows.",
        smaller_network_grid,
        "smaller network",
    ),
    "ensemble": Move(
        TESTING,
        "Average several networks: their errors partly cancel.",
        ensemble_grid,
        "ensemble",
    ),
}
