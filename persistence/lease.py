"""An executor's sign of life: a session lock that frees itself at once, and a row that expires as the backstop."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import TYPE_CHECKING, Final

import structlog

from domain.errors import DatabaseUnavailable
from persistence.database import TROUBLES, close_direct

if TYPE_CHECKING:
    from collections.abc import Callable

    from domain.ids import ExecutorId
    from persistence.database import Database, DirectConnection

_RETRY_S: Final = 0.2
_START_TIMEOUT_S: Final = 30.0
_STOP_TIMEOUT_S: Final = 10.0

_RENEW: Final = """
INSERT INTO executors (id, lock_key, expires_at) VALUES ($1, $2, now() + make_interval(secs => $3))
ON CONFLICT (id) DO UPDATE SET expires_at = excluded.expires_at
"""
_END: Final = "UPDATE executors SET expires_at = now() WHERE id = $1"


_log = structlog.get_logger(__name__)


class ExecutorLease:
    """Held from a thread and a connection of its own, so that a busy event loop does not look like a dead process.

    A loop that has not turned within the expiry is as good as dead, though: then the row is left to expire.
    """

    def __init__(
        self,
        database: Database,
        executor: ExecutorId,
        *,
        renewal_s: float,
        expiry_s: float,
        on_lost: Callable[[], None],
    ) -> None:
        self._database = database
        self._executor = executor
        self._lock_key = executor.int & ((1 << 63) - 1)
        self._renewal_s = renewal_s
        self._expiry_s = expiry_s
        self._on_lost = on_lost
        self._held = threading.Event()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"lease-{executor}", daemon=True)
        self._served: asyncio.AbstractEventLoop | None = None
        self._turned_at = time.monotonic()
        self._renewed_at = time.monotonic()

    async def start(self) -> None:
        """Take the lock and enter the executor; return when both are done.

        Raises:
            DatabaseUnavailable: that was not possible within 30 s.
        """
        self._served = asyncio.get_running_loop()
        self._thread.start()
        if not await asyncio.to_thread(self._held.wait, _START_TIMEOUT_S):
            raise DatabaseUnavailable("The executor could not take its lock.")

    async def stop(self) -> None:
        """Let the lock go and the lease end: whoever takes the runs over need not wait for anything."""
        self._stopping.set()
        await asyncio.to_thread(self._thread.join, _STOP_TIMEOUT_S)

    def _run(self) -> None:
        asyncio.run(self._hold())

    async def _hold(self) -> None:
        while not self._stopping.is_set():
            connection: DirectConnection | None = None
            try:
                connection = await self._database.open_direct()
                await self._renew_for_ever(connection)
            except TROUBLES as error:
                _log.warning("lease.connection_lost", error=type(error).__name__)
                self._check_expiry()
                await asyncio.sleep(_RETRY_S)
            finally:
                if connection is not None:
                    await close_direct(connection)

    async def _renew_for_ever(self, connection: DirectConnection) -> None:
        if not await connection.fetchval("SELECT pg_try_advisory_lock($1)", self._lock_key, timeout=self._expiry_s):
            # The server has not noticed yet that our former connection is gone.
            self._check_expiry()
            await asyncio.sleep(_RETRY_S)
            return
        while not self._stopping.is_set():
            has_turned = self._has_turned()
            # Also when all is well again: a process that was frozen for longer has lost its runs while it slept.
            self._check_expiry()
            if has_turned:
                await connection.execute(_RENEW, self._executor, self._lock_key, self._expiry_s, timeout=self._expiry_s)
                self._renewed_at = time.monotonic()
                self._held.set()
            await self._pause(connection, self._renewal_s if has_turned else _RETRY_S)
        await connection.execute(_END, self._executor, timeout=self._expiry_s)

    async def _pause(self, connection: DirectConnection, longest_s: float) -> None:
        """Wait for the next renewal; end early when told to stop or when the connection is lost."""
        until = time.monotonic() + longest_s
        while time.monotonic() < until and not self._stopping.is_set():
            await asyncio.sleep(min(_RETRY_S, self._renewal_s))
            if connection.is_closed():
                raise DatabaseUnavailable

    def _has_turned(self) -> bool:
        served = self._served
        if served is None or served.is_closed():
            return False
        has_turned = time.monotonic() - self._turned_at < self._expiry_s
        served.call_soon_threadsafe(self._turn)
        return has_turned

    def _turn(self) -> None:
        self._turned_at = time.monotonic()

    def _check_expiry(self) -> None:
        if not self._held.is_set() or time.monotonic() - self._renewed_at < self._expiry_s:
            return
        if self._served is not None and not self._served.is_closed():
            self._renewed_at = time.monotonic()
            self._served.call_soon_threadsafe(self._on_lost)
