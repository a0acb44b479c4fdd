"""Starting, stopping, reading and watching runs."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from datetime import datetime
from typing import Annotated, Any, cast

import strawberry
from strawberry.scalars import JSON

from domain.identity import Permission
from domain.ids import Prefix, RunId, WorkflowId, WorkspaceId
from domain.json_value import Json
from domain.run import RunQuery, RunStatus
from gql.absent import ABSENT, or_none
from gql.context import Info
from gql.fields import mutation, query, subscription
from gql.ids import find_id, from_id, workspace_id_of
from gql.paging import After, Before, First, Last, page_request
from gql.payloads import Payload
from gql.runs.events import RunEvent, event_of
from gql.runs.types import Run, RunConnection


@strawberry.input(description="A span of time, open where a bound is absent.")
class DateTimeRange:
    """A span of time."""

    from_: datetime | None = strawberry.field(default=ABSENT, name="from", description="Not before this instant.")
    until: datetime | None = strawberry.field(default=ABSENT, description="Before this instant.")


@strawberry.input(description="Which runs; all that is given must hold.")
class RunFilter:
    """Which runs."""

    workflow_ids: list[strawberry.ID] | None = strawberry.field(
        default=ABSENT, description="Of one of these workflows, 100 at most."
    )
    statuses: list[RunStatus] | None = strawberry.field(default=ABSENT, description="In one of these states.")
    created_at: DateTimeRange | None = strawberry.field(default=ABSENT, description="Made in this span.")


Filter = Annotated[RunFilter | None, strawberry.argument(description="Which of them.")]


@strawberry.input(description="What `startRun` takes.")
class StartRunInput:
    """What `startRun` takes."""

    workflow_id: strawberry.ID = strawberry.field(description="Which workflow.")
    input: JSON | None = strawberry.field(
        default=ABSENT, description="The input; it must satisfy the workflow's `inputSchema`."
    )


@strawberry.input(description="What `cancelRun` takes.")
class CancelRunInput:
    """What `cancelRun` takes."""

    id: strawberry.ID = strawberry.field(description="Which run.")
    reason: str | None = strawberry.field(default=ABSENT, description="Why; the log keeps it.")


@strawberry.type(description="What `startRun` gives.")
class StartRunPayload(Payload):
    """What `startRun` gives."""

    run: Run | None = strawberry.field(default=None, description="The run.")


@strawberry.type(description="What `cancelRun` gives.")
class CancelRunPayload(Payload):
    """What `cancelRun` gives."""

    run: Run | None = strawberry.field(default=None, description="The run.")


@strawberry.type
class RunsOfWorkspace:
    """What `Workspace` shows of this feature."""

    workspace_id: strawberry.Private[WorkspaceId]

    @strawberry.field(description="Its runs.")
    async def runs(  # noqa: PLR0917 -- GraphQL names every argument
        self,
        info: Info,
        filter: Filter = ABSENT,  # noqa: A002
        first: First = ABSENT,
        after: After = ABSENT,
        last: Last = ABSENT,
        before: Before = ABSENT,
    ) -> RunConnection:
        """List the runs."""
        return await _page(info, self.workspace_id, _query(filter), (first, after, last, before))


@strawberry.type
class RunQueries:
    """Reading runs."""

    @query(Permission.READ, description="One run; null where there is none.")
    async def run(
        self,
        info: Info,
        id: Annotated[strawberry.ID, strawberry.argument(description="Its id.")],  # noqa: A002
    ) -> Run | None:
        """Find a run."""
        run_id = find_id(Prefix.RUN, id)
        found = None if run_id is None else await info.context.services.runs.find(info.context.principal, RunId(run_id))
        return None if found is None else Run.of(found)

    @query(Permission.READ, description="Runs of a workspace.")
    async def runs(  # noqa: PLR0917 -- GraphQL names every argument
        self,
        info: Info,
        workspace_id: Annotated[
            strawberry.ID | None,
            strawberry.argument(
                description="The workspace; the caller's only one if absent, error WORKSPACE_REQUIRED if there are several."
            ),
        ] = ABSENT,
        filter: Filter = ABSENT,  # noqa: A002
        first: First = ABSENT,
        after: After = ABSENT,
        last: Last = ABSENT,
        before: Before = ABSENT,
    ) -> RunConnection:
        """List the runs of a workspace."""
        return await _page(
            info, workspace_id_of(workspace_id, "workspaceId"), _query(filter), (first, after, last, before)
        )


@strawberry.type
class RunMutation:
    """Starting and stopping runs."""

    @mutation(
        Permission.EXECUTE,
        description="Starts the published version, or the draft of a workflow that was never published.",
    )
    async def start_run(
        self,
        info: Info,
        input: Annotated[StartRunInput, strawberry.argument(description="What is asked for.")],  # noqa: A002
    ) -> StartRunPayload:
        """Start a run."""
        workflow_id = WorkflowId(from_id(Prefix.WORKFLOW, input.workflow_id, "input", "workflowId"))
        run = await info.context.services.runs.start(
            info.context.principal, workflow_id, cast("Json", or_none(input.input))
        )
        return StartRunPayload(run=Run.of(run))

    @mutation(
        Permission.EXECUTE,
        description="Stops a run and closes its outside connections; a finished run is left as it is.",
    )
    async def cancel_run(
        self,
        info: Info,
        input: Annotated[CancelRunInput, strawberry.argument(description="What is asked for.")],  # noqa: A002
    ) -> CancelRunPayload:
        """Ask a run to stop."""
        run_id = RunId(from_id(Prefix.RUN, input.id, "input", "id"))
        run = await info.context.services.runs.cancel(info.context.principal, run_id, or_none(input.reason))
        return CancelRunPayload(run=Run.of(run))


@strawberry.type
class RunSubscription:
    """Watching runs."""

    @subscription(
        Permission.READ,
        description="A run's log: first the events behind `after`, then new ones as they happen; completes after the "
        "last, for a finished run too. A broken cursor is the error CURSOR_INVALID, one behind the retention "
        "CURSOR_EXPIRED.",
    )
    async def run_events(
        self,
        info: Info,
        run_id: Annotated[strawberry.ID, strawberry.argument(description="The run.")],
        after: Annotated[
            str | None,
            strawberry.argument(
                description="Cursor of the last event seen, or of a snapshot; absent = from the start, `HEAD` = only new "
                "ones."
            ),
        ] = ABSENT,
    ) -> AsyncGenerator[RunEvent]:
        """Follow a run's log."""
        id_ = RunId(from_id(Prefix.RUN, run_id, "runId"))
        async with aclosing(info.context.services.runs.follow(info.context.principal, id_, or_none(after))) as events:
            async for event in events:
                yield event_of(event)

    @subscription(
        Permission.READ,
        description="Runs that were made or changed, for lists: first the unfinished ones (100 at most), then changes, at "
        "most four a second for each run.",
    )
    async def run_changed(
        self,
        info: Info,
        workspace_id: Annotated[
            strawberry.ID | None, strawberry.argument(description="The workspace; the caller's only one if absent.")
        ] = ABSENT,
        workflow_id: Annotated[
            strawberry.ID | None, strawberry.argument(description="Only runs of this workflow.")
        ] = ABSENT,
    ) -> AsyncGenerator[Run]:
        """Watch the runs of a workspace."""
        named = or_none(workflow_id)
        of = None if named is None else WorkflowId(from_id(Prefix.WORKFLOW, named, "workflowId"))
        changes = info.context.services.runs.changes(
            info.context.principal, workspace_id_of(workspace_id, "workspaceId"), of
        )
        async with aclosing(changes) as runs:
            async for run in runs:
                yield Run.of(run)


def _query(given: RunFilter | None) -> RunQuery:
    if not given:
        return RunQuery()
    span = given.created_at or None
    return RunQuery(
        tuple(WorkflowId(from_id(Prefix.WORKFLOW, text, "filter", "workflowIds")) for text in given.workflow_ids or ()),
        tuple(given.statuses or ()),
        None if span is None else or_none(span.from_),
        None if span is None else or_none(span.until),
    )


async def _page(info: Info, workspace_id: WorkspaceId | None, chosen: RunQuery, part: tuple[Any, ...]) -> RunConnection:
    actor, service = info.context.principal, info.context.services.runs
    page = await service.page(actor, workspace_id, chosen, page_request(*part))
    return RunConnection.of(page, Run.of, lambda: service.count(actor, workspace_id, chosen))
