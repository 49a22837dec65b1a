"""Whether the diagnosis finds planted causes, and its first suggestion helps.

python benchmarks/bench_diagnosis.py
python benchmarks/bench_diagnosis.py --quick
python benchmarks/bench_diagnosis.py --only two_units healthy_digits
python benchmarks/bench_diagnosis.py --verify

The problems and their causes are in `_problems.py`. With `--verify` nothing is
diagnosed: that the score rises where the cause is taken away proves the plants.
"""

import math
import time
import warnings
from dataclasses import dataclass

import numpy as np
from _common import Number, Report, build_parser, environment, equal_terms
from _problems import PROBLEMS, Problem
from sklearn.base import is_classifier
from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.exceptions import FitFailedWarning
from sklearn.linear_model import LogisticRegression, RidgeCV
from sklearn.model_selection import cross_validate
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sk_deep import BatchedGridSearchCV, diagnose

ROWS = {problem.name: problem for problem in PROBLEMS}
QUICK = list(ROWS)[::3]
RIGHT_BAR, BETTER_BAR = 22, 20  # of the 24
RISE_BAR = 0.05  # of a mended network, in accuracy, R^2 or nats


# --------------------------------------------------------------------------------------
# Scores
# --------------------------------------------------------------------------------------
def nan_if_all_fail(call):
    """Return the scores of a call, or nan where the network diverges on each fold."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FitFailedWarning)
        warnings.filterwarnings("ignore", ".*scores are non-finite")
        try:
            return call()
        except ValueError as error:
            if "fits failed" not in str(error):
                raise
            return np.full(2, np.nan)


def train_and_valid(estimator, X, y, cv, scoring):
    """Return the mean scores on the training and the validation rows of the folds."""

    def call():
        found = cross_validate(
            estimator, X, y, cv=cv, scoring=scoring, return_train_score=True
        )
        return np.array([found["train_score"].mean(), found["test_score"].mean()])

    return nan_if_all_fail(call)


def best_of(grid, estimator, X, y, cv, scoring):
    """Return the best mean score, on the validation rows, of a grid."""

    def call():
        search = BatchedGridSearchCV(
            estimator, grid, cv=cv, scoring=scoring, refit=False
        )
        return search.fit(X, y).cv_results_["mean_test_score"]

    return max(nan_if_all_fail(call), key=lowest_if_nan)


def lowest_if_nan(score):
    """Return a score, minus infinity for one of networks that diverged."""
    return -math.inf if math.isnan(score) else score


# --------------------------------------------------------------------------------------
# The diagnosis
# --------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Outcome:
    """What the diagnosis says of a problem, and what its first suggestion does."""

    problem: Problem
    verdicts: list[str]
    move: str
    before: float
    after: float
    constant: float
    seconds: float

    @property
    def is_right(self):
        """Whether the first verdict is a right one."""
        return self.verdicts[0] in self.problem.causes

    @property
    def is_clean(self):
        """Whether "healthy" is the only verdict."""
        return self.verdicts == ["healthy"]

    @property
    def is_better(self):
        """Whether the first suggestion raises the validation score.

        From a network that diverges it has to lead to one that beats a constant.
        """
        bar = self.constant if math.isnan(self.before) else self.before
        return lowest_if_nan(self.after) > bar

    def row(self):
        """Return the row of the table."""
        return [
            self.problem.name,
            " or ".join(self.problem.causes),
            ", ".join(self.verdicts),
            "yes" if self.is_right else "**no**",
            f"{self.before:.3f}",
            f"{self.after:.3f}",
            self.move,
            "yes" if self.is_better else "no",
            Number(self.seconds),
        ]


def examine(problem, cv, diagnose=diagnose):
    """Diagnose a problem, and follow the first suggestion on the same folds."""
    estimator, X, y = problem.make()
    settings = {"cv": cv, "scoring": problem.scoring}
    start = time.perf_counter()
    diagnosis = diagnose(estimator, X, y, **settings, random_state=0)
    seconds = time.perf_counter() - start
    move, after = "none", math.nan
    constant = DummyClassifier() if is_classifier(estimator) else DummyRegressor()
    if diagnosis.suggestions:
        first = diagnosis.suggestions[0]
        move = first.move
        after = best_of(first.param_grid, estimator, X, y, **settings)
    return Outcome(
        problem,
        [verdict.key for verdict in diagnosis.verdicts],
        move,
        before=float(train_and_valid(estimator, X, y, **settings)[1]),
        after=float(after),
        constant=float(train_and_valid(constant, X, y, **settings)[1]),
        seconds=seconds,
    )


def run_diagnosis(report, problems, cv):
    """Diagnose each problem, and count what is right."""
    outcomes = [examine(problem, cv) for problem in problems]
    report.table(
        "Planted problems",
        "The first verdict has to be a cause. Scores are means over the validation rows"
        " of the folds; after is the best of the first suggestion's grid. The seconds"
        " are the diagnosis'.",
        [
            *("problem", "cause", "verdicts", "right", "before", "after"),
            *("first suggestion", "better", "seconds"),
        ],
        [outcome.row() for outcome in outcomes],
    )
    report.table(
        "Totals",
        "The targets are for all problems. A healthy network needs no suggestion, and"
        " does not count as improved without one.",
        ["", "problems", "of"],
        totals(outcomes),
    )
    report.numbers["diagnosis"] = {
        o.problem.name: [o.verdicts, o.move, o.before, o.after, o.seconds]
        for o in outcomes
    }


def totals(outcomes):
    """Return the rows of the counts; there are targets for all problems only."""
    is_complete = len(outcomes) == len(PROBLEMS)
    healthy = [o for o in outcomes if "healthy" in o.problem.causes]
    counts = {
        "right first": ([o.is_right for o in outcomes], RIGHT_BAR),
        "healthy without wrong verdicts": (
            [o.is_clean for o in healthy],
            len(healthy),
        ),
        "first suggestion improves": ([o.is_better for o in outcomes], BETTER_BAR),
    }
    return [
        [label, Number(sum(hits), low=bar if is_complete else -math.inf), len(hits)]
        for label, (hits, bar) in counts.items()
    ]


# --------------------------------------------------------------------------------------
# The plants
# --------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Plant:
    """Scores of a problem on training and validation rows, and of it mended."""

    problem: Problem
    planted: np.ndarray
    mended: np.ndarray
    linear: np.ndarray

    @property
    def rise(self):
        """The validation score by which the mended network is better.

        A healthy network is not to be mended; there it is how far it is above the
        linear model.
        """
        if "healthy" in self.problem.causes:
            return Number(self.planted[1] - self.linear[1], low=0)
        planted = lowest_if_nan(self.planted[1])
        return Number(self.mended[1] - planted, low=RISE_BAR)

    def row(self):
        """Return the row of the table."""
        values = (*self.planted, *self.mended, *self.linear)
        return [
            self.problem.name,
            " or ".join(self.problem.causes),
            *(f"{value:.3f}" for value in values),
            self.rise,
        ]


def grow(problem, cv):
    """Score a problem, the same mended, and a linear model."""
    settings = {"cv": cv, "scoring": problem.scoring}
    estimator, X, y = problem.make()
    mended = problem.mend()
    linear = (
        LogisticRegression(max_iter=1000)
        if is_classifier(estimator)
        else RidgeCV(np.logspace(-2, 3, 11))
    )
    return Plant(
        problem,
        train_and_valid(estimator, X, y, **settings),
        train_and_valid(*mended, **settings) if mended else np.full(2, np.nan),
        train_and_valid(make_pipeline(StandardScaler(), linear), X, y, **settings),
    )


def verify(report, problems, cv):
    """Show that each score rises where the cause is taken away."""
    plants = [grow(problem, cv) for problem in problems]
    report.table(
        "Plants",
        "Mean scores on the training and the validation rows of the folds, with the"
        " cause and without it; nan where the network diverges. The rise is that of the"
        " validation score, for the healthy that over the linear model.",
        [
            *("problem", "cause", "training", "validation", "mended training"),
            *("mended validation", "linear training", "linear validation", "rise"),
        ],
        [plant.row() for plant in plants],
    )
    report.numbers["plants"] = {
        plant.problem.name: [*plant.planted, *plant.mended, *plant.linear]
        for plant in plants
    }


def main(argv=None):
    """Run the script."""
    parser = build_parser(__doc__.splitlines()[0], ROWS)
    parser.add_argument(
        "--verify", action="store_true", help="show that the plants are real"
    )
    args = parser.parse_args(argv)
    names = [name for name in args.only if name in QUICK or not args.quick]
    work, name = (verify, "plants") if args.verify else (run_diagnosis, "diagnosis")
    report = Report(name, args.out, environment(args.threads))
    with equal_terms(args.threads):
        work(report, [ROWS[name] for name in names], cv=3 if args.quick else 5)
    report.write()


if __name__ == "__main__":
    main()
