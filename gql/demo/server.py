"""The demo's server as its parent sees it: a process that is started, killed and started again at the same address."""

from __future__ import annotations

import contextlib
import socket
import threading
from typing import IO, TYPE_CHECKING

from domain.errors import SetupFault
from gql.commands.loopback import HOST, Told, address_of
from runtime.child_process import child_process

if TYPE_CHECKING:
    from pathlib import Path

    from runtime.child_process import Child
    from runtime.settings import Settings

_START_TIMEOUT_S = 120.0
_STOP_TIMEOUT_S = 20.0


class DemoServer:
    """A server on a free port of loopback; what it says goes into `demo.log`, which a fault quotes.

    Everything but `kill` blocks, and belongs into a thread.
    """

    def __init__(self) -> None:
        self._stack = contextlib.ExitStack()
        self._lock = threading.Lock()
        self._listener = _listen(0)
        self.port = int(self._listener.getsockname()[1])
        self.url = address_of(HOST, self.port)
        self._child: Child | None = None
        self._settings: Settings | None = None

    def load(self, settings: Settings) -> None:
        """Start the process, which has much to import, and return at once; `serve` tells it the rest.

        Raises:
            SetupFault: the data directory cannot be written.
        """
        log = self._stack.enter_context(_empty_log(settings.data_dir))
        self._child = self._stack.enter_context(
            child_process(
                "gql.demo.server_process",
                name="The server",
                log=log,
                files=[self._listener.fileno()],
                stop_timeout_s=_STOP_TIMEOUT_S,
            )
        )

    def serve(self, settings: Settings) -> None:
        """Let the process serve with these settings, and wait until it does.

        Raises:
            SetupFault: it does not start.
        """
        assert self._child is not None  # noqa: S101 -- `load` comes first
        self._settings = settings
        self._child.tell(Told.of(settings, self._listener.fileno()).model_dump_json().encode() + b"\n")
        self._child.wait_until_ready(_START_TIMEOUT_S)
        self._listener.close()  # the child has it: should it stop, connections are refused and do not wait for ever

    def kill(self) -> int:
        """Send SIGKILL to the process that serves, and return its id; returns at once."""
        assert self._child is not None  # noqa: S101 -- called while it serves
        self._child.kill()
        return self._child.pid

    def restart(self) -> None:
        """Start anew at the same address, after a kill.

        Raises:
            SetupFault: the address is taken, or the server does not start.
        """
        with self._lock:
            settings = self._settings
            assert settings is not None  # noqa: S101 -- it has served before
            self._stack.close()
            self._listener = _listen(self.port)
            self.load(settings)
            self.serve(settings)

    def close(self) -> None:
        """Stop the process in good order."""
        with self._lock:
            self._stack.close()
            self._listener.close()


def _empty_log(data_dir: Path) -> IO[bytes]:
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
        log = (data_dir / "demo.log").open("a+b")
    except OSError as error:
        why = "it is not a directory" if isinstance(error, FileExistsError) else error.strerror
        raise SetupFault(f"The data directory {data_dir} cannot be used: {why}. Set ANABRANCH_DATA_DIR.") from error
    log.truncate(0)
    return log


def _listen(port: int) -> socket.socket:
    try:
        listener = socket.create_server((HOST, port))
    except OSError as error:
        raise SetupFault(f"Cannot listen on {HOST} port {port}: {error.strerror or error}.") from error
    # Accepted connections inherit it, as in `gql.app.listen`: importing that would load all of the server here too.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener
