"""Wrong API keys: each new one costs a look-up, so that a network with many of them is turned away before it."""

from __future__ import annotations

import asyncio
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
_AT_ONCE: Final = 5
"""New texts of one network that are looked up at the same time."""


class KeyDoor:
    """Lets credentials through to the look-up.

    Access tokens pass: one that nobody has signed is refused without a look-up. Of keys' texts pass those that were right
    before in this process, whatever else comes from their network; those that were wrong stay so, since no text is ever
    made again. All others pass while the network's own door is open: it closes for half a minute behind 20 different
    wrong texts within a minute. The door of sign-ins is another one: who tries keys closes it to nobody.
    """

    def __init__(self) -> None:
        self._floods = Floods()
        self._right: OrderedDict[bytes, None] = OrderedDict()
        self._wrong: OrderedDict[bytes, None] = OrderedDict()
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
        async with self._queues.setdefault(network_of(address), asyncio.Semaphore(_AT_ONCE)):
            if text in self._wrong:
                self._wrong.move_to_end(text)
                return None
            if self._floods.closed_s(address) <= 0:
                return await self._look(services, token, text, address)
        await self._floods.admit(address)
        return await self.find_caller(services, token, address)  # it has opened this moment

    async def _look(self, services: Services, token: str, text: bytes, address: str) -> Principal | None:
        caller = await find_caller(services, token)
        if caller is not None:
            _keep(self._right, text)
            return caller
        self._right.pop(text, None)
        _keep(self._wrong, text)
        self._floods.refused(address)
        return None


def _keep(kept: OrderedDict[bytes, None], text: bytes) -> None:
    kept[text] = None
    kept.move_to_end(text)
    if len(kept) > _MOST_KNOWN:
        kept.popitem(last=False)
