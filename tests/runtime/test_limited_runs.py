"""Runs whose nodes want room under the limits of a connection."""

from __future__ import annotations

import asyncio
import time
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
from uuid_utils.compat import uuid7

from domain.errors import NodeFault
from domain.events import (
    NodeFailed,
    NodeRetrying,
    NodeStarted,
    NodeSucceeded,
    NodeWaiting,
    RunCanceled,
    RunSucceeded,
    RunWaiting,
)
from domain.ids import ExecutorId
from domain.run import WaitReason
from runtime.engine_limits import EngineLimits
from runtime.patience import WAITER
from tests.runtime.test_connection_limits import Endpoint, caps_of
from tests.support.engines import NoServices, World, names, only, world
from tests.support.kinds import graph, retry, script
from tests.support.limits import limits_of
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

    from domain.ids import RunId
    from domain.kinds import NodeContext
    from domain.rate_limits import Caps
    from domain.workflow import Definition
    from persistence.database import Database
    from runtime.connection_limits import ConnectionLimits
    from tests.support.kinds import Step

FAST = EngineLimits(poll_s=0.02, takeover_probe_s=0.05, linger_s=0)


class LimitedServices(NoServices):
    """Services that know who waits for room."""

    def __init__(self, limits: ConnectionLimits) -> None:
        self._limits = limits

    def on_room(self, attempts: str, wake: Callable[[], bool]) -> bool:
        """Call `wake` when there is room."""
        return self._limits.on_room(attempts, wake)

    def leave_queue(self, attempts: str) -> None:
        """Give up a place."""
        self._limits.leave(attempts)


class Place:
    """An endpoint that nodes of a world visit when there is room for them."""

    def __init__(self, limits: ConnectionLimits, caps: Caps) -> None:
        self.limits = limits
        self.caps = caps
        self.inside = 0
        self.most = 0
        self.visits = 0
        self.gate = asyncio.Event()

    async def visit(self, _: NodeContext) -> str:
        """Go in and stay until the gate is open."""
        async with self.limits.permit(self.caps):
            self.visits += 1
            self.inside += 1
            self.most = max(self.most, self.inside)
            try:
                await self.gate.wait()
            finally:
                self.inside -= 1
        return "seen"


@asynccontextmanager
async def limited(
    database: Database,
    caps: Caps,
    *,
    short_s: float = 0.05,
    window_s: float = 60.0,
    like: World | None = None,
    **more: Step,
) -> AsyncGenerator[tuple[World, Place]]:
    """Open an engine whose nodes `a`, `b`, `c` visit a place under limits."""
    async with limits_of(database, executor=ExecutorId(uuid7()), short_s=short_s, window_s=window_s) as held:
        place = Place(held, caps)
        kind = script(a=place.visit, b=place.visit, c=place.visit, **more)
        async with world(database, kind, limits=FAST, like=like) as w:
            w.engine.services = LimitedServices(held)
            yield w, place


async def started(w: World, definition: Definition) -> RunId:
    """Start a run as `startRun` does."""
    run = w.new_run(await w.add(definition))
    await w.engine.start(run)
    return run.id


async def waits(w: World, run_id: RunId) -> NodeWaiting:
    """Wait until a node of a run says that it waits."""
    found: list[NodeWaiting] = []

    async def is_there() -> bool:
        found[:] = [logged.event for logged in await w.log_rows(run_id) if isinstance(logged.event, NodeWaiting)]
        return bool(found)

    await until(is_there)
    return found[-1]


async def test_a_node_without_room_says_that_it_waits_and_goes_on_when_there_is_some(database: Database) -> None:
    async with limited(database, await caps_of(database, max_concurrent=1)) as (w, place):
        first = await started(w, graph("a"))
        await until(lambda: place.inside == 1)
        run_id = await started(w, graph({"b": {"retry": retry(1)}}))
        wait = await waits(w, run_id)
        assert (wait.reason, wait.until) == (WaitReason.RATE_LIMIT, None)
        (state,) = (await w.reader.snapshot(run_id)).nodes
        assert (state.node_run.status.value, state.wait is not None) == ("WAITING", True)
        assert w.engine.holds(run_id), "whose turn comes when others are done stays in memory"
        place.gate.set()
        await w.ended(first)
        events = await w.ended(run_id)
        assert names(events)[2:] == [
            "NodeStarted b",
            "NodeWaiting b",
            "NodeStarted b",
            "NodeSucceeded b",
            "RunSucceeded",
        ]
        assert only(events, NodeSucceeded).execution == 2
        assert place.most == 1


