"""The abstract estimator: parameters, the recipe of a fit, and state."""

import copy
import functools
import inspect
import types
import warnings
import zlib
from abc import abstractmethod

import joblib
import numpy as np
import scipy.sparse
from sklearn.base import is_classifier
from sklearn.callback import CallbackSupportMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_random_state, check_X_y, column_or_1d
from sklearn.utils.validation import check_is_fitted, validate_data

from sk_deep._compat import (
    OF_A_WATCHED_FIT,
    check_sample_weight,
    fit_context,
    visual_block,
)
from sk_deep._data.columns import (
    as_table,
    encode_columns,
    learn_columns,
    reads_columns,
)
from sk_deep._data.frames import check_columns
from sk_deep._data.sources import check_stream, is_stream
from sk_deep._data.tensors import dense, float_dtype
from sk_deep._engine.best_constant import losses_if_nothing_learned
from sk_deep._engine.full_batch import train_full_batch
from sk_deep._engine.net import make_net
from sk_deep._engine.prediction import (
    hidden_values,
    is_integer,
    predict_outputs,
    sample_outputs,
)
from sk_deep._engine.state import (
    all_finite,
    check_state,
    copy_in_training,
    describe,
    go_on_from,
    member_net,
    net_from_state,
    net_state,
    progress,
    resume,
)
from sk_deep._estimator import checks, plan
from sk_deep._estimator.parameters import Parameters
from sk_deep._estimator.sklearn_callbacks import attributes, tell_callbacks
from sk_deep._estimator.validation import (
    CheckedRows,
    Fold,
    Validation,
    average_by_row,
    check_validation,
    split_folds,
    split_rows,
    validation_score,
)
from sk_deep._version import __version__
from sk_deep.callbacks import Checkpoint, Stopping, ValidationScore, Verbose
from sk_deep.exceptions import (
    DeviceFallbackWarning,
    InconsistentVersionWarning,
    divergence,
    full_memory,
)
from sk_deep.network import n_weights

# fitted attribute -> key of the net's history
_CURVES = {
    "loss_curve_": "train_loss",
    "validation_loss_curve_": "valid_loss",
    "validation_scores_": "valid_score",
    "learning_rate_curve_": "lr",
    "gradient_norm_curve_": "gradient_norms",
    "update_ratio_curve_": "update_ratios",
}

_OUT_OF_FOLD = "oof_decision_function_", "oof_prediction_", "_oof_errors"
_ROWS_AT_ONCE = 2**14  # of rows left out that are predicted
_VERSION = "_sk_deep_version"  # key of a state
_LESS_MEMORY = (
    "A fit takes less memory with a smaller batch_size; a search with fewer n_jobs, as "
    "its workers share the device."
)


