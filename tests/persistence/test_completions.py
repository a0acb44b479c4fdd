from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import orjson
import pytest

from domain.data_rows import check_write
from domain.data_tables import ColumnType, DataColumn, DataTable, WriteMode
from domain.errors import Fenced, NodeFault
from domain.events import RunCanceled
from persistence.data_tables import PostgresDataTables
from tests.support.data_tables import data_table, holding
from tests.support.engines import World, bare_world, names, writing
from tests.support.groups import Answers, started, succeeded
from tests.support.kinds import graph
from tests.support.listed import sole
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from domain.data_tables import RowWrite
    from domain.ids import RunId
    from persistence.database import Database, DirectConnection


@asynccontextmanager
async def log_of(database: Database, runs: int) -> AsyncGenerator[tuple[World, Answers, list[RunId], DataTable]]:
    """Open a log over runs that its executor holds with epoch 1, and a table with a key."""
    w = bare_world(database)
    place = await w.add(graph("a"))
    ids = [await w.owned(place) for _ in range(runs)]
    columns = [DataColumn("key", ColumnType.TEXT), DataColumn("value", ColumnType.INTEGER)]
    table = data_table(*columns, keys=("key",), workspace_id=w.workspace_id)
    await PostgresDataTables(database).add(table)
    async with writing(w):
        yield w, Answers(w.log), ids, table


def insert(table: DataTable, key: str) -> RowWrite:
    return check_write(table, WriteMode.INSERT, {"key": key, "value": 1}, returning=["value"])


async def count(database: Database, table: DataTable) -> int:
    return await sole(PostgresDataTables(database).count_rows([table.id]))


async def test_rows_and_the_end_of_their_node_are_stored_together(database: Database) -> None:
    async with log_of(database, 1) as (w, answers, (run,), table):
        answers.append(run, started("a"))
        group = answers.append(run, succeeded("a", None), write=insert(table, "k"))
        await answers.drained()
        assert answers.base_of(group) == 2
        payloads = await w.reader.node_payloads([(run, "a", None)], None)
        assert orjson.loads(payloads[run, "a", None].output or b"") == {"rowCount": 1, "rows": [{"value": 1}]}
        assert names(await w.log_rows(run)) == ["RunQueued", "NodeStarted a", "NodeSucceeded a"]
        assert await count(database, table) == 1


async def test_a_repeat_gives_what_is_recorded_and_writes_nothing(database: Database) -> None:
    async with log_of(database, 1) as (_, answers, (run,), table):
        first = answers.append(run, succeeded("a", None), write=insert(table, "k"))
        second = answers.append(run, succeeded("a", None), write=insert(table, "k"))
        await answers.drained()
        assert answers.base_of(first) == answers.base_of(second) == 1
        assert first.events[0] == second.events[0]
        assert await count(database, table) == 1


