"""Connections: storing them, and giving address and credential to the process that executes nodes."""

from __future__ import annotations

from base64 import b64encode
from dataclasses import dataclass
from typing import TYPE_CHECKING

from uuid_utils.compat import uuid7

from domain.connections import (
    ChatSettings,
    Connection,
    ConnectionSettings,
    HttpAuthScheme,
    HttpAuthSettings,
    OpenaiCompatibleSettings,
    PostgresSettings,
    addresses,
    check_cap,
    check_connection_name,
    check_settings,
)
from domain.errors import InvalidInput, NodeFault, NotFound
from domain.identity import Permission
from domain.ids import ConnectionId
from domain.ports.data_tables import ExternalDatabase
from domain.ports.outbound import Credential
from runtime.clients.outbound import origin_of, parse_url
from runtime.identity import utc_now

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from datetime import datetime

    from domain.identity import Principal
    from domain.ids import WorkspaceId
    from domain.ports.paging import Page, PageRequest
    from domain.ports.repositories import Connections, Sealed
    from runtime.encryption import Vault

_REFUSALS = frozenset({"ADDRESS_REFUSED", "INVALID_URL"})


@dataclass(frozen=True, slots=True)
class ConnectionDraft:
    """A connection as its maker describes it; `credential` is the key, password, token or value."""

    name: str
    settings: ConnectionSettings
    credential: str | None = None
    max_concurrent: int | None = None
    requests_per_minute: int | None = None