class BaseMLP(CallbackSupportMixin, Parameters):
    """What the classifier and the regressor share.

    A subclass encodes its target, names its output activation and decides from the
    network's outputs.
    """

    # part of the best epoch that is added to `n_iter_no_change`
    _growth_of_patience = 0.0

    # ---- what a subclass adds ------------------------------------------------------

    @abstractmethod
    def _encode(self, y, weight=None, *, fresh, incremental, validates=False):
        """Turn checked targets into the network's, of training or of validation data.

        Sets `n_outputs_` and `out_activation_`, and what decodes the outputs.
        """

    @abstractmethod
    def _kind(self):
        """Kind of the targets, a key of a loss's terms."""

    @abstractmethod
    def _adopt_out_of_fold(self, outputs, y):
        """Take the outputs for training rows of the members that left them out."""

    @abstractmethod
    def _score(self, target, outputs, sample_weight):
        """Score outputs against encoded targets, for early stopping."""

    # ---- the recipe of a fit -------------------------------------------------------

    @fit_context(prefer_skip_nested_validation=True)
    def fit(
        self,
        X,
        y,
        sample_weight=None,
        *,
        X_val=None,
        y_val=None,
        sample_weight_val=None,
    ):
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

        def train(trial):
            trial._fit(X, y, sample_weight, validation, watched=self)

        return self._swap_in(train)

    def _partial_fit(self, X, y, sample_weight, classes=None):
        """Train for one epoch more, the first time with the classes."""

        def train(trial):
            trial._note_classes(y, classes)
            trial._fit(X, y, sample_weight, Validation(), incremental=True)
            trial._streams = True

        return self._swap_in(train)

    def _note_classes(self, y, classes):
        """Take note of the classes that a first partial fit is told."""

    def _swap_in(self, train):
        """Train a copy and take its place: a fit that fails leaves what was."""
        # NOTE[DIFF] failed fit: scikit-learn's leaves the estimator half changed
        trial = self._copy()
        try:
            train(trial)
        except KeyboardInterrupt:
            # NOTE[DIFF] interrupt: scikit-learn warns and returns
            if vars(trial).get("net_") is not vars(self).get("net_"):
                self._become(trial)
            raise
        except Exception as error:
            kind = full_memory(f"{type(error).__name__}: {error}")
            if kind is None:
                raise
            raise kind(f"{error}\n{_LESS_MEMORY}") from error
        self._become(trial)
        return self

    def _become(self, trial):
        """Take a trial's attributes, and keep those that end with the fit."""
        own = {
            name: vars(self)[name] for name in OF_A_WATCHED_FIT if name in vars(self)
        }
        self.__dict__ = {**vars(trial), **own}

    def _copy(self):
        """Copy the estimator, sharing its parameters, net and attributes."""
        twin = object.__new__(type(self))
        twin.__dict__.update(self.__dict__)
        return twin

    def _fit(self, X, y, sample_weight, validation, incremental=False, watched=None):
        fresh = not hasattr(self, "net_") or not (self.warm_start or incremental)
        checks.hidden_units(self)  # its error comes before those of the data
        rows = self._check_rows(X, y, sample_weight, fresh, incremental)
        processes = plan.processes(self)
        random_states, draw_seed = self._random_states(processes)
        net = make_net(**self._net_arguments(rows.X, fresh), processes=processes)
        if fresh:
            self._start_afresh(net, random_states, draw_seed)
            self._prime(net, rows)
        else:
            self._go_on_from(net, self.net_, draw_seed, incremental)
        if processes is not None:
            _check_same(processes, rows, net)
        data = {"X": X, "rows": rows, "sample_weight": sample_weight}
        with tell_callbacks(watched, self, net, **data) as tasks:
            if net.optimizer is None:
                self._fit_full_batch(net, rows, validation, tasks)
            else:
                fold = self._fold(rows, validation, random_states)
                self._fit_stochastic(net, fold, random_states, incremental, tasks)
            if not all_finite(net.module_.flat, net.module_.flat_buffers):
                raise divergence(self.n_iter_)

    def _check_rows(self, X, y, sample_weight, fresh, incremental):
        """Check training data, and encode the targets."""
        X, y = self._validate(X, y, reset=fresh)
        weight = self._sample_weight(sample_weight, X)
        target = self._encode(y, weight, fresh=fresh, incremental=incremental)
        return CheckedRows(X, y, target, self._weight(weight, y, incremental))

    def _validate(self, X, y, reset):
        checks = {"multi_output": True, "y_numeric": not is_classifier(self)}
        if reads_columns(self) if reset else hasattr(self, "_columns"):
            X = self._encode_columns(X, reset)
            X, y = check_X_y(X, y, **_checks_of_inputs(X), **checks, estimator=self)
        else:
            check_columns(X)
            checks.update(_checks_of_inputs(X))
            X, y = validate_data(self, X, y, **checks, reset=reset)
            if reset:
                vars(self).pop("_columns", None)
        if y.ndim == 2 and y.shape[1] == 1:
            y = column_or_1d(y, warn=True)
        return self._readable(X), y

    def _readable(self, X):
        """CSR for sparse inputs, of which rows can be taken; arrays in native order."""
        if scipy.sparse.issparse(X):
            return X.tocsr()
        if is_stream(X):
            check_stream(X, type(self).__name__)
            return X
        return X.astype(X.dtype.newbyteorder("="), copy=False)

    def _encode_columns(self, X, reset):
        """Encode the columns of a table, after learning how if `reset`."""
        X = as_table(X)
        validate_data(self, X, reset=reset, skip_check_array=True)
        if reset:
            self._columns = learn_columns(self, X)
        return self._readable(encode_columns(self._columns, X))

    def _weight(self, weight, y, incremental):
        """Weigh rows by their targets, too, where a subclass does."""
        return weight

    def _sample_weight(self, sample_weight, X):
        """Check the sample weights; None stays None."""
        if sample_weight is None:
            return None
        # NOTE[DIFF] negative sample weights: scikit-learn takes them
        return check_sample_weight(sample_weight, X, ensure_non_negative=True)

    def _random_states(self, processes=None):
        """Make each member's source of randomness, and a function for seeds."""
        random_state = _private(self.random_state)
        limit = np.iinfo(np.int32).max
        if processes is not None and self.random_state is None:
            (seed,) = processes.agree(random_state.randint(limit, size=1))
            random_state = np.random.RandomState(seed)
        if self.n_members == 1:
            members = [random_state]
        else:
            seeds = random_state.randint(limit, size=self.n_members)
            members = [np.random.RandomState(seed) for seed in seeds]
        return members, lambda: int(random_state.randint(limit))

    def _net_arguments(self, X, fresh=True):
        """Collect the arguments of `make_net` for training on X."""
        arch = plan.architecture(self, X.shape[1], self.n_outputs_)
        batch_size = plan.batch_size(self, X.shape[0])
        arch["dtype"] = (
            plan.dtype(self, X, n_weights(arch), batch_size)
            if fresh or self.dtype != "auto"
            else self.net_.module_.architecture["dtype"]
        )
        solver = plan.solver(self)
        checks.check_watched(self)
        return {
            "architecture": arch,
            "loss": self.loss,
            "kind": self._kind(),
            "loss_params": plan.loss_params(self),
            "device": plan.device(self),
            "solver": solver,
            "step_settings": [plan.settings(self, solver)],
            "alpha": self.alpha,
            "l1_ratio": self.l1_ratio,
            # of classifiers
            "label_smoothing": vars(self).get("label_smoothing", 0.0),
            "augmentation": plan.augmentation(self, X.shape[1]),
            "averaging": self.weight_averaging,
            "callbacks": [
                *plan.callbacks([self]),
                *copy.deepcopy(checks.checked_callbacks(self)),
            ],
        }

    def _start_afresh(self, net, random_states, draw_seed):
        net.module_.reset_parameters(random_states, self.weight_init)
        if net.draws_noise:
            net.seed_noise(draw_seed())
        self._reset()

    def _prime(self, net, rows):
        """Change the initial weights by the training rows, where a subclass does."""

    def _reset(self):
        """Start anew what a fit counts and records."""
        self.n_iter_ = self.t_ = 0
        self.n_layers_ = len(checks.hidden_units(self)) + 2
        self._streams = False
        self._forget_curves()

    def _forget_curves(self):
        self._watched = None
        bests = "best_loss_", "best_validation_score_"
        for name in (*_CURVES, *bests, *_OUT_OF_FOLD):
            vars(self).pop(name, None)

    def _watches(self):
        """Key of what is watched: curves and the best value go on while it stays."""
        is_full_batch = checks.is_full_batch(self)
        return is_full_batch, bool(self.early_stopping), self.scoring, self.n_folds

    def _go_on_from(self, net, old, draw_seed, incremental):
        ours, theirs = describe(net), describe(old)
        changed = sorted(key for key in ours if ours[key] != theirs[key])
        # NOTE[DIFF] warm start with another network: scikit-learn keeps the old one
        if changed:
            raise ValueError(
                "warm_start and partial_fit need the same network as before, however "
                f"these changed: {', '.join(changed)}."
            )
        has_generator = go_on_from(net, old, with_optimizer=incremental)
        if net.draws_noise and not has_generator:
            net.seed_noise(draw_seed())
        net.n_samples_ = self.t_
        if self._watched and self._watched[0] != self._watches():
            self._forget_curves()

    # ---- the two ways to train -----------------------------------------------------

    def _fit_full_batch(self, net, rows, validation, tasks):
        if validation.is_given:
            raise ValueError(
                "X_val and y_val are for early stopping, which solver='lbfgs' has not."
            )
        self._forget_curves()
        for task in tasks:
            task.snapshot = self._as_if_stopped
        # NOTE[DIFF] verbose L-BFGS: scikit-learn lets scipy print, which no longer does
        net.call_first([*self._verbose(net), *tasks])
        data = net.data(rows.X, rows.target, rows.weight)
        try:
            self.loss_, self.n_iter_ = train_full_batch(
                net, data, max_fun=self.max_fun, tol=self.tol
            )
        except KeyboardInterrupt:
            if net.n_finished_:
                self._adopt_last_iteration(net)
                self._adopt(net)
            raise
        self._adopt(net)
        if not np.isfinite(self.loss_):
            raise divergence(self.n_iter_)
        self._warn_if_nothing_was_learned(net, rows, self.loss_, stacklevel=8)

    def _fit_stochastic(self, net, fold, random_states, incremental, tasks):
        train, valid = fold.data(net)
        net.batch_size = self._clip_batch_size(len(train))
        if fold.leaves_out is not None:
            random_states = random_states[:1]  # members share the batches
        net.random_states = random_states if self.shuffle else ()
        stopping = self._stopping(net)
        ours = self._verbose(net)
        if valid is not None:
            parts = fold.parts(self.n_members)
            estimators = [self] * self.n_members
            score = validation_score(estimators, parts, fold.whole())
            ours.insert(0, ValidationScore(score))
        for task in tasks:
            task.snapshot = functools.partial(self._as_if_stopped, stopping=stopping)
        net.call_first([*ours, stopping, *tasks])
        for _, callback in net.callbacks_:
            if isinstance(callback, Checkpoint):
                self._begin_checkpoint(callback, net, stopping, fold, incremental)
        try:
            net.partial_fit(train, valid, epochs=1 if incremental else None)
        finally:
            if net.n_finished_:
                self._adopt(net)
                self._adopt_curves(net, stopping)
                self._predict_what_is_left_out(fold)
        if incremental:
            return
        if net.running_.any():
            self._warn_of_the_last_epoch(stacklevel=8)  # the line that calls fit
        elif stopping.n_stale.any():  # else a callback stopped it while it improved
            least = min(self.loss_curve_)
            self._warn_if_nothing_was_learned(net, fold.train, least, stacklevel=8)

    def _warn_if_nothing_was_learned(self, net, rows, seen, stacklevel):
        """Warn where training came to rest, and a constant prediction is as good."""
        parts = rows.X, rows.target, rows.weight
        losses = losses_if_nothing_learned(net, *parts, seen)
        # NOTE[DIFF] networks that learned nothing: scikit-learn is silent
        if losses is not None:
            warnings.warn(
                "The network has learned nothing: its loss on the training data, "
                f"{losses[0]:.4g}, is not lower than that of a constant prediction, "
                f"{losses[1]:.4g}. Scale X, or change learning_rate_init; "
                "sk_deep.diagnose tells more.",
                ConvergenceWarning,
                stacklevel=stacklevel,
            )

    def _automatic_batch_size(self, n_samples):
        return 200

    def _verbose(self, net):
        """What prints the epochs, of a team in the first process."""
        is_first = net.processes is None or net.processes.rank == 0
        return [Verbose()] if self.verbose and is_first else []

    def _begin_checkpoint(self, checkpoint, net, stopping, fold, incremental):
        """Let a checkpoint write this training, and resume what it wrote before."""
        if incremental or self.random_state is None:
            raise ValueError(
                "a Checkpoint among callbacks is for fit with a random_state, by which "
                f"it can be repeated, however: random_state={self.random_state}, "
                f"{'partial_fit' if incremental else 'fit'}."
            )
        parameters = self.get_params(deep=False)
        for name in ("callbacks", "verbose", "accelerator"):
            del parameters[name]
        weights = net_state(net, with_training=True)
        parts = [type(self), parameters, fold, weights, self._watched]
        take = functools.partial(progress, net, stopping)
        state = checkpoint.begin(joblib.hash([*parts, net.random_states]), take)
        if state is not None:
            net.resume = functools.partial(resume, net, stopping, state)

    def _warn_of_the_last_epoch(self, stacklevel):
        warnings.warn(
            f"Stochastic Optimizer: Maximum iterations ({self.max_iter}) "
            "reached and the optimization hasn't converged yet.",
            ConvergenceWarning,
            stacklevel=stacklevel,
        )

    def _clip_batch_size(self, n_samples):
        if self.batch_size != "auto" and self.batch_size > n_samples:
            warnings.warn(
                "Got `batch_size` less than 1 or larger than "
                "sample size. It is going to be clipped",
                stacklevel=8,  # the line that calls fit
            )
        size = min(plan.batch_size(self, n_samples), n_samples)
        if checks.mixes_rows(self) and size < 2:
            raise ValueError(
                f"normalization={self.normalization!r} needs at least 2 samples in a "
                f"batch, however: {size} sample."
            )
        return size

    def _stopping(self, net):
        """Go on with the best value and the stale epochs of the last fit, if alike."""
        validates = bool(self.early_stopping)
        best, n_stale = np.full(self.n_members, -np.inf), np.zeros(self.n_members, int)
        if self._watched:
            best, n_stale = (values.copy() for values in self._watched[1:])
        return Stopping(
            self.tol,
            self.n_iter_no_change,
            validates=validates,
            best=best,
            n_stale=n_stale,
            growth=self._growth_of_patience,
            verbose=bool(self.verbose),
        )

    def _fold(self, rows, validation, random_states):
        """Set apart what early stopping watches."""
        if validation.is_given:
            return Fold(rows, None, self._validation_rows(validation))
        if not self.early_stopping:
            return Fold(rows)
        n_folds = plan.n_folds(self, rows.n_weighing())
        if n_folds is not None:
            fold_of = split_folds(rows, n_folds, random_states[0])
            folds = np.arange(self.n_members) % n_folds
            leaves_out = fold_of == folds[:, np.newaxis]
            left_out = [np.flatnonzero(own) for own in leaves_out]
            return Fold(rows, None, rows, left_out, leaves_out)
        splits = [split_rows(self, rows, state) for state in random_states]
        train, valid = (np.stack(parts) for parts in zip(*splits, strict=True))
        if is_stream(rows.X):
            valid.sort(axis=-1)
        return Fold(rows, train, rows, valid)

    def _validation_rows(self, validation):
        """Check the validation data that fit was given."""
        check_validation(
            validation, early_stopping=self.early_stopping, n_folds=self.n_folds
        )
        X, y = self._validate(validation.X, validation.y, reset=False)
        target = self._encode(y, fresh=False, incremental=True, validates=True)
        return CheckedRows(X, y, target, self._sample_weight(validation.weight, X))

    # ---- what a fit leaves ---------------------------------------------------------

    def _adopt(self, net):
        # NOTE[DIFF] assigned weights: the net owns the weights, the lists hold views
        self.net_ = net
        self.coefs_ = net.module_.coefs()
        self.intercepts_ = net.module_.intercepts()

    def _adopt_last_iteration(self, net):
        self.n_iter_ = net.n_finished_
        self.loss_ = net.history[self.n_iter_ - 1, "train_loss"]

    def _adopt_curves(self, net, stopping):
        rows = net.history[: net.n_finished_]
        self.n_iter_ = net.n_finished_
        self.t_ = net.n_samples_
        n_before = len(getattr(self, "loss_curve_", None) or [])
        for name, key in _CURVES.items():
            old = getattr(self, name, None) or []
            curve = old + [row[key] for row in rows if key in row]
            # a monitor may have joined later, or left: a curve is one of all epochs
            setattr(self, name, curve if len(curve) == n_before + len(rows) else None)
        self.loss_ = self.loss_curve_[-1]
        self._watched = (self._watches(), stopping.best.copy(), stopping.n_stale.copy())
        best = float(stopping.best.mean())
        self.best_loss_ = None if stopping.validates else -best
        self.best_validation_score_ = best if stopping.validates else None

    def _predict_what_is_left_out(self, fold):
        """Predict each row by the members that have left it out."""
        if fold.leaves_out is None:
            return
        X = fold.train.X
        nets = (member_net(self.net_, i) for i in range(self.n_members))
        left_out = (
            (part, predict_outputs(net, X[part]))
            for net, own in zip(nets, fold.valid_positions, strict=True)
            for part in np.split(own, range(_ROWS_AT_ONCE, len(own), _ROWS_AT_ONCE))
        )
        shape = X.shape[0], self.n_outputs_
        outputs = average_by_row(shape, float_dtype(X), left_out)
        self._adopt_out_of_fold(outputs, fold.train.y)

    def _as_if_stopped(self, net, stopping=None):
        """List the attributes that a fit leaves whose training stops now."""
        twin = self._copy()
        twin._adopt(copy_in_training(net, with_training=self.warm_start))
        if net.n_finished_ and stopping is None:
            twin._adopt_last_iteration(net)
        elif net.n_finished_:
            twin._adopt_curves(net, stopping)
        return attributes(twin)

    @property
    def history_(self):
        """What was recorded in each epoch, a list of dicts."""
        curves = {key: getattr(self, name) for name, key in _CURVES.items()}
        present = {key: curve for key, curve in curves.items() if curve}
        rows = zip(*present.values(), strict=True)
        return [dict(zip(present, row, strict=True)) for row in rows]

    def _sk_visual_block_(self):
        """Make the box in scikit-learn's diagrams; it tells what was trained."""
        return visual_block(self, self._caption() if hasattr(self, "net_") else None)

    def _caption(self):
        has_epochs = getattr(self, "loss_curve_", None) is not None
        parts = [
            _count(self.n_iter_, "epoch" if has_epochs else "iteration"),
            next(self._goodness()),
            _count(self.net_.module_.flat.numel(), "weight"),  # biases too
            str(self.net_.device),
        ]
        return ", ".join(parts)

    def _goodness(self):
        """Say how good it became, by what tells most first."""
        for name in ("best_validation_score_", "best_loss_", "loss_"):
            value = getattr(self, name, None)
            if value is not None:
                yield f"{name.strip('_').replace('_', ' ')} {value:.4g}"

    # ---- prediction and state ------------------------------------------------------

    def transform_hidden(self, X, layer=-1):
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
                f"{n_layers} hidden layer(s), however: {layer=}."
            )
        return hidden_values(self.net_, X, layer % n_layers + 1)

    def _samples(self, X, n_samples, random_state):
        """Sample the outputs, (n_samples, n, n_outputs), see `sample_outputs`."""
        X = self._check_inputs(X)
        seed = _private(random_state).randint(np.iinfo(np.int32).max)
        return sample_outputs(self.net_, X, n_samples, seed)

    def _outputs(self, X):
        """Outputs of the network after the inverse link, of X's float dtype."""
        X = self._check_inputs(X)
        # NOTE[DIFF] parameters set after a fit: the net goes by those of its own fit
        return predict_outputs(self.net_, X)

    def _check_inputs(self, X):
        check_is_fitted(self)
        if hasattr(self, "_columns"):
            return self._encode_columns(X, reset=False)
        if not hasattr(self, "feature_names_in_") and _is_legal(X, self.n_features_in_):
            return X
        check_columns(X)
        X = validate_data(self, X, **_checks_of_inputs(X), reset=False)
        return self._readable(X)

    def __sklearn_is_fitted__(self):
        return hasattr(self, "net_")

    def __getstate__(self):
        state = dict(super().__getstate__())
        net = state.pop("net_", None)
        if net is not None:
            del state["coefs_"], state["intercepts_"]
            # NOTE[DIFF] pickled optimizer: every pickle of scikit-learn's has it
            with_training = self.warm_start or self._streams
            state["_net_state"] = net_state(net, with_training=with_training)
        return {**state, _VERSION: __version__}

    def __setstate__(self, state):
        state = dict(state)
        version = state.pop(_VERSION, "unknown")
        if version != __version__:
            warnings.warn(
                InconsistentVersionWarning(
                    estimator_name=type(self).__name__,
                    current_version=__version__,
                    original_version=version,
                ),
                stacklevel=2,
            )
        for name, parameter in inspect.signature(type(self)).parameters.items():
            state.setdefault(name, parameter.default)  # one that came later
        net_state = state.pop("_net_state", None)
        if net_state is not None:
            check_state(net_state)
        super().__setstate__(state)
        if net_state is not None:
            self._adopt(net_from_state(net_state, device=self._present_device()))

    def _present_device(self):
        try:
            return plan.device(self)
        except RuntimeError:
            warnings.warn(
                f"device={self.device!r} is not available, predicting on the CPU.",
                DeviceFallbackWarning,
                stacklevel=3,
            )
            return "cpu"

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = not reads_columns(self)
        tags.input_tags.allow_nan = self.missing == "impute"
        tags.input_tags.categorical = self.categorical_features is not None
        return tags


