from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal

import pytest
from graphql import GraphQLError

from gql.scalars import read_decimal, read_instant, write_decimal, write_instant

NOON = datetime(2026, 1, 31, 12, 0, tzinfo=UTC)


def test_an_instant_is_written_in_utc_with_a_z() -> None:
    assert write_instant(NOON) == "2026-01-31T12:00:00Z"
    assert write_instant(NOON.astimezone(timezone(timedelta(hours=5, minutes=30)))) == "2026-01-31T12:00:00Z"
    assert write_instant(NOON.replace(microsecond=1_000)) == "2026-01-31T12:00:00.001000Z"


def test_an_instant_without_a_time_zone_is_not_written() -> None:
    with pytest.raises(ValueError, match="ambiguous"):
        write_instant(NOON.replace(tzinfo=None))


@pytest.mark.parametrize("text", ["2026-01-31T12:00:00Z", "2026-01-31t12:00:00z", "2026-01-31T13:30:00+01:30"])
def test_an_instant_is_read_with_its_offset(text: str) -> None:
    assert read_instant(text) == NOON
    assert read_instant(text).tzinfo is UTC


@pytest.mark.parametrize(
    "value", ["2026-01-31T12:00:00", "2026-01-31", "2026-W05-6T12:00:00Z", "", "noon", 0, None, True, "9" * 100,
              "0001-01-01T00:00:00+23:59", "2026-02-30T00:00:00Z"]
)  # fmt: skip
def test_anything_else_is_no_instant(value: object) -> None:
    with pytest.raises(GraphQLError):
        read_instant(value)


def test_a_decimal_is_exact_text() -> None:
    assert write_decimal(Decimal("1E-7")) == "0.0000001"
    assert read_decimal("0.00042") == Decimal("0.00042")
    assert read_decimal(3) == Decimal(3)


@pytest.mark.parametrize("value", ["", "x", "NaN", "Infinity", 0.1, True, None, "9" * 41, 10**50])
def test_anything_else_is_no_decimal(value: object) -> None:
    with pytest.raises(GraphQLError):
        read_decimal(value)
