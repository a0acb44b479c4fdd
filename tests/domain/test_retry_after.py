from __future__ import annotations

from datetime import UTC, datetime

import pytest

from domain.retry_after import retry_after_s

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ([("Retry-After", "7")], 7.0),
        ([("retry-after", " 0 ")], 0.0),
        ([("Retry-After", "Sun, 22 Nov 2026 12:00:30 GMT")], 30.0),
        ([("Retry-After", "Sun, 22 Nov 2026 11:00:00 GMT")], 0.0),
        ([("Retry-After", "99999999")], 86_400.0),
        ([("Retry-After", "Sun, 22 Nov 2036 12:00:30 GMT")], 86_400.0),
        ([("Retry-After-Ms", "1500"), ("Retry-After", "9")], 1.5),
        ([("Retry-After", "soon")], None),
        ([("Retry-After", "-5")], None),
        ([("Retry-After", "")], None),
        ([("Retry-After", "Mon, 1 Jan 99999999999 00:00:00 GMT")], None),
        ([("Retry-After", "1000000000")], 86_400.0),
        ([("Content-Type", "x")], None),
        ([], None),
    ],
)
def test_seconds_and_dates_are_read_and_capped_at_a_day(headers: list[tuple[str, str]], seconds: float | None) -> None:
    assert retry_after_s(headers, NOW) == seconds
