"""All of Anabranch, served for one test in the test's own event loop."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from gql.app import create_app, listen, server

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from runtime.settings import Settings


@asynccontextmanager
async def serving_anabranch(settings: Settings, allowed: tuple[str, ...] | None = None) -> AsyncGenerator[str]:
    """Serve all of Anabranch as `serve` does, on a free port; gives its address.

    With `allowed` nodes may reach these addresses, and the server itself, as under `dev`.
    """
    started = asyncio.Event()
    settings = settings.model_copy(update={"host": "127.0.0.1", "port": 0})
    with listen(settings) as listener:
        if allowed is not None:
            own = f"127.0.0.1:{listener.getsockname()[1]}"
            outbound = settings.outbound.model_copy(update={"allowed": (own, *allowed)})
            settings = settings.model_copy(update={"outbound": outbound})
        # In a thread: a process makes its schema before it has an event loop, and reads files for it.
        app = await asyncio.to_thread(create_app, settings)
        running = server(app, settings, on_started=started.set)
        task = asyncio.create_task(running.serve(sockets=[listener]), name="anabranch server")
        try:
            # Whichever comes first: a server that cannot start ends instead.
            waiting = asyncio.create_task(started.wait(), name="wait for the server")
            await asyncio.wait({task, waiting}, timeout=30, return_when=asyncio.FIRST_COMPLETED)
            waiting.cancel()
            assert started.is_set(), "The server did not start."
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            running.should_exit = True
            await task
