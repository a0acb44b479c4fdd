"""Writing rows of tables, inside somebody else's transaction: every name and value is bound."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, cast

import asyncpg
from uuid_utils.compat import uuid7

from domain.data_tables import RowWrite, WriteMode, Written
from domain.errors import NodeFault
from domain.json_codec import decode, encode

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from uuid import UUID

    from domain.ids import DataTableId
    from domain.json_value import Json
    from domain.room import Room
    from persistence.database import DirectConnection

MAX_RETURNED: Final = 1_000
_KEY: Final = "data_rows_table_id_row_key_key"
_TABLE: Final = "data_rows_table_id_fkey"

_INSERT: Final = """
INSERT INTO data_rows AS r (id, table_id, "row", row_key, run_id, node_key, item_index, ordinal)
VALUES ($1, $2, $3::jsonb, $4, $5, $6, $7, 0)
"""
_RETURNED: Final = """ RETURNING CASE WHEN $8 THEN r."row"::text END AS "row" """
# What was given changes; the other columns of a row that is there already stay.
_UPSERT: Final = """
ON CONFLICT (table_id, row_key) DO UPDATE
   SET "row" = r."row" || $9::jsonb, run_id = excluded.run_id, node_key = excluded.node_key,
       item_index = excluded.item_index, ordinal = 0, updated_at = now()
"""
# Locked in one order, so that two writes to the same rows wait for each other instead of failing.
_PICKED: Final = """
WITH picked AS MATERIALIZED (
  SELECT id FROM data_rows WHERE table_id = $1 AND "row" @> $2::jsonb ORDER BY id FOR UPDATE
), numbered AS (
  SELECT id, row_number() OVER (ORDER BY id) - 1 AS ordinal FROM picked
)
"""
_UPDATE: Final = (
    _PICKED
    + """
UPDATE data_rows r
   SET "row" = r."row" || $4::jsonb, run_id = $5, node_key = $6, item_index = $7, ordinal = n.ordinal, updated_at = now()
  FROM numbered n WHERE r.id = n.id
RETURNING CASE WHEN $3 THEN r."row"::text END AS "row"
"""
)
_DELETE: Final = (
    _PICKED
    + """
DELETE FROM data_rows r USING numbered n WHERE r.id = n.id RETURNING CASE WHEN $3 THEN r."row"::text END AS "row"
"""
)


_COUNT: Final = "SELECT count(*) FROM (SELECT 1 FROM data_rows WHERE table_id = $1 LIMIT $2) found"
_IS_THERE: Final = "SELECT EXISTS (SELECT FROM data_rows WHERE table_id = $1 AND row_key = $2)"


async def write_rows(
    connection: DirectConnection, write: RowWrite, run_id: UUID, node_key: str, item_index: int
) -> Written:
    """Write rows in the transaction that is open.

    Raises:
        NodeFault: `UNIQUE_VIOLATION`, `TABLE_NOT_FOUND` where the table was deleted meanwhile, `TOO_MANY_ROWS` where more
            than 1,000 rows were to be returned; the transaction must then be rolled back.
    """
    is_returned = bool(write.returning)
    by = (run_id, node_key, item_index)
    statement, arguments = _statement(write, by, is_returned)
    try:
        rows = await connection.fetch(statement, *arguments)
    except asyncpg.IntegrityConstraintViolationError as error:
        fault = _fault(error.constraint_name)
        if fault is None:
            raise
        raise fault from error
    if is_returned and len(rows) > MAX_RETURNED:
        message = f"The write would return {len(rows):,} rows; {MAX_RETURNED:,} are the most. Leave `returning` empty."
        raise NodeFault("TOO_MANY_ROWS", message)
    return Written(len(rows), _returned([row["row"] for row in rows], write.returning) if is_returned else ())


async def check_room(connection: DirectConnection, write: RowWrite, tables: Room[DataTableId]) -> None:
    """Refuse another row of a table that is full; one that is there already may change.

    Raises:
        NodeFault: `TABLE_FULL`; the transaction must then be rolled back.
    """

    async def count(table_id: DataTableId, most: int) -> int:
        return await connection.fetchval(_COUNT, table_id, most)

    if write.mode not in {WriteMode.INSERT, WriteMode.UPSERT}:
        return
    # A look at one row first: in a table that is nearly full each further look at all counts a million.
    is_asked = write.mode is WriteMode.UPSERT and not tables.is_known(write.table_id)
    if is_asked and await connection.fetchval(_IS_THERE, write.table_id, write.key):
        return
    if await tables.is_there(write.table_id, count):
        return
    message = f"A table has at most {tables.cap:,} rows (ANABRANCH_LIMITS__ROWS_PER_TABLE); delete some."
    raise NodeFault("TABLE_FULL", message)


def _statement(write: RowWrite, by: tuple[UUID, str, int], is_returned: bool) -> tuple[str, tuple[object, ...]]:
    if write.mode in {WriteMode.INSERT, WriteMode.UPSERT}:
        arguments = (uuid7(), write.table_id, _json(write.row), write.key, *by, is_returned)
        if write.mode is WriteMode.INSERT:
            return _INSERT + _RETURNED, arguments
        return _INSERT + _UPSERT + _RETURNED, (*arguments, _json(write.values))
    arguments = (write.table_id, _json(write.picked_by), is_returned)
    if write.mode is WriteMode.UPDATE:
        return _UPDATE, (*arguments, _json(write.values), *by)
    return _DELETE, arguments


def _returned(rows: Sequence[str], columns: Sequence[str]) -> tuple[Json, ...]:
    decoded = [cast("Mapping[str, Json]", decode(row)) for row in rows]
    return tuple({name: row.get(name) for name in columns} for row in decoded)


def _fault(constraint: str | None) -> NodeFault | None:
    if constraint == _KEY:
        return NodeFault("UNIQUE_VIOLATION", "A row with the same key columns exists already; UPSERT would change it.")
    if constraint == _TABLE:
        return NodeFault("TABLE_NOT_FOUND", "The table was deleted before the row could be written.")
    return None


def _json(value: Mapping[str, Json]) -> str:
    return encode(value, max_bytes=2**40).decode()
