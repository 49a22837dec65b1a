"""
A data frame as it is
=====================

Tables come with categories, missing values and numbers of all sizes. A network wants
numbers of like size. Four parameters do what would else be a ``ColumnTransformer``: the
network learns how to read the columns with the rest, in every fold of a search anew,
and the model that you save takes raw frames.

As a script it takes seconds::

    python examples/tasks/plot_data_frame.py
"""

# %%
# A table of used cars
# --------------------
# We make one up: the price falls with age and mileage, by the model and by the fuel.
# There are 40 models, and a tenth of the mileages is missing.

import warnings

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.compose import make_column_transformer
from sklearn.exceptions import ConvergenceWarning
from sklearn.impute import SimpleImputer
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from sk_deep import MLPRegressor

warnings.simplefilter("ignore", ConvergenceWarning)
random = np.random.RandomState(0)
n = 8000
age = random.uniform(0, 15, n)
mileage = age * random.lognormal(9.3, 0.4, n)
model = random.randint(40, size=n)
fuel = random.choice(["petrol", "diesel", "electric"], n)
new_price = 15_000 + 1_000 * model
late = np.where(fuel == "electric", 0.25 * (age > 8), 0)  # the battery's warranty ends
price = new_price * (0.95 - late) * np.exp(-0.1 * age - 2e-6 * mileage)
price = price * random.lognormal(0, 0.08, n)
frame = pd.DataFrame(
    {
        "age": age,
        "mileage": np.where(random.uniform(size=n) < 0.1, np.nan, mileage),
        "model": pd.Categorical([f"model {i}" for i in model]),
        "fuel": fuel,
    }
)
print(frame.head(3))
X_train, X_test, y_train, y_test = train_test_split(frame, price, random_state=0)

# %%
# Into the network
# ----------------
# ``categorical_features="from_dtype"`` takes the columns of text and categories as
# such: one-hot where levels are few, else with learned values for each level.
# ``missing="impute"`` fills in the median and tells the network where it did.
# ``numerical_embedding`` cuts the numbers into bins between quantiles, so that a jump
# is easy to learn (Y. Gorishniy, I. Rubachev and A. Babenko, NeurIPS 2022). The mean of
# four networks, ``n_members``, is smoother than one of them.

columns = {
    "categorical_features": "from_dtype",
    "missing": "impute",
    "numerical_scaling": "standard",
    "numerical_embedding": "piecewise_linear",
}
common = {
    "hidden_layer_sizes": (64, 64),
    "target_scaling": "standard",
    "learning_rate_init": 0.005,
    "learning_rate": "cosine",
    "max_iter": 30,
    "n_iter_no_change": 30,
    "n_members": 4,
    "batch_size": 128,
    "random_state": 0,
}
network = MLPRegressor(**common, **columns).fit(X_train, y_train)

# %%
# What a pipeline does
# --------------------
# The same network behind scikit-learn's transformers does well, too. It has no bins.

transformer = make_column_transformer(
    (
        make_pipeline(SimpleImputer(add_indicator=True), StandardScaler()),
        ["age", "mileage"],
    ),
    (OneHotEncoder(handle_unknown="ignore"), ["model", "fuel"]),
)
pipeline = make_pipeline(transformer, MLPRegressor(**common))
pipeline.fit(X_train, y_train)
scores = {
    "raw frame": network.score(X_test, y_test),
    "pipeline": pipeline.score(X_test, y_test),
}
print({name: round(score, 3) for name, score in scores.items()})

assert scores["raw frame"] > 0.95
assert scores["raw frame"] > scores["pipeline"] - 0.005

# %%
# What it has learned
# -------------------
# The price of one car as it grows older. The bins follow the fall when the warranty of
# an electric car's battery ends, after eight years.

years = np.linspace(0.5, 14.5, 200)
falls = {}
fig, ax = plt.subplots()
for kind, style in [("petrol", "-"), ("electric", "--")]:
    cars = pd.DataFrame(
        {"age": years, "mileage": 11_000 * years, "model": "model 20", "fuel": kind}
    )
    prices = network.predict(cars)
    ax.plot(years, prices, style, label=kind)
    before, after = np.interp([7, 9], years, prices)
    falls[kind] = 1 - after / before
    print(f"{kind}: from year 7 to 9 the price falls by {falls[kind]:.0%}")
ax.set(xlabel="age in years", ylabel="predicted price")
ax.legend()

assert falls["electric"] > falls["petrol"] + 0.1

# %%
# New levels and missing values
# -----------------------------
# A model that training has not met is no error: it counts as an unknown one.

odd = pd.DataFrame({"age": [3.0], "mileage": [np.nan], "model": ["?"], "fuel": ["gas"]})
(guess,) = network.predict(odd)
print(f"an unknown car of three years: {guess:,.0f}")

assert y_train.min() < guess < y_train.max()
plt.show()
