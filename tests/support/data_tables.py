"""Tables for tests."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING
from uuid import UUID, uuid4

from domain.data_rows import check_write
from domain.data_tables import ColumnType, DataColumn, DataTable, WriteMode, Written, check_columns
from domain.ids import DataTableId, WorkspaceId
from persistence.row_writes import write_rows
from tests.support.identity import START

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping

    from domain.json_value import Json
    from persistence.database import Database

ALL_TYPES = (
    DataColumn("name", ColumnType.TEXT),
    DataColumn("count", ColumnType.INTEGER),
    DataColumn("price", ColumnType.NUMERIC),
    DataColumn("done", ColumnType.BOOLEAN),
    DataColumn("at", ColumnType.TIMESTAMP),
    DataColumn("meta", ColumnType.JSON),
)
"""A column of each type."""


def data_table(
    *columns: DataColumn, keys: tuple[str, ...] = (), workspace_id: WorkspaceId | None = None, name: str = "things"
) -> DataTable:
    """Return a table; of all types if no columns are given."""
    return DataTable(
        id=DataTableId(uuid4()),
        workspace_id=workspace_id or WorkspaceId(uuid4()),
        name=name,
        columns=check_columns(columns or ALL_TYPES, keys),
        key_columns=keys,
        created_at=START,
    )


async def write_row(
    database: Database,
    table: DataTable,
    values: Mapping[str, Json],
    mode: WriteMode = WriteMode.INSERT,
    *,
    conflict: tuple[str, ...] = (),
    returning: tuple[str, ...] = (),
    run_id: UUID | None = None,
) -> Written:
    """Write in a transaction of its own, as a node of a run of its own."""
    write = check_write(table, mode, values, conflict, returning)
    async with database.direct() as connection, connection.transaction():
        return await write_rows(connection, write, run_id or uuid4(), "write", -1)


@asynccontextmanager
async def holding(database: Database, table: DataTable, values: Mapping[str, Json]) -> AsyncGenerator[None]:
    """Hold the key of a row, so that whoever writes it waits; behind the block it is free and nothing was written."""
    write = check_write(table, WriteMode.INSERT, values)
    async with database.direct() as connection:
        transaction = connection.transaction()
        await transaction.start()
        await write_rows(connection, write, uuid4(), "holding", -1)
        yield
        await transaction.rollback()
