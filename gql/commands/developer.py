"""The account that `anabranch dev` and `anabranch demo` use; its password is random and lies in the data directory."""

from __future__ import annotations

import asyncio
import secrets
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, ValidationError

from gql.client.faults import RequestRefused
from gql.client.logins import write_private

if TYPE_CHECKING:
    from pathlib import Path

    from gql.client.session import ApiClient

_FILE = "developer.json"


class Developer(BaseModel):
    """The account; `url` is where `dev` serves, absent while it does not."""

    model_config = ConfigDict(frozen=True)

    email: str
    password: str
    url: str | None = None


def find(data_dir: Path) -> Developer | None:
    """Return the account, or None when there is none that can be read."""
    try:
        return Developer.model_validate_json((data_dir / _FILE).read_bytes())
    except (OSError, ValidationError):
        return None


def save(data_dir: Path, developer: Developer) -> None:
    """Store the account with mode 0600."""
    data_dir.mkdir(parents=True, exist_ok=True)
    write_private(data_dir / _FILE, developer.model_dump_json())


def announce(data_dir: Path, developer: Developer, url: str) -> None:
    """Leave the account with an address, where other commands look for a server that runs."""
    save(data_dir, developer.model_copy(update={"url": url}))


def withdraw(data_dir: Path, url: str) -> None:
    """Leave the account without the address, so that no later command looks for a server that is gone."""
    account = find(data_dir)
    if account is not None and account.url == url:
        save(data_dir, account.model_copy(update={"url": None}))


async def signed_in_links(client: ApiClient, account: Developer) -> tuple[str, str]:
    """Return links to the pages and to GraphiQL, each signed in with a session that is the link's from then on.

    Raises:
        RequestRefused: the server does not let the account in.
        ServerUnreachable: no answer.
    """
    graphiql = _signed_in_link(client, "/graphiql")
    # Two owners of one refresh token would end its session.
    await client.sign_in(account.email, account.password)
    return _signed_in_link(client, "/"), graphiql


def _signed_in_link(client: ApiClient, path: str) -> str:
    tokens = client.tokens
    return f"{client.url}{path}" + (f"#token={tokens.access_token}&refresh={tokens.refresh_token}" if tokens else "")


async def sign_in(client: ApiClient, data_dir: Path) -> Developer:
    """Sign the client in as the developer; the account is made when the server does not know it.

    Raises:
        RequestRefused: the server neither knows the account nor lets one be made.
        ServerUnreachable: no answer.
    """
    known = await asyncio.to_thread(find, data_dir)
    if known is not None:
        try:
            await client.sign_in(known.email, known.password)
        except RequestRefused as refused:
            # Another database than the one that the file was written for.
            if refused.code != "INVALID_CREDENTIALS":
                raise
        else:
            return known
    made = _new()
    # Before the account exists, so that a password is never lost.
    await asyncio.to_thread(save, data_dir, made.model_copy(update={"url": known.url if known else None}))
    await client.sign_up(made.email, made.password, "Developer")
    return made


def _new() -> Developer:
    # Never an address that somebody has: one that is random cannot be taken in a database that is shared.
    return Developer(email=f"developer-{secrets.token_hex(4)}@example.com", password=secrets.token_urlsafe(24))
