from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from domain.column_values import stored_value
from domain.data_tables import ColumnType, DataColumn
from domain.errors import InvalidInput

if TYPE_CHECKING:
    from domain.json_value import Json

TEXT, INTEGER, NUMERIC, BOOLEAN, TIMESTAMP, JSON = ColumnType


@pytest.mark.parametrize(
    ("kind", "value", "stored"),
    [
        (TEXT, "'; DROP TABLE users --", "'; DROP TABLE users --"),
        (TEXT, "x" * 1_000_000, "x" * 1_000_000),
        (INTEGER, 2**63 - 1, 2**63 - 1),
        (INTEGER, -(2**63), -(2**63)),
        (INTEGER, 3.0, 3),
        (INTEGER, "-42", -42),
        (NUMERIC, "12345678901234567890.1234567890", "12345678901234567890.123456789"),
        (NUMERIC, 0.1, "0.1"),
        (NUMERIC, 10**20, "100000000000000000000"),
        (NUMERIC, "1e3", "1000"),
        (NUMERIC, "100", "100"),
        (NUMERIC, "-0.00", "0"),
        (NUMERIC, ".50", "0.5"),
        (BOOLEAN, False, False),
        (TIMESTAMP, "2026-01-31T12:00:00Z", "2026-01-31T12:00:00.000000Z"),
        (TIMESTAMP, "2026-01-31t14:30:00.1234567+02:30", "2026-01-31T12:00:00.123456Z"),
        (TIMESTAMP, "0042-01-01 00:00:00z", "0042-01-01T00:00:00.000000Z"),
        (JSON, {"a": [1, None]}, {"a": [1, None]}),
        *((kind, None, None) for kind in ColumnType),
    ],
)
def test_a_value_has_one_stored_form(kind: ColumnType, value: Json, stored: Json) -> None:
    found = stored_value(DataColumn("c", kind), value, ["c"])
    assert (found, type(found)) == (stored, type(stored))


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (TEXT, 1), (TEXT, ["a"]), (TEXT, "a\0b"), (TEXT, "\ud800"), (TEXT, True),
        (INTEGER, 1.5), (INTEGER, True), (INTEGER, "1.0"), (INTEGER, 2**63), (INTEGER, -(2**63) - 1), (INTEGER, [1]),
        (INTEGER, 1e300), (INTEGER, float("inf")), (INTEGER, float("nan")), (INTEGER, "1; DROP TABLE users"),
        (INTEGER, "\uff11"), (INTEGER, ""),
        (NUMERIC, "NaN"), (NUMERIC, "Infinity"), (NUMERIC, float("nan")), (NUMERIC, "1e99999"), (NUMERIC, "1" * 1_001),
        (NUMERIC, "0." + "0" * 1_000 + "1"), (NUMERIC, True), (NUMERIC, {}), (NUMERIC, "1_000"), (NUMERIC, "1,5"),
        (BOOLEAN, 1), (BOOLEAN, "true"), (BOOLEAN, []),
        (TIMESTAMP, "2026-01-31T12:00:00"), (TIMESTAMP, "2026-01-31"), (TIMESTAMP, "2026-02-30T12:00:00Z"), (TIMESTAMP, 0),
        (TIMESTAMP, "0001-01-01T00:00:00+01:00"), (TIMESTAMP, "2026-W01-1T00:00:00Z"), (TIMESTAMP, "now()"),
        (JSON, "a\0b"), (JSON, {"a": float("nan")}), (JSON, 2**64),
    ],
)  # fmt: skip
def test_a_value_of_another_type_is_refused_by_its_column(kind: ColumnType, value: Json) -> None:
    with pytest.raises(InvalidInput) as caught:
        stored_value(DataColumn("c", kind), value, ["c"])
    assert caught.value.path == ["c"]
    assert "column c" in caught.value.message
    assert len(caught.value.message) < 300
    assert "\0" not in caught.value.message
