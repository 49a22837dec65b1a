"""Limited-memory BFGS on the whole data, by scipy."""

from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.optimize
from numpy.typing import NDArray

from sk_deep._compat import check_optimize_result


def minimize_lbfgs(
    objective: Callable[[NDArray], tuple[float, NDArray]],
    start: NDArray,
    *,
    max_iter: int,
    max_fun: int,
    tol: float,
    callback: Callable[[NDArray], None],
    **options: Any,
) -> tuple[NDArray, float, int]:
    """Minimise a function of the flat parameters by scipy's L-BFGS-B.

    Parameters
    ----------
    objective : callable
        Gives the loss and its gradient, of shape (n_parameters,).
    start : ndarray of shape (n_parameters,)
        Initial parameters.
    max_iter, max_fun : int
        Bounds on the iterations and on the evaluations of the objective.
    tol : float
        Bound on the greatest component of the gradient at the end.
    callback : callable
        Called after each iteration with the parameters; it may raise StopIteration.
    **options : dict
        Further options of scipy's L-BFGS-B.

    Returns
    -------
    parameters : ndarray of shape (n_parameters,)
        The best parameters.
    loss : float
        The objective there.
    n_iter : int
        Number of iterations.

    Warns
    -----
    ConvergenceWarning
        If a bound stopped the search.

    References
    ----------
    D. Liu and J. Nocedal, "On the limited memory BFGS method for large scale
    optimization", Mathematical Programming 1989.
    """
    is_stopped = False

    def end_iteration(parameters: NDArray) -> None:
        nonlocal is_stopped
        try:
            callback(parameters)
        except StopIteration:
            is_stopped = True
            raise

    result = scipy.optimize.minimize(
        objective,
        start,
        method="L-BFGS-B",
        jac=True,
        callback=end_iteration,
        options={
            "maxfun": max_fun,
            "maxiter": max_iter,
            "gtol": tol,
            **options,
        },
    )
    # a search that the callback stops is not checked for convergence
    n_iter = (
        result.nit if is_stopped else check_optimize_result("lbfgs", result, max_iter)
    )
    return np.asarray(result.x), float(result.fun), int(n_iter)
