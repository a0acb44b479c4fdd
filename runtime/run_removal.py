"""Deleting runs, for those who keep their workspace clean."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from domain.audit import AuditAction
from domain.errors import Conflict
from domain.identity import Permission
from domain.ids import Prefix, to_global

if TYPE_CHECKING:
    from domain.identity import Principal
    from domain.ids import RunId
    from domain.ports.run_removal import RunRemoval
    from domain.run import Run
    from runtime.audit import AuditService
    from runtime.progress import Progress
    from runtime.run_starts import Workflows


class Runs(Protocol):
    """What removal reads of runs."""

    async def get(self, actor: Principal, run_id: RunId) -> Run:
        """Return a run.

        Raises:
            NotFound: the caller sees no such run.
        """
        ...


class RunRemovalService:
    """Deletes runs that have ended."""

    def __init__(
        self, runs: Runs, workflows: Workflows, removal: RunRemoval, progress: Progress, audit: AuditService
    ) -> None:
        self._runs = runs
        self._workflows = workflows
        self._removal = removal
        self._progress = progress
        self._audit = audit

    async def delete(self, actor: Principal, run_id: RunId) -> None:
        """Delete a run with its log, inputs and outputs, and with the runs that it called; who follows it is told.

        Raises:
            NotFound: the caller sees no such run.
            Forbidden: the caller may see it only.
            Conflict: it, or a run that it called, has not ended; or somebody holds it for long.
            InUse: another run called it, which is kept.
        """
        run = await self._runs.get(actor, run_id)
        actor.demand(run.workspace_id, Permission.WRITE)
        if not run.status.is_finished:
            message = f"The run has not ended ({run.status.value}); wait for it or cancel it."
            raise Conflict(message, path=["input", "id"])
        workflow = await self._workflows.find(actor.within(), run.workflow_id)
        name = None if workflow is None else workflow.name
        target = to_global(Prefix.RUN, run_id)
        deed = self._audit.deed(actor, AuditAction.RUN_DELETED, target, name)
        self._progress.woken(await self._removal.remove(run.workspace_id, run_id, deed))
