"""Workflows for those who write them: checked, stored, found."""

from __future__ import annotations

import re
import unicodedata
from secrets import token_hex
from typing import TYPE_CHECKING, Any, Final

from uuid_utils.compat import uuid7

from domain.config_fields import without_defaults
from domain.drafts import read_graph, read_settings
from domain.errors import AlreadyExists, Conflict, GraphHasProblems, InvalidInput, LimitExceeded, NotFound
from domain.identity import Permission
from domain.ids import WorkflowId
from domain.ports.repositories import WorkflowRow
from domain.problems import Problem
from domain.texts import check_line, check_text
from domain.workflow import (
    SLUG_PATTERN,
    UNSET,
    Definition,
    Graph,
    Workflow,
    WorkflowChange,
    WorkflowDraft,
    WorkflowFilter,
    WorkflowOrder,
    WorkflowSettings,
)
from runtime.identity import utc_now
from runtime.input_schema import compile_schema

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime

    from domain.identity import Principal
    from domain.ids import GraphId, WorkspaceId
    from domain.json_value import Json
    from domain.kinds import NodeKind
    from domain.ports.paging import Page, PageRequest
    from domain.ports.repositories import Workflows
    from domain.workflow import GraphNode
    from runtime.drafts import Drafts

MAX_NAME: Final = 200
MAX_DESCRIPTION: Final = 10_000
MAX_SLUGS: Final = 100
_MAX_SEARCH: Final = 200
_NUMBERED_SLUGS: Final = 9


class WorkflowService:
    """Makes, changes, deletes and finds workflows on behalf of a caller."""

    def __init__(
        self,
        workflows: Workflows,
        drafts: Drafts,
        kinds: Mapping[str, NodeKind],
        *,
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        """Take the store.

        Args:
            workflows: where they are stored.
            drafts: checks them.
            kinds: the node kinds that are there, by their names in `NodeConfigInput`.
            clock: the time.
        """
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
        definition, problems = await self._prepared(workspace, draft.definition)
        row = WorkflowRow(
            id=WorkflowId(uuid7()),
            workspace_id=workspace,
            slug=_slug(draft.slug) if draft.slug is not None else slug_of(name),
            name=name,
            description=_description(draft.description),
            definition=definition,
            problems=problems,
            updated_at=self._clock(),
            updated_by=actor.user.id,
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
            GraphHasProblems: the graph has structural problems.
        """
        workflow = await self._get_for(actor, workflow_id, Permission.WRITE)
        if workflow.revision != expected_revision:
            # The update itself decides; this only spares a stale caller the checks of a graph that cannot be stored.
            raise Conflict(
                f"The workflow is at revision {workflow.revision} now, not {expected_revision}; "
                "read it again and repeat the change.",
                path=["input", "expectedRevision"],
                current_revision=workflow.revision,
                changed_by=workflow.updated_by,
            )
        name, slug, description = change.name, change.slug, change.description
        definition, problems = await self._prepared(workflow.workspace_id, _changed(workflow.definition, change))
        row = WorkflowRow(
            id=workflow.id,
            workspace_id=workflow.workspace_id,
            slug=workflow.slug if slug is UNSET else _slug(slug),
            name=workflow.name if name is UNSET else check_line(name, ["input", "name"], limit=MAX_NAME),
            description=workflow.description if description is UNSET else _description(description),
            definition=definition,
            problems=problems,
            updated_at=self._clock(),
            updated_by=actor.user.id,
        )
        return await self._workflows.save(row, expected_revision)

    async def delete(self, actor: Principal, workflow_id: WorkflowId) -> None:
        """Delete a workflow with its finished runs.

        Raises:
            NotFound: no such workflow.
            Forbidden: the caller may see it only.
            InUse: it has runs that have not ended.
        """
        workflow = await self._get_for(actor, workflow_id, Permission.WRITE)
        await self._workflows.remove(workflow.id, workflow.workspace_id)

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

    async def page(
        self,
        actor: Principal,
        workspace_id: WorkspaceId | None,
        chosen: WorkflowFilter,
        order: WorkflowOrder,
        page: PageRequest,
    ) -> Page[Workflow]:
        """Read a page of a workspace's workflows.

        Raises:
            NotFound, WorkspaceRequired: the caller sees no such workspace, or sees several and names none.
            InvalidInput: a filter that is too long.
            CursorInvalid: a cursor of another list.
        """
        workspace = actor.workspace(workspace_id)
        return await self._workflows.page(workspace, _acceptable(chosen), order, page)

    async def count(self, actor: Principal, workspace_id: WorkspaceId | None, chosen: WorkflowFilter) -> int:
        """Count the workflows of a workspace that a filter lets through.

        Raises:
            NotFound, WorkspaceRequired, InvalidInput: as with `page`.
        """
        return await self._workflows.count(actor.workspace(workspace_id), _acceptable(chosen))

    async def definition(self, graph_id: GraphId) -> Definition:
        """Read a definition that a run pins, for a caller who may see that run.

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

    # ── inside ──

    async def _get_for(self, actor: Principal, workflow_id: WorkflowId, permission: Permission) -> Workflow:
        workflow = await self._workflows.find(actor.within(), workflow_id)
        if workflow is None:
            raise NotFound("There is no workflow with this id.", path=["input", "id"])
        actor.demand(workflow.workspace_id, permission)
        return workflow

    async def _prepared(
        self, workspace_id: WorkspaceId, definition: Definition
    ) -> tuple[Definition, tuple[Problem, ...]]:
        """Return a definition as it is stored, with its problems; structural ones are refused."""
        if definition.input_schema is not None:
            compile_schema(definition.input_schema)
        problems = await self._drafts.check(workspace_id, definition)
        if any(problem.is_structural for problem in problems):
            raise GraphHasProblems(problems, "The graph cannot be saved like this.", path=["input", "graph"])
        nodes = tuple(self._canonical(node) for node in definition.graph.nodes)
        graph = Graph(nodes=nodes, edges=definition.graph.edges)
        return definition.model_copy(update={"graph": graph}), tuple(problems)

    def _canonical(self, node: GraphNode) -> GraphNode:
        config = {node.kind: without_defaults(self._kinds[node.kind].config, node.values)}
        # Also where both are equal: dicts are, whatever the order of their keys.
        return node.model_copy(update={"config": config})

    async def _add_with_free_slug(self, row: WorkflowRow) -> Workflow:
        endings = ["", *(f"-{number}" for number in range(2, _NUMBERED_SLUGS + 1)), f"-{token_hex(4)}"]
        for ending in endings[:-1]:
            try:
                return await self._workflows.add(row.with_slug(_ended(row.slug, ending)))
            except AlreadyExists:
                continue
        return await self._workflows.add(row.with_slug(_ended(row.slug, endings[-1])))


def slug_of(name: str) -> str:
    """Return a slug made from a name; `workflow` where the name has nothing that a slug can hold."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:64].strip("-") or "workflow"


def _ended(slug: str, ending: str) -> str:
    return slug[: 64 - len(ending)].rstrip("-") + ending


def _slug(given: str) -> str:
    if re.fullmatch(SLUG_PATTERN, given) is None:
        message = "A slug is lower-case letters, digits and dashes between them, 64 at most."
        raise InvalidInput(message, path=["input", "slug"])
    return given


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
