"""Runs that nobody would go on with: those a fault of ours stops, and those that only the database knows of."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from structlog.testing import capture_logs

from domain.errors import DatabaseUnavailable
from domain.events import RunFailed
from domain.kinds import NodeContext, Result
from domain.run import RunStatus
from runtime import run_works
from runtime.engine_limits import EngineLimits
from tests.runtime.test_local import FAST, Gate, begun, check_exact
from tests.support.engines import names, only, world
from tests.support.kinds import graph, script
from tests.support.waiting import until

if TYPE_CHECKING:
    from persistence.database import Database


async def misbehave(_: NodeContext) -> Result:
    """Return what no kind may: `ports` that are none."""
    return Result(1, ports=None)  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize("edges", [("a>b", "b>c"), ()])
@pytest.mark.parametrize("is_started_here", [True, False])
async def test_a_pure_node_that_breaks_the_bookkeeping_fails_its_run(
    database: Database, edges: tuple[str, ...], is_started_here: bool
) -> None:
    async with world(database, replace(script(b=misbehave), is_pure=True), limits=FAST) as w:
        await asyncio.sleep(0)
        run = w.new_run(await w.add(graph("a b c d", *edges, "b>d")))
        with capture_logs() as logs:
            await (w.engine.start(run) if is_started_here else w.queue.add(run))
            async with asyncio.timeout(10):
                log = await w.ended(run.id)
        assert only(log, RunFailed).failure.code == "INTERNAL_ERROR"
        assert [entry["event"] for entry in logs] == ["run.fault"]
        await until(lambda: w.engine.run_count == 0)


async def test_what_goes_wrong_before_an_attempt_begins_fails_the_run(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    def overflow(_state: object, _slot: int) -> None:
        raise OverflowError

    monkeypatch.setattr(run_works, "deadline", overflow)
    async with world(database, script(), limits=FAST) as w:
        with capture_logs() as logs:
            run_id = await begun(w, graph("a"))
            async with asyncio.timeout(10):
                log = await w.ended(run_id)
        assert only(log, RunFailed).failure.code == "INTERNAL_ERROR"
        assert [entry["event"] for entry in logs] == ["run.fault"]


@pytest.mark.parametrize("is_pure", [True, False])
@pytest.mark.parametrize("raised", [SystemExit, KeyboardInterrupt, asyncio.CancelledError])
async def test_a_kind_that_would_end_the_process_ends_its_own_attempt_only(
    database: Database, raised: type[BaseException], *, is_pure: bool
) -> None:
    async def leave(_: NodeContext) -> Result:
        raise raised

    async with world(database, replace(script(b=leave), is_pure=is_pure), limits=FAST) as w:
        with capture_logs():
            for _ in range(2):
                run_id = await begun(w, graph("a b", "a>b"))
                async with asyncio.timeout(10):
                    log = await w.ended(run_id)
                assert only(log, RunFailed).failure.code == "INTERNAL_ERROR"


async def test_a_node_that_ignores_its_cancellation_does_not_hold_the_engine_back(database: Database) -> None:
    reached, freed = asyncio.Event(), asyncio.Event()

    async def stay(_: NodeContext) -> None:
        reached.set()
        while not freed.is_set():
            with suppress(asyncio.CancelledError):
                await freed.wait()

    with capture_logs() as logs:
        async with asyncio.timeout(10):
            async with world(database, script(a=stay), limits=replace(FAST, cancel_grace_s=0.05)) as w:
                run_id = await begun(w, graph("a"))
                await reached.wait()
            assert w.engine.run_count == 0
    assert "node.ignores_cancellation" in [entry["event"] for entry in logs]
    freed.set()
    await w.entered(expires_in_s=3_600)
    async with world(database, script(), limits=FAST, like=w) as other, asyncio.timeout(20):
        check_exact(await other.ended(run_id), nodes=1)


async def test_an_orphan_that_somebody_locks_when_it_is_looked_for_is_taken_up_later(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = Gate()
    async with world(database, script(a=gate), limits=FAST) as w:
        run_id = await begun(w, graph("a"))
        await gate.reached.wait()
        take_over, looks = w.queue.take_over, list[int]()

        async def counted(*given: Any) -> Any:
            taken = await take_over(*given)
            looks.append(len(taken))
            return taken

        monkeypatch.setattr(w.queue, "take_over", counted)
        async with database.direct() as connection, connection.transaction():
            await connection.execute("SELECT 1 FROM runs WHERE id = $1 FOR NO KEY UPDATE", run_id)
            with capture_logs():
                w.engine.lost()
            await until(lambda: len(looks) > 0)
        assert looks[0] == 0
        gate.opened.set()
        async with asyncio.timeout(10):
            check_exact(await w.ended(run_id), nodes=1)


async def test_a_run_that_is_left_alone_while_orphans_are_looked_for_is_found_by_the_next_look(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with world(database, script(), limits=FAST) as w:
        await asyncio.sleep(0)
        place = await w.add(graph("a"))
        take_over, add = w.queue.take_over, w.queue.add
        looked, failed = asyncio.Event(), asyncio.Event()

        async def slow(*given: Any) -> Any:
            taken = await take_over(*given)
            if not failed.is_set():
                looked.set()
                await failed.wait()  # the run is stored and left alone before this look is over
            return taken

        async def late(*given: Any) -> None:
            w.engine.lost()
            await looked.wait()
            await add(*given)
            raise DatabaseUnavailable

        monkeypatch.setattr(w.queue, "take_over", slow)
        monkeypatch.setattr(w.queue, "add", late)
        run = w.new_run(place)
        with capture_logs(), pytest.raises(DatabaseUnavailable):
            await w.engine.start(run)
        failed.set()
        async with asyncio.timeout(10):
            check_exact(await w.ended(run.id), nodes=1)


async def test_a_run_that_is_started_while_orphans_are_looked_for_is_not_taken_for_one(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with world(database, script(), limits=FAST) as w:
        place = await w.add(graph("a"))
        take_over, looking, starts = w.queue.take_over, asyncio.Event(), list[asyncio.Task[None]]()
        run = w.new_run(place)

        async def slow(*given: Any) -> Any:
            if not starts:
                starts.append(asyncio.create_task(w.engine.start(run)))
                await asyncio.wait(starts, timeout=0.2)
                looking.set()
            return await take_over(*given)

        monkeypatch.setattr(w.queue, "take_over", slow)
        with capture_logs():
            w.engine.lost()
        await looking.wait()
        await asyncio.wait_for(starts[0], 10)
        assert "RunRecovered" not in names(await w.ended(run.id))


async def test_a_run_that_finds_no_room_when_it_is_ready_to_start_waits_in_the_queue(database: Database) -> None:
    gate = Gate()
    async with world(database, script(a=gate), limits=EngineLimits(max_concurrent_runs=1, poll_s=60)) as w:
        await asyncio.sleep(0)
        place = await w.add(graph("a"))
        both = [w.new_run(place), w.new_run(place)]
        await asyncio.gather(*(w.engine.start(run) for run in both))
        await gate.reached.wait()
        assert w.engine.run_count == 1
        found = await w.reader.find_many(frozenset({w.workspace_id}), [run.id for run in both])
        assert sorted(run.status for run in found) == [RunStatus.QUEUED, RunStatus.RUNNING]
        gate.opened.set()
        for run in both:
            async with asyncio.timeout(10):
                check_exact(await w.ended(run.id), nodes=1)


async def test_a_run_that_is_started_when_the_engine_has_closed_waits_for_another(database: Database) -> None:
    async with world(database, script(), limits=FAST) as w:
        place = await w.add(graph("a"))
    run = w.new_run(place)
    await w.engine.start(run)
    async with world(database, script(), limits=FAST, like=w) as other:
        async with asyncio.timeout(10):
            check_exact(await other.ended(run.id), nodes=1)
