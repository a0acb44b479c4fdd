from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any, cast
from uuid import uuid4

import pytest

from domain.data_rows import check_order, choose_rows
from domain.data_tables import ALL_ROWS, ChosenRows
from domain.errors import AlreadyExists, CursorInvalid, LimitExceeded, NotFound
from domain.filters import read_filter
from domain.ids import DataTableId, WorkspaceId
from domain.ports.paging import PageRequest
from persistence import data_tables
from persistence.data_tables import PostgresDataTables
from tests.support.data_tables import data_table, write_row
from tests.support.identity import make_principal
from tests.support.listed import sole

if TYPE_CHECKING:
    from domain.data_tables import DataRow, DataTable
    from domain.json_value import Json
    from persistence.database import Database

ROWS: list[dict[str, Json]] = [
    {"name": "b", "count": 2**62, "price": "10", "done": True, "at": "2026-01-01T00:00:00+01:00", "meta": {"k": [1]}},
    {"name": "a", "count": -1, "price": "9.999999999999999999", "done": False, "at": "2026-01-01T00:00:00Z"},
    {"name": "B", "count": 10, "price": "-1e30", "meta": "text"},
    {},
    {"name": "a", "count": 9, "price": 9.5, "at": "2025-12-31T23:59:59.999999Z"},
]


@pytest.fixture
async def home(database: Database) -> WorkspaceId:
    return next(iter((await make_principal(database)).roles))


@pytest.fixture
def tables(database: Database) -> PostgresDataTables:
    return PostgresDataTables(database)


@pytest.fixture
async def things(database: Database, tables: PostgresDataTables, home: WorkspaceId) -> DataTable:
    table = data_table(workspace_id=home)
    await tables.add(table)
    other = data_table(workspace_id=home, name="others")
    await tables.add(other)
    for values in ROWS:
        await write_row(database, table, values)
    await write_row(database, other, {"name": "never seen"})
    return table


def place(row: DataRow) -> int:
    """Which of ROWS it is."""
    values = cast("dict[str, Any]", row.values)
    return next(number for number, given in enumerate(ROWS) if values["count"] == given.get("count"))


async def test_a_table_is_found_as_it_was_stored(tables: PostgresDataTables, home: WorkspaceId) -> None:
    table = data_table(workspace_id=home, keys=("name", "at"))
    await tables.add(table)
    assert await tables.find_by_name(home, "things") == table
    assert await tables.list_by_id(frozenset({home}), [table.id, DataTableId(uuid4())]) == [table]
    assert list((await sole(tables.page_by_workspace([home], PageRequest(10)))).items) == [table]
    assert await sole(tables.count_by_workspace([home])) == 1
    assert await tables.columns(home) == {"things": {"name", "count", "price", "done", "at", "meta"}}


async def test_nobody_else_sees_a_table_or_its_rows(
    tables: PostgresDataTables, things: DataTable, database: Database
) -> None:
    stranger = next(iter((await make_principal(database, "eve")).roles))
    row = (await sole(tables.page_rows([things.id], ALL_ROWS, PageRequest(1)))).items[0]
    assert await tables.list_by_id(frozenset({stranger}), [things.id]) == []
    assert await tables.find_by_name(stranger, "things") is None
    assert await tables.list_rows(frozenset({stranger}), [row.id]) == []
    assert await tables.list_rows(frozenset({things.workspace_id}), [row.id]) == [row]
    with pytest.raises(NotFound):
        await tables.remove(replace(things, workspace_id=stranger))
    assert await sole(tables.count_rows([things.id])) == len(ROWS)


async def test_a_name_is_taken_once_in_a_workspace(tables: PostgresDataTables, things: DataTable) -> None:
    with pytest.raises(AlreadyExists):
        await tables.add(replace(things, id=DataTableId(uuid4())))


