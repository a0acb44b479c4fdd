"""The state of a run at one point of its log."""

from __future__ import annotations

from datetime import datetime

import strawberry

from domain import run as domain
from domain.ids import NodeKey, RunId
from domain.run import NO_USAGE, NodeRunStatus, RunStatus
from domain.workflow import Definition, GraphNode
from gql.kinds import DERIVED, NodeKind
from gql.runs.values import RunError, Usage
from runtime.runs import cursor_of


@strawberry.type(description="The state of a node at one point of its run's log.")
class NodeState:
    """The state of a node."""

    key: str = strawberry.field(description="The node's key.")
    name: str = strawberry.field(description="The node's name.")
    kind: NodeKind = strawberry.field(description="The node's kind.")
    status: NodeRunStatus = strawberry.field(description="Where it is.")
    attempt: int = strawberry.field(description="The current or last attempt; 0 before the first.")
    item_count: int | None = strawberry.field(
        description="Items in all under `forEach`; null without it or before it is known."
    )
    items_done: int | None = strawberry.field(description="Items settled under `forEach`.")
    partial_text: str | None = strawberry.field(
        description="What the current attempt has written so far; deltas continue at its length. Null when it streams "
        "nothing, and under `forEach`."
    )
    partial_reasoning: str | None = strawberry.field(description="The same for the model's reasoning.")
    error: RunError | None = strawberry.field(description="Why it failed, or why it is tried again.")
    usage: Usage = strawberry.field(description="Tokens and money.")
    started_at: datetime | None = strawberry.field(description="When its first attempt began.")
    finished_at: datetime | None = strawberry.field(description="When it was settled.")

    @classmethod
    def of(cls, node: GraphNode, state: domain.NodeState | None) -> NodeState:
        """Convert a node, of which nothing may have happened yet."""
        node_run = None if state is None else state.node_run
        return cls(
            key=node.key,
            name=node.name or node.key,
            kind=DERIVED.kind_of(node.kind),
            status=NodeRunStatus.PENDING if node_run is None else node_run.status,
            attempt=0 if node_run is None else node_run.attempts,
            item_count=None,
            items_done=None,
            partial_text=None if state is None else state.partial_text,
            partial_reasoning=None if state is None else state.partial_reasoning,
            error=None if node_run is None else RunError.of_optional(node_run.failure),
            usage=Usage.of(NO_USAGE if node_run is None else node_run.usage),
            started_at=None if node_run is None else node_run.started_at,
            finished_at=None if node_run is None else node_run.finished_at,
        )


@strawberry.type(description="The state of a run at one point of its log.")
class RunSnapshot:
    """The state of a run."""

    cursor: str = strawberry.field(description="The point; give it to `runEvents` as `after`.")
    status: RunStatus = strawberry.field(description="The run's status at that point.")
    nodes: list[NodeState] = strawberry.field(
        description="All nodes of the graph in its order, those not reached included; at most 500."
    )

    @classmethod
    def of(cls, run_id: RunId, definition: Definition, snapshot: domain.RunSnapshot) -> RunSnapshot:
        """Convert a snapshot of the domain."""
        states = {state.node_run.node_key: state for state in snapshot.nodes}
        return cls(
            cursor=cursor_of(run_id, snapshot.seq),
            status=snapshot.status,
            nodes=[NodeState.of(node, states.get(NodeKey(node.key))) for node in definition.graph.nodes],
        )
