"""API keys: made, rotated and revoked; their texts are shown once."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias
from uuid import UUID

import strawberry
from strawberry.types.lazy_type import LazyType

from domain import api_keys as domain
from domain.identity import Permission, Scope
from domain.ids import ApiKeyId, Prefix, UserId, WorkspaceId, to_global
from domain.ports.paging import Page, PageRequest
from gql.absent import ABSENT, or_none
from gql.context import Context, Info
from gql.enums import expose
from gql.fields import field, mutation
from gql.ids import from_id, to_id, workspace_id_of
from gql.lookup import find_node, register_node
from gql.nodes import Node
from gql.paging import After, Before, Connection, Edge, First, Last, page_request
from gql.payloads import Payload
from gql.users import User, load_users

if TYPE_CHECKING:
    from collections.abc import Sequence

_WORKSPACE: Any = LazyType[Any, Any]("Workspace", "gql.identity")
_DAY_MS = 86_400_000

expose(
    Scope,
    description="What an API key may do, at most what its owner may.",
    values={
        Scope.READ: "Read workflows, runs, collections and tables.",
        Scope.WRITE: "Change workflows, collections and tables.",
        Scope.EXECUTE: "Start, answer and stop runs.",
        Scope.ADMIN: "Manage members, keys, secrets and connections.",
    },
)


@strawberry.type(description="A key for programs; its text is shown once, in the payload that made it.")
class ApiKey(Node):
    """A key without its text."""

    workspace_id: strawberry.Private[WorkspaceId]
    maker_id: strawberry.Private[UserId]
    id: strawberry.ID = strawberry.field(description="Its id.")
    name: str = strawberry.field(description="What it is for.")
    prefix: str = strawberry.field(description="Its first characters, to recognise it in a configuration.")
    scopes: list[Scope] = strawberry.field(description="What it may do; one of each at most.")
    expires_at: datetime | None = strawberry.field(description="When it stops working; null = never.")
    last_used_at: datetime | None = strawberry.field(description="When it was last used, to the minute; null = never.")
    revoked_at: datetime | None = strawberry.field(description="When it was revoked; null while it works.")
    created_at: datetime = strawberry.field(description="When it was made.")

    @strawberry.field(description="The workspace that it reaches.", graphql_type=_WORKSPACE)
    async def workspace(self, info: Info) -> object:
        """Load the workspace."""
        return await find_node(info, to_global(Prefix.WORKSPACE, self.workspace_id))

    @strawberry.field(description="Who made it and whose rights bound it.", graphql_type=User)
    async def created_by(self, info: Info) -> object:
        """Load the person."""
        return await info.context.loaders.load(load_users, self.maker_id)

    @classmethod
    def of(cls, key: domain.ApiKey) -> ApiKey:
        """Convert a key of the domain."""
        return cls(
            workspace_id=key.workspace_id,
            maker_id=key.created_by,
            id=to_id(Prefix.API_KEY, key.id),
            name=key.name,
            prefix=key.prefix,
            scopes=list(key.scopes),
            expires_at=key.expires_at,
            last_used_at=key.last_used_at,
            revoked_at=key.revoked_at,
            created_at=key.created_at,
        )


@strawberry.type(description="An API key on a page.")
class ApiKeyEdge(Edge[ApiKey]):
    """An API key on a page."""

    node: ApiKey = strawberry.field(description="The API key.")


@strawberry.type(description="API keys, page by page.")
class ApiKeyConnection(Connection[ApiKey, ApiKeyEdge]):
    """API keys, page by page."""


_Part: TypeAlias = tuple[WorkspaceId, PageRequest]


@strawberry.type
class ApiKeysOfWorkspace:
    """What `Workspace` shows of this feature."""

    workspace_id: strawberry.Private[WorkspaceId]

    @field(Permission.READ, description="The API keys that reach it, newest first.")
    async def api_keys(
        self, info: Info, first: First = ABSENT, after: After = ABSENT, last: Last = ABSENT, before: Before = ABSENT
    ) -> ApiKeyConnection:
        """List the keys."""
        loaders, workspace_id = info.context.loaders, self.workspace_id
        page = await loaders.load(_load_pages, (workspace_id, page_request(first, after, last, before)))
        return ApiKeyConnection.of(page, ApiKey.of, lambda: loaders.load(_load_counts, workspace_id))


@strawberry.type
class ApiKeysOfViewer:
    """What `Viewer` shows of this feature."""

    @field(Permission.SIGNED_IN, description="The caller's own API keys, newest first.")
    async def api_keys(
        self, info: Info, first: First = ABSENT, after: After = ABSENT, last: Last = ABSENT, before: Before = ABSENT
    ) -> ApiKeyConnection:
        """List the keys."""
        actor, service = info.context.principal, info.context.services.api_keys
        page = await service.page_own(actor, page_request(first, after, last, before))
        return ApiKeyConnection.of(page, ApiKey.of, lambda: service.count_own(actor))


async def _load_pages(context: Context, parts: list[_Part]) -> Sequence[Page[domain.ApiKey]]:
    """Read the same part of several workspaces' keys at once."""
    found: dict[_Part, Page[domain.ApiKey]] = {}
    for request in dict.fromkeys(request for _, request in parts):
        wanted = [workspace_id for workspace_id, each in parts if each == request]
        pages = await context.services.api_keys.pages(context.principal, wanted, request)
        found |= {(workspace_id, request): page for workspace_id, page in pages.items()}
    return [found[part] for part in parts]


