"""Invitations: making them, withdrawing them, and joining by them."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final

from uuid_utils.compat import uuid7

from domain.audit import AuditAction
from domain.errors import InvalidInput, InvalidToken, NotFound
from domain.identity import Permission, normalise_email
from domain.ids import InvitationId, Prefix, to_global
from domain.members import Invitation, check_key_grant
from runtime.audit import NO_AUDIT
from runtime.identity import utc_now
from runtime.tokens import hash_opaque, make_opaque

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime

    from domain.audit import Deed
    from domain.identity import Principal, Role
    from domain.ids import WorkspaceId
    from domain.ports.audit import AuditTrail
    from domain.ports.members import Invitations
    from domain.ports.paging import Page, PageRequest

LIFETIME: Final = timedelta(days=7)
"""How long an invitation is open if nobody says otherwise."""
_MAX_LIFETIME: Final = timedelta(days=365)


class InvitationService:
    """Lets members ask others in, and those come."""

    def __init__(
        self, invitations: Invitations, *, clock: Callable[[], datetime] = utc_now, audit: AuditTrail = NO_AUDIT
    ) -> None:
        self._invitations = invitations
        self._audit = audit
        self._clock = clock

    async def invite(
        self, actor: Principal, workspace_id: WorkspaceId | None, email: str, role: Role, expires_at: datetime | None
    ) -> tuple[Invitation, str]:
        """Invite a person, in the place of an older invitation; return the token, which nobody can ask for again.

        Raises:
            NotFound, WorkspaceRequired, Forbidden: the workspace is not one in which the caller may do this.
            Forbidden: the role is not the caller's to give.
            InvalidInput: this is no address, or the time is not within the coming year.
            AlreadyExists: a member has this address.
            LimitExceeded: too many invitations are open.
        """
        workspace = actor.workspace(workspace_id, Permission.ADMIN)
        check_key_grant(actor, role)
        now = self._clock()
        invitation = Invitation(
            id=InvitationId(uuid7()),
            workspace_id=workspace,
            email=normalise_email(email),
            role=role,
            invited_by=actor.user.id,
            created_at=now,
            expires_at=_checked(expires_at, now),
        )
        token = make_opaque()
        deed = self._deed(actor, AuditAction.MEMBER_INVITED, invitation)
        await self._invitations.add(invitation, hash_opaque(token), deed=deed)
        return invitation, token

    async def revoke(self, actor: Principal, invitation_id: InvitationId) -> Invitation:
        """Withdraw an invitation; return which it was.

        Raises:
            NotFound: no such open invitation.
            Forbidden: the caller may see it only.
        """
        invitation = (await self.list_by_id(actor, [invitation_id])).get(invitation_id)
        if invitation is None:
            raise NotFound(path=["input", "id"])
        actor.demand(invitation.workspace_id, Permission.ADMIN)
        deed = self._deed(actor, AuditAction.INVITATION_REVOKED, invitation)
        await self._invitations.remove(invitation.id, invitation.workspace_id, deed=deed)
        return invitation

    def _deed(self, actor: Principal, action: AuditAction, invitation: Invitation) -> Deed | None:
        return self._audit.deed(actor, action, to_global(Prefix.INVITATION, invitation.id), invitation.email)

    async def accept(self, actor: Principal, token: str) -> tuple[WorkspaceId, Role]:
        """Make the caller a member of the workspace that a token invites to; return which, and as what.

        Raises:
            InvalidToken: unknown, used, expired, withdrawn, or meant for another address.
            LimitExceeded: the workspace has as many members as it may.
        """
        user, target = actor.user, to_global(Prefix.USER, actor.user.id)
        deed = self._audit.deed(actor, AuditAction.MEMBER_JOINED, target, user.email)
        try:
            return await self._invitations.accept(
                hash_opaque(token), user.id, user.email or "", self._clock(), deed=deed
            )
        except InvalidToken as fault:
            fault.path = ["input", "token"]
            raise

    async def list_by_id(
        self, actor: Principal, invitation_ids: Sequence[InvitationId]
    ) -> dict[InvitationId, Invitation]:
        """List those of the open invitations that the caller may see."""
        found = await self._invitations.list_by_id(invitation_ids, actor.within(), self._clock())
        return {invitation.id: invitation for invitation in found}

    async def page_by_workspace(
        self, workspace_ids: Sequence[WorkspaceId], page: PageRequest
    ) -> Mapping[WorkspaceId, Page[Invitation]]:
        """Read the same page of the open invitations of workspaces that the caller was shown, newest first.

        Raises:
            CursorInvalid: a cursor of another list.
        """
        return await self._invitations.page_by_workspace(workspace_ids, page, self._clock())

    async def count_by_workspace(self, workspace_ids: Sequence[WorkspaceId]) -> Mapping[WorkspaceId, int]:
        """Count the open invitations of workspaces that the caller was shown."""
        return await self._invitations.count_by_workspace(workspace_ids, self._clock())


def _checked(expires_at: datetime | None, now: datetime) -> datetime:
    if expires_at is None:
        return now + LIFETIME
    if not now < expires_at <= now + _MAX_LIFETIME:
        message = "An invitation stops working at a time that is to come, within a year."
        raise InvalidInput(message, path=["input", "expiresAt"])
    return expires_at
