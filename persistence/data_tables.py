"""Tables of workspaces in PostgreSQL: what their columns are, and their rows for those who read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import UUID

from sqlalchemy import delete, func, select
from sqlalchemy.dialects.postgresql import insert

from domain.data_tables import ColumnType, DataColumn, DataRow, DataTable
from domain.errors import AlreadyExists, LimitExceeded, NotFound
from domain.ids import DataRowId, DataTableId, RunId, WorkspaceId
from persistence.data_rows import keys_of, where_rows
from persistence.paging import read_page
from persistence.tables import data_rows, data_tables, workspaces

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sqlalchemy import Row

    from domain.data_tables import RowOrder
    from domain.filters import Condition
    from domain.ports.paging import Page, PageRequest
    from persistence.database import Database

MAX_TABLES = 200
_ROW = [
    data_rows.c.id,
    data_rows.c.row,
    data_rows.c.run_id,
    data_rows.c.node_key,
    data_rows.c.created_at,
    data_rows.c.updated_at,
]


class PostgresDataTables:
    """Implements `domain.ports.data_tables.DataTables`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, table: DataTable) -> None:
        """Store a new table.

        Raises:
            AlreadyExists: the name is taken in the workspace.
            LimitExceeded: the workspace has as many as it may.
        """
        statement = insert(data_tables).values(
            id=table.id,
            workspace_id=table.workspace_id,
            name=table.name,
            columns=[_to_json(column) for column in table.columns],
            key_columns=list(table.key_columns),
            created_at=table.created_at,
        )
        async with self._database.connection() as opened:
            # The workspace's row keeps two additions from both being the last one.
            await opened.execute(
                select(workspaces.c.id).where(workspaces.c.id == table.workspace_id).with_for_update(key_share=True)
            )
            if (await opened.execute(_count(table.workspace_id))).scalar_one() >= MAX_TABLES:
                raise LimitExceeded(f"A workspace has at most {MAX_TABLES} tables.", limit=MAX_TABLES)
            added = await opened.execute(
                statement.on_conflict_do_nothing(
                    index_elements=[data_tables.c.workspace_id, data_tables.c.name]
                ).returning(data_tables.c.id)
            )
            if added.first() is None:
                raise AlreadyExists(f"There is a table with the name {table.name}.", path=["input", "name"])

    async def remove(self, table: DataTable) -> None:
        """Delete a table with its rows.

        Raises:
            NotFound: it is gone.
        """
        statement = delete(data_tables).where(
            data_tables.c.id == table.id, data_tables.c.workspace_id == table.workspace_id
        )
        async with self._database.connection() as opened:
            if (await opened.execute(statement.returning(data_tables.c.id))).first() is None:
                raise NotFound

    async def list_by_id(self, within: frozenset[WorkspaceId], table_ids: Sequence[DataTableId]) -> Sequence[DataTable]:
        """List those of the tables that are within, in any order."""
        statement = select(data_tables).where(data_tables.c.id.in_(table_ids), data_tables.c.workspace_id.in_(within))
        async with self._database.single() as opened:
            return [_table(row) for row in await opened.execute(statement)]

    async def find_by_name(self, workspace_id: WorkspaceId, name: str) -> DataTable | None:
        """Find a table by its name."""
        statement = select(data_tables).where(data_tables.c.workspace_id == workspace_id, data_tables.c.name == name)
        async with self._database.single() as opened:
            row = (await opened.execute(statement)).first()
        return None if row is None else _table(row)

    async def page(self, workspace_id: WorkspaceId, request: PageRequest) -> Page[DataTable]:
        """Read a page of tables by name.

        Raises:
            CursorInvalid: a cursor of another list.
        """
        statement = select(data_tables).where(data_tables.c.workspace_id == workspace_id)
        keys = [(data_tables.c.name, str), (data_tables.c.id, UUID)]
        async with self._database.single() as opened:
            return await read_page(opened, statement, keys, request, _table)

    async def count(self, workspace_id: WorkspaceId) -> int:
        """Count the tables of a workspace."""
        async with self._database.single() as opened:
            return (await opened.execute(_count(workspace_id))).scalar_one()

    async def columns(self, workspace_id: WorkspaceId) -> Mapping[str, frozenset[str]]:
        """Return the names of the columns of each table of a workspace, by its name."""
        statement = select(data_tables.c.name, data_tables.c.columns).where(data_tables.c.workspace_id == workspace_id)
        async with self._database.single() as opened:
            rows = (await opened.execute(statement)).all()
        return {row.name: frozenset(column["name"] for column in row.columns) for row in rows}

    async def page_rows(
        self, table: DataTable, condition: Condition | None, order: RowOrder | None, request: PageRequest
    ) -> Page[DataRow]:
        """Read a page of rows, newest first without an order.

        Raises:
            CursorInvalid: a cursor of another list.
        """
        keys = keys_of(order)
        selected = [column for column, _ in keys if column is not data_rows.c.id]
        statement = select(*_ROW, *selected).where(where_rows(table, condition))
        is_descending = order is None or order.is_descending
        async with self._database.single() as opened:
            return await read_page(
                opened, statement, keys, request, lambda row: _row(row, table.workspace_id), is_descending=is_descending
            )

    async def count_rows(self, table: DataTable, condition: Condition | None) -> int:
        """Count the rows that a checked condition lets through."""
        statement = select(func.count()).select_from(data_rows).where(where_rows(table, condition))
        async with self._database.single() as opened:
            return (await opened.execute(statement)).scalar_one()

    async def count_all_rows(self, table_ids: Sequence[DataTableId]) -> Mapping[DataTableId, int]:
        """Count the rows of tables; those without rows are absent."""
        statement = (
            select(data_rows.c.table_id, func.count().label("rows"))
            .where(data_rows.c.table_id.in_(table_ids))
            .group_by(data_rows.c.table_id)
        )
        async with self._database.single() as opened:
            return {DataTableId(row.table_id): row.rows for row in await opened.execute(statement)}

    async def list_rows(self, within: frozenset[WorkspaceId], row_ids: Sequence[DataRowId]) -> Sequence[DataRow]:
        """List those of the rows that are within, in any order."""
        statement = (
            select(*_ROW, data_tables.c.workspace_id)
            .join(data_tables, data_tables.c.id == data_rows.c.table_id)
            .where(data_rows.c.id.in_(row_ids), data_tables.c.workspace_id.in_(within))
        )
        async with self._database.single() as opened:
            return [_row(row, WorkspaceId(row.workspace_id)) for row in await opened.execute(statement)]


def _count(workspace_id: WorkspaceId) -> Any:
    return select(func.count()).select_from(data_tables).where(data_tables.c.workspace_id == workspace_id)


def _to_json(column: DataColumn) -> dict[str, object]:
    return {
        "name": column.name,
        "type": column.type.value,
        "isRequired": column.is_required,
        "description": column.description,
    }


def _table(row: Row[Any]) -> DataTable:
    return DataTable(
        id=DataTableId(row.id),
        workspace_id=WorkspaceId(row.workspace_id),
        name=row.name,
        columns=tuple(
            DataColumn(column["name"], ColumnType(column["type"]), column["isRequired"], column["description"])
            for column in row.columns
        ),
        key_columns=tuple(row.key_columns),
        created_at=row.created_at,
    )


def _row(row: Row[Any], workspace_id: WorkspaceId) -> DataRow:
    return DataRow(
        id=DataRowId(row.id),
        workspace_id=workspace_id,
        values=row.row,
        run_id=RunId(row.run_id),
        node_key=row.node_key,
        created_at=row.created_at,
        updated_at=row.updated_at,
    )
