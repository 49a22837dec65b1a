"""Errors and warnings of the package."""

import re
import sys
import warnings
from pathlib import Path

import sklearn.base
import skorch
import torch
from sklearn.exceptions import InconsistentVersionWarning as _OfScikitLearn

_FULL_MEMORY = re.compile(
    r"^\S*?(OutOfMemoryError|MemoryError)\b"
    r"|DefaultCPUAllocator: (?:can't allocate|not enough) memory",
    re.MULTILINE,
)
# files whose frames are not the user's code: this package, scikit-learn's wrapper of
# `fit`, and skorch's notification of callbacks
_NOT_USERS = (
    str(Path(__file__).parent),
    sklearn.base.__file__,
    str(Path(skorch.__file__).parent),
)


class DivergenceError(ValueError):
    """The loss, the weights or the outputs of a network are not finite."""


class CorruptModelError(ValueError):
    """A file has changed since it was written, or is no file of sk_deep."""


class DeviceFallbackWarning(UserWarning):
    """A network was moved to the CPU because its device is not available."""


class InconsistentVersionWarning(_OfScikitLearn):
    """An estimator comes from another version of sk_deep.

    Parameters
    ----------
    estimator_name : str
        Its class.
    current_version, original_version : str
        The version of sk_deep that runs, and the one that wrote the estimator.
    """

    def __init__(
        self, *, estimator_name: str, current_version: str, original_version: str
    ) -> None:
        super().__init__(
            estimator_name=estimator_name,
            current_sklearn_version=current_version,
            original_sklearn_version=original_version,
        )

    def __str__(self) -> str:
        return (
            f"{self.estimator_name} was written by version "
            f"{self.original_sklearn_version} of sk_deep, and this is version "
            f"{self.current_sklearn_version}: its predictions may differ. Fit it "
            "again, or install the version that wrote it."
        )


def full_memory(message: str) -> type[Exception] | None:
    """Recognise the errors of numpy, torch and Python when memory is full.

    Parameters
    ----------
    message : str
        The last line of a traceback, "Kind: message", or a whole traceback.

    Returns
    -------
    kind : {torch.OutOfMemoryError, MemoryError} or None
        The error to raise in its place; None for any other error.
    """
    match = _FULL_MEMORY.search(message)
    if match is None:
        return None
    is_of_device = match[1] == "OutOfMemoryError"
    return torch.OutOfMemoryError if is_of_device else MemoryError


def divergence(epoch: int) -> DivergenceError:
    """Build the error for a training that diverged in the given epoch."""
    return DivergenceError(
        "Solver produced non-finite parameter weights. The input data may contain large"
        " values and need to be preprocessed. The loss was no longer finite at epoch"
        f" {epoch}: scale X, lower learning_rate_init, or both."
    )


def warn_user(message: str | Warning, category: type[Warning] = UserWarning) -> None:
    """Warn at the line of the user's code that called into the package.

    Parameters
    ----------
    message : str or Warning
        The message, or the warning itself.
    category : type, default=UserWarning
        Class of a warning that is given by its message.
    """
    frame, stacklevel = sys._getframe(1), 2
    while frame.f_back is not None and frame.f_code.co_filename.startswith(_NOT_USERS):
        frame, stacklevel = frame.f_back, stacklevel + 1
    warnings.warn(message, category, stacklevel=stacklevel)
