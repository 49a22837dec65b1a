"""Small work takes one thread, and each Python thread keeps its own number."""

import os
import threading

import pytest
import torch

from sk_deep import MLPClassifier
from sk_deep._engine.threads import threads_for

SMALL, LARGE = 10, 10**9


@pytest.fixture(autouse=True)
def three_threads():
    n_threads = torch.get_num_threads()
    torch.set_num_threads(3)
    yield
    torch.set_num_threads(n_threads)


def _in_thread(function):
    found = []
    thread = threading.Thread(target=lambda: found.append(function()))
    thread.start()
    thread.join()
    return found[0]


@pytest.mark.parametrize(("work", "expected"), [(SMALL, 1), (LARGE, 3)])
def test_small_work_takes_one_thread(work, expected):
    with threads_for(work):
        assert torch.get_num_threads() == expected
    assert torch.get_num_threads() == 3


def test_small_work_within_small_work():
    with threads_for(SMALL):
        with threads_for(SMALL):
            assert torch.get_num_threads() == 1
        assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == 3


def test_errors_restore():
    with pytest.raises(KeyError), threads_for(SMALL):
        raise KeyError
    assert torch.get_num_threads() == 3


def test_a_thread_keeps_its_own_number():
    def work():
        torch.set_num_threads(2)
        with threads_for(SMALL):
            pass
        return torch.get_num_threads()

    with threads_for(SMALL):
        assert _in_thread(work) == 2
    torch.set_num_threads(3)


def test_a_new_thread_beside_small_work_gets_the_number_before_it():
    def work():
        with threads_for(SMALL):
            pass
        return torch.get_num_threads()

    with threads_for(SMALL):
        assert _in_thread(work) == 3


@pytest.mark.processes
@pytest.mark.skipif(not hasattr(os, "fork"), reason="no forks here")
def test_a_forked_child_starts_anew():
    with threads_for(SMALL):
        child = os.fork()
        if child == 0:
            with threads_for(SMALL):
                pass
            os._exit(threads_for._n_running)
        _, status = os.waitpid(child, 0)
    assert status == 0


def test_scorers_leave_the_fit_on_one_thread(digits):
    seen = []

    class Watching(torch.nn.ReLU):
        def forward(self, z):
            if len(z) > 50:  # no trial of the class
                seen.append(torch.get_num_threads())
            return super().forward(z)

    params = {"early_stopping": True, "scoring": "accuracy", "max_iter": 3}
    MLPClassifier((5,), activation=Watching, **params).fit(*digits)
    assert set(seen) == {1}


def test_predictions_of_few_rows_take_one_thread(digits):
    model = MLPClassifier((5,), normalization="layer", max_iter=2).fit(*digits)
    seen = []
    layer = model.net_.module_.output
    layer.register_forward_hook(lambda *args: seen.append(torch.get_num_threads()))
    model.predict(digits[0][:1])
    assert seen == [1]
    assert torch.get_num_threads() == 3
