from __future__ import annotations

import asyncio
import struct
import time
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

import psutil
import pytest

from domain.data_tables import WriteMode
from domain.errors import NodeFault
from domain.ports.data_tables import ExternalDatabase, ExternalWrite
from persistence import database as database_module
from persistence import external_dial, external_tables
from persistence.external_tables import PostgresExternalTables
from runtime.clients.outbound import OutboundGuard
from tests.support.hostile_postgres import SIGNED_IN, answering, authority, message, prepared, start_up

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Generator
    from pathlib import Path

    from persistence.database import Database
    from tests.support.databases import Databases
    from tests.support.hostile_postgres import Authority, Talk

MAX_GROWTH_BYTES = 64 * 1_048_576
MAX_STANDSTILL_S = 0.5  # the machine is shared
NOTICE = message(b"N", b"SNOTICE\0VNOTICE\0C00000\0Mhello\0\0")
BROKEN_TEXT = message(b"E", b"SFATAL\0C28P01\0M\xff\xfe nobody\0\0")
SASL = message(b"R", struct.pack("!i", 10) + b"SCRAM-SHA-256\0\0")


def sending(first: bytes, endless: bytes = b"", *, then: bytes = b"", after_query: bool = False) -> Talk:
    """Send something after the client's first message (or its first statement), then for ever when it speaks again."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await start_up(reader)
        if after_query:
            writer.write(SIGNED_IN)
            await reader.read(65_536)
        writer.write(first)
        if then:
            await reader.read(65_536)
            writer.write(then)
        while endless and not writer.is_closing():
            writer.write(endless)
            await writer.drain()
        await reader.read()

    return talk


async def rounds(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Ask for a sign-in that takes minutes to compute."""
    await start_up(reader)
    writer.write(SASL)
    nonce = (await reader.readuntil(b",r="), await reader.readexactly(24))[1]
    writer.write(message(b"R", struct.pack("!i", 11) + b"r=" + nonce + b"x,s=c2FsdA==,i=999999999"))
    await reader.read()


async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Say that nothing more comes, within a message."""
    await start_up(reader)
    writer.write(message(b"R", length=8))
    writer.write_eof()
    await reader.read()


async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Send an acceptable message, a byte at a time, and never its end."""
    await start_up(reader)
    for byte in message(b"S", b"a" * 1_000, length=4_000):
        writer.write(bytes([byte]))
        await asyncio.sleep(0.05)
    await reader.read()


ROW = message(b"D", struct.pack("!Hi", 1, 1) + b"x")
HOSTILE: dict[str, tuple[Talk, str]] = {
    "a message of 2 GiB": (sending(b"R\x7f\xff\xff\xff", bytes(65_536)), "INVALID_RESPONSE"),
    "a row of 2 GiB": (sending(prepared(), bytes(65_536), then=message(b"2") + b"D\x7f\xff\xff\xff", after_query=True), "TOO_MANY_ROWS"),
    "notices without end": (sending(b"", NOTICE * 1_000), "INVALID_RESPONSE"),
    "settings without end": (sending(b"", message(b"S", b"a\0b\0") * 1_000), "INVALID_RESPONSE"),
    "notifications without end": (sending(SIGNED_IN, message(b"A", bytes(6)) * 1_000), "INVALID_RESPONSE"),
    "rows without end": (sending(prepared(), ROW * 5_000, then=message(b"2"), after_query=True), "TOO_MANY_ROWS"),
    "a negative length": (sending(message(b"R", length=-1)), "INVALID_RESPONSE"),
    "a length of nothing": (sending(message(b"Z", length=3)), "INVALID_RESPONSE"),
    "garbage": (sending(b"HTTP/1.1 400 Bad Request\r\n\r\n"), "INVALID_RESPONSE"),
    "a copy": (sending(message(b"G", bytes(3)), after_query=True), "INVALID_RESPONSE"),
    "a type that blows up": (sending(prepared(1_700), after_query=True), "INVALID_RESPONSE"),
    "columns cut off": (sending(message(b"T", b"\xff\xffx"), after_query=True), "INVALID_RESPONSE"),
    "an error that is no UTF-8": (sending(BROKEN_TEXT), "DATABASE_REFUSED"),
    "an error of a million fields": (sending(message(b"E", b"M\0" * 1_000_000)), "INVALID_RESPONSE"),
    "an error of nothing": (sending(message(b"E", b"\0")), "WRITE_FAILED"),
    "a sign-in of minutes": (rounds, "INVALID_RESPONSE"),
    "sign-ins without end": (sending(b"", SASL * 100), "INVALID_RESPONSE"),
    "silence at the start": (sending(b""), "DATABASE_UNAVAILABLE"),
    "silence in the sign-in": (sending(SASL), "DATABASE_UNAVAILABLE"),
    "silence after the sign-in": (sending(SIGNED_IN), "DATABASE_UNAVAILABLE"),
    "silence within a result": (sending(prepared()[:9], after_query=True), "DATABASE_UNAVAILABLE"),
    "a byte at a time": (drip, "DATABASE_UNAVAILABLE"),
    "half a hang-up": (hang_up, "DATABASE_UNAVAILABLE"),
}  # fmt: skip
ALSO_UNDER_TLS = [harm for harm in HOSTILE if harm != "half a hang-up"]  # TLS has no half of it


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(external_tables, "_CONNECT_TIMEOUT_S", 0.7)
    monkeypatch.setattr(external_tables, "_WHOLE_TIMEOUT_S", 1.5)
    monkeypatch.setattr(external_dial, "_CONNECT_TIMEOUT_S", 0.7)
    monkeypatch.setattr(database_module, "_CLOSE_TIMEOUT_S", 0.3)


