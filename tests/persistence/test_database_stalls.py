"""A server that answers nothing for longer than anybody waits, and then goes on."""

from __future__ import annotations

import asyncio
import os
import signal
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import text

from domain.errors import DatabaseUnavailable
from persistence import database as module
from persistence.database import Database, open_database

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Generator


@asynccontextmanager
async def impatient(url: str, monkeypatch: pytest.MonkeyPatch) -> AsyncGenerator[tuple[Database, int]]:
    """Open a database of one pooled connection, on which nobody waits longer than 0.4 s; give its process too."""
    monkeypatch.setattr(module, "_ANSWER_GRACE_S", 0.2)
    async with open_database(url, pool_size=1, statement_timeout_ms=200) as database:
        async with database.driver() as driver:
            await driver.execute("CREATE TABLE kept (id int)")
            pid = driver.get_server_pid()
        yield database, pid


@contextmanager
def stopped(pid: int) -> Generator[None]:
    """Let a process of PostgreSQL stand still."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


async def add_by_connection(database: Database) -> None:
    async with database.connection() as connection:
        await connection.execute(text("INSERT INTO kept VALUES (1)"))


async def add_by_driver(database: Database) -> None:
    async with database.driver() as driver, driver.transaction():
        await driver.execute("INSERT INTO kept VALUES (1)")


async def kept(database: Database) -> int:
    async with database.direct() as connection:
        return await connection.fetchval("SELECT count(*) FROM kept")


@pytest.mark.parametrize("add", [add_by_connection, add_by_driver])
async def test_no_transaction_is_lost_behind_one_whose_begin_was_never_answered(
    database_url: str, monkeypatch: pytest.MonkeyPatch, add: Callable[[Database], Awaitable[None]]
) -> None:
    async with impatient(database_url, monkeypatch) as (database, pid):
        with stopped(pid), pytest.raises(DatabaseUnavailable):
            await add(database)
        await add(database)
        assert await kept(database) == 1


async def freeze_by_connection(database: Database, is_locked: asyncio.Event, others: asyncio.Event) -> None:
    async with database.connection() as connection:
        await connection.execute(text("UPDATE kept SET id = 2"))
        is_locked.set()
        await others.wait()
        await connection.execute(text("UPDATE kept SET id = 3"))


async def freeze_by_driver(database: Database, is_locked: asyncio.Event, others: asyncio.Event) -> None:
    async with database.driver() as driver, driver.transaction():
        await driver.execute("UPDATE kept SET id = 2")
        is_locked.set()
        await others.wait()
        await driver.execute("UPDATE kept SET id = 3")


async def freeze_by_direct(database: Database, is_locked: asyncio.Event, others: asyncio.Event) -> None:
    async with database.direct() as driver, driver.transaction():
        await driver.execute("UPDATE kept SET id = 2")
        is_locked.set()
        await others.wait()
        await driver.execute("UPDATE kept SET id = 3")


@pytest.mark.parametrize("freeze", [freeze_by_connection, freeze_by_driver, freeze_by_direct])
async def test_who_is_frozen_within_a_transaction_does_not_keep_its_locks_from_the_others(
    database_url: str,
    monkeypatch: pytest.MonkeyPatch,
    freeze: Callable[[Database, asyncio.Event, asyncio.Event], Coroutine[None, None, None]],
) -> None:
    monkeypatch.setattr(module, "_IDLE_TRANSACTION_MS", 200)
    is_locked, others = asyncio.Event(), asyncio.Event()
    async with open_database(database_url) as database, database.direct() as other:
        await other.execute("CREATE TABLE kept (id int); INSERT INTO kept VALUES (1)")
        frozen = asyncio.create_task(freeze(database, is_locked, others), name="frozen")
        await is_locked.wait()
        async with asyncio.timeout(20):
            assert await other.fetchval("UPDATE kept SET id = id + 10 RETURNING id") == 11
        others.set()
        with pytest.raises(DatabaseUnavailable):
            await frozen
        assert await other.fetchval("SELECT id FROM kept") == 11
        await add_by_connection(database)
