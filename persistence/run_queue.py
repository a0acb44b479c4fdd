"""Which executor may run what: claims, leases, takeover, commands. SQL only; when to call it is the engine's business."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import asyncpg
import orjson
from sqlalchemy import text
from uuid_utils.compat import uuid7

from domain.errors import NotFound
from domain.events import LoggedEvent, NodeFailed, NodeOutputDelta, NodeReused, NodeSucceeded
from domain.ids import ExecutorId, GraphId, RunId, WorkspaceId
from domain.ports.runs import ClaimedRun, EndedChild, RunCommand
from domain.run import RunStatus
from persistence.append_statement import COMMAND_CHANNEL
from persistence.approval_answers import expire
from persistence.event_facts import read_event, read_failure
from persistence.queued_runs import CLAIM, CLAIM_CANCELED, CLAIMED, shares
from persistence.run_rows import WHOLE
from persistence.start_statement import start_arguments
from persistence.starts import add_run, find_key
from persistence.usage import usage_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime
    from uuid import UUID

    from domain.json_value import Json
    from domain.ports.new_runs import KeyHolder, NewRun
    from domain.ports.runs import Group
    from persistence.database import Database

# Both ways lead through a partial index, so that runs that only wait cost nothing. A run that is held for want of a turn is
# asked for nothing but to stop.
_CLAIM_WAITING: Final = f"""
WITH due AS MATERIALIZED (
  SELECT id FROM runs WHERE status IN ('WAITING', 'PAUSED') AND executor_id IS NULL AND wake_at <= :now ORDER BY wake_at LIMIT :limit
), asked AS MATERIALIZED (
  SELECT DISTINCT c.run_id AS id FROM run_commands c JOIN runs r ON r.id = c.run_id
   WHERE c.applied_at IS NULL AND r.executor_id IS NULL
     AND (r.status IN ('WAITING', 'PAUSED') OR (r.status = 'QUEUED' AND r.is_held AND c.kind = 'cancel')) LIMIT :limit
), chosen AS (
  SELECT r.id FROM runs r JOIN (SELECT id FROM asked UNION SELECT id FROM due) w ON w.id = r.id
   WHERE (r.status IN ('WAITING', 'PAUSED') OR (r.status = 'QUEUED' AND r.is_held)) AND r.executor_id IS NULL
   ORDER BY r.id LIMIT :limit FOR UPDATE OF r SKIP LOCKED
)
UPDATE runs r SET executor_id = :executor, lease_epoch = r.lease_epoch + 1 FROM chosen c WHERE r.id = c.id {CLAIMED}
"""  # noqa: S608 -- a constant

_TAKE_OVER: Final = f"""
WITH chosen AS (
  SELECT id FROM runs
   WHERE status NOT IN ('SUCCEEDED', 'FAILED', 'CANCELED', 'CRASHED') AND executor_id = :dead
     AND id <> ALL(CAST(:held AS uuid[]))
   ORDER BY id LIMIT :limit FOR UPDATE SKIP LOCKED
)
UPDATE runs r SET executor_id = :executor, lease_epoch = r.lease_epoch + 1 FROM chosen c WHERE r.id = c.id {CLAIMED}
"""  # noqa: S608 -- a constant

# An executor is dead when its lock is free or its lease has run out. After a restart of PostgreSQL all locks are free,
# so nobody is dead until everybody has had the time to take them again.
_IS_LOCKED: Final = """EXISTS (
     SELECT 1 FROM pg_locks l
      WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1
        AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
        AND l.classid = CAST(e.lock_key >> 32 AS oid) AND l.objid = CAST(e.lock_key & 4294967295 AS oid))"""
_DEAD: Final = f"""
SELECT e.id, e.expires_at < now() AS is_expired
  FROM executors e
 WHERE e.id <> :executor AND pg_postmaster_start_time() < now() - make_interval(secs => :grace_s)
   AND (e.expires_at < now() OR NOT {_IS_LOCKED})
"""  # noqa: S608 -- a constant

# One that still has its lock is only frozen. When it wakes it may claim a run before it renews its lease, and nobody would
# ever find that run if the executor were not listed.
_FORGET: Final = f"""
DELETE FROM executors e WHERE e.id = :dead AND NOT {_IS_LOCKED} AND NOT EXISTS (
  SELECT 1 FROM runs WHERE executor_id = e.id AND status NOT IN ('SUCCEEDED', 'FAILED', 'CANCELED', 'CRASHED'))
