"""Configurations that several files of tests train: one for each row of a table."""

import torch

from sk_deep.activations import ACTIVATIONS
from sk_deep.augmentation import AUGMENTATIONS
from sk_deep.dropouts import DROPOUT_SCHEDULES, DROPOUTS
from sk_deep.initializers import INITIALIZERS
from sk_deep.losses import losses_on
from sk_deep.normalizations import NORMALIZATIONS
from sk_deep.schedules import SCHEDULES
from sk_deep.solvers import SOLVERS

FAST = {"solver": "sgd", "learning_rate_init": 0.1, "max_iter": 30, "random_state": 0}
CUSTOMARY = {"learning_rate_init": "auto", "batch_size": 20}
IMAGES = {"image_shape": (8, 8)}
AUGMENTATION_NEEDS = {
    "shift": {**IMAGES, "max_shift": 1},
    "rotate": {**IMAGES, "max_degrees": 10},
}
DROPOUT_NEEDS = {"alpha": {"activation": "selu"}}


def half_brier(raw, y):
    """Half the squared error of the probabilities."""
    one_hot = torch.nn.functional.one_hot(y, raw.shape[-1])
    return 0.5 * (raw.softmax(-1) - one_hot).square().sum(-1)


def flip(X, y, generator):
    """Change the sign of a few inputs."""
    noise = torch.empty_like(X).uniform_(generator=generator)
    return torch.where(noise < 0.01, -X, X), y


ROWS = [
    *({"activation": name} for name in ACTIVATIONS),
    *({"weight_init": name} for name in INITIALIZERS),
    *({"solver": name, **CUSTOMARY} for name in SOLVERS),
    *({"learning_rate": name} for name in SCHEDULES if name != "invscaling"),
    {"learning_rate": "invscaling", "power_t": 0.1},
    {"learning_rate": "step", "schedule_params": {"gamma": 0.5, "every": 10}},
    {"learning_rate": "cosine", "schedule_params": {"warmup": 0.2, "final": 0.1}},
    *({"normalization": name} for name in NORMALIZATIONS),
    {"activation": "maxout", "maxout_pieces": 4},
    *({"loss": name} for name in sorted(losses_on("multiclass"))),
    {"loss": "focal", "loss_params": {"gamma": 1.0}},
    {"loss": half_brier},
    {"label_smoothing": 0.1},
    *(
        {"dropout": 0.2, "dropout_type": name, **DROPOUT_NEEDS.get(name, {})}
        for name in DROPOUTS
    ),
    *({"dropout": 0.2, "dropout_schedule": name} for name in DROPOUT_SCHEDULES),
    {
        "dropout": 0.2,
        "dropout_type": "dropconnect",
        "dropout_params": {"inference": "gaussian"},
    },
    {
        "dropout": 0.5,
        "dropout_type": "standout",
        "dropout_params": {"alpha": 0.5, "beta": 1.0},
        "dropout_schedule": "linear",
    },
    {"input_dropout": 0.1},
    *(
        {"augmentation": name, "augmentation_params": AUGMENTATION_NEEDS.get(name)}
        for name in AUGMENTATIONS
    ),
    {"augmentation": flip},
    {"alpha": 0.1, "l1_ratio": 0.5},
    {"alpha": 1e-3, "l1_ratio": 0.5, "solver": "adamw", **CUSTOMARY},
    {"max_norm": 2.0},
    {"gradient_clip": 1.0},
    {"hidden_layer_sizes": (32, 32), "dropout": [0.1, 0.3]},
    {"hidden_layer_sizes": (32, 32), "residual": True},
    {"hidden_layer_sizes": (32, 16), "activation": ["maxout", "tanh"]},
    {"hidden_layer_sizes": 32, "n_hidden_layers": 3},
    {"activation": torch.nn.GELU},
    {"solver": torch.optim.Adamax, **CUSTOMARY},
    {
        "solver": torch.optim.LBFGS,
        "solver_params": {"line_search_fn": "strong_wolfe"},
        "batch_size": 100,
        "learning_rate_init": 1.0,
        "max_iter": 2,
    },
    {"n_members": 3},
    {"n_members": 3, "learning_rate": "adaptive", "normalization": "batch"},
    {"early_stopping": True, "scoring": "loss"},
]
