"""Searches that train all candidates and folds together, as stacks of networks."""

from collections.abc import Callable, Iterable, Mapping
from numbers import Integral
from typing import Any, Literal

import numpy as np
from sklearn.model_selection import GridSearchCV, RandomizedSearchCV

from sk_deep._compat import Interval, StrOptions, constraints_of
from sk_deep._stacks.executor import train_in_stacks
from sk_deep._typing import RandomStateLike

ParamGrid = Mapping[str, Any] | Iterable[Mapping[str, Any]]

_BATCH_MEMBERS = [StrOptions({"auto"}), Interval(Integral, 1, None, closed="left")]


class _Batched:
    """Train the fits of a search of scikit-learn in stacks."""

    def _run_search(self, evaluate_candidates, *, callback_ctx=None):
        train_in_stacks(self, evaluate_candidates, self.batch_members)
        super()._run_search(evaluate_candidates, callback_ctx=callback_ctx)


class BatchedGridSearchCV(_Batched, GridSearchCV):
    """Search a grid of parameters, all candidates and folds trained together.

    A drop-in replacement for scikit-learn's `GridSearchCV`, with the same parameters,
    attributes and results, in pipelines, `cross_validate` and nested searches. If the
    estimator is one of this package, or a `Pipeline` that ends in one, the networks of
    all candidates and folds train together, as stacks: one tensor operation steps all
    of them, which takes a fraction of the time. See Notes.

    Parameters
    ----------
    estimator : estimator
        The estimator to tune. Estimators of other packages are searched as in
        scikit-learn.

    param_grid : dict or list of dict
        Parameters and the values to try, or several such grids.

    scoring : str, callable, list, tuple or dict, default=None
        How to score predictions, as in scikit-learn; None is the estimator's `score`.

    refit : bool, str or callable, default=True
        Whether to refit the best candidate on all data; with several scores, the name
        of the score that decides; or a function from `cv_results_` to its index.

    cv : int, cross-validation generator or iterable, default=None
        How to split the data; None is 5 folds, stratified for classifiers.

    verbose : int, default=0
        Amount of output: above 0 the number of fits, and which of them cannot be
        stacked and why; above 1 each fit with its time, above 2 its score too.

    error_score : 'raise' or numeric, default=nan
        Score of a failed fit.

    return_train_score : bool, default=False
        Whether to score on the training rows too.

    n_jobs : int, default=None
        Number of workers, each of which trains whole stacks; None is 1 unless in a
        `joblib.parallel_config` context, -1 all processors.

    batch_members : int or "auto", default="auto"
        Most networks in a stack, unless a single ensemble has more. The memory of a
        search grows with it; "auto" keeps the parameters and values of a stack in the
        cache of the processor.

    Attributes
    ----------
    cv_results_ : dict of str to ndarray
        As in scikit-learn. The time of a stack is divided among its networks.

    best_estimator_ : estimator
        The refitted estimator.

    best_score_ : float
        Mean score of the best candidate on the test folds.

    best_params_ : dict
        Its parameters.

    best_index_ : int
        Its index in `cv_results_`.

    scorer_ : callable or dict
        The scorer, or the scorers by name.

    n_splits_ : int
        Number of splits.

    refit_time_ : float
        Seconds of the refit.

    multimetric_ : bool
        Whether there are several scores.

    classes_ : ndarray of shape (n_classes,)
        The class labels, of classifiers.

    n_features_in_ : int
        Number of features, if `best_estimator_` tells it.

    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Their names, if `best_estimator_` tells them.

    See Also
    --------
    sklearn.model_selection.GridSearchCV : Search that fits one by one.
    sk_deep.BatchedRandomizedSearchCV : Search a sample of candidates.

    Notes
    -----
    A network in a stack has its own rows, shuffles, initial weights and random state.
    Its results are those of a fit alone: up to rounding in float64, and in distribution
    with dropout or augmentation. Each network stops early by itself, and then leaves
    the stack.

    Networks share a stack if they differ in numbers only: rates, schedules, penalties,
    momentum and betas, probabilities of dropout, bounds on norms, class weights, random
    states, `max_iter`, `tol`, patience. Each structure (layers, activation, solver,
    batch size, loss, whether there is dropout at all, ...) has separate stacks. All
    networks of an ensemble are in one stack. The steps of a pipeline before the network
    are fitted once per fold and combination of *their* parameters.

    Some fits cannot be stacked and run one by one, as in scikit-learn: with
    ``solver="lbfgs"``, ensembles of folds (`n_folds`), ``callbacks`` or ``verbose``, or
    a function or class as activation, loss, solver, schedule or augmentation.

    Callbacks of scikit-learn on the search (`set_callbacks`) are called for each fit
    when its stack has finished. A `sklearn.callback.ProgressBar` does not prevent
    stacks, nor do callbacks of the search alone (``max_propagation_depth=0``). With
    other callbacks, which may read each epoch, all fits run one by one.

    Examples
    --------
    >>> from sk_deep import BatchedGridSearchCV, MLPClassifier
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> X, y = load_iris(return_X_y=True)
    >>> network = MLPClassifier(16, max_iter=50, n_iter_no_change=50, random_state=0)
    >>> grid = {
    ...     "mlpclassifier__learning_rate_init": [1e-3, 1e-2],
    ...     "mlpclassifier__alpha": [1e-4, 1e-2, 1.0],
    ... }
    >>> search = BatchedGridSearchCV(make_pipeline(StandardScaler(), network), grid)
    >>> search.fit(X, y).best_params_["mlpclassifier__learning_rate_init"]
    0.01
    """

    _parameter_constraints: dict = {
        **constraints_of(GridSearchCV),
        "batch_members": _BATCH_MEMBERS,
    }

    def __init__(
        self,
        estimator: Any,
        param_grid: ParamGrid,
        *,
        scoring: Any = None,
        refit: bool | str | Callable[[dict[str, Any]], int] = True,
        cv: Any = None,
        verbose: int = 0,
        error_score: float | Literal["raise"] = np.nan,
        return_train_score: bool = False,
        n_jobs: int | None = None,
        batch_members: int | Literal["auto"] = "auto",
    ) -> None:
        super().__init__(
            estimator,
            param_grid,
            scoring=scoring,
            refit=refit,
            cv=cv,
            verbose=verbose,
            error_score=error_score,
            return_train_score=return_train_score,
            n_jobs=n_jobs,
        )
        self.batch_members = batch_members


