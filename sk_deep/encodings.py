"""Encodings of columns: rows of `MISSING`, `SCALINGS`, `NUMERICAL_EMBEDDINGS`."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.preprocessing import QuantileTransformer, RobustScaler, StandardScaler

from sk_deep._onnx import Graph

_FAR = 1e4  # times a bound, beyond which the bounded value no longer changes
_MAX_QUANTILES = 1000  # scikit-learn's default
_MAX_EMBEDDING_SIZE = 50  # values per level, the bound of Guo and Berkhahn


# ---- scales of numbers ---------------------------------------------------------------


@dataclass(frozen=True)
class Scaling:
    """A row of `SCALINGS`: a transformer of scikit-learn.

    Parameters
    ----------
    summary, source : str
        Description and reference.
    make : callable
        Function of the number of rows that returns the transformer.
    learned : tuple of str
        Names of the fitted attributes that ``transform`` needs.
    center : str or None, default=None
        Name of the attribute that is subtracted before the division by "scale_"; None
        if the transformer is not an affine map.
    bound : float or None, default=None
        Scaled values z become ``z / sqrt(1 + (z / bound)^2)``: close to z if z is
        small, and always within [-bound, bound].
    why_no_onnx : str, default=""
        Reason why it cannot be exported; it can if the reason is empty.
    use : str, default=""
        When to use it.
    """

    summary: str
    source: str
    make: Callable[[int], Any]
    learned: tuple[str, ...]
    center: str | None = None
    bound: float | None = None
    why_no_onnx: str = ""
    use: str = ""

    def fit(self, values: NDArray) -> dict[str, NDArray]:
        """Learn the scales of the columns of an array."""
        scaler = self.make(len(values)).fit(values)
        return {name: getattr(scaler, name) for name in self.learned}

    def transform(self, values: NDArray, learned: Mapping[str, NDArray]) -> NDArray:
        """Scale the columns of an array."""
        scaler = self.make(1)
        fitted = {name: learned[name] for name in self.learned}
        vars(scaler).update(fitted, n_features_in_=values.shape[1])
        z = scaler.transform(values)
        if self.bound is None:
            return z
        return z / np.hypot(1, z / self.bound)  # Holzmueller et al., sec. 3

    def onnx(self, graph: Graph, x: str, learned: Mapping[str, NDArray]) -> str:
        """Scale columns of numbers, as nodes of ONNX."""
        assert self.center is not None
        z = graph("Div", graph("Sub", x, learned[self.center]), learned["scale_"])
        if self.bound is None:
            return z
        part = graph("Div", z, self.bound)
        part = graph("Min", graph("Max", part, -_FAR), _FAR)  # squares stay finite
        root = graph("Sqrt", graph("Add", graph("Mul", part, part), 1.0))
        return graph("Mul", graph("Div", part, root), self.bound)


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
        "to median 0 and interquartile range 1",
        "`sklearn.preprocessing.RobustScaler`",
        lambda n: RobustScaler(),
        ("center_", "scale_"),
        use="If columns have outliers.",
        center="center_",
    ),
    "smooth_clip": Scaling(
        "to mean 0 and standard deviation 1, then smoothly into [-6, 6]",
        f"{_HOLZMUELLER}, sec. 3, with other constants",
        lambda n: StandardScaler(),
        ("mean_", "scale_", "var_"),
        use="Like standard, if outliers would dominate.",
        center="mean_",
        bound=6.0,
    ),
    "quantile": Scaling(
        "to a normal distribution, by up to 1000 quantiles",
        "`sklearn.preprocessing.QuantileTransformer`",
        lambda n: QuantileTransformer(
            n_quantiles=min(_MAX_QUANTILES, n),
            output_distribution="normal",
            subsample=None,
        ),
        ("quantiles_", "references_"),
        why_no_onnx="ONNX has no quantiles of the normal distribution",
        use="If columns are skewed or have different distributions. Distances between "
        "values are lost.",
    ),
}


@dataclass(frozen=True)
class Missing:
    """A row of `MISSING`: a treatment of missing numbers.

    Parameters
    ----------
    summary, source : str
        Description and reference.
    use : str, default=""
        When to use it.
    imputes : bool, default=False
        Whether missing numbers are replaced, and indicated beside.
    """

    summary: str
    source: str
    use: str = ""
    imputes: bool = False


MISSING: dict[str, Missing] = {
    "error": Missing(
        "missing numbers raise an error",
        "scikit-learn's MLP",
        use="The default. If no number should be missing.",
    ),
    "impute": Missing(
        "the median of the column, with a column that indicates missing numbers",
        "`sklearn.impute.SimpleImputer`, with `add_indicator=True`",
        use="If numbers are missing, since a missing number may itself be informative.",
        imputes=True,
    ),
}


def imputes(missing: Any) -> bool:
    """Whether missing numbers are replaced; an illegal value does not replace them."""
    return isinstance(missing, str) and missing in MISSING and MISSING[missing].imputes


@dataclass(frozen=True)
class NumericalEmbedding:
    """A row of `NUMERICAL_EMBEDDINGS`: values that represent a number.

    Parameters
    ----------
    summary, source : str
        Description and reference.
    use : str, default=""
        When to use it.
    has_bins : bool, default=False
        Whether the values are the filled fractions of bins.
    has_waves : bool, default=False
        Whether the values are sines and cosines of learned frequencies.
    scales_bins : bool, default=False
        Whether the fractions of bins are divided by their standard deviation.
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
        "the fraction that a number fills of each bin between quantiles",
        f"{_GORISHNIY}, eq. 1",
        use="If the target has jumps or bends along a column, which trees fit well: "
        "often the largest gain on tables.",
        has_bins=True,
    ),
    "piecewise_linear_scaled": NumericalEmbedding(
        "piecewise_linear, divided by the standard deviation over the n training rows, "
        "or by 0.2 or sqrt(1000 / n) if that is larger",
        f"{_GORISHNIY}, eq. 1; the scale is sk_deep's",
        use="If there are thousands of rows and few of them reach some bins: such bins "
        "are learned as fast as the others.",
        has_bins=True,
        scales_bins=True,
    ),
    "periodic": NumericalEmbedding(
        "sines and cosines of learned frequencies, then a linear map and relu (PLR)",
        f"{_GORISHNIY}, eq. 3",
        use="Like piecewise_linear, for columns in which fine detail matters. It needs "
        "more rows.",
        has_waves=True,
    ),
}


# ---- categories ---------------------------------------------------------------------


def embedding_size(n_levels: int) -> int:
    """Return the default size of an embedding, by a rule of thumb of fastai.

    J. Howard and S. Gugger, "fastai: a layered API for deep learning", Information
    2020; with the bound of C. Guo and F. Berkhahn, "Entity embeddings of categorical
    variables", arXiv 2016.
    """
    return min(_MAX_EMBEDDING_SIZE, round(1.6 * n_levels**0.56))
