"""What the permission matrix needs to know of workspaces, members and invitations."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import uuid4

from domain.identity import Role
from domain.ids import Prefix, to_global
from domain.ports.paging import PageRequest
from tests.support.identity import PASSWORD

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from domain.identity import Principal
    from runtime.services import Services


async def _invitation(services: Services, owner: Principal) -> str:
    invitation, _ = await services.people.invitations.invite(owner, None, _address(), Role.VIEWER, None)
    return to_global(Prefix.INVITATION, invitation.id)


async def _member(services: Services, owner: Principal) -> str:
    email = _address()
    _, token = await services.people.invitations.invite(owner, None, email, Role.VIEWER, None)
    joined = await services.identity.sign_up(email, PASSWORD, None, token, address="")
    [workspace_id] = joined.principal.roles
    pages = await services.people.members.page_by_workspace([workspace_id], PageRequest(1, is_backward=True))
    return to_global(Prefix.MEMBER, pages[workspace_id].items[0].id)


def _address() -> str:
    return f"{uuid4().hex}@example.com"


OBJECTS: dict[Prefix, Callable[[Services, Principal], Awaitable[str]]] = {
    Prefix.INVITATION: _invitation,
    Prefix.MEMBER: _member,
}

IDS: dict[str, Prefix] = {
    "updateWorkspace.input.id": Prefix.WORKSPACE,
    "deleteWorkspace.input.id": Prefix.WORKSPACE,
    "revokeInvitation.input.id": Prefix.INVITATION,
    "setMemberRole.input.id": Prefix.MEMBER,
    "removeMember.input.id": Prefix.MEMBER,
}

VALUES: dict[str, object] = {
    "inviteMember.input.email": "asked@example.com",
    # The first of the enum, OWNER, is not an admin's to give.
    "inviteMember.input.role": "EDITOR",
    "setMemberRole.input.role": "EDITOR",
    # `deleteWorkspace.input.confirmName` is made up, and refused after everything else: the stage's workspace stays.
}
