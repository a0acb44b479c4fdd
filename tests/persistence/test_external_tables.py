from __future__ import annotations

import asyncio
import ssl
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import urlsplit

import asyncpg
import pytest

from domain.data_tables import WriteMode
from domain.errors import NodeFault
from domain.ports.data_tables import ExternalDatabase, ExternalWrite
from persistence import external_dial, external_tables
from persistence.external_tables import PostgresExternalTables
from runtime.clients.outbound import OutboundGuard
from tests.support.tcp_to_socket import tcp_to_socket

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Generator, Mapping

    from domain.data_tables import Written
    from domain.json_value import Json
    from persistence.database import Database
    from tests.support.databases import Databases

INSERT, UPSERT, UPDATE, DELETE = WriteMode
HOSTILE = ["'; DROP TABLE sales.orders; --", 'x", (select version())', "$1", "x" * 1_000_000]
SCHEMA = """
DROP SCHEMA IF EXISTS sales CASCADE;
DROP TABLE IF EXISTS loose;
CREATE SCHEMA sales;
CREATE TABLE sales.orders (
    id int GENERATED ALWAYS AS IDENTITY, sku varchar(20) NOT NULL UNIQUE, qty int CHECK (qty > 0), price numeric(30, 18),
    at timestamptz, done boolean, tags text[], meta jsonb, "odd ""name" text
);
CREATE TABLE loose (a text);
CREATE VIEW sales.shown AS SELECT * FROM sales.orders;
"""


class Other:
    """Another database of the test's server, and what writes to it."""

    def __init__(self, at: ExternalDatabase, tables: PostgresExternalTables, connection: Any) -> None:
        self.at = at
        self.tables = tables
        self.connection = connection

    async def write(
        self,
        values: Mapping[str, Json],
        mode: WriteMode = INSERT,
        conflict: tuple[str, ...] = (),
        returning: tuple[str, ...] = (),
        table: str = "sales.orders",
    ) -> Written:
        return await self.tables.write(self.at, ExternalWrite(table, mode, values, conflict, returning))

    async def refused(self, values: Mapping[str, Json], *arguments: Any, **named: Any) -> NodeFault:
        before = await self.connection.fetch("SELECT o::text FROM sales.orders o ORDER BY id")
        with pytest.raises(NodeFault) as caught:
            await self.write(values, *arguments, **named)
        assert await self.connection.fetch("SELECT o::text FROM sales.orders o ORDER BY id") == before
        assert len(caught.value.message) < 1_000
        return caught.value


@pytest.fixture(scope="module")
def other_url(databases: Databases) -> Generator[str]:
    url = databases.make_empty()
    yield url
    databases.give_back(url)


@pytest.fixture
async def port(database_url: str) -> AsyncGenerator[int]:
    async with tcp_to_socket(database_url) as port:
        yield port


@pytest.fixture
async def other(port: int, other_url: str, database: Database) -> AsyncGenerator[Other]:
    connection = await asyncpg.connect(other_url)
    await connection.execute(SCHEMA)
    parts = urlsplit(other_url)
    at = ExternalDatabase("127.0.0.1", port, parts.path[1:], parts.username, None, is_tls_verified=False)
    yield Other(at, PostgresExternalTables(OutboundGuard([f"127.0.0.1:{port}"]).addresses, database), connection)
    await connection.close()


async def test_values_arrive_in_the_types_of_their_columns(other: Other) -> None:
    values: dict[str, Json] = {
        "sku": "a", "qty": 2, "price": "123456789012.000000000000000001", "at": "2026-01-01T00:00:00Z", "done": True,
        "tags": ["x", "y,z"], "meta": {"k": [1, None]}, 'odd "name': "odd",
    }  # fmt: skip
    written = await other.write(values, returning=("id", *values))
    assert written.row_count == 1
    row: dict[str, Any] = dict(cast("dict[str, Any]", written.rows[0]))
    assert row.pop("id") == 1
    assert row.pop("at").startswith("2026-01-01T00:00:00")
    assert row == {name: value for name, value in values.items() if name != "at"}


async def test_a_table_without_a_schema_is_found_on_the_path(other: Other) -> None:
    assert (await other.write({"a": None}, table="loose")).row_count == 1
    assert await other.connection.fetchval("SELECT count(*) FROM loose WHERE a IS NULL") == 1


