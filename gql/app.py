"""The web application: GraphQL over HTTP and websockets, probes and pages; and the server that serves it."""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from typing import TYPE_CHECKING

import uvicorn
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import JSONResponse
from starlette.routing import Route, WebSocketRoute

from domain.errors import SetupFault
from gql import metrics, pages
from gql.headers import SecurityHeaders
from gql.hooks import HookEndpoint
from gql.http import Endpoint
from gql.observing import REQUEST_ID
from gql.schema import build_schema
from gql.trusted import load_trusted
from gql.unread import Unread, grace_s
from runtime.services import open_services as open_all_services

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Generator
    from contextlib import AbstractAsyncContextManager
    from typing import TypeAlias

    from starlette.requests import Request
    from starlette.responses import Response

    from gql.schema import Schema
    from runtime.services import Services
    from runtime.settings import Settings

    OpenServices: TypeAlias = Callable[[Settings], AbstractAsyncContextManager[Services]]

_BACKLOG = 2_048
_UNREAD_SHARE = 0.25
"""How much of the grace period a stopping server waits for peers to read what it has written."""
_ALLOWED_HEADERS = (
    "Authorization",
    "Content-Type",
    "X-Requested-With",
    REQUEST_ID,
    # What Apollo's clients send.
    "Apollo-Require-Preflight",
    "ApolloGraphQL-Client-Name",
    "ApolloGraphQL-Client-Version",
    "X-Apollo-Operation-Id",
    "X-Apollo-Operation-Name",
)
_SEND_BUFFER_BYTES = 131_072


def create_app(
    settings: Settings, *, open_services: OpenServices = open_all_services, schema: Schema | None = None
) -> Starlette:
    """Return the application; its services are opened when it starts and closed when it stops."""

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncGenerator[None]:
        async with AsyncExitStack() as stack:
            try:
                endpoint.trusted = await asyncio.to_thread(load_trusted, settings.api)
                app.state.services = await stack.enter_async_context(open_services(settings))
            except Exception as error:
                # uvicorn only logs it and exits; `serve` raises it.
                app.state.startup_error = error
                raise
            endpoint.sockets.watch(app.state.services.metrics)
            yield

    def services() -> Services:
        return app.state.services

    async def readyz(request: Request) -> Response:
        """Tell whether requests can be served."""
        _ = request
        reasons = await services().health.reasons()
        if reasons:
            return JSONResponse({"status": "unavailable", "reasons": reasons}, 503)
        return JSONResponse({"status": "ready"})

    endpoint = Endpoint(schema or build_schema(settings), services, settings)
    app = Starlette(
        routes=[
            Route("/graphql", endpoint, methods=None),
            WebSocketRoute("/graphql", endpoint),
            Route("/healthz", healthz),
            Route("/readyz", readyz),
            metrics.route(settings, services),
            HookEndpoint(services, settings).route(),
            *pages.routes(settings),
        ],
        middleware=[
            Middleware(SecurityHeaders),
            Middleware(
                CORSMiddleware,
                allow_origins=settings.api.allowed_origins,
                allow_methods=["GET", "POST"],
                allow_headers=_ALLOWED_HEADERS,
                expose_headers=[REQUEST_ID],
                max_age=600,
            ),
        ],
        lifespan=lifespan,
    )
    app.state.stop_streams = endpoint.sockets.stopping.set
    return app


async def healthz(request: Request) -> Response:
    """Tell that the process is alive, whatever it can reach."""
    _ = request
    return JSONResponse({"status": "alive"})


