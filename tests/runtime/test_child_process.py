from __future__ import annotations

import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from domain.errors import SetupFault
from runtime.child_process import child_process

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

_BEGIN = """
import os, sys, threading
from runtime.child_process import end_with_parent, keep_standard_output
say_ready = keep_standard_output()
print("chatter of a library")
done = threading.Event()
"""


@pytest.fixture
def write_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return where a module `child.py` may be written for the processes that the test starts."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), *sys.path]))
    return tmp_path / "child.py"


@contextmanager
def running(message: bytes = b"", *, start_timeout_s: float = 20, stop_timeout_s: float = 20) -> Generator[str]:
    with (
        tempfile.TemporaryFile() as log,
        child_process("child", name="The child", log=log, stop_timeout_s=stop_timeout_s) as child,
    ):
        child.tell(message)
        yield child.wait_until_ready(start_timeout_s)


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_it_is_ready_when_it_says_so_and_stops_when_its_input_ends(write_module: Path, tmp_path: Path) -> None:
    write_module.write_text(
        _BEGIN
        + "told = sys.stdin.buffer.readline().strip().decode()\n"
        + "end_with_parent(done.set)\n"
        + "say_ready(f'{told} {os.getpid()}')\n"
        + "done.wait()\n"
        + f"open({str(tmp_path / 'farewell')!r}, 'w').close()\n"
    )
    with running(b"hello\n") as line:
        told, pid = line.split()
        assert told == "hello"
        assert is_alive(int(pid))
    assert not is_alive(int(pid))
    assert (tmp_path / "farewell").exists(), "it must have had the time to stop in order"


def test_one_that_is_not_ready_in_time_is_a_fault_and_is_stopped(write_module: Path, tmp_path: Path) -> None:
    write_module.write_text(
        f"import os, sys\nopen({str(tmp_path / 'pid')!r}, 'w').write(str(os.getpid()))\nsys.stdin.read()\n"
    )
    with pytest.raises(SetupFault, match=r"^The child was not ready within 2 s\."), running(start_timeout_s=2):
        pass
    assert not is_alive(int((tmp_path / "pid").read_text()))


def test_one_that_does_not_stop_is_killed(write_module: Path) -> None:
    write_module.write_text(_BEGIN + "say_ready(str(os.getpid()))\nthreading.Event().wait()\n")
    with running(stop_timeout_s=0.2) as pid:
        assert is_alive(int(pid))
    assert not is_alive(int(pid))


def test_one_that_stops_while_it_starts_is_told_with_its_last_words(write_module: Path) -> None:
    write_module.write_text("import sys; sys.exit('the weights are broken')")
    with pytest.raises(SetupFault) as fault, running(b"x" * 100_000):
        pass
    assert fault.value.message == "The child stopped while it started.\n  the weights are broken"


def test_a_parent_that_is_killed_takes_it_along(write_module: Path) -> None:
    write_module.write_text(_BEGIN + "end_with_parent(done.set)\nsay_ready(str(os.getpid()))\ndone.wait()\n")
    script = (
        "import sys, time\n"
        "from runtime.child_process import child_process\n"
        "with child_process('child', name='x', log=open('/dev/null', 'r+b')) as child:\n"
        "    print(child.wait_until_ready(), flush=True)\n"
        "    time.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE) as parent:  # noqa: S603 -- ours
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        witness = os.pidfd_open(pid)
        parent.send_signal(signal.SIGKILL)
    siginfo_ready = _wait_for(witness)
    assert siginfo_ready, "the child must end by itself"


def test_it_inherits_the_files_that_it_is_given(write_module: Path) -> None:
    write_module.write_text(
        _BEGIN
        + "import socket\n"
        + "listener = socket.socket(fileno=int(sys.stdin.buffer.readline()))\n"
        + "end_with_parent(done.set)\n"
        + "say_ready('ready')\n"
        + "listener.accept()[0].sendall(b'hi')\n"
        + "done.wait()\n"
    )
    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        tempfile.TemporaryFile() as log,
        child_process("child", name="x", log=log, files=[listener.fileno()]) as child,
    ):
        child.tell(f"{listener.fileno()}\n".encode())
        child.wait_until_ready()
        with socket.create_connection(listener.getsockname(), timeout=10) as connection:
            assert connection.recv(2) == b"hi"


def _wait_for(witness: int) -> bool:
    readable, _, _ = select.select([witness], [], [], 10)
    os.close(witness)
    return bool(readable)


def test_a_killed_one_is_gone_at_once_and_leaving_it_waits_for_nothing(write_module: Path) -> None:
    write_module.write_text(_BEGIN + "say_ready('ready')\ndone.wait()\n")
    with tempfile.TemporaryFile() as log, child_process("child", name="The child", log=log, stop_timeout_s=20) as child:
        child.wait_until_ready(20)
        child.kill()
        pid, begin = child.pid, time.monotonic()
    assert time.monotonic() - begin < 5
    assert not is_alive(pid)
