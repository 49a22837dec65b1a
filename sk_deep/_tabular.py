"""The estimators for raw tables: a stack of small networks, with strong defaults."""

from collections.abc import Callable
from typing import Any, Literal, TypeVar

import numpy as np
import torch

from sk_deep._classifier import MLPClassifier
from sk_deep._engine.best_constant import best_constant, distinct
from sk_deep._estimator.base import BaseMLP
from sk_deep._estimator.base_classifier import BaseMLPClassifier
from sk_deep._estimator.base_regressor import BaseMLPRegressor
from sk_deep._regressor import MLPRegressor
from sk_deep._typing import (
    Columns,
    Floats,
    Ints,
    NetworkDtype,
    RandomStateLike,
    ScoreFunction,
)

_MOST_IN_BATCH = 256
_MANY_ROWS, _IN_BATCH_OF_MANY = 20_000, 512

# Parameters of a network that have other values than by default.
_RECIPE = {
    "solver": "adamw",
    "beta_2": 0.99,
    "early_stopping": True,
    "tol": 1e-9,  # a score that is equal is no improvement
    "weight_init": "he_normal",
    "missing": "impute",
    "numerical_scaling": "smooth_clip",
    "numerical_embedding": "piecewise_linear_scaled",
}


class BaseTabularMLP(BaseMLP):
    """What the estimators for tables share: the recipe, but for its parameters."""

    _growth_of_patience = 0.5

    @property
    def schedule_params(self):
        """The first epoch warms up."""
        return {"warmup": 1 / self.max_iter} if self.max_iter > 1 else None

    def _automatic_batch_size(self, n_samples):
        """Make some batches of few rows, and cheap ones of many."""
        if n_samples > _MANY_ROWS:
            return _IN_BATCH_OF_MANY
        size = 2 ** int(np.log2(max(1, n_samples / 16)))
        return min(_MOST_IN_BATCH, max(32, size))

    def _prime(self, net, rows):
        """Begin with the best constant prediction, whatever the inputs."""
        output = net.module_.output
        target, weight = distinct(rows.target, rows.weight)
        constant, _ = best_constant(net.criterion_, target, weight, self.n_outputs_)
        output.weight.data.zero_()
        output.bias.data.copy_(torch.from_numpy(constant))


Tabular = TypeVar("Tabular", bound=type[BaseTabularMLP])


def _by_recipe(network: type[BaseMLP]) -> Callable[[Tabular], Tabular]:
    """Fix the parameters of a network that a class's constructor does not take."""

    def fix(kind: Tabular) -> Tabular:
        for name, default in network._parameter_defaults.items():
            if name not in kind._parameter_defaults and not hasattr(kind, name):
                setattr(kind, name, _RECIPE.get(name, default))
        return kind

    return fix


