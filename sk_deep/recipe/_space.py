"""All that the recipe's moves can reach from a network: the space of its search."""

from typing import Any

import numpy as np
from numpy.random import RandomState
from scipy.stats import loguniform
from sklearn.base import clone

from sk_deep._estimator import checks
from sk_deep._estimator.parameters import PARAMETERS
from sk_deep.recipe._moves import MOVES, Facts, is_same, may_skip, present_rate

_RANGES = {n: row.search_range for n, row in PARAMETERS.items() if row.search_range}
# Parameters that are reset beside new values of others.
_RESET = {name: row.reset_with for name, row in PARAMETERS.items() if row.reset_with}
_UNITS = (50,)  # where a network has no hidden layer
# What usually does well together, the plainest first: steep activations, solvers that
# adapt, rates that fall, small batches, noise that keeps the network from learning the
# rows by heart, and at last fewer units.
_SMALL_BATCHES = {"loss": "log_loss", "batch_size": 32, "n_iter_no_change": 30}
_FALLING_RATE = _SMALL_BATCHES | {
    "solver": "adamw",
    "learning_rate_init": 3e-3,
    "learning_rate": "cosine",
}
_SOME_NOISE = {"dropout": 0.1, "input_dropout": 0.1}
_MUCH_NOISE = {"dropout": 0.25, "input_dropout": 0.1, "augmentation": "noise"}
_FEW_UNITS = {"hidden_layer_sizes": (50,), "label_smoothing": 0.05}
_USUAL: tuple[dict[str, Any], ...] = (
    _SMALL_BATCHES
    | {"activation": "relu", "weight_init": "he_normal"}
    | {"solver": "adam", "learning_rate_init": 1e-3},
    _FALLING_RATE | _MUCH_NOISE | {"activation": "silu", "alpha": 1e-2},
    _FALLING_RATE | _SOME_NOISE | {"activation": "tanh", "alpha": 1e-2},
    _FALLING_RATE | _MUCH_NOISE | {"activation": "relu"},
    _FALLING_RATE | _SOME_NOISE | {"activation": "maxout", "max_norm": 1.0},
    _FALLING_RATE
    | _MUCH_NOISE
    | {"activation": "tanh", "weight_init": "orthogonal", "normalization": "layer"}
    | {"solver": "rmsprop", "learning_rate": "one_cycle"},
    _FALLING_RATE
    | _FEW_UNITS
    | {"activation": "relu", "dropout": 0.25, "input_dropout": 0.1}
    | {"learning_rate": "one_cycle", "learning_rate_init": 1e-3},
    _SMALL_BATCHES
    | _FEW_UNITS
    | _MUCH_NOISE
    | {"activation": "silu", "weight_init": "he_normal", "alpha": 1.0}
    | {"solver": "adam", "learning_rate_init": 3e-3},
)


