"""The classifier."""

from collections.abc import Sequence
from typing import Any, Literal

from torch.optim import Optimizer

from sk_deep._estimator.base_classifier import BaseMLPClassifier
from sk_deep._typing import (
    ActivationName,
    AugmentationFunction,
    Columns,
    Floats,
    Ints,
    LossFunction,
    NetworkDtype,
    RandomStateLike,
    RateFunction,
    ScoreFunction,
)


class MLPClassifier(BaseMLPClassifier):
    """Multi-layer perceptron classifier.

    It has the parameters, defaults and attributes of
    `sklearn.neural_network.MLPClassifier`, in float64 the same weights to rounding, and
    the recipe of deep learning as further parameters. It trains a skorch net on the log
    loss; labels may be of any kind that scikit-learn takes, or indicators of several
    labels.

    Parameters
    ----------
    hidden_layer_sizes : int or array-like of int, default=(100,)
        Number of units of each hidden layer. An int stands for `n_hidden_layers`
        layers of that many units; an empty sequence for none, a linear model.

    activation : str, type or list of them, default="relu"
        Activation of the hidden units: a key of `sk_deep.activations.ACTIVATIONS`, a
        subclass of `torch.nn.Module` that is made without arguments and keeps the
        shape, or a list with one of these per hidden layer.

    solver : str or type, default="adam"
        The optimizer: a key of `sk_deep.solvers.SOLVERS` or a subclass of
        `torch.optim.Optimizer`. "lbfgs" is scipy's L-BFGS-B on the whole data; it
        takes no batches, and neither dropout nor early stopping.

    alpha : float, default=1e-4
        Strength of the L2 penalty ``alpha / 2 * |W|^2 / n`` on the weights, never the
        biases, where n is the sum of the batch's sample weights. With "adamw" it is
        the decoupled weight decay instead.

    batch_size : int, default="auto"
        Rows of a batch; "auto" is ``min(200, n_samples)``.

    learning_rate : str or callable, default="constant"
        Schedule of the learning rate: a key of `sk_deep.schedules.SCHEDULES`, or a
        function of the part of the training that is done, in [0, 1], that gives the
        factor on `learning_rate_init`. As in scikit-learn, "invscaling" and "adaptive"
        have no effect with "adam" and "lbfgs".

    learning_rate_init : float or "auto", default=1e-3
        Initial learning rate; "auto" is the customary one of the solver.

    power_t : float, default=0.5
        Exponent of "invscaling".

    max_iter : int, default=200
        Maximum number of epochs, or of iterations of "lbfgs".

    shuffle : bool, default=True
        Whether to shuffle the rows anew in each epoch.

    random_state : int, RandomState instance or None, default=None
        Source of the initial weights, the validation split, the shuffles and the
        dropout masks. An int makes fits reproducible.

    tol : float, default=1e-4
        Least improvement that counts, of the loss or, with `early_stopping`, of the
        validation score.

    verbose : bool, default=False
        Whether to print the loss of each epoch.

    warm_start : bool, default=False
        Whether `fit` continues from the solution of the last fit.

    momentum : float, default=0.9
        Momentum of "sgd", in [0, 1].

    nesterovs_momentum : bool, default=True
        Whether the momentum of "sgd" is Nesterov's.

    early_stopping : bool, default=False
        Whether to watch the score on validation data, stop when it no longer improves,
        and keep the weights of the best epoch. The data is a part of X or `X_val`.

    validation_fraction : float, default=0.1
        Fraction of X that is set apart as validation data, stratified if the target is
        binary.

    beta_1 : float, default=0.9
        Decay rate of the first moment of the adam family, in [0, 1).

    beta_2 : float, default=0.999
        Decay rate of the second moment of the adam family, in [0, 1).

    epsilon : float, default=1e-8
        Added to the denominators of the adam family.

    n_iter_no_change : int or inf, default=10
        Number of epochs without improvement before training stops.

    max_fun : int, default=15000
        Maximum number of evaluations of the loss by "lbfgs".

    n_hidden_layers : int, default=1
        Repeats an int `hidden_layer_sizes`, so that a search over scalars can shape
        the network. With a sequence it must be 1.

    maxout_pieces : int, default=2
        Linear pieces of a maxout unit, at least 2.

    dropout : float or array-like of float, default=0.0
        Probability of dropping a hidden unit in training, in [0, 1), or one
        probability per hidden layer.

    input_dropout : float, default=0.0
        Probability of dropping an input in training, in [0, 1).

    dropout_type : str, default="standard"
        Kind of the dropout, a key of `sk_deep.dropouts.DROPOUTS`. Where it has no
        meaning for inputs, `input_dropout` is of the standard kind.

    dropout_params : dict, default=None
        Parameters of the kind, such as ``{"alpha": 1.0}`` for "standout".

    dropout_schedule : {"constant", "linear", "cosine"}, default="constant"
        How the probabilities of dropout decrease to 0 over `max_iter` epochs;
        "constant" keeps them.

    normalization : {"batch", "layer"} or None, default=None
        Normalization of each hidden layer, before its activation.

    residual : bool, default=False
        Whether a hidden layer as wide as the one before it adds that layer's output.

    weight_init : str, default="auto"
        Law of the initial weights, a key of
        `sk_deep.initializers.INITIALIZERS`. "auto" is that of scikit-learn.

    loss : str or callable, default="log_loss"
        The loss: a key of `sk_deep.losses.LOSSES` that is for classifiers, or a
        function of the raw outputs and the targets, both tensors, that gives a loss per
        row. With "hinge" there are no probabilities, and `decision_function` instead.

    loss_params : dict, default=None
        Parameters of the loss, such as ``{"gamma": 2.0}`` for "focal".

    label_smoothing : float, default=0.0
        Part of the targets that is spread evenly over all classes in training, in
        [0, 1).

    class_weight : dict, "balanced" or None, default=None
        Weights of the classes, multiplied into `sample_weight`. "balanced" is
        ``n_samples / (n_classes * bincount(y))``; of several labels a sample, the
        product over them, and a dict is refused. They do not act on `X_val`, which has
        weights of its own.

    solver_params : dict, default=None
        Further arguments of the optimizer, such as ``{"rho": 0.95}`` for "adadelta";
        for "lbfgs" the options "maxcor", "ftol" and "maxls" of scipy.

    schedule_params : dict, default=None
        Parameters of the schedule, such as ``{"gamma": 0.5, "every": 20}`` for "step".
        "warmup" is for all first-order solvers: the part of the training in which the
        rate grows from zero.

    l1_ratio : float, default=0.0
        Part of the penalty that is the L1 norm, in [0, 1]; the rest is L2.

    max_norm : float, default=None
        Bound on the norm of the weights that lead into a unit.

    gradient_clip : float, default=None
        Bound on the norm of the gradient, penalty included.

    augmentation : str or callable, default=None
        Change of each batch: a key of `sk_deep.augmentation.AUGMENTATIONS`, or a
        function of the tensors X and y and a `torch.Generator` that gives new ones.

    augmentation_params : dict, default=None
        Parameters of the augmentation, such as ``{"scale": 0.1}`` for "noise".

    categorical_features : "from_dtype", array-like or None, default=None
        Columns that hold categories: those of category, object, string or bool dtype
        of a data frame, or names, positions, or a mask of columns. Missing values are
        a level, and so are levels that were not seen in training. None encodes nothing.

    max_one_hot : int, default=8
        Number of levels up to which a column becomes one-hot columns. Columns of more
        levels get an embedding: learned values for each level.

    embedding_size : int or "auto", default="auto"
        Number of values that embed a level; "auto" is
        ``min(50, round(1.6 * n_levels ** 0.56))``.

    min_frequency : int, default=1
        Number of training rows that a level needs. Rarer levels, and levels that were
        not seen in training, share one level.

    missing : {"error", "impute"}, default="error"
        Treatment of missing numbers, a key of `sk_deep.encodings.MISSING`: raise an
        error, or impute the median, with an indicator if some were missing in training.

    numerical_scaling : str or None, default=None
        Scaling of the numbers: "standard", "robust" or "quantile", as by
        `StandardScaler`, `RobustScaler` or `QuantileTransformer` with a normal
        distribution; or "smooth_clip", which standardises and then bends outliers to
        at most 6. Missing numbers are imputed before.

    numerical_embedding : str or None, default=None
        Further values for each number (Gorishniy et al.): "piecewise_linear", the
        fraction of each of `n_bins` bins between quantiles that the number fills;
        "piecewise_linear_scaled", the same divided by its standard deviation; or
        "periodic", learned waves.

    n_bins : int or "auto", default="auto"
        Largest number of bins of a number, for embeddings by bins. With n rows "auto"
        is ``n ** 0.45``, at most 128, and about ``max(384, n / 16)`` over all numbers.

    scoring : str, callable or None, default=None
        What early stopping watches: None is the accuracy, "loss" is the validation
        loss, otherwise a scorer or its name, see
        `sklearn.metrics.get_scorer_names`.

    n_members : int, default=1
        Number of networks that are trained together, each with its own initial
        weights, shuffles and validation split, but for `n_folds`; their probabilities
        are averaged.

    n_folds : int, "auto" or None, default=None
        Number of folds of the rows, each left out by some members, for early stopping.
        Each row is predicted by the members that left it out, and all members stop by
        the score of these predictions, so that no row is lost to validation.
        `n_members` must be a multiple of it; "auto" is a fold for each member, and None
        with a single member. The folds are stratified by the target if it is a column,
        members share each batch, and `validation_fraction` has no effect. None splits
        the rows for each member separately.

    weight_averaging : float, default=None
        Number of epochs over which the weights are averaged, exponentially, for
        validation and prediction. None takes the weights of the last step.

    callbacks : list, default=None
        Callbacks of skorch. They are copied before a fit.

    device : str, default="auto"
        Torch device; "auto" is "cuda" where there is one and "cpu" otherwise.

    dtype : {"auto", "float32", "float64"}, default="auto"
        Dtype of the network. "auto" is float64 for float64 inputs on the CPU while a
        training step is small, weights times batch size up to 10**6, and float32
        otherwise. Predictions have the float dtype of their inputs.

    accelerator : accelerate.Accelerator, default=None
        Processes that train the network together, on several GPUs or hosts (S. Gugger
        et al., "Accelerate", Hugging Face, 2022; `pip install 'sk_deep[accelerate]'`).
        Each of them, started by `accelerate launch` or `torchrun`, calls `fit` with the
        same data and parameters, and computes the gradients of its share of each batch:
        the result is that of one process, to rounding, but for the masks of dropout. It
        names the device; `normalization="batch"` needs whole batches and is refused.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        Class labels.

    n_features_in_ : int
        Number of features seen in `fit`.

    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of the features, where X has names that are all strings.

    n_outputs_ : int
        Number of outputs of the network.

    out_activation_ : str
        Name of the output activation.

    n_layers_ : int
        Number of layers, input and output included.

    coefs_ : list of ndarray
        Weights of each layer, of shape (n_in, n_out), or (n_members, n_in, n_out). A
        maxout layer has its pieces side by side, ``n_out = pieces * units``.

    intercepts_ : list of ndarray
        Biases of each layer, of shape (n_out,), or (n_members, n_out).

    net_ : Net
        The skorch net.

    loss_ : float
        Loss of the last epoch, penalty included.

    best_loss_ : float or None
        Least training loss; None with early stopping.

    loss_curve_ : list of float
        Training loss of each epoch, the mean over the members that still train. With
        "lbfgs" there are no curves.

    validation_scores_ : list of float or None
        Score on the validation data of each epoch; None without early stopping.

    validation_loss_curve_ : list of float or None
        Loss on the validation data of each epoch; None without early stopping.

    best_validation_score_ : float or None
        Best validation score; None without early stopping.

    learning_rate_curve_ : list of float
        Learning rate at the start of each epoch.

    gradient_norm_curve_ : list of list of float or None
        Norm of the gradient of each layer's weights, by epoch, if `callbacks` has a
        `sk_deep.callbacks.LayerMonitor`.

    update_ratio_curve_ : list of list of float or None
        Size of a step of each layer relative to its weights, likewise.

    oof_decision_function_ : ndarray of shape (n_samples, n_classes)
        Probabilities for the training rows by the members that have left them
        out, with `n_folds`; of losses without them, what `decision_function` gives.

    history_ : list of dict
        The curves, a dict per epoch.

    n_iter_ : int
        Epochs, or iterations of "lbfgs", that the last fit ran.

    t_ : int
        Training samples seen.

    See Also
    --------
    MLPRegressor : The regressor.

    Notes
    -----
    Scale the inputs first, with `sklearn.preprocessing.StandardScaler` in a pipeline.

    References
    ----------
    D. Rumelhart, G. Hinton and R. Williams, "Learning representations by
    back-propagating errors", Nature 1986.

    X. Glorot and Y. Bengio, "Understanding the difficulty of training deep feedforward
    neural networks", AISTATS 2010.

    D. Kingma and J. Ba, "Adam: a method for stochastic optimization", ICLR 2015; of
    averaged weights sec. 7.2.

    Examples
    --------
    >>> from sk_deep import MLPClassifier
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> X, y = load_iris(return_X_y=True)
    >>> model = make_pipeline(
    ...     StandardScaler(),
    ...     MLPClassifier(32, "maxout", solver="lbfgs", random_state=0),
    ... )
    >>> model.fit(X, y).score(X, y)
    1.0
    """

    def __init__(
        self,
        hidden_layer_sizes: int | Ints = (100,),
        activation: ActivationName | Sequence[ActivationName] = "relu",
        *,
        solver: str | type[Optimizer] = "adam",
        alpha: float = 0.0001,
        batch_size: int | Literal["auto"] = "auto",
        learning_rate: str | RateFunction = "constant",
        learning_rate_init: float | Literal["auto"] = 0.001,
        power_t: float = 0.5,
        max_iter: int = 200,
        shuffle: bool = True,
        random_state: RandomStateLike = None,
        tol: float = 1e-4,
        verbose: bool | int = False,
        warm_start: bool = False,
        momentum: float = 0.9,
        nesterovs_momentum: bool = True,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        n_iter_no_change: float = 10,
        max_fun: int = 15000,
        n_hidden_layers: int = 1,
        maxout_pieces: int = 2,
        dropout: float | Floats = 0.0,
        input_dropout: float = 0.0,
        dropout_type: str = "standard",
        dropout_params: dict[str, Any] | None = None,
        dropout_schedule: str = "constant",
        normalization: str | None = None,
        residual: bool = False,
        weight_init: str = "auto",
        loss: str | LossFunction = "log_loss",
        loss_params: dict[str, Any] | None = None,
        label_smoothing: float = 0.0,
        class_weight: dict[Any, float] | Literal["balanced"] | None = None,
        solver_params: dict[str, Any] | None = None,
        schedule_params: dict[str, Any] | None = None,
        l1_ratio: float = 0.0,
        max_norm: float | None = None,
        gradient_clip: float | None = None,
        augmentation: str | AugmentationFunction | None = None,
        augmentation_params: dict[str, Any] | None = None,
        categorical_features: Literal["from_dtype"] | Columns | None = None,
        max_one_hot: int = 8,
        embedding_size: int | Literal["auto"] = "auto",
        min_frequency: int = 1,
        missing: Literal["error", "impute"] = "error",
        numerical_scaling: str | None = None,
        numerical_embedding: str | None = None,
        n_bins: int | Literal["auto"] = "auto",
        scoring: str | ScoreFunction | None = None,
        n_members: int = 1,
        n_folds: int | Literal["auto"] | None = None,
        weight_averaging: float | None = None,
        callbacks: list | None = None,
        device: str = "auto",
        dtype: NetworkDtype = "auto",
        accelerator: Any = None,
    ) -> None:
        self._take(locals())
