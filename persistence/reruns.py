"""Reruns: what a run recorded, and runs that begin with it. Outputs are copied by the database and never leave it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, cast

import asyncpg

from domain.errors import NotFound, OutputExpired
from domain.events import NodeReused
from domain.ids import RunId
from domain.ports.reruns import RunRecord
from domain.ports.runs import Group
from persistence.event_facts import read_event
from persistence.run_rows import fold
from persistence.start_statement import group_texts, key_values, run_values
from persistence.turns import enter_line

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from domain.ids import GraphId, WorkflowId, WorkspaceId
    from domain.ports.new_runs import NewRun
    from domain.reruns import ItemEnd, Kept, NodeEnd
    from domain.workflow import Definition
    from persistence.database import Database
    from persistence.workflows import PostgresWorkflows

# An output that is `null` is NULL in the table too, so what is kept is told by the row.
_ENDS: Final = """
SELECT e.type, e.node_key, e.execution, e.data::text AS data, n.run_id IS NOT NULL AS is_kept
  FROM run_events e
  LEFT JOIN node_runs n ON n.run_id = e.run_id AND n.node_key = e.node_key AND n.item_index = -1
 WHERE e.run_id = $1 AND e.item_index IS NULL
   AND e.type IN ('NodeSucceeded', 'NodeFailed', 'NodeSkipped', 'NodeReused', 'NodeCanceled')
"""

_ITEM_ENDS: Final = """
SELECT e.type, e.node_key, e.item_index, e.execution, e.data::text AS data
  FROM run_events e
  JOIN node_runs n ON n.run_id = e.run_id AND n.node_key = e.node_key AND n.item_index = e.item_index
 WHERE e.run_id = $1 AND e.node_key = ANY($2::text[]) AND e.type IN ('NodeSucceeded', 'NodeReused')
 ORDER BY e.item_index
"""

_LATEST: Final = """
SELECT id FROM runs
 WHERE workflow_id = $1 AND workspace_id = $2 AND trigger <> 'TRY_NODE'
   AND status IN ('SUCCEEDED', 'FAILED', 'CANCELED', 'CRASHED')
 ORDER BY id DESC LIMIT 1
