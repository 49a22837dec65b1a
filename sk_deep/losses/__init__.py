"""Losses: one row each in `LOSSES`.

A row has a term for each kind of target that the loss is defined for: the inverse link,
which is the activation of the output units, and the loss per sample. Losses take the
raw outputs of the network, before that activation. As in scikit-learn, the squared
error and the deviances are halved.

Kinds of targets: "multiclass", class indices (..., batch) or probabilities of the
classes (..., batch, n_outputs); "binary", indicators or probabilities (..., batch,
n_outputs), of two classes or of several labels; "real", numbers of the same shape.
"""

import functools
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from numbers import Real
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from sk_deep._compat import Interval
from sk_deep._onnx import Graph
from sk_deep.losses._functions import (
    absolute_error,
    binary_focal,
    binary_hinge,
    binary_log_loss,
    count_quantiles,
    crammer_singer_hinge,
    half_gamma_deviance,
    half_poisson_deviance,
    half_squared_error,
    huber,
    logistic_squared_error,
    multiclass_focal,
    multinomial_log_loss,
    multinomial_log_loss_gradient,
    pinball,
    score_quantiles,
    smooth,
    soft_targets,
    softmax,
    softmax_squared_error,
)

PerSample = Callable[..., Tensor]


@dataclass(frozen=True)
class InverseLink:
    """A row of `INVERSE_LINKS`, an activation of the output units.

    Parameters
    ----------
    function : callable
        Function of the raw outputs (..., batch, n_outputs).
    onnx : callable
        The same as nodes of ONNX: takes a graph and the name of the raw outputs, and
        gives the name of the outputs.
    is_identity : bool, default=False
        Whether the outputs are the raw outputs.
    """

    function: Callable[[Tensor], Tensor]
    onnx: Callable[[Graph, str], str]
    is_identity: bool = False


INVERSE_LINKS: dict[str, InverseLink] = {
    "identity": InverseLink(lambda raw: raw, lambda graph, raw: raw, is_identity=True),
    "logistic": InverseLink(torch.sigmoid, lambda graph, raw: graph("Sigmoid", raw)),
    "softmax": InverseLink(softmax, lambda graph, raw: graph("Softmax", raw, axis=-1)),
    "exp": InverseLink(torch.exp, lambda graph, raw: graph("Exp", raw)),
}


@dataclass(frozen=True)
class Term:
    """A loss on one kind of target.

    Parameters
    ----------
    link : str
        Activation of the output units, a key of `INVERSE_LINKS`.
    per_sample : callable
        Function of the raw outputs (..., batch, n_outputs), the targets and the loss's
        parameters that returns the losses (..., batch).
    gradient : callable, default=None
        Function of the same arguments that returns the gradient of the losses with
        respect to the raw outputs, in new memory; None uses autograd.
    averages_outputs : bool, default=False
        Whether the reported loss is the mean over the outputs instead of the sum.
    """

    link: str
    per_sample: PerSample
    gradient: PerSample | None = None
    averages_outputs: bool = False


@dataclass(frozen=True)
class Loss:
    """A row of `LOSSES`.

    Parameters
    ----------
    terms : mapping from str to Term
        Term for each kind of target that the loss is defined for.
    summary, source : str
        Description and reference.
    use : str, default=""
        When to use it.
    constraints : mapping from str to list, default={}
        Names of the loss's parameters, with scikit-learn's constraints on their
        values.
    is_legal : callable, default accepts all
        Function of the targets that returns whether the loss is defined for them.
    target_rule : str, default=""
        The rule of `is_legal` in words, for the error message.
    has_probability : bool, default=True
        Whether a classifier's outputs are probabilities.
    is_log_likelihood : bool, default=False
        Whether it is the log loss of classes, which label smoothing is made for.
    columns : callable, default returns 1
        Function of the loss's parameters that returns the number of outputs per target.
    score : callable, default=None
        Score of a regressor with several outputs per target.
    """

    terms: Mapping[str, Term]
    summary: str
    source: str
    use: str = ""
    constraints: Mapping[str, list] = field(default_factory=dict)
    is_legal: Callable[[NDArray], bool] = lambda y: True
    target_rule: str = ""
    has_probability: bool = True
    is_log_likelihood: bool = False
    columns: Callable[..., int] = lambda **params: 1
    score: Callable[..., float] | None = None


