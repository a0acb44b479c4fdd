"""Fixtures for everybody: a real database, and two watchers over the event loop."""

from __future__ import annotations

import asyncio
import inspect
import threading
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import pytest
from blockbuster import BlockBuster

from persistence.database import Database, open_database
from runtime.memory import tune_collector
from tests.support.databases import Databases
from tests.support.postgres import Postgres, own_postgres

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Generator

_OURS = ("anabranch", "domain", "gql", "persistence", "runtime")
_LAST_TURNS = 20


def pytest_collection_finish() -> None:
    """Keep the collector from walking through all modules again and again: a fifth of the tests' time, in pauses of a second."""
    tune_collector()


@pytest.fixture(scope="session")
def server() -> Generator[Postgres]:
    """Run the session's PostgreSQL, as durable as in production; never stop it in a test."""
    with own_postgres() as server:
        yield server


@pytest.fixture(scope="session")
def databases(server: Postgres) -> Generator[Databases]:
    """Make databases ahead of the tests that want them."""
    databases = Databases(server.url)
    databases.open()
    yield databases
    databases.close()


@pytest.fixture
def database_url(databases: Databases) -> Generator[str]:
    """Give the URL of a fresh, migrated database."""
    url = databases.take()
    yield url
    databases.give_back(url)


@pytest.fixture
def empty_database_url(databases: Databases) -> Generator[str]:
    """Give the URL of a fresh database that no migration has seen."""
    url = databases.make_empty()
    yield url
    databases.give_back(url)


@pytest.fixture
async def database(database_url: str) -> AsyncGenerator[Database]:
    """Open a fresh, migrated database."""
    async with open_database(database_url, pool_size=5) as database:
        yield database


@pytest.fixture
def stoppable_postgres() -> Generator[Postgres]:
    """Run a PostgreSQL of the test's own, which it may stop and start; its database is empty (see `migrate`)."""
    with own_postgres() as server:
        yield server


@pytest.fixture
def data_dir() -> Generator[Path]:
    """Give a data directory of the test's own for a whole server.

    Not below pytest's own: as root the server runs as another user, and another session of pytest may close the way to it.
    """
    with TemporaryDirectory(prefix="anabranch-data-", ignore_cleanup_errors=True) as directory:
        yield Path(directory)


@pytest.fixture(scope="session", autouse=True)
def no_blocking() -> Generator[None]:
    """Fail a test whose code under test blocks the event loop; what the test itself does is its own affair."""
    blockbuster = BlockBuster(list(_OURS))
    for function in blockbuster.functions.values():
        function.can_block_predicate = _beside_the_main_thread(function.can_block_predicate)
        # It looks for password files and certificates when it connects: local, small and rare.
        function.can_block_in("asyncpg/connect_utils.py", {"_parse_connect_dsn_and_args"})
    blockbuster.activate()
    yield
    blockbuster.deactivate()


def _beside_the_main_thread(can_block: Callable[..., bool]) -> Callable[..., bool]:
    """Leave the loops of other threads alone: they are there to be blocked."""

    def judge(*args: object, **kwargs: object) -> bool:
        return threading.current_thread() is not threading.main_thread() or can_block(*args, **kwargs)

    return judge


@pytest.fixture(autouse=True)
def no_task_left(request: pytest.FixtureRequest) -> None:
    """Fail an async test that leaves a task behind."""
    if inspect.iscoroutinefunction(getattr(request.node, "obj", None)):
        request.getfixturevalue("_no_task_left")


@pytest.fixture
async def _no_task_left() -> AsyncGenerator[None]:
    yield
    own = asyncio.current_task()
    left: list[asyncio.Task[object]] = []
    for _ in range(_LAST_TURNS):
        # What is ending may end; nothing is waited for.
        await asyncio.sleep(0)
        left = [task for task in asyncio.all_tasks() if task is not own]
        if not left:
            return
    names = ", ".join(f"{task.get_name()} ({task.get_coro()!r})" for task in left)
    pytest.fail(f"Tasks outlive their test: {names}")
