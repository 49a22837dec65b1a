"""What sphinx-gallery asks for by name: the order of the examples, and their style."""

import matplotlib.pyplot as plt

from sk_deep.plots._style import COLORS

LESSONS = [
    "plot_hello_digits.py",
    "plot_universality.py",
    "plot_losses.py",
    "plot_batch_size.py",
    "plot_vanishing_gradients.py",
    "plot_activations.py",
    "plot_solvers.py",
    "plot_schedules.py",
    "plot_early_stopping.py",
    "plot_dropout.py",
    "plot_augmentation.py",
    "plot_ensemble.py",
    "plot_data_frame.py",
    "plot_tables_boosting.py",
    "plot_imbalance.py",
    "plot_quantiles.py",
    "plot_parquet.py",
    "plot_diagnosis.py",
    "plot_recipe_search.py",
    "plot_batched_search.py",
    "plot_pictures.py",
]
STYLE = {
    "axes.prop_cycle": plt.cycler(color=COLORS),
    "axes.spines.right": False,
    "axes.spines.top": False,
    "figure.constrained_layout.use": True,
    "figure.dpi": 100,
    "legend.frameon": False,
}


class ByLesson:
    """Sort examples in the order of the recipe."""

    def __init__(self, folder):
        self.folder = folder

    def __call__(self, filename):
        return LESSONS.index(filename)


def reset(gallery_conf, filename):
    """Give matplotlib the style of the site, before and after each example."""
    plt.rcdefaults()
    plt.rcParams.update(STYLE)
