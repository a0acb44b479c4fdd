"""API keys: making, changing and ending them, and who comes with one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from uuid_utils.compat import uuid7

from domain.api_keys import MAX_NAME, SHOWN, TOKEN_START, ApiKey, check_expiry, check_overlap, check_scopes
from domain.audit import AuditAction
from domain.errors import Forbidden, InvalidInput, NotFound, Unauthenticated
from domain.identity import NEVER, Permission, Principal
from domain.ids import ApiKeyId, Prefix, SessionId, to_global
from domain.texts import check_line
from runtime.identity import utc_now
from runtime.tokens import hash_opaque, make_opaque

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime

    from domain.audit import Deed
    from domain.identity import Scope
    from domain.ids import WorkspaceId
    from domain.ports.api_keys import ApiKeys
    from domain.ports.paging import Page, PageRequest
    from runtime.audit import AuditService


class ApiKeyService:
    """Keys for programs; their texts are shown once and stored hashed."""

    def __init__(self, keys: ApiKeys, audit: AuditService, *, clock: Callable[[], datetime] = utc_now) -> None:
        self._keys = keys
        self._audit = audit
        self._clock = clock

    # ── changing ──

    async def create(
        self,
        actor: Principal,
        workspace_id: WorkspaceId | None,
        name: str,
        scopes: Sequence[Scope],
        expires_at: datetime | None = None,
    ) -> tuple[ApiKey, str]:
        """Make a key that is bound by the caller's own rights; return it with its text.

        Raises:
            NotFound, WorkspaceRequired, Forbidden: the workspace is not one in which the caller may do this, or the
                caller's own key may do less than the new one.
            InvalidInput: name, scopes or expiry are not acceptable.
            LimitExceeded: the workspace has as many as it may.
        """
        workspace = actor.workspace(workspace_id, Permission.ADMIN)
        now, token = self._clock(), _new_token()
        key = ApiKey(
            id=ApiKeyId(uuid7()),
            workspace_id=workspace,
            created_by=actor.user.id,
            name=check_line(name, ["input", "name"], limit=MAX_NAME),
            prefix=token[:SHOWN],
            scopes=check_scopes(scopes),
            expires_at=check_expiry(expires_at, now),
            last_used_at=None,
            revoked_at=None,
            created_at=now,
        )
        _refuse_more_than_own(actor, key)
        await self._keys.add(key, hash_opaque(token), self._deed(actor, AuditAction.API_KEY_CREATED, key))
        return key, token

    async def rotate(self, actor: Principal, key_id: ApiKeyId, overlap_ms: int) -> tuple[ApiKey, str]:
        """Give a key a new text, and the old one an end; return it with its text.

        Raises:
            NotFound: no such key.
            Forbidden: the caller may see it only, somebody else made it, or the caller's own key may do less.
            InvalidInput: the overlap is not acceptable, or the key has ended.
        """
        key = await self._get(actor, key_id)
        overlap = check_overlap(overlap_ms)
        if key.created_by != actor.user.id:
            # Its text would carry the other one's rights.
            raise Forbidden("Only who made a key can rotate it; revoke it, and make one of your own.")
        _refuse_more_than_own(actor, key)
        now, token = self._clock(), _new_token()
        if key.expires_at is not None and key.expires_at <= now:
            raise InvalidInput("This key has expired; make a new one.", path=["input", "id"])
        deed = self._deed(actor, AuditAction.API_KEY_ROTATED, key)
        return await self._keys.rotate(key, token[:SHOWN], hash_opaque(token), now + overlap, deed), token

    async def revoke(self, actor: Principal, key_id: ApiKeyId) -> ApiKey:
        """End a key at once; one that has ended stays as it is.

        Raises:
            NotFound: no such key.
            Forbidden: the caller may see it only.
        """
        key = await self._get(actor, key_id)
        return await self._keys.revoke(key, self._clock(), self._deed(actor, AuditAction.API_KEY_REVOKED, key))

    # ── using ──

    async def authenticate(self, token: str) -> Principal:
        """Return who a key stands for: its maker, with the role of this moment, in one workspace.

        Raises:
            Unauthenticated: there is no such key, it has ended, or its maker is not a member any more.
        """
        shown = hash_opaque(token)
        held = await self._keys.use(shown, self._clock())
        if held is None:
            raise Unauthenticated
        key = held.key
        return Principal(
            held.user,
            SessionId(key.id),
            held.expires_at or NEVER,
            {key.workspace_id: held.role},
            frozenset(key.scopes),
            key.id,
            shown,
        )

    # ── reading ──

    async def list_by_id(self, actor: Principal, key_ids: Sequence[ApiKeyId]) -> Mapping[ApiKeyId, ApiKey]:
        """List those of the keys that the caller may see."""
        return {key.id: key for key in await self._keys.list_by_id(actor.within(), key_ids)}

    async def pages(
        self, actor: Principal, workspace_ids: Sequence[WorkspaceId], request: PageRequest
    ) -> Mapping[WorkspaceId, Page[ApiKey]]:
        """Read the same part of the keys of several workspaces, newest first.

        Raises:
            NotFound, Forbidden: one of them is none that the caller may read.
            CursorInvalid: a cursor of another list.
        """
        for workspace_id in workspace_ids:
            actor.demand(workspace_id, Permission.READ)
        return await self._keys.page_by_workspace(workspace_ids, request)

    async def counts(self, actor: Principal, workspace_ids: Sequence[WorkspaceId]) -> Mapping[WorkspaceId, int]:
        """Count the keys of several workspaces.

        Raises:
            NotFound, Forbidden: one of them is none that the caller may read.
        """
        for workspace_id in workspace_ids:
            actor.demand(workspace_id, Permission.READ)
        return await self._keys.count_by_workspace(workspace_ids)

    async def page_own(self, actor: Principal, request: PageRequest) -> Page[ApiKey]:
        """Read a page of the keys that the caller made, newest first.

        Raises:
            CursorInvalid: a cursor of another list.
        """
        return await self._keys.page_by_maker(actor.user.id, actor.within(), request)

    async def count_own(self, actor: Principal) -> int:
        """Count the keys that the caller made."""
        return await self._keys.count_by_maker(actor.user.id, actor.within())

    async def _get(self, actor: Principal, key_id: ApiKeyId) -> ApiKey:
        key = (await self.list_by_id(actor, [key_id])).get(key_id)
        if key is None:
            raise NotFound(path=["input", "id"])
        actor.demand(key.workspace_id, Permission.ADMIN)
        return key

    def _deed(self, actor: Principal, action: AuditAction, key: ApiKey) -> Deed:
        return self._audit.deed(actor, action, to_global(Prefix.API_KEY, key.id), key.name)


def _new_token() -> str:
    return TOKEN_START + make_opaque()


def _refuse_more_than_own(actor: Principal, key: ApiKey) -> None:
    if not key.is_within(actor):
        raise Forbidden("An API key makes and rotates no key that may do more, or lives longer, than itself.")
