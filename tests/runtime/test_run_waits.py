"""Runs whose nodes wait: in memory, out of it, and across processes that die."""

from __future__ import annotations

import asyncio
import json
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from domain.errors import NodeFault
from domain.events import (
    LoggedEvent,
    NodeFailed,
    NodeRetrying,
    NodeSucceeded,
    NodeWaiting,
    RunFailed,
    RunSucceeded,
    RunWaiting,
)
from domain.ids import RunId
from domain.run import NodeRunStatus, NodeWait, RunStatus, WaitReason
from runtime.engine_limits import EngineLimits
from runtime.nodes.wait import KIND as WAIT
from tests.support.engines import World, names, only, world
from tests.support.kinds import forever, graph, retry, script
from tests.support.waiting import until

if TYPE_CHECKING:
    import pytest

    from domain.kinds import NodeContext
    from domain.ports.runs import Group
    from domain.workflow import Definition
    from persistence.database import Database

FAST = EngineLimits(poll_s=0.02, takeover_probe_s=0.05, linger_s=0)
LINGERING = EngineLimits(poll_s=0.02, takeover_probe_s=0.05, linger_s=60)
HOUR_MS = 3_600_000


def waiting(ms: int = HOUR_MS, **more: object) -> dict[str, Any]:
    """Return a node that waits."""
    return {"config": {"wait": {"durationMs": ms}}, **more}


async def begun(w: World, definition: Definition, given: Any = None) -> RunId:
    """Start a run as `startRun` does."""
    run = w.new_run(await w.add(definition), given)
    await w.engine.start(run)
    return run.id


async def has_left(w: World, run_id: RunId) -> None:
    """Wait until a run is out of memory."""

    async def is_out() -> bool:
        (run,) = await w.reader.find_many(frozenset({w.workspace_id}), [run_id])
        return run.status is RunStatus.WAITING and not w.engine.holds(run_id)

    await until(is_out)


async def is_due(w: World, run_id: RunId) -> None:
    """Let the time of a run out of memory come."""
    async with w.database.direct() as connection:
        await connection.execute("UPDATE runs SET wake_at = now() - interval '1 s' WHERE id = $1", run_id)


def ended_nodes(events: list[LoggedEvent]) -> list[str]:
    return [name for name in names(events) if name.startswith(("NodeSucceeded", "NodeFailed", "NodeCanceled"))]


async def test_a_node_that_waits_goes_on_when_its_time_has_come(database: Database) -> None:
    nodes = {"pause": waiting(20), "then": {"value": "{{ nodes.pause.output.resumedAt }}"}}
    async with world(database, WAIT, script(), limits=LINGERING) as w:
        events = await w.ended(await begun(w, graph(nodes, "pause>then")))
        assert names(events) == [
            "RunQueued",
            "RunStarted",
            "NodeStarted pause",
            "NodeWaiting pause",
            "NodeSucceeded pause",
            "NodeStarted then",
            "NodeSucceeded then",
            "RunSucceeded",
        ]
        wait, end = only(events, NodeWaiting), events[4]
        assert wait.until is not None
        assert timedelta() <= end.at - wait.until < timedelta(seconds=5)
        ((_, output),) = (await w.reader.payloads([RunId(events[0].run_id)])).values()
        assert output is not None
        resumed_at = datetime.fromisoformat(json.loads(output)["then"])
        assert wait.until - timedelta(milliseconds=1) <= resumed_at <= end.at


async def test_a_snapshot_tells_what_a_node_waits_for_until_it_does_no_more(database: Database) -> None:
    async with world(database, WAIT, script(), limits=FAST) as w:
        run_id = await begun(w, graph({"pause": waiting()}))
        await has_left(w, run_id)
        (state,) = (await w.reader.snapshot(run_id)).nodes
        (wait,) = [logged.event for logged in await w.log_rows(run_id) if isinstance(logged.event, NodeWaiting)]
        assert state.node_run.status is NodeRunStatus.WAITING
        assert state.wait == NodeWait(WaitReason.TIMER, wait.until)
        await w.cancel(run_id)
        await w.ended(run_id)
        (state,) = (await w.reader.snapshot(run_id)).nodes
        assert (state.node_run.status, state.wait) == (NodeRunStatus.CANCELED, None)


