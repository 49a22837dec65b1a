"""The walk along the recipe: which candidates to try next, and which to keep.

Folds and stacks are hidden behind `evaluate`, from candidates to their scores.
"""

import time
from collections.abc import Callable, Iterable
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
from sk_deep.recipe._budget import Budget
from sk_deep.recipe._candidates import Tried, by_both, by_validation, is_better
from sk_deep.recipe._moves import (
    MOVES,
    TESTING,
    TRAINING,
    Facts,
    Suggestion,
)
from sk_deep.recipe._path import (
    NO_SCORES,
    Decision,
    MeanScores,
    Path,
    write_parameters,
    write_scores,
)
from sk_deep.recipe._space import Space
from sk_deep.recipe._values import is_same

_LAST = "ensemble"  # the last move, since it multiplies the cost of a fit
_TRAINING_SHARE = 0.6  # part of the budget for the first question
_MOVES_PAID = 20  # each move may spend 1/20 of the budget
_USUAL_SHARE = 1 / 3  # largest part of the budget for usual choices
_N_ENSEMBLES = 2  # most candidates that are tried as ensembles
_ROUND = 4  # candidates of a round of refinement
_POOL = 100  # neighbours from which a round is chosen
_MIXED = 0.4  # part of the neighbours that mix two of the best candidates
_N_JUDGES = 5  # trees that choose a candidate of a round
_PATIENCE = 8  # rounds of refinement without improvement
_N_PARENTS = 4  # fewest best candidates whose neighbours are tried
_MOST_PARENTS = 12
_NEARLY = 0.02  # part of the way from a constant to a linear model


