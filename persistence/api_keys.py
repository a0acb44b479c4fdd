"""API keys in PostgreSQL: hashes of their texts, and what they stand for at this moment."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any
from uuid import UUID

from sqlalchemy import and_, func, insert, or_, select, update

from domain.api_keys import ApiKey, KeyHolder
from domain.audit import AuditAction
from domain.errors import InvalidInput, LimitExceeded, NotFound
from domain.identity import Role, Scope, User
from domain.ids import ApiKeyId, MemberId, Prefix, UserId, WorkspaceId, to_global
from persistence.audit import insert_deeds
from persistence.key_tables import api_keys
from persistence.paging import read_page, read_pages
from persistence.standing import check_standing
from persistence.tables import members, users, workspaces
from persistence.uses import through

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from sqlalchemy import Row
    from sqlalchemy.ext.asyncio import AsyncConnection

    from domain.audit import Deed
    from domain.ports.paging import Page, PageRequest
    from persistence.database import Database

_MAX_KEYS = 1_000
_SHOWN = [api_keys.c[name] for name in ApiKey.__slots__]


async def hold_keys_of(connection: AsyncConnection, member_id: MemberId) -> None:
    """Hold the keys of a member who is to be removed, until the transaction ends; before the caller is held."""
    theirs = select(api_keys.c.id).where(api_keys.c.member_id == member_id, api_keys.c.revoked_at.is_(None))
    await connection.execute(theirs.with_for_update(key_share=True))


async def revoke_keys_of(
    connection: AsyncConnection,
    workspace_id: WorkspaceId,
    user_id: UserId,
    now: datetime,
    deed: Deed | None = None,
) -> None:
    """End the keys that a person made in a workspace; in the transaction of `deed`, which ends the membership."""
    theirs = and_(api_keys.c.workspace_id == workspace_id, api_keys.c.created_by == user_id)
    ended = update(api_keys).where(theirs, api_keys.c.revoked_at.is_(None)).values(revoked_at=now)
    rows = (await connection.execute(ended.returning(api_keys.c.id, api_keys.c.name))).all()
    if deed is not None and rows:
        about = replace(deed, action=AuditAction.API_KEY_REVOKED)
        told = [replace(about, target_id=to_global(Prefix.API_KEY, row.id), target_name=row.name) for row in rows]
        await insert_deeds(through(connection), workspace_id, told)


class PostgresApiKeys:
    """Implements `domain.ports.api_keys.ApiKeys`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, key: ApiKey, token_hash: bytes, deed: Deed) -> None:
        """Store a key.

        Raises:
            Unauthenticated, Forbidden: the caller's session, key or role has ended since the request was let in.
            NotFound: who made it is not a member of the workspace any more.
            LimitExceeded: the workspace has as many as it may.
        """
        values = {name: getattr(key, name) for name in ApiKey.__slots__}
        async with self._database.connection() as connection:
            # The workspace's row keeps two additions from both being the last one.
            await _begin(connection, key, deed)
            member = select(members.c.id).where(
                members.c.workspace_id == key.workspace_id, members.c.user_id == key.created_by
            )
            member_id = (await connection.execute(member.with_for_update(read=True, key_share=True))).scalar()
            if member_id is None:
                raise NotFound(path=["input", "workspaceId"])
            living = select(func.count()).where(
                api_keys.c.workspace_id == key.workspace_id, api_keys.c.revoked_at.is_(None)
            )
            if (await connection.execute(living)).scalar_one() >= _MAX_KEYS:
                raise LimitExceeded(f"A workspace has at most {_MAX_KEYS:,} keys; revoke some.", limit=_MAX_KEYS)
            await connection.execute(
                insert(api_keys).values(**values | {"scopes": _texts(key)}, token_hash=token_hash, member_id=member_id)
            )
            await insert_deeds(through(connection), key.workspace_id, [deed])

    async def rotate(self, key: ApiKey, prefix: str, token_hash: bytes, old_until: datetime, deed: Deed) -> ApiKey:
        """Give a key a new text; the one until now works until `old_until`, and an older one no longer.

        Raises:
            Unauthenticated, Forbidden: as with `add`.
            InvalidInput: it was revoked meanwhile.
        """
        statement = update(api_keys).where(api_keys.c.id == key.id, api_keys.c.revoked_at.is_(None))
        new = {"prefix": prefix, "token_hash": token_hash, "old_hash": api_keys.c.token_hash, "old_until": old_until}
        async with self._database.connection() as connection:
            await _begin(connection, key, deed)
            row = (await connection.execute(statement.values(**new).returning(*_SHOWN))).first()
            if row is None:
                raise InvalidInput("This key was revoked; make a new one.", path=["input", "id"])
            await insert_deeds(through(connection), key.workspace_id, [deed])
        return _key(row)

    async def revoke(self, key: ApiKey, now: datetime, deed: Deed) -> ApiKey:
        """End a key; one that has ended stays as it is.

        Raises:
            Unauthenticated, Forbidden: as with `add`.
        """
        mine = api_keys.c.id == key.id
        statement = update(api_keys).where(mine, api_keys.c.revoked_at.is_(None)).values(revoked_at=now)
        async with self._database.connection() as connection:
            await _begin(connection, key, deed)
            row = (await connection.execute(statement.returning(*_SHOWN))).first()
            if row is not None:
                await insert_deeds(through(connection), key.workspace_id, [deed])
                return _key(row)
            ended = (await connection.execute(select(*_SHOWN).where(mine))).first()
        return key if ended is None else _key(ended)

    async def use(self, token_hash: bytes, now: datetime) -> KeyHolder | None:
        """Find what a text stands for and note the minute; None unless it works, and its maker is still a member."""
        table = api_keys.c
        is_old = and_(table.old_hash == token_hash, table.old_until > now)
        statement = (
            select(
                *_SHOWN,
                table.old_until,
                (table.token_hash == token_hash).label("is_current"),
                users.c.email,
                users.c.name.label("user_name"),
                users.c.created_at.label("user_since"),
                members.c.role,
            )
            .join(members, members.c.id == table.member_id)
            .join(users, users.c.id == table.created_by)
            .where(
                or_(table.token_hash == token_hash, is_old),
                table.revoked_at.is_(None),
                or_(table.expires_at.is_(None), table.expires_at > now),
            )
        )
        async with self._database.connection() as connection:
            row = (await connection.execute(statement)).first()
            if row is None:
                return None
            await _note_use(connection, row, now)
        ends = row.expires_at if row.is_current else min(row.old_until, row.expires_at or row.old_until)
        user = User(UserId(row.created_by), row.email, row.user_name, row.user_since)
        return KeyHolder(_key(row), user, Role(row.role), ends)

    async def list_by_id(self, within: frozenset[WorkspaceId], key_ids: Sequence[ApiKeyId]) -> Sequence[ApiKey]:
        """List those of the keys that are within, in any order."""
        statement = select(*_SHOWN).where(api_keys.c.id.in_(key_ids), api_keys.c.workspace_id.in_(within))
        async with self._database.connection() as connection:
            return [_key(row) for row in await connection.execute(statement)]

    async def page_by_workspace(
        self, workspace_ids: Sequence[WorkspaceId], request: PageRequest
    ) -> Mapping[WorkspaceId, Page[ApiKey]]:
        """Read the same part of the keys of several workspaces, newest first.

        Raises:
            CursorInvalid: a cursor of another list.
        """
        async with self._database.connection() as connection:
            pages = await read_pages(
                connection,
                select(*_SHOWN),
                [(api_keys.c.id, UUID)],
                request,
                _key,
                owner=api_keys.c.workspace_id,
                owner_ids=workspace_ids,
                is_descending=True,
                name="keys",
            )
        return {WorkspaceId(workspace_id): page for workspace_id, page in pages.items()}

    async def count_by_workspace(self, workspace_ids: Sequence[WorkspaceId]) -> Mapping[WorkspaceId, int]:
        """Count the keys of several workspaces."""
        owner = api_keys.c.workspace_id
        statement = select(owner, func.count()).where(owner.in_(workspace_ids)).group_by(owner)
        async with self._database.connection() as connection:
            counted = {row[0]: row[1] for row in await connection.execute(statement)}
        return {workspace_id: counted.get(workspace_id, 0) for workspace_id in workspace_ids}

    async def page_by_maker(
        self, user_id: UserId, within: frozenset[WorkspaceId], request: PageRequest
    ) -> Page[ApiKey]:
        """Read a page of the keys that a person made, newest first.

        Raises:
            CursorInvalid: a cursor of another list.
        """
        statement = select(*_SHOWN).where(_made_by(user_id, within))
        keys = [(api_keys.c.id, UUID)]
        async with self._database.connection() as connection:
            return await read_page(connection, statement, keys, request, _key, is_descending=True, name="keys")

    async def count_by_maker(self, user_id: UserId, within: frozenset[WorkspaceId]) -> int:
        """Count the keys that a person made."""
        async with self._database.connection() as connection:
            return (await connection.execute(select(func.count()).where(_made_by(user_id, within)))).scalar_one()


