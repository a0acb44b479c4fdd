"""Drafts as they are now: checked against what the workspace has."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

from domain.calls import UNKNOWN_VERSION, UNPUBLISHED_WORKFLOW
from domain.problems import UNKNOWN_KIND
from domain.uses import UNKNOWN_CODES
from domain.validation import WorkspaceNames, check

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from domain.ids import GraphId, WorkflowId, WorkspaceId
    from domain.kinds import NodeKind
    from domain.layout import Layout
    from domain.ports.repositories import Workflows
    from domain.problems import Problem
    from domain.workflow import Definition, Workflow

# What a problem of these codes says may be over without the workflow having changed.
_PASSING: Final = frozenset(
    {*UNKNOWN_CODES.values(), "UNKNOWN_COLUMN", UNKNOWN_KIND, UNPUBLISHED_WORKFLOW, UNKNOWN_VERSION}
)


class HasNames(Protocol):
    """What knows the names of its objects in a workspace."""

    async def names(self, workspace_id: WorkspaceId) -> frozenset[str]:
        """Return the names that a graph of the workspace may use."""
        ...


class HasColumns(Protocol):
    """What knows the tables of a workspace and their columns."""

    async def columns(self, workspace_id: WorkspaceId) -> Mapping[str, frozenset[str]]:
        """Return the names of the columns of each table, by its name."""
        ...


class Drafts:
    """Workflows as they are now: what was wrong for want of a name, or is for want of a kind, is told when one is read."""

    def __init__(
        self,
        workflows: Workflows,
        kinds: Mapping[str, NodeKind],
        *,
        secrets: HasNames,
        connections: HasNames,
        data_tables: HasColumns,
        collections: HasNames,
    ) -> None:
        self._workflows = workflows
        self._kinds = kinds
        self._secrets = secrets
        self._connections = connections
        self._data_tables = data_tables
        self._collections = collections

    async def find(self, within: frozenset[WorkspaceId], workflow_id: WorkflowId) -> Workflow | None:
        """Find a workflow."""
        return next(iter(await self.list_by_id(within, [workflow_id])), None)

    async def list_by_id(self, within: frozenset[WorkspaceId], workflow_ids: Sequence[WorkflowId]) -> list[Workflow]:
        """List those of the workflows that are within, in any order."""
        return [await self._refreshed(one) for one in await self._workflows.list_by_id(within, workflow_ids)]

    async def find_by_slug(self, workspace_id: WorkspaceId, slug: str) -> Workflow | None:
        """Find a workflow by its slug."""
        workflow = await self._workflows.find_by_slug(workspace_id, slug)
        return None if workflow is None else await self._refreshed(workflow)

    async def layouts(self, workflow_ids: Sequence[WorkflowId]) -> Mapping[WorkflowId, Layout]:
        """Read where the nodes of workflows are now; those that are gone are left out."""
        return await self._workflows.layouts(workflow_ids)

    async def definition(self, graph_id: GraphId) -> Definition:
        """Read a definition that a run or a workflow pins, without layout.

        Raises:
            NotFound: there is none with this id.
        """
        return await self._workflows.definition(graph_id)

    async def definitions(self, graph_ids: Sequence[GraphId]) -> Mapping[GraphId, Definition]:
        """Read definitions that runs, versions or workflows pin.

        Raises:
            NotFound: there is none with one of the ids.
        """
        return await self._workflows.definitions(graph_ids)

    async def check(
        self, workspace_id: WorkspaceId, definition: Definition, itself: str | None = None
    ) -> list[Problem]:
        """Return what is wrong with a definition in a workspace, worst first; `itself` is its slug, where it has one."""
        names = WorkspaceNames(
            connections=await self._connections.names(workspace_id),
            secrets=await self._secrets.names(workspace_id),
            data_tables=await self._data_tables.columns(workspace_id),
            collections=await self._collections.names(workspace_id),
            workflows=await self._workflows.names(workspace_id),
            itself=itself,
        )
        return check(definition, self._kinds, names)

    def strangers(self, before: Definition, after: Definition) -> frozenset[str]:
        """Return the keys of nodes whose kind is not installed, and that were there before as they are now."""
        gone = {node.key: node.config for node in before.graph.nodes if node.kind not in self._kinds}
        return frozenset(node.key for node in after.graph.nodes if gone.get(node.key) == node.config)

    async def _refreshed(self, workflow: Workflow) -> Workflow:
        if not self._may_have_changed(workflow):
            return workflow
        problems = tuple(await self.check(workflow.workspace_id, workflow.definition, workflow.slug))
        if problems == workflow.problems:
            return workflow
        await self._workflows.save_problems(workflow, problems)
        return workflow.with_problems(problems)

    def _may_have_changed(self, workflow: Workflow) -> bool:
        """Whether names or plug-ins may have come or gone since the problems were found."""
        if workflow.problems and any(problem.code in _PASSING for problem in workflow.problems):
            return True
        return any(node.kind not in self._kinds for node in workflow.definition.graph.nodes)
