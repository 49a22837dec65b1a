"""The abstract estimator: its public methods and its state."""

from abc import abstractmethod
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.callback import CallbackSupportMixin
from sklearn.utils.validation import check_is_fitted

from sk_deep._compat import CALLBACK_ATTRIBUTES, fit_context, visual_block
from sk_deep._data.columns import ColumnEncoder, reads_columns
from sk_deep._engine.net import Net
from sk_deep._engine.prediction import (
    hidden_values,
    is_integer,
    predict_outputs,
    sample_outputs,
)
from sk_deep._engine.state import check_state, net_from_state, net_state
from sk_deep._estimator import inputs, plan
from sk_deep._estimator.caption import caption_of
from sk_deep._estimator.fit import fit_estimator
from sk_deep._estimator.inputs import CheckedRows
from sk_deep._estimator.parameters import Parameters
from sk_deep._estimator.random_states import private_random_state
from sk_deep._estimator.result import StoppingState, history_of, put_network
from sk_deep._estimator.targets import Targets
from sk_deep._estimator.validation import Validation
from sk_deep._typing import MatrixLike
from sk_deep._version import __version__
from sk_deep.encodings import imputes
from sk_deep.exceptions import (
    DeviceFallbackWarning,
    InconsistentVersionWarning,
    full_memory,
    warn_user,
)

_VERSION = "_sk_deep_version"  # key of a state
_LESS_MEMORY = (
    "A fit takes less memory with a smaller batch_size; a search with fewer n_jobs, as "
    "its workers share the device."
)


