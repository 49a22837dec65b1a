"""The walk along the recipe: which candidates to try next, and which to keep.

It knows nothing of folds or stacks: candidates go out, their scores come back.
"""

import datetime
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.random import RandomState
from numpy.typing import NDArray
from scipy.stats import rankdata
from sklearn.base import clone
from sklearn.ensemble import ExtraTreesRegressor
from sklearn.model_selection import ParameterGrid

from sk_deep._estimator.finding import find_network
from sk_deep._stacks.compatibility import freeze
from sk_deep.recipe._moves import (
    MOVES,
    TESTING,
    TRAINING,
    Facts,
    Suggestion,
    is_same,
)
from sk_deep.recipe._path import (
    NO_SCORES,
    Decision,
    MeanScores,
    Path,
    tell_parameters,
    tell_scores,
)
from sk_deep.recipe._space import Space

_LAST = "ensemble"  # of the moves: it multiplies what a fit costs
_TRAINING_SHARE = 0.6  # of the budget, for all of the first question
_MOVES_PAID = 20  # moves whose share of the budget is what each may spend
_USUAL_SHARE = 1 / 3  # of the budget, at most, for what usually works
_N_ENSEMBLES = 2  # best candidates, at most, of which ensembles are tried
_ROUND = 4  # candidates of a round of refinement
_POOL = 100  # neighbours from which they are taken
_MIXED = 0.4  # part of them that mix two of the best
_N_JUDGES = 5  # trees that choose each of them
_PATIENCE = 8  # rounds of refinement in which nothing helps
_N_PARENTS = 4  # best candidates whose neighbours are tried, at least
_MOST_PARENTS = 12
_ROUNDING = 1e-9  # by which equal scores may differ
_NEARLY = 0.02  # of the way from a constant to a linear prediction


class Budget:
    """What a search may spend: fits, or time.

    Parameters
    ----------
    limit : int or datetime.timedelta
        Number of fits, or wall time from now.
    n_splits : int
        Number of fits of a candidate.
    """

    def __init__(self, limit: int | datetime.timedelta, n_splits: int) -> None:
        self.limit, self.n_splits = limit, n_splits
        self.start = time.monotonic()
        self.n_fits = 0
        self.seconds = 0.0  # of a network in a fit, at the last time

    def spend(self, n_fits: int, seconds: float, n_networks: float = 1) -> None:
        """Count fits, of so many networks each, and the time that they took."""
        self.n_fits += n_fits
        self.seconds = seconds / max(1, n_fits * n_networks)

    def n_candidates(self, n_networks: int = 1) -> int:
        """Tell how many candidates can still be tried, as far as can be told.

        Parameters
        ----------
        n_networks : int, default=1
            Number of networks in each of them, on which the time depends.

        Returns
        -------
        n_candidates : int
            Their number.
        """
        if not isinstance(self.limit, datetime.timedelta):
            return max(0, self.limit - self.n_fits) // self.n_splits
        left = self.limit.total_seconds() - (time.monotonic() - self.start)
        if left <= 0:
            return 0
        per_candidate = max(self.seconds * self.n_splits * n_networks, 1e-3)
        return max(1, int(left / per_candidate))


@dataclass(frozen=True)
class Tried:
    """A candidate and its scores.

    Parameters
    ----------
    parameters : dict
        Its parameters, as far as they differ from the start.
    training, validation : ndarray of shape (n_splits,)
        Its scores.
    """

    parameters: dict[str, Any]
    training: NDArray
    validation: NDArray

    @property
    def scores(self) -> MeanScores:
        """Means and standard deviations."""
        parts = (self.training, self.validation)
        return MeanScores(*(f(part) for part in parts for f in (np.mean, np.std)))

    @property
    def value(self) -> float:
        """What ranks candidates: the mean validation score, the lowest where none."""
        mean = float(np.mean(self.validation))
        return mean if np.isfinite(mean) else -np.inf


