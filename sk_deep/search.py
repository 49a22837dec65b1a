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
    """What the two searches add to those of scikit-learn."""

    def _run_search(self, evaluate_candidates, *, callback_ctx=None):
        train_in_stacks(self, evaluate_candidates, self.batch_members)
        super()._run_search(evaluate_candidates, callback_ctx=callback_ctx)


class BatchedGridSearchCV(_Batched, GridSearchCV):
    """Search a grid of parameters, all candidates and folds trained together.

    It is scikit-learn's `GridSearchCV`: it has the same parameters, attributes and
    results, and takes its place in pipelines, `cross_validate` and nested searches.
    Where the estimator is a network of this package, or a `Pipeline` that ends in one,
    the networks of all candidates and folds train together, as stacks: one tensor
    operation steps all of them, which takes a fraction of the time. See Notes.

    Parameters
    ----------
    estimator : estimator
        What is searched. Other estimators than those networks are searched as
        scikit-learn does it.

    param_grid : dict or list of dict
        Parameters and the values to try, or several such grids.

    scoring : str, callable, list, tuple or dict, default=None
        How predictions are scored, as in scikit-learn; None is the estimator's `score`.

    refit : bool, str or callable, default=True
        Whether to refit the best candidate on all data; of several scores, which one
        tells the best; or a function of `cv_results_` that gives its index.

    cv : int, cross-validation generator or iterable, default=None
        How the data are split; None is 5 folds, stratified for classifiers.

    verbose : int, default=0
        What is printed: above 0 the number of fits, and which go one by one, and why;
        above 1 each fit with its time, above 2 its score too.

    error_score : 'raise' or numeric, default=nan
        Score of a fit that fails.

    return_train_score : bool, default=False
        Whether to score on the training rows too.

    n_jobs : int, default=None
        Number of workers, each of which trains whole stacks; None is 1 unless in a
        `joblib.parallel_config` context, -1 all processors.

    batch_members : int or "auto", default="auto"
        Most networks in a stack, unless a single ensemble has more. The memory of a
        search grows with it; "auto" lets the parameters and values of a stack stay in a
        processor's cache.

    Attributes
    ----------
    cv_results_ : dict of str to ndarray
        As in scikit-learn. The times of a stack are shared out over its networks.

    best_estimator_ : estimator
        The refitted estimator.

    best_score_ : float
        Mean score of the best candidate on the test folds.

    best_params_ : dict
        Its parameters.

    best_index_ : int
        Its index in `cv_results_`.

    scorer_ : callable or dict
        What scored.

    n_splits_ : int
        Number of splits.

    refit_time_ : float
        Seconds that the refit took.

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
    sklearn.model_selection.GridSearchCV : The search that this one is.
    sk_deep.BatchedRandomizedSearchCV : Search a sample of candidates.

    Notes
    -----
    A network in a stack has its own rows, shuffles, initial weights and random state,
    and gives what it gives alone: in float64 to rounding, with dropout or augmentation
    in law. Early stopping acts on each; those that have finished leave the stack.

    Networks share a stack where they differ in numbers: rates, schedules, penalties,
    momentum and betas, probabilities of dropout, bounds on norms, class weights, random
    states, `max_iter`, `tol`, patience. Where they differ in structure (layers,
    activation, solver, batch size, loss, whether there is dropout at all, ...), each
    structure has stacks of its own. An ensemble is as many networks, all in one stack.
    The steps of a pipeline before the network are fitted once per fold and combination
    of *their* parameters.

    One by one, as in scikit-learn, go: ``solver="lbfgs"``, ensembles of folds
    (`n_folds`), networks with ``callbacks`` or ``verbose``, and those with code of
    one's own as activation, loss, solver, schedule or augmentation.

    Callbacks of scikit-learn on the search (`set_callbacks`) are told of each fit when
    its stack has finished. A `sklearn.callback.ProgressBar` leaves the stacks as they
    are, as do callbacks that end at the search (``max_propagation_depth=0``). Others
    that go down to the networks may look at each epoch: all fits then go one by one.

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

    It is scikit-learn's `RandomizedSearchCV`: it has the same parameters, attributes
    and results, and takes its place in pipelines, `cross_validate` and nested searches.
    Where the estimator is a network of this package, or a `Pipeline` that ends in one,
    the networks of all candidates and folds train together, as stacks: one tensor
    operation steps all of them, which takes a fraction of the time. See Notes.

    Parameters
    ----------
    estimator : estimator
        What is searched. Other estimators than those networks are searched as
        scikit-learn does it.

    param_distributions : dict or list of dict
        Parameters and their values, lists or distributions with an ``rvs`` method, or
        several such dicts.

    n_iter : int, default=10
        Number of candidates.

    scoring : str, callable, list, tuple or dict, default=None
        How predictions are scored, as in scikit-learn; None is the estimator's `score`.

    refit : bool, str or callable, default=True
        Whether to refit the best candidate on all data; of several scores, which one
        tells the best; or a function of `cv_results_` that gives its index.

    cv : int, cross-validation generator or iterable, default=None
        How the data are split; None is 5 folds, stratified for classifiers.

    verbose : int, default=0
        What is printed: above 0 the number of fits, and which go one by one, and why;
        above 1 each fit with its time, above 2 its score too.

    random_state : int, RandomState instance or None, default=None
        Source of the candidates.

    error_score : 'raise' or numeric, default=nan
        Score of a fit that fails.

    return_train_score : bool, default=False
        Whether to score on the training rows too.

    n_jobs : int, default=None
        Number of workers, each of which trains whole stacks; None is 1 unless in a
        `joblib.parallel_config` context, -1 all processors.

    batch_members : int or "auto", default="auto"
        Most networks in a stack, unless a single ensemble has more. The memory of a
        search grows with it; "auto" lets the parameters and values of a stack stay in a
        processor's cache.

    Attributes
    ----------
    cv_results_ : dict of str to ndarray
        As in scikit-learn. The times of a stack are shared out over its networks.

    best_estimator_ : estimator
        The refitted estimator.

    best_score_ : float
        Mean score of the best candidate on the test folds.

    best_params_ : dict
        Its parameters.

    best_index_ : int
        Its index in `cv_results_`.

    scorer_ : callable or dict
        What scored.

    n_splits_ : int
        Number of splits.

    refit_time_ : float
        Seconds that the refit took.

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
    sklearn.model_selection.RandomizedSearchCV : The search that this one is.
    sk_deep.BatchedGridSearchCV : Search a grid of parameters.

    Notes
    -----
    A network in a stack has its own rows, shuffles, initial weights and random state,
    and gives what it gives alone: in float64 to rounding, with dropout or augmentation
    in law. Early stopping acts on each; those that have finished leave the stack.

    Networks share a stack where they differ in numbers: rates, schedules, penalties,
    momentum and betas, probabilities of dropout, bounds on norms, class weights, random
    states, `max_iter`, `tol`, patience. Where they differ in structure (layers,
    activation, solver, batch size, loss, whether there is dropout at all, ...), each
    structure has stacks of its own. An ensemble is as many networks, all in one stack.
    The steps of a pipeline before the network are fitted once per fold and combination
    of *their* parameters.

    One by one, as in scikit-learn, go: ``solver="lbfgs"``, ensembles of folds
    (`n_folds`), networks with ``callbacks`` or ``verbose``, and those with code of
    one's own as activation, loss, solver, schedule or augmentation.

    Callbacks of scikit-learn on the search (`set_callbacks`) are told of each fit when
    its stack has finished. A `sklearn.callback.ProgressBar` leaves the stacks as they
    are, as do callbacks that end at the search (``max_propagation_depth=0``). Others
    that go down to the networks may look at each epoch: all fits then go one by one.

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
