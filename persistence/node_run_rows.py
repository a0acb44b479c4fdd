"""What the nodes and items of a run did, read from its rows: in lists, by key, and at one point of the log."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import ColumnElement, Select, Text, case, cast, func, select, text, true

from domain.ids import NodeKey, RunId
from domain.run import MIXED_CURRENCY, NodeRun, NodeRunStatus, NodeState, RunSnapshot, RunStatus
from persistence.event_facts import read_failure, read_wait
from persistence.run_rows import WHOLE
from persistence.tables import node_runs
from persistence.usage import usage_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sqlalchemy.ext.asyncio import AsyncConnection

    from domain.run import NodeRunQuery

_USAGE: Final = frozenset({"input_tokens", "output_tokens", "total_tokens", "cost"})
_COLUMNS: Final = [
    column for column in node_runs.c if column.name not in {"input", "output", "failure", "currency"} | _USAGE
]

# The text of attempts in flight is gathered from their deltas; a settled node shows its output instead, and one that waits
# for its next attempt has nothing to show: that attempt begins anew. How many items there are is found by the event's key:
# with ORDER BY and LIMIT instead of an aggregate, the whole log would be walked for each node that has no list.
_SNAPSHOT: Final = f"""
WITH items AS (
  SELECT node_key, count(*) FILTER (WHERE status IN ('SUCCEEDED', 'FAILED', 'SKIPPED', 'CANCELED', 'REUSED')) AS done,
         count(*) FILTER (WHERE status = 'FAILED') AS failed,
         array_agg(item_index ORDER BY item_index) FILTER (WHERE status = 'WAITING') AS waiting, sum(input_tokens) AS input_tokens,
         sum(output_tokens) AS output_tokens, sum(total_tokens) AS total_tokens, sum(cost) AS cost,
         CASE WHEN min(currency) <> max(currency) THEN '{MIXED_CURRENCY}' ELSE min(currency) END AS currency
    FROM node_runs WHERE run_id = :run AND item_index >= 0 GROUP BY node_key
)
SELECT r.last_seq, r.status AS run_status, n.run_id, n.node_key, n.item_index, n.status, n.attempts,
       n.failure::text AS failure, n.input_tokens + COALESCE(i.input_tokens, 0) AS input_tokens,
       n.output_tokens + COALESCE(i.output_tokens, 0) AS output_tokens,
       n.total_tokens + COALESCE(i.total_tokens, 0) AS total_tokens, COALESCE(n.cost + i.cost, n.cost, i.cost) AS cost,
       CASE WHEN n.currency <> i.currency THEN '{MIXED_CURRENCY}' ELSE COALESCE(n.currency, i.currency) END AS currency,
       n.started_at, n.finished_at, n.next_attempt_at, n.reused_from,
       d.partial_text, d.partial_reasoning, w.data::text AS wait, x.item_count, COALESCE(i.done, 0) AS items_done,
       COALESCE(i.failed, 0) AS items_failed, COALESCE(i.waiting, '{{}}') AS items_waiting
  FROM runs r
  LEFT JOIN node_runs n ON n.run_id = r.id AND n.item_index = :whole
  LEFT JOIN items i ON i.node_key = n.node_key
  LEFT JOIN LATERAL (
    SELECT string_agg(e.data->>'text', '' ORDER BY e.seq) FILTER (WHERE e.data->>'channel' = 'TEXT') AS partial_text,
           string_agg(e.data->>'text', '' ORDER BY e.seq) FILTER (WHERE e.data->>'channel' = 'REASONING')
             AS partial_reasoning
      FROM run_events e
     WHERE n.status = 'RUNNING' AND e.run_id = r.id AND e.type = 'NodeOutputDelta'
       AND e.node_key = n.node_key AND e.item_index IS NULL AND e.execution = n.attempts
  ) d ON true
  LEFT JOIN LATERAL (
    SELECT (array_agg((e.data->>'itemCount')::int ORDER BY e.seq DESC))[1] AS item_count
      FROM run_events e
     WHERE e.run_id = r.id AND e.event_key = ANY (ARRAY(
             SELECT 'NodeExpanded/' || n.node_key || '/-/' || execution FROM generate_series(1, n.attempts) AS execution))
  ) x ON true
  LEFT JOIN run_events w ON n.status = 'WAITING' AND w.run_id = r.id
                        AND w.event_key = 'NodeWaiting/' || n.node_key || '/-/' || n.attempts
 WHERE r.id = :run
 ORDER BY n.first_seq, n.node_key
