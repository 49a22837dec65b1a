"""
What is wrong with my network?
==============================

A network that disappoints may lack capacity, data, steps or scaled inputs; its gradient
may vanish, its units may be dead. ``diagnose`` measures all of it and answers with
verdicts, the likeliest cause first, and with suggestions that a search can take as they
are. We let it treat a network that was set up badly.

As a script it takes seconds::

    python examples/tools/plot_diagnosis.py
"""

# %%
# A bad network
# -------------
# Eight layers of logistic units, on 600 images of digits. It guesses.

import warnings

import matplotlib.pyplot as plt
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sk_deep import BatchedGridSearchCV, MLPClassifier, diagnose

warnings.simplefilter("ignore", ConvergenceWarning)
X, y = load_digits(return_X_y=True)
X_train, X_test, y_train, y_test = train_test_split(
    X, y, train_size=600, stratify=y, random_state=0
)
network = MLPClassifier(
    32, n_hidden_layers=8, activation="logistic", max_iter=30, random_state=0
)
model = make_pipeline(StandardScaler(), network)
before = model.fit(X_train, y_train).score(X_test, y_test)
print(f"test accuracy {before:.2f}")

assert before < 0.2

# %%
# The report
# ----------
# A diagnosis prints as a report. In a notebook it shows its pictures, too.

diagnosis = diagnose(model, X_train, y_train, cv=3, random_state=0)
diagnosis

# %%
# The first verdict has its numbers as ``evidence``.

verdict = diagnosis.verdicts[0]
print(verdict.key)
print(verdict.evidence)

assert verdict.key == "vanishing_gradients"

# %%
# The pictures behind it
# ----------------------

diagnosis.plot()

# %%
# Follow the advice
# -----------------
# Each suggestion has a ``param_grid`` for any search, with the names of the pipeline's
# steps. One of the first brings the network up to where a network of digits should be.

for suggestion in diagnosis.suggestions[:3]:
    print(f"{suggestion.sentence}\n  {suggestion.param_grid}")

search = BatchedGridSearchCV(model, verdict.suggestions[0].param_grid, cv=3)
search.fit(X_train, y_train)
after = search.score(X_test, y_test)
print(f"{search.best_params_}: test accuracy {after:.2f}, before {before:.2f}")

assert after > 0.85

# %%
# And again
# ---------
# A treated network may have the next trouble. When training is good, the second
# question comes: good results on other data?

again = diagnose(search.best_estimator_, X_train, y_train, cv=3, random_state=0)
for verdict in again.verdicts:
    print(f"{verdict.key}: {verdict.message}")

assert again.verdicts[0].key != "vanishing_gradients"
plt.show()
