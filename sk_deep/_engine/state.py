"""The state of a net in plain containers and numpy arrays, and nets from it."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sk_deep._engine.net import Net, make_net
from sk_deep._engine.stopping import Stopping
from sk_deep.network import Architecture

_MOST_LAYERS = 10_000  # that are read from a file
_OF_THE_LOSS = "loss", "kind", "loss_params"  # the rest of a description


def describe(net: Net) -> dict[str, Any]:
    """Describe the architecture and the loss of a net."""
    return {
        **net.module_.architecture.to_dict(),
        "loss": net.criterion_.loss,
        "kind": net.criterion_.kind,
        "loss_params": net.criterion_.params,
    }


def net_state(net: Net, *, with_training: bool) -> dict[str, Any]:
    """Describe a net in plain containers and numpy arrays.

    Parameters
    ----------
    net : Net
        A trained net.
    with_training : bool
        Whether to add the state that further training continues from: the moments of
        the optimizer, the generator of masks, and the raw weights beside averages.

    Returns
    -------
    state : dict
        A state for `net_from_state`.
    """
    return {
        "description": describe(net),
        "flat": _to_numpy(net.module_.flat),
        "flat_buffers": _to_numpy(net.module_.flat_buffers),
        "training": _training_state(net) if with_training else None,
    }


def check_state(state: Mapping[str, Any]) -> None:
    """Check a state before anything is built from it.

    Parameters
    ----------
    state : mapping
        A state for `net_from_state`, perhaps from an untrusted file.

    Raises
    ------
    ValueError
        If it does not describe a network, or if its weights do not fit the network or
        are not finite.
    """
    missing = {"description", "flat", "flat_buffers", "training"} - state.keys()
    if missing:
        raise ValueError(f"a state of a network must have {sorted(missing)}.")
    flat, description = state["flat"], state["description"]
    for name in ("n_features", "n_outputs", "n_members", "maxout_pieces"):
        _check_count(name, description[name])
    if len(description["hidden_units"]) > _MOST_LAYERS:
        raise ValueError(
            f"a network must have at most {_MOST_LAYERS} hidden layers, got "
            f"{len(description['hidden_units'])}."
        )
    for units in description["hidden_units"]:
        _check_count("hidden_units", units)
    # the network takes no more memory than the weights that are there
    for shape in description.get("categories", ()):
        for number in shape:
            _check_count("categories", number)
    architecture = architecture_of(state)
    n_described = architecture.n_weights + architecture.n_embedding_weights
    if max(n_described, architecture.n_biases) > flat.size:
        raise ValueError(
            f"a network of {n_described} weights needs as many values, got {flat.size}."
        )
    for name in ("flat", "flat_buffers"):
        array = state[name]
        if array.dtype != description["dtype"] or not np.isfinite(array).all():
            raise ValueError(
                f"weights must be finite and of dtype {description['dtype']!r}, got "
                f"{name} of {array.dtype} with "
                f"{np.count_nonzero(~np.isfinite(array))} values that are not finite."
            )


def _check_count(name: str, value: Any) -> None:
    if type(value) is not int or value < 1:  # numpy integers wrap around in products
        raise ValueError(f"{name} must be a positive integer, got {value!r}.")


def architecture_of(state: Mapping[str, Any]) -> Architecture:
    """Return the architecture of the network that a state describes."""
    fields = dict(state["description"])
    for name in _OF_THE_LOSS:
        fields.pop(name)
    return Architecture.from_dict(fields)


def all_finite(*tensors: Tensor) -> bool:
    """Whether all values of tensors are finite."""
    return all(bool(tensor.isfinite().all()) for tensor in tensors)


def net_from_state(state: Mapping[str, Any], *, device: str) -> Net:
    """Build a net for prediction from a state, on a device."""
    description = state["description"]
    loss = {name: description[name] for name in _OF_THE_LOSS}
    net = make_net(architecture_of(state), **loss, device=device)
    _load_weights(net, state)
    net.loaded_training_ = state["training"]
    return net


def copy_in_training(net: Net, *, with_training: bool) -> Net:
    """Copy a net in training, as if the training stopped now.

    Parameters
    ----------
    net : Net
        The net; its next epoch may have begun.
    with_training : bool
        As in `net_state`.

    Returns
    -------
    twin : Net
        With the weights that are kept, for prediction.
    """
    if not net.is_in_training:
        return net_from_state(
            net_state(net, with_training=with_training), device=net.device
        )
    training = net.training_
    if training.catch_up is not None:
        training.catch_up()
    state = net_state(net, with_training=with_training)
    if training.kept.pairs:
        flat, flat_buffers = (_to_numpy(kept) for kept, _ in training.kept.pairs)
        state.update(flat=flat, flat_buffers=flat_buffers)
    return net_from_state(state, device=net.device)


def go_on_from(net: Net, old: Net, *, with_optimizer: bool) -> bool:
    """Copy the weights and the generator of an old net to a new one.

    Parameters
    ----------
    net, old : Net
        The nets, of the same description.
    with_optimizer : bool
        Whether to copy the state of the optimizer too, if it is of the same class.

    Returns
    -------
    has_generator : bool
        Whether the old net had a generator.
    """
    state = net_state(old, with_training=True)
    _load_weights(net, state)
    training = state["training"]
    if training is None:
        return False
    if with_optimizer and _fits(training, net):
        _load_optimizer(net, training)
    if training["generator"] is not None:
        net.module_.generator.set_state(_to_tensor(training["generator"]))
    return training["generator"] is not None


def progress(net: Net, stopping: Stopping) -> dict[str, Any]:
    """Describe a training between two epochs, whole, for `resume`.

    Parameters
    ----------
    net : Net
        A net in training.
    stopping : Stopping
        The rule that stops it.

    Returns
    -------
    state : dict
        The state, of plain containers and numpy arrays.
    """
    pairs = net.training_.kept.pairs
    return {
        "weights": [(_to_numpy(kept), _to_numpy(current)) for kept, current in pairs],
        "training": _training_state(net),
        "n_samples": net.n_samples_,
        "running": net.running_,
        "random_states": list(net.random_states),
        "order": net.training_.order,
        "best": stopping.best,
        "n_stale": stopping.n_stale,
        "history": list(net.history),
    }


def resume(net: Net, stopping: Stopping, state: Mapping[str, Any]) -> None:
    """Restore a training that `progress` described; its net has just started."""
    for tensors, arrays in zip(net.training_.kept.pairs, state["weights"], strict=True):
        for tensor, array in zip(tensors, arrays, strict=True):
            tensor.copy_(_to_tensor(array))
    training = state["training"]
    _load_optimizer(net, training)
    if training["generator"] is not None:
        net.module_.generator.set_state(_to_tensor(training["generator"]))
    pairs = zip(net.random_states, state["random_states"], strict=True)
    for random_state, saved in pairs:  # in place, since it may be the user's
        random_state.set_state(saved.get_state())
    order = net.training_.order
    if order is not None:
        order[...] = state["order"]
    net.n_samples_ = state["n_samples"]
    net.running_[:] = state["running"]
    stopping.best[:], stopping.n_stale[:] = state["best"], state["n_stale"]
    net.history.extend(state["history"])
    net.note_finished_epoch()


def member_net(net: Net, i: int) -> Net:
    """Copy the i-th member to a single net, for prediction."""
    member = net.module_.member(i)
    state = {
        "description": {**describe(net), **member.architecture.to_dict()},
        "flat": _to_numpy(member.flat),
        "flat_buffers": _to_numpy(member.flat_buffers),
        "training": None,
    }
    return net_from_state(state, device=net.device)


def _training_state(net: Net) -> Mapping[str, Any] | None:
    """Describe the state that further training continues from, if there is one."""
    if not net.n_epochs_:
        return net.loaded_training_
    generator = net.module_.generator.get_state() if net.draws_noise else None
    average = None
    if net.average_ is not None:
        average = {"held": net.average_.held, "n_steps": net.average_.n_steps}
    return {
        "solver": _signature(net.optimizer_),
        "optimizer": _map(net.optimizer_.state_dict(), _to_numpy),
        "reductions": net.rates_.reductions.copy(),
        "n_epochs": net.n_epochs_,
        "generator": _to_numpy(generator),
        "average": _map(average, _to_numpy),
    }


def _signature(optimizer) -> list[str]:
    """Name an optimizer's class and its options that are on, which shape its state."""
    kind = type(optimizer)
    is_on = sorted(name for name, value in optimizer.defaults.items() if value)
    return [f"{kind.__qualname__} of {kind.__module__}", *is_on]


