"""What people ask of runs under way: commands to whoever executes a run, or the change itself where nobody does.

A run that waits in the queue or out of memory has no owner. Whoever pauses it holds its row, writes the one event and raises
the epoch, as an owner for a moment: so a queued run is paused without being begun, and begins later in its turn.
Pauses of one run follow each other by its row's lock; the unique key of the commands says the same.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import orjson
from sqlalchemy import JSON, Select, exists, func, literal, select, true
from sqlalchemy.dialects.postgresql import insert
from uuid_utils.compat import uuid7

from domain.errors import NotFound
from domain.events import RunPaused, RunResumed
from domain.run import RunStatus
from domain.steering import CanceledRuns, Steered, next_pause, next_resumption
from persistence.append_statement import CHANNEL, COMMAND_CHANNEL
from persistence.event_facts import facts
from persistence.queue_tables import run_commands
from persistence.queued_runs import ENTER, LEAVE
from persistence.run_lists import conditions_of, in_workspace, is_unfinished
from persistence.run_rows import event_key
from persistence.tables import runs
from persistence.turns import let_in

if TYPE_CHECKING:
    import asyncpg

    from domain.ids import RunId, UserId, WorkspaceId
    from domain.run import RunQuery
    from persistence.database import Database, DirectConnection

_LOCK: Final = "SELECT status, executor_id, started_at, is_held FROM runs WHERE id = $1 FOR NO KEY UPDATE"
_ASKED: Final = """
SELECT count(*) FILTER (WHERE kind = 'pause') AS pauses, count(*) FILTER (WHERE kind = 'resume') AS resumptions,
       count(*) FILTER (WHERE kind = 'cancel') AS cancels
  FROM run_commands WHERE run_id = $1
"""
_COMMAND: Final = """
INSERT INTO run_commands (id, run_id, command_key, kind, payload, created_at, applied_at)
VALUES ($1, $2, $3, $4, $5::json, clock_timestamp(), CASE WHEN $6::bool THEN clock_timestamp() END)
"""
_CHANGE: Final = """
WITH changed AS (
  UPDATE runs SET status = $2, last_seq = last_seq + 1, lease_epoch = lease_epoch + 1 WHERE id = $1 RETURNING last_seq
)
INSERT INTO run_events (run_id, seq, event_key, type, at, data)
SELECT $1, last_seq, $3, $4, GREATEST(clock_timestamp(), (SELECT max(at) FROM run_events WHERE run_id = $1)), $5::json
  FROM changed
"""


class PostgresSteering:
    """Pauses, resumptions and cancellations of runs."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def pause(self, run_id: RunId, by: UserId) -> None:
        """Let a run start nothing any more; one that nobody executes is PAUSED at once.

        Raises:
            NotFound: it was deleted meanwhile.
            Conflict: it has ended, is being stopped, or is paused.
        """
        async with self._database.driver() as connection, connection.transaction():
            row, asked = await _held(connection, run_id)
            number = next_pause(asked)
            is_done = row["executor_id"] is None
            await _ask(connection, run_id, "pause", number, by, is_done=is_done)
            if is_done:
                await _change(connection, run_id, RunStatus.PAUSED, RunPaused(number, by))
                await connection.execute(LEAVE, run_id)
            if row["is_held"]:
                await let_in(connection, run_id)

    async def resume(self, run_id: RunId, by: UserId) -> None:
        """Let a paused run go on; one that had not begun is queued again.

        Raises:
            NotFound: it was deleted meanwhile.
            Conflict: it has ended, is being stopped, or is not paused.
        """
        async with self._database.driver() as connection, connection.transaction():
            row, asked = await _held(connection, run_id)
            number = next_resumption(asked)
            is_done = row["executor_id"] is None and row["started_at"] is None
            await _ask(connection, run_id, "resume", number, by, is_done=is_done)
            if is_done:
                await _change(connection, run_id, RunStatus.QUEUED, RunResumed(number, by))
                await connection.execute(ENTER, run_id)
            if row["is_held"]:
                await let_in(connection, run_id)

    async def cancel_many(
        self, workspace_id: WorkspaceId, query: RunQuery, by: UserId, reason: str | None, limit: int
    ) -> CanceledRuns:
        """Ask unfinished runs that match to stop, oldest first, up to a limit; those that were asked before do not count.

        A run whose caller is asked is stopped by it.
        """
        payload = literal({"by": str(by), "reason": reason}, JSON)
        found = _cancelable(workspace_id, query).limit(limit + 1).cte("found")
        chosen = select(found.c.id, found.c.parent_run_id).order_by(found.c.id).limit(limit).cte("chosen")
        is_called = chosen.c.parent_run_id.in_(select(chosen.c.id))
        rows = select(func.gen_random_uuid(), chosen.c.id, literal("cancel"), literal("cancel"), payload)
        names = ["id", "run_id", "command_key", "kind", "payload"]
        asked = (
            insert(run_commands)
            .from_select(names, rows.where(is_called.is_not(true())))
            .on_conflict_do_nothing()
            .returning(run_commands.c.run_id)
            .cte("asked")
        )
        counts = select(
            select(func.count()).select_from(asked).scalar_subquery(),
            select(func.count()).select_from(found).scalar_subquery(),
            func.pg_notify(COMMAND_CHANNEL, ""),
        )
        async with self._database.single() as connection:
            count, found_count, _ = (await connection.execute(counts)).one()
        return CanceledRuns(count, found_count > limit)


def _cancelable(workspace_id: WorkspaceId, query: RunQuery) -> Select[Any, Any]:
    """Select unfinished runs that match, oldest first, but those that are asked to stop themselves or through their caller."""
    # Apart, each is an anti-join by hash; together they would be a look at all commands for each run.
    is_asked = exists().where(run_commands.c.kind == "cancel", run_commands.c.run_id == runs.c.id)
    is_caller_asked = exists().where(run_commands.c.kind == "cancel", run_commands.c.run_id == runs.c.parent_run_id)
    return (
        select(runs.c.id, runs.c.parent_run_id)
        .where(in_workspace(workspace_id), is_unfinished(), *conditions_of(query), ~is_asked, ~is_caller_asked)
        .order_by(runs.c.id)
    )


async def _held(connection: DirectConnection, run_id: RunId) -> tuple[asyncpg.Record, Steered]:
    row = await connection.fetchrow(_LOCK, run_id)
    if row is None:
        raise NotFound("There is no run with this id.", path=["input", "id"])
    # Read behind the lock, in a new snapshot: whoever held the row before has said what he wants.
    asked = await connection.fetchrow(_ASKED, run_id)
    assert asked is not None  # noqa: S101 -- an aggregate gives a row
    return row, Steered(RunStatus(row["status"]), asked["pauses"], asked["resumptions"], asked["cancels"] > 0)


async def _ask(
    connection: DirectConnection, run_id: RunId, kind: str, number: int, by: UserId, *, is_done: bool
) -> None:
    payload = orjson.dumps({"by": str(by), "number": number}).decode()
    await connection.execute(_COMMAND, uuid7(), run_id, f"{kind}/{number}", kind, payload, is_done)
    await connection.execute("SELECT pg_notify($1, $2)", COMMAND_CHANNEL, run_id.hex)


async def _change(
    connection: DirectConnection, run_id: RunId, status: RunStatus, event: RunPaused | RunResumed
) -> None:
    await connection.execute(_CHANGE, run_id, status.value, event_key(event), event.type, facts(event))
    await connection.execute("SELECT pg_notify($1, $2)", CHANNEL, f":{run_id.hex}")
