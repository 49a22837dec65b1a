"""Encodings of columns: one row each in `SCALINGS` and `NUMERICAL_EMBEDDINGS`."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.preprocessing import QuantileTransformer, RobustScaler, StandardScaler

_MOST_QUANTILES = 1000
_MOST = 50  # values of an embedding by default


# ---- scales of numbers ---------------------------------------------------------------


@dataclass(frozen=True)
class Scaling:
    """A way to scale numbers: a transformer of scikit-learn, and what it has learned.

    Parameters
    ----------
    summary, source : str
        What it is, and where it is from.
    make : callable
        Makes the transformer for a number of rows.
    learned : tuple of str
        Its attributes by which it transforms.
    center : str or None, default=None
        Which of them is subtracted, before a division by "scale_"; None if it is no
        affine map.
    bound : float or None, default=None
        Scaled values z become ``z / sqrt(1 + (z / bound)^2)``, which is nearly z where
        it is small, and never beyond the bound.
    use : str, default=""
        When to use it.
    """

    summary: str
    source: str
    make: Callable[[int], Any]
    learned: tuple[str, ...]
    center: str | None = None
    bound: float | None = None
    use: str = ""

    def fit(self, values: NDArray) -> dict[str, NDArray]:
        """Learn the scales of the columns of an array."""
        scaler = self.make(len(values)).fit(values)
        return {name: getattr(scaler, name) for name in self.learned}

    def transform(self, values: NDArray, learned: Mapping[str, NDArray]) -> NDArray:
        """Scale the columns of an array."""
        scaler = self.make(1)
        own = {name: learned[name] for name in self.learned}
        vars(scaler).update(own, n_features_in_=values.shape[1])
        z = scaler.transform(values)
        if self.bound is None:
            return z
        return z / np.hypot(1, z / self.bound)  # Holzmueller et al., sec. 3


_HOLZMUELLER = (
    'D. Holzmueller, L. Grinsztajn and I. Steinwart, "Better by default: strong'
    ' pre-tuned MLPs and boosted trees on tabular data", NeurIPS 2024'
)
SCALINGS: dict[str, Scaling] = {
    "standard": Scaling(
        "to mean 0 and standard deviation 1",
        "`sklearn.preprocessing.StandardScaler`",
        lambda n: StandardScaler(),
        ("mean_", "scale_", "var_"),
        use="The first to try.",
        center="mean_",
    ),
    "robust": Scaling(
        "to median 0 and quartiles that are 1 apart",
        "`sklearn.preprocessing.RobustScaler`",
        lambda n: RobustScaler(),
        ("center_", "scale_"),
        use="Where a few values are far off.",
        center="center_",
    ),
    "smooth_clip": Scaling(
        "to mean 0 and standard deviation 1, then smoothly into [-6, 6]",
        f"{_HOLZMUELLER}, sec. 3, with other constants",
        lambda n: StandardScaler(),
        ("mean_", "scale_", "var_"),
        use="As standard, where values far off would else rule.",
        center="mean_",
        bound=6.0,
    ),
    "quantile": Scaling(
        "to a normal distribution, by up to 1000 quantiles",
        "`sklearn.preprocessing.QuantileTransformer`",
        lambda n: QuantileTransformer(
            n_quantiles=min(_MOST_QUANTILES, n),
            output_distribution="normal",
            subsample=None,
        ),
        ("quantiles_", "references_"),
        use="Where columns are skewed, or of several kinds; distances between "
        "values are lost.",
    ),
}


@dataclass(frozen=True)
class NumericalEmbedding:
    """Values beside a number: parts of bins, or waves that the network learns.

    Parameters
    ----------
    summary, source : str
        What it is, and where it is from.
    use : str, default=""
        When to use it.
    has_bins, has_waves : bool, default=False
        Which of the two.
    scales_bins : bool, default=False
        Whether parts of bins are divided by their standard deviation.
    """

    summary: str
    source: str
    use: str = ""
    has_bins: bool = False
    has_waves: bool = False
    scales_bins: bool = False


_GORISHNIY = (
    'Y. Gorishniy, I. Rubachev and A. Babenko, "On embeddings for numerical features in'
    ' tabular deep learning", NeurIPS 2022'
)
NUMERICAL_EMBEDDINGS: dict[str, NumericalEmbedding] = {
    "piecewise_linear": NumericalEmbedding(
        "the part that a number fills of each bin between quantiles",
        f"{_GORISHNIY}, eq. 1",
        use="Where a target jumps or bends with a column, as trees find it: often "
        "the largest gain on tables.",
        has_bins=True,
    ),
    "piecewise_linear_scaled": NumericalEmbedding(
        "the same, divided by the standard deviation over the rows of training, by at "
        "least 0.2, and sqrt(1000 / n) of n rows",
        f"{_GORISHNIY}, eq. 1; the scale is ours",
        use="Where few rows are beyond some bounds, and there are thousands of rows: "
        "such bins are learned as fast as the others.",
        has_bins=True,
        scales_bins=True,
    ),
    "periodic": NumericalEmbedding(
        "sines and cosines of learned frequencies, a linear map, and relu, PLR",
        f"{_GORISHNIY}, eq. 3",
        use="As piecewise_linear, for columns of which finer and finer detail "
        "counts; it wants more rows.",
        has_waves=True,
    ),
}


# ---- categories ---------------------------------------------------------------------


def embedding_size(n_levels: int) -> int:
    """Choose how many values embed a level, by a rule of thumb of fastai.

    J. Howard and S. Gugger, "fastai: a layered API for deep learning", Information
    2020; with the bound of C. Guo and F. Berkhahn, "Entity embeddings of categorical
    variables", arXiv 2016.
    """
    return min(_MOST, round(1.6 * n_levels**0.56))
