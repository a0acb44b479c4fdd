"""Open invitations in PostgreSQL: one for each workspace and address, used up by whoever accepts it first."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import UUID

from sqlalchemy import and_, delete, func, insert, select
from sqlalchemy.dialects.postgresql import insert as upsert
from uuid_utils.compat import uuid7

from domain.errors import AlreadyExists, InvalidToken, LimitExceeded, NotFound
from domain.identity import Role
from domain.ids import InvitationId, UserId, WorkspaceId
from domain.members import MAX_INVITATIONS, MAX_MEMBERS, Invitation, check_grant
from persistence.audit import insert_deeds, write_deed
from persistence.member_tables import invitations
from persistence.members import hold_workspace
from persistence.paging import read_pages
from persistence.standing import check_standing
from persistence.tables import members, users
from persistence.uses import through

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from sqlalchemy import ColumnElement, Row
    from sqlalchemy.ext.asyncio import AsyncConnection

    from domain.audit import Deed
    from domain.ports.paging import Page, PageRequest
    from persistence.database import Database

_SHOWN = [column for column in invitations.c if column.name != "token_hash"]


class PostgresInvitations:
    """Implements `domain.ports.members.Invitations`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, invitation: Invitation, token_hash: bytes, *, deed: Deed | None = None) -> None:
        """Keep an invitation in the place of an older one for the same address.

        Raises:
            NotFound: the workspace is gone.
            Forbidden: the inviting person may not give this role.
            AlreadyExists: a member has this address.
            LimitExceeded: too many invitations are open.
        """
        its = invitations.c.workspace_id == invitation.workspace_id
        is_older = and_(its, invitations.c.email == invitation.email)
        is_over = and_(its, invitations.c.expires_at <= invitation.created_at)
        values = {name: getattr(invitation, name) for name in Invitation.__slots__}
        async with self._database.connection() as connection:
            await hold_workspace(connection, invitation.workspace_id)
            await _check_inviting(connection, invitation)
            await connection.execute(delete(invitations).where(is_older | is_over))
            count = (await connection.execute(select(func.count()).select_from(invitations).where(its))).scalar_one()
            if count >= MAX_INVITATIONS:
                message = f"A workspace has at most {MAX_INVITATIONS} open invitations; withdraw some."
                raise LimitExceeded(message, limit=MAX_INVITATIONS)
            await connection.execute(insert(invitations).values(**values, token_hash=token_hash))
            await write_deed(through(connection), invitation.workspace_id, deed)

    async def list_by_id(
        self, invitation_ids: Sequence[InvitationId], within: frozenset[WorkspaceId], now: datetime
    ) -> Sequence[Invitation]:
        """List those of the open invitations that are within, in any order."""
        wanted = [invitations.c.id.in_(invitation_ids), invitations.c.workspace_id.in_(within), _is_open(now)]
        async with self._database.single() as connection:
            return [_invitation(row) for row in await connection.execute(select(*_SHOWN).where(*wanted))]

    async def page_by_workspace(
        self, workspace_ids: Sequence[WorkspaceId], page: PageRequest, now: datetime
    ) -> Mapping[WorkspaceId, Page[Invitation]]:
        """Read the same page of the open invitations of each workspace, newest first."""
        async with self._database.single() as connection:
            pages = await read_pages(
                connection,
                select(*_SHOWN).where(_is_open(now)),
                [(invitations.c.id, UUID)],
                page,
                _invitation,
                owner=invitations.c.workspace_id,
                owner_ids=workspace_ids,
                is_descending=True,
            )
        return {workspace_id: pages[workspace_id] for workspace_id in workspace_ids}

    async def count_by_workspace(
        self, workspace_ids: Sequence[WorkspaceId], now: datetime
    ) -> Mapping[WorkspaceId, int]:
        """Count the open invitations of workspaces; those without any are left out."""
        counted = select(invitations.c.workspace_id, func.count()).group_by(invitations.c.workspace_id)
        statement = counted.where(invitations.c.workspace_id.in_(workspace_ids), _is_open(now))
        async with self._database.single() as connection:
            return {WorkspaceId(row[0]): row[1] for row in (await connection.execute(statement)).all()}

    async def remove(self, invitation_id: InvitationId, workspace_id: WorkspaceId, *, deed: Deed | None = None) -> None:
        """Withdraw an invitation.

        Raises:
            NotFound: it is gone.
        """
        is_it = and_(invitations.c.id == invitation_id, invitations.c.workspace_id == workspace_id)
        async with self._database.connection() as connection:
            removed = await connection.execute(delete(invitations).where(is_it).returning(invitations.c.id))
            if removed.first() is None:
                raise NotFound(path=["input", "id"])
            await write_deed(through(connection), workspace_id, deed)

    async def accept(
        self, token_hash: bytes, user_id: UserId, email: str, now: datetime, *, deed: Deed | None = None
    ) -> tuple[WorkspaceId, Role]:
        """Make a person a member by an invitation, which is used up; a member's role stays as it is.

        Raises:
            InvalidToken: unknown, used, expired, withdrawn, or meant for another address.
            LimitExceeded: the workspace has as many members as it may.
        """
        async with self._database.connection() as connection:
            workspace_id, role = await join_by_invitation(connection, token_hash, user_id, email, now)
            if deed is not None:
                # Whoever comes has no role yet that could have changed.
                await check_standing(through(connection), deed)
                await insert_deeds(through(connection), workspace_id, [deed])
            return workspace_id, role


