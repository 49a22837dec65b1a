"""Errors and warnings of the package."""


class DivergenceError(ValueError):
    """Training ended in a non-finite loss or non-finite weights."""


class DeviceFallbackWarning(UserWarning):
    """A network was moved to the CPU since its device is not there."""


def divergence(epoch: int) -> DivergenceError:
    """Build the error for a training that diverged in the given epoch."""
    return DivergenceError(
        "Solver produced non-finite parameter weights. The input data may contain large"
        " values and need to be preprocessed. The loss was no longer finite at epoch"
        f" {epoch}: scale X, lower learning_rate_init, or both."
    )
