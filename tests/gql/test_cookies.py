from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING
from uuid import UUID

import pytest
from starlette.responses import Response

from domain.identity import Principal, User
from domain.ids import SessionId, UserId
from gql.cookies import Cookies
from runtime.identity import SignedIn

if TYPE_CHECKING:
    from collections.abc import Mapping

NOW = datetime(2026, 11, 22, tzinfo=UTC)
USER = User(UserId(UUID(int=1)), "ada@example.com", "Ada", NOW)
SIGNED_IN = SignedIn(Principal(USER, SessionId(UUID(int=2)), NOW), "the-access", "the-refresh", NOW)


def written(*, is_secure: bool, received: Mapping[str, str] | None = None, is_forgotten: bool = False) -> list[str]:
    response = Response()
    cookies = Cookies(received or {}, response, is_secure=is_secure)
    if is_forgotten:
        cookies.forget()
    else:
        cookies.keep(SIGNED_IN)
    return [value.decode() for name, value in response.raw_headers if name == b"set-cookie"]


@pytest.mark.parametrize("is_secure", [True, False])
def test_no_script_reads_them_and_no_other_site_sends_them(*, is_secure: bool) -> None:
    for cookie in written(is_secure=is_secure):
        words = [word.strip().lower() for word in cookie.split(";")]
        assert "httponly" in words
        assert "samesite=strict" in words
        assert ("secure" in words) is is_secure
        assert not any(word.startswith("domain") for word in words)


def test_the_refresh_token_goes_only_where_it_is_used() -> None:
    access, refresh = written(is_secure=True)
    assert access.startswith("anabranch_access=the-access;")
    assert "Path=/;" in access
    assert refresh.startswith("anabranch_refresh=the-refresh;")
    assert "Path=/graphql;" in refresh
    assert "Max-Age=2592000" in refresh


def test_both_are_taken_back_where_they_were_put() -> None:
    access, refresh = written(is_secure=True, is_forgotten=True)
    assert access.startswith('anabranch_access="";')
    assert refresh.startswith('anabranch_refresh="";')
    assert all("Max-Age=0" in cookie for cookie in (access, refresh))
    assert "Path=/;" in access
    assert "Path=/graphql;" in refresh


def test_what_the_browser_sent_can_be_read() -> None:
    cookies = Cookies({"anabranch_access": "a", "anabranch_refresh": "r"}, Response(), is_secure=True)
    assert (cookies.access_token, cookies.refresh_token) == ("a", "r")
    assert Cookies({}, Response(), is_secure=True).refresh_token is None
