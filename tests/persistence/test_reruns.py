from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from uuid_utils.compat import uuid7

from domain.errors import NotFound, OutputExpired
from domain.events import NodeReused, NodeSkipped, RunStarted, RunSucceeded
from domain.ids import RunId, WorkflowId
from domain.ports.paging import PageRequest
from domain.run import NodeRunStatus, RunLink, RunQuery, SkipReason, TriggerKind
from tests.support.engines import World, bare_world, names, writing
from tests.support.groups import Answers, started, succeeded
from tests.support.kinds import graph
from tests.support.listed import one_node_run, sole

if TYPE_CHECKING:
    from domain.ids import GraphId
    from persistence.database import Database

LARGE = b'{"text": "' + b"x" * 4_194_000 + b'"}'


async def ended(w: World, place: tuple[GraphId, WorkflowId], output: bytes | None = b"1.0") -> RunId:
    """Make a run of a and b of which both have ended."""
    run = await w.owned(place)
    async with writing(w):
        answers = Answers(w.log)
        done = succeeded("a", output)
        done.input = b'{"value": "\\u00e9"}'
        answers.append(run, RunStarted(), started("a"), done, started("b"), succeeded("b"), RunSucceeded(1))
        await answers.drained()
    return run


def reused(key: str, run: RunId) -> NodeReused:
    return NodeReused(key, None, 0, run, ("out",))


async def count(w: World) -> int:
    return await w.reader.count(w.workspace_id, RunQuery())


@pytest.mark.parametrize("output", [b'{"b":1.0,"a":[null]}', b"null", LARGE], ids=["small", "null", "large"])
async def test_an_output_is_copied_as_it_was_written_whatever_its_size(database: Database, output: bytes) -> None:
    w = bare_world(database)
    place = await w.add(graph("a b"))
    first = await ended(w, place, output)
    new = replace(w.new_run(place, "other"), rerun_of=first, trigger=TriggerKind.RERUN)
    await w.reruns.add(new, [reused("a", first)])
    assert names(await w.log_rows(new.id)) == ["RunQueued", "NodeReused a"]
    payloads = (await w.reader.node_payloads([(new.id, "a", None)], None))[new.id, "a", None]
    assert payloads.output == (None if output == b"null" else output)
    assert payloads.input == b'{"value": "\\u00e9"}'
    node = await one_node_run(w.reader, new.id, "a", None)
    assert node is not None
    assert (node.status, node.finished_at, node.reused_from) == (NodeRunStatus.REUSED, new.created_at, first)
    (claimed,) = await w.queue.claim(w.executor, 9)
    log = await w.queue.log_of(claimed.id, frozenset({"a"}))
    assert (claimed.last_seq, claimed.input, len(log)) == (2, b'"other"', 2)
    (event,) = [logged.event for logged in log if isinstance(logged.event, NodeReused)]
    assert event.output == (None if output == b"null" else output)


async def test_nothing_is_written_when_an_output_is_gone_by_then(database: Database) -> None:
    w = bare_world(database)
    place = await w.add(graph("a b"))
    first = await ended(w, place)
    async with database.direct() as connection:
        await connection.execute("DELETE FROM node_runs WHERE node_key = 'a'")
    new = replace(w.new_run(place), rerun_of=first)
    with pytest.raises(OutputExpired):
        await w.reruns.add(new, [reused("a", first), reused("b", first)])
    assert await w.log_rows(new.id) == []
    assert (await w.reader.snapshot(first)).nodes[0].node_run.node_key == "b"
    assert await count(w) == 1


async def test_outputs_of_another_workspace_are_not_there(database: Database) -> None:
    w, other = bare_world(database), bare_world(database)
    foreign = await ended(other, await other.add(graph("a b")))
    new = replace(w.new_run(await w.add(graph("a b"))), rerun_of=foreign)
    with pytest.raises(OutputExpired):
        await w.reruns.add(new, [reused("a", foreign)])
    assert await w.log_rows(new.id) == []
    assert await count(w) == 0


async def test_a_rerun_of_a_workflow_that_is_gone_is_not_added(database: Database) -> None:
    w = bare_world(database)
    place = await w.add(graph("a b"))
    first = await ended(w, place)
    new = replace(w.new_run(place), rerun_of=first, workflow_id=WorkflowId(uuid7()))
    with pytest.raises(NotFound):
        await w.reruns.add(new, [reused("a", first)])
    assert await w.log_rows(new.id) == []


async def test_a_rerun_may_begin_with_nothing_or_with_what_was_left_out(database: Database) -> None:
    w = bare_world(database)
    place = await w.add(graph("a b"))
    first = await ended(w, place)
    empty, skipping = (replace(w.new_run(place), rerun_of=first) for _ in range(2))
    await w.reruns.add(empty, [])
    assert names(await w.log_rows(empty.id)) == ["RunQueued"]
    await w.reruns.add(skipping, [NodeSkipped("b", None, 0, SkipReason.CONDITION_FALSE)])
    record = await w.reruns.record(skipping.id)
    assert record.ends == {"b": NodeSkipped("b", None, 0, SkipReason.CONDITION_FALSE)}


async def test_of_two_processes_one_claims_a_rerun(database: Database) -> None:
    w, other = bare_world(database), bare_world(database)
    place = await w.add(graph("a b"))
    first = await ended(w, place)
    await w.reruns.add(replace(w.new_run(place), rerun_of=first), [reused("a", first)])
    claims = await asyncio.gather(w.queue.claim(w.executor, 9), other.queue.claim(other.executor, 9))
    assert sorted(len(claimed) for claimed in claims) == [0, 1]


async def test_reruns_are_listed_newest_first_and_trials_are_no_reruns(database: Database) -> None:
    w = bare_world(database)
    place = await w.add(graph("a b"))
    first = await ended(w, place)
    made: list[RunId] = []
    for trigger in (TriggerKind.RERUN, TriggerKind.TRY_NODE, TriggerKind.RERUN):
        new = replace(w.new_run(place), rerun_of=first, trigger=trigger)
        await w.reruns.add(new, [reused("a", first)])
        made.append(new.id)
    page = await sole(w.reader.list_linked([first], RunLink.RERUN, PageRequest(limit=9)))
    assert [run.id for run in page.items] == [made[2], made[0]]
    assert await sole(w.reader.count_linked([first], RunLink.RERUN)) == 2


async def test_the_latest_run_is_the_newest_that_has_ended_and_is_no_trial(database: Database) -> None:
    w = bare_world(database)
    place = await w.add(graph("a b"))
    assert await w.reruns.latest(w.workspace_id, place[1]) is None
    first = await ended(w, place)
    await w.queued(place)
    assert await w.reruns.latest(w.workspace_id, place[1]) == first
    assert await w.reruns.latest(bare_world(database).workspace_id, place[1]) is None


async def test_when_the_first_run_is_removed_its_reruns_stay(database: Database) -> None:
    w = bare_world(database)
    place = await w.add(graph("a b"))
    first = await ended(w, place)
    new = replace(w.new_run(place), rerun_of=first)
    await w.reruns.add(new, [reused("a", first)])
    async with database.direct() as connection:
        await connection.execute("DELETE FROM runs WHERE id = $1", first)
    (run,) = await w.reader.find_many(frozenset({w.workspace_id}), [new.id])
    assert run.rerun_of is None
    node = await one_node_run(w.reader, new.id, "a", None)
    assert node is not None
    assert node.reused_from == first
