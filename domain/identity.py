"""Who calls: users, workspaces, roles, permissions, the principal of a request."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING

from domain.errors import Forbidden, InvalidInput, NotFound, WorkspaceRequired
from domain.ids import WorkspaceId
from domain.texts import size_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from domain.ids import ApiKeyId, SessionId, UserId


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
    OWNER = "OWNER"
    """OWNER alone: deleting the workspace."""


ROLES_WITH: Mapping[Permission, frozenset[Role]] = {
    Permission.READ: frozenset(Role),
    Permission.WRITE: frozenset({Role.OWNER, Role.ADMIN, Role.EDITOR}),
    Permission.EXECUTE: frozenset({Role.OWNER, Role.ADMIN, Role.EDITOR}),
    Permission.ADMIN: frozenset({Role.OWNER, Role.ADMIN}),
    Permission.OWNER: frozenset({Role.OWNER}),
}


def scope_for(permission: Permission) -> Scope:
    """Return the scope that an API key needs for what a role has the permission for."""
    return Scope.ADMIN if permission is Permission.OWNER else Scope(permission.value)


NEVER = datetime.max.replace(tzinfo=UTC)
"""When a credential ends that does not."""

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
    """The caller of a request, as its access token or API key and the members table tell."""

    user: User
    session_id: SessionId
    """The session; of an API key, its own id."""
    expires_at: datetime
    roles: Mapping[WorkspaceId, Role] = field(default_factory=dict[WorkspaceId, Role])
    scopes: frozenset[Scope] = frozenset(Scope)
    """What the credential may do at most; a session may do all that its roles allow."""
    api_key_id: ApiKeyId | None = None
    """The API key, if that is the credential."""
    key_hash: bytes | None = field(default=None, compare=False, repr=False)
    """The hash of the API key's text that was shown."""
    address: str | None = field(default=None, compare=False)
    """The network address of the request, for the audit log."""

    def demand_scope(self, permission: Permission) -> None:
        """Check that the credential itself may do this, whatever the role.

        Raises:
            Forbidden: it is an API key without the scope.
        """
        scope = scope_for(permission)
        if scope not in self.scopes:
            raise Forbidden(f"This needs an API key with the scope {scope.value}.")

    def within(self, permission: Permission = Permission.READ) -> frozenset[WorkspaceId]:
        """Return the workspaces in which the caller has the permission."""
        if scope_for(permission) not in self.scopes:
            return frozenset()
        allowed = ROLES_WITH[permission]
        return frozenset(workspace for workspace, role in self.roles.items() if role in allowed)

    def demand(self, workspace: WorkspaceId, permission: Permission) -> None:
        """Check that the caller, who may see an object of this workspace, may do more with it.

        Raises:
            NotFound: the caller is not a member.
            Forbidden: the caller's role has not this permission, or the caller's API key not its scope.
        """
        role = self.roles.get(workspace)
        if role is None:
            raise NotFound
        if role not in ROLES_WITH[permission]:
            raise Forbidden(f"This needs a role with the permission {permission.value}; yours is {role.value}.")
        self.demand_scope(permission)

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
    if not is_email(email):
        raise InvalidInput("This is no e-mail address.", path=path)
    return email


def is_email(folded: str) -> bool:
    """Tell whether a folded text has the form of an e-mail address."""
    return len(folded) <= _MAX_EMAIL and _EMAIL.fullmatch(folded) is not None and folded.isprintable()


def check_password(password: str, path: list[str]) -> str:
    """Return a password that may be chosen; length is the only rule.

    Raises:
        InvalidInput: too short or too long.
    """
    if not MIN_PASSWORD <= len(password) <= MAX_PASSWORD:
        raise InvalidInput(f"A password has {MIN_PASSWORD} to {MAX_PASSWORD:,} characters.", path=path)
    return password
