"""How many runs a workspace has that have not ended: counted through their index, and no further than asked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from domain.ids import WorkspaceId
    from persistence.database import Database

_COUNT: Final = """
SELECT count(*) FROM (
  SELECT 1 FROM runs WHERE workspace_id = $1 AND status NOT IN ('SUCCEEDED', 'FAILED', 'CANCELED', 'CRASHED') LIMIT $2) found
"""


class PostgresRunCounts:
    """Implements `domain.ports.run_room.RunCounts`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def unfinished(self, workspace_id: WorkspaceId, most: int) -> int:
        """Count the runs of a workspace that have not ended, up to a number."""
        async with self._database.driver() as connection:
            return await connection.fetchval(_COUNT, workspace_id, most)