async def _load_counts(context: Context, workspace_ids: list[WorkspaceId]) -> Sequence[int]:
    counts = await context.services.api_keys.counts(context.principal, workspace_ids)
    return [counts[workspace_id] for workspace_id in workspace_ids]


async def _load_keys(context: Context, key_ids: list[ApiKeyId]) -> Sequence[ApiKey | None]:
    found = await context.services.api_keys.list_by_id(context.principal, key_ids)
    return [ApiKey.of(found[key_id]) if key_id in found else None for key_id in key_ids]


async def _find(info: Info, key_id: UUID) -> ApiKey | None:
    return await info.context.loaders.load(_load_keys, ApiKeyId(key_id))


register_node(Prefix.API_KEY, _find)


@strawberry.input(description="What `createApiKey` takes.")
class CreateApiKeyInput:
    """What `createApiKey` takes."""

    workspace_id: strawberry.ID | None = strawberry.field(
        default=ABSENT, description="The workspace; the caller's only one if absent."
    )
    name: str = strawberry.field(description="What it is for.")
    scopes: list[Scope] = strawberry.field(description="What it may do.")
    expires_at: datetime | None = strawberry.field(default=ABSENT, description="When it stops working; null = never.")


@strawberry.input(description="What `rotateApiKey` takes.")
class RotateApiKeyInput:
    """What `rotateApiKey` takes."""

    id: strawberry.ID = strawberry.field(description="Which key.")
    overlap_ms: int = strawberry.field(
        default=_DAY_MS, description="How long the old text still works; 0 = not at all."
    )


@strawberry.input(description="What `revokeApiKey` takes.")
class RevokeApiKeyInput:
    """What `revokeApiKey` takes."""

    id: strawberry.ID = strawberry.field(description="Which key.")


@strawberry.type(description="What `createApiKey` gives.")
class CreateApiKeyPayload(Payload):
    """What `createApiKey` gives."""

    api_key: ApiKey | None = strawberry.field(default=None, description="The key.")
    token: str | None = strawberry.field(default=None, description="Its text; shown only here.")


@strawberry.type(description="What `rotateApiKey` gives.")
class RotateApiKeyPayload(Payload):
    """What `rotateApiKey` gives."""

    api_key: ApiKey | None = strawberry.field(default=None, description="The key.")
    token: str | None = strawberry.field(default=None, description="Its new text; shown only here.")


@strawberry.type(description="What `revokeApiKey` gives.")
class RevokeApiKeyPayload(Payload):
    """What `revokeApiKey` gives."""

    api_key: ApiKey | None = strawberry.field(default=None, description="The key.")


@strawberry.type
class ApiKeyMutation:
    """Making and ending keys."""

    @mutation(Permission.ADMIN, description="Makes a key for programs.")
    async def create_api_key(
        self,
        info: Info,
        input: Annotated[CreateApiKeyInput, strawberry.argument(description="What is asked for.")],  # noqa: A002
    ) -> CreateApiKeyPayload:
        """Make a key."""
        workspace_id = workspace_id_of(input.workspace_id, "input", "workspaceId")
        key, token = await info.context.services.api_keys.create(
            info.context.principal, workspace_id, input.name, input.scopes, or_none(input.expires_at)
        )
        return CreateApiKeyPayload(api_key=ApiKey.of(key), token=token)

    @mutation(Permission.ADMIN, description="Gives a key a new text; the old one works for a while longer.")
    async def rotate_api_key(
        self,
        info: Info,
        input: Annotated[RotateApiKeyInput, strawberry.argument(description="What is asked for.")],  # noqa: A002
    ) -> RotateApiKeyPayload:
        """Rotate a key."""
        key_id = ApiKeyId(from_id(Prefix.API_KEY, input.id, "input", "id"))
        key, token = await info.context.services.api_keys.rotate(info.context.principal, key_id, input.overlap_ms)
        return RotateApiKeyPayload(api_key=ApiKey.of(key), token=token)

    @mutation(Permission.ADMIN, description="Ends a key at once, live streams included.")
    async def revoke_api_key(
        self,
        info: Info,
        input: Annotated[RevokeApiKeyInput, strawberry.argument(description="What is asked for.")],  # noqa: A002
    ) -> RevokeApiKeyPayload:
        """End a key."""
        key_id = ApiKeyId(from_id(Prefix.API_KEY, input.id, "input", "id"))
        key = await info.context.services.api_keys.revoke(info.context.principal, key_id)
        return RevokeApiKeyPayload(api_key=ApiKey.of(key))