async def test_a_run_in_which_nothing_works_leaves_memory_and_comes_back_when_its_time_has_come(
    database: Database,
) -> None:
    nodes = {"first": {"value": 1}, "pause": waiting(200), "then": {"value": "{{ nodes.first.output }}"}}
    async with world(database, WAIT, script(), limits=FAST) as w:
        run_id = await begun(w, graph(nodes, "first>pause", "pause>then"))
        await has_left(w, run_id)
        told = only(await w.log_rows(run_id), RunWaiting)
        assert told.until == only(await w.log_rows(run_id), NodeWaiting).until
        events = await w.ended(run_id)
        assert names(events)[-6:] == [
            "RunWaiting",
            "RunResumed",
            "NodeSucceeded pause",
            "NodeStarted then",
            "NodeSucceeded then",
            "RunSucceeded",
        ]
        assert "RunRecovered" not in names(events)
        assert w.engine.run_count == 0


async def test_a_run_that_comes_back_too_early_leaves_again(database: Database) -> None:
    async with world(database, WAIT, limits=FAST) as w:
        run_id = await begun(w, graph({"pause": waiting()}))
        await has_left(w, run_id)
        await is_due(w, run_id)
        await until(lambda: _count(w, run_id, "RunWaiting", 2))
        assert names(await w.log_rows(run_id))[-3:] == ["RunWaiting", "RunResumed", "RunWaiting"]


async def _count(w: World, run_id: RunId, name: str, count: int) -> bool:
    return names(await w.log_rows(run_id)).count(name) == count


