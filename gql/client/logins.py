"""Who is signed in where: one file in the user's configuration folder, readable by that user alone."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import typer
from pydantic import BaseModel, ConfigDict, ValidationError

from gql.client.faults import ClientFault

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

_LOCK_TIMEOUT_S = 15.0
_LOCK_POLL_S = 0.05


class Tokens(BaseModel):
    """A session: the access token, and what buys the next one."""

    model_config = ConfigDict(frozen=True)

    access_token: str
    refresh_token: str | None = None
    expires_at: datetime | None = None


class _File(BaseModel):
    current: str | None = None
    servers: dict[str, Tokens] = {}


class Logins:
    """The stored sessions, by the server's address; several processes may use the file at once."""

    def __init__(self, path: Path | None = None) -> None:
        self._path = path or Path(typer.get_app_dir("anabranch")) / "logins.json"

    @property
    def path(self) -> Path:
        """Where the file lies."""
        return self._path

    @property
    def current(self) -> str | None:
        """The server that was signed in to last."""
        return self._read().current

    def find(self, url: str) -> Tokens | None:
        """Return the session at the server, or None."""
        return self._read().servers.get(url)

    def save(self, url: str, tokens: Tokens, *, is_current: bool = False) -> None:
        """Store the session; whole or not at all, with mode 0600."""
        stored = self._read()
        stored.servers[url] = tokens
        if is_current:
            stored.current = url
        self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_private(self._path, stored.model_dump_json(indent=2))

    @contextlib.asynccontextmanager
    async def locked(self) -> AsyncGenerator[None]:
        """Keep other processes from trading the same refresh token: one that comes twice ends its session.

        Raises:
            ClientFault: another process held the lock too long.
        """
        handle = await asyncio.to_thread(self._open_lock)
        try:
            await self._lock(handle)
            yield
        finally:
            os.close(handle)

    def _open_lock(self) -> int:
        self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        return os.open(self._path.with_suffix(".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)

    async def _lock(self, handle: int) -> None:
        try:
            async with asyncio.timeout(_LOCK_TIMEOUT_S):
                while not _try_lock(handle):  # noqa: ASYNC110 -- another process holds it: no event tells
                    await asyncio.sleep(_LOCK_POLL_S)
        except TimeoutError as error:
            raise ClientFault(f"Another process keeps {self._path} locked.") from error

    def _read(self) -> _File:
        try:
            return _File.model_validate_json(self._path.read_bytes())
        except FileNotFoundError:
            return _File()
        except (ValidationError, OSError) as error:
            raise ClientFault(f"{self._path} cannot be read; delete it and sign in again.") from error


def write_private(path: Path, text: str) -> None:
    """Replace the file at once; nobody else can ever read it."""
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    handle = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(text)
    beside.replace(path)


def _try_lock(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
