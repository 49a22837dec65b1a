"""The fits of a diagnosis: on each split, in stacks, and with a range of rates."""

import contextlib
import functools
import warnings
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import scipy.sparse
from numpy.typing import NDArray
from sklearn.base import clone, is_classifier
from sklearn.exceptions import ConvergenceWarning, FitFailedWarning
from sklearn.metrics import check_scoring
from sklearn.model_selection import ParameterGrid, check_cv, train_test_split
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.validation import check_consistent_length

from sk_deep._compat import num_samples, safe_split
from sk_deep._estimator import checks, plan
from sk_deep._estimator.finding import find_network, last_step
from sk_deep.callbacks import LayerMonitor
from sk_deep.exceptions import DivergenceError
from sk_deep.recipe._measure import FittedSplit, Scores, Sweep, scores_in
from sk_deep.recipe._moves import Facts
from sk_deep.recipe._values import present_rate
from sk_deep.recipe._yardsticks import columns
from sk_deep.search import BatchedGridSearchCV

RATE_FACTORS = (1e-3, 1e-2, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 1000.0)
SIZES = (0.25, 0.5)  # parts of the training rows, of the learning curve
_SHORT_STEPS = 300  # training steps of the sweep over rates


class Study:
    """An estimator under study, its data and the splits.

    Parameters
    ----------
    estimator : estimator
        An estimator of this package, or a Pipeline that ends in one; not changed.
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
        if self.mlp.random_state is None:
            self.mlp.set_params(random_state=seed)
        self.mlp.set_params(verbose=False)
        _remove_callbacks(self.estimator)
        check_consistent_length(X, y, sample_weight)
        self.X, self.y, self.sample_weight = X, _dense_targets(y), sample_weight
        self.scoring, self.scorer = scoring, self._scorer(scoring)
        self.random_state = random_state
        self.splits = self._splits(cv)
        self.n_fits = 0

    def _scorer(self, scoring):
        if isinstance(scoring, list | tuple | set | dict):
            raise ValueError(f"scoring must be a single score, got {scoring!r}.")
        return check_scoring(self.estimator, scoring)

    def _splits(self, cv) -> list[tuple[NDArray, NDArray]]:
        """Positions of the rows that train and of those that test, of each split."""
        splitter = check_cv(cv, self.y, classifier=is_classifier(self.mlp))
        rows = np.arange(num_samples(self.X))
        pairs = splitter.split(self.X, self.y)  # of positions, or of masks
        splits = [(rows[np.asarray(a)], rows[np.asarray(b)]) for a, b in pairs]
        if not splits:
            raise ValueError(f"cv must give at least one split, got {cv!r}.")
        return splits

    @property
    def mlp(self):
        """The estimator of this package, in a pipeline its last step."""
        return find_network(self.estimator, nested=False)[0]

    def facts(self, n_features: int) -> Facts:
        """Describe the data that the network gets."""
        is_classes = is_classifier(self.mlp)
        n_classes = len(np.unique(self.y)) if is_classes and np.ndim(self.y) == 1 else 0
        return Facts(num_samples(self.X), n_features, is_classes, n_classes)

    # ---- monitored fits ------------------------------------------------------------

    def fold(self, train: NDArray, test: NDArray) -> FittedSplit:
        """Fit a copy on the rows of a split, with its layers monitored."""
        model = clone(self.estimator)
        mlp, _ = find_network(model)
        if not checks.is_full_batch(mlp):
            callbacks = [*(mlp.callbacks or []), LayerMonitor()]
            mlp.set_params(callbacks=callbacks)
        X, y = safe_split(model, self.X, self.y, train)
        X_test, y_test = safe_split(model, self.X, self.y, test, train)
        Xt = X
        if isinstance(model, Pipeline) and len(model) > 1:
            before = model[:-1]
            Xt = before.fit_transform(X, y)
            model.steps[:-1] = before.steps  # a memory returns copies
        self.n_fits += 1
        try:
            hits_limit = _fit(mlp, Xt, y, **self._weights(train))
            scores = self._score(model, X, y), self._score(model, X_test, y_test)
        except DivergenceError as error:
            return FittedSplit(None, Xt, str(error))
        return FittedSplit(mlp, Xt, None, *scores, model.predict(X_test), hits_limit)

    def test_score(self, fitted, X_test, y_test) -> float:
        """Score a fitted estimator on test data; without one, fit on all rows first."""
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
        """Score a fitted copy; raise if its predictions are not finite."""
        score = float(self.scorer(model, X, y))
        if np.isnan(score):
            raise ValueError(
                "scoring must give a number on the rows of each split and on the test "
                f"data, got {score} on {num_samples(X)} row(s)."
            )
        if np.isinf(score):
            raise DivergenceError("Predictions of the trained network are not finite.")
        return score

    def _fit_params(self, model) -> dict[str, Any]:
        """Name the weights of all rows as the fit of a model expects them."""
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
            The estimator to search.
        grid : dict or list of dict
            Parameters and their values.
        splits : list of tuple, default=None
            Positions of training and test rows; None is the splits of the study.
        scoring : callable, default=None
            How to score; None is as the study does.

        Returns
        -------
        scores : list of Scores
            Scores of each candidate, nan where a fit failed.
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
        with quiet(FitFailedWarning, UserWarning):
            try:
                results = search.fit(self.X, self.y, **params).cv_results_
            except ValueError as error:
                if "fits failed" not in str(error):
                    raise
                none = np.full(len(splits), np.nan)
                return [Scores(none, none)] * n_candidates
        return scores_in(results, len(splits))

    def instead(self, model, *, is_sparse: bool):
        """Replace the estimator of this package by another model on scaled inputs."""
        before = [step for _, step in getattr(self.estimator, "steps", [])[:-1]]
        scaler = StandardScaler(with_mean=not is_sparse)
        return clone(make_pipeline(*before, *columns(self.mlp), scaler, model))

    def learning_curve(self) -> dict[int, Scores]:
        """Score the estimator trained on parts of the training rows, fewest first."""
        curve = {}
        for part in SIZES:
            splits = [(self._part(train, part), test) for train, test in self.splits]
            (scores,) = self.scores(self.estimator, {}, splits=splits)
            curve[mean_n_rows(splits)] = scores
        return curve

    def _part(self, rows: NDArray, part: float) -> NDArray:
        """Draw a part of the rows, of each class alike where there are enough."""
        seed = self.random_state.randint(np.iinfo(np.int32).max)
        y = np.asarray(self.y)[rows]
        by_class = y if is_classifier(self.mlp) and y.ndim == 1 else None
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
        """Train for a few epochs with rates of all sizes, on the first split.

        Returns
        -------
        sweep : Sweep
            The rates, and the training loss with each.

        References
        ----------
        L. N. Smith, "Cyclical learning rates for training neural networks", WACV 2017,
        sec. 3.3.
        """
        mlp, (train, test) = self.mlp, self.splits[0]
        if checks.is_full_batch(mlp):
            return Sweep(None, np.empty(0), np.empty(0), 0)
        n_steps = -(-len(train) // plan.batch_size(mlp, len(train)))
        n_epochs = int(min(mlp.max_iter, max(5, -(-_SHORT_STEPS // n_steps))))
        present = present_rate(mlp)
        rates = [present * factor for factor in RATE_FACTORS]
        model = clone(self.estimator)
        find_network(model)[0].set_params(max_iter=n_epochs, n_iter_no_change=np.inf)
        grid = {f"{self.prefix}learning_rate_init": rates}
        by_rate = self.scores(
            model, grid, splits=[(train, test)], scoring=negative_loss
        )
        losses = np.array([-float(scores.train[0]) for scores in by_rate])
        losses = np.where(np.isnan(losses), np.inf, losses)
        return Sweep(present, np.array(rates), losses, n_epochs)


def _remove_callbacks(estimator) -> None:
    """Remove scikit-learn's callbacks from a copy, whose fits are not the user's."""
    steps = [step for _, step in getattr(estimator, "steps", [])]
    for step in [estimator, *steps]:
        if hasattr(step, "set_callbacks"):
            step.set_callbacks()


def _dense_targets(y):
    """Take targets of one column as such, and sparse labels as an array."""
    y = y.toarray() if scipy.sparse.issparse(y) else y
    return np.ravel(y) if np.ndim(y) == 2 and np.shape(y)[1] == 1 else y


def _fit(mlp, X, y, **params) -> bool:
    """Fit, and return whether a limit ended the training."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        mlp.fit(X, y, **params)
    return any(issubclass(record.category, ConvergenceWarning) for record in caught)


def negative_loss(model, X, y) -> float:
    """Score by the training loss that a fit ended with."""
    return -find_network(model)[0].loss_


def mean_n_rows(splits: Sequence[tuple[NDArray, NDArray]]) -> int:
    """Mean number of training rows, rounded down."""
    return int(np.mean([len(train) for train, _ in splits]))


@contextlib.contextmanager
def quiet(*kinds: type[Warning]) -> Iterator[None]:
    """Silence warnings of fits that the measurements report."""
    with warnings.catch_warnings(), np.errstate(over="ignore", invalid="ignore"):
        for kind in (ConvergenceWarning, *kinds):
            warnings.simplefilter("ignore", kind)
        yield