async def test_a_node_that_waits_for_a_known_time_leaves_memory_and_comes_back(database: Database) -> None:
    async with limited(database, await caps_of(database)) as (w, place):
        place.gate.set()
        await place.limits.pause(place.caps, 1.2)
        run_id = await started(w, graph("a"))
        wait = await waits(w, run_id)
        assert wait.until is not None
        await until(lambda: not w.engine.holds(run_id))
        assert place.visits == 0
        events = await w.ended(run_id)
        assert only(events, RunWaiting).until == wait.until
        assert only(events, NodeSucceeded).execution == 2
        begun = [logged.at for logged in events if isinstance(logged.event, NodeStarted)]
        assert (begun[1] - begun[0]).total_seconds() >= 1.1


@pytest.mark.parametrize("engines", [1, 2])
async def test_runs_that_leave_memory_until_their_minute_begins_each_send_once_and_never_too_many_in_a_minute(
    database: Database, engines: int
) -> None:
    window_s, came_at, worlds, places = 1.0, list[float](), list[World](), list[Place]()

    def asking(engine: int) -> Step:
        async def ask(_: NodeContext) -> None:
            async with places[engine].limits.permit(caps):
                came_at.append(time.monotonic())

        return ask

    caps = await caps_of(database, requests_per_minute=4)
    async with AsyncExitStack() as stack:
        for engine in range(engines):
            like = worlds[0] if worlds else None
            one = limited(database, caps, window_s=window_s, ask=asking(engine), like=like)
            w, place = await stack.enter_async_context(one)
            worlds.append(w)
            places.append(place)
        runs = [await started(worlds[number % engines], graph("ask")) for number in range(8)]
        logs = [await worlds[0].ended(run_id) for run_id in runs]
    assert all(isinstance(log[-1].event, RunSucceeded) for log in logs)
    assert any(isinstance(logged.event, RunWaiting) for log in logs for logged in log), "some were out of memory"
    assert len(came_at) == 8
    # As in test_connection_limits: the way to the other side may take up half of the window here.
    assert all(later - came > window_s * 0.5 for came, later in zip(came_at, came_at[4:], strict=False)), came_at
    assert came_at[-1] - came_at[0] >= window_s * 0.95


async def test_waiting_costs_no_try(database: Database) -> None:
    tries = 0

    async def fail(_: NodeContext) -> None:
        nonlocal tries
        async with place.limits.permit(place.caps):
            tries += 1
            if tries < 3:
                raise NodeFault("BROKEN", "no", is_retryable=True)

    async with limited(database, await caps_of(database), fail=fail) as (w, place):
        await place.limits.pause(place.caps, 0.3)
        events = await w.ended(await started(w, graph({"fail": {"retry": retry(3)}})))
        assert isinstance(events[-1].event, RunSucceeded), names(events)
        assert (tries, only(events, NodeSucceeded).execution) == (3, 4)
        assert sum(isinstance(logged.event, NodeRetrying) for logged in events) == 2


async def test_a_run_that_waits_for_room_is_cancelled_at_once_and_takes_none(database: Database) -> None:
    async with limited(database, await caps_of(database, max_concurrent=1)) as (w, place):
        first = await started(w, graph("a"))
        await until(lambda: place.inside == 1)
        run_id = await started(w, graph("b"))
        await waits(w, run_id)
        await w.cancel(run_id)
        assert isinstance((await w.ended(run_id))[-1].event, RunCanceled)
        third = await started(w, graph("c"))
        await waits(w, third)
        place.gate.set()
        async with asyncio.timeout(5):
            await asyncio.gather(w.ended(first), w.ended(third))
        assert place.visits == 2


