"""Groups that are not stored with those of other runs, such as ends of nodes with the rows that the nodes write.

Exactly once, however often it is tried.

One transaction: lock the run, check the fence, give back what is recorded if the end is stored already, write the rows,
append the end with the real count, commit. The lock comes first: a transaction whose outcome is unknown may still be
under way, and its rows must not look like somebody else's.
"""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING, Final, cast

import asyncpg
import structlog

from domain.errors import DatabaseUnavailable, Fenced, InvalidInput, NodeFault, SetupFault
from domain.json_codec import encode
from domain.ports.runs import Departure
from domain.room import Room
from persistence.append_statement import APPEND, arguments
from persistence.companions import store_companions
from persistence.database import is_unavailable, sqlstate
from persistence.departures import depart
from persistence.row_writes import check_room, write_rows
from persistence.run_rows import WHOLE, event_key, fold

if TYPE_CHECKING:
    from domain.data_tables import RowWrite
    from domain.events import NodeSucceeded
    from domain.ids import DataTableId
    from domain.ports.runs import Group
    from persistence.database import Database, DirectConnection

_MAX_AT_ONCE: Final = 4
"""Pooled connections that writes may take; the pool serves the API too."""
_FIRST_BACKOFF_S: Final = 0.05
_LONGEST_BACKOFF_S: Final = 2.0
_TROUBLES: Final = (
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    DatabaseUnavailable,
    SetupFault,
    OSError,
    TimeoutError,
)
_REFUSALS: Final = (TypeError, ValueError, asyncpg.DataError, asyncpg.IntegrityConstraintViolationError)

_log = structlog.get_logger(__name__)


class Completions:
    """Stores groups that go their own way; the run log sends it one group of a run at a time, behind all earlier ones."""

    def __init__(self, database: Database, sender: str, max_rows: int = sys.maxsize) -> None:
        self._database = database
        self._sender = sender
        self._room = asyncio.Semaphore(_MAX_AT_ONCE)
        self._tables: Room[DataTableId] = Room(max_rows)

    async def store(self, group: Group) -> int:
        """Return the seq before the group's event, which has its output then; tries until PostgreSQL answers.

        Raises:
            Fenced: another executor owns the run, or it has ended.
            StillWanted: the run may not leave memory.
            NodeFault: the rows cannot be written; nothing is.
            InvalidInput: PostgreSQL cannot hold a value of the event.
        """
        backoff_s = _FIRST_BACKOFF_S
        while True:
            try:
                async with self._room, self._database.driver() as connection:
                    if isinstance(group, Departure):
                        return await depart(connection, group, self._sender)
                    async with connection.transaction():
                        return await self._store_once(connection, group)
            except _REFUSALS as error:
                reason = sqlstate(error) or type(error).__name__
                raise InvalidInput(f"PostgreSQL cannot store a value of the run ({reason}).") from error
            except _TROUBLES as error:
                # The end may be stored and its answer lost: nothing but another try tells.
                _log.warning("completion.failed", run=str(group.run_id), error=type(error).__name__)
                await asyncio.sleep(backoff_s)
                backoff_s = min(2 * backoff_s, _LONGEST_BACKOFF_S)

    async def _store_once(self, connection: DirectConnection, group: Group) -> int:
        row = await connection.fetchrow(
            "SELECT 1 FROM runs WHERE id = $1 AND lease_epoch = $2"
            " AND status NOT IN ('SUCCEEDED', 'FAILED', 'CANCELED', 'CRASHED') FOR NO KEY UPDATE",
            group.run_id,
            group.epoch,
        )
        if row is None:
            raise Fenced
        recorded = await connection.fetchrow(
            "SELECT e.seq, n.output::text AS output FROM run_events e LEFT JOIN node_runs n"
            " ON n.run_id = e.run_id AND n.node_key = e.node_key AND n.item_index = COALESCE(e.item_index, $3)"
            " WHERE e.run_id = $1 AND e.event_key = $2",
            group.run_id,
            event_key(group.events[0]),
            WHOLE,
        )
        if recorded is not None:
            if group.write is not None:
                cast("NodeSucceeded", group.events[0]).output = recorded["output"].encode()
            return recorded["seq"] - 1
        if group.write is not None:
            await self._write(connection, group, group.write)
        await store_companions(connection, group)
        advanced = await connection.fetch(APPEND, *arguments(fold([group]), self._sender))
        return advanced[0]["base"]

    async def _write(self, connection: DirectConnection, group: Group, write: RowWrite) -> None:
        end = cast("NodeSucceeded", group.events[0])
        item = WHOLE if end.item_index is None else end.item_index
        try:
            await check_room(connection, write, self._tables)
            written = await write_rows(connection, write, group.run_id, end.node_key, item)
        except asyncpg.QueryCanceledError as error:
            raise NodeFault("TIMED_OUT", "The write took too long.", is_retryable=True) from error
        except _REFUSALS as error:
            reason = sqlstate(error) or type(error).__name__
            raise NodeFault("INVALID_ROW", f"PostgreSQL cannot store the row ({reason}).") from error
        except asyncpg.PostgresError as error:
            if is_unavailable(error):
                raise
            message = f"PostgreSQL did not take the rows ({sqlstate(error)})."
            raise NodeFault("WRITE_FAILED", message, is_retryable=True) from error
        end.output = encode({"rowCount": written.row_count, "rows": list(written.rows)})
