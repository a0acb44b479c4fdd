"""Members: who they are, what they may do, and how they go."""

from __future__ import annotations

from typing import TYPE_CHECKING

from domain.audit import AuditAction
from domain.errors import NotFound
from domain.identity import Permission
from domain.ids import Prefix, to_global
from domain.members import check_key_grant
from runtime.audit import NO_AUDIT

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from domain.audit import Deed
    from domain.identity import Principal, Role
    from domain.ids import MemberId, WorkspaceId
    from domain.members import Member
    from domain.ports.audit import AuditTrail
    from domain.ports.members import Members
    from domain.ports.paging import Page, PageRequest


class MemberService:
    """The members of workspaces, for those who belong to them."""

    def __init__(self, members: Members, *, audit: AuditTrail = NO_AUDIT) -> None:
        self._members = members
        self._audit = audit

    async def list_by_id(self, actor: Principal, member_ids: Sequence[MemberId]) -> dict[MemberId, Member]:
        """List those of the members that the caller may see."""
        return {member.id: member for member in await self._members.list_by_id(member_ids, actor.within())}

    async def page_by_workspace(
        self, workspace_ids: Sequence[WorkspaceId], page: PageRequest
    ) -> Mapping[WorkspaceId, Page[Member]]:
        """Read the same page of the members of workspaces that the caller was shown, owners first.

        Raises:
            CursorInvalid: a cursor of another list.
        """
        return await self._members.page_by_workspace(workspace_ids, page)

    async def count_by_workspace(self, workspace_ids: Sequence[WorkspaceId]) -> Mapping[WorkspaceId, int]:
        """Count the members of workspaces that the caller was shown."""
        return await self._members.count_by_workspace(workspace_ids)

    async def set_role(self, actor: Principal, member_id: MemberId, role: Role) -> Member:
        """Change what a member may do.

        Raises:
            NotFound: no such member.
            Forbidden: the caller may see the member only, or the roles are not the caller's to give and take.
            Conflict: the workspace would be left without an owner.
        """
        member = await self._get(actor, member_id)
        actor.demand(member.workspace_id, Permission.ADMIN)
        check_key_grant(actor, role)
        deed = self._deed(actor, AuditAction.ROLE_CHANGED, member, role.value)
        return await self._members.set_role(member.id, member.workspace_id, role, actor.user.id, deed=deed)

    async def remove(self, actor: Principal, member_id: MemberId) -> Member:
        """Remove a member, or leave; return who it was.

        Raises:
            NotFound: no such member.
            Forbidden: the member is somebody else, and not the caller's to remove.
            Conflict: the workspace would be left without an owner.
        """
        member = await self._get(actor, member_id)
        is_own = member.user_id == actor.user.id
        actor.demand(member.workspace_id, Permission.READ if is_own else Permission.ADMIN)
        deed = self._deed(actor, AuditAction.MEMBER_REMOVED, member)
        await self._members.remove(member.id, member.workspace_id, actor.user.id, deed=deed)
        return member

    def _deed(self, actor: Principal, action: AuditAction, member: Member, name: str | None = None) -> Deed | None:
        # About the person: the membership may be gone.
        return self._audit.deed(actor, action, to_global(Prefix.USER, member.user_id), name)

    async def _get(self, actor: Principal, member_id: MemberId) -> Member:
        member = (await self.list_by_id(actor, [member_id])).get(member_id)
        if member is None:
            raise NotFound(path=["input", "id"])
        return member
