"""Connections to outside endpoints; in the schema `ConnectionProfile`, since Relay owns the suffix."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, TypeAlias, cast
from uuid import UUID

import strawberry
from strawberry.types.lazy_type import LazyType

from domain import connections as domain
from domain.connections import ConnectionKind, HttpAuthScheme
from domain.identity import Permission
from domain.ids import ConnectionId, Prefix, WorkspaceId, to_global
from gql.absent import ABSENT, or_none
from gql.context import Info
from gql.enums import expose
from gql.fields import mutation
from gql.ids import from_id, to_id, workspace_id_of
from gql.lookup import find_node, register_node
from gql.nodes import Node
from gql.paging import After, Before, Connection, Edge, First, Last, page_request
from gql.payloads import Payload
from runtime.connections import ConnectionDraft

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
expose(
    HttpAuthScheme,
    description="How a credential is sent.",
    values={
        HttpAuthScheme.BASIC: "User and password.",
        HttpAuthScheme.BEARER: "A token in `Authorization: Bearer`.",
        HttpAuthScheme.HEADER: "A header of its own.",
        HttpAuthScheme.QUERY: "A parameter of the URL.",
    },
)


@strawberry.type(description="A model API in the manner of OpenAI's.")
class OpenaiCompatibleSettings:
    """A model API in the manner of OpenAI's."""

    base_url: str = strawberry.field(description="Its address up to and with `/v1`.")
    default_model: str | None = strawberry.field(description="The model that is used where a node names none.")


@strawberry.type(description="A PostgreSQL database.")
class PostgresSettings:
    """A PostgreSQL database."""

    host: str = strawberry.field(description="Its host.")
    port: int = strawberry.field(description="Its port.")
    database: str = strawberry.field(description="The database's name.")
    username: str | None = strawberry.field(description="The role that signs in.")
    is_tls_verified: bool = strawberry.field(
        description="Whether the connection is encrypted and the certificate checked."
    )


@strawberry.type(description="A credential for HTTP requests.")
class HttpAuthSettings:
    """A credential for HTTP requests."""

    scheme: HttpAuthScheme = strawberry.field(description="How it is sent.")
    username: str | None = strawberry.field(description="The user of BASIC.")
    parameter: str | None = strawberry.field(description="The header or parameter of HEADER and QUERY.")
    allowed_origins: list[str] = strawberry.field(
        description="The origins it is sent to, such as `https://api.example.com`; at most 20."
    )


ConnectionSettings: TypeAlias = Annotated[
    OpenaiCompatibleSettings | PostgresSettings | HttpAuthSettings,
    strawberry.union(
        "ConnectionSettings",
        description="Where an endpoint is and how it is used. Equal field names have equal types in all members.",
    ),
]


