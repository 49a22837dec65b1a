"""The constructor parameters that the estimators share, and the rules on each."""

from abc import ABC, abstractmethod
from numbers import Integral, Real

import numpy as np

from sk_deep._compat import (
    HasMethods,
    Interval,
    KnowsItsParameters,
    Options,
    StrOptions,
)
from sk_deep.activations import ACTIVATIONS
from sk_deep.augmentation import AUGMENTATIONS
from sk_deep.dropouts import DROPOUT_SCHEDULES, DROPOUTS
from sk_deep.encodings import NUMERICAL_EMBEDDINGS, SCALINGS
from sk_deep.initializers import INITIALIZERS
from sk_deep.normalizations import NORMALIZATIONS
from sk_deep.schedules import SCHEDULES
from sk_deep.solvers import SOLVERS


class Parameters(KnowsItsParameters, ABC):
    """The parameters, with scikit-learn's constraints on single values.

    What goes with what is checked in `_options`.
    """

    _parameter_constraints: dict = {
        "hidden_layer_sizes": [
            "array-like",
            Interval(Integral, 1, None, closed="left"),
        ],
        "activation": [StrOptions(set(ACTIVATIONS)), "array-like", callable],
        "solver": [StrOptions(set(SOLVERS)), callable],
        "alpha": [Interval(Real, 0, None, closed="left")],
        "batch_size": [
            StrOptions({"auto"}),
            Interval(Integral, 1, None, closed="left"),
        ],
        "learning_rate": [StrOptions(set(SCHEDULES)), callable],
        "learning_rate_init": [
            Interval(Real, 0, None, closed="neither"),
            StrOptions({"auto"}),
        ],
        "power_t": [Interval(Real, 0, None, closed="left")],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "shuffle": ["boolean"],
        "random_state": ["random_state"],
        "tol": [Interval(Real, 0, None, closed="left")],
        "verbose": ["verbose"],
        "warm_start": ["boolean"],
        "momentum": [Interval(Real, 0, 1, closed="both")],
        "nesterovs_momentum": ["boolean"],
        "early_stopping": ["boolean"],
        "validation_fraction": [Interval(Real, 0, 1, closed="left")],
        "beta_1": [Interval(Real, 0, 1, closed="left")],
        "beta_2": [Interval(Real, 0, 1, closed="left")],
        "epsilon": [Interval(Real, 0, None, closed="neither")],
        "n_iter_no_change": [
            Interval(Integral, 1, None, closed="left"),
            Options(Real, {np.inf}),
        ],
        "max_fun": [Interval(Integral, 1, None, closed="left")],
        "n_hidden_layers": [Interval(Integral, 1, None, closed="left")],
        "maxout_pieces": [Interval(Integral, 2, None, closed="left")],
        "dropout": [Interval(Real, 0, 1, closed="left"), "array-like"],
        "input_dropout": [Interval(Real, 0, 1, closed="left")],
        "dropout_type": [StrOptions(set(DROPOUTS))],
        "dropout_params": [dict, None],
        "dropout_schedule": [StrOptions(set(DROPOUT_SCHEDULES))],
        "normalization": [StrOptions(set(NORMALIZATIONS)), None],
        "residual": ["boolean"],
        "weight_init": [StrOptions(set(INITIALIZERS))],
        "loss_params": [dict, None],
        "solver_params": [dict, None],
        "schedule_params": [dict, None],
        "l1_ratio": [Interval(Real, 0, 1, closed="both")],
        "max_norm": [Interval(Real, 0, None, closed="neither"), None],
        "gradient_clip": [Interval(Real, 0, None, closed="neither"), None],
        "augmentation": [StrOptions(set(AUGMENTATIONS)), callable, None],
        "augmentation_params": [dict, None],
        "categorical_features": [StrOptions({"from_dtype"}), "array-like", None],
        "max_one_hot": [Interval(Integral, 0, None, closed="left")],
        "embedding_size": [
            Interval(Integral, 1, None, closed="left"),
            StrOptions({"auto"}),
        ],
        "min_frequency": [Interval(Integral, 1, None, closed="left")],
        "missing": [StrOptions({"error", "impute"})],
        "numerical_scaling": [StrOptions(set(SCALINGS)), None],
        "numerical_embedding": [StrOptions(set(NUMERICAL_EMBEDDINGS)), None],
        "n_bins": [StrOptions({"auto"}), Interval(Integral, 1, None, closed="left")],
        "scoring": [str, callable, None],
        "n_members": [Interval(Integral, 1, None, closed="left")],
        "n_folds": [
            StrOptions({"auto"}),
            Interval(Integral, 2, None, closed="left"),
            None,
        ],
        "weight_averaging": [Interval(Real, 0, None, closed="neither"), None],
        "callbacks": [list, None],
        "device": [str],
        "dtype": [StrOptions({"auto", "float32", "float64"})],
        "accelerator": [HasMethods(["reduce"]), None],
    }

    @abstractmethod
    def __init__(
        self,
        *,
        hidden_layer_sizes,
        activation,
        solver,
        alpha,
        batch_size,
        learning_rate,
        learning_rate_init,
        power_t,
        max_iter,
        shuffle,
        random_state,
        tol,
        verbose,
        warm_start,
        momentum,
        nesterovs_momentum,
        early_stopping,
        validation_fraction,
        beta_1,
        beta_2,
        epsilon,
        n_iter_no_change,
        max_fun,
        n_hidden_layers,
        maxout_pieces,
        dropout,
        input_dropout,
        dropout_type,
        dropout_params,
        dropout_schedule,
        normalization,
        residual,
        weight_init,
        loss,
        loss_params,
        solver_params,
        schedule_params,
        l1_ratio,
        max_norm,
        gradient_clip,
        augmentation,
        augmentation_params,
        categorical_features,
        max_one_hot,
        embedding_size,
        min_frequency,
        missing,
        numerical_scaling,
        numerical_embedding,
        n_bins,
        scoring,
        n_members,
        n_folds,
        weight_averaging,
        callbacks,
        device,
        dtype,
        accelerator,
    ):
        self.hidden_layer_sizes = hidden_layer_sizes
        self.activation = activation
        self.solver = solver
        self.alpha = alpha
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.learning_rate_init = learning_rate_init
        self.power_t = power_t
        self.max_iter = max_iter
        self.shuffle = shuffle
        self.random_state = random_state
        self.tol = tol
        self.verbose = verbose
        self.warm_start = warm_start
        self.momentum = momentum
        self.nesterovs_momentum = nesterovs_momentum
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        self.epsilon = epsilon
        self.n_iter_no_change = n_iter_no_change
        self.max_fun = max_fun
        self.n_hidden_layers = n_hidden_layers
        self.maxout_pieces = maxout_pieces
        self.dropout = dropout
        self.input_dropout = input_dropout
        self.dropout_type = dropout_type
        self.dropout_params = dropout_params
        self.dropout_schedule = dropout_schedule
        self.normalization = normalization
        self.residual = residual
        self.weight_init = weight_init
        self.loss = loss
        self.loss_params = loss_params
        self.solver_params = solver_params
        self.schedule_params = schedule_params
        self.l1_ratio = l1_ratio
        self.max_norm = max_norm
        self.gradient_clip = gradient_clip
        self.augmentation = augmentation
        self.augmentation_params = augmentation_params
        self.categorical_features = categorical_features
        self.max_one_hot = max_one_hot
        self.embedding_size = embedding_size
        self.min_frequency = min_frequency
        self.missing = missing
        self.numerical_scaling = numerical_scaling
        self.numerical_embedding = numerical_embedding
        self.n_bins = n_bins
        self.scoring = scoring
        self.n_members = n_members
        self.n_folds = n_folds
        self.weight_averaging = weight_averaging
        self.callbacks = callbacks
        self.device = device
        self.dtype = dtype
        self.accelerator = accelerator