def _gain(after: NDArray, before: NDArray) -> tuple[float, float]:
    """Mean of the differences over the folds, and its standard error."""
    if not np.isfinite(before).all():
        return (np.inf, 0.0) if np.isfinite(after).all() else (-np.inf, 0.0)
    differences = after - before
    error = np.std(differences) / np.sqrt(max(1, len(differences) - 1))
    return float(np.mean(differences)), float(error)


class Walk:
    """A walk from an estimator along the moves of the recipe.

    Parameters
    ----------
    estimator : estimator
        From which it starts: a network, or a pipeline that ends in one.
    facts : Facts
        Of the data.
    evaluate : callable
        Function of a list of dicts of the estimator's parameters that gives a list of
        pairs of arrays: scores on the training and on the validation rows of each fold.
    budget : Budget
        What may be spent.
    random_state : RandomState
        Source of the neighbours that are tried.
    tell : callable
        Is handed each decision.
    """

    def __init__(
        self,
        estimator: Any,
        facts: Facts,
        evaluate: Callable[[list[dict[str, Any]]], list[tuple[NDArray, NDArray]]],
        budget: Budget,
        random_state: RandomState,
        tell: Callable[[Decision], None],
    ) -> None:
        self.network, self.prefix = find_network(estimator)
        self.at_start, self.facts = estimator.get_params(), facts
        self.space = Space(self.network, facts)
        self.evaluate, self.budget, self.tell = evaluate, budget, tell
        self.random_state = random_state
        self.tried: dict[Any, Tried] = {}
        self.path = Path()
        self.most = 1  # candidates of a move

    # ---- the recipe ----------------------------------------------------------------

    def start(self, fixed: dict[str, Any]) -> None:
        """Try the estimator as it is.

        Parameters
        ----------
        fixed : dict of str to object
            Parameters that it gets with every candidate.
        """
        (self.best,) = self._try([fixed])
        told = f"{tell_scores(self.best.scores, NO_SCORES)}."
        self._decide("start", TRAINING, told, [fixed], fixed, NO_SCORES)

    def go(
        self, suggestions: Iterable[Suggestion], yardsticks: dict[str, float]
    ) -> None:
        """Walk until the budget is spent or nothing helps.

        Parameters
        ----------
        suggestions : iterable of Suggestion
            What a diagnosis advises; it is tried first.
        yardsticks : dict of str to float
            Training scores of a "linear" and of a "constant" model; may be nan.
        """
        n_candidates = self.budget.n_candidates()
        self.most = max(1, n_candidates // _MOVES_PAID)
        for suggestion in suggestions:
            if suggestion.move == _LAST:
                continue
            grid = ParameterGrid(suggestion.param_grid)
            candidates = [self._beside(self.best.parameters, one) for one in grid]
            self._choose(suggestion.move, candidates, suggestion.sentence)
        self._improve_training(yardsticks, int((1 - _TRAINING_SHARE) * n_candidates))
        self._ask_about_testing()
        self._try_what_usually_works()
        for key, move in MOVES.items():
            if move.question == TESTING and key != _LAST:
                self._make(key)
        self._make_ensembles()
        self._refine()
        self._end()

    def _improve_training(self, yardsticks: dict[str, float], n_kept_back: int) -> None:
        """Make the moves of the first question until training is good, or none helps.

        No pass begins when less than `n_kept_back` candidates are left to the second.
        """
        helps = True
        while not self._is_training_good(yardsticks) and helps:
            helps = False
            if self.budget.n_candidates() <= n_kept_back:
                return
            for key, move in MOVES.items():
                if move.question == TRAINING:
                    helps |= self._make(key)
                    if helps and _is_good(self.best.scores, yardsticks):
                        break

    def _is_training_good(self, yardsticks: dict[str, float]) -> bool:
        is_good = _is_good(self.best.scores, yardsticks)
        told = ", ".join(
            f"a {name} model has {score:.3f}"
            for name, score in yardsticks.items()
            if np.isfinite(score)
        )
        own = f"{self.best.scores.training:.3f}; {told or 'nothing to compare with'}"
        self._ask(TRAINING, f"{own}: {'yes' if is_good else 'no'}.")
        return is_good

    def _ask_about_testing(self) -> None:
        training, _, validation, spread = self.best.scores
        gap = training - validation
        is_good = gap <= spread / np.sqrt(self.budget.n_splits)
        text = f"{validation:.3f}, {gap:.3f} below that on the training data"
        self._ask(TESTING, f"{text}: {'yes' if is_good else 'no'}.")

    def _try_what_usually_works(self) -> None:
        """Try good choices of many parameters at once, as far as can be paid for."""
        n_choices = int(_USUAL_SHARE * self.budget.n_candidates())
        choices = self.space.usual(self._network_now())[:n_choices]
        own = self.best.parameters
        self._choose("usual", [self._beside(own, self._prefixed(c)) for c in choices])

    def _make_ensembles(self) -> None:
        """Try ensembles of the best candidates."""
        best = sorted(self.tried.values(), key=_by_validation, reverse=True)
        candidates = []
        for one in best[: min(_N_ENSEMBLES, self.most)]:
            network = self._network_at(one.parameters)
            for changes in MOVES[_LAST].candidates(network, self.facts):
                changed = self._beside(one.parameters, self._prefixed(changes))
                candidates += [changed] if self.space.holds(changes) else []
        self._choose(_LAST, candidates)

    def _refine(self) -> None:
        """Try neighbours of the best candidates, in rounds, until nothing helps."""
        n_idle = 0
        while n_idle < _PATIENCE and self.budget.n_candidates() > 0:
            candidates = self._neighbours()
            if not candidates:
                return
            helps = self._choose("refinement", candidates)
            n_idle = 0 if helps else n_idle + 1

    def _neighbours(self) -> list[dict[str, Any]]:
        """Draw candidates around the best ones, and take the most promising of them.

        A forest learns the scores from the parameters (F. Hutter, H. Hoos and K.
        Leyton-Brown, "Sequential model-based optimization for general algorithm
        configuration", LION 2011); a few of its trees, others each time, choose.
        """
        parents = self._parents()
        found: dict[Any, tuple[dict[str, Any], list[float]]] = {}
        for _ in range(_POOL):
            parameters = self._neighbour(parents)
            if (key := freeze(parameters)) not in self.tried:
                code = self.space.encode(self._network_at(parameters))
                found[key] = parameters, code
        if not found:
            return []
        candidates, codes = zip(*found.values(), strict=True)
        promise = self._promise(np.array(codes))
        chosen: dict[int, None] = {}
        while len(chosen) < min(_ROUND, len(candidates)):
            trees = self.random_state.randint(len(promise), size=_N_JUDGES)
            scores = promise[trees].mean(axis=0)
            scores[list(chosen)] = -np.inf
            chosen[int(np.argmax(scores))] = None
        return [candidates[i] for i in chosen]

    def _neighbour(self, parents: list[Tried]) -> dict[str, Any]:
        """Draw a candidate near one of the best, or near a mixture of two of them."""
        draws = self.random_state.randint(len(parents), size=2)
        own, other = (parents[i].parameters for i in draws)
        if self.random_state.random_sample() < _MIXED:
            networks = self._network_at(own), self._network_at(other)
            changes = self.space.mixture(*networks, self.random_state)
            own = self._beside(own, self._prefixed(changes))
        changes = self.space.neighbour(self._network_at(own), self.random_state)
        return self._beside(own, self._prefixed(changes))

    def _parents(self) -> list[Tried]:
        """Take the best candidates, and those that are as good but for chance."""
        ranked = sorted(self.tried.values(), key=_by_validation, reverse=True)
        best = ranked[0].scores
        error = np.nan_to_num(best.validation_std) / np.sqrt(self.budget.n_splits)
        alike = [one for one in ranked if one.value >= ranked[0].value - error]
        return alike[:_MOST_PARENTS] if len(alike) > _N_PARENTS else ranked[:_N_PARENTS]

    def _promise(self, codes: NDArray) -> NDArray:
        """Predict scores of candidates by each tree of a forest."""
        known = [one for one in self.tried.values() if np.isfinite(one.value)]
        if not known:
            return np.zeros((1, len(codes)))
        scores = np.array([one.value for one in known])
        own = [self.space.encode(self._network_at(one.parameters)) for one in known]
        seed = self.random_state.randint(2**31 - 1)
        forest = ExtraTreesRegressor(50, min_samples_leaf=2, random_state=seed)
        forest.fit(own, rankdata(scores))  # how bad bad ones are does not matter
        return np.array([tree.predict(codes) for tree in forest.estimators_])

    # ---- a move --------------------------------------------------------------------

    def _make(self, key: str) -> bool:
        """Make a move from the best parameters; tell whether it helps."""
        candidates = MOVES[key].candidates(self._network_now(), self.facts)
        candidates = [one for one in candidates if self.space.holds(one)]
        if len(candidates) > self.most:  # the middle of each of as many parts
            places = (np.arange(self.most) + 0.5) * len(candidates) / self.most
            candidates = [candidates[int(i)] for i in places]
        own = self.best.parameters
        candidates = [self._beside(own, self._prefixed(one)) for one in candidates]
        return self._choose(key, candidates)

    def _choose(
        self, key: str, candidates: list[dict[str, Any]], sentence: str = ""
    ) -> bool:
        """Try candidates, as many as can be paid for, and keep what helps."""
        wanted = [one for one in candidates if freeze(one) not in self.tried]
        n_networks = max(map(self._n_networks, wanted), default=1)
        tried = self._try(wanted[: self.budget.n_candidates(n_networks)])
        if not tried:
            return False
        question = MOVES[key].question if key in MOVES else TESTING
        before = self.best
        rank = _by_both if question == TRAINING else _by_validation
        helping = [one for one in tried if _helps(one, before, question)]
        winner = max(helping or tried, key=rank)
        if helping:
            self.best = winner
        self._decide(
            key,
            question,
            self._tell_choice(winner, before, len(tried), bool(helping)),
            [one.parameters for one in tried],
            winner.parameters if helping else None,
            before.scores,
            winner.scores,
            sentence,
        )
        return bool(helping)

    def _tell_choice(self, winner: Tried, before: Tried, n: int, helps: bool) -> str:
        told = tell_parameters(self._changes(winner, before), self.prefix)
        best = f"best of {n}, " if n > 1 else ""
        scores = tell_scores(winner.scores, before.scores)
        return f"{best}{told}: {scores}: {'kept' if helps else 'not kept'}."

    def _changes(self, one: Tried, before: Tried) -> dict[str, Any]:
        """Tell in what a candidate differs from another."""
        changed = dict(one.parameters)
        for name, value in before.parameters.items():
            if name not in changed:  # set back
                changed[name] = self.at_start[name]
            elif is_same(changed[name], value):
                del changed[name]
        return changed

    def _try(self, candidates: list[dict[str, Any]]) -> list[Tried]:
        """Evaluate candidates, and remember them."""
        if not candidates:
            return []
        start = time.monotonic()
        scores = self.evaluate(candidates)
        n_fits = len(candidates) * self.budget.n_splits
        n_networks = np.mean([self._n_networks(one) for one in candidates])
        self.budget.spend(n_fits, time.monotonic() - start, float(n_networks))
        found = [Tried(p, *pair) for p, pair in zip(candidates, scores, strict=True)]
        self.tried.update((freeze(one.parameters), one) for one in found)
        return found

    # ---- parameters ----------------------------------------------------------------

    def _network_at(self, parameters: dict[str, Any]) -> Any:
        """Set a copy of the network to some of the estimator's parameters."""
        own = {
            name.removeprefix(self.prefix): value
            for name, value in parameters.items()
            if name.startswith(self.prefix)
        }
        return clone(self.network).set_params(**own)

    def _n_networks(self, parameters: dict[str, Any]) -> int:
        return self._network_at(parameters).n_members

    def _network_now(self) -> Any:
        return self._network_at(self.best.parameters)

    def _prefixed(self, parameters: dict[str, Any]) -> dict[str, Any]:
        return {f"{self.prefix}{name}": value for name, value in parameters.items()}

    def _beside(self, parameters: dict, changes: dict) -> dict[str, Any]:
        """Change some parameters; leave out those that are as at the start."""
        changed = {**parameters, **changes}
        return {
            name: changed[name]
            for name in sorted(changed)
            if not self._is_as_at_start(name, changed[name])
        }

    def _is_as_at_start(self, name: str, value: Any) -> bool:
        return is_same(value, self.at_start[name])

    # ---- decisions -----------------------------------------------------------------

    def _ask(self, question: str, text: str) -> None:
        self._decide(question, question, text, [], None, self.best.scores)

    def _end(self) -> None:
        before = self.best
        self.best = max(self.tried.values(), key=_by_validation)
        told = tell_parameters(self.best.parameters, self.prefix)
        scores = tell_scores(self.best.scores, self.path[0].after)
        text = f"best of {len(self.tried)} candidates: {told}: {scores}."
        kept = self.best.parameters
        self._decide("end", TESTING, text, [], kept, before.scores)

    def _decide(
        self,
        move: str,
        question: str,
        text: str,
        tried: list,
        kept: dict | None,
        before: MeanScores,
        after: MeanScores | None = None,
        sentence: str = "",
    ) -> None:
        after = self.best.scores if after is None else after
        title, usual = _titles()[move]
        decision = Decision(
            question,
            move,
            title,
            sentence or usual,
            text,
            tried,
            kept,
            before,
            after,
            self.budget.n_fits,
        )
        self.path.append(decision)
        self.tell(decision)


def _titles() -> dict[str, tuple[str, str]]:
    """Title and sentence of all that is decided."""
    ask = "Ask which of the two is the trouble."
    return {
        "start": ("Start", "Look at the estimator as it is."),
        TRAINING: ("Good results on the training data?", ask),
        TESTING: ("Good results on the testing data?", ask),
        **{
            key: (move.title.capitalize(), move.sentence) for key, move in MOVES.items()
        },
        "usual": (
            "Usual choices",
            "Set at once what usually works together: single moves may each bring"
            " nothing.",
        ),
        "refinement": (
            "Refinement",
            "Try neighbours of the best candidates, and of their mixtures.",
        ),
        "end": ("End", "Take the candidate with the best validation score."),
    }


def _is_good(scores: MeanScores, yardsticks: dict[str, float]) -> bool:
    """Whether a training score is nearly as good as that of a linear model."""
    linear, constant = yardsticks["linear"], yardsticks["constant"]
    return bool(scores.training >= linear - _NEARLY * (linear - constant))


def _helps(one: Tried, before: Tried, question: str) -> bool:
    """Whether a candidate is better, by what its question asks for."""
    if not np.isfinite(one.value):
        return False
    if one.value > before.value + _ROUNDING * max(1.0, abs(one.value)):
        return True
    training, error = _gain(one.training, before.training)
    lost, doubt = _gain(before.validation, one.validation)
    return question == TRAINING and training > error and lost <= doubt


def _by_validation(one: Tried) -> float:
    return one.value


def _by_both(one: Tried) -> float:
    return one.value + float(np.nan_to_num(one.scores.training, nan=-np.inf))
