"""What a diagnosis measures: scores, yardsticks, curves, gradients, units, rates."""

import contextlib
import functools
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import scipy.sparse
from numpy.typing import NDArray
from sklearn.base import clone, is_classifier
from sklearn.exceptions import (
    ConvergenceWarning,
    FitFailedWarning,
    UndefinedMetricWarning,
)
from sklearn.metrics import check_scoring, recall_score
from sklearn.model_selection import ParameterGrid, check_cv, train_test_split
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.validation import check_consistent_length

from sk_deep._compat import num_samples, safe_split
from sk_deep._data.columns import reads_columns
from sk_deep._engine.unit_states import unit_states
from sk_deep._estimator import checks, plan
from sk_deep._estimator.finding import find_network, inputs_of_network, last_step
from sk_deep._estimator.inputs import fit_columns
from sk_deep.callbacks import LayerMonitor
from sk_deep.exceptions import DivergenceError
from sk_deep.recipe._moves import Facts, present_rate
from sk_deep.recipe._yardsticks import (
    columns,
    constant_model,
    linear_model,
    plain_network,
)
from sk_deep.search import BatchedGridSearchCV

RATE_FACTORS = (1e-3, 1e-2, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 1000.0)
SIZES = (0.25, 0.5)  # parts of the training rows, of the learning curve
_SHORT_STEPS = 300  # training steps of the sweep over rates


class Scores(NamedTuple):
    """Scores of a contender on each split, (n_splits,)."""

    train: NDArray
    test: NDArray


@dataclass
class Measurements:
    """What was measured of an estimator. A fold is a fit on the rows of a split.

    Parameters
    ----------
    facts : Facts
        Of the data, as the network gets them.
    network, constant, linear, plain : Scores
        Of the estimator, of a constant prediction, of a linear model, and of a plain
        network of one hidden layer, both on scaled inputs.
    test_score : float or None
        Score of the estimator on test data of the user's.
    learning_curve : dict of int to Scores
        Scores of the estimator by number of training rows, fewest first, all last.
    loss_curves : list of list of float
        Training loss by epoch, of each fold; none of solver "lbfgs".
    score_curves : list of list of float
        Validation score by epoch, of each fold with early stopping.
    n_epochs : ndarray of shape (n_folds,)
        Epochs that the folds ran.
    hits_limit : float
        Part of the folds that `max_iter` ended, or `max_fun`.
    errors : list of str
        What folds that failed say.
    gradient_norms, update_ratios : ndarray of shape (n_epochs, n_layers)
        Means over the folds; of no rows where they are not known.
    dead_units, saturated_units : ndarray of shape (n_hidden_layers,)
        Parts of the units, means over the folds, or of the fitted estimator.
    rate : float or None
        Learning rate of the estimator, if its solver has one.
    rates, rate_losses : ndarray of shape (n_rates,)
        Learning rates, and the training loss that a short training reaches with them.
    rate_epochs : int
        Epochs of that short training.
    scales, offsets : ndarray of shape (n_features,)
        Deviation of the network's inputs, and their mean over it.
    class_counts, recalls : ndarray of shape (n_classes,)
        Rows of each class, and the part of them that is found when held out.
    constant_loss : float
        Loss of a constant prediction: entropy of the classes, half a variance.
    target_scale : float
        Deviation of the targets, of regressors; 1 of classifiers.
    is_sparse : bool
        Whether the network gets sparse inputs.
    n_fits : int
        Number of fits that it took.
    """

    facts: Facts
    network: Scores
    constant: Scores
    linear: Scores
    plain: Scores
    test_score: float | None
    learning_curve: dict[int, Scores]
    loss_curves: list[list[float]]
    score_curves: list[list[float]]
    n_epochs: NDArray
    hits_limit: float
    errors: list[str]
    gradient_norms: NDArray
    update_ratios: NDArray
    dead_units: NDArray
    saturated_units: NDArray
    rate: float | None
    rates: NDArray
    rate_losses: NDArray
    rate_epochs: int
    scales: NDArray
    offsets: NDArray
    class_counts: NDArray
    recalls: NDArray
    constant_loss: float
    target_scale: float
    is_sparse: bool
    n_fits: int

    def contenders(self) -> dict[str, Scores]:
        """Name the estimator and the yardsticks, with their scores."""
        return {
            "the network": self.network,
            "a plain network": self.plain,
            "a linear model": self.linear,
            "a constant": self.constant,
        }


