"""What the nodes of runs did."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any, cast

import strawberry
from strawberry.scalars import JSON
from strawberry.types.lazy_type import LazyType

from domain import run as domain
from domain.errors import InvalidId
from domain.ids import Prefix, RunId, decode_uuid, encode_uuid, to_global
from domain.layout import arranged
from domain.run import NodeRunStatus
from gql.absent import ABSENT, or_none
from gql.context import Context, Info
from gql.definitions import load_definition
from gql.graphs import Graph, GraphNode
from gql.lookup import find_node, register_composite_node
from gql.nodes import Node
from gql.paging import After, Before, Connection, Edge, First, Last, page_request
from gql.runs.filters import NodeRunFilter, is_key, node_run_query
from gql.runs.payloads import NodePlace, load_called, load_layout, load_node_payloads, load_partial_text
from gql.runs.values import RunError, Usage, shown

_RUN: Any = LazyType[Any, Any]("Run", "gql.runs.types")


@strawberry.type(description="What one node, or one item of it, did in a run.")
class NodeRun(Node):
    """What one node did in a run."""

    place: strawberry.Private[NodePlace]
    of_run: strawberry.Private[domain.Run]
    origin: strawberry.Private[RunId | None]
    id: strawberry.ID = strawberry.field(description="Its id.")
    node_key: str = strawberry.field(description="Key of the node.")
    item_index: int | None = strawberry.field(
        description="Place of the item under `forEach`, from 0; null = the node as a whole."
    )
    status: NodeRunStatus = strawberry.field(description="Where it is.")
    attempts: int = strawberry.field(description="Attempts so far; `events` has each one's error.")
    error: RunError | None = strawberry.field(description="Why it failed, or why it is tried again.")
    usage: Usage = strawberry.field(description="Tokens and money.")
    started_at: datetime | None = strawberry.field(description="When its first attempt began.")
    finished_at: datetime | None = strawberry.field(description="When it was settled.")

    @strawberry.field(description="The run.", graphql_type=_RUN)
    async def run(self, info: Info) -> object:
        """Load the run."""
        return await find_node(info, to_global(Prefix.RUN, self.place.run_id))

    @strawberry.field(description="The node as the run has it.")
    async def node(self, info: Info) -> GraphNode:
        """Find the node in the graph that the run is pinned to."""
        graph = await load_graph(info, self.of_run)
        return next(node for node in graph.nodes if node.key == self.node_key)

    @strawberry.field(description="What it worked on, templates filled in and secrets masked.")
    async def input(self, info: Info) -> JSON | None:
        """Load the input."""
        return shown((await info.context.loaders.load(load_node_payloads, self.place)).input)

    @strawberry.field(description="What it returned, 4 MiB at most.")
    async def output(self, info: Info) -> JSON | None:
        """Load the output."""
        return shown((await info.context.loaders.load(load_node_payloads, self.place)).output)

    @strawberry.field(description="What the current attempt has written so far.")
    async def partial_text(self, info: Info) -> str | None:
        """Load the text; an attempt that has failed is dropped with its text."""
        if self.status is not NodeRunStatus.RUNNING:
            return None
        return await info.context.loaders.load(load_partial_text, self.place)

    @strawberry.field(
        description="The run whose output stands here, if the status is REUSED and that run still exists.",
        graphql_type=cast("Any", _RUN | None),
    )
    async def reused_from(self, info: Info) -> object | None:
        """Load the run."""
        return None if self.origin is None else await find_node(info, to_global(Prefix.RUN, self.origin))

    @strawberry.field(
        description="The run that it called.",
        graphql_type=cast("Any", _RUN | None),
    )
    async def sub_run(self, info: Info) -> object | None:
        """Load the run."""
        called = await info.context.loaders.load(load_called, self.place)
        return None if called is None else await find_node(info, to_global(Prefix.RUN, called))

    @strawberry.field(description="From its first attempt to its end, waits included.")
    def duration_ms(self) -> int | None:
        """Compute the time between start and end."""
        return duration_ms_of(self.started_at, self.finished_at)

    @classmethod
    def of(cls, node_run: domain.NodeRun, run: domain.Run) -> NodeRun:
        """Convert a node run of the domain."""
        item = "" if node_run.item_index is None else f".{node_run.item_index}"
        return cls(
            place=NodePlace(node_run.run_id, node_run.node_key, node_run.item_index),
            of_run=run,
            origin=node_run.reused_from,
            id=strawberry.ID(f"{Prefix.NODE_RUN.value}_{encode_uuid(node_run.run_id)}.{node_run.node_key}{item}"),
            node_key=node_run.node_key,
            item_index=node_run.item_index,
            status=node_run.status,
            attempts=node_run.attempts,
            error=RunError.of_optional(node_run.failure),
            usage=Usage.of(node_run.usage),
            started_at=node_run.started_at,
            finished_at=node_run.finished_at,
        )


@strawberry.type(description="A node run on a page.")
class NodeRunEdge(Edge[NodeRun]):
    """A node run on a page."""

    node: NodeRun = strawberry.field(description="The node run.")


@strawberry.type(description="Node runs, page by page.")
class NodeRunConnection(Connection[NodeRun, NodeRunEdge]):
    """Node runs, page by page."""


@strawberry.type
class NodeRunsOfRun:
    """What `Run` shows of its nodes."""

    run: strawberry.Private[domain.Run]

    @strawberry.field(
        description="What its nodes did, one for each node and item that started, in the order of starting."
    )
    async def node_runs(  # noqa: PLR0917 -- GraphQL names every argument
        self,
        info: Info,
        filter: Annotated[NodeRunFilter | None, strawberry.argument(description="Which of them.")] = ABSENT,  # noqa: A002
        first: First = ABSENT,
        after: After = ABSENT,
        last: Last = ABSENT,
        before: Before = ABSENT,
    ) -> NodeRunConnection:
        """List what the nodes did."""
        service, loaders, run, query = (
            info.context.services.runs,
            info.context.loaders,
            self.run,
            node_run_query(filter),
        )
        page = await loaders.load_for(service.page_node_runs, run.id, query, page_request(first, after, last, before))
        return NodeRunConnection.of(
            page,
            lambda node_run: NodeRun.of(node_run, run),
            lambda: loaders.load_for(service.count_node_runs, run.id, query),
        )

    @strawberry.field(description="What one node did; null if it did not start.")
    async def node_run(
        self,
        info: Info,
        key: Annotated[str, strawberry.argument(description="Key of the node.")],
        item_index: Annotated[
            int | None,
            strawberry.argument(description="Place of the item, from 0, under `forEach`; null = the node as a whole."),
        ] = ABSENT,
    ) -> NodeRun | None:
        """Find what one node did."""
        item = or_none(item_index)
        if not is_key(key) or (item is not None and item < 0):
            return None
        found = await info.context.loaders.load(load_node_runs, NodePlace(self.run.id, key, item))
        return None if found is None else NodeRun.of(found, self.run)


async def load_graph(info: Info, run: domain.Run) -> Graph:
    """Load the graph that a run is pinned to, where its nodes are now."""
    layout = await info.context.loaders.load(load_layout, run.workflow_id)
    definition = await info.context.loaders.load(load_definition, run.graph_id)
    return Graph.of(arranged(definition, layout).graph)


async def load_node_runs(context: Context, places: list[NodePlace]) -> Sequence[domain.NodeRun | None]:
    """Load what nodes, whose runs the caller was shown, did; None for those that did not start."""
    found = await context.services.runs.find_node_runs(places)
    return [found.get(place) for place in places]


async def _find_node_run(info: Info, text: str) -> NodeRun | None:
    run_text, _, place = text.partition(".")
    key, _, item = place.partition(".")
    if item and not (item.isascii() and item.isdigit() and len(item) < 10):  # noqa: PLR2004 -- items are int
        raise InvalidId(given=text)
    run: Any = await find_node(info, to_global(Prefix.RUN, decode_uuid(run_text)))
    if run is None or not is_key(key):
        return None
    asked = NodePlace(run.run.id, key, int(item) if item else None)
    found = await info.context.loaders.load(load_node_runs, asked)
    return None if found is None else NodeRun.of(found, run.run)


register_composite_node(Prefix.NODE_RUN, _find_node_run)


def duration_ms_of(started_at: datetime | None, finished_at: datetime | None) -> int | None:
    """Return the time between start and end; None before the end."""
    if started_at is None or finished_at is None:
        return None
    return int((finished_at - started_at).total_seconds() * 1_000)
