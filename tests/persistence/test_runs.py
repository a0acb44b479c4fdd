from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from uuid_utils.compat import uuid7

from domain.errors import CursorInvalid
from domain.events import (
    NodeFailed,
    NodeOutputDelta,
    NodeRetrying,
    RunCancelRequested,
    RunRecovered,
    RunStarted,
    RunSucceeded,
)
from domain.ids import RunId, WorkflowId, WorkspaceId
from domain.ports.paging import PageRequest
from domain.ports.runs import LogSpan
from domain.run import DeltaChannel, Failure, NodePayloads, NodeRunQuery, NodeRunStatus, RunQuery, RunStatus
from tests.support.engines import World, bare_world, names, writing
from tests.support.groups import NOW, Answers, failed, started, succeeded
from tests.support.kinds import graph
from tests.support.listed import one_node_run, sole

if TYPE_CHECKING:
    from collections.abc import Sequence

    from domain.events import Event
    from domain.run import RunSnapshot
    from persistence.database import Database

EVERY = RunQuery()
TEXT, REASONING = DeltaChannel.TEXT, DeltaChannel.REASONING


def delta(key: str, text: str, offset: int, execution: int = 1, channel: DeltaChannel = TEXT) -> NodeOutputDelta:
    return NodeOutputDelta(key, None, execution, channel, text, offset)


async def logged(w: World, run: RunId, *events: Event) -> None:
    """Log events of a run, each in a commit of its own."""
    async with writing(w):
        answers = Answers(w.log)
        for event in events:
            answers.append(run, event)
            await answers.drained()
        assert answers.refused == []


def partial(snapshot: RunSnapshot) -> dict[str, tuple[str, str | None, str | None]]:
    return {
        state.node_run.node_key: (state.node_run.status.value, state.partial_text, state.partial_reasoning)
        for state in snapshot.nodes
    }


async def test_a_snapshot_shows_what_the_current_attempts_have_written_so_far(database: Database) -> None:
    w = bare_world(database)
    run = await w.owned(await w.add(graph("a b")))
    next_at = NOW + timedelta(seconds=1)
    story: list[tuple[Event, dict[str, tuple[str, str | None, str | None]]]] = [
        (RunStarted(), {}),
        (started("a"), {"a": ("RUNNING", None, None)}),
        (delta("a", "Hm. ", 0, channel=REASONING), {"a": ("RUNNING", None, "Hm. ")}),
        (delta("a", "é😀", 0), {"a": ("RUNNING", "é😀", "Hm. ")}),
        (delta("a", "\U0001f680!", 3), {"a": ("RUNNING", "é😀🚀!", "Hm. ")}),
        (
            NodeRetrying("a", None, 1, Failure("NO", "no", is_retryable=True), next_at),
            {"a": ("RETRYING", None, None)},
        ),
        (started("a", 2), {"a": ("RUNNING", None, None)}),
        (delta("a", "again", 0, 2), {"a": ("RUNNING", "again", None)}),
        (started("b"), {"a": ("RUNNING", "again", None), "b": ("RUNNING", None, None)}),
        (RunRecovered(1, ["a", "b"]), {"a": ("RUNNING", "again", None), "b": ("RUNNING", None, None)}),
        (started("a", 3), {"a": ("RUNNING", None, None), "b": ("RUNNING", None, None)}),
        (delta("a", "third", 0, 3), {"a": ("RUNNING", "third", None), "b": ("RUNNING", None, None)}),
        (succeeded("a", b'{"text":"third"}', 3), {"a": ("SUCCEEDED", None, None), "b": ("RUNNING", None, None)}),
        (RunCancelRequested(), {"a": ("SUCCEEDED", None, None), "b": ("RUNNING", None, None)}),
    ]
    async with writing(w):
        answers = Answers(w.log)
        for seq, (event, shown) in enumerate(story, 2):
            answers.append(run, event)
            await answers.drained()
            snapshot = await w.reader.snapshot(run)
            assert (snapshot.seq, partial(snapshot)) == (seq, shown)
        assert (await w.reader.snapshot(run)).status is RunStatus.CANCELING