class _Server(uvicorn.Server):
    """uvicorn's server, which says when it has started and raises what keeps it from starting."""

    def __init__(
        self, config: uvicorn.Config, app: Starlette, unread: Unread, on_started: Callable[[], None] | None
    ) -> None:
        super().__init__(config)
        self._app = app
        self._unread = unread
        self._on_started = on_started

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, then call back."""
        log = logging.getLogger("uvicorn.error")
        # It would log the traceback of what is raised below.
        log.disabled = True
        try:
            await super().startup(sockets)
        except SystemExit:
            raise self._app.state.startup_error from None
        finally:
            log.disabled = False
        if self._on_started is not None:
            self._on_started()

    async def main_loop(self) -> None:
        """Serve until told to stop; break off closed connections whose peers do not read."""
        watching = asyncio.create_task(self._unread.watch(self.server_state.connections), name="watch unread")
        try:
            await super().main_loop()
        finally:
            watching.cancel()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End the streams, which would go on for ever, then wait for the rest and stop."""
        self._app.state.stop_streams()
        leaving = asyncio.create_task(self._leave_who_does_not_read(), name="leave who does not read")
        try:
            await super().shutdown(sockets)
        finally:
            leaving.cancel()

    async def _leave_who_does_not_read(self) -> None:
        """Break connections off whose peers have not read for a while: one would use the grace period up for all."""
        await asyncio.sleep(_UNREAD_SHARE * (self.config.timeout_graceful_shutdown or 0))
        for connection in list(self.server_state.connections):
            if connection.transport.get_write_buffer_size() > 0:
                connection.transport.abort()

    @contextmanager
    def capture_signals(self) -> Generator[None]:
        """Stop on a signal without raising it again afterwards: whoever called us has things to put in order."""
        with super().capture_signals():
            try:
                yield
            finally:
                self._captured_signals.clear()


def listen(settings: Settings) -> socket.socket:
    """Return a listening socket at the settings' address; its port is the one chosen where the setting says 0.

    Raises:
        SetupFault: the address cannot be had.
    """
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    try:
        listener = socket.create_server((settings.host, settings.port), family=family, backlog=_BACKLOG)
    except OSError as error:
        # `create_server` adds the address, which stands there already.
        reason = (error.strerror or str(error)).partition(" (while")[0]
        if error.errno == errno.EADDRINUSE:
            reason += "; --port 0 takes a free one"
        raise SetupFault(f"Cannot listen on {settings.host} port {settings.port}: {reason}.") from error
    # Accepted connections inherit it. asyncio leaves it out for a socket that does not name its protocol, and then each
    # second message of a burst waits 40 ms for the first one's acknowledgement.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    # Else the kernel holds up to 4 MiB for each client that subscribes and does not read.
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER_BYTES)
    return listener


def server(app: Starlette, settings: Settings, *, on_started: Callable[[], None] | None = None) -> uvicorn.Server:
    """Return a server to be run with `serve(sockets=[listen(settings)])`; `should_exit = True` stops it."""
    config = uvicorn.Config(
        app,
        ws="websockets-sansio",
        ws_max_size=settings.api.max_socket_message_bytes,
        # Compression keeps a window for each socket, and compresses secrets with what an attacker chose.
        ws_per_message_deflate=False,
        ws_ping_interval=settings.api.ping_interval_s,
        ws_ping_timeout=settings.api.ping_interval_s,
        timeout_graceful_shutdown=max(1, round(settings.shutdown_timeout_s)),
        server_header=False,
        # Whoever is believed to be a proxy chooses its own address; uvicorn would believe everybody on this machine.
        proxy_headers=bool(settings.trusted_proxies),
        forwarded_allow_ips=list(settings.trusted_proxies),
        # Its lines hold the addresses of requests, and with GET those hold the document and its variables.
        access_log=False,
        log_config=None,
        log_level="warning",
        lifespan="on",
    )
    return _Server(config, app, Unread(grace_s(settings.api.ping_interval_s)), on_started)


async def serve(app: Starlette, settings: Settings, *, on_started: Callable[[str], None] | None = None) -> None:
    """Serve until SIGINT or SIGTERM; `on_started` gets the address, such as `http://127.0.0.1:8000`.

    Raises:
        SetupFault: the address cannot be had, or what the application needs cannot.
    """
    with listen(settings) as listener:
        name = f"[{settings.host}]" if ":" in settings.host else settings.host
        address = f"http://{name}:{listener.getsockname()[1]}"
        running = server(app, settings, on_started=None if on_started is None else lambda: on_started(address))
        await running.serve(sockets=[listener])
