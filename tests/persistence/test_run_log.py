from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from structlog.testing import capture_logs

from domain.bounds import LARGEST
from domain.errors import Fenced, InvalidInput
from domain.events import (
    NodeOutputDelta,
    RunCanceled,
    RunCancelRequested,
    RunQueued,
    RunStarted,
    RunSucceeded,
)
from domain.run import DeltaChannel, NodePayloads, NodeRunQuery, Usage
from tests.support.engines import World, bare_world, names, writing
from tests.support.groups import Answers, failed, started, succeeded
from tests.support.kinds import graph
from tests.support.listed import one_node_run, sole

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence
    from uuid import UUID

    import asyncpg
    import pytest

    from domain.events import LoggedEvent
    from domain.ids import RunId
    from domain.ports.runs import Group
    from persistence.database import Database
    from persistence.run_log import PostgresRunLog


@asynccontextmanager
async def log_of(database: Database, runs: int) -> AsyncGenerator[tuple[World, Answers, list[RunId]]]:
    """Open a log over some runs that its executor holds with epoch 1."""
    w = bare_world(database)
    place = await w.add(graph("a"))
    ids = [await w.owned(place) for _ in range(runs)]
    async with writing(w):
        yield w, Answers(w.log), ids


def is_dense(log: Sequence[LoggedEvent]) -> bool:
    return [event.seq for event in log] == list(range(1, len(log) + 1))


# ── order and group commit ──


async def test_groups_that_gather_share_a_commit_and_keep_the_order_of_their_run(database: Database) -> None:
    async with log_of(database, 20) as (w, answers, runs):
        groups: dict[RunId, list[Group]] = {run: [] for run in runs}
        for number in range(30):
            for run in runs:
                groups[run].append(answers.append(run, started(f"n{number}"), succeeded(f"n{number}")))
            if number % 10 == 9:
                await asyncio.sleep(0)
        await answers.drained()
        assert w.log.commit_count < 20, "1,200 events of 600 groups"
        assert w.log.event_count == 1_200
        for run in runs:
            log = await w.log_rows(run)
            assert is_dense(log)
            assert names(log)[1:] == [f"{t} n{n}" for n in range(30) for t in ("NodeStarted", "NodeSucceeded")]
            assert [answers.base_of(group) for group in groups[run]] == list(range(1, 61, 2))
        assert [group for group, _ in answers.stored] == sorted(
            (group for group, _ in answers.stored),
            key=[g for of_run in zip(*groups.values(), strict=True) for g in of_run].index,
        ), "answered in the order of their making"


async def test_two_processes_that_append_to_the_same_runs_never_deadlock_and_leave_no_gap(database: Database) -> None:
    async with log_of(database, 200) as (w, answers, runs):
        other = bare_world(database)
        async with writing(other):
            others = Answers(other.log)
            with capture_logs() as told:
                for number in range(30):
                    for run in runs:
                        answers.append(run, started(f"a{number}"))
                    for run in reversed(runs):
                        others.append(run, started(f"b{number}"))
                    await asyncio.gather(answers.drained(), others.drained())
            assert told == [], "nothing had to be repeated"
        assert len(answers.stored) == len(others.stored) == 6_000
        for run in runs[::20]:
            log = await w.log_rows(run)
            assert is_dense(log)
            assert len(log) == 61


