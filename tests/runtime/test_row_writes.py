"""Runs whose nodes write rows together with their end."""

from __future__ import annotations

import asyncio
import contextlib
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest

from domain.data_rows import check_write
from domain.data_tables import ColumnType, DataColumn, DataTable, WriteMode
from domain.events import NodeFailed, NodeStarted, NodeSucceeded, RunSucceeded
from domain.ids import RunId, WorkspaceId
from domain.kinds import Result
from persistence.data_tables import PostgresDataTables
from runtime.engine_limits import EngineLimits
from runtime.nodes.db_write import KIND as DB_WRITE
from tests.support.data_tables import data_table, holding, write_row
from tests.support.engines import NoServices, World, names, only, world
from tests.support.kinds import forever, graph, script
from tests.support.listed import sole
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from domain.json_value import Json
    from domain.kinds import NodeContext
    from domain.workflow import Definition
    from persistence.database import Database

FAST = EngineLimits(poll_s=0.02, takeover_probe_s=0.05)
COLUMNS = [DataColumn("key", ColumnType.TEXT), DataColumn("value", ColumnType.INTEGER)]


class Tables(NoServices):
    """Services that know one table."""

    def __init__(self, table: DataTable) -> None:
        self.table = table

    async def data_table(self, workspace_id: WorkspaceId, name: str) -> DataTable:
        """Return the table."""
        assert (workspace_id, name) == (self.table.workspace_id, self.table.name)
        return self.table


@asynccontextmanager
async def tables(
    database: Database, *kinds: Any, like: World | None = None, table: DataTable | None = None
) -> AsyncGenerator[tuple[World, DataTable]]:
    """Open an engine whose nodes may write to a table with a key."""
    async with world(database, DB_WRITE, *kinds, limits=FAST, like=like) as w:
        if table is None:
            await w.add(graph("a"))
            table = data_table(*COLUMNS, keys=("key",), workspace_id=w.workspace_id)
            await PostgresDataTables(database).add(table)
        w.engine.services = Tables(table)
        yield w, table


def writing(key: str, *more: dict[str, Any], edges: tuple[str, ...] = (), value: Json = 1, **config: Any) -> Definition:
    values = [{"column": "key", "value": key}, {"column": "value", "value": value}]
    node = {"key": "write", "config": {"dbWrite": {"target": {"dataTable": "things"}, "values": values, **config}}}
    made = graph({})
    return made.model_validate(
        {
            "graph": {
                "nodes": [node, *more],
                "edges": [dict(zip(("source", "target"), edge.split(">"), strict=True)) for edge in edges],
            }
        }
    )


async def rows(database: Database, table: DataTable) -> int:
    return await sole(PostgresDataTables(database).count_rows([table.id]))


async def test_what_follows_sees_how_many_rows_were_really_written(database: Database) -> None:
    show = {"key": "show", "config": {"script": {"step": "none", "value": "{{ nodes.write.output }}"}}}
    async with tables(database, script()) as (w, table):
        log = await w.run(writing("k", show, edges=("write>show",), returning=["value"]))
        assert names(log) == [
            "RunQueued", "RunStarted", "NodeStarted write", "NodeSucceeded write", "NodeStarted show", "NodeSucceeded show",
            "RunSucceeded",
        ]  # fmt: skip
        assert only(log, RunSucceeded).output == b'{"show":{"rowCount":1,"rows":[{"value":1}]}}'
        assert await rows(database, table) == 1


async def test_of_a_hundred_runs_in_flight_only_the_one_with_a_taken_key_fails(database: Database) -> None:
    async with tables(database) as (w, table):
        place = await w.add(writing("{{ input.key }}"))
        ids = [await w.queued(place, {"key": str(number if number != 57 else 56)}) for number in range(100)]
        w.engine.look()
        logs = await asyncio.gather(*(w.ended(run_id) for run_id in ids))
        failures = [log for log in logs if names(log)[-1] == "RunFailed"]
        assert len(failures) == 1
        failure = only(failures[0], NodeFailed).failure
        assert failure.code == "UNIQUE_VIOLATION"
        assert "same key" in failure.message
        assert [names(log)[-1] for log in logs].count("RunSucceeded") == 99
        assert await rows(database, table) == 99


@pytest.mark.parametrize(
    ("values", "code", "told"),
    [
        ({"value": "many"}, "INVALID_ROW", "value (INTEGER)"),
        ({"value": ["a"]}, "INVALID_ROW", "not a list"),
        ({"values": [{"column": "valu", "value": 1}]}, "INVALID_ROW", "Did you mean `value`"),
    ],
)
async def test_a_row_that_does_not_fit_names_its_column(
    database: Database, values: dict[str, Any], code: str, told: str
) -> None:
    async with tables(database) as (w, table):
        failure = only(await w.run(writing("k", **values)), NodeFailed).failure
        assert failure.code == code
        assert told in failure.message
        assert await rows(database, table) == 0


