from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from domain.errors import Conflict, Forbidden, GraphHasProblems, InvalidInput, NotFound, OutputExpired
from domain.events import NodeReused
from domain.identity import Role
from domain.ports.paging import PageRequest
from domain.problems import Problem
from domain.reruns import RerunFrom
from domain.run import NodeRunQuery, NodeRunStatus, RunStatus, TriggerKind
from runtime.reruns import RerunGraph, RerunRequest
from tests.runtime.test_runs import caller
from tests.support.desk import NO, counting, desk
from tests.support.engines import names, only, world
from tests.support.kinds import failing, forever, graph, script
from tests.support.listed import one_node_run, sole

if TYPE_CHECKING:
    from collections.abc import Sequence

    from domain.events import LoggedEvent
    from domain.kinds import NodeContext
    from persistence.database import Database

FAILED, START, NODES = RerunFrom.FAILED, RerunFrom.START, RerunFrom.NODES


def begins(events: Sequence[LoggedEvent]) -> list[str]:
    """Return which nodes began, in the order of their beginning."""
    return [name.removeprefix("NodeStarted ") for name in names(events) if name.startswith("NodeStarted")]


async def test_a_rerun_from_failed_reuses_what_succeeded_and_executes_the_rest(database: Database) -> None:
    counts: dict[str, int] = {}
    kind = script(a=counting(counts, "a", {"n": 1}), b=failing(1, NO), c=counting(counts, "c"))
    made = graph({"a": {}, "b": {}, "c": {"value": "{{ nodes.a.output.n }}", "step": "none"}}, "a>b", "b>c")
    async with world(database, kind) as w:
        d = await desk(w, kind)
        first = await d.ran(made)
        reran = await d.rerun(first)
        assert (reran.reused, reran.executed) == (("a",), ("b", "c"))
        log = await d.log_of(reran)
        assert names(log) == [
            "RunQueued",
            "NodeReused a",
            "RunStarted",
            "NodeStarted b",
            "NodeSucceeded b",
            "NodeStarted c",
            "NodeSucceeded c",
            "RunSucceeded",
        ]
        assert only(log, NodeReused).from_run == first
        assert counts["a"] == 1
        assert reran.run is not None
        assert await d.output(reran.run.id) == {"c": 1}
        stored = (await w.reader.find_many(frozenset({w.workspace_id}), [reran.run.id]))[0]
        assert (stored.rerun_of, stored.trigger, stored.nodes_done) == (first, TriggerKind.RERUN, 3)
        node = await one_node_run(w.reader, stored.id, "a", None)
        assert node is not None
        assert (node.status, node.attempts, node.reused_from) == (NodeRunStatus.REUSED, 0, first)


async def test_a_rerun_tells_where_it_is_from_the_moment_it_is_made(database: Database) -> None:
    kind = script(b=failing(1, NO))
    async with world(database, kind) as w:
        d = await desk(w, kind)
        reran = await d.rerun(await d.ran(graph("a b", "a>b")))
        assert reran.run is not None
        assert (reran.run.status, reran.run.last_seq, reran.run.nodes_done) == (RunStatus.QUEUED, 2, 1)
        await d.log_of(reran)


async def test_a_dry_run_tells_the_same_and_writes_nothing(database: Database) -> None:
    kind = script(b=failing(1, NO))
    async with world(database, kind) as w:
        d = await desk(w, kind)
        first = await d.ran(graph("a b", "a>b"))
        reran = await d.rerun(first, is_dry_run=True)
        assert (reran.run, reran.reused, reran.executed) == (None, ("a",), ("b",))
        assert await d.run_count() == 1


async def test_from_start_executes_every_node_also_of_a_run_that_went_well(database: Database) -> None:
    counts: dict[str, int] = {}
    kind = script(a=counting(counts, "a"), b=counting(counts, "b"))
    async with world(database, kind) as w:
        d = await desk(w, kind)
        reran = await d.rerun(await d.ran(graph("a b", "a>b")), START)
        assert (reran.reused, reran.executed) == ((), ("a", "b"))
        await d.log_of(reran)
        assert counts == {"a": 2, "b": 2}


