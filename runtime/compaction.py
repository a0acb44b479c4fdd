"""Ended runs get smaller: the pieces of text that they streamed are merged, in the background and a few runs at a time."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

import structlog

from domain.errors import DatabaseUnavailable

if TYPE_CHECKING:
    from domain.ports.compaction import Compaction

_RUNS: Final = 50
_POLL_S: Final = 30.0
_BREATH_S: Final = 0.5
"""Between two batches while there is more to do: compaction has time, and others want the database."""

_log = structlog.get_logger(__name__)


class Compactor:
    """Merges what ended runs have streamed. `run` is its life; whichever process comes first does the next runs."""

    def __init__(
        self, compaction: Compaction, after_s: float, *, poll_s: float = _POLL_S, breath_s: float = _BREATH_S
    ) -> None:
        self._compaction = compaction
        self._after = timedelta(seconds=after_s)
        self._poll_s = poll_s
        self._breath_s = breath_s

    async def run(self) -> None:
        """Compact until cancelled; what is cut off is as if it had not begun."""
        while True:
            count = 0
            try:
                count = await self._compaction.compact(datetime.now(UTC) - self._after, _RUNS)
            except DatabaseUnavailable:
                pass
            except Exception:  # noqa: BLE001 -- runs stay as they are, and are looked at again
                _log.exception("compaction.failed")
            await asyncio.sleep(self._breath_s if count == _RUNS else self._poll_s)
