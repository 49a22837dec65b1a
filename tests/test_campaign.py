"""The campaigns in short; and each promise has its test."""

import ast
import re
from pathlib import Path

import pytest
from campaign import CAMPAIGNS

N_PROMISES = 72


@pytest.mark.parametrize("name", CAMPAIGNS)
def test_nothing_goes_wrong(name, tmp_path):
    campaign = CAMPAIGNS[name]
    outcome = campaign.run(campaign.n_short, tmp_path)
    assert outcome.wrong == []
    assert outcome.n_tried > 0


def test_each_promise_has_a_test():
    found = set()
    for path in Path(__file__).parent.glob("test_promises_*.py"):
        for node in ast.parse(path.read_text()).body:
            name = getattr(node, "name", "")
            found |= set(map(int, re.findall(r"^test_promise_(\d\d)_", name)))
    assert found == set(range(1, N_PROMISES + 1))
