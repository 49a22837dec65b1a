"""The objective of training: from a batch to its gradient and its loss."""

from collections.abc import Callable

import torch
from numpy.typing import NDArray
from torch import Tensor

from sk_deep._data.batches import Batch
from sk_deep._engine.cuda_graphs import GradientFunction
from sk_deep._engine.data_parallel import ProcessGroup
from sk_deep._engine.mean_loss import Step, total_loss
from sk_deep._engine.penalty import Number, as_number, decay, is_on, penalise
from sk_deep.augmentation import Augment
from sk_deep.losses import Criterion, smooth, soft_targets
from sk_deep.network import MLP


class Objective:
    """The mean loss over the rows of a batch, plus the penalty on the weights.

    It is (sum(w l) + alpha (r |W|_1 + (1 - r) / 2 |W|^2)) / sum(w), with r = l1_ratio;
    at r = 0 it is scikit-learn's.

    Parameters
    ----------
    module : MLP
        The network, or stack of networks.
    criterion : Criterion
        The loss l of a row.
    alpha, l1_ratio : float or ndarray of shape (n_members,), default=0.0
        Strength of the penalty on the weights, and the L1 part of it.
    label_smoothing : float or ndarray of shape (n_members,), default=0.0
        Part of the targets that is spread over all classes.
    augmentation : Augment, default=None
        Transforms each batch.
    decouples_decay : bool, default=False
        Whether the penalty moves the weights directly, not through the gradient.
    processes : ProcessGroup, default=None
        Processes that share each batch; None is this process alone.
    after_gradient : callable, default=None
        Called with the network and the batch after each gradient.
    """

    def __init__(
        self,
        module: MLP,
        criterion: Criterion,
        *,
        alpha: float | NDArray = 0.0,
        l1_ratio: float | NDArray = 0.0,
        label_smoothing: float | NDArray = 0.0,
        augmentation: Augment | None = None,
        decouples_decay: bool = False,
        processes: ProcessGroup | None = None,
        after_gradient: Callable[[MLP, Batch], None] | None = None,
    ) -> None:
        self.module = module
        self.criterion = criterion
        self.augmentation = augmentation
        self.decouples_decay = decouples_decay
        self.processes = processes
        self.after_gradient = after_gradient
        self.alpha = as_number(alpha, module.flat)
        self.l1_ratio = as_number(l1_ratio, module.flat)
        self.label_smoothing = as_number(label_smoothing, module.flat)
        self._alphas = alpha
        self._decay: Number = 0.0
        self._is_penalised = is_on(alpha) and not decouples_decay
        self._smooths_labels = is_on(label_smoothing)
        self._leaves_batches = augmentation is None and not self._smooths_labels

    # ---- the batch -----------------------------------------------------------------

    def prepare(self, batch: Batch) -> Batch:
        """Augment a batch, and smooth its labels.

        Parameters
        ----------
        batch : Batch
            The batch.

        Returns
        -------
        batch : Batch
            The same batch, or one of new tensors.
        """
        if self._leaves_batches:
            return batch
        X, y, weight, n_rows = batch
        if self.augmentation is not None:
            if self.augmentation.mixes_targets:
                y = self._soft_targets(y)
            X, y, weight = self.augmentation(X, y, weight, self.module.generator)
            self._check_number_of_classes(y)
        if self._smooths_labels:
            y = self._smooth(self._soft_targets(y))
        return Batch(X, y, weight, n_rows)

    def _smooth(self, y: Tensor) -> Tensor:
        amount = self.label_smoothing
        if isinstance(amount, Tensor):
            amount = amount[:, None, None]
        is_indicator = self.criterion.kind == "binary"
        return smooth(y, amount, 2 if is_indicator else y.shape[-1])

    def _check_number_of_classes(self, y: Tensor | None) -> None:
        """Check the targets that a user's augmentation returned."""
        if y is None or self.criterion.kind != "multiclass":
            return
        n_classes = self.module.architecture.n_outputs
        if y.is_floating_point() and y.shape[-1] != n_classes:
            raise ValueError(
                f"augmentation must return probabilities of {n_classes} classes, got y "
                f"of shape {tuple(y.shape)}."
            )

    def _soft_targets(self, y: Tensor) -> Tensor:
        return soft_targets(y, self.module.architecture.n_outputs, self.module.flat)

    # ---- gradient and loss ---------------------------------------------------------

    def gradient(self, compute_gradient: GradientFunction, batch: Batch) -> Step:
        """Put the gradient of a batch's loss into the flat buffer.

        Parameters
        ----------
        compute_gradient : GradientFunction
            Computes the gradient of a network.
        batch : Batch
            The batch.

        Returns
        -------
        step : Step
            What is needed to compute the loss later.
        """
        processes = self.processes
        if processes is not None:
            batch = processes.share(batch)
        X, y, weight, n_rows = batch
        shares, total = (
            (1 / n_rows, n_rows) if weight is None else _shares(weight, processes)
        )
        raw, losses = compute_gradient(X, y, shares)
        if processes is not None:
            gradient = compute_gradient.module.flat_grad
            gradient.copy_(processes.add_up(gradient))
        norm, strength = None, self.alpha / total
        if self._is_penalised:
            norm = penalise(compute_gradient.module, strength, self.l1_ratio)
        if self.after_gradient is not None:
            self.after_gradient(compute_gradient.module, batch)
        if processes is not None and processes.rank > 0:
            norm = None  # the first process counts the penalty
        if weight is None or not isinstance(shares, Tensor):
            return Step(raw, y, n_rows, None, losses, norm, self.alpha / 2)
        counts = n_rows.unsqueeze(-1) if isinstance(n_rows, Tensor) else n_rows
        factor = strength * (n_rows / 2)
        return Step(raw, y, n_rows, shares * counts, losses, norm, factor)

    def loss(self, step: Step) -> Tensor:
        """Compute the loss of a step, () or (n_members,)."""
        loss = total_loss(self.criterion, [step]) / step.size
        return loss if self.processes is None else self.processes.add_up(loss)

    # ---- decoupled decay -----------------------------------------------------------

    def set_rates(self, rates: NDArray) -> None:
        """Take over the members' learning rates, with which decoupled decay scales."""
        if self.decouples_decay:
            self._decay = as_number(rates * self._alphas, self.module.flat)

    def decay(self) -> None:
        """Decay the weights by the penalty, which is not part of the gradient."""
        decay(self.module, self._decay, self.l1_ratio)


def _shares(weight: Tensor, processes: ProcessGroup | None) -> tuple[Tensor, Tensor]:
    """Compute each row's share of the loss of its batch, w / sum(w), and the sum."""
    total = weight.sum(dim=-1, keepdim=True)
    if processes is not None:
        total = processes.add_up(total)
    # NOTE[DIFF] batches that weigh nothing: scikit-learn divides by zero
    total = total.where(total > 0, torch.inf)
    return weight / total, total.squeeze(-1)