class BaseMLP(CallbackSupportMixin, Parameters):
    """What the classifier and the regressor share.

    A subclass encodes its targets and decodes the outputs of the network.
    """

    n_features_in_: int
    feature_names_in_: NDArray
    n_outputs_: int
    n_layers_: int
    out_activation_: str
    net_: Net
    coefs_: list[NDArray]
    intercepts_: list[NDArray]
    n_iter_: int
    t_: int
    loss_: float
    best_loss_: float | None
    best_validation_score_: float | None
    loss_curve_: list[float]
    validation_loss_curve_: list[float] | None
    validation_scores_: list[float] | None
    learning_rate_curve_: list[float]
    gradient_norm_curve_: list[list[float]] | None
    update_ratio_curve_: list[list[float]] | None

    # part of the best epoch that is added to `n_iter_no_change`
    _growth_of_patience = 0.0
    # what a fit learns of the data, and leaves for further ones
    _columns: ColumnEncoder | None = None
    _targets: Any = None
    _stopping_state: StoppingState | None = None
    _streams = False  # whether it was trained by partial_fit
    _oof_errors: Any = None
    # outputs of a copy that a scorer sees, which need no network
    _known_outputs: Any = None

    # ---- what a subclass adds ------------------------------------------------------

    @abstractmethod
    def _targets_of(
        self, y, weight, *, is_fresh, is_incremental, validates=False
    ) -> Targets:
        """Check targets, of training or of validation data, and learn them if fresh."""

    @abstractmethod
    def _targets_from_state(self, state: dict[str, Any]) -> Targets:
        """Take the targets out of the state of a fitted estimator."""

    def _weigh_by_targets(self, weight, y, is_incremental):
        """Weigh rows by their targets, too, where a subclass does."""
        return weight

    def _note_classes(self, y, classes) -> None:
        """Take note of the classes that a first partial fit is given."""

    def _prime(self, net: Net, rows: CheckedRows) -> None:
        """Change the initial weights by the training rows, where a subclass does."""

    def _automatic_batch_size(self, n_samples: int) -> int:
        """Number of rows of a batch for batch_size="auto"."""
        return 200

    # ---- fit -----------------------------------------------------------------------

    @fit_context(prefer_skip_nested_validation=True)
    def fit(
        self,
        X: MatrixLike,
        y: ArrayLike,
        sample_weight: ArrayLike | None = None,
        *,
        X_val: MatrixLike | None = None,
        y_val: ArrayLike | None = None,
        sample_weight_val: ArrayLike | None = None,
    ) -> Self:
        """Fit the network to data.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            The input data; scale it first, unless the parameters do. Where they encode
            columns, it is a data frame or an array.

        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            The target values (class labels in classification, real numbers in
            regression).

        sample_weight : array-like of shape (n_samples,), default=None
            Sample weights; None is one each.

        X_val : {array-like, sparse matrix} of shape (n_val, n_features), default=None
            Data that early stopping watches, instead of a part of X. It needs
            `early_stopping=True` and no `n_folds`. In a Pipeline, it is transformed as
            X is with `Pipeline(..., transform_input=["X_val"])`.

        y_val : array-like of shape (n_val,) or (n_val, n_outputs), default=None
            Targets of X_val.

        sample_weight_val : array-like of shape (n_val,), default=None
            Sample weights of X_val.

        Returns
        -------
        self : object
            The fitted estimator. A fit that fails leaves it as it was; one that is
            interrupted after an epoch leaves it fitted by the last finished one.

        Raises
        ------
        ValueError
            If the data or the parameters are illegal, or do not go together.
        DivergenceError
            If the loss or the weights do not stay finite.
        """
        validation = Validation(X_val, y_val, sample_weight_val)
        given = X, y, sample_weight, validation
        return self._swap_in(lambda trial: fit_estimator(trial, *given, caller=self))

    def _partial_fit(self, X, y, sample_weight, classes=None):
        """Train for one epoch more, the first time with the classes."""

        def train(trial):
            trial._note_classes(y, classes)
            given = X, y, sample_weight, Validation()
            fit_estimator(trial, *given, is_incremental=True)
            trial._streams = True

        return self._swap_in(train)

    def _encode_targets(self, y, weight=None, **how):
        """Check targets and encode them; set what decodes the outputs."""
        self._targets = self._targets_of(y, weight, **how)
        for name, value in self._targets.attributes.items():
            setattr(self, name, value)
        return self._targets.encode(y)

    def _swap_in(self, train):
        """Train a copy and take its place: a fit that fails leaves what was."""
        # NOTE[DIFF] failed fit: scikit-learn's leaves the estimator half changed
        trial = self._copy()
        try:
            train(trial)
        except KeyboardInterrupt:
            # NOTE[DIFF] interrupt: scikit-learn warns and returns
            if getattr(trial, "net_", None) is not getattr(self, "net_", None):
                self._become(trial)
            raise
        except Exception as error:
            kind = full_memory(f"{type(error).__name__}: {error}")
            if kind is None:
                raise
            raise kind(f"{error}\n{_LESS_MEMORY}") from error
        self._become(trial)
        return self

    def _become(self, trial) -> None:
        """Take a trial's attributes, and keep those that end with the fit.

        The one place that swaps the attributes of an estimator.
        """
        kept = {n: vars(self)[n] for n in CALLBACK_ATTRIBUTES if n in vars(self)}
        self.__dict__ = {**vars(trial), **kept}

    def _copy(self):
        """Copy the estimator, sharing its parameters, net and attributes."""
        copy = object.__new__(type(self))
        copy.__dict__.update(self.__dict__)
        return copy

    # ---- prediction ----------------------------------------------------------------

    def transform_hidden(self, X: MatrixLike, layer: int = -1) -> NDArray:
        """Compute the values of a hidden layer, as features for another model.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            The input data.

        layer : int, default=-1
            Which hidden layer, 0 is the first one and -1 the last.

        Returns
        -------
        values : ndarray of shape (n_samples, n_units)
            The units' values; of several members side by side.
        """
        X = self._check_inputs(X)
        n_layers = len(self.net_.module_.hidden)
        if not is_integer(layer) or not -n_layers <= layer < n_layers:
            raise ValueError(
                f"layer must be an integer in [{-n_layers}, {n_layers}), as there are "
                f"{n_layers} hidden layer(s), got {layer=}."
            )
        return hidden_values(self.net_, X, layer % n_layers + 1)

    def _samples(self, X, n_samples, random_state):
        """Sample the outputs, (n_samples, n, n_outputs), see `sample_outputs`."""
        X = self._check_inputs(X)
        limit = np.iinfo(np.int32).max
        seed = private_random_state(random_state).randint(limit)
        return sample_outputs(self.net_, X, n_samples, seed)

    def _outputs(self, X):
        """Outputs of the network after the inverse link, of X's float dtype."""
        if self._known_outputs is not None:
            return self._known_outputs
        X = self._check_inputs(X)
        # NOTE[DIFF] parameters set after a fit: the net goes by those of its own fit
        return predict_outputs(self.net_, X)

    def _check_inputs(self, X):
        """Check inputs, and encode their columns, for the fitted network."""
        check_is_fitted(self)
        return inputs.check_inputs(self, X)

    # ---- state ---------------------------------------------------------------------

    @property
    def history_(self) -> list[dict[str, Any]]:
        """What was recorded in each epoch, a list of dicts."""
        return history_of(self)

    def __sklearn_is_fitted__(self):
        return hasattr(self, "net_")

    def __getstate__(self):
        state = dict(super().__getstate__())
        for name in _OBJECTS:
            state.pop(name, None)
        net = state.pop("net_", None)
        if net is not None:
            del state["coefs_"], state["intercepts_"]
            # NOTE[DIFF] pickled optimizer: every pickle of scikit-learn's has it
            with_training = self.warm_start or self._streams
            state["_net_state"] = net_state(net, with_training=with_training)
            stopping = self._stopping_state
            state["_watched"] = None if stopping is None else tuple(stopping)
            state |= self._targets.to_state()
            if self._columns is not None:
                state["_columns"] = self._columns.to_dict()
        return {**state, _VERSION: __version__}

    def __setstate__(self, state):
        state = dict(state)
        self._check_version(state.pop(_VERSION, "unknown"))
        state = {**self._parameter_defaults, **state}  # some came later
        network = state.pop("_net_state", None)
        if network is not None:
            check_state(network)
            stopping, columns = state.pop("_watched", None), state.pop("_columns", None)
            if stopping is not None:
                state["_stopping_state"] = StoppingState(*stopping)
            if columns is not None:
                state["_columns"] = ColumnEncoder.from_dict(columns)
            state["_targets"] = self._targets_from_state(state)
        super().__setstate__(state)
        if network is not None:
            put_network(self, net_from_state(network, device=self._present_device()))

    def _check_version(self, version: str) -> None:
        if version != __version__:
            warning = InconsistentVersionWarning(
                estimator_name=type(self).__name__,
                current_version=__version__,
                original_version=version,
            )
            warn_user(warning)

    def _present_device(self) -> str:
        """Device that the estimator asks for, or the CPU where it is not there."""
        try:
            return plan.device(self)
        except RuntimeError:
            warn_user(
                f"device={self.device!r} is not available, predicting on the CPU.",
                DeviceFallbackWarning,
            )
            return "cpu"

    def _sk_visual_block_(self):
        """Make the box in scikit-learn's diagrams, with a line on the fit."""
        return visual_block(self, caption_of(self) if hasattr(self, "net_") else None)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = not reads_columns(self)
        tags.input_tags.allow_nan = imputes(self.missing)
        tags.input_tags.categorical = self.categorical_features is not None
        return tags


# attributes that a state describes by plain values
_OBJECTS = "_targets", "_columns", "_stopping_state", "_known_outputs"
