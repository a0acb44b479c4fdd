from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, cast
from uuid import uuid4

import asyncpg
import pytest

from domain.data_rows import check_write
from domain.data_tables import ALL_ROWS, ColumnType, DataColumn, WriteMode
from domain.errors import NodeFault
from domain.ports.paging import PageRequest
from domain.room import Room
from persistence import row_writes
from persistence.data_tables import PostgresDataTables
from persistence.row_writes import write_rows
from tests.support.data_tables import data_table, write_row
from tests.support.identity import make_principal
from tests.support.listed import sole

if TYPE_CHECKING:
    from domain.data_tables import DataTable
    from domain.ids import DataTableId
    from persistence.database import Database

INSERT, UPSERT, UPDATE, DELETE = WriteMode
HOSTILE = ["'; DROP TABLE data_rows; --", 'x", (select version())', "$1", "{}", "\\", "x" * 1_000_000]


@pytest.fixture
async def orders(database: Database) -> DataTable:
    home = next(iter((await make_principal(database)).roles))
    columns = [
        DataColumn("sku", ColumnType.TEXT),
        DataColumn("lot", ColumnType.INTEGER),
        DataColumn("note", ColumnType.TEXT),
    ]
    table = data_table(*columns, keys=("sku", "lot"), workspace_id=home)
    await PostgresDataTables(database).add(table)
    return table


async def rows_of(database: Database, table: DataTable) -> list[Any]:
    page = await sole(PostgresDataTables(database).page_rows([table.id], ALL_ROWS, PageRequest(100)))
    return [cast("Any", row.values) for row in page.items]


async def test_what_is_returned_is_what_was_stored(database: Database, orders: DataTable) -> None:
    written = await write_row(database, orders, {"sku": "a", "lot": "1"}, returning=("lot", "note"))
    assert (written.row_count, written.rows) == (1, ({"lot": 1, "note": None},))


async def test_a_second_row_with_the_same_key_is_a_violation(database: Database, orders: DataTable) -> None:
    await write_row(database, orders, {"sku": "a", "lot": 1})
    with pytest.raises(NodeFault) as caught:
        await write_row(database, orders, {"sku": "a", "lot": 1, "note": "x"})
    assert (caught.value.code, caught.value.is_retryable) == ("UNIQUE_VIOLATION", False)
    assert await rows_of(database, orders) == [{"sku": "a", "lot": 1, "note": None}]


