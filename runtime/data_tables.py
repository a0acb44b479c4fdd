"""Tables of workspaces: made, read, deleted; their rows are written by nodes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from uuid_utils.compat import uuid7

from domain.audit import AuditAction
from domain.data_rows import check_order, choose_rows
from domain.data_tables import ALL_ROWS, DataTable, check_columns, check_table_name, is_table_name
from domain.errors import NodeFault, NotFound
from domain.identity import Permission
from domain.ids import DataTableId, Prefix, to_global
from runtime.audit import NO_AUDIT
from runtime.identity import utc_now

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime

    from domain.data_tables import ChosenRows, DataColumn, DataRow
    from domain.filters import Condition
    from domain.identity import Principal
    from domain.ids import DataRowId, WorkspaceId
    from domain.ports.audit import AuditTrail
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

    def __init__(
        self, tables: DataTables, *, clock: Callable[[], datetime] = utc_now, audit: AuditTrail = NO_AUDIT
    ) -> None:
        self._audit = audit
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
            InUse: published nodes use it.
        """
        table = await self.find(actor, table_id)
        if table is None:
            raise NotFound(path=["input", "id"])
        actor.demand(table.workspace_id, Permission.WRITE)
        target = to_global(Prefix.DATA_TABLE, table.id)
        deed = self._audit.deed(actor, AuditAction.DATA_TABLE_DELETED, target, table.name)
        await self._tables.remove(table, deed=deed)

    async def find(self, actor: Principal, table_id: DataTableId) -> DataTable | None:
        """Find a table that the caller may see."""
        return (await self.list_by_id(actor, [table_id])).get(table_id)

    async def find_by_name(self, actor: Principal, workspace_id: WorkspaceId, name: str) -> DataTable | None:
        """Find a table by the name that nodes use.

        Raises:
            NotFound: no such workspace.
        """
        workspace = actor.workspace(workspace_id)
        return await self._tables.find_by_name(workspace, name) if is_table_name(name) else None

    async def list_by_id(self, actor: Principal, table_ids: Sequence[DataTableId]) -> Mapping[DataTableId, DataTable]:
        """Return those of the tables that the caller may see."""
        return {table.id: table for table in await self._tables.list_by_id(actor.within(), table_ids)}

    async def page_by_workspace(
        self, workspace_ids: Sequence[WorkspaceId], page: PageRequest
    ) -> Mapping[WorkspaceId, Page[DataTable]]:
        """Read the same page of the tables of each of the workspaces, which the caller was shown, by name.

        Raises:
            CursorInvalid: a cursor of another list.
        """
        return await self._tables.page_by_workspace(workspace_ids, page)

    async def count_by_workspace(self, workspace_ids: Sequence[WorkspaceId]) -> Mapping[WorkspaceId, int]:
        """Count what `page_by_workspace` lists."""
        return await self._tables.count_by_workspace(workspace_ids)

    async def columns(self, workspace_id: WorkspaceId) -> Mapping[str, frozenset[str]]:
        """Return the names of the columns of each table of a workspace, by its name."""
        return await self._tables.columns(workspace_id)

    def chosen_rows(self, table: DataTable, query: RowQuery) -> ChosenRows:
        """Return which rows of a table are asked for.

        Raises:
            InvalidInput: filter or order name no column, or compare one with what it cannot hold.
        """
        order = None
        if query.order_by is not None:
            order = check_order(table, query.order_by, ["orderBy", "column"], is_descending=query.is_descending)
        return choose_rows(table, query.condition, order)

    async def page_rows(
        self, table_ids: Sequence[DataTableId], chosen: ChosenRows, request: PageRequest
    ) -> Mapping[DataTableId, Page[DataRow]]:
        """Read the same page of the rows of each of the tables, which the caller was shown.

        Raises:
            CursorInvalid: a cursor of another list.
        """
        return await self._tables.page_rows(table_ids, chosen, request)

    async def count_rows(
        self, table_ids: Sequence[DataTableId], chosen: ChosenRows = ALL_ROWS
    ) -> Mapping[DataTableId, int]:
        """Count what `page_rows` lists."""
        return await self._tables.count_rows(table_ids, chosen)

    async def list_rows(self, actor: Principal, row_ids: Sequence[DataRowId]) -> Mapping[DataRowId, DataRow]:
        """Return those of the rows that the caller may see."""
        return {row.id: row for row in await self._tables.list_rows(actor.within(), row_ids)}

    async def get_for_node(self, workspace_id: WorkspaceId, name: str) -> DataTable:
        """Return the table that a node names.

        Raises:
            NodeFault: `TABLE_NOT_FOUND`.
        """
        table = await self._tables.find_by_name(workspace_id, name) if is_table_name(name) else None
        if table is None:
            raise NodeFault("TABLE_NOT_FOUND", f"There is no table with the name {name[:80]!r}.")
        return table
