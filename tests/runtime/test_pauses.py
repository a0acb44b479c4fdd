"""Pauses: of runs at work, in the queue, out of memory, and across processes that die."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest

from domain.errors import Conflict, NodeFault
from domain.events import RunFailed, RunPaused, RunRecovered, RunResumed, RunStarted
from domain.run import RunStatus
from domain.workflow import ConcurrencyPolicy
from runtime.engine_limits import EngineLimits
from runtime.nodes.wait import KIND as WAIT
from tests.runtime.test_run_waits import FAST, LINGERING, begun, has_left, is_due, waiting
from tests.support.engines import BY, World, names, only, world
from tests.support.kinds import failing, forever, graph, retry, script
from tests.support.waiting import until

if TYPE_CHECKING:
    from domain.ids import RunId
    from domain.kinds import NodeContext
    from persistence.database import Database


class Gate:
    """A step that tells when it is at work and ends when it is let."""

    def __init__(self) -> None:
        self.entered = asyncio.Event()
        self.opened = asyncio.Event()

    async def __call__(self, _: NodeContext) -> str:
        self.entered.set()
        await self.opened.wait()
        return "through"


async def is_paused(w: World, run_id: RunId, *, is_out: bool = False) -> None:
    """Wait until a run says so, and has left memory if that is asked for."""

    async def says_so() -> bool:
        return await w.status_of(run_id) is RunStatus.PAUSED and not (is_out and w.engine.holds(run_id))

    await until(says_so)


async def has_logged(w: World, run_id: RunId, name: str) -> None:
    """Wait until an event is in the log."""
    await until(lambda: _count(w, run_id, name, 1))


async def _count(w: World, run_id: RunId, name: str, wanted: int) -> bool:
    return names(await w.log_rows(run_id)).count(name) == wanted


async def test_a_paused_run_ends_what_is_in_flight_and_begins_nothing_until_it_is_resumed(database: Database) -> None:
    gate = Gate()
    async with world(database, script(a=gate), limits=LINGERING) as w:
        run_id = await begun(w, graph("a b c", "a>b", "b>c"))
        await gate.entered.wait()
        await w.pause(run_id)
        await is_paused(w, run_id)
        gate.opened.set()
        await has_logged(w, run_id, "NodeSucceeded a")
        assert names(await w.log_rows(run_id))[-2:] == ["RunPaused", "NodeSucceeded a"]
        await w.resume(run_id)
        events = await w.ended(run_id)
        assert names(events)[3:7] == ["RunPaused", "NodeSucceeded a", "RunResumed", "NodeStarted b"]
        assert only(events, RunPaused) == RunPaused(1, BY)
        assert only(events, RunResumed) == RunResumed(1, BY)
        assert await w.status_of(run_id) is RunStatus.SUCCEEDED


async def test_a_paused_run_in_which_nothing_is_in_flight_leaves_memory_without_another_event(
    database: Database,
) -> None:
    gate = Gate()
    async with world(database, script(a=gate), limits=FAST) as w:
        run_id = await begun(w, graph("a b", "a>b"))
        await gate.entered.wait()
        await w.pause(run_id)
        await is_paused(w, run_id)
        gate.opened.set()
        await is_paused(w, run_id, is_out=True)
        assert names(await w.log_rows(run_id))[-2:] == ["RunPaused", "NodeSucceeded a"]
        assert w.engine.run_count == 0
        await w.resume(run_id)
        events = await w.ended(run_id)
        assert names(events)[-4:] == ["RunResumed", "NodeStarted b", "NodeSucceeded b", "RunSucceeded"]
        assert "RunRecovered" not in names(events)


async def test_a_chain_of_pure_nodes_stops_between_two_of_them(database: Database) -> None:
    count, keys = 0, [f"n{number}" for number in range(200)]
    counted = asyncio.Event()

    async def step(_: NodeContext) -> int:
        nonlocal count
        count += 1
        if count == 3:
            counted.set()
        return count

    pure = replace(script(step=step), is_pure=True)
    nodes = {key: {"step": "step"} for key in keys}
    edges = [f"{one}>{other}" for one, other in pairwise(keys)]
    async with world(database, pure, limits=LINGERING) as w:
        run_id = await begun(w, graph(nodes, *edges))
        await counted.wait()
        await w.pause(run_id)
        await is_paused(w, run_id)
        log = names(await w.log_rows(run_id))
        assert 3 <= count < 200
        assert log[-1] == "RunPaused"
        assert log.count("RunPaused") == 1
        assert sum(name.startswith("NodeSucceeded") for name in log) == count
        await w.resume(run_id)
        await w.ended(run_id)
        assert count == 200


async def test_a_queued_run_is_paused_without_being_begun_and_begins_in_its_turn(database: Database) -> None:
    gate = Gate()
    limits = EngineLimits(max_concurrent_runs=1, poll_s=0.02)
    async with world(database, script(a=gate), limits=limits) as w:
        first = await begun(w, graph("a"))
        await gate.entered.wait()
        queued = await w.queued(await w.add(graph("b")))
        await w.pause(queued)
        assert await w.status_of(queued) is RunStatus.PAUSED
        assert names(await w.log_rows(queued)) == ["RunQueued", "RunPaused"]
        gate.opened.set()
        await w.ended(first)
        await until(lambda: w.engine.has_room)
        assert await w.queue.claim(w.executor, 9) == [], "it is not in the queue"
        await w.resume(queued)
        events = await w.ended(queued)
        assert names(events) == [
            "RunQueued",
            "RunPaused",
            "RunResumed",
            "RunStarted",
            "NodeStarted b",
            "NodeSucceeded b",
            "RunSucceeded",
        ]
        assert events[1].at <= events[2].at <= events[3].at
        assert (only(events, RunPaused).by, only(events, RunResumed).by) == (BY, BY)


async def test_a_run_that_is_held_for_want_of_a_turn_is_paused_and_has_its_turn_when_it_goes_on(
    database: Database,
) -> None:
    gate, policy = Gate(), ConcurrencyPolicy(max_runs=1)
    async with world(database, script(a=gate), limits=EngineLimits(poll_s=0.02)) as w:
        place = await w.add(graph("a"))
        first, held = (replace(w.new_run(place), concurrency_key="k", turns=policy) for _ in range(2))
        await w.engine.start(first)
        await gate.entered.wait()
        await w.engine.start(held)
        await w.pause(held.id)
        gate.opened.set()
        await w.ended(first.id)
        assert names(await w.log_rows(held.id)) == ["RunQueued", "RunPaused"]
        await w.resume(held.id)
        assert names(await w.ended(held.id))[-4:] == ["RunStarted", "NodeStarted a", "NodeSucceeded a", "RunSucceeded"]


async def test_a_run_paused_in_the_queue_is_cancelled_at_once_though_nobody_has_room(database: Database) -> None:
    gate = Gate()
    limits = EngineLimits(max_concurrent_runs=1, poll_s=0.02)
    async with world(database, script(a=gate), limits=limits) as w:
        await begun(w, graph("a"))
        await gate.entered.wait()
        queued = await w.queued(await w.add(graph("b")))
        await w.pause(queued)
        await w.cancel(queued)
        assert names(await w.ended(queued))[-2:] == ["RunCancelRequested", "RunCanceled"]
        gate.opened.set()


async def test_a_waiting_run_out_of_memory_is_paused_there_and_resumed_by_the_person_alone(database: Database) -> None:
    async with world(database, WAIT, script(), limits=FAST) as w:
        run_id = await begun(w, graph({"pause": waiting(), "then": {}}, "pause>then"))
        await has_left(w, run_id)
        await w.pause(run_id)
        assert await w.status_of(run_id) is RunStatus.PAUSED
        assert not w.engine.holds(run_id)
        await w.resume(run_id)
        await has_left(w, run_id)
        log = await w.log_rows(run_id)
        assert names(log)[-4:] == ["RunWaiting", "RunPaused", "RunResumed", "RunWaiting"]
        assert only(log, RunResumed).by == BY


async def test_a_time_that_comes_during_a_pause_is_recorded_and_acted_on_when_the_run_goes_on(
    database: Database,
) -> None:
    async with world(database, WAIT, script(), limits=FAST) as w:
        run_id = await begun(w, graph({"pause": waiting(400), "then": {}}, "pause>then"))
        await has_left(w, run_id)
        await w.pause(run_id)
        await has_logged(w, run_id, "NodeSucceeded pause")
        await is_paused(w, run_id, is_out=True)
        assert names(await w.log_rows(run_id))[-3:] == ["RunWaiting", "RunPaused", "NodeSucceeded pause"]
        await w.resume(run_id)
        assert names(await w.ended(run_id))[-4:] == [
            "RunResumed",
            "NodeStarted then",
            "NodeSucceeded then",
            "RunSucceeded",
        ]


async def test_a_paused_run_that_comes_back_too_early_leaves_again_and_says_nothing(database: Database) -> None:
    async with world(database, WAIT, limits=FAST) as w:
        run_id = await begun(w, graph({"pause": waiting()}))
        await has_left(w, run_id)
        await w.pause(run_id)
        await is_due(w, run_id)

        async def has_an_hour_again() -> bool:
            async with w.database.direct() as connection:
                return await connection.fetchval(
                    "SELECT wake_at > now() AND executor_id IS NULL FROM runs WHERE id = $1", run_id
                )

        await until(has_an_hour_again)
        assert names(await w.log_rows(run_id))[-2:] == ["RunWaiting", "RunPaused"]
        assert await w.status_of(run_id) is RunStatus.PAUSED


async def test_the_time_of_the_run_goes_on_while_it_is_paused(database: Database) -> None:
    gate = Gate()
    async with world(database, script(a=gate), limits=FAST) as w:
        run_id = await begun(w, graph("a b", "a>b", timeoutMs=400))
        await gate.entered.wait()
        await w.pause(run_id)
        await is_paused(w, run_id)
        gate.opened.set()
        events = await w.ended(run_id)
        assert only(events, RunFailed).failure.code == "TIMED_OUT"
        assert "NodeStarted b" not in names(events)


async def test_a_backoff_that_ends_during_a_pause_leads_to_an_attempt_when_the_run_goes_on(database: Database) -> None:
    fault = NodeFault("LATER", "later", is_retryable=True)
    node = {"retry": retry(2, 200)}
    async with world(database, script(a=failing(1, fault)), limits=FAST) as w:
        run_id = await begun(w, graph({"a": node}))
        await has_logged(w, run_id, "NodeRetrying a")
        await w.pause(run_id)

        async def has_nothing_to_come_back_for() -> bool:
            async with w.database.direct() as connection:
                return await connection.fetchval(
                    "SELECT wake_at IS NULL AND executor_id IS NULL FROM runs WHERE id = $1", run_id
                )

        await until(has_nothing_to_come_back_for)
        assert names(await w.log_rows(run_id))[-1] == "RunPaused"
        await w.resume(run_id)
        events = await w.ended(run_id)
        assert names(events)[-4:] == ["RunResumed", "NodeStarted a", "NodeSucceeded a", "RunSucceeded"]


async def test_cancelling_a_paused_run_works_at_once(database: Database) -> None:
    async with world(database, script(a=forever), limits=LINGERING) as w:
        run_id = await begun(w, graph("a b", "a>b"))
        await has_logged(w, run_id, "NodeStarted a")
        await w.pause(run_id)
        await is_paused(w, run_id)
        await w.cancel(run_id)
        assert names(await w.ended(run_id))[-4:] == [
            "RunPaused",
            "RunCancelRequested",
            "NodeCanceled a",
            "RunCanceled",
        ]


async def test_a_pause_outlives_the_process_that_obeyed_it(database: Database) -> None:
    gate = Gate()
    async with world(database, script(a=gate), limits=LINGERING) as dying:
        run_id = await begun(dying, graph("a b", "a>b"))
        await gate.entered.wait()
        await dying.pause(run_id)
        await is_paused(dying, run_id)
        dying.crash()
    await dying.entered(expires_in_s=-1)
    async with world(database, script(), limits=FAST, like=dying) as heir:
        await is_paused(heir, run_id, is_out=True)
        assert names(await heir.log_rows(run_id))[3:] in (["RunPaused"], ["RunPaused", "RunRecovered"])
        await has_logged(heir, run_id, "RunRecovered")
        await is_paused(heir, run_id, is_out=True)
        await heir.resume(run_id)
        events = await heir.ended(run_id)
        assert names(events)[3:] == [
            "RunPaused",
            "RunRecovered",
            "RunResumed",
            "NodeStarted a",
            "NodeSucceeded a",
            "NodeStarted b",
            "NodeSucceeded b",
            "RunSucceeded",
        ]
        assert only(events, RunRecovered).restarted == ["a"]


async def test_a_run_is_paused_and_goes_on_as_often_as_it_is_asked(database: Database) -> None:
    gate = Gate()
    async with world(database, script(a=gate), limits=LINGERING) as w:
        run_id = await begun(w, graph("a"))
        await gate.entered.wait()
        for number in range(1, 4):
            await w.pause(run_id)
            await is_paused(w, run_id)
            await w.resume(run_id)
            await until(lambda: _count(w, run_id, "RunResumed", number))  # noqa: B023 -- awaited at once
        gate.opened.set()
        events = await w.ended(run_id)
        turns = [name for name in names(events) if name in {"RunPaused", "RunResumed"}]
        assert turns == ["RunPaused", "RunResumed"] * 3


async def test_what_cannot_be_paused_or_resumed_is_refused_and_nothing_changes(database: Database) -> None:
    async with world(database, script(a=forever), limits=LINGERING) as w:
        run_id = await begun(w, graph("a"))
        await has_logged(w, run_id, "NodeStarted a")
        with pytest.raises(Conflict, match="not paused"):
            await w.resume(run_id)
        await w.pause(run_id)
        with pytest.raises(Conflict, match="paused already"):
            await w.pause(run_id)
        await is_paused(w, run_id)
        assert names(await w.log_rows(run_id))[-1] == "RunPaused"
        await w.cancel(run_id)
        with pytest.raises(Conflict, match=r"being stopped|has ended"):
            await w.resume(run_id)
        events = await w.ended(run_id)
        for refused in (w.pause, w.resume):
            with pytest.raises(Conflict, match="has ended already"):
                await refused(run_id)
        assert names(events) == names(await w.log_rows(run_id))
        assert names(events).count("RunPaused") == 1
        assert "RunResumed" not in names(events)


async def test_of_two_pauses_at_the_same_instant_one_succeeds_and_one_is_told_so(database: Database) -> None:
    async with world(database, script(a=forever), limits=LINGERING) as w, world(database, like=w) as other:
        run_id = await begun(w, graph("a"))
        await has_logged(w, run_id, "NodeStarted a")
        for change in ("pause", "resume"):
            asked = [getattr(one, change)(run_id) for one in (w, other, w, other)]
            answers = await asyncio.gather(*asked, return_exceptions=True)
            assert sorted(type(answer).__name__ for answer in answers) == ["Conflict"] * 3 + ["NoneType"]
        await has_logged(w, run_id, "RunResumed")
        await w.cancel(run_id)
        events = await w.ended(run_id)
        assert names(events)[3:5] == ["RunPaused", "RunResumed"]


async def test_a_cancellation_before_a_pause_leaves_it_without_effect(database: Database) -> None:
    async with world(database, script(), limits=LINGERING) as w:
        place = await w.add(graph("a"))
        run_id = await w.owned(place)
        await w.steering.pause(run_id, BY)
        await w.queue.add_command(run_id, "cancel", "cancel", None)
        async with w.database.direct() as connection:
            await connection.execute(
                "UPDATE run_commands SET created_at = created_at - interval '1 h' WHERE kind = 'cancel'"
            )
        await w.engine.start(w.new_run(place))
        w.engine.lost()
        events = await w.ended(run_id)
        assert names(events) == ["RunQueued", "RunStarted", "RunCancelRequested", "RunCanceled"]
        assert only(events, RunStarted) == RunStarted()
