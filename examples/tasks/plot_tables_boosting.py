"""
Raw tables: networks beside boosted trees
=========================================

Boosted trees are what most people fit to a table, with reason: they are fast, they take
columns as they are, and their defaults are good. :class:`~sk_deep.TabularMLPClassifier`
and :class:`~sk_deep.TabularMLPRegressor` mean to be as easy: no scaling, no pipeline,
no search. Where are they better, and where are they not?

As a script it takes seconds::

    python examples/tasks/plot_tables_boosting.py
"""

# %%
# Six tables
# ----------
# Four are bundled with scikit-learn. Two are made here, to know what they hold: a
# smooth function of five columns, and a table whose target is a tree, that is steps at
# sharp bounds, in regions with all their sides along the columns. Both contenders get
# the table as it is, and are left at their defaults. Losses are means of two splits.

import time

import matplotlib.pyplot as plt
import numpy as np
from sklearn import datasets, ensemble
from sklearn.metrics import log_loss
from sklearn.model_selection import train_test_split
from sklearn.tree import DecisionTreeRegressor

from sk_deep import TabularMLPClassifier, TabularMLPRegressor


def made_of_a_tree(n_rows=1500):
    """Return rows whose target is a tree of 20 leaves, and noise."""
    random = np.random.RandomState(0)
    tree = DecisionTreeRegressor(max_leaf_nodes=20, random_state=0)
    tree.fit(random.random_sample((500, 8)), random.standard_normal(500))
    X = random.random_sample((n_rows, 8))
    return X, tree.predict(X) + 0.1 * random.standard_normal(n_rows)


TABLES = {
    "breast cancer": datasets.load_breast_cancer(return_X_y=True),
    "digits": datasets.load_digits(return_X_y=True),
    "wine": datasets.load_wine(return_X_y=True),
    "diabetes": datasets.load_diabetes(return_X_y=True),
    "smooth": datasets.make_friedman1(1500, noise=1.0, random_state=0),
    "tree": made_of_a_tree(),
}
CONTENDERS = {
    "networks": (TabularMLPClassifier, TabularMLPRegressor),
    "boosting": (
        ensemble.HistGradientBoostingClassifier,
        ensemble.HistGradientBoostingRegressor,
    ),
}


def run(X, y, kinds, seed):
    """Return the loss on a quarter of the rows, and the seconds of the fit."""
    is_label = y.dtype.kind == "i"
    X, X_test, y, y_test = train_test_split(X, y, random_state=seed)
    model = kinds[0 if is_label else 1](random_state=seed)
    start = time.perf_counter()
    model.fit(X, y)
    seconds = time.perf_counter() - start
    if is_label:
        return log_loss(y_test, model.predict_proba(X_test)), seconds
    error = np.sqrt(np.mean((model.predict(X_test) - y_test) ** 2))
    return error / y_test.std(), seconds


means = {}
print(f"{'loss, seconds of a fit':20}   networks           boosting")
for table, (X, y) in TABLES.items():
    for name, kinds in CONTENDERS.items():
        runs = [run(X, y, kinds, seed) for seed in range(2)]
        means[table, name] = np.mean(runs, axis=0)
    row = [means[table, name] for name in CONTENDERS]
    print(f"{table:20}", *(f"{loss:10.3f} {s:5.1f} s" for loss, s in row))

# %%
# Where each is better
# --------------------
# The bars show the loss of the networks as a part of that of boosting: log loss where
# the target is a label, the root of the mean squared error where it is a number. The
# networks are better on the four real tables, which have few rows, and on a smooth
# function: they draw slopes, where trees make stairs. Boosting is better where the
# target is made of sharp steps, as a tree is, the last bar.

ratios = {
    table: means[table, "networks"][0] / means[table, "boosting"][0] for table in TABLES
}

fig, ax = plt.subplots(figsize=(8, 3.6))
bars = ax.bar(list(ratios), list(ratios.values()), color="C0")
bars[-1].set_color("C1")
ax.axhline(1, color="gray", lw=1)
ax.set(ylabel="loss of the networks / of boosting", ylim=(0, 1.3))
ax.bar_label(bars, fmt="%.2f")

assert all(ratios[table] < 1 for table in list(TABLES)[:4])
assert ratios["smooth"] < 0.9
assert ratios["tree"] > 1.1
plt.show()

# %%
# What it costs
# -------------
# Boosting is faster, on the small tables several times. On a table where its loss is as
# low, take it.

total = {n: sum(means[table, n][1] for table in TABLES) for n in CONTENDERS}
print({name: f"{s:.1f} s for all tables" for name, s in total.items()})

assert total["networks"] > total["boosting"]

# %%
# What boosting does not tell
# ---------------------------
# Each member of the stack leaves an eighth of the rows out, to say when to stop. So
# each training row has a prediction by a network that has not seen it, at no cost:
# ``oof_decision_function_`` and ``oof_prediction_``. They estimate the loss without a
# test set, a little too high, as the mean of all members is better than one.

X, X_test, y, y_test = train_test_split(*TABLES["breast cancer"], random_state=0)
model = TabularMLPClassifier(random_state=0).fit(X, y)
estimate = log_loss(y, model.oof_decision_function_)
truth = log_loss(y_test, model.predict_proba(X_test))
print(f"estimate of the log loss {estimate:.3f}, on test rows {truth:.3f}")

assert abs(estimate - truth) < 0.05
