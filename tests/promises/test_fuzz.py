"""Estimators that hypothesis draws from the tables fit and predict, or say why not."""

import pytest
from campaign.relations import check_case
from campaign.strategies import cases
from hypothesis import HealthCheck, given, settings

pytestmark = pytest.mark.long


@settings(
    max_examples=200,
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
)
@given(case=cases())
def test_a_drawn_estimator_is_as_promised(case, tmp_path):
    check_case(case, tmp_path)
