from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, cast

import pytest
from uuid_utils.compat import uuid7

from domain.audit import AuditAction, Deed
from domain.errors import Conflict, InUse, NotFound, OutputExpired
from domain.events import NodeReused, RunStarted, RunSucceeded
from domain.ids import Prefix, RunId, UserId, WorkspaceId, to_global
from domain.run import Usage
from domain.usage import UsageGroup, UsageQuery
from persistence import run_removal
from persistence.compaction import PostgresCompaction
from persistence.database import open_database
from persistence.run_removal import PostgresRunRemoval
from persistence.usage import PostgresUsage
from tests.support.engines import World, bare_world, writing
from tests.support.groups import NOW, Answers, started, succeeded
from tests.support.identity import dump_of
from tests.support.kinds import graph
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence

    from domain.ids import GraphId, WorkflowId
    from domain.usage import UsageBucket
    from persistence.database import Database

_LONG_LOG = """
INSERT INTO run_events (run_id, seq, event_key, type, at, node_key, execution, data)
SELECT $1, 1000 + n, 'Long/' || n, 'NodeRetrying', now(), 'a', n, '{"failure": {"code": "NO", "message": "It does not work."}}'
  FROM generate_series(1, $2::int) n
"""


def deed(run_id: RunId) -> Deed:
    return Deed(AuditAction.RUN_DELETED, NOW, UserId(uuid7()), target_id=to_global(Prefix.RUN, run_id))


async def removed(w: World, run_id: RunId, removal: PostgresRunRemoval | None = None) -> Sequence[RunId]:
    return await (removal or PostgresRunRemoval(w.database)).remove(w.workspace_id, run_id, deed(run_id))


async def ran(w: World, place: tuple[GraphId, WorkflowId] | None = None, parent: RunId | None = None) -> RunId:
    """Make a run that has ended, and asked and written everything that a run can; another one has called it."""
    run_id = await w.owned(place or await w.add(graph("a b")))
    answers = Answers(w.log)
    usage = Usage(1, 2, 3, model="m")
    answers.append(run_id, RunStarted(), started("a"), replace(succeeded("a", b'{"x":1}'), usage=usage))
    answers.append(run_id, RunSucceeded(1, output=b"{}"))
    await w.queue.add_command(run_id, "cancel", "cancel", {"by": None, "reason": "late"})
    await answers.drained()
    if parent is not None:
        async with w.database.direct() as connection:
            await connection.execute(
                "UPDATE runs SET parent_run_id = $2, parent_node_key = 'a' WHERE id = $1", run_id, parent
            )
    return run_id


async def unfinish(w: World, run_id: RunId) -> None:
    async with w.database.direct() as connection:
        await connection.execute("UPDATE runs SET status = 'RUNNING', finished_at = NULL WHERE id = $1", run_id)


async def there(w: World, *run_ids: RunId) -> list[bool]:
    found = {run.id for run in await w.reader.find_many(frozenset({w.workspace_id}), run_ids)}
    return [run_id in found for run_id in run_ids]


async def rows(w: World, table: str, run_id: RunId) -> int:
    async with w.database.direct() as connection:
        return await connection.fetchval(f"SELECT count(*) FROM {table} WHERE run_id = $1", run_id)  # noqa: S608 -- ours


async def used(w: World) -> list[Sequence[UsageBucket]]:
    """Return all sums of the workspace."""
    spans = [UsageQuery(NOW - timedelta(days=1), NOW + timedelta(days=1), group) for group in UsageGroup]
    return [await PostgresUsage(w.database).buckets(w.workspace_id, span) for span in spans]


async def noted(w: World) -> int:
    async with w.database.direct() as connection:
        return await connection.fetchval("SELECT count(*) FROM audit_entries")


def _reused(source: RunId) -> NodeReused:
    return NodeReused("a", None, 0, source, ("out",))


