"""The session of a browser: two cookies that no script can read and no other site can send."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runtime.identity import SESSION_LIFETIME

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.responses import Response

    from runtime.identity import SignedIn

ACCESS_COOKIE = "anabranch_access"
REFRESH_COOKIE = "anabranch_refresh"
# The access cookie goes with requests and with the handshake of a websocket; the refresh cookie only to where it is used.
_PATHS = {ACCESS_COOKIE: "/", REFRESH_COOKIE: "/graphql"}


class Cookies:
    """What one HTTP request brought, and what its response takes back."""

    def __init__(self, received: Mapping[str, str], response: Response, *, is_secure: bool) -> None:
        self._received = received
        self._response = response
        self._is_secure = is_secure

    @property
    def access_token(self) -> str | None:
        """The access token of the browser's session."""
        return self._received.get(ACCESS_COOKIE)

    @property
    def refresh_token(self) -> str | None:
        """The refresh token of the browser's session."""
        return self._received.get(REFRESH_COOKIE)

    def keep(self, signed_in: SignedIn) -> None:
        """Store the tokens of a session that began or went on."""
        self._set(ACCESS_COOKIE, signed_in.access_token)
        self._set(REFRESH_COOKIE, signed_in.refresh_token)

    def forget(self) -> None:
        """Remove both tokens."""
        for name, path in _PATHS.items():
            self._response.delete_cookie(name, path=path, secure=self._is_secure, httponly=True, samesite="strict")

    def _set(self, name: str, token: str) -> None:
        # Both live as long as the session: an access token that has expired tells the page to refresh, an absent one
        # would look like nobody.
        self._response.set_cookie(
            name,
            token,
            max_age=int(SESSION_LIFETIME.total_seconds()),
            path=_PATHS[name],
            secure=self._is_secure,
            httponly=True,
            samesite="strict",
        )
