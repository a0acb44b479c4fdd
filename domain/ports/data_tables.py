"""What remembers tables and their rows, and writes to tables of other databases."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from domain.data_tables import ALL_ROWS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from domain.audit import Deed
    from domain.data_tables import ChosenRows, DataRow, DataTable, WriteMode, Written
    from domain.ids import DataRowId, DataTableId, WorkspaceId
    from domain.json_value import Json
    from domain.ports.paging import Page, PageRequest
    from domain.rate_limits import Caps


class DataTables(Protocol):
    """Tables and their rows; rows are written by `RunLog.complete`, together with the end of a node."""

    async def add(self, table: DataTable) -> None:
        """Store a new table.

        Raises:
            AlreadyExists: the name is taken in the workspace.
            LimitExceeded: the workspace has as many as it may.
        """
        ...

    async def remove(self, table: DataTable, *, deed: Deed | None = None) -> None:
        """Delete a table with its rows.

        Raises:
            NotFound: it is gone.
            InUse: published nodes use it.
        """
        ...

    async def list_by_id(self, within: frozenset[WorkspaceId], table_ids: Sequence[DataTableId]) -> Sequence[DataTable]:
        """List those of the tables that are within, in any order."""
        ...

    async def find_by_name(self, workspace_id: WorkspaceId, name: str) -> DataTable | None:
        """Find a table by its name."""
        ...

    async def page_by_workspace(
        self, workspace_ids: Sequence[WorkspaceId], request: PageRequest
    ) -> Mapping[WorkspaceId, Page[DataTable]]:
        """Read the same page of the tables of each of the workspaces, by name.

        Raises:
            CursorInvalid: a cursor of another list.
        """
        ...

    async def count_by_workspace(self, workspace_ids: Sequence[WorkspaceId]) -> Mapping[WorkspaceId, int]:
        """Count the tables of each of the workspaces."""
        ...

    async def columns(self, workspace_id: WorkspaceId) -> Mapping[str, frozenset[str]]:
        """Return the names of the columns of each table of a workspace, by its name."""
        ...

    async def page_rows(
        self, table_ids: Sequence[DataTableId], chosen: ChosenRows, request: PageRequest
    ) -> Mapping[DataTableId, Page[DataRow]]:
        """Read the same page of the rows of each of the tables, newest first without an order.

        Raises:
            CursorInvalid: a cursor of another list.
        """
        ...

    async def count_rows(
        self, table_ids: Sequence[DataTableId], chosen: ChosenRows = ALL_ROWS
    ) -> Mapping[DataTableId, int]:
        """Count the rows of each of the tables that a checked condition lets through."""
        ...

    async def list_rows(self, within: frozenset[WorkspaceId], row_ids: Sequence[DataRowId]) -> Sequence[DataRow]:
        """List those of the rows that are within, in any order."""
        ...


@dataclass(frozen=True, slots=True)
class ExternalDatabase:
    """An outside PostgreSQL database, and how one signs in."""

    host: str
    port: int
    database: str
    username: str | None
    password: str | None
    is_tls_verified: bool
    caps: Caps | None = None
    """The limits of the connection."""


@dataclass(frozen=True, slots=True)
class ExternalWrite:
    """A write to a table of another database; nothing of it is checked yet."""

    table: str
    mode: WriteMode
    values: Mapping[str, Json]
    conflict_columns: tuple[str, ...]
    returning: tuple[str, ...]


class ExternalTables(Protocol):
    """Tables of other PostgreSQL databases, behind the guard against private networks."""

    async def write(self, database: ExternalDatabase, write: ExternalWrite) -> Written:
        """Write with one statement.

        Raises:
            NodeFault: `TABLE_NOT_FOUND`, `INVALID_ROW`, `UNIQUE_VIOLATION`, `CONSTRAINT_VIOLATION`, `TOO_MANY_ROWS`,
                `PERMISSION_DENIED`, `DATABASE_REFUSED`, `DATABASE_UNAVAILABLE`, `TIMED_OUT`, `ADDRESS_REFUSED`,
                `INVALID_RESPONSE`.
        """
        ...

    async def check(self, database: ExternalDatabase) -> str:
        """Connect once; return what the server says it is.

        Raises:
            NodeFault: `DATABASE_REFUSED`, `DATABASE_UNAVAILABLE`, `TIMED_OUT`, `ADDRESS_REFUSED`, `INVALID_RESPONSE`.
        """
        ...
