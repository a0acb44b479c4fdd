"""Text that ended runs have streamed, merged: where many pieces stood, the last of them has them all.

A piece keeps its seq and takes over the offset of the first. Whoever goes on behind a piece that is gone has the text up
to there, gets the merged piece, and overwrites from its beginning: the same text. Pieces are merged up to a size that an
event may have, so a long text stays some pieces.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import asyncpg
import structlog

from persistence.database import is_unavailable

if TYPE_CHECKING:
    from datetime import datetime

    from persistence.database import Database, DirectConnection

_LOCK: Final = 0x616E_6163_6F6D_7061
"""Whose transaction holds it compacts; others look later."""
_PIECE_CHARACTERS: Final = 65_536
_MERGE_S: Final = 300.0
"""How long the texts of one run may take; one that takes longer stays as it is."""
_GRACE_S: Final = 5.0
"""How much later than the server the driver gives up; on a connection of the pool it would much earlier."""
_TIMEOUT: Final = "SELECT set_config('statement_timeout', $1, true)"

_DUE: Final = """
SELECT w.id AS workspace_id, r.id, r.finished_at
  FROM workspaces w
  LEFT JOIN compactions c ON c.workspace_id = w.id
 CROSS JOIN LATERAL (
   SELECT r.id, r.finished_at FROM runs r
    WHERE r.workspace_id = w.id AND r.finished_at < $1
      AND (r.finished_at, r.id) > (COALESCE(c.finished_at, '-infinity'),
                                   COALESCE(c.run_id, '00000000-0000-0000-0000-000000000000'))
    ORDER BY r.finished_at, r.id LIMIT $2) r
 ORDER BY r.finished_at, r.id LIMIT $2
"""

_MERGE: Final = """
WITH pieces AS (
  SELECT e.seq, e.node_key, e.item_index, e.execution, e.data->>'channel' AS channel, e.data->>'text' AS text,
         (e.data->>'offset')::int AS place
    FROM run_events e WHERE e.run_id = $1 AND e.type = 'NodeOutputDelta'
), cut AS (
  SELECT *, (sum(length(text)) OVER (PARTITION BY node_key, item_index, execution, channel ORDER BY seq) - length(text))
            / $2::bigint AS part
    FROM pieces
), placed AS (
  SELECT *, max(seq) OVER (PARTITION BY node_key, item_index, execution, channel, part) AS last FROM cut
), gone AS (
  DELETE FROM run_events e USING placed p WHERE e.run_id = $1 AND e.seq = p.seq AND p.seq < p.last
), merged AS (
  SELECT last, channel, min(place) AS place, string_agg(text, '' ORDER BY seq) AS text
    FROM placed GROUP BY last, channel HAVING count(*) > 1
)
UPDATE run_events e SET data = json_build_object('channel', m.channel, 'text', m.text, 'offset', m.place)
  FROM merged m WHERE e.run_id = $1 AND e.seq = m.last
"""

_MARK: Final = """
INSERT INTO compactions (workspace_id, finished_at, run_id) VALUES ($1, $2, $3)
ON CONFLICT (workspace_id) DO UPDATE SET finished_at = excluded.finished_at, run_id = excluded.run_id
"""

# What was asked of a run just before it ended has no answer, and each look for commands would read it again.
_CLOSE: Final = (
    "UPDATE run_commands SET applied_at = clock_timestamp() WHERE run_id = ANY($1::uuid[]) AND applied_at IS NULL"
)

_log = structlog.get_logger(__name__)


class PostgresCompaction:
    """Implements `domain.ports.compaction.Compaction`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def compact(self, ended_before: datetime, limit: int) -> int:
        """Merge the texts of the next runs that ended before a time; return how many, 0 while another process does it.

        What was still asked of them is asked no longer.

        Raises:
            DatabaseUnavailable: the database does not answer; then nothing is changed.
        """
        async with self._database.driver() as connection, connection.transaction():
            if not await connection.fetchval("SELECT pg_try_advisory_xact_lock($1)", _LOCK):
                return 0
            await connection.execute(_TIMEOUT, f"{_MERGE_S * 1_000:.0f}")
            due = await connection.fetch(_DUE, ended_before, limit)
            for row in due:
                await _merge(connection, row["id"])
            await connection.execute(_CLOSE, [row["id"] for row in due])
            for row in {row["workspace_id"]: row for row in due}.values():
                await connection.execute(_MARK, row["workspace_id"], row["finished_at"], row["id"])
            return len(due)


async def _merge(connection: DirectConnection, run_id: object) -> None:
    try:
        async with connection.transaction():
            await connection.execute(_MERGE, run_id, _PIECE_CHARACTERS, timeout=_MERGE_S + _GRACE_S)
    except asyncpg.PostgresError as error:
        if is_unavailable(error):
            raise
        # It stays as it is; one run must not hold up the others for ever.
        _log.exception("compaction.run_skipped", run_id=str(run_id))
