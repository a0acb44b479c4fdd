"""Deleting runs that have ended: with all that they called, in one transaction.

Who has ended never begins again and calls nobody any more, so the runs that are found ended are all there will be.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Final

import asyncpg

from domain.errors import Conflict, InUse, NotFound
from domain.ids import Prefix, RunId, to_global
from domain.run import FINISHED, RunStatus
from persistence.append_statement import CHANNEL, MAX_NAMED_RUNS
from persistence.audit import write_deed

if TYPE_CHECKING:
    from collections.abc import Sequence
    from uuid import UUID

    from domain.audit import Deed
    from domain.ids import WorkspaceId
    from persistence.database import Database, DirectConnection

_PATH: Final = ("input", "id")
_REPEATS: Final = 4
_MAX_AT_ONCE: Final = 4
"""Connections beside the pool; others wait, or as many as people ask for would be opened."""
# Whoever merges the streamed texts of runs, or is frozen within a transaction, holds rows for longer than people wait.
_PATIENCE: Final = "SET LOCAL lock_timeout = '10s'"

# Who deletes the workspace holds its row and waits for its runs: here it comes first as well.
_HOLD_WORKSPACE: Final = "SELECT 1 FROM workspaces WHERE id = $1 FOR KEY SHARE"
# A rerun refers to the run, so it is there before this lock or finds the run gone behind it.
_HOLD: Final = "SELECT parent_run_id FROM runs WHERE id = $1 AND workspace_id = $2 FOR UPDATE"
_TREE: Final = """
WITH RECURSIVE tree AS (
  SELECT id, status FROM runs WHERE id = $1
   UNION ALL
  SELECT r.id, r.status FROM tree t JOIN runs r ON r.parent_run_id = t.id
)
SELECT id, status FROM tree
"""
# They will be told that what they were made from is gone; in the order in which the log locks runs.
_HOLD_RERUNS: Final = "SELECT 1 FROM runs WHERE rerun_of = ANY($1::uuid[]) ORDER BY id FOR NO KEY UPDATE"
# Partitioned tables have no foreign keys that would do this. Commands, questions and places in the queue go with the run.
_REMOVE: Final = (
    "DELETE FROM run_events WHERE run_id = ANY($1::uuid[])",
    "DELETE FROM node_runs WHERE run_id = ANY($1::uuid[])",
    "DELETE FROM runs WHERE id = ANY($1::uuid[])",
)


class PostgresRunRemoval:
    """Implements `domain.ports.run_removal.RunRemoval`."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._room = asyncio.Semaphore(_MAX_AT_ONCE)

    async def remove(self, workspace_id: WorkspaceId, run_id: RunId, deed: Deed) -> Sequence[RunId]:
        """Delete a run and all that it called, with their logs, inputs and outputs; return which they were.

        Raises:
            NotFound: there is no such run in the workspace.
            Conflict: it, or a run that it called, has not ended; or somebody holds it for long.
            InUse: the run that called it is kept.
            Unauthenticated, Forbidden: the caller may not do it any more; see `check_standing`.
        """
        # Many events take longer to delete than a query may last: hence a connection without a statement timeout.
        async with self._room, self._database.direct() as connection:
            try:
                for _ in range(_REPEATS):
                    with suppress(asyncpg.DeadlockDetectedError):
                        return await _remove(connection, workspace_id, run_id, deed)
                return await _remove(connection, workspace_id, run_id, deed)
            except (asyncpg.LockNotAvailableError, asyncpg.DeadlockDetectedError) as error:
                raise Conflict("Somebody is at work on the run at this moment; try again.", path=_PATH) from error


async def _remove(connection: DirectConnection, workspace_id: WorkspaceId, run_id: RunId, deed: Deed) -> list[RunId]:
    async with connection.transaction():
        await connection.execute(_PATIENCE)
        await connection.execute(_HOLD_WORKSPACE, workspace_id)
        held = await connection.fetchrow(_HOLD, run_id, workspace_id)
        if held is None:
            raise NotFound("There is no run with this id.", path=_PATH)
        tree = await connection.fetch(_TREE, run_id)
        _refuse_unfinished(run_id, tree)
        if held["parent_run_id"] is not None:
            caller = to_global(Prefix.RUN, held["parent_run_id"])
            raise InUse(
                f"The run {caller} called this one and shows what it did; they can only go together.", path=_PATH
            )
        gone = [RunId(row["id"]) for row in tree]
        await connection.execute(_HOLD_RERUNS, gone)
        for statement in _REMOVE:
            await connection.execute(statement, gone)
        await write_deed(connection.fetch, workspace_id, deed)
        await connection.execute("SELECT pg_notify($1, $2)", CHANNEL, f":{_named(gone)}")
    return gone


def _refuse_unfinished(run_id: UUID, tree: Sequence[asyncpg.Record]) -> None:
    for row in tree:
        status = RunStatus(row["status"])
        if status in FINISHED:
            continue
        which = "The run" if row["id"] == run_id else f"The run {to_global(Prefix.RUN, row['id'])}, which it called,"
        raise Conflict(f"{which} has not ended ({status.value}); wait for it or cancel it.", path=_PATH)


def _named(run_ids: Sequence[UUID]) -> str:
    return "".join(one.hex for one in run_ids) if len(run_ids) <= MAX_NAMED_RUNS else ""
