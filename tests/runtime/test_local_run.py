from __future__ import annotations

import asyncio
import time
from collections import Counter
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import structlog

from domain.errors import NodeFault
from domain.events import (
    NodeFailed,
    NodeRetrying,
    NodeSucceeded,
    RunFailed,
    RunSucceeded,
)
from domain.kinds import Result
from domain.run import NodeRunStatus, Usage
from tests.support.engines import named, names, only, world
from tests.support.kinds import failing, forever, graph, retry, script
from tests.support.listed import one_node_run

if TYPE_CHECKING:
    from domain.kinds import NodeContext
    from domain.ports.runs import Group
    from domain.workflow import Definition
    from persistence.database import Database
    from tests.support.engines import World


async def output_of(w: World, run_id: Any) -> bytes | None:
    return (await w.reader.payloads([run_id]))[run_id][1]


async def groups_of(w: World, definition: Definition) -> list[list[str]]:
    """Run a definition alone and return its log by what was appended together."""
    groups: list[list[str]] = []

    def stored(group: Group, base: int) -> None:
        groups.append([named(event) for event in group.events])
        w.progress.stored(group, base)

    w.log._on_stored = (stored,)
    await w.run(definition)
    return groups


async def test_what_is_logged_while_a_node_works_names_the_run_and_the_node(database: Database) -> None:
    seen: list[dict[str, Any]] = []

    async def log(_: NodeContext) -> None:
        seen.append(structlog.contextvars.get_contextvars())

    async with world(database, script(a=log, b=log)) as w:
        run_id = (await w.run(graph("a b")))[0].run_id
    assert [(one["run"], one["node"]) for one in seen] == [(str(run_id), "a"), (str(run_id), "b")]


# ── order ──


async def test_branches_run_at_the_same_time_and_their_join_sees_both_outputs(database: Database) -> None:
    meeting = asyncio.Barrier(2)

    async def meet(_: NodeContext) -> int:
        await meeting.wait()  # passes only when both run
        return 20

    made = graph(
        {"a": {}, "b": {"step": "a"}, "sum": {"value": "{{ nodes.a.output + nodes.b.output + input }}"}},
        "a>sum",
        "b>sum",
    )
    async with world(database, script(a=meet)) as w:
        events = await w.run(made, 2)
        assert isinstance(events[-1].event, RunSucceeded)
        assert await output_of(w, events[0].run_id) == b'{"sum":42}'
        first = names(events)
        assert first[:4] == ["RunQueued", "RunStarted", "NodeStarted a", "NodeStarted b"]
        assert first[-3:] == ["NodeStarted sum", "NodeSucceeded sum", "RunSucceeded"]


async def test_a_node_is_durable_before_its_successor_begins(database: Database) -> None:
    seen: list[list[str]] = []

    async def look(_: NodeContext) -> None:
        seen.append(names(await w.log_rows(run_id)))

    async with world(database, script(b=look)) as w:
        run_id = await w.queued(await w.add(graph("a b", "a>b")))
        w.engine.look()
        await w.ended(run_id)
        assert seen == [["RunQueued", "RunStarted", "NodeStarted a", "NodeSucceeded a", "NodeStarted b"]]
        assert w.log.commit_count == 3, "one for the start, one for each end with what follows from it"


async def test_a_pure_node_starts_and_ends_in_one_commit_behind_that_of_what_it_reads(database: Database) -> None:
    nodes = {"a": {"value": 1}, "b": {"value": "{{ nodes.a.output + 1 }}"}, "c": {"when": "false"}, "d": {}}
    async with world(database, replace(script(), is_pure=True)) as w:
        assert await groups_of(w, graph(nodes, "a>b", "b>c", "b>d")) == [
            ["RunStarted", "NodeStarted a", "NodeSucceeded a"],
            ["NodeStarted b", "NodeSucceeded b"],
            ["NodeSkipped c", "NodeStarted d", "NodeSucceeded d", "RunSucceeded"],
        ]
        assert w.log.commit_count == 3


