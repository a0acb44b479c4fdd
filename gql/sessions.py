"""What lives longer than a request is looked at again: who is behind it, and whether they still are."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from domain.errors import DatabaseUnavailable
from gql.credentials import find_caller

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable

    from domain.identity import Principal
    from runtime.services import Services

_GRACE_S = 5.0
"""How long a socket or stream lives on after its token has expired."""
_BELIEVED_S = 1.0
"""How old the last look may be when an operation begins on a socket."""


class Caller:
    """Who is behind a socket, asked again when that was long ago: one look at a time, shared by all who wait for it."""

    def __init__(self, services: Services, token: str | None, principal: Principal) -> None:
        self._services = services
        self._token = token
        self._principal: Principal | None = principal
        self._looked_at = time.monotonic()
        self._look: asyncio.Task[None] | None = None

    async def now(self) -> Principal | None:
        """Return who calls, as of a second ago at most; None when the session or key has ended.

        Raises:
            DatabaseUnavailable: nobody can tell.
        """
        if self._principal is None or time.monotonic() - self._looked_at < _BELIEVED_S:
            return self._principal
        return await self.again()

    async def again(self) -> Principal | None:
        """Look now, or wait for the look that is under way; return and raise as `now`."""
        if self._look is None:
            self._look = asyncio.create_task(self._find(), name="look at a socket's caller")
            self._look.add_done_callback(_heard)
        # Whoever is cancelled leaves it to the others.
        await asyncio.shield(self._look)
        return self._principal

    async def _find(self) -> None:
        began = time.monotonic()
        try:
            self._principal = await find_caller(self._services, self._token)
            self._looked_at = began
        finally:
            self._look = None


def _heard(look: asyncio.Task[None]) -> None:
    # All who waited may be gone: then a fault is no news for the event loop.
    if not look.cancelled():
        look.exception()


async def session_checks(
    find: Callable[[], Awaitable[Principal | None]], principal: Principal, every_s: float
) -> AsyncGenerator[Principal | None]:
    """Yield who a credential stands for, as `find` tells, again and again; at last None, when it has expired or its session has ended."""
    while True:
        left = (principal.expires_at - datetime.now(UTC)).total_seconds() + _GRACE_S
        await asyncio.sleep(max(0.0, min(left, every_s)))
        try:
            fresh = await find() if left > 0 else None
        except DatabaseUnavailable:
            continue
        yield fresh
        if fresh is None:
            return
        principal = fresh
