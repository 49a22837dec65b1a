"""The campaigns in short."""

import pytest
from campaign import CAMPAIGNS


@pytest.mark.parametrize("name", CAMPAIGNS)
def test_nothing_goes_wrong(name, tmp_path):
    campaign = CAMPAIGNS[name]
    outcome = campaign.run(campaign.n_short, tmp_path)
    assert outcome.wrong == []
    assert outcome.n_tried > 0
