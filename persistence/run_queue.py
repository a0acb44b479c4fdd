"""Which executor may run what: claims, leases, takeover, commands. SQL only; when to call it is the engine's business."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import asyncpg
import orjson
from sqlalchemy import text
from uuid_utils.compat import uuid7

from domain.errors import NotFound
from domain.events import LoggedEvent, NodeFailed, NodeOutputDelta, NodeSucceeded
from domain.ids import ExecutorId, GraphId, RunId, WorkspaceId
from domain.ports.runs import ClaimedRun, RunCommand
from persistence.append_statement import COMMAND_CHANNEL
from persistence.event_facts import read_event
from persistence.run_rows import WHOLE
from persistence.start_statement import START, start_arguments

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from uuid import UUID

    from domain.json_value import Json
    from domain.ports.runs import Group, NewRun
    from persistence.database import Database

_CLAIMED: Final = """
  RETURNING r.id, r.workspace_id, r.graph_id, r.lease_epoch, r.last_seq, r.created_at, r.input::text AS input
"""

# Priority first; then by turns: whoever has fewer runs at work and ahead in the queue comes first, so that nobody fills
# the machine for all, however few runs are claimed at a time. Each step is materialized: on tables without statistics the
# planner would count the busy runs anew for every waiting one.
_CLAIM: Final = f"""
WITH waiting AS MATERIALIZED (
  SELECT id, workspace_id, priority FROM runs WHERE status = 'QUEUED' AND executor_id IS NULL
   ORDER BY priority, id LIMIT 10000
), busy AS MATERIALIZED (
  SELECT w.workspace_id, (
           SELECT count(*) FROM runs r
            WHERE r.workspace_id = w.workspace_id AND r.executor_id IS NOT NULL
              AND r.status NOT IN ('SUCCEEDED', 'FAILED', 'CANCELED', 'CRASHED')) AS runs
    FROM (SELECT DISTINCT workspace_id FROM waiting) w
), ranked AS MATERIALIZED (
  SELECT w.id, w.priority, b.runs + row_number() OVER (PARTITION BY w.workspace_id, w.priority ORDER BY w.id) AS turn
    FROM waiting w JOIN busy b ON b.workspace_id = w.workspace_id
), chosen AS (
  SELECT r.id FROM runs r JOIN ranked k ON k.id = r.id
   WHERE r.status = 'QUEUED' AND r.executor_id IS NULL
   ORDER BY k.priority, k.turn, k.id LIMIT :limit FOR UPDATE OF r SKIP LOCKED
)
UPDATE runs r SET executor_id = :executor, lease_epoch = r.lease_epoch + 1 FROM chosen c WHERE r.id = c.id {_CLAIMED}
"""  # noqa: S608 -- a constant

# Runs of which something is wanted although nobody has room for them, such as their end.
_CLAIM_COMMANDED: Final = f"""
WITH chosen AS (
  SELECT r.id FROM runs r
   WHERE r.status = 'QUEUED' AND r.executor_id IS NULL
     AND EXISTS (SELECT 1 FROM run_commands c WHERE c.run_id = r.id AND c.applied_at IS NULL)
   ORDER BY r.id LIMIT :limit FOR UPDATE OF r SKIP LOCKED
)
UPDATE runs r SET executor_id = :executor, lease_epoch = r.lease_epoch + 1 FROM chosen c WHERE r.id = c.id {_CLAIMED}
"""  # noqa: S608 -- a constant

_TAKE_OVER: Final = f"""
WITH chosen AS (
  SELECT id FROM runs
   WHERE status NOT IN ('SUCCEEDED', 'FAILED', 'CANCELED', 'CRASHED') AND executor_id = :dead
     AND id <> ALL(CAST(:held AS uuid[]))
   ORDER BY id LIMIT :limit FOR UPDATE SKIP LOCKED
)
UPDATE runs r SET executor_id = :executor, lease_epoch = r.lease_epoch + 1 FROM chosen c WHERE r.id = c.id {_CLAIMED}
"""  # noqa: S608 -- a constant

# An executor is dead when its lock is free or its lease has run out. After a restart of PostgreSQL all locks are free,
# so nobody is dead until everybody has had the time to take them again.
_DEAD: Final = """
SELECT e.id, e.expires_at < now() AS is_expired
  FROM executors e
 WHERE e.id <> :executor AND pg_postmaster_start_time() < now() - make_interval(secs => :grace_s)
   AND (e.expires_at < now() OR NOT EXISTS (
     SELECT 1 FROM pg_locks l
      WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1
        AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
        AND l.classid = CAST(e.lock_key >> 32 AS oid) AND l.objid = CAST(e.lock_key & 4294967295 AS oid)))
