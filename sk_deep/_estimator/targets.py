"""Targets of a fit: encoded for the network, and outputs decoded for the user."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Protocol

import numpy as np
import scipy.sparse
from numpy.typing import NDArray
from sklearn.metrics import r2_score
from sklearn.preprocessing import LabelBinarizer, StandardScaler
from sklearn.utils.multiclass import type_of_target, unique_labels

from sk_deep._data.tensors import dense
from sk_deep.losses import Criterion, Loss, get_loss


class Targets(Protocol):
    """What decodes the outputs of a fit; `ClassTargets` or `RealTargets`."""

    @property
    def kind(self) -> str:
        """Kind of the targets, a key of a loss's terms."""

    @property
    def n_outputs(self) -> int:
        """Number of outputs of the network."""

    @property
    def attributes(self) -> dict[str, Any]:
        """Public attributes of the fitted estimator that the targets determine."""

    def encode(self, y: NDArray) -> NDArray:
        """Encode checked targets for the network."""

    def score(
        self,
        criterion: Criterion,
        target: NDArray,
        outputs: NDArray,
        sample_weight: NDArray | None,
    ) -> float:
        """Score outputs against encoded targets, for early stopping."""

    def out_of_fold(self, outputs: NDArray, y: NDArray) -> dict[str, NDArray]:
        """Name the attributes made of out-of-fold outputs for the training rows."""

    def to_state(self) -> dict[str, Any]:
        """Describe the targets by plain values, for pickles and files."""


# ---- labels --------------------------------------------------------------------------


