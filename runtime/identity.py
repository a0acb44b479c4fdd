"""Accounts and sessions: signing up, in and out, refreshing, who calls."""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from ipaddress import IPv6Address, IPv6Network, ip_address
from typing import TYPE_CHECKING

from uuid_utils.compat import uuid7

from domain.errors import Forbidden, InvalidCredentials, InvalidInput, InvalidToken, RateLimited, Unauthenticated
from domain.identity import Principal, User, Workspace, check_password, fold_email, normalise_email
from domain.ids import SessionId, UserId, WorkspaceId
from domain.ports.repositories import Account, NewSession
from domain.texts import check_line
from runtime.tokens import hash_opaque, make_opaque

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from domain.ports.paging import Page, PageRequest
    from domain.ports.repositories import Identities
    from runtime.passwords import Passwords
    from runtime.tokens import AccessTokens

SESSION_LIFETIME = timedelta(days=30)
"""How long a session lives without a refresh."""
_TRIES = 5
_WINDOW_S = 60.0
_MAX_NAME = 100


@dataclass(frozen=True, slots=True)
class SignedIn:
    """A session that began or went on, with its tokens."""

    principal: Principal
    access_token: str
    refresh_token: str
    expires_at: datetime


def utc_now() -> datetime:
    """Return the time of this machine."""
    return datetime.now(UTC)