"""


class PostgresRunQueue:
    """The queue of runs and the commands to them."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, run: NewRun, executor: ExecutorId | None = None, first: Group | None = None) -> None:
        """Insert a run with its first event; where an executor is given, claimed and with its first group.

        Raises:
            NotFound: the workflow is gone.
        """
        try:
            async with self._database.driver() as connection:
                await connection.execute(START, *start_arguments(run, executor, first))
        except asyncpg.ForeignKeyViolationError as error:
            raise NotFound("There is no workflow with this id.", path=["input", "workflowId"]) from error

    async def claim(self, executor: ExecutorId, limit: int) -> Sequence[ClaimedRun]:
        """Take queued runs that nobody holds: by priority, fair between workspaces, oldest first."""
        return await self._claimed(_CLAIM, {"executor": executor, "limit": limit})

    async def claim_commanded(self, executor: ExecutorId, limit: int) -> Sequence[ClaimedRun]:
        """Take queued runs that nobody holds and that have a command waiting, oldest first."""
        return await self._claimed(_CLAIM_COMMANDED, {"executor": executor, "limit": limit})

    async def take_over(
        self, executor: ExecutorId, dead: ExecutorId, limit: int, held: Sequence[UUID] = ()
    ) -> Sequence[ClaimedRun]:
        """Take unfinished runs of a dead executor but those in `held`; its appends are refused from then on."""
        parameters = {"executor": executor, "dead": dead, "limit": limit, "held": list(held)}
        return await self._claimed(_TAKE_OVER, parameters)

    async def _claimed(self, statement: str, parameters: Mapping[str, object]) -> list[ClaimedRun]:
        async with self._database.single() as connection:
            rows = (await connection.execute(text(statement), parameters)).all()
        return [
            ClaimedRun(
                RunId(row.id),
                WorkspaceId(row.workspace_id),
                GraphId(row.graph_id),
                row.lease_epoch,
                row.last_seq,
                row.created_at,
                (row.input or "null").encode(),
            )
            for row in rows
        ]

    async def dead_executors(self, executor: ExecutorId, grace_s: float) -> Mapping[ExecutorId, bool]:
        """Return executors that seem dead, with whether their lease has run out (else only their lock is free)."""
        async with self._database.single() as connection:
            rows = (await connection.execute(text(_DEAD), {"executor": executor, "grace_s": grace_s})).all()
        return {ExecutorId(row.id): row.is_expired for row in rows}

    async def forget(self, dead: ExecutorId) -> None:
        """Remove an executor that holds no unfinished run any more."""
        statement = """
            DELETE FROM executors e WHERE e.id = :dead AND NOT EXISTS (
              SELECT 1 FROM runs WHERE executor_id = e.id
                 AND status NOT IN ('SUCCEEDED', 'FAILED', 'CANCELED', 'CRASHED'))
        """
        async with self._database.single() as connection:
            await connection.execute(text(statement), {"dead": dead})

    async def log_of(self, run_id: RunId) -> Sequence[LoggedEvent]:
        """Return the whole log of a run without deltas, oldest first, with the outputs of its nodes."""
        statement = """
            SELECT e.seq, e.at, e.type, e.node_key, e.item_index, e.execution, e.data::text AS data,
                   CASE WHEN e.type IN ('NodeSucceeded', 'NodeFailed') THEN n.output::text END AS output
              FROM run_events e
              LEFT JOIN node_runs n ON n.run_id = e.run_id AND n.node_key = e.node_key
                                   AND n.item_index = COALESCE(e.item_index, :whole)
             WHERE e.run_id = :run AND e.type <> :delta ORDER BY e.seq
        """
        parameters = {"run": run_id, "whole": WHOLE, "delta": NodeOutputDelta.type}
        async with self._database.single() as connection:
            rows = (await connection.execute(text(statement), parameters)).all()
        return [_logged(run_id, row) for row in rows]

    async def add_command(self, run_id: RunId, key: str, kind: str, payload: Json) -> bool:
        """Ask a run's owner for something; False if the same was asked before."""
        statement = f"""
            WITH added AS (
              INSERT INTO run_commands (id, run_id, command_key, kind, payload)
              VALUES (:id, :run, :key, :kind, CAST(:payload AS json))
              ON CONFLICT (run_id, command_key) DO NOTHING RETURNING 1
            )
            SELECT pg_notify('{COMMAND_CHANNEL}', :name) FROM added
        """  # noqa: S608 -- the channel is a constant
        parameters = {
            "id": uuid7(),
            "run": run_id,
            "key": key,
            "kind": kind,
            "payload": orjson.dumps(payload).decode(),
            "name": run_id.hex,
        }
        async with self._database.single() as connection:
            return (await connection.execute(text(statement), parameters)).first() is not None

    async def pending_commands(self, executor: ExecutorId) -> Mapping[UUID, Sequence[RunCommand]]:
        """Return the unapplied commands to the runs of an executor, oldest first."""
        statement = """
            SELECT c.id, c.run_id, c.kind, c.payload::text AS payload
              FROM run_commands c JOIN runs r ON r.id = c.run_id
             WHERE c.applied_at IS NULL AND r.executor_id = :executor
               AND r.status NOT IN ('SUCCEEDED', 'FAILED', 'CANCELED', 'CRASHED')
             ORDER BY c.id LIMIT 10000
        """
        async with self._database.single() as connection:
            rows = (await connection.execute(text(statement), {"executor": executor})).all()
        commands: dict[UUID, list[RunCommand]] = {}
        for row in rows:
            command = RunCommand(row.id, row.kind, orjson.loads(row.payload or "null"))
            commands.setdefault(row.run_id, []).append(command)
        return commands


def _logged(run_id: RunId, row: Any) -> LoggedEvent:
    event = read_event(row.type, row.node_key, row.item_index, row.execution, row.data)
    if isinstance(event, (NodeSucceeded, NodeFailed)) and row.output is not None:
        event.output = row.output.encode()
    return LoggedEvent(run_id, row.seq, row.at, event)
