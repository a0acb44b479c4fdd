"""The event loop of a command: ended in good order by Ctrl-C and by SIGTERM alike."""

from __future__ import annotations

import asyncio
import signal
from typing import TYPE_CHECKING, Any, Final, TypeVar

import uvloop

if TYPE_CHECKING:
    from collections.abc import Coroutine

_LAST_GRACE_S: Final = 1.0
Result = TypeVar("Result")


def run(work: Coroutine[Any, Any, Result]) -> Result:
    """Run to the end, or cancel it on a signal so that everything it opened is closed.

    Raises:
        KeyboardInterrupt: after SIGINT.
        asyncio.CancelledError: after SIGTERM.
    """
    runner = asyncio.Runner(loop_factory=uvloop.new_event_loop)
    try:
        return runner.run(_stopped_by_sigterm(work))
    finally:
        # Closing waits for every task, also for a plug-in's that ignores its cancellation: then only the exit ends it.
        if runner.run(_all_stopped()):
            runner.close()


async def _all_stopped() -> bool:
    """Cancel what is left; tell whether it ended."""
    left = asyncio.all_tasks() - {asyncio.current_task()}
    for task in left:
        task.cancel()
    return not left or not (await asyncio.wait(left, timeout=_LAST_GRACE_S))[1]


async def _stopped_by_sigterm(work: Coroutine[Any, Any, Result]) -> Result:
    task, loop = asyncio.current_task(), asyncio.get_running_loop()

    def stop(*_: object) -> None:
        if task is not None:
            task.cancel()
        loop.call_soon_threadsafe(lambda: None)  # the handler does not end the loop's wait by itself

    # Not `loop.add_signal_handler`: that would stay in force beside uvicorn's own, which stops the server in good order.
    before = signal.signal(signal.SIGTERM, stop)
    try:
        return await work
    finally:
        signal.signal(signal.SIGTERM, before)
