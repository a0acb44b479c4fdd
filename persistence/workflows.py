"""Workflows in PostgreSQL."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Final

import orjson
from sqlalchemy import Column, and_, delete, select, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.exc import IntegrityError

from domain.edits import check_moved
from domain.errors import AlreadyExists, Conflict, InUse, LimitExceeded, NotFound
from domain.find_uses import uses_of
from domain.ids import GraphId, UserId, WorkflowId, WorkspaceId
from domain.ports.paging import Page
from domain.run import FINISHED
from domain.uses import Usable, UseKind
from domain.workflow_changes import WorkflowChangeKind
from persistence.audit import write_deed
from persistence.database import violated_constraint
from persistence.definitions import Definitions
from persistence.layouts import pairs_of, patched, read_layout
from persistence.paging import read_counts, read_pages
from persistence.tables import node_runs, run_events, runs, workflows, workspaces
from persistence.uses import release, through, write_uses
from persistence.workflow_changes import record
from persistence.workflow_rows import conditions_of, counted_up_to, keys_of, problem_values, workflow_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sqlalchemy import Row
    from sqlalchemy.ext.asyncio import AsyncConnection

    from domain.audit import Deed
    from domain.kinds import NodeKind
    from domain.layout import Layout
    from domain.ports.paging import PageRequest
    from domain.ports.repositories import WorkflowRow
    from domain.problems import Problem
    from domain.workflow import Definition, Workflow, WorkflowFilter, WorkflowOrder
    from persistence.database import Database

_BY_ID: Final = """
SELECT id, workspace_id, slug, name, description, revision, graph_id, problems::text AS problems, created_at, updated_at,
       updated_by, published_number, published_graph_id, layout::text AS layout
  FROM workflows WHERE id = ANY($1::uuid[]) AND workspace_id = ANY($2::uuid[])
