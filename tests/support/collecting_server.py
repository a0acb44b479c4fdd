"""Anabranch in a process that gives back what it does not use when it is told to; and what a process uses."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from tests.support.waiting import until

if TYPE_CHECKING:
    from tests.support.server_process import ServerProcess

_COLLECTED = "collected"
_SCRIPT = f"""
import ctypes, gc, pathlib, signal

def collect(*_):
    gc.collect()
    ctypes.CDLL("libc.so.6").malloc_trim(0)
    pathlib.Path({_COLLECTED!r}).touch()

signal.signal(signal.SIGUSR1, collect)
from gql.entry import main
main()
"""
COLLECTING = (sys.executable, "-c", _SCRIPT, "serve")
"""The command of such a server; it leaves a file in its folder, which is the data directory."""


def pid_of(server: ServerProcess) -> int:
    """Return the process's id."""
    assert server.process is not None
    return server.process.pid


async def resident_bytes(server: ServerProcess) -> int:
    """Return the memory of the server after what is not used any more was given back."""
    told = server.data_dir / _COLLECTED
    told.unlink(missing_ok=True)
    os.kill(pid_of(server), signal.SIGUSR1)
    await until(told.exists)
    return _resident_bytes(pid_of(server))


def _resident_bytes(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")


def cpu_s(server: ServerProcess) -> float:
    """Return the seconds of processor time that the server has used, in its own code and in the kernel."""
    after_name = Path(f"/proc/{pid_of(server)}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(after_name[11]) + int(after_name[12])) / os.sysconf("SC_CLK_TCK")
