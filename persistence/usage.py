"""What was used of models: by run, and summed for a workspace."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from domain.ids import RunId, WorkflowId
from domain.run import MIXED_CURRENCY, NO_USAGE, Usage
from domain.usage import MAX_BUCKETS, UsageBucket, UsageGroup

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from domain.ids import WorkspaceId
    from domain.usage import UsageQuery
    from persistence.database import Database

# What a node that called a run has used is what that run has: where the run is kept, its own nodes tell.
_OF_RUNS: Final = """
WITH RECURSIVE tree AS (
  SELECT id AS root, id FROM unnest($1::uuid[]) AS given(id)
   UNION ALL
  SELECT t.root, r.id FROM tree t JOIN runs r ON r.parent_run_id = t.id
)
SELECT t.root, sum(n.input_tokens)::bigint AS input_tokens, sum(n.output_tokens)::bigint AS output_tokens,
       sum(n.total_tokens)::bigint AS total_tokens, sum(n.cost) AS cost, min(n.currency) AS currency,
       max(n.currency) AS other_currency
  FROM tree t
  JOIN node_runs n ON n.run_id = t.id AND n.total_tokens > 0
 WHERE NOT EXISTS (SELECT 1 FROM runs c WHERE c.parent_run_id = t.id AND c.parent_node_key = n.node_key
                      AND COALESCE(c.parent_item_index, -1) = n.item_index)
 GROUP BY t.root
"""

_KEYS: Final[Mapping[UsageGroup, tuple[str, str | None, str]]] = {
    UsageGroup.DAY: (
        "(u.at AT TIME ZONE 'UTC')::date",
        "(r.finished_at AT TIME ZONE 'UTC')::date",
        " AND (r.finished_at AT TIME ZONE 'UTC')::date = (u.at AT TIME ZONE 'UTC')::date",
    ),
    UsageGroup.WORKFLOW: ("u.workflow_id", "r.workflow_id", ""),
    UsageGroup.MODEL: ("u.model", None, ""),
}
"""What usage is grouped by, what runs are that ended, and when a run ended where it used; no model has runs that used none."""

# Runs are counted where they ended, by counting rows, and beside that those that used a model elsewhere, which are few but of
# models: so nothing has to be told apart that a million runs have in common. Unfinished runs count nowhere; they are few too.
_BUCKETS: Final = """
WITH summed AS (
  SELECT {used_key} AS key, max(u.workflow_slug) AS slug, sum(u.input_tokens) AS input_tokens,
         sum(u.output_tokens) AS output_tokens, sum(u.total_tokens) AS total_tokens, sum(u.cost) AS cost,
         min(u.currency) AS currency, max(u.currency) AS other_currency
    FROM model_usage u
   WHERE u.workspace_id = $1 AND u.at >= $2 AND u.at < $3
   GROUP BY 1
), counted AS (
  SELECT key, sum(count) AS run_count
    FROM (SELECT key, count(*) AS count
            FROM (SELECT {used_key} AS key, u.run_id
                    FROM model_usage u
                   WHERE u.workspace_id = $1 AND u.at >= $2 AND u.at < $3
                     AND NOT EXISTS (
                       SELECT 1 FROM runs r
                        WHERE r.workspace_id = $1 AND r.id = u.run_id
                          AND r.status NOT IN ('SUCCEEDED', 'FAILED', 'CANCELED', 'CRASHED'))
                     {elsewhere}
                   GROUP BY 1, 2) AS touched
           GROUP BY key
          {ended}) AS parts
   GROUP BY key
)
SELECT key::text AS key, s.slug, COALESCE(c.run_count, 0)::bigint AS run_count,
       COALESCE(s.input_tokens, 0)::bigint AS input_tokens, COALESCE(s.output_tokens, 0)::bigint AS output_tokens,
       COALESCE(s.total_tokens, 0)::bigint AS total_tokens, s.cost, s.currency, s.other_currency
  FROM summed s FULL JOIN counted c USING (key)
 ORDER BY {order} LIMIT $4
"""
_ENDED: Final = """UNION ALL
          SELECT {run_key}, count(*) FROM runs r
           WHERE r.workspace_id = $1 AND r.finished_at >= $2 AND r.finished_at < $3 GROUP BY 1"""
_ELSEWHERE: Final = """AND NOT EXISTS (
                       SELECT 1 FROM runs r
                        WHERE r.workspace_id = $1 AND r.finished_at >= $2 AND r.finished_at < $3
                          AND r.id = u.run_id{is_there})"""
_SLUGS: Final = "SELECT id, slug FROM workflows WHERE id = ANY($1::uuid[])"


class PostgresUsage:
    """Implements `domain.ports.usage.UsageReader`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def of_runs(self, run_ids: Sequence[RunId]) -> Mapping[RunId, Usage]:
        """Return what runs, and all that they called, have used so far; runs that used nothing are left out."""
        async with self._database.driver() as connection:
            rows = await connection.fetch(_OF_RUNS, run_ids)
        return {RunId(row["root"]): _summed(row) for row in rows}

    async def buckets(self, workspace_id: WorkspaceId, query: UsageQuery) -> Sequence[UsageBucket]:
        """Return what a workspace has used in a span of time: days in their order, else by tokens, most first."""
        statement = _statement(query.group)
        async with self._database.driver() as connection:
            rows = await connection.fetch(statement, workspace_id, query.begin, query.end, MAX_BUCKETS)
            if query.group is not UsageGroup.WORKFLOW:
                return [UsageBucket(row["key"], row["run_count"], _summed(row)) for row in rows]
            slugs = await connection.fetch(_SLUGS, [row["key"] for row in rows])
        return _of_workflows(rows, {str(row["id"]): row["slug"] for row in slugs})


def _statement(group: UsageGroup) -> str:
    used_key, run_key, is_there = _KEYS[group]
    return _BUCKETS.format(
        used_key=used_key,
        ended="" if run_key is None else _ENDED.format(run_key=run_key),
        elsewhere="" if run_key is None else _ELSEWHERE.format(is_there=is_there),
        order="key" if group is UsageGroup.DAY else "total_tokens DESC, key",
    )


def _of_workflows(rows: Sequence[Any], slugs: Mapping[str, str]) -> list[UsageBucket]:
    return [
        UsageBucket(
            slugs.get(row["key"]) or row["slug"],
            row["run_count"],
            _summed(row),
            WorkflowId(UUID(row["key"])) if row["key"] in slugs else None,
        )
        for row in rows
    ]


def usage_of(row: Any) -> Usage:
    """Return the usage that a row of runs or of what their nodes did shows."""
    if not row.total_tokens:
        return NO_USAGE
    # Rows are summed before anybody sees that their currencies differ.
    cost = None if row.currency == MIXED_CURRENCY else row.cost
    return Usage(row.input_tokens, row.output_tokens, row.total_tokens, cost, row.currency)


def _summed(row: Any) -> Usage:
    is_mixed = row["currency"] != row["other_currency"]
    cost, currency = (None, MIXED_CURRENCY) if is_mixed else (row["cost"], row["currency"])
    return Usage(row["input_tokens"], row["output_tokens"], row["total_tokens"], cost, currency)
