"""Calls of webhooks: what a token stands for, and deliveries that were taken once and are not taken again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from domain.errors import KeyTaken, NotFound
from domain.ids import GraphId, RunId, WebhookId, WorkflowId, WorkspaceId
from domain.webhooks import CalledWebhook, Delivered, Webhook
from domain.workflow import Published

if TYPE_CHECKING:
    from datetime import datetime

    from domain.webhooks import Delivery
    from persistence.database import Database, DirectConnection

_FIND: Final = """
SELECT h.id, h.workspace_id, h.workflow_id, h.name, h.prefix, h.ciphertext, h.last_called_at, h.created_at,
       w.published_number, w.published_graph_id
  FROM webhooks h JOIN workflows w ON w.id = h.workflow_id WHERE h.token_hash = $1
"""
_FIND_DELIVERY: Final = "SELECT run_id, body_hash FROM webhook_deliveries WHERE webhook_id = $1 AND key = $2"

# Both counts stop at the limit, and both are found by an index. Webhooks start runs of the usual priority.
_CROWDED: Final = """
SELECT (SELECT count(*) FROM (SELECT FROM queued_runs WHERE priority = 3 AND workspace_id = $1 LIMIT $3) q) >= $3
    OR (SELECT count(*) FROM (
          SELECT FROM runs
           WHERE workflow_id = $2 AND is_held AND concurrency_limit IS NOT NULL
             AND status NOT IN ('SUCCEEDED', 'FAILED', 'CANCELED', 'CRASHED') LIMIT $3) h) >= $3
"""

# The webhook's row is held, so that a token which is replaced, or a webhook that is deleted, in this moment starts nothing
# afterwards. Whoever delivers the same at once waits here until the first has committed.
_TAKE: Final = """
WITH hook AS (
  SELECT id FROM webhooks WHERE id = $1 AND token_hash = $2 FOR KEY SHARE
), taken AS (
  INSERT INTO webhook_deliveries (webhook_id, key, body_hash, run_id, at)
  SELECT id, $3, $4, $5, $6 FROM hook WHERE $3::text IS NOT NULL
  ON CONFLICT DO NOTHING RETURNING webhook_id
)
SELECT (SELECT count(*) FROM hook) AS hooks, (SELECT count(*) FROM taken) AS taken
"""
# Only the first call in a minute writes, and none waits for another one that does.
_NOTE: Final = """
UPDATE webhooks SET last_called_at = $2 WHERE id IN (
  SELECT id FROM webhooks WHERE id = $1 AND (last_called_at IS NULL OR last_called_at < $2)
     FOR NO KEY UPDATE SKIP LOCKED)
"""
_SWEEP: Final = """
WITH old AS (
  SELECT webhook_id, key FROM webhook_deliveries WHERE at < $1 ORDER BY at LIMIT $2 FOR UPDATE SKIP LOCKED
), gone AS (
  DELETE FROM webhook_deliveries d USING old WHERE d.webhook_id = old.webhook_id AND d.key = old.key RETURNING 1
)
SELECT count(*) FROM gone
"""


class PostgresWebhookCalls:
    """Implements `domain.ports.webhooks.WebhookCalls`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def find(self, token_hash: bytes) -> CalledWebhook | None:
        """Find what a token stands for."""
        async with self._database.driver() as connection:
            row = await connection.fetchrow(_FIND, token_hash)
        if row is None:
            return None
        webhook = Webhook(
            WebhookId(row["id"]),
            WorkspaceId(row["workspace_id"]),
            WorkflowId(row["workflow_id"]),
            row["name"],
            row["prefix"],
            row["ciphertext"] is not None,
            row["last_called_at"],
            row["created_at"],
        )
        number = row["published_number"]
        published = None if number is None else Published(number, GraphId(row["published_graph_id"]))
        return CalledWebhook(webhook, token_hash, row["ciphertext"], published)

    async def find_delivery(self, webhook_id: WebhookId, key: str) -> Delivered | None:
        """Find what an earlier call with the same key has started."""
        async with self._database.driver() as connection:
            row = await connection.fetchrow(_FIND_DELIVERY, webhook_id, key)
        return None if row is None else Delivered(RunId(row["run_id"]), row["body_hash"])

    async def is_crowded(self, webhook: Webhook, limit: int) -> bool:
        """Tell whether so many runs wait already for room in the workspace, or for a turn of the workflow."""
        async with self._database.driver() as connection:
            return await connection.fetchval(_CROWDED, webhook.workspace_id, webhook.workflow_id, limit)

    async def sweep(self, before: datetime, limit: int) -> int:
        """Forget deliveries that are older, so many at most; return how many."""
        async with self._database.driver() as connection:
            return await connection.fetchval(_SWEEP, before, limit)


async def take_delivery(connection: DirectConnection, run_id: RunId, delivery: Delivery) -> None:
    """Remember what starts a run, in the transaction that is open and has made the run.

    Raises:
        NotFound: the webhook is gone, or has another token by now; the transaction must then be rolled back.
        KeyTaken: the same was delivered before; likewise.
    """
    row = await connection.fetchrow(
        _TAKE, delivery.webhook_id, delivery.token_hash, delivery.key, delivery.body_hash, run_id, delivery.at
    )
    if row is None or not row["hooks"]:
        raise NotFound("The webhook is gone, or has another token.")
    if delivery.key is not None and not row["taken"]:
        raise KeyTaken
    minute = delivery.at.replace(second=0, microsecond=0)
    await connection.execute(_NOTE, delivery.webhook_id, minute)
