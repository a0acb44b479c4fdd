"""What remembers secrets and connections; `deed` goes into the audit log with the change, or neither is stored."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime
    from uuid import UUID

    from domain.audit import Deed
    from domain.connections import Connection, Secret
    from domain.ids import ConnectionId, SecretId, WorkspaceId
    from domain.ports.paging import Page, PageRequest


@dataclass(frozen=True, slots=True)
class Sealed:
    """A stored value that only the key holder can read, with what it is bound to."""

    id: UUID
    name: str
    ciphertext: bytes


class Secrets(Protocol):
    """Secrets, their values encrypted."""

    async def add(self, secret: Secret, ciphertext: bytes, *, deed: Deed | None = None) -> None:
        """Store a secret.

        Raises:
            AlreadyExists: the name is taken in the workspace.
            LimitExceeded: the workspace has as many as it may.
        """
        ...

    async def save(self, secret: Secret, ciphertext: bytes | None, *, deed: Deed | None = None) -> None:
        """Store a changed secret; the value stays without a new ciphertext.

        Raises:
            NotFound: it is gone.
        """
        ...

    async def remove(self, secret_id: SecretId, workspace_id: WorkspaceId, *, deed: Deed | None = None) -> None:
        """Delete a secret.

        Raises:
            NotFound: it is gone.
            InUse: published nodes use it.
        """
        ...

    async def list_by_id(self, within: frozenset[WorkspaceId], secret_ids: Sequence[SecretId]) -> Sequence[Secret]:
        """List those of the secrets that are within, in any order."""
        ...

    async def page_by_workspace(
        self, workspace_ids: Sequence[WorkspaceId], page: PageRequest
    ) -> Mapping[WorkspaceId, Page[Secret]]:
        """Read the same page of the secrets of each of the workspaces, by name."""
        ...

    async def count_by_workspace(self, workspace_ids: Sequence[WorkspaceId]) -> Mapping[WorkspaceId, int]:
        """Count the secrets of each of the workspaces."""
        ...

    async def list_names(self, workspace_id: WorkspaceId) -> frozenset[str]:
        """List the names of a workspace's secrets; they are bounded in number."""
        ...

    async def use(self, workspace_id: WorkspaceId, names: Sequence[str], now: datetime) -> Sequence[Sealed]:
        """Read the encrypted values of those names that exist, and note the minute of their use."""
        ...


class Connections(Protocol):
    """Connections, their credentials encrypted."""

    async def add(self, connection: Connection, ciphertext: bytes | None, *, deed: Deed | None = None) -> None:
        """Store a connection.

        Raises:
            AlreadyExists: the name is taken in the workspace.
            LimitExceeded: the workspace has as many as it may.
        """
        ...

    async def save(
        self,
        before: Connection,
        after: Connection,
        ciphertext: bytes | None,
        *,
        is_kept: bool,
        deed: Deed | None = None,
    ) -> None:
        """Store a changed connection; `is_kept` leaves its credential as it is.

        Raises:
            AlreadyExists: the new name is taken in the workspace.
            Conflict: it is not as it was read, so that a credential might go where it was not meant to.
            InUse: published nodes use the name that it gives up.
        """
        ...

    async def list_defaults(
        self, workspace_ids: Sequence[WorkspaceId]
    ) -> Mapping[WorkspaceId, tuple[Connection, Sealed | None]]:
        """Return what the nodes of workspaces use that name none, with its credential as it is stored."""
        ...

    async def remove(self, connection_id: ConnectionId, workspace_id: WorkspaceId, *, deed: Deed | None = None) -> None:
        """Delete a connection and its credential.

        Raises:
            NotFound: it is gone.
            InUse: published nodes use it.
        """
        ...

    async def list_by_id(
        self, within: frozenset[WorkspaceId], connection_ids: Sequence[ConnectionId]
    ) -> Sequence[Connection]:
        """List those of the connections that are within, in any order."""
        ...

    async def find_by_name(self, name: str, workspace_id: WorkspaceId) -> tuple[Connection, Sealed | None] | None:
        """Find a connection by the name that nodes use, with its credential as it is stored."""
        ...

    async def page_by_workspace(
        self, workspace_ids: Sequence[WorkspaceId], page: PageRequest
    ) -> Mapping[WorkspaceId, Page[Connection]]:
        """Read the same page of the connections of each of the workspaces, by name."""
        ...

    async def count_by_workspace(self, workspace_ids: Sequence[WorkspaceId]) -> Mapping[WorkspaceId, int]:
        """Count the connections of each of the workspaces."""
        ...

    async def list_names(self, workspace_id: WorkspaceId) -> frozenset[str]:
        """List the names of a workspace's connections; they are bounded in number."""
        ...
