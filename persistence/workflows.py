"""Workflows in PostgreSQL."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

import orjson
from sqlalchemy import BigInteger, and_, cast, delete, func, or_, select, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.exc import IntegrityError

from domain.errors import AlreadyExists, Conflict, InUse, NotFound
from domain.ids import GraphId, UserId, WorkflowId, WorkspaceId
from domain.ports.paging import Page
from domain.problems import Problem
from domain.run import FINISHED
from domain.workflow import Definition, Workflow, WorkflowFilter, WorkflowOrder, WorkflowOrderField
from persistence.database import violated_constraint
from persistence.definitions import Definitions
from persistence.paging import read_page
from persistence.tables import node_runs, run_events, runs, workflows

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sqlalchemy import ColumnElement, Row
    from sqlalchemy.ext.asyncio import AsyncConnection

    from domain.ports.paging import PageRequest
    from domain.ports.repositories import WorkflowRow
    from persistence.database import Database

_BY_ID: Final = """
SELECT id, workspace_id, slug, name, description, revision, graph_id, problems::text AS problems, created_at, updated_at,
       updated_by
  FROM workflows WHERE id = ANY($1::uuid[]) AND workspace_id = ANY($2::uuid[])
"""


class PostgresWorkflows:
    """Implements `domain.ports.Workflows`."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._definitions = Definitions()

    async def add(self, row: WorkflowRow) -> Workflow:
        """Store a workflow at revision 1.

        Raises:
            AlreadyExists: the slug is taken in the workspace.
        """
        async with self._database.connection() as connection:
            graph_id = await self._definitions.store(connection, row.workspace_id, row.definition)
            statement = upsert(workflows).values(
                id=row.id,
                workspace_id=row.workspace_id,
                revision=1,
                created_at=row.updated_at,
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
            return _workflow(stored._mapping, row.definition)  # noqa: SLF001 -- SQLAlchemy's public name

    async def save(self, row: WorkflowRow, expected_revision: int) -> Workflow:
        """Store the next revision of a workflow.

        Raises:
            Conflict: another revision is stored; it says which one and by whom.
            AlreadyExists: the slug is taken in the workspace.
            NotFound: it is gone.
        """
        is_this = and_(workflows.c.id == row.id, workflows.c.workspace_id == row.workspace_id)
        async with self._database.connection() as connection:
            graph_id = await self._definitions.store(connection, row.workspace_id, row.definition)
            statement = (
                update(workflows)
                .where(is_this, workflows.c.revision == expected_revision)
                .values(revision=workflows.c.revision + 1, **_values(row, graph_id))
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
                raise _conflict(found.first(), expected_revision)
            return _workflow(saved._mapping, row.definition)  # noqa: SLF001 -- SQLAlchemy's public name

    async def save_problems(self, workflow: Workflow, problems: Sequence[Problem]) -> bool:
        """Store what is wrong with a workflow as it is now; False if it has been changed meanwhile."""
        statement = (
            update(workflows)
            .where(
                workflows.c.id == workflow.id,
                workflows.c.workspace_id == workflow.workspace_id,
                workflows.c.revision == workflow.revision,
            )
            .values(**_problem_values(problems))
            .returning(workflows.c.id)
        )
        async with self._database.connection() as connection:
            return (await connection.execute(statement)).first() is not None

    async def remove(self, workflow_id: WorkflowId, workspace_id: WorkspaceId) -> None:
        """Delete a workflow with its finished runs.

        Raises:
            InUse: it has runs that have not ended.
            NotFound: it is gone.
        """
        is_this = and_(workflows.c.id == workflow_id, workflows.c.workspace_id == workspace_id)
        its_runs = select(runs.c.id).where(runs.c.workflow_id == workflow_id, runs.c.workspace_id == workspace_id)
        async with self._database.connection() as connection:
            # A run that is being started holds its workflow's row by the foreign key: it is waited for, and then seen.
            locked = await connection.execute(select(workflows.c.id).where(is_this).with_for_update())
            if locked.first() is None:
                raise NotFound
            unfinished = its_runs.where(runs.c.status.not_in([status.value for status in FINISHED])).limit(1)
            if (await connection.execute(unfinished)).first() is not None:
                raise InUse(
                    "The workflow has runs that have not ended; wait for them or cancel them.", path=["input", "id"]
                )
            # Partitioned tables have no foreign keys that would do this.
            await connection.execute(delete(run_events).where(run_events.c.run_id.in_(its_runs)))
            await connection.execute(delete(node_runs).where(node_runs.c.run_id.in_(its_runs)))
            await connection.execute(delete(workflows).where(is_this))

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
        rows = [{**row, "problems": orjson.loads(row["problems"])} for row in found]
        definitions = {row["graph_id"]: self._definitions.kept(row["graph_id"]) for row in rows}
        if None in definitions.values():
            async with self._database.single() as connection:
                definitions |= await self._definitions.read(connection, definitions)
        return [_workflow(row, definition) for row in rows if (definition := definitions[row["graph_id"]]) is not None]

    async def page(
        self, workspace_id: WorkspaceId, chosen: WorkflowFilter, order: WorkflowOrder, page: PageRequest
    ) -> Page[Workflow]:
        """Read a page of workflows.

        Raises:
            CursorInvalid: a cursor of another list.
        """
        keys = _keys(order.field)
        statement = select(*workflows.c, *(key for key, _ in keys)).where(*_conditions(workspace_id, chosen))
        async with self._database.connection() as connection:
            found = await read_page(
                connection, statement, keys, page, lambda row: row, is_descending=order.is_descending
            )
            items = await self._complete(connection, found.items)
        return Page(items, found.cursors, found.has_next, found.has_previous)

    async def count(self, workspace_id: WorkspaceId, chosen: WorkflowFilter) -> int:
        """Count the workflows that a filter lets through."""
        statement = select(func.count()).select_from(workflows).where(*_conditions(workspace_id, chosen))
        async with self._database.single() as connection:
            return (await connection.execute(statement)).scalar_one()

    async def definition(self, graph_id: GraphId) -> Definition:
        """Read a definition that a run or a workflow pins.

        Raises:
            NotFound: there is none with this id.
        """
        if (kept := self._definitions.kept(graph_id)) is not None:
            return kept
        async with self._database.single() as connection:
            found = await self._definitions.read(connection, [graph_id])
        if graph_id not in found:
            raise NotFound("There is no graph with this id.")
        return found[graph_id]

    async def _complete(self, connection: AsyncConnection, rows: Sequence[Row[Any]]) -> list[Workflow]:
        definitions = await self._definitions.read(connection, [GraphId(row.graph_id) for row in rows])
        return [_workflow(row._mapping, definitions[GraphId(row.graph_id)]) for row in rows]  # noqa: SLF001 -- SQLAlchemy's public name


def _values(row: WorkflowRow, graph_id: GraphId) -> dict[str, object]:
    return {
        "slug": row.slug,
        "name": row.name,
        "description": row.description,
        "graph_id": graph_id,
        "updated_at": row.updated_at,
        "updated_by": row.updated_by,
        **_problem_values(row.problems),
    }


def _problem_values(problems: Sequence[Problem]) -> dict[str, object]:
    return {
        "problems": [asdict(problem) for problem in problems],
        "is_runnable": not any(problem.is_error for problem in problems),
    }


def _workflow(row: Mapping[Any, Any], definition: Definition) -> Workflow:
    return Workflow(
        id=WorkflowId(row["id"]),
        workspace_id=WorkspaceId(row["workspace_id"]),
        slug=row["slug"],
        name=row["name"],
        description=row["description"],
        revision=row["revision"],
        graph_id=GraphId(row["graph_id"]),
        definition=definition,
        problems=tuple(_problem(stored) for stored in row["problems"]),
        created_at=row["created_at"],
        updated_at=row["updated_at"],
        updated_by=UserId(row["updated_by"]) if row["updated_by"] else None,
    )


def _problem(stored: dict[str, Any]) -> Problem:
    edge: list[str] | None = stored["edge"]
    told: dict[str, Any] = {
        **stored,
        "path": tuple(stored["path"]),
        "edge": (edge[0], edge[1], edge[2]) if edge else None,
    }
    return Problem(**told)


def _conditions(workspace_id: WorkspaceId, chosen: WorkflowFilter) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = [workflows.c.workspace_id == workspace_id]
    if chosen.search:
        columns = (workflows.c.name, workflows.c.slug, workflows.c.description)
        conditions.append(or_(*(column.icontains(chosen.search, autoescape=True) for column in columns)))
    if chosen.slugs is not None:
        conditions.append(workflows.c.slug.in_(chosen.slugs))
    if chosen.is_runnable is not None:
        conditions.append(workflows.c.is_runnable == chosen.is_runnable)
    return conditions


def _keys(field: WorkflowOrderField) -> list[tuple[ColumnElement[Any], type[str | int | UUID]]]:
    unique: tuple[ColumnElement[Any], type[UUID]] = (workflows.c.id, UUID)
    match field:
        case WorkflowOrderField.NAME:
            return [(workflows.c.name, str), unique]
        case WorkflowOrderField.CREATED_AT:
            return [(_microseconds(workflows.c.created_at).label("created_us"), int), unique]
        case WorkflowOrderField.UPDATED_AT:
            return [(_microseconds(workflows.c.updated_at).label("updated_us"), int), unique]


def _microseconds(column: ColumnElement[Any]) -> ColumnElement[int]:
    # Exact: PostgreSQL's instants are whole microseconds, and `extract` gives a numeric.
    return cast(func.extract("epoch", column) * 1_000_000, BigInteger)


def _taken(slug: str) -> AlreadyExists:
    return AlreadyExists(f"There is a workflow with the slug {slug}.", path=["input", "slug"])


def _conflict(found: Row[Any, Any] | None, expected: int) -> Conflict | NotFound:
    if found is None:
        return NotFound("There is no workflow with this id.", path=["input", "id"])
    return Conflict(
        f"The workflow is at revision {found.revision} now, not {expected}; read it again and repeat the change.",
        path=["input", "expectedRevision"],
        current_revision=found.revision,
        changed_by=found.updated_by,
    )
