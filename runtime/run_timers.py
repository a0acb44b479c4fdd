"""The timers of one run in memory: one for each node and item that waits, and one for the run as a whole."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import TYPE_CHECKING, ParamSpec

if TYPE_CHECKING:
    from collections.abc import Callable

Given = ParamSpec("Given")

RUN = None
"""The key of the run's own timer."""


class RunTimers:
    """Timers by the slot of what waits; all end with the run."""

    __slots__ = ("_handles",)

    def __init__(self) -> None:
        self._handles: dict[int | None, asyncio.TimerHandle] = {}

    def at(
        self, key: int | None, due: datetime, call: Callable[Given, None], *args: Given.args, **kwargs: Given.kwargs
    ) -> None:
        """Call at a time by the clock, at once if it is past."""
        self.after(key, max((due - datetime.now(UTC)).total_seconds(), 0.0), call, *args, **kwargs)

    def after(
        self, key: int | None, delay_s: float, call: Callable[Given, None], *args: Given.args, **kwargs: Given.kwargs
    ) -> None:
        """Call after a time, instead of what the key's timer was set to."""

        def ring() -> None:
            self._handles.pop(key, None)
            call(*args, **kwargs)

        self.stop(key)
        self._handles[key] = asyncio.get_running_loop().call_later(delay_s, ring)

    def stop(self, key: int | None) -> None:
        """Stop a timer, if it is set."""
        handle = self._handles.pop(key, None)
        if handle is not None:
            handle.cancel()

    def close(self) -> None:
        """Stop all timers."""
        for handle in self._handles.values():
            handle.cancel()
        self._handles.clear()
