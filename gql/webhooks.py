"""Webhooks: made, rotated and deleted; their URLs and keys are shown once."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

import strawberry
from strawberry.types.lazy_type import LazyType

from domain import webhooks as domain
from domain.identity import Permission
from domain.ids import Prefix, WebhookId, WorkflowId, WorkspaceId, to_global
from gql.absent import ABSENT
from gql.context import Context, Info
from gql.fields import mutation
from gql.ids import from_id, to_id
from gql.lookup import find_node, register_node
from gql.nodes import Node
from gql.paging import After, Before, Connection, Edge, First, Last, page_request
from gql.payloads import Payload


@strawberry.type(
    description="Starts runs of a workflow's published version when its URL is called; the request's JSON body is the input."
)
class Webhook(Node):
    """A webhook without its token and key."""

    workflow_id: strawberry.Private[WorkflowId]
    id: strawberry.ID = strawberry.field(description="Its id.")
    name: str = strawberry.field(description="What it is for.")
    prefix: str = strawberry.field(description="The first characters of its URL's token, to recognise it.")
    is_signed: bool = strawberry.field(
        description="Whether calls must be signed with HMAC-SHA256 over id, timestamp and body."
    )
    last_called_at: datetime | None = strawberry.field(
        description="When it was last called with success, to the minute; null = never."
    )
    created_at: datetime = strawberry.field(description="When it was made.")

    @strawberry.field(
        description="The workflow that it starts.", graphql_type=LazyType[Any, Any]("Workflow", "gql.workflows")
    )
    async def workflow(self, info: Info) -> object:
        """Load the workflow."""
        return await find_node(info, to_global(Prefix.WORKFLOW, self.workflow_id))

    @classmethod
    def of(cls, webhook: domain.Webhook) -> Webhook:
        """Convert a webhook of the domain."""
        return cls(
            workflow_id=webhook.workflow_id,
            id=to_id(Prefix.WEBHOOK, webhook.id),
            name=webhook.name,
            prefix=webhook.prefix,
            is_signed=webhook.is_signed,
            last_called_at=webhook.last_called_at,
            created_at=webhook.created_at,
        )


@strawberry.type(description="A webhook on a page.")
class WebhookEdge(Edge[Webhook]):
    """A webhook on a page."""

    node: Webhook = strawberry.field(description="The webhook.")


@strawberry.type(description="Webhooks, page by page.")
class WebhookConnection(Connection[Webhook, WebhookEdge]):
    """Webhooks, page by page."""


@strawberry.type
class WebhooksOfWorkspace:
    """What `Workspace` shows of this feature."""

    workspace_id: strawberry.Private[WorkspaceId]

    @strawberry.field(description="Its webhooks, by name.")
    async def webhooks(
        self, info: Info, first: First = ABSENT, after: After = ABSENT, last: Last = ABSENT, before: Before = ABSENT
    ) -> WebhookConnection:
        """List the webhooks."""
        service, loaders, owner = info.context.services.webhooks, info.context.loaders, self.workspace_id
        page = await loaders.load_for(service.page_by_workspace, owner, page_request(first, after, last, before))
        return WebhookConnection.of(page, Webhook.of, lambda: loaders.load_for(service.count_by_workspace, owner))


@strawberry.type
class WebhooksOfWorkflow:
    """What `Workflow` shows of this feature."""

    workflow_id: strawberry.Private[WorkflowId]

    @strawberry.field(description="The webhooks that start it, by name.")
    async def webhooks(
        self, info: Info, first: First = ABSENT, after: After = ABSENT, last: Last = ABSENT, before: Before = ABSENT
    ) -> WebhookConnection:
        """List the webhooks."""
        service, loaders, owner = info.context.services.webhooks, info.context.loaders, self.workflow_id
        page = await loaders.load_for(service.page_by_workflow, owner, page_request(first, after, last, before))
        return WebhookConnection.of(page, Webhook.of, lambda: loaders.load_for(service.count_by_workflow, owner))


async def load_webhooks(context: Context, webhook_ids: list[WebhookId]) -> Sequence[Webhook | None]:
    """Load webhooks by id; None for those that are gone, or that the caller may not see."""
    found = await context.services.webhooks.list_by_id(context.principal, webhook_ids)
    return [Webhook.of(found[key]) if key in found else None for key in webhook_ids]


async def _find(info: Info, webhook_id: UUID) -> Webhook | None:
    return await info.context.loaders.load(load_webhooks, WebhookId(webhook_id))


register_node(Prefix.WEBHOOK, _find)


@strawberry.input(description="What `createWebhook` takes.")
class CreateWebhookInput:
    """What `createWebhook` takes."""

    workflow_id: strawberry.ID = strawberry.field(description="Which workflow.")
    name: str = strawberry.field(description="What it is for.")
    is_signed: bool = strawberry.field(default=False, description="Whether calls must be signed.")


@strawberry.input(description="What `rotateWebhook` takes.")
class RotateWebhookInput:
    """What `rotateWebhook` takes."""

    id: strawberry.ID = strawberry.field(description="Which webhook.")


@strawberry.input(description="What `deleteWebhook` takes.")
class DeleteWebhookInput:
    """What `deleteWebhook` takes."""

    id: strawberry.ID = strawberry.field(description="Which webhook.")


_URL = "The URL to call; shown only here."
_KEY = "The key to sign calls with, if they must be signed; shown only here."


@strawberry.type(description="What `createWebhook` gives.")
class CreateWebhookPayload(Payload):
    """What `createWebhook` gives."""

    webhook: Webhook | None = strawberry.field(default=None, description="The new webhook.")
    url: str | None = strawberry.field(default=None, description=_URL)
    signing_key: str | None = strawberry.field(default=None, description=_KEY)


@strawberry.type(description="What `rotateWebhook` gives.")
class RotateWebhookPayload(Payload):
    """What `rotateWebhook` gives."""

    webhook: Webhook | None = strawberry.field(default=None, description="The webhook.")
    url: str | None = strawberry.field(default=None, description=_URL)
    signing_key: str | None = strawberry.field(default=None, description=_KEY)


@strawberry.type(description="What `deleteWebhook` gives.")
class DeleteWebhookPayload(Payload):
    """What `deleteWebhook` gives."""

    deleted_webhook_id: strawberry.ID | None = strawberry.field(
        default=None, description="Id of the webhook that is gone."
    )


def _url(info: Info, token: str) -> str:
    return f"{info.context.address_of_pages()}/hooks/{token}"


@strawberry.type
class WebhookMutation:
    """Making and ending webhooks."""

    @mutation(Permission.WRITE, description="Makes a URL that starts a workflow.")
    async def create_webhook(
        self,
        info: Info,
        input: Annotated[CreateWebhookInput, strawberry.argument(description="What is asked for.")],  # noqa: A002
    ) -> CreateWebhookPayload:
        """Make a webhook."""
        workflow_id = WorkflowId(from_id(Prefix.WORKFLOW, input.workflow_id, "input", "workflowId"))
        actor, service = info.context.principal, info.context.services.webhooks
        webhook, token, key = await service.create(actor, workflow_id, input.name, is_signed=input.is_signed)
        return CreateWebhookPayload(webhook=Webhook.of(webhook), url=_url(info, token), signing_key=key)

    @mutation(
        Permission.WRITE,
        description="Gives a webhook a new URL and signing key; the old ones stop working at once.",
    )
    async def rotate_webhook(
        self,
        info: Info,
        input: Annotated[RotateWebhookInput, strawberry.argument(description="What is asked for.")],  # noqa: A002
    ) -> RotateWebhookPayload:
        """Rotate a webhook."""
        webhook_id = WebhookId(from_id(Prefix.WEBHOOK, input.id, "input", "id"))
        webhook, token, key = await info.context.services.webhooks.rotate(info.context.principal, webhook_id)
        return RotateWebhookPayload(webhook=Webhook.of(webhook), url=_url(info, token), signing_key=key)

    @mutation(Permission.WRITE, description="Deletes a webhook; its runs stay.")
    async def delete_webhook(
        self,
        info: Info,
        input: Annotated[DeleteWebhookInput, strawberry.argument(description="What is asked for.")],  # noqa: A002
    ) -> DeleteWebhookPayload:
        """Delete a webhook."""
        webhook_id = WebhookId(from_id(Prefix.WEBHOOK, input.id, "input", "id"))
        await info.context.services.webhooks.delete(info.context.principal, webhook_id)
        return DeleteWebhookPayload(deleted_webhook_id=to_id(Prefix.WEBHOOK, webhook_id))
