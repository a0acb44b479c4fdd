"""Hears the wake-ups of processes over one LISTEN connection; what it misses, a catch-up makes good."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final
from uuid import UUID

import structlog

from persistence.append_statement import CHANNEL, COMMAND_CHANNEL
from persistence.connection_permits import LIMIT_CHANNEL
from persistence.database import TROUBLES, close_direct
from persistence.workflow_changes import WORKFLOW_CHANNEL

if TYPE_CHECKING:
    from domain.ports.log_listener import LogListener
    from persistence.database import Database, DirectConnection

_RETRY_S: Final = 0.5
_CHECK_S: Final = 5.0
_HEX: Final = 32


_log = structlog.get_logger(__name__)


class PostgresListener:
    """Tells a listener which runs others appended to, which have commands, which workflows were changed, and which connections have room."""

    def __init__(self, database: Database, sender: str, listener: LogListener) -> None:
        self._database = database
        self._sender = sender
        self._listener = listener

    async def run(self) -> None:
        """Listen until cancelled; connect again when the connection is lost, then let everybody look."""
        while True:
            connection: DirectConnection | None = None
            try:
                connection = await self._database.open_direct()
                await connection.add_listener(CHANNEL, self._appended)
                await connection.add_listener(COMMAND_CHANNEL, self._commanded)
                await connection.add_listener(WORKFLOW_CHANNEL, self._edited)
                await connection.add_listener(LIMIT_CHANNEL, self._limited)
                self._listener.woken([])
                self._listener.commanded([])
                self._listener.limited(None, None)
                self._listener.edited([])
                while not connection.is_closed():
                    await asyncio.sleep(_CHECK_S)
                    await connection.execute("SELECT 1", timeout=_CHECK_S)
            except TROUBLES as error:
                _log.warning("listener.connection_lost", error=type(error).__name__)
            finally:
                if connection is not None:
                    await close_direct(connection)
            await asyncio.sleep(_RETRY_S)

    def _appended(self, _connection: object, _pid: int, _channel: str, payload: object) -> None:
        sender, _, names = str(payload).partition(":")
        if sender != self._sender:
            self._listener.woken(_ids(names))

    def _commanded(self, _connection: object, _pid: int, _channel: str, payload: object) -> None:
        self._listener.commanded(_ids(str(payload)))

    def _edited(self, _connection: object, _pid: int, _channel: str, payload: object) -> None:
        self._listener.edited(_ids(str(payload)))

    def _limited(self, _connection: object, _pid: int, _channel: str, payload: object) -> None:
        key, _, wait_ms = str(payload).partition(":")
        self._listener.limited(UUID(key), int(wait_ms) / 1_000 if wait_ms else None)


def _ids(names: str) -> list[UUID]:
    return [UUID(names[place : place + _HEX]) for place in range(0, len(names) - len(names) % _HEX, _HEX)]
