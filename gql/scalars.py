"""The scalars: instants, any JSON, exact decimals."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING

import strawberry
from graphql import GraphQLError
from strawberry.scalars import JSON

if TYPE_CHECKING:
    from collections.abc import Mapping

    from strawberry.types.scalar import ScalarDefinition

_MAX_TEXT = 64
_MAX_DIGITS = 40


def write_instant(value: datetime) -> str:
    """Return RFC 3339 text in UTC with a `Z`.

    Raises:
        ValueError: the instant has no time zone.
    """
    if value.tzinfo is None:
        raise ValueError("An instant without a time zone is ambiguous.")
    return value.astimezone(UTC).isoformat().replace("+00:00", "Z")


def read_instant(value: object) -> datetime:
    """Return the instant of RFC 3339 text, in UTC.

    Raises:
        GraphQLError: the text is none, or has no offset.
    """
    if isinstance(value, str) and len(value) <= _MAX_TEXT and "T" in value.upper():
        try:
            # `fromisoformat` reads a superset of RFC 3339; what it adds (week dates, no offset) is refused here.
            instant = datetime.fromisoformat(value.upper())
            if instant.tzinfo is not None and "W" not in value.upper():
                return instant.astimezone(UTC)
        except (ValueError, OverflowError):
            pass
    raise GraphQLError("DateTime wants RFC 3339 text with an offset, such as `2026-01-31T12:00:00Z`.")


def read_decimal(value: object) -> Decimal:
    """Return an exact number given as text or as an integer.

    Raises:
        GraphQLError: it is none, or longer than 40 digits.
    """
    if isinstance(value, (str, int)) and not isinstance(value, bool):
        try:
            number = Decimal(value if isinstance(value, int) else value[: _MAX_TEXT + 1])
        except (InvalidOperation, ValueError):
            number = Decimal("NaN")
        if number.is_finite() and len(number.as_tuple().digits) <= _MAX_DIGITS:
            return number
    raise GraphQLError("Decimal wants a number written as text, such as `0.00042`.")


def write_decimal(value: Decimal) -> str:
    """Return a number without an exponent."""
    return format(value, "f")


def _same(value: object) -> object:
    return value


SCALARS: Mapping[object, ScalarDefinition] = {
    datetime: strawberry.scalar(
        name="DateTime",
        description="An instant in RFC 3339 form, always UTC and written with a `Z`.",
        specified_by_url="https://scalars.graphql.org/andimarek/date-time.html",
        serialize=write_instant,
        parse_value=read_instant,
    ),
    JSON: strawberry.scalar(
        name="JSON",
        description="Any JSON value; used only where a workflow's author decides the shape.",
        specified_by_url="https://www.rfc-editor.org/rfc/rfc8259",
        serialize=_same,
        parse_value=_same,
    ),
    Decimal: strawberry.scalar(
        name="Decimal",
        description="An exact decimal number, written as a string such as `0.00042`; used for money.",
        specified_by_url="https://speleotrove.com/decimal/daconvs.html",
        serialize=write_decimal,
        parse_value=read_decimal,
    ),
}
