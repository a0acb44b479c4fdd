"""Changes of members and invitations."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import strawberry

from domain.identity import Permission, Role
from domain.ids import InvitationId, MemberId, Prefix
from gql.absent import ABSENT, or_none
from gql.context import Info
from gql.fields import mutation
from gql.ids import from_id, to_id, workspace_id_of
from gql.members import Invitation, Member
from gql.payloads import Payload


@strawberry.input(description="What `inviteMember` takes.")
class InviteMemberInput:
    """What `inviteMember` takes."""

    workspace_id: strawberry.ID | None = strawberry.field(
        default=ABSENT, description="The workspace; the caller's only one if absent."
    )
    email: str = strawberry.field(description="The person's address.")
    role: Role = strawberry.field(default=Role.EDITOR, description="The role it gives.")
    expires_at: datetime | None = strawberry.field(
        default=ABSENT, description="When it stops working; in 7 days if absent."
    )


@strawberry.input(description="What `revokeInvitation` takes.")
class RevokeInvitationInput:
    """What `revokeInvitation` takes."""

    id: strawberry.ID = strawberry.field(description="Which invitation.")


@strawberry.input(description="What `setMemberRole` takes.")
class SetMemberRoleInput:
    """What `setMemberRole` takes."""

    id: strawberry.ID = strawberry.field(description="Which member.")
    role: Role = strawberry.field(description="The new role.")


@strawberry.input(description="What `removeMember` takes.")
class RemoveMemberInput:
    """What `removeMember` takes."""

    id: strawberry.ID = strawberry.field(description="Which member.")


@strawberry.type(description="What `inviteMember` gives.")
class InviteMemberPayload(Payload):
    """What `inviteMember` gives."""

    invitation: Invitation | None = strawberry.field(default=None, description="The invitation.")
    accept_url: str | None = strawberry.field(
        default=None, description="The link to send to the person; shown only here."
    )


@strawberry.type(description="What `revokeInvitation` gives.")
class RevokeInvitationPayload(Payload):
    """What `revokeInvitation` gives."""

    deleted_invitation_id: strawberry.ID | None = strawberry.field(
        default=None, description="Id of the invitation that is gone."
    )


@strawberry.type(description="What `setMemberRole` gives.")
class SetMemberRolePayload(Payload):
    """What `setMemberRole` gives."""

    member: Member | None = strawberry.field(default=None, description="The member.")


@strawberry.type(description="What `removeMember` gives.")
class RemoveMemberPayload(Payload):
    """What `removeMember` gives."""

    removed_member_id: strawberry.ID | None = strawberry.field(
        default=None, description="Id of the member who is gone."
    )


@strawberry.type
class MemberMutation:
    """Asking people in, and changing what they may do."""

    @mutation(Permission.ADMIN, description="Invites a person.")
    async def invite_member(
        self,
        info: Info,
        input: Annotated[InviteMemberInput, strawberry.argument(description="What is asked for.")],  # noqa: A002
    ) -> InviteMemberPayload:
        """Invite a person."""
        workspace_id = workspace_id_of(input.workspace_id, "input", "workspaceId")
        invitation, token = await info.context.services.people.invitations.invite(
            info.context.principal, workspace_id, input.email, input.role, or_none(input.expires_at)
        )
        # Behind `#` it is sent to no server, and stands in no log.
        return InviteMemberPayload(
            invitation=Invitation.of(invitation), accept_url=f"{info.context.address_of_pages()}/#invite={token}"
        )

    @mutation(Permission.ADMIN, description="Withdraws an invitation.")
    async def revoke_invitation(
        self,
        info: Info,
        input: Annotated[RevokeInvitationInput, strawberry.argument(description="What is asked for.")],  # noqa: A002
    ) -> RevokeInvitationPayload:
        """Withdraw an invitation."""
        invitation_id = InvitationId(from_id(Prefix.INVITATION, input.id, "input", "id"))
        await info.context.services.people.invitations.revoke(info.context.principal, invitation_id)
        return RevokeInvitationPayload(deleted_invitation_id=to_id(Prefix.INVITATION, invitation_id))

    @mutation(Permission.ADMIN, description="Changes a member's role; the last owner keeps it.")
    async def set_member_role(
        self,
        info: Info,
        input: Annotated[SetMemberRoleInput, strawberry.argument(description="What is asked for.")],  # noqa: A002
    ) -> SetMemberRolePayload:
        """Change a member's role."""
        member_id = MemberId(from_id(Prefix.MEMBER, input.id, "input", "id"))
        member = await info.context.services.people.members.set_role(info.context.principal, member_id, input.role)
        return SetMemberRolePayload(member=Member.of(member))

    @mutation(
        Permission.SIGNED_IN,
        description="Removes a member and revokes that person's keys; anyone may leave, except the last owner.",
    )
    async def remove_member(
        self,
        info: Info,
        input: Annotated[RemoveMemberInput, strawberry.argument(description="What is asked for.")],  # noqa: A002
    ) -> RemoveMemberPayload:
        """Remove a member."""
        member_id = MemberId(from_id(Prefix.MEMBER, input.id, "input", "id"))
        await info.context.services.people.members.remove(info.context.principal, member_id)
        return RemoveMemberPayload(removed_member_id=to_id(Prefix.MEMBER, member_id))