@_by_recipe(MLPClassifier)
class TabularMLPClassifier(BaseTabularMLP, BaseMLPClassifier):
    """Classifier of raw tables: a stack of small networks, with strong defaults.

    It takes a data frame as it is, with numbers, categories and missing values, and
    needs no tuning. It is an ensemble of networks that are trained together; each
    member leaves a fold of the rows out, which early stopping watches.

    Parameters
    ----------
    n_members : int, default=8
        Number of networks that are trained together, whose predictions are averaged.

    hidden_layer_sizes : int or array-like of int, default=(64, 64, 64)
        Number of units of each hidden layer.

    learning_rate_init : float, default=3e-3
        Learning rate of adamw, after an epoch of warm-up.

    alpha : float, default=0.1
        Decoupled decay of the weights, a part of the learning rate.

    dropout : float or array-like of float, default=0.1
        Probability of dropping a hidden unit, one for all layers or one for each.

    n_bins : int or "auto", default="auto"
        Largest number of bins of a number. With n rows "auto" is ``n ** 0.45``, at
        most 128, and about ``max(384, n / 16)`` over all numbers.

    max_iter : int, default=200
        Maximum number of epochs.

    n_iter_no_change : int, default=6
        Number of epochs without improvement before training stops; half of the epochs
        before them are added.

    batch_size : int or "auto", default="auto"
        Rows of a batch. With n rows "auto" is the power of two below ``n / 16``, at
        least 32 and at most 256, and 512 with more than 20,000 rows.

    categorical_features : "from_dtype", array-like or None, default="from_dtype"
        Columns that hold categories: those of category, object, string or bool dtype
        of a data frame, or names, positions, or a mask of columns.

    min_frequency : int, default=2
        Number of training rows that a level needs. Rarer levels, and levels that were
        not seen in training, share one level.

    max_one_hot : int, default=32
        Number of levels up to which a column becomes one-hot columns. Columns of more
        levels get an embedding: learned values for each level.

    class_weight : dict, "balanced" or None, default=None
        Weights of the classes, which multiply `sample_weight`.

    scoring : str, callable or None, default="loss"
        What the folds watch: "loss", None for the accuracy, otherwise a scorer or
        its name, see `sklearn.metrics.get_scorer_names`.

    n_folds : int, "auto" or None, default="auto"
        Number of folds of the rows, which the members leave out in turn; all stop when
        the score of predictions for the rows that were left out no longer improves.
        "auto" is a fold for each member; `n_members` must be a multiple of it. None,
        and "auto" with one member, splits a tenth of the rows off for each member.

    weight_averaging : float or None, default=2.0
        Number of epochs over which the weights are averaged; None does not.

    random_state : int, RandomState instance or None, default=None
        Source of the folds, the initial weights and the shuffles.

    device : str, default="auto"
        Torch device; "auto" is "cuda" where there is one and "cpu" otherwise.

    dtype : {"auto", "float32", "float64"}, default="float32"
        Dtype of the networks. Predictions are float32 if all numbers of the table are
        float32, and float64 otherwise.

    verbose : bool, default=False
        Whether to print the loss and the score of each epoch.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        Class labels.

    n_features_in_ : int
        Number of columns.

    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of the columns, if X had names.

    n_outputs_ : int
        Number of outputs of a network.

    out_activation_ : str
        Name of the output activation.

    n_layers_ : int
        Number of layers, input and output included.

    oof_decision_function_ : ndarray of shape (n_samples, n_classes)
        Probabilities of the training rows by the members that have left them out.

    coefs_ : list of ndarray of shape (n_members, n_in, n_out)
        Weights of each layer.

    intercepts_ : list of ndarray of shape (n_members, n_out)
        Biases of each layer.

    net_ : Net
        The skorch net.

    loss_ : float
        Training loss of the last epoch.

    best_loss_ : None
        For `MLPClassifier`, which may watch the training loss.

    loss_curve_ : list of float
        Training loss of each epoch, the mean over the members.

    validation_loss_curve_ : list of float
        Loss on the rows left out of each epoch.

    validation_scores_ : list of float
        Score on the rows left out of each epoch; of "loss" the negative mean loss.

    best_validation_score_ : float
        Best of them.

    learning_rate_curve_ : list of float
        Learning rate at the start of each epoch.

    gradient_norm_curve_, update_ratio_curve_ : None
        For `MLPClassifier`, which takes callbacks that fill them.

    history_ : list of dict
        The curves, a dict per epoch.

    n_iter_ : int
        Epochs that the fit ran.

    t_ : int
        Training samples seen.

    See Also
    --------
    TabularMLPRegressor : The regressor.
    MLPClassifier : A network with the whole recipe as parameters.

    Notes
    -----
    Missing numbers become the median, beside an indicator. Numbers are standardised and
    bent into [-6, 6]; beside each is the part that it fills of bins between quantiles,
    scaled.
    The output begins as the best constant prediction.

    References
    ----------
    D. Holzmueller, L. Grinsztajn and I. Steinwart, "Better by default: strong pre-tuned
    MLPs and boosted trees on tabular data", NeurIPS 2024.

    Y. Gorishniy, I. Rubachev and A. Babenko, "On embeddings for numerical features in
    tabular deep learning", NeurIPS 2022.

    I. Loshchilov and F. Hutter, "Decoupled weight decay regularization", ICLR 2019.

    D. Kingma and J. Ba, "Adam: a method for stochastic optimization", ICLR 2015, sec.
    7.2 (averaged weights).

    Examples
    --------
    >>> from sk_deep import TabularMLPClassifier
    >>> from sklearn.datasets import load_wine
    >>> X, y = load_wine(return_X_y=True, as_frame=True)
    >>> clf = TabularMLPClassifier(random_state=0).fit(X, y)
    >>> clf.predict_proba(X).shape
    (178, 3)
    >>> oof_labels = clf.classes_[clf.oof_decision_function_.argmax(axis=1)]
    >>> bool((oof_labels == y).mean() > 0.95)
    True
    """

    def __init__(
        self,
        *,
        n_members: int = 8,
        hidden_layer_sizes: int | Ints = (64, 64, 64),
        learning_rate_init: float | Literal["auto"] = 3e-3,
        alpha: float = 0.1,
        dropout: float | Floats = 0.1,
        n_bins: int | Literal["auto"] = "auto",
        max_iter: int = 200,
        n_iter_no_change: float = 6,
        batch_size: int | Literal["auto"] = "auto",
        categorical_features: Literal["from_dtype"] | Columns | None = "from_dtype",
        min_frequency: int = 2,
        max_one_hot: int = 32,
        class_weight: dict[Any, float] | Literal["balanced"] | None = None,
        scoring: str | ScoreFunction | None = "loss",
        n_folds: int | Literal["auto"] | None = "auto",
        weight_averaging: float | None = 2.0,
        random_state: RandomStateLike = None,
        device: str = "auto",
        dtype: NetworkDtype = "float32",
        verbose: bool | int = False,
    ) -> None:
        self._take(locals())