async def test_an_upsert_may_be_repeated(other: Other) -> None:
    for qty in (1, 2, 2):
        written = await other.write({"sku": "a", "qty": qty}, UPSERT, ("sku",), ("qty",))
        assert written.rows == ({"qty": qty},)
    assert (await other.write({"sku": "a"}, UPSERT, ("sku",))).row_count == 1
    assert await other.connection.fetch("SELECT sku, qty FROM sales.orders") == [("a", 2)]


async def test_update_and_delete_take_the_rows_that_their_columns_pick(other: Other) -> None:
    for sku in "abc":
        await other.write({"sku": sku, "qty": 1 if sku == "a" else 2})
    assert (await other.write({"qty": 2, "done": True}, UPDATE, ("qty",))).row_count == 2
    assert (await other.write({"qty": 2}, DELETE, ("qty",), ("sku",))).row_count == 2
    assert await other.connection.fetch("SELECT sku, done FROM sales.orders") == [("a", None)]
    assert (await other.refused({"qty": None, "done": True}, UPDATE, ("qty",))).code == "INVALID_ROW"
    assert (await other.refused({"qty": 1}, DELETE, ())).code == "INVALID_ROW"


@pytest.mark.parametrize("hostile", [*HOSTILE, "a\0b", "\ud800", "pg_catalog.pg_class", "sales.shown", "a.b.c", ""])
async def test_a_table_is_not_called_anything(other: Other, hostile: str) -> None:
    assert (await other.refused({"sku": "a"}, table=hostile)).code == "TABLE_NOT_FOUND"


@pytest.mark.parametrize("hostile", [*HOSTILE, "a\0b", "\ud800", "", "ctid"])
async def test_a_column_is_not_called_anything(other: Other, hostile: str) -> None:
    fault = await other.refused({"sku": "a", hostile: 1})
    assert (fault.code, fault.is_retryable) == ("INVALID_ROW", False)
    assert (await other.refused({"sku": "a"}, returning=(hostile,))).code == "INVALID_ROW"


@pytest.mark.parametrize("hostile", HOSTILE)
async def test_a_value_stays_a_value(other: Other, hostile: str) -> None:
    await other.write({"sku": "a", 'odd "name': hostile})
    assert await other.connection.fetchval('SELECT "odd ""name" FROM sales.orders') == hostile
    assert (await other.write({'odd "name': hostile}, DELETE, ('odd "name',))).row_count == 1


@pytest.mark.parametrize(
    ("values", "code", "told"),
    [
        ({"sku": ["a"]}, "INVALID_ROW", "sku"),
        ({"sku": {"a": 1}}, "INVALID_ROW", "sku"),
        ({"sku": "a", "qty": "many"}, "INVALID_ROW", "many"),
        ({"sku": "a", "qty": 2**40}, "INVALID_ROW", "integer"),
        ({"sku": "x" * 21}, "INVALID_ROW", "too long"),
        ({"sku": "a\0"}, "INVALID_ROW", ""),
        ({"sku": "\ud800"}, "INVALID_ROW", ""),
        ({"sku": "a", "id": 5}, "INVALID_ROW", "id"),
        ({"qty": 1}, "CONSTRAINT_VIOLATION", "sku"),
        ({"sku": "a", "qty": 0}, "CONSTRAINT_VIOLATION", "orders_qty_check"),
        ({"sku": "taken"}, "UNIQUE_VIOLATION", "orders_sku_key"),
        ({"sku": "a", "pric": 1}, "INVALID_ROW", "Did you mean"),
    ],
)
async def test_a_row_that_cannot_be_says_why(other: Other, values: dict[str, Json], code: str, told: str) -> None:
    await other.write({"sku": "taken"})
    fault = await other.refused(values)
    assert (fault.code, fault.is_retryable) == (code, False)
    assert told in fault.message


async def test_an_upsert_wants_a_unique_constraint(other: Other) -> None:
    assert (await other.refused({"sku": "a", "qty": 1}, UPSERT, ("qty",))).code == "INVALID_ROW"


