"""Connections in PostgreSQL; their credentials arrive and leave encrypted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import UUID

from sqlalchemy import delete, func, select
from sqlalchemy.dialects.postgresql import insert as upsert

from domain.connections import (
    Connection,
    ConnectionKind,
    ConnectionSettings,
    HttpAuthScheme,
    HttpAuthSettings,
    OpenaiCompatibleSettings,
    PostgresSettings,
)
from domain.errors import AlreadyExists, LimitExceeded, NotFound
from domain.ids import ConnectionId, WorkspaceId
from domain.ports.repositories import Sealed
from persistence.paging import read_page
from persistence.tables import connections, workspaces

if TYPE_CHECKING:
    from sqlalchemy import Row

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

    async def add(self, connection: Connection, ciphertext: bytes | None) -> None:
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

    async def remove(self, connection_id: ConnectionId, workspace_id: WorkspaceId) -> None:
        """Delete a connection and its credential.

        Raises:
            NotFound: it is gone.
        """
        statement = delete(connections).where(
            connections.c.id == connection_id, connections.c.workspace_id == workspace_id
        )
        async with self._database.connection() as opened:
            removed = await opened.execute(statement.returning(connections.c.id))
            if removed.first() is None:
                raise NotFound

    async def find(self, connection_id: ConnectionId, within: frozenset[WorkspaceId]) -> Connection | None:
        """Find a connection."""
        statement = select(*_SHOWN).where(connections.c.id == connection_id, connections.c.workspace_id.in_(within))
        async with self._database.connection() as opened:
            row = (await opened.execute(statement)).first()
        return _connection(row) if row else None

    async def find_by_name(self, name: str, workspace_id: WorkspaceId) -> tuple[Connection, Sealed | None] | None:
        """Find a connection by the name that nodes use, with its credential as it is stored."""
        statement = select(*_SHOWN, connections.c.ciphertext).where(
            connections.c.workspace_id == workspace_id, connections.c.name == name
        )
        async with self._database.connection() as opened:
            row = (await opened.execute(statement)).first()
        if row is None:
            return None
        return _connection(row), Sealed(row.id, row.name, row.ciphertext) if row.has_credential else None

    async def page(self, workspace_id: WorkspaceId, page: PageRequest) -> Page[Connection]:
        """Read a page of connections by name."""
        statement = select(*_SHOWN).where(connections.c.workspace_id == workspace_id)
        async with self._database.connection() as opened:
            return await read_page(
                opened, statement, [(connections.c.name, str), (connections.c.id, UUID)], page, _connection
            )

    async def count(self, workspace_id: WorkspaceId) -> int:
        """Count the connections of a workspace."""
        async with self._database.connection() as opened:
            return (await opened.execute(_count(workspace_id))).scalar_one()

    async def list_names(self, workspace_id: WorkspaceId) -> frozenset[str]:
        """List the names of a workspace's connections; they are bounded in number."""
        statement = select(connections.c.name).where(connections.c.workspace_id == workspace_id)
        async with self._database.connection() as opened:
            return frozenset((await opened.execute(statement)).scalars())


def _count(workspace_id: WorkspaceId) -> Any:
    return select(func.count()).where(connections.c.workspace_id == workspace_id)


def _to_json(settings: ConnectionSettings) -> dict[str, object]:
    if isinstance(settings, OpenaiCompatibleSettings):
        return {"baseUrl": settings.base_url, "defaultModel": settings.default_model}
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
            return OpenaiCompatibleSettings(base_url=stored["baseUrl"], default_model=stored["defaultModel"])
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
