"""Wrong API keys: each new one costs a look-up, so that a network with many of them is turned away before it."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from hashlib import sha256
from typing import TYPE_CHECKING, Final
from weakref import WeakValueDictionary

from domain.api_keys import TOKEN_START
from domain.networks import network_of
from gql.credentials import find_caller
from gql.rates import Floods

if TYPE_CHECKING:
    from domain.identity import Principal
    from runtime.services import Services

_MOST_KNOWN: Final = 10_000
_MOST_NETWORKS: Final = 10_000
_AT_ONCE: Final = 5
"""New texts of one network that are looked up at the same time."""
_ONE_EACH_S: Final = 1.0
"""While the door is closed, a text of its network is looked up so often."""


class KeyDoor:
    """Lets credentials through to the look-up.

    Access tokens pass: one that nobody has signed is refused without a look-up. Of keys' texts pass those that were right
    before in this process, whatever else comes from their network; those that were wrong stay so, since no text is ever
    made again. All others pass while the network's own door is open: it closes for half a minute behind 20 different
    wrong texts within a minute. Even then one text a second is looked up, so that whoever comes with a right one from behind
    the same address as a flood gets in. The door of sign-ins is another one: who tries keys closes it to nobody.
    """

    def __init__(self) -> None:
        self._floods = Floods()
        self._right: OrderedDict[bytes, None] = OrderedDict()
        self._wrong: OrderedDict[bytes, None] = OrderedDict()
        self._closed_looks: OrderedDict[str, float] = OrderedDict()
        # Each is there as long as somebody waits for it.
        self._queues: WeakValueDictionary[str, asyncio.Semaphore] = WeakValueDictionary()

    async def find_caller(self, services: Services, token: str | None, address: str) -> Principal | None:
        """Return who a credential stands for; None if there is none, or it is not, or no longer, valid.

        Raises:
            Refused: with 429, after a while: too many wrong keys came from this network.
        """
        if not token or not token.startswith(TOKEN_START):
            return await find_caller(services, token)
        text = sha256(token.encode("utf-8", "surrogatepass")).digest()
        if text in self._right:
            return await self._look(services, token, text, address)
        # A few at a time, or a burst would be through before the first of it has turned out to be wrong.
        network = network_of(address)
        async with self._queues.setdefault(network, asyncio.Semaphore(_AT_ONCE)):
            if text in self._wrong:
                self._wrong.move_to_end(text)
                return None
            if self._floods.closed_s(address) <= 0 or self._has_turn(network):
                return await self._look(services, token, text, address)
        await self._floods.admit(address)
        return await self.find_caller(services, token, address)  # it has opened this moment

    async def _look(self, services: Services, token: str, text: bytes, address: str) -> Principal | None:
        caller = await find_caller(services, token)
        if caller is not None:
            _keep(self._right, text)
            return caller
        self._right.pop(text, None)
        # Texts are counted, not requests: many may be under way with the one that was revoked this moment.
        if text not in self._wrong:
            self._floods.refused(address)
        _keep(self._wrong, text)
        return None

    def _has_turn(self, network: str) -> bool:
        now = time.monotonic()
        if now - self._closed_looks.get(network, -_ONE_EACH_S) < _ONE_EACH_S:
            return False
        self._closed_looks[network] = now
        self._closed_looks.move_to_end(network)
        if len(self._closed_looks) > _MOST_NETWORKS:
            self._closed_looks.popitem(last=False)
        return True


def _keep(kept: OrderedDict[bytes, None], text: bytes) -> None:
    kept[text] = None
    kept.move_to_end(text)
    if len(kept) > _MOST_KNOWN:
        kept.popitem(last=False)
