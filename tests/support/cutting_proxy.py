"""A TCP port that leads to a server and breaks its connections off, silences or closes them when it is told to."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

_CLOSE_FRAME = b"\x88\x02"


class CuttingProxy:
    """A way to a server."""

    def __init__(self, url: str) -> None:
        there = urlsplit(url)
        self._host, self._port = there.hostname, there.port
        self._writers: set[asyncio.StreamWriter] = set()
        self._sockets: set[asyncio.StreamWriter] = set()
        self._silent: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self.cuts = 0

    def cut(self) -> None:
        """Break all connections off, in whatever they are at."""
        self.cuts += 1
        for writer in self._writers:
            writer.transport.abort()

    def hush(self) -> None:
        """Let nothing through any more on the connections that there are, and leave them open."""
        self.cuts += 1
        self._silent |= self._writers

    def close(self, code: int) -> None:
        """Close all websockets with this code, as some proxies do; nothing may be on its way to their clients."""
        self.cuts += 1
        for writer in self._sockets - self._silent:
            writer.write(_CLOSE_FRAME + code.to_bytes(2, "big"))
        self._silent |= self._sockets

    async def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Join a client to the server until one of them leaves."""
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        there, back = await asyncio.open_connection(self._host, self._port)
        mine = {writer, back}
        self._writers |= mine
        try:
            await asyncio.gather(self._pump(reader, back, writer), self._pump(there, writer, writer))
        finally:
            self._writers -= mine
            self._sockets -= mine
            self._silent -= mine
            self._tasks.discard(task)

    async def ended(self) -> None:
        """Wait for the end of all connections."""
        self.cut()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _pump(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, client: asyncio.StreamWriter
    ) -> None:
        try:
            while data := await reader.read(65_536):
                if b"upgrade: websocket" in data.lower():
                    self._sockets.add(client)
                if writer not in self._silent:
                    writer.write(data)
                    await writer.drain()
        except OSError:
            pass
        finally:
            writer.close()


@asynccontextmanager
async def cutting_proxy(url: str) -> AsyncGenerator[tuple[CuttingProxy, str]]:
    """Serve on a free port of 127.0.0.1 until the block ends; give the proxy and its address."""
    proxy = CuttingProxy(url)
    server = await asyncio.start_server(proxy.connected, "127.0.0.1", 0)
    try:
        yield proxy, f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        await proxy.ended()
