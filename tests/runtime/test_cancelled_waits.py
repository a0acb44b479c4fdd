"""Whoever is cancelled while he waits for a connection, or was just told that it is his turn, keeps nobody else waiting."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

import pytest

from domain.errors import NodeFault
from domain.events import RunCanceled, RunSucceeded
from tests.runtime.test_connection_limits import Endpoint, caps_of
from tests.runtime.test_limited_runs import limited, started, waits
from tests.support.kinds import forever, graph
from tests.support.limits import open_two
from tests.support.waiting import until

if TYPE_CHECKING:
    from domain.ids import RunId
    from domain.kinds import NodeContext
    from domain.workflow import Definition
    from persistence.database import Database
    from tests.runtime.test_limited_runs import Place
    from tests.support.engines import World

SOON_S = 5.0
"""Half of the time after which room is taken back from a node that was woken and does not come."""


@pytest.mark.parametrize("processes", [1, 2])
async def test_when_five_of_six_that_wait_are_cancelled_one_by_one_the_sixth_goes_when_there_is_room(
    database: Database, processes: int
) -> None:
    caps, endpoint = await caps_of(database, max_concurrent=1), Endpoint()
    async with open_two(database) as two:
        first = asyncio.create_task(endpoint.visit(two[0], caps, None))
        await until(lambda: endpoint.inside == 1)
        queued = [asyncio.create_task(endpoint.visit(two[n % processes], caps)) for n in range(6)]
        await until(lambda: sum(len(queue.tickets) for one in two for queue in one._queues.values()) == 6)
        for place, task in enumerate(queued[:5]):
            if place == 4:
                endpoint.gate.set()  # one of them goes in the moment of its turn
            task.cancel()
            await asyncio.sleep(0)  # one by one
        async with asyncio.timeout(SOON_S):
            await asyncio.gather(first, queued[5])
        await asyncio.gather(*queued, return_exceptions=True)
        assert endpoint.most == 1


@pytest.mark.parametrize("engines", [1, 2])
async def test_when_five_of_six_runs_that_wait_are_cancelled_the_sixth_goes_when_there_is_room(
    database: Database, engines: int
) -> None:
    caps = await caps_of(database, max_concurrent=1)
    async with AsyncExitStack() as stack:
        w, place = await stack.enter_async_context(limited(database, caps))
        worlds, places = [w], [place]
        if engines == 2:
            other, beside = await stack.enter_async_context(limited(database, caps, like=w))
            worlds.append(other)
            places.append(beside)
        first = await started(w, graph("a"))
        await until(lambda: place.inside == 1)
        queued = [(worlds[n % engines], await started(worlds[n % engines], graph("b"))) for n in range(6)]
        for at, run_id in queued[:3]:
            await waits(at, run_id)  # the others may be anywhere on their way
        for number, (at, run_id) in enumerate(queued[:5]):
            if number == 3:
                for one in places:
                    one.gate.set()
            await at.cancel(run_id)
        async with asyncio.timeout(SOON_S):
            assert isinstance((await w.ended(first))[-1].event, RunSucceeded)
            ends = [(await at.ended(run_id))[-1].event for at, run_id in queued]
        assert isinstance(ends[5], RunSucceeded)
        assert all(isinstance(end, RunCanceled | RunSucceeded) for end in ends)


async def in_line(w: World, place: Place, second: Definition) -> tuple[RunId, RunId, RunId]:
    """Start a run that is inside, one that waits behind it, and one that waits behind that."""
    first = await started(w, graph("a"))
    await until(lambda: place.inside == 1)
    waiting: list[RunId] = []
    for definition in (second, graph("c")):
        waiting.append(await started(w, definition))
        await waits(w, waiting[-1])
    return first, waiting[0], waiting[1]


async def test_a_node_that_is_cancelled_between_its_turn_and_its_request_keeps_no_room(database: Database) -> None:
    back, tries = asyncio.Event(), 0

    async def slow(_: NodeContext) -> None:
        nonlocal tries
        tries += 1
        if tries == 2:
            back.set()
            await asyncio.Event().wait()  # it asks the database for its credential, say
        async with place.limits.permit(caps):
            pass

    caps = await caps_of(database, max_concurrent=1)
    async with limited(database, caps, slow=slow) as (w, place):
        first, run_id, next_one = await in_line(w, place, graph("slow"))
        place.gate.set()
        async with asyncio.timeout(SOON_S):
            await back.wait()
            await w.cancel(run_id)
            assert isinstance((await w.ended(run_id))[-1].event, RunCanceled)
            assert isinstance((await w.ended(next_one))[-1].event, RunSucceeded)
        await w.ended(first)


async def test_a_node_that_is_cancelled_before_it_begins_again_keeps_no_room(database: Database) -> None:
    async with limited(database, await caps_of(database, max_concurrent=1), forever=forever) as (w, place):
        nodes = {"b": {}, "busy": {"step": "forever"}}
        first, run_id, next_one = await in_line(w, place, graph(nodes, maxParallelNodes=1))
        place.gate.set()
        await w.ended(first)
        await until(lambda: bool(w.engine._runs[run_id].state.woken))  # it is woken, and the one place is taken
        await w.cancel(run_id)
        async with asyncio.timeout(SOON_S):
            assert isinstance((await w.ended(run_id))[-1].event, RunCanceled)
            assert isinstance((await w.ended(next_one))[-1].event, RunSucceeded)


async def test_a_node_that_fails_before_it_asks_again_keeps_no_room(database: Database) -> None:
    tries = 0

    async def fickle(_: NodeContext) -> None:
        nonlocal tries
        tries += 1
        if tries == 2:
            raise NodeFault("BROKEN", "It has changed its mind.")
        async with place.limits.permit(caps):
            pass

    caps = await caps_of(database, max_concurrent=1)
    async with limited(database, caps, fickle=fickle) as (w, place):
        first, run_id, next_one = await in_line(w, place, graph("fickle"))
        place.gate.set()
        async with asyncio.timeout(SOON_S):
            await w.ended(run_id)
            assert isinstance((await w.ended(next_one))[-1].event, RunSucceeded)
        await w.ended(first)
