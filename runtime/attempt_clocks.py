"""The clocks of an attempt, which stand still while it waits for room under a connection's limits."""

from __future__ import annotations

import asyncio
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Generator


class AttemptClocks:
    """The timeouts of one attempt: `startToClose`, what is left of `scheduleToClose`, and `idle`."""

    __slots__ = ("_ends_at", "_holds", "_idle", "_idle_s", "_left_s", "_started_at", "_whole")

    def __init__(self) -> None:
        self._whole: asyncio.Timeout | None = None
        self._idle: asyncio.Timeout | None = None
        self._idle_s = 0.0
        self._left_s: float | None = None
        self._started_at = 0.0
        self._ends_at: float | None = None
        self._holds = 0

    def start(self, whole: asyncio.Timeout, start_to_close_s: float | None, time_left_s: float | None) -> None:
        """Run the clock of the attempt; that of all the node's attempts, `time_left_s`, never stands still."""
        now = asyncio.get_running_loop().time()
        self._whole, self._left_s, self._started_at = whole, start_to_close_s, now
        self._ends_at = None if time_left_s is None else now + time_left_s

    def start_idle(self, idle: asyncio.Timeout, idle_s: float) -> None:
        """Run the clock that `moved` starts anew."""
        self._idle, self._idle_s = idle, idle_s

    def moved(self) -> None:
        """Start the idle clock anew."""
        if self._idle is not None and not self._idle.expired() and not self._holds:
            self._idle.reschedule(asyncio.get_running_loop().time() + self._idle_s)

    @contextmanager
    def held(self) -> Generator[None]:
        """Let the clocks stand still; of calls at the same time the last one starts them again."""
        self._holds += 1
        if self._holds == 1:
            self._stop()
        try:
            yield
        finally:
            self._holds -= 1
            if not self._holds:
                self._go_on()

    def _stop(self) -> None:
        now = asyncio.get_running_loop().time()
        if self._left_s is not None:
            self._left_s -= now - self._started_at
        if self._whole is not None and not self._whole.expired():
            self._whole.reschedule(self._ends_at)
        if self._idle is not None and not self._idle.expired():
            self._idle.reschedule(None)

    def _go_on(self) -> None:
        now = self._started_at = asyncio.get_running_loop().time()
        ends = [end for end in (self._ends_at, None if self._left_s is None else now + self._left_s) if end is not None]
        if self._whole is not None and not self._whole.expired():
            self._whole.reschedule(min(ends, default=None))
        self.moved()
