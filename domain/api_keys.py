"""API keys: what programs show instead of a person's session."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from domain.errors import InvalidInput
from domain.identity import NEVER, Scope

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from domain.identity import Principal, Role, User
    from domain.ids import ApiKeyId, UserId, WorkspaceId

TOKEN_START: Final = "ak_"  # noqa: S105 -- the beginning of every key, no key
"""How the text of every key begins, and no access token: so a credential says what it is."""
SHOWN: Final = len(TOKEN_START) + 6
"""How many characters are kept in the clear, to recognise a key by."""
MAX_NAME: Final = 100
_MAX_OVERLAP_MS: Final = 7 * 24 * 3_600_000


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key without its text; it reaches one workspace with the rights of who made it, as far as its scopes go."""

    id: ApiKeyId
    workspace_id: WorkspaceId
    created_by: UserId
    name: str
    prefix: str
    scopes: tuple[Scope, ...]
    expires_at: datetime | None
    last_used_at: datetime | None
    revoked_at: datetime | None
    created_at: datetime

    def is_within(self, actor: Principal) -> bool:
        """Tell whether the caller's own credential allows, and lives, at least as much as this key."""
        is_longer = actor.api_key_id is not None and (self.expires_at or NEVER) > actor.expires_at
        return not is_longer and actor.scopes.issuperset(self.scopes)


@dataclass(frozen=True, slots=True)
class KeyHolder:
    """What the text of a key stands for at this moment; `expires_at` is that of the text that was shown."""

    key: ApiKey
    user: User
    role: Role
    expires_at: datetime | None


def check_scopes(given: Sequence[Scope]) -> tuple[Scope, ...]:
    """Return the scopes of a new key, in their order, each once; reading goes with every other.

    Raises:
        InvalidInput: there is none.
    """
    if not given:
        raise InvalidInput("A key has at least one scope.", path=["input", "scopes"])
    return tuple(scope for scope in Scope if scope is Scope.READ or scope in given)


def check_expiry(expires_at: datetime | None, now: datetime) -> datetime | None:
    """Return when a new key ends.

    Raises:
        InvalidInput: it would have ended already.
    """
    if expires_at is not None and expires_at <= now:
        raise InvalidInput("A key ends in the future.", path=["input", "expiresAt"])
    return expires_at


def check_overlap(overlap_ms: int) -> timedelta:
    """Return how long the old text of a rotated key still works.

    Raises:
        InvalidInput: it is negative, or more than seven days.
    """
    if not 0 <= overlap_ms <= _MAX_OVERLAP_MS:
        raise InvalidInput(f"`overlapMs` is 0 to {_MAX_OVERLAP_MS:,} (seven days).", path=["input", "overlapMs"])
    return timedelta(milliseconds=overlap_ms)
