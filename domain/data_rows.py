"""Rows of a table: writes and conditions checked against its columns."""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING, Final, assert_never

from domain.column_values import stored_value
from domain.data_tables import ChosenRows, ColumnType, DataTable, RowOrder, RowWrite, WriteMode
from domain.errors import InvalidInput, LimitExceeded
from domain.filters import AllOf, AnyOf, Comparison, Condition, Not, Operator, compared
from domain.json_codec import encode
from domain.problems import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from domain.data_tables import DataColumn
    from domain.json_value import Json

MAX_ROW_BYTES: Final = 2 * 1_048_576
_ADDS: Final = frozenset({WriteMode.INSERT, WriteMode.UPSERT})
_ORDERED: Final = frozenset({Operator.GT, Operator.GTE, Operator.LT, Operator.LTE})


def check_write(
    table: DataTable,
    mode: WriteMode,
    values: Mapping[str, Json],
    conflict_columns: Sequence[str] = (),
    returning: Sequence[str] = (),
) -> RowWrite:
    """Return a write in the stored form of its values.

    Args:
        table: where to.
        mode: what is done.
        values: the columns with their values as nodes computed them.
        conflict_columns: UPSERT: the table's key columns; UPDATE and DELETE: the columns of `values` that pick the rows.
        returning: the columns that are wanted back.

    Raises:
        InvalidInput: a column is unknown, missing or holds another type, with the column as path.
        LimitExceeded: the row is larger than 2 MiB.
    """
    for name in (*conflict_columns, *returning):
        _column(table, name, [name])
    stored = {name: stored_value(_column(table, name, [name]), value, [name]) for name, value in values.items()}
    if mode in _ADDS:
        return _added(table, mode, stored, conflict_columns, tuple(returning))
    return _picked(table, mode, stored, conflict_columns, tuple(returning))


def check_condition(table: DataTable, condition: Condition, path: Sequence[str] = ()) -> Condition:
    """Return a condition whose paths are columns of the table and whose values are in their stored form.

    Raises:
        InvalidInput: a path is no column, or a column cannot be compared like that.
    """
    match condition:
        case AllOf(conditions):
            return AllOf(tuple(check_condition(table, one, path) for one in conditions))
        case AnyOf(conditions):
            return AnyOf(tuple(check_condition(table, one, path) for one in conditions))
        case Not(inner):
            return Not(check_condition(table, inner, path))
        case Comparison():
            return _comparison(table, condition, list(path))
        case _:
            assert_never(condition)


def check_order(table: DataTable, column: str, path: Sequence[str], *, is_descending: bool = False) -> RowOrder:
    """Return an order of rows.

    Raises:
        InvalidInput: there is no such column, or its values have no order.
    """
    found = _column(table, column, list(path))
    if found.type is ColumnType.JSON:
        raise InvalidInput(f"The column {column} is of type JSON, which has no order.", path=path)
    return RowOrder(found.name, found.type, is_descending)


def choose_rows(table: DataTable, condition: Condition | None, order: RowOrder | None = None) -> ChosenRows:
    """Return which rows are meant, with a condition that is checked.

    Raises:
        InvalidInput: as with `check_condition`, below the argument `filter`.
    """
    if condition is None:
        return ChosenRows(order=order)
    checked = check_condition(table, condition, ["filter"])
    exact = {column.name for column in table.columns if column.type is ColumnType.NUMERIC} & compared(checked)
    return ChosenRows(checked, tuple(sorted(exact)), order)


def _added(
    table: DataTable,
    mode: WriteMode,
    stored: dict[str, Json],
    conflict_columns: Sequence[str],
    returning: tuple[str, ...],
) -> RowWrite:
    if mode is WriteMode.UPSERT and set(conflict_columns) != set(table.key_columns):
        known = ", ".join(table.key_columns) or "none"
        message = f"`conflictColumns` of UPSERT are the table's key columns; {table.name} has {known}."
        raise InvalidInput(message, path=["conflictColumns"])
    if mode is WriteMode.UPSERT and not table.key_columns:
        raise InvalidInput(f"The table {table.name} has no key columns, which UPSERT needs.", path=["conflictColumns"])
    row = {column.name: stored.get(column.name) for column in table.columns}
    for column in table.columns:
        _check_required(column, row[column.name])
    _check_size(row)
    key = None
    if table.key_columns:
        key = sha256(encode([row[name] for name in table.key_columns])).digest()
    return RowWrite(table.id, mode, stored, row, key, {}, returning)


