"""Peers that never read: what is left of their connections once our side has closed them is broken off.

A transport that is closed with bytes in its buffer first writes them, however long that takes. A peer that reads nothing
would keep its file and up to some megabytes until the server stops. One that only pauses, or reads slowly through the buffers
of the kernels, takes nothing for some time either: hence a grace period of a minute at least.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from collections.abc import Collection

_LEAST_S: Final = 60.0
_INTERVALS: Final = 3
_LOOKS: Final = 4
"""In so many steps the grace period is measured."""

_log = logging.getLogger(__name__)


def grace_s(ping_interval_s: float) -> float:
    """Return for how many seconds a closed connection may write nothing."""
    return max(_LEAST_S, _INTERVALS * ping_interval_s)


class HasTransport(Protocol):
    """A connection of uvicorn's, of either protocol."""

    transport: asyncio.Transport


class Unread:
    """What closed connections still have to write, and since when it has not become less."""

    def __init__(self, grace_s: float) -> None:
        self._grace_s = grace_s
        self._stalled: dict[asyncio.Transport, tuple[int, float]] = {}

    async def watch(self, connections: Collection[HasTransport]) -> None:
        """Look again and again, until cancelled."""
        clock = asyncio.get_running_loop().time
        while True:
            await asyncio.sleep(self._grace_s / _LOOKS)
            self.look([connection.transport for connection in connections], clock())

    def look(self, transports: Collection[asyncio.Transport], now: float) -> None:
        """Break off those that are closed and have written nothing for the whole grace period."""
        before, self._stalled = self._stalled, {}
        for transport in transports:
            size = transport.get_write_buffer_size() if transport.is_closing() else 0
            if not size:
                continue
            known, since = before.get(transport, (size + 1, now))
            if size < known:
                known, since = size, now
            if now - since < self._grace_s:
                self._stalled[transport] = known, since
                continue
            _log.info("A closed connection whose peer reads nothing is broken off with %s bytes unsent", size)
            transport.abort()
