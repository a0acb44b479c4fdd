"""A client that speaks `graphql-transport-ws` by hand, rightly or wrongly."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from tests.support.probe import Probe

PROTOCOL = Subprotocol("graphql-transport-ws")


class Socket:
    """A client that speaks the protocol by hand."""

    def __init__(self, connection: ClientConnection) -> None:
        self.connection = connection

    async def send(self, message: Any) -> None:
        await self.connection.send(message if isinstance(message, str | bytes) else json.dumps(message))

    async def receive(self) -> Any:
        async with asyncio.timeout(10):
            return json.loads(await self.connection.recv())

    async def ask(self, message: Any) -> Any:
        await self.send(message)
        return await self.receive()

    async def init(self, **payload: Any) -> None:
        assert await self.ask({"type": "connection_init", "payload": payload}) == {"type": "connection_ack"}

    async def subscribe(self, id_: str, query: str, **payload: Any) -> None:
        await self.send({"type": "subscribe", "id": id_, "payload": {"query": query, **payload}})

    async def closed(self) -> tuple[int, str]:
        """Return code and reason of the close frame, after whatever came before it."""
        with suppress(ConnectionClosed):
            async with asyncio.timeout(10):
                while True:
                    await self.connection.recv()
        frame = self.connection.protocol.close_rcvd
        assert frame is not None, "The connection broke off without a close frame."
        return frame.code, frame.reason


@asynccontextmanager
async def opened(probe: Probe, **options: Any) -> AsyncGenerator[Socket]:
    async with connect(probe.socket, subprotocols=[PROTOCOL], **options) as connection:
        yield Socket(connection)
