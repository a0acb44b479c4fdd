"""Tables in the built-in database: what they are, and which names and columns are acceptable."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from domain.errors import InvalidInput, LimitExceeded
from domain.texts import check_text

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from domain.filters import Condition
    from domain.ids import DataRowId, DataTableId, RunId, WorkspaceId
    from domain.json_value import Json

MAX_COLUMNS: Final = 200
MAX_KEY_COLUMNS: Final = 16
_MAX_DESCRIPTION: Final = 2_000
_TABLE_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
_COLUMN_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,62}")


class ColumnType(StrEnum):
    """What a column holds."""

    TEXT = "TEXT"
    INTEGER = "INTEGER"
    NUMERIC = "NUMERIC"
    BOOLEAN = "BOOLEAN"
    TIMESTAMP = "TIMESTAMP"
    JSON = "JSON"


class WriteMode(StrEnum):
    """What a write does."""

    INSERT = "INSERT"
    """Add a row; fails when its key exists already."""
    UPSERT = "UPSERT"
    """Add a row, or change the one with the same key."""
    UPDATE = "UPDATE"
    """Change the rows that are picked."""
    DELETE = "DELETE"
    """Delete the rows that are picked."""


@dataclass(frozen=True, slots=True)
class DataColumn:
    """A column of a table."""

    name: str
    type: ColumnType
    is_required: bool = False
    description: str | None = None


@dataclass(frozen=True, slots=True)
class DataTable:
    """A typed table; nodes use it by its name."""

    id: DataTableId
    workspace_id: WorkspaceId
    name: str
    columns: tuple[DataColumn, ...]
    key_columns: tuple[str, ...]
    created_at: datetime

    def column(self, name: str) -> DataColumn | None:
        """Return a column by its name; None where there is none."""
        return next((column for column in self.columns if column.name == name), None)


@dataclass(frozen=True, slots=True)
class DataRow:
    """A row as it is stored: a value for every column, null where there is none."""

    id: DataRowId
    workspace_id: WorkspaceId
    values: Json
    run_id: RunId | None
    node_key: str | None
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class RowOrder:
    """In which order rows are listed; rows without a value come last."""

    name: str
    """The column's."""
    type: ColumnType
    is_descending: bool = False


@dataclass(frozen=True, slots=True)
class ChosenRows:
    """Which rows, in which order: checked against the columns of a table, and the same for all tables that have such."""

    condition: Condition | None = None
    """With values in the stored form of their columns."""
    exact: tuple[str, ...] = ()
    """The columns of type NUMERIC that it compares, by name."""
    order: RowOrder | None = None
    """None = newest first."""


ALL_ROWS: Final = ChosenRows()


@dataclass(frozen=True, slots=True)
class RowWrite:
    """A checked write to a table, in the stored form of its values."""

    table_id: DataTableId
    mode: WriteMode
    values: dict[str, Json]
    """The columns that were given; in UPDATE only those that change."""
    row: dict[str, Json]
    """INSERT and UPSERT: the whole new row."""
    key: bytes | None
    """INSERT and UPSERT: what no other row may have, where the table has key columns."""
    picked_by: dict[str, Json]
    """UPDATE and DELETE: the values that the rows have."""
    returning: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Written:
    """What a write did."""

    row_count: int
    rows: tuple[Json, ...]


def check_table_name(name: str) -> str:
    """Return the name of a table as nodes use it.

    Raises:
        InvalidInput: not 1 to 64 letters, digits, dots, hyphens and underscores, or none of the first two in front.
    """
    if not _TABLE_NAME.fullmatch(name):
        raise InvalidInput(
            "The name of a table is 1 to 64 letters, digits, dots, hyphens and underscores, "
            "and starts with a letter or a digit.",
            path=["input", "name"],
        )
    return name


def is_table_name(name: str) -> bool:
    """Whether a table can have this name."""
    return _TABLE_NAME.fullmatch(name) is not None


def check_columns(columns: Sequence[DataColumn], key_columns: Sequence[str]) -> tuple[DataColumn, ...]:
    """Return the columns of a table as they are stored: those of the key are required.

    Raises:
        InvalidInput, LimitExceeded: a name, a description, their number or the key is not acceptable; the path says which.
    """
    _check_count(len(columns), MAX_COLUMNS, ["input", "columns"])
    _check_count(len(key_columns), MAX_KEY_COLUMNS, ["input", "keyColumns"])
    if not columns:
        raise InvalidInput("A table has at least one column.", path=["input", "columns"])
    known: dict[str, DataColumn] = {}
    for place, column in enumerate(columns):
        path = ["input", "columns", str(place)]
        _check_column(column, path)
        if column.name in known:
            raise InvalidInput(f"Two columns have the name {column.name}.", path=[*path, "name"])
        known[column.name] = column
    _check_key(known, key_columns)
    return tuple(
        DataColumn(column.name, column.type, column.is_required or column.name in key_columns, column.description)
        for column in columns
    )


def _check_column(column: DataColumn, path: list[str]) -> None:
    if not _COLUMN_NAME.fullmatch(column.name):
        raise InvalidInput(
            "The name of a column is 1 to 63 letters, digits and underscores, and starts with no digit.",
            path=[*path, "name"],
        )
    if column.description is not None:
        check_text(column.description, [*path, "description"], limit=_MAX_DESCRIPTION)


def _check_key(known: dict[str, DataColumn], key_columns: Sequence[str]) -> None:
    for place, name in enumerate(key_columns):
        path = ["input", "keyColumns", str(place)]
        if name not in known:
            raise InvalidInput(f"There is no column {name[:80]!r}.", path=path)
        if name in key_columns[:place]:
            raise InvalidInput(f"The column {name} is named twice.", path=path)
        if known[name].type is ColumnType.JSON:
            raise InvalidInput("A column of type JSON cannot make a row unique.", path=path)


def _check_count(count: int, limit: int, path: list[str]) -> None:
    if count > limit:
        raise LimitExceeded(f"At most {limit} columns.", limit=limit, actual=count, path=path)
