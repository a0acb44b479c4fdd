"""Being told to stop: Ctrl-C and SIGTERM as an event, for what stops in its own good order."""

from __future__ import annotations

import asyncio
import signal
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Generator


@contextmanager
def stop_signals() -> Generator[asyncio.Event]:
    """Yield an event that the first signal sets; a second one, and those after the block, do what they did before."""
    loop, stopping = asyncio.get_running_loop(), asyncio.Event()
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    def stop(*_: object) -> None:
        restore()
        loop.call_soon_threadsafe(stopping.set)

    for number in before:
        signal.signal(number, stop)
    try:
        yield stopping
    finally:
        restore()
