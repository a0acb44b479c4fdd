"""What remembers people, secrets, connections and workflows."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime
    from uuid import UUID

    from domain.connections import Connection, Secret
    from domain.identity import Role, User, Workspace
    from domain.ids import (
        ConnectionId,
        GraphId,
        SecretId,
        SessionId,
        UserId,
        WorkflowId,
        WorkspaceId,
    )
    from domain.ports.paging import Page, PageRequest
    from domain.problems import Problem
    from domain.workflow import Definition, Workflow, WorkflowFilter, WorkflowOrder

# ── identity ──


@dataclass(frozen=True, slots=True)
class Account:
    """A user with the hash of the password."""

    user: User
    password_hash: str


@dataclass(frozen=True, slots=True)
class NewSession:
    """A session that begins; its refresh token is known by its hash only."""

    id: SessionId
    token_hash: bytes
    expires_at: datetime


class Identities(Protocol):
    """Users, workspaces, members, sessions."""

    async def has_accounts(self) -> bool:
        """Tell whether anyone has signed up."""
        ...

    async def add_account(
        self, account: Account, workspace: Workspace, session: NewSession, *, is_first_only: bool
    ) -> None:
        """Make a user who owns a workspace and is signed in, in one transaction.

        Raises:
            AlreadyExists: the address is taken.
            InvalidToken: `is_first_only` and there is an account.
        """
        ...

    async def find_account(self, email: str) -> Account | None:
        """Find an account by its case-folded address."""
        ...

    async def get_account(self, user_id: UserId) -> Account:
        """Get an account.

        Raises:
            NotFound: it is gone.
        """
        ...

    async def save_hash(self, user_id: UserId, old: str, new: str) -> None:
        """Store another hash of the same password, unless the password changed meanwhile."""
        ...

    async def save_password(self, user_id: UserId, old: str, new: str, *, keep: SessionId, now: datetime) -> bool:
        """Store a new password's hash and end all sessions but one; False when the password changed meanwhile."""
        ...

    async def add_session(self, account: Account, session: NewSession, now: datetime) -> bool:
        """Begin a session; False when the password changed since the account was read."""
        ...

    async def trade_refresh_token(
        self, used: bytes, made: bytes, now: datetime, expires_at: datetime
    ) -> tuple[UserId, SessionId] | None:
        """Replace a refresh token, given as hashes; a token that was used before ends its session. None = refused."""
        ...

    async def end_sessions(self, user_id: UserId, only: SessionId | None, now: datetime) -> int:
        """End one session or all of a user's; return how many ended."""
        ...

    async def find_caller(
        self, user_id: UserId, session_id: SessionId, now: datetime
    ) -> tuple[User, Mapping[WorkspaceId, Role]] | None:
        """Find who a session belongs to and the roles, in one statement; None when the session has ended."""
        ...

    async def list_users(self, user_ids: Sequence[UserId], within: frozenset[WorkspaceId]) -> Sequence[User]:
        """List users in any order, without the address of those who are members of none of the workspaces."""
        ...

    async def list_workspaces(
        self, workspace_ids: Sequence[WorkspaceId], within: frozenset[WorkspaceId]
    ) -> Sequence[Workspace]:
        """List those of the workspaces that are within, in any order."""
        ...

    async def page_workspaces(self, within: frozenset[WorkspaceId], page: PageRequest) -> Page[Workspace]:
        """Read a page of workspaces by name."""
        ...

    async def count_attempt(self, account: str, address: str, now: datetime, window_s: float, limit: int) -> bool:
        """Count a try; False when `limit` tries were made in the window before it."""
        ...

    async def forget_attempts(self, account: str, address: str) -> None:
        """Forget the tries of an account from an address."""
        ...


# ── secrets and connections ──


@dataclass(frozen=True, slots=True)
class Sealed:
    """A stored value that only the key holder can read, with what it is bound to."""

    id: UUID
    name: str
    ciphertext: bytes


class Secrets(Protocol):
    """Secrets, their values encrypted."""

    async def add(self, secret: Secret, ciphertext: bytes) -> None:
        """Store a secret.

        Raises:
            AlreadyExists: the name is taken in the workspace.
            LimitExceeded: the workspace has as many as it may.
        """
        ...

    async def save(self, secret: Secret, ciphertext: bytes | None) -> None:
        """Store a changed secret; the value stays without a new ciphertext.

        Raises:
            NotFound: it is gone.
        """
        ...

    async def remove(self, secret_id: SecretId, workspace_id: WorkspaceId) -> None:
        """Delete a secret.

        Raises:
            NotFound: it is gone.
        """
        ...

    async def find(self, secret_id: SecretId, within: frozenset[WorkspaceId]) -> Secret | None:
        """Find a secret."""
        ...

    async def page(self, workspace_id: WorkspaceId, page: PageRequest) -> Page[Secret]:
        """Read a page of secrets by name."""
        ...

    async def count(self, workspace_id: WorkspaceId) -> int:
        """Count the secrets of a workspace."""
        ...

    async def list_names(self, workspace_id: WorkspaceId) -> frozenset[str]:
        """List the names of a workspace's secrets; they are bounded in number."""
        ...

    async def use(self, workspace_id: WorkspaceId, names: Sequence[str], now: datetime) -> Sequence[Sealed]:
        """Read the encrypted values of those names that exist, and note the minute of their use."""
        ...


