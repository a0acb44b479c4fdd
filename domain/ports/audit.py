"""What keeps the audit log, and what writes into it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from domain.audit import AuditAction, AuditEntry, AuditQuery, Deed
    from domain.identity import Principal, User
    from domain.ids import AuditEntryId, UserId, WorkspaceId
    from domain.ports.paging import Page, PageRequest


class AuditLog(Protocol):
    """The log; nothing changes an entry or takes it away."""

    async def add_everywhere(self, deed: Deed) -> None:
        """Add an entry to each workspace of a person; one that is being deleted is left out."""
        ...

    async def list_by_id(
        self, within: frozenset[WorkspaceId], entry_ids: Sequence[AuditEntryId]
    ) -> Sequence[AuditEntry]:
        """List those of the entries that are within, in any order."""
        ...

    async def page_by_workspace(
        self, workspace_ids: Sequence[WorkspaceId], query: AuditQuery, request: PageRequest
    ) -> Mapping[WorkspaceId, Page[AuditEntry]]:
        """Read the same part of the logs of several workspaces, newest first.

        Raises:
            CursorInvalid: a cursor of another list.
        """
        ...

    async def count_by_workspace(
        self, workspace_ids: Sequence[WorkspaceId], query: AuditQuery
    ) -> Mapping[WorkspaceId, int]:
        """Count the entries of several workspaces."""
        ...


class AuditTrail(Protocol):
    """Where services get what they hand on to whoever stores the change."""

    def deed(
        self, actor: Principal, action: AuditAction, target_id: str | None = None, target_name: str | None = None
    ) -> Deed | None:
        """Return what a caller is about to do; `target_id` is a global id. None = nothing is kept."""
        ...

    def deed_of(
        self, user: User, action: AuditAction, address: str | None = None, target_id: str | None = None
    ) -> Deed | None:
        """Return what somebody is about to do who is not signed in, maybe to the person with this id."""
        ...

    def sign_in_failed(self, user_id: UserId, address: str) -> None:
        """Add an entry to each workspace of a person, a little later: whoever tries must not see that it takes time."""
        ...
