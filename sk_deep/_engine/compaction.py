"""Moving a running training of some members to a smaller stack."""

from numpy.typing import NDArray
from torch import Tensor

from sk_deep._engine.net import Net


def continue_members(net: Net, old: Net, members: NDArray) -> None:
    """Continue in a new net the training of some members of an old one.

    Parameters
    ----------
    net : Net
        A net of these members, whose training has just started.
    old : Net
        The net that has trained them.
    members : ndarray of int of shape (n_members,)
        Their positions in the old net.
    """
    for name in ("flat", "flat_buffers"):
        tensor = getattr(net.module_, name)
        tensor.copy_(getattr(old.module_, name)[members].view_as(tensor))
    pairs = zip(net.training_.kept.pairs, old.training_.kept.pairs, strict=True)
    for (kept, _), (old_kept, _) in pairs:
        kept.copy_(old_kept[members].view_as(kept))
    net.module_.generator.set_state(old.module_.generator.get_state())
    net.n_epochs_, net.n_samples_ = old.n_epochs_, old.n_samples_
    if net.average_ is not None and old.average_ is not None:
        held = [values[members] for values in old.average_.held]
        net.average_.go_on_from(held, old.average_.n_steps)
    for i, group in enumerate(net.rates_.groups):
        j = old.rates_.group_of(members[group.start])
        net.rates_.reductions[i] = old.rates_.reductions[j]
        rows = members[group] - old.rates_.groups[j].start
        _copy_optimizer_state(net, i, old, j, rows)


def _copy_optimizer_state(net: Net, i: int, old: Net, j: int, rows: NDArray) -> None:
    """Copy the state of some members of the j-th old group to the i-th new group."""
    group, old_group = net.optimizer_.param_groups[i], old.optimizer_.param_groups[j]
    for new, before in zip(group["params"], old_group["params"], strict=True):
        for name, value in old.optimizer_.state[before].items():
            if isinstance(value, Tensor):
                has_rows = net.solver.elementwise and value.shape == before.shape
                value = value[rows].view_as(new) if has_rows else value.clone()
            net.optimizer_.state[new][name] = value
    group.update({k: v for k, v in old_group.items() if k != "params"})
