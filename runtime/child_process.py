"""A module of ours in a process of its own, which says when it is ready and cannot outlive its parent."""

from __future__ import annotations

import contextlib
import os
import select
import subprocess
import sys
import threading
import time
from typing import IO, TYPE_CHECKING

from domain.errors import SetupFault

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sequence

_LONGEST_LINE_BYTES = 4_096
_LAST_LINES = 5


class Child:
    """A started process."""

    def __init__(self, name: str, process: subprocess.Popen[bytes], log: IO[bytes]) -> None:
        self._name = name
        self._process = process
        self._log = log

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def kill(self) -> None:
        """Send SIGKILL: it gets no chance to put anything in order."""
        self._process.kill()

    def tell(self, message: bytes) -> None:
        """Write to its standard input; what it is told after its end is lost, `wait_until_ready` tells why it ended."""
        assert self._process.stdin is not None  # noqa: S101 -- made with a pipe
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write(message)
            self._process.stdin.flush()

    def wait_until_ready(self, timeout_s: float = 60.0) -> str:
        """Return the line that it says when it is ready; blocks.

        Raises:
            SetupFault: it stopped, or was not ready in time; with the last lines of its log.
        """
        assert self._process.stdout is not None  # noqa: S101 -- made with a pipe
        deadline = time.monotonic() + timeout_s
        line = b""
        while not line.endswith(b"\n"):
            readable, _, _ = select.select([self._process.stdout], [], [], max(0.0, deadline - time.monotonic()))
            if not readable:
                raise SetupFault(f"{self._name} was not ready within {timeout_s:g} s.{self._last_words()}")
            piece = os.read(self._process.stdout.fileno(), _LONGEST_LINE_BYTES)
            if not piece:
                raise SetupFault(f"{self._name} stopped while it started.{self._last_words()}")
            line += piece
        return line.decode(errors="replace").strip()

    def _last_words(self) -> str:
        self._log.seek(0)
        lines = self._log.read().decode(errors="replace").strip().splitlines()
        return "".join(f"\n  {line[:300]}" for line in lines[-_LAST_LINES:])


@contextlib.contextmanager
def child_process(
    module: str, *, name: str, log: IO[bytes], files: Sequence[int] = (), stop_timeout_s: float = 5.0
) -> Generator[Child]:
    """Start `python -m module`, and stop it at the end; that may block.

    Its standard input stays open until it shall stop: a parent that is killed closes it too, so nothing is left behind.

    Args:
        module: what to run; it calls `end_with_parent`, and says a line by `keep_standard_output` when it is ready.
        name: what it is, for people, such as `The local model`.
        log: where its standard error goes; the last lines are told when it does not start.
        files: file descriptors that it inherits.
        stop_timeout_s: how long it may take to stop before it is killed.
    """
    process = subprocess.Popen(  # noqa: S603 -- our own interpreter and module
        [sys.executable, "-m", module],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=log,
        pass_fds=tuple(files),
        start_new_session=True,  # Ctrl-C is for the parent, which then stops its children in order
    )
    try:
        yield Child(name, process, log)
    finally:
        for stream in (process.stdin, process.stdout):
            if stream is not None:
                with contextlib.suppress(BrokenPipeError):
                    stream.close()
        try:
            process.wait(stop_timeout_s)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def end_with_parent(stop: Callable[[], None]) -> None:
    """Call `stop` in a thread of its own when standard input ends: the parent closed it, or is gone."""

    def watch() -> None:
        while os.read(0, _LONGEST_LINE_BYTES):
            pass
        stop()

    threading.Thread(target=watch, name="parent watch", daemon=True).start()


def keep_standard_output() -> Callable[[str], None]:
    """Return what says the ready line; whatever else is printed goes to standard error from now on."""
    kept = os.dup(1)
    os.dup2(2, 1)

    def say_ready(line: str) -> None:
        os.write(kept, line.encode() + b"\n")

    return say_ready
