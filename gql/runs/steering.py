"""Pausing runs, letting them go on, and stopping many at once."""

from __future__ import annotations

from typing import Annotated

import strawberry

from domain.errors import InvalidInput
from domain.identity import Permission
from domain.ids import Prefix, RunId
from gql.absent import ABSENT, or_none
from gql.context import Info
from gql.fields import mutation
from gql.ids import from_id, workspace_id_of
from gql.payloads import Payload
from gql.runs.lists import RunFilter
from gql.runs.types import Run


@strawberry.input(description="What `pauseRun` takes.")
class PauseRunInput:
    """What `pauseRun` takes."""

    id: strawberry.ID = strawberry.field(description="Which run.")


@strawberry.input(description="What `resumeRun` takes.")
class ResumeRunInput:
    """What `resumeRun` takes."""

    id: strawberry.ID = strawberry.field(description="Which run.")


@strawberry.input(description="What `cancelRuns` takes.")
class CancelRunsInput:
    """What `cancelRuns` takes."""

    workspace_id: strawberry.ID | None = strawberry.field(
        default=ABSENT, description="The workspace; the caller's only one if absent."
    )
    filter: RunFilter = strawberry.field(description="Which of the unfinished runs.")
    reason: str | None = strawberry.field(default=ABSENT, description="Why; the logs keep it.")


@strawberry.type(description="What `pauseRun` gives.")
class PauseRunPayload(Payload):
    """What `pauseRun` gives."""

    run: Run | None = strawberry.field(default=None, description="The run.")


@strawberry.type(description="What `resumeRun` gives.")
class ResumeRunPayload(Payload):
    """What `resumeRun` gives."""

    run: Run | None = strawberry.field(default=None, description="The run.")


@strawberry.type(description="What `cancelRuns` gives.")
class CancelRunsPayload(Payload):
    """What `cancelRuns` gives."""

    canceled_count: int | None = strawberry.field(default=None, description="How many runs were asked to stop.")
    has_more: bool | None = strawberry.field(default=None, description="Whether more than 10,000 match; call again.")


@strawberry.type
class SteeringMutation:
    """Pausing runs, letting them go on, and stopping many."""

    @mutation(Permission.EXECUTE, description="Lets nodes in flight end and starts none until `resumeRun`.")
    async def pause_run(
        self,
        info: Info,
        input: Annotated[PauseRunInput, strawberry.argument(description="What is asked for.")],  # noqa: A002
    ) -> PauseRunPayload:
        """Pause a run."""
        run_id = RunId(from_id(Prefix.RUN, input.id, "input", "id"))
        run = await info.context.services.steering.pause(info.context.principal, run_id)
        return PauseRunPayload(run=Run.of(run))

    @mutation(Permission.EXECUTE, description="Lets a paused run go on.")
    async def resume_run(
        self,
        info: Info,
        input: Annotated[ResumeRunInput, strawberry.argument(description="What is asked for.")],  # noqa: A002
    ) -> ResumeRunPayload:
        """Let a run go on."""
        run_id = RunId(from_id(Prefix.RUN, input.id, "input", "id"))
        run = await info.context.services.steering.resume(info.context.principal, run_id)
        return ResumeRunPayload(run=Run.of(run))

    @mutation(Permission.EXECUTE, description="Stops all runs that match, 10,000 at most in one call.")
    async def cancel_runs(
        self,
        info: Info,
        input: Annotated[CancelRunsInput, strawberry.argument(description="What is asked for.")],  # noqa: A002
    ) -> CancelRunsPayload:
        """Ask runs to stop."""
        _refuse_empty(input.filter)
        workspace_id = workspace_id_of(input.workspace_id, "input", "workspaceId")
        canceled = await info.context.services.steering.cancel_many(
            info.context.principal, workspace_id, input.filter.of_domain("input", "filter"), or_none(input.reason)
        )
        return CancelRunsPayload(canceled_count=canceled.count, has_more=canceled.has_more)


def _refuse_empty(given: RunFilter) -> None:
    """Refuse lists that name nothing: in a filter they leave all runs in, and whoever computed one meant none."""
    for name, named in (
        ("workflowIds", given.workflow_ids),
        ("statuses", given.statuses),
        ("triggers", given.triggers),
        ("labels", given.labels),
        ("errorCodes", given.error_codes),
    ):
        if isinstance(named, list) and not named:
            message = "An empty list would stop every run; leave it out if that is meant."
            raise InvalidInput(message, path=["input", "filter", name])
