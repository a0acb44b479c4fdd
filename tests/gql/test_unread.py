"""Peers that read nothing, and what is left of them while the server goes on."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from websockets.asyncio.client import connect

from gql.unread import Unread, grace_s
from tests.support.graphql_socket import PROTOCOL, Socket
from tests.support.probe import probe_settings, probing
from tests.support.streams import unread
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    import pytest

    from tests.support.probe import Probe

FLOOD = "subscription {flood}"
EACH = 5


@asynccontextmanager
async def silent_socket(probe: Probe) -> AsyncGenerator[None]:
    """Subscribe, and read nothing more."""
    async with connect(probe.socket, subprotocols=[PROTOCOL], max_queue=1) as connection:
        socket = Socket(connection)
        await socket.init()
        await socket.subscribe("1", FLOOD)
        connection.transport.pause_reading()
        try:
            yield
        finally:
            connection.transport.abort()


@asynccontextmanager
async def looking(probe: Probe) -> AsyncGenerator[None]:
    """Run the loop of the server that `probing` leaves out."""
    loop = asyncio.create_task(probe.serving.main_loop(), name="server's loop")
    try:
        yield
    finally:
        probe.serving.should_exit = True
        await loop


def open_files() -> int:
    return len(list(Path("/dev/fd").iterdir()))


async def test_peers_that_read_nothing_are_gone_while_the_server_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("socket", "streams"):
        monkeypatch.setattr(f"gql.{module}._CLEAN_UP_S", 0.1)
    monkeypatch.setattr("gql.unread._LEAST_S", 0.2)
    quick: dict[str, Any] = {"heartbeat_interval_s": 0.2, "ping_interval_s": 0.2}
    async with probing(probe_settings(**quick)) as probe, looking(probe), AsyncExitStack() as peers:
        before = open_files()
        for _ in range(EACH):
            await peers.enter_async_context(unread(probe.graphql, FLOOD))
            await peers.enter_async_context(silent_socket(probe))
        connections = probe.serving.server_state.connections
        await until(lambda: not connections and not probe.serving.server_state.tasks)
        # What is open still is the peers' own.
        assert open_files() <= before + 2 * EACH


class Written:
    """A transport with something to write."""

    def __init__(self, *, is_closed: bool = True) -> None:
        self.size = 1_000
        self.is_closed = is_closed
        self.is_aborted = False

    def get_write_buffer_size(self) -> int:
        return self.size

    def is_closing(self) -> bool:
        return self.is_closed

    def abort(self) -> None:
        self.is_aborted = True


def test_whoever_pauses_has_a_minute_at_least() -> None:
    assert [grace_s(interval) for interval in (1, 20, 60)] == [60, 60, 180]


def test_whoever_reads_however_slowly_or_is_not_closed_is_left_in_peace() -> None:
    stalled, slow, open_one, done = Written(), Written(), Written(is_closed=False), Written()
    unread = Unread(10)
    for now in range(0, 100, 5):
        slow.size -= now % 10 // 5
        done.size = 0
        unread.look([one for one in (stalled, slow, open_one, done) if not one.is_aborted], now)  # pyright: ignore[reportArgumentType]
        assert stalled.is_aborted == (now >= 10)
    assert not any(one.is_aborted for one in (slow, open_one, done))
