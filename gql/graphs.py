"""Graphs: nodes, edges and their policies, as they are read and as they are written."""

from __future__ import annotations

from dataclasses import fields
from enum import Enum
from typing import Any, cast

import strawberry
from pydantic import BaseModel
from strawberry.scalars import JSON

from domain import workflow as domain
from domain.retry import RetryPolicy as DomainRetryPolicy
from domain.workflow import ErrorMode, ItemErrorPolicy, JoinPolicy
from gql.absent import ABSENT
from gql.enums import expose
from gql.kinds import DERIVED, NodeConfig, NodeConfigInput, NodeKind

expose(
    JoinPolicy,
    description="Which incoming edges a node waits for.",
    values={JoinPolicy.ALL: "All are settled and at least one is taken.", JoinPolicy.ANY: "The first is taken."},
)
expose(
    ErrorMode,
    description="What happens when a node fails after its retries.",
    values={
        ErrorMode.STOP: "The run fails, as its `failurePolicy` says.",
        ErrorMode.CONTINUE: "`defaultOutput` stands in and the run goes on.",
        ErrorMode.BRANCH: "The edges of port `error` are taken; behind them, `error` has `code`, `message` and `attempt`.",
    },
)
expose(
    ItemErrorPolicy,
    description="What an item that fails does to its node.",
    values={
        ItemErrorPolicy.FAIL: "The node fails.",
        ItemErrorPolicy.NULL: "Its output is null.",
        ItemErrorPolicy.DROP: "It is left out of the output.",
    },
)


@strawberry.type(description="A point on an editor's canvas.")
class Position:
    """A point on an editor's canvas."""

    x: float = strawberry.field(description="To the right of the origin.")
    y: float = strawberry.field(description="Below the origin.")


@strawberry.type(
    description="Runs a node once for each item of a list; its output is the list of outputs in the order of the items."
)
class ForEach:
    """Runs a node once for each item of a list."""

    items: str = strawberry.field(
        description="An expression or a template that gives a list, 10,000 items at most; in the node, `item` and "
        "`index` name the current one."
    )
    max_parallel_items: int = strawberry.field(description="How many items are worked on at once.")
    on_item_error: ItemErrorPolicy = strawberry.field(description="What an item that fails does.")


@strawberry.type(description="What happens when a node fails after its retries.")
class ErrorPolicy:
    """What happens when a node fails after its retries."""

    mode: ErrorMode = strawberry.field(description="What happens.")
    default_output: JSON | None = strawberry.field(description="The output that stands in when the mode is CONTINUE.")


@strawberry.type(description="How failures are retried.")
class RetryPolicy:
    """How failures are retried."""

    initial_interval_ms: int = strawberry.field(description="The wait before the second attempt.")
    backoff_coefficient: float = strawberry.field(description="By how much each wait is longer than the one before.")
    maximum_interval_ms: int = strawberry.field(description="The longest wait.")
    maximum_attempts: int = strawberry.field(description="Attempts in all, the first included; 1 = no retry.")
    has_jitter: bool = strawberry.field(
        description="Whether waits are varied at random, so that many runs do not retry at the same moment."
    )
    non_retryable_errors: list[str] = strawberry.field(description="Error codes that are never retried; at most 50.")

    @classmethod
    def of(cls, policy: DomainRetryPolicy) -> RetryPolicy:
        """Convert a policy of the domain."""
        return cls(
            initial_interval_ms=policy.initial_interval_ms,
            backoff_coefficient=policy.backoff_coefficient,
            # 100 times the longest first wait would be more than an Int can hold.
            maximum_interval_ms=min(policy.longest_wait_ms, _MAX_INT),
            maximum_attempts=policy.maximum_attempts,
            has_jitter=policy.has_jitter,
            non_retryable_errors=list(policy.non_retryable_errors),
        )


_MAX_INT = 2**31 - 1


@strawberry.type(description="How long a node may take; null = no limit.")
class Timeouts:
    """How long a node may take."""

    start_to_close_ms: int | None = strawberry.field(description="One attempt.")
    schedule_to_close_ms: int | None = strawberry.field(description="All attempts and the waits between them.")
    idle_ms: int | None = strawberry.field(description="Without any progress: no token and no byte.")


