"""Search hyperparameters along the recipe of deep learning."""

import datetime
import time
import warnings
from collections.abc import Callable, Iterable
from numbers import Integral
from typing import Any

import numpy as np
from numpy.random import RandomState
from sklearn import get_config
from sklearn.base import BaseEstimator, is_classifier
from sklearn.exceptions import FitFailedWarning
from sklearn.model_selection import check_cv
from sklearn.utils import check_random_state

from sk_deep._compat import (
    BaseSearchCV,
    Interval,
    StrOptions,
    constraints_of,
    given_to,
    num_samples,
)
from sk_deep._estimator.base import BaseMLP
from sk_deep._estimator.finding import find_network, last_step
from sk_deep._stacks.executor import train_in_stacks
from sk_deep.recipe._budget import Budget
from sk_deep.recipe._diagnosis import Diagnosis, diagnose
from sk_deep.recipe._measure import scores_in
from sk_deep.recipe._moves import Facts, Suggestion
from sk_deep.recipe._path import Decision, Path
from sk_deep.recipe._space import Space
from sk_deep.recipe._walk import Walk
from sk_deep.recipe._yardsticks import training_scores

_CANDIDATES = 50  # candidates of the budget "auto"
_COMPARISON_FROM = 10  # fewest candidates left for models to compare with
_DIAGNOSIS_FROM = 40  # fewest candidates left for a diagnosis
_N_VERDICTS = 2  # verdicts whose suggestions are tried
_MAX_SEED = 2**31 - 1
_WEIGHT = "sample_weight"


