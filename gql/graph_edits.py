"""Fine-grained edits of a draft: one node or edge at a time."""

from __future__ import annotations

from typing import Annotated

import strawberry

from domain import workflow as domain
from domain.identity import Permission
from gql.context import Info
from gql.fields import mutation
from gql.graph_edit_inputs import (
    AddNodeInput,
    ConnectNodesInput,
    DisconnectNodesInput,
    MoveNodesInput,
    RemoveNodeInput,
    UpdateNodeInput,
)
from gql.graphs import GraphEdge, GraphNode, plain
from gql.payloads import Payload
from gql.workflows import Workflow

_WORKFLOW = "The workflow with its new revision and problems."


@strawberry.type(description="What `addNode` gives.")
class AddNodePayload(Payload):
    """What `addNode` gives."""

    node: GraphNode | None = strawberry.field(default=None, description="The node.")
    workflow: Workflow | None = strawberry.field(default=None, description=_WORKFLOW)


@strawberry.type(description="What `updateNode` gives.")
class UpdateNodePayload(Payload):
    """What `updateNode` gives."""

    node: GraphNode | None = strawberry.field(default=None, description="The node.")
    workflow: Workflow | None = strawberry.field(default=None, description=_WORKFLOW)


@strawberry.type(description="What `removeNode` gives.")
class RemoveNodePayload(Payload):
    """What `removeNode` gives."""

    removed_node_key: str | None = strawberry.field(default=None, description="Key of the node that is gone.")
    workflow: Workflow | None = strawberry.field(default=None, description=_WORKFLOW)


@strawberry.type(description="What `connectNodes` gives.")
class ConnectNodesPayload(Payload):
    """What `connectNodes` gives."""

    edge: GraphEdge | None = strawberry.field(default=None, description="The edge.")
    workflow: Workflow | None = strawberry.field(default=None, description=_WORKFLOW)


@strawberry.type(description="What `disconnectNodes` gives.")
class DisconnectNodesPayload(Payload):
    """What `disconnectNodes` gives."""

    removed_edge: GraphEdge | None = strawberry.field(default=None, description="The edge that is gone.")
    workflow: Workflow | None = strawberry.field(default=None, description=_WORKFLOW)


@strawberry.type(description="What `moveNodes` gives.")
class MoveNodesPayload(Payload):
    """What `moveNodes` gives."""

    workflow: Workflow | None = strawberry.field(default=None, description="The workflow.")


@strawberry.type
class GraphEditMutation:
    """Editing drafts."""

    @mutation(Permission.WRITE, description="Adds a node to a draft.")
    async def add_node(
        self,
        info: Info,
        input: Annotated[AddNodeInput, strawberry.argument(description="What is asked for.")],  # noqa: A002
    ) -> AddNodePayload:
        """Add a node."""
        actor, service = info.context.principal, info.context.services.graph_edits
        workflow = await service.add_node(actor, input.which(), input.expected_revision, plain(input.node))
        return AddNodePayload(node=_node(workflow, input.node.key), workflow=Workflow.of(workflow))

    @mutation(Permission.WRITE, description="Changes a node of a draft; absent = unchanged.")
    async def update_node(
        self,
        info: Info,
        input: Annotated[UpdateNodeInput, strawberry.argument(description="What is asked for.")],  # noqa: A002
    ) -> UpdateNodePayload:
        """Change a node."""
        actor, service = info.context.principal, info.context.services.graph_edits
        new_key = input.new_key.value if input.new_key else None
        revision, patch = input.expected_revision, input.patch()
        workflow = await service.update_node(actor, input.which(), revision, input.key, patch, new_key)
        return UpdateNodePayload(node=_node(workflow, new_key or input.key), workflow=Workflow.of(workflow))

    @mutation(
        Permission.WRITE, description="Removes a node and its edges from a draft; references to it become problems."
    )
    async def remove_node(
        self,
        info: Info,
        input: Annotated[RemoveNodeInput, strawberry.argument(description="What is asked for.")],  # noqa: A002
    ) -> RemoveNodePayload:
        """Remove a node."""
        actor, service = info.context.principal, info.context.services.graph_edits
        workflow = await service.remove_node(actor, input.which(), input.expected_revision, input.key)
        return RemoveNodePayload(removed_node_key=input.key, workflow=Workflow.of(workflow))

    @mutation(Permission.WRITE, description="Adds an edge to a draft; refused if it would close a cycle.")
    async def connect_nodes(
        self,
        info: Info,
        input: Annotated[ConnectNodesInput, strawberry.argument(description="What is asked for.")],  # noqa: A002
    ) -> ConnectNodesPayload:
        """Add an edge."""
        actor, service, edge = info.context.principal, info.context.services.graph_edits, input.edge()
        workflow = await service.connect(actor, input.which(), input.expected_revision, edge)
        return ConnectNodesPayload(edge=GraphEdge(**dict(edge)), workflow=Workflow.of(workflow))

    @mutation(Permission.WRITE, description="Removes an edge from a draft.")
    async def disconnect_nodes(
        self,
        info: Info,
        input: Annotated[DisconnectNodesInput, strawberry.argument(description="What is asked for.")],  # noqa: A002
    ) -> DisconnectNodesPayload:
        """Remove an edge."""
        actor, service, edge = info.context.principal, info.context.services.graph_edits, input.edge()
        workflow = await service.disconnect(actor, input.which(), input.expected_revision, edge)
        return DisconnectNodesPayload(removed_edge=GraphEdge(**dict(edge)), workflow=Workflow.of(workflow))

    @mutation(
        Permission.WRITE,
        description="Moves nodes on the canvas; layout has no revision, so it never conflicts: the last move wins.",
    )
    async def move_nodes(
        self,
        info: Info,
        input: Annotated[MoveNodesInput, strawberry.argument(description="What is asked for.")],  # noqa: A002
    ) -> MoveNodesPayload:
        """Move nodes."""
        actor, service = info.context.principal, info.context.services.graph_edits
        workflow = await service.move(actor, input.which(), input.layout())
        return MoveNodesPayload(workflow=Workflow.of(workflow))


def _node(workflow: domain.Workflow, key: str) -> GraphNode:
    return next(GraphNode.of(node) for node in workflow.definition.graph.nodes if node.key == key)
