"""Processes of a test that obey the limits of connections, with all that is alive in a real one for that."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any

from uuid_utils.compat import uuid7

from domain.ids import ConnectionId, ExecutorId, WorkspaceId
from persistence.connection_permits import PostgresConnectionPermits
from persistence.lease import ExecutorLease
from persistence.run_listener import PostgresListener
from runtime.connection_limits import ConnectionLimits
from runtime.ears import Ears

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from uuid import UUID

    from persistence.database import Database


class _Deaf:
    """An engine and followers whom nothing concerns."""

    def woken(self, _: object) -> None:
        """Hear nothing."""

    def holds(self, _: object) -> bool:
        """Hold no run."""
        return False

    def look(self) -> None:
        """Have nothing to look for."""


@asynccontextmanager
async def limits_of(
    database: Database, *, executor: ExecutorId | None = None, window_s: float = 60.0, short_s: float = 2.0
) -> AsyncGenerator[ConnectionLimits]:
    """Run what a process has for its limits; with an executor it holds its lease and listens, as one among others."""
    holder = executor or ExecutorId(uuid7())
    limits = ConnectionLimits(PostgresConnectionPermits(database, holder, window_s=window_s), short_s=short_s)
    tasks = [asyncio.create_task(limits.run(), name="limits")]
    lease = None
    if executor is not None:
        lease = ExecutorLease(database, executor, renewal_s=0.5, expiry_s=15, on_lost=lambda: None)
        await lease.start()
        deaf: Any = _Deaf()
        listener = PostgresListener(database, executor.hex, Ears(deaf, deaf, deaf, limits))
        tasks.append(asyncio.create_task(listener.run(), name="listener"))
    try:
        yield limits
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if lease is not None:
            await lease.stop()


@asynccontextmanager
async def open_two(database: Database) -> AsyncGenerator[list[ConnectionLimits]]:
    """Open two processes in which a long wait is one of 0.2 s."""
    async with AsyncExitStack() as stack:
        yield [
            await stack.enter_async_context(limits_of(database, executor=ExecutorId(uuid7()), short_s=0.2))
            for _ in range(2)
        ]


async def stored_connection(
    database: Database,
    *,
    max_concurrent: int | None = None,
    requests_per_minute: int | None = None,
    workspace_id: WorkspaceId | None = None,
) -> ConnectionId:
    """Store a connection that leads nowhere."""
    made, workspace = ConnectionId(uuid7()), workspace_id or WorkspaceId(uuid7())
    async with database.direct() as connection:
        await connection.execute("INSERT INTO workspaces (id, name) VALUES ($1, 'w') ON CONFLICT DO NOTHING", workspace)
        await connection.execute(
            "INSERT INTO connections (id, workspace_id, name, kind, settings, max_concurrent, requests_per_minute)"
            " VALUES ($1, $2, $3, 'HTTP_AUTH', '{}', $4, $5)",
            made,
            workspace,
            made.hex,
            max_concurrent,
            requests_per_minute,
        )
    return made


async def limit(database: Database, connection_id: UUID, **caps: int | None) -> None:
    """Change the limits of a connection."""
    async with database.direct() as connection:
        await connection.execute(
            "UPDATE connections SET max_concurrent = $2, requests_per_minute = $3 WHERE id = $1",
            connection_id,
            caps.get("max_concurrent"),
            caps.get("requests_per_minute"),
        )
