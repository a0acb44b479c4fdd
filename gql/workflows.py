"""Workflows: reading, writing, checking."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any, TypeAlias
from uuid import UUID

import strawberry
from strawberry.scalars import JSON
from strawberry.types.lazy_type import LazyType

from domain import workflow as domain
from domain.document import dump
from domain.identity import Permission
from domain.ids import Prefix, WorkflowId, WorkspaceId, to_global
from domain.ports.paging import PageRequest
from gql.absent import ABSENT
from gql.context import Context, Info
from gql.diffs import DiffOfWorkflow
from gql.fields import mutation, query
from gql.graphs import Graph, GraphInput, plain_lists
from gql.ids import find_id, from_id, to_id, workspace_id_of
from gql.lookup import find_node, register_node
from gql.nodes import Node
from gql.paging import After, Before, Connection, Edge, First, Last, page_request
from gql.payloads import Payload
from gql.problems import GraphProblem
from gql.runs.lists import RunsOfWorkflow
from gql.users import User, load_users
from gql.versions import VersionsOfWorkflow
from gql.webhooks import WebhooksOfWorkflow
from gql.workflow_inputs import (
    CreateWorkflowInput,
    DeleteWorkflowInput,
    UpdateWorkflowInput,
    WorkflowFilter,
    WorkflowOrder,
)
from gql.workflow_settings import OutputField, WorkflowSettings, output_fields

_WORKSPACE: Any = LazyType[Any, Any]("Workspace", "gql.identity")


@strawberry.type(description="An automation: a draft graph, its published versions and its runs.")
class Workflow(Node, VersionsOfWorkflow, DiffOfWorkflow, RunsOfWorkflow, WebhooksOfWorkflow):
    """An automation."""

    workflow: strawberry.Private[domain.Workflow]
    id: strawberry.ID = strawberry.field(description="Its id.")
    slug: str = strawberry.field(
        description="Unique in the workspace and safe in URLs; what sub-workflow nodes, files and the command line name."
    )
    name: str = strawberry.field(description="The name to show.")
    description: str | None = strawberry.field(description="What it is for; a model that uses it as a tool reads this.")
    revision: int = strawberry.field(
        description="Grows by one with every edit of the draft; send it back as `expectedRevision`."
    )
    is_runnable: bool = strawberry.field(
        description="Whether the draft has no problem of severity ERROR, so that it can be published and run."
    )
    input_schema: JSON | None = strawberry.field(description="JSON Schema of the input; null accepts anything.")
    created_at: datetime = strawberry.field(description="When it was made.")
    updated_at: datetime = strawberry.field(description="When the draft last changed.")

    @strawberry.field(description="The workspace it belongs to.", graphql_type=_WORKSPACE)
    async def workspace(self, info: Info) -> object:
        """Load the workspace."""
        return await find_node(info, to_global(Prefix.WORKSPACE, self.workflow.workspace_id))

    @strawberry.field(description="The draft.")
    def graph(self) -> Graph:
        """Convert the graph."""
        return Graph.of(self.workflow.definition.graph)

    @strawberry.field(description="What is wrong with the draft, worst first; at most 1,000.")
    def problems(self) -> list[GraphProblem]:
        """Convert the problems."""
        return [GraphProblem.of(problem) for problem in self.workflow.problems]

    @strawberry.field(
        description="What a run returns, at most 100 fields; empty = the outputs of the last nodes by key."
    )
    def output(self) -> list[OutputField]:
        """Convert the output mapping."""
        return output_fields(self.workflow.definition.output)

    @strawberry.field(description="Limits and policies of its runs.")
    def settings(self) -> WorkflowSettings:
        """Convert the settings."""
        return WorkflowSettings.of(self.workflow.definition.settings)

    @strawberry.field(
        description="The draft and its settings as YAML, in a stable order, for files and version control; "
        "`importWorkflow` takes it back."
    )
    def document(self) -> str:
        """Write the file."""
        return dump(self.name, self.slug, self.description, self.workflow.definition)

    @strawberry.field(description="Who last changed the draft.")
    async def updated_by(self, info: Info) -> User | None:
        """Load the person."""
        user_id = self.workflow.updated_by
        return None if user_id is None else await info.context.loaders.load(load_users, user_id)

    @classmethod
    def of(cls, workflow: domain.Workflow) -> Workflow:
        """Convert a workflow of the domain."""
        return cls(
            workflow=workflow,
            workflow_id=workflow.id,
            id=to_id(Prefix.WORKFLOW, workflow.id),
            slug=workflow.slug,
            name=workflow.name,
            description=workflow.description,
            revision=workflow.revision,
            is_runnable=workflow.is_runnable,
            input_schema=workflow.definition.input_schema,
            created_at=workflow.created_at,
            updated_at=workflow.updated_at,
        )


@strawberry.type(description="A workflow on a page.")
class WorkflowEdge(Edge[Workflow]):
    """A workflow on a page."""

    node: Workflow = strawberry.field(description="The workflow.")


@strawberry.type(description="Workflows, page by page.")
class WorkflowConnection(Connection[Workflow, WorkflowEdge]):
    """Workflows, page by page."""


async def load_workflows(context: Context, workflow_ids: list[WorkflowId]) -> Sequence[Workflow | None]:
    """Load workflows by id; None for those that do not exist for the caller."""
    found = await context.services.workflows.list_by_id(context.principal, workflow_ids)
    return [Workflow.of(found[key]) if key in found else None for key in workflow_ids]


async def _find(info: Info, workflow_id: UUID) -> Workflow | None:
    return await info.context.loaders.load(load_workflows, WorkflowId(workflow_id))


register_node(Prefix.WORKFLOW, _find)


@strawberry.type(description="What `createWorkflow` gives.")
class CreateWorkflowPayload(Payload):
    """What `createWorkflow` gives."""

    workflow: Workflow | None = strawberry.field(default=None, description="The new workflow.")


@strawberry.type(description="What `updateWorkflow` gives.")
class UpdateWorkflowPayload(Payload):
    """What `updateWorkflow` gives."""

    workflow: Workflow | None = strawberry.field(
        default=None, description="The workflow with its new revision and problems."
    )


@strawberry.type(description="What `deleteWorkflow` gives.")
class DeleteWorkflowPayload(Payload):
    """What `deleteWorkflow` gives."""

    deleted_workflow_id: strawberry.ID | None = strawberry.field(
        default=None, description="Id of the workflow that is gone."
    )


WorkspaceArgument: TypeAlias = Annotated[
    strawberry.ID | None,
    strawberry.argument(
        description="The workspace; the caller's only one if absent, error WORKSPACE_REQUIRED if there are several."
    ),
]
FilterArgument: TypeAlias = Annotated[WorkflowFilter | None, strawberry.argument(description="Which of them.")]
OrderArgument: TypeAlias = Annotated[
    WorkflowOrder | None, strawberry.argument(description="In which order; by name if absent.")
]


async def _page(
    info: Info,
    workspace_id: WorkspaceId | None,
    which: WorkflowFilter | None,
    order: WorkflowOrder | None,
    page: PageRequest,
) -> WorkflowConnection:
    service, loaders = info.context.services.workflows, info.context.loaders
    owner, chosen = info.context.principal.workspace(workspace_id), which.chosen() if which else domain.WorkflowFilter()
    ordered = order.of_domain() if order else domain.WorkflowOrder()
    found = await loaders.load_for(service.page_by_workspace, owner, chosen, ordered, page)
    return WorkflowConnection.of(
        found, Workflow.of, lambda: loaders.load_for(service.count_by_workspace, owner, chosen)
    )


@strawberry.type
class WorkflowsOfWorkspace:
    """What `Workspace` shows of this feature."""

    workspace_id: strawberry.Private[WorkspaceId]

    @strawberry.field(description="Its workflows.")
    async def workflows(  # noqa: PLR0917 -- GraphQL names every argument
        self,
        info: Info,
        filter: FilterArgument = ABSENT,  # noqa: A002
        order_by: OrderArgument = ABSENT,
        first: First = ABSENT,
        after: After = ABSENT,
        last: Last = ABSENT,
        before: Before = ABSENT,
    ) -> WorkflowConnection:
        """List the workflows."""
        return await _page(info, self.workspace_id, filter, order_by, page_request(first, after, last, before))

    @strawberry.field(description="One workflow by its slug; null where there is none.")
    async def workflow(
        self,
        info: Info,
        slug: Annotated[str, strawberry.argument(description="The slug, as sub-workflow nodes name it.")],
    ) -> Workflow | None:
        """Find a workflow by its slug."""
        service = info.context.services.workflows
        workflow = await service.find_by_slug(info.context.principal, self.workspace_id, slug)
        return Workflow.of(workflow) if workflow else None


@strawberry.type
class WorkflowQuery:
    """Workflows, and whether a graph is sound."""

    @query(Permission.READ, description="One workflow; null where there is none.")
    async def workflow(
        self,
        info: Info,
        id: Annotated[strawberry.ID, strawberry.argument(description="Its id.")],  # noqa: A002
    ) -> Workflow | None:
        """Find a workflow."""
        workflow_id = find_id(Prefix.WORKFLOW, id)
        return None if workflow_id is None else await _find(info, workflow_id)

    @query(Permission.READ, description="Workflows of a workspace.")
    async def workflows(  # noqa: PLR0917 -- GraphQL names every argument
        self,
        info: Info,
        workspace_id: WorkspaceArgument = ABSENT,
        filter: FilterArgument = ABSENT,  # noqa: A002
        order_by: OrderArgument = ABSENT,
        first: First = ABSENT,
        after: After = ABSENT,
        last: Last = ABSENT,
        before: Before = ABSENT,
    ) -> WorkflowConnection:
        """List workflows."""
        workspace = workspace_id_of(workspace_id, "workspaceId")
        return await _page(info, workspace, filter, order_by, page_request(first, after, last, before))

    @query(Permission.READ, description="What would be wrong with a graph, without saving it; at most 1,000.")
    async def validate_graph(
        self,
        info: Info,
        graph: Annotated[GraphInput, strawberry.argument(description="The graph.")],
        workspace_id: Annotated[
            strawberry.ID | None,
            strawberry.argument(
                description="The workspace whose names the graph may use; the caller's only one if absent."
            ),
        ] = ABSENT,
    ) -> list[GraphProblem]:
        """Check a graph."""
        workspace = workspace_id_of(workspace_id, "workspaceId")
        actor, service = info.context.principal, info.context.services.workflows
        return [GraphProblem.of(one) for one in await service.validate(actor, workspace, *plain_lists(graph))]


@strawberry.type
class WorkflowMutation:
    """Writing workflows."""

    @mutation(Permission.WRITE, description="Makes a workflow, with its graph if one is given.")
    async def create_workflow(
        self,
        info: Info,
        input: Annotated[CreateWorkflowInput, strawberry.argument(description="What is asked for.")],  # noqa: A002
    ) -> CreateWorkflowPayload:
        """Make a workflow."""
        workspace = workspace_id_of(input.workspace_id, "input", "workspaceId")
        service = info.context.services.workflows
        workflow = await service.create(info.context.principal, workspace, input.draft())
        return CreateWorkflowPayload(workflow=Workflow.of(workflow))

    @mutation(Permission.WRITE, description="Changes a draft, all at once or not at all; absent = unchanged.")
    async def update_workflow(
        self,
        info: Info,
        input: Annotated[UpdateWorkflowInput, strawberry.argument(description="What is asked for.")],  # noqa: A002
    ) -> UpdateWorkflowPayload:
        """Change a workflow."""
        workflow_id = WorkflowId(from_id(Prefix.WORKFLOW, input.id, "input", "id"))
        actor, service = info.context.principal, info.context.services.workflows
        workflow = await service.update(actor, workflow_id, input.expected_revision, input.change())
        return UpdateWorkflowPayload(workflow=Workflow.of(workflow))

    @mutation(
        Permission.WRITE,
        description="Deletes a workflow with its versions, schedules, webhooks and finished runs; refused while it has "
        "unfinished runs or other workflows use it.",
    )
    async def delete_workflow(
        self,
        info: Info,
        input: Annotated[DeleteWorkflowInput, strawberry.argument(description="What is asked for.")],  # noqa: A002
    ) -> DeleteWorkflowPayload:
        """Delete a workflow."""
        workflow_id = WorkflowId(from_id(Prefix.WORKFLOW, input.id, "input", "id"))
        await info.context.services.workflows.delete(info.context.principal, workflow_id)
        return DeleteWorkflowPayload(deleted_workflow_id=to_id(Prefix.WORKFLOW, workflow_id))
