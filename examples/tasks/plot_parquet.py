"""
Larger than memory
==================

A table that does not fit into memory lies on the disk, say as Parquet files. Training
needs a few thousand rows at a time only: we read them with pyarrow, scale them, and
hand them to ``partial_fit``, which goes on where the last call ended, the solver's
moments included. The memory that this takes does not grow with the table, and the
network becomes as good as one that was fitted to all rows at once.

As a script it takes seconds on two cores::

    python examples/tasks/plot_parquet.py
    python examples/tasks/plot_parquet.py --rows 20000
"""

# %%
# A table on the disk
# -------------------
# We write the files piece by piece, as a program that collects data would. Each file
# holds row groups of 2,000 rows, the least that is read at a time.

import argparse
import tempfile
import warnings
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from sklearn.datasets import make_classification
from sklearn.exceptions import ConvergenceWarning
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sk_deep import MLPClassifier

parser = argparse.ArgumentParser(description="Larger than memory.")
parser.add_argument(
    "--rows", type=int, default=200_000, help="rows of the table (default: %(default)s)"
)
args = parser.parse_args()

N_GROUP, N_FILES = 2_000, 4
X, y = make_classification(
    n_samples=args.rows + 5_000,
    n_features=20,
    n_informative=12,
    n_classes=4,
    random_state=0,
)
X_test, y_test = X[args.rows :], y[args.rows :]  # kept in memory
X, y = X[: args.rows], y[: args.rows]
names = [f"x{i}" for i in range(X.shape[1])]
folder = tempfile.TemporaryDirectory()
for i, rows in enumerate(np.array_split(np.arange(args.rows), N_FILES)):
    columns = dict(zip(names, X[rows].T, strict=True))
    path = Path(folder.name) / f"part-{i}.parquet"
    pq.write_table(
        pa.table({**columns, "label": y[rows]}), path, row_group_size=N_GROUP
    )

# %%
# Read it in batches
# ------------------
# An epoch visits the row groups in a new order. Four of them at a time are a batch of
# 8,000 rows, whose rows ``partial_fit`` shuffles and cuts to mini-batches itself. What
# pyarrow holds at its peak is noted: that is what would grow with the table, if
# anything did.

files = [pq.ParquetFile(path) for path in sorted(Path(folder.name).iterdir())]
groups = [(file, i) for file in files for i in range(file.num_row_groups)]
peak = 0


def read(random_state=None):
    """Yield the rows of the table, batch by batch, as X and y."""
    global peak
    order = np.arange(len(groups))
    if random_state is not None:
        random_state.shuffle(order)
    for start in range(0, len(order), 4):
        own = [groups[i] for i in order[start : start + 4]]
        table = pa.concat_tables([file.read_row_group(i) for file, i in own])
        peak = max(peak, pa.total_allocated_bytes())
        columns = [table[name].to_numpy() for name in names]
        yield np.column_stack(columns).astype(np.float32), table["label"].to_numpy()


# %%
# Fit the steps, then the network
# -------------------------------
# Both steps of the pipeline learn from streams: the scaler's moments in a first pass,
# the network's weights in some epochs. In the end they are put into a ``Pipeline``,
# which predicts as any other.

N_EPOCHS = 10
scaler, network = StandardScaler(), MLPClassifier((64,), random_state=0)
for batch, _ in read():
    scaler.partial_fit(batch)
shuffles = np.random.RandomState(0)
for _ in range(N_EPOCHS):
    for batch, labels in read(shuffles):
        network.partial_fit(scaler.transform(batch), labels, classes=range(4))
streamed = make_pipeline(scaler, network)

# %%
# As good as in memory
# --------------------

in_memory = make_pipeline(
    StandardScaler(), MLPClassifier((64,), max_iter=N_EPOCHS, random_state=0)
)
in_memory.set_params(mlpclassifier__n_iter_no_change=N_EPOCHS)  # all epochs
warnings.simplefilter("ignore", ConvergenceWarning)  # ten epochs are few on purpose
in_memory.fit(X.astype(np.float32), y)
scores = [
    model.score(X_test.astype(np.float32), y_test) for model in (streamed, in_memory)
]
print(f"the table: {args.rows:,} rows, {X.nbytes / 1e6:.1f} MB")
print(f"held at a time: {peak / 1e6:.1f} MB")
print(f"accuracy, streamed: {scores[0]:.3f}")
print(f"accuracy, in memory: {scores[1]:.3f}")

assert scores[0] > scores[1] - 0.02

# %%
# Arrays that lie on the disk as one file need none of this: what
# ``numpy.load(..., mmap_mode="r")`` gives goes into ``fit`` as it is.
