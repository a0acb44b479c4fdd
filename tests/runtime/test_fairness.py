"""Who gets room in an engine that has too little for all."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from domain.run import RunStatus
from runtime.engine_limits import EngineLimits
from tests.support.engines import World, bare_world, names, world
from tests.support.kinds import graph, script
from tests.support.waiting import until

if TYPE_CHECKING:
    import pytest

    from domain.kinds import NodeContext
    from persistence.database import Database

ROOM = 4


class Steps:
    """Nodes that work until they are let go, one after the other."""

    def __init__(self) -> None:
        self._turns = asyncio.Semaphore(0)

    async def __call__(self, _: NodeContext) -> None:
        """Work."""
        await self._turns.acquire()

    def let_go(self, count: int = 1) -> None:
        """Let nodes end."""
        for _ in range(count):
            self._turns.release()


async def at_work(w: World, run_id: object) -> bool:
    """Whether a run has begun."""
    async with w.database.direct() as connection:
        return await connection.fetchval("SELECT status FROM runs WHERE id = $1", run_id) != RunStatus.QUEUED


async def test_ten_thousand_runs_of_one_workspace_delay_the_first_of_another_by_one_end(database: Database) -> None:
    steps = Steps()
    async with world(database, script(a=steps), limits=EngineLimits(max_concurrent_runs=ROOM, poll_s=0.05)) as w:
        place = await w.add(graph("a"))
        await w.crowd(place, 10_000)
        w.engine.look()
        await until(lambda: w.engine.run_count == ROOM)
        small = bare_world(database)
        others = await small.add(graph("a"))
        w.definitions.update(small.definitions)
        runs = [await small.queued(others) for _ in range(3)]
        for number, run_id in enumerate(runs[:2]):
            steps.let_go()
            await until(lambda run_id=run_id: at_work(w, run_id))
            assert w.engine.run_count <= ROOM, number
        assert not await at_work(w, runs[2]), "half of the room is its share"


async def test_a_run_that_is_started_does_not_take_the_room_of_those_that_wait_for_it(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps, may_claim = Steps(), asyncio.Event()
    async with world(database, script(a=steps), limits=EngineLimits(max_concurrent_runs=1, poll_s=60)) as w:
        place = await w.add(graph("a"))
        first, second, third, urgent = (w.new_run(place, priority=priority) for priority in (3, 3, 3, 1))
        await w.engine.start(first)
        assert await at_work(w, first.id)
        claim = w.queue.claim

        async def later(*given: Any) -> Any:
            await may_claim.wait()
            return await claim(*given)

        monkeypatch.setattr(w.queue, "claim", later)
        await w.engine.start(second)
        steps.let_go()
        await w.ended(first.id)
        await until(lambda: w.engine.has_room)
        await w.engine.start(third)
        await w.engine.start(urgent)
        assert [await at_work(w, run.id) for run in (second, third, urgent)] == [False, False, False]
        may_claim.set()
        waiting = [urgent, second, third]
        for place_, run in enumerate(waiting):
            await until(lambda run=run: at_work(w, run.id))
            assert not any([await at_work(w, other.id) for other in waiting[place_ + 1 :]])
            steps.let_go()
            assert names(await w.ended(run.id))[-1] == "RunSucceeded"


async def test_runs_are_started_at_once_again_when_nobody_waits_any_more(database: Database) -> None:
    async with world(database, script(), limits=EngineLimits(max_concurrent_runs=1, poll_s=0.05)) as w:
        place = await w.add(graph("a"))
        runs = [w.new_run(place) for _ in range(3)]
        for run in runs:
            await w.engine.start(run)
        for run in runs:
            await w.ended(run.id)
        await until(lambda: not w.engine._has_line)
        run = w.new_run(place)
        await w.engine.start(run)
        assert await at_work(w, run.id)
