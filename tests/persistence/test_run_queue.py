from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import text
from uuid_utils.compat import uuid7

from domain.errors import Fenced, NotFound
from domain.events import NodeRetrying, RunStarted, RunSucceeded
from domain.ids import ExecutorId, WorkflowId
from domain.run import Failure, RunStatus
from persistence.queued_runs import CLAIM, shares
from persistence.run_queue import PostgresRunQueue
from tests.support.engines import World, bare_world, names, writing
from tests.support.groups import Answers, started, succeeded
from tests.support.kinds import graph

if TYPE_CHECKING:
    from collections.abc import Sequence
    from uuid import UUID

    from domain.ids import RunId, WorkspaceId
    from domain.ports.runs import ClaimedRun
    from persistence.database import Database


def ids(runs: Sequence[ClaimedRun]) -> set[RunId]:
    return {run.id for run in runs}


async def in_order(w: World, count: int) -> list[RunId]:
    """Claim one by one, as a process does whose runs do not end."""
    claimed: list[RunId] = []
    busy: Counter[WorkspaceId] = Counter()
    for _ in range(count):
        (run,) = await w.queue.claim(w.executor, 1, busy)
        claimed.append(run.id)
        busy[run.workspace_id] += 1
    return claimed


# ── claims ──


async def test_a_claimed_run_brings_what_is_needed_to_begin(database: Database) -> None:
    w = bare_world(database)
    place = await w.add(graph("a"))
    run_id = await w.queued(place, {"b": 1.0, "a": [None]})
    (claimed,) = await w.queue.claim(w.executor, 10)
    assert (claimed.id, claimed.workspace_id, claimed.graph_id) == (run_id, w.workspace_id, place[0])
    assert (claimed.epoch, claimed.last_seq, claimed.input) == (1, 1, b'{"b":1.0,"a":[null]}')
    assert datetime.now(UTC) - claimed.created_at < timedelta(minutes=1)
    assert await w.queue.claim(w.executor, 10) == []
    assert names(await w.log_rows(run_id)) == ["RunQueued"]


async def test_a_run_claimed_when_it_is_added_is_nobody_elses(database: Database) -> None:
    w, other = bare_world(database), bare_world(database)
    run = w.new_run(await w.add(graph("a")), "x")
    await w.queue.add(run, w.executor)
    assert await other.queue.claim(other.executor, 10) == []


async def test_a_run_of_a_workflow_that_is_gone_is_not_added(database: Database) -> None:
    w = bare_world(database)
    run = w.new_run(await w.add(graph("a")))
    with pytest.raises(NotFound):
        await w.queue.add(replace(run, workflow_id=WorkflowId(run.id)))
    assert await w.log_rows(run.id) == []


async def test_the_more_urgent_run_is_claimed_first_then_the_older(database: Database) -> None:
    w = bare_world(database)
    place = await w.add(graph("a"))
    late = await w.queued(place, priority=5)
    first = await w.queued(place, priority=3)
    second = await w.queued(place, priority=3)
    urgent = await w.queued(place, priority=1)
    assert await in_order(w, 4) == [urgent, first, second, late]


async def test_a_workspace_with_many_runs_does_not_keep_another_waiting(database: Database) -> None:
    full, small = bare_world(database), bare_world(database)
    of_full = [await full.queued(place) for place in [await full.add(graph("a"))] for _ in range(5)]
    of_small = [await small.queued(place) for place in [await small.add(graph("a"))] for _ in range(2)]
    assert await in_order(full, 7) == [of_full[0], of_small[0], of_full[1], of_small[1], *of_full[2:]]


async def test_whoever_has_more_at_work_in_this_process_comes_later(database: Database) -> None:
    full, small = bare_world(database), bare_world(database)
    of_full = [await full.queued(place) for place in [await full.add(graph("a"))] for _ in range(4)]
    of_small = [await small.queued(place) for place in [await small.add(graph("a"))] for _ in range(4)]
    claimed = await full.queue.claim(full.executor, 5, {full.workspace_id: 3})
    assert ids(claimed) == {*of_small, of_full[0]}


async def test_urgent_runs_come_before_all_others_whichever_workspace_has_them(database: Database) -> None:
    w, other = bare_world(database), bare_world(database)
    place = await w.add(graph("a"))
    urgent = [await w.queued(place, priority=1) for _ in range(3)]
    later = await other.queued(await other.add(graph("a")), priority=2)
    busy = {w.workspace_id: 9}
    assert ids(await w.queue.claim(w.executor, 2, busy)) == set(urgent[:2])
    assert ids(await w.queue.claim(w.executor, 2, busy)) == {urgent[2]}, "one priority at a time"
    assert ids(await w.queue.claim(w.executor, 2, busy)) == {later}


async def test_a_workspace_that_has_as_many_as_it_may_is_passed_over_also_by_what_is_less_urgent(
    database: Database,
) -> None:
    full, small = bare_world(database), bare_world(database)
    place = await full.add(graph("a"))
    urgent = [await full.queued(place, priority=1) for _ in range(3)]
    later = await small.queued(await small.add(graph("a")), priority=5)
    busy = {full.workspace_id: 2}
    assert ids(await full.queue.claim(full.executor, 9, busy, 2)) == {later}
    assert ids(await full.queue.claim(full.executor, 9, busy, 3)) == {urgent[0]}, "no more than there is room for"
    assert ids(await full.queue.claim(full.executor, 9, busy)) == set(urgent[1:])


