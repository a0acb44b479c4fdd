"""The API in front of a world's services."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import uvicorn

    from bench.world import World


async def serve(made: World) -> tuple[uvicorn.Server, asyncio.Task[None], str]:
    """Serve the world's services on a free loopback port."""
    from contextlib import asynccontextmanager  # noqa: PLC0415 -- beside its only use

    from gql.app import create_app, listen, server  # noqa: PLC0415 -- the API is wanted here only

    @asynccontextmanager
    async def same(_settings: object):  # noqa: ANN202 -- given to create_app
        yield made.services

    settings = made.services.settings.model_copy(update={"port": 0})
    app = await asyncio.to_thread(create_app, settings, open_services=same)
    started = asyncio.Event()
    running = server(app, settings, on_started=started.set)
    listening = listen(settings)
    listener = listening.__enter__()
    task = asyncio.create_task(running.serve(sockets=[listener]), name="bench server")
    await started.wait()
    return running, task, f"http://127.0.0.1:{listener.getsockname()[1]}"
