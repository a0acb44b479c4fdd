"""The audit log in PostgreSQL: entries are added and read, and the database refuses everything else."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from sqlalchemy import ColumnElement, func, select
from uuid_utils.compat import uuid7

from domain.audit import AuditAction, AuditEntry
from domain.errors import NotFound
from domain.ids import ApiKeyId, AuditEntryId, UserId, WorkspaceId
from persistence.key_tables import audit_entries
from persistence.paging import read_pages
from persistence.standing import check_standing
from persistence.uses import through

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sqlalchemy import Row

    from domain.audit import AuditQuery, Deed
    from domain.ports.paging import Page, PageRequest
    from persistence.database import Database
    from persistence.uses import Fetch


# Nobody waits for the deletion of a workspace, which may take long; what is held cannot be deleted until the end.
_HOLD: Final = "SELECT id FROM workspaces WHERE id = ANY($1::uuid[]) FOR KEY SHARE SKIP LOCKED"
_OF_PERSON: Final = "SELECT workspace_id FROM members WHERE user_id = $1"
_INSERT: Final = """
INSERT INTO audit_entries (id, workspace_id, at, action, actor_id, api_key_id, target_id, target_name, address)
SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::timestamptz[], $4::text[], $5::uuid[], $6::uuid[],
                     $7::text[], $8::text[], $9::text[])
"""


async def write_deed(fetch: Fetch, workspace_id: WorkspaceId, deed: Deed | None) -> None:
    """Add what a caller does to the log of its workspace, in the transaction in which it is done; None = nothing.

    Raises:
        Unauthenticated, Forbidden, NotFound: the caller may not do it any more; see `check_standing`.
        NotFound: the workspace is being deleted.
    """
    if deed is not None:
        await check_standing(fetch, deed, workspace_id)
        await insert_deeds(fetch, workspace_id, [deed])


async def insert_deeds(fetch: Fetch, workspace_id: WorkspaceId, deeds: Sequence[Deed]) -> None:
    """Add to the log of a workspace in the transaction of somebody who has checked the caller already.

    Raises:
        NotFound: the workspace is gone, or being deleted.
    """
    if not await fetch(_HOLD, [workspace_id]):
        raise NotFound
    await _insert(fetch, [(workspace_id, deed) for deed in deeds])


async def insert_everywhere(fetch: Fetch, deed: Deed) -> None:
    """Add to the log of each workspace of a person in somebody's transaction; one that is being deleted is left out."""
    found = [row["workspace_id"] for row in await fetch(_OF_PERSON, deed.actor_id)]
    await _insert(fetch, [(row["id"], deed) for row in await fetch(_HOLD, found)])


async def _insert(fetch: Fetch, entries: Sequence[tuple[UUID, Deed]]) -> None:
    if entries:
        await fetch(_INSERT, *map(list, zip(*(_row(*entry) for entry in entries), strict=True)))


def _row(workspace_id: UUID, deed: Deed) -> tuple[object, ...]:
    key_id = None if deed.by is None else deed.by.api_key_id
    who = deed.actor_id, key_id
    return uuid7(), workspace_id, deed.at, deed.action.value, *who, deed.target_id, deed.target_name, deed.address


class PostgresAudit:
    """Implements `domain.ports.audit.AuditLog`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add_everywhere(self, deed: Deed) -> None:
        """Add an entry to each workspace of a person; one that is being deleted is left out."""
        async with self._database.connection() as connection:
            await insert_everywhere(through(connection), deed)

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
