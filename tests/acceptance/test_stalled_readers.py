"""A thousand clients that subscribe and then read nothing: what they take, and what others notice of them."""

from __future__ import annotations

import asyncio
import socket
import sys
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import aiohttp
import orjson
import pytest

from tests.acceptance.test_floods import TOLERATED, idle_ms
from tests.support.collecting_server import COLLECTING, cpu_s, resident_bytes
from tests.support.server_process import Caller, server_process

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from pathlib import Path

    from tests.support.server_process import ServerProcess

READERS = 1_000
AT_ONCE = 10
ITEMS = 300
TEXT = "x" * 4_000
MOST_BYTES = 1_024 * 1_024
"""Of the server's memory, for each of them."""
EVENTS = "subscription($id: ID!) { runEvents(runId: $id) { seq ... on NodeSucceeded { output } } }"
HANDSHAKE = (
    "GET /graphql HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: graphql-transport-ws\r\n\r\n"
)


def frame(message: object) -> bytes:
    """Return a text frame as clients send it, masked with zeros."""
    data = orjson.dumps(message)
    return bytes([0x81, 0x80 | 126]) + len(data).to_bytes(2) + bytes(4) + data


@asynccontextmanager
async def stalled(caller: Caller, run_id: str) -> AsyncGenerator[None]:
    """Subscribe, read up to the acknowledgement, and then nothing more."""
    parts = urlsplit(caller.url)
    with socket.socket() as bare:
        bare.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        bare.setblocking(False)
        await asyncio.get_running_loop().sock_connect(bare, (parts.hostname, parts.port))
        reader, writer = await asyncio.open_connection(sock=bare.dup(), limit=2_048)
        writer.write(HANDSHAKE.format(host=parts.netloc).encode())
        await reader.readuntil(b"\r\n\r\n")
        writer.write(frame({"type": "connection_init", "payload": {"authorization": f"Bearer {caller.token}"}}))
        await reader.readuntil(b'"connection_ack"}')
        payload = {"query": EVENTS, "variables": {"id": run_id}}
        writer.write(frame({"id": "1", "type": "subscribe", "payload": payload}))
        try:
            yield
        finally:
            writer.transport.abort()


@pytest.mark.long
@pytest.mark.timeout(500)
async def test_a_thousand_stalled_readers_are_bounded_and_not_noticed_by_others(
    data_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # Otherwise they would be closed while the last of them are still being opened.
    patient = {"ANABRANCH_API__PING_INTERVAL_S": "300"}
    async with (
        AsyncExitStack() as readers,
        aiohttp.ClientSession() as session,
        server_process(data_dir, patient, COLLECTING) as server,
    ):
        caller = Caller(server.url, session)
        await caller.sign_up()
        run_id = await long_run(caller)
        events = await caller.ended(run_id)
        await idle_ms(caller)
        before_ms, before = await idle_ms(caller), await resident_bytes(server)
        for _ in range(READERS // AT_ONCE):
            opening = [readers.enter_async_context(stalled(caller, run_id)) for _ in range(AT_ONCE)]
            await asyncio.gather(*opening)
        await at_rest(server)
        during_ms, grown = await idle_ms(caller), await resident_bytes(server) - before
        assert await caller.ended(run_id) == events
    with capsys.disabled():
        each = grown / READERS / 1_024
        sys.stdout.write(
            f"\nstalled: {each:.0f} KiB each; p95 {before_ms:.1f} ms idle, {during_ms:.1f} ms beside them\n"
        )
    assert len(events) > ITEMS
    assert grown < READERS * MOST_BYTES
    assert during_ms <= TOLERATED * before_ms


async def at_rest(server: ServerProcess) -> None:
    """Wait until the server has written to all of them as much as it will."""
    async with asyncio.timeout(120):
        used = cpu_s(server)
        while True:
            await asyncio.sleep(2)  # its processor time is measured over this
            before, used = used, cpu_s(server)
            if used - before < 0.5:
                return


async def long_run(caller: Caller) -> str:
    """Make a run whose log is larger than what the buffers of one connection hold."""
    config = {"transform": {"fields": [{"name": "text", "value": TEXT}]}}
    node = {"key": "fill", "config": config, "forEach": {"items": "{{ input }}", "maxParallelItems": 50}}
    workflow = await caller.create(name="Long", graph={"nodes": [node], "edges": []})
    return await caller.start(workflow, list(range(ITEMS)))
