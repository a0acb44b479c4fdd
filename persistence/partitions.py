"""Daily partitions of the run log, by the time that the UUIDv7 of a run carries."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING, Final
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from persistence.database import sqlstate
from persistence.tables import PARTITIONED

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

    from persistence.database import Database

_PARTITION: Final = re.compile(rf"({'|'.join(table.name for table in PARTITIONED)})_(default|[0-9]{{8}})")
_LOCK_KEY: Final = 0x706172746974696F  # "partitio": one process at a time makes partitions
_LOCK_TIMEOUT_MS: Final = 3_000
_LOCK_NOT_AVAILABLE: Final = "55P03"
# Rows of `node_runs` are updated in place; room on their pages keeps that out of the index.
_OPTIONS: Final = {"node_runs": "WITH (fillfactor = 70)"}


@dataclass(frozen=True, slots=True)
class DayOfRuns:
    """The ids of the runs of one day (UTC): from `first`, to before `end`."""

    day: date
    first: UUID
    end: UUID


def day_of_runs(day: date) -> DayOfRuns:
    """Return the range of UUIDv7 made on a day.

    Source: RFC 9562, 5.7: the first 48 bits are milliseconds since 1970.
    """
    return DayOfRuns(day, _lowest_id(day), _lowest_id(day + timedelta(days=1)))


def is_partition(name: str) -> bool:
    """Whether a table of this name is a partition rather than a table of `tables.py`."""
    return _PARTITION.fullmatch(name) is not None


async def ensure_partitions(database: Database, today: date, days_ahead: int = 7) -> list[str]:
    """Make the partitions of today and of the days ahead that are missing; return their names.

    Rows of such a day that were written before its partition existed move out of the default partition, in the
    transaction that makes it. Every partition has a transaction of its own, so that the default partition, which is
    locked meanwhile, is free again soon.

    A partition that cannot be made at once, since the default partition is in use, is left to the next call.

    Raises:
        DatabaseUnavailable: the database does not answer.
    """
    days = [day_of_runs(today + timedelta(days=ahead)) for ahead in range(days_ahead + 1)]
    made: list[str] = []
    for table in PARTITIONED:
        async with database.connection() as connection:
            existing = await _existing(connection, table.name)
        for day in days:
            name = _name(table.name, day)
            if name not in existing and await _make(database, table.name, day):
                made.append(name)
    return made


async def _make(database: Database, table: str, day: DayOfRuns) -> bool:
    """Make a partition; False when another process was faster, or the default partition is in use for long."""
    try:
        async with database.connection() as connection:
            await connection.execute(text(f"SET LOCAL lock_timeout = {_LOCK_TIMEOUT_MS}"))
            await connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK_KEY})
            if _name(table, day) in await _existing(connection, table):
                return False
            await _make_locked(connection, table, day)
            return True
    except DBAPIError as error:
        if sqlstate(error) == _LOCK_NOT_AVAILABLE:
            # A backup, say. Nothing is lost: rows go to the default partition until the next attempt.
            return False
        raise


async def _make_locked(connection: AsyncConnection, table: str, day: DayOfRuns) -> None:
    name, default = _name(table, day), f"{table}_default"
    bounds = f"'{day.first}'", f"'{day.end}'"
    # Made apart and attached, as CREATE … PARTITION OF would stop all readers and writers of the table.
    await connection.execute(text(f"CREATE TABLE {name} (LIKE {table} INCLUDING ALL) {_OPTIONS.get(table, '')}"))
    # A row of this day that came in between would make PostgreSQL refuse the partition. Whoever waits here to insert
    # one is refused by the default partition's new bound (23514) and succeeds when it tries again.
    await connection.execute(text(f"LOCK TABLE {default} IN ACCESS EXCLUSIVE MODE"))
    await connection.execute(
        text(
            f"WITH moved AS (DELETE FROM {default} "  # noqa: S608 - names of tables and UUIDs, all of them ours
            f"WHERE run_id >= {bounds[0]} AND run_id < {bounds[1]} RETURNING *) INSERT INTO {name} SELECT * FROM moved"
        )
    )
    await connection.execute(
        text(f"ALTER TABLE {table} ATTACH PARTITION {name} FOR VALUES FROM ({bounds[0]}) TO ({bounds[1]})")
    )


async def _existing(connection: AsyncConnection, table: str) -> frozenset[str]:
    rows = await connection.execute(
        text("SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = CAST(:parent AS regclass)"),
        {"parent": table},
    )
    return frozenset(rows.scalars())


def _name(table: str, day: DayOfRuns) -> str:
    return f"{table}_{day.day:%Y%m%d}"


def _lowest_id(day: date) -> UUID:
    midnight = datetime.combine(day, time.min, tzinfo=UTC)
    return UUID(int=int(midnight.timestamp()) * 1000 << 80)