async def test_a_run_of_which_something_vain_is_asked_while_it_leaves_does_leave(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    reached, opened = asyncio.Event(), asyncio.Event()
    async with world(database, WAIT, limits=FAST) as w:
        store = w.log._completions.store

        async def held(group: Group) -> int:
            reached.set()
            await opened.wait()
            return await store(group)

        monkeypatch.setattr(w.log._completions, "store", held)
        run_id = await begun(w, graph({"pause": waiting()}))
        await reached.wait()
        await w.queue.add_command(run_id, "vain", "approval", {"node": "pause"})  # which asked nobody
        w.engine.look()
        run = w.engine._runs[run_id]
        await until(lambda: len(run._owed) == 1)
        opened.set()
        await has_left(w, run_id)
        assert names(await w.log_rows(run_id))[-2:] == ["NodeWaiting pause", "RunWaiting"]


async def test_a_run_stays_while_something_works_and_leaves_when_that_has_ended(database: Database) -> None:
    opened = asyncio.Event()

    async def work(_: NodeContext) -> None:
        await opened.wait()

    async with world(database, WAIT, script(work=work), limits=FAST) as w:
        run_id = await begun(w, graph({"pause": waiting(), "work": {}}))
        await until(lambda: _count(w, run_id, "NodeWaiting pause", 1))
        assert w.engine.holds(run_id)
        opened.set()
        await has_left(w, run_id)
        assert names(await w.log_rows(run_id))[-2:] == ["NodeSucceeded work", "RunWaiting"]


async def test_a_run_whose_time_is_near_stays(database: Database) -> None:
    async with world(database, WAIT, limits=EngineLimits(poll_s=0.02, linger_s=0.05)) as w:
        events = await w.ended(await begun(w, graph({"pause": waiting(80)})))
        assert "RunWaiting" not in names(events)


async def test_a_run_that_waits_for_its_next_attempt_leaves_too(database: Database) -> None:
    async def fail(_: NodeContext) -> None:
        raise NodeFault("LATER", "no", is_retryable=True)

    async with world(database, script(a=fail), limits=FAST) as w:
        run_id = await begun(w, graph({"a": {"retry": retry(2, HOUR_MS)}}))
        await has_left(w, run_id)
        rows = await w.log_rows(run_id)
        assert only(rows, RunWaiting).until == only(rows, NodeRetrying).next_attempt_at


async def test_a_run_out_of_memory_is_cancelled(database: Database) -> None:
    async with world(database, WAIT, limits=FAST) as w:
        run_id = await begun(w, graph({"pause": waiting()}))
        await has_left(w, run_id)
        await w.cancel(run_id)
        assert names(await w.ended(run_id))[-5:] == [
            "RunWaiting",
            "RunResumed",
            "RunCancelRequested",
            "NodeCanceled pause",
            "RunCanceled",
        ]


async def test_a_run_out_of_memory_is_cancelled_where_nobody_has_room(database: Database) -> None:
    limits = EngineLimits(max_concurrent_runs=1, poll_s=0.02, linger_s=0)
    async with world(database, WAIT, script(work=forever), limits=limits) as w:
        waits = await begun(w, graph({"pause": waiting()}))
        await has_left(w, waits)
        works = await begun(w, graph("work"))
        await until(lambda: _count(w, works, "NodeStarted work", 1))
        await w.cancel(waits)
        assert names(await w.ended(waits))[-1] == "RunCanceled"


async def test_a_run_out_of_memory_comes_back_before_a_new_one_begins(database: Database) -> None:
    opened = asyncio.Event()

    async def work(_: NodeContext) -> None:
        await opened.wait()

    limits = EngineLimits(max_concurrent_runs=1, poll_s=0.02, linger_s=0)
    async with world(database, WAIT, script(work=work, new=forever), limits=limits) as w:
        waits = await begun(w, graph({"pause": waiting()}))
        await has_left(w, waits)
        works = await begun(w, graph("work"))
        await until(lambda: _count(w, works, "NodeStarted work", 1))
        await w.queued(await w.add(graph("new")))
        await is_due(w, waits)
        opened.set()
        await until(lambda: _count(w, waits, "RunResumed", 1))


async def test_the_time_of_the_run_counts_its_waits(database: Database) -> None:
    async with world(database, WAIT, limits=FAST) as w:
        run_id = await begun(w, graph({"pause": waiting()}, timeoutMs=150))
        events = await w.ended(run_id)
        assert ended_nodes(events) == ["NodeCanceled pause"]
        assert only(events, RunFailed).failure.code == "TIMED_OUT"


async def test_the_time_of_all_attempts_counts_waits(database: Database) -> None:
    node = waiting(timeouts={"scheduleToCloseMs": 40}, onError={"mode": "CONTINUE", "defaultOutput": 7})
    async with world(database, WAIT, limits=LINGERING) as w:
        events = await w.ended(await begun(w, graph({"pause": node})))
        assert only(events, NodeFailed).failure.code == "TIMED_OUT"
        assert isinstance(events[-1].event, RunSucceeded)


async def test_a_failure_elsewhere_stops_what_waits(database: Database) -> None:
    async def fail(_: NodeContext) -> None:
        raise NodeFault("NO", "no")

    async with world(database, WAIT, script(bad=fail), limits=LINGERING) as w:
        events = await w.ended(await begun(w, graph({"pause": waiting(), "bad": {}})))
        assert ended_nodes(events) == ["NodeFailed bad", "NodeCanceled pause"]


async def test_a_wait_in_a_process_that_dies_ends_at_its_time_in_another(database: Database) -> None:
    async with world(database, WAIT, limits=LINGERING) as dying:
        run_id = await begun(dying, graph({"pause": waiting(300)}))
        await until(lambda: _count(dying, run_id, "NodeWaiting pause", 1))
        dying.crash()
    await dying.entered(expires_in_s=-1)
    async with world(database, WAIT, limits=LINGERING, like=dying) as heir:
        events = await heir.ended(run_id)
        assert names(events)[4:] == ["RunRecovered", "NodeSucceeded pause", "RunSucceeded"]
        assert isinstance(events[-2].event, NodeSucceeded)
        assert events[-2].at >= only(events, NodeWaiting).until  # pyright: ignore[reportOperatorIssue]
