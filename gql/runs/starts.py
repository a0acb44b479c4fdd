"""Starting runs, and what a run shows of how it was started."""

from __future__ import annotations

from typing import Annotated, cast

import strawberry
from strawberry.scalars import JSON

from domain.identity import Permission
from domain.ids import Prefix, WorkflowId
from domain.json_value import Json
from gql.absent import ABSENT, or_none
from gql.context import Info
from gql.enums import expose
from gql.fields import mutation
from gql.ids import from_id
from gql.kinds import NameValueInput
from gql.payloads import Payload
from gql.runs.types import Run
from runtime.run_starts import RunConflictPolicy, StartRequest

expose(
    RunConflictPolicy,
    description="What a second call with the same key does.",
    values={
        RunConflictPolicy.USE_EXISTING: "Gives the first run.",
        RunConflictPolicy.FAIL: "Gets a ConflictError.",
        RunConflictPolicy.CANCEL_EXISTING: "Cancels the first run and starts another.",
    },
)


@strawberry.input(description="What `startRun` takes.")
class StartRunInput:
    """What `startRun` takes."""

    workflow_id: strawberry.ID = strawberry.field(description="Which workflow.")
    input: JSON | None = strawberry.field(
        default=ABSENT, description="The input; it must satisfy the workflow's `inputSchema`."
    )
    use_draft: bool = strawberry.field(
        default=False, description="Whether the draft is run though a version is published."
    )
    idempotency_key: str | None = strawberry.field(
        default=ABSENT,
        description="A second call with the same key in the workspace gives the first call's run, as long as that exists.",
    )
    on_conflict: RunConflictPolicy = strawberry.field(
        default=RunConflictPolicy.USE_EXISTING, description="What a second call with the same key does."
    )
    priority: int | None = strawberry.field(default=ABSENT, description="1 (first) to 5 (last); 3 if absent.")
    concurrency_key: str | None = strawberry.field(
        default=ABSENT,
        description="Groups the run for the workflow's `concurrency`; replaces the key that the workflow computes.",
    )
    labels: list[NameValueInput] | None = strawberry.field(
        default=ABSENT, description="Notes to find it again; at most 50."
    )

    def request(self) -> StartRequest:
        """Convert what is asked for.

        Raises:
            InvalidId: the id is no workflow's.
        """
        priority = or_none(self.priority)
        return StartRequest(
            WorkflowId(from_id(Prefix.WORKFLOW, self.workflow_id, "input", "workflowId")),
            cast("Json", or_none(self.input)),
            self.use_draft,
            or_none(self.idempotency_key),
            self.on_conflict,
            3 if priority is None else priority,
            or_none(self.concurrency_key),
            [(label.name, label.value) for label in or_none(self.labels) or ()],
        )


@strawberry.type(description="What `startRun` gives.")
class StartRunPayload(Payload):
    """What `startRun` gives."""

    run: Run | None = strawberry.field(default=None, description="The run.")
    is_existing: bool | None = strawberry.field(
        default=None, description="Whether an earlier call with the same key had started it."
    )


@strawberry.type
class RunStartMutation:
    """Starting runs."""

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
        started = await info.context.services.runs.start_with(info.context.principal, input.request())
        return StartRunPayload(run=Run.of(started.run), is_existing=started.is_existing)
