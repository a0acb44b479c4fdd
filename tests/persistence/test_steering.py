from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from domain.errors import NotFound
from domain.ids import RunId
from domain.run import RunQuery, RunStatus
from domain.steering import CanceledRuns
from tests.support.engines import BY, World, bare_world, names
from tests.support.kinds import graph
from tests.support.query_count import counting

if TYPE_CHECKING:
    from persistence.database import Database

EVERYTHING = RunQuery()


async def cancel(w: World, query: RunQuery = EVERYTHING, limit: int = 10_000) -> CanceledRuns:
    return await w.steering.cancel_many(w.workspace_id, query, BY, "Enough.", limit)


async def asked(w: World) -> dict[RunId, dict[str, str]]:
    """Return the runs that are asked to stop, with what they are told."""
    async with w.database.direct() as connection:
        rows = await connection.fetch(
            "SELECT run_id, payload FROM run_commands WHERE command_key = 'cancel' ORDER BY run_id"
        )
    return {RunId(row["run_id"]): row["payload"] for row in rows}


async def change(w: World, run_id: RunId, assignment: str, *values: object) -> None:
    async with w.database.direct() as connection:
        await connection.execute(f"UPDATE runs SET {assignment} WHERE id = $1", run_id, *values)  # noqa: S608 -- ours


async def test_all_unfinished_runs_of_the_workspace_that_match_are_asked_once(database: Database) -> None:
    w, other = bare_world(database), bare_world(database)
    place, another = await w.add(graph("a")), await w.add(graph("a"))
    held, queued, elsewhere = await w.owned(place), await w.queued(place), await w.queued(another)
    ended = await w.queued(place)
    await change(w, ended, "status = 'SUCCEEDED'")
    await other.queued(await other.add(graph("a")))
    assert await cancel(w, RunQuery(workflow_ids=(place[1],))) == CanceledRuns(2, has_more=False)
    told = await asked(w)
    assert list(told) == [held, queued]
    assert {str(payload) for payload in told.values()} == {f'{{"by":"{BY}","reason":"Enough."}}'}
    assert await cancel(w) == CanceledRuns(1, has_more=False), "who was asked before does not count"
    assert list(await asked(w)) == [held, queued, elsewhere]
    assert await cancel(w) == CanceledRuns(0, has_more=False)


async def test_the_oldest_are_asked_first_and_the_caller_is_told_that_there_are_more(database: Database) -> None:
    w = bare_world(database)
    place = await w.add(graph("a"))
    runs = [await w.queued(place) for _ in range(5)]
    assert await cancel(w, limit=2) == CanceledRuns(2, has_more=True)
    assert list(await asked(w)) == runs[:2]
    assert await cancel(w, limit=3) == CanceledRuns(3, has_more=False)


async def test_a_run_that_was_called_is_stopped_by_its_caller_unless_that_does_not_match(database: Database) -> None:
    w = bare_world(database)
    place, called = await w.add(graph("a")), await w.add(graph("a"))
    parent, child, grandchild = await w.queued(place), await w.queued(called), await w.queued(called)
    await change(w, child, "parent_run_id = $2", parent)
    await change(w, grandchild, "parent_run_id = $2", child)
    assert await cancel(w) == CanceledRuns(1, has_more=False)
    assert list(await asked(w)) == [parent]
    orphan = await w.queued(called)
    other_parent = await w.queued(place)
    await change(w, orphan, "parent_run_id = $2", other_parent)
    assert await cancel(w, RunQuery(workflow_ids=(called[1],))) == CanceledRuns(2, has_more=False)
    assert set(await asked(w)) == {parent, grandchild, orphan}


async def test_ten_thousand_runs_are_asked_in_one_statement(database: Database) -> None:
    w = bare_world(database)
    place = await w.add(graph("a"))
    async with database.direct() as connection:
        await connection.execute(
            "INSERT INTO runs (id, workspace_id, workflow_id, graph_id, status, node_count, trigger)"
            " SELECT gen_random_uuid(), $1, $2, $3, 'QUEUED', 1, 'MANUAL' FROM generate_series(1, 10001)",
            w.workspace_id,
            place[1],
            place[0],
        )
    with counting(database) as statements:
        assert await cancel(w) == CanceledRuns(10_000, has_more=True)
    assert statements.count == 1
    assert await cancel(w) == CanceledRuns(1, has_more=False)
    assert len(await asked(w)) == 10_001


async def test_calls_at_the_same_instant_count_each_run_once(database: Database) -> None:
    w = bare_world(database)
    place = await w.add(graph("a"))
    runs = [await w.queued(place) for _ in range(50)]
    answers = await asyncio.gather(*(cancel(w) for _ in range(4)))
    assert sum(answer.count for answer in answers) == 50
    assert list(await asked(w)) == runs


async def test_what_was_deleted_meanwhile_is_not_found(database: Database) -> None:
    w = bare_world(database)
    for ask in (w.steering.pause, w.steering.resume):
        with pytest.raises(NotFound):
            await ask(RunId(BY), BY)


async def test_a_run_that_nobody_holds_is_changed_at_once_and_no_former_owner_can_append(database: Database) -> None:
    w = bare_world(database)
    run_id = await w.queued(await w.add(graph("a")))
    await w.pause(run_id)
    async with database.direct() as connection:
        row = await connection.fetchrow("SELECT lease_epoch, last_seq, started_at FROM runs WHERE id = $1", run_id)
    assert row is not None
    assert tuple(row) == (1, 2, None)
    assert (await w.status_of(run_id), names(await w.log_rows(run_id))) == (
        RunStatus.PAUSED,
        ["RunQueued", "RunPaused"],
    )
    await w.resume(run_id)
    assert await w.status_of(run_id) is RunStatus.QUEUED
    (claimed,) = await w.queue.claim(w.executor, 9, {})
    assert (claimed.id, claimed.epoch, claimed.last_seq) == (run_id, 3, 3)
