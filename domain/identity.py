"""Who calls: users, workspaces, roles, permissions, the principal of a request."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

from domain.errors import Forbidden, InvalidInput, NotFound, WorkspaceRequired
from domain.ids import WorkspaceId
from domain.texts import size_of

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from domain.ids import SessionId, UserId


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
    """A person; `email` is case-folded, and None where the caller shares no workspace with the person."""

    id: UserId
    email: str | None
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
    roles: Mapping[WorkspaceId, Role] = field(default_factory=dict[WorkspaceId, Role])

    def within(self, permission: Permission = Permission.READ) -> frozenset[WorkspaceId]:
        """Return the workspaces in which the caller has the permission."""
        allowed = ROLES_WITH[permission]
        return frozenset(workspace for workspace, role in self.roles.items() if role in allowed)

    def demand(self, workspace: WorkspaceId, permission: Permission) -> None:
        """Check that the caller, who may see an object of this workspace, may do more with it.

        Raises:
            NotFound: the caller is not a member.
            Forbidden: the caller's role has not this permission.
        """
        role = self.roles.get(workspace)
        if role is None:
            raise NotFound
        if role not in ROLES_WITH[permission]:
            raise Forbidden(f"This needs a role with the permission {permission.value}; yours is {role.value}.")

    def workspace(self, given: WorkspaceId | None, permission: Permission = Permission.READ) -> WorkspaceId:
        """Return the workspace that an argument `workspaceId` means.

        Raises:
            NotFound: the caller is not a member of it.
            Forbidden: the caller's role in it has not this permission.
            WorkspaceRequired: none was given and the caller has not exactly one.
        """
        path = ["input", "workspaceId"]
        if given is None:
            if len(self.roles) != 1:
                raise WorkspaceRequired(path=path)
            given = next(iter(self.roles))
        if given not in self.roles:
            raise NotFound(path=path)
        self.demand(given, permission)
        return given


MIN_PASSWORD = 10
MAX_PASSWORD = 1_024
_MAX_EMAIL = 254
_EMAIL = re.compile(r"[^@\s]+@[^@\s]+")


def fold_email(given: str) -> str:
    """Return one form for all ways to write the same address, acceptable or not."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", given.strip()).casefold())


def normalise_email(given: str) -> str:
    """Return the address of an account as it is stored: one form for what differs in case only.

    Raises:
        InvalidInput: it is no address.
    """
    path = ["input", "email"]
    size_of(given, path)
    email = fold_email(given)
    if len(email) > _MAX_EMAIL or not _EMAIL.fullmatch(email) or not email.isprintable():
        raise InvalidInput("This is no e-mail address.", path=path)
    return email


def check_password(password: str, path: list[str]) -> str:
    """Return a password that may be chosen; length is the only rule.

    Raises:
        InvalidInput: too short or too long.
    """
    if not MIN_PASSWORD <= len(password) <= MAX_PASSWORD:
        raise InvalidInput(f"A password has {MIN_PASSWORD} to {MAX_PASSWORD:,} characters.", path=path)
    return password