def _residual(link: str) -> PerSample:
    """Return the gradient for a canonical link: prediction - target."""
    return lambda raw, y: INVERSE_LINKS[link].function(raw) - y


LOSSES: dict[str, Loss] = {
    "log_loss": Loss(
        {
            "multiclass": Term(
                "softmax",
                multinomial_log_loss,
                multinomial_log_loss_gradient,
            ),
            "binary": Term("logistic", binary_log_loss, _residual("logistic")),
        },
        "cross entropy, the negative log likelihood of the classes",
        'J. Bridle, "Probabilistic interpretation of feedforward classification network'
        ' outputs, with relationships to statistical pattern recognition", '
        "Neurocomputing 1990.",
        use="The default for classifiers: its gradient is large wherever the network "
        "is wrong.",
        is_log_likelihood=True,
    ),
    "squared_error": Loss(
        {
            # as in scikit-learn, the gradient is that of the sum over the outputs, and
            # the reported value is the mean
            "real": Term(
                "identity",
                half_squared_error,
                _residual("identity"),
                averages_outputs=True,
            ),
            "multiclass": Term("softmax", softmax_squared_error),
            "binary": Term("logistic", logistic_squared_error),
        },
        "half the squared error; for classifiers, of the probabilities against one-hot"
        " targets",
        'G. Brier, "Verification of forecasts expressed in terms of probability", '
        "Monthly Weather Review 1950; C.-F. Gauss, Theoria motus 1809.",
        use="The default for regressors, which predict the mean. For classifiers, if a "
        "few wrong labels must not dominate; after softmax its gradient is flat far "
        "from the target.",
    ),
    "hinge": Loss(
        {
            "multiclass": Term("identity", crammer_singer_hinge),
            "binary": Term("identity", binary_hinge),
        },
        "margin to the best other class, as in support vector machines; no"
        " probabilities",
        'K. Crammer and Y. Singer, "On the algorithmic implementation of multiclass'
        ' kernel-based vector machines", JMLR 2001.',
        use="If only the predicted class matters, and no probabilities are needed.",
        has_probability=False,
    ),
    "focal": Loss(
        {
            "multiclass": Term("softmax", multiclass_focal),
            "binary": Term("logistic", binary_focal),
        },
        "log loss with less weight on rows that are classified well",
        'T.-Y. Lin, P. Goyal, R. Girshick, K. He and P. Dollar, "Focal loss for dense'
        ' object detection", ICCV 2017.',
        use="For rare classes among many easy rows. Its probabilities are "
        "underconfident.",
        constraints={"gamma": [Interval(Real, 0, None, closed="left")]},
    ),
    "absolute_error": Loss(
        {
            "real": Term(
                "identity",
                absolute_error,
                lambda raw, y: (raw - y).sign(),
                averages_outputs=True,
            )
        },
        "absolute error, for the median",
        "P.-S. Laplace, Memoire sur la probabilite des causes 1774.",
        use="If targets have outliers, or to predict the median.",
    ),
    "huber": Loss(
        {
            "real": Term(
                "identity",
                huber,
                lambda raw, y, delta=1.0: (raw - y).clamp(-delta, delta),
                averages_outputs=True,
            )
        },
        "squared error for small residuals, absolute error for large residuals",
        'P. Huber, "Robust estimation of a location parameter", Annals of Mathematical'
        " Statistics 1964.",
        use="If targets have some outliers: a compromise between squared_error and "
        "absolute_error.",
        constraints={"delta": [Interval(Real, 0, None, closed="neither")]},
    ),
    "quantile": Loss(
        {"real": Term("identity", pinball, averages_outputs=True)},
        "pinball loss, for one quantile or several, with a column for each",
        'R. Koenker and G. Bassett, "Regression quantiles", Econometrica 1978.',
        use="For the bounds of an interval, or if predictions that are too low and too "
        "high have different costs.",
        constraints={
            "quantile": [Interval(Real, 0, 1, closed="neither"), "array-like"]
        },
        columns=count_quantiles,
        score=score_quantiles,
    ),
    "poisson": Loss(
        {"real": Term("exp", half_poisson_deviance, _residual("exp"))},
        "half the Poisson deviance, for counts; the output activation is exp",
        'J. Nelder and R. Wedderburn, "Generalized linear models", JRSS A 1972.',
        use="For counts, and for other targets whose variance grows with the mean.",
        is_legal=lambda y: bool(np.all(y >= 0)),
        target_rule="y >= 0",
    ),
    "gamma": Loss(
        {
            "real": Term(
                "exp",
                half_gamma_deviance,
                lambda raw, y: 1 - y * (-raw).exp(),
                averages_outputs=True,
            )
        },
        "half the gamma deviance, for positive amounts; the output activation is exp",
        'J. Nelder and R. Wedderburn, "Generalized linear models", JRSS A 1972.',
        use="For positive amounts whose spread grows with the mean, such as claims and "
        "incomes.",
        is_legal=lambda y: bool(np.all(y > 0)),
        target_rule="y > 0",
    ),
}


