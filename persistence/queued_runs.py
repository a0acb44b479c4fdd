"""Claims of queued runs.

One priority at a time, the most urgent that is queued. Of each workspace that has such runs only the oldest are read, found one
workspace after the other through the index: however many wait, a claim costs what it may take and the number of workspaces.
Then by turns: whoever has fewer runs in this process and ahead in the queue comes first, so that nobody fills the machine
for all, however few runs are claimed at a time. A workspace that has as many as it may is passed over, at the cost of one
step for each of its priorities: those are walked as well, since a condition on the index would read all that it has queued.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

    from domain.ids import WorkspaceId

_HEADS: Final = 1_000
"""Queued runs that a claim looks at in all, beside one of each workspace."""
_SPARE: Final = 8
"""So many times more than it takes, since other processes may be taking the first ones in the same moment."""

CLAIMED: Final = """
  RETURNING r.id, r.workspace_id, r.graph_id, r.lease_epoch, r.last_seq, r.created_at, r.input::text AS input,
            r.parent_run_id, r.concurrency_limit IS NOT NULL AS needs_turn
"""

# The order is asked for wherever one row is wanted: so the index is the cheapest way also to a planner that knows nothing.
CLAIM: Final = f"""
WITH RECURSIVE spaces AS (
  (SELECT priority, workspace_id, CASE WHEN workspace_id <> ALL(CAST(:full AS uuid[])) THEN priority END AS urgent
     FROM queued_runs ORDER BY priority, workspace_id, run_id LIMIT 1)
   UNION ALL
  SELECT next.priority, next.workspace_id,
         COALESCE(s.urgent, CASE WHEN next.workspace_id <> ALL(CAST(:full AS uuid[])) THEN next.priority END)
    FROM spaces s CROSS JOIN LATERAL (
    SELECT q.priority, q.workspace_id FROM queued_runs q
     WHERE (q.priority, q.workspace_id) > (s.priority, s.workspace_id) AND q.priority <= COALESCE(s.urgent, 32767)
     ORDER BY q.priority, q.workspace_id, q.run_id LIMIT 1) next
), ready AS MATERIALIZED (
  SELECT priority, workspace_id FROM spaces
   WHERE priority = urgent AND workspace_id <> ALL(CAST(:full AS uuid[]))
), heads AS MATERIALIZED (
  SELECT h.run_id, COALESCE(b.runs, 0) + row_number() OVER (PARTITION BY s.workspace_id ORDER BY h.run_id) AS turn
    FROM ready s
    LEFT JOIN unnest(CAST(:busy AS uuid[]), CAST(:counts AS int[])) AS b(workspace_id, runs) USING (workspace_id)
   CROSS JOIN LATERAL (
    SELECT q.run_id FROM queued_runs q
     WHERE q.priority = s.priority AND q.workspace_id = s.workspace_id
     ORDER BY q.priority, q.workspace_id, q.run_id
     LIMIT (SELECT LEAST({_SPARE} * CAST(:limit AS int) + {_SPARE}, {_HEADS} / count(*) + 1) FROM ready)) h
), chosen AS MATERIALIZED (
  SELECT q.run_id
    FROM (SELECT run_id, turn FROM heads WHERE turn <= CAST(:most AS bigint)
           ORDER BY turn, run_id LIMIT {_SPARE} * CAST(:limit AS int) + {_SPARE}) k
    JOIN queued_runs q ON q.run_id = k.run_id
    JOIN runs r ON r.id = k.run_id
   ORDER BY k.turn, k.run_id LIMIT :limit FOR UPDATE OF q, r SKIP LOCKED
), taken AS (
  DELETE FROM queued_runs q USING chosen c WHERE q.run_id = c.run_id RETURNING q.run_id
)
UPDATE runs r SET executor_id = :executor, lease_epoch = r.lease_epoch + 1
  FROM taken t WHERE r.id = t.run_id AND r.executor_id IS NULL {CLAIMED}
"""  # noqa: S608 -- constants


def shares(busy: Mapping[WorkspaceId, int], most: int | None) -> dict[str, object]:
    """Return those parameters of `CLAIM` that say how many runs each workspace has here, of how many that it may have."""
    full = [] if most is None else [workspace_id for workspace_id, count in busy.items() if count >= most]
    return {"busy": list(busy), "counts": list(busy.values()), "full": full, "most": most or sys.maxsize}


# Runs that only have to end, although nobody has room for them.
CLAIM_CANCELED: Final = f"""
WITH chosen AS MATERIALIZED (
  SELECT r.id FROM run_commands c JOIN runs r ON r.id = c.run_id
   WHERE c.applied_at IS NULL AND c.kind = 'cancel'
     AND r.status IN ('QUEUED', 'WAITING', 'PAUSED') AND r.executor_id IS NULL
   ORDER BY r.id LIMIT :limit FOR UPDATE OF r SKIP LOCKED
), left_queue AS (
  DELETE FROM queued_runs q USING chosen c WHERE q.run_id = c.id
)
UPDATE runs r SET executor_id = :executor, lease_epoch = r.lease_epoch + 1 FROM chosen c WHERE r.id = c.id {CLAIMED}
"""  # noqa: S608 -- constants

LEAVE: Final = "DELETE FROM queued_runs WHERE run_id = $1"
"""A run that is paused is not there to be claimed."""
ENTER: Final = """
INSERT INTO queued_runs (run_id, workspace_id, priority) SELECT id, workspace_id, priority FROM runs WHERE id = $1 AND NOT is_held
"""
"""A run that goes on without having begun is; one that has no turn yet comes when it has one."""
