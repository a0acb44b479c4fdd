"""What remembers workspaces, their members and invitations; a `deed` is in the log with its change, or neither is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from domain.workflow import UNSET, Unset

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from domain.audit import Deed
    from domain.identity import Role, Workspace
    from domain.ids import CollectionId, ConnectionId, InvitationId, MemberId, UserId, WorkspaceId
    from domain.members import Invitation, Member
    from domain.ports.paging import Page, PageRequest


class Members(Protocol):
    """Members; whatever changes them holds the workspace's row, so changes follow each other."""

    async def list_by_id(self, member_ids: Sequence[MemberId], within: frozenset[WorkspaceId]) -> Sequence[Member]:
        """List those of the members that are within, in any order."""
        ...

    async def page_by_workspace(
        self, workspace_ids: Sequence[WorkspaceId], page: PageRequest
    ) -> Mapping[WorkspaceId, Page[Member]]:
        """Read the same page of the members of each workspace, owners first, then by joining.

        Raises:
            CursorInvalid: a cursor of another list.
        """
        ...

    async def count_by_workspace(self, workspace_ids: Sequence[WorkspaceId]) -> Mapping[WorkspaceId, int]:
        """Count the members of workspaces."""
        ...

    async def set_role(
        self, member_id: MemberId, workspace_id: WorkspaceId, role: Role, by: UserId, *, deed: Deed | None = None
    ) -> Member:
        """Change a role, and withdraw the open invitations that the member could not make any more.

        Raises:
            NotFound: the member is gone.
            Forbidden: the roles are not `by`'s to give and take.
            Conflict: the workspace would be left without an owner.
        """
        ...

    async def remove(
        self, member_id: MemberId, workspace_id: WorkspaceId, by: UserId, *, deed: Deed | None = None
    ) -> None:
        """Remove a member, and withdraw the open invitations that the member made.

        Raises:
            NotFound: the member is gone.
            Forbidden: the member is not `by`'s to remove.
            Conflict: the workspace would be left without an owner.
        """
        ...


class Invitations(Protocol):
    """Open invitations; those of one workspace and address follow each other."""

    async def add(self, invitation: Invitation, token_hash: bytes, *, deed: Deed | None = None) -> None:
        """Keep an invitation in the place of an older one for the same address.

        Raises:
            NotFound: the workspace is gone.
            Forbidden: the inviting person may not give this role.
            AlreadyExists: a member has this address.
            LimitExceeded: too many invitations are open.
        """
        ...

    async def list_by_id(
        self, invitation_ids: Sequence[InvitationId], within: frozenset[WorkspaceId], now: datetime
    ) -> Sequence[Invitation]:
        """List those of the open invitations that are within, in any order."""
        ...

    async def page_by_workspace(
        self, workspace_ids: Sequence[WorkspaceId], page: PageRequest, now: datetime
    ) -> Mapping[WorkspaceId, Page[Invitation]]:
        """Read the same page of the open invitations of each workspace, newest first.

        Raises:
            CursorInvalid: a cursor of another list.
        """
        ...

    async def count_by_workspace(
        self, workspace_ids: Sequence[WorkspaceId], now: datetime
    ) -> Mapping[WorkspaceId, int]:
        """Count the open invitations of workspaces; those without any are left out."""
        ...

    async def remove(self, invitation_id: InvitationId, workspace_id: WorkspaceId, *, deed: Deed | None = None) -> None:
        """Withdraw an invitation.

        Raises:
            NotFound: it is gone.
        """
        ...

    async def accept(
        self, token_hash: bytes, user_id: UserId, email: str, now: datetime, *, deed: Deed | None = None
    ) -> tuple[WorkspaceId, Role]:
        """Make a person a member by an invitation, which is used up; a member's role stays as it is. Return where and as what.

        Raises:
            InvalidToken: unknown, used, expired, withdrawn, or meant for another address.
            LimitExceeded: the workspace has as many members as it may.
        """
        ...


class Workspaces(Protocol):
    """Workspaces."""

    async def add(self, workspace: Workspace, owner: UserId) -> None:
        """Store a workspace with its owner.

        Raises:
            LimitExceeded: the person owns as many as one may.
        """
        ...

    async def update(
        self,
        workspace_id: WorkspaceId,
        name: str | None,
        default_connection: ConnectionId | Unset | None = UNSET,
        *,
        deed: Deed | None = None,
    ) -> Workspace:
        """Change what is given, together: the name, and which connection nodes use that name none; None = none is.

        Raises:
            NotFound: it is gone.
        """
        ...

    async def remove(
        self, workspace_id: WorkspaceId, by: UserId, *, deed: Deed | None = None
    ) -> Sequence[CollectionId] | None:
        """Delete a workspace with all that is in it; return the collections that were, None while runs have not ended.

        Its log goes with it: `deed` only tells who does it.

        Raises:
            Unauthenticated: the caller's session or key has ended since the request was let in.
            NotFound: it is gone.
            Forbidden: `by` does not own it.
        """
        ...
