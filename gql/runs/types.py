"""Runs, what their nodes did, and their state at one point of the log."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

import strawberry
from strawberry.scalars import JSON
from strawberry.types.lazy_type import LazyType

from domain import run as domain
from domain.errors import InvalidId
from domain.ids import GraphId, Prefix, RunId, UserId, decode_uuid, encode_uuid, to_global
from domain.ports.paging import Page
from domain.run import NodeRunStatus, RunStatus, TriggerKind
from gql.absent import ABSENT, or_none
from gql.context import Context, Info
from gql.graphs import Graph, GraphNode
from gql.ids import to_id
from gql.lookup import find_node, register_composite_node, register_node
from gql.nodes import Node
from gql.paging import After, Before, Connection, Edge, First, Last, page_request
from gql.runs.events import RunEvent, event_of
from gql.runs.payloads import (
    NodePlace,
    load_definition,
    load_node_payloads,
    load_run_input,
    load_run_output,
)
from gql.runs.snapshot import RunSnapshot
from gql.runs.values import RunError, Usage, shown
from gql.users import User, load_users
from runtime.runs import cursor_of

_WORKSPACE: Any = LazyType[Any, Any]("Workspace", "gql.identity")


@strawberry.type(description="How far a run is.")
class RunProgress:
    """How far a run is."""

    done: int = strawberry.field(description="Nodes that are settled in any way.")
    total: int = strawberry.field(description="Nodes of the graph.")


@strawberry.type(description="What started a run.")
class RunTrigger:
    """What started a run."""

    user_id: strawberry.Private[UserId | None]
    kind: TriggerKind = strawberry.field(description="What kind of start it was.")

    @strawberry.field(description="The person, if one did, also through an API key.")
    async def user(self, info: Info) -> User | None:
        """Load the person."""
        return None if self.user_id is None else await info.context.loaders.load(load_users, self.user_id)


@strawberry.type(description="What one node, or one item of it, did in a run.")
class NodeRun(Node):
    """What one node did in a run."""

    place: strawberry.Private[NodePlace]
    graph_id: strawberry.Private[GraphId]
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

    @strawberry.field(description="The run.", graphql_type=LazyType[Any, Any]("Run", "gql.runs.types"))
    async def run(self, info: Info) -> object:
        """Load the run."""
        return await info.context.loaders.load(load_runs, self.place.run_id)

    @strawberry.field(description="The node as the run has it.")
    async def node(self, info: Info) -> GraphNode:
        """Find the node in the graph that the run is pinned to."""
        graph = await _graph(info, self.graph_id)
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
        """Find the text in the run's snapshot."""
        if self.status not in {NodeRunStatus.RUNNING, NodeRunStatus.RETRYING}:
            return None
        snapshot = await info.context.services.runs.snapshot(self.place.run_id)
        return next((s.partial_text for s in snapshot.nodes if s.node_run.node_key == self.node_key), None)

    @strawberry.field(description="From its first attempt to its end, waits included.")
    def duration_ms(self) -> int | None:
        """Compute the time between start and end."""
        return _duration_ms(self.started_at, self.finished_at)

    @classmethod
    def of(cls, node_run: domain.NodeRun, graph_id: GraphId) -> NodeRun:
        """Convert a node run of the domain."""
        item = "" if node_run.item_index is None else f".{node_run.item_index}"
        return cls(
            place=NodePlace(node_run.run_id, node_run.node_key, node_run.item_index),
            graph_id=graph_id,
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


@strawberry.type(description="An event on a page.")
class RunEventEdge(Edge[RunEvent]):
    """An event on a page."""

    node: RunEvent = strawberry.field(description="The event.")


@strawberry.type(description="Events, page by page.")
class RunEventConnection(Connection[RunEvent, RunEventEdge]):
    """Events, page by page."""


@strawberry.type(description="One execution of one graph with one input; a finished run never changes.")
class Run(Node):
    """One execution of one graph with one input."""

    run: strawberry.Private[domain.Run]
    id: strawberry.ID = strawberry.field(description="Its id.")
    status: RunStatus = strawberry.field(description="Where it is in its life.")
    is_finished: bool = strawberry.field(description="Whether it has ended, so that nothing will change any more.")
    progress: RunProgress = strawberry.field(description="Nodes settled and nodes in all.")
    error: RunError | None = strawberry.field(description="Why it failed or crashed.")
    usage: Usage = strawberry.field(description="Tokens and money, sub-runs included.")
    trigger: RunTrigger = strawberry.field(description="What started it.")
    created_at: datetime = strawberry.field(description="When it was asked for.")
    started_at: datetime | None = strawberry.field(description="When it first began to work.")
    finished_at: datetime | None = strawberry.field(description="When it ended.")

    @strawberry.field(description="The workspace it belongs to.", graphql_type=_WORKSPACE)
    async def workspace(self, info: Info) -> object:
        """Load the workspace."""
        return await find_node(info, to_global(Prefix.WORKSPACE, self.run.workspace_id))

    @strawberry.field(
        description="The workflow that it runs.", graphql_type=LazyType[Any, Any]("Workflow", "gql.workflows")
    )
    async def workflow(self, info: Info) -> object:
        """Load the workflow."""
        return await find_node(info, to_global(Prefix.WORKFLOW, self.run.workflow_id))

    @strawberry.field(description="The graph that it runs, pinned when it was started.")
    async def graph(self, info: Info) -> Graph:
        """Load the graph."""
        return await _graph(info, self.run.graph_id)

    @strawberry.field(description="What it was given.")
    async def input(self, info: Info) -> JSON | None:
        """Load the input."""
        return shown(await info.context.loaders.load(load_run_input, self.run.id))

    @strawberry.field(description="What it returned; null until it has succeeded.")
    async def output(self, info: Info) -> JSON | None:
        """Load the output."""
        return shown(await info.context.loaders.load(load_run_output, self.run.id))

    @strawberry.field(
        description="The state of all nodes at one point of the log: show it, then follow "
        "`runEvents(after: snapshot.cursor)` without a gap."
    )
    async def snapshot(self, info: Info) -> RunSnapshot:
        """Load the state."""
        snapshot = await info.context.services.runs.snapshot(self.run.id)
        definition = await info.context.loaders.load(load_definition, self.run.graph_id)
        return RunSnapshot.of(self.run.id, definition, snapshot)

    @strawberry.field(
        description="What its nodes did, one for each node and item that started, in the order of starting."
    )
    async def node_runs(
        self, info: Info, first: First = ABSENT, after: After = ABSENT, last: Last = ABSENT, before: Before = ABSENT
    ) -> NodeRunConnection:
        """List what the nodes did."""
        service, run = info.context.services.runs, self.run
        page = await service.page_node_runs(run.id, page_request(first, after, last, before))
        return NodeRunConnection.of(
            page, lambda node_run: NodeRun.of(node_run, run.graph_id), lambda: service.count_node_runs(run.id)
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
        found = await info.context.services.runs.find_node_run(self.run.id, key, or_none(item_index))
        return None if found is None else NodeRun.of(found, self.run.graph_id)

    @strawberry.field(description="Its log, oldest first; the cursors are those of `runEvents`.")
    async def events(
        self, info: Info, first: First = ABSENT, after: After = ABSENT, last: Last = ABSENT, before: Before = ABSENT
    ) -> RunEventConnection:
        """List its log."""
        service, run = info.context.services.runs, self.run
        page = await service.page_events(run, page_request(first, after, last, before))
        cursors = [cursor_of(run.id, event.seq) for event in page.items]
        page = Page(page.items, cursors, page.has_next, page.has_previous)
        return RunEventConnection.of(page, event_of, lambda: service.count_events(run.id))

    @strawberry.field(description="From its first work to its end; null before that.")
    def duration_ms(self) -> int | None:
        """Compute the time between start and end."""
        return _duration_ms(self.started_at, self.finished_at)

    @classmethod
    def of(cls, run: domain.Run) -> Run:
        """Convert a run of the domain."""
        return cls(
            run=run,
            id=to_id(Prefix.RUN, run.id),
            status=run.status,
            is_finished=run.status.is_finished,
            progress=RunProgress(done=run.nodes_done, total=run.node_count),
            error=RunError.of_optional(run.failure),
            usage=Usage.of(run.usage),
            trigger=RunTrigger(kind=run.trigger, user_id=run.triggered_by),
            created_at=run.created_at,
            started_at=run.started_at,
            finished_at=run.finished_at,
        )


@strawberry.type(description="A run on a page.")
class RunEdge(Edge[Run]):
    """A run on a page."""

    node: Run = strawberry.field(description="The run.")


@strawberry.type(description="Runs, page by page.")
class RunConnection(Connection[Run, RunEdge]):
    """Runs, page by page."""


async def load_runs(context: Context, run_ids: list[RunId]) -> Sequence[Run | None]:
    """Load runs as the caller sees them now; None for those that are gone."""
    runs = await context.services.runs.list_by_id(context.principal, run_ids)
    return [Run.of(runs[run_id]) if run_id in runs else None for run_id in run_ids]


async def _graph(info: Info, graph_id: GraphId) -> Graph:
    return Graph.of((await info.context.loaders.load(load_definition, graph_id)).graph)


async def _find_run(info: Info, run_id: UUID) -> Run | None:
    return await info.context.loaders.load(load_runs, RunId(run_id))


async def _find_node_run(info: Info, text: str) -> NodeRun | None:
    run_text, _, place = text.partition(".")
    key, _, item = place.partition(".")
    if item and not (item.isascii() and item.isdigit() and len(item) < 10):  # noqa: PLR2004 -- items are int
        raise InvalidId(given=text)
    run = await info.context.services.runs.find(info.context.principal, RunId(decode_uuid(run_text)))
    if run is None or "\0" in key:
        return None
    found = await info.context.services.runs.find_node_run(run.id, key, int(item) if item else None)
    return None if found is None else NodeRun.of(found, run.graph_id)


register_node(Prefix.RUN, _find_run)
register_composite_node(Prefix.NODE_RUN, _find_node_run)


def _duration_ms(started_at: datetime | None, finished_at: datetime | None) -> int | None:
    if started_at is None or finished_at is None:
        return None
    return int((finished_at - started_at).total_seconds() * 1_000)
