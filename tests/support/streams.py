"""A client that reads streams over HTTP byte by byte, as they come."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import urlsplit

import aiohttp

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

EVENTS = "text/event-stream"
MULTIPART = "multipart/mixed;boundary=graphql;subscriptionSpec=1.0,application/json"
_BOUNDARY = b"\r\n--graphql"


class Streamed:
    """An answer that goes on."""

    def __init__(self, answer: aiohttp.ClientResponse) -> None:
        self.answer = answer

    async def event(self) -> tuple[str, Any]:
        """Return the next event: what it is called, and what it holds; a sign of life is called nothing."""
        async with asyncio.timeout(10):
            text = await self.answer.content.readuntil(b"\n\n")
        fields = dict(line.split(b":", 1) for line in text.splitlines() if line)
        data = fields.get(b"data", b"").strip()
        return fields.get(b"event", b"").decode().strip(), json.loads(data) if data else None

    async def part(self) -> Any:
        """Return the next part of a multipart answer; the first time after skipping what comes before."""
        async with asyncio.timeout(10):
            text = await self.answer.content.readuntil(_BOUNDARY)
        if text == _BOUNDARY:
            return await self.part()
        header, _, body = text.removesuffix(_BOUNDARY).partition(b"\r\n\r\n")
        assert header == b"\r\nContent-Type: application/json"
        return json.loads(body)

    async def rest(self) -> bytes:
        """Return what comes until the answer ends."""
        async with asyncio.timeout(10):
            return await self.answer.content.read()


@asynccontextmanager
async def unread(url: str, query: str) -> AsyncGenerator[None]:
    """Ask for a stream of events, and read nothing of it."""
    there = urlsplit(url)
    reader, writer = await asyncio.open_connection(there.hostname, there.port)
    body = json.dumps({"query": query})
    head = f"POST {there.path} HTTP/1.1\r\nHost: x\r\nAccept: {EVENTS}\r\nContent-Type: application/json\r\n"
    writer.write(f"{head}Content-Length: {len(body)}\r\n\r\n{body}".encode())
    await reader.readuntil(b"\r\n\r\n")
    cast("asyncio.ReadTransport", writer.transport).pause_reading()
    try:
        yield
    finally:
        writer.transport.abort()


@asynccontextmanager
async def streamed(
    url: str, query: str, accept: str = EVENTS, *, headers: dict[str, str] | None = None, **more: Any
) -> AsyncGenerator[Streamed]:
    """Ask an operation with POST, on a connection of its own."""
    async with (
        aiohttp.ClientSession() as http,
        http.post(url, json={"query": query, **more}, headers={"accept": accept, **(headers or {})}) as answer,
    ):
        yield Streamed(answer)
