"""The one statement of a write to a table of another database, made out of what that database says of the table.

Every identifier comes from the other server's catalog, quoted by that server; of what users gave only values are sent,
bound as texts and cast on the server to the type of their column.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, cast

import orjson

from domain.data_tables import WriteMode
from domain.errors import NodeFault
from domain.problems import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from domain.json_value import Json
    from domain.ports.data_tables import ExternalWrite
    from persistence.database import DirectConnection

_TABLE: Final = """
SELECT c.oid, quote_ident(n.nspname) || '.' || quote_ident(c.relname) AS quoted
  FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
 WHERE c.relname = $2::text AND c.relkind IN ('r', 'p') AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast')
   AND CASE WHEN $1::text IS NULL THEN pg_catalog.pg_table_is_visible(c.oid) ELSE n.nspname = $1::text END
"""
# The type without its length: a cast to `varchar(20)` would cut a text off where an assignment refuses it.
_COLUMNS: Final = """
SELECT a.attname AS name, quote_ident(a.attname) AS quoted, pg_catalog.format_type(a.atttypid, -1) AS type,
       t.typcategory = 'A' AS is_array, t.typname IN ('json', 'jsonb') AS is_json, t.typname = 'numeric' AS is_exact
  FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_type t ON t.oid = a.atttypid
 WHERE a.attrelid = $1 AND a.attnum > 0 AND NOT a.attisdropped
"""
_MAX_SHOWN: Final = 80


@dataclass(frozen=True, slots=True)
class _Column:
    name: str
    quoted: str
    type: str
    is_array: bool
    is_json: bool
    is_exact: bool


@dataclass(frozen=True, slots=True)
class Statement:
    """SQL with its parameters, all of them texts."""

    text: str
    arguments: Sequence[str | None]


async def statement_of(connection: DirectConnection, write: ExternalWrite) -> Statement:
    """Return the statement of a write, checked against the real table.

    Raises:
        NodeFault: `TABLE_NOT_FOUND`, or `INVALID_ROW` naming the column.
    """
    schema, _, name = write.table.rpartition(".")
    table = None
    if "\0" not in write.table and write.table.isprintable():
        table = await connection.fetchrow(_TABLE, schema or None, name)
    if table is None:
        raise NodeFault("TABLE_NOT_FOUND", f"There is no table {write.table[:_MAX_SHOWN]!r} that the role can see.")
    rows = await connection.fetch(_COLUMNS, table["oid"])
    columns = {row["name"]: _Column(**dict(row)) for row in rows}
    for column in (*write.values, *write.conflict_columns, *write.returning):
        if column not in columns:
            hint = did_you_mean(column, columns)
            message = f"The table {write.table} has no column {column[:_MAX_SHOWN]!r}."
            raise NodeFault("INVALID_ROW", f"{message} {hint}" if hint else message)
    return _Builder(table["quoted"], columns, write).statement()


class _Builder:
    def __init__(self, table: str, columns: Mapping[str, _Column], write: ExternalWrite) -> None:
        self._table = table
        self._columns = columns
        self._write = write
        self._arguments: list[str | None] = []

    def statement(self) -> Statement:
        write = self._write
        values = {name: self._bound(name, value) for name, value in write.values.items()}
        picking = [name for name in values if name in write.conflict_columns]
        changed = [name for name in values if name not in write.conflict_columns]
        match write.mode:
            case WriteMode.INSERT:
                text = self._insert(values)
            case WriteMode.UPSERT:
                # A row that is already as it should be is written all the same, so that it counts and is returned.
                sets = [f"{self._quoted(name)} = excluded.{self._quoted(name)}" for name in changed or picking[:1]]
                conflict = ", ".join(self._quoted(name) for name in write.conflict_columns)
                text = f"{self._insert(values)} ON CONFLICT ({conflict}) DO UPDATE SET {', '.join(sets)}"
            case WriteMode.UPDATE:
                sets = [f"{self._quoted(name)} = {values[name]}" for name in changed]
                text = f"UPDATE {self._table} AS r SET {', '.join(sets)} WHERE {self._where(picking, values)}"  # noqa: S608 -- identifiers as the server quotes them
            case WriteMode.DELETE:
                text = f"DELETE FROM {self._table} AS r WHERE {self._where(picking, values)}"  # noqa: S608 -- identifiers as the server quotes them
        if write.returning:
            text += f" RETURNING {', '.join(self._returned(name) for name in write.returning)}"
        return Statement(text, self._arguments)

    def _insert(self, values: Mapping[str, str]) -> str:
        names = ", ".join(self._quoted(name) for name in values)
        return f"INSERT INTO {self._table} AS r ({names}) VALUES ({', '.join(values.values())})"  # noqa: S608 -- identifiers as the server quotes them

    def _where(self, picking: Sequence[str], values: Mapping[str, str]) -> str:
        if not picking or set(picking) != set(self._write.conflict_columns):
            raise NodeFault("INVALID_ROW", "`conflictColumns` pick the rows: each needs a value.")
        for name in picking:
            if self._write.values[name] is None:
                raise NodeFault("INVALID_ROW", f"The column {name} picks the rows and has no value.")
        return " AND ".join(f"r.{self._quoted(name)} = {values[name]}" for name in picking)

    def _bound(self, name: str, value: Json) -> str:
        column, place = self._columns[name], len(self._arguments) + 1
        if value is None or column.is_json:
            self._arguments.append(None if value is None else orjson.dumps(value).decode())
            return f"CAST(${place}::text AS {column.type})"
        if isinstance(value, list | tuple):
            if not column.is_array:
                raise NodeFault("INVALID_ROW", f"The column {name} ({column.type}) takes one value, not a list.")
            self._arguments.append(orjson.dumps(value).decode())
            return f"CAST(ARRAY(SELECT jsonb_array_elements_text(${place}::text::jsonb)) AS {column.type})"
        self._arguments.append(_text(name, column, value))
        return f"CAST(${place}::text AS {column.type})"

    def _quoted(self, name: str) -> str:
        return self._columns[name].quoted

    def _returned(self, name: str) -> str:
        column = self._columns[name]
        # Numbers with all their digits, as the built-in tables give them.
        value = f"r.{column.quoted}::text" if column.is_exact else f"r.{column.quoted}"
        return f"to_json({value})::text"


def _text(name: str, column: _Column, value: Json) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)
    raise NodeFault("INVALID_ROW", f"The column {name} ({column.type}) takes one value, not an object.")


def returned(columns: Sequence[str], rows: Sequence[Sequence[str | None]]) -> list[Json]:
    """Return rows as they come back from `RETURNING`, by column."""
    return [
        {
            name: cast("Json", None if text is None else orjson.loads(text))
            for name, text in zip(columns, row, strict=True)
        }
        for row in rows
    ]
