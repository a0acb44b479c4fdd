"""The places of websockets and streams in one process."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from starlette.responses import JSONResponse
from starlette.websockets import WebSocket

from gql.rates import Silence, retry_after
from gql.requests import Refused

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

    from gql.rates import Floods, Silent
    from runtime.metrics import Metrics

SILENT: Final = "anabranch.silent"
"""Where the scope of a websocket has its place among those that nobody has signed in on."""


class Sockets:
    """The websockets and streams of this process, bounded together."""

    def __init__(self, limit: int, floods: Floods) -> None:
        self._limit = limit
        self.floods = floods
        self._silence = Silence()
        self.count = 0
        self.operation_count = 0
        self.stream_count = 0
        self.mutations: set[asyncio.Task[None]] = set()
        """Those whose client has left in the middle."""
        self.stopping = asyncio.Event()
        """Set when the server stops, which ends streams; the server itself closes the websockets."""

    def watch(self, metrics: Metrics) -> None:
        """Have them counted."""
        metrics.watch("sockets", "Open websockets.", lambda: self.count)
        metrics.watch("socket_operations", "Operations at work on websockets.", lambda: self.operation_count)
        metrics.watch("streams", "Open streams over HTTP.", lambda: self.stream_count)

    @property
    def is_full(self) -> bool:
        """Whether there is no place for another."""
        return self.count + self.stream_count >= self._limit

    async def admit(self, address: str, *, is_signed_in: bool) -> Place:
        """Give a stream its place, which it has from now on.

        Raises:
            Refused: there is none, or nobody is signed in and the network has as many as it may without.
        """
        if self.is_full:
            raise Refused(503, "Too many streams; try again later.", "SERVICE_UNAVAILABLE", {"Retry-After": "5"})
        silent = None if is_signed_in else self._silence.begin(address)
        if silent is None and not is_signed_in:
            await self.floods.hold()
            words = "Too many streams of your network that nobody is signed in on; try again later."
            raise Refused(429, words, "RATE_LIMITED", retry_after(5))
        return Place(self, silent)

    async def serve(self, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a websocket, or refuse the handshake with 503."""
        websocket = WebSocket(scope, receive, send)
        if self.is_full:
            await websocket.send_denial_response(_too_many(503))
            return
        silent = self._silence.begin(websocket.client.host if websocket.client else "")
        if silent is None:
            await self.floods.hold()
            await websocket.send_denial_response(_too_many(429))
            return
        scope[SILENT] = silent
        self.count += 1
        try:
            await app(scope, receive, send)
        finally:
            self.count -= 1
            silent.end()


class Place:
    """The place of a stream."""

    def __init__(self, sockets: Sockets, silent: Silent | None) -> None:
        self._sockets: Sockets | None = sockets
        self._silent = silent
        sockets.stream_count += 1

    def end(self) -> None:
        """Give it up; once only."""
        if self._sockets is None:
            return
        self._sockets.stream_count -= 1
        self._sockets = None
        if self._silent is not None:
            self._silent.end()


def _too_many(status: int) -> JSONResponse:
    return JSONResponse({"message": "Too many websockets; try again later."}, status, {"Retry-After": "5"})
