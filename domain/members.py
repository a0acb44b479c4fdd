"""Who belongs to a workspace: members, invitations, and who may change what of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from domain.errors import Conflict, Forbidden
from domain.identity import Role

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from domain.identity import Principal
    from domain.ids import InvitationId, MemberId, UserId, WorkspaceId

MAX_MEMBERS: Final = 1_000
"""Members of a workspace."""
MAX_INVITATIONS: Final = 500
"""Invitations of a workspace that are open at once."""
MAX_OWNED: Final = 100
"""Workspaces that one person owns."""

GRANTABLE: Final[Mapping[Role, frozenset[Role]]] = {
    Role.OWNER: frozenset(Role),
    Role.ADMIN: frozenset({Role.ADMIN, Role.EDITOR, Role.VIEWER}),
    Role.EDITOR: frozenset(),
    Role.VIEWER: frozenset(),
}
"""Which roles a member may give and take, by the member's own."""


@dataclass(frozen=True, slots=True)
class Member:
    """A person in a workspace."""

    id: MemberId
    workspace_id: WorkspaceId
    user_id: UserId
    role: Role
    joined_at: datetime


@dataclass(frozen=True, slots=True)
class Invitation:
    """A place in a workspace that is kept for whoever signs in with an address; its token is known by its hash only."""

    id: InvitationId
    workspace_id: WorkspaceId
    email: str
    role: Role
    invited_by: UserId | None
    created_at: datetime
    expires_at: datetime


def check_grant(own: Role | None, role: Role) -> None:
    """Check that somebody with a role of `own` may give `role` to others.

    Raises:
        Forbidden: only an owner makes owners, and only an admin or an owner anybody.
    """
    if own is None or role not in GRANTABLE[own]:
        who = "an owner" if role is Role.OWNER else "an admin or an owner"
        raise Forbidden(f"Only {who} can give the role {role.value}.")


def check_key_grant(actor: Principal, role: Role) -> None:
    """Check that a program does not make people more powerful than a key of its own could be.

    Raises:
        Forbidden: an API key gives at most EDITOR: who manages keys and members has signed in.
    """
    if actor.api_key_id is not None and role in {Role.OWNER, Role.ADMIN}:
        raise Forbidden(f"An API key cannot give the role {role.value}; sign in.")


def check_role_change(own: Role | None, before: Role, after: Role, owner_count: int) -> None:
    """Check that somebody with a role of `own` may change a member's role.

    Raises:
        Forbidden: the roles are not this person's to give and take.
        Conflict: the workspace would be left without an owner.
    """
    check_grant(own, before)
    check_grant(own, after)
    if after is not Role.OWNER:
        _check_owner_stays(before, owner_count)


def check_removal(own: Role | None, role: Role, owner_count: int, *, is_own: bool) -> None:
    """Check that somebody with a role of `own` may remove a member, maybe the one who asks.

    Raises:
        Forbidden: the member is not this person's to remove.
        Conflict: the workspace would be left without an owner.
    """
    if not is_own and (own is None or role not in GRANTABLE[own]):
        who = "an owner can remove owners" if role is Role.OWNER else "an admin or an owner can remove others"
        raise Forbidden(f"Only {who}.")
    _check_owner_stays(role, owner_count)


def _check_owner_stays(role: Role, owner_count: int) -> None:
    if role is Role.OWNER and owner_count <= 1:
        raise Conflict("This is the last owner: make somebody else an owner first.", path=["input", "id"])
