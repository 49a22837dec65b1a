"""One fit on several processes, through a `accelerate.Accelerator`.

Every process is given the same rows and makes the same batches, of which it computes
the gradient of its share; the sum of the gradients is that of the whole batch. So each
takes the steps that one process alone would take, to rounding, and none needs weights
of another. Only where masks of dropout are drawn are they each process's own.
"""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

_PLAIN = ("NO", "MULTI_CPU", "MULTI_GPU", "MULTI_XPU", "MULTI_NPU", "MULTI_MLU")


class ProcessGroup:
    """The processes of an accelerator, and this one's place among them.

    Parameters
    ----------
    accelerator : accelerate.Accelerator
        What connects them.

    Attributes
    ----------
    rank, size : int
        Number of this process, from 0, and of all.
    """

    def __init__(self, accelerator) -> None:
        self.rank, self.size = accelerator.process_index, accelerator.num_processes
        self._accelerator = accelerator

    def share(self, batch: Any) -> Any:
        """Take this process's share of a batch's rows; `n_rows` stays that of all."""
        axis, n_rows = batch.X.ndim - 2, batch.X.shape[-2]
        start = n_rows * self.rank // self.size
        stop = n_rows * (self.rank + 1) // self.size
        parts = {
            name: part.narrow(axis, start, stop - start)
            for name, part in batch._asdict().items()
            if name != "n_rows" and part is not None
        }
        return batch._replace(**parts)

    def add_up(self, values: Tensor) -> Tensor:
        """Add up the values of all processes."""
        return self._accelerator.reduce(values, reduction="sum")

    def add_up_numbers(self, numbers: NDArray) -> NDArray:
        """Add up the numbers of all processes."""
        found = torch.as_tensor(numbers, device=self._accelerator.device)
        return self.add_up(found).numpy(force=True)

    def agree(self, values: NDArray) -> NDArray:
        """Take the values of the first process, on which all decide alike."""
        from accelerate.utils import broadcast

        found = torch.as_tensor(values, device=self._accelerator.device)
        return broadcast(found).numpy(force=True)

    def check_same(self, what: str, *values: float) -> None:
        """Check that all processes have the same values.

        Parameters
        ----------
        what : str
            What has these values, for the error.
        *values : float
            This process's.

        Raises
        ------
        ValueError
            If they differ.
        """
        own = np.array(values, float)
        if self.add_up_numbers(1.0 * (own != self.agree(own))).any():
            raise ValueError(
                f"All processes of an accelerator must have the same {what}, however: "
                f"process {self.rank} has {list(values)}, which differs from another's."
            )


def process_group(accelerator) -> ProcessGroup | None:
    """Make the team of an accelerator.

    Parameters
    ----------
    accelerator : accelerate.Accelerator or None
        As the user gave it.

    Returns
    -------
    processes : ProcessGroup or None
        None if one process trains alone.

    Raises
    ------
    ValueError
        If it asks for more than processes that share their batches, or if this process
        is none of them.
    """
    if accelerator is None:
        return None
    plain = {
        "distributed_type": _PLAIN,
        "mixed_precision": ("no",),
        "gradient_accumulation_steps": (1,),
    }
    for name, values in plain.items():
        value = getattr(accelerator, name)
        if getattr(value, "name", value) not in values:
            raise ValueError(
                "accelerator must be of processes that share their batches, and the "
                "estimator's dtype and batch_size decide the rest, however: "
                f"{name}={value!r}."
            )
    if accelerator.num_processes == 1:
        return None
    if not torch.distributed.is_initialized():
        raise ValueError(
            "accelerator must be one of this process, started with the others by "
            "`accelerate launch` or `torchrun`, however: it came from another process, "
            "as to a worker of n_jobs. Let n_jobs be None or 1."
        )
    return ProcessGroup(accelerator)
