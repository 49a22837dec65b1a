"""How much memory a fit takes where X is large: on the disk, or sparse.

python benchmarks/bench_memory.py
python benchmarks/bench_memory.py --quick --only maps
"""

import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import scipy.sparse
from _common import MB, Number, in_fresh_process, main, peak_memory
from sklearn.neural_network import MLPClassifier as Sklearn

from sk_deep import MLPClassifier

# --------------------------------------------------------------------------------------
# Memory maps
# --------------------------------------------------------------------------------------
N_FEATURES = 256
N_ROWS = {True: 2**18, False: 2**22}  # quick or not: 268 MB, or 4.3 GB
N_IN_MEMORY = 4  # a part of the map, one in so many rows
MAP = {"hidden_layer_sizes": (100,), "batch_size": 256, "max_iter": 1}


def write_map(folder, n_rows):
    """Write X and y, window by window."""
    rng = np.random.default_rng(0)
    shape = n_rows, N_FEATURES
    X = np.lib.format.open_memmap(folder / "X.npy", "w+", np.float32, shape)
    y = np.empty(n_rows, np.int8)
    weight = rng.standard_normal(N_FEATURES, np.float32)
    for start in range(0, n_rows, 10_000):
        own = slice(start, min(start + 10_000, n_rows))
        X[own] = rng.standard_normal((own.stop - own.start, N_FEATURES), np.float32)
        y[own] = X[own] @ weight > 0
    np.save(folder / "y.npy", y)


def fit_map(folder, in_memory):
    """Fit for an epoch; return seconds per row, the peak, and the score of the fit."""
    y = np.load(folder / "y.npy")
    X = np.load(folder / "X.npy", mmap_mode="r")
    if in_memory:
        y = y[: len(y) // N_IN_MEMORY]
        X = np.array(X[: len(y)])
    model = MLPClassifier(**MAP, random_state=0)
    start = time.perf_counter()
    model.fit(X, y)
    elapsed = time.perf_counter() - start
    peak = peak_memory()
    return elapsed / len(y), peak, model.score(X[:10_000], y[:10_000])


def maps(report, quick):
    """Fit a map of 4 GB, and a part of it in memory."""
    n_rows = N_ROWS[quick]
    contenders = {"on the disk": False, "in memory": True}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        in_fresh_process(write_map, folder, n_rows)
        found = {
            label: [
                in_fresh_process(fit_map, folder, flag)
                for _ in range(1 if quick else 3)
            ]
            for label, flag in contenders.items()
        }
    medians = {
        label: [statistics.median(values) for values in zip(*turns, strict=True)]
        for label, turns in found.items()
    }
    ratio = medians["on the disk"][0] / medians["in memory"][0]
    size = n_rows * N_FEATURES * 4 / MB
    report.table(
        "A memory map",
        f"An epoch over {n_rows:,} rows of {N_FEATURES} float32, {size:,.0f} MB, "
        f"{N_FEATURES}-100-1 @ 256; in memory, one in {N_IN_MEMORY} of the rows. The "
        "peak is that of the process, libraries and all. In brackets the target.",
        ["X", "microseconds per row", "times", "peak, MB", "accuracy"],
        [
            [
                "on the disk",
                Number(1e6 * medians["on the disk"][0]),
                Number(ratio, high=1.3),
                Number(medians["on the disk"][1] / MB, high=1000),
                Number(medians["on the disk"][2]),
            ],
            [
                "in memory",
                Number(1e6 * medians["in memory"][0]),
                Number(1.0),
                Number(medians["in memory"][1] / MB),
                Number(medians["in memory"][2]),
            ],
        ],
    )
    report.numbers["maps"] = found


# --------------------------------------------------------------------------------------
# Sparse inputs
# --------------------------------------------------------------------------------------
SPARSE = {"hidden_layer_sizes": (100,), "batch_size": 200, "random_state": 0}
TEXTS = {True: (1000, 5000, 60), False: (20_000, 50_000, 100)}  # rows, words, in a row
MODELS = {"sk_deep": MLPClassifier, "scikit-learn": Sklearn}


def documents(n_rows, n_words, n_in_row, dtype):
    """Make what TF-IDF gives of texts: frequent words and rare ones, rows of norm 1."""
    rng = np.random.default_rng(0)
    words = (n_words * rng.random((n_rows, n_in_row)) ** 3).astype(np.int32)
    topics = rng.integers(2, size=n_rows)
    shared = rng.random((n_rows, n_in_row)) < 0.5  # the others tell the topic
    words = np.where(shared, words, 2 * (words // 2) + topics[:, np.newaxis])
    starts = np.arange(0, n_rows * n_in_row + 1, n_in_row)
    values = rng.random(n_rows * n_in_row).astype(dtype)
    X = scipy.sparse.csr_array((values, words.ravel(), starts), (n_rows, n_words + 2))
    X.sum_duplicates()
    norms = np.sqrt(X.multiply(X).sum(axis=1))
    return (scipy.sparse.diags_array(1 / norms).astype(dtype) @ X).tocsr(), topics


def fit_sparse(name, shape, dtype, epochs):
    """Fit and predict; return seconds of both, the peak, and the score."""
    X, y = documents(*shape, dtype)
    model = MODELS[name](**SPARSE, max_iter=epochs)
    start = time.perf_counter()
    model.fit(X, y)
    fitted = time.perf_counter()
    score = model.score(X, y)
    return fitted - start, time.perf_counter() - fitted, peak_memory(), score


def sparse(report, quick):
    """Fit texts of many words, beside scikit-learn's."""
    shape = TEXTS[quick]
    epochs = 1 if quick else 3
    found = {
        (name, dtype): in_fresh_process(fit_sparse, name, shape, dtype, epochs)
        for name in MODELS
        for dtype in ("float64", "float32")
    }
    rows = []
    for (name, dtype), (fit, predict, peak, score) in found.items():
        bound = 1500 if name == "sk_deep" else np.inf
        rows.append(
            [
                f"{name}, {dtype}",
                Number(fit),
                Number(found["scikit-learn", dtype][0] / fit),
                Number(predict),
                Number(peak / MB, high=bound),
                Number(score),
            ]
        )
    n_rows, n_words, n_in_row = shape
    report.table(
        "Sparse inputs",
        f"{epochs} epoch(s) over {n_rows:,} rows of {n_words:,} words, {n_in_row} to a "
        "row, 100 hidden units @ 200. Speed-up: scikit-learn's time by ours. The peak "
        "is that of the process, libraries and all. In brackets the target.",
        ["", "fit, s", "speed-up", "predict, s", "peak, MB", "accuracy"],
        rows,
    )
    report.numbers["sparse"] = {", ".join(key): row for key, row in found.items()}


SECTIONS = {"maps": maps, "sparse": sparse}

if __name__ == "__main__":
    main("memory", __doc__.splitlines()[0], SECTIONS)