async def test_of_a_run_that_went_well_from_failed_reuses_everything(database: Database) -> None:
    kind = script()
    async with world(database, kind) as w:
        d = await desk(w, kind)
        reran = await d.rerun(await d.ran(graph({"a": {"value": 1}, "b": {"value": 2}}, "a>b")))
        log = await d.log_of(reran)
        assert names(log) == ["RunQueued", "NodeReused a", "NodeReused b", "RunStarted", "RunSucceeded"]
        assert reran.run is not None
        assert await d.output(reran.run.id) == {"b": 2}


async def test_named_nodes_and_what_is_behind_them_run_again(database: Database) -> None:
    kind = script()
    async with world(database, kind) as w:
        d = await desk(w, kind)
        reran = await d.rerun(await d.ran(graph("a b c d", "a>b", "a>c", "b>d", "c>d")), NODES, "b")
        assert (reran.reused, reran.executed) == (("a", "c"), ("b", "d"))
        assert begins(await d.log_of(reran)) == ["b", "d"]


async def test_another_input_runs_again_what_reads_it_and_what_is_behind(database: Database) -> None:
    kind = script()
    nodes = {"a": {"value": "{{ input.q }}"}, "b": {"value": "{{ nodes.a.output }}!"}, "c": {"value": 1}}
    async with world(database, kind) as w:
        d = await desk(w, kind)
        first = await d.ran(graph(nodes, "a>b"), {"q": "x"})
        same = await d.rerun(first, given={"q": "x"}, is_dry_run=True)
        assert same.executed == ()
        reran = await d.rerun(first, given={"q": "y"})
        assert (reran.reused, reran.executed) == (("c",), ("a", "b"))
        await d.log_of(reran)
        assert reran.run is not None
        assert await d.output(reran.run.id) == {"b": "y!", "c": 1}
        again = await d.rerun(reran.run.id, NODES, "b")
        await d.log_of(again)
        assert again.run is not None
        assert await d.output(again.run.id) == {"b": "y!", "c": 1}


async def test_the_draft_runs_again_what_was_changed_in_it(database: Database) -> None:
    kind = script()
    async with world(database, kind) as w:
        d = await desk(w, kind)
        first = await d.ran(graph({"a": {"value": 1}, "b": {"value": 2}, "c": {"value": 3}}, "a>b"))
        edited = graph({"a": {"value": 1, "name": "A"}, "b": {"value": True}, "c": {"value": 3}, "e": {}}, "a>b", "c>e")
        before = (await w.reader.find_many(frozenset({w.workspace_id}), [first]))[0]
        await d.shelf.edit(before.workflow_id, edited)
        reran = await d.rerun(first, graph=RerunGraph.DRAFT)
        assert (reran.reused, reran.executed) == (("a", "c"), ("b", "e"))
        await d.log_of(reran)
        assert reran.run is not None
        assert await d.output(reran.run.id) == {"b": True, "e": None}


async def test_a_rerun_of_a_rerun_names_the_run_that_made_the_output(database: Database) -> None:
    kind = script(b=failing(2, NO))
    async with world(database, kind) as w:
        d = await desk(w, kind)
        nodes = {"a": {"value": "made once"}, "b": {}, "c": {"value": "{{ nodes.a.output }}"}}
        first = await d.ran(graph(nodes, "a>b", "b>c"))
        second = await d.rerun(first)
        assert names(await d.log_of(second))[-1] == "RunFailed"
        assert second.run is not None
        third = await d.rerun(second.run.id)
        log = await d.log_of(third)
        assert only(log, NodeReused).from_run == first
        assert third.run is not None
        assert (await d.output(third.run.id))["c"] == "made once"


async def test_a_failure_that_took_a_branch_is_reused_with_its_port_and_its_error(database: Database) -> None:
    kind = script(a=failing(9, NO))
    nodes = {
        "a": {"onError": {"mode": "BRANCH"}, "retry": {"maximumAttempts": 1}},
        "good": {},
        "bad": {"value": "{{ error.code }}"},
    }
    async with world(database, kind) as w:
        d = await desk(w, kind)
        first = await d.ran(graph(nodes, "a>good", "a.error>bad"))
        reran = await d.rerun(first, NODES, "bad")
        assert (reran.reused, reran.executed) == (("a",), ("bad",))
        log = await d.log_of(reran)
        assert names(log)[1:4] == ["NodeReused a", "NodeSkipped good", "RunStarted"]
        assert reran.run is not None
        assert await d.output(reran.run.id) == {"bad": "NO"}
        failed = await d.rerun(first, FAILED, is_dry_run=True)
        assert failed.executed == ("a", "good", "bad")


