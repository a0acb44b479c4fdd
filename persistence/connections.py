"""Connections in PostgreSQL; their credentials arrive and leave encrypted."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any
from uuid import UUID

from sqlalchemy import and_, delete, false, func, select, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.exc import IntegrityError

from domain.connection_prices import NamedPrice
from domain.connections import (
    Connection,
    ConnectionKind,
    ConnectionSettings,
    HttpAuthScheme,
    HttpAuthSettings,
    OpenaiCompatibleSettings,
    PostgresSettings,
)
from domain.errors import AlreadyExists, Conflict, InvalidInput, LimitExceeded, NotFound
from domain.ids import ConnectionId, WorkspaceId
from domain.ports.connections import Sealed
from domain.prices import ModelPrice
from domain.uses import Usable, UseKind
from persistence.audit import write_deed
from persistence.limit_tables import connection_limits
from persistence.paging import read_counts, read_pages
from persistence.tables import connections, workspaces
from persistence.uses import release, through

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sqlalchemy import Row
    from sqlalchemy.ext.asyncio import AsyncConnection

    from domain.audit import Deed
    from domain.ports.paging import Page, PageRequest
    from persistence.database import Database

_MAX_CONNECTIONS = 200
_SHOWN = [
    *(column for column in connections.c if column.name != "ciphertext"),
    connections.c.ciphertext.is_not(None).label("has_credential"),
]


class PostgresConnections:
    """Implements `domain.ports.Connections`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, connection: Connection, ciphertext: bytes | None, *, deed: Deed | None = None) -> None:
        """Store a connection.

        Raises:
            AlreadyExists: the name is taken in the workspace.
            LimitExceeded: the workspace has as many as it may.
        """
        statement = upsert(connections).values(
            id=connection.id,
            workspace_id=connection.workspace_id,
            name=connection.name,
            kind=connection.settings.kind.value,
            settings=_to_json(connection.settings),
            ciphertext=ciphertext,
            max_concurrent=connection.max_concurrent,
            requests_per_minute=connection.requests_per_minute,
            created_at=connection.created_at,
            updated_at=connection.updated_at,
        )
        async with self._database.connection() as opened:
            # The workspace's row keeps two additions from both being the last one.
            await opened.execute(
                select(workspaces.c.id)
                .where(workspaces.c.id == connection.workspace_id)
                .with_for_update(key_share=True)
            )
            counted = await opened.execute(_count(connection.workspace_id))
            if counted.scalar_one() >= _MAX_CONNECTIONS:
                raise LimitExceeded(f"A workspace has at most {_MAX_CONNECTIONS} connections.", limit=_MAX_CONNECTIONS)
            added = await opened.execute(
                statement.on_conflict_do_nothing(
                    index_elements=[connections.c.workspace_id, connections.c.name]
                ).returning(connections.c.id)
            )
            if added.first() is None:
                raise AlreadyExists(f"There is a connection with the name {connection.name}.", path=["input", "name"])
            await write_deed(through(opened), connection.workspace_id, deed)

    async def save(
        self,
        before: Connection,
        after: Connection,
        ciphertext: bytes | None,
        *,
        is_kept: bool,
        deed: Deed | None = None,
    ) -> None:
        """Store a changed connection; `is_kept` leaves its credential as it is.

        Raises:
            AlreadyExists: the new name is taken in the workspace.
            Conflict: it is not as it was read, so that a credential might go where it was not meant to.
            InUse: published nodes use the name that it gives up.
        """
        values: dict[str, object] = {
            "name": after.name,
            "settings": _to_json(after.settings),
            "max_concurrent": after.max_concurrent,
            "requests_per_minute": after.requests_per_minute,
            "updated_at": after.updated_at,
        }
        if not is_kept:
            values["ciphertext"] = ciphertext
        as_read = and_(
            connections.c.id == before.id,
            connections.c.workspace_id == before.workspace_id,
            connections.c.updated_at == before.updated_at,
        )
        async with self._database.connection() as opened:
            try:
                saved = await opened.execute(
                    update(connections).where(as_read).values(values).returning(connections.c.id)
                )
            except IntegrityError as error:
                message = f"There is a connection with the name {after.name}."
                raise AlreadyExists(message, path=["input", "name"]) from error
            if saved.first() is None:
                raise Conflict("The connection was changed or deleted meanwhile; read it again.", path=["input", "id"])
            if after.name != before.name:
                given_up = Usable(before.workspace_id, UseKind.CONNECTION, before.name)
                await release(through(opened), given_up, ("input", "name"))
            await write_deed(through(opened), before.workspace_id, deed)

    async def list_defaults(
        self, workspace_ids: Sequence[WorkspaceId]
    ) -> Mapping[WorkspaceId, tuple[Connection, Sealed | None]]:
        """Return what the nodes of workspaces use that name none, with its credential as it is stored."""
        statement = select(*_SHOWN, connections.c.ciphertext).where(
            connections.c.workspace_id.in_(workspace_ids), connections.c.is_default
        )
        async with self._database.single() as opened:
            return {row.workspace_id: _with_credential(row) for row in await opened.execute(statement)}

    async def remove(self, connection_id: ConnectionId, workspace_id: WorkspaceId, *, deed: Deed | None = None) -> None:
        """Delete a connection and its credential.

        Raises:
            NotFound: it is gone.
            InUse: published nodes use it.
        """
        statement = delete(connections).where(
            connections.c.id == connection_id, connections.c.workspace_id == workspace_id
        )
        async with self._database.connection() as opened:
            name = (await opened.execute(statement.returning(connections.c.name))).scalar_one_or_none()
            if name is None:
                raise NotFound
            await opened.execute(delete(connection_limits).where(connection_limits.c.key == connection_id))
            await release(through(opened), Usable(workspace_id, UseKind.CONNECTION, name))
            await write_deed(through(opened), workspace_id, deed)

    async def list_by_id(
        self, within: frozenset[WorkspaceId], connection_ids: Sequence[ConnectionId]
    ) -> Sequence[Connection]:
        """List those of the connections that are within, in any order."""
        statement = select(*_SHOWN).where(connections.c.id.in_(connection_ids), connections.c.workspace_id.in_(within))
        async with self._database.single() as opened:
            return [_connection(row) for row in await opened.execute(statement)]

    async def find_by_name(self, name: str, workspace_id: WorkspaceId) -> tuple[Connection, Sealed | None] | None:
        """Find a connection by the name that nodes use, with its credential as it is stored."""
        statement = select(*_SHOWN, connections.c.ciphertext).where(
            connections.c.workspace_id == workspace_id, connections.c.name == name
        )
        async with self._database.connection() as opened:
            row = (await opened.execute(statement)).first()
        if row is None:
            return None
        return _with_credential(row)

    async def page_by_workspace(
        self, workspace_ids: Sequence[WorkspaceId], page: PageRequest
    ) -> Mapping[WorkspaceId, Page[Connection]]:
        """Read the same page of the connections of each of the workspaces, by name."""
        keys = [(connections.c.name, str), (connections.c.id, UUID)]
        owner = connections.c.workspace_id
        async with self._database.single() as opened:
            return await read_pages(
                opened, select(*_SHOWN), keys, page, _connection, owner=owner, owner_ids=workspace_ids
            )

    async def count_by_workspace(self, workspace_ids: Sequence[WorkspaceId]) -> Mapping[WorkspaceId, int]:
        """Count the connections of each of the workspaces."""
        async with self._database.single() as opened:
            return await read_counts(opened, connections.c.workspace_id, workspace_ids)

    async def list_names(self, workspace_id: WorkspaceId) -> frozenset[str]:
        """List the names of a workspace's connections; they are bounded in number."""
        statement = select(connections.c.name).where(connections.c.workspace_id == workspace_id)
        async with self._database.connection() as opened:
            return frozenset((await opened.execute(statement)).scalars())


