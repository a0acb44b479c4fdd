from __future__ import annotations

import asyncio
import os
import signal
import socket
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import aiohttp
import pytest
from websockets.asyncio.client import connect

from domain.errors import SetupFault
from gql.app import create_app, listen, serve
from tests.support.graphql_socket import PROTOCOL, Socket
from tests.support.probe import Probe, Sessions, Witness, probe_schema, probe_services, probe_settings, probing
from tests.support.streams import unread

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from starlette.applications import Starlette

    from runtime.services import Services
    from runtime.settings import Settings

SETTINGS = probe_settings()


class Opened:
    """Remembers whether the services are open."""

    def __init__(self, fault: Exception | None = None) -> None:
        self.fault = fault
        self.is_open = False

    @asynccontextmanager
    async def services(self, settings: Settings) -> AsyncGenerator[Services]:
        if self.fault is not None:
            raise self.fault
        self.is_open = True
        yield probe_services(Sessions(), Witness(), settings)
        self.is_open = False

    def app(self) -> Starlette:
        return create_app(SETTINGS, open_services=self.services, schema=probe_schema(SETTINGS))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_the_server_says_where_it_listens_and_ends_in_good_order_on_a_signal(number: signal.Signals) -> None:
    opened = Opened()
    started: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    serving = asyncio.create_task(serve(opened.app(), SETTINGS, on_started=started.set_result), name="serve")
    address = await asyncio.wait_for(started, 10)
    assert opened.is_open
    async with aiohttp.ClientSession() as http, http.get(f"{address}/healthz") as answer:
        assert answer.status == 200
    os.kill(os.getpid(), number)
    # It returns instead of raising the signal again, which would end this process.
    await asyncio.wait_for(serving, 10)
    assert not opened.is_open


@pytest.mark.parametrize("fault", [SetupFault("There is no database."), RuntimeError("hunter2")])
async def test_what_keeps_the_server_from_starting_is_raised(
    fault: Exception, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(type(fault), match=str(fault)):
        await serve(Opened(fault).app(), SETTINGS)
    assert "Traceback" not in caplog.text + capfd.readouterr().err


async def test_a_port_that_is_taken_is_told_in_one_sentence() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        settings = SETTINGS.model_copy(update={"port": port})
        with pytest.raises(SetupFault, match=f"^Cannot listen on 127.0.0.1 port {port}: .*in use.*\\.$"):
            await serve(Opened().app(), settings)


def test_small_messages_are_not_held_back() -> None:
    with listen(SETTINGS) as listener:
        assert listener.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


@asynccontextmanager
async def unread_socket(probe: Probe) -> AsyncGenerator[None]:
    """Subscribe over a websocket, and read nothing more."""
    async with connect(probe.socket, subprotocols=[PROTOCOL], max_queue=1) as connection:
        socket = Socket(connection)
        await socket.init()
        await socket.subscribe("1", "subscription {flood}")
        yield
        connection.transport.abort()


@pytest.mark.parametrize("is_socket", [True, False])
async def test_a_peer_that_reads_nothing_does_not_use_the_grace_period_up(*, is_socket: bool) -> None:
    settings = SETTINGS.model_copy(update={"shutdown_timeout_s": 8})
    async with probing(settings) as probe:
        silent = unread_socket(probe) if is_socket else unread(probe.graphql, "subscription {flood}")
        async with silent:
            counted = -1
            while probe.witness.counted != counted:
                counted = probe.witness.counted
                await asyncio.sleep(0.2)  # until the buffers of both sides are full
            begun = time.monotonic()
            await probe.serving.shutdown()
            assert time.monotonic() - begun < 6


async def test_a_path_that_is_not_there_says_nothing_about_the_server() -> None:
    opened = Opened()
    started: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    serving = asyncio.create_task(serve(opened.app(), SETTINGS, on_started=started.set_result), name="serve")
    address = await asyncio.wait_for(started, 10)
    async with aiohttp.ClientSession() as http, http.get(f"{address}/../etc/passwd") as answer:
        assert (answer.status, await answer.text()) == (404, "Not Found")
        assert "server" not in answer.headers
    os.kill(os.getpid(), signal.SIGTERM)
    await asyncio.wait_for(serving, 10)
