"""Tables of workspaces in PostgreSQL: what their columns are, and their rows for those who read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import UUID

from sqlalchemy import and_, delete, func, select
from sqlalchemy.dialects.postgresql import insert

from domain.data_tables import ALL_ROWS, ChosenRows, ColumnType, DataColumn, DataRow, DataTable
from domain.errors import AlreadyExists, LimitExceeded, NotFound
from domain.ids import DataRowId, DataTableId, RunId, WorkspaceId
from domain.uses import Usable, UseKind
from persistence.audit import write_deed
from persistence.data_rows import keys_of, where_rows
from persistence.paging import read_counts, read_pages
from persistence.tables import data_rows, data_tables, workspaces
from persistence.uses import release, through

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sqlalchemy import Row

    from domain.audit import Deed
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

    async def remove(self, table: DataTable, *, deed: Deed | None = None) -> None:
        """Delete a table with its rows.

        Raises:
            NotFound: it is gone.
            InUse: published nodes use it.
        """
        is_it = and_(data_tables.c.id == table.id, data_tables.c.workspace_id == table.workspace_id)
        async with self._database.connection() as opened:
            if (await opened.execute(select(data_tables.c.id).where(is_it).with_for_update())).first() is None:
                raise NotFound
            await release(through(opened), Usable(table.workspace_id, UseKind.DATA_TABLE, table.name))
            await opened.execute(delete(data_tables).where(is_it))
            await write_deed(through(opened), table.workspace_id, deed)

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

    async def page_by_workspace(
        self, workspace_ids: Sequence[WorkspaceId], request: PageRequest
    ) -> Mapping[WorkspaceId, Page[DataTable]]:
        """Read the same page of the tables of each of the workspaces, by name.

        Raises:
            CursorInvalid: a cursor of another list.
        """
        keys = [(data_tables.c.name, str), (data_tables.c.id, UUID)]
        owner = data_tables.c.workspace_id
        async with self._database.single() as opened:
            return await read_pages(
                opened, select(data_tables), keys, request, _table, owner=owner, owner_ids=workspace_ids
            )

    async def count_by_workspace(self, workspace_ids: Sequence[WorkspaceId]) -> Mapping[WorkspaceId, int]:
        """Count the tables of each of the workspaces."""
        async with self._database.single() as opened:
            return await read_counts(opened, data_tables.c.workspace_id, workspace_ids)

    async def columns(self, workspace_id: WorkspaceId) -> Mapping[str, frozenset[str]]:
        """Return the names of the columns of each table of a workspace, by its name."""
        statement = select(data_tables.c.name, data_tables.c.columns).where(data_tables.c.workspace_id == workspace_id)
        async with self._database.single() as opened:
            rows = (await opened.execute(statement)).all()
        return {row.name: frozenset(column["name"] for column in row.columns) for row in rows}

    async def page_rows(
        self, table_ids: Sequence[DataTableId], chosen: ChosenRows, request: PageRequest
    ) -> Mapping[DataTableId, Page[DataRow]]:
        """Read the same page of the rows of each of the tables, newest first without an order.

        Raises:
            CursorInvalid: a cursor of another list.
        """
        keys, order = keys_of(chosen.order), chosen.order
        selected = [column for column, _ in keys if column is not data_rows.c.id]
        of_table = data_tables.c.id == data_rows.c.table_id
        statement = select(*_ROW, data_tables.c.workspace_id, *selected).join_from(data_rows, data_tables, of_table)
        async with self._database.single() as opened:
            return await read_pages(
                opened,
                statement.where(*where_rows(chosen)),
                keys,
                request,
                _row,
                owner=data_rows.c.table_id,
                owner_ids=table_ids,
                is_descending=order is None or order.is_descending,
                name="" if order is None else order.name,
            )

    async def count_rows(
        self, table_ids: Sequence[DataTableId], chosen: ChosenRows = ALL_ROWS
    ) -> Mapping[DataTableId, int]:
        """Count the rows of each of the tables that a checked condition lets through."""
        async with self._database.single() as opened:
            return await read_counts(opened, data_rows.c.table_id, table_ids, *where_rows(chosen))

    async def list_rows(self, within: frozenset[WorkspaceId], row_ids: Sequence[DataRowId]) -> Sequence[DataRow]:
        """List those of the rows that are within, in any order."""
        statement = (
            select(*_ROW, data_tables.c.workspace_id)
            .join(data_tables, data_tables.c.id == data_rows.c.table_id)
            .where(data_rows.c.id.in_(row_ids), data_tables.c.workspace_id.in_(within))
        )
        async with self._database.single() as opened:
            return [_row(row) for row in await opened.execute(statement)]


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


def _row(row: Row[Any]) -> DataRow:
    return DataRow(
        id=DataRowId(row.id),
        workspace_id=WorkspaceId(row.workspace_id),
        values=row.row,
        run_id=RunId(row.run_id),
        node_key=row.node_key,
        created_at=row.created_at,
        updated_at=row.updated_at,
    )