async def test_a_run_goes_with_all_that_is_kept_of_it_and_its_usage_stays(database: Database) -> None:
    w = bare_world(database)
    async with writing(w):
        run_id, other = await ran(w), await ran(w)
        before = await used(w)
        assert await removed(w, run_id) == [run_id]
        dump = await dump_of(database)
    tables = ("run_events", "node_runs", "run_commands", "queued_runs", "approvals", "data_rows")
    assert [table for table in tables if await rows(w, table, run_id)] == []
    assert dump.count(str(run_id)) == 1, "what it used of a model is known"
    assert await there(w, run_id, other) == [False, True]
    assert len(await w.log_rows(other)) == 5
    assert await used(w) == before
    with pytest.raises(NotFound):
        await w.reader.events_after(run_id, 0, 1)
    async with database.direct() as connection:
        noted = await connection.fetch("SELECT action, target_id FROM audit_entries")
    assert [tuple(row) for row in noted] == [("RUN_DELETED", to_global(Prefix.RUN, run_id))]


async def test_the_runs_that_it_called_go_with_it_and_one_of_them_does_not_go_alone(database: Database) -> None:
    w = bare_world(database)
    async with writing(w):
        parent = await ran(w)
        child, sibling = await ran(w, parent=parent), await ran(w, parent=parent)
        grandchild, stranger = await ran(w, parent=child), await ran(w)
        for called in (child, grandchild):
            with pytest.raises(InUse) as caught:
                await removed(w, called)
            assert to_global(Prefix.RUN, parent if called is child else child) in caught.value.message
        assert await there(w, parent, child, sibling, grandchild, stranger) == [True] * 5
        assert await noted(w) == 0
        assert set(await removed(w, parent)) == {parent, child, sibling, grandchild}
    assert await there(w, parent, child, sibling, grandchild, stranger) == [False] * 4 + [True]
    assert [await rows(w, "run_events", one) for one in (parent, child, sibling, grandchild)] == [0] * 4


async def test_what_has_not_ended_stays_with_who_called_it(database: Database) -> None:
    w = bare_world(database)
    async with writing(w):
        parent = await ran(w)
        grandchild = await ran(w, parent=await ran(w, parent=parent))
        await unfinish(w, grandchild)
        for run_id in (parent, grandchild):
            with pytest.raises(Conflict, match="has not ended"):
                await removed(w, run_id)
        assert await there(w, parent, grandchild) == [True, True]
        assert await noted(w) == 0


async def test_a_run_of_another_workspace_is_not_there(database: Database) -> None:
    w = bare_world(database)
    async with writing(w):
        run_id = await ran(w)
        with pytest.raises(NotFound):
            await PostgresRunRemoval(database).remove(WorkspaceId(uuid7()), run_id, deed(run_id))
        assert await there(w, run_id) == [True]


async def test_a_rerun_keeps_what_it_took_over(database: Database) -> None:
    w = bare_world(database)
    async with writing(w):
        place = await w.add(graph("a b"))
        source = await ran(w, place)
        rerun = replace(w.new_run(place), rerun_of=source)
        await w.reruns.add(rerun, [_reused(source)])
        await removed(w, source)
        (kept,) = await w.reader.find_many(frozenset({w.workspace_id}), [rerun.id])
        payloads = await w.reader.node_payloads([(rerun.id, "a", None)], None)
    assert kept.rerun_of is None
    assert payloads[rerun.id, "a", None].output == b'{"x":1}'


