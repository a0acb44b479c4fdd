"""Accounts and sessions: signing up, in and out, refreshing, who calls."""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import TYPE_CHECKING

from uuid_utils.compat import uuid7

from domain.audit import AuditAction
from domain.errors import (
    Conflict,
    Forbidden,
    InvalidCredentials,
    InvalidInput,
    InvalidToken,
    NotFound,
    RateLimited,
    Unauthenticated,
)
from domain.identity import Principal, User, Workspace, check_password, fold_email, normalise_email
from domain.ids import Prefix, SessionId, UserId, WorkspaceId, to_global
from domain.networks import network_of
from domain.ports.repositories import Account, NewSession
from domain.texts import check_line
from runtime.audit import NO_AUDIT, kept_address
from runtime.rates import NetworkTries
from runtime.tokens import hash_opaque, make_opaque

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from domain.ports.audit import AuditTrail
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
        audit: AuditTrail = NO_AUDIT,
    ) -> None:
        self._audit = audit
        self._identities = identities
        self._tokens = tokens
        self._passwords = passwords
        self._setup_token = setup_token
        self._is_sign_up_open = is_sign_up_open
        self._clock = clock
        self._networks = NetworkTries(clock)

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
        """Make an account, and sign in: with a workspace of its own, or by an invitation in the workspace of that.

        Raises:
            InvalidInput: address, password or name are not acceptable.
            AlreadyExists: there is an account with this address.
            InvalidToken: the token is neither the set-up link's of a server without accounts, nor an open invitation's
                for this address.
            Forbidden: sign-up is closed and no token was given.
            RateLimited: too many tries.
        """
        account_email = normalise_email(email)
        check_password(password, ["input", "password"])
        shown = check_line(name or account_email.partition("@")[0][:_MAX_NAME], ["input", "name"], limit=_MAX_NAME)
        now = self._clock()
        invitation, is_first_only = await self._admit(invite_token, account_email, now)
        await self._count_try(account_email, address)
        user = User(UserId(uuid7()), account_email, shown, now)
        place = invitation or Workspace(WorkspaceId(uuid7()), f"{shown}'s workspace", now)
        account = Account(user, await self._passwords.hash(password))
        session, refresh_token = self._new_session(now)
        deeds = [self._audit.deed_of(user, AuditAction.SIGNED_IN, address)]
        if invitation is not None:
            target = to_global(Prefix.USER, user.id)
            deeds.insert(0, self._audit.deed_of(user, AuditAction.MEMBER_JOINED, address, target))
        told = [deed for deed in deeds if deed is not None]
        await self._identities.add_account(account, place, session, is_first_only=is_first_only, deeds=told)
        self._networks.give_back(network_of(address))
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
            if account is not None:
                self._audit.sign_in_failed(account.user.id, address)
            raise InvalidCredentials
        await self._forget_tries(email, address)
        account = await self._rehashed(account, password)
        now = self._clock()
        session, refresh_token = self._new_session(now)
        deed = self._audit.deed_of(account.user, AuditAction.SIGNED_IN, address)
        if not await self._identities.add_session(account, session, now, deed=deed):
            raise InvalidCredentials
        return await self._signed_in(account.user.id, session.id, refresh_token)

    async def refresh(self, refresh_token: str, *, address: str = "") -> SignedIn:
        """Trade a refresh token for new tokens; one that comes twice ends its session.

        Raises:
            InvalidToken: unknown, used, expired, or of a session that has ended.
        """
        now = self._clock()
        made = make_opaque()
        owner = await self._identities.trade_refresh_token(
            hash_opaque(refresh_token), hash_opaque(made), now, now + SESSION_LIFETIME, address=kept_address(address)
        )
        if owner is None:
            raise InvalidToken
        return await self._signed_in(*owner, made)

    async def sign_out(self, actor: Principal, *, is_everywhere: bool) -> int:
        """End the caller's session or all of them; return how many ended."""
        only = None if is_everywhere else actor.session_id
        deed = self._audit.deed(actor, AuditAction.SIGNED_OUT)
        return await self._identities.end_sessions(actor.user.id, only, self._clock(), deed=deed)

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
            actor.user.id,
            account.password_hash,
            hashed,
            keep=actor.session_id,
            now=self._clock(),
            deed=self._audit.deed(actor, AuditAction.PASSWORD_CHANGED),
        )
        if not is_saved:
            raise wrong
        await self._forget_tries(str(actor.user.id), str(actor.session_id))
        return account.user

    async def reset_password(self, email: str, new: str) -> User:
        """Give an account a new password, and end all its sessions; for whoever may reach the database.

        Raises:
            InvalidInput: the new password is not acceptable.
            NotFound: there is no account with this address.
            Conflict: the password was changed at the same time.
        """
        check_password(new, ["input", "password"])
        account = await self._find_account(email)
        if account is None:
            raise NotFound("There is no account with this address.")
        hashed, now = await self._passwords.hash(new), self._clock()
        deed = self._audit.deed_of(account.user, AuditAction.PASSWORD_CHANGED)
        if not await self._identities.save_password(
            account.user.id, account.password_hash, hashed, keep=None, now=now, deed=deed
        ):
            raise Conflict("The password was changed at the same time; try again.")
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

    async def _admit(self, invite_token: str | None, email: str, now: datetime) -> tuple[bytes | None, bool]:
        """Decide on a sign-up; return the hash of the invitation's token, and whether it must be the first sign-up."""
        path = ["input", "inviteToken"]
        if invite_token is not None:
            given = invite_token.encode("utf-8", "surrogatepass")
            if not hmac.compare_digest(given, self._setup_token.encode()):
                return await self._invited(invite_token, email, now), False
            if not await self.is_setup_needed():
                raise InvalidToken(path=path)
            return None, not self._is_sign_up_open
        if self._is_sign_up_open:
            return None, False
        if await self.is_setup_needed():
            raise InvalidToken("The first account needs the set-up link that the server printed.", path=path)
        raise Forbidden("Sign-up is closed on this server.")

    async def _invited(self, token: str, email: str, now: datetime) -> bytes:
        """Refuse a wrong token before a password is hashed for it; who comes first is decided when it is used up."""
        token_hash = hash_opaque(token)
        try:
            address = await self._identities.invited_address(token_hash, now)
        except InvalidToken as fault:
            fault.path = ["input", "inviteToken"]
            raise
        if address != email:
            raise InvalidInput("The invitation is for another e-mail address.", path=["input", "email"])
        return token_hash

    async def _count_try(self, account: str, address: str) -> None:
        """Count a try, first in memory: a flood over many accounts costs neither a transaction nor a hash each."""
        wait_s = self._networks.take(network_of(address))
        if wait_s is not None:
            raise RateLimited("Too many attempts from your network; wait before the next.", retry_after_s=wait_s)
        counted_as = _counted_as(account, address)
        if not await self._identities.count_attempt(*counted_as, self._clock(), _WINDOW_S, _TRIES):
            raise RateLimited

    async def _forget_tries(self, account: str, address: str) -> None:
        self._networks.give_back(network_of(address))
        await self._identities.forget_attempts(*_counted_as(account, address))

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
    return sha256(folded).hexdigest(), network_of(address)
