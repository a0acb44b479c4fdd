"""Runs that need a turn: who is held, who is let in, who is asked to stop."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from uuid_utils.compat import uuid7

from domain.events import RunStarted, RunSucceeded
from domain.ids import UserId
from domain.ports.companions import FreedTurn
from domain.ports.runs import Group
from domain.workflow import ConcurrencyPolicy, ConcurrencyStrategy
from persistence import steering
from persistence.completions import Completions
from persistence.steering import PostgresSteering
from tests.support.engines import World, bare_world
from tests.support.kinds import graph

if TYPE_CHECKING:
    from domain.errors import AnabranchError
    from domain.ids import GraphId, RunId, WorkflowId
    from domain.ports.runs import ClaimedRun
    from persistence.database import Database

    Place = tuple[GraphId, WorkflowId]

NOW = datetime(2026, 12, 24, tzinfo=UTC)
QUEUE = ConcurrencyStrategy.QUEUE


async def add(
    w: World, place: Place, key: str = "k", *, limit: int = 1, strategy: ConcurrencyStrategy = QUEUE, priority: int = 3
) -> RunId:
    policy = ConcurrencyPolicy(max_runs=limit, strategy=strategy)
    run = replace(w.new_run(place, priority=priority), concurrency_key=key, turns=policy)
    await w.queue.add(run)
    return run.id


async def claim(w: World) -> list[ClaimedRun]:
    return list(await w.queue.claim(w.executor, 100))


async def ids(w: World) -> list[RunId]:
    return [run.id for run in await claim(w)]


def stored(_group: Group, _base: int) -> None:
    """Nobody looks."""


def refused(_group: Group, error: AnabranchError) -> None:
    raise error


async def end(w: World, run_id: RunId, epoch: int = 1) -> None:
    """End a run that is claimed, as its executor does."""
    events = [RunStarted(), RunSucceeded(1)]
    group = Group(run_id, epoch, datetime.now(UTC), [*events], stored, refused)
    group.companions = (FreedTurn(),)
    await Completions(w.database, w.executor.hex).store(group)


async def asked_to_stop(w: World) -> dict[RunId, str]:
    async with w.database.direct() as connection:
        rows = await connection.fetch(
            "SELECT c.run_id, c.payload->>'reason' AS reason FROM run_commands c JOIN runs r ON r.id = c.run_id"
            " WHERE c.kind = 'cancel' AND r.workspace_id = $1",
            w.workspace_id,
        )
    return {row["run_id"]: row["reason"] for row in rows}


async def test_a_run_above_the_limit_is_held_until_one_ends(database: Database) -> None:
    w = bare_world(database)
    place = await w.add(graph("a"))
    runs = [await add(w, place, limit=2) for _ in range(4)]
    claimed = await claim(w)
    assert [run.id for run in claimed] == runs[:2]
    assert all(run.needs_turn for run in claimed)
    await end(w, runs[1])
    assert await ids(w) == [runs[2]]
    await end(w, runs[0])
    await end(w, runs[2])
    assert await ids(w) == [runs[3]]


async def test_each_key_and_each_workflow_has_turns_of_its_own(database: Database) -> None:
    w = bare_world(database)
    place, other = await w.add(graph("a")), await w.add(graph("a"))
    free = [await add(w, place, "x"), await add(w, place, "y"), await add(w, other, "x"), await w.queued(place)]
    held = [await add(w, place, "x"), await add(w, other, "x")]
    assert await ids(w) == sorted(free)
    assert await ids(w) == []
    await end(w, free[0])
    assert await ids(w) == held[:1]


async def test_a_free_turn_goes_to_the_most_urgent_then_to_the_oldest(database: Database) -> None:
    w = bare_world(database)
    place = await w.add(graph("a"))
    first = await add(w, place)
    late, early, urgent = [await add(w, place, priority=priority) for priority in (4, 2, 1)]
    second_urgent = await add(w, place, priority=1)
    order: list[RunId] = []
    for _ in range(5):
        (run,) = await claim(w)
        order.append(run.id)
        await end(w, run.id)
    assert order == [first, urgent, second_urgent, early, late]


async def test_a_run_of_a_newer_policy_waits_for_the_runs_of_the_former_one(database: Database) -> None:
    w = bare_world(database)
    place = await w.add(graph("a"))
    old = [await add(w, place, limit=3) for _ in range(3)]
    new = [await add(w, place, limit=1) for _ in range(2)]
    assert await ids(w) == old
    for run_id in old[:2]:
        await end(w, run_id)
    assert await ids(w) == [], "one is at work"
    await end(w, old[2])
    assert await ids(w) == new[:1]
    wide = [await add(w, place, limit=3) for _ in range(3)]
    assert await ids(w) == [], "the older one is next, and it wants to be alone"
    await end(w, new[0])
    assert await ids(w) == new[1:]
    await end(w, new[1])
    assert await ids(w) == wide


@pytest.mark.parametrize("is_resumed_in_the_gap", [False, True])
async def test_a_turn_that_is_freed_while_somebody_pauses_or_resumes_the_next_run_is_not_lost(
    database: Database, monkeypatch: pytest.MonkeyPatch, *, is_resumed_in_the_gap: bool
) -> None:
    w = bare_world(database)
    place = await w.add(graph("a"))
    first, second = await add(w, place), await add(w, place)
    assert await ids(w) == [first]
    if is_resumed_in_the_gap:
        await w.pause(second)
    has_asked, go_on, ask = asyncio.Event(), asyncio.Event(), steering._ask

    async def ask_and_stay(*arguments: Any, **named: Any) -> None:
        await ask(*arguments, **named)
        has_asked.set()
        await go_on.wait()

    with monkeypatch.context() as patch:
        patch.setattr(steering, "_ask", ask_and_stay)
        change = w.resume if is_resumed_in_the_gap else w.pause
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(change(second), name="change")
            await has_asked.wait()
            await end(w, first)
            go_on.set()
    if not is_resumed_in_the_gap:
        assert await ids(w) == [], "it is paused"
        await w.resume(second)
    assert await ids(w) == [second]


async def test_an_end_that_is_repeated_lets_nobody_in_twice(database: Database) -> None:
    w = bare_world(database)
    place = await w.add(graph("a"))
    runs = [await add(w, place) for _ in range(3)]
    await claim(w)
    group = Group(runs[0], 1, NOW, [RunStarted()], stored, refused, companions=(FreedTurn(),))
    await Completions(database, w.executor.hex).store(group)
    await Completions(database, w.executor.hex).store(group)
    assert await ids(w) == [runs[1]]


async def test_the_turn_of_a_dead_executors_run_is_its_heirs(database: Database) -> None:
    w, heir = bare_world(database), bare_world(database)
    place = await w.add(graph("a"))
    runs = [await add(w, place) for _ in range(2)]
    assert await ids(w) == runs[:1]
    (taken,) = await heir.queue.take_over(heir.executor, w.executor, 10)
    assert (taken.id, taken.needs_turn) == (runs[0], True)
    assert await ids(heir) == []
    await end(heir, runs[0], epoch=2)
    assert await ids(heir) == runs[1:]


async def test_a_held_run_that_is_cancelled_can_be_taken_to_end_it_and_takes_no_turn(database: Database) -> None:
    w = bare_world(database)
    place = await w.add(graph("a"))
    runs = [await add(w, place) for _ in range(3)]
    await claim(w)
    assert await w.queue.claim_waiting(w.executor, NOW, 9) == []
    await w.queue.add_command(runs[1], "cancel", "cancel", None)
    (taken,) = await w.queue.claim_waiting(w.executor, NOW, 9)
    assert taken.id == runs[1]
    await end(w, runs[1])
    assert await ids(w) == [], "the first is at work still"
    await end(w, runs[0])
    assert await ids(w) == runs[2:]


async def test_with_cancel_in_progress_the_oldest_are_asked_to_stop_and_the_newest_remain(database: Database) -> None:
    w = bare_world(database)
    place = await w.add(graph("a"))
    strategy = ConcurrencyStrategy.CANCEL_IN_PROGRESS
    first, second = [await add(w, place, limit=2, strategy=strategy) for _ in range(2)]
    assert await asked_to_stop(w) == {}
    assert await ids(w) == [first, second]
    third = await add(w, place, limit=2, strategy=strategy)
    assert set(await asked_to_stop(w)) == {first}
    assert await ids(w) == [], "it has not stopped yet"
    fourth = await add(w, place, limit=2, strategy=strategy)
    assert set(await asked_to_stop(w)) == {first, second}
    fifth = await add(w, place, limit=2, strategy=strategy)
    asked = await asked_to_stop(w)
    assert set(asked) == {first, second, third}, "one that never began makes room as well"
    assert set(asked.values()) == {"A newer run of its concurrency key takes its turn."}
    (stopped,) = await w.queue.claim_waiting(w.executor, NOW, 9)
    assert stopped.id == third
    for run_id in (third, first, second):
        await end(w, run_id)
    assert await ids(w) == [fourth, fifth]


async def test_with_cancel_newest_a_run_above_the_limit_is_asked_to_stop_itself(database: Database) -> None:
    w = bare_world(database)
    place = await w.add(graph("a"))
    strategy = ConcurrencyStrategy.CANCEL_NEWEST
    first = await add(w, place, strategy=strategy)
    second = await add(w, place, strategy=strategy)
    assert await asked_to_stop(w) == {second: "All turns of its concurrency key were taken."}
    assert await ids(w) == [first]
    (stopped,) = await w.queue.claim_waiting(w.executor, NOW, 9)
    assert stopped.id == second
    await end(w, second)
    await end(w, first)
    third = await add(w, place, strategy=strategy)
    assert await ids(w) == [third]


@pytest.mark.parametrize("limit", [1, 3])
async def test_starts_and_ends_at_the_same_time_neither_exceed_the_limit_nor_forget_anybody(
    database: Database, limit: int
) -> None:
    w = bare_world(database)
    place = await w.add(graph("a"))
    left = 30
    at_work = most = 0

    async def work() -> None:
        nonlocal left, at_work, most
        while left:
            claimed = await claim(w)
            at_work += len(claimed)
            most = max(most, at_work)
            for run in claimed:
                await w.queue.find_key(w.workspace_id, "none")  # somewhat later
                at_work -= 1  # when its end is stored the next one may be at work before this goes on
                await end(w, run.id)
                left -= 1

    async with asyncio.timeout(40):
        await asyncio.gather(*(add(w, place, limit=limit) for _ in range(left)), work(), work(), work(), work())
    assert most <= limit
    async with database.direct() as connection:
        rows = await connection.fetch("SELECT status FROM runs WHERE workspace_id = $1", w.workspace_id)
    assert [row["status"] for row in rows] == ["SUCCEEDED"] * 30


async def test_a_run_that_is_paused_in_the_queue_is_claimed_by_nobody_until_it_is_resumed(database: Database) -> None:
    w = bare_world(database)
    place = await w.add(graph("a"))
    steering, by = PostgresSteering(database), UserId(uuid7())
    first, held = await add(w, place), await add(w, place)
    plain = w.new_run(place)
    await w.queue.add(plain)
    for run_id in (held, plain.id):
        await steering.pause(run_id, by)
    claimed = await claim(w)
    assert [run.id for run in claimed] == [first]
    await end(w, first, claimed[0].epoch)
    assert await ids(w) == []  # there is a turn for it, and still it is paused
    await steering.resume(plain.id, by)
    assert await ids(w) == [plain.id]
    await steering.resume(held, by)
    assert await ids(w) == [held]


async def test_a_run_that_is_paused_in_the_line_lets_those_behind_it_pass_and_keeps_its_place(
    database: Database,
) -> None:
    w = bare_world(database)
    place = await w.add(graph("a"))
    steering, by = PostgresSteering(database), UserId(uuid7())
    first, paused, second, third = [await add(w, place) for _ in range(4)]
    await steering.pause(paused, by)
    assert await ids(w) == [first]
    await end(w, first)
    assert await ids(w) == [second]
    await steering.resume(paused, by)
    assert await ids(w) == []  # the turn is taken
    await end(w, second)
    assert await ids(w) == [paused]
    await end(w, paused, 3)
    assert await ids(w) == [third]
