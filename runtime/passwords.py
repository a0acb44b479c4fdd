"""Passwords: argon2id in threads, a few at a time."""

from __future__ import annotations

import asyncio
import os
import unicodedata
from base64 import b64encode
from secrets import token_bytes
from typing import TYPE_CHECKING, TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from domain.errors import RateLimited

if TYPE_CHECKING:
    from collections.abc import Callable

Returned = TypeVar("Returned")

_MAX_WAITING = 100


class Passwords:
    """Hashes and verifies; unknown accounts cost as much as known ones."""

    def __init__(self, hasher: PasswordHasher | None = None, *, max_parallel: int | None = None) -> None:
        self._hasher = hasher or PasswordHasher()
        # Half of the processors: people who are signed in need the others.
        self._running = asyncio.Semaphore(max_parallel or max(1, (os.cpu_count() or 2) // 2))
        self._waiting = 0
        self._nobodys = _nobodys_hash(self._hasher)

    async def hash(self, password: str) -> str:
        """Return the hash to store.

        Raises:
            RateLimited: too many passwords are being worked on.
        """
        return await self._in_thread(lambda: self._hasher.hash(_encoded(password)))

    async def verify(self, stored: str | None, password: str) -> bool:
        """Tell whether the password is the one of the stored hash; without a stored one it takes the same time.

        Raises:
            RateLimited: too many passwords are being worked on.
        """
        against = self._nobodys if stored is None else stored
        is_right = await self._in_thread(lambda: self._verify(against, password))
        return is_right and stored is not None

    def needs_rehash(self, stored: str) -> bool:
        """Tell whether the hash was made with other parameters than today's."""
        return self._hasher.check_needs_rehash(stored)

    def _verify(self, stored: str, password: str) -> bool:
        try:
            return self._hasher.verify(stored, _encoded(password))
        except (VerificationError, InvalidHashError):
            return False

    async def _in_thread(self, work: Callable[[], Returned]) -> Returned:
        if self._waiting >= _MAX_WAITING:
            raise RateLimited("The server is busy; try again in a moment.")
        self._waiting += 1
        try:
            await self._running.acquire()
        finally:
            self._waiting -= 1
        # A thread cannot be cancelled, so its place is given back when it ends, not when its caller leaves.
        future = asyncio.get_running_loop().run_in_executor(None, work)
        future.add_done_callback(lambda _: self._running.release())
        return await asyncio.shield(future)


def _nobodys_hash(hasher: PasswordHasher) -> str:
    """A hash that no password has, with the hasher's parameters: verifying against it costs what it always costs."""
    salt, tag = (b64encode(token_bytes(size)).rstrip(b"=").decode() for size in (hasher.salt_len, hasher.hash_len))
    costs = f"m={hasher.memory_cost},t={hasher.time_cost},p={hasher.parallelism}"
    return f"$argon2id$v=19${costs}${salt}${tag}"


def _encoded(password: str) -> bytes:
    """Bytes of the password: one form for what looks alike, and whatever a client may send."""
    return unicodedata.normalize("NFKC", password).encode("utf-8", "surrogatepass")
