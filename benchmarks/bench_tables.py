"""Raw data frames beside the same network behind a pipeline.

    python benchmarks/bench_tables.py --data FOLDER --sets adult:income ames:Sale_Price

Each set is a file FOLDER/NAME.csv, or .csv.gz, and the column to predict. The pipeline
has OneHotEncoder, SimpleImputer and StandardScaler in a ColumnTransformer. Five seeds
each split, initialise and shuffle. With no folder, a set is made up.
"""

import argparse
import functools
import time
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
from _common import Number, main
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.impute import SimpleImputer
from sklearn.metrics import log_loss
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from sk_deep import MLPClassifier, MLPRegressor

NETWORK = {
    "hidden_layer_sizes": (64, 64),
    "early_stopping": True,
    "n_iter_no_change": 5,
    "max_iter": 60,
}
RAW = {
    "categorical_features": "from_dtype",
    "missing": "impute",
    "numerical_scaling": "standard",
}
WAYS = {
    "raw": RAW,
    "raw, one-hot": {**RAW, "max_one_hot": 10**6},
    "raw, piecewise linear": {**RAW, "numerical_embedding": "piecewise_linear"},
    "raw, periodic": {**RAW, "numerical_embedding": "periodic"},
}
N_SEEDS = 5


def made_up(n_rows=400):
    """Make up a set with numbers, categories and missing values."""
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "size": rng.normal(50, 20, n_rows),
            "price": rng.exponential(size=n_rows),
            "color": rng.choice(["red", "green", "blue"], n_rows),
            "town": rng.choice([f"town {i}" for i in range(30)], n_rows),
        }
    )
    frame.loc[::7, "price"] = np.nan
    y = np.where(frame["size"] / 20 + (frame["color"] == "red") > 3, "much", "little")
    return frame, pd.Series(y)


def read(folder, name, target):
    """Read a set; text in the target is classes."""
    (path,) = Path(folder).glob(f"{name}.csv*")
    frame = pd.read_csv(path)
    return frame, frame.pop(target)


def pipeline(network):
    """Return a network behind what encodes a frame."""
    numbers = make_pipeline(SimpleImputer(add_indicator=True), StandardScaler())
    one_hot = OneHotEncoder(handle_unknown="ignore", sparse_output=False)
    columns = make_column_transformer(
        (numbers, make_column_selector(dtype_include=np.number)),
        (one_hot, make_column_selector(dtype_exclude=np.number)),
    )
    return make_pipeline(columns, network)


def network(is_classes, n_rows, **params):
    """Return the network, of a batch that fits the rows."""
    params = {**NETWORK, "batch_size": 256 if n_rows > 10_000 else 32, **params}
    if is_classes:
        return MLPClassifier(**params)
    return MLPRegressor(**params, target_scaling="standard")


def outcome(model, train, test):
    """Return the score, the log loss of classes, and the seconds of the fit."""
    start = time.perf_counter()
    model.fit(*train)
    seconds = time.perf_counter() - start
    loss = (
        log_loss(test[1], model.predict_proba(test[0]))
        if hasattr(model, "predict_proba")
        else np.nan
    )
    return model.score(*test), loss, seconds


def compare(X, y, n_seeds):
    """Return each way's outcomes, (n_seeds, 3)."""
    is_classes = not pd.api.types.is_numeric_dtype(y)
    make = functools.partial(network, is_classes, len(y))
    found = {"pipeline": [], **{way: [] for way in WAYS}, "raw, polars": []}
    for seed in range(n_seeds):
        X_train, X_test, *targets = train_test_split(X, y, random_state=seed)
        train, test = (X_train, targets[0]), (X_test, targets[1])
        found["pipeline"].append(
            outcome(pipeline(make(random_state=seed)), train, test)
        )
        for way, params in WAYS.items():
            model = make(random_state=seed, **params)
            found[way].append(outcome(model, train, test))
        of_polars = [(_polars(part), target) for part, target in (train, test)]
        model = make(random_state=seed, **RAW)
        found["raw, polars"].append(outcome(model, *of_polars))
    return {way: np.array(values) for way, values in found.items()}


def _polars(frame):
    columns = {
        name: [None if pd.isna(value) else value for value in frame[name].tolist()]
        for name in frame
    }
    return pl.DataFrame(columns)


def tables(report, quick, sets=None, n_seeds=N_SEEDS):
    """Compare the ways on each set."""
    means = {}
    for name, (X, y) in (sets or {"made up": made_up()}).items():
        found = compare(X, y, 2 if quick else n_seeds)
        rows = []
        for way, values in found.items():
            score, loss, seconds = values.mean(axis=0)
            error = values[:, 0].std(ddof=1) / np.sqrt(len(values))
            cells = f"{score:.4f} +- {error:.4f}", f"{loss:.4f}", Number(seconds)
            rows.append([way, *cells])
        report.table(
            name,
            f"{len(X)} rows, {X.shape[1]} columns; accuracy or R2 on a quarter, its "
            "standard error, the log loss, and seconds of a fit; means over the seeds.",
            ["", "score", "log loss", "seconds"],
            rows,
        )
        means[name] = {way: v.mean(axis=0).tolist() for way, v in found.items()}
    report.numbers["tables"] = means


def parse(argv=None):
    """Take the sets out of the arguments; return them and the rest."""
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--data", metavar="FOLDER")
    parser.add_argument("--sets", nargs="+", default=[], metavar="NAME:TARGET")
    options, rest = parser.parse_known_args(argv)
    pairs = [named.split(":") for named in options.sets]
    return {name: read(options.data, name, target) for name, target in pairs}, rest


if __name__ == "__main__":
    sets, rest = parse()
    section = functools.partial(tables, sets=sets)
    main("tables", __doc__.splitlines()[0], {"tables": section}, rest)