async def test_a_paused_run_gives_its_room_to_others_and_takes_its_turn_when_it_goes_on(database: Database) -> None:
    async with limited(database, await caps_of(database, max_concurrent=1)) as (w, place):
        first = await started(w, graph("a"))
        await until(lambda: place.inside == 1)
        run_id = await started(w, graph("b"))
        await waits(w, run_id)
        await w.pause(run_id)
        await until(lambda: not w.engine.holds(run_id))  # out of memory: it starts nothing anyway
        third = await started(w, graph("c"))
        place.gate.set()
        async with asyncio.timeout(8):  # sooner than somebody who does not come loses his room
            await asyncio.gather(w.ended(first), w.ended(third))
        assert place.visits == 2
        await w.resume(run_id)
        assert isinstance((await w.ended(run_id))[-1].event, RunSucceeded)
        assert (place.visits, place.most) == (3, 1)


@pytest.mark.parametrize("short_s", [0.05, 60])
async def test_the_time_of_an_attempt_does_not_run_while_it_waits_for_room_but_that_of_all_does(
    database: Database, short_s: float
) -> None:
    async with limited(database, await caps_of(database, max_concurrent=1), short_s=short_s) as (w, place):
        first = await started(w, graph("a"))
        await until(lambda: place.inside == 1)
        policy = {"retry": retry(1)}
        patient = await started(w, graph({"b": {"timeouts": {"startToCloseMs": 300, "idleMs": 300}, **policy}}))
        bounded = await started(w, graph({"c": {"timeouts": {"scheduleToCloseMs": 500}, **policy}}))
        failed = only(await w.ended(bounded), NodeFailed)
        assert failed.failure.code == "TIMED_OUT"
        assert place.inside == 1
        place.gate.set()
        assert isinstance((await w.ended(patient))[-1].event, RunSucceeded)
        await w.ended(first)


async def test_one_at_a_time_a_fan_of_twenty_comes_through(database: Database) -> None:
    caps, endpoint = await caps_of(database, max_concurrent=1), Endpoint()

    async def work(_: NodeContext) -> None:
        await endpoint.visit(place.limits, caps, 0.02, WAITER.get())

    async with limited(database, caps, short_s=0.1, work=work) as (w, place):
        nodes: dict[str, dict[str, Any]] = {f"n{number}": {"step": "work"} for number in range(20)}
        begun = time.monotonic()
        events = await w.ended(await started(w, graph(nodes)))
        assert isinstance(events[-1].event, RunSucceeded)
        assert sum(isinstance(logged.event, NodeSucceeded) for logged in events) == 20
        assert endpoint.most == 1
        assert time.monotonic() - begun < 15, "the room is never left empty for long"


async def test_one_at_a_time_the_items_of_a_list_come_through_and_each_waits_for_itself(database: Database) -> None:
    caps, endpoint = await caps_of(database, max_concurrent=1), Endpoint()

    async def work(_: NodeContext) -> None:
        await endpoint.visit(place.limits, caps, 0.03, WAITER.get())

    async with limited(database, caps, work=work) as (w, place):
        each = {"items": "{{ input }}", "maxParallelItems": 5}
        node = {"step": "work", "forEach": each, "retry": retry(1)}
        run = w.new_run(await w.add(graph({"n": node})), list(range(20)))
        await w.engine.start(run)
        events = await w.ended(run.id)
        assert isinstance(events[-1].event, RunSucceeded)
        done = [logged.event.item_index for logged in events if isinstance(logged.event, NodeSucceeded)]
        assert sorted(item for item in done if item is not None) == list(range(20))
        waited = [logged.event for logged in events if isinstance(logged.event, NodeWaiting)]
        assert waited
        assert all(wait.item_index is not None and wait.reason is WaitReason.RATE_LIMIT for wait in waited)
        assert endpoint.most == 1


async def test_a_run_whose_process_dies_while_it_waits_is_gone_on_with_elsewhere(database: Database) -> None:
    caps = await caps_of(database, max_concurrent=1)
    async with limited(database, caps) as (w, place):
        blocking = await started(w, graph("a"))
        await until(lambda: place.inside == 1)
        run_id = await started(w, graph("b"))
        await waits(w, run_id)
        w.crash()
        w.engine.lost()
        await w.entered(expires_in_s=-1)
        async with limited(database, caps, like=w) as (heir, other):
            other.gate.set()
            place.gate.set()
            events = await heir.ended(run_id)
            assert isinstance(events[-1].event, RunSucceeded)
            assert only(events, NodeSucceeded).execution >= 2
            await heir.ended(blocking)
