"""`anabranch` commands as processes of their own, which a test may kill, freeze and wake."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import psutil

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping
    from pathlib import Path

_START_TIMEOUT_S = 60.0
_STOP_TIMEOUT_S = 30.0
WORKER_READY = "works on up to"


@dataclass
class CommandProcess:
    """A command on a data directory; what it says goes into `<name>.log` there."""

    data_dir: Path
    arguments: tuple[str, ...] = ("worker",)
    environment: Mapping[str, str] = field(default_factory=dict[str, str])
    name: str = "worker"
    ready: str = WORKER_READY
    process: subprocess.Popen[bytes] | None = None
    begun_at: int = 0
    """Where in the log the last start begins."""

    @property
    def log(self) -> str:
        """All that it has said."""
        path = self.data_dir / f"{self.name}.log"
        return path.read_text(errors="replace") if path.exists() else ""

    @property
    def pid(self) -> int:
        """Its process id."""
        assert self.process is not None
        return self.process.pid

    @property
    def children(self) -> list[psutil.Process]:
        """The processes of ours that it has started, not those of PostgreSQL."""
        found: list[psutil.Process] = []
        for process in psutil.Process(self.pid).children():
            with contextlib.suppress(psutil.NoSuchProcess):  # also of those that have just ended
                if "gql.commands.server_child" in process.cmdline():
                    found.append(process)
        return found

    @property
    def is_ready(self) -> bool:
        """Whether it lives and has said that it is ready."""
        return self.process is not None and self.process.poll() is None and self.ready in self.log[self.begun_at :]

    def start(self) -> None:
        """Start it, and do not wait for anything."""
        outside = {name: value for name, value in os.environ.items() if not name.startswith("ANABRANCH_")}
        self.begun_at = len(self.log)
        with (self.data_dir / f"{self.name}.log").open("ab") as log:
            self.process = subprocess.Popen(  # noqa: S603 -- ours
                [sys.executable, "-m", "anabranch", *self.arguments],
                env={**outside, "ANABRANCH_DATA_DIR": str(self.data_dir), "COLUMNS": "200", **self.environment},
                stdout=log,
                stderr=log,
                cwd=self.data_dir,
            )

    async def started(self) -> None:
        """Wait until it says that it is ready."""
        assert self.process is not None
        async with asyncio.timeout(_START_TIMEOUT_S):
            while self.ready not in self.log[self.begun_at :]:
                assert self.process.poll() is None, self.log[-2_000:]
                await asyncio.sleep(0.05)

    def send(self, number: signal.Signals) -> None:
        """Send a signal."""
        assert self.process is not None
        self.process.send_signal(number)

    def kill(self) -> None:
        """Kill it without a word."""
        assert self.process is not None
        self.process.kill()
        self.process.wait(_STOP_TIMEOUT_S)

    def stop(self) -> int:
        """Let it end in good order; return its status."""
        assert self.process is not None
        if self.process.poll() is None:
            self.send(signal.SIGCONT)
            self.send(signal.SIGTERM)
        try:
            return self.process.wait(_STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise


@contextlib.contextmanager
def stopped_at_the_end(*processes: CommandProcess) -> Generator[None]:
    """Stop processes at the end, those that were started."""
    try:
        yield
    finally:
        running = [one for one in processes if one.process is not None]
        for one in running:
            with contextlib.suppress(ProcessLookupError):
                one.send(signal.SIGCONT)
                one.send(signal.SIGTERM)
        for one in running:
            one.stop()
