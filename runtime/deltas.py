"""Streamed text, batched: at most one piece per node and channel in 50 ms, or sooner when 2 KB have gathered."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from domain.events import NodeOutputDelta
from domain.texts import storable

if TYPE_CHECKING:
    from collections.abc import Callable

    from domain.run import DeltaChannel

_INTERVAL_S: Final = 0.05
_FULL_CHARACTERS: Final = 2_048
_MOST_WAITING_CHARACTERS: Final = 65_536


class DeltaStream:
    """The text of one attempt on its way to the log; `send` is called with what is due."""

    def __init__(
        self, node_key: str, item_index: int | None, execution: int, send: Callable[[NodeOutputDelta], None]
    ) -> None:
        self._place = (node_key, item_index, execution)
        self._send = send
        self._pieces: dict[DeltaChannel, list[str]] = {}
        self._offsets: dict[DeltaChannel, int] = {}
        self._size = 0
        self._sent_at = float("-inf")
        self._timer: asyncio.TimerHandle | None = None
        self._unstored = 0
        self._stored = asyncio.Event()
        self._is_closed = False

    async def write(self, text: str, channel: DeltaChannel) -> None:
        """Add text; waits while much of what was written before is not stored yet."""
        if not text or self._is_closed:
            return
        # What PostgreSQL cannot hold shows as U+FFFD here; an output with it fails its node (INVALID_OUTPUT).
        self._pieces.setdefault(channel, []).append(storable(text))
        self._size += len(text)
        loop = asyncio.get_running_loop()
        due_in_s = self._sent_at + _INTERVAL_S - loop.time()
        if due_in_s <= 0 or self._size >= _FULL_CHARACTERS:
            self._flush()
        elif self._timer is None:
            self._timer = loop.call_later(due_in_s, self._flush)
        while self._unstored > _MOST_WAITING_CHARACTERS:
            self._stored.clear()
            await self._stored.wait()

    def stored(self, delta: NodeOutputDelta) -> None:
        """Tell that a piece is in the log."""
        self._unstored -= len(delta.text)
        self._stored.set()

    def close(self) -> list[NodeOutputDelta]:
        """End the stream and return the pieces that were not sent yet, to be logged before the attempt's end."""
        self._is_closed = True
        self._unstored = 0
        self._stored.set()  # nobody waits for a stream that has ended
        self._disarm()
        return self._take()

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _flush(self) -> None:
        self._disarm()
        self._sent_at = asyncio.get_running_loop().time()
        for delta in self._take():
            self._unstored += len(delta.text)
            self._send(delta)

    def _take(self) -> list[NodeOutputDelta]:
        deltas: list[NodeOutputDelta] = []
        for channel, pieces in self._pieces.items():
            text = "".join(pieces)
            offset = self._offsets.get(channel, 0)
            self._offsets[channel] = offset + utf16_length(text)
            deltas.append(NodeOutputDelta(*self._place, channel, text, offset))
        self._pieces = {}
        self._size = 0
        return deltas


def utf16_length(text: str) -> int:
    """Return the length in UTF-16 code units, as a browser counts."""
    return len(text) if text.isascii() else len(text.encode("utf-16-le", "surrogatepass")) // 2