@dataclass(frozen=True)
class ClassTargets:
    """Labels of classes.

    Parameters
    ----------
    classes : ndarray of shape (n_classes,)
        Class labels, or the numbers of the columns of several labels.
    target_type : {"binary", "multiclass", "multilabel-indicator"}
        scikit-learn's type of the targets; a constant target is binary.
    is_sparse : bool
        Whether indicators of several labels are sparse.
    has_probability : bool, default=True
        Whether outputs are probabilities.
    link : str, default=""
        Name of the output activation.
    """

    classes: NDArray
    target_type: str
    is_sparse: bool
    has_probability: bool = True
    link: str = ""

    @classmethod
    def learn(cls, y: Any) -> "ClassTargets":
        """Find the classes of labels; labels that cannot be classified raise."""
        binarizer = LabelBinarizer().fit(y)
        return cls(binarizer.classes_, binarizer.y_type_, binarizer.sparse_input_)

    def for_loss(self, loss: Loss) -> "ClassTargets":
        """Return the targets with what a loss says of the outputs."""
        return replace(
            self,
            has_probability=loss.has_probability,
            link=loss.terms[self.kind].link,
        )

    @property
    def kind(self) -> str:
        """Kind of the targets, a key of a loss's terms."""
        return "multiclass" if self.target_type == "multiclass" else "binary"

    @property
    def is_multilabel(self) -> bool:
        """Whether a sample has several labels."""
        return self.target_type == "multilabel-indicator"

    @property
    def n_outputs(self) -> int:
        """Number of outputs of the network."""
        return 1 if self.target_type == "binary" else len(self.classes)

    @property
    def threshold(self) -> float:
        """Output above which the positive class is decided for."""
        return 0.5 if self.has_probability else 0.0

    @property
    def attributes(self) -> dict[str, Any]:
        """Public attributes of the fitted estimator that the targets determine."""
        return {
            "classes_": self.classes,
            "n_outputs_": self.n_outputs,
            "out_activation_": self.link,
        }

    def check(self, y: Any, *, must_have_all: bool) -> None:
        """Check that labels are of these classes.

        Parameters
        ----------
        y : array-like
            Labels.
        must_have_all : bool
            Whether each class must occur, as a warm start asks.

        Raises
        ------
        ValueError
            If they are of another kind, or have other classes.
        """
        is_multilabel = type_of_target(y).startswith("multilabel")
        has_columns = is_multilabel and y.shape[1] == len(self.classes)
        if is_multilabel != self.is_multilabel or (is_multilabel and not has_columns):
            n_labels = f"{len(self.classes)} labels"
            kind = n_labels if self.is_multilabel else "single labels"
            raise ValueError(
                f"`y` must be of the kind as in the first fit, {kind}, got shape "
                f"{y.shape}."
            )
        classes = unique_labels(y)
        if must_have_all and set(classes) != set(self.classes):
            raise ValueError(
                "warm_start can only be used where `y` has the same "
                "classes as in the previous call to fit. Previously "
                f"got {self.classes}, `y` has {classes}"
            )
        if len(np.setdiff1d(classes, self.classes, assume_unique=True)):
            raise ValueError(
                "`y` has classes not in `self.classes_`. "
                f"`self.classes_` has {self.classes}. 'y' has {classes}."
            )

    def encode(self, y: NDArray) -> NDArray:
        """Encode labels as class indices, or as indicators (n, n_outputs)."""
        if self.is_multilabel:
            return np.asarray(dense(y), dtype=float)
        indices = np.searchsorted(self.classes, y)
        # a constant target has one class, at index 0, and is no positive class
        is_index = self.target_type == "multiclass"
        return indices if is_index else indices.astype(float)[:, np.newaxis]

    def decide(self, outputs: NDArray) -> NDArray:
        """Decide for class indices, or for indicators of several labels."""
        if self.target_type == "multiclass":
            return outputs.argmax(axis=1)
        decisions = (outputs > self.threshold).astype(int)
        return decisions.ravel() if self.n_outputs == 1 else decisions

    def labels(self, outputs: NDArray) -> Any:
        """Decode outputs to labels, or to indicators of several labels."""
        decisions = self.decide(outputs)
        if self.is_multilabel:
            return scipy.sparse.csr_matrix(decisions) if self.is_sparse else decisions
        return self.classes[np.minimum(decisions, len(self.classes) - 1)]

    def decisions(self, outputs: NDArray) -> NDArray:
        """Decode outputs that are no probabilities to (n,) or (n, n_classes)."""
        return outputs.ravel() if self.target_type == "binary" else outputs

    def probabilities(self, outputs: NDArray) -> NDArray:
        """Decode outputs (..., n_outputs) to probabilities (..., n_classes)."""
        if self.target_type != "binary":
            return outputs
        # NOTE[DIFF] constant target: scikit-learn gives two columns
        if len(self.classes) == 1:
            return np.ones_like(outputs)
        return np.concatenate([1 - outputs, outputs], axis=-1)

    def score(
        self,
        criterion: Criterion,
        target: NDArray,
        outputs: NDArray,
        sample_weight: NDArray | None,
    ) -> float:
        """Compute the accuracy of outputs, for early stopping."""
        # accuracy_score without its checks, which take as long as a small epoch
        decisions = self.decide(outputs).reshape(target.shape)
        is_right = (decisions == target).reshape(len(target), -1).all(axis=1)
        return float(np.average(is_right, weights=sample_weight))

    def out_of_fold(self, outputs: NDArray, y: NDArray) -> dict[str, NDArray]:
        """Name the attributes made of out-of-fold outputs for the training rows."""
        decode = self.probabilities if self.has_probability else self.decisions
        return {"oof_decision_function_": decode(outputs)}

    def to_state(self) -> dict[str, Any]:
        """Describe the targets by plain values, for pickles and files."""
        return {
            "_target_type": self.target_type,
            "_sparse_target": self.is_sparse,
            "_threshold": self.threshold,
        }

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> "ClassTargets":
        """Take the targets out of the state of an estimator."""
        return cls(
            state["classes_"],
            state.pop("_target_type"),
            state.pop("_sparse_target"),
            state.pop("_threshold") > 0,
            state["out_activation_"],
        )


# ---- numbers -------------------------------------------------------------------------