class Walk:
    """A walk from an estimator along the moves of the recipe.

    Parameters
    ----------
    estimator : estimator
        The start: an estimator of this package, or a pipeline that ends in one.
    facts : Facts
        Facts about the data.
    evaluate : callable
        Function of a list of dicts of the estimator's parameters that gives a list of
        pairs of arrays: scores on the training and on the validation rows of each fold.
    budget : Budget
        Budget of the search.
    random_state : RandomState
        Source of the neighbours in the refinement.
    report : callable
        Function that gets each decision.
    """

    def __init__(
        self,
        estimator: Any,
        facts: Facts,
        evaluate: Callable[[list[dict[str, Any]]], list[tuple[NDArray, NDArray]]],
        budget: Budget,
        random_state: RandomState,
        report: Callable[[Decision], None],
    ) -> None:
        self.mlp, self.prefix = find_network(estimator)
        self.at_start, self.facts = estimator.get_params(), facts
        self.space = Space(self.mlp, facts)
        self.evaluate, self.budget, self.report = evaluate, budget, report
        self.random_state = random_state
        self.tried: dict[Any, Tried] = {}
        self.path = Path()
        self.most = 1  # most candidates of a move

    # ---- the recipe ----------------------------------------------------------------

    def start(self, fixed: dict[str, Any]) -> None:
        """Try the estimator as it is.

        Parameters
        ----------
        fixed : dict of str to object
            Parameters that every candidate gets.
        """
        (self.best,) = self._try([fixed])
        text = f"{write_scores(self.best.scores, NO_SCORES)}."
        self._decide("start", TRAINING, text, [fixed], fixed, NO_SCORES)

    def go(
        self, suggestions: Iterable[Suggestion], yardsticks: dict[str, float]
    ) -> None:
        """Walk until the budget is spent or nothing helps.

        Parameters
        ----------
        suggestions : iterable of Suggestion
            Suggestions of a diagnosis, which are tried first.
        yardsticks : dict of str to float
            Training scores of a "linear" and of a "constant" model; may be nan.
        """
        n_candidates = self.budget.n_candidates()
        self.most = max(1, n_candidates // _MOVES_PAID)
        for suggestion in suggestions:
            if suggestion.move == _LAST:
                continue
            grid = ParameterGrid(suggestion.param_grid)
            candidates = [self._beside(self.best.parameters, row) for row in grid]
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
        comparisons = ", ".join(
            f"a {name} model has {score:.3f}"
            for name, score in yardsticks.items()
            if np.isfinite(score)
        )
        score = f"{self.best.scores.training:.3f}"
        answer = "yes" if is_good else "no"
        text = f"{score}; {comparisons or 'nothing to compare with'}: {answer}."
        self._ask(TRAINING, text)
        return is_good

    def _ask_about_testing(self) -> None:
        training, _, validation, spread = self.best.scores
        gap = training - validation
        is_good = gap <= spread / np.sqrt(self.budget.n_splits)
        text = f"{validation:.3f}, {gap:.3f} below that on the training data"
        self._ask(TESTING, f"{text}: {'yes' if is_good else 'no'}.")

    def _try_what_usually_works(self) -> None:
        """Try good choices of many parameters at once, as the budget allows."""
        n_choices = int(_USUAL_SHARE * self.budget.n_candidates())
        choices = self.space.usual(self._network_now())[:n_choices]
        present = self.best.parameters
        candidates = [self._beside(present, self._prefixed(c)) for c in choices]
        self._choose("usual", candidates)

    def _make_ensembles(self) -> None:
        """Try ensembles of the best candidates."""
        best = sorted(self.tried.values(), key=by_validation, reverse=True)
        candidates = []
        for member in best[: min(_N_ENSEMBLES, self.most)]:
            mlp = self._network_at(member.parameters)
            for changes in MOVES[_LAST].candidates(mlp, self.facts):
                changed = self._beside(member.parameters, self._prefixed(changes))
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
        """Draw candidates around the best ones, and choose the most promising.

        A forest learns the scores from the parameters (F. Hutter, H. Hoos and K.
        Leyton-Brown, "Sequential model-based optimization for general algorithm
        configuration", LION 2011); a few of its trees, others each time, choose.
        """
        parents = self._parents()
        pool: dict[Any, tuple[dict[str, Any], list[float]]] = {}
        for _ in range(_POOL):
            parameters = self._neighbour(parents)
            if (key := freeze(parameters)) not in self.tried:
                code = self.space.encode(self._network_at(parameters))
                pool[key] = parameters, code
        if not pool:
            return []
        candidates, codes = zip(*pool.values(), strict=True)
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
        parameters, other = (parents[i].parameters for i in draws)
        if self.random_state.random_sample() < _MIXED:
            mlps = self._network_at(parameters), self._network_at(other)
            changes = self.space.mixture(*mlps, self.random_state)
            parameters = self._beside(parameters, self._prefixed(changes))
        mlp = self._network_at(parameters)
        changes = self.space.neighbour(mlp, self.random_state)
        return self._beside(parameters, self._prefixed(changes))

    def _parents(self) -> list[Tried]:
        """Return the best candidates, and all within a standard error of the best."""
        ranked = sorted(self.tried.values(), key=by_validation, reverse=True)
        best = ranked[0].scores
        error = np.nan_to_num(best.validation_std) / np.sqrt(self.budget.n_splits)
        alike = [row for row in ranked if row.value >= ranked[0].value - error]
        return alike[:_MOST_PARENTS] if len(alike) > _N_PARENTS else ranked[:_N_PARENTS]

    def _promise(self, codes: NDArray) -> NDArray:
        """Predict scores of candidates by each tree of a forest."""
        scored = [row for row in self.tried.values() if np.isfinite(row.value)]
        if not scored:
            return np.zeros((1, len(codes)))
        scores = np.array([row.value for row in scored])
        rows = [self.space.encode(self._network_at(row.parameters)) for row in scored]
        seed = self.random_state.randint(2**31 - 1)
        forest = ExtraTreesRegressor(50, min_samples_leaf=2, random_state=seed)
        forest.fit(rows, rankdata(scores))  # ranks: low scores may be far apart
        return np.array([tree.predict(codes) for tree in forest.estimators_])

    # ---- a move --------------------------------------------------------------------

    def _make(self, key: str) -> bool:
        """Make a move from the best parameters; return whether it helps."""
        candidates = MOVES[key].candidates(self._network_now(), self.facts)
        candidates = [row for row in candidates if self.space.holds(row)]
        if len(candidates) > self.most:  # the middle of each of as many parts
            places = (np.arange(self.most) + 0.5) * len(candidates) / self.most
            candidates = [candidates[int(i)] for i in places]
        present = self.best.parameters
        candidates = [self._beside(present, self._prefixed(row)) for row in candidates]
        return self._choose(key, candidates)

    def _choose(
        self, key: str, candidates: list[dict[str, Any]], sentence: str = ""
    ) -> bool:
        """Try candidates, as the budget allows, and keep the best that helps."""
        new = [row for row in candidates if freeze(row) not in self.tried]
        n_networks = max(map(self._n_networks, new), default=1)
        tried = self._try(new[: self.budget.n_candidates(n_networks)])
        if not tried:
            return False
        question = MOVES[key].question if key in MOVES else TESTING
        before = self.best
        rank = by_both if question == TRAINING else by_validation
        helping = [row for row in tried if is_better(row, before, question)]
        winner = max(helping or tried, key=rank)
        if helping:
            self.best = winner
        self._decide(
            key,
            question,
            self._text_of_choice(winner, before, len(tried), bool(helping)),
            [candidate.parameters for candidate in tried],
            winner.parameters if helping else None,
            before.scores,
            winner.scores,
            sentence,
        )
        return bool(helping)

    def _text_of_choice(self, winner: Tried, before: Tried, n: int, helps: bool) -> str:
        changes = write_parameters(self._changes(winner, before), self.prefix)
        best = f"best of {n}, " if n > 1 else ""
        scores = write_scores(winner.scores, before.scores)
        return f"{best}{changes}: {scores}: {'kept' if helps else 'not kept'}."

    def _changes(self, candidate: Tried, before: Tried) -> dict[str, Any]:
        """Return the parameters in which a candidate differs from another."""
        changed = dict(candidate.parameters)
        for name, value in before.parameters.items():
            if name not in changed:  # reset
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
        n_networks = np.mean([self._n_networks(row) for row in candidates])
        self.budget.spend(n_fits, time.monotonic() - start, float(n_networks))
        tried = [Tried(p, *pair) for p, pair in zip(candidates, scores, strict=True)]
        self.tried.update((freeze(row.parameters), row) for row in tried)
        return tried

    # ---- parameters ----------------------------------------------------------------

    def _network_at(self, parameters: dict[str, Any]) -> Any:
        """Copy `mlp` with parameters of the estimator."""
        own_parameters = {
            name.removeprefix(self.prefix): value
            for name, value in parameters.items()
            if name.startswith(self.prefix)
        }
        return clone(self.mlp).set_params(**own_parameters)

    def _n_networks(self, parameters: dict[str, Any]) -> int:
        return self._network_at(parameters).n_members

    def _network_now(self) -> Any:
        return self._network_at(self.best.parameters)

    def _prefixed(self, parameters: dict[str, Any]) -> dict[str, Any]:
        return {f"{self.prefix}{name}": value for name, value in parameters.items()}

    def _beside(self, parameters: dict, changes: dict) -> dict[str, Any]:
        """Change some parameters; leave out those with their value at the start."""
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
        self.best = max(self.tried.values(), key=by_validation)
        best = write_parameters(self.best.parameters, self.prefix)
        scores = write_scores(self.best.scores, self.path[0].after)
        text = f"best of {len(self.tried)} candidates: {best}: {scores}."
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
        self.report(decision)


def _titles() -> dict[str, tuple[str, str]]:
    """Title and sentence of each kind of decision."""
    ask = "Ask which of the two questions to answer first."
    return {
        "start": ("Start", "Look at the estimator as it is."),
        TRAINING: ("Good results on the training data?", ask),
        TESTING: ("Good results on the testing data?", ask),
        **{
            key: (move.title.capitalize(), move.sentence) for key, move in MOVES.items()
        },
        "usual": (
            "Usual choices",
            "Set several parameters at once that usually work together, even where no"
            " single move helps.",
        ),
        "refinement": (
            "Refinement",
            "Try neighbours of the best candidates and of their mixtures.",
        ),
        "end": ("End", "Take the candidate with the best validation score."),
    }


def _is_good(scores: MeanScores, yardsticks: dict[str, float]) -> bool:
    """Whether a training score is nearly as good as that of a linear model."""
    linear, constant = yardsticks["linear"], yardsticks["constant"]
    return bool(scores.training >= linear - _NEARLY * (linear - constant))