async def test_more_rows_than_an_output_holds_are_not_touched(other: Other) -> None:
    await other.connection.execute("INSERT INTO sales.orders (sku, qty) SELECT n, 7 FROM generate_series(1, 1001) n")
    fault = await other.refused({"qty": 7}, DELETE, ("qty",), ("sku",))
    assert fault.code == "TOO_MANY_ROWS"
    assert (await other.write({"qty": 7}, DELETE, ("qty",))).row_count == 1_001


async def test_a_statement_has_its_time(other: Other, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(external_tables, "_STATEMENT_TIMEOUT_S", 0.2)
    async with other.connection.transaction():
        await other.connection.execute("LOCK TABLE sales.orders")
        with pytest.raises(NodeFault) as caught:
            await other.write({"sku": "a"})
    assert (caught.value.code, caught.value.is_retryable) == ("TIMED_OUT", True)


async def test_our_own_database_is_refused_by_whatever_address(other: Other, database_url: str) -> None:
    own = replace(other.at, database=urlsplit(database_url).path[1:])
    for attempt in (
        other.tables.check(own),
        other.tables.write(own, ExternalWrite("users", INSERT, {"name": "x"}, (), ())),
    ):
        with pytest.raises(NodeFault) as caught:
            await attempt
        assert caught.value.code == "ADDRESS_REFUSED"


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "10.0.0.1", "169.254.169.254"])
async def test_private_networks_are_refused_unless_the_pair_is_allowed(
    other: Other, database: Database, host: str
) -> None:
    tables = PostgresExternalTables(OutboundGuard(["127.0.0.1:1"]).addresses, database)
    with pytest.raises(NodeFault) as caught:
        await tables.check(replace(other.at, host=host))
    assert caught.value.code == "ADDRESS_REFUSED"


async def test_a_working_connection_says_who_answers(other: Other) -> None:
    assert (await other.tables.check(other.at)).startswith("PostgreSQL ")


@pytest.mark.parametrize(
    ("change", "code", "is_retryable"),
    [
        ({"database": "nowhere"}, "DATABASE_REFUSED", False),
        ({"username": "nobody"}, "DATABASE_REFUSED", False),
        ({"is_tls_verified": True}, "DATABASE_REFUSED", False),
    ],
)
async def test_a_connection_that_is_refused_says_so(
    other: Other, change: dict[str, Any], code: str, *, is_retryable: bool
) -> None:
    with pytest.raises(NodeFault) as caught:
        await other.tables.check(replace(other.at, **change))
    assert (caught.value.code, caught.value.is_retryable) == (code, is_retryable)


async def test_nobody_who_listens_is_a_database_that_does_not_answer(database: Database) -> None:
    async with tcp_to_socket(database.url) as port:
        pass
    tables = PostgresExternalTables(OutboundGuard([f"127.0.0.1:{port}"]).addresses, database)
    with pytest.raises(NodeFault) as caught:
        await tables.check(ExternalDatabase("127.0.0.1", port, "x", "x", "canary", is_tls_verified=False))
    assert (caught.value.code, caught.value.is_retryable) == ("DATABASE_UNAVAILABLE", True)
    assert "canary" not in caught.value.message


async def test_the_certificate_is_checked_against_the_name_and_not_the_pinned_address(database: Database) -> None:
    names: list[str | None] = []

    @asynccontextmanager
    async def hello() -> AsyncGenerator[int]:
        # A server that takes the request for TLS and looks at the name that the client asks for.
        async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readexactly(8)
            writer.write(b"S")
            client_hello = await reader.read(4_096)
            names.append("db.example.com" if b"db.example.com" in client_hello else None)
            writer.close()

        server = await asyncio.start_server(connected, "127.0.0.1", 0)
        try:
            yield server.sockets[0].getsockname()[1]
        finally:
            server.close()

    async def resolve(_host: str, _port: int) -> list[str]:
        return ["127.0.0.1"]

    async with hello() as port:
        guard = OutboundGuard([f"db.example.com:{port}"], resolve=resolve)
        tables = PostgresExternalTables(guard.addresses, database)
        with pytest.raises(NodeFault):
            await tables.check(ExternalDatabase("db.example.com", port, "x", "x", None, is_tls_verified=True))
    assert names == ["db.example.com"]
    context = external_dial.tls_context(is_verified=True)
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)
