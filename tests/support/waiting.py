"""Waiting for what cannot be awaited, such as another thread or the server."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable


async def until(condition: Callable[[], Awaitable[bool] | bool], *, timeout_s: float = 20) -> None:
    """Ask again and again, for a bounded time."""
    async with asyncio.timeout(timeout_s):
        while True:
            answer = condition()
            if answer if isinstance(answer, bool) else await answer:
                return
            await asyncio.sleep(0.005)
