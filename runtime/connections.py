"""Connections: storing them, and giving address and credential to the process that executes nodes."""

from __future__ import annotations

from base64 import b64encode
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from uuid_utils.compat import uuid7

from domain.audit import AuditAction
from domain.connection_prices import price_list
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
    credential_path,
    exposure,
)
from domain.errors import InvalidInput, NodeFault, NotFound
from domain.identity import Permission
from domain.ids import ConnectionId, Prefix, to_global
from domain.ports.data_tables import ExternalDatabase
from domain.ports.outbound import Credential
from domain.rate_limits import Caps
from runtime.audit import NO_AUDIT
from runtime.clients.outbound import origin_of, parse_url
from runtime.identity import utc_now

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence
    from datetime import datetime

    from domain.audit import Deed
    from domain.identity import Principal
    from domain.ids import WorkspaceId
    from domain.ports.audit import AuditTrail
    from domain.ports.connections import Connections, Sealed
    from domain.ports.paging import Page, PageRequest
    from runtime.encryption import Vault

_ANY = "any"
_LEAST_ALONE = 12
"""Shorter BASIC passwords are often constants that everybody knows and answers use as words, such as `api_token`."""
_REFUSALS = frozenset({"ADDRESS_REFUSED", "INVALID_URL"})


@dataclass(frozen=True, slots=True)
class ConnectionDraft:
    """A connection as its maker describes it; `credential` is the key, password, token or value."""

    name: str
    settings: ConnectionSettings
    credential: str | None = None
    max_concurrent: int | None = None
    requests_per_minute: int | None = None