class RecipeSearchCV(BaseSearchCV):
    """Search hyperparameters along the recipe of deep learning.

    The search starts from the parameters of the estimator and asks two questions in
    order. *Good results on the training data?* If not, it tries the moves that help
    training: loss, mini-batch, activation, solver and learning rate, momentum, a larger
    network. *Good results on the testing data?* Here it tries parameters that usually
    work well together, early stopping, regularisation, dropout, augmentation, a smaller
    network. Parameters that help are kept; `path_` lists each decision with its
    numbers. At the end the search averages several networks, and refines the best
    candidates. All candidates of a move and all folds train together, as in
    `BatchedGridSearchCV`.

    Parameters
    ----------
    estimator : estimator
        The start of the search: an `MLPClassifier` or `MLPRegressor` of this package,
        or a `Pipeline` that ends in one.

    budget : "auto", int or datetime.timedelta, default="auto"
        Budget of the search without the refit: a number of fits, candidates times
        folds, or wall time, which running fits may exceed. "auto" is 50 candidates. The
        fits of `diagnosis_` and of the models to compare with count.

    cv : int, cross-validation generator or iterable, default=None
        How to split the data; None is 5 folds, stratified for classifiers. The splits
        are drawn once, and are the same for all candidates.

    scoring : str or callable, default=None
        How to score predictions, by a single score as in scikit-learn; None is the
        estimator's `score`.

    refit : bool, default=True
        Whether to refit the best candidate on all data.

    n_jobs : int, default=None
        Number of workers, each of which trains whole stacks; None is 1 unless in a
        `joblib.parallel_config` context, -1 all processors.

    random_state : int, RandomState instance or None, default=None
        Source of randomness in the refinement and in the diagnosis. If the estimator
        has no random state, it gets one that is drawn from this source, the same for
        all candidates, among their parameters.

    verbose : int, default=0
        Amount of output: above 0 the decisions and the number of fits of each step;
        above 1 each fit with its time, above 2 its score too.

    Attributes
    ----------
    path_ : list of Decision
        The decisions in order; printed, it is a readable text.

    diagnosis_ : Diagnosis or None
        Diagnosis of the estimator at the start. None if the budget is below 41
        candidates, if `fit` gets other parameters than the sample weights of the last
        step, or if the last step of the pipeline is a pipeline.

    cv_results_ : dict of str to ndarray
        As in scikit-learn, with the scores on the training rows. The time of a stack is
        divided among its networks.

    best_estimator_ : estimator
        The refitted estimator.

    best_score_ : float
        Mean score of the best candidate on the test folds.

    best_params_ : dict
        Its parameters that differ from those of `estimator`.

    best_index_ : int
        Its index in `cv_results_`.

    scorer_ : callable
        The scorer.

    n_splits_ : int
        Number of splits.

    n_fits_ : int
        Number of fits without the refit.

    refit_time_ : float
        Seconds of the refit.

    multimetric_ : bool
        Whether there are several scores: False.

    classes_ : ndarray of shape (n_classes,)
        The class labels, of classifiers.

    n_features_in_ : int
        Number of features, if `best_estimator_` tells it.

    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Their names, if `best_estimator_` tells them.

    See Also
    --------
    sk_deep.BatchedRandomizedSearchCV : Search a sample of candidates.
    sk_deep.BatchedGridSearchCV : Search a grid of parameters.

    Notes
    -----
    Training is good when the training score, the mean over the folds, covers 98 % of
    the way from a constant prediction to a linear model (logistic or ridge regression
    in place of the network; in the diagnosis on scaled inputs). Until then the moves of
    the first question are made in the order of the recipe, in passes until a pass does
    not help; no pass begins after 60 % of the budget. The whole grids that the first
    two verdicts of the diagnosis suggest come before them. The second question begins
    with up to eight choices of many parameters, for at most a third of the remaining
    budget: they may help together where single moves do not. One candidate of each
    other move is tried, from the middle of its grid; more with budgets of 40 candidates
    and more.

    A candidate helps if its validation score is higher; with the first question also if
    its training score is higher by more than the standard error of the differences over
    the folds, and its validation score is not lower by more than that. The best of
    the candidates that help is kept: by the sum of both scores in the first question,
    by the validation score in the second.

    After the moves comes an ensemble of the best candidate, and of the second best with
    budgets of 40 candidates and more. The refinement draws candidates around the best
    ones, and around mixtures of two of them, from the whole of `space`, and tries the
    candidates with the best predictions of a forest that learns from the scores so far,
    in rounds of four, until eight rounds do not help. Only a move of the first question
    adds epochs.

    In a budget of fits, an ensemble of five networks counts as one fit per fold, like
    any candidate; in a budget of time its time counts.

    A candidate that diverges scores nan, and is not kept. A ``FitFailedWarning`` lists
    fits that fail for another reason.

    References
    ----------
    H. Lee, "Recipe of deep learning", lecture of the course Machine Learning, National
    Taiwan University.

    F. Hutter, H. Hoos and K. Leyton-Brown, "Sequential model-based optimization for
    general algorithm configuration", LION 2011 (the forest).

    Examples
    --------
    >>> from sk_deep import MLPClassifier, RecipeSearchCV
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> X, y = load_iris(return_X_y=True)
    >>> network = MLPClassifier(8, activation="logistic", solver="sgd", max_iter=20)
    >>> model = make_pipeline(StandardScaler(), network)
    >>> search = RecipeSearchCV(model, budget=40, cv=2, random_state=0).fit(X, y)
    >>> [decision.move for decision in search.path_[:3]]
    ['start', 'training', 'loss']
    """

    _parameter_constraints: dict = {
        **{
            name: rule
            for name, rule in constraints_of(BaseSearchCV).items()
            if name not in ("error_score", "return_train_score", "pre_dispatch")
        },
        "budget": [
            StrOptions({"auto"}),
            Interval(Integral, 1, None, closed="left"),
            datetime.timedelta,
        ],
        "scoring": [str, callable, None],
        "refit": ["boolean"],
        "random_state": ["random_state"],
    }

    path_: Path
    diagnosis_: Diagnosis | None
    n_fits_: int

    def __init__(
        self,
        estimator: BaseEstimator,
        *,
        budget: str | int | datetime.timedelta = "auto",
        cv: Any = None,
        scoring: str | Callable[..., float] | None = None,
        refit: bool = True,
        n_jobs: int | None = None,
        random_state: int | RandomState | None = None,
        verbose: int = 0,
    ) -> None:
        super().__init__(
            estimator,
            scoring=scoring,
            n_jobs=n_jobs,
            refit=refit,
            cv=cv,
            verbose=verbose,
            return_train_score=True,
        )
        self.budget = budget
        self.random_state = random_state

    @staticmethod
    def space(estimator: BaseEstimator, X: Any, y: Any) -> dict[str, Any]:
        """Return the space of all moves, for `BatchedRandomizedSearchCV`.

        Parameters
        ----------
        estimator : estimator
            Start of a search.
        X : array-like
            Training inputs.
        y : array-like
            Targets.

        Returns
        -------
        param_distributions : dict of str to list or distribution
            Parameters of the estimator and their values.
        """
        mlp, prefix = find_network(estimator)
        space = Space(mlp, _facts(mlp, X, y))
        return space.distributions(prefix)

    def _check_input_parameters(self, X, y, split_params):
        """Check the estimator; draw the splits once for all steps."""
        find_network(self.estimator)
        splits = list(self._checked_cv_orig.split(X, y, **split_params))
        self._checked_cv_orig = check_cv(splits)

    def _run_search(self, evaluate_candidates, *, callback_ctx=None):
        X, y, fit_params = given_to(evaluate_candidates)
        mlp, prefix = find_network(self.estimator)
        facts = _facts(mlp, X, y)
        random_state = check_random_state(self.random_state)
        budget = Budget(self._limit(), self.n_splits_)
        search_ctx = callback_ctx.subcontext(task_name="search", max_subtasks=None)
        search_ctx.call_on_fit_task_begin(estimator=self)
        train_in_stacks(self, evaluate_candidates, wrap=_Lenient)

        def evaluate(candidates):
            return self._step(evaluate_candidates, candidates, search_ctx)

        walk = Walk(self.estimator, facts, evaluate, budget, random_state, self._report)
        self.path_ = walk.path
        walk.start(self._seed(mlp, prefix, random_state))
        suggestions = self._diagnose(X, y, fit_params, budget, random_state)
        walk.go(suggestions, self._compare(mlp, X, y, fit_params, budget))
        self.n_fits_ = budget.n_fits
        search_ctx.call_on_fit_task_end(estimator=self)

    def _limit(self):
        """Check the budget; return a number of fits, or a time."""
        if isinstance(self.budget, datetime.timedelta):
            if self.budget <= datetime.timedelta(0):
                raise ValueError(f"budget must be positive, got {self.budget!r}.")
            return self.budget
        if self.budget == "auto":
            return _CANDIDATES * self.n_splits_
        if self.budget < self.n_splits_:
            raise ValueError(
                "budget must pay for the estimator as it is, one fit for each of "
                f"{self.n_splits_} splits, got {self.budget}."
            )
        return self.budget

    def _seed(self, mlp, prefix: str, random_state) -> dict[str, Any]:
        """Draw the random state of `mlp`, if it has none and the search has one."""
        if self.random_state is None or mlp.random_state is not None:
            return {}
        return {f"{prefix}random_state": random_state.randint(_MAX_SEED)}

    def _step(self, evaluate_candidates, candidates, search_ctx) -> list:
        """Evaluate candidates together; return the scores of each on both parts."""
        n_fits = len(candidates) * self.n_splits_
        step_ctx = search_ctx.subcontext(
            task_name="step", max_subtasks=n_fits, sequential_subtasks=False
        )
        step_ctx.call_on_fit_task_begin(estimator=self)
        with warnings.catch_warnings():  # path_ shows which candidates have no score
            warnings.filterwarnings("ignore", "One or more of the .* are non-finite")
            results = evaluate_candidates(candidates, callback_ctx=step_ctx)
        step_ctx.call_on_fit_task_end(estimator=self)
        if "mean_test_score" not in results:
            raise ValueError(
                f"scoring must give a single score, got several from {self.scoring!r}."
            )
        return scores_in(results, self.n_splits_)[-len(candidates) :]

    def _diagnose(self, X, y, fit_params, budget, random_state) -> list[Suggestion]:
        """Diagnose the estimator, if the budget allows; return suggestions."""
        self.diagnosis_ = None
        _, prefix = find_network(self.estimator)
        weight = fit_params.get(f"{prefix}{_WEIGHT}")
        others = fit_params.keys() - {f"{prefix}{_WEIGHT}"}
        last, _ = last_step(self.estimator, nested=False)
        is_nested = not isinstance(last, BaseMLP)
        if others or is_nested or budget.n_candidates() < _DIAGNOSIS_FROM:
            return []
        start = time.monotonic()
        self.diagnosis_ = diagnose(
            self.estimator,
            X,
            y,
            cv=self._checked_cv_orig,
            scoring=self.scoring,
            sample_weight=weight,
            random_state=random_state.randint(_MAX_SEED),
        )
        budget.spend(self.diagnosis_.n_fits, time.monotonic() - start)
        verdicts = self.diagnosis_.verdicts[:_N_VERDICTS]
        suggestions = [s for verdict in verdicts for s in verdict.suggestions]
        # a pipeline in place of the last step would hide the parameters of `mlp`
        return [s for s in suggestions if prefix[:-2] not in s.param_grid]

    def _compare(self, mlp, X, y, fit_params, budget) -> dict[str, float]:
        """Score models to compare with, if the budget allows."""
        if self.diagnosis_ is not None:
            measured = self.diagnosis_.measurements
            pairs = {"linear": measured.linear, "constant": measured.constant}
            return {name: float(np.mean(s.train)) for name, s in pairs.items()}
        if budget.n_candidates() < _COMPARISON_FROM:
            return {"linear": np.nan, "constant": np.nan}
        start = time.monotonic()
        weights = {k: v for k, v in fit_params.items() if k.endswith(_WEIGHT)}
        evaluate = {
            "X": X,
            "cv": self._checked_cv_orig,
            "scoring": self.scoring,
            "params": {} if get_config()["enable_metadata_routing"] else weights,
        }
        scores = training_scores(self.estimator, mlp, y, evaluate)
        budget.spend(2 * self.n_splits_, time.monotonic() - start)
        return scores

    def _report(self, decision: Decision) -> None:
        if self.verbose > 0:
            print(decision)