async def test_a_stand_in_for_a_failure_is_reused_as_it_was(database: Database) -> None:
    kind = script(a=failing(9, NO))
    policy = {"mode": "CONTINUE", "defaultOutput": [7]}
    nodes = {"a": {"onError": policy, "retry": {"maximumAttempts": 1}}, "b": {"value": "{{ nodes.a.output }}"}}
    async with world(database, kind) as w:
        d = await desk(w, kind)
        reran = await d.rerun(await d.ran(graph(nodes, "a>b")), NODES, "b")
        assert reran.reused == ("a",)
        await d.log_of(reran)
        assert reran.run is not None
        assert await d.output(reran.run.id) == {"b": [7]}


async def test_what_was_left_out_is_left_out_again_and_its_join_is_reused(database: Database) -> None:
    kind = script(d=failing(1, NO))
    nodes: dict[str, dict[str, Any]] = {"a": {}, "b": {"when": "false"}, "c": {}, "d": {}}
    async with world(database, kind) as w:
        d = await desk(w, kind)
        reran = await d.rerun(await d.ran(graph(nodes, "a>c", "b>c", "c>d")))
        assert (reran.reused, reran.executed) == (("a", "c"), ("d",))
        assert names(await d.log_of(reran)) == [
            "RunQueued",
            "NodeReused a",
            "NodeSkipped b",
            "NodeReused c",
            "RunStarted",
            "NodeStarted d",
            "NodeSucceeded d",
            "RunSucceeded",
        ]


async def test_what_a_cancellation_cut_off_is_executed(database: Database) -> None:
    is_first = True

    async def slow_once(ctx: NodeContext) -> object:
        nonlocal is_first
        if is_first:
            is_first = False
            await forever(ctx)
        return "done"

    kind = script(b=slow_once)
    async with world(database, kind) as w:
        d = await desk(w, kind)
        run = await d.runs.start(d.actor, await d.shelf.add(graph("a b c", "a>b", "b>c")), None)
        async for event in w.progress.follow(run.id):
            if names([event]) == ["NodeStarted b"]:
                with pytest.raises(Conflict) as caught:
                    await d.rerun(run.id)
                assert caught.value.path == ["input", "runId"]
                assert await d.run_count() == 1
                await w.cancel(run.id)
        reran = await d.rerun(run.id)
        assert (reran.reused, reran.executed) == (("a",), ("b", "c"))
        assert names(await d.log_of(reran))[-1] == "RunSucceeded"


async def test_a_rerun_is_executed_by_whichever_process_has_room(database: Database) -> None:
    counts: dict[str, int] = {}
    kind = script(a=counting(counts, "a", "from afar"), b=failing(1, NO), c=counting(counts, "c"))
    made = graph({"a": {}, "b": {}, "c": {"step": "none", "value": "{{ nodes.a.output }}"}}, "a>b", "b>c")
    async with world(database, kind) as w:
        d = await desk(w, kind)
        first = await d.ran(made)
    closed = w
    async with world(database, kind, like=closed) as other:
        reran = await d.rerun(first)  # the engine of the process that was asked is closed
        assert reran.run is not None
        events = await other.ended(reran.run.id)
        assert begins(events) == ["b", "c"]
        assert await d.output(reran.run.id) == {"c": "from afar"}
        assert counts["a"] == 1


async def test_a_rerun_that_is_cancelled_before_anybody_has_room_for_it_ends_without_work(database: Database) -> None:
    kind = script(b=failing(1, NO))
    async with world(database, kind) as w:
        d = await desk(w, kind)
        first = await d.ran(graph("a b", "a>b"))
    reran = await d.rerun(first)
    assert reran.run is not None
    await w.cancel(reran.run.id)
    async with world(database, kind, like=w) as other:
        assert names(await other.ended(reran.run.id)) == [
            "RunQueued",
            "NodeReused a",
            "RunStarted",
            "RunCancelRequested",
            "RunCanceled",
        ]


