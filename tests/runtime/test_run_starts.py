"""What `startRun` does with keys, priorities and labels."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from domain.errors import Conflict, DatabaseUnavailable, InvalidInput, LimitExceeded
from domain.events import RunCancelRequested
from domain.ids import Prefix, to_global
from domain.reruns import RerunFrom
from domain.run import RunQuery, RunStatus
from runtime.engine_limits import EngineLimits
from runtime.run_starts import RunConflictPolicy, StartRequest
from runtime.runs import RunService
from tests.support.desk import desk
from tests.support.engines import names, only, world
from tests.support.kinds import forever, graph, script
from tests.support.waiting import until

if TYPE_CHECKING:
    from domain.ids import RunId, WorkflowId
    from persistence.database import Database
    from runtime.run_starts import Started
    from tests.support.desk import Desk
    from tests.support.engines import World

SMALL = EngineLimits(poll_s=0.05)


async def start(d: Desk, workflow_id: WorkflowId, given: Any = None, **more: Any) -> Started:
    return await d.runs.start_with(d.actor, StartRequest(workflow_id, given, **more))


async def status_of(w: World, run_id: RunId) -> RunStatus:
    (run,) = await w.reader.find_many(frozenset({w.workspace_id}), [run_id])
    return run.status


# ── idempotency keys ──


async def test_a_repeated_call_gives_the_first_run_also_after_it_has_ended(database: Database) -> None:
    async with world(database, script(), limits=SMALL) as w:
        d = await desk(w, script())
        workflow_id = await d.shelf.add(graph("a"))
        first = await start(d, workflow_id, {"a": 1, "b": [2]}, idempotency_key="monday")
        assert (first.is_existing, first.run.idempotency_key) == (False, "monday")
        await w.ended(first.run.id)
        again = await start(d, workflow_id, {"b": [2], "a": 1}, idempotency_key="monday", priority=5)
        assert (again.is_existing, again.run.id, again.run.priority) == (True, first.run.id, 3)
        assert again.run.status is RunStatus.SUCCEEDED
        other = await start(d, workflow_id, {"a": 1, "b": [2]}, idempotency_key="tuesday")
        plain = await start(d, workflow_id, {"a": 1, "b": [2]})
        assert len({first.run.id, other.run.id, plain.run.id}) == 3
        assert (other.is_existing, plain.is_existing) == (False, False)


async def test_a_repeated_call_gives_the_first_run_though_the_draft_is_faulty_by_now(database: Database) -> None:
    async with world(database, script(), limits=SMALL) as w:
        d = await desk(w, script())
        workflow_id = await d.shelf.add(graph("a"))
        first = await start(d, workflow_id, {}, idempotency_key="k")
        await d.shelf.edit(workflow_id, graph("a").model_copy(update={"input_schema": {"required": ["x"]}}))
        assert (await start(d, workflow_id, {}, idempotency_key="k")).run.id == first.run.id
        with pytest.raises(InvalidInput):
            await start(d, workflow_id, {}, idempotency_key="another")


@pytest.mark.parametrize("policy", list(RunConflictPolicy))
async def test_a_key_of_another_workflow_or_input_is_a_conflict_that_changes_nothing(
    database: Database, policy: RunConflictPolicy
) -> None:
    async with world(database, script(a=forever), limits=SMALL) as w:
        d = await desk(w, script())
        workflow_id, other = await d.shelf.add(graph("a")), await d.shelf.add(graph("a"))
        first = await start(d, workflow_id, 1, idempotency_key="k")
        for asked, given in ((other, 1), (workflow_id, 2)):
            with pytest.raises(Conflict) as refused:
                await start(d, asked, given, idempotency_key="k", on_conflict=policy)
            assert refused.value.path == ["input", "idempotencyKey"]
            assert to_global(Prefix.RUN, first.run.id) in refused.value.message
        assert await d.run_count() == 1
        assert await status_of(w, first.run.id) is RunStatus.RUNNING


async def test_with_fail_a_second_call_is_a_conflict(database: Database) -> None:
    async with world(database, script(), limits=SMALL) as w:
        d = await desk(w, script())
        workflow_id = await d.shelf.add(graph("a"))
        asked: dict[str, Any] = {"idempotency_key": "k", "on_conflict": RunConflictPolicy.FAIL}
        first = await start(d, workflow_id, **asked)
        assert not first.is_existing
        with pytest.raises(Conflict, match=to_global(Prefix.RUN, first.run.id)):
            await start(d, workflow_id, **asked)
        assert await d.run_count() == 1


async def test_with_cancel_existing_the_first_run_is_stopped_and_another_one_has_the_key(database: Database) -> None:
    async with world(database, script(a=forever), limits=SMALL) as w:
        d = await desk(w, script())
        workflow_id = await d.shelf.add(graph("a"))
        asked: dict[str, Any] = {"idempotency_key": "k", "on_conflict": RunConflictPolicy.CANCEL_EXISTING}
        first, second = await start(d, workflow_id, **asked), await start(d, workflow_id, **asked)
        assert (second.is_existing, second.run.id != first.run.id) == (False, True)
        log = await w.ended(first.run.id)
        assert names(log)[-1] == "RunCanceled"
        assert only(log, RunCancelRequested).by == d.actor.user.id
        assert "idempotency key" in (only(log, RunCancelRequested).reason or "")
        assert await status_of(w, second.run.id) is RunStatus.RUNNING
        assert (await start(d, workflow_id, idempotency_key="k")).run.id == second.run.id


@pytest.mark.parametrize("policy", [RunConflictPolicy.USE_EXISTING, RunConflictPolicy.CANCEL_EXISTING])
async def test_of_fifty_calls_at_once_with_one_key_one_run_remains_whichever_of_two_servers_they_reach(
    database: Database, policy: RunConflictPolicy
) -> None:
    async with world(database, script(a=forever), limits=SMALL) as w, world(database, script(a=forever), like=w) as v:
        d = await desk(w, script())
        beside = RunService(d.shelf, v.queue, v.reader, v.engine, v.progress)
        workflow_id = await d.shelf.add(graph("a"))
        request = StartRequest(workflow_id, {"n": 1}, idempotency_key="k", on_conflict=policy)
        async with asyncio.timeout(60):
            started = await asyncio.gather(
                *((d.runs, beside)[number % 2].start_with(d.actor, request) for number in range(50))
            )
        made = {one.run.id for one in started if not one.is_existing}
        if policy is RunConflictPolicy.USE_EXISTING:
            assert {one.run.id for one in started} == made
            assert (len(made), await d.run_count()) == (1, 1)
            return
        assert len(made) == await d.run_count() == 50

        async def one_is_left() -> bool:
            return await w.reader.count(w.workspace_id, RunQuery(statuses=(RunStatus.RUNNING,))) == 1

        await until(one_is_left)
        holder = await w.queue.find_key(w.workspace_id, "k")
        assert holder is not None
        assert await status_of(w, holder.run_id) is RunStatus.RUNNING


async def test_a_call_whose_answer_was_lost_gives_the_same_run_when_it_is_repeated(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with world(database, script(), limits=SMALL) as w:
        d = await desk(w, script())
        workflow_id = await d.shelf.add(graph("a"))
        add = w.queue.add

        async def lose_the_answer(*given: Any) -> None:
            await add(*given)
            raise DatabaseUnavailable

        with monkeypatch.context() as patch:
            patch.setattr(w.queue, "add", lose_the_answer)
            with pytest.raises(DatabaseUnavailable):
                await start(d, workflow_id, idempotency_key="k")
        again = await start(d, workflow_id, idempotency_key="k")
        assert again.is_existing
        assert names(await w.ended(again.run.id))[-1] == "RunSucceeded"
        assert await d.run_count() == 1


async def test_a_run_that_was_deleted_between_two_looks_leaves_its_key_to_the_next(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with world(database, script(), limits=SMALL) as w:
        d = await desk(w, script())
        workflow_id = await d.shelf.add(graph("a"))
        first = await start(d, workflow_id, idempotency_key="k")
        await w.ended(first.run.id)
        find = w.queue.find_key

        async def found_too_late(*given: Any) -> Any:
            holder = await find(*given)
            async with database.direct() as connection:
                await connection.execute("DELETE FROM runs WHERE id = $1", first.run.id)
            return holder

        monkeypatch.setattr(w.queue, "find_key", found_too_late)
        second = await start(d, workflow_id, idempotency_key="k")
        assert (second.is_existing, second.run.id != first.run.id) == (False, True)


# ── what is refused ──


@pytest.mark.parametrize(
    ("wrong", "path"),
    [
        ({"idempotency_key": ""}, ["input", "idempotencyKey"]),
        ({"idempotency_key": "x" * 257}, ["input", "idempotencyKey"]),
        ({"idempotency_key": "a\0"}, ["input", "idempotencyKey"]),
        ({"concurrency_key": ""}, ["input", "concurrencyKey"]),
        ({"concurrency_key": "\ud800"}, ["input", "concurrencyKey"]),
        ({"priority": 0}, ["input", "priority"]),
        ({"priority": 6}, ["input", "priority"]),
        ({"labels": [("a", "1"), ("", "2")]}, ["input", "labels", "1", "name"]),
        ({"labels": [("a", "x" * 257)]}, ["input", "labels", "0", "value"]),
        ({"labels": [("a", "1"), ("b", "1"), ("a", "2")]}, ["input", "labels", "2", "name"]),
        ({"labels": [("a", "1"), ("a", "1")]}, ["input", "labels", "1", "name"]),
    ],
)
async def test_terms_out_of_their_bounds_are_refused_by_their_path(
    database: Database, wrong: dict[str, Any], path: list[str]
) -> None:
    async with world(database, script(), limits=SMALL) as w:
        d = await desk(w, script())
        workflow_id = await d.shelf.add(graph("a"))
        with pytest.raises(InvalidInput) as refused:
            await start(d, workflow_id, **wrong)
        assert refused.value.path == path
        assert await d.run_count() == 0


async def test_a_run_has_at_most_fifty_labels(database: Database) -> None:
    async with world(database, script(), limits=SMALL) as w:
        d = await desk(w, script())
        workflow_id = await d.shelf.add(graph("a"))
        labels = [(f"n{number}", "") for number in range(51)]
        with pytest.raises(LimitExceeded) as refused:
            await start(d, workflow_id, labels=labels)
        assert (refused.value.limit, refused.value.path) == (50, ["input", "labels"])
        run = (await start(d, workflow_id, labels=labels[:50])).run
        (stored,) = await w.reader.find_many(frozenset({w.workspace_id}), [run.id])
        assert stored.labels == tuple(labels[:50])


# ── what a rerun takes over ──


async def test_a_rerun_has_the_priority_and_the_labels_of_the_run_but_not_its_idempotency_key(
    database: Database,
) -> None:
    async with world(database, script(), limits=SMALL) as w:
        d = await desk(w, script())
        terms: dict[str, Any] = {"idempotency_key": "k", "priority": 2, "labels": [("team", "docs")]}
        first = await start(d, await d.shelf.add(graph("a")), **terms)
        await w.ended(first.run.id)
        run = (await d.rerun(first.run.id, RerunFrom.START)).run
        assert run is not None
        await w.ended(run.id)
        (stored,) = await w.reader.find_many(frozenset({w.workspace_id}), [run.id])
        assert (stored.priority, stored.labels, stored.idempotency_key) == (2, (("team", "docs"),), None)
        holder = await w.queue.find_key(w.workspace_id, "k")
        assert holder is not None
        assert holder.run_id == first.run.id
