"""The state of a run at one point of its log."""

from __future__ import annotations

from datetime import datetime
from typing import Any, cast

import strawberry
from strawberry.types.lazy_type import LazyType

from domain import run as domain
from domain.ids import NodeKey, Prefix, RunId, to_global
from domain.run import NO_USAGE, NodeRunStatus, RunStatus, WaitReason
from domain.workflow import Definition, GraphNode
from gql.approvals.types import Approval, load_approvals
from gql.context import Info
from gql.kinds import DERIVED, NodeKind
from gql.lookup import find_node
from gql.runs.values import RunError, Usage
from runtime.runs import cursor_of


@strawberry.type(description="What a node waits for.")
class NodeWait:
    """What a node waits for."""

    wait: strawberry.Private[domain.NodeWait]
    reason: WaitReason = strawberry.field(description="What kind of wait it is.")
    until: datetime | None = strawberry.field(description="When it ends at the latest.")

    @strawberry.field(description="The question, if an answer is awaited.")
    async def approval(self, info: Info) -> Approval | None:
        """Load the question."""
        asked = self.wait.approval_id
        return None if asked is None else await info.context.loaders.load(load_approvals, asked)

    @strawberry.field(
        description="The run, if one is awaited.",
        graphql_type=cast("Any", LazyType[Any, Any]("Run", "gql.runs.types") | None),
    )
    async def sub_run(self, info: Info) -> object | None:
        """Load the run."""
        called = self.wait.sub_run_id
        return None if called is None else await find_node(info, to_global(Prefix.RUN, called))

    @classmethod
    def of(cls, wait: domain.NodeWait) -> NodeWait:
        """Convert a wait of the domain."""
        return cls(wait=wait, reason=wait.reason, until=wait.until)


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
    items_failed: int | None = strawberry.field(description="Those of them that failed.")
    items_waiting: list[int] | None = strawberry.field(
        description="Places of those that wait, in order and at most 100; the node itself is RUNNING until the last has ended."
    )
    partial_text: str | None = strawberry.field(
        description="What the current attempt has written so far; deltas continue at its length. Null when it streams "
        "nothing, and under `forEach`."
    )
    partial_reasoning: str | None = strawberry.field(description="The same for the model's reasoning.")
    waiting: NodeWait | None = strawberry.field(description="What it waits for, while it does.")
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
            item_count=None if state is None else state.item_count,
            items_done=None if state is None else state.items_done,
            items_failed=None if state is None else state.items_failed,
            items_waiting=None if state is None or state.items_waiting is None else list(state.items_waiting),
            partial_text=None if state is None else state.partial_text,
            partial_reasoning=None if state is None else state.partial_reasoning,
            waiting=None if state is None or state.wait is None else NodeWait.of(state.wait),
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