async def test_an_answer_that_is_lost_behind_the_commit_is_asked_for_again(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    driver, lost = database.driver, list[int]()

    @asynccontextmanager
    async def lossy() -> AsyncGenerator[DirectConnection]:
        async with driver() as connection:
            yield connection
            if not lost:
                lost.append(1)
                raise ConnectionResetError

    async with log_of(database, 1) as (_, answers, (run,), table):
        monkeypatch.setattr(database, "driver", lossy)
        group = answers.append(run, succeeded("a", None), write=insert(table, "k"))
        await answers.drained()
        assert (lost, answers.base_of(group)) == ([1], 1)
        assert await count(database, table) == 1


class Breaking:
    """A connection that breaks in front of its n-th statement."""

    def __init__(self, connection: DirectConnection, at: int) -> None:
        self._connection = connection
        self._left = at

    def transaction(self) -> object:
        return self._connection.transaction()

    async def fetch(self, *arguments: Any) -> object:
        return await self._ready().fetch(*arguments)

    async def fetchrow(self, *arguments: Any) -> object:
        return await self._ready().fetchrow(*arguments)

    async def fetchval(self, *arguments: Any) -> object:
        return await self._ready().fetchval(*arguments)

    def _ready(self) -> DirectConnection:
        self._left -= 1
        if self._left == 0:
            self._connection.terminate()
        return self._connection


@pytest.mark.parametrize("at", [1, 2, 3, 4, 5])
async def test_a_connection_that_breaks_at_any_statement_costs_nothing_and_doubles_nothing(
    database: Database, monkeypatch: pytest.MonkeyPatch, at: int
) -> None:
    driver, broken = database.driver, list[Breaking]()

    @asynccontextmanager
    async def fragile() -> AsyncGenerator[Any]:
        async with driver() as connection:
            if not broken:
                broken.append(Breaking(connection, at))
                yield broken[0]
            else:
                yield connection

    async with log_of(database, 1) as (w, answers, (run,), table):
        monkeypatch.setattr(database, "driver", fragile)
        group = answers.append(run, succeeded("a", None), write=insert(table, "k"))
        await answers.drained()
        monkeypatch.undo()
        assert broken[0]._left <= 0
        assert answers.base_of(group) == 1
        assert await count(database, table) == 1
        assert names(await w.log_rows(run)) == ["RunQueued", "NodeSucceeded a"]


@pytest.mark.parametrize("is_ended", [False, True])
async def test_whoever_does_not_own_the_run_any_more_writes_nothing(database: Database, *, is_ended: bool) -> None:
    async with log_of(database, 1) as (w, answers, (run,), table):
        if is_ended:
            answers.append(run, RunCanceled())
        epoch = 1 if is_ended else 0
        group = answers.append(run, succeeded("a", None), epoch=epoch, write=insert(table, "k"))
        await answers.drained()
        assert isinstance(answers.refusal_of(group), Fenced)
        assert await count(database, table) == 0
        assert "NodeSucceeded a" not in names(await w.log_rows(run))


async def test_a_row_that_cannot_be_is_its_nodes_fault_alone(database: Database) -> None:
    async with log_of(database, 3) as (w, answers, runs, table):
        groups = [
            answers.append(run, succeeded("a", None), write=insert(table, key))
            for run, key in zip(runs, ("k", "k", "l"), strict=True)
        ]
        later = [answers.append(run, started("b")) for run in runs]
        await answers.drained()
        refused = [group for group, _ in answers.refused]
        assert len(refused) == 1
        error = answers.refusal_of(refused[0])
        assert isinstance(error, NodeFault)
        assert error.code == "UNIQUE_VIOLATION"
        assert await count(database, table) == 2
        for run, group, behind in zip(runs, groups, later, strict=True):
            is_refused = group in refused
            assert answers.base_of(behind) == (1 if is_refused else 2)
            assert ("NodeSucceeded a" in names(await w.log_rows(run))) is not is_refused


async def test_a_write_that_waits_holds_up_its_own_run_and_no_other(database: Database) -> None:
    async with log_of(database, 2) as (w, answers, (slow, fast), table):
        async with holding(database, table, {"key": "k"}):
            before = answers.append(slow, started("a"))
            write = answers.append(slow, succeeded("a", None), write=insert(table, "k"))
            behind = [answers.append(slow, started(f"b{n}")) for n in range(3)]
            others = [answers.append(fast, started(f"c{n}")) for n in range(3)]
            await until(lambda: len(answers.stored) == 4)
            assert [group for group, _ in answers.stored] == [before, *others]
            # What comes while it waits is stored too, or waits with the others.
            behind.append(answers.append(slow, started("late")))
            others.append(answers.append(fast, started("late")))
            await until(lambda: len(answers.stored) == 5)
        await answers.drained()
        assert [group for group, _ in answers.stored if group.run_id == slow] == [before, write, *behind]
        assert names(await w.log_rows(slow))[1:3] == ["NodeStarted a", "NodeSucceeded a"]
        assert [event.seq for event in await w.log_rows(slow)] == list(range(1, 8))


async def test_a_log_that_is_closed_meanwhile_leaves_no_row(database: Database) -> None:
    async with log_of(database, 1) as (w, answers, (run,), table):
        async with holding(database, table, {"key": "k"}):
            answers.append(run, succeeded("a", None), write=insert(table, "k"))
            await asyncio.sleep(0)
            w.crash()
            assert w.writing is not None
            await asyncio.gather(w.writing, return_exceptions=True)
        assert await count(database, table) == 0
        assert answers.stored == answers.refused == []
