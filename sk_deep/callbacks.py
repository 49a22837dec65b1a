"""Callbacks for the parameter ``callbacks`` of an estimator."""

import os
from collections.abc import Callable, Sequence
from numbers import Integral
from pathlib import Path
from typing import Any

import torch
from skorch.callbacks import Callback
from torch import Tensor

from sk_deep._files import plain_tree
from sk_deep._files.atomic import atomic_write
from sk_deep._version import __version__
from sk_deep.exceptions import CorruptModelError, warn_user


class Checkpoint(Callback):
    """Write the state of the training to a file, so that a killed fit can resume.

    Pass it in the parameter ``callbacks`` of an estimator. If the fit is killed, the
    next fit with the same data and parameters continues after the last epoch that was
    written. It ends in the same weights as a fit that was never killed, bit by bit, on
    the same number of threads. A fit that ends removes its file.

    Parameters
    ----------
    folder : str or path-like
        Folder of the files, which is created if it does not exist. Each fit writes its
        own file, named after its data and parameters, so that workers can share a
        folder.
    every : int, default=1
        Number of epochs between two writes.

    Raises
    ------
    ValueError
        In fit, if `every` is not positive, or if the estimator has no `random_state`,
        so that the fit cannot be repeated; also in ``partial_fit`` and with
        ``solver="lbfgs"``, which cannot resume.

    Warns
    -----
    UserWarning
        If the file of this fit is corrupt; training then starts afresh.

    Notes
    -----
    The state of other callbacks is not saved. The files have the format of
    `sk_deep.save`: they are safe to read, and written whole or not at all. The file of
    a fit that is not repeated stays in the folder.

    Examples
    --------
    >>> import tempfile
    >>> from sklearn.datasets import load_iris
    >>> from sk_deep import MLPClassifier
    >>> from sk_deep.callbacks import Checkpoint
    >>> X, y = load_iris(return_X_y=True)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     clf = MLPClassifier(
    ...         max_iter=500, random_state=0, callbacks=[Checkpoint(folder, every=50)]
    ...     ).fit(X, y)
    >>> clf.score(X, y) > 0.9
    True
    """

    def __init__(self, folder: str | os.PathLike, every: int = 1) -> None:
        self.folder = folder
        self.every = every

    # skorch takes attributes for parameters, unless their names end in _
    def initialize(self) -> "Checkpoint":
        """Start without a file."""
        self._path_: Path | None = None
        self._take_: Callable[[], Any] | None = None
        return self

    def begin(self, key: str, take: Callable[[], Any]) -> Any:
        """Start to write files, and return the state that was written last.

        Parameters
        ----------
        key : str
            Identifies this fit.
        take : callable
            Returns the state of the training, a tree for `sk_deep._files.plain_tree`.

        Returns
        -------
        state : object
            The state in the file of this fit; None if there is no file.
        """
        if not isinstance(self.every, Integral) or self.every < 1:
            raise ValueError(
                f"every must be an integer of at least 1, got {self.every!r}."
            )
        folder = Path(self.folder)
        folder.mkdir(parents=True, exist_ok=True)
        self._path_, self._take_ = path, _ = folder / f"{key}.checkpoint", take
        if not path.exists():
            return None
        try:
            return plain_tree.load(path.read_bytes())
        except CorruptModelError as error:
            warn_user(
                f"The checkpoint {path} is not used, and training starts afresh: "
                f"{error}"
            )
            return None

    def on_epoch_end(self, net, **kwargs) -> None:
        """Write the file after every so many epochs."""
        if self._path_ is None or self._take_ is None:
            return  # a net that no fit of an estimator trains
        if len(net.history) % self.every == 0:
            content = plain_tree.dump(self._take_(), {"version": __version__})
            with atomic_write(self._path_) as file:
                file.write(content)

    def on_train_end(self, net, **kwargs) -> None:
        """Remove the file, and release the training."""
        if self._path_ is not None:
            self._path_.unlink(missing_ok=True)
        self._take_ = None


class LayerMonitor(Callback):
    """Record the size of gradients and steps, by layer and epoch.

    Pass it in the parameter ``callbacks`` of an estimator. After the fit, the
    attributes `gradient_norm_curve_` and `update_ratio_curve_` hold a list per epoch
    with a number per layer, from the first layer to the output layer. Gradients that
    shrink from layer to layer towards the inputs vanish; steps should be about a
    thousandth of the weights.

    Notes
    -----
    The gradient norm of an epoch is the root mean square, over its batches, of the norm
    of the gradient of a layer's weights, penalty and clipping included. The update
    ratio is the mean of the norm of a step over the norm of the weights. Both are
    averaged over the members of an ensemble. Recording every step costs time: a small
    network trains half as fast.

    References
    ----------
    X. Glorot and Y. Bengio, "Understanding the difficulty of training deep feedforward
    neural networks", AISTATS 2010, sec. 4.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.datasets import make_regression
    >>> from sk_deep import MLPRegressor
    >>> from sk_deep.callbacks import LayerMonitor
    >>> X, y = make_regression(n_features=4, random_state=0)
    >>> network = MLPRegressor(max_iter=5, callbacks=[LayerMonitor()])
    >>> np.shape(network.fit(X, y / y.std()).gradient_norm_curve_)
    (5, 2)
    """

    def initialize(self) -> "LayerMonitor":
        """Start without records."""
        self._weights_: list[Tensor] = []
        self._before_: list[Tensor] = []
        self._squares_: list[Tensor] = []
        self._ratios_: list[Tensor] = []
        return self

    def on_train_begin(self, net, **kwargs) -> None:
        """Check that the solver takes steps on batches."""
        if net.solver.full_batch:
            raise ValueError(
                "LayerMonitor needs a stochastic solver, got a full-batch solver."
            )

    def on_epoch_begin(self, net, **kwargs) -> None:
        """Start the records of an epoch."""
        self._weights_ = [layer.weight.data for layer in net.module_.linear_layers()]
        self._squares_, self._ratios_ = [], []

    def on_batch_begin(self, net, training=False, **kwargs) -> None:
        """Copy the weights before a step."""
        if training:
            self._before_ = [weight.clone() for weight in self._weights_]

    def on_grad_computed(self, net, **kwargs) -> None:
        """Record the norms of the gradients."""
        grads = [layer.weight.grad for layer in net.module_.linear_layers()]
        self._squares_.append(_norms(grads) ** 2)

    def on_batch_end(self, net, training=False, **kwargs) -> None:
        """Record the ratio of the step to the weights before it."""
        if training:
            pairs = zip(self._weights_, self._before_, strict=True)
            steps = [now - before for now, before in pairs]
            self._ratios_.append(_norms(steps) / _norms(self._before_).clamp(min=1e-30))

    def on_epoch_end(self, net, **kwargs) -> None:
        """Record the means over the epoch, and release the tensors."""
        norms = torch.stack(self._squares_).mean(dim=0).sqrt()
        ratios = torch.stack(self._ratios_).mean(dim=0)
        for name, values in {"gradient_norms": norms, "update_ratios": ratios}.items():
            net.history.record(name, values.mean(dim=1).tolist())
        self._weights_, self._before_, self._squares_, self._ratios_ = [], [], [], []


def _norms(weights: Sequence[Tensor]) -> Tensor:
    """Compute the norms of the layers' weights, (n_layers, n_members)."""
    return torch.stack([w.norm(dim=(-2, -1)).reshape(-1) for w in weights])
