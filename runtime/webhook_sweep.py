"""Deliveries are forgotten when nobody can send them again any more, in the background."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

import structlog

from domain.errors import DatabaseUnavailable
from domain.webhooks import KEPT
from runtime.identity import utc_now

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from domain.ports.webhooks import WebhookCalls

_BATCH: Final = 1_000
_POLL_S: Final = 600.0
_BREATH_S: Final = 0.5

_log = structlog.get_logger(__name__)


class DeliverySweep:
    """Forgets old deliveries. `run` is its life; processes do not mind each other."""

    def __init__(self, calls: WebhookCalls, *, clock: Callable[[], datetime] = utc_now) -> None:
        self._calls = calls
        self._clock = clock

    async def run(self) -> None:
        """Sweep until cancelled."""
        while True:
            count = 0
            try:
                count = await self.sweep()
            except DatabaseUnavailable:
                pass
            except Exception:  # noqa: BLE001 -- they stay, and are looked at again
                _log.exception("webhook_deliveries.sweep_failed")
            await asyncio.sleep(_BREATH_S if count == _BATCH else _POLL_S)

    async def sweep(self) -> int:
        """Forget a batch of what is older than three days; return how many.

        Raises:
            DatabaseUnavailable: the database does not answer.
        """
        return await self._calls.sweep(self._clock() - KEPT, _BATCH)
