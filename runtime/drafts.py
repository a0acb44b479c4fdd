"""Drafts as they are now: checked against what the workspace has."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

from domain.validation import WorkspaceNames, check

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from domain.ids import GraphId, WorkflowId, WorkspaceId
    from domain.kinds import NodeKind
    from domain.ports.repositories import Workflows
    from domain.problems import Problem
    from domain.workflow import Definition, Workflow

# What a problem of these codes says may be over without the workflow having changed.
_ABOUT_NAMES: Final = frozenset(
    {"UNKNOWN_CONNECTION", "UNKNOWN_SECRET", "UNKNOWN_DATA_TABLE", "UNKNOWN_COLUMN", "UNKNOWN_COLLECTION"}
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
    """Workflows as they are now: what was wrong for want of a name is looked at again when one is read."""

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

    async def definition(self, graph_id: GraphId) -> Definition:
        """Read a definition that a run or a workflow pins.

        Raises:
            NotFound: there is none with this id.
        """
        return await self._workflows.definition(graph_id)

    async def check(self, workspace_id: WorkspaceId, definition: Definition) -> list[Problem]:
        """Return what is wrong with a definition in a workspace, worst first."""
        names = WorkspaceNames(
            connections=await self._connections.names(workspace_id),
            secrets=await self._secrets.names(workspace_id),
            data_tables=await self._data_tables.columns(workspace_id),
            collections=await self._collections.names(workspace_id),
        )
        return check(definition, self._kinds, names)

    async def _refreshed(self, workflow: Workflow) -> Workflow:
        if not any(problem.code in _ABOUT_NAMES for problem in workflow.problems):
            return workflow
        problems = tuple(await self.check(workflow.workspace_id, workflow.definition))
        if problems == workflow.problems:
            return workflow
        await self._workflows.save_problems(workflow, problems)
        return workflow.with_problems(problems)
