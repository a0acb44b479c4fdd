"""Workflows as rows, and what lists of them are chosen and ordered by."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any
from uuid import UUID

from sqlalchemy import BigInteger, cast, func, or_, select

from domain.ids import GraphId, UserId, WorkflowId, WorkspaceId
from domain.layout import arranged
from domain.problems import Problem
from domain.workflow import Published, Workflow, WorkflowOrderField
from persistence.layouts import read_layout
from persistence.tables import workflows

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sqlalchemy import ColumnElement
    from sqlalchemy.ext.asyncio import AsyncConnection

    from domain.workflow import Definition, WorkflowFilter


def problem_values(problems: Sequence[Problem]) -> dict[str, object]:
    """Return what is stored of the problems of a draft."""
    return {
        "problems": [asdict(problem) for problem in problems],
        "is_runnable": not any(problem.is_error for problem in problems),
    }


def workflow_of(row: Mapping[Any, Any], definition: Definition) -> Workflow:
    """Return the workflow of a row."""
    return Workflow(
        id=WorkflowId(row["id"]),
        workspace_id=WorkspaceId(row["workspace_id"]),
        slug=row["slug"],
        name=row["name"],
        description=row["description"],
        revision=row["revision"],
        graph_id=GraphId(row["graph_id"]),
        definition=arranged(definition, read_layout(row["layout"])),
        problems=tuple(_problem(stored) for stored in row["problems"]),
        created_at=row["created_at"],
        updated_at=row["updated_at"],
        updated_by=UserId(row["updated_by"]) if row["updated_by"] else None,
        published=Published(number, GraphId(row["published_graph_id"]))
        if (number := row["published_number"])
        else None,
    )


def _problem(stored: dict[str, Any]) -> Problem:
    edge: list[str] | None = stored["edge"]
    told: dict[str, Any] = {
        **stored,
        "path": tuple(stored["path"]),
        "edge": (edge[0], edge[1], edge[2]) if edge else None,
    }
    return Problem(**told)


async def counted_up_to(connection: AsyncConnection, condition: ColumnElement[bool], most: int) -> int:
    """Count workflows, and no further than asked."""
    found = select(workflows.c.id).where(condition).limit(most).subquery()
    return (await connection.execute(select(func.count()).select_from(found))).scalar_one()


def conditions_of(chosen: WorkflowFilter) -> list[ColumnElement[bool]]:
    """Return the conditions of a filter, which must all hold."""
    conditions: list[ColumnElement[bool]] = []
    if chosen.search:
        columns = (workflows.c.name, workflows.c.slug, workflows.c.description)
        conditions.append(or_(*(column.icontains(chosen.search, autoescape=True) for column in columns)))
    if chosen.slugs is not None:
        conditions.append(workflows.c.slug.in_(chosen.slugs))
    if chosen.is_published is not None:
        conditions.append(workflows.c.published_number.is_not(None) == chosen.is_published)
    if chosen.is_runnable is not None:
        conditions.append(workflows.c.is_runnable == chosen.is_runnable)
    return conditions


def keys_of(field: WorkflowOrderField) -> list[tuple[ColumnElement[Any], type[str | int | UUID]]]:
    """Return the keys of an order."""
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
