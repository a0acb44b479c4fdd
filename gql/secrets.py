"""Secrets: stored, used by nodes, never read back."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

import strawberry
from strawberry.types.lazy_type import LazyType

from domain import connections as domain
from domain.errors import InvalidInput
from domain.identity import Permission
from domain.ids import Prefix, SecretId, WorkspaceId, to_global
from domain.uses import Usable, UseKind
from gql.absent import ABSENT, or_none
from gql.context import Context, Info
from gql.fields import mutation
from gql.ids import from_id, to_id, workspace_id_of
from gql.lookup import find_node, register_node
from gql.nodes import Node
from gql.paging import After, Before, Connection, Edge, First, Last, page_request
from gql.payloads import Payload
from gql.uses import NodeUse, load_uses
from runtime.secrets import SecretChange

_WORKSPACE: Any = LazyType[Any, Any]("Workspace", "gql.identity")


@strawberry.type(
    description="A named value, encrypted at rest and never readable here; templates use it as `secrets.NAME` where a "
    "field allows it."
)
class Secret(Node):
    """A named value, without the value."""

    workspace_id: strawberry.Private[WorkspaceId]
    id: strawberry.ID = strawberry.field(description="Its id.")
    name: str = strawberry.field(description="Unique in the workspace; capital letters, digits and underscores.")
    description: str | None = strawberry.field(description="What it is for.")
    last_used_at: datetime | None = strawberry.field(
        description="When a run last used it, to the minute; null = never."
    )
    created_at: datetime = strawberry.field(description="When it was made.")
    updated_at: datetime = strawberry.field(description="When its value last changed.")

    @strawberry.field(description="The workspace it belongs to.", graphql_type=_WORKSPACE)
    async def workspace(self, info: Info) -> object:
        """Load the workspace."""
        return await find_node(info, to_global(Prefix.WORKSPACE, self.workspace_id))

    @strawberry.field(description="Nodes that use it; at most 100 are listed.")
    async def used_by(self, info: Info) -> list[NodeUse]:
        """Load the nodes that use it."""
        return await info.context.loaders.load(load_uses, Usable(self.workspace_id, UseKind.SECRET, self.name))

    @classmethod
    def of(cls, secret: domain.Secret) -> Secret:
        """Convert a secret of the domain."""
        return cls(
            workspace_id=secret.workspace_id,
            id=to_id(Prefix.SECRET, secret.id),
            name=secret.name,
            description=secret.description,
            last_used_at=secret.last_used_at,
            created_at=secret.created_at,
            updated_at=secret.updated_at,
        )


@strawberry.type(description="A secret on a page.")
class SecretEdge(Edge[Secret]):
    """A secret on a page."""

    node: Secret = strawberry.field(description="The secret.")


@strawberry.type(description="Secrets, page by page.")
class SecretConnection(Connection[Secret, SecretEdge]):
    """Secrets, page by page."""


@strawberry.type
class SecretsOfWorkspace:
    """What `Workspace` shows of this feature."""

    workspace_id: strawberry.Private[WorkspaceId]

    @strawberry.field(description="Its secrets, without their values, by name.")
    async def secrets(
        self, info: Info, first: First = ABSENT, after: After = ABSENT, last: Last = ABSENT, before: Before = ABSENT
    ) -> SecretConnection:
        """List the secrets."""
        service, loaders, owner = info.context.services.secrets, info.context.loaders, self.workspace_id
        page = await loaders.load_for(service.page_by_workspace, owner, page_request(first, after, last, before))
        return SecretConnection.of(page, Secret.of, lambda: loaders.load_for(service.count_by_workspace, owner))


async def load_secrets(context: Context, secret_ids: list[SecretId]) -> Sequence[Secret | None]:
    """Load secrets by id; None for those that the caller may not see."""
    found = await context.services.secrets.list_by_id(context.principal, secret_ids)
    return [Secret.of(found[key]) if key in found else None for key in secret_ids]


async def _find(info: Info, secret_id: UUID) -> Secret | None:
    return await info.context.loaders.load(load_secrets, SecretId(secret_id))


register_node(Prefix.SECRET, _find)


@strawberry.input(description="What `createSecret` takes.")
class CreateSecretInput:
    """What `createSecret` takes."""

    workspace_id: strawberry.ID | None = strawberry.field(
        default=ABSENT, description="The workspace; the caller's only one if absent."
    )
    name: str = strawberry.field(description="Unique in the workspace; capital letters, digits and underscores.")
    value: str = strawberry.field(description="Its value, at most 64 KiB; it cannot be read again.")
    description: str | None = strawberry.field(default=ABSENT, description="What it is for.")


@strawberry.input(description="What `updateSecret` takes.")
class UpdateSecretInput:
    """What `updateSecret` takes."""

    id: strawberry.ID = strawberry.field(description="Which secret.")
    value: strawberry.Maybe[str | None] = strawberry.field(description="Its new value.")
    description: strawberry.Maybe[str | None] = strawberry.field(description="What it is for.")


@strawberry.input(description="What `deleteSecret` takes.")
class DeleteSecretInput:
    """What `deleteSecret` takes."""

    id: strawberry.ID = strawberry.field(description="Which secret.")


@strawberry.type(description="What `createSecret` gives.")
class CreateSecretPayload(Payload):
    """What `createSecret` gives."""

    secret: Secret | None = strawberry.field(default=None, description="The new secret.")


@strawberry.type(description="What `updateSecret` gives.")
class UpdateSecretPayload(Payload):
    """What `updateSecret` gives."""

    secret: Secret | None = strawberry.field(default=None, description="The secret.")


@strawberry.type(description="What `deleteSecret` gives.")
class DeleteSecretPayload(Payload):
    """What `deleteSecret` gives."""

    deleted_secret_id: strawberry.ID | None = strawberry.field(
        default=None, description="Id of the secret that is gone."
    )


def _change(given: UpdateSecretInput) -> SecretChange:
    value = given.value.value if given.value else None
    if given.value and value is None:
        raise InvalidInput("A value cannot be cleared; delete the secret.", path=["input", "value"])
    return SecretChange(
        value=value,
        description=given.description.value if given.description else None,
        is_described=given.description is not None,
    )


@strawberry.type
class SecretMutation:
    """Storing secrets."""

    @mutation(Permission.ADMIN, description="Stores a secret.")
    async def create_secret(
        self,
        info: Info,
        input: Annotated[CreateSecretInput, strawberry.argument(description="What is asked for.")],  # noqa: A002
    ) -> CreateSecretPayload:
        """Store a secret."""
        given = input.workspace_id
        workspace_id = workspace_id_of(given, "input", "workspaceId")
        secret = await info.context.services.secrets.create(
            info.context.principal, workspace_id, input.name, input.value, or_none(input.description)
        )
        return CreateSecretPayload(secret=Secret.of(secret))

    @mutation(Permission.ADMIN, description="Changes a secret; runs use the new value from their next attempt on.")
    async def update_secret(
        self,
        info: Info,
        input: Annotated[UpdateSecretInput, strawberry.argument(description="What is asked for.")],  # noqa: A002
    ) -> UpdateSecretPayload:
        """Change a secret."""
        secret_id = SecretId(from_id(Prefix.SECRET, input.id, "input", "id"))
        secret = await info.context.services.secrets.update(info.context.principal, secret_id, _change(input))
        return UpdateSecretPayload(secret=Secret.of(secret))

    @mutation(Permission.ADMIN, description="Deletes a secret; refused while published nodes use it.")
    async def delete_secret(
        self,
        info: Info,
        input: Annotated[DeleteSecretInput, strawberry.argument(description="What is asked for.")],  # noqa: A002
    ) -> DeleteSecretPayload:
        """Delete a secret."""
        secret_id = SecretId(from_id(Prefix.SECRET, input.id, "input", "id"))
        await info.context.services.secrets.delete(info.context.principal, secret_id)
        return DeleteSecretPayload(deleted_secret_id=to_id(Prefix.SECRET, secret_id))
