"""What nodes use, kept beside the workflows: written with each save, asked before a thing is deleted."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import orjson

from domain.errors import InUse
from domain.ids import WorkflowId
from domain.problems import Problem, shown
from domain.uses import MAX_USES, UNKNOWN_CODES, WORDS, NodeUse, Usable

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from sqlalchemy.ext.asyncio import AsyncConnection

    from domain.ids import WorkspaceId
    from domain.uses import Use
    from persistence.database import Database

Fetch: TypeAlias = "Callable[..., Awaitable[Sequence[Mapping[str, Any]]]]"
"""Executes a statement with its values, as the driver's own `fetch` does."""

_WRITE: Final = """
WITH wanted AS (
  SELECT t.kind, t.name, t.node_key FROM unnest($4::text[], $5::text[], $6::text[]) AS t(kind, name, node_key)
), gone AS (
  DELETE FROM node_uses u
   WHERE u.workflow_id = $2 AND u.is_published = $3
     AND (u.kind, u.name, u.node_key) NOT IN (SELECT kind, name, node_key FROM wanted)
)
INSERT INTO node_uses (workspace_id, workflow_id, is_published, kind, name, node_key)
SELECT $1, $2, $3, kind, name, node_key FROM wanted
    ON CONFLICT DO NOTHING
"""

_PUBLISHED: Final = """
SELECT w.slug, u.node_key FROM node_uses u JOIN workflows w ON w.id = u.workflow_id
 WHERE u.workspace_id = $1 AND u.kind = $2 AND u.name = $3 AND u.is_published AND u.workflow_id IS DISTINCT FROM $4
 ORDER BY w.slug, u.node_key LIMIT 4
"""

# In the order of their ids, as two deletions may meet in the same workflows.
_MARK: Final = """
WITH users AS (
  SELECT w.id FROM workflows w
   WHERE w.workspace_id = $1 AND w.id IN (
         SELECT u.workflow_id FROM node_uses u
          WHERE u.workspace_id = $1 AND u.kind = $2 AND u.name = $3 AND NOT u.is_published)
   ORDER BY w.id FOR NO KEY UPDATE
)
UPDATE workflows w SET is_runnable = false, problems = w.problems || (
         SELECT jsonb_agg($4::jsonb || jsonb_build_object('node_key', u.node_key) ORDER BY u.node_key)
           FROM node_uses u
          WHERE u.workflow_id = w.id AND u.kind = $2 AND u.name = $3 AND NOT u.is_published)
  FROM users WHERE w.id = users.id
"""

_USES: Final = f"""
SELECT t.place, u.workflow_id, u.node_key, u.is_published
  FROM unnest($1::uuid[], $2::text[], $3::text[], $4::uuid[])
       WITH ORDINALITY AS t(workspace_id, kind, name, itself, place)
 CROSS JOIN LATERAL (
       SELECT u.workflow_id, u.node_key, bool_or(u.is_published) AS is_published FROM node_uses u
        WHERE u.workspace_id = t.workspace_id AND u.kind = t.kind AND u.name = t.name
          AND u.workflow_id IS DISTINCT FROM t.itself
        GROUP BY u.workflow_id, u.node_key ORDER BY u.workflow_id, u.node_key LIMIT {MAX_USES}) u
 ORDER BY t.place, u.workflow_id, u.node_key
"""  # noqa: S608 -- a constant

_NAMED: Final = 3


async def write_uses(
    connection: AsyncConnection,
    place: tuple[WorkspaceId, WorkflowId],
    uses: Sequence[Use],
    *,
    is_published: bool = False,
) -> None:
    """Keep what a workflow's draft, or its published version, uses now, in the transaction that stores it."""
    columns = [use.kind.value for use in uses], [use.name for use in uses], [use.node_key for use in uses]
    await connection.exec_driver_sql(_WRITE, (*place, is_published, *columns))


def through(connection: AsyncConnection) -> Fetch:
    """Return what `release` asks through, in the transaction of the connection."""

    async def fetch(statement: str, *values: object) -> Sequence[Mapping[str, Any]]:
        result = await connection.exec_driver_sql(statement, values)
        return [dict(row) for row in result.mappings()] if result.returns_rows else []

    return fetch


async def release(fetch: Fetch, thing: Usable, path: tuple[str, ...] = ("input", "id")) -> None:
    """Let go of a thing that is being deleted or renamed, whose row the caller has locked: drafts that use it lack it then.

    Their problems are noted without the place inside the node, which is found when the draft is read.

    Raises:
        InUse: published nodes use it; some of them are named.
    """
    found = await fetch(_PUBLISHED, thing.workspace_id, thing.kind.value, thing.name, thing.itself)
    users = [shown(f"{row['slug']}.{row['node_key']}") for row in found]
    if users:
        told = ", ".join(users[:_NAMED]) + (" and others" if len(users) > _NAMED else "")
        message = f"Published nodes use the {WORDS[thing.kind]} {shown(thing.name)}: {told}."
        raise InUse(f"{message} Publish these workflows without it, or delete them, first.", path=path)
    gone = Problem(UNKNOWN_CODES[thing.kind], f"There is no {WORDS[thing.kind]} {shown(thing.name)}.")
    problem = orjson.dumps(asdict(gone)).decode()
    await fetch(_MARK, thing.workspace_id, thing.kind.value, thing.name, problem)


async def read_uses(database: Database, things: Sequence[Usable]) -> Mapping[Usable, Sequence[NodeUse]]:
    """Find the nodes that use things, at most 100 of each, by workflow and key."""
    columns = (
        [thing.workspace_id for thing in things],
        [thing.kind.value for thing in things],
        [thing.name for thing in things],
        [thing.itself for thing in things],
    )
    found: dict[Usable, list[NodeUse]] = {thing: [] for thing in things}
    async with database.driver() as connection:
        for row in await connection.fetch(_USES, *columns):
            use = NodeUse(WorkflowId(row["workflow_id"]), row["node_key"], row["is_published"])
            found[things[row["place"] - 1]].append(use)
    return found
