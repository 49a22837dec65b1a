"""The recipe of deep learning as a table of moves: one row each in `MOVES`.

Two questions are asked in order. Good results on the training data? If not, reach for
the loss, the mini-batch, the activation, the solver and its rate, momentum, the
network. Good results on the testing data? If not, reach for early stopping,
regularisation, dropout, augmentation, a smaller network, an ensemble.

A move says which values of which parameters are worth trying, seen from a network's
present parameters. All that it gives is legal beside the others.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

from sklearn.model_selection import ParameterGrid

from sk_deep.recipe._parameters import Grid, has_parameters
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

TRAINING, TESTING = "training", "testing"


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

    def candidates(self, mlp: Any, facts: Facts) -> list[dict[str, Any]]:
        """List the combinations of the grid that change something.

        Parameters
        ----------
        mlp : MLPClassifier or MLPRegressor
            With the present parameters.
        facts : Facts
            Of the data.

        Returns
        -------
        candidates : list of dict
            Parameters of the network and their values.
        """
        grid = self.grid(mlp, facts)
        if not _has_candidates(grid):
            return []
        return [one for one in ParameterGrid(grid) if not has_parameters(mlp, one)]


def _has_candidates(grid: Grid) -> bool:
    """Whether each parameter has a value that is not there yet."""
    return bool(grid) and all(grid.values())


def suggest(
    key: str, mlp: Any, facts: Facts, prefix: str = "", sentence: str = ""
) -> Suggestion | None:
    """Advise a move.

    Parameters
    ----------
    key : str
        Key of `MOVES`.
    mlp : MLPClassifier or MLPRegressor
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
    grid = move.grid(mlp, facts)
    if not _has_candidates(grid):
        return None
    prefixed = {f"{prefix}{name}": values for name, values in grid.items()}
    return Suggestion(key, sentence or move.sentence, prefixed)


MOVES: dict[str, Move] = {
    "loss": Move(
        TRAINING,
        "Change the loss: where its gradient vanishes far from the target, as that of a"
        " squared error behind softmax does, training stalls.",
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
        "Change the activation: those that saturate let the gradient vanish on its way"
        " to the first layers.",
        activation_grid,
        "activation",
    ),
    "solver": Move(
        TRAINING,
        "Change the solver for one whose learning rates adapt to each weight, with a"
        " rate that suits it.",
        solver_grid,
        "solver and rate",
    ),
    "learning_rate": Move(
        TRAINING,
        "Change the learning rate: if it is too high the loss jumps about or grows, if"
        " too low it hardly falls.",
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
        "Draw the initial weights so that signals keep their size from layer to layer.",
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
        "Bound the gradient's norm, so that single steps cannot throw the weights far.",
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
        "Make the network wider or deeper: this one cannot express the function.",
        network_grid,
        "larger network",
    ),
    "early_stopping": Move(
        TESTING,
        "Stop early, at the epoch that is best on rows held out.",
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
        "Smooth the labels, so that training does not chase certainty.",
        label_smoothing_grid,
        "label smoothing",
    ),
    "dropout": Move(
        TESTING,
        "Drop units at random: each must be of use without the others.",
        dropout_grid,
        "dropout",
    ),
    "input_dropout": Move(
        TESTING,
        "Drop inputs at random, so that no prediction hangs on a single one.",
        input_dropout_grid,
        "dropout of inputs",
    ),
    "augmentation": Move(
        TESTING,
        "Train on altered copies of the rows, in place of more data.",
        augmentation_grid,
        "augmentation",
    ),
    "smaller_network": Move(
        TESTING,
        "Make the network smaller: it learns the training rows by heart.",
        smaller_network_grid,
        "smaller network",
    ),
    "ensemble": Move(
        TESTING,
        "Average several networks: their errors cancel in part.",
        ensemble_grid,
        "ensemble",
    ),
}