"""  # noqa: S608 -- a constant


class PostgresRunQueue:
    """The queue of runs and the commands to them."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, run: NewRun, executor: ExecutorId | None = None, first: Group | None = None) -> None:
        """Insert a run with its first event; where an executor is given, claimed and with its first group.

        Raises:
            NotFound: the workflow is gone.
            KeyTaken: the idempotency key stands for another run than `replaces`; nothing is changed.
        """
        try:
            async with self._database.driver() as connection:
                await add_run(connection, run, start_arguments(run, executor, first), is_claimed=executor is not None)
        except asyncpg.ForeignKeyViolationError as error:
            raise NotFound("There is no workflow with this id.", path=["input", "workflowId"]) from error

    async def find_key(self, workspace_id: WorkspaceId, key: str) -> KeyHolder | None:
        """Return the run that an idempotency key stands for."""
        async with self._database.driver() as connection:
            return await find_key(connection, workspace_id, key)

    async def claim(
        self, executor: ExecutorId, limit: int, busy: Mapping[WorkspaceId, int] | None = None, most: int | None = None
    ) -> Sequence[ClaimedRun]:
        """Take queued runs of the most urgent priority that nobody holds: fair between workspaces, oldest first."""
        return await self._claimed(CLAIM, {"executor": executor, "limit": limit, **shares(busy or {}, most)})

    async def claim_waiting(self, executor: ExecutorId, now: datetime, limit: int) -> Sequence[ClaimedRun]:
        """Take runs out of memory whose time has come, or of which something is asked; and cancelled ones that are held."""
        return await self._claimed(_CLAIM_WAITING, {"executor": executor, "now": now, "limit": limit})

    async def claim_canceled(self, executor: ExecutorId, limit: int) -> Sequence[ClaimedRun]:
        """Take runs that nobody holds and that somebody has cancelled, oldest first."""
        return await self._claimed(CLAIM_CANCELED, {"executor": executor, "limit": limit})

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
                None if row.parent_run_id is None else RunId(row.parent_run_id),
                row.needs_turn,
            )
            for row in sorted(rows, key=lambda row: row.id)  # an UPDATE returns them in any order
        ]

    async def dead_executors(self, executor: ExecutorId, grace_s: float) -> Mapping[ExecutorId, bool]:
        """Return executors that seem dead, with whether their lease has run out (else only their lock is free)."""
        async with self._database.single() as connection:
            rows = (await connection.execute(text(_DEAD), {"executor": executor, "grace_s": grace_s})).all()
        return {ExecutorId(row.id): row.is_expired for row in rows}

    async def forget(self, dead: ExecutorId) -> None:
        """Remove an executor that is gone and holds no unfinished run any more."""
        async with self._database.single() as connection:
            await connection.execute(text(_FORGET), {"dead": dead})

    async def announce(self) -> None:
        """Let every process look for queued runs, which whoever calls this has no room for."""
        async with self._database.single() as connection:
            await connection.execute(text(f"SELECT pg_notify('{COMMAND_CHANNEL}', '')"))

    async def log_of(self, run_id: RunId, outputs_of: frozenset[str]) -> Sequence[LoggedEvent]:
        """Return the whole log of a run without deltas, oldest first, with the outputs of these nodes."""
        statement = """
            SELECT e.seq, e.at, e.type, e.node_key, e.item_index, e.execution, e.data::text AS data,
                   CASE WHEN e.type IN ('NodeSucceeded', 'NodeFailed', 'NodeReused') AND e.node_key = ANY(:keys)
                        THEN n.output::text END AS output
              FROM run_events e
              LEFT JOIN node_runs n ON n.run_id = e.run_id AND n.node_key = e.node_key
                                   AND n.item_index = COALESCE(e.item_index, :whole)
             WHERE e.run_id = :run AND e.type <> :delta ORDER BY e.seq
        """
        parameters = {"run": run_id, "whole": WHOLE, "delta": NodeOutputDelta.type, "keys": list(outputs_of)}
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

    async def expire_approvals(self, approval_ids: Sequence[UUID]) -> None:
        """Close questions that ran out, with a command to their runs; one that was answered stays as it is."""
        async with self._database.driver() as connection:
            await expire(connection, approval_ids)

    async def pending_commands(self, executor: ExecutorId) -> Mapping[UUID, Sequence[RunCommand]]:
        """Return the unapplied commands to the runs of an executor, oldest first."""
        statement = """
            SELECT c.id, c.run_id, c.kind, c.payload::text AS payload, k.id AS child, k.parent_node_key,
                   k.parent_item_index, k.status, k.output::text AS output, k.failure::text AS failure, k.input_tokens,
                   k.output_tokens, k.total_tokens, k.cost, k.currency
              FROM run_commands c JOIN runs r ON r.id = c.run_id
              LEFT JOIN runs k ON c.kind = 'child' AND k.id = CAST(c.payload->>'run' AS uuid)
             WHERE c.applied_at IS NULL AND r.executor_id = :executor
               AND r.status NOT IN ('SUCCEEDED', 'FAILED', 'CANCELED', 'CRASHED')
             ORDER BY c.created_at, c.id LIMIT 10000
        """
        async with self._database.single() as connection:
            rows = (await connection.execute(text(statement), {"executor": executor})).all()
        commands: dict[UUID, list[RunCommand]] = {}
        for row in rows:
            command = RunCommand(row.id, row.kind, orjson.loads(row.payload or "null"), _child(row))
            commands.setdefault(row.run_id, []).append(command)
        return commands


def _child(row: Any) -> EndedChild | None:
    if row.child is None:
        return None
    output = None if row.output is None else row.output.encode()
    place = (row.parent_node_key, row.parent_item_index)
    return EndedChild(RunId(row.child), *place, RunStatus(row.status), output, read_failure(row.failure), usage_of(row))


def _logged(run_id: RunId, row: Any) -> LoggedEvent:
    event = read_event(row.type, row.node_key, row.item_index, row.execution, row.data)
    if isinstance(event, (NodeSucceeded, NodeFailed, NodeReused)) and row.output is not None:
        event.output = row.output.encode()
    return LoggedEvent(run_id, row.seq, row.at, event)
