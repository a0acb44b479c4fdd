"""What a workspace has used of models."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any, cast

import strawberry
from strawberry.types.lazy_type import LazyType

from domain import usage as domain
from domain.ids import Prefix, WorkflowId, WorkspaceId, to_global
from domain.usage import UsageGroup, UsageQuery
from gql.context import Context, Info
from gql.enums import expose
from gql.lookup import find_node

expose(
    UsageGroup,
    description="What a bucket of usage stands for.",
    values={
        UsageGroup.DAY: "One day in UTC.",
        UsageGroup.WORKFLOW: "One workflow.",
        UsageGroup.MODEL: "One model.",
    },
)


@strawberry.type(
    description="Usage summed over a day, a workflow or a model; counts are whole numbers, given as Float because sums "
    "outgrow Int."
)
class UsageBucket:
    """Usage of a day, a workflow or a model."""

    workflow_id: strawberry.Private[WorkflowId | None]
    key: str = strawberry.field(description="The day (`2026-11-22`), the workflow's slug or the model's name.")
    run_count: float = strawberry.field(description="Runs that finished; a run counts once in each bucket it touches.")
    input_tokens: float = strawberry.field(description="Tokens sent to models.")
    output_tokens: float = strawberry.field(description="Tokens received from models.")
    total_tokens: float = strawberry.field(description="Both together.")
    cost: Decimal | None = strawberry.field(description="What they cost; null when no price is known.")
    currency: str | None = strawberry.field(description="ISO 4217 code of the cost.")

    @strawberry.field(
        description="The workflow, when grouped by workflow and not deleted since.",
        graphql_type=cast("Any", LazyType[Any, Any]("Workflow", "gql.workflows") | None),
    )
    async def workflow(self, info: Info) -> object | None:
        """Load the workflow."""
        return None if self.workflow_id is None else await find_node(info, to_global(Prefix.WORKFLOW, self.workflow_id))

    @classmethod
    def of(cls, bucket: domain.UsageBucket) -> UsageBucket:
        """Convert a bucket of the domain."""
        usage = bucket.usage
        return cls(
            workflow_id=bucket.workflow_id,
            key=bucket.key,
            run_count=bucket.run_count,
            input_tokens=usage.input_tokens,
            output_tokens=usage.output_tokens,
            total_tokens=usage.total_tokens,
            cost=usage.cost,
            currency=None if usage.cost is None else usage.currency,
        )


@strawberry.type
class UsageOfWorkspace:
    """What `Workspace` shows of this feature."""

    workspace_id: strawberry.Private[WorkspaceId]

    @strawberry.field(description="What was used in a span of time; at most 1,000 buckets.")
    async def usage(
        self,
        info: Info,
        from_: Annotated[datetime, strawberry.argument(name="from", description="Not before.")],
        until: Annotated[datetime, strawberry.argument(description="Before.")],
        group_by: Annotated[
            UsageGroup, strawberry.argument(description="What one bucket stands for.")
        ] = UsageGroup.DAY,
    ) -> list[UsageBucket]:
        """Sum what was used."""
        query = UsageQuery(from_, until, group_by)
        return await info.context.loaders.load(load_buckets, (self.workspace_id, query))


async def load_buckets(context: Context, keys: list[tuple[WorkspaceId, UsageQuery]]) -> Sequence[list[UsageBucket]]:
    """Sum what workspaces have used, one after the other: each sum once, however often it is asked for."""
    service, actor = context.services.usage, context.principal
    return [
        [UsageBucket.of(bucket) for bucket in await service.of_workspace(actor, workspace_id, query)]
        for workspace_id, query in keys
    ]
