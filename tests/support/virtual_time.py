"""An event loop whose clock jumps to the next timer as soon as nothing else is to be done: seconds take no time."""

from __future__ import annotations

import asyncio
import selectors
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Coroutine


class _Jumping(selectors.DefaultSelector):
    """Never waits: where the loop would, its clock is moved on."""

    now_s = 0.0

    def select(self, timeout: float | None = None) -> Any:
        """Return what is ready; move the clock when nothing is."""
        ready = super().select(0)
        if not ready and timeout:
            self.now_s += timeout
        return ready


class VirtualLoop(asyncio.SelectorEventLoop):
    """A loop for code that touches neither sockets nor threads."""

    def __init__(self) -> None:
        self._jumping = _Jumping()
        super().__init__(self._jumping)

    def time(self) -> float:
        """Return the virtual time in seconds, from 0."""
        return self._jumping.now_s


def run_virtually(work: Coroutine[Any, Any, None]) -> None:
    """Run a coroutine in virtual time."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        runner.run(work)