async def test_a_row_that_is_there_changes_in_a_table_that_is_nearly_full_without_a_count(
    database: Database, orders: DataTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    await write_row(database, orders, {"sku": "a", "lot": 1})
    monkeypatch.setattr(row_writes, "_COUNT", "no statement")
    room: Room[DataTableId] = Room(2)
    there, new = (check_write(orders, UPSERT, {"sku": "a", "lot": lot}, ("sku", "lot"), ()) for lot in (1, 2))
    async with database.direct() as connection:
        for _ in range(3):
            await row_writes.check_room(connection, there, room)
        with pytest.raises(asyncpg.PostgresSyntaxError):
            await row_writes.check_room(connection, new, room)
        monkeypatch.undo()
        await row_writes.check_room(connection, new, room)
        with pytest.raises(NodeFault) as caught:
            await row_writes.check_room(connection, new, Room(1))
    assert caught.value.code == "TABLE_FULL"


async def test_rows_without_a_key_may_be_alike(database: Database) -> None:
    home = next(iter((await make_principal(database)).roles))
    table = data_table(workspace_id=home)
    await PostgresDataTables(database).add(table)
    for _ in range(2):
        await write_row(database, table, {"name": "same"})
    assert len(await rows_of(database, table)) == 2


async def test_an_upsert_changes_only_what_it_names(database: Database, orders: DataTable) -> None:
    keys = ("lot", "sku")
    await write_row(database, orders, {"sku": "a", "lot": 1, "note": "kept"}, UPSERT, conflict=keys)
    await write_row(database, orders, {"sku": "a", "lot": 1}, UPSERT, conflict=keys)
    assert await rows_of(database, orders) == [{"sku": "a", "lot": 1, "note": "kept"}]
    run_id = uuid4()
    await write_row(database, orders, {"sku": "a", "lot": 1, "note": None}, UPSERT, conflict=keys, run_id=run_id)
    page = await sole(PostgresDataTables(database).page_rows([orders.id], ALL_ROWS, PageRequest(1)))
    assert (cast("Any", page.items[0].values)["note"], page.items[0].run_id) == (None, run_id)


async def test_update_and_delete_take_the_rows_that_their_columns_pick(database: Database, orders: DataTable) -> None:
    for lot in range(3):
        await write_row(database, orders, {"sku": "a", "lot": lot})
    await write_row(database, orders, {"sku": "b", "lot": 0})
    changed = await write_row(
        database, orders, {"sku": "a", "note": "seen"}, UPDATE, conflict=("sku",), returning=("lot", "note")
    )
    assert changed.row_count == 3
    assert sorted(changed.rows, key=str) == [{"lot": lot, "note": "seen"} for lot in range(3)]
    gone = await write_row(database, orders, {"sku": "a", "lot": 1}, DELETE, conflict=("sku", "lot"))
    assert gone.row_count == 1
    assert (await write_row(database, orders, {"sku": "zz"}, DELETE, conflict=("sku",))).row_count == 0
    assert sorted((row["sku"], row["lot"]) for row in await rows_of(database, orders)) == [("a", 0), ("a", 2), ("b", 0)]


async def test_writes_to_the_same_rows_wait_for_each_other(database: Database, orders: DataTable) -> None:
    for lot in range(20):
        await write_row(database, orders, {"sku": "a", "lot": lot})
    writes = [write_row(database, orders, {"sku": "a", "note": str(n)}, UPDATE, conflict=("sku",)) for n in range(8)]
    assert {written.row_count for written in await asyncio.gather(*writes)} == {20}
    assert len({row["note"] for row in await rows_of(database, orders)}) == 1


@pytest.mark.parametrize("hostile", HOSTILE)
async def test_a_value_stays_a_value(database: Database, orders: DataTable, hostile: str) -> None:
    await write_row(database, orders, {"sku": hostile, "lot": 1, "note": hostile})
    await write_row(database, orders, {"sku": "innocent", "lot": 1})
    await write_row(database, orders, {"sku": hostile, "note": "x" + hostile}, UPDATE, conflict=("sku",))
    assert await rows_of(database, orders) == [
        {"sku": "innocent", "lot": 1, "note": None},
        {"sku": hostile, "lot": 1, "note": "x" + hostile},
    ]
    assert (await write_row(database, orders, {"sku": hostile}, DELETE, conflict=("sku",))).row_count == 1


async def test_a_table_that_is_gone_is_told_from_a_row_that_cannot_be(database: Database, orders: DataTable) -> None:
    await PostgresDataTables(database).remove(orders)
    with pytest.raises(NodeFault) as caught:
        await write_row(database, orders, {"sku": "a", "lot": 1})
    assert caught.value.code == "TABLE_NOT_FOUND"


async def test_more_rows_than_an_output_holds_are_not_returned_nor_written(
    database: Database, orders: DataTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    for lot in range(3):
        await write_row(database, orders, {"sku": "a", "lot": lot})
    monkeypatch.setattr(row_writes, "MAX_RETURNED", 2)
    write = check_write(orders, DELETE, {"sku": "a"}, ("sku",), ("lot",))
    with pytest.raises(NodeFault) as caught:
        async with database.direct() as connection, connection.transaction():
            await write_rows(connection, write, uuid4(), "n", -1)
    assert caught.value.code == "TOO_MANY_ROWS"
    assert len(await rows_of(database, orders)) == 3
