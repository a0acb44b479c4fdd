"""Pausing runs, letting them go on and stopping many of them, for those who watch them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

from domain.errors import Forbidden
from domain.events import RunPaused, RunResumed
from domain.identity import Permission
from domain.texts import check_text
from runtime.effects import await_event
from runtime.runs import MAX_REASON

if TYPE_CHECKING:
    from collections.abc import Callable

    from domain.identity import Principal
    from domain.ids import RunId, WorkspaceId
    from domain.ports.steering import RunSteering
    from domain.run import Run, RunQuery
    from domain.steering import CanceledRuns
    from runtime.progress import Progress

MAX_CANCELED: Final = 10_000


class Runs(Protocol):
    """What steering reads of runs."""

    async def get(self, actor: Principal, run_id: RunId) -> Run:
        """Return a run.

        Raises:
            NotFound: the caller sees no such run.
        """
        ...


class SteeringService:
    """Takes wishes about runs that are under way."""

    def __init__(self, runs: Runs, steering: RunSteering, progress: Progress, look: Callable[[], None]) -> None:
        self._runs = runs
        self._steering = steering
        self._progress = progress
        self._look = look

    async def pause(self, actor: Principal, run_id: RunId) -> Run:
        """Let a run start nothing any more until it is resumed; what is in flight ends.

        Its executor is given a second to obey, so that the run which is returned shows it.

        Raises:
            NotFound: the caller sees no such run.
            Forbidden: the caller may see it but not steer it.
            Conflict: it has ended, is being stopped, or is paused.
        """
        before = await self._checked(actor, run_id)
        await self._steering.pause(run_id, actor.user.id)
        self._look()
        await await_event(self._progress, before, RunPaused)
        return await self._runs.get(actor, run_id)

    async def resume(self, actor: Principal, run_id: RunId) -> Run:
        """Let a paused run go on; its executor is given a second to obey.

        Raises:
            NotFound: the caller sees no such run.
            Forbidden: the caller may see it but not steer it.
            Conflict: it has ended, is being stopped, or is not paused.
        """
        before = await self._checked(actor, run_id)
        await self._steering.resume(run_id, actor.user.id)
        self._look()
        await await_event(self._progress, before, RunResumed)
        return await self._runs.get(actor, run_id)

    async def cancel_many(
        self, actor: Principal, workspace_id: WorkspaceId | None, query: RunQuery, reason: str | None
    ) -> CanceledRuns:
        """Ask the unfinished runs of a workspace that match to stop, 10,000 at most; return how many, and if there are more.

        Raises:
            NotFound, WorkspaceRequired: see `Principal.workspace`.
            Forbidden: the caller may see them but not stop them.
            InvalidInput: the reason is longer than 1,000 characters, or cannot be stored.
        """
        workspace = actor.workspace(workspace_id)
        if workspace not in actor.within(Permission.EXECUTE):
            raise Forbidden("Stopping runs needs the role EDITOR.")
        if reason is not None:
            check_text(reason, ["input", "reason"], limit=MAX_REASON)
        canceled = await self._steering.cancel_many(workspace, query, actor.user.id, reason, MAX_CANCELED)
        self._look()
        return canceled

    async def _checked(self, actor: Principal, run_id: RunId) -> Run:
        run = await self._runs.get(actor, run_id)
        if run.workspace_id not in actor.within(Permission.EXECUTE):
            raise Forbidden("Pausing runs and letting them go on needs the role EDITOR.")
        return run
