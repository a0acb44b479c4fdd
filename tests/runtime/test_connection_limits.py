"""Processes that share the limits of a connection: who is let through, who is woken, and what the dead leave behind."""

from __future__ import annotations

import asyncio
import time
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest
from uuid_utils.compat import uuid7

from domain.errors import NodeFault
from domain.ids import ExecutorId
from domain.rate_limits import SERVER_MODEL, Caps, NoRoom
from runtime.patience import WAITER, Background
from tests.support.limits import limit, limits_of, open_two, stored_connection
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Generator
    from contextlib import AbstractContextManager
    from uuid import UUID

    from persistence.database import Database
    from runtime.connection_limits import ConnectionLimits
    from runtime.patience import Waiter


@dataclass
class Attempt:
    """An attempt of a node, as limits see it."""

    idempotency_key: str
    has_sent: bool = False
    waits_since: float | None = None
    holds: int = 0

    def holding(self) -> AbstractContextManager[None]:
        """Count how often the clocks stood still."""

        @contextmanager
        def hold() -> Generator[None]:
            self.holds += 1
            yield

        return hold()


PATIENT = Background()


@dataclass
class Endpoint:
    """Counts who is there, and when they came."""

    inside: int = 0
    most: int = 0
    came_at: list[float] = field(default_factory=list[float])
    gate: asyncio.Event = field(default_factory=asyncio.Event)

    async def visit(
        self, limits: ConnectionLimits, caps: Caps, stay_s: float | None = 0.0, waiter: Waiter | None = PATIENT
    ) -> None:
        """Go there when there is room, and stay until the gate opens, or so long."""
        WAITER.set(waiter)
        async with limits.permit(caps):
            self.came_at.append(time.monotonic())
            self.inside += 1
            self.most = max(self.most, self.inside)
            try:
                if stay_s is None:
                    await self.gate.wait()
                else:
                    await asyncio.sleep(stay_s)  # the length of a visit is what is tested
            finally:
                self.inside -= 1


@pytest.fixture
async def two(database: Database) -> AsyncGenerator[list[ConnectionLimits]]:
    """Open two processes."""
    async with open_two(database) as opened:
        yield opened


async def caps_of(
    database: Database, max_concurrent: int | None = None, requests_per_minute: int | None = None
) -> Caps:
    key = await stored_connection(database, max_concurrent=max_concurrent, requests_per_minute=requests_per_minute)
    return Caps(key, "api", max_concurrent, requests_per_minute)


async def rows(database: Database) -> int:
    async with database.direct() as connection:
        return await connection.fetchval("SELECT count(*) FROM connection_limits")


async def share(database: Database, key: UUID) -> str:
    async with database.direct() as connection:
        return await connection.fetchval("SELECT shares::text FROM connection_limits WHERE key = $1", key)


async def test_two_processes_never_have_more_in_flight_than_allowed_and_all_come_through(
    database: Database, two: list[ConnectionLimits]
) -> None:
    caps, endpoint = await caps_of(database, max_concurrent=3), Endpoint()
    async with asyncio.TaskGroup() as tasks:
        for number in range(60):
            tasks.create_task(endpoint.visit(two[number % 2], caps, 0.005))
    assert (len(endpoint.came_at), endpoint.most) == (60, 3)

    async def is_free() -> bool:
        return await share(database, caps.key) == "{}"

    await until(is_free)


async def test_no_window_sees_more_requests_than_allowed_from_three_processes(database: Database) -> None:
    window_s, endpoint = 1.2, Endpoint()
    caps = await caps_of(database, requests_per_minute=5)
    async with AsyncExitStack() as stack:
        three = [
            await stack.enter_async_context(limits_of(database, executor=ExecutorId(uuid7()), window_s=window_s))
            for _ in range(3)
        ]
        async with asyncio.TaskGroup() as tasks:
            for number in range(10):
                tasks.create_task(endpoint.visit(three[number % 3], caps))
    assert len(endpoint.came_at) == 10
    # What is let through keeps a distance of 61/60 of the window; the way to the other side may take up half of it here.
    at = sorted(endpoint.came_at)
    assert all(at[place + 5] - at[place] > window_s * 0.5 for place in range(5)), at
    assert at[-1] - at[0] >= window_s * 0.95
    assert at[-1] - at[0] < window_s + 10


async def test_a_connection_without_limits_costs_no_statement(database: Database) -> None:
    async with limits_of(database) as limits:
        caps = await caps_of(database)
        for _ in range(3):
            await Endpoint().visit(limits, caps)
        async with limits.permit(None):
            pass
        assert await rows(database) == 0


