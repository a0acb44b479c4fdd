"""The cap on a workspace's runs that have not ended: those that are queued, at work, waiting or paused."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from domain.errors import LimitExceeded
from domain.room import Room

if TYPE_CHECKING:
    from domain.ids import WorkspaceId
    from domain.ports.run_room import RunCounts


class RunRoom:
    """Refuses runs of workspaces that have too many; without counts it refuses none."""

    def __init__(self, cap: int = 0, counts: RunCounts | None = None) -> None:
        self._room: Room[WorkspaceId] = Room(cap)
        self._counts = counts

    async def demand(self, workspace_id: WorkspaceId) -> None:
        """Refuse another run where there is no room for it.

        Raises:
            LimitExceeded: the workspace has as many runs as it may that have not ended.
        """
        if self._counts is not None and not await self._room.is_there(workspace_id, self._counts.unfinished):
            cap = self._room.cap
            message = (
                f"A workspace has at most {cap:,} runs that have not ended (ANABRANCH_LIMITS__UNFINISHED_RUNS): "
                "wait for some, or cancel them."
            )
            raise LimitExceeded(message, limit=cap)


UNLIMITED: Final = RunRoom()
"""Refuses nothing."""
