"""Versions of workflows: published, restored, read."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

import strawberry
from strawberry.scalars import JSON
from strawberry.types.lazy_type import LazyType

from domain import versions as domain
from domain.identity import Permission
from domain.ids import Prefix, VersionId, WorkflowId, to_global
from domain.layout import arranged
from domain.uses import Usable, UseKind
from domain.workflow import Workflow
from gql.absent import ABSENT, or_none
from gql.context import Context, Info
from gql.definitions import load_definition
from gql.fields import mutation
from gql.graphs import Graph
from gql.ids import from_id, to_id
from gql.lookup import find_node, register_node
from gql.nodes import Node
from gql.paging import After, Before, Connection, Edge, First, Last, page_request
from gql.payloads import Payload
from gql.users import User, load_users
from gql.uses import NodeUse, load_uses
from gql.workflow_settings import OutputField, WorkflowSettings, output_fields

_WORKFLOW: Any = LazyType[Any, Any]("Workflow", "gql.workflows")


@strawberry.type(description="An immutable copy of a graph, made by publishing.")
class WorkflowVersion(Node):
    """An immutable copy of a graph, made by publishing."""

    version: strawberry.Private[domain.WorkflowVersion]
    id: strawberry.ID = strawberry.field(description="Its id.")
    number: int = strawberry.field(description="1, 2, 3 …")
    note: str | None = strawberry.field(description="What the publisher said about it.")
    published_at: datetime = strawberry.field(description="When it was published.")

    @strawberry.field(description="Its workflow.", graphql_type=_WORKFLOW)
    async def workflow(self, info: Info) -> object:
        """Load the workflow."""
        return await find_node(info, to_global(Prefix.WORKFLOW, self.version.workflow_id))

    @strawberry.field(description="The graph as it was published.")
    async def graph(self, info: Info) -> Graph:
        """Load the graph."""
        definition = await info.context.loaders.load(load_definition, self.version.graph_id)
        return Graph.of(arranged(definition, self.version.layout).graph)

    @strawberry.field(description="JSON Schema of the input at that time.")
    async def input_schema(self, info: Info) -> JSON | None:
        """Load the schema."""
        return (await info.context.loaders.load(load_definition, self.version.graph_id)).input_schema

    @strawberry.field(description="What a run of it returns; at most 100 fields.")
    async def output(self, info: Info) -> list[OutputField]:
        """Load the output mapping."""
        return output_fields((await info.context.loaders.load(load_definition, self.version.graph_id)).output)

    @strawberry.field(description="Limits and policies at that time.")
    async def settings(self, info: Info) -> WorkflowSettings:
        """Load the settings."""
        definition = await info.context.loaders.load(load_definition, self.version.graph_id)
        return WorkflowSettings.of(definition.settings)

    @strawberry.field(description="Who published it.")
    async def published_by(self, info: Info) -> User | None:
        """Load the person."""
        user_id = self.version.published_by
        return None if user_id is None else await info.context.loaders.load(load_users, user_id)

    @classmethod
    def of(cls, version: domain.WorkflowVersion) -> WorkflowVersion:
        """Convert a version of the domain."""
        return cls(
            version=version,
            id=to_id(Prefix.VERSION, version.id),
            number=version.number,
            note=version.note,
            published_at=version.published_at,
        )


@strawberry.type(description="A version on a page.")
class WorkflowVersionEdge(Edge[WorkflowVersion]):
    """A version on a page."""

    node: WorkflowVersion = strawberry.field(description="The version.")


@strawberry.type(description="Versions, page by page.")
class WorkflowVersionConnection(Connection[WorkflowVersion, WorkflowVersionEdge]):
    """Versions, page by page."""


async def load_numbered(context: Context, places: list[tuple[WorkflowId, int]]) -> Sequence[WorkflowVersion | None]:
    """Load versions by workflow and number; None for those that do not exist for the caller."""
    found = await context.services.versions.list_by_number(context.principal, places)
    return [WorkflowVersion.of(found[place]) if place in found else None for place in places]


async def load_versions(context: Context, version_ids: list[VersionId]) -> Sequence[WorkflowVersion | None]:
    """Load versions by id; None for those that do not exist for the caller."""
    found = await context.services.versions.list_by_id(context.principal, version_ids)
    return [WorkflowVersion.of(found[key]) if key in found else None for key in version_ids]


async def _find(info: Info, version_id: UUID) -> WorkflowVersion | None:
    return await info.context.loaders.load(load_versions, VersionId(version_id))


register_node(Prefix.VERSION, _find)


@strawberry.type
class VersionsOfWorkflow:
    """What `Workflow` shows of this feature."""

    workflow: strawberry.Private[Workflow]

    @strawberry.field(
        description="The version that schedules, webhooks and sub-workflows start; null before the first publication."
    )
    async def published_version(self, info: Info) -> WorkflowVersion | None:
        """Load the version that was published last."""
        workflow, published = self.workflow, self.workflow.published
        return published and await info.context.loaders.load(load_numbered, (workflow.id, published.number))

    @strawberry.field(
        description="Whether the draft differs in meaning from the published version; layout does not count."
    )
    def has_unpublished_changes(self) -> bool:
        """Compare draft and published version."""
        return self.workflow.has_unpublished_changes

    @strawberry.field(description="All versions, newest first.")
    async def versions(
        self, info: Info, first: First = ABSENT, after: After = ABSENT, last: Last = ABSENT, before: Before = ABSENT
    ) -> WorkflowVersionConnection:
        """List the versions."""
        service, loaders, owner = info.context.services.versions, info.context.loaders, self.workflow.id
        page = await loaders.load_for(service.page_by_workflow, owner, page_request(first, after, last, before))
        return WorkflowVersionConnection.of(
            page, WorkflowVersion.of, lambda: loaders.load_for(service.count_by_workflow, owner)
        )

    @strawberry.field(description="One version by its number; null where there is none.")
    async def version(
        self, info: Info, number: Annotated[int, strawberry.argument(description="1 for the first.")]
    ) -> WorkflowVersion | None:
        """Find a version by its number."""
        return await info.context.loaders.load(load_numbered, (self.workflow.id, number))

    @strawberry.field(
        description="Nodes of other workflows that call it, as a sub-workflow or as a tool; at most 100 are listed."
    )
    async def used_by(self, info: Info) -> list[NodeUse]:
        """Load the nodes that use it."""
        one = self.workflow
        return await info.context.loaders.load(load_uses, Usable(one.workspace_id, UseKind.WORKFLOW, one.slug, one.id))


@strawberry.input(description="What `publishWorkflow` takes.")
class PublishWorkflowInput:
    """What `publishWorkflow` takes."""

    id: strawberry.ID = strawberry.field(description="Which workflow.")
    expected_revision: int = strawberry.field(description="The revision that the change is based on.")
    note: str | None = strawberry.field(
        default=ABSENT, description="What changed, for those who read the list of versions."
    )


@strawberry.type(description="What `publishWorkflow` gives.")
class PublishWorkflowPayload(Payload):
    """What `publishWorkflow` gives."""

    version: WorkflowVersion | None = strawberry.field(default=None, description="The new version.")
    workflow: object | None = strawberry.field(
        default=None, description="The workflow with its new revision and problems.", graphql_type=_WORKFLOW | None
    )


@strawberry.input(description="What `restoreWorkflowVersion` takes.")
class RestoreWorkflowVersionInput:
    """What `restoreWorkflowVersion` takes."""

    id: strawberry.ID = strawberry.field(description="Which workflow.")
    expected_revision: int = strawberry.field(description="The revision that the change is based on.")
    number: int = strawberry.field(description="The version's number.")


@strawberry.type(description="What `restoreWorkflowVersion` gives.")
class RestoreWorkflowVersionPayload(Payload):
    """What `restoreWorkflowVersion` gives."""

    workflow: object | None = strawberry.field(
        default=None, description="The workflow with its new revision and problems.", graphql_type=_WORKFLOW | None
    )


@strawberry.type
class VersionMutation:
    """Publishing and restoring."""

    @mutation(
        Permission.WRITE,
        description="Makes the draft the version that schedules, webhooks and sub-workflows start.",
    )
    async def publish_workflow(
        self,
        info: Info,
        input: Annotated[PublishWorkflowInput, strawberry.argument(description="What is asked for.")],  # noqa: A002
    ) -> PublishWorkflowPayload:
        """Publish a draft."""
        workflow_id = WorkflowId(from_id(Prefix.WORKFLOW, input.id, "input", "id"))
        actor, service = info.context.principal, info.context.services.versions
        version = await service.publish(actor, workflow_id, input.expected_revision, or_none(input.note))
        workflow = await find_node(info, input.id)
        return PublishWorkflowPayload(version=WorkflowVersion.of(version), workflow=workflow)

    @mutation(Permission.WRITE, description="Makes an earlier version the draft; publish it to make it take effect.")
    async def restore_workflow_version(
        self,
        info: Info,
        input: Annotated[RestoreWorkflowVersionInput, strawberry.argument(description="What is asked for.")],  # noqa: A002
    ) -> RestoreWorkflowVersionPayload:
        """Restore a version."""
        workflow_id = WorkflowId(from_id(Prefix.WORKFLOW, input.id, "input", "id"))
        actor, service = info.context.principal, info.context.services.versions
        await service.restore(actor, workflow_id, input.expected_revision, input.number)
        return RestoreWorkflowVersionPayload(workflow=await find_node(info, input.id))