@strawberry.type(description="One step of a graph; it has no global id, its `key` names it within the workflow.")
class GraphNode:
    """One step of a graph."""

    node: strawberry.Private[domain.GraphNode]
    key: str = strawberry.field(description="Unique in the graph; expressions name it, as in `nodes.<key>.output`.")
    name: str = strawberry.field(description="The name to show; the key if none was given.")
    kind: NodeKind = strawberry.field(description="What it does.")
    position: Position | None = strawberry.field(description="Where an editor draws it; null = laid out by the editor.")
    when: str | None = strawberry.field(description="An expression; when it is false the node is skipped.")
    join: JoinPolicy = strawberry.field(description="Which incoming edges it waits for.")
    for_each: ForEach | None = strawberry.field(description="Runs the node once for each item of a list.")
    on_error: ErrorPolicy = strawberry.field(description="What happens when it fails after its retries.")
    retry: RetryPolicy = strawberry.field(description="How failures are retried.")
    timeouts: Timeouts = strawberry.field(description="How long it may take.")

    @strawberry.field(description="How it does it; one type for each kind.", graphql_type=NodeConfig)
    def config(self) -> object:
        """Give the configuration a type."""
        return DERIVED.shown(self.node.kind, self.node.values)

    @strawberry.field(
        description="The configuration exactly as `NodeConfigInput` takes it, for editors that send it back."
    )
    def config_input(self) -> JSON:
        """Give the configuration as it is stored."""
        return cast("JSON", self.node.config)

    @strawberry.field(description="The ports that edges can leave from, in order; at most 32.")
    def ports(self) -> list[str]:
        """Compute the ports."""
        return list(DERIVED.ports_of(self.node))

    @classmethod
    def of(cls, node: domain.GraphNode) -> GraphNode:
        """Convert a node of the domain."""
        each = node.for_each
        return cls(
            node=node,
            key=node.key,
            name=node.key if node.name is None else node.name,
            kind=DERIVED.kind_of(node.kind),
            position=Position(x=node.position.x, y=node.position.y) if node.position else None,
            when=node.when,
            join=node.join,
            for_each=None if each is None else ForEach(**dict(each)),
            on_error=ErrorPolicy(mode=node.on_error.mode, default_output=node.on_error.default_output),
            retry=RetryPolicy.of(node.retry),
            timeouts=Timeouts(**dict(node.timeouts)),
        )


@strawberry.type(description="A directed edge between two nodes of a graph; all three fields together are unique.")
class GraphEdge:
    """A directed edge between two nodes of a graph."""

    source: str = strawberry.field(description="Key of the node it leaves.")
    source_port: str = strawberry.field(
        description="`out`, `error`, the name of a case or `default` of a branch, an action or `timeout` of an approval."
    )
    target: str = strawberry.field(description="Key of the node it enters.")


@strawberry.type(description="A directed acyclic graph; branches that do not depend on each other run at once.")
class Graph:
    """A directed acyclic graph."""

    nodes: list[GraphNode] = strawberry.field(description="The nodes in a stable order; at most 500.")
    edges: list[GraphEdge] = strawberry.field(description="The edges in a stable order; at most 2,000.")

    @classmethod
    def of(cls, graph: domain.Graph) -> Graph:
        """Convert a graph of the domain."""
        return cls(
            nodes=[GraphNode.of(node) for node in graph.nodes],
            edges=[GraphEdge(**dict(edge)) for edge in graph.edges],
        )


@strawberry.input(description="A point on an editor's canvas.")
class PositionInput:
    """A point on an editor's canvas."""

    x: float = strawberry.field(description="To the right of the origin.")
    y: float = strawberry.field(description="Below the origin.")


@strawberry.input(description="Runs a node once for each item of a list.")
class ForEachInput:
    """Runs a node once for each item of a list."""

    items: str = strawberry.field(description="An expression or a template that gives a list, 10,000 items at most.")
    max_parallel_items: int = strawberry.field(default=8, description="How many items are worked on at once, 1 to 100.")
    on_item_error: ItemErrorPolicy = strawberry.field(
        default=ItemErrorPolicy.FAIL, description="What an item that fails does."
    )


@strawberry.input(description="What happens when a node fails after its retries.")
class ErrorPolicyInput:
    """What happens when a node fails after its retries."""

    mode: ErrorMode = strawberry.field(description="What happens.")
    default_output: JSON | None = strawberry.field(
        default=ABSENT, description="The output that stands in when the mode is CONTINUE."
    )