async def invited_address(connection: AsyncConnection, token_hash: bytes, now: datetime) -> tuple[WorkspaceId, str]:
    """Return the workspace and the address of an open invitation.

    Raises:
        InvalidToken: unknown, used, expired or withdrawn.
    """
    wanted = select(*_SHOWN).where(invitations.c.token_hash == token_hash, _is_open(now))
    row = (await connection.execute(wanted)).first()
    if row is None:
        raise InvalidToken
    return WorkspaceId(row.workspace_id), row.email


async def join_by_invitation(
    connection: AsyncConnection, token_hash: bytes, user_id: UserId, email: str, now: datetime
) -> tuple[WorkspaceId, Role]:
    """Make a stored user a member within a transaction; see `PostgresInvitations.accept`."""
    workspace_id, address = await invited_address(connection, token_hash, now)
    if address != email:
        raise InvalidToken("The invitation is for another e-mail address: sign in with that one.")
    try:
        await hold_workspace(connection, workspace_id)
    except NotFound:
        raise InvalidToken from None
    # Of two that accept at once the second waits for the workspace, and finds nothing here.
    used = delete(invitations).where(invitations.c.token_hash == token_hash, _is_open(now)).returning(*_SHOWN)
    row = (await connection.execute(used)).first()
    if row is None:
        raise InvalidToken
    await _check_room(connection, workspace_id)
    values = {"id": uuid7(), "workspace_id": workspace_id, "user_id": user_id, "role": row.role, "joined_at": now}
    added = upsert(members).values(**values).on_conflict_do_nothing().returning(members.c.role)
    given = (await connection.execute(added)).scalar_one_or_none()
    if given is None:
        is_it = and_(members.c.workspace_id == workspace_id, members.c.user_id == user_id)
        given = (await connection.execute(select(members.c.role).where(is_it))).scalar_one()
    return workspace_id, Role(given)


async def _check_inviting(connection: AsyncConnection, invitation: Invitation) -> None:
    joined = select(members.c.user_id, members.c.role, users.c.email).join(users, users.c.id == members.c.user_id)
    counts = (users.c.id == invitation.invited_by) | (users.c.email == invitation.email)
    rows = (await connection.execute(joined.where(members.c.workspace_id == invitation.workspace_id, counts))).all()
    own = next((Role(row.role) for row in rows if row.user_id == invitation.invited_by), None)
    check_grant(own, invitation.role)
    if any(row.email == invitation.email for row in rows):
        raise AlreadyExists("A member of the workspace has this address.", path=["input", "email"])


async def _check_room(connection: AsyncConnection, workspace_id: WorkspaceId) -> None:
    counted = select(func.count()).select_from(members).where(members.c.workspace_id == workspace_id)
    if (await connection.execute(counted)).scalar_one() >= MAX_MEMBERS:
        raise LimitExceeded(f"A workspace has at most {MAX_MEMBERS:,} members.", limit=MAX_MEMBERS)


def _is_open(now: datetime) -> ColumnElement[bool]:
    return invitations.c.expires_at > now


def _invitation(row: Row[Any]) -> Invitation:
    return Invitation(
        id=InvitationId(row.id),
        workspace_id=WorkspaceId(row.workspace_id),
        email=row.email,
        role=Role(row.role),
        invited_by=None if row.invited_by is None else UserId(row.invited_by),
        created_at=row.created_at,
        expires_at=row.expires_at,
    )
