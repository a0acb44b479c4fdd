from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from domain.audit import AuditAction
from domain.errors import Conflict, Forbidden, NotFound
from domain.events import NodeRetrying, RunStarted, RunSucceeded
from domain.identity import Role
from domain.run import Failure
from persistence.audit import PostgresAudit
from persistence.run_removal import PostgresRunRemoval
from runtime.audit import AuditService
from runtime.progress import Progress
from runtime.run_removal import RunRemovalService
from runtime.runs import RunService
from tests.runtime.test_runs import Shelf, caller
from tests.support.engines import World, bare_world, writing
from tests.support.groups import NOW, Answers, started
from tests.support.kinds import graph
from tests.support.machines import logged

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from domain.events import LoggedEvent
    from domain.ids import RunId
    from persistence.database import Database

RETRIES = 200
"""More than a follower reads at once."""


def removal_of(w: World) -> tuple[RunRemovalService, AuditService]:
    shelf, audit = Shelf(w), AuditService(PostgresAudit(w.database), lambda: NOW)
    runs = RunService(shelf, w.queue, w.reader, w.engine, w.progress)
    return RunRemovalService(runs, shelf, PostgresRunRemoval(w.database), w.progress, audit), audit


async def logged_run(w: World, *, is_ended: bool = True) -> RunId:
    run_id = await w.owned(await w.add(graph("a")))
    answers = Answers(w.log)
    answers.append(run_id, RunStarted(), started("a"))
    for number in range(RETRIES):
        answers.append(run_id, NodeRetrying("a", None, number + 1, Failure("NO", "no"), NOW))
    if is_ended:
        answers.append(run_id, RunSucceeded(1))
    await answers.drained()
    return run_id


async def test_who_follows_a_run_that_is_deleted_is_told_in_every_process(database: Database) -> None:
    w = bare_world(database)
    removal, _ = removal_of(w)
    async with writing(w):
        run_id = await logged_run(w)
        # Another process that missed the wake-up, and two clients that stand at the same place.
        followers = [one.follow(run_id) for one in (w.progress, w.progress, Progress(w.reader))]
        for follower in followers:
            assert (await anext(follower)).seq == 1
        await removal.delete(await caller(w, Role.EDITOR), run_id)
        seen = await asyncio.gather(*map(_rest, followers))
    assert all(0 < len(rest) < RETRIES for rest in seen), "what was read is told, and then that the rest is gone"
    assert w.progress.follower_count == 0


async def _rest(follower: AsyncGenerator[LoggedEvent]) -> list[LoggedEvent]:
    events: list[LoggedEvent] = []
    try:
        async for event in follower:
            events.append(event)  # noqa: PERF401 -- what came before the error counts
    except NotFound:
        return events
    raise AssertionError("The follower was not told that the run is gone.")


async def test_an_editor_deletes_what_has_ended_and_the_audit_log_has_it(database: Database) -> None:
    w = bare_world(database)
    removal, audit = removal_of(w)
    async with writing(w):
        run_id, running = await logged_run(w), await logged_run(w, is_ended=False)
        owner = await caller(w, Role.OWNER)
        with pytest.raises(Forbidden):
            await removal.delete(await caller(w, Role.VIEWER), run_id)
        with pytest.raises(Conflict, match="RUNNING"):
            await removal.delete(owner, running)
        with pytest.raises(NotFound):
            await removal.delete(await caller(bare_world(database), Role.OWNER), run_id)
        assert await logged(audit, owner) == []
        await removal.delete(owner, run_id)
        found = await w.reader.find_many(frozenset({w.workspace_id}), [run_id, running])
    assert [run.id for run in found] == [running]
    (entry,) = await logged(audit, owner)
    assert (entry.action, entry.actor_id) == (AuditAction.RUN_DELETED, owner.user.id)
