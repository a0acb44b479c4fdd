"""Access tokens (JWT) and the opaque tokens that are stored as hashes."""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from secrets import token_urlsafe
from typing import TYPE_CHECKING
from uuid import UUID, uuid4

import jwt

from domain.errors import SetupFault, Unauthenticated
from domain.ids import SessionId, UserId

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_ALGORITHM = "HS256"
_ISSUER = "anabranch"
_AUDIENCE = "anabranch-api"
_CLAIMS = ["iss", "aud", "sub", "sid", "iat", "nbf", "exp", "jti"]
_MIN_KEY_BYTES = 32
_MAX_TOKEN = 4_096


@dataclass(frozen=True, slots=True)
class AccessClaims:
    """What a valid access token says."""

    user_id: UserId
    session_id: SessionId
    expires_at: datetime


class AccessTokens:
    """Signs access tokens with the first key and accepts those of all, told apart by `kid`."""

    def __init__(self, keys: Sequence[str], *, clock: Callable[[], datetime], lifetime_s: float = 900) -> None:
        if not keys or any(len(key.encode()) < _MIN_KEY_BYTES for key in keys):
            raise SetupFault(f"Each of ANABRANCH_TOKEN_KEYS has at least {_MIN_KEY_BYTES} bytes.")
        self._keys = {_kid(key): key.encode() for key in keys}
        self._signing = _kid(keys[0])
        self._clock = clock
        self._lifetime = timedelta(seconds=lifetime_s)

    def issue(self, user_id: UserId, session_id: SessionId) -> tuple[str, datetime]:
        """Return a token and when it stops working."""
        # JWT counts whole seconds; the answer names the instant that is in the token.
        now = self._clock().astimezone(UTC).replace(microsecond=0)
        expires_at = now + self._lifetime
        claims: dict[str, object] = {
            "iss": _ISSUER,
            "aud": _AUDIENCE,
            "sub": str(user_id),
            "sid": str(session_id),
            "iat": now,
            "nbf": now,
            "exp": expires_at,
            "jti": str(uuid4()),
        }
        token = jwt.encode(claims, self._keys[self._signing], algorithm=_ALGORITHM, headers={"kid": self._signing})
        return token, expires_at

    def verify(self, token: str) -> AccessClaims:
        """Return what the token says, after its signature and all its claims were checked.

        Raises:
            Unauthenticated: it is not a token of this server that is valid now.
        """
        if len(token) > _MAX_TOKEN:
            raise Unauthenticated
        try:
            kid = jwt.get_unverified_header(token).get("kid")
            key = self._keys.get(kid) if isinstance(kid, str) else None
            if key is None:
                raise Unauthenticated
            claims = jwt.decode(
                token,
                key,
                algorithms=[_ALGORITHM],
                issuer=_ISSUER,
                audience=_AUDIENCE,
                options={"require": _CLAIMS, "verify_exp": False, "verify_nbf": False, "verify_iat": False},
            )
            return self._checked(claims)
        except (jwt.PyJWTError, ValueError, TypeError):
            raise Unauthenticated from None

    def _checked(self, claims: dict[str, object]) -> AccessClaims:
        """Check the times against this process's clock, which tests can set, and the types of the ids."""
        times = [claims["nbf"], claims["exp"]]
        now = self._clock().timestamp()
        if not all(type(time) is int for time in times):
            raise Unauthenticated
        begins, ends = (time for time in times if isinstance(time, int))
        # Two processes' clocks may differ by a little; an expired token is expired.
        if now + 5 < begins or now >= ends:
            raise Unauthenticated
        return AccessClaims(
            user_id=UserId(UUID(str(claims["sub"]))),
            session_id=SessionId(UUID(str(claims["sid"]))),
            expires_at=datetime.fromtimestamp(ends, UTC),
        )


def make_opaque() -> str:
    """Return a new token of 256 random bits."""
    return token_urlsafe(32)


def hash_opaque(token: str) -> bytes:
    """Return what is stored of an opaque token; it has too much entropy to need a slow hash."""
    return sha256(token.encode("utf-8", "surrogatepass")).digest()


def setup_token(key: str) -> str:
    """Return the token of the set-up link: equal in all processes and after restarts, without being stored."""
    return hmac.new(key.encode(), b"anabranch set-up token", sha256).hexdigest()[:32]


def _kid(key: str) -> str:
    return sha256(b"anabranch token key id\0" + key.encode()).hexdigest()[:16]
