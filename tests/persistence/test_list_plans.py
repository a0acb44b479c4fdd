"""Lists that must not read, or sort, all that a workspace has."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import event, text

from domain.approvals import Answerable, ApprovalQuery, ApprovalStatus
from domain.ports.paging import PageRequest
from domain.run import RunQuery
from persistence.approvals import PostgresApprovals
from tests.support.engines import World, bare_world
from tests.support.groups import NOW
from tests.support.kinds import graph
from tests.support.listed import sole

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from persistence.database import Database

# One in ten failed, one in ten has labels.
RUNS = """
INSERT INTO runs (id, workspace_id, workflow_id, graph_id, status, node_count, trigger, failure, labels)
SELECT ('00000000-0000-7000-8000-' || lpad(to_hex(i), 12, '0'))::uuid, r.workspace_id, r.workflow_id, r.graph_id, CASE WHEN i % 10 = 0 THEN 'FAILED' ELSE 'SUCCEEDED' END, 1,
       'MANUAL', CASE WHEN i % 10 = 0 THEN '{"code": "TIMED_OUT", "message": "Late.", "isRetryable": true, "nodeKey": "a", "itemIndex": null, "attempt": 1}'::jsonb END,
       CASE WHEN i % 10 = 3 THEN '[["env", "prod"]]'::jsonb ELSE '[]'::jsonb END
  FROM runs r, generate_series(1, 20000) AS i WHERE r.id = :run
"""
ASKED = """
INSERT INTO approvals (id, workspace_id, workflow_id, run_id, node_key, execution, title, actions, assignees, status, expires_at)
SELECT ('00000000-0000-7000-8000-' || lpad(to_hex(i), 12, '0'))::uuid, r.workspace_id, r.workflow_id, r.id, 'ask', i, 'Well?', '{approve}', '{}',
       CASE WHEN i % 10 = 0 THEN 'ANSWERED' ELSE 'OPEN' END, '2100-01-01Z'
  FROM runs r, generate_series(1, 20000) AS i WHERE r.id = :run
"""


async def filled(database: Database) -> World:
    w = bare_world(database)
    run_id = await w.owned(await w.add(graph("a")))
    async with database.connection() as connection:
        for statement in (RUNS, ASKED):
            await connection.execute(text(statement), {"run": run_id})
        await connection.execute(text("ANALYZE runs, approvals"))
    return w


async def rows_read(database: Database, reading: Awaitable[object]) -> int:
    """Return how many rows the one statement of `reading` takes from its table, kept or not."""
    asked: list[tuple[str, Any]] = []

    def remember(_connection: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        asked.append((statement, parameters))

    engine = database._engine.sync_engine
    event.listen(engine, "before_cursor_execute", remember)
    try:
        await reading
    finally:
        event.remove(engine, "before_cursor_execute", remember)
    ((statement, parameters),) = asked
    async with database.connection() as connection:
        found = await connection.exec_driver_sql(f"EXPLAIN (ANALYZE, FORMAT JSON) {statement}", parameters)
        ((explained,),) = found.scalars().all()
    return taken(explained["Plan"])


def taken(node: dict[str, Any]) -> int:
    if "Relation Name" in node:
        removed = node.get("Rows Removed by Filter", 0) + node.get("Rows Removed by Index Recheck", 0)
        return int((node["Actual Rows"] + removed) * node["Actual Loops"])
    return max((taken(below) for below in node.get("Plans", [])), default=0)


@pytest.mark.parametrize(
    "query",
    [
        RunQuery(error_codes=("NEVER",)),
        RunQuery(error_codes=("NEVER", "EITHER")),
        RunQuery(error_codes=("TIMED_OUT", "NEVER")),
        RunQuery(labels=(("env", "none"),)),
        RunQuery(labels=(("env", "prod"),)),
    ],
)
async def test_a_page_of_runs_with_an_error_code_or_a_label_reads_few_others(
    database: Database, query: RunQuery
) -> None:
    w = await filled(database)
    assert await rows_read(database, w.reader.list(w.workspace_id, query, PageRequest(20))) < 1_000


OPEN, ANSWERED = ApprovalStatus.OPEN, ApprovalStatus.ANSWERED
MINE = Answerable(is_wanted=True, email="ada@example.com", now=NOW)


@pytest.mark.parametrize(
    "query",
    [
        ApprovalQuery(),
        ApprovalQuery(statuses=(OPEN,), answerable=MINE),
        ApprovalQuery(statuses=(ANSWERED,)),
        ApprovalQuery(statuses=(OPEN, ANSWERED)),
    ],
)
async def test_a_page_of_the_inbox_reads_no_more_than_a_page(database: Database, query: ApprovalQuery) -> None:
    w = await filled(database)
    inbox = PostgresApprovals(database)
    page = await sole(inbox.page_by_workspace([w.workspace_id], query, PageRequest(20)))
    assert len(page.items) == 20
    for request in (PageRequest(20), PageRequest(20, after=page.cursors[-1])):
        assert await rows_read(database, inbox.page_by_workspace([w.workspace_id], query, request)) < 300


async def test_pages_of_several_workspaces_read_no_more_than_their_pages(database: Database) -> None:
    full, bare = await filled(database), bare_world(database)
    await bare.owned(await bare.add(graph("a")))
    homes = [full.workspace_id, bare.workspace_id]
    inbox, request = PostgresApprovals(database), PageRequest(20)
    assert await rows_read(database, full.reader.list_by_workspace(homes, RunQuery(), request)) < 300
    for query in (
        ApprovalQuery(),
        ApprovalQuery(statuses=(OPEN,), answerable=MINE),
        ApprovalQuery(statuses=(ANSWERED,)),
    ):
        assert await rows_read(database, inbox.page_by_workspace(homes, query, request)) < 300
