"""A server that answers nothing for longer than anybody waits, and then goes on."""

from __future__ import annotations

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
    from collections.abc import AsyncGenerator, Awaitable, Callable, Generator


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
