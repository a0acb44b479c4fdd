"""Workflows for those who write them: checked, stored, found."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from uuid_utils.compat import uuid7

from domain.audit import AuditAction
from domain.config_fields import canonical
from domain.drafts import read_graph, read_settings, too_deep
from domain.edits import touched_nodes
from domain.errors import AlreadyExists, Conflict, GraphHasProblems, InvalidInput, LimitExceeded, NotFound
from domain.identity import Permission
from domain.ids import Prefix, WorkflowId, to_global
from domain.layout import layout_of, replaced
from domain.ports.repositories import WorkflowRow
from domain.problems import UNKNOWN_KIND, Problem
from domain.slugs import candidates, checked_slug, slug_of
from domain.texts import check_line, check_text
from domain.workflow import (
    SLUG_PATTERN,
    UNSET,
    Definition,
    Workflow,
    WorkflowChange,
    WorkflowDraft,
    WorkflowFilter,
    WorkflowOrder,
    WorkflowSettings,
)
from runtime.audit import NO_AUDIT
from runtime.identity import utc_now
from runtime.input_schema import compile_schema

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime

    from domain.edits import Edited
    from domain.identity import Principal
    from domain.ids import GraphId, WorkspaceId
    from domain.json_value import Json
    from domain.kinds import NodeKind
    from domain.layout import Layout
    from domain.ports.audit import AuditTrail
    from domain.ports.paging import Page, PageRequest
    from domain.ports.repositories import Workflows
    from runtime.drafts import Drafts

MAX_NAME: Final = 200
MAX_DESCRIPTION: Final = 10_000
MAX_SLUGS: Final = 100
_MAX_SEARCH: Final = 200


class WorkflowService:
    """Makes, changes, deletes and finds workflows on behalf of a caller."""

    def __init__(
        self,
        workflows: Workflows,
        drafts: Drafts,
        kinds: Mapping[str, NodeKind],
        *,
        clock: Callable[[], datetime] = utc_now,
        audit: AuditTrail = NO_AUDIT,
    ) -> None:
        """Take the store.

        Args:
            workflows: where they are stored.
            drafts: checks them.
            kinds: the node kinds that are there, by their names in `NodeConfigInput`.
            clock: the time.
            audit: is told what was done.
        """
        self._audit = audit
        self._workflows = workflows
        self._drafts = drafts
        self._kinds = kinds
        self._clock = clock

    # ── changing ──

    async def create(self, actor: Principal, workspace_id: WorkspaceId | None, draft: WorkflowDraft) -> Workflow:
        """Make a workflow.

        Raises:
            NotFound, WorkspaceRequired, Forbidden: the workspace is not one in which the caller may do this.
            InvalidInput: name, slug, description or input schema are not acceptable.
            AlreadyExists: the slug is taken.
            GraphHasProblems: the graph has structural problems.
        """
        workspace = actor.workspace(workspace_id, Permission.WRITE)
        name = check_line(draft.name, ["input", "name"], limit=MAX_NAME)
        definition, problems = await self._prepared(workspace, draft.definition, itself=draft.slug)
        row = WorkflowRow(
            id=WorkflowId(uuid7()),
            workspace_id=workspace,
            slug=checked_slug(draft.slug) if draft.slug is not None else slug_of(name),
            name=name,
            description=_description(draft.description),
            definition=definition,
            problems=problems,
            updated_at=self._clock(),
            updated_by=actor.user.id,
            layout=layout_of(draft.definition.graph),
        )
        if draft.slug is not None:
            return await self._workflows.add(row)
        return await self._add_with_free_slug(row)

    async def update(
        self, actor: Principal, workflow_id: WorkflowId, expected_revision: int, change: WorkflowChange
    ) -> Workflow:
        """Change a workflow, all at once or not at all.

        Raises:
            NotFound: no such workflow.
            Forbidden: the caller may see it only.
            Conflict: it is at another revision; it says which one and who made it.
            InvalidInput: a value is not acceptable.
            AlreadyExists: the slug is taken.
            InUse: published nodes of other workflows use the slug that it gives up.
            GraphHasProblems: the graph has structural problems.
        """
        workflow = await self._get_for(actor, workflow_id, Permission.WRITE)
        refuse_stale(workflow, expected_revision)
        name, slug, description = change.name, change.slug, change.description
        definition, problems = await self._prepared(
            workflow.workspace_id,
            _changed(workflow.definition, change),
            workflow.definition,
            itself=workflow.slug if slug is UNSET else slug,
        )
        row = replace(
            self._row(actor, workflow, definition, problems),
            slug=workflow.slug if slug is UNSET else checked_slug(slug),
            name=workflow.name if name is UNSET else check_line(name, ["input", "name"], limit=MAX_NAME),
            description=workflow.description if description is UNSET else _description(description),
            layout={} if change.graph is UNSET else replaced(workflow.definition.graph, change.graph),
            touched=touched_nodes(workflow.definition.graph, definition.graph),
            former_slug=None if slug in {UNSET, workflow.slug} else workflow.slug,
        )
        return await self._workflows.save(row, expected_revision)

    async def edit(
        self, actor: Principal, workflow_id: WorkflowId, expected_revision: int, edit: Callable[[Definition], Edited]
    ) -> Workflow:
        """Change the definition of a draft by an edit of `domain.edits`.

        Raises:
            NotFound: no such workflow, or what the edit does not find.
            Forbidden: the caller may see it only.
            Conflict: it is at another revision; it says which one and who made it.
            AlreadyExists, LimitExceeded: as the edit says.
            GraphHasProblems: the graph would have structural problems.
        """
        workflow = await self.get_to_edit(actor, workflow_id)
        refuse_stale(workflow, expected_revision)
        edited = edit(workflow.definition)
        definition, problems = await self._prepared(
            workflow.workspace_id, edited.definition, workflow.definition, itself=workflow.slug
        )
        row = self._row(actor, workflow, definition, problems)
        row = replace(row, layout=edited.layout, touched=edited.touched)
        return await self._workflows.save(row, expected_revision)

    async def delete(self, actor: Principal, workflow_id: WorkflowId) -> None:
        """Delete a workflow with its finished runs.

        Raises:
            NotFound: no such workflow.
            Forbidden: the caller may see it only.
            InUse: it has runs that have not ended, or published nodes of other workflows use it.
        """
        workflow = await self._get_for(actor, workflow_id, Permission.WRITE)
        target = to_global(Prefix.WORKFLOW, workflow.id)
        deed = self._audit.deed(actor, AuditAction.WORKFLOW_DELETED, target, workflow.name)
        await self._workflows.remove(workflow.id, workflow.workspace_id, actor.user.id, deed=deed)

    # ── reading ──

    async def get(self, actor: Principal, workflow_id: WorkflowId) -> Workflow:
        """Return a workflow that the caller may see.

        Raises:
            NotFound: no such workflow.
        """
        workflow = await self.find(actor, workflow_id)
        if workflow is None:
            raise NotFound("There is no workflow with this id.", path=["input", "id"])
        return workflow

    async def find(self, actor: Principal, workflow_id: WorkflowId) -> Workflow | None:
        """Find a workflow that the caller may see."""
        return await self._drafts.find(actor.within(), workflow_id)

    async def find_by_slug(self, actor: Principal, workspace_id: WorkspaceId, slug: str) -> Workflow | None:
        """Find a workflow of a workspace by its slug.

        Raises:
            NotFound: no such workspace.
        """
        workspace = actor.workspace(workspace_id)
        return await self._drafts.find_by_slug(workspace, slug) if re.fullmatch(SLUG_PATTERN, slug) else None

    async def list_by_id(self, actor: Principal, workflow_ids: Sequence[WorkflowId]) -> Mapping[WorkflowId, Workflow]:
        """Return those of the workflows that the caller may see."""
        return {one.id: one for one in await self._drafts.list_by_id(actor.within(), workflow_ids)}

    async def page_by_workspace(
        self, workspace_ids: Sequence[WorkspaceId], chosen: WorkflowFilter, order: WorkflowOrder, page: PageRequest
    ) -> Mapping[WorkspaceId, Page[Workflow]]:
        """Read the same page of the workflows of each of the workspaces, which the caller was shown.

        Raises:
            InvalidInput: a filter that is too long.
            CursorInvalid: a cursor of another list.
        """
        return await self._workflows.page_by_workspace(workspace_ids, _acceptable(chosen), order, page)

    async def count_by_workspace(
        self, workspace_ids: Sequence[WorkspaceId], chosen: WorkflowFilter
    ) -> Mapping[WorkspaceId, int]:
        """Count what `page_by_workspace` lists."""
        return await self._workflows.count_by_workspace(workspace_ids, _acceptable(chosen))

    async def layouts(self, workflow_ids: Sequence[WorkflowId]) -> Mapping[WorkflowId, Layout]:
        """Read where the nodes are now of workflows whose runs the caller may see; those that are gone are left out."""
        return await self._drafts.layouts(workflow_ids)

    async def definition(self, graph_id: GraphId) -> Definition:
        """Read a definition that a run pins, without layout, for a caller who may see that run.

        Raises:
            NotFound: there is none with this id.
        """
        return await self._drafts.definition(graph_id)

    async def validate(
        self, actor: Principal, workspace_id: WorkspaceId | None, nodes: Sequence[Any], edges: Sequence[Any]
    ) -> list[Problem]:
        """Return what would be wrong with a graph, given as `GraphInput` writes it.

        Raises:
            NotFound, WorkspaceRequired: the caller sees no such workspace, or sees several and names none.
        """
        workspace = actor.workspace(workspace_id)
        try:
            graph = read_graph(nodes, edges)
        except GraphHasProblems as fault:
            return fault.problems
        except LimitExceeded as fault:
            return [Problem("TOO_LARGE", fault.message, is_structural=True)]
        return await self._drafts.check(workspace, Definition(graph=graph))

    async def get_to_edit(self, actor: Principal, workflow_id: WorkflowId) -> Workflow:
        """Return a workflow that the caller may change.

        Raises:
            NotFound: no such workflow.
            Forbidden: the caller may see it only.
        """
        return await self._get_for(actor, workflow_id, Permission.WRITE, "workflowId")

    # ── inside ──

    async def _get_for(
        self, actor: Principal, workflow_id: WorkflowId, permission: Permission, named: str = "id"
    ) -> Workflow:
        workflow = await self._workflows.find(actor.within(), workflow_id)
        if workflow is None:
            raise NotFound("There is no workflow with this id.", path=["input", named])
        actor.demand(workflow.workspace_id, permission)
        return workflow

    async def _prepared(
        self,
        workspace_id: WorkspaceId,
        definition: Definition,
        before: Definition | None = None,
        *,
        itself: str | None,
    ) -> tuple[Definition, tuple[Problem, ...]]:
        """Return a definition as it is stored, with its problems; structural ones are refused.

        But for nodes of kinds that went away with their plug-in: what is there may be repaired step by step.
        """
        if definition.input_schema is not None:
            if (fault := too_deep(definition.input_schema)) is not None:
                raise InvalidInput(f"The input schema {fault}.", path=["input", "inputSchema"])
            compile_schema(definition.input_schema)
        problems = await self._drafts.check(workspace_id, definition, itself)
        strangers = self._drafts.strangers(before, definition) if before is not None else frozenset[str]()
        if any(one.is_structural and not (one.code == UNKNOWN_KIND and one.node_key in strangers) for one in problems):
            raise GraphHasProblems(problems, "The graph cannot be saved like this.", path=["input", "graph"])
        return canonical(definition, self._kinds), tuple(problems)

    def _row(
        self, actor: Principal, workflow: Workflow, definition: Definition, problems: tuple[Problem, ...]
    ) -> WorkflowRow:
        """Return the next revision of a workflow in which nothing but its definition changes."""
        return WorkflowRow(
            id=workflow.id,
            workspace_id=workflow.workspace_id,
            slug=workflow.slug,
            name=workflow.name,
            description=workflow.description,
            definition=definition,
            problems=problems,
            updated_at=self._clock(),
            updated_by=actor.user.id,
        )

    async def _add_with_free_slug(self, row: WorkflowRow) -> Workflow:
        *numbered, last = candidates(row.slug)
        for slug in numbered:
            try:
                return await self._workflows.add(row.with_slug(slug))
            except AlreadyExists:
                continue
        return await self._workflows.add(row.with_slug(last))


def refuse_stale(
    workflow: Workflow, expected_revision: int, advice: str = "read it again and repeat the change"
) -> None:
    """Spare a stale caller the checks of a graph that cannot be stored; the update itself decides.

    Raises:
        Conflict: the workflow is at another revision.
    """
    if workflow.revision != expected_revision:
        raise Conflict(
            f"The workflow is at revision {workflow.revision} now, not {expected_revision}; {advice}.",
            path=["input", "expectedRevision"],
            current_revision=workflow.revision,
            changed_by=workflow.updated_by,
        )


def _description(given: str | None) -> str | None:
    return None if given is None else check_text(given, ["input", "description"], limit=MAX_DESCRIPTION)


def _acceptable(chosen: WorkflowFilter) -> WorkflowFilter:
    if chosen.search is not None:
        check_text(chosen.search, ["filter", "search"], limit=_MAX_SEARCH)
    for slug in chosen.slugs or ():
        check_text(slug, ["filter", "slugs"], limit=_MAX_SEARCH)
    if len(chosen.slugs or ()) > MAX_SLUGS:
        raise InvalidInput(f"At most {MAX_SLUGS} slugs at once.", path=["filter", "slugs"])
    return chosen


def _changed(definition: Definition, change: WorkflowChange) -> Definition:
    settings = definition.settings
    return Definition(
        graph=definition.graph if change.graph is UNSET else change.graph,
        input_schema=definition.input_schema if change.input_schema is UNSET else change.input_schema,
        output=definition.output if change.output is UNSET else change.output,
        settings=settings if change.settings is UNSET else _settings(settings, change.settings),
    )


def _settings(settings: WorkflowSettings, patch: Mapping[str, Json]) -> WorkflowSettings:
    """Return settings with some changed; null takes a limit away, or sets back what cannot be without a value."""
    merged = settings.model_dump(by_alias=True) | dict(patch)
    return read_settings({name: value for name, value in merged.items() if value is not None})