async def test_a_claim_reads_what_it_takes_and_not_the_queue(database: Database) -> None:
    full, small = bare_world(database), bare_world(database)
    place = await full.add(graph("a"))
    await full.crowd(place, 20_000)
    mine = await small.queued(await small.add(graph("a")))
    parameters = {"executor": full.executor, "limit": 4, **shares({full.workspace_id: 1}, 9)}
    async with database.single() as connection:
        rows = await connection.execute(text(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {CLAIM}"), parameters)
        plan: Any = rows.scalar_one()[0]["Plan"]
    async with database.direct() as connection:
        taken = await connection.fetch("SELECT id, workspace_id FROM runs WHERE executor_id = $1", full.executor)
    assert len(taken) == 4
    assert mine in {row["id"] for row in taken}
    assert plan["Shared Hit Blocks"] + plan["Shared Read Blocks"] < 400, "the queue has thousands"


async def test_a_claim_steps_over_a_full_workspace_without_reading_what_it_has_queued(database: Database) -> None:
    full, small = bare_world(database), bare_world(database)
    await full.crowd(await full.add(graph("a")), 20_000)
    mine = await small.queued(await small.add(graph("a")), priority=5)
    parameters = {"executor": full.executor, "limit": 4, **shares({full.workspace_id: 9}, 9)}
    async with database.single() as connection:
        rows = await connection.execute(text(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {CLAIM}"), parameters)
        plan: Any = rows.scalar_one()[0]["Plan"]
    async with database.direct() as connection:
        taken = await connection.fetch("SELECT id FROM runs WHERE executor_id = $1", full.executor)
    assert [row["id"] for row in taken] == [mine]
    assert plan["Shared Hit Blocks"] + plan["Shared Read Blocks"] < 200, "the queue has thousands"


async def test_a_run_leaves_the_queue_with_whoever_claims_it_or_deletes_it(database: Database) -> None:
    w = bare_world(database)
    place = await w.add(graph("a"))
    claimed, canceled, deleted, waiting = [await w.queued(place) for _ in range(4)]
    assert ids(await w.queue.claim(w.executor, 1)) == {claimed}
    await w.queue.add_command(canceled, "cancel", "cancel", None)
    assert ids(await w.queue.claim_canceled(w.executor, 9)) == {canceled}
    await w.owned(place)
    async with database.direct() as connection:
        await connection.execute("DELETE FROM runs WHERE id = $1", deleted)
        rows = await connection.fetch("SELECT run_id FROM queued_runs WHERE workspace_id = $1", w.workspace_id)
    assert [row["run_id"] for row in rows] == [waiting]


async def test_two_executors_that_claim_at_once_share_the_queue_without_waiting(database: Database) -> None:
    w, other = bare_world(database), bare_world(database)
    place = await w.add(graph("a"))
    runs = {await w.queued(place) for _ in range(30)}
    async with database.direct() as holder, holder.transaction():
        locked = next(iter(runs))
        await holder.execute("SELECT 1 FROM runs WHERE id = $1 FOR UPDATE", locked)
        async with asyncio.timeout(20):
            claims = await asyncio.gather(*(one.queue.claim(one.executor, 10) for one in (w, other, w, other)))
    claimed = [run.id for runs_ in claims for run in runs_]
    assert len(claimed) == len(set(claimed)), "no run twice"
    assert set(claimed) <= runs - {locked}, "one that somebody locks is skipped, not waited for"
    assert len(claimed) >= 10
    rest = await w.queue.claim(w.executor, 100)
    assert set(claimed) | ids(rest) == runs


# ── takeover ──


async def test_an_executor_without_its_lock_is_suspected_and_one_past_its_expiry_is_dead(database: Database) -> None:
    queue = PostgresRunQueue(database)
    me, locked, free, expired = (bare_world(database) for _ in range(4))
    async with database.direct() as lock:
        for one in (me, free):
            await one.entered()
        await expired.entered(expires_in_s=-1)
        key = locked.executor.int & ((1 << 63) - 1)
        await lock.fetchval("SELECT pg_try_advisory_lock($1)", key)
        await lock.execute(
            "INSERT INTO executors (id, lock_key, expires_at) VALUES ($1, $2, now() + interval '1 minute')",
            locked.executor,
            key,
        )
        assert await queue.dead_executors(me.executor, 0) == {free.executor: False, expired.executor: True}
    async with asyncio.timeout(20):
        while locked.executor not in await queue.dead_executors(me.executor, 0):
            await asyncio.sleep(0.01)  # until the server has seen the connection end


async def test_nobody_is_dead_soon_after_a_restart_of_the_database(database: Database) -> None:
    w, dead = bare_world(database), bare_world(database)
    await dead.entered(expires_in_s=-1)
    assert await w.queue.dead_executors(w.executor, 100_000) == {}


async def test_runs_of_a_dead_executor_are_taken_with_a_new_epoch_and_its_appends_refused(database: Database) -> None:
    w, heir = bare_world(database), bare_world(database)
    place = await w.add(graph("a"))
    runs = [await w.owned(place, {"n": n}) for n in range(4)]
    async with writing(w):
        answers = Answers(w.log)
        answers.append(runs[0], RunStarted(), started("a"), succeeded("a"))
        answers.append(runs[1], RunStarted(), RunSucceeded(1))
        await answers.drained()
        taken = await heir.queue.take_over(heir.executor, w.executor, 10, [runs[3]])
        assert ids(taken) == {runs[0], runs[2]}, "neither a finished one nor one that is held"
        found = {run.id: run for run in taken}
        assert (found[runs[0]].epoch, found[runs[0]].last_seq, found[runs[0]].input) == (2, 4, b'{"n":0}')
        late = answers.append(runs[0], RunSucceeded(1))
        await answers.drained()
        assert isinstance(answers.refusal_of(late), Fenced)
    assert await heir.queue.take_over(heir.executor, w.executor, 10, [runs[3]]) == []


async def test_an_executor_is_forgotten_only_when_it_holds_nothing(database: Database) -> None:
    w, dead = bare_world(database), bare_world(database)
    run = await dead.owned(await dead.add(graph("a")))
    await dead.entered(expires_in_s=-1)
    await w.queue.forget(dead.executor)
    assert dead.executor in await w.queue.dead_executors(w.executor, 0)
    assert ids(await w.queue.take_over(w.executor, dead.executor, 10)) == {run}
    await w.queue.forget(dead.executor)
    assert await w.queue.dead_executors(w.executor, 0) == {}


async def test_an_executor_that_is_only_frozen_is_not_forgotten(database: Database) -> None:
    w, frozen = bare_world(database), bare_world(database)
    await frozen.entered(expires_in_s=-1)
    async with database.direct() as lock:
        await lock.fetchval("SELECT pg_try_advisory_lock(1)")
        await w.queue.forget(frozen.executor)
        assert frozen.executor in await w.queue.dead_executors(w.executor, 0), "it may wake and claim a run"
        await lock.fetchval("SELECT pg_advisory_unlock(1)")
    await w.queue.forget(frozen.executor)
    assert await w.queue.dead_executors(w.executor, 0) == {}


async def test_the_log_of_a_run_comes_back_with_the_outputs_that_are_wanted_and_without_deltas(
    database: Database,
) -> None:
    w = bare_world(database)
    run = await w.owned(await w.add(graph("a b")))
    next_at = datetime(2026, 1, 1, tzinfo=UTC)
    events = [
        RunStarted(),
        started("a"),
        NodeRetrying("a", None, 1, Failure("NO", "no", is_retryable=True, node_key="a", attempt=1), next_at),
        started("a", 2),
        succeeded("a", b'{"x":1.0}', 2),
        started("b"),
        succeeded("b", b'"large"'),
    ]
    async with writing(w):
        answers = Answers(w.log)
        answers.append(run, *events)
        await answers.drained()
    log = await w.queue.log_of(run, frozenset({"a", "b"}))
    assert [logged.event for logged in log][1:] == events
    assert [logged.seq for logged in log] == list(range(1, 9))
    log = await w.queue.log_of(run, frozenset({"a"}))
    assert [logged.event for logged in log][1:] == [*events[:-1], succeeded("b", None)]


# ── commands ──


async def test_asking_twice_is_asking_once_and_only_the_owner_is_told(database: Database) -> None:
    w, other = bare_world(database), bare_world(database)
    run = await w.owned(await w.add(graph("a")))
    assert await w.queue.add_command(run, "cancel", "cancel", {"reason": "é"})
    assert not await w.queue.add_command(run, "cancel", "cancel", {"reason": "again"})
    assert await w.queue.add_command(run, "other", "other", None)
    commands = await w.queue.pending_commands(w.executor)
    assert [(command.kind, command.payload) for command in commands[run]] == [
        ("cancel", {"reason": "é"}),
        ("other", None),
    ]
    assert await other.queue.pending_commands(other.executor) == {}


async def test_commands_to_a_finished_run_are_not_told(database: Database) -> None:
    w = bare_world(database)
    run = await w.owned(await w.add(graph("a")))
    await w.queue.add_command(run, "cancel", "cancel", None)
    async with writing(w):
        answers = Answers(w.log)
        answers.append(run, RunStarted(), RunSucceeded(1))
        await answers.drained()
    assert await w.queue.pending_commands(w.executor) == {}
    (found,) = await w.reader.find_many(frozenset({w.workspace_id}), [run])
    assert found.status is RunStatus.SUCCEEDED


async def test_a_command_to_an_unknown_run_is_refused(database: Database) -> None:
    queue = PostgresRunQueue(database)
    unknown: UUID = uuid7()
    with pytest.raises(Exception, match="run_commands_run_id_fkey"):
        await queue.add_command(unknown, "cancel", "cancel", None)  # pyright: ignore[reportArgumentType]
    assert await queue.pending_commands(ExecutorId(uuid7())) == {}
