"""Waiting a moment until whoever executes a run has done what was asked, so that the answer shows it."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from domain.events import Event
    from domain.run import Run
    from runtime.progress import Progress

_PATIENCE_S: Final = 1.0
"""Usually it takes milliseconds. A run may also wait for room, or its process be frozen: nobody is kept waiting for that."""


async def await_event(progress: Progress, before: Run, type_: type[Event]) -> None:
    """Return when the run has logged an event of the type since it was read, when it has ended, or after a second."""
    try:
        async with (
            asyncio.timeout(_PATIENCE_S),
            aclosing(progress.follow(before.id, before.last_seq)) as events,
        ):
            async for logged in events:
                if isinstance(logged.event, type_):
                    return
    except TimeoutError:
        return