class ConnectionService:
    """Named outside endpoints; their credentials go to nodes only."""

    def __init__(
        self,
        connections: Connections,
        vault: Vault,
        check_url: Callable[[str], Awaitable[None]],
        *,
        server_chat: ChatSettings | None = None,
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        """Take the stores.

        Args:
            connections: where they are stored.
            vault: seals the credentials.
            check_url: resolves an address and raises NodeFault `ADDRESS_REFUSED` or `INVALID_URL` where nodes may not
                go; other faults, such as a name that does not resolve at the moment, refuse nothing here.
            server_chat: what the server's `LLM__…` settings say, for nodes that name no connection.
            clock: the time.
        """
        self._connections = connections
        self._vault = vault
        self._check_url = check_url
        self._server_chat = server_chat
        self._clock = clock

    async def create(self, actor: Principal, workspace_id: WorkspaceId | None, draft: ConnectionDraft) -> Connection:
        """Store a connection.

        Raises:
            NotFound, WorkspaceRequired, Forbidden: the workspace is not one in which the caller may do this.
            InvalidInput: name, settings or credential are not acceptable, or the address is one that nodes may not
                reach.
            AlreadyExists: the name is taken.
            LimitExceeded: the workspace has as many as it may.
        """
        workspace = actor.workspace(workspace_id, Permission.ADMIN)
        name = check_connection_name(draft.name)
        settings = check_settings(draft.settings, draft.credential)
        now = self._clock()
        connection = Connection(
            id=ConnectionId(uuid7()),
            workspace_id=workspace,
            name=name,
            settings=settings,
            has_credential=draft.credential is not None,
            max_concurrent=check_cap(draft.max_concurrent, "maxConcurrent"),
            requests_per_minute=check_cap(draft.requests_per_minute, "requestsPerMinute"),
            created_at=now,
            updated_at=now,
        )
        await self._check_addresses(settings)
        await self._connections.add(connection, self._sealed(connection, draft.credential))
        return connection

    async def delete(self, actor: Principal, connection_id: ConnectionId) -> None:
        """Delete a connection and its credential.

        Raises:
            NotFound: no such connection.
            Forbidden: the caller may see it only.
        """
        connection = await self.find(actor, connection_id)
        if connection is None:
            raise NotFound(path=["input", "id"])
        actor.demand(connection.workspace_id, Permission.ADMIN)
        await self._connections.remove(connection.id, connection.workspace_id)

    async def find(self, actor: Principal, connection_id: ConnectionId) -> Connection | None:
        """Find a connection that the caller may see."""
        return await self._connections.find(connection_id, actor.within())

    async def find_by_name(self, actor: Principal, workspace_id: WorkspaceId, name: str) -> Connection | None:
        """Find a connection by the name that nodes use.

        Raises:
            NotFound: no such workspace.
        """
        found = await self._find_named(actor.workspace(workspace_id), name)
        return found[0] if found else None

    async def page(self, actor: Principal, workspace_id: WorkspaceId, page: PageRequest) -> Page[Connection]:
        """Read a page of a workspace's connections by name.

        Raises:
            NotFound: no such workspace.
            CursorInvalid: a cursor of another list.
        """
        return await self._connections.page(actor.workspace(workspace_id), page)

    async def count(self, actor: Principal, workspace_id: WorkspaceId) -> int:
        """Count the connections of a workspace.

        Raises:
            NotFound: no such workspace.
        """
        return await self._connections.count(actor.workspace(workspace_id))

    async def names(self, workspace_id: WorkspaceId) -> frozenset[str]:
        """Return the names that a graph of the workspace may use."""
        return await self._connections.list_names(workspace_id)

    async def chat_settings(self, workspace_id: WorkspaceId, name: str | None) -> ChatSettings:
        """Return the model API that a node means; None = the server's own settings.

        Raises:
            NodeFault: `CONNECTION_NOT_FOUND`: no such connection, of another kind, or no default.
            SecretUnreadable: its key cannot be decrypted.
        """
        if name is None:
            if self._server_chat is None:
                raise NodeFault(
                    "CONNECTION_NOT_FOUND",
                    "The node names no connection and the server has no model: set `connection`, or ANABRANCH_LLM__BASE_URL.",
                )
            return self._server_chat
        connection, sealed = await self._get_named(workspace_id, name)
        if not isinstance(connection.settings, OpenaiCompatibleSettings):
            raise _wrong_kind(connection)
        return ChatSettings(
            base_url=connection.settings.base_url,
            api_key=self._opened(connection, sealed),
            default_model=connection.settings.default_model,
            max_concurrent=connection.max_concurrent,
            requests_per_minute=connection.requests_per_minute,
        )

    async def credential(self, workspace_id: WorkspaceId, name: str) -> Credential:
        """Return what an HTTP_AUTH connection adds to requests.

        Raises:
            NodeFault: `CONNECTION_NOT_FOUND`: no such connection, or of another kind.
            SecretUnreadable: its credential cannot be decrypted.
        """
        connection, sealed = await self._get_named(workspace_id, name)
        value = self._opened(connection, sealed)
        if not isinstance(connection.settings, HttpAuthSettings) or value is None:
            raise _wrong_kind(connection)
        return _credential(connection.settings, value)

    async def external_database(self, workspace_id: WorkspaceId, name: str) -> ExternalDatabase:
        """Return where the database of a POSTGRES connection is and how one signs in.

        Raises:
            NodeFault: `CONNECTION_NOT_FOUND`: no such connection, or of another kind.
            SecretUnreadable: its password cannot be decrypted.
        """
        connection, sealed = await self._get_named(workspace_id, name)
        settings = connection.settings
        if not isinstance(settings, PostgresSettings):
            raise _wrong_kind(connection)
        return ExternalDatabase(
            settings.host,
            settings.port,
            settings.database,
            settings.username,
            self._opened(connection, sealed),
            settings.is_tls_verified,
        )

    async def _check_addresses(self, settings: ConnectionSettings) -> None:
        for address, path in addresses(settings):
            try:
                await self._check_url(address)
            except NodeFault as fault:
                if fault.code in _REFUSALS:
                    raise InvalidInput(fault.message, path=path) from fault

    async def _find_named(self, workspace_id: WorkspaceId, name: str) -> tuple[Connection, Sealed | None] | None:
        try:
            check_connection_name(name)
        except InvalidInput:
            return None
        return await self._connections.find_by_name(name, workspace_id)

    async def _get_named(self, workspace_id: WorkspaceId, name: str) -> tuple[Connection, Sealed | None]:
        found = await self._find_named(workspace_id, name)
        if found is None:
            raise NodeFault("CONNECTION_NOT_FOUND", f"There is no connection with the name {name[:80]!r}.")
        return found

    def _sealed(self, connection: Connection, credential: str | None) -> bytes | None:
        if credential is None:
            return None
        return self._vault.seal(credential, workspace_id=connection.workspace_id, object_id=connection.id)

    def _opened(self, connection: Connection, sealed: Sealed | None) -> str | None:
        if sealed is None:
            return None
        return self._vault.open(sealed.ciphertext, workspace_id=connection.workspace_id, object_id=connection.id)


def _wrong_kind(connection: Connection) -> NodeFault:
    kind = connection.settings.kind.value
    return NodeFault("CONNECTION_NOT_FOUND", f"The connection {connection.name!r} is of kind {kind}.")


def _credential(settings: HttpAuthSettings, value: str) -> Credential:
    # In the words of the client that compares them, which writes international names in ASCII.
    origins = frozenset(origin_of(parse_url(origin)) for origin in settings.allowed_origins)
    match settings.scheme:
        case HttpAuthScheme.BASIC:
            pair = b64encode(f"{settings.username or ''}:{value}".encode()).decode()
            return Credential({"Authorization": f"Basic {pair}"}, {}, origins)
        case HttpAuthScheme.BEARER:
            return Credential({"Authorization": f"Bearer {value}"}, {}, origins)
        case HttpAuthScheme.HEADER:
            return Credential({settings.parameter or "": value}, {}, origins)
        case HttpAuthScheme.QUERY:
            return Credential({}, {settings.parameter or "": value}, origins)