async def test_a_short_wait_is_no_news_and_a_long_one_is_told_so_that_the_node_leaves(
    database: Database, two: list[ConnectionLimits]
) -> None:
    caps, endpoint, attempt = await caps_of(database, max_concurrent=1), Endpoint(), Attempt("run/node/-")
    inside = asyncio.create_task(endpoint.visit(two[0], caps, None))
    await until(lambda: endpoint.inside == 1)
    with pytest.raises(NoRoom) as caught:
        await endpoint.visit(two[1], caps, waiter=attempt)
    assert (caught.value.retry_after_s, attempt.has_sent, attempt.holds) == (None, False, 1)
    woken = asyncio.Event()

    def wake() -> bool:
        woken.set()
        return True

    assert two[1].on_room(attempt.idempotency_key, wake)
    assert not two[0].on_room(attempt.idempotency_key, wake), "its place is in the other process"
    assert not woken.is_set()
    endpoint.gate.set()
    await inside
    async with asyncio.timeout(10):
        await woken.wait()
    later = Endpoint()
    other = asyncio.create_task(later.visit(two[1], caps))
    await asyncio.sleep(0)  # it stands in the queue now
    await endpoint.visit(two[1], caps, waiter=attempt)  # the room is kept for whoever was woken
    await other
    assert endpoint.came_at[1] < later.came_at[0]
    assert attempt.has_sent


async def test_room_that_a_node_does_not_want_any_more_goes_to_the_next(
    database: Database, two: list[ConnectionLimits]
) -> None:
    caps, endpoint = await caps_of(database, max_concurrent=1), Endpoint()
    inside = asyncio.create_task(endpoint.visit(two[0], caps, None))
    await until(lambda: endpoint.inside == 1)
    with pytest.raises(NoRoom):
        await endpoint.visit(two[0], caps, waiter=Attempt("run/gone/-"))
    assert two[0].on_room("run/gone/-", lambda: False)
    next_one = asyncio.create_task(endpoint.visit(two[0], caps, 0))
    endpoint.gate.set()
    async with asyncio.timeout(5):
        await asyncio.gather(inside, next_one)
    assert endpoint.most == 1


async def test_whoever_leaves_his_place_uses_nothing_up_and_is_the_first_when_he_comes_back(
    database: Database, two: list[ConnectionLimits]
) -> None:
    caps, endpoint, attempt = await caps_of(database, max_concurrent=1), Endpoint(), Attempt("run/left/-")
    begun = time.time()
    inside = asyncio.create_task(endpoint.visit(two[0], caps, None))
    await until(lambda: endpoint.inside == 1)
    with pytest.raises(NoRoom):
        await endpoint.visit(two[0], caps, waiter=attempt)
    two[0].leave(attempt.idempotency_key)
    assert not two[0].on_room(attempt.idempotency_key, lambda: True), "it has no place any more"
    later, came = asyncio.create_task(endpoint.visit(two[0], caps)), Endpoint()

    async def waiting() -> bool:
        return ", 1, " in await share(database, caps.key) or ",1," in await share(database, caps.key)

    await until(waiting)
    attempt.has_sent, attempt.waits_since = True, begun  # patient, and known to have been here
    back = asyncio.create_task(came.visit(two[0], caps, waiter=attempt))
    await asyncio.sleep(0)  # it stands in the queue now
    endpoint.gate.set()
    async with asyncio.timeout(5):  # sooner than somebody who does not come loses his room
        await asyncio.gather(inside, later, back)
    assert came.came_at[0] < endpoint.came_at[1]


async def test_an_attempt_that_has_sent_something_waits_where_it_is(
    database: Database, two: list[ConnectionLimits]
) -> None:
    caps, endpoint = await caps_of(database, max_concurrent=1), Endpoint()
    inside = asyncio.create_task(endpoint.visit(two[0], caps, None))
    await until(lambda: endpoint.inside == 1)
    waiting = asyncio.create_task(endpoint.visit(two[1], caps, waiter=Attempt("run/node/-", has_sent=True)))
    done, _ = await asyncio.wait({waiting}, timeout=0.5)  # longer than a short wait
    assert not done
    endpoint.gate.set()
    await asyncio.gather(inside, waiting)


async def test_whoever_gives_up_takes_no_room(database: Database, two: list[ConnectionLimits]) -> None:
    caps, endpoint = await caps_of(database, max_concurrent=1), Endpoint()
    inside = asyncio.create_task(endpoint.visit(two[0], caps, None))
    await until(lambda: endpoint.inside == 1)
    waiting = [asyncio.create_task(endpoint.visit(limits, caps)) for limits in two for _ in range(3)]

    async def is_known() -> bool:
        return (await share(database, caps.key)).count(", 3,") + (await share(database, caps.key)).count(",3,") == 2

    await until(is_known)
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    endpoint.gate.set()
    await inside
    async with asyncio.timeout(5):
        await endpoint.visit(two[1], caps)
    assert len(endpoint.came_at) == 2


