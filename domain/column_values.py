"""The values of a typed column: checked, and brought into the one form in which they are stored and compared."""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Final, cast

from domain.data_tables import ColumnType
from domain.errors import InvalidInput, NodeFault
from domain.json_codec import encode
from domain.texts import storable

if TYPE_CHECKING:
    from collections.abc import Callable

    from domain.data_tables import DataColumn
    from domain.json_value import Json

MAX_DIGITS: Final = 1_000
_LEAST_INTEGER: Final = -(2**63)
_LARGEST_INTEGER: Final = 2**63 - 1
_MAX_NUMBER_CHARS: Final = MAX_DIGITS + 16
_WHOLE: Final = re.compile(r"[+-]?[0-9]{1,19}")
_NUMBER: Final = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]{1,5})?")
# RFC 3339; `fromisoformat` alone would take week dates, times without an offset and more.
_INSTANT: Final = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,9})?(?:[Zz]|[+-][0-9]{2}:[0-9]{2})"
)
_MAX_SHOWN: Final = 60


def stored_value(column: DataColumn, value: Json, path: list[str]) -> Json:
    """Return a value as it is stored; null stays null.

    Numbers of NUMERIC are stored as texts without exponent and without needless zeros, so that no digit is lost on any
    way; instants as texts of one length in UTC with microseconds, so that their order is that of the texts.

    Raises:
        InvalidInput: the value is not of the column's type, with the path.
    """
    return None if value is None else _STORED[column.type](column, value, path)


def _text(column: DataColumn, value: Json, path: list[str]) -> str:
    if not isinstance(value, str):
        raise _refusal(column, "a text", value, path)
    if storable(value) != value:
        raise InvalidInput(
            f"The text for the column {column.name} holds what cannot be stored: U+0000 or half of a surrogate pair.",
            path=path,
        )
    return value


def _integer(column: DataColumn, value: Json, path: list[str]) -> int:
    is_number = (
        isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) and value % 1 == 0
    )
    if not is_number and not (isinstance(value, str) and _WHOLE.fullmatch(value)):
        raise _refusal(column, "a whole number", value, path)
    number = int(cast("int | float | str", value))
    if not _LEAST_INTEGER <= number <= _LARGEST_INTEGER:
        raise InvalidInput(f"The number for the column {column.name} has more than 64 bits.", path=path)
    return number


def _numeric(column: DataColumn, value: Json, path: list[str]) -> str:
    number: Decimal | None = None
    if isinstance(value, float) and math.isfinite(value):
        number = Decimal(repr(value))  # the shortest decimal that is this number
    elif isinstance(value, int) and not isinstance(value, bool):
        number = Decimal(value)
    elif isinstance(value, str) and len(value) <= _MAX_NUMBER_CHARS and _NUMBER.fullmatch(value):
        number = _decimal(value)
    if number is None:
        raise _refusal(column, "a number, or an exact one as a text such as '0.00042'", value, path)
    if number and max(number.adjusted() + 1, 1) + max(-int(number.as_tuple().exponent), 0) > MAX_DIGITS:
        raise InvalidInput(f"The number for the column {column.name} has more than {MAX_DIGITS:,} digits.", path=path)
    plain = format(number, "f")
    if "." in plain:
        plain = plain.rstrip("0").rstrip(".")
    return plain if number else "0"


def _decimal(text: str) -> Decimal | None:
    try:
        return Decimal(text)
    except InvalidOperation:
        return None


def _boolean(column: DataColumn, value: Json, path: list[str]) -> bool:
    if not isinstance(value, bool):
        raise _refusal(column, "true or false", value, path)
    return value


def _timestamp(column: DataColumn, value: Json, path: list[str]) -> str:
    if isinstance(value, str) and _INSTANT.fullmatch(value):
        try:
            instant = datetime.fromisoformat(value.upper()).astimezone(UTC)
        except (ValueError, OverflowError):  # no such day, or beyond the calendar in UTC
            pass
        else:
            return f"{instant:%Y-%m-%dT%H:%M:%S.%f}Z".rjust(27, "0")  # some systems write the year 42 so
    raise _refusal(column, "an instant in RFC 3339 form with an offset, such as '2026-01-31T12:00:00Z'", value, path)


def _json(column: DataColumn, value: Json, path: list[str]) -> Json:
    try:
        encode(value)
    except NodeFault as fault:
        message = fault.message.replace("output", "The value", 1)
        raise InvalidInput(f"{message.rstrip('.')} (column {column.name}).", path=path) from None
    return value


def _refusal(column: DataColumn, wanted: str, value: Json, path: list[str]) -> InvalidInput:
    if isinstance(value, str):
        given = f"the text {value[:_MAX_SHOWN]!r}{'…' if len(value) > _MAX_SHOWN else ''}"
    elif isinstance(value, bool):
        given = "true" if value else "false"
    elif isinstance(value, int | float):
        given = f"the number {str(value)[:_MAX_SHOWN]}"
    else:
        given = "an object" if hasattr(value, "keys") else "a list"
    return InvalidInput(f"The column {column.name} ({column.type.value}) takes {wanted}, not {given}.", path=path)


_STORED: Final[dict[ColumnType, Callable[[DataColumn, Json, list[str]], Json]]] = {
    ColumnType.TEXT: _text,
    ColumnType.INTEGER: _integer,
    ColumnType.NUMERIC: _numeric,
    ColumnType.BOOLEAN: _boolean,
    ColumnType.TIMESTAMP: _timestamp,
    ColumnType.JSON: _json,
}
