"""The diagnosis of an estimator: what is wrong, why, and what to try."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from sklearn import config_context
from sklearn.base import BaseEstimator
from sklearn.utils import check_random_state

from sk_deep._estimator.finding import find_network
from sk_deep._typing import MatrixLike, RandomStateLike, ScoreFunction
from sk_deep.plots import DiagnosisDisplay
from sk_deep.recipe._case import Case
from sk_deep.recipe._measure import Measurements
from sk_deep.recipe._measuring import measure
from sk_deep.recipe._moves import Suggestion
from sk_deep.recipe._report import html, text
from sk_deep.recipe._rules import RULES, Evidence
from sk_deep.recipe._study import Study


@dataclass(frozen=True)
class Verdict:
    """A cause of bad results, or the verdict that there is none.

    Parameters
    ----------
    key : str
        The cause: ``"overfitting"``, ``"healthy"``, ...

    message : str
        The cause in a sentence.

    rule : str
        The conditions of the rule.

    evidence : dict of str to float
        The numbers that support it.

    suggestions : list of Suggestion
        What to try, the best one first.

    is_confirmed : bool or None
        Whether the first suggestion helps on the same splits; None if it was not
        tried.
    """

    key: str
    message: str
    rule: str
    evidence: Evidence
    suggestions: list[Suggestion]
    is_confirmed: bool | None = None


class Diagnosis:
    """Result of `diagnose`: measurements, verdicts and suggestions.

    Printed, it is a report; a notebook shows the figures, too.

    Parameters
    ----------
    name : str
        Name of the estimator.

    measurements : Measurements
        The measurements.

    verdicts : list of Verdict
        The causes, the likeliest one first; only ``"healthy"`` if there is none.

    Attributes
    ----------
    name : str
        Name of the estimator.

    measurements : Measurements
        Scores of the estimator and of the yardsticks, curves, gradients, units, rates,
        scales. All are plain numbers and arrays.

    verdicts : list of Verdict
        The causes: `key`, `message`, `rule`, `evidence` and `suggestions` of each.

    suggestions : list of Suggestion
        Suggestions of all verdicts: `sentence`, `parameters`, `param_grid` of each.

    n_fits : int
        Number of fits of the diagnosis.

    See Also
    --------
    diagnose : Diagnose an estimator.
    sk_deep.RecipeSearchCV : Search that tries the suggestions.

    Examples
    --------
    >>> from sk_deep import MLPRegressor, diagnose
    >>> from sklearn.datasets import make_regression
    >>> X, y = make_regression(n_features=5, random_state=0)
    >>> network = MLPRegressor(max_iter=2, random_state=0)
    >>> diagnosis = diagnose(network, X, y / y.std(), cv=3, random_state=0)
    >>> print(diagnosis.verdicts[0].key, diagnosis.suggestions[0].param_grid)
    not_converged {'max_iter': [200, 500], 'n_iter_no_change': [30]}
    """

    def __init__(
        self, name: str, measurements: Measurements, verdicts: list[Verdict]
    ) -> None:
        self.name = name
        self.measurements = measurements
        self.verdicts = verdicts

    @property
    def suggestions(self) -> list[Suggestion]:
        """Suggestions of all verdicts, in their order and without repeats."""
        suggestions: list[Suggestion] = []
        for verdict in self.verdicts:
            suggestions += [s for s in verdict.suggestions if s not in suggestions]
        return suggestions

    @property
    def n_fits(self) -> int:
        """Number of fits of the diagnosis."""
        return self.measurements.n_fits

    def to_frame(self) -> pd.DataFrame:
        """List the verdicts and their suggestions as a table.

        Returns
        -------
        frame : DataFrame
            A row for each suggestion of each verdict, in order: `verdict`, `message`,
            `suggestion`, `parameters` and `param_grid`.
        """
        rows = [
            {
                "verdict": verdict.key,
                "message": verdict.message,
                "suggestion": suggestion.sentence,
                "parameters": ", ".join(suggestion.parameters),
                "param_grid": suggestion.param_grid,
            }
            for verdict in self.verdicts
            for suggestion in verdict.suggestions
        ]
        columns = ["verdict", "message", "suggestion", "parameters", "param_grid"]
        return pd.DataFrame(rows, columns=columns)

    def plot(self, fig: Any = None) -> Any:
        """Draw the measurements.

        Parameters
        ----------
        fig : Figure or SubFigure, default=None
            Where to draw; None is a new figure of matplotlib.

        Returns
        -------
        fig : Figure or SubFigure
            The panels show scores beside the yardsticks, scores by number of
            training rows, training loss by epoch, loss by learning rate, gradients by
            layer and epoch, units by layer.

        Raises
        ------
        ImportError
            If matplotlib is missing.
        """
        return DiagnosisDisplay(self.measurements).plot(fig).figure_

    def __repr__(self):
        return text(self)

    def _repr_html_(self):
        return html(self)


def diagnose(
    estimator: BaseEstimator,
    X: MatrixLike,
    y: ArrayLike,
    *,
    X_test: MatrixLike | None = None,
    y_test: ArrayLike | None = None,
    cv: Any = 5,
    scoring: str | ScoreFunction | None = None,
    sample_weight: ArrayLike | None = None,
    random_state: RandomStateLike = None,
) -> Diagnosis:
    """Explain why a network performs badly, and suggest what to try.

    The diagnosis answers the two questions of the recipe of deep learning with numbers:
    good results on the training data? Good results on the testing data? It checks for
    the classic causes of bad results, and suggests parameters, each with a grid for a
    search. A network that is bad on its training rows does not overfit.

    Parameters
    ----------
    estimator : estimator
        An `MLPClassifier` or `MLPRegressor`, or a Pipeline that ends in one. It does
        not change and need not be fitted; if it is, its own units are measured.

    X : {array-like, sparse matrix} of shape (n_samples, n_features)
        Data to fit and to validate on.

    y : array-like of shape (n_samples,) or (n_samples, n_outputs)
        Targets.

    X_test : {array-like, sparse matrix} of shape (n_test, n_features), default=None
        Further data that the fit does not see, for the second question.

    y_test : array-like of shape (n_test,) or (n_test, n_outputs), default=None
        Targets of X_test.

    cv : int, cross-validation generator or iterable, default=5
        How the data are split; an int is a number of folds, stratified for classifiers.

    scoring : str or callable, default=None
        How to score predictions, as in scikit-learn; None is the estimator's `score`.

    sample_weight : array-like of shape (n_samples,), default=None
        Weights of the rows in training; scores are of unweighted rows, as in
        scikit-learn's searches.

    random_state : int, RandomState instance or None, default=None
        Source of samples of rows, and of the random state of the network if its
        `random_state` is None. Pass an int for reproducible results.

    Returns
    -------
    diagnosis : Diagnosis
        Verdicts, the likeliest cause first, with their evidence and suggestions.

    Raises
    ------
    ValueError
        If the estimator is of another kind, if only one of X_test and y_test is given,
        or if the data or the parameters are illegal.

    See Also
    --------
    sk_deep.RecipeSearchCV : Search that tries the suggestions.

    Notes
    -----
    The estimator is fitted on each split, with its layers monitored. On the same splits
    it is compared with yardsticks, so that no absolute idea of a good score is needed:
    a constant prediction, a linear model and a plain network of 128 units, the latter
    two on scaled inputs. Then follow the learning curve over a quarter and a half of
    the rows, a short training with each of a range of learning rates, and the first
    suggestion of each verdict in turn, until one improves the validation score: that
    verdict comes first. A diagnosis takes about ten times as long as a
    cross-validation.

    References
    ----------
    H. Lee, "Recipe of deep learning", lecture of the course Machine Learning, National
    Taiwan University.

    X. Glorot and Y. Bengio, "Understanding the difficulty of training deep feedforward
    neural networks", AISTATS 2010 (gradients and saturation).

    L. N. Smith, "Cyclical learning rates for training neural networks", WACV 2017, sec.
    3.3 (the range of learning rates).

    Examples
    --------
    >>> from sk_deep import MLPClassifier, diagnose
    >>> from sklearn.datasets import load_iris
    >>> X, y = load_iris(return_X_y=True)
    >>> network = MLPClassifier(learning_rate_init=1e-5, max_iter=100)
    >>> diagnosis = diagnose(network, X, y, random_state=0)
    >>> diagnosis.verdicts[0].key
    'learning_rate_too_low'
    >>> diagnosis.suggestions[0].parameters
    ('learning_rate_init',)
    """
    mlp, _ = find_network(estimator, nested=False)
    _check_test_data(X_test, y_test)
    # weights are passed to the last step, whatever it requests
    with config_context(enable_metadata_routing=False):
        study = Study(
            estimator,
            X,
            y,
            cv=cv,
            scoring=scoring,
            sample_weight=sample_weight,
            random_state=check_random_state(random_state),
        )
        fitted = estimator if mlp.__sklearn_is_fitted__() else None
        test = None if X_test is None else (X_test, y_test)
        measured = measure(study, fitted=fitted, test=test)
        verdicts = list(_find_verdicts(study, measured))
        measured.n_fits = study.n_fits
    return Diagnosis(type(study.mlp).__name__, measured, verdicts)


def _check_test_data(X_test: Any, y_test: Any) -> None:
    if (X_test is None) != (y_test is None):
        missing = "X_test" if X_test is None else "y_test"
        raise ValueError(f"X_test and y_test need each other, got {missing}=None.")


def _find_verdicts(study: Study, measured: Measurements) -> Iterator[Verdict]:
    """Apply the rules, and try the first suggestions until one helps.

    The cause whose remedy helps comes first. The causes that were not tried follow in
    the order of the rules, then the causes whose remedy did not help.
    """
    case = Case(study.estimator, measured)
    waiting = [
        Verdict(key, rule.message, rule.rule, evidence, list(rule.suggests(case)))
        for key, rule in RULES.items()
        if key != "healthy" and (evidence := rule.finds(case)) is not None
    ]
    if not waiting:
        rule = RULES["healthy"]
        evidence = rule.finds(case) or {}
        suggestions = list(rule.suggests(case))
        yield Verdict("healthy", rule.message, rule.rule, evidence, suggestions)
    refuted = []
    while waiting:
        verdict = _tried(study, case, waiting.pop(0))
        if verdict.is_confirmed or not RULES[verdict.key].has_remedy:
            yield verdict
            break
        refuted.append(verdict)
    yield from waiting
    yield from refuted


def _tried(study: Study, case: Case, verdict: Verdict) -> Verdict:
    """Try the first suggestion, and record whether it helps."""
    if not verdict.suggestions:
        return verdict
    scores = study.scores(study.estimator, verdict.suggestions[0].param_grid)
    means = np.array([np.mean(candidate.test) for candidate in scores])
    best = float(np.max(np.where(np.isfinite(means), means, -np.inf)))
    evidence = {**verdict.evidence, "validation score with the first suggestion": best}
    return replace(verdict, evidence=evidence, is_confirmed=best > case.bar)
