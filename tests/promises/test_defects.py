"""Seeded defects: each is put into the package, and must be caught."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import test_promises_inputs as inputs
import test_promises_parallel as parallel
import test_promises_persistence as files
import test_promises_training as training
import torch
from campaign import CAMPAIGNS

from sk_deep import MLPRegressor, persistence
from sk_deep._data.batches import Batches
from sk_deep._engine import prediction
from sk_deep._engine.kept_weights import KeptWeights
from sk_deep._estimator import base, plan
from sk_deep._estimator.base import BaseMLP
from sk_deep._files import plain_tree


@dataclass(frozen=True)
class Defect:
    """Where the defect is, what makes it of the sound function, what must fail then."""

    place: object
    name: str
    make: Callable
    check: Callable


def _campaign(name):
    """Make a check of a campaign in short."""

    def check(tmp_path):
        campaign = CAMPAIGNS[name]
        assert campaign.run(campaign.n_short, tmp_path).wrong == []

    return check


def _without_files(test, *args):
    """Make a check of a test that needs no folder."""
    return lambda tmp_path: test(*args)


def _seeds_all(make_net):
    def seeded(*args, **arguments):
        torch.manual_seed(0)
        np.random.seed(0)
        return make_net(*args, **arguments)

    return seeded


def _in_training_mode(function):
    return lambda module: prediction._quiet(module.train())


def _broadcasts(encode):
    return lambda *args, **kwargs: encode(*args, **kwargs).ravel()


def _swallows(swap_in):
    def swallowed(self, train):
        try:
            return swap_in(self, train)
        except KeyboardInterrupt:
            return self

    return swallowed


def _drops_last(init):
    def dropping(self, data, batch_size, **options):
        init(self, data, batch_size, **options)
        self.sizes = [size for size in self.sizes if size == batch_size]

    return dropping


def _shares_memory(copy_state):
    return lambda net, **options: {**copy_state(net, **options), "torch": net.module_}


TURNED = np.arange(12.0).reshape(3, 4).T
DEFECTS = {
    "a file is written in place": Defect(
        persistence,
        "atomic_write",
        lambda sound: lambda path: Path(path).open("wb"),
        _campaign("disk full"),
    ),
    "arrays are saved as they lie in memory": Defect(
        np,
        "ascontiguousarray",
        lambda sound: np.asarray,
        _without_files(files.test_promise_14_arrays_of_any_layout, TURNED),
    ),
    "the hash of a file is not looked at": Defect(
        plain_tree,
        "check_hash",
        lambda sound: lambda *args: None,
        _campaign("flipped bits"),
    ),
    "a fit seeds the global random states": Defect(
        plan,
        "make_net",
        _seeds_all,
        _without_files(training.test_promise_63_the_global_random_states_are_left),
    ),
    "predictions are made in training mode": Defect(
        prediction,
        "_function",
        _in_training_mode,
        _campaign("predictions in threads"),
    ),
    "targets are broadcast": Defect(
        MLPRegressor,
        "_encode_targets",
        _broadcasts,
        _without_files(inputs.test_promise_45_a_column_is_a_vector),
    ),
    "an interrupt is swallowed": Defect(
        BaseMLP,
        "_swap_in",
        _swallows,
        _without_files(parallel.test_promise_29_an_interrupt_reaches_the_caller, None),
    ),
    "a fit works on the estimator itself": Defect(
        BaseMLP,
        "_copy",
        lambda sound: lambda self: self,
        _without_files(training.test_promise_66_and_67_a_failed_fit_leaves_what_was),
    ),
    "the last rows are dropped": Defect(
        Batches,
        "__init__",
        _drops_last,
        _without_files(inputs.test_promise_40_each_row_is_used_once_an_epoch, 50),
    ),
    "sample weights are ignored": Defect(
        BaseMLP,
        "_weigh_by_targets",
        lambda sound: lambda *args: None,
        _without_files(training.test_promise_57_weights_are_repeats, "sgd"),
    ),
    "a pickle holds objects of torch": Defect(
        base,
        "net_state",
        _shares_memory,
        _without_files(files.test_promise_03_a_pickle_names_nothing_of_torch, {}),
    ),
    "the weights of the last epoch are kept": Defect(
        KeptWeights,
        "load",
        lambda sound: lambda *args: None,
        _without_files(inputs.test_promise_31_with_early_stopping_the_best_is_kept),
    ),
}


@pytest.mark.parametrize("name", DEFECTS)
def test_a_defect_is_caught(name, tmp_path, monkeypatch):
    defect = DEFECTS[name]
    for folder in ("sound", "defect"):
        (tmp_path / folder).mkdir()
    defect.check(tmp_path / "sound")
    sound = getattr(defect.place, defect.name)
    monkeypatch.setattr(defect.place, defect.name, defect.make(sound))
    with pytest.raises((Exception, pytest.fail.Exception)):
        defect.check(tmp_path / "defect")