class Sweep(NamedTuple):
    """Learning rates, the loss after a short training with each; inf: it diverges."""

    rate: float | None
    rates: NDArray
    rate_losses: NDArray
    rate_epochs: int


class FittedSplit(NamedTuple):
    """A fit on the rows of a split; one that diverged has no network."""

    network: Any
    Xt: Any
    error: str | None = None
    train_score: float = np.nan
    test_score: float = np.nan
    predicted: NDArray | None = None
    hits_limit: bool = False


class Study:
    """An estimator under study, its data and the splits.

    Parameters
    ----------
    estimator : estimator
        A network, or a Pipeline that ends in one; it is left as it is.
    X, y : array-like
        The data.
    cv : int, cross-validation generator or iterable
        The splits.
    scoring : str, callable or None
        How predictions are scored.
    sample_weight : array-like of shape (n_samples,) or None
        Weights of the rows in training.
    random_state : RandomState
        Source of what is drawn.
    """

    def __init__(self, estimator, X, y, *, cv, scoring, sample_weight, random_state):
        _, self.prefix = find_network(estimator, nested=False)
        self.estimator = clone(estimator)
        seed = int(random_state.randint(np.iinfo(np.int32).max))
        if self.network.random_state is None:
            self.network.set_params(random_state=seed)
        self.network.set_params(verbose=False)
        _leave_callbacks(self.estimator)
        check_consistent_length(X, y, sample_weight)
        self.X, self.y, self.sample_weight = X, _dense_targets(y), sample_weight
        self.scoring, self.scorer = scoring, self._scorer(scoring)
        self.random_state = random_state
        self.splits = self._splits(cv)
        self.n_fits = 0

    def _scorer(self, scoring):
        if isinstance(scoring, list | tuple | set | dict):
            raise ValueError(f"scoring must be a single score, however: {scoring!r}.")
        return check_scoring(self.estimator, scoring)

    def _splits(self, cv) -> list[tuple[NDArray, NDArray]]:
        """Positions of the rows that train and of those that test, of each split."""
        splitter = check_cv(cv, self.y, classifier=is_classifier(self.network))
        rows = np.arange(num_samples(self.X))
        pairs = splitter.split(self.X, self.y)  # of positions, or of masks
        splits = [(rows[np.asarray(a)], rows[np.asarray(b)]) for a, b in pairs]
        if not splits:
            raise ValueError(f"cv must give a split or more, however: {cv!r}.")
        return splits

    @property
    def network(self):
        """The network, which is the last step of a pipeline."""
        return find_network(self.estimator, nested=False)[0]

    def facts(self, n_features: int) -> Facts:
        """Tell what moves may ask of the data, which the network gets."""
        is_classes = is_classifier(self.network)
        n_classes = len(np.unique(self.y)) if is_classes and np.ndim(self.y) == 1 else 0
        return Facts(num_samples(self.X), n_features, is_classes, n_classes)

    # ---- fits that are watched -----------------------------------------------------

    def fold(self, train: NDArray, test: NDArray) -> FittedSplit:
        """Fit a copy on the rows of a split, and watch it."""
        model = clone(self.estimator)
        network, _ = find_network(model)
        if not checks.is_full_batch(network):
            watched = [*(network.callbacks or []), LayerMonitor()]
            network.set_params(callbacks=watched)
        X, y = safe_split(model, self.X, self.y, train)
        X_test, y_test = safe_split(model, self.X, self.y, test, train)
        Xt = X
        if isinstance(model, Pipeline) and len(model) > 1:
            before = model[:-1]
            Xt = before.fit_transform(X, y)
            model.steps[:-1] = before.steps  # with a memory they are others
        self.n_fits += 1
        try:
            hits_limit = _fit(network, Xt, y, **self._weights(train))
            scores = self._score(model, X, y), self._score(model, X_test, y_test)
        except DivergenceError as error:
            return FittedSplit(None, Xt, str(error))
        return FittedSplit(
            network, Xt, None, *scores, model.predict(X_test), hits_limit
        )

    def test_score(self, fitted, X_test, y_test) -> float:
        """Score on test data what is fitted already, or else a fit on all rows."""
        try:
            if fitted is not None:
                return self._score(fitted, X_test, y_test)
            model = clone(self.estimator)
            self.n_fits += 1
            model.fit(self.X, self.y, **self._fit_params(model))
            return self._score(model, X_test, y_test)
        except DivergenceError:
            return np.nan

    def _score(self, model, X, y) -> float:
        """Score a fitted copy, unless its last step has thrown the weights too far."""
        score = float(self.scorer(model, X, y))
        if np.isnan(score):
            raise ValueError(
                "the score must be a number on the rows of each split and on the test "
                f"data, however: it is not on {num_samples(X)} row(s)."
            )
        if np.isinf(score):
            raise DivergenceError("Predictions of the trained network are not finite.")
        return score

    def _fit_params(self, model) -> dict[str, Any]:
        """Name the weights of all rows as the fit of a model does."""
        if self.sample_weight is None:
            return {}
        _, prefix = last_step(model, nested=False)
        return {f"{prefix}sample_weight": self.sample_weight}

    def _weights(self, rows) -> dict[str, Any]:
        if self.sample_weight is None:
            return {}
        return {"sample_weight": np.asarray(self.sample_weight)[rows]}

    # ---- fits in stacks ------------------------------------------------------------

    def scores(self, model, grid, *, splits=None, scoring=None) -> list[Scores]:
        """Score the candidates of a grid, on the splits.

        Parameters
        ----------
        model : estimator
            What the grid is of.
        grid : dict or list of dict
            Of parameters.
        splits : list of tuple, default=None
            Positions that train and that test; None is the splits of the study.
        scoring : callable, default=None
            How to score, if not as the study does.

        Returns
        -------
        scores : list of Scores
            Of each candidate; where a fit fails they are not a number.
        """
        splits = self.splits if splits is None else splits
        search = BatchedGridSearchCV(
            model,
            grid,
            cv=splits,
            scoring=scoring or self.scoring,
            refit=False,
            return_train_score=True,
        )
        n_candidates = len(ParameterGrid(grid))
        self.n_fits += n_candidates * len(splits)
        params = self._fit_params(model)
        with _quiet(FitFailedWarning, UserWarning):
            try:
                results = search.fit(self.X, self.y, **params).cv_results_
            except ValueError as error:
                if "fits failed" not in str(error):
                    raise
                none = np.full(len(splits), np.nan)
                return [Scores(none, none)] * n_candidates
        return scores_in(results, len(splits))

    def instead(self, model, *, is_sparse: bool):
        """Build the estimator with another model, of scaled inputs, for its network."""
        before = [step for _, step in getattr(self.estimator, "steps", [])[:-1]]
        scaler = StandardScaler(with_mean=not is_sparse)
        return clone(make_pipeline(*before, *columns(self.network), scaler, model))

    def learning_curve(self) -> dict[int, Scores]:
        """Score the estimator trained on parts of the training rows, fewest first."""
        found = {}
        for part in SIZES:
            splits = [(self._part(train, part), test) for train, test in self.splits]
            (found[_n_rows(splits)],) = self.scores(self.estimator, {}, splits=splits)
        return found

    def _part(self, rows: NDArray, part: float) -> NDArray:
        """Draw a part of the rows, of each class alike where there are enough."""
        seed = self.random_state.randint(np.iinfo(np.int32).max)
        y = np.asarray(self.y)[rows]
        by_class = y if is_classifier(self.network) and y.ndim == 1 else None
        n = max(1, int(part * len(rows)))
        if n == len(rows):
            return rows
        draw = functools.partial(
            train_test_split, rows, train_size=n, random_state=seed
        )
        try:
            return draw(stratify=by_class)[0]
        except ValueError:  # a class has too few
            return draw()[0]

    def sweep(self) -> "Sweep":
        """Train for a short while with rates of all sizes, on the first split.

        Returns
        -------
        sweep : Sweep
            The rates, and the training loss that is reached.

        References
        ----------
        L. N. Smith, "Cyclical learning rates for training neural networks", WACV 2017,
        sec. 3.3.
        """
        network, (train, test) = self.network, self.splits[0]
        if checks.is_full_batch(network):
            return Sweep(None, np.empty(0), np.empty(0), 0)
        n_steps = -(-len(train) // plan.batch_size(network, len(train)))
        n_epochs = int(min(network.max_iter, max(5, -(-_SHORT_STEPS // n_steps))))
        present = present_rate(network)
        rates = [present * factor for factor in RATE_FACTORS]
        model = clone(self.estimator)
        find_network(model)[0].set_params(max_iter=n_epochs, n_iter_no_change=np.inf)
        grid = {f"{self.prefix}learning_rate_init": rates}
        found = self.scores(model, grid, splits=[(train, test)], scoring=negative_loss)
        losses = np.array([-float(scores.train[0]) for scores in found])
        losses = np.where(np.isnan(losses), np.inf, losses)
        return Sweep(present, np.array(rates), losses, n_epochs)


def _leave_callbacks(estimator) -> None:
    """Take scikit-learn's callbacks from a copy: its fits are not the user's."""
    steps = [step for _, step in getattr(estimator, "steps", [])]
    for one in [estimator, *steps]:
        if hasattr(one, "set_callbacks"):
            one.set_callbacks()


def _dense_targets(y):
    """Take targets of one column as such, and sparse labels as an array."""
    y = y.toarray() if scipy.sparse.issparse(y) else y
    return np.ravel(y) if np.ndim(y) == 2 and np.shape(y)[1] == 1 else y


def _fit(network, X, y, **params) -> bool:
    """Fit a network, and tell whether a limit has ended it."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        network.fit(X, y, **params)
    return any(issubclass(one.category, ConvergenceWarning) for one in caught)


def scores_in(results: dict[str, Any], n_splits: int) -> list[Scores]:
    """Take each candidate's scores on both parts from the results of a search."""
    by_candidate = [
        np.stack([results[f"split{i}_{part}_score"] for i in range(n_splits)], axis=1)
        for part in ("train", "test")
    ]
    return [Scores(*pair) for pair in zip(*by_candidate, strict=True)]


def negative_loss(model, X, y) -> float:
    """Score by the training loss that a fit ended with."""
    return -find_network(model)[0].loss_


@contextlib.contextmanager
def _quiet(*kinds: type[Warning]) -> Iterator[None]:
    """Keep back what fits warn of that the measurements tell anyway."""
    with warnings.catch_warnings(), np.errstate(over="ignore", invalid="ignore"):
        for kind in (ConvergenceWarning, *kinds):
            warnings.simplefilter("ignore", kind)
        yield


# ---- all of it ---------------------------------------------------------------------


def measure(study: Study, *, fitted=None, test=None) -> Measurements:
    """Measure an estimator.

    Parameters
    ----------
    study : Study
        The estimator, its data and the splits.
    fitted : estimator, default=None
        The estimator itself, if it is fitted: its units are looked at, and it is what
        is tested.
    test : tuple of X and y, default=None
        Data to test on besides.

    Returns
    -------
    measured : Measurements
        What was measured.
    """
    with _quiet(UndefinedMetricWarning):
        folds = [study.fold(*split) for split in study.splits]
        test_score = None if test is None else study.test_score(fitted, *test)
    is_sparse = scipy.sparse.issparse(folds[0].Xt)
    network = Scores(
        np.array([fold.train_score for fold in folds]),
        np.array([fold.test_score for fold in folds]),
    )
    facts = study.facts(np.shape(folds[0].Xt)[1])
    return Measurements(
        facts=facts,
        network=network,
        **_yardsticks(study, is_sparse),
        test_score=test_score,
        learning_curve={**study.learning_curve(), _n_rows(study.splits): network},
        **_records([fold for fold in folds if fold.network is not None]),
        errors=[fold.error for fold in folds if fold.error is not None],
        **_units(folds if fitted is None else [_as_fold(fitted, study.X)]),
        **study.sweep()._asdict(),
        **_scales(study.network, folds[0].Xt),
        **_by_class(study, facts.n_classes, folds),
        **_scale_of_targets(study),
        is_sparse=is_sparse,
        n_fits=study.n_fits,
    )


def _n_rows(splits: Sequence[tuple[NDArray, NDArray]]) -> int:
    return int(np.mean([len(train) for train, _ in splits]))


def _yardsticks(study: Study, is_sparse: bool) -> dict[str, Any]:
    models = {
        "constant": constant_model(study.network),
        "linear": linear_model(study.network, study.y),
        "plain": plain_network(study.network),
    }
    return {
        name: study.scores(study.instead(model, is_sparse=is_sparse), {})[0]
        for name, model in models.items()
    }


def _records(folds: Sequence[FittedSplit]) -> dict[str, Any]:
    """Take what the training of networks has recorded."""
    networks = [fold.network for fold in folds]
    ends = [fold.hits_limit for fold in folds]
    return {
        "loss_curves": _curves(networks, "loss_curve_"),
        "score_curves": _curves(networks, "validation_scores_"),
        "n_epochs": np.array([network.n_iter_ for network in networks]),
        "hits_limit": float(np.mean(ends)) if ends else 0.0,
        "gradient_norms": _mean_curve(networks, "gradient_norm_curve_"),
        "update_ratios": _mean_curve(networks, "update_ratio_curve_"),
    }


def _curves(networks: Sequence, name: str) -> list[list]:
    """List the curves of networks that have one."""
    found = [getattr(network, name, None) for network in networks]
    return [curve for curve in found if curve]


def _mean_curve(networks: Sequence, name: str) -> NDArray:
    """Mean of curves, cut to the shortest; of no rows if there is none."""
    curves = _curves(networks, name)
    n_epochs = min((len(curve) for curve in curves), default=0)
    if not n_epochs:
        return np.empty((0, 0))
    return np.mean([curve[:n_epochs] for curve in curves], axis=0)


def _units(folds: Sequence[FittedSplit]) -> dict[str, Any]:
    """Parts of dead and of saturated units by layer, means over the folds."""
    found = []
    for network, Xt in [fold[:2] for fold in folds if fold.network is not None]:
        states = unit_states(network.net_, network._check_inputs(Xt))
        found.append([[s.dead.mean(), s.saturated.mean()] for s in states])
    means = np.mean(found, axis=0).reshape(-1, 2) if found else np.empty((0, 2))
    return {"dead_units": means[:, 0], "saturated_units": means[:, 1]}


def _as_fold(fitted, X) -> FittedSplit:
    """Take a fitted estimator as a fit on all rows."""
    mlp, _ = find_network(fitted)
    return FittedSplit(mlp, inputs_of_network(fitted, X))


def _scales(network, Xt) -> dict[str, Any]:
    """Tell the scales of the network's inputs; of a table those of its numbers."""
    if reads_columns(network):
        table = clone(network)
        Xt = fit_columns(table, Xt)[:, : len(table._columns.numeric)]
    if not np.shape(Xt)[1]:
        return {"scales": np.empty(0), "offsets": np.empty(0)}
    scaler = StandardScaler(with_mean=not scipy.sparse.issparse(Xt)).fit(Xt)
    scales = np.sqrt(scaler.var_)
    offsets = np.abs(scaler.mean_) / np.where(scales > 0, scales, 1.0)
    return {"scales": scales, "offsets": offsets}


def _by_class(
    study: Study, n_classes: int, folds: Sequence[FittedSplit]
) -> dict[str, Any]:
    """Count the rows of each class, and tell the part that is found when held out."""
    if not n_classes or any(fold.predicted is None for fold in folds):
        return {"class_counts": np.empty(0, int), "recalls": np.empty(0)}
    y = np.asarray(study.y)
    labels, counts = np.unique(y, return_counts=True)
    tests = np.concatenate([test for _, test in study.splits])
    predicted = np.concatenate([fold.predicted for fold in folds])
    recalls = recall_score(
        y[tests], predicted, labels=labels, average=None, zero_division=0
    )
    return {"class_counts": counts, "recalls": recalls}


def _scale_of_targets(study: Study) -> dict[str, Any]:
    """Tell the size of the targets, and of the loss of a constant."""
    y = np.asarray(study.y)
    if not is_classifier(study.network):
        deviation = float(np.sqrt(np.mean(np.var(y.astype(float), axis=0))))
        n_outputs = 1 if y.ndim == 1 else y.shape[1]
        loss = n_outputs * deviation**2 / 2
        return {"constant_loss": loss, "target_scale": deviation or 1.0}
    outputs = [y] if y.ndim == 1 else list(y.T)
    parts = [np.unique(one, return_counts=True)[1] / len(one) for one in outputs]
    loss = float(sum(-(part * np.log(part)).sum() for part in parts))
    return {"constant_loss": loss, "target_scale": 1.0}