@_by_recipe(MLPRegressor)
class TabularMLPRegressor(BaseTabularMLP, BaseMLPRegressor):
    """Regressor of raw tables: a stack of small networks, with strong defaults.

    It takes a data frame as it is, with numbers, categories and missing values, and
    needs no tuning. It is an ensemble of networks that are trained together; each
    member leaves a fold of the rows out, which early stopping watches.

    Parameters
    ----------
    n_members : int, default=8
        Number of networks that are trained together, whose predictions are averaged.

    hidden_layer_sizes : int or array-like of int, default=(64, 64, 64)
        Number of units of each hidden layer.

    learning_rate_init : float, default=3e-3
        Learning rate of adamw, after an epoch of warm-up.

    alpha : float, default=0.1
        Decoupled decay of the weights, a part of the learning rate.

    dropout : float or array-like of float, default=0.0
        Probability of dropping a hidden unit, one for all layers or one for each.

    n_bins : int or "auto", default="auto"
        Largest number of bins of a number. With n rows "auto" is ``n ** 0.45``, at
        most 128, and about ``max(384, n / 16)`` over all numbers.

    max_iter : int, default=200
        Maximum number of epochs.

    n_iter_no_change : int, default=6
        Number of epochs without improvement before training stops; half of the epochs
        before them are added.

    batch_size : int or "auto", default="auto"
        Rows of a batch. With n rows "auto" is the power of two below ``n / 16``, at
        least 32 and at most 256, and 512 with more than 20,000 rows.

    categorical_features : "from_dtype", array-like or None, default="from_dtype"
        Columns that hold categories: those of category, object, string or bool dtype
        of a data frame, or names, positions, or a mask of columns.

    min_frequency : int, default=2
        Number of training rows that a level needs. Rarer levels, and levels that were
        not seen in training, share one level.

    max_one_hot : int, default=32
        Number of levels up to which a column becomes one-hot columns. Columns of more
        levels get an embedding: learned values for each level.

    scoring : str, callable or None, default="loss"
        What the folds watch: "loss", None for R^2, otherwise a scorer or
        its name, see `sklearn.metrics.get_scorer_names`.

    n_folds : int, "auto" or None, default="auto"
        Number of folds of the rows, which the members leave out in turn; all stop when
        the score of predictions for the rows that were left out no longer improves.
        "auto" is a fold for each member; `n_members` must be a multiple of it. None,
        and "auto" with one member, splits a tenth of the rows off for each member.

    weight_averaging : float or None, default=2.0
        Number of epochs over which the weights are averaged; None does not.

    random_state : int, RandomState instance or None, default=None
        Source of the folds, the initial weights and the shuffles.

    device : str, default="auto"
        Torch device; "auto" is "cuda" where there is one and "cpu" otherwise.

    dtype : {"auto", "float32", "float64"}, default="float32"
        Dtype of the networks. Predictions are float32 if all numbers of the table are
        float32, and float64 otherwise.

    verbose : bool, default=False
        Whether to print the loss and the score of each epoch.

    Attributes
    ----------
    n_features_in_ : int
        Number of columns.

    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of the columns, if X had names.

    n_outputs_ : int
        Number of outputs of a network.

    out_activation_ : str
        Name of the output activation.

    n_layers_ : int
        Number of layers, input and output included.

    oof_prediction_ : ndarray of shape (n_samples,) or (n_samples, n_outputs)
        Predictions for the training rows by the members that have left them out.

    coefs_ : list of ndarray of shape (n_members, n_in, n_out)
        Weights of each layer.

    intercepts_ : list of ndarray of shape (n_members, n_out)
        Biases of each layer.

    net_ : Net
        The skorch net.

    loss_ : float
        Training loss of the last epoch.

    best_loss_ : None
        For `MLPClassifier`, which may watch the training loss.

    loss_curve_ : list of float
        Training loss of each epoch, the mean over the members.

    validation_loss_curve_ : list of float
        Loss on the rows left out of each epoch.

    validation_scores_ : list of float
        Score on the rows left out of each epoch; of "loss" the negative mean loss.

    best_validation_score_ : float
        Best of them.

    learning_rate_curve_ : list of float
        Learning rate at the start of each epoch.

    gradient_norm_curve_, update_ratio_curve_ : None
        For `MLPClassifier`, which takes callbacks that fill them.

    history_ : list of dict
        The curves, a dict per epoch.

    n_iter_ : int
        Epochs that the fit ran.

    t_ : int
        Training samples seen.

    See Also
    --------
    TabularMLPClassifier : The classifier.
    MLPRegressor : A network with the whole recipe as parameters.

    Notes
    -----
    The target is standardised, and predictions are clipped to the range of training.
    Missing numbers become the median, beside an indicator. Numbers are standardised and
    bent into [-6, 6]; beside each is the part that it fills of bins between quantiles,
    scaled.
    The output begins as the best constant prediction.

    References
    ----------
    D. Holzmueller, L. Grinsztajn and I. Steinwart, "Better by default: strong pre-tuned
    MLPs and boosted trees on tabular data", NeurIPS 2024.

    Y. Gorishniy, I. Rubachev and A. Babenko, "On embeddings for numerical features in
    tabular deep learning", NeurIPS 2022.

    I. Loshchilov and F. Hutter, "Decoupled weight decay regularization", ICLR 2019.

    D. Kingma and J. Ba, "Adam: a method for stochastic optimization", ICLR 2015, sec.
    7.2 (averaged weights).

    Examples
    --------
    >>> from sk_deep import TabularMLPRegressor
    >>> from sklearn.datasets import load_diabetes
    >>> X, y = load_diabetes(return_X_y=True, as_frame=True)
    >>> reg = TabularMLPRegressor(random_state=0).fit(X, y)
    >>> reg.predict(X).shape
    (442,)
    >>> bool(y.min() <= reg.predict(X * 100).min())  # in the range of training
    True
    """

    target_scaling = "standard"
    _clips_predictions = True

    def __init__(
        self,
        *,
        n_members: int = 8,
        hidden_layer_sizes: int | Ints = (64, 64, 64),
        learning_rate_init: float | Literal["auto"] = 3e-3,
        alpha: float = 0.1,
        dropout: float | Floats = 0.0,
        n_bins: int | Literal["auto"] = "auto",
        max_iter: int = 200,
        n_iter_no_change: float = 6,
        batch_size: int | Literal["auto"] = "auto",
        categorical_features: Literal["from_dtype"] | Columns | None = "from_dtype",
        min_frequency: int = 2,
        max_one_hot: int = 32,
        scoring: str | ScoreFunction | None = "loss",
        n_folds: int | Literal["auto"] | None = "auto",
        weight_averaging: float | None = 2.0,
        random_state: RandomStateLike = None,
        device: str = "auto",
        dtype: NetworkDtype = "float32",
        verbose: bool | int = False,
    ) -> None:
        self._take(locals())
