"""Runs as they are made: at once in one statement, or in a transaction with what their keys ask for."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Final

import asyncpg

from domain.errors import Contended, KeyTaken
from domain.ids import RunId
from domain.ports.new_runs import KeyHolder
from persistence.append_statement import COMMAND_CHANNEL
from persistence.start_statement import QUEUE, START
from persistence.turns import enter_line
from persistence.webhook_calls import take_delivery

if TYPE_CHECKING:
    from domain.ids import WorkspaceId
    from domain.ports.new_runs import NewRun
    from persistence.database import DirectConnection

_REPEATS: Final = 4
_KEY_INDEX: Final = "runs_idempotency_key"
_SOON: Final = "SET LOCAL lock_timeout = '2s'"
"""Calls from outside must not stand in line with all pooled connections for a row that somebody is long in changing."""

_FIND: Final = """
SELECT id, request_hash FROM runs WHERE workspace_id = $1 AND idempotency_key = $2 AND request_hash IS NOT NULL
"""
_FREE: Final = """
UPDATE runs SET request_hash = NULL
 WHERE id = $1 AND workspace_id = $2 AND idempotency_key = $3 AND request_hash IS NOT NULL RETURNING id
"""
_STOP: Final = f"""
WITH added AS (
  INSERT INTO run_commands (id, run_id, command_key, kind, payload)
  SELECT gen_random_uuid(), r.id, 'cancel', 'cancel',
         json_build_object('by', $2::text, 'reason', 'Another run was started with its idempotency key.')
    FROM runs r WHERE r.id = $1 AND r.status NOT IN ('SUCCEEDED', 'FAILED', 'CANCELED', 'CRASHED')
  ON CONFLICT (run_id, command_key) DO NOTHING RETURNING run_id
)
SELECT pg_notify('{COMMAND_CHANNEL}', replace(run_id::text, '-', '')) FROM added
"""  # noqa: S608 -- the channel is a constant


async def add_run(
    connection: DirectConnection, run: NewRun, arguments: tuple[object, ...], *, is_claimed: bool
) -> None:
    """Insert a run, claimed or into the queue; `arguments` are those of both statements.

    Raises:
        KeyTaken: its idempotency key stands for another run than the one that it replaces, or the call of its webhook has
            started one; nothing is changed.
        NotFound: the webhook is gone, or has another token by now.
        Contended: what the call of a webhook needs has been locked for two seconds; nothing is changed.
    """
    statement = START if is_claimed else QUEUE
    try:
        if run.turns is None and run.replaces is None and run.delivery is None:
            await connection.execute(statement, *arguments)
            return
        # Two that stop each other's runs may wait for each other, also again: PostgreSQL takes one of them back each time.
        for _ in range(_REPEATS):
            with suppress(asyncpg.DeadlockDetectedError):
                await _add_with_keys(connection, run, statement, arguments)
                return
        await _add_with_keys(connection, run, statement, arguments)
    except asyncpg.UniqueViolationError as error:
        if error.constraint_name != _KEY_INDEX:
            raise
        raise KeyTaken from error
    except asyncpg.LockNotAvailableError as error:
        raise Contended from error


async def find_key(connection: DirectConnection, workspace_id: WorkspaceId, key: str) -> KeyHolder | None:
    """Return the run that an idempotency key stands for."""
    row = await connection.fetchrow(_FIND, workspace_id, key)
    return None if row is None else KeyHolder(RunId(row["id"]), row["request_hash"])


async def _add_with_keys(
    connection: DirectConnection, run: NewRun, statement: str, arguments: tuple[object, ...]
) -> None:
    async with connection.transaction():
        if run.delivery is not None:
            await connection.execute(_SOON)
        await _free_key(connection, run)
        await connection.execute(statement, *arguments)
        if run.turns is not None:
            await enter_line(connection, run.id, run.turns)
        if run.delivery is not None:
            await take_delivery(connection, run.id, run.delivery)


async def _free_key(connection: DirectConnection, run: NewRun) -> None:
    if run.replaces is None:
        return
    if await connection.fetchval(_FREE, run.replaces, run.workspace_id, run.idempotency_key) is None:
        raise KeyTaken
    await connection.execute(_STOP, run.replaces, None if run.triggered_by is None else str(run.triggered_by))
