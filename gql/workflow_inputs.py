"""Workflows as they are asked for and written: filters, orders, inputs."""

from __future__ import annotations

from typing import Any

import strawberry
from strawberry.scalars import JSON

from domain import workflow as domain
from domain.drafts import read_graph, read_output, read_settings
from domain.workflow import UNSET, WorkflowOrderField
from gql.absent import ABSENT, or_none
from gql.enums import expose
from gql.graphs import GraphInput, plain, plain_lists
from gql.orders import OrderDirection
from gql.workflow_settings import OutputFieldInput, WorkflowSettingsInput

expose(
    WorkflowOrderField,
    description="What workflows are ordered by.",
    values={
        WorkflowOrderField.NAME: "The name.",
        WorkflowOrderField.CREATED_AT: "When it was made.",
        WorkflowOrderField.UPDATED_AT: "When the draft last changed.",
    },
)


@strawberry.input(description="Which workflows.")
class WorkflowFilter:
    """Which workflows."""

    search: str | None = strawberry.field(default=ABSENT, description="Text in name, slug or description.")
    slugs: list[str] | None = strawberry.field(default=ABSENT, description="With one of these slugs, 100 at most.")
    is_published: bool | None = strawberry.field(default=ABSENT, description="Whether it was ever published.")
    is_runnable: bool | None = strawberry.field(default=ABSENT, description="Whether its draft can be run.")

    def chosen(self) -> domain.WorkflowFilter:
        """Convert to the domain's."""
        slugs = or_none(self.slugs)
        return domain.WorkflowFilter(
            or_none(self.search),
            None if slugs is None else tuple(slugs),
            is_published=or_none(self.is_published),
            is_runnable=or_none(self.is_runnable),
        )


@strawberry.input(description="How workflows are ordered.")
class WorkflowOrder:
    """How workflows are ordered."""

    field: WorkflowOrderField = strawberry.field(description="By what.")
    direction: OrderDirection = strawberry.field(default=OrderDirection.ASC, description="Which way.")

    def of_domain(self) -> domain.WorkflowOrder:
        """Convert to the domain's."""
        return domain.WorkflowOrder(self.field, self.direction is OrderDirection.DESC)


@strawberry.input(description="What `createWorkflow` takes.")
class CreateWorkflowInput:
    """What `createWorkflow` takes."""

    workspace_id: strawberry.ID | None = strawberry.field(
        default=ABSENT, description="The workspace; the caller's only one if absent."
    )
    name: str = strawberry.field(description="The name to show.")
    slug: str | None = strawberry.field(
        default=ABSENT, description="Unique in the workspace; made from the name if absent."
    )
    description: str | None = strawberry.field(
        default=ABSENT, description="What it is for; a model that uses it as a tool reads this."
    )
    graph: GraphInput | None = strawberry.field(default=ABSENT, description="The draft; empty if absent.")
    input_schema: JSON | None = strawberry.field(
        default=ABSENT, description="JSON Schema of the input; null accepts anything."
    )
    output: list[OutputFieldInput] | None = strawberry.field(
        default=ABSENT, description="What a run returns, at most 100 fields; empty = the outputs of the last nodes."
    )
    settings: WorkflowSettingsInput | None = strawberry.field(
        default=ABSENT, description="Limits and policies of its runs."
    )

    def draft(self) -> domain.WorkflowDraft:
        """Convert to the domain's.

        Raises:
            GraphHasProblems, InvalidInput, LimitExceeded: a value that no workflow can hold.
        """
        settings = self.settings.patch() if self.settings else {}
        return domain.WorkflowDraft(
            name=self.name,
            slug=or_none(self.slug),
            description=or_none(self.description),
            definition=domain.Definition(
                graph=read_graph(*plain_lists(self.graph)) if self.graph else domain.Graph(),
                input_schema=or_none(self.input_schema),
                output=read_output(plain(self.output or [])),
                settings=read_settings({name: value for name, value in settings.items() if value is not None}),
            ),
        )


@strawberry.input(description="What `updateWorkflow` takes.")
class UpdateWorkflowInput:
    """What `updateWorkflow` takes."""

    id: strawberry.ID = strawberry.field(description="Which workflow.")
    expected_revision: int = strawberry.field(description="The revision that the change is based on.")
    name: strawberry.Maybe[str] = strawberry.field(description="The name to show.")
    slug: strawberry.Maybe[str] = strawberry.field(
        description="Unique in the workspace; a change is refused while other workflows name it."
    )
    description: strawberry.Maybe[str | None] = strawberry.field(
        description="What it is for; a model that uses it as a tool reads this."
    )
    graph: strawberry.Maybe[GraphInput | None] = strawberry.field(description="The whole new graph.")
    input_schema: strawberry.Maybe[JSON | None] = strawberry.field(
        description="JSON Schema of the input; null accepts anything."
    )
    output: strawberry.Maybe[list[OutputFieldInput] | None] = strawberry.field(
        description="What a run returns, at most 100 fields; empty = the outputs of the last nodes."
    )
    settings: strawberry.Maybe[WorkflowSettingsInput | None] = strawberry.field(
        description="Limits and policies of its runs; fields that are absent stay as they are."
    )

    def change(self) -> domain.WorkflowChange:
        """Convert to the domain's.

        Raises:
            GraphHasProblems, InvalidInput, LimitExceeded: a value that no workflow can hold.
        """
        return domain.WorkflowChange(
            name=self.name.value if self.name else UNSET,
            slug=self.slug.value if self.slug else UNSET,
            description=self.description.value if self.description else UNSET,
            graph=_graph(self.graph.value) if self.graph else UNSET,
            input_schema=self.input_schema.value if self.input_schema else UNSET,
            output=read_output(plain(self.output.value or [])) if self.output else UNSET,
            settings=_settings(self.settings.value) if self.settings else UNSET,
        )


@strawberry.input(description="What `deleteWorkflow` takes.")
class DeleteWorkflowInput:
    """What `deleteWorkflow` takes."""

    id: strawberry.ID = strawberry.field(description="Which workflow.")


def _graph(given: GraphInput | None) -> domain.Graph:
    return domain.Graph() if given is None else read_graph(*plain_lists(given))


def _settings(given: WorkflowSettingsInput | None) -> dict[str, Any]:
    """Return the patch of a change; null sets everything back."""
    names = (info.alias or name for name, info in domain.WorkflowSettings.model_fields.items())
    return dict.fromkeys(names) if given is None else given.patch()
