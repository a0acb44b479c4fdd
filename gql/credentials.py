"""Who calls: the access token or API key of a header or of `connection_init`, or the token of a browser's cookie."""

from __future__ import annotations

from typing import TYPE_CHECKING

from domain.api_keys import TOKEN_START
from domain.errors import Unauthenticated
from gql.cookies import ACCESS_COOKIE

if TYPE_CHECKING:
    from starlette.requests import HTTPConnection

    from domain.identity import Principal
    from runtime.services import Services

_MAX_TOKEN = 8_192


def bearer_token(text: str) -> str:
    """Return the token of `Bearer …`; empty for anything else, which no server has signed."""
    scheme, _, token = text.strip().partition(" ")
    return token.strip() if scheme.lower() == "bearer" and len(token) <= _MAX_TOKEN else ""


def sent_token(connection: HTTPConnection) -> str | None:
    """Return the token of a request or handshake; None if it brought no credential at all."""
    header = connection.headers.get("authorization")
    return bearer_token(header) if header is not None else connection.cookies.get(ACCESS_COOKIE)


async def find_caller(services: Services, token: str | None) -> Principal | None:
    """Return who a token stands for; None if there is none, or it is not, or no longer, valid."""
    if not token:
        return None
    try:
        if token.startswith(TOKEN_START):
            return await services.api_keys.authenticate(token)
        return await services.identity.authenticate(token)
    except Unauthenticated:
        return None