@dataclass(frozen=True, slots=True)
class ConnectionChange:
    """What changes in a connection; None = nothing."""

    name: str | None = None
    settings: ConnectionSettings | None = None
    credential: str | None = None
    is_credential_removed: bool = False
    """Whether `settings` say that there is no credential any more."""
    caps: Mapping[str, int | None] = field(default_factory=dict[str, "int | None"])
    """`maxConcurrent` and `requestsPerMinute`, if they are given."""


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
        audit: AuditTrail = NO_AUDIT,
    ) -> None:
        """Take the stores.

        Args:
            connections: where they are stored.
            vault: seals the credentials.
            check_url: resolves an address and raises NodeFault `ADDRESS_REFUSED` or `INVALID_URL` where nodes may not
                go; other faults, such as a name that does not resolve at the moment, refuse nothing here.
            server_chat: what the server's `LLM__…` settings say, for nodes that name no connection.
            clock: the time.
            audit: is told what was done.
        """
        self._audit = audit
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
            LimitExceeded: the workspace has as many as it may, or there are too many prices.
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
        deed = self._deed(actor, AuditAction.CONNECTION_WRITTEN, connection)
        await self._connections.add(connection, self._sealed(connection, draft.credential), deed=deed)
        return connection

    async def update(self, actor: Principal, connection_id: ConnectionId, change: ConnectionChange) -> Connection:
        """Change a connection; its credential stays unless another is given or it is removed.

        Raises:
            NotFound: no such connection.
            Forbidden: the caller may see it only.
            InvalidInput, LimitExceeded: as with `create`, or settings of another kind, or that would send the stored
                credential to another address or less well protected.
            AlreadyExists: the name is taken.
            InUse: published nodes use the name that it gives up.
            Conflict: it was changed meanwhile.
        """
        before = await self.find(actor, connection_id)
        if before is None:
            raise NotFound(path=["input", "id"])
        actor.demand(before.workspace_id, Permission.ADMIN)
        settings, is_kept = await self._changed_settings(before, change)
        caps = change.caps
        after = replace(
            before,
            name=before.name if change.name is None else check_connection_name(change.name),
            settings=settings,
            has_credential=change.credential is not None or (is_kept and before.has_credential),
            max_concurrent=check_cap(caps.get("maxConcurrent", before.max_concurrent), "maxConcurrent"),
            requests_per_minute=check_cap(
                caps.get("requestsPerMinute", before.requests_per_minute), "requestsPerMinute"
            ),
            updated_at=self._clock(),
        )
        ciphertext = self._sealed(after, change.credential)
        deed = self._deed(actor, AuditAction.CONNECTION_WRITTEN, after)
        await self._connections.save(before, after, ciphertext, is_kept=is_kept, deed=deed)
        return after

    async def find_default(self, workspace_id: WorkspaceId, name: str) -> ConnectionId:
        """Find the connection that the LLM_CALL nodes of a workspace shall use that name none.

        Raises:
            InvalidInput: no such connection, or one to no model.
        """
        path = ["input", "defaultConnection"]
        found = await self._find_named(workspace_id, name)
        if found is None:
            raise InvalidInput(f"There is no connection with the name {name[:80]!r}.", path=path)
        if not isinstance(found[0].settings, OpenaiCompatibleSettings):
            raise InvalidInput("LLM_CALL nodes need a connection to a model API.", path=path)
        return found[0].id

    async def delete(self, actor: Principal, connection_id: ConnectionId) -> None:
        """Delete a connection and its credential.

        Raises:
            NotFound: no such connection.
            Forbidden: the caller may see it only.
            InUse: published nodes use it.
        """
        connection = await self.find(actor, connection_id)
        if connection is None:
            raise NotFound(path=["input", "id"])
        actor.demand(connection.workspace_id, Permission.ADMIN)
        deed = self._deed(actor, AuditAction.CONNECTION_DELETED, connection)
        await self._connections.remove(connection.id, connection.workspace_id, deed=deed)

    async def find(self, actor: Principal, connection_id: ConnectionId) -> Connection | None:
        """Find a connection that the caller may see."""
        return (await self.list_by_id(actor, [connection_id])).get(connection_id)

    async def list_by_id(
        self, actor: Principal, connection_ids: Sequence[ConnectionId]
    ) -> Mapping[ConnectionId, Connection]:
        """Return those of the connections that the caller may see."""
        return {one.id: one for one in await self._connections.list_by_id(actor.within(), connection_ids)}

    async def find_by_name(self, actor: Principal, workspace_id: WorkspaceId, name: str) -> Connection | None:
        """Find a connection by the name that nodes use.

        Raises:
            NotFound: no such workspace.
        """
        found = await self._find_named(actor.workspace(workspace_id), name)
        return found[0] if found else None

    async def page_by_workspace(
        self, workspace_ids: Sequence[WorkspaceId], page: PageRequest
    ) -> Mapping[WorkspaceId, Page[Connection]]:
        """Read the same page of the connections of each of the workspaces, which the caller was shown, by name.

        Raises:
            CursorInvalid: a cursor of another list.
        """
        return await self._connections.page_by_workspace(workspace_ids, page)

    async def count_by_workspace(self, workspace_ids: Sequence[WorkspaceId]) -> Mapping[WorkspaceId, int]:
        """Count what `page_by_workspace` lists."""
        return await self._connections.count_by_workspace(workspace_ids)

    async def defaults(self, workspace_ids: Sequence[WorkspaceId]) -> Mapping[WorkspaceId, Connection | None]:
        """Return what the LLM_CALL nodes of workspaces, which the caller was shown, use that name none."""
        found = await self._connections.list_defaults(workspace_ids)
        return {one: found[one][0] if one in found else None for one in workspace_ids}

    async def names(self, workspace_id: WorkspaceId) -> frozenset[str]:
        """Return the names that a graph of the workspace may use."""
        return await self._connections.list_names(workspace_id)

    async def chat_settings(self, workspace_id: WorkspaceId, name: str | None) -> ChatSettings:
        """Return the model API that a node means; None = the workspace's default, else the server's own settings.

        Raises:
            NodeFault: `CONNECTION_NOT_FOUND`: no such connection, of another kind, or no default.
            SecretUnreadable: its key cannot be decrypted.
        """
        found = None
        if (
            name is None
            and (found := (await self._connections.list_defaults([workspace_id])).get(workspace_id)) is None
        ):
            if self._server_chat is None:
                raise NodeFault(
                    "CONNECTION_NOT_FOUND",
                    "The node names no connection, and neither the workspace nor the server has a model: set `connection`, "
                    "the workspace's `defaultConnection`, or ANABRANCH_LLM__BASE_URL.",
                )
            return self._server_chat
        connection, sealed = found or await self._get_named(workspace_id, name or "")
        if not isinstance(connection.settings, OpenaiCompatibleSettings):
            raise _wrong_kind(connection)
        return ChatSettings(
            base_url=connection.settings.base_url,
            api_key=self._opened(connection, sealed),
            default_model=connection.settings.default_model,
            caps=_caps(connection),
            prices=price_list(connection.settings.prices),
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
        return _credential(connection.settings, value, _caps(connection))

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
            _caps(connection),
        )

    def _deed(self, actor: Principal, action: AuditAction, connection: Connection) -> Deed | None:
        return self._audit.deed(actor, action, to_global(Prefix.CONNECTION, connection.id), connection.name)

    async def _changed_settings(self, before: Connection, change: ConnectionChange) -> tuple[ConnectionSettings, bool]:
        """Return the settings after a change, and whether the stored credential stays."""
        if change.settings is None:
            return before.settings, True
        if change.settings.kind is not before.settings.kind:
            message = f"The connection is of kind {before.settings.kind.value}, and stays so; make another one."
            raise InvalidInput(message, path=["input", "settings"])
        is_kept = before.has_credential and change.credential is None and not change.is_credential_removed
        settings = check_settings(change.settings, _ANY if is_kept else change.credential)
        if is_kept and (changed := exposure(before.settings, settings)) is not None:
            path = credential_path(settings)
            message = (
                f"`{changed}` changes where the stored credential goes or how it is protected: give `{path[-1]}` again."
            )
            raise InvalidInput(message, path=path)
        await self._check_addresses(settings)
        return settings, is_kept

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


def _caps(connection: Connection) -> Caps:
    return Caps(connection.id, connection.name, connection.max_concurrent, connection.requests_per_minute)


def _credential(settings: HttpAuthSettings, value: str, caps: Caps) -> Credential:
    # In the words of the client that compares them, which writes international names in ASCII.
    origins = frozenset(origin_of(parse_url(origin)) for origin in settings.allowed_origins)
    match settings.scheme:
        case HttpAuthScheme.BASIC:
            pair = f"{settings.username or ''}:{value}"
            sent = b64encode(pair.encode()).decode()
            alone = (value,) if len(value) >= _LEAST_ALONE else ()
            return Credential({"Authorization": f"Basic {sent}"}, {}, origins, caps, (pair, *alone))
        case HttpAuthScheme.BEARER:
            return Credential({"Authorization": f"Bearer {value}"}, {}, origins, caps)
        case HttpAuthScheme.HEADER:
            return Credential({settings.parameter or "": value}, {}, origins, caps)
        case HttpAuthScheme.QUERY:
            return Credential({}, {settings.parameter or "": value}, origins, caps)