class BatchedRandomizedSearchCV(_Batched, RandomizedSearchCV):
    """Search a sample of candidates, all candidates and folds trained together.

    A drop-in replacement for scikit-learn's `RandomizedSearchCV`, with the same
    parameters, attributes and results, in pipelines, `cross_validate` and nested
    searches. If the estimator is one of this package, or a `Pipeline` that ends in one,
    the networks of all candidates and folds train together, as stacks: one tensor
    operation steps all of them, which takes a fraction of the time. See Notes.

    Parameters
    ----------
    estimator : estimator
        The estimator to tune. Estimators of other packages are searched as in
        scikit-learn.

    param_distributions : dict or list of dict
        Parameters and their values, lists or distributions with an ``rvs`` method, or
        several such dicts.

    n_iter : int, default=10
        Number of candidates.

    scoring : str, callable, list, tuple or dict, default=None
        How to score predictions, as in scikit-learn; None is the estimator's `score`.

    refit : bool, str or callable, default=True
        Whether to refit the best candidate on all data; with several scores, the name
        of the score that decides; or a function from `cv_results_` to its index.

    cv : int, cross-validation generator or iterable, default=None
        How to split the data; None is 5 folds, stratified for classifiers.

    verbose : int, default=0
        Amount of output: above 0 the number of fits, and which of them cannot be
        stacked and why; above 1 each fit with its time, above 2 its score too.

    random_state : int, RandomState instance or None, default=None
        Source of the candidates.

    error_score : 'raise' or numeric, default=nan
        Score of a failed fit.

    return_train_score : bool, default=False
        Whether to score on the training rows too.

    n_jobs : int, default=None
        Number of workers, each of which trains whole stacks; None is 1 unless in a
        `joblib.parallel_config` context, -1 all processors.

    batch_members : int or "auto", default="auto"
        Most networks in a stack, unless a single ensemble has more. The memory of a
        search grows with it; "auto" keeps the parameters and values of a stack in the
        cache of the processor.

    Attributes
    ----------
    cv_results_ : dict of str to ndarray
        As in scikit-learn. The time of a stack is divided among its networks.

    best_estimator_ : estimator
        The refitted estimator.

    best_score_ : float
        Mean score of the best candidate on the test folds.

    best_params_ : dict
        Its parameters.

    best_index_ : int
        Its index in `cv_results_`.

    scorer_ : callable or dict
        The scorer, or the scorers by name.

    n_splits_ : int
        Number of splits.

    refit_time_ : float
        Seconds of the refit.

    multimetric_ : bool
        Whether there are several scores.

    classes_ : ndarray of shape (n_classes,)
        The class labels, of classifiers.

    n_features_in_ : int
        Number of features, if `best_estimator_` tells it.

    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Their names, if `best_estimator_` tells them.

    See Also
    --------
    sklearn.model_selection.RandomizedSearchCV : Search that fits one by one.
    sk_deep.BatchedGridSearchCV : Search a grid of parameters.

    Notes
    -----
    A network in a stack has its own rows, shuffles, initial weights and random state.
    Its results are those of a fit alone: up to rounding in float64, and in distribution
    with dropout or augmentation. Each network stops early by itself, and then leaves
    the stack.

    Networks share a stack if they differ in numbers only: rates, schedules, penalties,
    momentum and betas, probabilities of dropout, bounds on norms, class weights, random
    states, `max_iter`, `tol`, patience. Each structure (layers, activation, solver,
    batch size, loss, whether there is dropout at all, ...) has separate stacks. All
    networks of an ensemble are in one stack. The steps of a pipeline before the network
    are fitted once per fold and combination of *their* parameters.

    Some fits cannot be stacked and run one by one, as in scikit-learn: with
    ``solver="lbfgs"``, ensembles of folds (`n_folds`), ``callbacks`` or ``verbose``, or
    a function or class as activation, loss, solver, schedule or augmentation.

    Callbacks of scikit-learn on the search (`set_callbacks`) are called for each fit
    when its stack has finished. A `sklearn.callback.ProgressBar` does not prevent
    stacks, nor do callbacks of the search alone (``max_propagation_depth=0``). With
    other callbacks, which may read each epoch, all fits run one by one.

    Examples
    --------
    >>> from scipy.stats import loguniform
    >>> from sk_deep import BatchedRandomizedSearchCV, MLPRegressor
    >>> from sklearn.datasets import make_regression
    >>> X, y = make_regression(n_features=5, random_state=0)
    >>> y /= y.std()
    >>> network = MLPRegressor(hidden_layer_sizes=16, max_iter=50, random_state=0)
    >>> space = {"learning_rate_init": loguniform(1e-4, 1e-1), "dropout": [0.0, 0.2]}
    >>> search = BatchedRandomizedSearchCV(network, space, n_iter=20, random_state=0)
    >>> search.fit(X, y).cv_results_["params"][search.best_index_]["dropout"]
    0.0
    """

    _parameter_constraints: dict = {
        **constraints_of(RandomizedSearchCV),
        "batch_members": _BATCH_MEMBERS,
    }

    def __init__(
        self,
        estimator: Any,
        param_distributions: ParamGrid,
        *,
        n_iter: int = 10,
        scoring: Any = None,
        refit: bool | str | Callable[[dict[str, Any]], int] = True,
        cv: Any = None,
        verbose: int = 0,
        random_state: RandomStateLike = None,
        error_score: float | Literal["raise"] = np.nan,
        return_train_score: bool = False,
        n_jobs: int | None = None,
        batch_members: int | Literal["auto"] = "auto",
    ) -> None:
        super().__init__(
            estimator,
            param_distributions,
            n_iter=n_iter,
            scoring=scoring,
            refit=refit,
            cv=cv,
            verbose=verbose,
            random_state=random_state,
            error_score=error_score,
            return_train_score=return_train_score,
            n_jobs=n_jobs,
        )
        self.batch_members = batch_members
