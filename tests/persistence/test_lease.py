from __future__ import annotations

import asyncio
import threading
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from uuid_utils.compat import uuid7

from domain.ids import ExecutorId
from persistence.lease import ExecutorLease
from persistence.run_queue import PostgresRunQueue
from tests.support.postgres import with_database
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from persistence.database import Database, DirectConnection

OBSERVER = ExecutorId(uuid7())


class Held:
    """A lease, and what an observer sees of it."""

    def __init__(self, database: Database, connection: DirectConnection, expiry_s: float) -> None:
        self.executor = ExecutorId(uuid7())
        self.lost = asyncio.Event()
        self.lost_in: threading.Thread | None = None
        self.connection = connection
        self.queue = PostgresRunQueue(database)
        self.lease = ExecutorLease(database, self.executor, renewal_s=0.05, expiry_s=expiry_s, on_lost=self._on_lost)

    def _on_lost(self) -> None:
        self.lost_in = threading.current_thread()
        self.lost.set()

    async def expires_in_s(self) -> float:
        """Return how long the row still holds."""
        return await self.connection.fetchval(
            "SELECT extract(epoch FROM expires_at - clock_timestamp())::float FROM executors WHERE id = $1",
            self.executor,
        )

    async def is_locked(self) -> bool:
        """Tell whether others see the lock."""
        return self.executor not in await self.queue.dead_executors(OBSERVER, 0)

    async def kill(self) -> None:
        """End the connection that holds the lock, as the server would."""
        await self.connection.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_locks"
            " WHERE locktype = 'advisory' AND pid <> pg_backend_pid()"
            " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
        )


@asynccontextmanager
async def held(database: Database, *, expiry_s: float = 60) -> AsyncGenerator[Held]:
    async with database.direct() as connection:
        one = Held(database, connection, expiry_s)
        await one.lease.start()
        try:
            yield one
        finally:
            await one.lease.stop()


async def test_a_lease_holds_its_lock_and_renews_its_row(database: Database) -> None:
    async with held(database) as one:
        assert await one.is_locked()
        before = await one.connection.fetchval("SELECT expires_at FROM executors WHERE id = $1", one.executor)

        async def is_renewed() -> bool:
            query = "SELECT expires_at > $2 FROM executors WHERE id = $1"
            return await one.connection.fetchval(query, one.executor, before)

        await until(is_renewed)
        assert 50 < await one.expires_in_s() <= 60
        assert not one.lost.is_set()


async def test_a_lease_that_was_stopped_has_run_out_and_keeps_its_row(database: Database) -> None:
    async with held(database) as one:
        await one.lease.stop()
        assert await one.queue.dead_executors(OBSERVER, 0) == {one.executor: True}
        assert await one.expires_in_s() <= 0


async def test_a_lost_connection_is_made_again_and_the_lock_taken_before_anybody_is_told(database: Database) -> None:
    async with held(database) as one:
        for _ in range(2):
            await one.kill()
            await until(one.is_locked)
        assert not one.lost.is_set()


async def test_an_executor_that_cannot_keep_its_lease_is_told_on_its_own_thread(database: Database) -> None:
    async with held(database, expiry_s=0.5) as one:
        one.lease._database = type(database)(with_database(database.url, "nowhere"), database._engine)
        await one.kill()
        async with asyncio.timeout(20):
            await one.lost.wait()
        assert one.lost_in is threading.main_thread()
        assert await one.expires_in_s() < 0
        assert await one.queue.dead_executors(OBSERVER, 0) == {one.executor: True}
        one.lost.clear()
        one.lease._database = database
        await until(one.is_locked)


async def test_a_loop_that_does_not_turn_loses_its_lease(database: Database) -> None:
    async with held(database, expiry_s=0.3) as one:
        one.lease._turn = lambda: None  # the loop takes no notice any more
        async with asyncio.timeout(20):
            await one.lost.wait()
        assert await one.expires_in_s() < 0


async def test_a_process_that_was_frozen_for_longer_than_its_lease_is_told_when_it_wakes(database: Database) -> None:
    async with held(database) as one:
        one.lease._renewed_at -= 60  # as if it had slept, though its loop turns again
        async with asyncio.timeout(20):
            await one.lost.wait()
        assert await one.is_locked()
        assert await one.expires_in_s() > 50, "and it goes on with a lease that holds"