async def test_runs_are_listed_newest_first_page_by_page_and_by_what_is_asked(database: Database) -> None:
    w, foreign = bare_world(database), bare_world(database)
    first, second = await w.add(graph("a")), await w.add(graph("a"))
    runs = [await w.owned(place) for place in (first, second, first, second, first)]
    await foreign.owned(await foreign.add(graph("a")))
    await logged(w, runs[0], RunStarted(), RunSucceeded(1))
    newest = list(reversed(runs))

    async def found(query: RunQuery = EVERY) -> list[RunId]:
        page = await w.reader.list(w.workspace_id, query, PageRequest(100))
        assert await w.reader.count(w.workspace_id, query) == len(page.items)
        return [run.id for run in page.items]

    assert await found() == newest
    assert await found(RunQuery((second[1],))) == [runs[3], runs[1]]
    assert await found(RunQuery((first[1],), (RunStatus.QUEUED, RunStatus.RUNNING))) == [runs[4], runs[2]]
    assert await found(RunQuery(statuses=(RunStatus.SUCCEEDED,))) == [runs[0]]
    now = datetime.now(UTC)
    assert await found(RunQuery(created_from=now + timedelta(hours=1))) == []
    assert await found(RunQuery(created_from=now - timedelta(hours=1), created_until=now)) == newest

    page = await w.reader.list(w.workspace_id, RunQuery(), PageRequest(2))
    assert ([run.id for run in page.items], page.has_next, page.has_previous) == (newest[:2], True, False)
    page = await w.reader.list(w.workspace_id, RunQuery(), PageRequest(3, after=page.cursors[1]))
    assert ([run.id for run in page.items], page.has_next, page.has_previous) == (newest[2:], False, True)
    page = await w.reader.list(w.workspace_id, RunQuery(), PageRequest(1, before=page.cursors[0], is_backward=True))
    assert ([run.id for run in page.items], page.has_next, page.has_previous) == (newest[1:2], True, True)
    with pytest.raises(CursorInvalid):
        await w.reader.list(w.workspace_id, RunQuery(), PageRequest(1, after="what"))

    assert [run.id for run in await w.reader.unfinished(w.workspace_id, 3)] == newest[:3]
    assert runs[0] not in {run.id for run in await w.reader.unfinished(w.workspace_id, 10)}
    of_first = await w.reader.unfinished(w.workspace_id, 10, first[1])
    assert [run.id for run in of_first] == [runs[4], runs[2]]
    assert await w.reader.has_unfinished(first[1])
    assert not await w.reader.has_unfinished(WorkflowId(uuid7()))


async def test_runs_that_ended_just_now_are_found_by_workspace_and_workflow(database: Database) -> None:
    w, foreign = bare_world(database), bare_world(database)
    first, second = await w.add(graph("a")), await w.add(graph("a"))
    runs = [await w.owned(place) for place in (first, second, first, first)]
    await foreign.owned(await foreign.add(graph("a")))
    ages = dict(zip(runs, (2, 1, 0, 11), strict=True))
    async with database.direct() as connection:
        await connection.execute("UPDATE runs SET status = 'SUCCEEDED', finished_at = now()")
        for run, age_s in ages.items():
            statement = "UPDATE runs SET finished_at = now() - make_interval(secs => $2) WHERE id = $1"
            await connection.execute(statement, run, age_s)
    just = await w.reader.just_ended(w.workspace_id, 10, 9)
    assert [run.id for run in just] == [runs[2], runs[1], runs[0]]
    assert [run.id for run in await w.reader.just_ended(w.workspace_id, 10, 1)] == [runs[2]]
    assert [run.id for run in await w.reader.just_ended(w.workspace_id, 10, 9, second[1])] == [runs[1]]


async def test_a_run_is_found_within_its_workspace_alone(database: Database) -> None:
    w = bare_world(database)
    run = await w.owned(await w.add(graph("a b")))
    (found,) = await w.reader.find_many(frozenset({w.workspace_id}), [run, uuid7()])
    assert (found.id, found.status, found.last_seq, found.node_count, found.nodes_done) == (run, "QUEUED", 1, 2, 0)
    assert await w.reader.find_many(frozenset({WorkspaceId(uuid7())}), [run]) == []
    assert await w.reader.find_many(frozenset(), [run]) == []