"""


class PostgresWorkflows:
    """Implements `domain.ports.Workflows`."""

    def __init__(
        self, database: Database, kinds: Mapping[str, NodeKind] | None = None, max_workflows: int = sys.maxsize
    ) -> None:
        """Take the database.

        Args:
            database: where they are stored.
            kinds: what tells which things a node uses; of nodes whose kind is not there no uses are kept.
            max_workflows: of a workspace.
        """
        self._database = database
        self._kinds = kinds or {}
        self._max_workflows = max_workflows
        self._definitions = Definitions()

    async def add(self, row: WorkflowRow) -> Workflow:
        """Store a workflow at revision 1.

        Raises:
            AlreadyExists: the slug is taken in the workspace.
            LimitExceeded: the workspace has as many as it may.
        """
        async with self._database.connection() as connection:
            await self._check_room(connection, row.workspace_id)
            graph_id = await self._definitions.store(connection, row.workspace_id, row.definition)
            statement = upsert(workflows).values(
                id=row.id,
                workspace_id=row.workspace_id,
                revision=1,
                created_at=row.updated_at,
                layout=pairs_of(row.layout),
                **_values(row, graph_id),
            )
            added = await connection.execute(
                statement.on_conflict_do_nothing(index_elements=[workflows.c.workspace_id, workflows.c.slug]).returning(
                    *workflows.c
                )
            )
            stored = added.first()
            if stored is None:
                raise _taken(row.slug)
            await self._write_uses(connection, row)
            return workflow_of(stored._mapping, row.definition)  # noqa: SLF001 -- SQLAlchemy's public name

    async def _check_room(self, connection: AsyncConnection, workspace_id: WorkspaceId) -> None:
        # The workspace's row keeps two additions from both being the last one.
        held = select(workspaces.c.id).where(workspaces.c.id == workspace_id).with_for_update(key_share=True)
        await connection.execute(held)
        most = self._max_workflows
        if await counted_up_to(connection, workflows.c.workspace_id == workspace_id, most) >= most:
            message = f"A workspace has at most {most:,} workflows (ANABRANCH_LIMITS__WORKFLOWS); delete some."
            raise LimitExceeded(message, limit=most)

    async def save(self, row: WorkflowRow, expected_revision: int) -> Workflow:
        """Store the next revision of a workflow.

        Raises:
            Conflict: another revision is stored; it says which one and by whom.
            AlreadyExists: the slug is taken in the workspace.
            InUse: published nodes of other workflows use the slug that it gives up.
            NotFound: it is gone.
        """
        is_this = and_(workflows.c.id == row.id, workflows.c.workspace_id == row.workspace_id)
        async with self._database.connection() as connection:
            graph_id = await self._definitions.store(connection, row.workspace_id, row.definition)
            statement = (
                update(workflows)
                .where(is_this, workflows.c.revision == expected_revision)
                .values(revision=workflows.c.revision + 1, layout=patched(row.layout), **_values(row, graph_id))
                .returning(*workflows.c)
            )
            try:
                saved = (await connection.execute(statement)).first()
            except IntegrityError as error:
                if "slug" in (violated_constraint(error) or ""):
                    raise _taken(row.slug) from error
                raise
            if saved is None:
                found = await connection.execute(select(workflows.c.revision, workflows.c.updated_by).where(is_this))
                raise conflict(found.first(), expected_revision)
            if row.former_slug is not None:
                given_up = Usable(row.workspace_id, UseKind.WORKFLOW, row.former_slug, row.id)
                await release(through(connection), given_up, ("input", "slug"))
            await self._write_uses(connection, row)
            await record(connection, row.id, WorkflowChangeKind.EDITED, row.updated_by, row.touched)
            return workflow_of(saved._mapping, row.definition)  # noqa: SLF001 -- SQLAlchemy's public name

    async def save_problems(self, workflow: Workflow, problems: Sequence[Problem]) -> bool:
        """Store what is wrong with a workflow as it is now; False if it has been changed meanwhile."""
        statement = (
            update(workflows)
            .where(
                workflows.c.id == workflow.id,
                workflows.c.workspace_id == workflow.workspace_id,
                workflows.c.revision == workflow.revision,
            )
            .values(**problem_values(problems))
            .returning(workflows.c.id)
        )
        async with self._database.connection() as connection:
            return (await connection.execute(statement)).first() is not None

    async def move(
        self, workflow_id: WorkflowId, workspace_id: WorkspaceId, positions: Layout, moved_by: UserId | None
    ) -> Workflow:
        """Store where nodes are now; the revision stays.

        Raises:
            NotFound: the workflow, or a node that is named, is gone.
        """
        is_this = and_(workflows.c.id == workflow_id, workflows.c.workspace_id == workspace_id)
        async with self._database.connection() as connection:
            # Held until the commit: no edit comes between the look at the nodes and the update.
            locked = await connection.execute(select(workflows.c.graph_id).where(is_this).with_for_update())
            graph_id = locked.scalar_one_or_none()
            if graph_id is None:
                raise NotFound("There is no workflow with this id.", path=["input", "workflowId"])
            definition = (await self._definitions.read(connection, [GraphId(graph_id)]))[GraphId(graph_id)]
            check_moved(definition.graph, positions)
            statement = update(workflows).where(is_this).values(layout=patched(positions)).returning(*workflows.c)
            moved = (await connection.execute(statement)).one()
            await record(connection, workflow_id, WorkflowChangeKind.MOVED, moved_by, tuple(positions))
            return workflow_of(moved._mapping, definition)  # noqa: SLF001 -- SQLAlchemy's public name

    async def remove(
        self,
        workflow_id: WorkflowId,
        workspace_id: WorkspaceId,
        removed_by: UserId | None = None,
        *,
        deed: Deed | None = None,
    ) -> None:
        """Delete a workflow with its finished runs.

        Raises:
            InUse: it has runs that have not ended, or published nodes of other workflows use it.
            NotFound: it is gone.
        """
        is_this = and_(workflows.c.id == workflow_id, workflows.c.workspace_id == workspace_id)
        its_runs = select(runs.c.id).where(runs.c.workflow_id == workflow_id, runs.c.workspace_id == workspace_id)
        async with self._database.connection() as connection:
            # A run that is being started holds its workflow's row by the foreign key: it is waited for, and then seen.
            locked = await connection.execute(select(workflows.c.slug).where(is_this).with_for_update())
            slug = locked.scalar_one_or_none()
            if slug is None:
                raise NotFound
            unfinished = its_runs.where(runs.c.status.not_in([status.value for status in FINISHED])).limit(1)
            if (await connection.execute(unfinished)).first() is not None:
                raise InUse(
                    "The workflow has runs that have not ended; wait for them or cancel them.", path=["input", "id"]
                )
            await release(through(connection), Usable(workspace_id, UseKind.WORKFLOW, slug, workflow_id))
            # Partitioned tables have no foreign keys that would do this.
            await connection.execute(delete(run_events).where(run_events.c.run_id.in_(its_runs)))
            await connection.execute(delete(node_runs).where(node_runs.c.run_id.in_(its_runs)))
            await record(connection, workflow_id, WorkflowChangeKind.DELETED, removed_by)
            await connection.execute(delete(workflows).where(is_this))
            await write_deed(through(connection), workspace_id, deed)

    async def find(self, within: frozenset[WorkspaceId], workflow_id: WorkflowId) -> Workflow | None:
        """Find a workflow."""
        return next(iter(await self.list_by_id(within, [workflow_id])), None)

    async def find_by_slug(self, workspace_id: WorkspaceId, slug: str) -> Workflow | None:
        """Find a workflow by its slug."""
        statement = select(*workflows.c).where(workflows.c.workspace_id == workspace_id, workflows.c.slug == slug)
        async with self._database.single() as connection:
            rows = (await connection.execute(statement)).all()
            return next(iter(await self._complete(connection, rows)), None)

    async def list_by_id(
        self, within: frozenset[WorkspaceId], workflow_ids: Sequence[WorkflowId]
    ) -> Sequence[Workflow]:
        """List those of the workflows that are within, in any order."""
        # By the driver, since every start of a run asks this.
        async with self._database.driver() as connection:
            found = await connection.fetch(_BY_ID, workflow_ids, list(within))
        rows = [
            {**row, "problems": orjson.loads(row["problems"]), "layout": orjson.loads(row["layout"])} for row in found
        ]
        definitions = {row["graph_id"]: self._definitions.kept(row["graph_id"]) for row in rows}
        if None in definitions.values():
            async with self._database.single() as connection:
                definitions |= await self._definitions.read(connection, definitions)
        return [
            workflow_of(row, definition) for row in rows if (definition := definitions[row["graph_id"]]) is not None
        ]

    async def page_by_workspace(
        self, workspace_ids: Sequence[WorkspaceId], chosen: WorkflowFilter, order: WorkflowOrder, page: PageRequest
    ) -> Mapping[WorkspaceId, Page[Workflow]]:
        """Read the same page of the workflows of each of the workspaces.

        Raises:
            CursorInvalid: a cursor of another list.
        """
        keys = keys_of(order.field)
        added = [key for key, _ in keys if not isinstance(key, Column)]
        async with self._database.connection() as connection:
            pages = await read_pages(
                connection,
                select(*workflows.c, *added).where(*conditions_of(chosen)),
                keys,
                page,
                lambda row: row,
                owner=workflows.c.workspace_id,
                owner_ids=workspace_ids,
                is_descending=order.is_descending,
                name=order.field.value,
            )
            rows = [row for found in pages.values() for row in found.items]
            whole = {one.id: one for one in await self._complete(connection, rows)}
        return {owner: _made(found, [whole[row.id] for row in found.items]) for owner, found in pages.items()}

    async def count_by_workspace(
        self, workspace_ids: Sequence[WorkspaceId], chosen: WorkflowFilter
    ) -> Mapping[WorkspaceId, int]:
        """Count the workflows of each of the workspaces that a filter lets through."""
        async with self._database.single() as connection:
            return await read_counts(connection, workflows.c.workspace_id, workspace_ids, *conditions_of(chosen))

    async def pin(self, workspace_id: WorkspaceId, definition: Definition) -> GraphId:
        """Store a definition that is no workflow's, unless the workspace has it already; return its id.

        Raises:
            InvalidInput: it holds a value that the database cannot hold.
        """
        async with self._database.connection() as connection:
            return await self._definitions.store(connection, workspace_id, definition)

    async def names(self, workspace_id: WorkspaceId) -> Mapping[str, int | None]:
        """Return the number of the published version of each of a workspace's workflows, by slug; None = none."""
        statement = select(workflows.c.slug, workflows.c.published_number).where(
            workflows.c.workspace_id == workspace_id
        )
        async with self._database.single() as connection:
            return {row.slug: row.published_number for row in await connection.execute(statement)}

    async def layouts(self, workflow_ids: Sequence[WorkflowId]) -> Mapping[WorkflowId, Layout]:
        """Read where the nodes of workflows are now; those that are gone are left out."""
        statement = select(workflows.c.id, workflows.c.layout).where(workflows.c.id.in_(workflow_ids))
        async with self._database.single() as connection:
            return {WorkflowId(key): read_layout(stored) for key, stored in (await connection.execute(statement)).all()}

    async def definition(self, graph_id: GraphId) -> Definition:
        """Read a definition that a run or a workflow pins, without layout.

        Raises:
            NotFound: there is none with this id.
        """
        return (await self.definitions([graph_id]))[graph_id]

    async def definitions(self, graph_ids: Sequence[GraphId]) -> Mapping[GraphId, Definition]:
        """Read definitions that runs, versions or workflows pin.

        Raises:
            NotFound: there is none with one of the ids.
        """
        found = {graph_id: kept for graph_id in graph_ids if (kept := self._definitions.kept(graph_id)) is not None}
        if len(found) < len(set(graph_ids)):
            async with self._database.single() as connection:
                found |= await self._definitions.read(connection, graph_ids)
        if any(graph_id not in found for graph_id in graph_ids):
            raise NotFound("There is no graph with this id.")
        return found

    async def _write_uses(self, connection: AsyncConnection, row: WorkflowRow) -> None:
        await write_uses(connection, (row.workspace_id, row.id), uses_of(row.definition, self._kinds))

    async def _complete(self, connection: AsyncConnection, rows: Sequence[Row[Any]]) -> list[Workflow]:
        definitions = await self._definitions.read(connection, [GraphId(row.graph_id) for row in rows])
        return [workflow_of(row._mapping, definitions[GraphId(row.graph_id)]) for row in rows]  # noqa: SLF001 -- SQLAlchemy's public name


def _values(row: WorkflowRow, graph_id: GraphId) -> dict[str, object]:
    return {
        "slug": row.slug,
        "name": row.name,
        "description": row.description,
        "graph_id": graph_id,
        "updated_at": row.updated_at,
        "updated_by": row.updated_by,
        **problem_values(row.problems),
    }


def _made(found: Page[Any], items: list[Workflow]) -> Page[Workflow]:
    return Page(items, found.cursors, found.has_next, found.has_previous)


def _taken(slug: str) -> AlreadyExists:
    return AlreadyExists(f"There is a workflow with the slug {slug}.", path=["input", "slug"])


def conflict(found: Row[Any, Any] | None, expected: int) -> Conflict | NotFound:
    """Return why a workflow is not as it was read: its row now has another revision, or is gone."""
    if found is None:
        return NotFound("There is no workflow with this id.", path=["input", "id"])
    return Conflict(
        f"The workflow is at revision {found.revision} now, not {expected}; read it again and repeat the change.",
        path=["input", "expectedRevision"],
        current_revision=found.revision,
        changed_by=found.updated_by,
    )