# ── refusals: nothing is written ──


@pytest.mark.parametrize(
    ("from_", "keys", "more", "path"),
    [
        (NODES, (), {}, ["input", "nodeKeys"]),
        (NODES, ("a", "zz"), {}, ["input", "nodeKeys"]),
        (FAILED, ("a",), {}, ["input", "nodeKeys"]),
        (START, (), {"given": 3}, ["input", "input"]),
        (START, (), {"given": {"q": "\0"}}, ["input", "input"]),
    ],
)
async def test_what_does_not_fit_is_refused_with_its_place(
    database: Database, from_: RerunFrom, keys: tuple[str, ...], more: dict[str, Any], path: list[str]
) -> None:
    kind = script()
    async with world(database, kind) as w:
        d = await desk(w, kind)
        workflow = await d.shelf.add(graph("a"), schema={"type": "object"})
        run = await d.runs.start(d.actor, workflow, {})
        await w.ended(run.id)
        with pytest.raises(InvalidInput) as caught:
            await d.rerun(run.id, from_, *keys, **more)
        assert caught.value.path == path
        assert await d.run_count() == 1


async def test_others_see_no_run_and_a_viewer_may_not_rerun(database: Database) -> None:
    kind = script()
    async with world(database, kind) as w:
        d = await desk(w, kind)
        first = await d.ran(graph("a"))
        request = RerunRequest(first, START)
        with pytest.raises(Forbidden):
            await d.service.rerun(await caller(w, Role.VIEWER), request)
        with pytest.raises(NotFound):
            await d.service.rerun(await caller(w, None), request)
        assert await d.run_count() == 1


async def test_a_draft_with_errors_is_not_rerun(database: Database) -> None:
    kind = script()
    async with world(database, kind) as w:
        d = await desk(w, kind)
        first = await d.ran(graph("a"))
        before = (await w.reader.find_many(frozenset({w.workspace_id}), [first]))[0]
        await d.shelf.edit(before.workflow_id, graph("a b"), Problem("UNKNOWN_REFERENCE", "No."))
        with pytest.raises(GraphHasProblems):
            await d.rerun(first, graph=RerunGraph.DRAFT)
        assert await d.run_count() == 1


@pytest.mark.parametrize("what", ["DELETE FROM node_runs", "DELETE FROM run_events"])
async def test_what_is_no_longer_kept_is_told_before_anything_is_written(database: Database, what: str) -> None:
    kind = script(b=failing(1, NO))
    async with world(database, kind) as w:
        d = await desk(w, kind)
        first = await d.ran(graph("a b", "a>b"))
        async with w.database.direct() as connection:
            await connection.execute(f"{what} WHERE run_id = $1", first)
        with pytest.raises(OutputExpired) as caught:
            await d.rerun(first)
        assert caught.value.path == ["input", "runId"]
        with pytest.raises(OutputExpired):
            await d.rerun(first, is_dry_run=True)
        assert await d.run_count() == 1
        reran = await d.rerun(first, START)
        assert names(await d.log_of(reran))[-1] == "RunSucceeded"


async def test_nodes_of_a_run_can_be_chosen(database: Database) -> None:
    kind = script(b=failing(1, NO))
    async with world(database, kind) as w:
        d = await desk(w, kind)
        reran = await d.rerun(await d.ran(graph("a b", "a>b")))
        await d.log_of(reran)
        assert reran.run is not None
        for query, keys in (
            (NodeRunQuery(), ["a", "b"]),
            (NodeRunQuery(statuses=(NodeRunStatus.REUSED,)), ["a"]),
            (NodeRunQuery(node_keys=("b",)), ["b"]),
            (NodeRunQuery(is_item=True), []),
            (NodeRunQuery(is_item=False), ["a", "b"]),
        ):
            page = await sole(w.reader.node_runs([reran.run.id], query, PageRequest(limit=10)))
            assert [node.node_key for node in page.items] == keys
            assert await sole(w.reader.count_node_runs([reran.run.id], query)) == len(keys)