async def set_default(
    connection: AsyncConnection, workspace_id: WorkspaceId, connection_id: ConnectionId | None
) -> None:
    """Make a connection the one that nodes use when they name none; None = no connection is.

    The caller holds the workspace's row: there is one at most at any moment, and two callers meet there.

    Raises:
        InvalidInput: it was deleted since it was looked up; the default has to stay what it was.
    """
    of_it = connections.c.workspace_id == workspace_id
    is_it = false() if connection_id is None else connections.c.id == connection_id
    await connection.execute(update(connections).where(of_it, connections.c.is_default).values(is_default=False))
    made = await connection.execute(update(connections).where(of_it, is_it).values(is_default=True))
    if connection_id is not None and made.rowcount == 0:
        raise InvalidInput("The connection was deleted meanwhile.", path=["input", "defaultConnection"])


def _count(workspace_id: WorkspaceId) -> Any:
    return select(func.count()).where(connections.c.workspace_id == workspace_id)


def _to_json(settings: ConnectionSettings) -> dict[str, object]:
    if isinstance(settings, OpenaiCompatibleSettings):
        prices = [_price_to_json(named) for named in settings.prices]
        return {"baseUrl": settings.base_url, "defaultModel": settings.default_model, "prices": prices}
    if isinstance(settings, PostgresSettings):
        return {
            "host": settings.host,
            "port": settings.port,
            "database": settings.database,
            "username": settings.username,
            "isTlsVerified": settings.is_tls_verified,
        }
    return {
        "scheme": settings.scheme.value,
        "username": settings.username,
        "parameter": settings.parameter,
        "allowedOrigins": list(settings.allowed_origins),
    }


