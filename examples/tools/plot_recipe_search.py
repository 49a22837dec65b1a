"""
The recipe as a search
======================

``RecipeSearchCV`` asks the two questions of the recipe again and again. Good results on
the training data? If not, it tries a loss, smaller batches, an activation, a solver.
Then: good results on the testing data? If not, early stopping, regularisation, dropout
and so on. It keeps what helps. We start it from a network of the eighties: logistic
units, squared error, plain gradient descent.

As a script it takes some seconds::

    python examples/tools/plot_recipe_search.py
"""

# %%
# The start
# ---------

import warnings

import matplotlib.pyplot as plt
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sk_deep import MLPClassifier, RecipeSearchCV
from sk_deep.plots import RecipePathDisplay

warnings.simplefilter("ignore", ConvergenceWarning)
X, y = load_digits(return_X_y=True)
X = X.astype("float32")  # enough for a network, and quicker
X_train, X_test, y_train, y_test = train_test_split(
    X, y, train_size=400, stratify=y, random_state=0
)
poor = MLPClassifier(
    (32,),
    activation="logistic",
    solver="sgd",
    learning_rate_init=0.01,
    loss="squared_error",
    max_iter=30,
    random_state=0,
)
model = make_pipeline(StandardScaler(), poor)
before = model.fit(X_train, y_train).score(X_test, y_test)
print(f"test accuracy {before:.2f}")

# %%
# The search
# ----------
# ``budget`` counts candidates times folds. Candidates that can train together do, as in
# ``BatchedGridSearchCV``.

search = RecipeSearchCV(model, budget=75, cv=3, random_state=0)
search.fit(X_train, y_train)
after = search.score(X_test, y_test)
print(
    f"test accuracy {after:.2f}, after {len(search.cv_results_['params'])} candidates"
)

assert before < 0.7
assert after > 0.9

# %%
# Its path
# --------
# ``path_`` tells the decisions in order, each with its numbers; the picture shows
# them.

print(search.path_)
RecipePathDisplay.from_estimator(search)

# %%
# What is different now
# ---------------------

changed = {
    name: value
    for name, value in search.best_estimator_[-1].get_params().items()
    if value != poor.get_params()[name]
}
print(changed)

assert changed["activation"] != "logistic"
plt.show()
