"""One fit on several processes, through an `accelerate.Accelerator`.

Every process gets the same rows and makes the same batches, and computes the gradient
of its share of each batch. The sum of the gradients is the gradient of the whole batch,
so each process takes the steps of a single process, to rounding, and no weights are
exchanged. Only the masks of dropout differ between processes.
"""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

_PLAIN = ("NO", "MULTI_CPU", "MULTI_GPU", "MULTI_XPU", "MULTI_NPU", "MULTI_MLU")


class ProcessGroup:
    """The processes of an accelerator, and the place of this process among them.

    Parameters
    ----------
    accelerator : accelerate.Accelerator
        Connects the processes.

    Attributes
    ----------
    rank, size : int
        Index of this process, and number of processes.
    """

    def __init__(self, accelerator) -> None:
        self.rank, self.size = accelerator.process_index, accelerator.num_processes
        self._accelerator = accelerator

    def share(self, batch: Any) -> Any:
        """Take this process's share of a batch; `n_rows` stays that of the batch."""
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
        """Sum values over all processes."""
        return self._accelerator.reduce(values, reduction="sum")

    def add_up_numbers(self, numbers: NDArray) -> NDArray:
        """Sum numbers over all processes."""
        tensor = torch.as_tensor(numbers, device=self._accelerator.device)
        return self.add_up(tensor).numpy(force=True)

    def agree(self, values: NDArray) -> NDArray:
        """Return the values of the first process, so that all decide alike."""
        from accelerate.utils import broadcast

        tensor = torch.as_tensor(values, device=self._accelerator.device)
        return broadcast(tensor).numpy(force=True)

    def check_same(self, name: str, *values: float) -> None:
        """Check that all processes have the same values.

        Parameters
        ----------
        name : str
            Name of the values, for the error.
        *values : float
            Values of this process.

        Raises
        ------
        ValueError
            If they differ.
        """
        array = np.array(values, float)
        if self.add_up_numbers(1.0 * (array != self.agree(array))).any():
            raise ValueError(
                f"All processes of an accelerator must have the same {name}, got other "
                f"values in process {self.rank} than elsewhere: {list(values)}."
            )


def process_group(accelerator) -> ProcessGroup | None:
    """Make the process group of an accelerator.

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
        If its settings go beyond sharing batches between processes, or if this process
        is not one of them.
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
                "accelerator must only share batches between processes; dtype and "
                "batch_size are parameters of the estimator, got "
                f"{name}={value!r}."
            )
    if accelerator.num_processes == 1:
        return None
    if not torch.distributed.is_initialized():
        raise ValueError(
            "accelerator must be made in this process, which `accelerate launch` or "
            "`torchrun` starts, got one from another process, such as the parent of a "
            "worker of n_jobs. Set n_jobs to None or 1."
        )
    return ProcessGroup(accelerator)