def _shown(settings: domain.ConnectionSettings) -> OpenaiCompatibleSettings | PostgresSettings | HttpAuthSettings:
    if isinstance(settings, domain.OpenaiCompatibleSettings):
        return OpenaiCompatibleSettings(base_url=settings.base_url, default_model=settings.default_model)
    if isinstance(settings, domain.PostgresSettings):
        return PostgresSettings(
            host=settings.host,
            port=settings.port,
            database=settings.database,
            username=settings.username,
            is_tls_verified=settings.is_tls_verified,
        )
    return HttpAuthSettings(
        scheme=settings.scheme,
        username=settings.username,
        parameter=settings.parameter,
        allowed_origins=list(settings.allowed_origins),
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

    @classmethod
    def of(cls, connection: domain.Connection) -> ConnectionProfile:
        """Convert a connection of the domain."""
        return cls(
            workspace_id=connection.workspace_id,
            id=to_id(Prefix.CONNECTION, connection.id),
            name=connection.name,
            kind=connection.settings.kind,
            settings=_shown(connection.settings),
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
        actor, service = info.context.principal, info.context.services.connections
        page = await service.page(actor, self.workspace_id, page_request(first, after, last, before))
        return ConnectionProfileConnection.of(
            page, ConnectionProfile.of, lambda: service.count(actor, self.workspace_id)
        )

    @strawberry.field(description="One connection by its name; null where there is none.")
    async def connection(
        self, info: Info, name: Annotated[str, strawberry.argument(description="The name, as nodes use it.")]
    ) -> ConnectionProfile | None:
        """Find a connection by its name."""
        actor, service = info.context.principal, info.context.services.connections
        connection = await service.find_by_name(actor, self.workspace_id, name)
        return ConnectionProfile.of(connection) if connection else None


async def _find(info: Info, connection_id: UUID) -> ConnectionProfile | None:
    service = info.context.services.connections
    connection = await service.find(info.context.principal, ConnectionId(connection_id))
    return ConnectionProfile.of(connection) if connection else None


register_node(Prefix.CONNECTION, _find)


@strawberry.input(description="A model API in the manner of OpenAI's.")
class OpenaiCompatibleSettingsInput:
    """A model API in the manner of OpenAI's."""

    base_url: str = strawberry.field(description="Its address up to and with `/v1`.")
    api_key: str | None = strawberry.field(default=ABSENT, description="Its key; it cannot be read again.")
    default_model: str | None = strawberry.field(
        default=ABSENT, description="The model that is used where a node names none."
    )


@strawberry.input(description="A PostgreSQL database.")
class PostgresSettingsInput:
    """A PostgreSQL database."""

    host: str = strawberry.field(description="Its host; sockets and this server's own database are refused.")
    port: int = strawberry.field(default=5432, description="Its port.")
    database: str = strawberry.field(description="The database's name.")
    username: str | None = strawberry.field(default=ABSENT, description="The role that signs in.")
    password: str | None = strawberry.field(default=ABSENT, description="Its password; it cannot be read again.")
    is_tls_verified: bool = strawberry.field(
        default=True, description="Whether the connection is encrypted and the certificate checked."
    )


@strawberry.input(description="A credential for HTTP requests.")
class HttpAuthSettingsInput:
    """A credential for HTTP requests."""

    scheme: HttpAuthScheme = strawberry.field(description="How it is sent.")
    username: str | None = strawberry.field(default=ABSENT, description="The user of BASIC.")
    parameter: str | None = strawberry.field(default=ABSENT, description="The header or parameter of HEADER and QUERY.")
    credential: str | None = strawberry.field(
        default=ABSENT, description="The password, token or value; it cannot be read again."
    )
    allowed_origins: list[str] = strawberry.field(description="The origins it is sent to, 1 to 20.")


@strawberry.input(one_of=True, description="Where an endpoint is, how it is used and its credential.")
class ConnectionSettingsInput:
    """Where an endpoint is, how it is used and its credential."""

    openai_compatible: strawberry.Maybe[OpenaiCompatibleSettingsInput] = strawberry.field(
        description="A model API in the manner of OpenAI's."
    )
    postgres: strawberry.Maybe[PostgresSettingsInput] = strawberry.field(description="A PostgreSQL database.")
    http_auth: strawberry.Maybe[HttpAuthSettingsInput] = strawberry.field(description="A credential for HTTP requests.")


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
    settings, credential = _settings(given.settings)
    return ConnectionDraft(
        name=given.name,
        settings=settings,
        credential=credential,
        max_concurrent=or_none(given.max_concurrent),
        requests_per_minute=or_none(given.requests_per_minute),
    )


def _settings(given: ConnectionSettingsInput) -> tuple[domain.ConnectionSettings, str | None]:
    if given.openai_compatible:
        openai = given.openai_compatible.value
        return domain.OpenaiCompatibleSettings(openai.base_url, or_none(openai.default_model)), or_none(openai.api_key)
    if given.postgres:
        postgres = given.postgres.value
        settings = domain.PostgresSettings(
            postgres.host, postgres.port, postgres.database, or_none(postgres.username), postgres.is_tls_verified
        )
        return settings, or_none(postgres.password)
    # `@oneOf`: exactly one of the three is there.
    http = cast("strawberry.Some[HttpAuthSettingsInput]", given.http_auth).value
    settings = domain.HttpAuthSettings(
        http.scheme, tuple(http.allowed_origins), or_none(http.username), or_none(http.parameter)
    )
    return settings, or_none(http.credential)


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
