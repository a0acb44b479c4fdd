"""Stopping, reading and watching runs."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Annotated

import strawberry

from domain.identity import Permission
from domain.ids import Prefix, RunId, WorkflowId, WorkspaceId
from gql.absent import ABSENT, or_none
from gql.context import Info
from gql.fields import mutation, query, subscription
from gql.ids import find_id, from_id, workspace_id_of
from gql.paging import After, Before, First, Last, page_request
from gql.payloads import Payload
from gql.runs.event_types import event_of
from gql.runs.events import RunEvent
from gql.runs.lists import Filter, Order, page_of_workspace
from gql.runs.types import Run, RunConnection


@strawberry.input(description="What `cancelRun` takes.")
class CancelRunInput:
    """What `cancelRun` takes."""

    id: strawberry.ID = strawberry.field(description="Which run.")
    reason: str | None = strawberry.field(default=ABSENT, description="Why; the log keeps it.")


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
        order_by: Order = ABSENT,
        first: First = ABSENT,
        after: After = ABSENT,
        last: Last = ABSENT,
        before: Before = ABSENT,
    ) -> RunConnection:
        """List the runs."""
        return await page_of_workspace(
            info, self.workspace_id, filter, order_by, page_request(first, after, last, before)
        )


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
        order_by: Order = ABSENT,
        first: First = ABSENT,
        after: After = ABSENT,
        last: Last = ABSENT,
        before: Before = ABSENT,
    ) -> RunConnection:
        """List the runs of a workspace."""
        workspace = workspace_id_of(workspace_id, "workspaceId")
        return await page_of_workspace(info, workspace, filter, order_by, page_request(first, after, last, before))


@strawberry.type
class RunMutation:
    """Stopping runs."""

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
        description="Runs that were made or changed, for lists: first the unfinished ones (100 at most) and those that "
        "ended in the last ten seconds, then changes, at most four a second for each run.",
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
