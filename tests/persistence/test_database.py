from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING
from uuid import uuid4

import asyncpg
import pytest
from sqlalchemy import insert, literal, select, text
from sqlalchemy.dialects.postgresql import JSON, JSONB
from sqlalchemy.exc import DBAPIError, IntegrityError

from domain.errors import DatabaseUnavailable, SetupFault
from persistence.database import (
    Database,
    close_direct,
    is_unavailable,
    open_database,
    sqlstate,
    violated_constraint,
)
from persistence.tables import users, workspaces
from tests.support.postgres import with_database

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.postgres import Postgres


async def _names(database: Database) -> list[str]:
    async with database.connection() as connection:
        return list((await connection.execute(select(workspaces.c.name))).scalars())


async def test_what_a_connection_wrote_is_there_after_its_block(database: Database) -> None:
    async with database.connection() as connection:
        await connection.execute(insert(workspaces).values(id=uuid4(), name="Ours"))
    assert await _names(database) == ["Ours"]


async def test_an_error_in_the_block_takes_everything_back(database: Database) -> None:
    async def fail() -> None:
        async with database.connection() as connection:
            await connection.execute(insert(workspaces).values(id=uuid4(), name="Ours"))
            raise LookupError

    with pytest.raises(LookupError):
        await fail()
    assert await _names(database) == []


async def test_a_violated_constraint_is_named(database: Database) -> None:
    async def add() -> None:
        async with database.connection() as connection:
            await connection.execute(insert(users).values(id=uuid4(), email="a@b.c", name="A", password_hash="-"))

    await add()
    with pytest.raises(IntegrityError) as caught:
        await add()
    assert violated_constraint(caught.value) == "users_email_key"
    assert sqlstate(caught.value) == "23505"
    assert not is_unavailable(caught.value)


async def test_a_violated_constraint_of_a_direct_connection_is_named(database: Database) -> None:
    async with database.direct() as connection:
        with pytest.raises(asyncpg.UniqueViolationError) as caught:
            await connection.execute(
                "INSERT INTO workspaces (id, name) SELECT $1::uuid, 'Ours' FROM generate_series(1, 2)", uuid4()
            )
    assert violated_constraint(caught.value) == "workspaces_pkey"


async def test_an_error_of_the_statement_is_neither_translated_nor_a_constraint(database: Database) -> None:
    async def divide() -> None:
        async with database.connection() as connection:
            await connection.execute(text("SELECT 1 / 0"))

    with pytest.raises(DBAPIError) as caught:
        await divide()
    assert violated_constraint(caught.value) is None
    assert sqlstate(caught.value) == "22012"


async def test_an_error_does_not_repeat_what_was_to_be_stored(database: Database) -> None:
    with pytest.raises(DBAPIError) as caught:
        async with database.connection() as connection:
            await connection.execute(text("SELECT CAST(1 AS integer) / (length(:given) - 6)"), {"given": "secret"})
    assert "secret" not in str(caught.value)


async def test_json_goes_in_as_values_and_comes_out_as_values(database: Database) -> None:
    value = {"z": [1, 2.5, None], "a": "𝄞 ü"}
    async with database.connection() as connection:
        for kind in (JSON(), JSONB()):
            assert (await connection.execute(select(literal(value, kind)))).scalar() == value


async def test_json_of_a_direct_connection_is_text_as_it_was_written(database: Database) -> None:
    written = '{"z":1.50, "a": 12345678901234567890123}'
    async with database.direct() as connection:
        assert await connection.fetchval("SELECT $1::json", written) == written


async def test_a_statement_timeout_ends_a_query_and_never_a_direct_one(database_url: str) -> None:
    async with open_database(database_url, statement_timeout_ms=50) as database:

        async def wait() -> None:
            async with database.connection() as connection:
                await connection.execute(text("SELECT pg_sleep(5)"))

        with pytest.raises(DBAPIError) as caught:
            await wait()
        assert sqlstate(caught.value) == "57014"
        async with database.direct() as connection:
            assert await connection.fetchval("SHOW statement_timeout") == "0"
            await connection.execute("SELECT pg_sleep(0.1)")


async def test_a_direct_connection_is_closed_after_its_block(database: Database) -> None:
    async with database.direct() as connection:
        assert not connection.is_closed()
    assert connection.is_closed()


async def test_direct_connections_are_outside_the_pool(database_url: str) -> None:
    async with open_database(database_url, pool_size=1) as database, database.connection():
        connection = await database.open_direct()
        assert await connection.fetchval("SELECT 1") == 1
        await close_direct(connection)


async def test_pooled_connections_ended_by_the_server_are_replaced(database: Database) -> None:
    async def pids() -> list[int]:
        async with database.connection() as one, database.connection() as two:
            return [(await c.execute(text("SELECT pg_backend_pid()"))).scalar_one() for c in (one, two)]

    before = await pids()
    async with database.direct() as killer:
        for pid in before:
            # The pool is told when the server is done, not when it has begun.
            assert await killer.fetchval("SELECT pg_terminate_backend($1, 5000)", pid)
    assert not set(before) & set(await pids())


