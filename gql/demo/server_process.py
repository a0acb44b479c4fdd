"""The demo's server: a process of its own that is told its settings, and given the socket it listens on."""

from __future__ import annotations

import os
import signal
import socket
import sys
from typing import TYPE_CHECKING

from gql.commands.explaining import explain
from gql.commands.hosting import host
from gql.commands.loop import run
from gql.commands.loopback import Told
from runtime.child_process import end_with_parent, keep_standard_output
from runtime.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable


def main() -> None:
    """Serve as standard input says, until it ends."""
    say_ready = keep_standard_output()
    line = sys.stdin.buffer.readline()
    if not line:
        return  # the parent gave up before there was anything to tell
    told = Told.model_validate_json(line)
    end_with_parent(lambda: os.kill(os.getpid(), signal.SIGTERM))
    try:
        run(_serve(told, say_ready))
    except Exception as error:  # noqa: BLE001 -- the parent quotes the last lines of what we say
        sys.exit(explain(error))


async def _serve(told: Told, say_ready: Callable[[str], None]) -> None:
    async def announce(_: object) -> None:
        say_ready("ready")

    with socket.socket(fileno=told.listener) as listener:
        await host(told.settings(Settings()), listener, announce)


if __name__ == "__main__":
    main()
