from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from alembic import command
from sqlalchemy import text
from uuid_utils.compat import uuid7

from domain.errors import DatabaseUnavailable, SetupFault
from domain.ids import GraphId, WorkflowId, WorkspaceId
from domain.layout import layout_of
from domain.workflow import Position
from persistence.database import open_database
from persistence.migrate import _config, _in_transaction, drift, is_current, migrate
from persistence.partitions import ensure_partitions
from persistence.workflows import PostgresWorkflows
from tests.persistence.test_partitions import TODAY

if TYPE_CHECKING:
    from pathlib import Path

    from persistence.database import Database


async def _execute(database: Database, statement: str) -> None:
    async with database.connection() as connection:
        await connection.execute(text(statement))


async def test_the_migrations_make_what_the_tables_say(database_url: str) -> None:
    assert await drift(database_url) == []
    assert await is_current(database_url)


async def test_partitions_are_no_drift(database: Database) -> None:
    await ensure_partitions(database, TODAY)
    assert await drift(database.url) == []


@pytest.mark.parametrize(
    "statement",
    [
        "ALTER TABLE users DROP COLUMN name",
        "ALTER TABLE users ADD COLUMN age integer",
        "ALTER TABLE users ALTER COLUMN name TYPE varchar(5)",
        "ALTER TABLE users ALTER COLUMN name DROP NOT NULL",
        "ALTER TABLE runs ALTER COLUMN priority SET DEFAULT 2",
        "ALTER TABLE users DROP CONSTRAINT users_email_key",
        "ALTER TABLE runs DROP CONSTRAINT runs_status_check",
        "ALTER TABLE runs DROP CONSTRAINT runs_status_check, ADD CONSTRAINT runs_status_check CHECK (status IN ('A'))",
        "ALTER TABLE node_runs DROP CONSTRAINT node_runs_status_check",
        "ALTER TABLE runs RESET (fillfactor)",
        "DROP INDEX runs_wake_at_idx",
        "DROP INDEX runs_wake_at_idx; CREATE INDEX runs_wake_at_idx ON runs (wake_at) WHERE status = 'FAILED'",
        "ALTER TABLE members DROP CONSTRAINT members_user_id_fkey",
        "CREATE TABLE more (id integer)",
    ],
)
async def test_a_difference_between_database_and_tables_is_drift(database: Database, statement: str) -> None:
    async with database.direct() as connection:
        await connection.execute(statement)
    assert await drift(database.url) != []


async def test_looking_for_drift_changes_nothing(database: Database) -> None:
    async with database.direct() as connection:
        before = await connection.fetch("SELECT oid, relname FROM pg_class ORDER BY oid")
        await drift(database.url)
        assert await connection.fetch("SELECT oid, relname FROM pg_class ORDER BY oid") == before


async def test_migrating_a_current_database_changes_nothing(database: Database) -> None:
    await _execute(database, "INSERT INTO workspaces (id, name) VALUES (gen_random_uuid(), 'Ours')")
    await migrate(database.url)
    async with database.connection() as connection:
        assert (await connection.execute(text("SELECT name FROM workspaces"))).scalars().all() == ["Ours"]


async def test_positions_of_drafts_are_taken_over_into_their_layouts(empty_database_url: str) -> None:
    await asyncio.to_thread(_in_transaction, empty_database_url, lambda c: command.upgrade(_config(c), "0003"))
    stored = (
        '{"graph": {"nodes": [{"key": "a", "config": {"transform": {}}, "position": {"x": 1.5, "y": -2}},'
        ' {"key": "b", "config": {"transform": {}}}]}}'
    )
    async with open_database(empty_database_url) as database:
        async with database.direct() as connection:
            workspace, placed, plain = uuid7(), uuid7(), uuid7()
            await connection.execute("INSERT INTO workspaces (id, name) VALUES ($1, 'Ours')", workspace)
            for graph_id, definition in ((placed, stored), (plain, "{}")):
                await connection.execute(
                    "INSERT INTO graphs (id, workspace_id, content_hash, definition, node_count)"
                    " VALUES ($1, $2, $3, $4, 2)", graph_id, workspace, graph_id.bytes, definition
                )  # fmt: skip
                await connection.execute(
                    "INSERT INTO workflows (id, workspace_id, slug, name, revision, graph_id, problems, is_runnable)"
                    " VALUES ($1, $2, $3, 'n', 7, $1, '[]', true)", graph_id, workspace, f"s-{graph_id}"
                )  # fmt: skip
        await migrate(empty_database_url)
        store = PostgresWorkflows(database)
        found = await store.list_by_id(frozenset({WorkspaceId(workspace)}), [WorkflowId(placed), WorkflowId(plain)])
        layouts = {one.id: layout_of(one.definition.graph) for one in found}
        assert layouts == {placed: {"a": Position(x=1.5, y=-2)}, plain: {}}
        assert {one.revision for one in found} == {7}
        # What runs are pinned to is left as it was, and read without positions.
        async with database.direct() as connection:
            assert await connection.fetchval("SELECT definition::text FROM graphs WHERE id = $1", placed) == stored
        assert layout_of((await PostgresWorkflows(database).definition(GraphId(placed))).graph) == {}


async def test_processes_that_migrate_at_once_take_turns(empty_database_url: str) -> None:
    assert not await is_current(empty_database_url)
    await asyncio.gather(*(migrate(empty_database_url) for _ in range(4)))
    assert await is_current(empty_database_url)
    assert await drift(empty_database_url) == []


async def test_a_failed_migration_leaves_nothing_behind(empty_database_url: str) -> None:
    async with open_database(empty_database_url) as database:
        # In the way of the last statement but one.
        await _execute(database, "CREATE TABLE run_events_default (i integer)")
        with pytest.raises(Exception, match="already exists"):
            await migrate(empty_database_url)
        async with database.connection() as connection:
            tables = await connection.execute(text("SELECT relname FROM pg_class WHERE relkind = 'r' AND oid > 16384"))
            assert tables.scalars().all() == ["run_events_default"]


async def test_a_database_of_a_newer_version_is_refused(database: Database) -> None:
    await _execute(database, "UPDATE alembic_version SET version_num = '9999'")
    assert not await is_current(database.url)
    with pytest.raises(SetupFault, match="newer version"):
        await migrate(database.url)


async def test_an_absent_server_is_an_unavailable_database(tmp_path: Path) -> None:
    with pytest.raises(DatabaseUnavailable):
        await migrate(f"postgresql://u@/d?host={tmp_path}")


async def test_an_older_postgresql_is_refused(empty_database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("persistence.migrate._OLDEST_SERVER", 99)
    with pytest.raises(SetupFault, match="needs PostgreSQL 99 or newer"):
        await migrate(empty_database_url)
    monkeypatch.undo()
    assert not await is_current(empty_database_url)