"""

# As `start_statement.START`, for a run that is never claimed at once. Retention may take the outputs between the plan and
# this statement: they are counted before anything is written.
_RERUN: Final = """
WITH wanted AS MATERIALIZED (
  SELECT * FROM json_to_recordset($15::json)
    AS t(node text, item int, ordinal int, status text, failure json, "finishedAt" timestamptz, "reusedFrom" uuid)
), source AS MATERIALIZED (
  SELECT n.node_key, n.item_index, n.input, n.output
    FROM node_runs n
    JOIN runs r ON r.id = n.run_id AND r.workspace_id = $2
    JOIN wanted w ON w.node = n.node_key AND w.item = n.item_index AND w.status = 'REUSED'
   WHERE n.run_id = $13
), run AS (
  INSERT INTO runs (id, workspace_id, workflow_id, graph_id, node_count, trigger, triggered_by, priority, labels, input,
                    created_at, version, rerun_of, status, last_seq, nodes_done, concurrency_key, concurrency_limit, is_held,
                    idempotency_key, request_hash, api_key_id)
  SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9::jsonb, $10::json, $11, $12, $13, 'QUEUED', 1 + counted.kept, counted.nodes,
         $16, $17::int, $17::int IS NOT NULL, $18, $19, $20
    FROM (SELECT count(*)::int AS kept, count(*) FILTER (WHERE item = -1) AS nodes,
                 count(*) FILTER (WHERE status = 'REUSED') AS reused FROM wanted) counted
   WHERE counted.reused = (SELECT count(*) FROM source)
  RETURNING id
), logged AS (
  INSERT INTO run_events (run_id, seq, event_key, type, at, node_key, item_index, execution, data)
  SELECT id, 1, 'RunQueued', 'RunQueued', $11, NULL, NULL, NULL, NULL FROM run
   UNION ALL
  SELECT r.id, 1 + e.ordinal, e.key, e.type, e.at, e.node, e.item, e.execution, e.data
    FROM run r, json_to_recordset($14::json)
      AS e(ordinal int, key text, type text, at timestamptz, node text, item int, execution int, data json)
), shown AS (
  INSERT INTO node_runs (run_id, node_key, item_index, status, attempts, first_seq, input, output, failure, finished_at,
                         reused_from)
  SELECT r.id, w.node, w.item, w.status, 0, 1 + w.ordinal, s.input, s.output, w.failure, w."finishedAt", w."reusedFrom"
    FROM run r CROSS JOIN wanted w LEFT JOIN source s ON s.node_key = w.node AND s.item_index = w.item
), queued AS (
  INSERT INTO queued_runs (run_id, workspace_id, priority) SELECT id, $2, $8 FROM run WHERE $17::int IS NULL
)
SELECT count(*) FROM run
"""


class PostgresReruns:
    """Implements `domain.ports.reruns.Reruns`."""

    def __init__(self, database: Database, workflows: PostgresWorkflows) -> None:
        self._database = database
        self._workflows = workflows

    async def record(self, run_id: RunId) -> RunRecord:
        """Return how the nodes of a run ended; what is no longer kept is missing."""
        async with self._database.driver() as connection:
            rows = await connection.fetch(_ENDS, run_id)
        return RunRecord(
            {row["node_key"]: _end(row) for row in rows},
            frozenset(row["node_key"] for row in rows if row["is_kept"]),
        )

    async def item_ends(self, run_id: RunId, keys: Sequence[str]) -> Mapping[str, Sequence[ItemEnd]]:
        """Return the items of nodes that ended well and whose outputs are kept, in their order."""
        async with self._database.driver() as connection:
            rows = await connection.fetch(_ITEM_ENDS, run_id, keys)
        items: dict[str, list[ItemEnd]] = {}
        for row in rows:
            end = read_event(row["type"], row["node_key"], row["item_index"], row["execution"], row["data"])
            items.setdefault(row["node_key"], []).append(cast("ItemEnd", end))
        return items

    async def latest(self, workspace_id: WorkspaceId, workflow_id: WorkflowId) -> RunId | None:
        """Return the newest run of a workflow that has ended and is not the trial of a single node."""
        async with self._database.driver() as connection:
            row = await connection.fetchrow(_LATEST, workflow_id, workspace_id)
        return None if row is None else RunId(row["id"])

    async def pin(self, workspace_id: WorkspaceId, definition: Definition) -> GraphId:
        """Store a definition for a run, unless the workspace has it already; return its id."""
        return await self._workflows.pin(workspace_id, definition)

    async def add(self, run: NewRun, kept: Sequence[Kept]) -> None:
        """Queue a run whose log begins with `kept`; the database copies the outputs of `run.rerun_of`.

        Raises:
            OutputExpired: an output is gone; then nothing is written.
            NotFound: the workflow is gone.
        """
        try:
            async with self._database.driver() as connection, connection.transaction():
                row = await connection.fetchrow(_RERUN, *_arguments(run, kept))
                if run.turns is not None and row is not None and row["count"]:
                    await enter_line(connection, run.id, run.turns)
        except asyncpg.ForeignKeyViolationError as error:
            raise NotFound("The workflow or the run is gone.", path=["input", "runId"]) from error
        if row is None or row["count"] == 0:
            reused = [event.node_key for event in kept if isinstance(event, NodeReused)]
            raise OutputExpired(f"An output of {', '.join(reused[:10])} is no longer kept.", path=["input", "runId"])


def _end(row: Any) -> NodeEnd:
    return cast("NodeEnd", read_event(row["type"], row["node_key"], None, row["execution"], row["data"]))


def _arguments(run: NewRun, kept: Sequence[Kept]) -> tuple[object, ...]:
    def ignore(_group: Group, _answer: object) -> None:
        """Nobody waits for this group: it is stored with its run."""

    batch = fold([Group(run.id, 0, run.created_at, [*kept], ignore, ignore)])
    return (*run_values(run), run.rerun_of, *group_texts(batch), *key_values(run))
