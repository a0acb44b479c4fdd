from __future__ import annotations

from base64 import urlsafe_b64encode
from decimal import Decimal
from typing import TYPE_CHECKING, Any, cast
from uuid import UUID, uuid4

import orjson
import pytest
from sqlalchemy import Integer, insert, literal_column, select

from domain.errors import CursorInvalid
from domain.ports.paging import Page, PageRequest
from persistence.paging import decode_cursor, encode_cursor, read_page
from persistence.tables import workspaces

if TYPE_CHECKING:
    from sqlalchemy import Select

    from persistence.database import Database

NAMES = ["ada", "bob", "bob", "bob", "eve", "zoe"]


@pytest.fixture
async def rows(database: Database) -> Database:
    async with database.connection() as connection:
        for name in reversed(NAMES):
            await connection.execute(insert(workspaces).values(id=uuid4(), name=name))
    return database


async def read(database: Database, request: PageRequest, *, is_descending: bool = False) -> Page[str]:
    async with database.connection() as connection:
        return await read_page(
            connection,
            select(workspaces),
            [(workspaces.c.name, str), (workspaces.c.id, UUID)],
            request,
            lambda row: f"{row.name} {row.id}",
            is_descending=is_descending,
        )


def names(page: Page[str]) -> list[str]:
    return [item.split()[0] for item in page.items]


@pytest.mark.parametrize("is_descending", [False, True])
@pytest.mark.parametrize("size", [1, 2, 3, 100])
async def test_pages_from_either_end_show_every_row_once_and_in_order(
    rows: Database, size: int, *, is_descending: bool
) -> None:
    everything = await read(rows, PageRequest(100), is_descending=is_descending)
    assert names(everything) == (NAMES[::-1] if is_descending else NAMES)
    assert (everything.has_next, everything.has_previous) == (False, False)

    forward: list[str] = []
    after = None
    while True:
        page = await read(rows, PageRequest(size, after=after), is_descending=is_descending)
        forward += page.items
        if not page.has_next:
            break
        after = page.cursors[-1]
    backward: list[str] = []
    before = None
    while True:
        page = await read(rows, PageRequest(size, before=before, is_backward=True), is_descending=is_descending)
        backward = [*page.items, *backward]
        if not page.has_previous:
            break
        before = page.cursors[0]
    assert forward == backward == everything.items


async def test_a_page_between_two_cursors_holds_what_lies_between(rows: Database) -> None:
    cursors = (await read(rows, PageRequest(100))).cursors
    page = await read(rows, PageRequest(100, after=cursors[0], before=cursors[4]))
    assert names(page) == ["bob", "bob", "bob"]


async def test_an_empty_page_has_no_cursors(rows: Database) -> None:
    last = (await read(rows, PageRequest(100))).cursors[-1]
    page = await read(rows, PageRequest(10, after=last))
    assert (page.items, page.cursors, page.has_next) == ([], [], False)


def test_a_cursor_says_where_a_row_was() -> None:
    place = UUID(int=7)
    assert decode_cursor(encode_cursor(["ä 🙂", 3, place]), [str, int, UUID]) == ["ä 🙂", 3, place]


def _cursor(values: object) -> str:
    return urlsafe_b64encode(orjson.dumps(values)).rstrip(b"=").decode()


@pytest.mark.parametrize(
    "cursor",
    [
        "",
        "!",
        "é",
        "x" * 5_000,
        _cursor({}),
        _cursor([]),
        _cursor(["a"]),
        _cursor(["a", "b", "c"]),
        _cursor(["a", "not a uuid"]),
        _cursor([1, str(UUID(int=1))]),
        _cursor([True, str(UUID(int=1))]),
        _cursor([None, None]),
        _cursor(["nul\0", str(UUID(int=1))]),
        urlsafe_b64encode(b'["\\ud800", "00000000-0000-0000-0000-000000000001"]').decode(),
        urlsafe_b64encode(b"[" * 4_000).decode()[:4_000],
    ],
)
def test_a_cursor_that_was_not_given_out_is_refused(cursor: str) -> None:
    with pytest.raises(CursorInvalid):
        decode_cursor(cursor, [str, UUID])


@pytest.mark.parametrize("number", ["NaN", "-Infinity", "1e999999", "1e-999999", "0e999999", 1.5, "one"])
def test_a_number_that_the_database_cannot_hold_is_no_cursor(number: object) -> None:
    with pytest.raises(CursorInvalid):
        decode_cursor(_cursor([number]), [Decimal])


@pytest.mark.parametrize("number", [2**31, -(2**31) - 1, 2**62])
async def test_a_forged_number_wider_than_its_column_is_no_fault_of_the_server(rows: Database, number: int) -> None:
    narrow = literal_column("1", Integer).label("narrow")
    request = PageRequest(limit=10, after=_cursor([number, str(UUID(int=0))]))
    async with rows.connection() as connection:
        listed = cast("Select[Any]", select(narrow, workspaces.c.id))
        page = await read_page(connection, listed, [(narrow, int), (workspaces.c.id, UUID)], request, tuple)
    assert len(page.items) == (0 if number > 0 else len(NAMES))


def test_a_number_wider_than_any_column_is_no_cursor() -> None:
    with pytest.raises(CursorInvalid):
        decode_cursor(_cursor([2**64 - 1]), [int])
