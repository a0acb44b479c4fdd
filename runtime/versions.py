"""Versions for those who publish, restore and compare them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from uuid_utils.compat import uuid7

from domain.audit import AuditAction
from domain.errors import GraphHasProblems, NotFound
from domain.identity import Permission
from domain.ids import Prefix, VersionId, to_global
from domain.layout import arranged
from domain.ports.versions import Publication
from domain.texts import check_text
from domain.versions import MAX_NOTE
from domain.workflow import WorkflowChange
from runtime.audit import NO_AUDIT
from runtime.identity import utc_now
from runtime.workflows import refuse_stale

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime

    from domain.identity import Principal
    from domain.ids import WorkflowId
    from domain.ports.audit import AuditTrail
    from domain.ports.paging import Page, PageRequest
    from domain.ports.versions import Versions
    from domain.uses import NodeUse, Usable
    from domain.versions import WorkflowVersion
    from domain.workflow import Workflow
    from runtime.drafts import Drafts
    from runtime.workflows import WorkflowService


class VersionService:
    """Publishes drafts and finds what was published, on behalf of a caller."""

    def __init__(
        self,
        versions: Versions,
        workflows: WorkflowService,
        drafts: Drafts,
        *,
        clock: Callable[[], datetime] = utc_now,
        audit: AuditTrail = NO_AUDIT,
    ) -> None:
        self._audit = audit
        self._versions = versions
        self._workflows = workflows
        self._drafts = drafts
        self._clock = clock

    # ── changing ──

    async def publish(
        self, actor: Principal, workflow_id: WorkflowId, expected_revision: int, note: str | None
    ) -> WorkflowVersion:
        """Make the draft the next version; a draft that is the published version already stays that version.

        Raises:
            NotFound: no such workflow.
            Forbidden: the caller may see it only.
            Conflict: it is at another revision, or what it uses was deleted this moment.
            GraphHasProblems: the draft has a problem of severity ERROR.
            InvalidInput: the note is too long or cannot be stored.
        """
        workflow = await self._workflows.get(actor, workflow_id)
        actor.demand(workflow.workspace_id, Permission.WRITE)
        if note is not None:
            check_text(note, ["input", "note"], limit=MAX_NOTE)
        refuse_stale(workflow, expected_revision, "look at what changed before you publish it")
        problems = await self._drafts.check(workflow.workspace_id, workflow.definition, workflow.slug)
        if errors := [problem for problem in problems if problem.is_error]:
            raise GraphHasProblems(errors, "The draft has errors and cannot be published.", path=["input", "id"])
        publication = Publication(VersionId(uuid7()), note, self._clock(), actor.user.id)
        target = to_global(Prefix.WORKFLOW, workflow.id)
        deed = self._audit.deed(actor, AuditAction.WORKFLOW_PUBLISHED, target, workflow.name)
        return await self._versions.publish(workflow, publication, deed=deed)

    async def restore(self, actor: Principal, workflow_id: WorkflowId, expected_revision: int, number: int) -> Workflow:
        """Make an earlier version the draft, in a new revision.

        Raises:
            NotFound: no such workflow, or no such version of it.
            Forbidden: the caller may see it only.
            Conflict: the draft is at another revision; it says which one and who made it.
            GraphHasProblems: a kind that the version uses is not installed any more.
        """
        workflow = await self._workflows.get(actor, workflow_id)
        version = await self.find(actor, workflow.id, number)
        if version is None:
            message = f"The workflow {workflow.slug} has no version {number}."
            raise NotFound(message, path=["input", "number"])
        definition = await self._drafts.definition(version.graph_id)
        change = WorkflowChange(
            graph=arranged(definition, version.layout).graph,
            input_schema=definition.input_schema,
            output=definition.output,
            settings=definition.settings.model_dump(by_alias=True),
        )
        return await self._workflows.update(actor, workflow.id, expected_revision, change)

    # ── reading ──

    async def find(self, actor: Principal, workflow_id: WorkflowId, number: int) -> WorkflowVersion | None:
        """Find a version of a workflow by its number."""
        return (await self.list_by_number(actor, [(workflow_id, number)])).get((workflow_id, number))

    async def list_by_number(
        self, actor: Principal, places: Sequence[tuple[WorkflowId, int]]
    ) -> Mapping[tuple[WorkflowId, int], WorkflowVersion]:
        """Return those of the versions, named by workflow and number, that the caller may see."""
        found = await self._versions.list_by_number(actor.within(), places)
        return {(version.workflow_id, version.number): version for version in found}

    async def list_by_id(
        self, actor: Principal, version_ids: Sequence[VersionId]
    ) -> Mapping[VersionId, WorkflowVersion]:
        """Return those of the versions that the caller may see."""
        return {version.id: version for version in await self._versions.list_by_id(actor.within(), version_ids)}

    async def page_by_workflow(
        self, workflow_ids: Sequence[WorkflowId], request: PageRequest
    ) -> Mapping[WorkflowId, Page[WorkflowVersion]]:
        """Read the same page of the versions of each of the workflows, which the caller was shown, newest first.

        Raises:
            CursorInvalid: a cursor of another list.
        """
        return await self._versions.page_by_workflow(workflow_ids, request)

    async def count_by_workflow(self, workflow_ids: Sequence[WorkflowId]) -> Mapping[WorkflowId, int]:
        """Count what `page_by_workflow` lists."""
        return await self._versions.count_by_workflow(workflow_ids)

    async def uses(self, things: Sequence[Usable]) -> Mapping[Usable, Sequence[NodeUse]]:
        """Find the nodes that use things which the caller was shown, at most 100 of each."""
        return await self._versions.uses(things)
