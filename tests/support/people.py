"""Inviting people and letting them in, over the API."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from domain.ids import Prefix, to_global
from tests.support.identity import PASSWORD

if TYPE_CHECKING:
    from domain.identity import Principal, Role
    from runtime.identity import SignedIn
    from tests.support.api import Api

_SIGN_UP = """
mutation ($input: SignUpInput!) { signUp(input: $input) { accessToken refreshToken userErrors { code path } } }
"""
_INVITE = """
mutation ($input: InviteMemberInput!) { inviteMember(input: $input) {
  invitation { email role expiresAt } acceptUrl userErrors { code path }
} }
"""
_ACCEPT = """
mutation ($token: String!) { acceptInvite(input: { token: $token }) {
  workspace { id role members { totalCount } } userErrors { code path }
} }
"""
_MEMBERS = "query ($ws: ID!) { workspace(id: $ws) { members(first: 100) { nodes { id user { email } } } } }"


async def sign_up(api: Api, email: str, token: str | None = None) -> SignedIn:
    """Make an account; what the API refuses is an AssertionError with its code."""
    given = {"email": email, "password": PASSWORD, **({"inviteToken": token} if token else {})}
    payload = (await api.run(_SIGN_UP, {"input": given})).data["signUp"]
    assert payload["userErrors"] == [], payload["userErrors"]
    return await api.services.identity.refresh(payload["refreshToken"])


async def invite_link(
    api: Api, caller: Principal, email: str, role: Role, expires_at: str | None = None
) -> dict[str, Any]:
    """Invite a person to the caller's first workspace; give what the API says."""
    workspace_id = to_global(Prefix.WORKSPACE, next(iter(caller.roles)))
    given = {"workspaceId": workspace_id, "email": email, "role": role.value}
    timed = given if expires_at is None else {**given, "expiresAt": expires_at}
    return (await api.run(_INVITE, {"input": timed}, caller=caller)).data["inviteMember"]


async def invite(api: Api, caller: Principal, email: str, role: Role) -> str:
    """Invite a person and return the token of the link."""
    link = await invite_link(api, caller, email, role)
    assert link["userErrors"] == []
    return token_in(link["acceptUrl"])


def token_in(link: str) -> str:
    """Return what a link ends with."""
    return link.partition("#invite=")[2]


async def accept(api: Api, caller: Principal, token: str) -> dict[str, Any]:
    """Use an invitation; give what the API says."""
    return (await api.run(_ACCEPT, {"token": token}, caller=caller)).data["acceptInvite"]


async def member_ids(api: Api, caller: Principal) -> dict[str, str]:
    """Return the ids of the members of the caller's first workspace by their addresses."""
    workspace_id = to_global(Prefix.WORKSPACE, next(iter(caller.roles)))
    found = (await api.run(_MEMBERS, {"ws": workspace_id}, caller=caller)).data["workspace"]["members"]["nodes"]
    return {one["user"]["email"]: one["id"] for one in found}


async def fresh(api: Api, caller: Principal) -> Principal:
    """Return the caller with the roles of this moment, in a session of its own."""
    signed_in = await api.services.identity.sign_in(caller.user.email or "", PASSWORD, address="")
    return signed_in.principal


def role_of(caller: Principal) -> Role:
    """Return the caller's role in the only workspace."""
    [role] = caller.roles.values()
    return role
