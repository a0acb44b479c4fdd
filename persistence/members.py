"""Members in PostgreSQL; whoever changes them holds their workspace's row, so that the last owner is seen by all."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from sqlalchemy import Integer, case, delete, func, or_, select, update

from domain.errors import NotFound
from domain.identity import Role
from domain.ids import MemberId, UserId, WorkspaceId
from domain.members import GRANTABLE, Member, check_removal, check_role_change
from persistence.api_keys import hold_keys_of, revoke_keys_of
from persistence.audit import insert_deeds
from persistence.member_tables import invitations
from persistence.paging import read_pages
from persistence.standing import check_standing
from persistence.tables import members, workspaces
from persistence.uses import through

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sqlalchemy import ColumnElement, Row
    from sqlalchemy.ext.asyncio import AsyncConnection

    from domain.audit import Deed
    from domain.ports.paging import Page, PageRequest
    from persistence.database import Database

_RANK: Final = (
    case({role.value: rank for rank, role in enumerate(Role)}, value=members.c.role).cast(Integer).label("rank")
)


@dataclass(frozen=True, slots=True)
class _Held:
    """A member, and what decides about changes, while the workspace's row is held."""

    member: Member
    own: Role | None
    """The role of whoever asks."""
    owner_count: int


class PostgresMembers:
    """Implements `domain.ports.members.Members`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def list_by_id(self, member_ids: Sequence[MemberId], within: frozenset[WorkspaceId]) -> Sequence[Member]:
        """List those of the members that are within, in any order."""
        statement = select(members).where(members.c.id.in_(member_ids), members.c.workspace_id.in_(within))
        async with self._database.single() as connection:
            return [_member(row) for row in await connection.execute(statement)]

    async def page_by_workspace(
        self, workspace_ids: Sequence[WorkspaceId], page: PageRequest
    ) -> Mapping[WorkspaceId, Page[Member]]:
        """Read the same page of the members of each workspace, owners first, then by joining."""
        keys: list[tuple[ColumnElement[Any], type[int | UUID]]] = [(_RANK, int), (members.c.id, UUID)]
        owner = members.c.workspace_id
        async with self._database.single() as connection:
            pages = await read_pages(
                connection, select(members, _RANK), keys, page, _member, owner=owner, owner_ids=workspace_ids
            )
        return {workspace_id: pages[workspace_id] for workspace_id in workspace_ids}

    async def count_by_workspace(self, workspace_ids: Sequence[WorkspaceId]) -> Mapping[WorkspaceId, int]:
        """Count the members of workspaces."""
        statement = select(members.c.workspace_id, func.count()).where(members.c.workspace_id.in_(workspace_ids))
        async with self._database.single() as connection:
            rows = (await connection.execute(statement.group_by(members.c.workspace_id))).all()
        return {WorkspaceId(row[0]): row[1] for row in rows}

    async def set_role(
        self, member_id: MemberId, workspace_id: WorkspaceId, role: Role, by: UserId, *, deed: Deed | None = None
    ) -> Member:
        """Change a role, and withdraw the open invitations that the member could not make any more.

        Raises:
            NotFound: the member is gone.
            Forbidden: the roles are not `by`'s to give and take.
            Conflict: the workspace would be left without an owner.
        """
        async with self._database.connection() as connection:
            held = await _held(connection, member_id, workspace_id, by, deed)
            check_role_change(held.own, held.member.role, role, held.owner_count)
            changed = update(members).where(members.c.id == member_id).values(role=role.value).returning(*members.c)
            row = (await connection.execute(changed)).one()
            await _withdraw(connection, held.member, GRANTABLE[role])
            if deed is not None:
                await insert_deeds(through(connection), workspace_id, [deed])
        return _member(row)

    async def remove(
        self, member_id: MemberId, workspace_id: WorkspaceId, by: UserId, *, deed: Deed | None = None
    ) -> None:
        """Remove a member, and withdraw the open invitations that the member made.

        Raises:
            NotFound: the member is gone.
            Forbidden: the member is not `by`'s to remove.
            Conflict: the workspace would be left without an owner.
        """
        async with self._database.connection() as connection:
            await hold_workspace(connection, workspace_id)
            await hold_keys_of(connection, member_id)
            held = await _held(connection, member_id, workspace_id, by, deed)
            check_removal(held.own, held.member.role, held.owner_count, is_own=held.member.user_id == by)
            await revoke_keys_of(connection, workspace_id, held.member.user_id, datetime.now(UTC), deed)
            await connection.execute(delete(members).where(members.c.id == member_id))
            await _withdraw(connection, held.member, frozenset())
            if deed is not None:
                await insert_deeds(through(connection), workspace_id, [deed])


async def hold_workspace(connection: AsyncConnection, workspace_id: WorkspaceId) -> None:
    """Hold a workspace until the transaction ends; what only refers to it goes on.

    Raises:
        NotFound: it is gone.
    """
    row = select(workspaces.c.id).where(workspaces.c.id == workspace_id).with_for_update(key_share=True)
    if (await connection.execute(row)).first() is None:
        raise NotFound


async def _held(
    connection: AsyncConnection, member_id: MemberId, workspace_id: WorkspaceId, by: UserId, deed: Deed | None
) -> _Held:
    await hold_workspace(connection, workspace_id)
    if deed is not None:
        await check_standing(through(connection), deed, workspace_id)
    counts = or_(members.c.id == member_id, members.c.user_id == by, members.c.role == Role.OWNER.value)
    # Read behind the lock, in a new snapshot: what the caller was when the request began does not count.
    rows = await connection.execute(select(members).where(members.c.workspace_id == workspace_id, counts))
    found = [_member(row) for row in rows]
    member = next((one for one in found if one.id == member_id), None)
    if member is None:
        raise NotFound(path=["input", "id"])
    own = next((one.role for one in found if one.user_id == by), None)
    return _Held(member, own, sum(one.role is Role.OWNER for one in found))


async def _withdraw(connection: AsyncConnection, member: Member, grantable: frozenset[Role]) -> None:
    """Nobody comes in by the word of somebody who could not say it now."""
    made = [invitations.c.workspace_id == member.workspace_id, invitations.c.invited_by == member.user_id]
    kept = [role.value for role in grantable]
    await connection.execute(delete(invitations).where(*made, invitations.c.role.not_in(kept)))


def _member(row: Row[Any]) -> Member:
    return Member(MemberId(row.id), WorkspaceId(row.workspace_id), UserId(row.user_id), Role(row.role), row.joined_at)
