"""Connections to outside endpoints; in the schema `ConnectionProfile`, since Relay owns the suffix."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

import strawberry
from strawberry.types.lazy_type import LazyType

from domain import connections as domain
from domain.connections import ConnectionKind
from domain.identity import Permission
from domain.ids import ConnectionId, Prefix, WorkspaceId, to_global
from domain.uses import Usable, UseKind
from gql.absent import ABSENT, or_none
from gql.connection_settings import (
    ConnectionSettings,
    ConnectionSettingsInput,
    read_settings,
    removes_credential,
    show_settings,
)
from gql.context import Context, Info
from gql.enums import expose
from gql.fields import mutation
from gql.ids import from_id, to_id, workspace_id_of
from gql.lookup import find_node, register_node
from gql.nodes import Node
from gql.paging import After, Before, Connection, Edge, First, Last, page_request
from gql.payloads import Payload
from gql.uses import NodeUse, load_uses
from runtime.connections import ConnectionChange, ConnectionDraft

_WORKSPACE: Any = LazyType[Any, Any]("Workspace", "gql.identity")

expose(
    ConnectionKind,
    description="Kinds of outside endpoints.",
    values={
        ConnectionKind.OPENAI_COMPATIBLE: "A model API in the manner of OpenAI's.",
        ConnectionKind.POSTGRES: "A PostgreSQL database.",
        ConnectionKind.HTTP_AUTH: "A credential for HTTP requests.",
    },
)


@strawberry.type(
    description="A named outside endpoint with its credential, which cannot be read. (Types that end in `Connection` "
    "are Relay's pages.)"
)
class ConnectionProfile(Node):
    """A named outside endpoint."""

    workspace_id: strawberry.Private[WorkspaceId]
    id: strawberry.ID = strawberry.field(description="Its id.")
    name: str = strawberry.field(description="Unique in the workspace; what nodes use.")
    kind: ConnectionKind = strawberry.field(description="What kind of endpoint it is.")
    settings: ConnectionSettings = strawberry.field(
        description="Where it is and how it is used, without the credential."
    )
    has_credential: bool = strawberry.field(description="Whether a credential is stored.")
    max_concurrent: int | None = strawberry.field(description="Requests at once; null = no limit of its own.")
    requests_per_minute: int | None = strawberry.field(
        description="Requests in any minute; null = no limit of its own."
    )
    created_at: datetime = strawberry.field(description="When it was made.")
    updated_at: datetime = strawberry.field(description="When it was last changed.")

    @strawberry.field(description="The workspace it belongs to.", graphql_type=_WORKSPACE)
    async def workspace(self, info: Info) -> object:
        """Load the workspace."""
        return await find_node(info, to_global(Prefix.WORKSPACE, self.workspace_id))

    @strawberry.field(description="Nodes that use it; at most 100 are listed.")
    async def used_by(self, info: Info) -> list[NodeUse]:
        """Load the nodes that use it."""
        return await info.context.loaders.load(load_uses, Usable(self.workspace_id, UseKind.CONNECTION, self.name))

    @classmethod
    def of(cls, connection: domain.Connection) -> ConnectionProfile:
        """Convert a connection of the domain."""
        return cls(
            workspace_id=connection.workspace_id,
            id=to_id(Prefix.CONNECTION, connection.id),
            name=connection.name,
            kind=connection.settings.kind,
            settings=show_settings(connection.settings),
            has_credential=connection.has_credential,
            max_concurrent=connection.max_concurrent,
            requests_per_minute=connection.requests_per_minute,
            created_at=connection.created_at,
            updated_at=connection.updated_at,
        )


@strawberry.type(description="A connection on a page.")
class ConnectionProfileEdge(Edge[ConnectionProfile]):
    """A connection on a page."""

    node: ConnectionProfile = strawberry.field(description="The connection.")


@strawberry.type(description="Connections, page by page.")
class ConnectionProfileConnection(Connection[ConnectionProfile, ConnectionProfileEdge]):
    """Connections, page by page."""


@strawberry.type
class ConnectionsOfWorkspace:
    """What `Workspace` shows of this feature."""

    workspace_id: strawberry.Private[WorkspaceId]

    @strawberry.field(description="Its connections to outside endpoints, by name.")
    async def connections(
        self, info: Info, first: First = ABSENT, after: After = ABSENT, last: Last = ABSENT, before: Before = ABSENT
    ) -> ConnectionProfileConnection:
        """List the connections."""
        service, loaders, owner = info.context.services.connections, info.context.loaders, self.workspace_id
        page = await loaders.load_for(service.page_by_workspace, owner, page_request(first, after, last, before))
        return ConnectionProfileConnection.of(
            page, ConnectionProfile.of, lambda: loaders.load_for(service.count_by_workspace, owner)
        )

    @strawberry.field(description="One connection by its name; null where there is none.")
    async def connection(
        self, info: Info, name: Annotated[str, strawberry.argument(description="The name, as nodes use it.")]
    ) -> ConnectionProfile | None:
        """Find a connection by its name."""
        actor, service = info.context.principal, info.context.services.connections
        connection = await service.find_by_name(actor, self.workspace_id, name)
        return ConnectionProfile.of(connection) if connection else None

    @strawberry.field(description="The connection that LLM_CALL nodes use when they name none.")
    async def default_connection(self, info: Info) -> ConnectionProfile | None:
        """Load the connection."""
        found = await info.context.loaders.load_for(info.context.services.connections.defaults, self.workspace_id)
        return ConnectionProfile.of(found) if found else None


async def load_connections(context: Context, ids: list[ConnectionId]) -> Sequence[ConnectionProfile | None]:
    """Load connections by id; None for those that the caller may not see."""
    found = await context.services.connections.list_by_id(context.principal, ids)
    return [ConnectionProfile.of(found[key]) if key in found else None for key in ids]


async def _find(info: Info, connection_id: UUID) -> ConnectionProfile | None:
    return await info.context.loaders.load(load_connections, ConnectionId(connection_id))


register_node(Prefix.CONNECTION, _find)


@strawberry.input(description="What `createConnection` takes.")
class CreateConnectionInput:
    """What `createConnection` takes."""

    workspace_id: strawberry.ID | None = strawberry.field(
        default=ABSENT, description="The workspace; the caller's only one if absent."
    )
    name: str = strawberry.field(description="Unique in the workspace; what nodes use.")
    settings: ConnectionSettingsInput = strawberry.field(description="Where it is, how it is used and its credential.")
    max_concurrent: int | None = strawberry.field(
        default=ABSENT, description="Requests at once; null = no limit of its own."
    )
    requests_per_minute: int | None = strawberry.field(
        default=ABSENT, description="Requests in any minute; null = no limit of its own."
    )


@strawberry.input(description="What `updateConnection` takes.")
class UpdateConnectionInput:
    """What `updateConnection` takes."""

    id: strawberry.ID = strawberry.field(description="Which connection.")
    name: strawberry.Maybe[str | None] = strawberry.field(
        description="Its new name; refused while nodes use the old one."
    )
    settings: strawberry.Maybe[ConnectionSettingsInput | None] = strawberry.field(
        description="Whole new settings of the same kind; a credential that is absent stays, and has to "
        "be given again where it would go elsewhere or less well protected; null removes it."
    )
    max_concurrent: strawberry.Maybe[int | None] = strawberry.field(
        description="Requests at once; null = no limit of its own."
    )
    requests_per_minute: strawberry.Maybe[int | None] = strawberry.field(
        description="Requests in any minute; null = no limit of its own."
    )


@strawberry.type(description="What `updateConnection` gives.")
class UpdateConnectionPayload(Payload):
    """What `updateConnection` gives."""

    connection: ConnectionProfile | None = strawberry.field(default=None, description="The connection.")


@strawberry.input(description="What `deleteConnection` takes.")
class DeleteConnectionInput:
    """What `deleteConnection` takes."""

    id: strawberry.ID = strawberry.field(description="Which connection.")


@strawberry.type(description="What `createConnection` gives.")
class CreateConnectionPayload(Payload):
    """What `createConnection` gives."""

    connection: ConnectionProfile | None = strawberry.field(default=None, description="The new connection.")


@strawberry.type(description="What `deleteConnection` gives.")
class DeleteConnectionPayload(Payload):
    """What `deleteConnection` gives."""

    deleted_connection_id: strawberry.ID | None = strawberry.field(
        default=None, description="Id of the connection that is gone."
    )


@strawberry.input(description="What `testConnection` takes.")
class TestConnectionInput:
    """What `testConnection` takes."""

    __test__ = False

    id: strawberry.ID = strawberry.field(description="Which connection.")


@strawberry.type(description="What `testConnection` gives.")
class TestConnectionPayload(Payload):
    """What `testConnection` gives."""

    __test__ = False

    connection: ConnectionProfile | None = strawberry.field(default=None, description="The connection.")
    is_working: bool | None = strawberry.field(default=None, description="Whether it answered as it should.")
    elapsed_ms: float | None = strawberry.field(default=None, description="How long it took.")
    detail: str | None = strawberry.field(default=None, description="What it said, credentials masked.")


def _draft(given: CreateConnectionInput) -> ConnectionDraft:
    settings, credential = read_settings(given.settings)
    return ConnectionDraft(
        name=given.name,
        settings=settings,
        credential=credential,
        max_concurrent=or_none(given.max_concurrent),
        requests_per_minute=or_none(given.requests_per_minute),
    )


def _change(given: UpdateConnectionInput) -> ConnectionChange:
    settings, credential, is_removed = None, None, False
    if given.settings and given.settings.value:
        settings, credential = read_settings(given.settings.value)
        is_removed = removes_credential(given.settings.value)
    caps = (("maxConcurrent", given.max_concurrent), ("requestsPerMinute", given.requests_per_minute))
    return ConnectionChange(
        name=given.name.value if given.name else None,
        settings=settings,
        credential=credential,
        is_credential_removed=is_removed,
        caps={name: cap.value for name, cap in caps if cap},
    )


@strawberry.type
class ConnectionMutation:
    """Storing connections."""

    @mutation(
        Permission.ADMIN,
        description="Stores a connection to an outside endpoint; private networks are refused.",
    )
    async def create_connection(
        self,
        info: Info,
        input: Annotated[CreateConnectionInput, strawberry.argument(description="What is asked for.")],  # noqa: A002
    ) -> CreateConnectionPayload:
        """Store a connection."""
        given = input.workspace_id
        workspace_id = workspace_id_of(given, "input", "workspaceId")
        connection = await info.context.services.connections.create(info.context.principal, workspace_id, _draft(input))
        return CreateConnectionPayload(connection=ConnectionProfile.of(connection))

    @mutation(Permission.ADMIN, description="Changes a connection; runs use the change from their next attempt on.")
    async def update_connection(
        self,
        info: Info,
        input: Annotated[UpdateConnectionInput, strawberry.argument(description="What is asked for.")],  # noqa: A002
    ) -> UpdateConnectionPayload:
        """Change a connection."""
        connection_id = ConnectionId(from_id(Prefix.CONNECTION, input.id, "input", "id"))
        service, actor = info.context.services.connections, info.context.principal
        connection = await service.update(actor, connection_id, _change(input))
        return UpdateConnectionPayload(connection=ConnectionProfile.of(connection))

    @mutation(
        Permission.ADMIN,
        description="Deletes a connection and its credential; refused while published nodes use it.",
    )
    async def delete_connection(
        self,
        info: Info,
        input: Annotated[DeleteConnectionInput, strawberry.argument(description="What is asked for.")],  # noqa: A002
    ) -> DeleteConnectionPayload:
        """Delete a connection."""
        connection_id = ConnectionId(from_id(Prefix.CONNECTION, input.id, "input", "id"))
        await info.context.services.connections.delete(info.context.principal, connection_id)
        return DeleteConnectionPayload(deleted_connection_id=to_id(Prefix.CONNECTION, connection_id))

    @mutation(Permission.ADMIN, description="Tries a connection once.")
    async def test_connection(
        self,
        info: Info,
        input: Annotated[TestConnectionInput, strawberry.argument(description="What is asked for.")],  # noqa: A002
    ) -> TestConnectionPayload:
        """Try a connection."""
        connection_id = ConnectionId(from_id(Prefix.CONNECTION, input.id, "input", "id"))
        tested = await info.context.services.connection_tester.test(info.context.principal, connection_id)
        return TestConnectionPayload(
            connection=ConnectionProfile.of(tested.connection),
            is_working=tested.is_working,
            elapsed_ms=tested.elapsed_ms,
            detail=tested.detail,
        )
