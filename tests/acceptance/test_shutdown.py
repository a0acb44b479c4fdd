"""SIGTERM while many follow: the server tells all of them, and is gone well within its grace period."""

from __future__ import annotations

import asyncio
import signal
import time
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

import aiohttp
import pytest

from tests.support.server_process import SERVE, Caller, ServerProcess
from tests.support.streams import EVENTS, MULTIPART, Streamed, streamed

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

GRACE_S = 10
"""`shutdown_timeout_s`, after which the server would tear connections off."""
EACH = 20
FOLLOW = "subscription ($id: ID!) { runEvents(runId: $id) { cursor __typename } }"

pytestmark = [pytest.mark.long, pytest.mark.timeout(180)]


async def follow_by_socket(
    session: aiohttp.ClientSession, url: str, token: str, run: str, following: asyncio.Semaphore
) -> int | None:
    """Follow a run until the socket is closed; return the code."""
    async with session.ws_connect(f"{url}/graphql", protocols=["graphql-transport-ws"]) as socket:
        await socket.send_json({"type": "connection_init", "payload": {"authorization": f"Bearer {token}"}})
        await socket.send_json({"type": "subscribe", "id": "1", "payload": {"query": FOLLOW, "variables": {"id": run}}})
        async for message in socket:
            kind = message.json()["type"]
            assert kind in {"connection_ack", "next", "ping"}, message
            if kind == "next":
                following.release()
        return socket.close_code


async def first_events(stack: AsyncExitStack, url: str, token: str, run: str, accept: str) -> list[Streamed]:
    """Open streams of a run, each with its first event read."""
    headers = {"authorization": f"Bearer {token}"}
    opening = (
        stack.enter_async_context(streamed(f"{url}/graphql", FOLLOW, accept, headers=headers, variables={"id": run}))
        for _ in range(EACH)
    )
    streams = [await one for one in opening]
    for stream in streams:
        await (stream.event() if accept == EVENTS else stream.part())
    return streams


async def leave_unread(url: str, token: str, run: str) -> asyncio.StreamWriter:
    """Open a stream and read nothing of it, ever."""
    _, writer = await asyncio.open_connection(*url.removeprefix("http://").split(":"))
    body = f'{{"query": "{FOLLOW}", "variables": {{"id": "{run}"}}}}'
    head = f"POST /graphql HTTP/1.1\r\nHost: x\r\nAccept: {EVENTS}\r\nAuthorization: Bearer {token}\r\n"
    writer.write(f"{head}Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode())
    await writer.drain()
    return writer


@pytest.mark.parametrize("command", [SERVE, (*SERVE, "--workers", "2")], ids=["one process", "two processes"])
async def test_a_server_with_open_subscriptions_ends_with_status_0_within_its_grace_period(
    tmp_path: Path, command: Sequence[str]
) -> None:
    server = ServerProcess(tmp_path, command=command)
    await server.start()
    assert server.process is not None
    try:
        async with aiohttp.ClientSession() as session, AsyncExitStack() as stack:
            caller = Caller(server.url, session)
            await caller.sign_up()
            pause = {"key": "pause", "config": {"wait": {"durationMs": 600_000}}}
            run = await caller.start(await caller.create(name="Long", graph={"nodes": [pause], "edges": []}))
            following = asyncio.Semaphore(0)
            sockets = [
                asyncio.create_task(follow_by_socket(session, server.url, caller.token, run, following), name="socket")
                for _ in range(EACH)
            ]
            for _ in range(EACH):
                await asyncio.wait_for(following.acquire(), 30)
            events = await first_events(stack, server.url, caller.token, run, EVENTS)
            parts = await first_events(stack, server.url, caller.token, run, MULTIPART)
            unread = await leave_unread(server.url, caller.token, run)
            begun = time.monotonic()
            server.process.send_signal(signal.SIGTERM)
            status = await asyncio.to_thread(server.process.wait, 3 * GRACE_S)
            took_s = time.monotonic() - begun
            assert status == 0
            assert took_s < GRACE_S, took_s
            assert set(await asyncio.gather(*sockets)) == {1012}
            for stream in events:
                assert b"complete" not in await stream.rest()
            for stream in parts:
                told = (await stream.rest()).decode()
                assert "SERVICE_UNAVAILABLE" in told
                assert told.endswith("--graphql--\r\n")
            unread.transport.abort()
        assert "Traceback" not in (tmp_path / "server.log").read_text()
        assert "graceful shutdown exceeded" not in (tmp_path / "server.log").read_text()
    finally:
        if server.process.poll() is None:
            server.process.kill()
            await asyncio.to_thread(server.process.wait, 10)
