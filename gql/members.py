"""Members and invitations of workspaces."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TypeAlias
from uuid import UUID

import strawberry

from domain import members as domain
from domain.identity import Role
from domain.ids import InvitationId, MemberId, Prefix, UserId, WorkspaceId
from domain.ports.paging import Page, PageRequest
from gql.absent import ABSENT
from gql.context import Context, Info
from gql.enums import expose
from gql.ids import to_id
from gql.lookup import register_node
from gql.nodes import Node
from gql.paging import After, Before, Connection, Edge, First, Last, page_request
from gql.users import User, load_users

expose(
    Role,
    description="What a member may do.",
    values={
        Role.OWNER: "Everything, ownership and deletion included.",
        Role.ADMIN: "Members, secrets and connections, and all below.",
        Role.EDITOR: "Workflows, runs, collections and tables, and all below.",
        Role.VIEWER: "Reading.",
    },
)

Part: TypeAlias = tuple[WorkspaceId, PageRequest]


@strawberry.type(description="A person in a workspace.")
class Member(Node):
    """A person in a workspace."""

    user_id: strawberry.Private[UserId]
    id: strawberry.ID = strawberry.field(description="Its id.")
    role: Role = strawberry.field(description="What the person may do here.")
    joined_at: datetime = strawberry.field(description="When the person joined.")

    @strawberry.field(description="The person.")
    async def user(self, info: Info) -> User:
        """Load the person."""
        user = await info.context.loaders.load(load_users, self.user_id)
        assert user is not None  # noqa: S101 -- a membership goes with its person
        return user

    @classmethod
    def of(cls, member: domain.Member) -> Member:
        """Convert a member of the domain."""
        return cls(
            user_id=member.user_id,
            id=to_id(Prefix.MEMBER, member.id),
            role=member.role,
            joined_at=member.joined_at,
        )


@strawberry.type(description="A member on a page.")
class MemberEdge(Edge[Member]):
    """A member on a page."""

    node: Member = strawberry.field(description="The member.")


@strawberry.type(description="Members, page by page.")
class MemberConnection(Connection[Member, MemberEdge]):
    """Members, page by page."""


@strawberry.type(description="An invitation that was not answered yet.")
class Invitation(Node):
    """An open invitation, without its token."""

    inviter_id: strawberry.Private[UserId | None]
    id: strawberry.ID = strawberry.field(description="Its id.")
    email: str = strawberry.field(description="The address it is meant for.")
    role: Role = strawberry.field(description="The role it gives.")
    expires_at: datetime = strawberry.field(description="When it stops working.")
    created_at: datetime = strawberry.field(description="When it was made.")

    @strawberry.field(description="Who invited.")
    async def invited_by(self, info: Info) -> User | None:
        """Load the person."""
        return None if self.inviter_id is None else await info.context.loaders.load(load_users, self.inviter_id)

    @classmethod
    def of(cls, invitation: domain.Invitation) -> Invitation:
        """Convert an invitation of the domain."""
        return cls(
            inviter_id=invitation.invited_by,
            id=to_id(Prefix.INVITATION, invitation.id),
            email=invitation.email,
            role=invitation.role,
            expires_at=invitation.expires_at,
            created_at=invitation.created_at,
        )


@strawberry.type(description="An invitation on a page.")
class InvitationEdge(Edge[Invitation]):
    """An invitation on a page."""

    node: Invitation = strawberry.field(description="The invitation.")


@strawberry.type(description="Invitations, page by page.")
class InvitationConnection(Connection[Invitation, InvitationEdge]):
    """Invitations, page by page."""


@strawberry.type
class MembersOfWorkspace:
    """What `Workspace` shows of this feature."""

    workspace_id: strawberry.Private[WorkspaceId]

    @strawberry.field(description="Who belongs to it, owners first.")
    async def members(
        self, info: Info, first: First = ABSENT, after: After = ABSENT, last: Last = ABSENT, before: Before = ABSENT
    ) -> MemberConnection:
        """List the members."""
        loaders, which = info.context.loaders, (self.workspace_id, page_request(first, after, last, before))
        page = await loaders.load(load_member_pages, which)
        return MemberConnection.of(page, Member.of, lambda: loaders.load(load_member_counts, self.workspace_id))

    @strawberry.field(description="Invitations that are still open, newest first.")
    async def invitations(
        self, info: Info, first: First = ABSENT, after: After = ABSENT, last: Last = ABSENT, before: Before = ABSENT
    ) -> InvitationConnection:
        """List the open invitations."""
        loaders, which = info.context.loaders, (self.workspace_id, page_request(first, after, last, before))
        page = await loaders.load(load_invitation_pages, which)
        count = lambda: loaders.load(load_invitation_counts, self.workspace_id)  # noqa: E731
        return InvitationConnection.of(page, Invitation.of, count)


async def load_member_pages(context: Context, keys: list[Part]) -> Sequence[Page[domain.Member]]:
    """Load pages of the members of workspaces that the caller has seen; the same part of all of them at once."""
    service = context.services.people.members
    pages = {part: await service.page_by_workspace(its, part) for part, its in _by_part(keys).items()}
    return [pages[part][workspace_id] for workspace_id, part in keys]


async def load_member_counts(context: Context, workspace_ids: list[WorkspaceId]) -> Sequence[int]:
    """Count the members of workspaces that the caller has seen."""
    counts = await context.services.people.members.count_by_workspace(workspace_ids)
    return [counts.get(workspace_id, 0) for workspace_id in workspace_ids]


async def load_invitation_pages(context: Context, keys: list[Part]) -> Sequence[Page[domain.Invitation]]:
    """Load pages of the open invitations of workspaces that the caller has seen; the same part of all of them at once."""
    service = context.services.people.invitations
    pages = {part: await service.page_by_workspace(its, part) for part, its in _by_part(keys).items()}
    return [pages[part][workspace_id] for workspace_id, part in keys]


async def load_invitation_counts(context: Context, workspace_ids: list[WorkspaceId]) -> Sequence[int]:
    """Count the open invitations of workspaces that the caller has seen."""
    counts = await context.services.people.invitations.count_by_workspace(workspace_ids)
    return [counts.get(workspace_id, 0) for workspace_id in workspace_ids]


async def load_members(context: Context, member_ids: list[MemberId]) -> Sequence[Member | None]:
    """Load members by id; None for those that the caller may not see."""
    found = await context.services.people.members.list_by_id(context.principal, member_ids)
    return [Member.of(found[key]) if key in found else None for key in member_ids]


async def load_invitations(context: Context, invitation_ids: list[InvitationId]) -> Sequence[Invitation | None]:
    """Load open invitations by id; None for those that the caller may not see."""
    found = await context.services.people.invitations.list_by_id(context.principal, invitation_ids)
    return [Invitation.of(found[key]) if key in found else None for key in invitation_ids]


def _by_part(keys: list[Part]) -> dict[PageRequest, list[WorkspaceId]]:
    ids: dict[PageRequest, list[WorkspaceId]] = {}
    for workspace_id, part in keys:
        ids.setdefault(part, []).append(workspace_id)
    return ids


async def _find_member(info: Info, member_id: UUID) -> Member | None:
    return await info.context.loaders.load(load_members, MemberId(member_id))


async def _find_invitation(info: Info, invitation_id: UUID) -> Invitation | None:
    return await info.context.loaders.load(load_invitations, InvitationId(invitation_id))


register_node(Prefix.MEMBER, _find_member)
register_node(Prefix.INVITATION, _find_invitation)
