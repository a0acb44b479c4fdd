"""Inputs of fine-grained edits."""

from __future__ import annotations

from typing import Any

import strawberry

from domain import workflow as domain
from domain.ids import Prefix, WorkflowId
from domain.workflow import JoinPolicy
from gql.graphs import (
    ErrorPolicyInput,
    ForEachInput,
    GraphNodeInput,
    RetryPolicyInput,
    TimeoutsInput,
    plain,
)
from gql.ids import from_id
from gql.kinds import NodeConfigInput


@strawberry.input
class _OfWorkflow:
    workflow_id: strawberry.ID = strawberry.field(description="Which workflow.")

    def which(self) -> WorkflowId:
        """Return the workflow's id.

        Raises:
            InvalidId: it is none.
        """
        return WorkflowId(from_id(Prefix.WORKFLOW, self.workflow_id, "input", "workflowId"))


@strawberry.input
class _Edit(_OfWorkflow):
    expected_revision: int = strawberry.field(description="The revision that the change is based on.")


@strawberry.input(description="What `addNode` takes.")
class AddNodeInput(_Edit):
    """What `addNode` takes."""

    node: GraphNodeInput = strawberry.field(description="The node.")


@strawberry.input(description="What `updateNode` takes.")
class UpdateNodeInput(_Edit):
    """What `updateNode` takes."""

    key: str = strawberry.field(description="Key of the node.")
    new_key: strawberry.Maybe[str] = strawberry.field(
        description="Its new key; edges and the references in all expressions are rewritten."
    )
    name: strawberry.Maybe[str | None] = strawberry.field(description="The name to show; null = the key.")
    config: strawberry.Maybe[NodeConfigInput] = strawberry.field(
        description="The whole new configuration; it may be of another kind."
    )
    when: strawberry.Maybe[str | None] = strawberry.field(description="An expression; null = always.")
    join: strawberry.Maybe[JoinPolicy] = strawberry.field(description="Which incoming edges it waits for.")
    for_each: strawberry.Maybe[ForEachInput | None] = strawberry.field(
        description="Runs the node once for each item of a list; null = once."
    )
    on_error: strawberry.Maybe[ErrorPolicyInput | None] = strawberry.field(
        description="What happens when it fails after its retries; null = STOP."
    )
    retry: strawberry.Maybe[RetryPolicyInput | None] = strawberry.field(
        description="How failures are retried; null = the default."
    )
    timeouts: strawberry.Maybe[TimeoutsInput | None] = strawberry.field(
        description="How long it may take; null = the default."
    )

    def patch(self) -> dict[str, Any]:
        """Return the fields that are there, as `domain.edits.update_node` takes them."""
        given = {
            "name": self.name,
            "config": self.config,
            "when": self.when,
            "join": self.join,
            "forEach": self.for_each,
            "onError": self.on_error,
            "retry": self.retry,
            "timeouts": self.timeouts,
        }
        return {name: plain(some.value) for name, some in given.items() if some}


@strawberry.input(description="What `removeNode` takes.")
class RemoveNodeInput(_Edit):
    """What `removeNode` takes."""

    key: str = strawberry.field(description="Key of the node.")


@strawberry.input
class _EdgeEdit(_Edit):
    source: str = strawberry.field(description="Key of the node it leaves.")
    source_port: str = strawberry.field(default="out", description="The port it leaves from.")
    target: str = strawberry.field(description="Key of the node it enters.")

    def edge(self) -> domain.GraphEdge:
        """Convert to the domain's."""
        return domain.GraphEdge(source=self.source, source_port=self.source_port, target=self.target)


@strawberry.input(description="What `connectNodes` takes.")
class ConnectNodesInput(_EdgeEdit):
    """What `connectNodes` takes."""


@strawberry.input(description="What `disconnectNodes` takes.")
class DisconnectNodesInput(_EdgeEdit):
    """What `disconnectNodes` takes."""


@strawberry.input(description="Where a node is drawn.")
class NodePositionInput:
    """Where a node is drawn."""

    key: str = strawberry.field(description="Key of the node.")
    x: float = strawberry.field(description="To the right of the origin.")
    y: float = strawberry.field(description="Below the origin.")


@strawberry.input(description="What `moveNodes` takes.")
class MoveNodesInput(_OfWorkflow):
    """What `moveNodes` takes."""

    positions: list[NodePositionInput] = strawberry.field(description="Where the nodes are now; at most 500.")

    def layout(self) -> dict[str, domain.Position]:
        """Convert to the domain's; of a key that is there twice the last position counts."""
        return {one.key: domain.Position(x=one.x, y=one.y) for one in self.positions}
