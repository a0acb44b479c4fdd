"""Tables of workspaces: made, read, deleted; their rows are written by nodes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from uuid_utils.compat import uuid7

from domain.data_rows import check_condition, check_order
from domain.data_tables import DataTable, check_columns, check_table_name, is_table_name
from domain.errors import NodeFault, NotFound
from domain.identity import Permission
from domain.ids import DataTableId
from runtime.identity import utc_now

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime

    from domain.data_tables import DataColumn, DataRow
    from domain.filters import Condition
    from domain.identity import Principal
    from domain.ids import DataRowId, WorkspaceId
    from domain.ports.data_tables import DataTables
    from domain.ports.paging import Page, PageRequest


@dataclass(frozen=True, slots=True)
class RowQuery:
    """Which rows, in which order, as the caller asked for them."""

    condition: Condition | None = None
    order_by: str | None = None
    is_descending: bool = False


class DataTableService:
    """Typed tables in the built-in database."""

    def __init__(self, tables: DataTables, *, clock: Callable[[], datetime] = utc_now) -> None:
        self._tables = tables
        self._clock = clock

    async def create(
        self,
        actor: Principal,
        workspace_id: WorkspaceId | None,
        name: str,
        columns: Sequence[DataColumn],
        key_columns: Sequence[str] = (),
    ) -> DataTable:
        """Make a table.

        Raises:
            NotFound, WorkspaceRequired, Forbidden: the workspace is not one in which the caller may do this.
            InvalidInput, LimitExceeded: name, columns or key are not acceptable, or the workspace has as many as it may.
            AlreadyExists: the name is taken.
        """
        table = DataTable(
            id=DataTableId(uuid7()),
            workspace_id=actor.workspace(workspace_id, Permission.WRITE),
            name=check_table_name(name),
            columns=check_columns(columns, key_columns),
            key_columns=tuple(key_columns),
            created_at=self._clock(),
        )
        await self._tables.add(table)
        return table

    async def delete(self, actor: Principal, table_id: DataTableId) -> None:
        """Delete a table with its rows.

        Raises:
            NotFound: no such table.
            Forbidden: the caller may see it only.
        """
        table = await self.find(actor, table_id)
        if table is None:
            raise NotFound(path=["input", "id"])
        actor.demand(table.workspace_id, Permission.WRITE)
        await self._tables.remove(table)

    async def find(self, actor: Principal, table_id: DataTableId) -> DataTable | None:
        """Find a table that the caller may see."""
        return next(iter(await self._tables.list_by_id(actor.within(), [table_id])), None)

    async def find_by_name(self, actor: Principal, workspace_id: WorkspaceId, name: str) -> DataTable | None:
        """Find a table by the name that nodes use.

        Raises:
            NotFound: no such workspace.
        """
        workspace = actor.workspace(workspace_id)
        return await self._tables.find_by_name(workspace, name) if is_table_name(name) else None

    async def page(self, actor: Principal, workspace_id: WorkspaceId, page: PageRequest) -> Page[DataTable]:
        """Read a page of a workspace's tables by name.

        Raises:
            NotFound: no such workspace.
            CursorInvalid: a cursor of another list.
        """
        return await self._tables.page(actor.workspace(workspace_id), page)

    async def count(self, actor: Principal, workspace_id: WorkspaceId) -> int:
        """Count the tables of a workspace.

        Raises:
            NotFound: no such workspace.
        """
        return await self._tables.count(actor.workspace(workspace_id))

    async def columns(self, workspace_id: WorkspaceId) -> Mapping[str, frozenset[str]]:
        """Return the names of the columns of each table of a workspace, by its name."""
        return await self._tables.columns(workspace_id)

    async def page_rows(self, table: DataTable, query: RowQuery, request: PageRequest) -> Page[DataRow]:
        """Read a page of rows of a table that the caller may see, newest first without an order.

        Raises:
            InvalidInput: filter or order name no column, or compare one with what it cannot hold.
            CursorInvalid: a cursor of another list.
        """
        order = None
        if query.order_by is not None:
            order = check_order(table, query.order_by, ["orderBy", "column"], is_descending=query.is_descending)
        return await self._tables.page_rows(table, _checked(table, query), order, request)

    async def count_rows(self, table: DataTable, query: RowQuery) -> int:
        """Count the rows of a table that a filter lets through.

        Raises:
            InvalidInput: as with `page_rows`.
        """
        return await self._tables.count_rows(table, _checked(table, query))

    async def count_all_rows(self, table_ids: Sequence[DataTableId]) -> Mapping[DataTableId, int]:
        """Count the rows of tables that the caller may see."""
        counted = await self._tables.count_all_rows(table_ids)
        return {table_id: counted.get(table_id, 0) for table_id in table_ids}

    async def find_row(self, actor: Principal, row_id: DataRowId) -> DataRow | None:
        """Find a row that the caller may see."""
        return next(iter(await self._tables.list_rows(actor.within(), [row_id])), None)

    async def get_for_node(self, workspace_id: WorkspaceId, name: str) -> DataTable:
        """Return the table that a node names.

        Raises:
            NodeFault: `TABLE_NOT_FOUND`.
        """
        table = await self._tables.find_by_name(workspace_id, name) if is_table_name(name) else None
        if table is None:
            raise NodeFault("TABLE_NOT_FOUND", f"There is no table with the name {name[:80]!r}.")
        return table


def _checked(table: DataTable, query: RowQuery) -> Condition | None:
    return None if query.condition is None else check_condition(table, query.condition, ["filter"])