class Space:
    """The product of a network's own values with those that the moves give for it.

    Parameters
    ----------
    network : estimator
        With the parameters from which the recipe starts.
    facts : Facts
        Of the data.

    Attributes
    ----------
    values : dict of str to list
        Values of parameters.
    ranges : dict of str to tuple
        Bounds of those parameters that may have all values between them.
    """

    def __init__(self, network: Any, facts: Facts) -> None:
        self.facts = facts
        self.values: dict[str, list] = {}
        self.ranges: dict[str, tuple[float, float]] = {}
        if not checks.hidden_units(network):
            network = clone(network).set_params(hidden_layer_sizes=_UNITS)
        solvers = MOVES["solver"].grid(network, facts)["solver"]
        for solver in solvers if checks.is_full_batch(network) else [None, *solvers]:
            self._add_moves(network, solver)
        for name in self.values.keys() - _RESET.keys():
            if name != "solver" or not checks.is_full_batch(network):
                self._add(name, [_own(network, name)])
        self._leave_what_can_skip()

    def _add_moves(self, network, solver: Any) -> None:
        if solver is not None:
            network = clone(network).set_params(solver=solver, solver_params=None)
        for move in MOVES.values():
            for name, values in move.grid(network, self.facts).items():
                self._add(name, values)

    def _add(self, name: str, values: list) -> None:
        if PARAMETERS[name].is_cost:
            return
        if name in _RANGES:
            bounds = self.ranges.get(name, _RANGES[name][:2])
            self.ranges[name] = min(*bounds, *values), max(*bounds, *values)
            return
        known = self.values.setdefault(name, [])
        known += [one for one in values if not any(is_same(one, k) for k in known)]

    def _leave_what_can_skip(self) -> None:
        if True in self.values.get("residual", []):
            shapes = self.values["hidden_layer_sizes"]
            self.values["hidden_layer_sizes"] = [one for one in shapes if may_skip(one)]

    def distributions(self, prefix: str = "") -> dict[str, Any]:
        """Tell the space as a search over a sample of it takes it.

        Parameters
        ----------
        prefix : str, default=""
            Of the network's parameters among those of the estimator.

        Returns
        -------
        distributions : dict of str to list or distribution
            Parameters and their values.
        """
        found: dict[str, Any] = {**self.values}
        found |= {name: loguniform(*bounds) for name, bounds in self.ranges.items()}
        return {f"{prefix}{name}": found[name] for name in sorted(found)}

    def holds(self, parameters: dict[str, Any]) -> bool:
        """Whether all of some values are in the space; epochs are free."""
        for name, value in parameters.items():
            if PARAMETERS[name].is_cost:
                continue
            if name in self.ranges:
                low, high = self.ranges[name]
                is_in = low <= value <= high
            else:
                is_in = any(is_same(value, one) for one in self.values.get(name, []))
            if not is_in:
                return False
        return True

    def encode(self, network: Any) -> list[float]:
        """Write a network's parameters as numbers, one for each of the space's.

        Parameters
        ----------
        network : estimator
            With the parameters.

        Returns
        -------
        numbers : list of float
            Logarithms of what has a range; places of all other values in their lists,
            -1 of those that are not there.
        """
        numbers = [
            float(np.log(max(_own(network, name), low)))
            for name, (low, _) in sorted(self.ranges.items())
        ]
        for name, values in sorted(self.values.items()):
            own = _own(network, name)
            places = [i for i, one in enumerate(values) if is_same(one, own)]
            numbers.append(float(places[0]) if places else -1.0)
        return numbers

    def usual(self, network: Any) -> list[dict[str, Any]]:
        """List what usually does well together, as far as the space has it.

        Parameters
        ----------
        network : estimator
            With the present parameters.

        Returns
        -------
        choices : list of dict
            Parameters and their values, the plainest choice first.
        """
        units = checks.hidden_units(network)
        layers = {} if units else {"hidden_layer_sizes": _UNITS}
        rows = [{**layers, **row} for row in _USUAL]
        return [
            self._set_back({n: v for n, v in row.items() if self.holds({n: v})})
            for row in rows
        ]

    def mixture(
        self, network: Any, other: Any, random_state: RandomState
    ) -> dict[str, Any]:
        """Take about half of what another network has of its own.

        Parameters
        ----------
        network, other : estimator
            With parameters of the space.
        random_state : RandomState
            Source of the choice.

        Returns
        -------
        parameters : dict of str to object
            Those that change, and what is set back beside them; none where a network
            has no hidden layer, for many act on one.
        """
        if not all(map(checks.hidden_units, (network, other))):
            return {}
        changed = {
            name: _own(other, name)
            for name in sorted((self.values.keys() | self.ranges) - _RESET.keys())
            if not is_same(_own(network, name), _own(other, name))
            and random_state.randint(2)
        }
        return self._set_back(changed)

    def neighbour(self, network: Any, random_state: RandomState) -> dict[str, Any]:
        """Draw new values of some parameters that have a meaning for a network.

        A third of the neighbours are near and differ in one to three, a third are
        farther away and differ in about a third of all, and a third differ in all.

        Parameters
        ----------
        network : estimator
            With the present parameters.
        random_state : RandomState
            Source of the draw.

        Returns
        -------
        parameters : dict of str to object
            Those that change, and what is set back beside them.
        """
        names = self._acting(network)
        distances = (1 + random_state.binomial(2, 0.4), len(names) // 3, len(names))
        n_names = min(distances[random_state.randint(3)], len(names))
        changed = {
            name: self._other(network, name, random_state)
            for name in random_state.choice(names, n_names, replace=False)
        }
        return self._set_back(changed)

    def _set_back(self, changed: dict[str, Any]) -> dict[str, Any]:
        """Set back what may not go with new values."""
        for name, others in _RESET.items():
            if name in self.values and changed.keys() & others:
                changed[name] = self.values[name][0]
        return changed

    def _acting(self, network) -> list[str]:
        """List the parameters that act beside the present ones."""
        grids = [move.grid(network, self.facts) for move in MOVES.values()]
        names = {name for grid in grids for name in grid} - _RESET.keys()
        several = {name for name, values in self.values.items() if len(values) > 1}
        return sorted(names & (several | self.ranges.keys()))

    def _other(self, network, name: str, random_state: RandomState) -> Any:
        own = _own(network, name)
        if name in self.ranges:
            low, high = self.ranges[name]
            step = _RANGES[name].step ** random_state.standard_normal()
            return float(f"{np.clip(max(own, low) * step, low, high):.2g}")
        others = [one for one in self.values[name] if not is_same(one, own)]
        return others[random_state.randint(len(others))]


def _own(network, name: str) -> Any:
    """Value that a network has, in the form in which the moves give it."""
    if name == "learning_rate_init":
        return present_rate(network)
    if name == "hidden_layer_sizes":
        return tuple(checks.hidden_units(network))
    return getattr(network, name)