class IdentityService:
    """Who may come in, and who is in."""

    def __init__(
        self,
        identities: Identities,
        tokens: AccessTokens,
        passwords: Passwords,
        *,
        setup_token: str,
        is_sign_up_open: bool,
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        self._identities = identities
        self._tokens = tokens
        self._passwords = passwords
        self._setup_token = setup_token
        self._is_sign_up_open = is_sign_up_open
        self._clock = clock

    @property
    def is_sign_up_open(self) -> bool:
        """Whether anyone may sign up without an invitation."""
        return self._is_sign_up_open

    def setup_token(self) -> str:
        """Return what `signUp` takes as `inviteToken` while the server has no account."""
        return self._setup_token

    async def is_setup_needed(self) -> bool:
        """Tell whether the server has no account yet."""
        return not await self._identities.has_accounts()

    async def sign_up(
        self, email: str, password: str, name: str | None, invite_token: str | None, *, address: str
    ) -> SignedIn:
        """Make an account with a workspace of its own, and sign in.

        Raises:
            InvalidInput: address, password or name are not acceptable.
            AlreadyExists: there is an account with this address.
            InvalidToken: the token is not that of the set-up link, or the server has an account already.
            Forbidden: sign-up is closed and no token was given.
            RateLimited: too many tries.
        """
        account_email = normalise_email(email)
        check_password(password, ["input", "password"])
        shown = check_line(name or account_email.partition("@")[0][:_MAX_NAME], ["input", "name"], limit=_MAX_NAME)
        is_first_only = await self._admit(invite_token)
        await self._count_try(account_email, address)
        now = self._clock()
        user = User(UserId(uuid7()), account_email, shown, now)
        workspace = Workspace(WorkspaceId(uuid7()), f"{shown}'s workspace", now)
        account = Account(user, await self._passwords.hash(password))
        session, refresh_token = self._new_session(now)
        await self._identities.add_account(account, workspace, session, is_first_only=is_first_only)
        return await self._signed_in(user.id, session.id, refresh_token)

    async def sign_in(self, email: str, password: str, *, address: str) -> SignedIn:
        """Begin a session.

        Raises:
            InvalidCredentials: unknown account or wrong password, alike in words and time.
            RateLimited: too many tries for this account from this address.
        """
        await self._count_try(email, address)
        account = await self._find_account(email)
        is_right = await self._passwords.verify(account.password_hash if account else None, password)
        if account is None or not is_right:
            raise InvalidCredentials
        await self._identities.forget_attempts(*_counted_as(email, address))
        account = await self._rehashed(account, password)
        now = self._clock()
        session, refresh_token = self._new_session(now)
        if not await self._identities.add_session(account, session, now):
            raise InvalidCredentials
        return await self._signed_in(account.user.id, session.id, refresh_token)

    async def refresh(self, refresh_token: str) -> SignedIn:
        """Trade a refresh token for new tokens; one that comes twice ends its session.

        Raises:
            InvalidToken: unknown, used, expired, or of a session that has ended.
        """
        now = self._clock()
        made = make_opaque()
        owner = await self._identities.trade_refresh_token(
            hash_opaque(refresh_token), hash_opaque(made), now, now + SESSION_LIFETIME
        )
        if owner is None:
            raise InvalidToken
        return await self._signed_in(*owner, made)

    async def sign_out(self, actor: Principal, *, is_everywhere: bool) -> int:
        """End the caller's session or all of them; return how many ended."""
        only = None if is_everywhere else actor.session_id
        return await self._identities.end_sessions(actor.user.id, only, self._clock())

    async def change_password(self, actor: Principal, current: str, new: str) -> User:
        """Change the caller's password and end all other sessions.

        Raises:
            InvalidInput: the new password is not acceptable.
            InvalidCredentials: the current one is wrong.
            RateLimited: too many tries.
        """
        check_password(new, ["input", "newPassword"])
        await self._count_try(str(actor.user.id), str(actor.session_id))
        account = await self._identities.get_account(actor.user.id)
        wrong = InvalidCredentials("The current password is wrong.", path=["input", "currentPassword"])
        if not await self._passwords.verify(account.password_hash, current):
            raise wrong
        hashed = await self._passwords.hash(new)
        is_saved = await self._identities.save_password(
            actor.user.id, account.password_hash, hashed, keep=actor.session_id, now=self._clock()
        )
        if not is_saved:
            raise wrong
        await self._identities.forget_attempts(*_counted_as(str(actor.user.id), str(actor.session_id)))
        return account.user

    async def authenticate(self, access_token: str) -> Principal:
        """Return who calls, with the roles of this moment.

        Raises:
            Unauthenticated: the token is not valid, or its session has ended.
        """
        claims = self._tokens.verify(access_token)
        found = await self._identities.find_caller(claims.user_id, claims.session_id, self._clock())
        if found is None:
            raise Unauthenticated
        user, roles = found
        return Principal(user, claims.session_id, claims.expires_at, roles)

    async def list_users(self, actor: Principal, user_ids: Sequence[UserId]) -> dict[UserId, User]:
        """List users by id; the address of those who share no workspace with the caller is left out."""
        users = await self._identities.list_users(user_ids, actor.within())
        return {user.id: actor.user if user.id == actor.user.id else user for user in users}

    async def find_user(self, actor: Principal, user_id: UserId) -> User | None:
        """Find the caller or somebody who shares a workspace with the caller."""
        user = (await self.list_users(actor, [user_id])).get(user_id)
        return user if user and user.email is not None else None

    async def list_workspaces(
        self, actor: Principal, workspace_ids: Sequence[WorkspaceId]
    ) -> dict[WorkspaceId, Workspace]:
        """List those of the workspaces that the caller is a member of."""
        workspaces = await self._identities.list_workspaces(workspace_ids, actor.within())
        return {workspace.id: workspace for workspace in workspaces}

    async def page_workspaces(self, actor: Principal, page: PageRequest) -> Page[Workspace]:
        """Read a page of the caller's workspaces by name.

        Raises:
            CursorInvalid: a cursor of another list.
        """
        return await self._identities.page_workspaces(actor.within(), page)

    async def _admit(self, invite_token: str | None) -> bool:
        """Decide on a sign-up; return whether it must be the first one."""
        if invite_token is not None:
            given = invite_token.encode("utf-8", "surrogatepass")
            is_setup = hmac.compare_digest(given, self._setup_token.encode())
            if not is_setup or not await self.is_setup_needed():
                raise InvalidToken(path=["input", "inviteToken"])
            return not self._is_sign_up_open
        if self._is_sign_up_open:
            return False
        if await self.is_setup_needed():
            raise InvalidToken(
                "The first account needs the set-up link that the server printed.", path=["input", "inviteToken"]
            )
        raise Forbidden("Sign-up is closed on this server.")

    async def _count_try(self, account: str, address: str) -> None:
        counted_as = _counted_as(account, address)
        if not await self._identities.count_attempt(*counted_as, self._clock(), _WINDOW_S, _TRIES):
            raise RateLimited

    async def _find_account(self, email: str) -> Account | None:
        try:
            return await self._identities.find_account(normalise_email(email))
        except InvalidInput:
            return None

    async def _rehashed(self, account: Account, password: str) -> Account:
        """Bring a hash to today's parameters while the password is at hand."""
        if not self._passwords.needs_rehash(account.password_hash):
            return account
        hashed = await self._passwords.hash(password)
        await self._identities.save_hash(account.user.id, account.password_hash, hashed)
        return Account(account.user, hashed)

    def _new_session(self, now: datetime) -> tuple[NewSession, str]:
        refresh_token = make_opaque()
        return NewSession(SessionId(uuid7()), hash_opaque(refresh_token), now + SESSION_LIFETIME), refresh_token

    async def _signed_in(self, user_id: UserId, session_id: SessionId, refresh_token: str) -> SignedIn:
        access_token, expires_at = self._tokens.issue(user_id, session_id)
        found = await self._identities.find_caller(user_id, session_id, self._clock())
        if found is None:
            raise InvalidToken
        user, roles = found
        return SignedIn(Principal(user, session_id, expires_at, roles), access_token, refresh_token, expires_at)


def _counted_as(account: str, address: str) -> tuple[str, str]:
    """What a try is counted under: no text that somebody typed into the wrong field, and one network for one home."""
    folded = fold_email(account).encode("utf-8", "surrogatepass")
    return sha256(folded).hexdigest(), _network(address)


def _network(address: str) -> str:
    try:
        parsed = ip_address(address)
    except ValueError:
        return sha256(address.encode("utf-8", "surrogatepass")).hexdigest()
    if not isinstance(parsed, IPv6Address):
        return str(parsed)
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(IPv6Network((parsed, 64), strict=False))
