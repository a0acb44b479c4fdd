"""Versions in PostgreSQL: made in one transaction, never changed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import and_, insert, select, tuple_, update

from domain.errors import Conflict
from domain.find_uses import uses_of
from domain.ids import GraphId, UserId, VersionId, WorkflowId, WorkspaceId
from domain.problems import shown
from domain.uses import UseKind
from domain.versions import WorkflowVersion
from domain.workflow_changes import WorkflowChangeKind
from persistence.audit import write_deed
from persistence.layouts import read_layout
from persistence.paging import read_counts, read_pages
from persistence.tables import collections, connections, data_tables, secrets, workflows, workspaces
from persistence.uses import read_uses, through, write_uses
from persistence.version_tables import workflow_versions
from persistence.workflow_changes import record
from persistence.workflows import conflict

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sqlalchemy import ColumnElement, Row
    from sqlalchemy.ext.asyncio import AsyncConnection

    from domain.audit import Deed
    from domain.kinds import NodeKind
    from domain.ports.paging import Page, PageRequest
    from domain.ports.versions import Publication
    from domain.uses import NodeUse, Usable, Use
    from domain.workflow import Workflow
    from persistence.database import Database

_NAMES: Final[Mapping[UseKind, ColumnElement[str]]] = {
    UseKind.CONNECTION: connections.c.name,
    UseKind.SECRET: secrets.c.name,
    UseKind.COLLECTION: collections.c.name,
    UseKind.DATA_TABLE: data_tables.c.name,
    UseKind.WORKFLOW: workflows.c.slug,
}


class PostgresVersions:
    """Implements `domain.ports.Versions`."""

    def __init__(self, database: Database, kinds: Mapping[str, NodeKind]) -> None:
        """Take the database.

        Args:
            database: where they are stored.
            kinds: what tells which things a node uses.
        """
        self._database = database
        self._kinds = kinds

    async def publish(
        self, workflow: Workflow, publication: Publication, *, deed: Deed | None = None
    ) -> WorkflowVersion:
        """Make the draft, as it was read, the next version; one that is published already is not published again.

        Raises:
            Conflict: the draft changed since it was read, or something that it uses is gone.
            NotFound: the workflow is gone.
        """
        is_this = and_(workflows.c.id == workflow.id, workflows.c.workspace_id == workflow.workspace_id)
        uses = uses_of(workflow.definition, self._kinds)
        async with self._database.connection() as connection:
            # First of all the workspace, as in its deletion: a version refers to it, and would wait with all this held.
            its_workspace = select(workspaces.c.id).where(workspaces.c.id == workflow.workspace_id)
            await connection.execute(its_workspace.with_for_update(read=True, key_share=True))
            # What is used comes before who uses it, as in every deletion: so none waits for the other in a circle.
            await _hold(connection, workflow.workspace_id, uses)
            # Weaker than FOR UPDATE: another publication may hold this workflow as one that it uses.
            found = await connection.execute(select(*workflows.c).where(is_this).with_for_update(key_share=True))
            row = found.first()
            if row is None or row.revision != workflow.revision:
                raise conflict(row, workflow.revision)
            if row.published_graph_id == row.graph_id:
                return await _get(connection, workflow.id, row.published_number)
            number = (row.published_number or 0) + 1
            statement = insert(workflow_versions).values(
                id=publication.id,
                workspace_id=workflow.workspace_id,
                workflow_id=workflow.id,
                number=number,
                graph_id=row.graph_id,
                layout=row.layout,
                note=publication.note,
                published_at=publication.at,
                published_by=publication.by,
            )
            made = (await connection.execute(statement.returning(*workflow_versions.c))).one()
            published = {"published_number": number, "published_graph_id": row.graph_id}
            await connection.execute(update(workflows).where(is_this).values(**published))
            for is_published in (False, True):
                place = (workflow.workspace_id, workflow.id)
                await write_uses(connection, place, uses, is_published=is_published)
            await record(connection, workflow.id, WorkflowChangeKind.PUBLISHED, publication.by)
            await write_deed(through(connection), workflow.workspace_id, deed)
            return _version(made)

    async def list_by_id(
        self, within: frozenset[WorkspaceId], version_ids: Sequence[VersionId]
    ) -> Sequence[WorkflowVersion]:
        """List those of the versions that are within, in any order."""
        return await self._list(within, workflow_versions.c.id.in_(version_ids))

    async def list_by_number(
        self, within: frozenset[WorkspaceId], places: Sequence[tuple[WorkflowId, int]]
    ) -> Sequence[WorkflowVersion]:
        """List those of the versions, named by workflow and number, that are within, in any order."""
        place = tuple_(workflow_versions.c.workflow_id, workflow_versions.c.number)
        return await self._list(within, place.in_(places))

    async def page_by_workflow(
        self, workflow_ids: Sequence[WorkflowId], request: PageRequest
    ) -> Mapping[WorkflowId, Page[WorkflowVersion]]:
        """Read the same page of the versions of each of the workflows, newest first.

        Raises:
            CursorInvalid: a cursor of another list.
        """
        async with self._database.single() as connection:
            return await read_pages(
                connection,
                select(*workflow_versions.c),
                [(workflow_versions.c.number, int)],
                request,
                _version,
                owner=workflow_versions.c.workflow_id,
                owner_ids=workflow_ids,
                is_descending=True,
            )

    async def count_by_workflow(self, workflow_ids: Sequence[WorkflowId]) -> Mapping[WorkflowId, int]:
        """Count the versions of each of the workflows."""
        async with self._database.single() as connection:
            return await read_counts(connection, workflow_versions.c.workflow_id, workflow_ids)

    async def uses(self, things: Sequence[Usable]) -> Mapping[Usable, Sequence[NodeUse]]:
        """Find the nodes that use things, at most 100 of each, by workflow and key."""
        return await read_uses(self._database, things)

    async def _list(self, within: frozenset[WorkspaceId], condition: ColumnElement[bool]) -> list[WorkflowVersion]:
        statement = select(*workflow_versions.c).where(workflow_versions.c.workspace_id.in_(within), condition)
        async with self._database.single() as connection:
            return [_version(row) for row in await connection.execute(statement)]


async def _hold(connection: AsyncConnection, workspace_id: WorkspaceId, uses: Sequence[Use]) -> None:
    """Keep what is used from being deleted until the transaction ends."""
    for kind, column in _NAMES.items():
        names = {use.name for use in uses if use.kind is kind}
        if not names:
            continue
        held = select(column).where(column.table.c.workspace_id == workspace_id, column.in_(names))
        found = await connection.execute(held.order_by(column).with_for_update(read=True, key_share=True))
        gone = sorted(names.difference(found.scalars()))
        if gone:
            message = f"The draft uses {shown(gone[0])}, which is gone; read the workflow's problems again."
            raise Conflict(message, path=["input", "id"])


async def _get(connection: AsyncConnection, workflow_id: WorkflowId, number: int) -> WorkflowVersion:
    columns = workflow_versions.c
    found = await connection.execute(
        select(*columns).where(columns.workflow_id == workflow_id, columns.number == number)
    )
    return _version(found.one())


def _version(row: Row[Any]) -> WorkflowVersion:
    return WorkflowVersion(
        id=VersionId(row.id),
        workspace_id=WorkspaceId(row.workspace_id),
        workflow_id=WorkflowId(row.workflow_id),
        number=row.number,
        graph_id=GraphId(row.graph_id),
        layout=read_layout(row.layout),
        note=row.note,
        published_at=row.published_at,
        published_by=None if row.published_by is None else UserId(row.published_by),
    )
