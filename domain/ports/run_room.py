"""Whether a workspace may have another run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from domain.ids import WorkspaceId


class RunCounts(Protocol):
    """Counts runs."""

    async def unfinished(self, workspace_id: WorkspaceId, most: int) -> int:
        """Count the runs of a workspace that have not ended, up to a number."""
        ...
