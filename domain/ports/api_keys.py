"""What keeps API keys."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from domain.api_keys import ApiKey, KeyHolder
    from domain.audit import Deed
    from domain.ids import ApiKeyId, UserId, WorkspaceId
    from domain.ports.paging import Page, PageRequest


class ApiKeys(Protocol):
    """Keys; of their texts hashes are kept only. What changes one is in the audit log with the change, or neither is."""

    async def add(self, key: ApiKey, token_hash: bytes, deed: Deed) -> None:
        """Store a key.

        Raises:
            Unauthenticated, Forbidden: the caller's session, key or role has ended since the request was let in.
            NotFound: who made it is not a member of the workspace any more.
            LimitExceeded: the workspace has as many as it may.
        """
        ...

    async def rotate(self, key: ApiKey, prefix: str, token_hash: bytes, old_until: datetime, deed: Deed) -> ApiKey:
        """Give a key a new text; the one until now works until `old_until`, and an older one no longer.

        Raises:
            Unauthenticated, Forbidden: as with `add`.
            InvalidInput: it was revoked meanwhile.
        """
        ...

    async def revoke(self, key: ApiKey, now: datetime, deed: Deed) -> ApiKey:
        """End a key; one that has ended stays as it is.

        Raises:
            Unauthenticated, Forbidden: as with `add`.
        """
        ...

    async def use(self, token_hash: bytes, now: datetime) -> KeyHolder | None:
        """Find what a text stands for and note the minute; None unless it works, and its maker is still a member."""
        ...

    async def list_by_id(self, within: frozenset[WorkspaceId], key_ids: Sequence[ApiKeyId]) -> Sequence[ApiKey]:
        """List those of the keys that are within, in any order."""
        ...

    async def page_by_workspace(
        self, workspace_ids: Sequence[WorkspaceId], request: PageRequest
    ) -> Mapping[WorkspaceId, Page[ApiKey]]:
        """Read the same part of the keys of several workspaces, newest first.

        Raises:
            CursorInvalid: a cursor of another list.
        """
        ...

    async def count_by_workspace(self, workspace_ids: Sequence[WorkspaceId]) -> Mapping[WorkspaceId, int]:
        """Count the keys of several workspaces."""
        ...

    async def page_by_maker(
        self, user_id: UserId, within: frozenset[WorkspaceId], request: PageRequest
    ) -> Page[ApiKey]:
        """Read a page of the keys that a person made, newest first.

        Raises:
            CursorInvalid: a cursor of another list.
        """
        ...

    async def count_by_maker(self, user_id: UserId, within: frozenset[WorkspaceId]) -> int:
        """Count the keys that a person made."""
        ...
