"""Several processes of one command: started together, started again when they die, stopped together."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import time
from typing import TYPE_CHECKING, Final

import structlog

from domain.errors import SetupFault
from runtime.tasks import task_group

if TYPE_CHECKING:
    from asyncio.subprocess import Process
    from collections.abc import Awaitable, Callable, Mapping, Sequence

_START_TIMEOUT_S: Final = 120.0
_FIRST_PAUSE_S: Final = 0.5
_LONGEST_PAUSE_S: Final = 30.0
_STEADY_S: Final = 60.0
"""Who has lived as long begins with the shortest pause again."""

_log = structlog.get_logger(__name__)


class Supervisor:
    """Keeps processes of one of our modules alive.

    Each says a line when it is ready, and ends when its standard input does: that is how a supervisor that was killed
    takes its processes along. What they say beside that line goes to our standard error.

    Args:
        module: what to run; it calls `end_with_parent`, and says a line by `keep_standard_output` when it is ready.
        arguments: its arguments.
        environment: variables that it has beside ours.
        files: file descriptors that it inherits.
        grace_s: how long it may take to stop before it is killed.
        on_ended: told the process id of each that has ended.
    """

    def __init__(
        self,
        module: str,
        arguments: Sequence[str] = (),
        *,
        environment: Mapping[str, str],
        files: Sequence[int] = (),
        grace_s: float,
        on_ended: Callable[[int], None] | None = None,
    ) -> None:
        self._command = (sys.executable, "-m", module, *arguments)
        self._environment = {**os.environ, **environment}
        self._files = tuple(files)
        self._grace_s = grace_s
        self._on_ended = on_ended

    async def run(self, count: int, stopping: asyncio.Event, on_ready: Callable[[], Awaitable[None]]) -> None:
        """Keep so many processes alive until told to stop; call back once, when all of them are ready.

        Raises:
            SetupFault: one ended before it was ready for the first time.
        """
        ready = [asyncio.Event() for _ in range(count)]
        async with task_group() as group:
            keeping = [
                group.create_task(self._keep(event), name=f"server process {number}")
                for number, event in enumerate(ready, 1)
            ]
            announcing = group.create_task(_announce(ready, on_ready), name="announce the server")
            await stopping.wait()
            for task in (announcing, *keeping):
                task.cancel()

    async def _keep(self, ready: asyncio.Event) -> None:
        """Have one process, again and again."""
        pause_s = _FIRST_PAUSE_S
        while True:
            started_at = time.monotonic()
            status = await self._have_one(ready)
            if not ready.is_set():
                raise SetupFault(f"A server process did not start ({_told(status)}); above stands what it said.")
            if time.monotonic() - started_at > _STEADY_S:
                pause_s = _FIRST_PAUSE_S
            _log.error("server.process_died", how=_told(status), restart_in_s=pause_s)
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)

    async def _have_one(self, ready: asyncio.Event) -> int:
        """Start a process and return its status when it ends by itself."""
        process = await asyncio.create_subprocess_exec(
            *self._command,
            env=self._environment,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            pass_fds=self._files,
            start_new_session=True,  # Ctrl-C is for us, who then stop them in order
        )
        assert process.stdout is not None  # noqa: S101 -- made with a pipe
        is_ready = False  # this one; `ready` tells that one of its place once was
        try:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_START_TIMEOUT_S):
                    is_ready = bool(await process.stdout.readline())
            if is_ready:
                ready.set()
            else:
                _send(process, signal.SIGKILL)
            return await process.wait()
        finally:
            await self._stop(process)

    async def _stop(self, process: Process) -> None:
        """Stop a process in good order, or with SIGKILL when it takes too long or we are told a second time."""
        try:
            _send(process, signal.SIGTERM)
            async with asyncio.timeout(self._grace_s):
                await process.wait()
        except TimeoutError:
            _log.error("server.process_killed", pid=process.pid, grace_s=self._grace_s)
        finally:
            _send(process, signal.SIGKILL)
            await process.wait()
            if self._on_ended is not None:
                self._on_ended(process.pid)


async def _announce(ready: Sequence[asyncio.Event], on_ready: Callable[[], Awaitable[None]]) -> None:
    for event in ready:
        await event.wait()
    await on_ready()


def _send(process: Process, number: signal.Signals) -> None:
    if process.returncode is None:
        # Not `process.send_signal`: it looks first whether the process has ended, and then asyncio no longer learns how.
        with contextlib.suppress(ProcessLookupError):
            os.kill(process.pid, number)


def _told(status: int) -> str:
    """Return how a process ended: `status 1`, `SIGKILL`."""
    if status >= 0:
        return f"status {status}"
    with contextlib.suppress(ValueError):
        return signal.Signals(-status).name
    return f"signal {-status}"
