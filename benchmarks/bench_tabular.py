"""Raw tables: our tabular networks beside boosting, RealMLP and scikit-learn's MLP.

    python benchmarks/bench_tabular.py --threads 1
    python benchmarks/bench_tabular.py --quick --only wine diabetes
    python benchmarks/bench_tabular.py --data FOLDER

The tables are scikit-learn's, and those of a folder: each a .csv or .csv.gz file, named
in its index.csv of the columns `name,file,target,split`. The target is a column of
numbers or of labels; in the column `split`, if one is named, the rows to train on say
"train". Without it a quarter of the rows is for the test, and at most 4000 train. All
contenders see the same raw table. RealMLP needs `pip install pytabkit`.
"""

import functools
import sys
import time
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from _common import Report, build_parser, environment, equal_terms
from pandas.api.types import is_numeric_dtype
from sklearn.compose import (
    TransformedTargetRegressor,
    make_column_selector,
    make_column_transformer,
)
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits, load_wine
from sklearn.ensemble import HistGradientBoostingClassifier as BoostingClassifier
from sklearn.ensemble import HistGradientBoostingRegressor as BoostingRegressor
from sklearn.impute import SimpleImputer
from sklearn.metrics import log_loss, r2_score, roc_auc_score
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from sk_deep import TabularMLPClassifier, TabularMLPRegressor

N_TRAIN = 4000
N_BINS = 15  # of the expected calibration error


# --------------------------------------------------------------------------------------
# Tables
# --------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Table:
    """A table, its target, and the rows to train on if they are known."""

    X: pd.DataFrame
    y: pd.Series
    trains: np.ndarray | None = None

    @property
    def has_classes(self):
        """Whether the target is a label."""
        return self.y.dtype.kind not in "f"

    def split(self, seed, n_train):
        """Return the rows to train on, at most so many, and those to test on."""
        if self.trains is None:
            strata = self.y if self.has_classes else None
            X, X_test, y, y_test = train_test_split(
                self.X, self.y, test_size=0.25, random_state=seed, stratify=strata
            )
        else:
            X, y = self.X[self.trains], self.y[self.trains]
            X_test, y_test = self.X[~self.trains], self.y[~self.trains]
        if n_train is not None and n_train < len(X):
            strata = y if self.has_classes else None
            X, _, y, _ = train_test_split(
                X, y, train_size=n_train, random_state=seed, stratify=strata
            )
        return X, X_test, y.to_numpy(), y_test.to_numpy()


def bundled(load):
    """Return a table of scikit-learn's."""
    X, y = load(return_X_y=True, as_frame=True)
    return Table(X, y.astype(float) if load is load_diabetes else y)


def from_folder(folder, row):
    """Return a table of a folder, by its row of the index."""
    table = pd.read_csv(Path(folder) / row.file)
    y = table.pop(row.target)
    y = y.astype(float) if is_numeric_dtype(y) else y.astype("category").cat.codes
    trains = None
    if isinstance(row.split, str):
        trains = (table.pop(row.split) == "train").to_numpy()
    texts = table.select_dtypes(exclude="number").columns
    return Table(table.astype(dict.fromkeys(texts, "category")), y, trains)


BUNDLED = {
    "breast_cancer": load_breast_cancer,
    "digits": load_digits,
    "wine": load_wine,
    "diabetes": load_diabetes,
}


# --------------------------------------------------------------------------------------
# Contenders
# --------------------------------------------------------------------------------------
def plain(network):
    """Return scikit-learn's network behind an imputer, a scaler and one-hot columns."""
    numbers = make_pipeline(SimpleImputer(strategy="median"), StandardScaler())
    one_hot = OneHotEncoder(handle_unknown="ignore", sparse_output=False)
    columns = make_column_transformer(
        (numbers, make_column_selector(dtype_include="number")),
        (one_hot, make_column_selector(dtype_exclude="number")),
    )
    return make_pipeline(columns, network)


def realmlp(kind, seed):
    """Return RealMLP with its default parameters; None where it is not installed."""
    try:
        import pytabkit
    except ImportError:
        return None
    network = getattr(pytabkit, f"RealMLP_TD_{kind}")
    return network(device="cpu", random_state=seed, n_threads=realmlp.n_threads)


CONTENDERS = {
    "ours": {
        True: lambda seed: TabularMLPClassifier(random_state=seed),
        False: lambda seed: TabularMLPRegressor(random_state=seed),
    },
    "boosting": {
        True: lambda seed: BoostingClassifier(random_state=seed),
        False: lambda seed: BoostingRegressor(random_state=seed),
    },
    "RealMLP": {
        True: functools.partial(realmlp, "Classifier"),
        False: functools.partial(realmlp, "Regressor"),
    },
    "MLP": {
        True: lambda seed: plain(
            MLPClassifier(early_stopping=True, max_iter=500, random_state=seed)
        ),
        False: lambda seed: TransformedTargetRegressor(
            plain(MLPRegressor(early_stopping=True, max_iter=500, random_state=seed)),
            transformer=StandardScaler(),
        ),
    },
}