class stochastic_only:
    """Hide a method where training by single epochs has no meaning.

    As `sklearn.utils.metaestimators.available_if`, but the error that says so is the
    ValueError that scikit-learn's MLP raises for early stopping, too.
    """

    def __init__(self, function):
        functools.update_wrapper(self, function)
        self._function = function

    def __get__(self, estimator, owner=None):
        if estimator is None:
            return self._function
        if checks.is_full_batch(estimator):
            raise NotAvailableError(
                "partial_fit is only available for stochastic"
                f" optimizers. {estimator.solver} is not stochastic."
            )
        # NOTE[DIFF] partial fit with early stopping: scikit-learn's is there to raise
        if estimator.early_stopping:
            raise NotAvailableError("partial_fit does not support early_stopping=True")
        return types.MethodType(self._function, estimator)


class NotAvailableError(AttributeError, ValueError):
    """The parameters of the estimator rule a method out."""


def _private(random_state):
    """Make a random state that is not numpy's global one, unless that was given."""
    # NOTE[DIFF] no random state: scikit-learn draws from numpy's global one
    if random_state is None:
        return np.random.RandomState()
    return check_random_state(random_state)


def _check_same(processes, rows, net):
    """Check that the processes of a team begin alike, on the same rows."""
    ends = [dense(rows.X[:1]), dense(rows.X[-1:])]  # of the inputs, for the time's sake
    parts = [*ends, rows.target, rows.weight, net.module_.flat.numpy(force=True)]
    own = [zlib.crc32(np.ascontiguousarray(part)) for part in parts if part is not None]
    processes.check_same("rows, targets, weights and seeds", *rows.X.shape, *own)


def _is_legal(X, n_features):
    """Whether `validate_data` would give X back, in longer than a row's prediction."""
    if type(X) is not np.ndarray or X.dtype not in (np.float64, np.float32):
        return False
    if X.ndim != 2 or X.shape[0] == 0 or X.shape[1] != n_features or is_stream(X):
        return False
    with np.errstate(all="ignore"):
        return np.isfinite(X.sum())


def _count(n, what):
    return f"{n:,} {what}{'s' * (n != 1)}"


def _checks_of_inputs(X):
    """List how scikit-learn shall check inputs; a stream stays as it is."""
    checks = {"accept_sparse": ["csr", "csc"], "dtype": (np.float64, np.float32)}
    if is_stream(X) and X.dtype.kind in "fiub" and X.dtype != np.longdouble:
        checks.update(dtype=None, ensure_all_finite=False)
    return checks