def _picked(
    table: DataTable,
    mode: WriteMode,
    stored: dict[str, Json],
    conflict_columns: Sequence[str],
    returning: tuple[str, ...],
) -> RowWrite:
    if not conflict_columns:
        raise InvalidInput(f"{mode.value} needs `conflictColumns`: they pick the rows.", path=["conflictColumns"])
    for name in conflict_columns:
        if _column(table, name, [name]).type is ColumnType.JSON:
            raise InvalidInput(f"The column {name} is of type JSON, which cannot pick rows.", path=[name])
        if stored.get(name) is None:
            raise InvalidInput(f"The column {name} picks the rows and has no value.", path=[name])
    picked_by = {name: stored[name] for name in conflict_columns}
    changes = {name: value for name, value in stored.items() if name not in picked_by}
    if mode is WriteMode.DELETE:
        if changes:
            name = next(iter(changes))
            raise InvalidInput(f"DELETE has only values that pick the rows; {name} is not among them.", path=[name])
        return RowWrite(table.id, mode, {}, {}, None, picked_by, returning)
    if not changes:
        raise InvalidInput("UPDATE changes nothing: every column of `values` picks rows.", path=["values"])
    for name, value in changes.items():
        if name in table.key_columns:
            raise InvalidInput(f"The column {name} makes the row unique and cannot be changed.", path=[name])
        _check_required(_column(table, name, [name]), value)
    _check_size(changes)
    return RowWrite(table.id, mode, changes, {}, None, picked_by, returning)


def _check_required(column: DataColumn, value: Json) -> None:
    if column.is_required and value is None:
        raise InvalidInput(f"The column {column.name} is required and has no value.", path=[column.name])


def _check_size(row: Mapping[str, Json]) -> None:
    size = len(encode(row, max_bytes=2**40))
    if size > MAX_ROW_BYTES:
        message = f"A row has at most {MAX_ROW_BYTES:,} bytes of JSON; this one has {size:,}."
        raise LimitExceeded(message, limit=MAX_ROW_BYTES, actual=size)


def _column(table: DataTable, name: str, path: list[str]) -> DataColumn:
    column = table.column(name)
    if column is None:
        hint = did_you_mean(name, [column.name for column in table.columns])
        message = f"The table {table.name} has no column {name[:80]!r}."
        raise InvalidInput(f"{message} {hint}" if hint else message, path=path)
    return column


def _comparison(table: DataTable, one: Comparison, path: list[str]) -> Comparison:
    column = _column(table, one.path[0], path)
    if column.type is ColumnType.JSON:
        return one
    if len(one.path) > 1:
        message = f"The column {column.name} is of type {column.type.value}: there is nothing inside it to compare."
        raise InvalidInput(message, path=path)
    match one.operator:
        case Operator.EXISTS:
            return one
        case Operator.CONTAINS:
            if column.type is not ColumnType.TEXT:
                raise InvalidInput(f"`contains` is for texts and JSON, not for the column {column.name}.", path=path)
            return Comparison(one.path, one.operator, stored_value(column, one.value, path))
        case Operator.IN:
            values = one.value if isinstance(one.value, list) else []
            return Comparison(one.path, one.operator, [_compared(column, one, value, path) for value in values])
        case _:
            return Comparison(one.path, one.operator, _compared(column, one, one.value, path))


def _compared(column: DataColumn, one: Comparison, value: Json, path: list[str]) -> Json:
    # A whole number may lie between two halves.
    if column.type is ColumnType.INTEGER and one.operator in _ORDERED and isinstance(value, float):
        return value
    return stored_value(column, value, path)
