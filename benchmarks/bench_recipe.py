"""Whether the recipe beats chance: its search against a random one with twice as much.

    python benchmarks/bench_recipe.py
    python benchmarks/bench_recipe.py --quick --only wine diabetes

Both start from, or sample around, the same poor network: logistic units, a squared
error and plain gradient descent. The random search draws from the whole space of the
recipe's moves, twice as many candidates as the recipe may try; the recipe runs a
second time, for half the seconds that the random search took. Scores are means over
seeds, which split off the rows to test on, draw the initial weights and the candidates.
The digits are the first 600.
"""

import datetime
import functools
import time
from dataclasses import dataclass

import numpy as np
from _common import main
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits, load_wine
from sklearn.model_selection import train_test_split
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler, scale

from sk_deep import (
    BatchedRandomizedSearchCV,
    MLPClassifier,
    MLPRegressor,
    RecipeSearchCV,
)

N_FOLDS = 5
N_CANDIDATES = 30  # of the recipe; its budget "auto" takes hours at random
POOR = {
    "activation": "logistic",
    "solver": "sgd",
    "learning_rate_init": 0.01,
    "loss": "squared_error",
    "max_iter": 200,
}


@dataclass(frozen=True)
class Problem:
    """Data, and the network to start from."""

    load: callable
    kind: type
    n_rows: int | None = None

    def data(self):
        """Return X and y, the latter standardised if it is a number."""
        X, y = self.load(return_X_y=True)
        y = scale(y) if self.kind is MLPRegressor else y
        return X[: self.n_rows], y[: self.n_rows]

    def split(self, seed):
        """Return the rows to search on and those to test on."""
        X, y = self.data()
        classes = y if self.kind is MLPClassifier else None
        return train_test_split(
            X, y, test_size=0.25, random_state=seed, stratify=classes
        )

    def start(self, seed):
        """Return the poor network, behind a scaler."""
        network = self.kind(random_state=seed).set_params(**POOR)
        return Pipeline([("scale", StandardScaler()), ("mlp", network)])


PROBLEMS = {
    "digits": Problem(load_digits, MLPClassifier, n_rows=600),
    "wine": Problem(load_wine, MLPClassifier),
    "breast_cancer": Problem(load_breast_cancer, MLPClassifier),
    "diabetes": Problem(load_diabetes, MLPRegressor),
}


# --------------------------------------------------------------------------------------
# The race
# --------------------------------------------------------------------------------------
def race(problem, seed, n_candidates):
    """Return a row: the start's score, then of each search what `run` returns."""
    X, X_test, y, y_test = problem.split(seed)
    model = problem.start(seed)
    chance = BatchedRandomizedSearchCV(
        model,
        RecipeSearchCV.space(model, X, y),
        n_iter=2 * n_candidates,
        cv=N_FOLDS,
        random_state=seed,
    )
    by_chance = run(chance, X, y, X_test, y_test)
    half = datetime.timedelta(seconds=by_chance[-1] / 2)
    by_recipe = []
    for budget in (n_candidates * N_FOLDS, half):
        recipe = RecipeSearchCV(model, budget=budget, cv=N_FOLDS, random_state=seed)
        by_recipe += run(recipe, X, y, X_test, y_test)
    return [recipe.cv_results_["mean_test_score"][0], *by_recipe, *by_chance]


def run(search, X, y, X_test, y_test):
    """Return the best score on the folds, that on the test rows, and the seconds."""
    start = time.perf_counter()
    search.fit(X, y)
    seconds = time.perf_counter() - start
    return search.best_score_, search.score(X_test, y_test), seconds


SIDES = ("half the fits", "half the time", "random")
RESULTS = ("cv", "test", "s")
COLUMNS = ["seed", "start", *(f"{side}: {one}" for side in SIDES for one in RESULTS)]


def section(report, quick, *, name, n_candidates=N_CANDIDATES):
    """Race on one data set: a row for each seed, and the means."""
    seeds = range(2 if quick else 5)
    table = np.array([race(PROBLEMS[name], seed, n_candidates) for seed in seeds])
    means = dict(zip(COLUMNS[1:], table.mean(axis=0), strict=True))
    rows = [[seed, *written(row)] for seed, row in enumerate(table)]
    mean = written(means.values())
    for i, (column, value) in enumerate(means.items()):
        result = column.rpartition(": ")[-1]
        if result in ("cv", "test") and value < means[f"random: {result}"]:
            mean[i] = f"**{mean[i]}**"
    note = (
        f"The recipe with {n_candidates} candidates, diagnosis and yardsticks counted, "
        f"and with half the time of {2 * n_candidates} candidates at random; best mean "
        "score on the folds, score on the test rows, and seconds. Bold: the recipe's "
        "mean is lower."
    )
    rows.append(["mean", *mean])
    report.table(f"The recipe against chance: {name}", note, COLUMNS, rows)
    report.numbers[name] = means


def written(row):
    """Return a row as text: scores with four digits, seconds with none."""
    columns = zip(COLUMNS[1:], row, strict=True)
    return [f"{v:.0f}" if name.endswith(": s") else f"{v:.4f}" for name, v in columns]


SECTIONS = {name: functools.partial(section, name=name) for name in PROBLEMS}

if __name__ == "__main__":
    main("recipe", __doc__.splitlines()[0], SECTIONS)