def _facts(mlp, X, y) -> Facts:
    n_features = int(np.prod(np.shape(X)[1:]))
    if not is_classifier(mlp) or y is None:
        return Facts(num_samples(X), n_features, is_classifier(mlp), 0)
    n_columns = int(np.prod(np.shape(y)[1:]))
    n_classes = n_columns if n_columns > 1 else len(np.unique(np.asarray(y)))
    return Facts(num_samples(X), n_features, True, n_classes)


class _Lenient:
    """An executor around another that lets the search continue if fits fail.

    Parameters
    ----------
    executor : callable
        The other executor.
    """

    def __init__(self, executor: Callable) -> None:
        self.executor, self.is_first = executor, True

    def __call__(self, calls: Iterable[tuple]) -> list[dict[str, Any]]:
        """Run calls of `_fit_and_score`, and handle failed fits.

        A fit that diverges has no score. Other errors are warned of; scikit-learn
        raises errors of the first step, which fits the estimator as it is.
        """
        results = self.executor(calls)
        errors = [result["fit_error"] for result in results]
        failed = [error for error in errors if error and "DivergenceError" not in error]
        is_first, self.is_first = self.is_first, False
        if failed and is_first:
            return results
        if failed:
            warnings.warn(
                f"{len(failed)} of {len(results)} fits failed and have no score; the "
                f"first error is:\n{failed[0]}",
                FitFailedWarning,
                stacklevel=2,
            )
        for result in results:
            result["fit_error"] = None
        return results