async def test_a_pause_of_one_process_is_obeyed_by_the_others_also_without_limits(
    database: Database, two: list[ConnectionLimits]
) -> None:
    caps, other, endpoint = await caps_of(database), await caps_of(database), Endpoint()
    begun = time.monotonic()
    await two[0].pause(caps, 1.5)
    await until(lambda: two[1]._is_paused(caps.key))
    await endpoint.visit(two[1], other)
    assert time.monotonic() - begun < 1.5, "another connection is not concerned"
    await asyncio.gather(*(endpoint.visit(limits, caps) for limits in two for _ in range(5)))
    assert min(endpoint.came_at[1:]) - begun >= 1.4


async def test_a_pause_that_was_told_before_a_process_came_is_obeyed_by_it(database: Database) -> None:
    caps, endpoint = await caps_of(database), Endpoint()
    async with limits_of(database) as limits:
        await limits.pause(caps, 600)
    async with limits_of(database, short_s=0.2) as limits:
        await until(lambda: limits._is_paused(caps.key))
        with pytest.raises(NoRoom) as caught:
            await endpoint.visit(limits, caps, waiter=Attempt("run/node/-"))
    assert 590 < (caught.value.retry_after_s or 0) <= 600


async def test_nobody_can_stop_a_connection_for_longer_than_an_hour(database: Database) -> None:
    async with limits_of(database) as limits:
        caps = Caps(SERVER_MODEL, "the server's own")
        await limits.pause(caps, 1e9)
        with pytest.raises(NoRoom) as caught:
            await Endpoint().visit(limits, caps, waiter=None)
    assert 3_500 < (caught.value.retry_after_s or 0) <= 3_600


async def test_limits_that_change_count_for_those_who_wait(database: Database, two: list[ConnectionLimits]) -> None:
    caps, endpoint = await caps_of(database, max_concurrent=1), Endpoint()
    visits = [asyncio.create_task(endpoint.visit(two[place % 2], caps, None)) for place in range(4)]
    await until(lambda: endpoint.inside == 1)
    await limit(database, caps.key, max_concurrent=3)
    await until(lambda: endpoint.inside == 3)
    await limit(database, caps.key)
    await until(lambda: endpoint.inside == 4)
    endpoint.gate.set()
    await asyncio.gather(*visits)


async def test_whoever_waits_for_a_connection_that_is_deleted_is_told(
    database: Database, two: list[ConnectionLimits]
) -> None:
    caps, endpoint = await caps_of(database, max_concurrent=1), Endpoint()
    inside = asyncio.create_task(endpoint.visit(two[0], caps, None))
    await until(lambda: endpoint.inside == 1)
    waiting = asyncio.create_task(endpoint.visit(two[1], caps))
    async with database.direct() as connection:
        await connection.execute("DELETE FROM connections WHERE id = $1", caps.key)
    with pytest.raises(NodeFault) as caught:
        await waiting
    assert caught.value.code == "CONNECTION_NOT_FOUND"
    assert caught.value.message == (
        "The connection 'api' was deleted while a request waited for room under its limits."
    )
    endpoint.gate.set()
    await inside


async def test_connections_do_not_wait_for_each_other(database: Database, two: list[ConnectionLimits]) -> None:
    full, free = await caps_of(database, max_concurrent=1), await caps_of(database, max_concurrent=1)
    endpoint = Endpoint()
    inside = asyncio.create_task(endpoint.visit(two[0], full, None))
    await until(lambda: endpoint.inside == 1)
    async with asyncio.timeout(5):
        await endpoint.visit(two[0], free)
    endpoint.gate.set()
    await inside


async def test_what_a_process_held_that_is_gone_is_free_when_its_lock_is(database: Database) -> None:
    caps, endpoint = await caps_of(database, max_concurrent=1), Endpoint()
    dead = ExecutorId(uuid7())
    async with limits_of(database, executor=ExecutorId(uuid7())) as living:
        async with limits_of(database, executor=dead) as dying:
            inside = asyncio.create_task(endpoint.visit(dying, caps, None))
            await until(lambda: endpoint.inside == 1)
        async with database.direct() as connection:  # a process that is killed does not end its lease
            await connection.execute("UPDATE executors SET expires_at = now() + interval '60 s' WHERE id = $1", dead)
        begun = time.monotonic()
        async with asyncio.timeout(20):
            await endpoint.visit(living, caps)
        assert time.monotonic() - begun >= 0.9, "a lock that is free for a moment is no proof"
    inside.cancel()
    await asyncio.gather(inside, return_exceptions=True)
