from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from domain.data_rows import MAX_ROW_BYTES, check_condition, check_order, check_write
from domain.data_tables import ColumnType, DataColumn, WriteMode
from domain.errors import InvalidInput, LimitExceeded
from domain.filters import AllOf, AnyOf, Comparison, Not, Operator, read_filter
from tests.support.data_tables import data_table

if TYPE_CHECKING:
    from domain.json_value import Json

TABLE = data_table(
    DataColumn("sku", ColumnType.TEXT),
    DataColumn("price", ColumnType.NUMERIC, is_required=True),
    DataColumn("meta", ColumnType.JSON),
    DataColumn("at", ColumnType.TIMESTAMP),
    DataColumn("count", ColumnType.INTEGER),
    keys=("sku",),
)
INSERT, UPSERT, UPDATE, DELETE = WriteMode


def test_a_new_row_has_a_value_for_every_column() -> None:
    write = check_write(TABLE, INSERT, {"sku": "a", "price": 1.50})
    assert write.row == {"sku": "a", "price": "1.5", "meta": None, "at": None, "count": None}
    assert write.values == {"sku": "a", "price": "1.5"}


def test_equal_keys_are_equal_however_they_are_written() -> None:
    table = data_table(DataColumn("n", ColumnType.NUMERIC), keys=("n",))
    keys = {check_write(table, INSERT, {"n": value}).key for value in (1, 1.0, "1.00", "1e0")}
    assert len(keys) == 1
    assert check_write(table, INSERT, {"n": "1.01"}).key not in keys


@pytest.mark.parametrize(
    ("mode", "values", "conflict", "path"),
    [
        (INSERT, {"sku": "a"}, (), ["price"]),
        (INSERT, {"price": 1}, (), ["sku"]),
        (INSERT, {"sku": "a", "price": 1, "prise": 1}, (), ["prise"]),
        (INSERT, {"sku": ["a"], "price": 1}, (), ["sku"]),
        (UPSERT, {"sku": "a", "price": 1}, (), ["conflictColumns"]),
        (UPSERT, {"sku": "a", "price": 1}, ("price",), ["conflictColumns"]),
        (UPSERT, {"sku": "a", "price": 1}, ("nothing",), ["nothing"]),
        (UPDATE, {"sku": "a"}, ("sku",), ["values"]),
        (UPDATE, {"price": 1}, (), ["conflictColumns"]),
        (UPDATE, {"sku": None, "price": 1}, ("sku",), ["sku"]),
        (UPDATE, {"price": 1}, ("sku",), ["sku"]),
        (UPDATE, {"sku": "a", "price": 1}, ("price",), ["sku"]),
        (UPDATE, {"sku": "a", "price": None}, ("sku",), ["price"]),
        (UPDATE, {"meta": {}, "price": 1}, ("meta",), ["meta"]),
        (DELETE, {"sku": "a", "price": 1}, ("sku",), ["price"]),
        (DELETE, {"sku": "a"}, (), ["conflictColumns"]),
    ],
)
def test_a_write_that_cannot_be_is_refused_by_its_column(
    mode: WriteMode, values: dict[str, Json], conflict: tuple[str, ...], path: list[str]
) -> None:
    with pytest.raises(InvalidInput) as caught:
        check_write(TABLE, mode, values, conflict)
    assert caught.value.path == path


def test_upsert_needs_a_key() -> None:
    with pytest.raises(InvalidInput, match="no key columns"):
        check_write(data_table(DataColumn("a", ColumnType.TEXT)), UPSERT, {"a": "x"})


def test_a_row_is_not_larger_than_its_limit() -> None:
    with pytest.raises(LimitExceeded):
        check_write(TABLE, INSERT, {"sku": "x" * MAX_ROW_BYTES, "price": 1})


def test_a_column_that_was_misspelt_is_suggested() -> None:
    with pytest.raises(InvalidInput, match="Did you mean `price`"):
        check_write(TABLE, INSERT, {"prise": 1})


def test_values_of_a_condition_get_their_stored_form() -> None:
    raw: Json = {
        "and": [
            {"path": "price", "gt": 1.50},
            {"or": [{"path": "at", "lt": "2026-01-01T01:00:00+01:00"}, {"path": "price", "in": ["2.0", None]}]},
            {"not": {"path": "count", "lte": 1.5}},
        ]
    }
    assert check_condition(TABLE, read_filter(raw)) == AllOf(
        (
            Comparison(("price",), Operator.GT, "1.5"),
            AnyOf(
                (
                    Comparison(("at",), Operator.LT, "2026-01-01T00:00:00.000000Z"),
                    Comparison(("price",), Operator.IN, ["2", None]),
                )
            ),
            Not(Comparison(("count",), Operator.LTE, 1.5)),
        )
    )


@pytest.mark.parametrize(
    "raw",
    [
        {"path": "'; DROP TABLE users --", "eq": 1},
        {"path": "sku.x", "eq": 1},
        {"path": "sku", "eq": 1},
        {"path": "price", "contains": "1"},
        {"path": "count", "eq": 1.5},
        {"path": "at", "gt": "yesterday"},
    ],
)
def test_a_condition_that_no_column_can_meet_is_refused(raw: Json) -> None:
    with pytest.raises(InvalidInput) as caught:
        check_condition(TABLE, read_filter(raw), ["filter"])
    assert caught.value.path == ["filter"]


def test_rows_are_ordered_by_columns_that_have_an_order() -> None:
    assert check_order(TABLE, "price", []).type is ColumnType.NUMERIC
    for column in ("nothing", "meta"):
        with pytest.raises(InvalidInput):
            check_order(TABLE, column, [])