def losses_on(kind: str) -> set[str]:
    """List the losses that are defined for a kind of target."""
    return {name for name, row in LOSSES.items() if kind in row.terms}


def get_loss(loss: str | Callable) -> Loss:
    """Return the row of a name, or a new row for a callable.

    Parameters
    ----------
    loss : str or callable
        Key of `LOSSES`, or a function of the raw outputs (..., batch, n_outputs) and
        the targets that returns the losses (..., batch).

    Returns
    -------
    row : Loss
        The row; for a callable, with the usual output activations.
    """
    if isinstance(loss, str):
        return LOSSES[loss]
    if inspect.isclass(loss):
        raise ValueError(
            f"loss must be a name or a function of two tensors, got {loss}."
        )
    per_sample = functools.partial(_checked, loss)
    links = {"multiclass": "softmax", "binary": "logistic", "real": "identity"}
    terms = {kind: Term(link, per_sample) for kind, link in links.items()}
    return Loss(terms, "a user's loss", inspect.getdoc(loss) or "")


def _checked(loss: Callable[[Tensor, Tensor], Tensor], raw: Tensor, y: Tensor):
    losses = loss(raw, y)
    if not isinstance(losses, Tensor):
        raise ValueError(
            f"a callable loss must return a tensor, got {losses!r} from {loss!r}."
        )
    if raw.requires_grad and not losses.requires_grad:
        raise ValueError(
            "a callable loss must depend on the outputs, got a loss without gradient "
            f"from {loss!r}."
        )
    if losses.shape != raw.shape[:-1]:
        raise ValueError(
            "a callable loss must return a loss per row, of shape "
            f"{tuple(raw.shape[:-1])}, got shape {tuple(losses.shape)} for outputs of "
            f"shape {tuple(raw.shape)} and targets of shape {tuple(y.shape)}."
        )
    return losses


class Criterion(nn.Module):
    """The loss per sample of a row of `LOSSES`, for one kind of target.

    Parameters
    ----------
    loss : str or callable
        See `get_loss`.
    kind : str
        Key of the row's `terms`.
    params : mapping, default=None
        Parameters of the loss.
    """

    def __init__(
        self,
        loss: str | Callable,
        kind: str,
        params: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__()
        self.loss, self.kind, self.params = loss, kind, dict(params or {})
        self.term = get_loss(loss).terms[kind]

    @property
    def has_gradient(self) -> bool:
        """Whether the gradient has a formula and needs no autograd."""
        return self.term.gradient is not None

    @property
    def link(self) -> InverseLink:
        """Row of the activation of the output units."""
        return INVERSE_LINKS[self.term.link]

    def inverse_link(self, raw: Tensor) -> Tensor:
        """Activate the output units."""
        return self.link.function(raw)

    def forward(self, raw: Tensor, y: Tensor) -> Tensor:
        """Compute the losses (..., batch) whose gradient trains the network."""
        return self.term.per_sample(raw, y, **self.params)

    def gradient(self, raw: Tensor, y: Tensor) -> Tensor:
        """Compute the gradient with respect to the raw outputs, in new memory."""
        assert self.term.gradient is not None
        return self.term.gradient(raw, y, **self.params)


__all__ = [
    "INVERSE_LINKS",
    "LOSSES",
    "Criterion",
    "InverseLink",
    "Loss",
    "Term",
    "get_loss",
    "losses_on",
    "smooth",
    "soft_targets",
]
