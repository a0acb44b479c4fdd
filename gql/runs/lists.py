"""Lists of runs: which, in which order, of a workspace and of a workflow."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, TypeAlias

import strawberry

from domain import run as domain
from domain.errors import InvalidInput
from domain.ids import Prefix, WorkflowId, WorkspaceId
from domain.ports.paging import PageRequest
from domain.run import NEWEST_FIRST, RunOrderField, RunQuery, RunStatus, TriggerKind
from domain.texts import check_text
from gql.absent import ABSENT, or_none
from gql.context import Info
from gql.enums import expose
from gql.ids import from_id
from gql.kinds import NameValueInput
from gql.orders import OrderDirection
from gql.paging import After, Before, First, Last, page_request
from gql.runs.types import Run, RunConnection

_MAX_NAMED = 100
_MAX_TEXT = 256
_MAX_LABELS = 10

expose(
    RunOrderField,
    description="What runs are ordered by.",
    values={
        RunOrderField.CREATED_AT: "When it was made.",
        RunOrderField.FINISHED_AT: "When it ended; unfinished runs are last.",
        RunOrderField.DURATION: "How long it took; unfinished runs are last.",
    },
)


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
    triggers: list[TriggerKind] | None = strawberry.field(default=ABSENT, description="Started by one of these.")
    created_at: DateTimeRange | None = strawberry.field(default=ABSENT, description="Made in this span.")
    labels: list[NameValueInput] | None = strawberry.field(
        default=ABSENT, description="With all of these labels, 10 at most."
    )
    error_codes: list[str] | None = strawberry.field(
        default=ABSENT, description="Failed with one of these codes, 100 at most."
    )
    concurrency_key: str | None = strawberry.field(default=ABSENT, description="With this concurrency key.")
    is_top_level: bool | None = strawberry.field(default=ABSENT, description="Whether no other run called it.")

    def of_domain(self, *path: str) -> RunQuery:
        """Convert to the domain's; `path` leads to the filter.

        Raises:
            InvalidInput: more than 100 workflows or codes or 10 labels, or a text that is none.
            InvalidId: no id of a workflow.
        """

        def text(name: str, value: str) -> str:
            return check_text(value, [*path, name], limit=_MAX_TEXT)

        span, key = self.created_at or None, or_none(self.concurrency_key)
        for name, named, limit in (
            ("workflowIds", self.workflow_ids, _MAX_NAMED),
            ("labels", self.labels, _MAX_LABELS),
            ("errorCodes", self.error_codes, _MAX_NAMED),
        ):
            if len(named or ()) > limit:
                raise InvalidInput(f"At most {limit} of them at once.", path=[*path, name])
        return RunQuery(
            tuple(WorkflowId(from_id(Prefix.WORKFLOW, one, *path, "workflowIds")) for one in self.workflow_ids or ()),
            tuple(dict.fromkeys(self.statuses or ())),
            None if span is None else or_none(span.from_),
            None if span is None else or_none(span.until),
            tuple(dict.fromkeys(self.triggers or ())),
            tuple(text("errorCodes", code) for code in self.error_codes or ()),
            or_none(self.is_top_level),
            labels=tuple((text("labels", one.name), text("labels", one.value)) for one in self.labels or ()),
            concurrency_key=None if key is None else text("concurrencyKey", key),
        )


@strawberry.input(description="How runs are ordered.")
class RunOrder:
    """How runs are ordered."""

    field: RunOrderField = strawberry.field(description="By what.")
    direction: OrderDirection = strawberry.field(default=OrderDirection.DESC, description="Which way.")

    def of_domain(self) -> domain.RunOrder:
        """Convert to the domain's."""
        return domain.RunOrder(self.field, self.direction is OrderDirection.DESC)


Filter: TypeAlias = Annotated[RunFilter | None, strawberry.argument(description="Which of them.")]
Order: TypeAlias = Annotated[
    RunOrder | None, strawberry.argument(description="In which order; newest first if absent.")
]


@strawberry.type
class RunsOfWorkflow:
    """What `Workflow` shows of this feature."""

    workflow_id: strawberry.Private[WorkflowId]

    @strawberry.field(description="The run that was started last.")
    async def latest_run(self, info: Info) -> Run | None:
        """Load the run."""
        service, loaders = info.context.services.runs, info.context.loaders
        page = await loaders.load_for(service.page_by_workflow, self.workflow_id, RunQuery(), PageRequest(limit=1))
        return next((Run.of(run) for run in page.items), None)

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
        service, loaders, owner = info.context.services.runs, info.context.loaders, self.workflow_id
        chosen, part = _chosen(filter), page_request(first, after, last, before)
        page = await loaders.load_for(service.page_by_workflow, owner, chosen, part, _ordered(order_by))
        return RunConnection.of(page, Run.of, lambda: loaders.load_for(service.count_by_workflow, owner, chosen))


async def page_of_workspace(
    info: Info, workspace_id: WorkspaceId | None, which: RunFilter | None, order: RunOrder | None, page: PageRequest
) -> RunConnection:
    """Return a page of the runs of a workspace; None = the caller's only one."""
    service, loaders, owner = (
        info.context.services.runs,
        info.context.loaders,
        info.context.principal.workspace(workspace_id),
    )
    chosen = _chosen(which)
    found = await loaders.load_for(service.page_by_workspace, owner, chosen, page, _ordered(order))
    return RunConnection.of(found, Run.of, lambda: loaders.load_for(service.count_by_workspace, owner, chosen))


def _chosen(given: RunFilter | None) -> RunQuery:
    return given.of_domain("filter") if given else RunQuery()


def _ordered(given: RunOrder | None) -> domain.RunOrder:
    return given.of_domain() if given else NEWEST_FIRST
