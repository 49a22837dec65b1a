"""
A hundred candidates at once
============================

How good is a network over a whole plane of its hyperparameters? We let
``BatchedGridSearchCV`` train 100 candidates, 10 penalties times 10 learning rates, on
five folds each, and draw the *validation surface*: the cross-validated accuracy over
both of them.

The 500 networks are of one shape, so that they train together, as stacks: one step of
training moves all networks of a stack, each on the rows of its fold, with its own
penalty and rate. Networks this small spend most of a step on the overhead of many short
calls; a stack pays for it once. The scaler of the pipeline is fitted once for each
fold, and all candidates share the scaled rows.

As a script it takes seconds on two cores::

    python examples/tools/plot_batched_search.py
    python examples/tools/plot_batched_search.py --points 5  # 25 candidates
"""

# %%
# The task
# --------
# ``load_digits`` comes with scikit-learn: 1797 images of 8 x 8 pixels. A quarter of
# them is put aside and looked at once, at the end. float32 is enough for a network, and
# a step takes about half the time that it takes in float64.

import argparse
import time
import warnings
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.ticker import PercentFormatter
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

from sk_deep import BatchedGridSearchCV, MLPClassifier

parser = argparse.ArgumentParser(description="A hundred candidates at once.")
parser.add_argument(
    "--points",
    type=int,
    default=10,
    help="values of each parameter, two or more (default: 10, so 100 candidates)",
)
parser.add_argument(
    "--output",
    type=Path,
    default=Path("build/demo"),
    help="folder of the picture (default: build/demo)",
)
args = parser.parse_args()
args.output.mkdir(parents=True, exist_ok=True)

X, y = load_digits(return_X_y=True)
X_train, X_test, y_train, y_test = train_test_split(
    X.astype(np.float32), y, test_size=0.25, stratify=y, random_state=0
)

# %%
# The search
# ----------
# It is used like ``GridSearchCV``, and has the same attributes. Ten epochs are few on
# purpose, so that the surface tells which rates learn quickly; scikit-learn's warning
# that networks have not converged is silenced.

pipeline = Pipeline(
    [
        ("scale", StandardScaler()),
        (
            "mlp",
            MLPClassifier(
                hidden_layer_sizes=(16,), batch_size=32, max_iter=10, random_state=0
            ),
        ),
    ]
)
alphas = np.logspace(-4, 1, args.points)
rates = np.logspace(-4, 0, args.points)
grid = {"mlp__alpha": alphas, "mlp__learning_rate_init": rates}
search = BatchedGridSearchCV(pipeline, grid, cv=5)

warnings.simplefilter("ignore", ConvergenceWarning)
start = time.perf_counter()
search.fit(X_train, y_train)
seconds = time.perf_counter() - start

n_candidates = len(search.cv_results_["params"])
best_alpha, best_rate = (search.best_params_[name] for name in grid)
print(
    f"{n_candidates} candidates x {search.n_splits_} folds of digits in {seconds:.1f} s"
)
print(f"Best: alpha {best_alpha:.2g}, learning rate {best_rate:.2g}")
print(f"Cross-validated accuracy {search.best_score_:.4f}", end=", ")
print(f"of the images put aside {search.score(X_test, y_test):.4f}")

# %%
# The surface
# -----------
# Candidates are in the order of the grid, in which the last parameter moves fastest:
# the scores are a table with a row for each alpha. Each cell is one candidate.

surface = search.cv_results_["mean_test_score"].reshape(len(alphas), len(rates))


def edges(values):
    """Return the borders of cells around values that are even on a log scale."""
    half_step = np.sqrt(values[1] / values[0])
    return np.append(values / half_step, values[-1] * half_step)


style = {
    "font.size": 11,
    "axes.titlesize": 12,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.titlepad": 12,
    "axes.labelcolor": "0.35",
    "xtick.labelcolor": "0.35",
    "ytick.labelcolor": "0.35",
}
with plt.rc_context(style):
    fig, ax = plt.subplots(figsize=(7.5, 5.6), layout="constrained")
    ax.set(
        title=f"Digits after {pipeline['mlp'].max_iter} epochs",
        xlabel="learning_rate_init",
        ylabel="alpha",
        xscale="log",
        yscale="log",
        xlim=edges(rates)[[0, -1]],
        ylim=edges(alphas)[[0, -1]],
    )
    cells = ax.pcolormesh(
        edges(rates), edges(alphas), surface, cmap="cividis", vmin=0.5, vmax=1
    )
    lines = ax.contour(rates, alphas, surface, [0.9, 0.95], colors="black")
    ax.clabel(lines, fmt="{:.0%}".format)
    ax.plot(
        best_rate,
        best_alpha,
        "*",
        color="white",
        mec="black",
        ms=18,
        label=f"best: {search.best_score_:.1%}",
    )
    ax.legend(loc="upper left", framealpha=0.9)
    bar = fig.colorbar(cells, extend="min", label="mean cross-validated accuracy")
    bar.ax.yaxis.set_major_formatter(PercentFormatter(xmax=1, decimals=0))

picture = args.output / "validation_surface.png"
fig.savefig(picture, dpi=160)
print(f"Validation surface: {picture}")

# %%
# What it shows
# -------------
# The learning rate decides. Below 0.001 a network has learned little after ten epochs:
# more epochs would help it, so that this is a verdict on the rate and the epochs
# together. Above 0.1 the steps are too large: the networks still learn, but not well,
# and the line of 90% is ragged, since there chance has its say.
#
# The penalty hardly matters up to about 0.1, where the columns are of one color. A
# strong penalty costs accuracy at every rate, and it does not mix with a large rate:
# in the upper right corner the network is down to a guess, 10%.
#
# The middle is flat. On its plateau, rates from 0.006 to 0.02 and alpha up to 0.2, the
# candidates differ by about one percentage point, and a standard error on so many
# images is half of that: the star is one good candidate of many, and partly lucky. The
# images put aside say how good it is.

middle = surface[np.ix_(alphas < 0.2, (rates > 0.006) & (rates < 0.02))]
assert surface[:, rates < 0.0003].max() < 0.9 < middle.min()
assert np.ptp(middle) < 0.03
assert surface[-1, -1] < 0.2
