"""The space of a search along the recipe: all values that its moves can reach."""

from typing import Any

import numpy as np
from numpy.random import RandomState
from scipy.stats import loguniform
from sklearn.base import clone

from sk_deep._estimator import checks
from sk_deep._estimator.parameters import PARAMETERS
from sk_deep.recipe._moves import MOVES, Facts
from sk_deep.recipe._values import is_same, may_skip, present_rate

_RANGES = {n: row.search_range for n, row in PARAMETERS.items() if row.search_range}
# Parameters that are reset beside new values of others.
_RESET = {name: row.reset_with for name, row in PARAMETERS.items() if row.reset_with}
_UNITS = (50,)  # units of an estimator without hidden layers
# Parameters that usually work well together, the simplest choice first: activations
# that do not saturate, adaptive solvers, falling rates, small batches, noise against
# memorising the rows, and finally fewer units.
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
    """The product of the values of an estimator and of the values of its moves.

    Parameters
    ----------
    mlp : MLPClassifier or MLPRegressor
        The estimator with its parameters at the start.
    facts : Facts
        Facts about the data.

    Attributes
    ----------
    values : dict of str to list
        Values of parameters.
    ranges : dict of str to tuple
        Bounds of parameters with a continuous range.
    """

    def __init__(self, mlp: Any, facts: Facts) -> None:
        self.facts = facts
        self.values: dict[str, list] = {}
        self.ranges: dict[str, tuple[float, float]] = {}
        if not checks.hidden_units(mlp):
            mlp = clone(mlp).set_params(hidden_layer_sizes=_UNITS)
        solvers = MOVES["solver"].grid(mlp, facts)["solver"]
        for solver in solvers if checks.is_full_batch(mlp) else [None, *solvers]:
            self._add_moves(mlp, solver)
        for name in self.values.keys() - _RESET.keys():
            if name != "solver" or not checks.is_full_batch(mlp):
                self._add(name, [_value_of(mlp, name)])
        self._keep_shapes_that_can_skip()

    def _add_moves(self, mlp, solver: Any) -> None:
        if solver is not None:
            mlp = clone(mlp).set_params(solver=solver, solver_params=None)
        for move in MOVES.values():
            for name, values in move.grid(mlp, self.facts).items():
                self._add(name, values)

    def _add(self, name: str, values: list) -> None:
        if PARAMETERS[name].is_cost:
            return
        if name in _RANGES:
            bounds = self.ranges.get(name, _RANGES[name][:2])
            self.ranges[name] = min(*bounds, *values), max(*bounds, *values)
            return
        present = self.values.setdefault(name, [])
        present += [v for v in values if not any(is_same(v, p) for p in present)]

    def _keep_shapes_that_can_skip(self) -> None:
        if True in self.values.get("residual", []):
            shapes = self.values["hidden_layer_sizes"]
            self.values["hidden_layer_sizes"] = [s for s in shapes if may_skip(s)]

    def distributions(self, prefix: str = "") -> dict[str, Any]:
        """Return the space for a search over a sample.

        Parameters
        ----------
        prefix : str, default=""
            Prefix of its parameters among those of the estimator.

        Returns
        -------
        distributions : dict of str to list or distribution
            Parameters and their values.
        """
        distributions: dict[str, Any] = {**self.values}
        distributions |= {
            name: loguniform(*bounds) for name, bounds in self.ranges.items()
        }
        return {f"{prefix}{n}": distributions[n] for n in sorted(distributions)}

    def holds(self, parameters: dict[str, Any]) -> bool:
        """Whether the space has all of these values; any number of epochs is legal."""
        for name, value in parameters.items():
            if PARAMETERS[name].is_cost:
                continue
            if name in self.ranges:
                low, high = self.ranges[name]
                is_in = low <= value <= high
            else:
                is_in = any(is_same(value, v) for v in self.values.get(name, []))
            if not is_in:
                return False
        return True

    def encode(self, mlp: Any) -> list[float]:
        """Encode the parameters of an estimator as numbers, one for each of the space.

        Parameters
        ----------
        mlp : MLPClassifier or MLPRegressor
            The estimator with the parameters.

        Returns
        -------
        numbers : list of float
            Logarithms of parameters with a range; positions of other values in their
            lists, -1 for a value that the list does not have.
        """
        numbers = [
            float(np.log(max(_value_of(mlp, name), low)))
            for name, (low, _) in sorted(self.ranges.items())
        ]
        for name, values in sorted(self.values.items()):
            present = _value_of(mlp, name)
            places = [i for i, v in enumerate(values) if is_same(v, present)]
            numbers.append(float(places[0]) if places else -1.0)
        return numbers

    def usual(self, mlp: Any) -> list[dict[str, Any]]:
        """List parameters of the space that usually work well together.

        Parameters
        ----------
        mlp : MLPClassifier or MLPRegressor
            The estimator with its present parameters.

        Returns
        -------
        choices : list of dict
            Parameters and their values, the simplest choice first.
        """
        units = checks.hidden_units(mlp)
        layers = {} if units else {"hidden_layer_sizes": _UNITS}
        rows = [{**layers, **row} for row in _USUAL]
        return [
            self._set_back({n: v for n, v in row.items() if self.holds({n: v})})
            for row in rows
        ]

    def mixture(
        self, mlp: Any, other: Any, random_state: RandomState
    ) -> dict[str, Any]:
        """Choose about half of the values that another estimator has differently.

        Parameters
        ----------
        mlp, other : MLPClassifier or MLPRegressor
            Estimators with parameters of the space.
        random_state : RandomState
            Source of the choice.

        Returns
        -------
        parameters : dict of str to object
            The parameters that change, and the resets beside them; empty if one of the
            estimators has no hidden layer, on which many parameters act.
        """
        if not all(map(checks.hidden_units, (mlp, other))):
            return {}
        changed = {
            name: _value_of(other, name)
            for name in sorted((self.values.keys() | self.ranges) - _RESET.keys())
            if not is_same(_value_of(mlp, name), _value_of(other, name))
            and random_state.randint(2)
        }
        return self._set_back(changed)

    def neighbour(self, mlp: Any, random_state: RandomState) -> dict[str, Any]:
        """Draw new values of some parameters that act beside the present ones.

        A third of the neighbours are near and differ in one to three, a third are
        farther away and differ in about a third of all, and a third differ in all.

        Parameters
        ----------
        mlp : MLPClassifier or MLPRegressor
            The estimator with its present parameters.
        random_state : RandomState
            Source of the draw.

        Returns
        -------
        parameters : dict of str to object
            The parameters that change, and the resets beside them.
        """
        names = self._acting(mlp)
        distances = (1 + random_state.binomial(2, 0.4), len(names) // 3, len(names))
        n_names = min(distances[random_state.randint(3)], len(names))
        changed = {
            name: self._other(mlp, name, random_state)
            for name in random_state.choice(names, n_names, replace=False)
        }
        return self._set_back(changed)

    def _set_back(self, changed: dict[str, Any]) -> dict[str, Any]:
        """Reset parameters that may be illegal beside new values."""
        for name, beside in _RESET.items():
            if name in self.values and changed.keys() & set(beside):
                changed[name] = self.values[name][0]
        return changed

    def _acting(self, mlp) -> list[str]:
        """List the parameters that act beside the present ones."""
        grids = [move.grid(mlp, self.facts) for move in MOVES.values()]
        names = {name for grid in grids for name in grid} - _RESET.keys()
        several = {name for name, values in self.values.items() if len(values) > 1}
        return sorted(names & (several | self.ranges.keys()))

    def _other(self, mlp, name: str, random_state: RandomState) -> Any:
        present = _value_of(mlp, name)
        if name in self.ranges:
            low, high = self.ranges[name]
            step = _RANGES[name].step ** random_state.standard_normal()
            return float(f"{np.clip(max(present, low) * step, low, high):.2g}")
        others = [v for v in self.values[name] if not is_same(v, present)]
        return others[random_state.randint(len(others))]


def _value_of(mlp, name: str) -> Any:
    """Return the value of an estimator in the form of the grids of moves."""
    if name == "learning_rate_init":
        return present_rate(mlp)
    if name == "hidden_layer_sizes":
        return tuple(checks.hidden_units(mlp))
    return getattr(mlp, name)
