"""What takes people's wishes about runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from domain.ids import RunId, UserId, WorkspaceId
    from domain.run import RunQuery
    from domain.steering import CanceledRuns


class RunSteering(Protocol):
    """Pauses, resumptions and cancellations of runs, whoever executes them."""

    async def pause(self, run_id: RunId, by: UserId) -> None:
        """Let a run start nothing any more; one that nobody executes is PAUSED at once.

        Raises:
            NotFound: it was deleted meanwhile.
            Conflict: it has ended, is being stopped, or is paused.
        """
        ...

    async def resume(self, run_id: RunId, by: UserId) -> None:
        """Let a paused run go on; one that had not begun is queued again.

        Raises:
            NotFound: it was deleted meanwhile.
            Conflict: it has ended, is being stopped, or is not paused.
        """
        ...

    async def cancel_many(
        self, workspace_id: WorkspaceId, query: RunQuery, by: UserId, reason: str | None, limit: int
    ) -> CanceledRuns:
        """Ask unfinished runs that match to stop, oldest first, up to a limit; those that were asked before do not count.

        A run whose caller is asked is stopped by it.
        """
        ...
