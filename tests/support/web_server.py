"""A web server on loopback that answers as a test says and remembers what it was asked."""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from aiohttp import web

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping


@dataclass(frozen=True, slots=True)
class Asked:
    """A request as it arrived."""

    method: str
    path: str
    """With the query, as it was sent."""
    headers: Mapping[str, str]
    body: bytes


Handler = "Callable[[web.Request], Awaitable[web.StreamResponse]]"


@dataclass(slots=True)
class WebServer:
    """The server while it runs."""

    handlers: dict[str, Callable[[web.Request], Awaitable[web.StreamResponse]]] = field(default_factory=dict)
    """By path; other paths answer 200 with `ok`."""
    asked: list[Asked] = field(default_factory=list[Asked])
    port: int = 0

    @property
    def url(self) -> str:
        """Its address, without a slash at the end."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def allowed(self) -> str:
        """The entry for `ANABRANCH_OUTBOUND__ALLOWED`."""
        return f"127.0.0.1:{self.port}"

    def answer(self, path: str, **response: object) -> None:
        """Answer a path with what `web.Response` takes."""

        async def handler(_: web.Request) -> web.StreamResponse:
            return web.Response(**response)  # pyright: ignore[reportArgumentType]

        self.handlers[path] = handler

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Answer one request."""
        self.asked.append(Asked(request.method, request.path_qs, dict(request.headers), await request.read()))
        handler = self.handlers.get(request.path)
        return web.Response(text="ok") if handler is None else await handler(request)


@asynccontextmanager
async def web_server() -> AsyncGenerator[WebServer]:
    """Run a server on loopback."""
    server = WebServer()
    app = web.Application(client_max_size=8 * 1_048_576)
    app.router.add_route("*", "/{path:.*}", server.handle)
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=1.0)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    server.port = runner.addresses[0][1]
    try:
        yield server
    finally:
        await runner.cleanup()
