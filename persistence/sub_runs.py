"""Runs that nodes of other runs call: made with the wait of their node, and told of when they end.

Both happen in the transaction of the events that they belong to, which holds the row of its own run. The row of the other
one is only referred to, which locks no key that anybody changes: so parent and child never wait for each other.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import asyncpg
from uuid_utils.compat import uuid7

from domain.errors import NodeFault
from persistence.append_statement import COMMAND_CHANNEL
from persistence.turns import enter_line, shares_turn

if TYPE_CHECKING:
    from uuid import UUID

    from domain.ports.companions import NewSubRun
    from domain.ports.runs import Group
    from domain.suspensions import SubRunCall
    from domain.workflow import ConcurrencyPolicy
    from persistence.database import DirectConnection

MAX_DEPTH: Final = 16
_NAMED: Final = 4

_CALL: Final = """
WITH run AS (
  INSERT INTO runs (id, workspace_id, workflow_id, graph_id, version, node_count, trigger, triggered_by, priority, input,
                    created_at, status, last_seq, parent_run_id, parent_node_key, parent_item_index, depth, concurrency_key,
                    concurrency_limit, is_held, api_key_id)
  SELECT $2, p.workspace_id, $3, $4, $5, $6, 'SUBWORKFLOW', p.triggered_by, p.priority, $7::json, $8, 'QUEUED', 1, p.id, $9,
         $10, p.depth + 1, $12, $13::int, $13::int IS NOT NULL, p.api_key_id
    FROM runs p WHERE p.id = $1 AND p.depth < $11
  RETURNING id, workspace_id, priority
), queued AS (
  INSERT INTO queued_runs (run_id, workspace_id, priority) SELECT id, workspace_id, priority FROM run WHERE $13::int IS NULL
), logged AS (
  INSERT INTO run_events (run_id, seq, event_key, type, at) SELECT id, 1, 'RunQueued', 'RunQueued', $8 FROM run
)
SELECT id FROM run
"""
_CALLERS: Final = """
WITH RECURSIVE callers AS (
  SELECT id, parent_run_id, workflow_id, 0 AS place FROM runs WHERE id = $1
  UNION ALL
  SELECT r.id, r.parent_run_id, r.workflow_id, c.place + 1 FROM callers c JOIN runs r ON r.id = c.parent_run_id
   WHERE c.place < $2
)
SELECT c.workflow_id, w.slug FROM callers c JOIN workflows w ON w.id = c.workflow_id ORDER BY c.place
"""
# Whoever has ended needs no command, and a command to it would wait for ever.
_TELL: Final = f"""
WITH added AS (
  INSERT INTO run_commands (id, run_id, command_key, kind, payload)
  SELECT $3, p.id, 'child/' || $2::uuid, 'child', json_build_object('run', $2::uuid)
    FROM runs p WHERE p.id = $1 AND p.status NOT IN ('SUCCEEDED', 'FAILED', 'CANCELED', 'CRASHED')
  ON CONFLICT (run_id, command_key) DO NOTHING RETURNING run_id
)
SELECT pg_notify('{COMMAND_CHANNEL}', replace(run_id::text, '-', '')) FROM added
"""  # noqa: S608 -- the channel is a constant
_CANCEL: Final = f"""
WITH added AS (
  INSERT INTO run_commands (id, run_id, command_key, kind, payload)
  SELECT gen_random_uuid(), c.id, 'cancel', 'cancel', '{{"by": null, "reason": "The run that called it does not wait for it."}}'
    FROM runs c
   WHERE c.parent_run_id = $1 AND c.parent_node_key = COALESCE($2, c.parent_node_key)
     AND ($3::int IS NULL OR c.parent_item_index = $3)
     AND c.status NOT IN ('SUCCEEDED', 'FAILED', 'CANCELED', 'CRASHED')
  ON CONFLICT (run_id, command_key) DO NOTHING RETURNING run_id
)
SELECT pg_notify('{COMMAND_CHANNEL}', replace(run_id::text, '-', '')) FROM added
"""  # noqa: S608 -- the channel is a constant


async def call(connection: DirectConnection, group: Group, new: NewSubRun) -> None:
    """Queue a run for a node.

    Raises:
        NodeFault: `SUB_RUN_TOO_DEEP`, or `WORKFLOW_NOT_FOUND` where the workflow was deleted meanwhile; the transaction must
            then be rolled back.
    """
    asked = new.call
    place = (asked.workflow_id, asked.graph_id, asked.version, asked.node_count, asked.input.decode())
    turns = await _turns(connection, group.run_id, asked)
    line = (asked.concurrency_key, None if turns is None else turns.max_runs)
    try:
        caller = (new.node_key, new.item_index)
        made = await connection.fetchval(_CALL, group.run_id, new.id, *place, group.at, *caller, MAX_DEPTH, *line)
    except asyncpg.ForeignKeyViolationError as error:
        raise NodeFault("WORKFLOW_NOT_FOUND", "The workflow was deleted before it could be called.") from error
    if made is None:
        message = (
            f"Workflows may call each other up to {MAX_DEPTH} deep{await _circle(connection, group.run_id, asked)}."
        )
        raise NodeFault("SUB_RUN_TOO_DEEP", message)
    if turns is not None:
        await enter_line(connection, new.id, turns)


async def _circle(connection: DirectConnection, caller_id: UUID, asked: SubRunCall) -> str:
    """Tell by which ways a workflow calls itself, if it does."""
    rows = await connection.fetch(_CALLERS, caller_id, MAX_DEPTH)
    back = next((place for place, row in enumerate(rows) if row["workflow_id"] == asked.workflow_id), None)
    if back is None:
        return ""
    callers = [str(row["slug"]) for row in reversed(rows[: back + 1])]
    told = [*callers[:_NAMED], *(["…"] if len(callers) > _NAMED else []), callers[0]]
    return f"; here they call each other in a circle: {' → '.join(told)}"


async def _turns(connection: DirectConnection, parent_id: UUID, asked: SubRunCall) -> ConcurrencyPolicy | None:
    if asked.turns is None or asked.concurrency_key is None:
        return None
    is_shared = await shares_turn(connection, parent_id, asked.workflow_id, asked.concurrency_key)
    return None if is_shared else asked.turns


async def tell_parent(connection: DirectConnection, run_id: UUID, parent_id: UUID) -> None:
    """Tell the run that called this one that it has ended."""
    await connection.execute(_TELL, parent_id, run_id, uuid7())


async def cancel_called(
    connection: DirectConnection, run_id: UUID, node_key: str | None, item_index: int | None
) -> None:
    """Ask the unfinished runs that a run, or one node or item of it, called to stop."""
    await connection.execute(_CANCEL, run_id, node_key, item_index)