def _fits(training: Mapping[str, Any], net: Net) -> bool:
    is_same_solver = training["solver"] == _signature(net.optimizer_)
    return is_same_solver and len(training["reductions"]) == len(net.rates_.reductions)


def _load_optimizer(net: Net, training: Mapping[str, Any]) -> None:
    net.optimizer_.load_state_dict(_map(training["optimizer"], _to_tensor))
    # NOTE[DIFF] parameters set between partial fits: they act; scikit-learn keeps those
    # of the first call
    for group in net.optimizer_.param_groups:
        group.update(net.optimizer_.defaults)
    net.rates_.reductions = training["reductions"].copy()
    net.n_epochs_ = training["n_epochs"]
    average = training.get("average")  # older states have none
    if net.average_ is not None and average is not None:
        net.average_.go_on_from(**_map(average, _to_tensor))


def _load_weights(net: Net, state: Mapping[str, Any]) -> None:
    for name in ("flat", "flat_buffers"):
        tensor, values = getattr(net.module_, name), _to_tensor(state[name])
        if tensor.shape != values.shape:
            raise ValueError(
                f"{name} must be of shape {tuple(tensor.shape)}, got "
                f"{tuple(values.shape)}."
            )
        tensor.copy_(values)
    net.module_.eval()


def _map(value, convert):
    """Apply a function to the leaves of a nested state."""
    if isinstance(value, dict):
        return {key: _map(item, convert) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_map(item, convert) for item in value)
    return convert(value)


def _to_numpy(value):
    return value.cpu().numpy().copy() if isinstance(value, Tensor) else value


def _to_tensor(value):
    return torch.tensor(value) if isinstance(value, np.ndarray) else value
