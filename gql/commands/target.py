"""Which server a command speaks to, and as whom."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import aiohttp

from gql.client.faults import ClientFault
from gql.client.logins import Logins, Tokens
from gql.client.session import ApiClient
from gql.commands import developer

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from pathlib import Path

    from gql.commands.developer import Developer

DEFAULT_URL = "http://127.0.0.1:8000"


@dataclass(frozen=True, slots=True)
class Target:
    """What options and environment say; `data_dir` is where a running `anabranch dev` leaves its account."""

    url: str | None
    api_key: str | None
    data_dir: Path
    logins: Logins = field(default_factory=Logins)

    def address(self) -> str:
        """Return the server's address: what was said, else a running `dev`, else the last login, else the default.

        Raises:
            ClientFault: it is not an address.
        """
        found = self._developer()
        url = self.url or (found.url if found else None) or self.logins.current or DEFAULT_URL
        if not url.startswith(("http://", "https://")):
            raise ClientFault(f"{url!r} is not the address of a server, such as {DEFAULT_URL}.")
        return url.rstrip("/")

    def developer_at(self, url: str) -> Developer | None:
        """Return the account that `anabranch dev` made, if it serves at this address."""
        found = self._developer()
        return found if found is not None and found.url == url else None

    def _developer(self) -> Developer | None:
        return developer.find(self.data_dir)


@contextlib.asynccontextmanager
async def open_client(target: Target) -> AsyncGenerator[ApiClient]:
    """Yield a client for the server; it signs in by itself where `anabranch dev` runs.

    Raises:
        ClientFault: the address is not one, or the stored logins cannot be read.
    """
    url = await asyncio.to_thread(target.address)
    async with aiohttp.ClientSession() as http:
        if target.api_key:
            yield ApiClient(http, url, Tokens(access_token=target.api_key))
            return
        tokens = await asyncio.to_thread(target.logins.find, url)
        client = ApiClient(http, url, tokens, target.logins)
        account = await asyncio.to_thread(target.developer_at, url)
        if account is not None:
            await _become_developer(client, account, target.logins)
        yield client


async def _become_developer(client: ApiClient, account: Developer, logins: Logins) -> None:
    """Sign in as the account of a running `dev`, unless a session of it is stored and still works."""
    if client.tokens is not None and await client.is_signed_in():
        return
    tokens = await client.sign_in(account.email, account.password)
    await asyncio.to_thread(logins.save, client.url, tokens)


async def login(target: Target, url: str, email: str, password: str) -> None:
    """Sign in at the server and keep the session for later commands.

    Raises:
        RequestRefused: unknown account, wrong password, or too many attempts.
        ServerUnreachable: no answer.
    """
    async with aiohttp.ClientSession() as http:
        tokens = await ApiClient(http, url).sign_in(email, password)
    await asyncio.to_thread(target.logins.save, url, tokens, is_current=True)