async def _begin(connection: AsyncConnection, key: ApiKey, deed: Deed) -> None:
    """Check that the caller may still do it, before the change: a key may end or rotate itself.

    Changes of a workspace's keys come one after the other: of two keys that end each other one is first. The key that changes
    is held before its maker's membership, as in what it does itself.
    """
    for its in (
        select(workspaces.c.id).where(workspaces.c.id == key.workspace_id),
        select(api_keys.c.id).where(api_keys.c.id == key.id),
    ):
        await connection.execute(its.with_for_update(key_share=True))
    await check_standing(through(connection), deed, key.workspace_id)


async def _note_use(connection: AsyncConnection, row: Row[Any], now: datetime) -> None:
    minute = now.replace(second=0, microsecond=0)
    if row.last_used_at is not None and row.last_used_at >= minute:
        return
    # Only the first use in a minute writes, and no request waits for another one that does.
    free = select(api_keys.c.id).where(api_keys.c.id == row.id).with_for_update(skip_locked=True)
    await connection.execute(update(api_keys).where(api_keys.c.id.in_(free)).values(last_used_at=minute))


def _made_by(user_id: UserId, within: frozenset[WorkspaceId]) -> Any:
    return and_(api_keys.c.created_by == user_id, api_keys.c.workspace_id.in_(within))


def _texts(key: ApiKey) -> list[str]:
    return [scope.value for scope in key.scopes]


def _key(row: Row[Any]) -> ApiKey:
    return ApiKey(
        id=ApiKeyId(row.id),
        workspace_id=WorkspaceId(row.workspace_id),
        created_by=UserId(row.created_by),
        name=row.name,
        prefix=row.prefix,
        scopes=tuple(Scope(scope) for scope in row.scopes),
        expires_at=row.expires_at,
        last_used_at=row.last_used_at,
        revoked_at=row.revoked_at,
        created_at=row.created_at,
    )
