"""Runs, what their nodes did, and their state at one point of the log."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, cast
from uuid import UUID

import strawberry
from strawberry.scalars import JSON
from strawberry.types.lazy_type import LazyType

from domain import run as domain
from domain.ids import Prefix, RunId, to_global
from domain.ports.paging import PageRequest
from domain.run import RunLink, RunStatus
from gql.absent import ABSENT
from gql.approvals.types import ApprovalsOfRun
from gql.context import Context, Info
from gql.definitions import load_definition
from gql.graphs import Graph
from gql.ids import to_id
from gql.lookup import find_node, register_node
from gql.nodes import Node
from gql.paging import After, Before, Connection, Edge, First, Last, page_request
from gql.runs.logs import EventsOfRun
from gql.runs.node_runs import NodeRunsOfRun, duration_ms_of, load_graph
from gql.runs.payloads import (
    load_run_input,
    load_run_output,
)
from gql.runs.snapshot import RunSnapshot
from gql.runs.terms import TermsOfRun
from gql.runs.usage import UsageOfRun
from gql.runs.values import RunError, RunProgress, RunTrigger, shown
from gql.versions import WorkflowVersion, load_numbered

_WORKSPACE: Any = LazyType[Any, Any]("Workspace", "gql.identity")


@strawberry.type(description="One execution of one graph with one input; a finished run never changes.")
class Run(Node, NodeRunsOfRun, EventsOfRun, ApprovalsOfRun, TermsOfRun, UsageOfRun):
    """One execution of one graph with one input."""

    id: strawberry.ID = strawberry.field(description="Its id.")
    status: RunStatus = strawberry.field(description="Where it is in its life.")
    is_finished: bool = strawberry.field(description="Whether it has ended, so that nothing will change any more.")
    progress: RunProgress = strawberry.field(description="Nodes settled and nodes in all.")
    error: RunError | None = strawberry.field(description="Why it failed or crashed.")
    trigger: RunTrigger = strawberry.field(description="What started it.")
    parent_node_key: str | None = strawberry.field(description="Key of the calling node in `parent`.")
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

    @strawberry.field(description="The version that it runs; null for a draft.")
    async def version(self, info: Info) -> WorkflowVersion | None:
        """Load the version."""
        number, workflow_id = self.run.version, self.run.workflow_id
        return None if number is None else await info.context.loaders.load(load_numbered, (workflow_id, number))

    @strawberry.field(description="The graph that it runs, pinned when it was started.")
    async def graph(self, info: Info) -> Graph:
        """Load the graph."""
        return await load_graph(info, self.run)

    @strawberry.field(description="What it was given.")
    async def input(self, info: Info) -> JSON | None:
        """Load the input."""
        return shown(await info.context.loaders.load(load_run_input, self.run.id))

    @strawberry.field(description="What it returned; null until it has succeeded.")
    async def output(self, info: Info) -> JSON | None:
        """Load the output."""
        return shown(await info.context.loaders.load(load_run_output, self.run.id))

    @strawberry.field(
        description="The run that called it, as a sub-workflow or as a tool.",
        graphql_type=cast("Any", LazyType[Any, Any]("Run", "gql.runs.types") | None),
    )
    async def parent(self, info: Info) -> object | None:
        """Load the run."""
        above = self.run.parent_id
        return None if above is None else await info.context.loaders.load(load_runs, above)

    @strawberry.field(
        description="The runs that it called, oldest first.",
        graphql_type=LazyType[Any, Any]("RunConnection", "gql.runs.types"),
    )
    async def sub_runs(
        self, info: Info, first: First = ABSENT, after: After = ABSENT, last: Last = ABSENT, before: Before = ABSENT
    ) -> object:
        """List the runs."""
        return await _linked(info, RunLink.CALLED, self.run.id, page_request(first, after, last, before))

    @strawberry.field(
        description="The run whose outputs it may reuse.",
        graphql_type=cast("Any", LazyType[Any, Any]("Run", "gql.runs.types") | None),
    )
    async def rerun_of(self, info: Info) -> object | None:
        """Load the run."""
        before = self.run.rerun_of
        return None if before is None else await info.context.loaders.load(load_runs, before)

    @strawberry.field(
        description="The runs that were made from it with `rerunRun`, newest first.",
        graphql_type=LazyType[Any, Any]("RunConnection", "gql.runs.types"),
    )
    async def reruns(
        self, info: Info, first: First = ABSENT, after: After = ABSENT, last: Last = ABSENT, before: Before = ABSENT
    ) -> object:
        """List the runs."""
        return await _linked(info, RunLink.RERUN, self.run.id, page_request(first, after, last, before))

    @strawberry.field(
        description="The state of all nodes at one point of the log: show it, then follow "
        "`runEvents(after: snapshot.cursor)` without a gap."
    )
    async def snapshot(self, info: Info) -> RunSnapshot:
        """Load the state."""
        snapshot = await info.context.services.runs.snapshot(self.run.id)
        definition = await info.context.loaders.load(load_definition, self.run.graph_id)
        return RunSnapshot.of(self.run.id, definition, snapshot)

    @strawberry.field(description="From its first work to its end; null before that.")
    def duration_ms(self) -> int | None:
        """Compute the time between start and end."""
        return duration_ms_of(self.started_at, self.finished_at)

    @classmethod
    def of(cls, run: domain.Run) -> Run:
        """Convert a run of the domain."""
        return cls(
            run_id=run.id,
            run=run,
            id=to_id(Prefix.RUN, run.id),
            status=run.status,
            is_finished=run.status.is_finished,
            progress=RunProgress(done=run.nodes_done, total=run.node_count),
            error=RunError.of_optional(run.failure),
            trigger=RunTrigger(
                kind=run.trigger,
                user_id=run.triggered_by,
                api_key_id=run.api_key_id,
                webhook_id=run.webhook_id,
            ),
            parent_node_key=run.parent_node_key,
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


async def _linked(info: Info, link: RunLink, run_id: RunId, page: PageRequest) -> RunConnection:
    """List the runs that came from a run."""
    service, loaders = info.context.services.runs, info.context.loaders
    found = await loaders.load_for(service.page_linked, run_id, link, page)
    return RunConnection.of(found, Run.of, lambda: loaders.load_for(service.count_linked, run_id, link))


async def load_runs(context: Context, run_ids: list[RunId]) -> Sequence[Run | None]:
    """Load runs as the caller sees them now; None for those that are gone."""
    runs = await context.services.runs.list_by_id(context.principal, run_ids)
    return [Run.of(runs[run_id]) if run_id in runs else None for run_id in run_ids]


async def _find_run(info: Info, run_id: UUID) -> Run | None:
    return await info.context.loaders.load(load_runs, RunId(run_id))


register_node(Prefix.RUN, _find_run)
