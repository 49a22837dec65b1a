"""The campaigns in short; every promise has its test."""

import re
from pathlib import Path

import pytest
from campaign import CAMPAIGNS


def test_every_promise_has_a_test():
    files = sorted(Path(__file__).parent.glob("test_promises_*.py"))
    names = re.findall(r"^def test_promise_((?:\d\d_(?:and_)?)+)", _text(files), re.M)
    numbers = {int(number) for name in names for number in re.findall(r"\d\d", name)}
    assert numbers == set(range(1, 73))


def _text(files):
    return "\n".join(file.read_text() for file in files)


@pytest.mark.long
@pytest.mark.parametrize("name", CAMPAIGNS)
def test_nothing_goes_wrong(name, tmp_path):
    campaign = CAMPAIGNS[name]
    outcome = campaign.run(campaign.n_short, tmp_path)
    assert outcome.wrong == []
    assert outcome.n_tried > 0
