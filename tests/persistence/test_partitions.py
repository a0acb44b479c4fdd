from __future__ import annotations

import asyncio
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING
from uuid import UUID

import asyncpg
import pytest
from sqlalchemy import text
from uuid_utils.compat import uuid7

from persistence.database import Database, open_database
from persistence.partitions import day_of_runs, ensure_partitions, is_partition

if TYPE_CHECKING:
    from collections.abc import Sequence

TODAY = date(2031, 3, 30)
DAYS = ["20310330", "20310331", "20310401"]


def _id_at(moment: datetime, *, tail: int = 0x7ABC_8DEF_0000_0000_0001) -> UUID:
    return UUID(int=int(moment.timestamp() * 1000) << 80 | tail)


async def _append(database: Database, run_id: UUID, seq: int = 1) -> None:
    async with database.direct() as connection:
        await connection.execute(
            "INSERT INTO run_events (run_id, seq, event_key, type, at, data) VALUES ($1, $2, $3, 'X', now(), $4::json)",
            run_id,
            seq,
            f"X/{seq}",
            '{"a":1.50}',
        )
        await connection.execute(
            "INSERT INTO node_runs (run_id, node_key, item_index, status, attempts, first_seq) "
            "VALUES ($1, 'n', $2, 'RUNNING', 1, 1)",
            run_id,
            seq,
        )


async def _where(database: Database, table: str = "run_events") -> list[tuple[str, UUID]]:
    async with database.direct() as connection:
        rows = await connection.fetch(f"SELECT tableoid::regclass::text AS place, run_id FROM {table} ORDER BY run_id")  # noqa: S608
    return [(row["place"], row["run_id"]) for row in rows]


async def test_today_and_the_days_ahead_get_a_partition_of_each_table(database: Database) -> None:
    made = await ensure_partitions(database, TODAY, days_ahead=2)
    assert made == [f"{table}_{day}" for table in ("run_events", "node_runs") for day in DAYS]
    async with database.connection() as connection:
        options = await connection.execute(
            text(
                "SELECT relname, reloptions FROM pg_class WHERE relname ~ '^node_runs_(2031.*|default)$' AND relkind = 'r'"
            )
        )
        assert {row.relname: row.reloptions for row in options} == {
            f"node_runs_{day}": ["fillfactor=70"] for day in (*DAYS, "default")
        }


async def test_making_them_again_makes_nothing(database: Database) -> None:
    await ensure_partitions(database, TODAY)
    assert await ensure_partitions(database, TODAY) == []
    assert await ensure_partitions(database, TODAY + timedelta(days=1)) == ["run_events_20310407", "node_runs_20310407"]


async def test_a_run_lies_in_the_partition_of_its_day_from_the_first_to_the_last_millisecond(
    database: Database,
) -> None:
    await ensure_partitions(database, TODAY, days_ahead=1)
    midnight = datetime(2031, 3, 31, tzinfo=UTC)
    last, first = _id_at(midnight - timedelta(milliseconds=1)), _id_at(midnight)
    await _append(database, last)
    await _append(database, first)
    assert await _where(database) == [("run_events_20310330", last), ("run_events_20310331", first)]
    assert await _where(database, "node_runs") == [("node_runs_20310330", last), ("node_runs_20310331", first)]


async def test_an_id_made_now_lies_within_today() -> None:
    before = datetime.now(UTC).date()
    made = uuid7()
    after = datetime.now(UTC).date()
    assert day_of_runs(before).first < made < day_of_runs(after).end
    assert day_of_runs(before).end == day_of_runs(before + timedelta(days=1)).first


async def test_rows_that_were_there_first_move_into_the_new_partition(database: Database) -> None:
    noon = datetime(2031, 3, 30, 12, tzinfo=UTC)
    earlier, within, later = (_id_at(noon + timedelta(days=days)) for days in (-1, 0, 1))
    for run_id in (earlier, within, later):
        await _append(database, run_id)
        await _append(database, run_id, seq=2)
    await ensure_partitions(database, TODAY, days_ahead=0)
    for table in ("run_events", "node_runs"):
        assert await _where(database, table) == [
            *[(f"{table}_default", earlier)] * 2,
            *[(f"{table}_20310330", within)] * 2,
            *[(f"{table}_default", later)] * 2,
        ]
    async with database.direct() as connection:
        data = await connection.fetch("SELECT data FROM run_events WHERE run_id = $1 ORDER BY seq", within)
    assert [row["data"] for row in data] == ['{"a":1.50}'] * 2