# --------------------------------------------------------------------------------------
# Measuring
# --------------------------------------------------------------------------------------
def measure(table, contender, seed, n_train):
    """Return a dict of what a contender reaches on a split; None where it is absent."""
    model = CONTENDERS[contender][table.has_classes](seed)
    if model is None:
        return None
    X, X_test, y, y_test = table.split(seed, n_train)
    start = time.perf_counter()
    model.fit(X, y)
    fitted = time.perf_counter()
    if table.has_classes:
        outputs = model.predict_proba(X_test)
        scores = scores_of_classes(y_test, outputs.astype(float))
    else:
        outputs = np.ravel(model.predict(X_test))
        error = np.sqrt(np.mean((y_test - outputs) ** 2))
        scores = {"score": r2_score(y_test, outputs), "loss": error / np.std(y_test)}
    return {
        **scores,
        "fit": fitted - start,
        "predict": time.perf_counter() - fitted,
    }


def scores_of_classes(y, probabilities):
    """Return the AUC, the log loss, and the expected calibration error."""
    probabilities = probabilities / probabilities.sum(axis=1, keepdims=True)
    labels = np.arange(probabilities.shape[1])
    of_classes = probabilities[:, 1] if len(labels) == 2 else probabilities
    return {
        "score": roc_auc_score(y, of_classes, multi_class="ovr", labels=labels),
        "loss": log_loss(y, probabilities, labels=labels),
        "calibration": calibration_error(y, probabilities),
    }


def calibration_error(y, probabilities):
    """Return the expected calibration error, by bins of equal width.

    C. Guo, G. Pleiss, Y. Sun and K. Weinberger, "On calibration of modern neural
    networks", ICML 2017, eq. 3.
    """
    sure = probabilities.max(axis=1)
    is_right = probabilities.argmax(axis=1) == y
    bins = np.minimum((sure * N_BINS).astype(int), N_BINS - 1)
    gaps = [abs(np.sum(is_right[bins == b] - sure[bins == b])) for b in range(N_BINS)]
    return np.sum(gaps) / len(y)


def section(report, quick, *, name, table, n_train, contenders):
    """Measure all contenders on a table: a row each, the means over seeds."""
    seeds = range(2 if quick else 5)
    found = {contender: [] for contender in contenders}
    for seed in seeds:  # in turns, so that a busy moment touches all
        for contender in contenders:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                found[contender].append(measure(table, contender, seed, n_train))
    means = {
        contender: pd.DataFrame(runs).mean().to_dict()
        for contender, runs in found.items()
        if None not in runs
    }
    keys = list(next(iter(means.values())))
    rows = [
        [contender, *(f"{own[key]:.4f}" for key in keys)]
        for contender, own in means.items()
    ]
    words = {"score": "AUC", "loss": "log loss", "calibration": "calibration error"}
    if not table.has_classes:
        words = {"score": "R2", "loss": "RMSE / sd"}
    seconds = {"fit": "fit, s", "predict": "predict, s"}
    columns = ["", *({**words, **seconds}[key] for key in keys)]
    n_rows = len(table.split(0, n_train)[0])
    note = f"{n_rows} training rows, {table.X.shape[1]} columns, means of {len(seeds)}."
    report.table(name, note, columns, rows)
    report.numbers[name] = means


def ranks(report, names):
    """Write a table of the mean ranks, and of seconds as multiples of the first's."""
    found = [pd.DataFrame(report.numbers[name]).T.round(4) for name in names]
    by_score = sum(
        table["score"].rank(ascending=False, method="min") for table in found
    )
    by_loss = sum(table["loss"].rank(method="min") for table in found)
    seconds = pd.DataFrame([table["fit"] / table["fit"].iloc[0] for table in found])
    rows = [
        [
            contender,
            *(f"{total[contender] / len(found):.2f}" for total in (by_score, by_loss)),
            *(f"{seconds[contender].quantile(q):.1f}" for q in (0, 0.5, 1)),
        ]
        for contender in seconds
    ]
    note = (
        f"Mean ranks over {len(found)} tables, and the seconds of a fit as multiples "
        f"of those of {rows[0][0]}."
    )
    columns = ["", "rank by score", "rank by loss", "least", "median", "most"]
    report.table("All tables", note, columns, rows)


def main(argv=None):
    """Run the tables that are asked for."""
    parser = build_parser(__doc__.splitlines()[0], BUNDLED)
    parser.add_argument("--data", help="folder of further tables, with an index.csv")
    parser.add_argument("--rows", type=int, default=N_TRAIN, help="most to train on")
    parser.add_argument("--contenders", nargs="+", default=list(CONTENDERS))
    args = parser.parse_args(argv)
    tables = {name: bundled(BUNDLED[name]) for name in args.only if name in BUNDLED}
    if args.data:
        index = pd.read_csv(Path(args.data) / "index.csv")
        for row in index.itertuples():
            tables[row.name] = from_folder(args.data, row)
    realmlp.n_threads = args.threads
    report = Report("tabular", args.out, environment(args.threads))
    with equal_terms(args.threads):
        for name, table in tables.items():
            section(
                report,
                args.quick,
                name=name,
                table=table,
                n_train=args.rows or None,
                contenders=args.contenders,
            )
    ranks(report, tables)
    report.write()


if __name__ == "__main__":
    sys.exit(main())
