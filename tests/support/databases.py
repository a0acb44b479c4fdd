"""Fresh databases for tests: clones of a migrated template, emptied behind one test and given to the next.

A clone writes hundreds of files, which takes a second while other programs keep the disk busy; emptying takes
milliseconds. A database whose schema a test has changed is dropped instead. All of it happens in a thread, while
the tests run.
"""

from __future__ import annotations

import asyncio
import itertools
import queue
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

import asyncpg

from persistence.database import open_database
from persistence.migrate import migrate
from persistence.partitions import ensure_partitions
from tests.support.postgres import with_database

if TYPE_CHECKING:
    from persistence.database import DirectConnection

_TEMPLATE: Final = "anabranch_template"
_TIMEOUT_S: Final = 60.0
_COMMAND_TIMEOUT_S: Final = 45.0
"""Whatever hangs is told to every test that waits, instead of holding them up one by one."""
_SPARE: Final = 3

_DISCONNECT_OTHERS: Final = """
SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid()
"""

# Everything of the schema that a test might change; clones have the oids of their template.
_SCHEMA: Final = """
SELECT md5(string_agg(thing, chr(10) ORDER BY thing)) FROM (
    SELECT format('%s %s %s', oid, relname, reloptions) AS thing FROM pg_class WHERE oid >= 16384
    UNION ALL SELECT format('%s %s %s %s %s', attrelid, attname, atttypid, atttypmod, attnotnull)
        FROM pg_attribute WHERE attrelid >= 16384
    UNION ALL SELECT format('constraint %s', oid) FROM pg_constraint WHERE oid >= 16384
    UNION ALL SELECT format('default %s', oid) FROM pg_attrdef
    UNION ALL SELECT format('trigger %s', oid) FROM pg_trigger WHERE NOT tgisinternal
    UNION ALL SELECT format('function %s', oid) FROM pg_proc WHERE oid >= 16384
    UNION ALL SELECT format('type %s', oid) FROM pg_type WHERE oid >= 16384
    UNION ALL SELECT format('schema %s', oid) FROM pg_namespace WHERE oid >= 16384
    UNION ALL SELECT format('version %s', version_num) FROM alembic_version
) AS things
"""

# Rows are deleted, since most tables have few or none; foreign keys are left unchecked meanwhile.
_EMPTY: Final = """
SET synchronous_commit = off;
SET session_replication_role = replica;
DO $$
DECLARE place regclass; is_filled boolean;
BEGIN
    FOR place IN SELECT oid FROM pg_class
        WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' AND relname <> 'alembic_version'
            AND pg_relation_size(oid) > 0
    LOOP
        IF pg_relation_size(place) > 1000000 THEN
            EXECUTE format('TRUNCATE %s CASCADE', place);
        ELSE
            EXECUTE format('DELETE FROM %s', place);
        END IF;
    END LOOP;
END $$;
"""


class Databases:
    """Gives a fresh database to each test that wants one."""

    def __init__(self, server_url: str) -> None:
        self._server_url = server_url
        self._ready: queue.SimpleQueue[str | BaseException] = queue.SimpleQueue()
        self._used: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._numbers = itertools.count(1)
        self._thread = threading.Thread(target=self._work, name="databases", daemon=True)

    def open(self) -> None:
        """Build the template and the first databases."""
        self._thread.start()

    def close(self) -> None:
        """Stop; the databases go with their server."""
        while not self._used.empty():
            self._used.get_nowait()
        self._used.put(None)
        self._thread.join(_TIMEOUT_S)

    def take(self) -> str:
        """Return the URL of a fresh database."""
        found = self._ready.get(timeout=_TIMEOUT_S)
        if isinstance(found, str):
            return with_database(self._server_url, found)
        self._ready.put(found)
        raise RuntimeError("The test databases cannot be made.") from found

    def make_empty(self) -> str:
        """Return the URL of a new database without tables."""
        name = f"empty_{next(self._numbers)}"

        async def make() -> None:
            connection = await asyncpg.connect(self._server_url, command_timeout=_COMMAND_TIMEOUT_S)
            await connection.execute(f"CREATE DATABASE {name}")
            await connection.close()

        with ThreadPoolExecutor(1) as thread:
            thread.submit(asyncio.run, make()).result(_TIMEOUT_S)
        return with_database(self._server_url, name)

    def give_back(self, url: str) -> None:
        """Have a database emptied or dropped, whoever is still connected to it."""
        self._used.put(urlsplit(url).path.removeprefix("/"))

    def _work(self) -> None:
        try:
            asyncio.run(self._serve())
        except BaseException as error:  # noqa: BLE001 - told to whoever takes a database
            self._ready.put(error)

    async def _serve(self) -> None:
        connection = await asyncpg.connect(self._server_url, command_timeout=_COMMAND_TIMEOUT_S)
        try:
            schema = await self._build_template(connection)
            for _ in range(_SPARE):
                await self._clone(connection)
            # This thread has nothing else to do than to wait for the next one.
            while (name := self._used.get()) is not None:
                if await self._empty(name, schema):
                    self._ready.put(name)
                else:
                    await connection.execute(f"DROP DATABASE {name} WITH (FORCE)")
                    await self._clone(connection)
        finally:
            await connection.close()

    async def _build_template(self, connection: DirectConnection) -> str:
        """Return what the schema of every fresh database looks like."""
        await connection.execute(f"CREATE DATABASE {_TEMPLATE}")
        url = with_database(self._server_url, _TEMPLATE)
        await migrate(url)
        async with open_database(url, pool_size=1) as database:
            # So that no test that starts the whole product has to make them.
            await ensure_partitions(database, datetime.now(UTC).date())
            async with database.direct() as template:
                return await template.fetchval(_SCHEMA)

    async def _clone(self, connection: DirectConnection) -> None:
        name = f"test_{next(self._numbers)}"
        # Copied through the log: two to three times as fast as by files, which needs checkpoints.
        await connection.execute(f"CREATE DATABASE {name} TEMPLATE {_TEMPLATE} STRATEGY wal_log")
        self._ready.put(name)

    async def _empty(self, name: str, schema: str) -> bool:
        """Empty a database; False when its schema is no longer the template's."""
        connection = await asyncpg.connect(with_database(self._server_url, name), command_timeout=_COMMAND_TIMEOUT_S)
        try:
            await connection.execute(_DISCONNECT_OTHERS)
            if await connection.fetchval(_SCHEMA) != schema:
                return False
            await connection.execute(_EMPTY)
        except asyncpg.PostgresError:
            return False
        else:
            return True
        finally:
            await connection.close()