@dataclass(frozen=True)
class RealTargets:
    """Targets that are numbers.

    Parameters
    ----------
    n_outputs : int
        Number of outputs of the network.
    link : str
        Name of the output activation.
    mean, scale : ndarray of shape (n_targets,) or None, default=None
        Mean and standard deviation that targets are standardised by, if they are.
    bounds : ndarray of shape (2, n_targets) or None, default=None
        Least and greatest training target that predictions are clipped to, if they are.
    """

    kind: ClassVar[str] = "real"
    n_outputs: int
    link: str
    mean: NDArray | None = None
    scale: NDArray | None = None
    bounds: NDArray | None = None

    @property
    def attributes(self) -> dict[str, Any]:
        """Public attributes of the fitted estimator that the targets determine."""
        return {"n_outputs_": self.n_outputs, "out_activation_": self.link}

    def standardised(
        self, target: NDArray, weight: NDArray | None, *, clips: bool
    ) -> "RealTargets":
        """Return the targets with the scale of training targets.

        Parameters
        ----------
        target : ndarray of shape (n, n_targets)
            Training targets.
        weight : ndarray of shape (n,) or None
            Their weights; rows that weigh nothing do not count, unless none counts.
        clips : bool
            Whether predictions are clipped to the range of these targets.

        Returns
        -------
        targets : RealTargets
            The targets.
        """
        if weight is not None and weight.any():
            target, weight = target[weight > 0], weight[weight > 0]
        else:
            weight = None
        scaler = StandardScaler().fit(target, sample_weight=weight)
        bounds = np.stack([target.min(axis=0), target.max(axis=0)]) if clips else None
        return replace(self, mean=scaler.mean_, scale=scaler.scale_, bounds=bounds)

    def encode(self, y: NDArray) -> NDArray:
        """Encode numbers as columns (n, n_targets), standardised where asked for."""
        target = as_columns(y)
        return target if self.scale is None else (target - self.mean) / self.scale

    def decode(self, outputs: NDArray) -> NDArray:
        """Decode outputs (..., n_outputs) to the user's units."""
        if self.scale is None or self.mean is None:
            return outputs
        values = outputs * self.scale + self.mean
        values = values.astype(outputs.dtype, copy=False)
        if self.bounds is None:
            return values
        return values.clip(*self.bounds.astype(values.dtype))

    def predictions(self, outputs: NDArray) -> NDArray:
        """Decode outputs (n, n_outputs) to (n,) or (n, n_outputs)."""
        values = self.decode(outputs)
        return values.ravel() if self.n_outputs == 1 else values

    def score(
        self,
        criterion: Criterion,
        target: NDArray,
        outputs: NDArray,
        sample_weight: NDArray | None,
    ) -> float:
        """Compute R^2 of outputs, or the score of the loss; nan where not finite."""
        if not np.isfinite(outputs).all():
            return np.nan
        with np.errstate(over="ignore"):  # on the way to a divergence
            return score_real(criterion, target, outputs, sample_weight)

    def out_of_fold(self, outputs: NDArray, y: NDArray) -> dict[str, NDArray]:
        """Name the attributes made of out-of-fold outputs for the training rows."""
        values = self.decode(outputs)
        attributes = {"oof_prediction_": self.predictions(outputs)}
        if values.size == y.size:  # a quantile is no prediction of the target
            errors = np.abs(values - y.reshape(values.shape))
            attributes["_oof_errors"] = np.sort(errors, axis=0)
        return attributes

    def to_state(self) -> dict[str, Any]:
        """Describe the targets by plain values, for pickles and files."""
        state = {name: getattr(self, field) for field, name in _REAL_STATE.items()}
        return {name: value for name, value in state.items() if value is not None}

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> "RealTargets":
        """Take the targets out of the state of an estimator."""
        scales = {field: state.pop(name, None) for field, name in _REAL_STATE.items()}
        return cls(state["n_outputs_"], state["out_activation_"], **scales)


# fields of RealTargets -> keys of a state
_REAL_STATE: Mapping[str, str] = {
    "mean": "_target_mean",
    "scale": "_target_scale",
    "bounds": "_target_range",
}


def as_columns(y: NDArray) -> NDArray:
    """Return real targets as columns of floats, (n, n_targets)."""
    return y.astype(float, copy=False).reshape(len(y), -1)


def score_real(
    criterion: Criterion, y: Any, predictions: NDArray, sample_weight: Any
) -> float:
    """Compute R^2, or the score of a loss that has several columns for one target.

    Parameters
    ----------
    criterion : Criterion
        The loss.
    y : array-like of shape (n,) or (n, n_targets)
        Targets.
    predictions : ndarray of shape (n,) or (n, n_outputs)
        Predictions in the units of the targets.
    sample_weight : array-like of shape (n,) or None
        Weights.

    Returns
    -------
    score : float
        The score.
    """
    score = get_loss(criterion.loss).score
    has_columns = np.size(y) == len(predictions) < np.size(predictions)
    if has_columns and score is not None:
        return score(np.ravel(y), predictions, sample_weight, **criterion.params)
    return r2_score(y, predictions, sample_weight=sample_weight)