async def test_a_run_that_is_cancelled_while_its_rows_are_stored_keeps_them_and_ends(database: Database) -> None:
    async with tables(database) as (w, table):
        async with holding(database, table, {"key": "k"}):
            run_id = await w.queued(await w.add(writing("k")))
            w.engine.look()
            await until(lambda: bool(w.log._writing))
            await w.cancel(run_id)
            await until(lambda: any(w.log._behind.values()))
        log = await w.ended(run_id)
        assert names(log)[2:] == ["NodeStarted write", "NodeSucceeded write", "RunCancelRequested", "RunCanceled"]
        assert await rows(database, table) == 1


async def test_a_node_that_answers_its_cancellation_with_rows_has_one_end(database: Database) -> None:
    kept: list[DataTable] = []
    reached = asyncio.Event()

    async def insist(_: NodeContext) -> Result:
        try:
            reached.set()
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            return Result(None, write=check_write(kept[0], WriteMode.INSERT, {"key": "k"}))
        raise AssertionError

    async with tables(database, script(insist=insist)) as (w, table):
        kept.append(table)
        run_id = await w.queued(await w.add(graph("insist")))
        w.engine.look()
        await reached.wait()
        await w.cancel(run_id)
        log = await w.ended(run_id)
        assert names(log)[2:] == ["NodeStarted insist", "RunCancelRequested", "NodeSucceeded insist", "RunCanceled"]
        assert await rows(database, table) == 1


async def test_rows_that_cannot_be_stored_are_tried_again_as_the_node_says(database: Database) -> None:
    retries: dict[str, Any] = {"maximumAttempts": 2, "initialIntervalMs": 1}
    async with tables(database) as (w, table):
        await write_row(database, table, {"key": "k"})
        made = writing("k")
        (node,) = made.graph.nodes
        again = made.model_validate({"graph": {"nodes": [{**node.model_dump(by_alias=True), "retry": retries}]}})
        log = await w.run(again)
        # A key that is taken stays taken: trying again would not help.
        assert names(log)[-3:] == ["NodeStarted write", "NodeFailed write", "RunFailed"]


async def test_rows_are_written_once_when_the_process_ends_while_they_are_stored(database: Database) -> None:
    async with tables(database, script(wait=forever)) as (w, table), holding(database, table, {"key": "k"}):
        run_id = await w.queued(await w.add(writing("k")))
        w.engine.look()
        await until(lambda: bool(w.log._writing))
        w.crash()
        assert w.writing is not None
        await asyncio.wait([w.writing])
    await w.entered(expires_in_s=-1)
    async with tables(database, like=w, table=table) as (other, _):
        log = await other.ended(RunId(run_id))
    assert names(log)[-1] == "RunSucceeded"
    assert names(log).count("NodeSucceeded write") == 1
    assert len([logged for logged in log if isinstance(logged.event, NodeStarted)]) == 2
    assert await rows(database, table) == 1


async def test_branches_go_on_while_rows_are_stored(database: Database) -> None:
    async def quick(_: NodeContext) -> int:
        return 1

    side = {"key": "side", "config": {"script": {"step": "quick"}}}
    async with tables(database, script(quick=quick)) as (w, table):
        for number in range(20):
            log = await w.run(writing(f"k{number}", side))
            assert names(log)[-1] == "RunSucceeded"
            assert [logged.seq for logged in log] == list(range(1, len(log) + 1))
        assert await rows(database, table) == 20


async def test_a_kind_of_a_plug_in_may_write_rows_with_its_end_too(database: Database) -> None:
    written: list[DataTable] = []

    async def add(ctx: NodeContext) -> Result:
        await ctx.emit("adding")
        return Result(None, write=check_write(written[0], WriteMode.INSERT, {"key": "x"}))

    async with tables(database, script(add=add)) as (w, table):
        written.append(table)
        log = await w.run(graph({"add": {}}))
        assert names(log)[2:5] == ["NodeStarted add", "NodeOutputDelta add", "NodeSucceeded add"]
        assert only(log, NodeSucceeded).output == b'{"rowCount":1,"rows":[]}'
        assert await rows(database, table) == 1


async def test_a_kind_that_answers_a_cancellation_with_rows_has_one_end(database: Database) -> None:
    written: list[DataTable] = []

    async def persist(ctx: NodeContext) -> Result:
        with contextlib.suppress(asyncio.CancelledError):
            await forever(ctx)
        return Result(None, write=check_write(written[0], WriteMode.INSERT, {"key": "k"}))

    async with tables(database, script(persist=persist)) as (w, table):
        written.append(table)
        w.engine.cancel_grace_s = 0.05
        async with holding(database, table, {"key": "k"}):
            run_id = await w.queued(await w.add(graph({"persist": {}})))
            w.engine.look()
            await until(lambda: any(run._works._works for run in w.engine._runs.values()))
            await w.cancel(run_id)
            await until(lambda: bool(w.log._writing))
            await asyncio.sleep(0.1)
        log = await w.ended(run_id)
        assert names(log)[-3:] == ["RunCancelRequested", "NodeSucceeded persist", "RunCanceled"]
        assert await rows(database, table) == 1
