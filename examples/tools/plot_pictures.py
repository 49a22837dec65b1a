"""
What a network has learned
==========================

Four pictures tell how a training went and what came of it: the loss curves, the
gradients of the layers, the shapes of the hidden units, and the weights. Each is a
Display object as in scikit-learn: ``from_estimator`` takes a fitted network, a pipeline
that ends in one, or a fitted search.

As a script it takes seconds::

    python examples/tools/plot_pictures.py
"""

# %%
# The task
# --------
# ``load_digits`` comes with scikit-learn: 1797 images of 8 x 8 pixels, of ten digits.

import argparse
import warnings
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning

from sk_deep import MLPClassifier
from sk_deep.callbacks import LayerMonitor
from sk_deep.plots import (
    ActivationDisplay,
    GradientFlowDisplay,
    LossCurveDisplay,
    WeightDisplay,
)

parser = argparse.ArgumentParser(description="What a network has learned.")
parser.add_argument(
    "--output",
    type=Path,
    default=Path("build/demo"),
    help="folder of the pictures (default: build/demo)",
)
args = parser.parse_args()
args.output.mkdir(parents=True, exist_ok=True)
warnings.simplefilter("ignore", ConvergenceWarning)  # few epochs are enough here

X, y = load_digits(return_X_y=True)
X = (X / 16).astype(np.float32)


def save(figure, name):
    path = args.output / f"{name}.png"
    figure.savefig(path, dpi=160)
    print(f"{name}: {path}")


# %%
# Losses
# ------
# Three solvers on one network. With early stopping there is a validation loss and a
# score, and the star is the epoch whose weights are kept.

solvers = {
    "sgd": {"solver": "sgd", "learning_rate_init": 0.1},
    "sgd, cosine": {
        "solver": "sgd",
        "learning_rate_init": 0.1,
        "learning_rate": "cosine",
    },
    "adam": {"solver": "adam", "learning_rate_init": 0.003},
}
networks = {
    name: MLPClassifier(
        (32,),
        batch_size=64,
        max_iter=40,
        early_stopping=True,
        random_state=0,
        **params,
    ).fit(X, y)
    for name, params in solvers.items()
}
curves = LossCurveDisplay.from_estimators(networks)
save(curves[0].figure_, "loss_curves")
for name, curve in zip(networks, curves, strict=True):
    best = networks[name].best_validation_score_
    print(f"  {name}: best epoch {curve.best_epoch}, validation accuracy {best:.3f}")

# %%
# Gradients
# ---------
# Ten logistic layers do not learn: a ``LayerMonitor`` records the norm of each layer's
# gradient, and from the output layer down each has a fraction of the one above. They
# have vanished before they reach the first layers. With relu they stay of one size.

figure, axes = plt.subplots(1, 2, figsize=(11, 4), sharey=True, layout="constrained")
for activation, ax in zip(["logistic", "relu"], axes, strict=True):
    deep = MLPClassifier(
        hidden_layer_sizes=32,
        n_hidden_layers=10,
        activation=activation,
        batch_size=64,
        max_iter=10,
        random_state=0,
        callbacks=[LayerMonitor()],
    ).fit(X, y)
    flow = GradientFlowDisplay.from_estimator(deep, ax=ax, name=activation)
    first, *_, last = flow.gradient_norms[-1]
    print(
        f"  10 layers of {activation}: the gradient of the first is {first / last:.0e} "
        f"of the last one's, training accuracy {deep.score(X, y):.2f}"
    )
    assert (first / last < 1e-3) == (activation == "logistic")
save(figure, "gradient_flow")

# %%
# Hidden units
# ------------
# Maxout and prelu learn the shapes of their units. A unit of maxout is drawn along the
# line on which its pieces differ most. On data, the last panel counts the units that
# are dead or saturated: large steps have switched units of relu off for good, and
# driven units of tanh to their ends.

learned = MLPClassifier(
    (40, 40, 40, 40),
    activation=["maxout", "prelu", "relu", "tanh"],
    maxout_pieces=3,
    learning_rate_init=0.015,
    batch_size=64,
    max_iter=30,
    random_state=0,
).fit(X, y)
units = ActivationDisplay.from_estimator(learned, X)
save(units.figure_, "activations")
print(f"  dead {units.dead.round(2)}, saturated {units.saturated.round(2)}")
assert units.dead[2] > 0
assert units.saturated[3] > 0

# %%
# Weights
# -------
# The weights that lead into a unit of the first layer are an image, as the inputs are.
# A strong penalty leaves what is needed: the borders, where pixels are empty, are pale,
# and units without use are all at 0.

strict = MLPClassifier((25,), alpha=3.0, max_iter=60, batch_size=64, random_state=0)
images = WeightDisplay.from_estimator(strict.fit(X, y), image_shape=(8, 8))
save(images.figure_, "weight_images")
save(WeightDisplay.from_estimator(learned).figure_, "weight_histograms")