async def test_nodes_are_paged_in_the_order_of_their_starts(database: Database) -> None:
    w = bare_world(database)
    keys = ["n10", "n2", "a", "z", "m"]
    run = await w.owned(await w.add(graph(" ".join(keys))))
    await logged(w, run, RunStarted(), *(started(key) for key in keys), succeeded("z"))
    seen: list[str] = []
    cursor: str | None = None
    while True:
        page = await sole(w.reader.node_runs([run], NodeRunQuery(), PageRequest(2, after=cursor)))
        seen += [node.node_key for node in page.items]
        if not page.has_next:
            break
        cursor = page.cursors[-1]
    assert seen == keys
    assert await sole(w.reader.count_node_runs([run], NodeRunQuery())) == 5
    node = await one_node_run(w.reader, run, "z", None)
    assert node is not None
    assert (node.status, node.attempts, node.started_at, node.finished_at) == (NodeRunStatus.SUCCEEDED, 1, NOW, NOW)
    assert await one_node_run(w.reader, run, "nobody", None) is None
    assert await one_node_run(w.reader, run, "z", 0) is None


async def test_the_log_is_paged_forwards_and_backwards_by_seq(database: Database) -> None:
    w = bare_world(database)
    run = await w.owned(await w.add(graph("a b c")))
    await logged(w, run, RunStarted(), started("a"), succeeded("a"), started("b"), failed("b"))

    async def page(
        limit: int, after: int = 0, before: int | None = None, *, back: bool = False
    ) -> tuple[list[int], bool, bool]:
        found = await sole(w.reader.events([LogSpan(run, after, before)], PageRequest(limit, is_backward=back)))
        assert [str(event.seq) for event in found.items] == list(found.cursors)
        return [event.seq for event in found.items], found.has_next, found.has_previous

    assert await page(4) == ([1, 2, 3, 4], True, False)
    assert await page(4, after=4) == ([5, 6], False, True)
    assert await page(2, back=True) == ([5, 6], False, True)
    assert await page(2, before=5, back=True) == ([3, 4], True, True)
    assert await page(9, before=3, back=True) == ([1, 2], True, False)
    assert await page(9, after=2, before=5) == ([3, 4], False, True)
    assert await sole(w.reader.count_events([run])) == 6
    assert names((await w.reader.events_after(run, 4, 1)).events) == ["NodeStarted b"]
    (last,) = (await sole(w.reader.events([LogSpan(run, 0, None)], PageRequest(1, is_backward=True)))).items
    assert isinstance(last.event, NodeFailed)
    assert (last.at, last.event) == (NOW, failed("b"))


async def test_payloads_of_many_nodes_come_at_once_and_long_ones_only_when_asked_for(database: Database) -> None:
    w = bare_world(database)
    place = await w.add(graph("a b"))
    runs = [await w.owned(place, n) for n in range(2)]
    long = b'"' + b"x" * 100 + b'"'
    await logged(w, runs[0], RunStarted(), started("a"), succeeded("a", long), started("b"), succeeded("b", b"[1.0]"))
    await logged(w, runs[1], RunStarted(), started("a"))
    places: Sequence[tuple[RunId, str, int | None]] = [
        (runs[0], "a", None),
        (runs[0], "b", None),
        (runs[1], "a", None),
        (runs[1], "b", None),
    ]
    assert await w.reader.node_payloads(places, 102) == {
        places[0]: NodePayloads(None, long),
        places[1]: NodePayloads(None, b"[1.0]"),
        places[2]: NodePayloads(None, None),
    }
    assert (await w.reader.node_payloads(places, 101))[places[0]] == NodePayloads(None, None, is_truncated=True)
    assert await w.reader.node_payloads([], 101) == {}
    assert await w.reader.payloads([*runs, RunId(uuid7())]) == {runs[0]: (b"0", None), runs[1]: (b"1", None)}
