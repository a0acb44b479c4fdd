"""What is shown of nodes without an end, when their run ends outside of its schedule: closed, and what all used summed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from domain.events import RunFailed
from domain.run import MIXED_CURRENCY, Usage
from persistence.run_rows import WHOLE

if TYPE_CHECKING:
    from domain.ports.runs import Group
    from persistence.database import DirectConnection

_CLOSE: Final = """
WITH closed AS (
  UPDATE node_runs SET status = 'CANCELED', failure = NULL, next_attempt_at = NULL, finished_at = $2
   WHERE run_id = $1 AND status IN ('RUNNING', 'WAITING', 'RETRYING')
  RETURNING item_index
)
UPDATE runs SET nodes_done = nodes_done + (SELECT count(*) FROM closed WHERE item_index = $3) WHERE id = $1
"""
_USED: Final = f"""
SELECT COALESCE(sum(input_tokens), 0)::bigint AS input_tokens, COALESCE(sum(output_tokens), 0)::bigint AS output_tokens,
       COALESCE(sum(total_tokens), 0)::bigint AS total_tokens,
       CASE WHEN min(currency) = max(currency) THEN sum(cost) END AS cost,
       CASE WHEN min(currency) <> max(currency) THEN '{MIXED_CURRENCY}' ELSE min(currency) END AS currency
  FROM node_runs WHERE run_id = $1
"""  # noqa: S608 -- a constant


async def close_nodes(connection: DirectConnection, group: Group) -> None:
    """Close what a group's run leaves open, and let the end of the run in the group tell what its nodes have used.

    The transaction holds the run's row, and all earlier groups of the run are stored.
    """
    await connection.execute(_CLOSE, group.run_id, group.at, WHOLE)
    used = await connection.fetchrow(_USED, group.run_id)
    assert used is not None  # noqa: S101 -- a sum is one row
    for event in group.events:
        if isinstance(event, RunFailed):
            event.usage = Usage(*used)