async def test_a_commit_holds_a_thousand_events_and_8_mib_at_most(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[tuple[int, int]] = []
    async with log_of(database, 4) as (w, answers, runs):
        connected = w.log._connected

        async def measured() -> tuple[Any, Any]:
            connection, statement = await connected()

            class Measuring:
                async def fetch(self, *arguments: Any) -> Any:
                    sizes.append((arguments[2].count('"ordinal"'), len(arguments[2]) + len(arguments[3])))
                    return await statement.fetch(*arguments)

            return connection, Measuring()

        monkeypatch.setattr(w.log, "_connected", measured)
        for number in range(600):
            for run in runs:
                answers.append(run, started(f"n{number}"))
        await answers.drained()
        assert sum(count for count, _ in sizes) == 2_400
        assert max(count for count, _ in sizes) == 1_000
        sizes.clear()
        large = b'"' + b"x" * (3 * 1024 * 1024) + b'"'
        text = "y" * (3 * 1024 * 1024)
        for run in runs[:3]:
            answers.append(run, succeeded("n0", large))
            answers.append(run, NodeOutputDelta("n1", None, 1, DeltaChannel.TEXT, text, 0))
        await answers.drained()
        assert len(sizes) == 3
        assert max(size for _, size in sizes) < 8 * 1024 * 1024
        assert all(isinstance(base, int) for _, base in answers.stored)
        assert answers.refused == []


# ── the fence ──


async def test_the_append_of_an_older_lease_is_refused_and_writes_nothing(database: Database) -> None:
    async with log_of(database, 2) as (w, answers, (stale, fine)):
        heir = bare_world(database)
        (taken, _) = await heir.queue.take_over(heir.executor, w.executor, 10, ())
        assert {taken.epoch} == {2}
        command = await own_command(w, stale)
        old = answers.append(stale, RunStarted(), started("a"), commands=(command,))
        new = answers.append(stale, RunStarted(), epoch=2)
        other = answers.append(fine, RunStarted(), epoch=2)
        await answers.drained()
        assert isinstance(answers.refusal_of(old), Fenced)
        assert (answers.base_of(new), answers.base_of(other)) == (1, 1)
        assert names(await w.log_rows(stale)) == ["RunQueued", "RunStarted"]
        assert await one_node_run(w.reader, stale, "a", None) is None
        assert await w.queue.pending_commands(heir.executor) != {}


async def test_an_older_lease_is_refused_also_where_the_new_one_has_stored_the_same(database: Database) -> None:
    async with log_of(database, 1) as (w, answers, (run,)):
        heir = bare_world(database)
        await heir.queue.take_over(heir.executor, w.executor, 10, ())
        answers.append(run, RunStarted(), started("a"), succeeded("a"), epoch=2)
        await answers.drained()
        late = answers.append(run, succeeded("a", b'"late"'), started("b"))
        again = answers.append(run, succeeded("a"), epoch=2)
        await answers.drained()
        assert isinstance(answers.refusal_of(late), Fenced)
        assert answers.base_of(again) == 3
        assert names(await w.log_rows(run)) == ["RunQueued", "RunStarted", "NodeStarted a", "NodeSucceeded a"]


async def test_a_finished_run_takes_nothing_more(database: Database) -> None:
    async with log_of(database, 1) as (w, answers, (run,)):
        answers.append(run, RunStarted(), RunSucceeded(1, output=b"{}"))
        late = answers.append(run, started("a"))
        await answers.drained()
        later = answers.append(run, started("b"), RunCanceled())
        await answers.drained()
        assert isinstance(answers.refusal_of(late), Fenced)
        assert isinstance(answers.refusal_of(later), Fenced)
        assert names(await w.log_rows(run)) == ["RunQueued", "RunStarted", "RunSucceeded"]
        assert await sole(w.reader.count_node_runs([run], NodeRunQuery())) == 0


# ── unknown outcomes ──


def lose_answer(log: PostgresRunLog, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Break the connection between the next commit and its answer; return what is empty when that has happened."""
    left = ["to be lost"]
    connected = log._connected

    async def connected_badly() -> tuple[Any, Any]:
        connection, statement = await connected()

        class Losing:
            async def fetch(self, *arguments: Any) -> Any:
                rows = await statement.fetch(*arguments)
                if left:
                    left.clear()
                    connection.terminate()
                    raise ConnectionResetError
                return rows

        return connection, Losing()

    monkeypatch.setattr(log, "_connected", connected_badly)
    return left


async def test_a_group_whose_commit_was_not_answered_is_stored_once_and_answered_with_its_seq(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with log_of(database, 3) as (w, answers, runs):
        left = lose_answer(w.log, monkeypatch)
        first = [answers.append(run, RunStarted(), started("a")) for run in runs]
        ends = [answers.append(run, succeeded("a"), RunSucceeded(1)) for run in runs[:2]]
        await answers.drained()
        assert left == []
        assert [answers.base_of(group) for group in first] == [1, 1, 1]
        assert [answers.base_of(group) for group in ends] == [3, 3]
        assert len(answers.stored) == 5
        whole = ["RunQueued", "RunStarted", "NodeStarted a", "NodeSucceeded a", "RunSucceeded"]
        assert [names(await w.log_rows(run)) for run in runs] == [whole, whole, whole[:3]]


async def test_a_connection_killed_in_the_midst_of_an_append_loses_and_doubles_nothing(database: Database) -> None:
    async with log_of(database, 2) as (w, answers, runs), database.direct() as other:
        async with other.transaction():
            await other.execute("SELECT 1 FROM runs WHERE id = $1 FOR UPDATE", runs[0])
            groups = [answers.append(run, RunStarted()) for run in runs]
            await killed(other)
        await answers.drained()
        assert [answers.base_of(group) for group in groups] == [1, 1]
        assert [names(await w.log_rows(run)) for run in runs] == [["RunQueued", "RunStarted"]] * 2


async def killed(connection: asyncpg.Connection[asyncpg.Record]) -> None:
    """Kill the backend that waits in an append."""
    killing = """
        SELECT bool_or(pg_terminate_backend(pid)) FROM pg_stat_activity
         WHERE datname = current_database() AND wait_event_type = 'Lock' AND query LIKE '%asked AS MATERIALIZED%'
    """
    async with asyncio.timeout(20):
        while not await connection.fetchval(killing):
            await connection.execute("SELECT pg_stat_clear_snapshot()")
            await asyncio.sleep(0.01)


async def test_no_group_is_answered_twice_when_the_connection_breaks_while_a_batch_is_taken_apart(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with log_of(database, 3) as (w, answers, runs):
        answers.append(runs[1], RunStarted())
        await answers.drained()
        suspect = w.log._store_suspect
        breaks = [runs[1], runs[2]]

        async def breaking(connection: Any, run_id: Any, groups: Any) -> Any:
            if run_id in breaks:
                breaks.remove(run_id)
                connection.terminate()
            return await suspect(connection, run_id, groups)

        monkeypatch.setattr(w.log, "_store_suspect", breaking)
        # The second run's event is stored already, so that the batch is taken apart; twice that breaks off.
        groups = [answers.append(run, RunStarted()) for run in runs]
        await answers.drained()
        assert [answers.base_of(group) for group in groups] == [1, 1, 1]
        assert len(answers.stored) == 4
        stale = answers.append(runs[0], started("a"), epoch=0)
        fine = answers.append(runs[1], started("a"))
        breaks.append(runs[0])
        await answers.drained()
        assert isinstance(answers.refusal_of(stale), Fenced)
        assert answers.base_of(fine) == 2


# ── values that PostgreSQL cannot hold ──


async def test_a_value_that_cannot_be_stored_fails_its_run_alone(database: Database) -> None:
    async with log_of(database, 5) as (w, answers, runs):
        bad = [
            answers.append(runs[0], succeeded("a", b'"\\u0000"')),
            answers.append(runs[1], failed("a", "a lone \ud800 surrogate")),
            answers.append(runs[2], succeeded("a", b'{"not": "closed"')),
        ]
        fine = [answers.append(run, succeeded("a", b'"fine"')) for run in runs[3:]]
        await answers.drained()
        assert [type(answers.refusal_of(group)) for group in bad] == [InvalidInput] * 3
        assert [answers.base_of(group) for group in fine] == [1, 1]
        for run in runs[:3]:
            assert names(await w.log_rows(run)) == ["RunQueued"]
            assert await sole(w.reader.count_node_runs([run], NodeRunQuery())) == 0
        again = answers.append(runs[0], started("b"))
        await answers.drained()
        assert answers.base_of(again) == 1


async def test_a_run_that_used_more_tokens_than_fit_into_32_bit_is_counted(database: Database) -> None:
    async with log_of(database, 1) as (w, answers, (run,)):
        answers.append(run, RunSucceeded(1, Usage(2**33, 1, 2**33 + 1), b"{}"))
        await answers.drained()
        (found,) = await w.reader.find_many(frozenset({w.workspace_id}), [run])
        assert found.usage == Usage(2**33, 1, 2**33 + 1)


async def test_counts_that_no_column_of_a_node_holds_are_shown_as_the_largest(database: Database) -> None:
    much, more = Usage(LARGEST, 2**40, LARGEST), Usage(5, 5, 10)
    async with log_of(database, 1) as (w, answers, runs):
        for usage in (much, more):
            end = succeeded("a")
            end.usage, end.execution = usage, 1 + (usage is more)
            answers.append(runs[0], started("a", end.execution), end)
            await answers.drained()
        assert answers.refused == []
        found = await one_node_run(w.reader, runs[0], "a", None)
        assert found is not None
        assert found.usage == Usage(LARGEST, LARGEST, LARGEST)


async def test_payloads_are_kept_as_they_were_written(database: Database) -> None:
    async with log_of(database, 1) as (w, answers, (run,)):
        output = '{"z":1.0,"a":1,"n":[1e2,100,-0.0],"text":"é😀\\n\\u001f\\"","z2":{"b":null,"a":true}}'.encode()
        given = b'{"b":0.10,"a":12345678901234567890}'
        end = succeeded("a", output)
        end.input = given
        answers.append(run, end)
        answers.append(run, RunSucceeded(1, output=output))
        await answers.drained()
        payloads = await w.reader.node_payloads([(run, "a", None)], None)
        assert payloads == {(run, "a", None): NodePayloads(given, output)}
        assert (await w.reader.payloads([run]))[run] == (b"null", output)


# ── commands and wake-ups ──


async def own_command(w: World, run: RunId) -> UUID:
    assert await w.queue.add_command(run, "cancel", "cancel", {})
    async with w.database.direct() as connection:
        return await connection.fetchval("SELECT id FROM run_commands WHERE run_id = $1", run)


async def test_a_command_is_applied_in_the_append_that_answers_it(database: Database) -> None:
    async with log_of(database, 2) as (w, answers, runs):
        commands = [await own_command(w, run) for run in runs]
        answers.append(runs[0], RunStarted(), RunCancelRequested(), RunCanceled(), commands=(commands[0],))
        await answers.drained()
        assert list(await w.queue.pending_commands(w.executor)) == [runs[1]]
        async with database.direct() as connection:
            applied = await connection.fetch("SELECT run_id FROM run_commands WHERE applied_at IS NOT NULL")
        assert [row["run_id"] for row in applied] == [runs[0]]


async def test_a_callback_that_fails_does_not_stop_the_log(database: Database) -> None:
    async with log_of(database, 2) as (w, answers, runs):
        group = answers.append(runs[0], RunStarted())

        def fail(_group: Group, _base: int) -> None:
            raise RuntimeError

        group.on_stored = fail
        fine = answers.append(runs[1], RunStarted())
        with capture_logs() as told:
            await answers.drained()
        assert [entry["event"] for entry in told] == ["run_log.callback_failed"]
        assert answers.base_of(fine) == 1
        assert names(await w.log_rows(runs[0])) == ["RunQueued", "RunStarted"]


async def test_a_repeated_first_event_is_answered_with_its_place(database: Database) -> None:
    async with log_of(database, 1) as (_, answers, (run,)):
        again = answers.append(run, RunQueued())
        await answers.drained()
        assert answers.base_of(again) == 0
