"""What remembers people and workflows."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from domain.audit import Deed
    from domain.identity import Role, User, Workspace
    from domain.ids import GraphId, SessionId, UserId, WorkflowId, WorkspaceId
    from domain.layout import Layout, LayoutPatch
    from domain.ports.paging import Page, PageRequest
    from domain.problems import Problem
    from domain.workflow import Definition, Position, Workflow, WorkflowFilter, WorkflowOrder

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
        self,
        account: Account,
        place: Workspace | bytes,
        session: NewSession,
        *,
        is_first_only: bool,
        deeds: Sequence[Deed] = (),
    ) -> None:
        """Make a user who is signed in, in one transaction: the owner of a new workspace, or a member by an invitation.

        The log of the workspace tells of `deeds`.

        Raises:
            AlreadyExists: the address is taken.
            InvalidToken: `is_first_only` and there is an account; or nobody with this address is invited by the token.
            LimitExceeded: the workspace has as many members as it may.
        """
        ...

    async def invited_address(self, token_hash: bytes, now: datetime) -> str:
        """Return the address that an open invitation is meant for.

        Raises:
            InvalidToken: unknown, used, expired or withdrawn.
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

    async def save_password(
        self,
        user_id: UserId,
        old: str,
        new: str,
        *,
        keep: SessionId | None,
        now: datetime,
        deed: Deed | None = None,
    ) -> bool:
        """Store a new password's hash and end all sessions but `keep`; False when the password changed meanwhile."""
        ...

    async def add_session(
        self, account: Account, session: NewSession, now: datetime, *, deed: Deed | None = None
    ) -> bool:
        """Begin a session; False when the password changed since the account was read."""
        ...

    async def trade_refresh_token(
        self, used: bytes, made: bytes, now: datetime, expires_at: datetime, *, address: str | None = None
    ) -> tuple[UserId, SessionId] | None:
        """Replace a refresh token, given as hashes; a token that was used before ends its session. None = refused.

        `address` is where it came from, for the log of who comes with a used one.
        """
        ...

    async def end_sessions(
        self, user_id: UserId, only: SessionId | None, now: datetime, *, deed: Deed | None = None
    ) -> int:
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
    layout: LayoutPatch = field(default_factory=dict[str, "Position | str | None"])
    """What changes in the layout; the positions in `definition` count for nothing."""
    touched: tuple[str, ...] = ()
    """Keys of the nodes that it touches, for `workflowChanged`."""
    former_slug: str | None = None
    """The slug that it gives up, if it does."""

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
            InUse: published nodes of other workflows use the slug that it gives up.
            NotFound: it is gone.
        """
        ...

    async def save_problems(self, workflow: Workflow, problems: Sequence[Problem]) -> bool:
        """Store what is wrong with a workflow as it is now; False if it has been changed meanwhile."""
        ...

    async def move(
        self, workflow_id: WorkflowId, workspace_id: WorkspaceId, positions: Layout, moved_by: UserId | None
    ) -> Workflow:
        """Store where nodes are now; the revision stays.

        Raises:
            NotFound: the workflow, or a node that is named, is gone.
        """
        ...

    async def remove(
        self,
        workflow_id: WorkflowId,
        workspace_id: WorkspaceId,
        removed_by: UserId | None = None,
        *,
        deed: Deed | None = None,
    ) -> None:
        """Delete a workflow with its finished runs.

        Raises:
            InUse: it has runs that have not ended, or published nodes of other workflows use it.
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

    async def page_by_workspace(
        self, workspace_ids: Sequence[WorkspaceId], chosen: WorkflowFilter, order: WorkflowOrder, page: PageRequest
    ) -> Mapping[WorkspaceId, Page[Workflow]]:
        """Read the same page of the workflows of each of the workspaces.

        Raises:
            CursorInvalid: a cursor of another list.
        """
        ...

    async def count_by_workspace(
        self, workspace_ids: Sequence[WorkspaceId], chosen: WorkflowFilter
    ) -> Mapping[WorkspaceId, int]:
        """Count the workflows of each of the workspaces that a filter lets through."""
        ...

    async def names(self, workspace_id: WorkspaceId) -> Mapping[str, int | None]:
        """Return the number of the published version of each of a workspace's workflows, by slug; None = none."""
        ...

    async def layouts(self, workflow_ids: Sequence[WorkflowId]) -> Mapping[WorkflowId, Layout]:
        """Read where the nodes of workflows are now; those that are gone are left out."""
        ...

    async def definition(self, graph_id: GraphId) -> Definition:
        """Read a definition that a run or a workflow pins, without layout.

        Raises:
            NotFound: there is none with this id.
        """
        ...

    async def definitions(self, graph_ids: Sequence[GraphId]) -> Mapping[GraphId, Definition]:
        """Read definitions that runs, versions or workflows pin.

        Raises:
            NotFound: there is none with one of the ids.
        """
        ...