async def test_a_pure_node_waits_until_the_end_of_any_other_before_it_is_stored(database: Database) -> None:
    pure = replace(script(), kind="PURE", name="pure", is_pure=True)
    nodes = {key: {"config": {"pure": {"step": key}}} for key in ("first", "last")} | {"work": {}}
    async with world(database, script(), pure) as w:
        assert await groups_of(w, graph(nodes, "first>work", "work>last")) == [
            ["RunStarted", "NodeStarted first", "NodeSucceeded first", "NodeStarted work"],
            ["NodeSucceeded work"],
            ["NodeStarted last", "NodeSucceeded last", "RunSucceeded"],
        ]


async def test_pure_nodes_that_compute_for_long_leave_the_event_loop_to_others_in_between(database: Database) -> None:
    async def compute(_: NodeContext) -> None:
        done_at = time.monotonic() + 0.01
        while time.monotonic() < done_at:
            pass

    async with world(database, replace(script(a=compute, b=compute), is_pure=True)) as w:
        assert await groups_of(w, graph("a b c")) == [
            ["RunStarted", "NodeStarted a", "NodeSucceeded a"],
            ["NodeStarted b", "NodeSucceeded b"],
            ["NodeStarted c", "NodeSucceeded c", "RunSucceeded"],
        ]


async def test_a_pure_node_that_fails_is_tried_again_in_a_commit_of_its_own(database: Database) -> None:
    tries = 0

    async def fail_once(_: NodeContext) -> int:
        nonlocal tries
        tries += 1
        if tries == 1:
            raise NodeFault("LATER", "not yet", is_retryable=True)
        return tries

    pure = replace(script(a=fail_once), is_pure=True)
    async with world(database, pure) as w:
        events = await w.run(graph({"a": {"retry": retry(2)}}))
        assert names(events)[2:] == [
            "NodeStarted a",
            "NodeRetrying a",
            "NodeStarted a",
            "NodeSucceeded a",
            "RunSucceeded",
        ]
        assert w.log.commit_count == 2


async def test_a_condition_that_is_false_leaves_the_node_and_what_needs_it_out(database: Database) -> None:
    made = graph({"a": {"value": 1}, "b": {"when": "nodes.a.output > 1"}, "c": {}, "d": {}}, "a>b", "b>c", "a>d")
    async with world(database, script()) as w:
        events = await w.run(made)
        assert Counter(names(events))["NodeSkipped b"] == Counter(names(events))["NodeSkipped c"] == 1
        assert await output_of(w, events[0].run_id) == b'{"d":null}'
        node = await one_node_run(w.reader, events[0].run_id, "b", None)  # pyright: ignore[reportArgumentType]
        assert node is not None
        assert (node.status, node.attempts, node.started_at) == (NodeRunStatus.SKIPPED, 0, None)


async def test_the_output_mapping_makes_the_runs_output_and_its_fault_fails_the_run(database: Database) -> None:
    nodes = {"a": {"value": {"x": 1.0}}}
    async with world(database, script()) as w:
        good = await w.run(graph(nodes, output={"y": "{{ nodes.a.output.x }}", "in": ["{{ input }}"]}), "i")
        assert await output_of(w, good[0].run_id) == b'{"y":1.0,"in":["i"]}'
        bad = await w.run(graph(nodes, output={"y": "{{ nodes.a.output.z.q }}"}))
        assert only(bad, RunFailed).failure.code == "OUTPUT_FAILED"


# ── failures ──


async def test_a_node_is_tried_again_until_it_succeeds(database: Database) -> None:
    fault = NodeFault("LATER", "not yet", is_retryable=True)
    async with world(database, script(a=failing(2, fault))) as w:
        events = await w.run(graph({"a": {"retry": retry(3)}}))
        assert names(events)[2:] == [
            "NodeStarted a",
            "NodeRetrying a",
            "NodeStarted a",
            "NodeRetrying a",
            "NodeStarted a",
            "NodeSucceeded a",
            "RunSucceeded",
        ]
        (node,) = (await w.reader.snapshot(events[0].run_id)).nodes  # pyright: ignore[reportArgumentType]
        assert (node.node_run.attempts, node.node_run.failure) == (3, None)
        assert node.node_run.usage == only(events, RunSucceeded).usage == Usage(13, 0, 13)


