from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import suppress
from typing import TYPE_CHECKING

from structlog.testing import capture_logs

from domain.errors import NodeFault
from domain.events import NodeCanceled, NodeOutputDelta, NodeRetrying, RunCanceled, RunCancelRequested
from domain.run import NodeRunStatus, Usage
from runtime.engine_limits import EngineLimits
from tests.support.engines import names, only, world
from tests.support.kinds import failing, forever, graph, retry, script

if TYPE_CHECKING:
    from domain.kinds import NodeContext
    from persistence.database import Database


async def test_a_run_cancelled_before_it_was_claimed_starts_no_node(database: Database) -> None:
    async with world(database, script(a=forever)) as w:
        run_id = await w.queued(await w.add(graph("a")))
        await w.queue.add_command(run_id, "cancel", "cancel", {"by": None, "reason": "not needed"})
        w.engine.look()
        events = await w.ended(run_id)
        assert names(events) == ["RunQueued", "RunStarted", "RunCancelRequested", "RunCanceled"]
        assert only(events, RunCancelRequested).reason == "not needed"


async def test_cancelling_stops_a_node_that_streams_and_keeps_what_it_used(database: Database) -> None:
    streaming, closed = asyncio.Event(), asyncio.Event()

    async def stream(ctx: NodeContext) -> None:
        await ctx.emit("one ")
        await ctx.emit("two")
        ctx.used(Usage(1, 2, 3))
        streaming.set()
        try:
            await asyncio.Event().wait()
        finally:
            closed.set()

    async with world(database, script(a=stream)) as w:
        run_id = await w.queued(await w.add(graph("a b", "a>b")))
        w.engine.look()
        await streaming.wait()
        assert await w.cancel(run_id)
        assert not await w.cancel(run_id), "asking twice is asking once"
        events = await w.ended(run_id)
        assert closed.is_set()
        assert names(events)[-3:] == ["RunCancelRequested", "NodeCanceled a", "RunCanceled"] or names(events)[-4:] == [
            "RunCancelRequested",
            "NodeOutputDelta a",
            "NodeCanceled a",
            "RunCanceled",
        ]
        text = [logged.event for logged in events if isinstance(logged.event, NodeOutputDelta)]
        assert "".join(delta.text for delta in text) == "one two"
        assert only(events, NodeCanceled).usage == only(events, RunCanceled).usage == Usage(1, 2, 3)
        assert Counter(names(events))["RunCancelRequested"] == 1
        assert await w.queue.pending_commands(w.executor) == {}


async def test_cancelling_while_a_node_waits_for_its_next_attempt_ends_at_once(database: Database) -> None:
    fault = NodeFault("LATER", "not yet", is_retryable=True)
    async with world(database, script(a=failing(1, fault))) as w:
        run_id = await w.queued(await w.add(graph({"a": {"retry": retry(2, 3_600_000)}})))
        w.engine.look()
        async for logged in w.progress.follow(run_id):
            if isinstance(logged.event, NodeRetrying):
                await w.cancel(run_id)
        events = await w.log_rows(run_id)
        assert names(events)[-3:] == ["RunCancelRequested", "NodeCanceled a", "RunCanceled"]
        (node,) = (await w.reader.snapshot(run_id)).nodes
        assert (node.node_run.status, node.node_run.next_attempt_at) == (NodeRunStatus.CANCELED, None)


async def test_a_failure_in_the_moment_of_cancelling_starts_no_further_attempt(database: Database) -> None:
    running = asyncio.Event()

    async def stubborn(_: NodeContext) -> None:
        running.set()
        try:
            await asyncio.Event().wait()
        finally:
            raise NodeFault("LATER", "a retryable fault instead of an end", is_retryable=True)

    async with world(database, script(a=stubborn)) as w:
        run_id = await w.queued(await w.add(graph({"a": {"retry": retry(5, 3_600_000)}})))
        w.engine.look()
        await running.wait()
        await w.cancel(run_id)
        async with asyncio.timeout(10):
            events = await w.ended(run_id)
        assert names(events)[-4:] == ["RunCancelRequested", "NodeRetrying a", "NodeCanceled a", "RunCanceled"]


async def test_a_node_that_ignores_its_cancellation_is_left_behind_after_the_grace(database: Database) -> None:
    running, release = asyncio.Event(), asyncio.Event()

    async def deaf(ctx: NodeContext) -> str:
        running.set()
        while not release.is_set():
            with suppress(asyncio.CancelledError):
                await release.wait()
        await ctx.emit("too late")
        return "too late"

    limits = EngineLimits(poll_s=0.05, cancel_grace_s=0.05)
    with capture_logs() as logs:
        async with world(database, script(a=deaf), limits=limits) as w:
            run_id = await w.queued(await w.add(graph("a")))
            w.engine.look()
            await running.wait()
            await w.cancel(run_id)
            events = await w.ended(run_id)
            release.set()
    assert names(events)[-2:] == ["NodeCanceled a", "RunCanceled"]
    assert [entry["node"] for entry in logs if entry["event"] == "node.ignores_cancellation"] == ["a"]
    assert names(await w.log_rows(run_id)) == names(events), "what it says later is not heard"
