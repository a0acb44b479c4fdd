"""One of the processes of `serve --workers N`: they share the listening socket of their parent, and end with it."""

from __future__ import annotations

import os
import signal
import socket
import sys
from functools import partial
from typing import TYPE_CHECKING

from gql.commands.explaining import explain
from gql.commands.hosting import host
from gql.commands.loop import run
from runtime.child_process import end_with_parent, keep_standard_output
from runtime.services import open_services
from runtime.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable


def main() -> None:
    """Serve on the socket whose file descriptor is the first argument."""
    say_ready = keep_standard_output()
    end_with_parent(lambda: os.kill(os.getpid(), signal.SIGTERM))
    try:
        run(_serve(int(sys.argv[1]), say_ready))
    except Exception as error:  # noqa: BLE001 -- the last catch: it is told in one sentence
        sys.exit(explain(error))


async def _serve(listener: int, say_ready: Callable[[str], None]) -> None:
    async def announce(_: object) -> None:
        say_ready("ready")

    # The parent has migrated the database, and holds it.
    opened = partial(open_services, is_migrating=False)
    with socket.socket(fileno=listener) as shared:
        await host(Settings(), shared, announce, open_services=opened)


if __name__ == "__main__":
    main()
