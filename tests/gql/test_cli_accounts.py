from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web
from argon2 import PasswordHasher

from domain.errors import InvalidCredentials, InvalidToken
from gql.client.logins import Logins
from gql.commands import developer
from gql.commands.developer import Developer
from persistence.database import open_database
from tests.support.cli import anabranch, api, sent, signed_in
from tests.support.fake_api import RUN, FakeApi
from tests.support.identity import ENCRYPTION_KEY, Clock, identity_service

if TYPE_CHECKING:
    from tests.support.cli import Command

__all__ = ["anabranch", "api", "signed_in"]


def test_logging_in_keeps_the_session_for_later_commands(api: FakeApi, anabranch: Command) -> None:
    tokens: dict[str, Any] = {
        "accessToken": "first",
        "refreshToken": "refresh-first",
        "expiresAt": "2026-11-22T12:00:00Z",
    }
    api.answers["SignIn"] = {"signIn": {**tokens, "userErrors": []}}
    status, out, _ = anabranch("login", "--url", api.url, "--email", "a@example.com", "--password", "correct horse")
    assert status == 0
    assert out.startswith(f"Signed in at {api.url} as a@example.com; ")
    assert sent(api, "SignIn") == [{"email": "a@example.com", "password": "correct horse"}]
    assert Logins().path.stat().st_mode & 0o777 == 0o600
    assert "correct horse" not in Logins().path.read_text()
    assert anabranch("cancel", RUN)[0] == 0, "the server that was signed in to is the default from now on"


def test_a_wrong_password_is_told_and_nothing_is_kept(api: FakeApi, anabranch: Command) -> None:
    error = {"message": "Unknown account or wrong password.", "code": "INVALID_CREDENTIALS", "path": None}
    api.answers["SignIn"] = {"signIn": {"accessToken": None, "userErrors": [error]}}
    status, _, err = anabranch("login", "--url", api.url, "--email", "a@example.com", "--password", "x")
    assert (status, err) == (1, "Unknown account or wrong password.\n")
    assert not Logins().path.exists()


@pytest.mark.parametrize("command", [["cancel", RUN], ["login"]])
def test_the_account_of_a_running_dev_is_taken_by_itself(command: list[str], api: FakeApi, anabranch: Command) -> None:
    tokens: dict[str, Any] = {
        "accessToken": "first",
        "refreshToken": "refresh-first",
        "expiresAt": None,
        "userErrors": [],
    }
    api.answers["SignIn"] = {"signIn": tokens}
    developer.save(Path("data"), Developer(email="dev@example.com", password="secret", url=api.url))
    assert anabranch(*command)[0] == 0
    assert sent(api, "SignIn") == [{"email": "dev@example.com", "password": "secret"}]
    assert anabranch("cancel", RUN)[0] == 0
    assert len(sent(api, "SignIn")) == 1, "the session is kept while it works"


def test_the_account_of_a_dev_elsewhere_is_sent_nowhere_else(api: FakeApi, anabranch: Command) -> None:
    developer.save(Path("data"), Developer(email="dev@example.com", password="secret", url="http://127.0.0.1:9"))
    assert anabranch("cancel", RUN, "--url", api.url)[0] == 1
    assert sent(api, "SignIn") == []


def test_a_password_is_reset_at_the_database_and_all_sessions_end(
    database_url: str, anabranch: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANABRANCH_ENCRYPTION_KEYS", ENCRYPTION_KEY)
    at = ("--database-url", database_url)
    assert anabranch("user", "create", "Ada@example.com", "--password", "correct horse", *at)[0] == 0
    with_session = asyncio.run(_sign_in(database_url, "correct horse"))
    status, out, _ = anabranch("user", "reset-password", "ADA@example.com", "--password", "another horse", *at)
    assert (status, out) == (0, "ada@example.com has a new password, and is signed out everywhere.\n")
    with pytest.raises(InvalidToken):
        asyncio.run(_refresh(database_url, with_session))
    with pytest.raises(InvalidCredentials):
        asyncio.run(_sign_in(database_url, "correct horse"))
    asyncio.run(_sign_in(database_url, "another horse"))
    for arguments, told in (
        (("eve@example.com", "--password", "another horse"), "There is no account with this address.\n"),
        (("ada@example.com", "--password", "short"), "A password has 10 to 1,024 characters.\n"),
    ):
        assert anabranch("user", "reset-password", *arguments, *at)[::2] == (1, told)


async def _sign_in(database_url: str, password: str) -> str:
    async with open_database(database_url, pool_size=1) as database:
        service = identity_service(database, Clock(datetime.now(UTC)), hasher=PasswordHasher())
        return (await service.sign_in("ada@example.com", password, address="")).refresh_token


async def _refresh(database_url: str, token: str) -> None:
    async with open_database(database_url, pool_size=1) as database:
        await identity_service(database, Clock(datetime.now(UTC))).refresh(token)


def test_an_api_key_is_the_bearer_and_is_never_renewed(
    api: FakeApi, anabranch: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANABRANCH_URL", api.url)
    monkeypatch.setenv("ANABRANCH_API_KEY", "first")
    assert anabranch("cancel", RUN)[0] == 0
    monkeypatch.setenv("ANABRANCH_API_KEY", "revoked")
    assert anabranch("cancel", RUN)[0] == 1
    assert api.authorizations == ["Bearer first", "Bearer revoked"]
    assert api.refreshes == []


def test_what_a_server_says_cannot_steer_the_terminal(api: FakeApi, signed_in: Command) -> None:
    error = {"message": "No \x1b[2J run.", "extensions": {"code": "NOT_FOUND"}}
    api.answers["OpenRun"] = web.json_response({"errors": [error]})
    assert signed_in("watch", RUN)[::2] == (1, "No \N{REPLACEMENT CHARACTER}[2J run.\n")


def test_an_answer_that_is_not_anabranchs_is_told(api: FakeApi, signed_in: Command) -> None:
    api.answers["OpenRun"] = web.Response(text="<html>", status=502)
    status, _, err = signed_in("watch", RUN)
    assert (status, err) == (1, f"{api.url}/graphql does not answer as Anabranch does (HTTP 502).\n")