@strawberry.input(description="How failures are retried.")
class RetryPolicyInput:
    """How failures are retried."""

    initial_interval_ms: int = strawberry.field(default=1000, description="The wait before the second attempt.")
    backoff_coefficient: float = strawberry.field(
        default=2.0, description="By how much each wait is longer than the one before, at least 1."
    )
    maximum_interval_ms: int | None = strawberry.field(
        default=ABSENT, description="The longest wait; 100 times the first if absent."
    )
    maximum_attempts: int = strawberry.field(default=3, description="Attempts in all, the first included, 1 to 100.")
    has_jitter: bool = strawberry.field(default=True, description="Whether waits are varied at random.")
    non_retryable_errors: list[str] | None = strawberry.field(
        default=ABSENT, description="Error codes that are never retried; at most 50."
    )


@strawberry.input(description="How long a node may take.")
class TimeoutsInput:
    """How long a node may take."""

    start_to_close_ms: int | None = strawberry.field(default=300_000, description="One attempt.")
    schedule_to_close_ms: int | None = strawberry.field(
        default=ABSENT, description="All attempts and the waits between them."
    )
    idle_ms: int | None = strawberry.field(default=ABSENT, description="Without any progress: no token and no byte.")


@strawberry.input(description="A node of a graph.")
class GraphNodeInput:
    """A node of a graph."""

    key: str = strawberry.field(
        description="Unique in the graph: a letter, then letters, digits and underscores, 64 at most."
    )
    name: str | None = strawberry.field(default=ABSENT, description="The name to show; the key if absent.")
    config: NodeConfigInput = strawberry.field(description="What it does and how.")
    position: PositionInput | None = strawberry.field(default=ABSENT, description="Where an editor draws it.")
    when: str | None = strawberry.field(
        default=ABSENT, description="An expression; when it is false the node is skipped."
    )
    join: JoinPolicy = strawberry.field(default=JoinPolicy.ALL, description="Which incoming edges it waits for.")
    for_each: ForEachInput | None = strawberry.field(
        default=ABSENT, description="Runs the node once for each item of a list."
    )
    on_error: ErrorPolicyInput | None = strawberry.field(
        default=ABSENT, description="What happens when it fails after its retries; STOP if absent."
    )
    retry: RetryPolicyInput | None = strawberry.field(
        default=ABSENT, description="How failures are retried; 3 attempts if absent."
    )
    timeouts: TimeoutsInput | None = strawberry.field(
        default=ABSENT, description="How long it may take; 5 minutes for an attempt if absent."
    )


@strawberry.input(description="An edge of a graph.")
class GraphEdgeInput:
    """An edge of a graph."""

    source: str = strawberry.field(description="Key of the node it leaves.")
    source_port: str = strawberry.field(default="out", description="The port it leaves from.")
    target: str = strawberry.field(description="Key of the node it enters.")


@strawberry.input(description="A whole graph; saved at once or not at all.")
class GraphInput:
    """A whole graph; saved at once or not at all."""

    nodes: list[GraphNodeInput] = strawberry.field(description="The nodes; at most 500.")
    edges: list[GraphEdgeInput] = strawberry.field(description="The edges; at most 2,000.")


def plain(given: Any) -> Any:
    """Return an input as `domain.drafts` reads it: names in camelCase, without what is absent."""
    if isinstance(given, list):
        return [plain(item) for item in cast("list[object]", given)]
    if isinstance(given, BaseModel):
        return given.model_dump(by_alias=True, exclude_unset=True)
    if isinstance(given, Enum) or not hasattr(given, "__strawberry_definition__"):
        return given
    # Null means absent, but for a time without limit.
    keeps_null = isinstance(given, TimeoutsInput)
    made: dict[str, Any] = {}
    for one in fields(given):
        value = getattr(given, one.name)
        if value is not ABSENT and (keeps_null or value is not None):
            made[_camel(one.name)] = plain(value)
    return made


def plain_lists(graph: GraphInput) -> tuple[list[Any], list[Any]]:
    """Return nodes and edges as `domain.drafts.read_graph` takes them."""
    return plain(graph.nodes), plain(graph.edges)


def _camel(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join(word.capitalize() for word in others)
