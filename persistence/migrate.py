"""Bringing a database to the newest schema, and seeing whether the schema is what `tables.py` says."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import text

import persistence.approval_tables  # pyright: ignore[reportUnusedImport] -- its table is metadata too
import persistence.key_tables  # pyright: ignore[reportUnusedImport] -- its tables are metadata too
import persistence.limit_tables  # pyright: ignore[reportUnusedImport] -- its table is metadata too
import persistence.member_tables  # pyright: ignore[reportUnusedImport] -- its table is metadata too
import persistence.queue_tables  # pyright: ignore[reportUnusedImport] -- and its are
import persistence.usage_tables  # pyright: ignore[reportUnusedImport] -- its tables are metadata too
import persistence.webhook_tables  # pyright: ignore[reportUnusedImport] -- its tables are metadata too
import persistence.workflow_changes  # noqa: F401  # pyright: ignore[reportUnusedImport] -- its table is metadata too
from domain.errors import SetupFault
from persistence.database import create_engine, server_version, translated_errors
from persistence.partitions import is_partition
from persistence.version_tables import metadata

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Connection

Result = TypeVar("Result")

_SCRIPTS: Final = Path(__file__).resolve().parent.parent / "migrations"
_OLDEST_SERVER: Final = 15
_LOCK_KEY: Final = 0x616E616272616E63  # "anabranc": one migration at a time in a database

# Alembic compares neither CHECK constraints nor the conditions of indexes nor storage options: so the catalogue.
_FACTS: Final = """
WITH relations AS (SELECT * FROM pg_class WHERE relnamespace = CAST(:schema AS regnamespace) AND relkind IN ('r', 'p'))
SELECT relname AS relation, format('table %s %s %s', relname, pg_get_partkeydef(oid), reloptions) AS fact FROM relations
UNION ALL SELECT relname, format('column %s.%s %s%s DEFAULT %s', relname, attname, format_type(atttypid, atttypmod),
        CASE WHEN attnotnull THEN ' NOT NULL' END, pg_get_expr(adbin, adrelid))
    FROM relations JOIN pg_attribute ON attrelid = relations.oid AND attnum > 0 AND NOT attisdropped
    LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
UNION ALL SELECT relname, format('constraint %s.%s %s', relname, conname, pg_get_constraintdef(pg_constraint.oid))
    FROM relations JOIN pg_constraint ON conrelid = relations.oid
UNION ALL SELECT relname, pg_get_indexdef(indexrelid, 0, true) FROM relations JOIN pg_index ON indrelid = relations.oid
"""


async def migrate(url: str) -> None:
    """Bring the database to the newest schema, in one transaction; processes that call this at once take turns.

    Raises:
        DatabaseUnavailable: the database does not answer.
        SetupFault: the URL is not one of PostgreSQL, or the server is older than PostgreSQL 15, or the database was
            migrated by a newer version of Anabranch.
    """
    await asyncio.to_thread(_in_transaction, url, _upgrade)


async def is_current(url: str) -> bool:
    """Whether the database has exactly the newest schema.

    Raises:
        DatabaseUnavailable: the database does not answer.
        SetupFault: the URL is not one of PostgreSQL.
    """
    return await asyncio.to_thread(_in_transaction, url, _is_current)


async def drift(url: str) -> list[str]:
    """Return the differences between a migrated database and `tables.py`, column order aside; empty when there is none."""
    return await asyncio.to_thread(_in_transaction, url, _drift)


async def write_migration(url: str, message: str) -> None:
    """Write a new migration that brings a migrated database to what `tables.py` says."""

    def write(connection: Connection) -> None:
        config = _config(connection)
        following = len(list(ScriptDirectory.from_config(config).walk_revisions())) + 1
        command.revision(config, message=message, autogenerate=True, rev_id=f"{following:04}")

    await asyncio.to_thread(_in_transaction, url, write)


def is_compared(name: str | None, kind: str, _parents: object) -> bool:
    """Whether Alembic compares a thing of the database with `tables.py`: partitions come and go, so not them."""
    return not (kind == "table" and name is not None and is_partition(name))


def _in_transaction(url: str, work: Callable[[Connection], Result]) -> Result:
    """Run Alembic's blocking code in a loop of its own, outside the server's."""

    async def run() -> Result:
        engine = create_engine(url, pool_size=1, statement_timeout_ms=0)
        try:
            with translated_errors():
                async with engine.begin() as connection:
                    version = await server_version(connection)
                    if version < _OLDEST_SERVER:
                        raise SetupFault(f"Anabranch needs PostgreSQL {_OLDEST_SERVER} or newer; this is {version}.")
                    return await connection.run_sync(work)
        finally:
            await engine.dispose()

    return asyncio.run(run())


def _config(connection: Connection) -> Config:
    config = Config()
    config.set_main_option("script_location", str(_SCRIPTS).replace("%", "%%"))
    # `0002_<message>.py`
    config.set_main_option("file_template", "%%(rev)s_%%(slug)s")
    config.attributes["connection"] = connection
    return config


def _upgrade(connection: Connection) -> None:
    # Whoever waited here sees the winner's schema and has nothing left to do.
    connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK_KEY})
    config = _config(connection)
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    if not set(MigrationContext.configure(connection).get_current_heads()) <= known:
        raise SetupFault("A newer version of Anabranch has migrated this database; use that version or a newer one.")
    command.upgrade(config, "head")


def _is_current(connection: Connection) -> bool:
    heads = ScriptDirectory.from_config(_config(connection)).get_heads()
    return set(MigrationContext.configure(connection).get_current_heads()) == set(heads)


def _drift(connection: Connection) -> list[str]:
    is_database = _facts(connection, "public")
    # The tables as they should be are made, looked at, and taken back.
    savepoint = connection.begin_nested()
    connection.execute(text("CREATE SCHEMA drift"))
    connection.execute(text("SET LOCAL search_path = drift"))
    metadata.create_all(connection, checkfirst=False)
    is_wanted = _facts(connection, "drift")
    savepoint.rollback()
    return [
        *(f"only in the database: {fact}" for fact in sorted(is_database - is_wanted)),
        *(f"only in tables.py: {fact}" for fact in sorted(is_wanted - is_database)),
    ]


def _facts(connection: Connection, schema: str) -> frozenset[str]:
    # Definitions are shown without the schema when it is the one that is searched.
    connection.execute(text(f"SET LOCAL search_path = {schema}"))
    rows = connection.execute(text(_FACTS), {"schema": schema}).all()
    return frozenset(
        str(row.fact) for row in rows if not is_partition(row.relation) and row.relation != "alembic_version"
    )
