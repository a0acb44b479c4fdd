"""Secrets in PostgreSQL; their values arrive and leave encrypted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import UUID

from sqlalchemy import and_, delete, func, or_, select, update
from sqlalchemy.dialects.postgresql import insert as upsert

from domain.connections import Secret
from domain.errors import AlreadyExists, LimitExceeded, NotFound
from domain.ids import SecretId, WorkspaceId
from domain.ports.connections import Sealed
from domain.uses import Usable, UseKind
from persistence.audit import write_deed
from persistence.paging import read_counts, read_pages
from persistence.tables import secrets, workspaces
from persistence.uses import release, through

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from sqlalchemy import Row

    from domain.audit import Deed
    from domain.ports.paging import Page, PageRequest
    from persistence.database import Database

_MAX_SECRETS = 1_000
_SHOWN = [column for column in secrets.c if column.name != "ciphertext"]


class PostgresSecrets:
    """Implements `domain.ports.Secrets`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, secret: Secret, ciphertext: bytes, *, deed: Deed | None = None) -> None:
        """Store a secret.

        Raises:
            AlreadyExists: the name is taken in the workspace.
            LimitExceeded: the workspace has as many as it may.
        """
        values = {name: getattr(secret, name) for name in Secret.__slots__}
        statement = upsert(secrets).values(**values, ciphertext=ciphertext)
        async with self._database.connection() as connection:
            # The workspace's row keeps two additions from both being the last one.
            await connection.execute(
                select(workspaces.c.id).where(workspaces.c.id == secret.workspace_id).with_for_update(key_share=True)
            )
            counted = await connection.execute(_count(secret.workspace_id))
            if counted.scalar_one() >= _MAX_SECRETS:
                raise LimitExceeded(f"A workspace has at most {_MAX_SECRETS} secrets.", limit=_MAX_SECRETS)
            added = await connection.execute(
                statement.on_conflict_do_nothing(index_elements=[secrets.c.workspace_id, secrets.c.name]).returning(
                    secrets.c.id
                )
            )
            if added.first() is None:
                raise AlreadyExists(f"There is a secret with the name {secret.name}.", path=["input", "name"])
            await write_deed(through(connection), secret.workspace_id, deed)

    async def save(self, secret: Secret, ciphertext: bytes | None, *, deed: Deed | None = None) -> None:
        """Store a changed secret; the value stays without a new ciphertext.

        Raises:
            NotFound: it is gone.
        """
        values: dict[str, object] = {"description": secret.description, "updated_at": secret.updated_at}
        if ciphertext is not None:
            values["ciphertext"] = ciphertext
        statement = update(secrets).where(secrets.c.id == secret.id, secrets.c.workspace_id == secret.workspace_id)
        async with self._database.connection() as connection:
            saved = await connection.execute(statement.values(**values).returning(secrets.c.id))
            if saved.first() is None:
                raise NotFound
            await write_deed(through(connection), secret.workspace_id, deed)

    async def remove(self, secret_id: SecretId, workspace_id: WorkspaceId, *, deed: Deed | None = None) -> None:
        """Delete a secret.

        Raises:
            NotFound: it is gone.
            InUse: published nodes use it.
        """
        statement = delete(secrets).where(secrets.c.id == secret_id, secrets.c.workspace_id == workspace_id)
        async with self._database.connection() as connection:
            name = (await connection.execute(statement.returning(secrets.c.name))).scalar_one_or_none()
            if name is None:
                raise NotFound
            await release(through(connection), Usable(workspace_id, UseKind.SECRET, name))
            await write_deed(through(connection), workspace_id, deed)

    async def list_by_id(self, within: frozenset[WorkspaceId], secret_ids: Sequence[SecretId]) -> Sequence[Secret]:
        """List those of the secrets that are within, in any order."""
        statement = select(*_SHOWN).where(secrets.c.id.in_(secret_ids), secrets.c.workspace_id.in_(within))
        async with self._database.single() as connection:
            return [_secret(row) for row in await connection.execute(statement)]

    async def page_by_workspace(
        self, workspace_ids: Sequence[WorkspaceId], page: PageRequest
    ) -> Mapping[WorkspaceId, Page[Secret]]:
        """Read the same page of the secrets of each of the workspaces, by name."""
        keys = [(secrets.c.name, str), (secrets.c.id, UUID)]
        owner = secrets.c.workspace_id
        async with self._database.single() as connection:
            return await read_pages(
                connection, select(*_SHOWN), keys, page, _secret, owner=owner, owner_ids=workspace_ids
            )

    async def count_by_workspace(self, workspace_ids: Sequence[WorkspaceId]) -> Mapping[WorkspaceId, int]:
        """Count the secrets of each of the workspaces."""
        async with self._database.single() as connection:
            return await read_counts(connection, secrets.c.workspace_id, workspace_ids)

    async def list_names(self, workspace_id: WorkspaceId) -> frozenset[str]:
        """List the names of a workspace's secrets; they are bounded in number."""
        statement = select(secrets.c.name).where(secrets.c.workspace_id == workspace_id)
        async with self._database.connection() as connection:
            return frozenset((await connection.execute(statement)).scalars())

    async def use(self, workspace_id: WorkspaceId, names: Sequence[str], now: datetime) -> Sequence[Sealed]:
        """Read the encrypted values of those names that exist, and note the minute of their use."""
        minute = now.replace(second=0, microsecond=0)
        wanted = and_(secrets.c.workspace_id == workspace_id, secrets.c.name.in_(names))
        async with self._database.connection() as connection:
            rows = (
                await connection.execute(select(secrets.c.id, secrets.c.name, secrets.c.ciphertext).where(wanted))
            ).all()
            # Only the first use in a minute writes: a thousand nodes that share a secret do not queue for its row.
            stale = select(secrets.c.id).where(
                wanted, or_(secrets.c.last_used_at.is_(None), secrets.c.last_used_at < minute)
            )
            await connection.execute(
                update(secrets)
                .where(secrets.c.id.in_(stale.order_by(secrets.c.id).with_for_update(skip_locked=True)))
                .values(last_used_at=minute)
            )
        return [Sealed(row.id, row.name, row.ciphertext) for row in rows]


def _count(workspace_id: WorkspaceId) -> Any:
    return select(func.count()).where(secrets.c.workspace_id == workspace_id)


def _secret(row: Row[Any]) -> Secret:
    return Secret(
        id=SecretId(row.id),
        workspace_id=WorkspaceId(row.workspace_id),
        name=row.name,
        description=row.description,
        last_used_at=row.last_used_at,
        created_at=row.created_at,
        updated_at=row.updated_at,
    )
