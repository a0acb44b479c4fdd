"""Nodes that are run once for each item of a list."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from domain.events import (
    NodeCanceled,
    NodeEventBase,
    NodeExpanded,
    NodeFailed,
    NodeProgressed,
    NodeStarted,
    NodeSucceeded,
    RunSucceeded,
)
from domain.kinds import Result
from domain.run import NodeRunStatus
from domain.suspensions import Due, Until
from runtime.execute import MAX_ITEMS
from tests.support.engines import named, only, world
from tests.support.items import Crowd, each, item_of, output_of, ran, told
from tests.support.kinds import graph, script
from tests.support.listed import one_node_run
from tests.support.waiting import until

if TYPE_CHECKING:
    from domain.kinds import NodeContext
    from domain.ports.runs import Group
    from persistence.database import Database


# ── the list ──


async def test_a_node_runs_once_for_each_item_and_returns_the_list_of_outputs_in_their_order(
    database: Database,
) -> None:
    last_first = [asyncio.Event() for _ in range(3)]
    last_first[2].set()

    async def work(ctx: NodeContext) -> str:
        item = item_of(ctx)
        await last_first[item].wait()
        last_first[item - 1].set()
        return f"item {item}"

    made = graph({"each": each(), "then": {"value": "{{ nodes.each.output }}"}}, "each>then")
    log, output = await ran(database, made, ["x", "y", "z"], script(each=work))
    assert log == [
        "RunQueued",
        "RunStarted",
        "NodeStarted each",
        "NodeExpanded each",
        "NodeStarted each[0]",
        "NodeStarted each[1]",
        "NodeStarted each[2]",
        "NodeSucceeded each[2]",
        "NodeSucceeded each[1]",
        "NodeSucceeded each[0]",
        "NodeSucceeded each",
        "NodeStarted then",
        "NodeSucceeded then",
        "RunSucceeded",
    ]
    assert output == {"then": ["item 0", "item 1", "item 2"]}


async def test_templates_see_the_item_its_place_and_all_the_rest(database: Database) -> None:
    value = {"item": "{{ item }}", "place": "{{ index }}", "sum": "{{ item.n + nodes.a.output + input.more }}"}
    made = graph({"a": {"value": 100}, "each": each("{{ input.list }}", step="-", value=value)}, "a>each")
    _, output = await ran(database, made, {"list": [{"n": 1}, {"n": 2}], "more": 1_000})
    assert output == {
        "each": [{"item": {"n": 1}, "place": 0, "sum": 1_101}, {"item": {"n": 2}, "place": 1, "sum": 1_102}]
    }


async def test_an_empty_list_gives_an_empty_list_at_once(database: Database) -> None:
    log, output = await ran(database, graph({"each": each()}), [])
    assert log[2:] == ["NodeStarted each", "NodeExpanded each", "NodeSucceeded each", "RunSucceeded"]
    assert output == {"each": []}


@pytest.mark.parametrize(
    ("given", "was"),
    [("abc", "text"), ({"a": 1}, "an object"), (None, "null"), (3, "a number"), (True, "true or false")],
)
async def test_what_is_no_list_fails_the_node_and_says_what_it_was(database: Database, given: Any, was: str) -> None:
    async with world(database, script()) as w:
        events = await w.run(graph({"each": each()}), given)
        assert told(events)[2:] == ["NodeStarted each", "NodeFailed each", "RunFailed"]
        failure = only(events, NodeFailed).failure
        assert (failure.code, failure.item_index) == ("INVALID_ITEMS", None)
        assert failure.message == f"The `items` of `forEach` gave {was}; give it a list."


async def test_a_list_that_is_too_long_or_cannot_be_evaluated_fails_the_node_before_any_item(
    database: Database,
) -> None:
    async with world(database, script()) as w:
        long = await w.run(graph({"each": each()}), [0] * (MAX_ITEMS + 1))
        failure = only(long, NodeFailed).failure
        assert failure.code == "TOO_MANY_ITEMS"
        assert failure.message == "The list of `forEach` has 10,001 items; at most 10,000 are allowed."
        broken = await w.run(graph({"each": each("input.gone.list")}), {"here": 1})
        assert only(broken, NodeFailed).failure.code == "TEMPLATE_ERROR"
        assert told(broken)[2:] == ["NodeStarted each", "NodeFailed each", "RunFailed"]


async def test_a_failing_list_is_answered_by_the_policy_of_the_node(database: Database) -> None:
    node = each(onError={"mode": "CONTINUE", "defaultOutput": ["none"]})
    log, output = await ran(
        database, graph({"each": node, "then": {"value": "{{ nodes.each.output }}"}}, "each>then"), 1
    )
    assert log[2:5] == ["NodeStarted each", "NodeFailed each", "NodeStarted then"]
    assert output == {"then": ["none"]}


async def test_the_condition_is_asked_once_and_before_the_list_is_there(database: Database) -> None:
    nodes = {
        "left_out": each("input.gone", when="false"),
        "wanted": each("input.list", when="input.list | length == 2", value="{{ index }}"),
        "broken": each("input.list", when="input.gone.further", onError={"mode": "CONTINUE"}),
    }
    log, output = await ran(database, graph(nodes), {"list": [1, 1]})
    assert "NodeSkipped left_out" in log
    assert "NodeStarted left_out" not in log
    assert [line for line in log if line.endswith("broken")] == ["NodeStarted broken", "NodeFailed broken"]
    assert output == {"wanted": [0, 1], "broken": None}


# ── how many at once ──


async def test_at_most_so_many_items_work_at_once_and_the_next_begins_in_the_commit_that_ends_one(
    database: Database,
) -> None:
    crowd = Crowd()
    groups: list[list[str]] = []
    async with world(database, script(each=crowd)) as w:

        def stored(group: Group, base: int) -> None:
            groups.append([named(event) for event in group.events])
            w.progress.stored(group, base)

        w.log._on_stored = (stored,)
        running = asyncio.create_task(w.run(graph({"each": each(most=3)}), [0] * 5))
        await crowd.reaches(3)
        crowd.go.release()
        while len(groups) < 2:
            await crowd.reaches(3)
            await asyncio.sleep(0)
        assert groups[1] == ["NodeSucceeded each", "NodeStarted each"]
        for _ in range(4):
            crowd.go.release()
        assert isinstance((await running)[-1].event, RunSucceeded)
    assert crowd.most == 3


async def test_a_node_with_a_list_takes_one_place_among_the_nodes_of_its_run(database: Database) -> None:
    crowd = Crowd()
    made = graph({"each": each(most=5), "a": {"step": "each"}, "b": {"step": "each"}}, maxParallelNodes=2)
    async with world(database, script(each=crowd)) as w:
        running = asyncio.create_task(w.run(made, [0] * 5))
        await crowd.reaches(6)  # five items, and one of the two others
        for _ in range(7):
            crowd.go.release()
        assert isinstance((await running)[-1].event, RunSucceeded)
    assert crowd.most == 6


# ── limits ──


async def test_outputs_that_are_too_large_together_fail_the_node_and_stop_what_is_left(database: Database) -> None:
    async def work(_: NodeContext) -> str:
        return "x" * 1_000_000

    async with world(database, script(each=work)) as w:
        events = await w.run(graph({"each": each(most=1)}), [0] * 100)
        failure = only(events, NodeFailed).failure
        assert (failure.code, failure.item_index) == ("INVALID_OUTPUT", None)
        assert "more than 4194304 bytes" in failure.message
        assert sum(isinstance(e.event, NodeStarted) for e in events) == 1 + 5, "four fit"


async def test_ten_thousand_pure_items_make_no_commit_too_large_and_let_other_runs_go_on(database: Database) -> None:
    groups: list[int] = []
    ended: list[str] = []
    pure = replace(script(), kind="PURE", name="pure", is_pure=True)
    node = each(config={"pure": {"step": "-", "value": "{{ item * 2 }}"}}, most=100)
    async with world(database, script(), pure) as w:
        long = w.new_run(await w.add(graph({"each": node})), list(range(MAX_ITEMS)))
        short = w.new_run(await w.add(graph("a b c", "a>b", "b>c")))

        def stored(group: Group, base: int) -> None:
            if group.run_id == long.id:
                groups.append(len(group.events))
            if isinstance(group.events[-1], RunSucceeded):
                ended.append("long" if group.run_id == long.id else "short")
            w.progress.stored(group, base)

        w.log._on_stored = (stored,)
        await w.engine.start(long)
        await w.engine.start(short)
        await until(lambda: len(ended) == 2)
        assert ended == ["short", "long"]
        assert max(groups) <= 1_000
        assert len(groups) > 20
        events = await w.log_rows(long.id)
        assert await output_of(w, events) == {"each": [2 * n for n in range(MAX_ITEMS)]}
        progress = [e.event for e in events if isinstance(e.event, NodeProgressed)]
        assert 10 < len(progress) < 200
        assert all(one.item_count == MAX_ITEMS for one in progress)
        assert [one.items_done for one in progress] == sorted({one.items_done for one in progress})
        found = await one_node_run(w.reader, long.id, "each", MAX_ITEMS - 1)
        assert found is not None
        assert found.status is NodeRunStatus.SUCCEEDED


async def test_pure_items_that_compute_for_long_let_others_have_their_turn(database: Database) -> None:
    async def step(_: NodeContext) -> None:
        done_at = time.monotonic() + 0.006
        while time.monotonic() < done_at:
            pass

    pure = replace(script(each=step), is_pure=True)
    groups: list[list[str]] = []
    async with world(database, pure) as w:

        def stored(group: Group, base: int) -> None:
            groups.append([named(event) for event in group.events])
            w.progress.stored(group, base)

        w.log._on_stored = (stored,)
        await w.run(graph({"each": each()}), [0] * 4)
    assert [group.count("NodeSucceeded each") for group in groups] == [1, 1, 1, 2], "the last ends the node as well"


async def test_a_pure_item_may_wait_for_its_time(database: Database) -> None:
    async def step(_: NodeContext) -> Result:
        return Result(suspension=Until(datetime.now(UTC)))

    def resume(answer: object) -> Result:
        assert isinstance(answer, Due)
        return Result("awake")

    pure = replace(script(each=step), is_pure=True, resume=resume)
    log, output = await ran(database, graph({"each": each(most=1)}), [0, 0], pure)
    assert output == {"each": ["awake", "awake"]}
    assert log[4:8] == [
        "NodeStarted each[0]",
        "NodeWaiting each[0]",
        "NodeSucceeded each[0]",
        "NodeStarted each[1]",
    ]


# ── progress ──


async def test_how_far_a_slow_list_is_is_told_now_and_then(database: Database) -> None:
    async def work(_: NodeContext) -> None:
        await asyncio.sleep(0.26)

    async with world(database, script(each=work)) as w:
        events = await w.run(graph({"each": each(most=1)}), [0] * 4)
    assert [e.event.items_done for e in events if isinstance(e.event, NodeProgressed)] == [3]
    assert only(events, NodeExpanded).item_count == 4
    ends = [e.event for e in events if isinstance(e.event, NodeEventBase)]
    assert isinstance(ends[-1], NodeSucceeded), "nothing is said of the node behind its end"
    assert not any(isinstance(event, NodeCanceled) for event in ends)