def _from_json(kind: str, stored: dict[str, Any]) -> ConnectionSettings:
    match ConnectionKind(kind):
        case ConnectionKind.OPENAI_COMPATIBLE:
            # Connections that are older than prices have none.
            prices = tuple(_price_from_json(price) for price in stored.get("prices", ()))
            return OpenaiCompatibleSettings(stored["baseUrl"], stored["defaultModel"], prices)
        case ConnectionKind.POSTGRES:
            return PostgresSettings(
                host=stored["host"],
                port=stored["port"],
                database=stored["database"],
                username=stored["username"],
                is_tls_verified=stored["isTlsVerified"],
            )
        case ConnectionKind.HTTP_AUTH:
            return HttpAuthSettings(
                scheme=HttpAuthScheme(stored["scheme"]),
                allowed_origins=tuple(stored["allowedOrigins"]),
                username=stored["username"],
                parameter=stored["parameter"],
            )


def _price_to_json(named: NamedPrice) -> dict[str, str]:
    """Amounts are texts: they are exact."""
    price = named.price
    return {
        "model": named.model,
        "input": format(price.input_per_million, "f"),
        "output": format(price.output_per_million, "f"),
        "currency": price.currency,
    }


def _price_from_json(stored: dict[str, str]) -> NamedPrice:
    price = ModelPrice(Decimal(stored["input"]), Decimal(stored["output"]), stored["currency"])
    return NamedPrice(stored["model"], price)


def _with_credential(row: Row[Any]) -> tuple[Connection, Sealed | None]:
    return _connection(row), Sealed(row.id, row.name, row.ciphertext) if row.has_credential else None


def _connection(row: Row[Any]) -> Connection:
    return Connection(
        id=ConnectionId(row.id),
        workspace_id=WorkspaceId(row.workspace_id),
        name=row.name,
        settings=_from_json(row.kind, row.settings),
        has_credential=row.has_credential,
        max_concurrent=row.max_concurrent,
        requests_per_minute=row.requests_per_minute,
        created_at=row.created_at,
        updated_at=row.updated_at,
    )
