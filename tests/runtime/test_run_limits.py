"""Runs that reach a limit, or lose every process: how they end, and who is told."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from domain import evolution
from domain.events import NodeFailed, RunCrashed, RunFailed, RunSucceeded
from domain.run import RunStatus
from runtime.engine_limits import EngineLimits
from tests.runtime.test_run_waits import FAST, begun, has_left, waiting
from tests.runtime.test_sub_runs import call, calling, child_of
from tests.support.engines import World, names, only, world
from tests.support.kinds import forever, graph, script
from tests.support.waiting import until

if TYPE_CHECKING:
    from domain.ids import RunId
    from domain.kinds import NodeContext
    from persistence.database import Database

CHAIN = ("a b c", "a>b", "b>c")
EVENTS_OF_CHAIN = 8
"""RunStarted, three starts, three ends, RunSucceeded."""


@pytest.mark.parametrize("limit", [EVENTS_OF_CHAIN, EVENTS_OF_CHAIN - 2])
async def test_a_run_with_too_many_events_fails_with_a_code_and_its_log_ends(
    database: Database, monkeypatch: pytest.MonkeyPatch, limit: int
) -> None:
    monkeypatch.setattr(evolution, "MAX_EVENTS", limit)
    async with world(database, script(), limits=FAST) as w:
        events = await w.ended(await begun(w, graph(*CHAIN)))
        if limit == EVENTS_OF_CHAIN:
            assert isinstance(events[-1].event, RunSucceeded)
            return
        failed = only(events, RunFailed).failure
        assert failed.code == "TOO_MANY_EVENTS"
        assert f"{limit:,} events" in failed.message
        assert events[-1].event.type == "RunFailed"
        assert [logged.seq for logged in events] == list(range(1, len(events) + 1))


async def test_the_waits_of_a_run_with_too_many_events_are_closed_and_its_parent_is_told(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    child = graph({"first": {"value": 1}, "pause": waiting(), "grandchild": call("forever")}, "first>pause")
    async with calling(database, script(work=forever), child=child, forever=graph("work")) as w:
        parent = await begun(w, graph({"sub": call()}))
        called = await child_of(w, parent)
        grandchild = await child_of(w, called.id)
        await until(lambda: _count(w, called.id, "NodeWaiting pause"))
        monkeypatch.setattr(evolution, "MAX_EVENTS", 3)
        await w.pause(called.id)
        await w.resume(called.id)  # whatever is logged next is one too many
        assert only(await w.ended(called.id), RunFailed).failure.code == "TOO_MANY_EVENTS"
        assert (await w.ended(grandchild.id))[-1].event.type == "RunCanceled"
        told = only(await w.ended(parent), NodeFailed).failure
        assert told.code == "SUB_RUN_FAILED"
        assert "TOO_MANY_EVENTS" in told.message


async def _count(w: World, run_id: RunId, name: str) -> bool:
    return name in names(await w.log_rows(run_id))


async def test_a_run_that_crashes_tells_its_parent(database: Database) -> None:
    reached = asyncio.Event()

    async def deadly(_: NodeContext) -> None:
        reached.set()
        await asyncio.Event().wait()

    child = graph("quick deadly", "quick>deadly")
    async with calling(database, script(deadly=deadly), child=child) as dying:
        parent = await begun(dying, graph({"sub": call()}))
        called = await child_of(dying, parent)
        await reached.wait()
        await has_left(dying, parent)
        dying.crash()
    await dying.entered(expires_in_s=-1)
    limits = EngineLimits(poll_s=0.02, takeover_probe_s=0.05, linger_s=0, max_recoveries=0)
    async with calling(database, script(deadly=deadly), limits=limits, like=dying) as heir:
        events = await heir.ended(called.id)
        assert names(events)[-3:] == ["RunRecovered", "NodeCanceled deadly", "RunCrashed"]
        assert only(events, RunCrashed).failure.code == "CRASHED"
        assert await heir.status_of(called.id) is RunStatus.CRASHED
        told = only(await heir.ended(parent), NodeFailed).failure
        assert (told.code, "lost its process" in told.message) == ("SUB_RUN_FAILED", True)