async def test_postgresql_would_refuse_the_partition_while_the_rows_are_in_the_default_one(database: Database) -> None:
    await _append(database, _id_at(datetime(2031, 3, 30, 12, tzinfo=UTC)))
    day = day_of_runs(TODAY)
    async with database.direct() as connection:
        with pytest.raises(asyncpg.CheckViolationError, match="would be violated by some row"):
            await connection.execute(
                f"CREATE TABLE p PARTITION OF run_events FOR VALUES FROM ('{day.first}') TO ('{day.end}')"
            )


async def test_keys_stay_unique_in_a_partition(database: Database) -> None:
    run_id = _id_at(datetime(2031, 3, 30, 12, tzinfo=UTC))
    await _append(database, run_id)
    await ensure_partitions(database, TODAY, days_ahead=0)
    for statement in (
        "INSERT INTO run_events (run_id, seq, event_key, type, at) VALUES ($1, 1, 'Y', 'X', now())",
        "INSERT INTO run_events (run_id, seq, event_key, type, at) VALUES ($1, 9, 'X/1', 'X', now())",
    ):
        async with database.direct() as connection:
            with pytest.raises(asyncpg.UniqueViolationError):
                await connection.execute(statement, run_id)
    assert len(await _where(database)) == 1


async def test_processes_that_start_together_make_each_partition_once(database_url: str) -> None:
    async def start() -> Sequence[str]:
        async with open_database(database_url, pool_size=1) as database:
            return await ensure_partitions(database, TODAY, days_ahead=2)

    made = await asyncio.gather(*(start() for _ in range(4)))
    assert sorted(name for names in made for name in names) == sorted(
        f"{table}_{day}" for table in ("run_events", "node_runs") for day in DAYS
    )


async def test_a_writer_that_waited_for_the_partition_succeeds_at_its_second_attempt(database: Database) -> None:
    run_id = _id_at(datetime(2031, 3, 30, 12, tzinfo=UTC))
    statement = "INSERT INTO run_events (run_id, seq, event_key, type, at) VALUES ($1, $2, $3, 'X', now())"
    async with database.direct() as reader, database.direct() as writer:
        await writer.execute(statement, run_id, 1, "1")
        async with reader.transaction():
            await reader.execute("LOCK TABLE run_events_default IN ACCESS SHARE MODE")
            making = asyncio.create_task(ensure_partitions(database, TODAY, days_ahead=0), name="making")
            await _see_waiting(database, 1)
            writing = asyncio.create_task(writer.execute(statement, run_id, 2, "2"), name="writing")
            await _see_waiting(database, 2)
        assert await making == ["run_events_20310330", "node_runs_20310330"]
        with pytest.raises(asyncpg.CheckViolationError):
            await writing
        await writer.execute(statement, run_id, 2, "2")
    assert await _where(database) == [("run_events_20310330", run_id)] * 2


async def _see_waiting(database: Database, count: int) -> None:
    """Return when as many connections wait for the default partition."""
    async with database.direct() as observer:
        found = 0
        while found < count:
            found = await observer.fetchval(
                "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'run_events_default'::regclass"
            )


async def test_a_default_partition_in_use_for_long_leaves_the_day_to_the_next_call(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("persistence.partitions._LOCK_TIMEOUT_MS", 50)
    run_id = _id_at(datetime(2031, 3, 30, 12, tzinfo=UTC))
    await _append(database, run_id)
    async with database.direct() as backup, backup.transaction():
        await backup.execute("LOCK TABLE run_events_default IN ACCESS SHARE MODE")
        assert await ensure_partitions(database, TODAY, days_ahead=0) == ["node_runs_20310330"]
    assert await _where(database) == [("run_events_default", run_id)]
    assert await ensure_partitions(database, TODAY, days_ahead=0) == ["run_events_20310330"]


def test_partitions_are_told_from_tables_by_their_names() -> None:
    assert is_partition("run_events_20310330")
    assert is_partition("node_runs_default")
    assert not is_partition("run_events")
    assert not is_partition("runs_20310330")
