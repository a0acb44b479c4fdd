"""Who calls: users, workspaces, roles, permissions, the principal of a request."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

from domain.errors import NotFound, WorkspaceRequired

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from domain.ids import SessionId, UserId, WorkspaceId


class Role(StrEnum):
    """What a member may do."""

    OWNER = "OWNER"
    ADMIN = "ADMIN"
    EDITOR = "EDITOR"
    VIEWER = "VIEWER"


class Scope(StrEnum):
    """What an API key may do, at most what its owner may."""

    READ = "READ"
    WRITE = "WRITE"
    EXECUTE = "EXECUTE"
    ADMIN = "ADMIN"


class Permission(StrEnum):
    """What a field of the API demands of its caller."""

    PUBLIC = "PUBLIC"
    """Nothing: whoever asks."""
    SIGNED_IN = "SIGNED_IN"
    """A valid session, whatever its workspaces."""
    READ = "READ"
    """VIEWER and above in the object's workspace."""
    WRITE = "WRITE"
    """EDITOR and above: workflows, collections, tables."""
    EXECUTE = "EXECUTE"
    """EDITOR and above: starting, answering, stopping runs."""
    ADMIN = "ADMIN"
    """ADMIN and above: members, keys, secrets, connections."""


ROLES_WITH: Mapping[Permission, frozenset[Role]] = {
    Permission.READ: frozenset(Role),
    Permission.WRITE: frozenset({Role.OWNER, Role.ADMIN, Role.EDITOR}),
    Permission.EXECUTE: frozenset({Role.OWNER, Role.ADMIN, Role.EDITOR}),
    Permission.ADMIN: frozenset({Role.OWNER, Role.ADMIN}),
}

Tenancy = frozenset  # of WorkspaceId: the workspaces that a statement may touch


@dataclass(frozen=True, slots=True)
class User:
    """A person; `email` is case-folded."""

    id: UserId
    email: str
    name: str
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Workspace:
    """A tenant."""

    id: WorkspaceId
    name: str
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Principal:
    """The caller of a request, as its access token and the members table tell."""

    user: User
    session_id: SessionId
    expires_at: datetime
    roles: Mapping[WorkspaceId, Role] = field(default_factory=dict)

    def within(self, permission: Permission = Permission.READ) -> frozenset[WorkspaceId]:
        """Return the workspaces in which the caller has the permission."""
        allowed = ROLES_WITH[permission]
        return frozenset(workspace for workspace, role in self.roles.items() if role in allowed)

    def workspace(self, given: WorkspaceId | None, permission: Permission = Permission.READ) -> WorkspaceId:
        """Return the workspace that an argument `workspaceId` means.

        Raises:
            NotFound: the caller is not a member of it, or has not this permission in it.
            WorkspaceRequired: none was given and the caller has several.
        """
        within = self.within(permission)
        if given is not None:
            if given not in within:
                raise NotFound(path=["input", "workspaceId"])
            return given
        if len(within) != 1:
            raise WorkspaceRequired(path=["input", "workspaceId"])
        return next(iter(within))
