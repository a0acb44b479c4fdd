from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from domain.errors import InvalidInput, LimitExceeded
from domain.usage import UsageGroup, UsageQuery, check_usage_query

BEGIN = datetime(2026, 11, 1, tzinfo=UTC)


def test_days_are_shown_as_far_as_there_is_room_for_them() -> None:
    within = UsageQuery(BEGIN, BEGIN + timedelta(days=999))
    assert check_usage_query(within) is within
    with pytest.raises(LimitExceeded) as fault:
        check_usage_query(UsageQuery(BEGIN, BEGIN + timedelta(days=999, seconds=1)))
    assert (fault.value.limit, fault.value.path) == (999, ["until"])
    check_usage_query(UsageQuery(BEGIN, BEGIN + timedelta(days=9_999), UsageGroup.MODEL))


def test_a_span_that_ends_before_it_begins_is_refused() -> None:
    with pytest.raises(InvalidInput):
        check_usage_query(UsageQuery(BEGIN, BEGIN - timedelta(microseconds=1)))
    check_usage_query(UsageQuery(BEGIN, BEGIN))
