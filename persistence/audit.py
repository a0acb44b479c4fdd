"""The audit log in PostgreSQL: entries are added and read, and the database refuses everything else."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from sqlalchemy import ColumnElement, func, insert, select
from uuid_utils.compat import uuid7

from domain.audit import AuditAction, AuditEntry
from domain.ids import ApiKeyId, AuditEntryId, UserId, WorkspaceId
from persistence.key_tables import audit_entries
from persistence.paging import read_pages
from persistence.tables import members, workspaces

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from sqlalchemy import Row
    from sqlalchemy.ext.asyncio import AsyncConnection

    from domain.audit import AuditQuery
    from domain.ports.paging import Page, PageRequest
    from persistence.database import Database, DirectConnection

_COLUMNS: Final = tuple(AuditEntry.__slots__)
_ADD: Final = f"""
INSERT INTO audit_entries ({", ".join(_COLUMNS)}) VALUES ({", ".join(f"${place + 1}" for place in range(len(_COLUMNS)))})
"""  # noqa: S608 -- names of our own columns


async def add_entry(connection: DirectConnection, entry: AuditEntry) -> None:
    """Add an entry in somebody's transaction, which holds the row of the workspace."""
    await connection.execute(_ADD, *(getattr(entry, name) for name in _COLUMNS))


async def insert_entries(connection: AsyncConnection, entries: Sequence[AuditEntry]) -> None:
    """Add entries in somebody's transaction; those of workspaces that are gone are left out."""
    wanted = {entry.workspace_id for entry in entries}
    # Locked, or a workspace that is deleted at this moment would turn an entry into a fault.
    held = select(workspaces.c.id).where(workspaces.c.id.in_(wanted)).with_for_update(read=True, key_share=True)
    there = frozenset((await connection.execute(held)).scalars())
    rows = [{name: getattr(entry, name) for name in _COLUMNS} for entry in entries if entry.workspace_id in there]
    if rows:
        await connection.execute(insert(audit_entries), rows)


async def insert_for_person(
    connection: AsyncConnection, user_id: UserId, action: AuditAction, at: datetime, address: str | None = None
) -> None:
    """Add an entry to each workspace of a person in somebody's transaction."""
    found = (await connection.execute(select(members.c.workspace_id).where(members.c.user_id == user_id))).scalars()
    entries = [
        AuditEntry(AuditEntryId(uuid7()), WorkspaceId(workspace_id), at, action, user_id, address=address)
        for workspace_id in found
    ]
    await insert_entries(connection, entries)


class PostgresAudit:
    """Implements `domain.ports.audit.AuditLog`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, entries: Sequence[AuditEntry]) -> None:
        """Add entries; those of workspaces that are gone are left out."""
        async with self._database.connection() as connection:
            await insert_entries(connection, entries)

    async def add_for_person(self, user_id: UserId, action: AuditAction, at: datetime, address: str | None) -> None:
        """Add an entry to each workspace of a person."""
        async with self._database.connection() as connection:
            await insert_for_person(connection, user_id, action, at, address)

    async def list_by_id(
        self, within: frozenset[WorkspaceId], entry_ids: Sequence[AuditEntryId]
    ) -> Sequence[AuditEntry]:
        """List those of the entries that are within, in any order."""
        table = audit_entries
        statement = select(table).where(table.c.id.in_(entry_ids), table.c.workspace_id.in_(within))
        async with self._database.connection() as connection:
            return [_entry(row) for row in await connection.execute(statement)]

    async def page_by_workspace(
        self, workspace_ids: Sequence[WorkspaceId], query: AuditQuery, request: PageRequest
    ) -> Mapping[WorkspaceId, Page[AuditEntry]]:
        """Read the same part of the logs of several workspaces, newest first.

        Raises:
            CursorInvalid: a cursor of another list.
        """
        async with self._database.connection() as connection:
            pages = await read_pages(
                connection,
                select(audit_entries).where(*_chosen(query)),
                [(audit_entries.c.id, UUID)],
                request,
                _entry,
                owner=audit_entries.c.workspace_id,
                owner_ids=workspace_ids,
                is_descending=True,
                name="audit",
            )
        return {WorkspaceId(workspace_id): page for workspace_id, page in pages.items()}

    async def count_by_workspace(
        self, workspace_ids: Sequence[WorkspaceId], query: AuditQuery
    ) -> Mapping[WorkspaceId, int]:
        """Count the entries of several workspaces."""
        owner = audit_entries.c.workspace_id
        statement = select(owner, func.count()).where(owner.in_(workspace_ids), *_chosen(query)).group_by(owner)
        async with self._database.connection() as connection:
            counted = {row[0]: row[1] for row in await connection.execute(statement)}
        return {workspace_id: counted.get(workspace_id, 0) for workspace_id in workspace_ids}


def _chosen(query: AuditQuery) -> list[ColumnElement[bool]]:
    table = audit_entries.c
    conditions: list[ColumnElement[bool]] = []
    if query.actions:
        conditions.append(table.action.in_([action.value for action in query.actions]))
    if query.actor_id is not None:
        conditions.append(table.actor_id == query.actor_id)
    if query.target_id is not None:
        conditions.append(table.target_id == query.target_id)
    if query.since is not None:
        conditions.append(table.at >= query.since)
    if query.until is not None:
        conditions.append(table.at < query.until)
    return conditions


def _entry(row: Row[Any]) -> AuditEntry:
    return AuditEntry(
        id=AuditEntryId(row.id),
        workspace_id=WorkspaceId(row.workspace_id),
        at=row.at,
        action=AuditAction(row.action),
        actor_id=None if row.actor_id is None else UserId(row.actor_id),
        api_key_id=None if row.api_key_id is None else ApiKeyId(row.api_key_id),
        target_id=row.target_id,
        target_name=row.target_name,
        address=row.address,
    )
