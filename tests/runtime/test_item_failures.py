"""Items of a `forEach` that fail, take too long or are stopped."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from domain.errors import NodeFault
from domain.events import NodeCanceled, NodeFailed, NodeOutputDelta, NodeRetrying, RunFailed, RunSucceeded
from domain.kinds import Result
from domain.run import Usage
from runtime.run_works import RunWorks
from tests.support.engines import only, world
from tests.support.items import Crowd, each, item_of, output_of, ran, told, whole
from tests.support.kinds import forever, graph, retry, script

if TYPE_CHECKING:
    from domain.kinds import NodeContext
    from persistence.database import Database


# ── items that fail ──


def picky(*bad: int, is_retryable: bool = False) -> Any:
    async def step(ctx: NodeContext) -> str:
        if item_of(ctx) in bad:
            raise NodeFault("NO", f"Not {item_of(ctx)}.", is_retryable=is_retryable)
        return f"good {item_of(ctx)}"

    return step


@pytest.mark.parametrize(
    ("policy", "output"), [("NULL", ["good 0", None, "good 2", None]), ("DROP", ["good 0", "good 2"])]
)
async def test_items_that_fail_may_be_null_or_left_out(database: Database, policy: str, output: list[Any]) -> None:
    log, returned = await ran(database, graph({"each": each(on_error=policy)}), [0] * 4, script(each=picky(1, 3)))
    assert returned == {"each": output}
    assert Counter(line.split("[")[0] for line in log)["NodeFailed each"] == 2
    assert log[-2:] == ["NodeSucceeded each", "RunSucceeded"]


async def test_an_item_that_fails_stops_the_others_and_its_failure_is_the_nodes(database: Database) -> None:
    stopped: list[int] = []
    all_here = asyncio.Barrier(3)

    async def work(ctx: NodeContext) -> None:
        await all_here.wait()
        if item_of(ctx) == 1:
            raise NodeFault("NO", "Not this one.")
        try:
            await forever(ctx)
        finally:
            stopped.append(item_of(ctx))

    async with world(database, script(each=work)) as w:
        events = await w.run(graph({"each": each(most=3)}), [0] * 9)
        log = told(events)
        assert log[7] == "NodeFailed each[1]"
        assert sorted(log[8:10]) == ["NodeCanceled each[0]", "NodeCanceled each[2]"]
        assert log[10:] == ["NodeFailed each", "RunFailed"], "the six others never began"
        assert sorted(stopped) == [0, 2]
        ended, run = whole(events, NodeFailed).failure, events[-1].event
        assert (ended.code, ended.message, ended.node_key, ended.item_index) == ("NO", "Not this one.", "each", 1)
        assert isinstance(run, RunFailed)
        assert run.failure == ended


async def test_the_failure_of_an_item_is_answered_by_the_policy_of_the_node(database: Database) -> None:
    nodes = {
        "each": each(most=1, onError={"mode": "BRANCH"}),
        "behind": {"value": "{{ error.code }} {{ error.message }} {{ error.itemIndex }}"},
        "good": {},
    }
    kind = script(each=picky(1))
    log, output = await ran(database, graph(nodes, "each.error>behind", "each>good"), [0] * 3, kind)
    assert "NodeSkipped good" in log
    assert output == {"behind": "NO Not 1. 1"}
    node = each(onError={"mode": "CONTINUE", "defaultOutput": "instead"})
    made = graph({"each": node, "then": {"value": "{{ nodes.each.output }}"}}, "each>then")
    _, output = await ran(database, made, [0] * 3, kind)
    assert output == {"then": "instead"}


async def test_items_are_tried_again_each_by_itself_under_a_key_of_their_own(database: Database) -> None:
    keys: dict[int, list[str]] = {}

    async def work(ctx: NodeContext) -> Result:
        item = item_of(ctx)
        keys.setdefault(item, []).append(ctx.idempotency_key)
        if len(keys[item]) <= item:
            raise NodeFault("LATER", "Not yet.", is_retryable=True)
        return Result(len(keys[item]), usage=Usage(1, 1, 2))

    async with world(database, script(each=work)) as w:
        events = await w.run(graph({"each": each(retry=retry(3))}), [0] * 4)
        assert isinstance(events[-1].event, RunFailed), "the last needs four"
        failed = next(e.event for e in events if isinstance(e.event, NodeFailed) and e.event.item_index == 3)
        assert (failed.execution, failed.failure.item_index, failed.failure.attempt) == (3, 3, 3)
        retries = Counter(e.event.item_index for e in events if isinstance(e.event, NodeRetrying))
        assert retries == {1: 1, 2: 2, 3: 2}
    for item, used in keys.items():
        assert set(used) == {f"{events[0].run_id}/each/{item}"}


async def test_the_times_of_a_node_hold_for_each_of_its_items(database: Database) -> None:
    async def work(ctx: NodeContext) -> int:
        if item_of(ctx) == 1:
            await forever(ctx)
        return 1

    node = each(most=1, on_error="NULL", timeouts={"startToCloseMs": 50}, retry=retry(1))
    async with world(database, script(each=work)) as w:
        events = await w.run(graph({"each": node}), [0] * 3)
        assert await output_of(w, events) == {"each": [1, None, 1]}
        assert only(events, NodeFailed).failure.code == "TIMED_OUT"


async def test_what_an_item_streams_and_uses_is_its_own(database: Database) -> None:
    async def work(ctx: NodeContext) -> Result:
        await ctx.emit(f"hello {item_of(ctx)}")
        return Result(0, usage=Usage(item_of(ctx), 1, item_of(ctx) + 1))

    async with world(database, script(each=work)) as w:
        events = await w.run(graph({"each": each()}), [0] * 3)
        deltas = {e.event.item_index: e.event.text for e in events if isinstance(e.event, NodeOutputDelta)}
        assert deltas == {0: "hello 0", 1: "hello 1", 2: "hello 2"}
        assert only(events, RunSucceeded).usage == Usage(3, 3, 6), "and counted once"


# ── stopping ──


async def test_a_cancelled_run_tells_every_item_that_began_and_then_its_node_of_the_end(database: Database) -> None:
    crowd = Crowd()
    async with world(database, script(each=crowd)) as w:
        run_id = await w.queued(await w.add(graph({"each": each(most=2)})), [0] * 5)
        w.engine.look()
        await crowd.reaches(2)
        await w.cancel(run_id)
        log = told(await w.ended(run_id))
        assert log[6] == "RunCancelRequested"
        assert sorted(log[7:9]) == ["NodeCanceled each[0]", "NodeCanceled each[1]"]
        assert log[9:] == ["NodeCanceled each", "RunCanceled"]


async def test_each_of_many_items_at_work_is_stopped_once(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    stopped: Counter[int] = Counter()
    stop = RunWorks.stop

    def counted(works: RunWorks, slot: int) -> NodeCanceled | None:
        stopped[slot] += 1
        return stop(works, slot)

    monkeypatch.setattr(RunWorks, "stop", counted)
    crowd = Crowd()
    keys = [f"each{index}" for index in range(16)]
    made = graph({key: each(most=100) for key in keys}, maxParallelNodes=16)
    async with world(database, script(**dict.fromkeys(keys, crowd))) as w:
        run_id = await w.queued(await w.add(made), [0] * 100)
        w.engine.look()
        await crowd.reaches(1_600)
        await w.cancel(run_id)
        log = told(await w.ended(run_id))
    assert sum(line.startswith("NodeCanceled") for line in log) == 1_616
    assert len(stopped) == 1_616
    assert set(stopped.values()) == {1}


async def test_a_failure_elsewhere_stops_items_at_work_and_those_that_wait_for_another_try(database: Database) -> None:
    crowd = Crowd()

    async def work(ctx: NodeContext) -> None:
        if item_of(ctx) == 0:
            raise NodeFault("LATER", "Not yet.", is_retryable=True)
        await crowd(ctx)

    async def fail(_: NodeContext) -> None:
        await crowd.reaches(1)
        raise NodeFault("NO", "no")

    nodes = {"each": each(most=2, retry=retry(3, 3_600_000)), "bad": {}}
    log, _ = await ran(database, graph(nodes), [0] * 5, script(each=work, bad=fail))
    stopped = [line for line in log if line.startswith("NodeCanceled")]
    assert sorted(stopped) == ["NodeCanceled each", "NodeCanceled each[0]", "NodeCanceled each[1]"]
    assert log[-2:] == ["NodeCanceled each", "RunFailed"]
    assert "NodeStarted each[2]" not in log


async def test_a_run_whose_time_is_over_stops_its_items(database: Database) -> None:
    log, _ = await ran(database, graph({"each": each(most=2)}, timeoutMs=50), [0] * 5, script(each=forever))
    assert sorted(log[-4:-2]) == ["NodeCanceled each[0]", "NodeCanceled each[1]"]
    assert log[-2:] == ["NodeCanceled each", "RunFailed"]
