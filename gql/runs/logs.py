"""The log of a run, page by page."""

from __future__ import annotations

from dataclasses import replace

import strawberry

from domain import run as domain
from gql.absent import ABSENT
from gql.context import Info
from gql.paging import After, Before, Connection, Edge, First, Last, page_request
from gql.runs.event_types import event_of
from gql.runs.events import RunEvent
from runtime.runs import cursor_of, log_span


@strawberry.type(description="An event on a page.")
class RunEventEdge(Edge[RunEvent]):
    """An event on a page."""

    node: RunEvent = strawberry.field(description="The event.")


@strawberry.type(description="Events, page by page.")
class RunEventConnection(Connection[RunEvent, RunEventEdge]):
    """Events, page by page."""


@strawberry.type
class EventsOfRun:
    """What `Run` shows of its log."""

    run: strawberry.Private[domain.Run]

    @strawberry.field(description="Its log, oldest first; the cursors are those of `runEvents`.")
    async def events(
        self, info: Info, first: First = ABSENT, after: After = ABSENT, last: Last = ABSENT, before: Before = ABSENT
    ) -> RunEventConnection:
        """List its log."""
        service, loaders, run = info.context.services.runs, info.context.loaders, self.run
        asked = page_request(first, after, last, before)
        # The cursors are in the span, so that the same part of all runs is one call.
        page = await loaders.load_for(
            service.page_events, log_span(run, asked), replace(asked, after=None, before=None)
        )
        page = replace(page, cursors=[cursor_of(run.id, event.seq) for event in page.items])
        return RunEventConnection.of(page, event_of, lambda: loaders.load_for(service.count_events, run.id))
