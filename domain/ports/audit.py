"""What keeps the audit log, and what writes into it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from domain.audit import AuditAction, AuditEntry, AuditQuery
    from domain.identity import Principal
    from domain.ids import AuditEntryId, UserId, WorkspaceId
    from domain.ports.paging import Page, PageRequest


class AuditLog(Protocol):
    """The log; nothing changes an entry or takes it away."""

    async def add(self, entries: Sequence[AuditEntry]) -> None:
        """Add entries; those of workspaces that are gone are left out."""
        ...

    async def add_for_person(self, user_id: UserId, action: AuditAction, at: datetime, address: str | None) -> None:
        """Add an entry to each workspace of a person."""
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
    """Where services tell what was done."""

    async def record(
        self,
        actor: Principal,
        workspace_id: WorkspaceId,
        action: AuditAction,
        target_id: str | None = None,
        target_name: str | None = None,
    ) -> None:
        """Add an entry about what a caller has just done; `target_id` is a global id."""
        ...

    async def record_of(self, user_id: UserId, action: AuditAction) -> None:
        """Add an entry to each workspace of a person about what somebody with the server's database did."""
        ...

    async def record_everywhere(self, actor: Principal, action: AuditAction, address: str | None = None) -> None:
        """Add an entry to each workspace of a caller, about what concerns the person."""
        ...

    def sign_in_failed(self, user_id: UserId, address: str) -> None:
        """Add an entry to each workspace of a person, a little later: whoever tries must not see that it takes time."""
        ...
