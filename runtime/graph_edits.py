"""Fine-grained edits of a draft: one node or edge at a time, each checked and saved like the whole."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from domain.drafts import read_node
from domain.edits import add_node, connect, disconnect, remove_node, update_node
from domain.errors import LimitExceeded
from domain.workflow import MAX_NODES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from domain.identity import Principal
    from domain.ids import WorkflowId
    from domain.kinds import NodeKind
    from domain.layout import Layout
    from domain.ports.repositories import Workflows
    from domain.workflow import GraphEdge, Workflow
    from runtime.workflows import WorkflowService


class GraphEdits:
    """Edits drafts on behalf of a caller; what each raises beside its own faults: see `WorkflowService.edit`."""

    def __init__(self, service: WorkflowService, workflows: Workflows, kinds: Mapping[str, NodeKind]) -> None:
        """Take what checks and saves drafts.

        Args:
            service: checks and saves.
            workflows: where layouts are stored.
            kinds: the node kinds that are there, by their names in `NodeConfigInput`.
        """
        self._service = service
        self._workflows = workflows
        self._kinds = kinds

    async def add_node(
        self, actor: Principal, workflow_id: WorkflowId, revision: int, node: Mapping[str, Any]
    ) -> Workflow:
        """Add a node, given as `GraphNodeInput` writes it.

        Raises:
            AlreadyExists: another node has its key.
            LimitExceeded: the graph is full.
            GraphHasProblems: a value that no node can hold, or a node that no graph can hold.
        """
        read = read_node(node, ["input", "node"])
        return await self._service.edit(actor, workflow_id, revision, partial(add_node, node=read))

    async def update_node(  # noqa: PLR0917 -- what the mutation takes
        self,
        actor: Principal,
        workflow_id: WorkflowId,
        revision: int,
        key: str,
        patch: Mapping[str, Any],
        new_key: str | None = None,
    ) -> Workflow:
        """Change a node; None in the patch sets a field back to its default, absent ones stay.

        Raises:
            NotFound: no such node.
            AlreadyExists: another node has the new key.
            GraphHasProblems: a value that no node can hold, or a node that no graph can hold.
        """
        edit = partial(update_node, key=key, patch=patch, new_key=new_key, kinds=self._kinds)
        return await self._service.edit(actor, workflow_id, revision, edit)

    async def remove_node(self, actor: Principal, workflow_id: WorkflowId, revision: int, key: str) -> Workflow:
        """Remove a node with its edges; references to it become problems.

        Raises:
            NotFound: no such node.
        """
        return await self._service.edit(actor, workflow_id, revision, partial(remove_node, key=key))

    async def connect(self, actor: Principal, workflow_id: WorkflowId, revision: int, edge: GraphEdge) -> Workflow:
        """Add an edge.

        Raises:
            NotFound: one of its ends does not exist.
            AlreadyExists: it is there.
            LimitExceeded: the graph is full.
            GraphHasProblems: the port does not exist, or the edge would close a cycle.
        """
        return await self._service.edit(actor, workflow_id, revision, partial(connect, edge=edge))

    async def disconnect(self, actor: Principal, workflow_id: WorkflowId, revision: int, edge: GraphEdge) -> Workflow:
        """Remove an edge.

        Raises:
            NotFound: no such edge.
        """
        return await self._service.edit(actor, workflow_id, revision, partial(disconnect, edge=edge))

    async def move(self, actor: Principal, workflow_id: WorkflowId, positions: Layout) -> Workflow:
        """Move nodes on the canvas; of two moves of a node the last one wins.

        Raises:
            NotFound: no such workflow, or no such node.
            Forbidden: the caller may see it only.
            LimitExceeded: more than 500 positions.
        """
        if len(positions) > MAX_NODES:
            message = f"At most {MAX_NODES} nodes are moved at once."
            raise LimitExceeded(message, limit=MAX_NODES, actual=len(positions), path=["input", "positions"])
        workflow = await self._service.get_to_edit(actor, workflow_id)
        if not positions:
            return workflow
        return await self._workflows.move(workflow.id, workflow.workspace_id, positions, actor.user.id)
