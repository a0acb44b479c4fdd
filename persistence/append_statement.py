"""The one statement that appends to the logs of many runs at once.

Locks are taken in the order of the ids: unsorted, two processes that append to the same runs deadlock. Events go only to
runs whose row was advanced, that is, whose lease is still the appender's. There is no ON CONFLICT for events: it would
leave gaps in `seq`; a repeated key fails the statement and the appender takes the batch apart.

Others are notified only where there are others: NOTIFY makes a commit of 0.18 ms take 0.26. Whoever listens has entered
itself among the executors before, and reads what is stored after that; should it miss a wake-up all the same, it polls.

Rows travel as JSON text, not as arrays: payloads are JSON already and are kept as written, and the driver takes eight
times longer to encode arrays (measured: docs/adr/0005-the-append-travels-as-json.md).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from domain.bounds import LARGEST
from domain.run import MIXED_CURRENCY

if TYPE_CHECKING:
    from persistence.run_rows import Batch

CHANNEL = "anabranch_runs"
COMMAND_CHANNEL = "anabranch_commands"
MAX_NAMED_RUNS = 200  # a NOTIFY payload holds 8,000 bytes; 32 for each run

APPEND = f"""
WITH asked AS MATERIALIZED (
  SELECT * FROM json_to_recordset($2::json)
    AS t(place int, id uuid, epoch int, count int, done int, status text, "startedAt" timestamptz,
         "finishedAt" timestamptz, output json, failure jsonb, usage json, recoveries int)
), locked AS MATERIALIZED (
  SELECT id FROM runs WHERE id = ANY($1::uuid[]) ORDER BY id FOR NO KEY UPDATE
), advanced AS (
  UPDATE runs r
     SET last_seq = r.last_seq + a.count, nodes_done = r.nodes_done + a.done, status = COALESCE(a.status, r.status),
         started_at = COALESCE(a."startedAt", r.started_at), finished_at = COALESCE(a."finishedAt", r.finished_at),
         output = COALESCE(a.output, r.output), failure = COALESCE(a.failure, r.failure),
         input_tokens = COALESCE((a.usage->>0)::bigint, r.input_tokens),
         output_tokens = COALESCE((a.usage->>1)::bigint, r.output_tokens),
         total_tokens = COALESCE((a.usage->>2)::bigint, r.total_tokens), cost = COALESCE((a.usage->>3)::numeric, r.cost),
         currency = COALESCE(a.usage->>4, r.currency), recoveries = COALESCE(a.recoveries, r.recoveries)
    FROM locked l JOIN asked a ON a.id = l.id
   WHERE r.id = l.id AND r.lease_epoch = a.epoch
     AND r.status NOT IN ('SUCCEEDED', 'FAILED', 'CANCELED', 'CRASHED')
  RETURNING r.id, a.place, r.last_seq - a.count AS base, r.workspace_id, r.workflow_id
), logged AS (
  INSERT INTO run_events (run_id, seq, event_key, type, at, node_key, item_index, execution, data)
  SELECT a.id, a.base + e.ordinal, e.key, e.type, e.at, e.node, e.item, e.execution, e.data
    FROM json_to_recordset($3::json)
      AS e(place int, ordinal int, key text, type text, at timestamptz, node text, item int, execution int, data json)
    JOIN advanced a ON a.place = e.place
), shown AS (
  INSERT INTO node_runs AS n (run_id, node_key, item_index, status, attempts, first_seq, input, output, failure,
                              input_tokens, output_tokens, total_tokens, cost, currency, started_at, finished_at,
                              next_attempt_at)
  SELECT a.id, t.node, t.item, t.status, t.attempts, a.base + t.ordinal, t.input, t.output, t.failure,
         LEAST(COALESCE((t.usage->>0)::bigint, 0), {LARGEST}), LEAST(COALESCE((t.usage->>1)::bigint, 0), {LARGEST}),
         LEAST(COALESCE((t.usage->>2)::bigint, 0), {LARGEST}),
         (t.usage->>3)::numeric, t.usage->>4, t."startedAt", t."finishedAt", t."nextAttemptAt"
    FROM json_to_recordset($4::json)
      AS t(place int, node text, item int, ordinal int, status text, attempts int, input json, output json,
           failure json, usage json, "startedAt" timestamptz, "finishedAt" timestamptz, "nextAttemptAt" timestamptz)
    JOIN advanced a ON a.place = t.place
  ON CONFLICT (run_id, node_key, item_index) DO UPDATE
     SET status = excluded.status, attempts = GREATEST(n.attempts, excluded.attempts),
         input = COALESCE(excluded.input, n.input), output = COALESCE(excluded.output, n.output),
         failure = excluded.failure,
         input_tokens = LEAST(n.input_tokens::bigint + excluded.input_tokens, {LARGEST}),
         output_tokens = LEAST(n.output_tokens::bigint + excluded.output_tokens, {LARGEST}),
         total_tokens = LEAST(n.total_tokens::bigint + excluded.total_tokens, {LARGEST}),
         cost = CASE WHEN n.currency <> excluded.currency THEN NULL
                     ELSE COALESCE(n.cost + excluded.cost, n.cost, excluded.cost) END,
         currency = CASE WHEN n.currency <> excluded.currency THEN '{MIXED_CURRENCY}'
                         ELSE COALESCE(n.currency, excluded.currency) END,
         started_at = COALESCE(n.started_at, excluded.started_at), finished_at = excluded.finished_at,
         next_attempt_at = excluded.next_attempt_at
), used AS (
  INSERT INTO model_usage (run_id, seq, workspace_id, workflow_id, workflow_slug, model, at, input_tokens, output_tokens,
                           total_tokens, cost, currency)
  SELECT a.id, a.base + c.ordinal, a.workspace_id, a.workflow_id, w.slug, c.model, c.at, (c.usage->>0)::bigint,
         (c.usage->>1)::bigint, (c.usage->>2)::bigint, (c.usage->>3)::numeric, c.usage->>4
    FROM json_to_recordset($7::json) AS c(place int, ordinal int, model text, at timestamptz, usage json)
    JOIN advanced a ON a.place = c.place
    JOIN workflows w ON w.id = a.workflow_id
), answered AS (
  UPDATE run_commands c SET applied_at = now()
    FROM advanced a WHERE c.run_id = a.id AND c.id = ANY($5::uuid[])
)
SELECT a.place, a.base, (
         SELECT pg_notify('{CHANNEL}', $6) WHERE EXISTS (
           SELECT 1 FROM executors e WHERE replace(e.id::text, '-', '') <> split_part($6, ':', 1)))
  FROM advanced a
"""  # noqa: S608 -- constants


def arguments(batch: Batch, sender: str) -> tuple[object, ...]:
    """Return the parameters of `APPEND`; `sender` lets a process ignore its own wake-ups."""
    runs = batch.runs
    named = "".join(run.run_id.hex for run in runs) if len(runs) <= MAX_NAMED_RUNS else ""
    return (
        [run.run_id for run in runs],
        f"[{','.join([run.text() for run in runs])}]",
        f"[{','.join(batch.events)}]",
        f"[{','.join([node.text() for node in batch.nodes.values()])}]",
        batch.commands,
        f"{sender}:{named}",
        f"[{','.join(batch.calls)}]",
    )
