"""What one network may take of the server without being signed in: floods end at the door, before they are read."""

from __future__ import annotations

import asyncio
import math
import random
import time
from collections import Counter, OrderedDict
from typing import TYPE_CHECKING, Final

from domain.networks import network_of
from gql.presenting import refusal
from gql.requests import Refused

if TYPE_CHECKING:
    from gql.context import Context

_PATIENCE: Final = 20
_WINDOW_S: Final = 60.0
_CLOSED_S: Final = 30.0
_MOST_NETWORKS: Final = 10_000
_HOLD_S: Final = 1.0, 3.0
_MOST_HELD: Final = 1_000
_MOST_SILENT: Final = 100
_WORDS = "Too many attempts from your network; wait before the next."


class Floods:
    """Networks that went on after they were refused: whoever is not signed in is refused at once, and not in haste."""

    def __init__(self) -> None:
        self._refusals: OrderedDict[str, tuple[int, float]] = OrderedDict()
        self._closed_until: OrderedDict[str, float] = OrderedDict()
        self._held = 0

    def refused(self, address: str) -> None:
        """Count that an attempt from this address was refused; beyond 20 in a minute the door closes for a while."""
        network, now = network_of(address), time.monotonic()
        count, since = self._refusals.get(network, (0, now))
        if now - since > _WINDOW_S:
            count, since = 0, now
        self._refusals[network] = count + 1, since
        _bound(self._refusals)
        if count + 1 >= _PATIENCE:
            del self._refusals[network]
            self._closed_until[network] = now + _CLOSED_S
            _bound(self._closed_until)

    def count(self, context: Context) -> None:
        """Count an operation of somebody who is not signed in, if it was refused for coming too often."""
        if context.retry_after_s is not None and context.maybe_principal is None:
            self.refused(context.address)

    def closed_s(self, address: str) -> float:
        """Return for how many seconds the door stays closed; 0 = it is open."""
        if not self._closed_until:
            return 0.0
        network = network_of(address)
        left = self._closed_until.get(network, 0.0) - time.monotonic()
        if left <= 0:
            self._closed_until.pop(network, None)
        return max(0.0, left)

    async def admit(self, address: str) -> None:
        """Let a request in whose caller is not signed in.

        Raises:
            Refused: with 429, after a while: who waits for answers sends no faster.
        """
        left = self.closed_s(address)
        if left > 0:
            await self.hold()
            raise Refused(429, _WORDS, "RATE_LIMITED", retry_after(left))

    async def hold(self) -> None:
        """Keep somebody who is refused for a while, unless very many are kept already."""
        if self._held >= _MOST_HELD:
            return
        self._held += 1
        try:
            # Not all equally long, or a flood would come in waves.
            await asyncio.sleep(random.uniform(*_HOLD_S))
        finally:
            self._held -= 1


class Silence:
    """The websockets of each network that have not said yet who they are."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()

    def begin(self, address: str) -> Silent | None:
        """Count one more; None when the network has as many as it may."""
        network = network_of(address)
        if self._counts[network] >= _MOST_SILENT:
            return None
        self._counts[network] += 1
        return Silent(self._counts, network)


class Silent:
    """A websocket that has not said yet who it is."""

    def __init__(self, counts: Counter[str], network: str) -> None:
        self._counts = counts
        self._network: str | None = network

    def end(self) -> None:
        """Count it no longer; once only."""
        if self._network is not None:
            self._counts[self._network] -= 1
            if not self._counts[self._network]:
                del self._counts[self._network]
            self._network = None


REFUSED = refusal(_WORDS, "RATE_LIMITED")
"""What an operation on a websocket of such a network is answered with."""


def retry_after(seconds: float) -> dict[str, str]:
    """Return the header that says when to try again."""
    return {"Retry-After": str(max(1, math.ceil(seconds)))}


def _bound(kept: OrderedDict[str, object] | OrderedDict[str, float] | OrderedDict[str, tuple[int, float]]) -> None:
    if len(kept) > _MOST_NETWORKS:
        kept.popitem(last=False)