async def test_a_connection_lost_within_the_block_is_an_unavailable_database(database: Database) -> None:
    async def lose() -> None:
        async with database.connection() as connection, database.direct() as killer:
            pid = (await connection.execute(text("SELECT pg_backend_pid()"))).scalar_one()
            await killer.execute("SELECT pg_terminate_backend($1, 5000)", pid)
            await connection.execute(text("SELECT 1"))

    with pytest.raises(DatabaseUnavailable):
        await lose()
    assert await _names(database) == []


async def test_a_direct_connection_lost_within_the_block_is_an_unavailable_database(database: Database) -> None:
    async def lose() -> None:
        async with database.direct() as connection, database.direct() as killer:
            await killer.execute("SELECT pg_terminate_backend($1, 5000)", connection.get_server_pid())
            await connection.execute("SELECT 1")

    with pytest.raises(DatabaseUnavailable):
        await lose()


async def test_an_open_database_heals_when_postgresql_comes_back(stoppable_postgres: Postgres) -> None:
    async with open_database(stoppable_postgres.url) as database:
        await database.check()

        async def ask() -> int:
            async with database.connection() as connection:
                return (await connection.execute(text("SELECT 1"))).scalar_one()

        assert await ask() == 1
        await stoppable_postgres.stop()
        with pytest.raises(DatabaseUnavailable):
            await ask()
        with pytest.raises(DatabaseUnavailable):
            await database.open_direct()
        with pytest.raises(DatabaseUnavailable):
            await database.check()
        await stoppable_postgres.start()
        assert await ask() == 1
        await database.check()


async def test_a_crash_of_postgresql_in_a_transaction_is_an_unavailable_database(stoppable_postgres: Postgres) -> None:
    async with open_database(stoppable_postgres.url) as database:

        async def crash() -> None:
            async with database.connection() as connection:
                await connection.execute(text("CREATE TABLE t (i int)"))
                await stoppable_postgres.stop("immediate")

        with pytest.raises(DatabaseUnavailable):
            await crash()
        await stoppable_postgres.start()
        async with database.connection() as connection:
            assert (await connection.execute(text("SELECT to_regclass('t')"))).scalar() is None


async def test_nobody_listening_is_an_unavailable_database(tmp_path: Path, unused_tcp_port: int) -> None:
    for url in (f"postgresql://u@127.0.0.1:{unused_tcp_port}/d", f"postgresql://u@/d?host={tmp_path}"):
        async with open_database(url) as database:
            with pytest.raises(DatabaseUnavailable):
                await database.check()
            with pytest.raises(DatabaseUnavailable):
                await _names(database)


async def test_a_server_that_accepts_and_says_nothing_is_an_unavailable_database(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("persistence.database._HEALTH_TIMEOUT_S", 0.05)
    is_over = asyncio.Event()

    async def say_nothing(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await is_over.wait()
        writer.close()

    async with await asyncio.start_server(say_nothing, "127.0.0.1", 0) as server:
        host, port = server.sockets[0].getsockname()
        async with open_database(f"postgresql://u@{host}:{port}/d?sslmode=disable") as database:
            with pytest.raises(DatabaseUnavailable):
                await database.check()
        is_over.set()


async def test_a_pool_in_use_is_an_unavailable_database(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("persistence.database._POOL_TIMEOUT_S", 0.05)
    async with open_database(database_url, pool_size=1) as database, database.connection():
        with pytest.raises(DatabaseUnavailable):
            await _names(database)


async def test_an_unknown_database_is_a_fault_of_the_setup(database_url: str) -> None:
    async with open_database(with_database(database_url, "absent")) as database:
        with pytest.raises(SetupFault, match='"absent" does not exist'):
            await _names(database)
        with pytest.raises(SetupFault, match='"absent" does not exist'):
            await database.open_direct()


@pytest.mark.parametrize("url", ["mysql://u:secret@h/d", "h/d", ""])
async def test_another_kind_of_url_is_refused_without_repeating_its_password(url: str) -> None:
    with pytest.raises(SetupFault, match="postgresql://") as caught:
        async with open_database(url):
            pass
    assert "secret" not in caught.value.message


async def test_the_url_may_name_a_driver(database_url: str) -> None:
    async with open_database(database_url.replace("postgresql://", "postgresql+asyncpg://")) as database:
        assert database.url == database_url
        await database.check()


async def test_a_cancelled_query_gives_its_connection_back(database_url: str) -> None:
    async with open_database(database_url, pool_size=1) as database:
        has_begun = asyncio.Event()

        async def wait() -> None:
            async with database.connection() as connection:
                has_begun.set()
                await connection.execute(text("SELECT pg_sleep(30)"))

        task = asyncio.create_task(wait(), name="waiting")
        await has_begun.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await _names(database) == []
