"""What the database says, passed on to those in this process whom it concerns."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from uuid import UUID

    from runtime.connection_limits import ConnectionLimits
    from runtime.local import LocalEngine
    from runtime.progress import Progress
    from runtime.workflow_changes import WorkflowFollowers


class Ears:
    """Passes what the database says to followers, to the engine, and to those who wait for room."""

    def __init__(
        self, progress: Progress, engine: LocalEngine, followers: WorkflowFollowers, limits: ConnectionLimits
    ) -> None:
        self._progress = progress
        self._engine = engine
        self._followers = followers
        self._limits = limits

    def woken(self, run_ids: Sequence[UUID]) -> None:
        """Let followers read."""
        self._progress.woken(run_ids)

    def commanded(self, run_ids: Sequence[UUID]) -> None:
        """Let the engine look for commands."""
        if not run_ids or any(self._engine.holds(run_id) for run_id in run_ids):
            self._engine.look()

    def edited(self, workflow_ids: Sequence[UUID]) -> None:
        """Let the followers of workflows read."""
        self._followers.woken(workflow_ids)

    def limited(self, connection: UUID | None, pause_s: float | None) -> None:
        """Let those who wait for room under a connection's limits ask again, or wait."""
        if connection is None:
            self._limits.look()
        elif pause_s is None:
            self._limits.has_room(connection)
        else:
            self._limits.paused(connection, pause_s)