class Connections(Protocol):
    """Connections, their credentials encrypted."""

    async def add(self, connection: Connection, ciphertext: bytes | None) -> None:
        """Store a connection.

        Raises:
            AlreadyExists: the name is taken in the workspace.
            LimitExceeded: the workspace has as many as it may.
        """
        ...

    async def remove(self, connection_id: ConnectionId, workspace_id: WorkspaceId) -> None:
        """Delete a connection and its credential.

        Raises:
            NotFound: it is gone.
        """
        ...

    async def find(self, connection_id: ConnectionId, within: frozenset[WorkspaceId]) -> Connection | None:
        """Find a connection."""
        ...

    async def find_by_name(self, name: str, workspace_id: WorkspaceId) -> tuple[Connection, Sealed | None] | None:
        """Find a connection by the name that nodes use, with its credential as it is stored."""
        ...

    async def page(self, workspace_id: WorkspaceId, page: PageRequest) -> Page[Connection]:
        """Read a page of connections by name."""
        ...

    async def count(self, workspace_id: WorkspaceId) -> int:
        """Count the connections of a workspace."""
        ...

    async def list_names(self, workspace_id: WorkspaceId) -> frozenset[str]:
        """List the names of a workspace's connections; they are bounded in number."""
        ...


# ── workflows ──


@dataclass(frozen=True, slots=True)
class WorkflowRow:
    """What is stored of a workflow beside its definition, which stands for itself."""

    id: WorkflowId
    workspace_id: WorkspaceId
    slug: str
    name: str
    description: str | None
    definition: Definition
    problems: tuple[Problem, ...]
    updated_at: datetime
    updated_by: UserId | None

    def with_slug(self, slug: str) -> WorkflowRow:
        """Return the same row under another slug."""
        return replace(self, slug=slug)


class Workflows(Protocol):
    """Workflows; definitions are immutable, known by their content and stored once per workspace."""

    async def add(self, row: WorkflowRow) -> Workflow:
        """Store a workflow at revision 1.

        Raises:
            AlreadyExists: the slug is taken in the workspace.
        """
        ...

    async def save(self, row: WorkflowRow, expected_revision: int) -> Workflow:
        """Store the next revision of a workflow.

        Raises:
            Conflict: another revision is stored; it says which one and by whom.
            AlreadyExists: the slug is taken in the workspace.
            NotFound: it is gone.
        """
        ...

    async def save_problems(self, workflow: Workflow, problems: Sequence[Problem]) -> bool:
        """Store what is wrong with a workflow as it is now; False if it has been changed meanwhile."""
        ...

    async def remove(self, workflow_id: WorkflowId, workspace_id: WorkspaceId) -> None:
        """Delete a workflow with its finished runs.

        Raises:
            InUse: it has runs that have not ended.
            NotFound: it is gone.
        """
        ...

    async def find(self, within: frozenset[WorkspaceId], workflow_id: WorkflowId) -> Workflow | None:
        """Find a workflow."""
        ...

    async def find_by_slug(self, workspace_id: WorkspaceId, slug: str) -> Workflow | None:
        """Find a workflow by its slug."""
        ...

    async def list_by_id(
        self, within: frozenset[WorkspaceId], workflow_ids: Sequence[WorkflowId]
    ) -> Sequence[Workflow]:
        """List those of the workflows that are within, in any order."""
        ...

    async def page(
        self, workspace_id: WorkspaceId, chosen: WorkflowFilter, order: WorkflowOrder, page: PageRequest
    ) -> Page[Workflow]:
        """Read a page of workflows.

        Raises:
            CursorInvalid: a cursor of another list.
        """
        ...

    async def count(self, workspace_id: WorkspaceId, chosen: WorkflowFilter) -> int:
        """Count the workflows that a filter lets through."""
        ...

    async def definition(self, graph_id: GraphId) -> Definition:
        """Read a definition that a run or a workflow pins.

        Raises:
            NotFound: there is none with this id.
        """
        ...