async def test_a_workspace_has_not_any_number_of_tables(
    tables: PostgresDataTables, home: WorkspaceId, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(data_tables, "MAX_TABLES", 1)
    await tables.add(data_table(workspace_id=home))
    with pytest.raises(LimitExceeded):
        await tables.add(data_table(workspace_id=home, name="second"))


async def test_a_table_goes_with_its_rows(tables: PostgresDataTables, things: DataTable) -> None:
    await tables.remove(things)
    assert await tables.count_rows([things.id]) == {things.id: 0}
    assert await tables.list_by_id(frozenset({things.workspace_id}), [things.id]) == []
    with pytest.raises(NotFound):
        await tables.remove(things)


async def test_rows_are_counted_by_table(tables: PostgresDataTables, things: DataTable) -> None:
    unknown = DataTableId(uuid4())
    assert await tables.count_rows([things.id, unknown]) == {things.id: len(ROWS), unknown: 0}


@pytest.mark.parametrize(
    ("raw", "found"),
    [
        ({"path": "name", "eq": "a"}, [1, 4]),
        ({"path": "name", "eq": None}, [3]),
        ({"path": "name", "contains": "'; DROP TABLE data_rows --"}, []),
        ({"path": "name", "exists": False}, [3]),
        ({"path": "count", "gt": 9}, [0, 2]),
        ({"path": "count", "gte": 9.5}, [0, 2]),
        ({"path": "price", "gt": "9.99"}, [0, 1]),
        ({"path": "price", "lt": 10}, [1, 2, 4]),
        ({"path": "price", "eq": "9.9999999999999999990"}, [1]),
        ({"path": "price", "ne": 10}, [1, 2, 3, 4]),
        ({"path": "price", "in": [10.0, None, "9.5"]}, [0, 3, 4]),
        ({"path": "price", "exists": True}, [0, 1, 2, 4]),
        ({"not": {"path": "price", "gte": 0}}, [2, 3]),
        ({"path": "done", "eq": False}, [1]),
        ({"path": "at", "lt": "2025-12-31T23:00:01Z"}, [0]),
        ({"path": "at", "gte": "2026-01-01T00:00:00Z"}, [1]),
        ({"path": "meta.k", "contains": 1}, [0]),
        ({"or": [{"path": "meta", "eq": "text"}, {"path": "done", "eq": True}]}, [0, 2]),
        ({"and": []}, [0, 1, 2, 3, 4]),
    ],
)
async def test_rows_are_picked_in_the_type_of_their_columns(
    tables: PostgresDataTables, things: DataTable, raw: Json, found: list[int]
) -> None:
    chosen = choose_rows(things, read_filter(raw))
    page = await sole(tables.page_rows([things.id], chosen, PageRequest(100)))
    assert sorted(map(place, page.items)) == found
    assert await sole(tables.count_rows([things.id], chosen)) == len(found)


@pytest.mark.parametrize(
    ("column", "is_descending", "order"),
    [
        ("count", False, [1, 4, 2, 0, 3]),
        ("count", True, [0, 2, 4, 1, 3]),
        ("price", False, [2, 4, 1, 0, 3]),
        ("price", True, [0, 1, 4, 2, 3]),
        ("at", False, [0, 4, 1, 2, 3]),
        ("done", False, [1, 0, 2, 3, 4]),
        (None, False, [4, 3, 2, 1, 0]),
    ],
)
async def test_rows_are_ordered_in_the_type_of_their_column_page_by_page(
    tables: PostgresDataTables, things: DataTable, column: str | None, *, is_descending: bool, order: list[int]
) -> None:
    by = None if column is None else check_order(things, column, [], is_descending=is_descending)
    for size in (1, 2, 100):
        seen: list[DataRow] = []
        after = None
        while True:
            page = await sole(tables.page_rows([things.id], ChosenRows(order=by), PageRequest(size, after=after)))
            seen += page.items
            if not page.has_next:
                break
            after = page.cursors[-1]
        assert [place(row) for row in seen] == order
        last = await sole(tables.page_rows([things.id], ChosenRows(order=by), PageRequest(2, is_backward=True)))
        before = await sole(
            tables.page_rows(
                [things.id], ChosenRows(order=by), PageRequest(2, before=last.cursors[0], is_backward=True)
            )
        )
        assert [place(row) for row in (*before.items, *last.items)] == order[-4:]


async def test_long_texts_have_an_order_with_cursors(
    database: Database, tables: PostgresDataTables, home: WorkspaceId
) -> None:
    table = data_table(workspace_id=home)
    await tables.add(table)
    for number in range(4):
        await write_row(database, table, {"name": "\1ä" * 100_000, "count": number})
    order = check_order(table, "name", [])
    first = await sole(tables.page_rows([table.id], ChosenRows(order=order), PageRequest(2)))
    rest = await sole(tables.page_rows([table.id], ChosenRows(order=order), PageRequest(2, after=first.cursors[-1])))
    assert [cast("Any", row.values)["count"] for row in (*first.items, *rest.items)] == [0, 1, 2, 3]


async def test_no_digit_is_lost_between_pages(
    database: Database, tables: PostgresDataTables, home: WorkspaceId
) -> None:
    table = data_table(workspace_id=home)
    await tables.add(table)
    digits = "1" * 499
    for last in ("3", "1", "2"):
        await write_row(database, table, {"price": f"0.{digits}{last}"})
    order, seen, after = check_order(table, "price", []), list[Decimal](), None
    for _ in range(3):
        page = await sole(tables.page_rows([table.id], ChosenRows(order=order), PageRequest(1, after=after)))
        seen.append(Decimal(cast("Any", page.items[0].values)["price"]))
        after = page.cursors[-1]
    assert seen == sorted(seen)
    assert len(set(seen)) == 3


async def test_a_cursor_of_another_order_is_refused(tables: PostgresDataTables, things: DataTable) -> None:
    by_name, by_price, by_time = (check_order(things, name, []) for name in ("name", "price", "at"))
    cursor = (await sole(tables.page_rows([things.id], ChosenRows(order=by_name), PageRequest(1)))).cursors[0]
    for order in (None, by_price, by_time):
        with pytest.raises(CursorInvalid):
            await sole(tables.page_rows([things.id], ChosenRows(order=order), PageRequest(1, after=cursor)))