"""  # noqa: S608 -- a constant

# The deltas of the runs are read once, however many items are asked for: within CASE the rows that are wanted are hashed, while
# as a join the planner, which expects few, would read a run's log again for each of them.
_PARTIAL_TEXTS: Final = """
WITH wanted AS MATERIALIZED (
  SELECT n.run_id, n.node_key, n.item_index, n.attempts
    FROM unnest(CAST(:runs AS uuid[]), CAST(:keys AS text[]), CAST(:items AS int[])) AS w(run_id, key, item)
    JOIN node_runs n ON n.run_id = w.run_id AND n.node_key = w.key AND n.item_index = w.item
)
SELECT e.run_id, e.node_key AS key, COALESCE(e.item_index, -1) AS item, string_agg(e.data->>'text', '' ORDER BY e.seq) AS text
  FROM run_events e
 WHERE e.run_id = ANY(CAST(:runs AS uuid[])) AND e.type = 'NodeOutputDelta'
   AND CASE WHEN (e.run_id, e.node_key, COALESCE(e.item_index, -1), e.execution) IN (SELECT * FROM wanted) THEN true END
   AND e.data->>'channel' = 'TEXT'
 GROUP BY e.run_id, e.node_key, COALESCE(e.item_index, -1)
"""


def select_node_runs() -> Select[Any]:
    """Return what reads nodes and items; a node as a whole has used what its items have."""
    items = node_runs.alias("items")
    of_items = (
        select(
            *(func.sum(items.c[name]).label(name) for name in sorted(_USAGE)),
            func.min(items.c.currency).label("currency"),
            func.max(items.c.currency).label("other_currency"),
        )
        .where(
            node_runs.c.item_index == WHOLE,
            items.c.run_id == node_runs.c.run_id,
            items.c.node_key == node_runs.c.node_key,
            items.c.item_index >= 0,
        )
        .lateral("of_items")
    )
    tokens = [
        (node_runs.c[name] + func.coalesce(of_items.c[name], 0)).label(name) for name in sorted(_USAGE - {"cost"})
    ]
    own, theirs = node_runs.c.cost, of_items.c.cost
    return select(
        *_COLUMNS,
        *tokens,
        func.coalesce(own + theirs, own, theirs).label("cost"),
        _one_currency(node_runs.c.currency, of_items.c.currency, of_items.c.other_currency).label("currency"),
        cast(node_runs.c.failure, Text).label("failure"),
    ).select_from(node_runs.join(of_items, true(), isouter=True))


def _one_currency(*found: ColumnElement[str | None]) -> ColumnElement[str | None]:
    """Return the currency of all that were found, of which some may be null."""
    return case((func.least(*found) != func.greatest(*found), MIXED_CURRENCY), else_=func.least(*found))


def node_conditions(query: NodeRunQuery) -> list[ColumnElement[bool]]:
    """Return which rows of runs are asked for."""
    conditions: list[ColumnElement[bool]] = []
    if query.node_keys:
        conditions.append(node_runs.c.node_key.in_(query.node_keys))
    if query.statuses:
        conditions.append(node_runs.c.status.in_([status.value for status in query.statuses]))
    if query.is_item is not None:
        conditions.append(node_runs.c.item_index != WHOLE if query.is_item else node_runs.c.item_index == WHOLE)
    return conditions


def node_run_of(row: Any) -> NodeRun:
    """Return the node or item of a row."""
    return NodeRun(
        RunId(row.run_id),
        NodeKey(row.node_key),
        None if row.item_index == WHOLE else row.item_index,
        NodeRunStatus(row.status),
        row.attempts,
        read_failure(row.failure),
        usage_of(row),
        row.started_at,
        row.finished_at,
        row.next_attempt_at,
        None if row.reused_from is None else RunId(row.reused_from),
    )


async def read_snapshot(connection: AsyncConnection, run_id: RunId) -> RunSnapshot:
    """Return the state of all started nodes of a run at one point of its log."""
    rows = (await connection.execute(text(_SNAPSHOT), {"run": run_id, "whole": WHOLE})).all()
    states = tuple(_state(row) for row in rows if row.node_key is not None)
    return RunSnapshot(rows[0].last_seq, RunStatus(rows[0].run_status), states)


def _state(row: Any) -> NodeState:
    is_many = row.item_count is not None
    return NodeState(
        node_run_of(row),
        row.partial_text,
        row.partial_reasoning,
        read_wait(row.wait),
        row.item_count,
        row.items_done if is_many else None,
        row.items_failed if is_many else None,
        tuple(row.items_waiting) if is_many else None,
    )


async def read_partial_texts(
    connection: AsyncConnection, places: Sequence[tuple[RunId, str, int | None]]
) -> Mapping[tuple[RunId, str, int | None], str]:
    """Return what the last attempts of nodes and items have written so far."""
    wanted = {(run, key, WHOLE if item is None else item): (run, key, item) for run, key, item in places}
    parameters = {
        "runs": [run for run, _, _ in wanted],
        "keys": [key for _, key, _ in wanted],
        "items": [item for _, _, item in wanted],
    }
    rows = (await connection.execute(text(_PARTIAL_TEXTS), parameters)).all()
    return {wanted[row.run_id, row.key, row.item]: row.text for row in rows}