async def test_a_node_that_fails_in_all_its_attempts_fails_the_run(database: Database) -> None:
    fault = NodeFault("LATER", "not yet", is_retryable=True)
    async with world(database, script(a=failing(9, fault))) as w:
        events = await w.run(graph({"a": {"retry": retry(2)}}))
        failure = only(events, NodeFailed).failure
        assert (failure.code, failure.node_key, failure.attempt) == ("LATER", "a", 2)
        assert only(events, RunFailed).failure == failure
        assert Counter(names(events))["NodeStarted a"] == 2


async def test_a_wait_that_the_other_side_asked_for_is_kept(database: Database) -> None:
    fault = NodeFault("BUSY", "wait", is_retryable=True, retry_after_s=0.2)
    async with world(database, script(a=failing(1, fault))) as w:
        events = await w.run(graph({"a": {"retry": retry(2)}}))
        retrying, again = events[3], events[4]
        assert isinstance(retrying.event, NodeRetrying)
        tolerance = timedelta(milliseconds=20)
        assert retrying.event.next_attempt_at - retrying.at > timedelta(seconds=0.2) - tolerance
        assert again.at > retrying.event.next_attempt_at - tolerance


async def test_an_attempt_that_takes_too_long_is_tried_again(database: Database) -> None:
    count = 0

    async def slow(_: NodeContext) -> str:
        nonlocal count
        count += 1
        if count == 1:
            await asyncio.Event().wait()
        return "fine"

    async with world(database, script(a=slow)) as w:
        events = await w.run(graph({"a": {"retry": retry(2), "timeouts": {"startToCloseMs": 30}}}))
        assert only(events, NodeRetrying).failure.code == "TIMED_OUT"
        assert isinstance(events[-1].event, RunSucceeded)


async def test_all_attempts_together_end_at_schedule_to_close(database: Database) -> None:
    timeouts = {"startToCloseMs": 100, "scheduleToCloseMs": 800}
    async with world(database, script(a=forever)) as w:
        events = await w.run(graph({"a": {"retry": retry(100), "timeouts": timeouts}}))
        failure = only(events, NodeFailed).failure
        assert failure.code == "TIMED_OUT"
        assert 2 <= (failure.attempt or 0) <= 8
        assert events[-1].at - events[2].at < timedelta(seconds=5)


async def test_an_attempt_in_which_nothing_moves_is_ended(database: Database) -> None:
    async def moving(ctx: NodeContext) -> None:
        for _ in range(5):
            ctx.progress()
            await asyncio.sleep(0.01)
        await asyncio.Event().wait()

    async with world(database, script(a=moving)) as w:
        events = await w.run(graph({"a": {"retry": retry(1), "timeouts": {"idleMs": 40}}}))
        assert only(events, NodeFailed).failure.message == "Nothing moved for 40 ms."


async def test_a_run_that_takes_too_long_stops_its_nodes_and_fails(database: Database) -> None:
    async with world(database, script(a=forever)) as w:
        events = await w.run(graph("a b", "a>b", timeoutMs=50))
        assert names(events)[-2:] == ["NodeCanceled a", "RunFailed"]
        assert only(events, RunFailed).failure.code == "TIMED_OUT"


async def test_a_failure_takes_the_path_that_its_node_chose(database: Database) -> None:
    fault = NodeFault("NO", "because")
    nodes: dict[str, dict[str, Any]] = {
        "a": {"step": "a", "onError": {"mode": "BRANCH"}},
        "told": {"value": "{{ error.code }}: {{ error.message }} ({{ error.attempt }}, {{ error.itemIndex is none }})"},
        "not": {},
        "b": {"step": "a", "onError": {"mode": "CONTINUE", "defaultOutput": {"x": 1.0}}},
        "goes": {"value": "{{ nodes.b.output.x }}"},
    }
    async with world(database, script(a=failing(9, fault))) as w:
        events = await w.run(graph(nodes, "a.error>told", "a>not", "b>goes"))
        assert isinstance(events[-1].event, RunSucceeded)
        assert await output_of(w, events[0].run_id) == b'{"told":"NO: because (1, true)","goes":1.0}'
        assert "NodeSkipped not" in names(events)


