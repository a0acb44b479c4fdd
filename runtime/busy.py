"""How many runs of each workspace are in this process's memory, and who may begin no more of them."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from domain.ids import WorkspaceId


class Busy:
    """Counts by workspace, with the most that one may have; what has begun elsewhere comes in all the same."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.counts: Counter[WorkspaceId] = Counter()
        self._lines: set[WorkspaceId] = set()

    def enter(self, workspace_id: WorkspaceId) -> None:
        """Count a run."""
        self.counts[workspace_id] += 1

    def leave(self, workspace_id: WorkspaceId) -> bool:
        """Count a run no longer; tell whether others of the workspace may have waited for its place."""
        was_full = self.is_full(workspace_id)
        self.counts[workspace_id] -= 1
        if not self.counts[workspace_id]:
            del self.counts[workspace_id]
        return was_full

    def is_full(self, workspace_id: WorkspaceId) -> bool:
        """Tell whether a new run of the workspace has to queue: for want of a place, or behind others of it that do."""
        return self.counts[workspace_id] >= self.most or workspace_id in self._lines

    def queued(self, workspace_id: WorkspaceId) -> None:
        """Keep in mind that a workspace has runs in the queue which come before newer ones."""
        self._lines.add(workspace_id)

    def looked(self) -> None:
        """Forget lines of which nothing is left to be taken: the queue was read to its end."""
        self._lines = {one for one in self._lines if self.counts[one] >= self.most}
