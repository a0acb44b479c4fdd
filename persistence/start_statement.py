"""The one statement that a run begins with: its row, its first event, and all that its executor could say at once.

A run that is claimed when it is inserted has its first group with it, so that its first nodes begin one commit earlier.
Rows travel as in `append_statement`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import orjson

from domain.ports.runs import FIRST_EPOCH
from persistence.run_rows import fold

if TYPE_CHECKING:
    from domain.ids import ExecutorId
    from domain.ports.new_runs import NewRun
    from domain.ports.runs import Group
    from persistence.run_rows import Batch

_START: Final = """
WITH run AS (
  INSERT INTO runs (id, workspace_id, workflow_id, graph_id, node_count, trigger, triggered_by, priority, labels, input,
                    created_at, version, executor_id, lease_epoch, status, last_seq, nodes_done, started_at, finished_at,
                    output, failure, input_tokens, output_tokens, total_tokens, concurrency_key, concurrency_limit, is_held,
                    idempotency_key, request_hash, api_key_id, webhook_id)
  SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9::jsonb, $10::json, $11, $12, $13, $14, COALESCE(a.status, 'QUEUED'),
         1 + COALESCE(a.count, 0), COALESCE(a.done, 0), a."startedAt", a."finishedAt", a.output, a.failure,
         COALESCE((a.usage->>0)::bigint, 0), COALESCE((a.usage->>1)::bigint, 0), COALESCE((a.usage->>2)::bigint, 0),
         $18, $19::int, $19::int IS NOT NULL, $20, $21, $22, $23
    FROM json_to_record($15::json)
      AS a(count int, done int, status text, "startedAt" timestamptz, "finishedAt" timestamptz, output json,
           failure jsonb, usage json)
), logged AS (
  INSERT INTO run_events (run_id, seq, event_key, type, at, node_key, item_index, execution, data)
  SELECT $1, 1, 'RunQueued', 'RunQueued', $11, NULL, NULL, NULL, NULL
   UNION ALL
  SELECT $1, 1 + e.ordinal, e.key, e.type, e.at, e.node, e.item, e.execution, e.data
    FROM json_to_recordset($16::json)
      AS e(ordinal int, key text, type text, at timestamptz, node text, item int, execution int, data json)
){queued}
INSERT INTO node_runs (run_id, node_key, item_index, status, attempts, first_seq, input, output, failure, input_tokens,
                       output_tokens, total_tokens, started_at, finished_at, next_attempt_at)
SELECT $1, t.node, t.item, t.status, t.attempts, 1 + t.ordinal, t.input, t.output, t.failure,
       COALESCE((t.usage->>0)::int, 0), COALESCE((t.usage->>1)::int, 0), COALESCE((t.usage->>2)::int, 0),
       t."startedAt", t."finishedAt", t."nextAttemptAt"
  FROM json_to_recordset($17::json)
    AS t(node text, item int, ordinal int, status text, attempts int, input json, output json, failure json, usage json,
         "startedAt" timestamptz, "finishedAt" timestamptz, "nextAttemptAt" timestamptz)
"""

START: Final = _START.replace("{queued}", "")
QUEUE: Final = _START.replace(
    "{queued}",
    """, queued AS (
  INSERT INTO queued_runs (run_id, workspace_id, priority) SELECT $1, $2, $8 WHERE $19::int IS NULL
)""",
)
"""The same for a run that nobody claims yet; one that needs a turn comes into the queue when it has it."""


def start_arguments(run: NewRun, executor: ExecutorId | None, first: Group | None) -> tuple[object, ...]:
    """Return the parameters of `START`."""
    batch = fold([] if first is None else [first])
    return (
        *run_values(run),
        executor,
        0 if executor is None else FIRST_EPOCH,
        batch.runs[0].text() if batch.runs else "{}",
        *group_texts(batch),
        *key_values(run),
        None if run.delivery is None else run.delivery.webhook_id,
    )


def run_values(run: NewRun) -> tuple[object, ...]:
    """Return what every statement that makes a run begins with: `$1` to `$12`."""
    return (
        run.id,
        run.workspace_id,
        run.workflow_id,
        run.graph_id,
        run.node_count,
        run.trigger.value,
        run.triggered_by,
        run.priority,
        orjson.dumps(run.labels).decode(),
        run.input.decode(),
        run.created_at,
        run.version,
    )


def key_values(run: NewRun) -> tuple[object, ...]:
    """Return what every statement that makes a run ends with; what needs a turn is held until it has one."""
    limit = None if run.turns is None else run.turns.max_runs
    return (run.concurrency_key, limit, run.idempotency_key, run.request_hash, run.api_key_id)


def group_texts(batch: Batch) -> tuple[str, str]:
    """Return the events of a run's first group, and what they make of its nodes, as JSON."""
    return f"[{','.join(batch.events)}]", f"[{','.join([node.text() for node in batch.nodes.values()])}]"