async def test_failing_fast_stops_what_is_in_flight(database: Database) -> None:
    running = asyncio.Event()

    async def work(_: NodeContext) -> None:
        running.set()
        await asyncio.Event().wait()

    async def fail(_: NodeContext) -> None:
        await running.wait()
        raise NodeFault("NO", "no")

    async with world(database, script(a=work, b=fail)) as w:
        events = await w.run(graph("a b c", "a>c"))
        assert names(events)[-3:] == ["NodeFailed b", "NodeCanceled a", "RunFailed"]
        assert "NodeStarted c" not in names(events)
        assert only(events, RunFailed).failure.node_key == "b"


async def test_a_node_that_was_only_just_begun_is_stopped_as_well(database: Database) -> None:
    """A pure node fails in the same turn in which its sibling's task is made, before that task has run."""

    async def fail(_: NodeContext) -> None:
        raise NodeFault("NO", "no")

    pure = replace(script(b=fail), is_pure=True, name="pure")
    made = graph("a b")
    nodes = [made.graph.nodes[0], made.graph.nodes[1].model_copy(update={"config": {"pure": {"step": "b"}}})]
    made = made.model_copy(update={"graph": made.graph.model_copy(update={"nodes": tuple(nodes)})})
    async with world(database, script(a=forever), pure) as w:
        events = await w.run(made)
        assert names(events)[2:] == ["NodeStarted a", "NodeStarted b", "NodeFailed b", "NodeCanceled a", "RunFailed"]


async def test_finishing_branches_lets_the_others_end(database: Database) -> None:
    async def fail(_: NodeContext) -> None:
        raise NodeFault("NO", "no")

    made = graph("a b behind c d", "a>behind", "b>c", "c>d", failurePolicy="FINISH_BRANCHES")
    async with world(database, script(a=fail)) as w:
        events = await w.run(made)
        ends = {name for name in names(events) if not name.startswith("NodeStarted")}
        assert ends >= {"NodeFailed a", "NodeSkipped behind", "NodeSucceeded d", "RunFailed"}


# ── values ──


async def test_of_a_hundred_runs_only_those_whose_output_cannot_be_stored_fail(database: Database) -> None:
    together = asyncio.Barrier(100)

    async def write(_: NodeContext) -> object:
        await together.wait()
        number = numbers.pop()
        return {7: "a\0b", 8: ["\ud800"]}.get(number, number)

    numbers = list(range(100))
    async with world(database, script(a=write)) as w:
        place = await w.add(graph("a b", "a>b"))
        runs = [await w.queued(place) for _ in range(100)]
        w.engine.look()
        logs = await asyncio.gather(*(w.ended(run) for run in runs))
        ends = Counter(log[-1].event.type for log in logs)
        assert ends == {"RunSucceeded": 98, "RunFailed": 2}
        for log in logs:
            assert [logged.seq for logged in log] == list(range(1, len(log) + 1))
            if isinstance(log[-1].event, RunFailed):
                failure = only(log, NodeFailed).failure
                assert (failure.code, failure.attempt) == ("INVALID_OUTPUT", 1)
                assert "U+0000" in failure.message or "lone surrogate" in failure.message
            else:
                assert len([e for e in log if isinstance(e.event, NodeSucceeded)]) == 2


async def test_a_default_output_and_a_failures_text_are_what_later_nodes_see(database: Database) -> None:
    async def fail(_: NodeContext) -> None:
        raise NodeFault("NO", "bad \0 text \ud800")

    made = graph({"a": {"onError": {"mode": "BRANCH"}}, "b": {"value": "{{ error.message }}"}}, "a.error>b")
    async with world(database, script(a=fail)) as w:
        events = await w.run(made)
        assert await output_of(w, events[0].run_id) == '{"b":"bad \ufffd text \ufffd"}'.encode()


async def test_a_run_whose_event_the_database_refuses_fails_alone(database: Database) -> None:
    async def overflow(_: NodeContext) -> Result:
        return Result("fine", usage=Usage(2**63, 0, 2**63))  # more than any column holds

    async with world(database, script(a=overflow)) as w:
        bad, good = await asyncio.gather(w.run(graph("a b", "a>b")), w.run(graph("b")))
        assert only(bad, RunFailed).failure.code == "INVALID_OUTPUT"
        assert isinstance(good[-1].event, RunSucceeded)
        only_node = await w.run(graph("a"))
        assert only(only_node, RunFailed).failure.code == "INVALID_OUTPUT", "also where that was the last event"
        assert w.engine.run_count == 0
