"""Trying things out: `previewTemplate`."""

from __future__ import annotations

from typing import Annotated, cast

import strawberry
from strawberry.scalars import JSON

from domain.identity import Permission
from domain.ids import Prefix, RunId, WorkflowId
from gql.absent import ABSENT, or_none
from gql.context import Info
from gql.fields import query
from gql.ids import from_id
from gql.problems import GraphProblem


@strawberry.input(description="The place in a graph where a template is tried.")
class PreviewTemplateInput:
    """The place in a graph where a template is tried."""

    workflow_id: strawberry.ID = strawberry.field(description="Which workflow's draft.")
    node_key: str = strawberry.field(description="Key of the node that has the template.")
    template: str = strawberry.field(description="The template.")
    run_id: strawberry.ID | None = strawberry.field(
        default=ABSENT, description="The run whose input and outputs it sees; the latest if absent."
    )


@strawberry.type(description="What a template gives.")
class TemplatePreviewResult:
    """What a template gives."""

    value: JSON | None = strawberry.field(description="The value, with its type; null after an error.")
    error: GraphProblem | None = strawberry.field(description="Why it gives none.")
    references: list[str] = strawberry.field(
        description="What the template reads, such as `nodes.find.output.matches`; at most 100."
    )


@strawberry.type
class PreviewQuery:
    """Trying things out."""

    @query(
        Permission.READ,
        description="What a template would give at a place in a draft, on the data of an earlier run; nothing is done.",
    )
    async def preview_template(
        self,
        info: Info,
        input: Annotated[PreviewTemplateInput, strawberry.argument(description="The place and the template.")],  # noqa: A002
    ) -> TemplatePreviewResult:
        """Try a template."""
        actor, service, named = info.context.principal, info.context.services.previews, or_none(input.run_id)
        workflow_id = WorkflowId(from_id(Prefix.WORKFLOW, input.workflow_id, "input", "workflowId"))
        run_id = None if named is None else RunId(from_id(Prefix.RUN, named, "input", "runId"))
        found = await service.preview(actor, workflow_id, input.node_key, input.template, run_id)
        error = GraphProblem.of(found.problem) if found.problem else None
        return TemplatePreviewResult(
            value=cast("JSON | None", found.value), error=error, references=list(found.references)
        )
