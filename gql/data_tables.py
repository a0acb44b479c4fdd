"""Tables in the built-in database, and their rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

import strawberry
from strawberry.scalars import JSON
from strawberry.types.lazy_type import LazyType

from domain import data_tables as domain
from domain.data_tables import ColumnType
from domain.identity import Permission
from domain.ids import DataRowId, DataTableId, Prefix, RunId, WorkspaceId, to_global
from domain.uses import Usable, UseKind
from gql.absent import ABSENT, or_none
from gql.context import Context, Info
from gql.enums import expose
from gql.fields import mutation, query
from gql.filters import FilterInput, condition_of
from gql.ids import find_id, from_id, to_id, workspace_id_of
from gql.lookup import find_node, register_node
from gql.nodes import Node
from gql.orders import OrderDirection
from gql.paging import After, Before, Connection, Edge, First, Last, page_request
from gql.payloads import Payload
from gql.runs.types import Run, load_runs
from gql.uses import NodeUse, load_uses
from runtime.data_tables import RowQuery

_WORKSPACE: Any = LazyType[Any, Any]("Workspace", "gql.identity")

expose(
    ColumnType,
    description="What a column holds.",
    values={
        ColumnType.TEXT: "A text.",
        ColumnType.INTEGER: "A whole number of 64 bits.",
        ColumnType.NUMERIC: "An exact decimal number.",
        ColumnType.BOOLEAN: "True or false.",
        ColumnType.TIMESTAMP: "An instant.",
        ColumnType.JSON: "Any JSON value.",
    },
)


@strawberry.type(description="A column of a table.")
class DataColumn:
    """A column of a table."""

    name: str = strawberry.field(description="Its name.")
    type: ColumnType = strawberry.field(description="What it holds.")
    is_required: bool = strawberry.field(description="Whether every row must have it.")
    description: str | None = strawberry.field(description="What it means.")

    @classmethod
    def of(cls, column: domain.DataColumn) -> DataColumn:
        """Convert a column of the domain."""
        return cls(name=column.name, type=column.type, is_required=column.is_required, description=column.description)


@strawberry.type(description="A row of a table.")
class DataRow(Node):
    """A row of a table."""

    run_id: strawberry.Private[RunId | None]
    id: strawberry.ID = strawberry.field(description="Its id.")
    values: JSON = strawberry.field(description="The values by column.")
    node_key: str | None = strawberry.field(description="Key of the node that wrote it last.")
    created_at: datetime = strawberry.field(description="When it was first written.")
    updated_at: datetime = strawberry.field(description="When it was last written.")

    @strawberry.field(description="The run that wrote it last, if it still exists.")
    async def run(self, info: Info) -> Run | None:
        """Load the run."""
        return None if self.run_id is None else await info.context.loaders.load(load_runs, self.run_id)

    @classmethod
    def of(cls, row: domain.DataRow) -> DataRow:
        """Convert a row of the domain."""
        return cls(
            run_id=row.run_id,
            id=to_id(Prefix.DATA_ROW, row.id),
            values=JSON(row.values),
            node_key=row.node_key,
            created_at=row.created_at,
            updated_at=row.updated_at,
        )


@strawberry.type(description="A row on a page.")
class DataRowEdge(Edge[DataRow]):
    """A row on a page."""

    node: DataRow = strawberry.field(description="The row.")


@strawberry.type(description="Rows, page by page.")
class DataRowConnection(Connection[DataRow, DataRowEdge]):
    """Rows, page by page."""


@strawberry.input(description="How rows are ordered.")
class DataRowOrder:
    """How rows are ordered."""

    column: str = strawberry.field(description="By this column.")
    direction: OrderDirection = strawberry.field(default=OrderDirection.ASC, description="Which way.")


RowFilter = Annotated[FilterInput | None, strawberry.argument(description="Which of them, by columns.")]
RowOrderBy = Annotated[DataRowOrder | None, strawberry.argument(description="In which order; newest first if absent.")]


def _row_query(given: FilterInput | None, order: DataRowOrder | None) -> RowQuery:
    condition, order = condition_of(given, "filter"), or_none(order)
    if order is None:
        return RowQuery(condition)
    return RowQuery(condition, order.column, is_descending=order.direction is OrderDirection.DESC)


@strawberry.type(description="A typed table in the built-in database; DB_WRITE nodes write it exactly once in a run.")
class DataTable(Node):
    """A typed table."""

    table: strawberry.Private[domain.DataTable]
    id: strawberry.ID = strawberry.field(description="Its id.")
    name: str = strawberry.field(description="Unique in the workspace; what nodes use.")
    columns: list[DataColumn] = strawberry.field(description="Its columns in order; at most 200.")
    key_columns: list[str] = strawberry.field(
        description="The columns that make a row unique, in order, 16 at most; empty = none."
    )
    created_at: datetime = strawberry.field(description="When it was made.")

    @strawberry.field(description="The workspace it belongs to.", graphql_type=_WORKSPACE)
    async def workspace(self, info: Info) -> object:
        """Load the workspace."""
        return await find_node(info, to_global(Prefix.WORKSPACE, self.table.workspace_id))

    @strawberry.field(description="How many rows it has.")
    async def row_count(self, info: Info) -> int:
        """Count the rows."""
        return await info.context.loaders.load_for(info.context.services.data_tables.count_rows, self.table.id)

    @strawberry.field(description="Its rows.")
    async def rows(  # noqa: PLR0917 -- GraphQL names every argument
        self,
        info: Info,
        filter: RowFilter = ABSENT,  # noqa: A002
        order_by: RowOrderBy = ABSENT,
        first: First = ABSENT,
        after: After = ABSENT,
        last: Last = ABSENT,
        before: Before = ABSENT,
    ) -> DataRowConnection:
        """List the rows."""
        service, loaders, table = info.context.services.data_tables, info.context.loaders, self.table
        chosen = service.chosen_rows(table, _row_query(filter, order_by))
        page = await loaders.load_for(service.page_rows, table.id, chosen, page_request(first, after, last, before))
        return DataRowConnection.of(
            page, DataRow.of, lambda: loaders.load_for(service.count_rows, table.id, replace(chosen, order=None))
        )

    @strawberry.field(description="Nodes that use it; at most 100 are listed.")
    async def used_by(self, info: Info) -> list[NodeUse]:
        """Load the nodes that use it."""
        return await info.context.loaders.load(
            load_uses, Usable(self.table.workspace_id, UseKind.DATA_TABLE, self.name)
        )

    @classmethod
    def of(cls, table: domain.DataTable) -> DataTable:
        """Convert a table of the domain."""
        return cls(
            table=table,
            id=to_id(Prefix.DATA_TABLE, table.id),
            name=table.name,
            columns=[DataColumn.of(column) for column in table.columns],
            key_columns=list(table.key_columns),
            created_at=table.created_at,
        )


@strawberry.type(description="A table on a page.")
class DataTableEdge(Edge[DataTable]):
    """A table on a page."""

    node: DataTable = strawberry.field(description="The table.")


@strawberry.type(description="Tables, page by page.")
class DataTableConnection(Connection[DataTable, DataTableEdge]):
    """Tables, page by page."""


@strawberry.type
class DataTablesOfWorkspace:
    """What `Workspace` shows of this feature."""

    workspace_id: strawberry.Private[WorkspaceId]

    @strawberry.field(description="Its built-in tables, by name.")
    async def data_tables(
        self, info: Info, first: First = ABSENT, after: After = ABSENT, last: Last = ABSENT, before: Before = ABSENT
    ) -> DataTableConnection:
        """List the tables."""
        service, loaders, owner = info.context.services.data_tables, info.context.loaders, self.workspace_id
        page = await loaders.load_for(service.page_by_workspace, owner, page_request(first, after, last, before))
        return DataTableConnection.of(page, DataTable.of, lambda: loaders.load_for(service.count_by_workspace, owner))

    @strawberry.field(description="One table by its name; null where there is none.")
    async def data_table(
        self, info: Info, name: Annotated[str, strawberry.argument(description="The name, as nodes use it.")]
    ) -> DataTable | None:
        """Find a table by its name."""
        actor, service = info.context.principal, info.context.services.data_tables
        table = await service.find_by_name(actor, self.workspace_id, name)
        return DataTable.of(table) if table else None


async def load_tables(context: Context, table_ids: list[DataTableId]) -> Sequence[DataTable | None]:
    """Load tables by id; None for those that the caller may not see."""
    found = await context.services.data_tables.list_by_id(context.principal, table_ids)
    return [DataTable.of(found[key]) if key in found else None for key in table_ids]


async def load_rows(context: Context, row_ids: list[DataRowId]) -> Sequence[DataRow | None]:
    """Load rows by id; None for those that the caller may not see."""
    found = await context.services.data_tables.list_rows(context.principal, row_ids)
    return [DataRow.of(found[key]) if key in found else None for key in row_ids]


async def _find(info: Info, table_id: UUID) -> DataTable | None:
    return await info.context.loaders.load(load_tables, DataTableId(table_id))


async def _find_row(info: Info, row_id: UUID) -> DataRow | None:
    return await info.context.loaders.load(load_rows, DataRowId(row_id))


register_node(Prefix.DATA_TABLE, _find)
register_node(Prefix.DATA_ROW, _find_row)


@strawberry.input(description="A column of a table.")
class DataColumnInput:
    """A column of a table."""

    name: str = strawberry.field(description="Its name.")
    type: ColumnType = strawberry.field(description="What it holds.")
    is_required: bool = strawberry.field(default=False, description="Whether every row must have it.")
    description: str | None = strawberry.field(default=ABSENT, description="What it means.")


@strawberry.input(description="What `createDataTable` takes.")
class CreateDataTableInput:
    """What `createDataTable` takes."""

    workspace_id: strawberry.ID | None = strawberry.field(
        default=ABSENT, description="The workspace; the caller's only one if absent."
    )
    name: str = strawberry.field(description="Unique in the workspace; what nodes use.")
    columns: list[DataColumnInput] = strawberry.field(description="Its columns in order, 1 to 200.")
    key_columns: list[str] | None = strawberry.field(
        default=ABSENT, description="The columns that make a row unique, 16 at most; UPSERT needs them."
    )


@strawberry.input(description="What `deleteDataTable` takes.")
class DeleteDataTableInput:
    """What `deleteDataTable` takes."""

    id: strawberry.ID = strawberry.field(description="Which table.")


@strawberry.type(description="What `createDataTable` gives.")
class CreateDataTablePayload(Payload):
    """What `createDataTable` gives."""

    data_table: DataTable | None = strawberry.field(default=None, description="The new table.")


@strawberry.type(description="What `deleteDataTable` gives.")
class DeleteDataTablePayload(Payload):
    """What `deleteDataTable` gives."""

    deleted_data_table_id: strawberry.ID | None = strawberry.field(
        default=None, description="Id of the table that is gone."
    )


@strawberry.type
class DataTableQuery:
    """Reading tables."""

    @query(Permission.READ, description="One table; null where there is none.")
    async def data_table(
        self,
        info: Info,
        id: Annotated[strawberry.ID, strawberry.argument(description="Its id.")],  # noqa: A002
    ) -> DataTable | None:
        """Find a table."""
        table_id = find_id(Prefix.DATA_TABLE, id)
        return None if table_id is None else await _find(info, table_id)


@strawberry.type
class DataTableMutation:
    """Making and deleting tables."""

    @mutation(Permission.WRITE, description="Makes a table in the built-in database.")
    async def create_data_table(
        self,
        info: Info,
        input: Annotated[CreateDataTableInput, strawberry.argument(description="What is asked for.")],  # noqa: A002
    ) -> CreateDataTablePayload:
        """Make a table."""
        given, actor = input.workspace_id, info.context.principal
        workspace_id = workspace_id_of(given, "input", "workspaceId")
        columns = [
            domain.DataColumn(one.name, one.type, one.is_required, or_none(one.description)) for one in input.columns
        ]
        keys = or_none(input.key_columns) or []
        table = await info.context.services.data_tables.create(actor, workspace_id, input.name, columns, keys)
        return CreateDataTablePayload(data_table=DataTable.of(table))

    @mutation(Permission.WRITE, description="Deletes a table with its rows; refused while published nodes use it.")
    async def delete_data_table(
        self,
        info: Info,
        input: Annotated[DeleteDataTableInput, strawberry.argument(description="What is asked for.")],  # noqa: A002
    ) -> DeleteDataTablePayload:
        """Delete a table."""
        table_id = DataTableId(from_id(Prefix.DATA_TABLE, input.id, "input", "id"))
        await info.context.services.data_tables.delete(info.context.principal, table_id)
        return DeleteDataTablePayload(deleted_data_table_id=to_id(Prefix.DATA_TABLE, table_id))
