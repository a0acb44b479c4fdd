"""What may happen to a connection while many wait for it: its limits change, it is deleted, the database is away."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import pytest

from domain.errors import NodeFault
from tests.runtime.test_connection_limits import Attempt, Endpoint, caps_of
from tests.support.limits import limit, limits_of, open_two
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import Sequence

    from persistence.database import Database
    from runtime.connection_limits import ConnectionLimits

KILL_OTHERS = """
SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
 WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'
"""


def waiting_in(processes: Sequence[ConnectionLimits]) -> int:
    return sum(len(queue.tickets) for one in processes for queue in one._queues.values())


async def test_limits_that_fall_to_one_and_rise_again_while_twenty_wait_are_kept_at_each_moment(
    database: Database,
) -> None:
    caps, endpoint = await caps_of(database, max_concurrent=4), Endpoint()
    async with open_two(database) as two:
        visits = [asyncio.create_task(endpoint.visit(two[place % 2], caps, None)) for place in range(24)]
        await until(lambda: endpoint.inside == 4 and waiting_in(two) == 20)
        await limit(database, caps.key, max_concurrent=1)
        for visit in [visit for visit in visits if not visit.done()][:3]:
            visit.cancel()  # they may be inside or wait: the others are still more than one
        await until(lambda: sum(visit.done() for visit in visits) == 3)
        assert len(endpoint.came_at) <= 4 or endpoint.inside == 1
        await limit(database, caps.key, max_concurrent=20)
        endpoint.gate.set()
        async with asyncio.timeout(20):
            await asyncio.gather(*visits, return_exceptions=True)
        assert sum(not visit.cancelled() and visit.exception() is None for visit in visits) == 21
        assert endpoint.most <= 20


async def test_all_who_wait_for_a_connection_that_is_deleted_are_told_also_those_who_have_left(
    database: Database,
) -> None:
    caps, endpoint, left = await caps_of(database, max_concurrent=1), Endpoint(), Attempt("run/left/-")
    async with open_two(database) as two:
        inside = asyncio.create_task(endpoint.visit(two[0], caps, None))
        await until(lambda: endpoint.inside == 1)
        visits = [asyncio.create_task(endpoint.visit(two[place % 2], caps)) for place in range(20)]
        with pytest.raises(NodeFault):
            await endpoint.visit(two[1], caps, waiter=left)
        woken = asyncio.Event()

        def wake() -> bool:
            woken.set()
            return True

        assert two[1].on_room(left.idempotency_key, wake)
        async with database.direct() as connection:
            await connection.execute("DELETE FROM connections WHERE id = $1", caps.key)
        async with asyncio.timeout(20):
            ends = await asyncio.gather(*visits, return_exceptions=True)
            await woken.wait()
        assert {getattr(end, "code", end) for end in ends} == {"CONNECTION_NOT_FOUND"}
        endpoint.gate.set()
        await inside
        assert not any(one._queues or one._left for one in two), "nothing of it is remembered"


async def test_whoever_waits_outlasts_a_database_that_drops_every_connection_for_a_while(database: Database) -> None:
    caps, endpoint = await caps_of(database, max_concurrent=2), Endpoint()
    async with open_two(database) as two:
        visits = [asyncio.create_task(endpoint.visit(two[place % 2], caps, 0.02)) for place in range(12)]
        async with database.direct() as killer:
            begun = time.monotonic()
            while time.monotonic() - begun < 1.5:
                await killer.execute(KILL_OTHERS)
        async with asyncio.timeout(20):
            await asyncio.gather(*visits)
        assert (len(endpoint.came_at), endpoint.most <= 2) == (12, True)


async def test_a_pause_from_before_the_clock_was_set_back_stops_nobody_and_a_new_one_counts(
    database: Database,
) -> None:
    caps, endpoint = await caps_of(database, max_concurrent=1), Endpoint()
    async with limits_of(database) as limits:
        await limits.pause(caps, 5)
        async with database.direct() as connection:
            await connection.execute("UPDATE connection_limits SET paused_until = now() + interval '1 day'")
    async with limits_of(database, short_s=0.2) as limits:
        async with asyncio.timeout(10):
            await endpoint.visit(limits, caps)
        assert not await limits._permits.list_pauses()
        await limits.pause(caps, 600)
        (left_s,) = (await limits._permits.list_pauses()).values()
        assert 590 < left_s <= 600