@pytest.fixture
def certifier(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Authority:
    made = authority(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(made.path))
    return made


async def refused(
    database: Database, port: int, *, host: str = "127.0.0.1", is_tls_verified: bool = False
) -> NodeFault:
    async def resolve(_host: str, _port: int) -> list[str]:
        return ["127.0.0.1"]

    at = ExternalDatabase(host, port, "x", "x", "canary", is_tls_verified=is_tls_verified)
    tables = PostgresExternalTables(OutboundGuard([f"{host}:{port}"], resolve=resolve).addresses, database)
    tasks = asyncio.all_tasks()
    with pytest.raises(NodeFault) as caught:
        await tables.write(at, ExternalWrite("t", WriteMode.INSERT, {"a": 1}, (), ("a",)))
    assert len(caught.value.message) < 1_000
    assert "canary" not in caught.value.message
    await asyncio.sleep(0)
    assert not [task for task in asyncio.all_tasks() - tasks if "asyncpg" in repr(task.get_coro())]
    return caught.value


class Watch:
    """Measures how long the event loop stands still, and how much the process grows."""

    def __init__(self) -> None:
        self.longest_s = 0.0
        self.most = self._before = psutil.Process().memory_info().rss

    async def watch(self) -> None:
        while True:
            begun = time.monotonic()
            await asyncio.sleep(0.01)
            self.longest_s = max(self.longest_s, time.monotonic() - begun)
            self.most = max(self.most, psutil.Process().memory_info().rss)

    @property
    def grown(self) -> int:
        return self.most - self._before


@pytest.mark.usefixtures("short")
@pytest.mark.parametrize(
    ("harm", "is_tls"), [*((harm, False) for harm in HOSTILE), *((harm, True) for harm in ALSO_UNDER_TLS)]
)
async def test_whatever_answers_takes_neither_memory_nor_the_loop(
    database: Database, certifier: Authority, harm: str, *, is_tls: bool
) -> None:
    talk, code = HOSTILE[harm]
    seen = Watch()
    watching = asyncio.create_task(seen.watch())
    begun = time.monotonic()
    async with answering(talk, certifier.server("127.0.0.1") if is_tls else None) as port:
        fault = await refused(database, port, is_tls_verified=is_tls)
    watching.cancel()
    assert fault.code == code, fault.message
    assert fault.is_retryable == (code == "DATABASE_UNAVAILABLE")
    assert seen.grown < MAX_GROWTH_BYTES
    assert seen.longest_s < MAX_STANDSTILL_S
    assert time.monotonic() - begun < 10


@pytest.mark.usefixtures("short")
@pytest.mark.parametrize("said", [b"", b"E", b"\0"])
async def test_one_who_does_not_say_whether_there_is_tls_is_left(database: Database, said: bytes) -> None:
    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(8)
        writer.write(said)
        await reader.read()
        writer.close()

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    fault = await refused(database, server.sockets[0].getsockname()[1])
    server.close()
    assert fault.code == ("INVALID_RESPONSE" if said else "DATABASE_UNAVAILABLE")


@pytest.mark.usefixtures("short")
async def test_the_certificate_must_be_of_the_name_and_of_a_known_authority(
    database: Database, certifier: Authority, tmp_path: Path
) -> None:
    (tmp_path / "other").mkdir()
    for shown in (certifier.server("other.example.com"), authority(tmp_path / "other").server("db.example.com")):
        async with answering(sending(SIGNED_IN), shown) as port:
            fault = await refused(database, port, host="db.example.com", is_tls_verified=True)
        assert (fault.code, fault.is_retryable) == ("DATABASE_REFUSED", False)


@pytest.mark.usefixtures("short")
async def test_tls_that_is_demanded_and_not_offered_is_refused_before_anything_is_told(database: Database) -> None:
    told: list[bytes] = []

    async def talk(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        told.append(await reader.read())

    async with answering(talk) as port:
        fault = await refused(database, port, is_tls_verified=True)
        while not told:
            await asyncio.sleep(0)
    assert (fault.code, told) == ("DATABASE_REFUSED", [b""])


@pytest.fixture(scope="module")
def real_url(databases: Databases) -> Generator[str]:
    url = databases.make_empty()
    yield url
    databases.give_back(url)


@pytest.fixture
async def real_port(real_url: str, certifier: Authority) -> AsyncGenerator[int]:
    folder = parse_qs(urlsplit(real_url).query)["host"][0]

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()
        writer.close()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_unix_connection(f"{folder}/.s.PGSQL.5432")
        await asyncio.gather(pump(reader, back), pump(there, writer))

    async with answering(talk, certifier.server("db.example.com")) as port:
        yield port


async def test_postgresql_behind_a_certificate_of_its_name_is_written_to(
    database: Database, real_url: str, real_port: int
) -> None:
    async def resolve(_host: str, _port: int) -> list[str]:
        return ["127.0.0.1"]

    guard = OutboundGuard([f"db.example.com:{real_port}"], resolve=resolve)
    tables = PostgresExternalTables(guard.addresses, database)
    parts = urlsplit(real_url)
    at = ExternalDatabase("db.example.com", real_port, parts.path[1:], parts.username, None, is_tls_verified=True)
    assert (await tables.check(at)).startswith("PostgreSQL ")