@pytest.mark.parametrize("is_rerun_first", [True, False])
async def test_a_rerun_that_begins_at_the_same_instant_is_whole_or_refused(
    database: Database, is_rerun_first: bool
) -> None:
    w = bare_world(database)
    async with writing(w):
        place = await w.add(graph("a b"))
        source = await ran(w, place)
        rerun = replace(w.new_run(place), rerun_of=source)

        async def again() -> str:
            try:
                await w.reruns.add(rerun, [_reused(source)])
            except (NotFound, OutputExpired) as error:
                return type(error).__name__
            return "made"

        async def gone() -> str:
            return f"removed {len(await removed(w, source))}"

        waiting: list[asyncio.Task[str]] = []
        async with database.direct() as connection:
            async with connection.transaction():
                await connection.execute("SELECT 1 FROM runs WHERE id = $1 FOR UPDATE", source)
                for place_in_line, one in enumerate((again, gone) if is_rerun_first else (gone, again), 1):
                    waiting.append(asyncio.create_task(one()))
                    await until(lambda count=place_in_line: _is_waited_for(w, count))
            told = await asyncio.gather(*waiting)
        assert sorted(told) == sorted(["removed 1", "made" if is_rerun_first else "NotFound"])
        assert await there(w, source, rerun.id) == [False, is_rerun_first]
        payloads = await w.reader.node_payloads([(rerun.id, "a", None)], None)
        assert [one.output for one in payloads.values()] == ([b'{"x":1}'] if is_rerun_first else [])


async def _is_waited_for(w: World, count: int) -> bool:
    async with w.database.direct() as connection:
        found = await connection.fetchval(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
        )
    return found == count


async def test_of_two_who_delete_the_same_run_one_finds_it_gone(database: Database) -> None:
    w = bare_world(database)
    async with writing(w):
        run_id = await ran(w)
        found = await asyncio.gather(*(removed(w, run_id) for _ in range(4)), return_exceptions=True)
    assert sorted(type(one).__name__ for one in found) == ["NotFound"] * 3 + ["list"]
    assert await noted(w) == 1


async def test_a_long_log_takes_longer_than_a_statement_may(database: Database, database_url: str) -> None:
    w = bare_world(database)
    async with writing(w):
        run_id = await ran(w)
    async with database.direct() as connection:
        await connection.execute(_LONG_LOG, run_id, 20_000)
    async with open_database(database_url, statement_timeout_ms=10) as hasty:
        assert await removed(w, run_id, PostgresRunRemoval(hasty)) == [run_id]
    assert await rows(w, "run_events", run_id) == 0


async def test_whoever_holds_its_rows_is_not_waited_for_for_ever(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_removal, "_PATIENCE", "SET LOCAL lock_timeout = '100ms'")
    w = bare_world(database)
    async with writing(w):
        run_id = await ran(w)
        async with database.direct() as connection, connection.transaction():
            await connection.execute("SELECT 1 FROM run_events WHERE run_id = $1 FOR UPDATE", run_id)
            with pytest.raises(Conflict, match="try again"):
                await removed(w, run_id)
        assert await there(w, run_id) == [True]
        assert await noted(w) == 0
        assert await removed(w, run_id) == [run_id]


async def test_compaction_passes_a_deleted_run_over(database: Database) -> None:
    w = bare_world(database)
    async with writing(w):
        first, second = await ran(w), await ran(w)
        await removed(w, first)
        assert await PostgresCompaction(database).compact(NOW.replace(year=2027), 10) == 1
        await removed(w, second)
        assert await PostgresCompaction(database).compact(NOW.replace(year=2027), 10) == 0


async def test_however_many_runs_are_deleted_at_once_few_connections_are_opened(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    opened = most = 0

    class Counting:
        @asynccontextmanager
        async def direct(self) -> AsyncGenerator[None]:
            nonlocal opened, most
            opened += 1
            most = max(most, opened)
            yield
            opened -= 1

    async def remove(*_: object) -> list[RunId]:
        await asyncio.sleep(0)
        return []

    monkeypatch.setattr(run_removal, "_remove", remove)
    removal = PostgresRunRemoval(cast("Database", Counting()))
    run_id = RunId(uuid7())
    await asyncio.gather(*(removal.remove(WorkspaceId(uuid7()), run_id, deed(run_id)) for _ in range(50)))
    assert most == 4
